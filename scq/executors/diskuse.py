"""How much a folder holds, found out in small steps while a job writes into it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator

from scq.files import opened_for_change

SMALLEST = 4096
"""What an entry costs at least: a million empty files fill a disk as well."""
STEP_S = 0.004
HURRIED_STEP_S = 0.04
REST = 10


class DiskUse:
    """Walks a folder again and again, a few milliseconds per step, resting in between in proportion to how long a walk took.

    It hurries when the whole file system has filled by half the limit meanwhile, whoever did it. Links are not followed; a
    file with several names counts its content once.
    """

    def __init__(self, folder: str, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._walk: Iterator[int] | None = None
        self._spent_s = 0.0
        self._rest_until = 0.0
        self._filled_before = _filled(folder)

    def step(self) -> int | None:
        """Go on for a moment; bytes found as soon as they are more than the limit."""
        now = time.monotonic()
        hurried = 2 * (_filled(self.folder) - self._filled_before) > self.limit
        if self._walk is None:
            if now < self._rest_until and not hurried:
                return None
            self._walk, self._spent_s = self._sizes(), 0.0
        until = now + (HURRIED_STEP_S if hurried else STEP_S)
        for total in self._walk:
            if total > self.limit:
                return total
            if time.monotonic() > until:
                self._spent_s += time.monotonic() - now
                return None
        self._walk = None
        ended = time.monotonic()
        self._rest_until = ended + REST * (self._spent_s + ended - now)
        return None

    def _sizes(self) -> Iterator[int]:
        """The sum so far after each entry."""
        total, waiting, linked = 0, [self.folder], set[tuple[int, int]]()
        while waiting:
            for path, found in _entries(waiting.pop()):
                size = max(found.st_blocks * 512, SMALLEST)
                if stat.S_ISDIR(found.st_mode):
                    waiting.append(path)
                elif found.st_nlink > 1:
                    known = (found.st_dev, found.st_ino)
                    size = SMALLEST if known in linked else size
                    linked.add(known)
                total += size
                yield total


def _filled(folder: str) -> int:
    """What the file system of a folder holds, bytes, or entries at their least size where that is more."""
    try:
        found = os.statvfs(folder)
    except OSError:  # the folder has gone meanwhile
        return 0
    return max((found.f_blocks - found.f_bfree) * found.f_frsize, (found.f_files - found.f_ffree) * SMALLEST)


def _entries(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Path and status of everything directly in a folder, as far as it is still there."""
    try:
        with _listing(folder) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError:  # it has gone meanwhile
                    continue
                yield entry.path, found
    except OSError:  # the folder has gone meanwhile, or is none any more
        return


def _listing(folder: str) -> os._ScandirIterator[str]:
    try:
        return os.scandir(folder)
    except PermissionError:
        # A job took them from its own folder to hide what is in it.
        os.close(opened_for_change(folder))
        return os.scandir(folder)
