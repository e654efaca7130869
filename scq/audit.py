"""The audit log: one JSON line per decision and run, appended, numbered, each line sealing the one before it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence

import msgspec

from scq.errors import InvalidFileError
from scq.files import open_regular
from scq.model import AuditRow

TAIL = 1 << 16


class _Line(msgspec.Struct, omit_defaults=True):
    row: AuditRow
    previous: str
    """sha256 of the whole line before, without its line break; empty for the first."""


def append_rows(path: str, rows: Sequence[AuditRow]) -> None:
    """Append rows and make them durable. A half-written last line of a killed call is cut off first."""
    if not rows:
        return
    whole, last = _tail(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.truncate(whole)
        file.seek(whole)
        previous = hashlib.sha256(last).hexdigest() if last else ""
        for row in rows:
            line = msgspec.json.encode(_Line(row, previous))
            file.write(line + b"\n")
            previous = hashlib.sha256(line).hexdigest()
        file.flush()
        os.fsync(file.fileno())


def last_number(path: str) -> int:
    """Number of the newest whole row, 0 when there is none."""
    _, last = _tail(path)
    return msgspec.json.decode(last, type=_Line).row.n if last else 0


def read_rows(path: str) -> Iterator[tuple[AuditRow, bool]]:
    """Every row in order with whether its seal holds. A line that cannot be read ends the log with InvalidFileError."""
    if not os.path.exists(path):
        return
    previous = ""
    with os.fdopen(open_regular(path), "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                entry = msgspec.json.decode(line, type=_Line)
            except msgspec.MsgspecError as error:
                raise InvalidFileError(f"{path}: line {number} is damaged ({error})", "Compare it with a backup.") from error
            yield entry.row, entry.previous == previous
            previous = hashlib.sha256(line[:-1]).hexdigest()


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
            reach *= 8
