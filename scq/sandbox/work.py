"""The private copy of a run as every sandbox sees it: a folder `work` and places inside it."""

from __future__ import annotations

import posixpath

from scq.errors import UsageError


def inside(work: str, cwd: str) -> str:
    """Absolute path of `cwd`, a folder relative to `work`. Raises UsageError when it leaves `work`."""
    relative = posixpath.normpath(cwd or ".")
    if relative.startswith(("/", "../")) or relative == ".." or "\0" in relative:
        raise UsageError(f"working folder {cwd!r} is not inside the job", "Give a folder relative to the job.")
    return work if relative == "." else f"{work}/{relative}"


def moved(value: str, work: str, shown: str) -> str:
    """A value that is `work` or a path below it, as seen where `work` is called `shown`; any other value as it is."""
    if value == work or value.startswith(f"{work}/"):
        return shown + value[len(work) :]
    return value
