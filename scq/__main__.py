"""`python -m scq` and the console script."""

from __future__ import annotations

import gc
import sys

OBJECTS = 50_000
"""How many new objects make Python look for cycles. A call is short: at the usual 700 that takes a tenth of its time."""


def main() -> None:
    """Run one call and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        from scq import __version__

        sys.stdout.write(f"scq {__version__}\n")
        return
    gc.set_threshold(OBJECTS)
    from scq.cli.shortcut import call

    sys.exit(call(sys.argv[1:]))


if __name__ == "__main__":
    main()
