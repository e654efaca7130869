"""Which scheduler makes the calls of a home: `$SCQ_HOME/schedule.json`, a few words for whoever shows, starts and stops them.

What really is installed only the scheduler itself can say; this says whom to ask.
"""

from __future__ import annotations

import os
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
    """What was installed last. `entries` are (name of the task, seconds between two calls)."""

    scheduler: str
    entries: tuple[tuple[str, float], ...]
    at: datetime
    user: str = ""
    """Account whose calls these are, where the scheduler is one of the whole machine."""


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
    write_atomic(os.path.join(home, NAME), msgspec.json.encode(record) + b"\n")


def forget(home: str) -> None:
    """Nothing is installed any more. Raises OSError."""
    remove_file(os.path.join(home, NAME))


def damaged(home: str) -> ConfigError:
    """The error for a record that makes no sense."""
    advice = "Call `scq schedule install` again, which writes it anew; or remove it with `scq schedule remove`."
    return ConfigError(f"{os.path.join(home, NAME)}: does not say what is installed", advice)
