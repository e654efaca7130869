"""Who may read and change which file of a datasite, as its permission files `syft.pub.yaml` say.

The rules of syft-permissions 0.1.15, which the SyftBox clients obey (docs/layouts.md): the nearest file at or above a path
decides alone, but a `terminal` one ends the search on the way down; of its rules the first that matches decides, the most
specific first; admin includes write, write includes read; the owner may everything.

Where that leaves room, scq grants less: nothing through a link, nothing below a permission file that is damaged, nothing by
a pattern with character classes or escapes, nothing to an address that a pattern could misread, and a permission file, of
this generation or an older one, is for admins only. In one thing it is wider: addresses are compared without case.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from fnmatch import fnmatchcase

import msgspec

from scq.errors import InvalidFileError
from scq.files import SMALL, read_text
from scq.formats import is_component, parse_yaml, same_address
from scq.permissions import FILE_NAME, Level

LEVELS: Mapping[Level, tuple[str, ...]] = {
    "read": ("read", "write", "admin"),
    "write": ("write", "admin"),
    "admin": ("admin",),
}
"""Each level with the lists that grant it."""
USER_IN_PATTERN = "{{.UserEmail}}"
UNKNOWN_IN_PATTERN = ("{{.UserHash}}", "{{.Year}}", "{{.Month}}", "{{.Date}}")
USER_IN_LIST = "USER"
EVERYBODY = "*"
ANY_FILE = "__any__"
"""What the clients ask for when they mean a folder as a whole."""
PERMISSION_FILES = (FILE_NAME, "syftperm.yaml")
PATH_LIMIT = 4_096
"""Longer paths are refused, longer patterns not read, characters."""
DEPTH_LIMIT = 100
"""Deeper paths are refused."""


class _Access(msgspec.Struct, frozen=True):
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    admin: tuple[str, ...] = ()


class _Rule(msgspec.Struct, frozen=True):
    pattern: str
    access: _Access


class _File(msgspec.Struct, frozen=True):
    """One permission file; the rules as written."""

    rules: tuple[_Rule, ...] = ()
    terminal: bool = False


class Rules:
    """The permission files of one datasite. Each is read once, when it is first needed."""

    def __init__(self, datasite: str, owner: str) -> None:
        """`datasite` is the absolute path of the owner's folder, which need not exist."""
        self._datasite = datasite
        self._owner = owner
        self._files: dict[str, _File | None] = {}

    def may(self, path: str, address: str, level: Level) -> bool:
        """True when `address` has at least `level` for a file, there or not yet, given relative to the datasite with `/`.

        For a folder that is there: whether he has it for the files in it. A path that climbs is nobody's. Never raises for
        anything found on disk.
        """
        parts = path.split("/") if len(path) <= PATH_LIMIT else []
        if not 0 < len(parts) <= DEPTH_LIMIT or not all(is_component(part) for part in parts):
            return False
        if same_address(address, self._owner):
            return True
        found = self._governing(parts) if is_plain(address) else None
        if found is None:
            return False
        if any(part.casefold().endswith(PERMISSION_FILES) for part in parts):
            level = "admin"
        return _granted(*found, address, level)

    def _governing(self, parts: list[str]) -> tuple[_File, list[str]] | None:
        """The deciding permission file with the rest of the path below its folder; None where nobody may pass.

        Without any permission file: an empty one, which grants nothing.
        """
        nearest, at = _File(), 0
        path = self._datasite
        for depth in range(len(parts) + 1):
            kind = _kind(path)
            if kind == "absent" or (kind == "file" and depth == len(parts)):
                break
            if kind != "folder":
                return None
            if not nearest.terminal:
                try:
                    file = self._file(path)
                except InvalidFileError:
                    return None
                if file is not None:
                    nearest, at = file, depth
            if depth == len(parts):
                parts = [*parts, ANY_FILE]
            else:
                path = f"{path}/{parts[depth]}"
        return nearest, parts[at:]

    def _file(self, folder: str) -> _File | None:
        """The permission file of a folder, None when it has none. Raises InvalidFileError when it is damaged."""
        if folder not in self._files:
            self._files[folder] = _load(f"{folder}/{FILE_NAME}")
        return self._files[folder]


def may(datasite: str, path: str, address: str, owner: str, level: Level) -> bool:
    """As `Rules.may`, for a single question: `datasite` is the absolute path of the owner's folder, `path` lies in it."""
    return Rules(datasite, owner).may(path, address, level)


def is_plain(address: str) -> bool:
    """True for an address that means only itself in a path and in a pattern: one `@`, no space, slash or wildcard."""
    if not is_component(address) or not address.isprintable():
        return False
    return address.count("@") == 1 and not any(sign in address for sign in "*?[]{}\\ ")


def _load(path: str) -> _File | None:
    if _kind(path) == "absent":
        return None
    text = read_text(path, SMALL)
    if not text.strip():
        return _File()
    try:
        file = msgspec.convert(parse_yaml(text, path), _File)
    except msgspec.ValidationError as error:
        raise InvalidFileError(f"{path}: is not a permission file ({error})") from error
    if any(word in rule.pattern for rule in file.rules for word in UNKNOWN_IN_PATTERN):
        raise InvalidFileError(f"{path}: uses a placeholder that no client knows")
    return msgspec.structs.replace(file, rules=tuple(sorted(file.rules, key=_specificity, reverse=True)))


def _kind(path: str) -> str:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return "absent"
    except OSError:
        return "other"
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def _specificity(rule: _Rule) -> tuple[bool, int, int, int, int]:
    """Greater for a pattern that goes first; equal ones stay in the order of the file."""
    segments = rule.pattern.split("/")
    fixed = [segment for segment in segments if USER_IN_PATTERN not in segment]
    return (
        USER_IN_PATTERN in rule.pattern,
        sum(not any(sign in segment for sign in "*?[{") for segment in fixed),
        sum(segment != "**" and any(sign in segment for sign in "*?[") for segment in fixed),
        -segments.count("**"),
        len(segments),
    )


def _granted(file: _File, below: list[str], address: str, level: Level) -> bool:
    for rule in file.rules:
        pattern = rule.pattern.replace(USER_IN_PATTERN, address)
        if not _is_readable(pattern):
            # it may match: then it alone would decide
            return False
        if _matches(pattern, below):
            own = address if pattern != rule.pattern else EVERYBODY
            return any(_is_listed(address, entry, own) for name in LEVELS[level] for entry in getattr(rule.access, name))
    return False


def _is_readable(pattern: str) -> bool:
    """True for a pattern without wildcards, and for one whose wildcards are `*`, `**` and `?` between plain slashes."""
    if not any(sign in pattern for sign in "*?["):
        return True
    if len(pattern) > PATH_LIMIT or any(sign in pattern for sign in "[\\"):
        return False
    return all(part not in ("", ".", "..") for part in pattern.split("/"))


def _matches(pattern: str, below: list[str]) -> bool:
    """Segment by segment: `**` is any number of folders, at the end at least one name; wildcards skip hidden names."""
    if not any(sign in pattern for sign in "*?"):
        return pattern == "/".join(below)
    wanted = pattern.split("/")
    states = _skipped({0}, wanted)
    for name in below:
        states = _skipped({after for state in states for after in _steps(wanted, state, name)}, wanted)
    return len(wanted) in states


def _steps(wanted: list[str], state: int, name: str) -> tuple[int, ...]:
    """Where a name leads from a place in a pattern: nowhere, to the next one, or past `**` as well as back to it."""
    if state == len(wanted):
        return ()
    segment = wanted[state]
    if name.startswith(".") and not segment.startswith("."):
        return ()
    if segment == "**":
        return (state, state + 1)
    return (state + 1,) if fnmatchcase(name, segment) else ()


def _skipped(states: set[int], wanted: list[str]) -> set[int]:
    """With the places behind each `**` that stands for no folder at all, which the last one cannot."""
    found = set(states)
    for state, segment in enumerate(wanted[:-1]):
        if segment == "**" and state in found:
            found.add(state + 1)
    return found


def _is_listed(address: str, entry: str, own: str) -> bool:
    """True when an entry of a list means this address: the address itself, `*`, `*@domain`, or `USER`, which means `own`."""
    if entry == USER_IN_LIST:
        entry = own
    if "*" in entry or "?" in entry:
        return "[" not in entry and fnmatchcase(address.lower(), entry.lower())
    return same_address(address, entry)
