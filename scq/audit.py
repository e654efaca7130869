"""The audit log: one JSON line per decision and run, appended, numbered, each line sealing the one before it.

The sha256 of the newest line (the head) is also kept in the state, so that a log that was cut off or whose last line was
changed shows it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from scq.errors import InvalidFileError
from scq.files import open_regular
from scq.model import AuditRow

TAIL = 1 << 16
LINE_LIMIT = 16 << 20
"""Longest line that is read, bytes."""
COMPARE = "Compare it with a backup or an export; to go on, move it away and keep it: the gap stays visible."


class _Line(msgspec.Struct, omit_defaults=True):
    row: AuditRow
    previous: str
    """sha256 of the whole line before, without its line break; empty for the first."""


class Tip(msgspec.Struct, frozen=True):
    """The end of a log: number and sha256 of its newest line."""

    number: int = 0
    head: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """What became of checking a log. `line` counts from 1 and is 0, as `kind` is empty, when nothing is wrong."""

    tip: Tip
    kind: str = ""
    """`changed`, `missing`, `reordered`, `added`, `damaged` or `cut off`."""
    line: int = 0
    what: str = ""


def line_of(row: AuditRow, previous: str) -> bytes:
    """A row as it stands in the log, without its line break: the same bytes each time."""
    return msgspec.json.encode(_Line(row, previous))


def head_of(line: bytes) -> str:
    """What the next line says of this one."""
    return hashlib.sha256(line).hexdigest()


def head_after(rows: Iterable[AuditRow], previous: str) -> str:
    """The head of a log after rows were appended to one that ended in `previous`."""
    for row in rows:
        previous = head_of(line_of(row, previous))
    return previous


def append_rows(path: str, rows: Sequence[AuditRow], previous: str | None = None) -> None:
    """Append rows and make them durable. A half-written last line of a killed call is cut off first.

    `previous` is the head that the first row seals; None means the last line that is there.
    """
    if not rows:
        return
    whole, last = _tail(path)
    if previous is None:
        previous = head_of(last) if last else ""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.truncate(whole)
        file.seek(whole)
        for row in rows:
            line = line_of(row, previous)
            file.write(line + b"\n")
            previous = head_of(line)
        file.flush()
        os.fsync(file.fileno())


def tip(path: str) -> Tip:
    """The newest whole line. Raises InvalidFileError when it cannot be read."""
    _, last = _tail(path)
    return Tip(_decoded(last, f"{path}: the last line").row.n, head_of(last)) if last else Tip()


def last_number(path: str) -> int:
    """Number of the newest whole row, 0 when there is none. Raises InvalidFileError when it cannot be read."""
    return tip(path).number


def continued(path: str, known: Tip, pending: Sequence[AuditRow]) -> Tip:
    """Where the next row goes on: `known`, unless the log holds more, or the head was not kept yet.

    `pending` are rows up to `known` that may not stand in the log.
    """
    end = tip(path)
    if end.number > known.number:
        return end
    if known.head or not known.number:
        return known
    return Tip(known.number, head_after((row for row in pending if row.n > end.number), end.head))


def read_lines(path: str) -> Iterator[bytes]:
    """Every line with its line break, which only a half-written last one lacks. Raises InvalidFileError."""
    if not os.path.lexists(path):
        return
    with os.fdopen(open_regular(path), "rb") as file:
        number = 0
        while line := file.readline(LINE_LIMIT + 1):
            number += 1
            if len(line) > LINE_LIMIT:
                raise InvalidFileError(f"{path}: line {number} is damaged (longer than {LINE_LIMIT} bytes)", COMPARE)
            yield line


def read_rows(path: str) -> Iterator[tuple[AuditRow, bool]]:
    """Every row in order with whether its seal holds. A line that cannot be read ends the log with InvalidFileError."""
    previous = ""
    for number, line in enumerate(read_lines(path), start=1):
        if not line.endswith(b"\n"):
            return
        entry = _decoded(line[:-1], f"{path}: line {number}")
        yield entry.row, entry.previous == previous
        previous = head_of(line[:-1])


def verify(lines: Iterable[bytes], expected: Tip | None = None, pending: Sequence[AuditRow] = ()) -> Verdict:
    """Check numbers and seals of a log, and, when `expected` is known, that it ends there. Names the first bad line.

    `pending` are rows that were saved and may not stand in the log yet: the next save appends them. Raises InvalidFileError
    when the lines cannot be read at all.
    """
    end, remaining = Tip(), iter(lines)
    for line_number, line in enumerate(remaining, start=1):
        if not line.endswith(b"\n"):
            if any(row.n == end.number + 1 for row in pending):
                break
            return Verdict(end, "damaged", line_number, f"line {line_number} is not whole")
        try:
            entry = _decoded(line[:-1], f"line {line_number}")
        except InvalidFileError as error:
            return Verdict(end, "damaged", line_number, str(error))
        if entry.row.n != end.number + 1:
            return _misplaced(end, line_number, entry.row.n, remaining)
        if entry.previous != end.head:
            return _broken(end, line_number)
        end = Tip(entry.row.n, head_of(line[:-1]))
    waiting = [row for row in pending if row.n > end.number]
    if waiting and waiting[0].n == end.number + 1:
        end = Tip(waiting[-1].n, head_after(waiting, end.head))
    return _compared(end, expected)


def _broken(end: Tip, line: int) -> Verdict:
    if line == 1:
        return Verdict(end, "changed", 1, "line 1 was changed")
    return Verdict(end, "changed", line - 1, f"line {line - 1} was changed: line {line} does not follow from it")


def _misplaced(end: Tip, line: int, number: int, remaining: Iterator[bytes]) -> Verdict:
    """A row that does not have the next number: its predecessor comes later, or not at all."""
    wanted = end.number + 1
    later = any(_number(text) == wanted for text in remaining)
    if number < wanted or later:
        return Verdict(end, "reordered", line, f"line {line} holds row {number} where row {wanted} belongs")
    gone = f"row {wanted} is" if number == wanted + 1 else f"rows {wanted} to {number - 1} are"
    return Verdict(end, "missing", line, f"{gone} missing before line {line}")


def _compared(end: Tip, expected: Tip | None) -> Verdict:
    if expected is None or end == expected or (end.number == expected.number and not expected.head):
        return Verdict(end)
    if end.number < expected.number:
        what = f"ends in row {end.number}, but row {expected.number} was written"
        return Verdict(end, "cut off", end.number + 1, what)
    if end.number > expected.number:
        return Verdict(end, "added", expected.number + 1, f"line {expected.number + 1} follows the last one that was written")
    return Verdict(end, "changed", end.number, f"line {end.number} was changed: it is not what was written last")


def _number(line: bytes) -> int:
    """The number of a row, 0 when the line cannot be read."""
    try:
        return _decoded(line, "").row.n
    except InvalidFileError:
        return 0


def _decoded(line: bytes, where: str) -> _Line:
    try:
        return msgspec.json.decode(line, type=_Line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidFileError(f"{where} is damaged ({error})", COMPARE) from error


def _tail(path: str) -> tuple[int, bytes]:
    """(length up to the last whole line, that line without its line break)."""
    if not os.path.lexists(path):
        return 0, b""
    with os.fdopen(open_regular(path), "rb") as file:
        size = file.seek(0, os.SEEK_END)
        reach = TAIL
        while True:
            start = max(0, size - reach)
            file.seek(start)
            block = file.read(size - start)
            end = block.rfind(b"\n")
            begin = block.rfind(b"\n", 0, end) if end > 0 else -1
            if end >= 0 and (begin >= 0 or start == 0):
                return start + end + 1, block[begin + 1 : end]
            if start == 0:
                return 0, b""
            if reach > 2 * LINE_LIMIT:
                raise InvalidFileError(f"{path}: the last line is damaged (longer than {LINE_LIMIT} bytes)", COMPARE)
            reach *= 8
