"""A log file: adding a line to it, and putting it aside when it is full; safe with many processes at once.

A line is one write to a file opened for appending, under a lock (`flock`) on the file itself, which ends with the process that
holds it. Whoever gets the lock looks whether the name still stands for that file, so nobody writes to a file that was put aside,
and readers know that nothing is added to it any more.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

PATIENCE = 2.0
"""Seconds to wait for the lock; a process that was stopped may hold it. Then a line is written without it: it is not lost."""


def opened_for_writing(path: str) -> int:
    """Open a log to read its end and add to it. Never follows a link, never blocks on a FIFO. Raises OSError."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return fd


def lock(fd: int, kind: int, patience: float) -> bool:
    """Take the lock of a log within so many seconds; False when somebody else keeps it."""
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.001)


def is_at(fd: int, path: str) -> bool:
    """Whether a path still stands for an open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def write(fd: int, data: bytes, size: int, is_mine: bool) -> None:
    """Add a line of `size` bytes so far. What a power cut left without its line break gets one first.

    Raises OSError; with the lock (`is_mine`) nothing was added then.
    """
    if size and os.pread(fd, 1, size - 1) != b"\n":
        data = b"\n" + data
    if os.write(fd, data) < len(data):
        if is_mine:
            os.ftruncate(fd, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def rotate(path: str, backups: int) -> None:
    """Put a log aside as `.1`; the older ones move up to the first number that is free, the last one falls off. Raises OSError.

    A call killed between two of these renames leaves such a free number, and the next one fills it: nothing is lost.
    """
    free = next((number for number in range(1, backups) if not os.path.lexists(f"{path}.{number}")), backups)
    for number in range(free - 1, 0, -1):
        os.rename(f"{path}.{number}", f"{path}.{number + 1}")
    os.rename(path, f"{path}.1")
