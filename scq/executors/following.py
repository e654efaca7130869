"""Following a log while it is written: each byte of it once, whatever `CappedLog` does to the file meanwhile."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from errno import ESTALE

from scq.errors import InvalidFileError
from scq.executors.logs import MARK_ROOM, SMALLEST_LIMIT
from scq.files import open_regular

BLOCK = 1 << 18
LONGEST_LINE = 1 << 14
"""Bytes after which a line without an end is shown all the same."""
_MARK = re.compile(rb"\n--- ([1-9][0-9]*) bytes left out ---\n")
_MARK_LENGTHS = range(len(b"\n--- 1 bytes left out ---\n"), MARK_ROOM)


class Following:
    """One log of a run. `limit` is the one that its `CappedLog` was given.

    `path` may be another one each time (the log was copied) and need not be there yet. Of a log that has reached its limit only
    the first half can be read as long as the run lasts, because the second one is being written over (`is_cut` says so); the
    rest comes once it is over.
    """

    def __init__(self, limit: int) -> None:
        self.is_cut = False
        self._limit = max(limit, SMALLEST_LIMIT)
        self._file: tuple[str, int, int] | None = None
        self._at = 0
        self._partial = b""

    def take(self, path: str, *, over: bool) -> list[str]:
        """The lines that are new, some of them if there are many. `over`: nothing more is written, and `path` is complete.

        Raises InvalidFileError for what is no regular file.
        """
        lines: list[str] = []
        while not lines and (data := self._read(path, over)):
            lines.extend(self._lines(data))
        if over and not lines and self._partial:
            lines, self._partial = [self._partial.decode("utf-8", "replace")], b""
        return lines

    def _read(self, path: str, over: bool) -> bytes:
        """The next bytes."""
        try:
            fd = open_regular(path)
        except InvalidFileError as error:
            if isinstance(error.__cause__, OSError):  # not there yet, or not any more
                return b""
            raise
        try:
            facts = os.fstat(fd)
            file = (path, facts.st_dev, facts.st_ino)
            note = b""
            if self._file is None:
                self._file = file
            elif self._file != file:
                if not over:  # it is being completed
                    return b""
                self._file = file
                note = self._went_on(fd, facts.st_size)
            return note + self._next(fd, over)
        except OSError as error:
            if error.errno == ESTALE:  # removed on another machine while it was open here
                return b""
            raise InvalidFileError(f"{path}: cannot be read ({error.strerror})", "Try again.") from error
        finally:
            os.close(fd)

    def _next(self, fd: int, over: bool) -> bytes:
        first_half = max(self._limit // 2 - self._at, 0)
        data = os.pread(fd, min(BLOCK, first_half) if self.is_cut and not over else BLOCK, self._at)
        if not over and os.fstat(fd).st_size == self._limit:
            # From now on the second half may be written over at any moment, also while it was read.
            self.is_cut = True
            data = data[:first_half]
        self._at += len(data)
        return data

    def _went_on(self, fd: int, size: int) -> bytes:
        """Find the place in the complete log that took the place of a growing one. What to say of the bytes between, if any."""
        for length in _MARK_LENGTHS:
            limit = size + MARK_ROOM - length
            head = limit // 2
            mark = _MARK.fullmatch(os.pread(fd, length, head))
            if limit < SMALLEST_LIMIT or mark is None:
                continue
            ahead = int(mark[1]) - (self._at - head)  # of the first byte behind the mark
            if self._at <= head or self._at == size:
                return b""
            self._at = head + length + max(-ahead, 0)
            return b"\n--- %d bytes left out ---\n" % ahead if ahead > 0 else b""
        return b""

    def _lines(self, data: bytes) -> Iterator[str]:
        *lines, rest = (self._partial + data).split(b"\n")
        for raw in lines:
            yield from _pieces(raw)
        while len(rest) >= LONGEST_LINE:
            end = _boundary(rest)
            yield rest[:end].decode("utf-8", "replace")
            rest = rest[end:]
        self._partial = rest


def _pieces(raw: bytes) -> Iterator[str]:
    """A line in pieces that are not too long."""
    while len(raw) > LONGEST_LINE:
        end = _boundary(raw)
        yield raw[:end].decode("utf-8", "replace")
        raw = raw[end:]
    yield raw.decode("utf-8", "replace")


def _boundary(raw: bytes) -> int:
    """Where a long line can be divided without dividing a character (UTF-8: at most three bytes continue one)."""
    end = LONGEST_LINE
    while end > LONGEST_LINE - 3 and end < len(raw) and raw[end] & 0xC0 == 0x80:
        end -= 1
    return end
