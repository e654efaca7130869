"""One look at one SyftBox root: listing, lstat and small reads, each counted, nothing followed, nothing written."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Mapping

from scq.errors import InvalidFileError
from scq.files import read_text, walk
from scq.formats import is_utf8
from scq.model import Problem

RESULT_FILES_LIMIT = 100_000
TOO_YOUNG_NS = 2_000_000_000
"""A folder changed so recently could change again within the same time stamp: it is listed again next time."""
YOUNG = "young"
"""Remembered in place of the stamp of such a folder."""


class DiskTree:
    """The `ports.Tree` of a real folder.

    `known_folders` are the stamps remembered from the last look, `known_names` tells what such a folder held then (asked only
    of folders that have changed); `now_ns` is the wall clock at its start, nanoseconds. After the look `folders` holds the
    stamps to remember, `listed` the names in the folders that were listed, `problems` what was wrong, and `unreadable` how often
    something that may be there could not be looked at.
    """

    def __init__(
        self,
        root: str,
        me: str,
        *,
        full: bool = True,
        known_folders: Mapping[str, str] | None = None,
        known_names: Callable[[str], Collection[str]] | None = None,
        now_ns: int = 0,
    ) -> None:
        self.root = root
        self.me = me.strip().lower()
        self.full = full
        self.known_folders = dict(known_folders or {})
        self.known_names = known_names
        self.now_ns = now_ns
        self.folders: dict[str, str] = {}
        self.listed: dict[str, list[str]] = {}
        self.problems: list[Problem] = []
        self.unreadable = 0
        self.lstats = 0
        self.listings = 0
        self.opens = 0

    def path(self, relative: str) -> str:
        """Absolute path of something below the root."""
        return f"{self.root}/{relative}" if relative else self.root

    def datasites(self) -> list[tuple[str, str]]:
        """Every person's folder as (folder, address): `datasites/<email>` and `<email>` itself; both forms may be there."""
        found = [(name, name) for name in self.children("") if "@" in name]
        return [*found, *((f"datasites/{name}", name) for name in self.children("datasites") if "@" in name)]

    def children(self, folder: str) -> list[str]:
        self.listings += 1
        try:
            with os.scandir(self.path(folder)) as entries:
                found = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self.unreadable += 1
            self.problem(Problem(folder or ".", f"cannot be listed ({error.strerror})", "Check its access rights."))
            return []
        return self._usable(folder, found)

    def fresh_children(self, folder: str) -> list[str]:
        found = self._lstat(folder)
        if found is None or not stat.S_ISDIR(found.st_mode):
            return []
        stamp = _stamp(found)
        remembered = None if self.full else self.known_folders.get(folder)
        if remembered == stamp:
            self.folders[folder] = stamp
            return []
        self.folders[folder] = stamp if found.st_mtime_ns < self.now_ns - TOO_YOUNG_NS else YOUNG
        known = frozenset(self.known_names(folder)) if self.known_names and remembered is not None else frozenset()
        if not known:
            self.listed[folder] = self.children(folder)
            return self.listed[folder]
        there = self._entries(folder)
        new = [name for name in there if name not in known and self.is_dir(f"{folder}/{name}")]
        names = self._usable(folder, sorted(new))
        self.listed[folder] = [*(name for name in there if name in known), *names]
        return names

    def is_dir(self, path: str) -> bool:
        found = self._lstat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def is_file(self, path: str) -> bool:
        found = self._lstat(path)
        return found is not None and stat.S_ISREG(found.st_mode)

    def stamp(self, path: str) -> str:
        found = self._lstat(path)
        return "-" if found is None else _stamp(found)

    def mtime(self, path: str) -> float | None:
        found = self._lstat(path)
        return None if found is None else found.st_mtime

    def names(self, folder: str) -> list[str]:
        return sorted(self._entries(folder)) if self.is_dir(folder) else []

    def read_text(self, path: str, limit: int) -> str:
        self.opens += 1
        try:
            return read_text(self.path(path), limit)
        except InvalidFileError as error:
            raise InvalidFileError(str(error).replace(self.path(path), path, 1), error.advice) from error

    def files(self, folder: str) -> list[str]:
        if not self.is_dir(folder):
            return []
        self.listings += 1
        try:
            entries = list(walk(self.path(folder), RESULT_FILES_LIMIT))
        except OSError as error:
            self.problem(Problem(folder, f"cannot be listed ({error.strerror})", "Check its access rights."))
            return []
        return sorted(path for path, found in entries if stat.S_ISREG(found.st_mode) and is_utf8(path))

    def problem(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _lstat(self, path: str) -> os.stat_result | None:
        self.lstats += 1
        try:
            return os.lstat(self.path(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.unreadable += 1
            self.problem(Problem(path, f"cannot be looked at ({error.strerror})", "Check the access rights of its folder."))
            return None

    def _entries(self, folder: str) -> list[str]:
        self.listings += 1
        try:
            return os.listdir(self.path(folder))
        except OSError as error:
            self.problem(Problem(folder, f"cannot be listed ({error.strerror})", "Check its access rights."))
            return []

    def _usable(self, folder: str, names: list[str]) -> list[str]:
        usable = [name for name in names if is_utf8(name)]
        if len(usable) < len(names):
            for name in names:
                if not is_utf8(name):
                    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
                    advice = "Ask the submitter to send it again under a plain name."
                    self.problem(Problem(f"{folder}/{shown}", "the folder name is not UTF-8", advice))
        return usable


def _stamp(found: os.stat_result) -> str:
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_mode:o}"
