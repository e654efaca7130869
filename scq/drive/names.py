"""Names of the clients' folders and files on Drive, and paths inside a datasite: pure text, nothing is asked.

Three generations of folder names: 0.1.88-0.1.101, 0.1.102-0.1.112 and 0.1.113 to syft 0.10.0 (docs/drive.md).
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from scq.formats import same_address

SYFTBOX = "SyftBox"
PEERS_FILE = "SYFT_peers.json"
VERSION_FILE = "SYFT_version.json"

Kind = Literal["inbox", "outbox"]

_FOLDER = "syft_datasite"
_OLD_FOLDER = "syft_outbox_inbox_"
_EVENT = "syfteventsmessagev3_"
_ENDING = ".tar.gz"
_TO = "_to_"
_KINDS: tuple[Kind, ...] = ("inbox", "outbox")
_VERSION = re.compile(r"[0-9A-Za-z.!+_-]{1,40}")
"""The characters of a PEP 440 version."""
_MESSAGE = re.compile(r"msgv2_([0-9]{1,15}(?:\.[0-9]{1,20})?)_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.tar\.gz")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\]")
"""Control characters, line separators and the backslash, which is a separator on some systems."""

PATH_LIMIT, PART_LIMIT = 1024, 255
"""Bytes of a path in a datasite and of one part of it."""
GENERATED = frozenset(
    {".venv", ".git", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", "node_modules", ".DS_Store"}
)
"""Parts of paths that the owner's client drops on reception."""


class FolderName(Struct, frozen=True):
    """What the name of a peer folder says: made by `peer` for `datasite`; `version` is empty before 0.1.113."""

    datasite: str
    kind: Kind
    peer: str
    version: str = ""


class MessageName(Struct, frozen=True):
    """What the name of a message file says. `seconds` of Unix time by the sender's clock; messages are ordered by it."""

    seconds: float
    uid: str

    @property
    def at(self) -> datetime | None:
        """Aware UTC; None for a number no calendar has."""
        return moment(self.seconds)


def is_addressed(text: str) -> bool:
    """True for what the clients take for a mail address in a path or name: one `@`, no slash, no white space."""
    return text.count("@") == 1 and "/" not in text and not any(map(str.isspace, text))


def folder_of(name: str, me: str) -> FolderName | None:
    """Read the name of a peer folder for my datasite; None for every other name.

    Addresses are kept as written. Who really owns the folder is for the caller to compare.
    """
    if name.startswith(_OLD_FOLDER):
        return _old_folder(name.removeprefix(_OLD_FOLDER), me)
    first, *parts = name.split("#")
    if first != _FOLDER or len(parts) not in (3, 4):
        return None
    version = parts.pop(0) if len(parts) == 4 else None
    datasite, kind, peer = parts
    if version is not None and _VERSION.fullmatch(version) is None:
        return None
    side = next((known for known in _KINDS if known == kind), None)
    if side is None or not same_address(datasite, me) or not is_addressed(peer):
        return None
    return FolderName(datasite, side, peer, version or "")


def _old_folder(rest: str, me: str) -> FolderName | None:
    """`<from>_to_<to>`. Addresses may hold underscores, so that only my own can be cut off."""
    ends, start = rest[-len(me) :], rest[: len(me)]
    sender, to = rest[: -len(me)], rest[len(me) :]
    if same_address(ends, me) and sender.endswith(_TO) and is_addressed(sender.removesuffix(_TO)):
        return FolderName(ends, "inbox", sender.removesuffix(_TO))
    if same_address(start, me) and to.startswith(_TO) and is_addressed(to.removeprefix(_TO)):
        return FolderName(start, "outbox", to.removeprefix(_TO))
    return None


def folder_name(version: str, datasite: str, kind: Kind, peer: str) -> str:
    """Name of the folder that `peer` makes for `datasite`; without a version in the form of 0.1.102-0.1.112."""
    return "#".join((_FOLDER, *([version] if version else []), datasite, kind, peer))


def archive_name(sender: str, owner: str) -> str:
    """Name of the owner's folder for messages of a sender that were processed."""
    return f"syft_{sender}_to_{owner}_archive"


def message_of(name: str) -> MessageName | None:
    """Read the name of a message file, strictly; None for every other name."""
    found = _MESSAGE.fullmatch(name)
    return MessageName(float(found[1]), found[2]) if found is not None else None


def is_event(name: str) -> bool:
    """True for the file of an event message, which an owner's client writes."""
    return name.startswith(_EVENT) and name.endswith(_ENDING)


def event_name(seconds: float, uid: str) -> str:
    """Name of the file of an event message. `seconds` of Unix time, `uid` a UUID."""
    return f"{_EVENT}{seconds!r}_{uid}{_ENDING}"


def moment(seconds: float | None) -> datetime | None:
    """Unix time as aware UTC; None for a number no calendar has."""
    if seconds is None or not math.isfinite(seconds):
        return None
    try:
        found = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return found if 1 < found.year < 9999 else None


def climbs(path: str) -> bool:
    """True for a path that does not stay below the folder it is relative to, on any system."""
    parts = re.split(r"[/\\]", path)
    return ".." in parts or parts[0] == "" or re.match(r"[A-Za-z]:", path) is not None


def path_fault(path: str) -> str:
    """Why a path from a message is not a plain relative path of a file; empty when it is one.

    The reason is a phrase without anything of the path in it.
    """
    if climbs(path):
        return "climbs out of the datasite"
    if _CONTROL.search(path) is not None:
        return "holds characters that do not belong in a path"
    parts = path.split("/")
    if any(part in ("", ".") or re.match(r"[A-Za-z]:", part) for part in parts):
        return "is not a plain path"
    if len(path.encode()) > PATH_LIMIT or any(len(part.encode()) > PART_LIMIT for part in parts):
        return "is too long"
    return ""


def is_generated(path: str) -> bool:
    """True for a path in a folder of tools or caches: the owner's client drops it on reception."""
    return not GENERATED.isdisjoint(path.split("/"))
