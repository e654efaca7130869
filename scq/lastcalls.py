"""When each scheduled verb last went well: the two times of an empty file, `locks/VERB.done`, accessed when the call began and
changed when it ended. So a call with nothing to do writes no document.
"""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime

from msgspec import Struct

SCHEDULED = ("check", "run-approved", "notify", "cycle", "automate")
"""The verbs that schedulers call."""


class Ended(Struct, frozen=True):
    """The last call of a verb that went well."""

    at: datetime
    took_s: float


def mark_ended(home: str, verb: str, began: float, ended: float) -> None:
    """Note that a scheduled call went well; seconds since the epoch. Raises OSError."""
    folder = os.path.join(home, "locks")
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(os.path.join(folder, f"{verb}.done"), flags, 0o600)
    try:
        os.utime(fd, (min(began, ended), ended))
    finally:
        os.close(fd)


def last_ended(home: str) -> dict[str, Ended]:
    """When the scheduled verbs last went well, those that ever did."""
    found: dict[str, Ended] = {}
    for verb in SCHEDULED:
        try:
            times = os.lstat(os.path.join(home, "locks", f"{verb}.done"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISREG(times.st_mode):
            took = max(0.0, times.st_mtime - times.st_atime)
            found[verb] = Ended(datetime.fromtimestamp(times.st_mtime, UTC), round(took, 3))
    return found
