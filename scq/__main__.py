"""`python -m scq` and the console script."""

from __future__ import annotations

import sys


def main() -> None:
    """Run one call and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        from scq import __version__

        sys.stdout.write(f"scq {__version__}\n")
        return
    from scq.cli.shortcut import call

    sys.exit(call(sys.argv[1:]))


if __name__ == "__main__":
    main()
