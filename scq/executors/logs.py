"""The output of a job: kept in a file of limited size, and shown line by line while it runs."""

from __future__ import annotations

import os
import re
import select
import stat
import time
from collections.abc import Iterator

CHUNK = 1 << 16
MARK_ROOM = 64
SMALLEST_LIMIT = 1024


class CappedLog:
    """A log file that keeps the beginning and the end of what is written, within `limit` bytes (never less than 1 KiB).

    Up to `limit` everything is kept as it comes. After that the second half of the file is used as a ring, so memory does not
    grow with the output; `finish` puts the ring in order behind a line that says how many bytes were left out. A full disk does
    not raise: `error` says it, and the rest of the output is only counted.
    """

    def __init__(self, path: str, limit: int) -> None:
        self.path = path
        self.total = 0
        self.error: OSError | None = None
        self._limit = max(limit, SMALLEST_LIMIT)
        self._head = self._limit // 2
        self._ring = self._limit - self._head
        self._last = b"\n"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        """Add bytes at the end."""
        if not data:
            return
        self._last = data[-1:]
        rest = memoryview(data)
        while rest and self.error is None:
            place = self._place()
            try:
                written = os.pwrite(self._fd, rest[: self._limit - place], place)
            except OSError as error:
                self.error = error
                break
            self.total += written
            rest = rest[written:]
        self.total += len(rest)

    def write_line(self, line: str) -> None:
        """Add a line of scq's own, which begins at the beginning of a line."""
        separator = "" if self._last == b"\n" else "\n"
        self.write(f"{separator}{line}\n".encode())

    def finish(self) -> None:
        """Make the file complete and durable, and close it."""
        try:
            if self.total > self._limit and self.error is None:
                self._rewrite()
            elif self.total:
                os.fsync(self._fd)
        except OSError as error:
            self.error = error
        finally:
            os.close(self._fd)

    def _place(self) -> int:
        if self.total < self._limit:
            return self.total
        return self._head + (self.total - self._head) % self._ring

    def _rewrite(self) -> None:
        """Replace the file by head, mark and the ring from its oldest byte on."""
        kept = self._ring - MARK_ROOM
        left_out = self.total - self._head - kept
        oldest = self._head + left_out % self._ring
        until_wrap = min(kept, self._limit - oldest)
        temporary = f"{self.path}.{os.getpid()}.tmp"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.writelines(self._pieces(0, self._head))
            file.write(b"\n--- %d bytes left out ---\n" % left_out)
            file.writelines(self._pieces(oldest, until_wrap))
            file.writelines(self._pieces(self._head, kept - until_wrap))
            file.flush()
            os.fsync(fd)
        os.replace(temporary, self.path)

    def _pieces(self, start: int, size: int) -> Iterator[bytes]:
        for offset in range(start, start + size, CHUNK):
            yield os.pread(self._fd, min(CHUNK, start + size - offset), offset)


LONGEST_LINE = 1 << 16
PATIENCE_S = 0.2

_UNPRINTABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def printable(text: str) -> str:
    """Text without control characters and marks that turn the writing direction; tabs stay."""
    return _UNPRINTABLE.sub("", text)


class LineStream:
    """Shows the output of a job on a descriptor of the caller, each complete line behind `[label] `.

    A reader that takes nothing (a paused terminal, a full pipe) must not hold up the job's time limit: after a short wait lines
    are left out, and a line says so as soon as there is room. A reader that has gone ends the showing, not the job.
    """

    def __init__(self, descriptor: int, label: str) -> None:
        self._prefix = f"[{printable(label)}] "
        self._partial = b""
        self._pending = b""
        self._skipped = 0
        self._wait_until = 0.0
        self._fd = _own_descriptor(descriptor)

    def write(self, data: bytes) -> None:
        """Show the lines that are complete now and keep the rest for later."""
        self._wait_until = time.monotonic() + PATIENCE_S
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._show(line)
        while len(self._partial) >= LONGEST_LINE:
            self._show(self._partial[:LONGEST_LINE])
            self._partial = self._partial[LONGEST_LINE:]

    def finish(self) -> None:
        """Show what is left, also without a line end, and close."""
        self._wait_until = time.monotonic() + PATIENCE_S
        if self._partial:
            self._show(self._partial)
        if self._skipped and self._drain():
            self._pending = self._skipped_note()
            self._drain()
        if self._fd is not None:
            os.close(self._fd)

    def _show(self, line: bytes) -> None:
        for start in range(0, max(len(line), 1), LONGEST_LINE):
            self._send(f"{self._prefix}{printable(line[start : start + LONGEST_LINE].decode('utf-8', 'replace'))}\n".encode())

    def _send(self, line: bytes) -> None:
        if not self._drain():
            self._skipped += 1
            return
        if self._skipped:
            line = self._skipped_note() + line
            self._skipped = 0
        self._pending = line
        self._drain()

    def _skipped_note(self) -> bytes:
        return f"{self._prefix}--- {self._skipped} lines not shown here, they are in the log ---\n".encode()

    def _drain(self) -> bool:
        """Write what is pending; False when the reader does not take it."""
        while self._pending and self._fd is not None:
            try:
                self._pending = self._pending[os.write(self._fd, self._pending) :]
            except BlockingIOError:
                wait = 0.0 if self._skipped else self._wait_until - time.monotonic()
                if not select.select([], [self._fd], [], max(wait, 0.0))[1]:
                    return False
            except OSError:
                os.close(self._fd)
                self._fd = None
        return True


def _own_descriptor(descriptor: int) -> int | None:
    """A descriptor of our own for the same place, non-blocking where that does not change the caller's; None when closed."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return None
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            return os.dup(descriptor)
    return os.dup(descriptor)
