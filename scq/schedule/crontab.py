"""The text of a crontab: our lines between two marks for each home, every other kept byte for byte; and when a line is due."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from msgspec import Struct

from scq.errors import ConfigError, UsageError

_MARK = re.compile(rb"[ \t]*#[ \t]*(BEGIN|END)[ \t]+scq\b", re.IGNORECASE)
"""Anything that may be meant as one of our marks, also when somebody's editor changed it."""
_EXACT = re.compile(rb"# (BEGIN|END) scq (/[^\r\n]*)")
_ADVICE = "Correct or remove that line with `crontab -e`: from `# BEGIN scq HOME` to `# END scq HOME` is what scq looks after."

_HOURS = 60
MINUTES = tuple(n for n in range(1, 61) if 60 % n == 0) + tuple(_HOURS * n for n in range(2, 25) if 24 % n == 0)
"""Intervals that cron can keep evenly, in minutes."""


class _Block(Struct, frozen=True):
    """Rows `first` to `last`, both marks included, counted from 0."""

    home: bytes
    first: int
    last: int


class Table(Struct, frozen=True):
    """A whole crontab as `crontab -l` shows it."""

    content: bytes

    def block(self, home: str) -> str:
        """Our lines for a home with both marks; empty when there are none. Raises ConfigError for marks that do not fit."""
        rows = self._rows()
        found = self._find(home)
        return "" if found is None else b"".join(rows[found.first : found.last + 1]).decode("utf-8", "surrogateescape")

    def with_block(self, home: str, text: str) -> Table:
        """The table with other lines for a home: in the place of the old ones, else at the end. Empty: without them."""
        rows, found, ours = self._rows(), self._find(home), text.encode("utf-8", "surrogateescape")
        if found is not None:
            return Table(b"".join([*rows[: found.first], ours, *rows[found.last + 1 :]]))
        if self.content and not self.content.endswith(b"\n"):
            return Table(ours + self.content)  # behind a line without an end our first mark would become part of it
        return Table(self.content + ours)

    def others(self) -> list[tuple[int, bytes]]:
        """The lines outside of every block, with their numbers counted from 1."""
        ours = {number for block in self._blocks() for number in range(block.first, block.last + 1)}
        return [(number + 1, row) for number, row in enumerate(self._rows()) if number not in ours]

    def _rows(self) -> list[bytes]:
        """Lines with their ends. Only a line feed ends a line, as for cron itself."""
        return re.findall(rb"[^\n]*\n|[^\n]+", self.content)

    def _find(self, home: str) -> _Block | None:
        wanted = home.encode("utf-8", "surrogateescape")
        found = [block for block in self._blocks() if block.home == wanted]
        if len(found) > 1:
            raise ConfigError(f"crontab, line {found[1].first + 1}: a second block for {home}", _ADVICE)
        return found[0] if found else None

    def _blocks(self) -> list[_Block]:
        """All blocks. Raises ConfigError rather than guess where one begins or ends."""
        blocks: list[_Block] = []
        open_home, first = b"", 0
        for number, row in enumerate(self._rows()):
            if not _MARK.match(row):
                continue
            exact = _EXACT.fullmatch(row.removesuffix(b"\n"))
            if exact is None:
                raise ConfigError(f"crontab, line {number + 1}: looks like a mark of scq, but is not exactly one", _ADVICE)
            kind, home = exact.groups()
            if kind == b"BEGIN" and not open_home:
                open_home, first = home, number
            elif kind == b"END" and home == open_home:
                blocks.append(_Block(home, first, number))
                open_home = b""
            else:
                raise ConfigError(f"crontab, line {number + 1}: this mark of scq does not fit the one before it", _ADVICE)
        if open_home:
            raise ConfigError(f"crontab, line {first + 1}: this mark of scq has no end", _ADVICE)
        return blocks


def timing_of(every: float, home: str) -> str:
    """The five fields of a crontab line for an interval in seconds; below a minute it is once a minute.

    Calls of different homes begin in different minutes, always the same for one home. Raises UsageError for an interval that
    cron cannot keep evenly.
    """
    minutes = max(every / 60, 1.0)
    if minutes not in MINUTES:
        nearest = min(MINUTES, key=lambda known: abs(known - minutes))
        raise UsageError(
            f"cron cannot call every {every:g} s evenly",
            f"The nearest interval it can keep is {nearest * 60} s ({said(nearest)}).",
        )
    shift = int.from_bytes(sha256(home.encode("utf-8", "surrogateescape")).digest()[:4], "big")
    if minutes < _HOURS:
        step = int(minutes)
        return "* * * * *" if step == 1 else f"{shift % step}-59/{step} * * * *"
    minute, hours = shift % 60, int(minutes) // _HOURS
    hour = {1: "*", 24: str(shift // 60 % 24)}.get(hours, f"{shift // 60 % hours}-23/{hours}")
    return f"{minute} {hour} * * *"


def said(minutes: int) -> str:
    """An interval in words."""
    return f"{minutes} min" if minutes < _HOURS else f"{minutes // _HOURS} h"


def every_of(timing: str) -> float | None:
    """Seconds between calls for five fields as `timing_of` makes them; None for any other."""
    minute, hour = (_values(field, top) for field, top in zip((*timing.split(), "", "")[:2], (60, 24), strict=True))
    if timing.split()[2:] != ["*", "*", "*"] or not minute or not hour:
        return None
    return 86_400.0 / (len(minute) * len(hour))


def _values(field: str, top: int) -> list[int]:
    """The values of one field below `top`: a number, all, or from one number on with a step. Empty when it is anything else."""
    if field == "*":
        return list(range(top))
    found = re.fullmatch(rf"([0-9]{{1,2}})(?:-{top - 1}/([1-9][0-9]?))?", field)
    if found is None:
        return []
    first, step = int(found[1]), int(found[2] or top)
    return list(range(first, top, step))


def next_of(timing: str, now: datetime) -> datetime | None:
    """When cron makes the next call; `now` is aware, in the time zone that cron goes by."""
    minute, hour = (_values(field, top) for field, top in zip((*timing.split(), "", "")[:2], (60, 24), strict=True))
    first = now.replace(second=0, microsecond=0)
    minutes = (first + timedelta(minutes=ahead) for ahead in range(1, 24 * _HOURS + 1))
    return next((each.astimezone(UTC) for each in minutes if each.minute in minute and each.hour in hour), None)
