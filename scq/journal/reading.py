"""Reading logs: their last lines, following them across rotation, and taking a line apart."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

import msgspec

from scq.clean import line
from scq.errors import InvalidFileError
from scq.files import open_regular
from scq.journal.appending import PATIENCE, is_at, lock

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LINE_LIMIT = 16_384
"""Characters of a line that are shown."""
BLOCK = 1 << 16
INTERVAL = 0.25
"""Seconds between two looks for new lines."""


class LogLine(msgspec.Struct, frozen=True):
    """A line of a log, taken apart. What nobody understands is all `message`; `time` is then None, else aware UTC in ISO form."""

    time: str | None = None
    logger: str = ""
    level: str = ""
    message: str = ""
    run: str = ""


def parsed(text: str) -> LogLine:
    """Take a line apart, whichever form it has."""
    if text.startswith("{"):
        try:
            return msgspec.json.decode(text, type=LogLine)
        except (msgspec.MsgspecError, RecursionError):
            return LogLine(message=text)
    at, _, rest = text.partition(" - ")
    logger, _, rest = rest.partition(" - ")
    level, _, rest = rest.partition(" - ")
    message, _, run = rest.rpartition(" [")
    try:
        moment = datetime.strptime(at, "%Y-%m-%d %H:%M:%S").astimezone(UTC)
    except (ValueError, OverflowError):
        return LogLine(message=text)
    if level not in LEVELS or not run.endswith("]"):
        return LogLine(message=text)
    return LogLine(moment.isoformat().replace("+00:00", "Z"), logger, level, message, run[:-1])


def tail(path: str | os.PathLike[str], lines: int, keep: Callable[[str], bool] | None = None) -> list[str]:
    """The last lines of a log, oldest first, from the files put aside, too; only those that `keep` says yes to.

    A log that is not there has none. Raises InvalidFileError for what is no regular file.
    """
    files = _opened(os.fspath(path))
    try:
        return _last(files, lines, keep)
    finally:
        _close(files)


def follow(
    path: str | os.PathLike[str],
    lines: int = 0,
    wait: Callable[[float], object] = time.sleep,
    keep: Callable[[str], bool] | None = None,
) -> Iterator[str]:
    """The last `lines` lines of a log, then every line that comes, once each, also across rotation and truncation.

    Never ends by itself: `wait` is called with seconds whenever there is nothing new, and what it raises (Ctrl-C) ends it. The
    log need not be there yet. Raises InvalidFileError for what is no regular file.
    """
    path = os.fspath(path)
    files = _opened(path)  # newest first: the last one is being read
    try:
        offset = _end(files[0]) if files else 0
        yield from _last(files, lines, keep, offset)
        _close(files[1:])
        del files[1:]
        while True:
            if files:
                texts, offset = _next(files[-1], offset)
                yield from (text for text in texts if keep is None or keep(text))
                if texts:
                    continue
                if len(files) > 1:  # nothing is added any more to a file that was put aside
                    os.close(files.pop())
                    offset = 0
                    continue
            newer = _newer(path, files)
            files[:0] = newer
            if not newer:
                wait(INTERVAL)
    finally:
        _close(files)


def _last(files: list[int], lines: int, keep: Callable[[str], bool] | None, end: int | None = None) -> list[str]:
    """The last lines of files, newest file first; `end` is where the newest one is taken to end."""
    ends = [_end(fd) for fd in files] if end is None else [end, *(_end(fd) for fd in files[1:])]
    texts = (_clean(raw) for fd, size in zip(files, ends, strict=False) for raw in _backwards(fd, size))
    found = list(islice((text for text in texts if keep is None or keep(text)), min(lines, sys.maxsize)))
    return found[::-1]


def _backwards(fd: int, end: int) -> Iterator[bytes]:
    """The lines before a place in a file, the last one first."""
    rest = b""
    while end > 0:
        start = max(0, end - BLOCK)
        rest, *whole = (os.pread(fd, end - start, start) + rest[:LINE_LIMIT]).split(b"\n")
        yield from (raw for raw in reversed(whole) if raw)
        end = start
    if rest:
        yield rest


def _next(fd: int, offset: int) -> tuple[list[str], int]:
    """The whole lines behind a place in a file, some of them if there are many, and the place behind those."""
    if os.fstat(fd).st_size < offset:  # it was emptied
        offset = 0
    block = os.pread(fd, BLOCK, offset)
    length = len(block) if len(block) == BLOCK and b"\n" not in block else block.rfind(b"\n") + 1
    return [_clean(raw) for raw in block[:length].split(b"\n") if raw], offset + length


def _end(fd: int) -> int:
    """Where the last whole line of a file ends."""
    end = os.fstat(fd).st_size
    while end > 0:
        start = max(0, end - BLOCK)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _clean(raw: bytes) -> str:
    return line(raw.decode("utf-8", "replace"), LINE_LIMIT)


def _newer(path: str, files: list[int]) -> list[int]:
    """The files that were begun after the newest known one, newest first."""
    if not files:
        return _opened(path)
    return [] if is_at(files[0], path) or not os.path.lexists(path) else _opened(path, os.fstat(files[0]))


def _opened(path: str, known: os.stat_result | None = None) -> list[int]:
    """A log and the files put aside as they are at one moment, open for reading, newest first; only those newer than `known`."""
    files: list[int] = []
    try:
        while (fd := _open(path)) is not None:
            files = [fd]
            if not lock(fd, fcntl.LOCK_SH, PATIENCE) or is_at(fd, path):
                break
            os.close(files.pop())
        for number in _numbers(path):
            older = _open(f"{path}.{number}")
            if older is None:
                continue
            files.append(older)
            if known is not None and not _is_newer(os.fstat(older), known):
                os.close(files.pop())
                break
        if files:
            fcntl.flock(files[0], fcntl.LOCK_UN)
    except BaseException:
        _close(files)
        raise
    return files


def _open(path: str) -> int | None:
    """Open a file for reading; None when it is not there (any more)."""
    try:
        return open_regular(path)
    except InvalidFileError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        raise


def _is_newer(found: os.stat_result, known: os.stat_result) -> bool:
    """Whether a file that was put aside came after the known one. All are older where the known one was removed."""
    return not os.path.samestat(found, known) and found.st_mtime_ns >= known.st_mtime_ns


def _numbers(path: str) -> list[int]:
    """The numbers of the files put aside, smallest first. A killed call may have left a gap in them."""
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        return []
    ends = (entry.removeprefix(f"{name}.") for entry in os.listdir(folder) if entry.startswith(f"{name}."))
    return sorted(int(end) for end in ends if end.isascii() and end.isdecimal() and len(end) < 4)


def _close(files: Iterable[int]) -> None:
    for fd in files:
        os.close(fd)
