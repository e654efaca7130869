"""What a program hands over, checked: the command line has nothing but text, a program may have anything."""

from __future__ import annotations

import os
from collections.abc import Iterable

from scq.errors import UsageError
from scq.formats import is_utf8

LONGEST_WAIT = 100 * 365 * 86_400
"""Seconds; for `inf`, which no clock can be set to."""


def words(value: str | Iterable[str] | None) -> tuple[str, ...]:
    """A list of texts as callers give it: one text alone is one text, not its letters. Raises UsageError."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (text("one text", value),)
    if not isinstance(value, Iterable):
        raise UsageError(f"{type(value).__name__} where several texts are needed", "Pass a list of str.")
    return tuple(text("one of several texts", each) for each in value)


def text(name: str, value: object) -> str:
    """A text given by a program. Raises UsageError: nothing else may get into what is stored."""
    if not isinstance(value, str):
        raise UsageError(f"{name}: {type(value).__name__} where text is needed", "Pass a str.")
    if not is_utf8(value):
        raise UsageError(f"{name}: cannot be stored as UTF-8 text", "Where it comes from a file: read it with encoding='utf-8'.")
    return value


def count(name: str, value: object) -> int | None:
    """How many, as a program says it; None for no limit. Raises UsageError."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise UsageError(f"{name}: {ascii(value)[:80]} is not allowed", "Give a whole number from 0, or None for all.")


def seconds(name: str, value: object) -> float:
    """A time to wait, in seconds. Raises UsageError."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(min(value, LONGEST_WAIT))
    raise UsageError(f"{name}: {ascii(value)[:80]} is not allowed", "Give seconds from 0.")


def bound(value: object) -> str:
    """A bound of an approval as the command line takes it. A number that says nothing, such as 0, is refused there."""
    return "" if value is None else str(value)


def absolute(path: str | bytes | os.PathLike[str]) -> str:
    """A path, `~` expanded. Raises UsageError, also for an empty one: that would be the working folder."""
    if not isinstance(path, str | bytes | os.PathLike):
        raise UsageError(f"{type(path).__name__} where a path is needed", "Pass a str or a Path.")
    found = os.fsdecode(path)
    if not found or "\0" in found:
        raise UsageError(f"{found[:80]!a} is not a path", "The working folder is '.'.")
    return os.path.abspath(os.path.expanduser(found))
