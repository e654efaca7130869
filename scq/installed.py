"""Which scheduler makes the calls of a home: `$SCQ_HOME/schedule.json`, a few words for whoever shows, starts and stops them.

What really is installed only the scheduler itself can say; this says whom to ask.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec
from msgspec import Struct

from scq.errors import ConfigError, InvalidFileError
from scq.files import read_bytes, remove_file, write_atomic

NAME = "schedule.json"
LIMIT = 64 << 10
ENTRIES = 20
LONGEST_S = 100 * 365.25 * 86_400.0


class Record(Struct, frozen=True):
    """What was installed last. `entries` are (name of the task, seconds between two calls), as far as the scheduler can."""

    scheduler: str
    entries: tuple[tuple[str, float], ...]
    at: datetime
    user: str = ""
    """Account whose calls these are, where the scheduler is one of the whole machine."""
    stopped: tuple[str, ...] = ()
    """Names of the entries that were put to rest."""


def read(home: str) -> Record | None:
    """The record of a home, None when nothing was installed. Raises ConfigError for a file that is damaged."""
    path = os.path.join(home, NAME)
    if not os.path.lexists(path):
        return None
    try:
        record = msgspec.json.decode(read_bytes(path, LIMIT), type=Record)
    except (InvalidFileError, msgspec.MsgspecError, RecursionError) as error:
        raise damaged(home) from error
    times = (every for _, every in record.entries)
    if len(record.entries) > ENTRIES or not all(0 < every <= LONGEST_S for every in times) or record.at.tzinfo is None:
        raise damaged(home)
    return record


def write(home: str, record: Record) -> None:
    """Keep what was installed. Raises OSError."""
    content = msgspec.json.encode(record) + b"\n"
    with as_owner(home):
        write_atomic(os.path.join(home, NAME), content)


def forget(home: str) -> None:
    """Nothing is installed any more. Raises OSError."""
    with as_owner(home):
        remove_file(os.path.join(home, NAME))


def owner(home: str) -> tuple[int, int]:
    """Numbers of the account and the group a home belongs to; where a link that is not root's leads to it, those of the link."""
    place = home
    while place != os.path.dirname(place):
        found = os.lstat(place) if os.path.lexists(place) else None
        if found is not None and found.st_uid != 0 and (place == home or stat.S_ISLNK(found.st_mode)):
            return found.st_uid, found.st_gid
        place = os.path.dirname(place)
    return 0, 0


@contextmanager
def as_owner(home: str) -> Iterator[None]:
    """What the administrator changes in somebody else's home is changed as that account: with no more than its rights.

    So a link that it put there leads the administrator nowhere, and what is made is its own.
    """
    account, group = owner(home)
    if os.geteuid() != 0 or account == 0:
        yield
        return
    import filelock  # noqa: F401 - needed in there, and the account may not be allowed to read where scq lies

    before, others = os.getegid(), os.getgroups()
    try:
        os.setgroups([])
        os.setegid(group)
        os.seteuid(account)
        yield
    finally:
        os.seteuid(0)
        os.setegid(before)
        os.setgroups(others)


def damaged(home: str) -> ConfigError:
    """The error for a record that makes no sense."""
    advice = "Call `scq schedule install` again, which writes it anew; or remove it with `scq schedule remove`."
    return ConfigError(f"{os.path.join(home, NAME)}: does not say what is installed", advice)
