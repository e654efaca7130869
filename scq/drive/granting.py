"""What a peer's client needs of the owner's Drive to submit and to get answers: made as the clients make it (docs/drive.md).

Every step looks first, so that it can be repeated. A share mail leaves only with a permission that was not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from scq.drive.items import File
from scq.drive.names import SYFTBOX, VERSION_FILE, Kind, folder_name, folder_of
from scq.drive.peers_file import TYPE, whole
from scq.errors import ConfigError
from scq.state import RemoteFolder

if TYPE_CHECKING:
    from scq.drive.connection import Drive

KINDS: tuple[Kind, ...] = ("inbox", "outbox")
WRITERS = frozenset({"owner", "organizer", "fileOrganizer", "writer"})
CURRENT = "0.10.0"
"""The client whose formats are written where a peer's folders tell no known version."""
OLD_FOLDER = "syft_outbox_inbox_"
LAST_OLDEST, LAST_UNVERSIONED = "0.1.101", "0.1.112"
"""The last client of each generation whose folder names hold no version."""
LEAST = {(0, 1): "0.1.93", (0, 10): "0.10.0"}
"""By (major, minor) of each known line of clients: the oldest version it says it works with."""
_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}")
VERSION_LIMIT = 1 << 16


class Pair(Struct, frozen=True):
    """Two people as the peer's newest folder spells them. `version` is empty where its name holds none."""

    peer: str
    me: str
    version: str
    has_own_folders: bool
    """False for the oldest clients, where the submitter makes all folders."""

    @property
    def client(self) -> str:
        """The version of client to be."""
        if self.version:
            return self.version if _line(self.version) in LEAST else CURRENT
        return LAST_UNVERSIONED if self.has_own_folders else LAST_OLDEST


def pair_of(folders: Iterable[RemoteFolder], me: str) -> Pair | None:
    """How to answer the peer who made these folders: in the form of the newest one. None when there is none to go by."""
    known = [(folder, name) for folder in folders if (name := folder_of(folder.name, me)) is not None]
    usable = [(folder, name) for folder, name in known if not name.version or _line(name.version) is not None]
    if not usable:
        return None
    folder, name = max(usable, key=lambda each: each[0].created_at or datetime.min.replace(tzinfo=UTC))
    return Pair(name.peer, name.datasite, name.version, not folder.name.startswith(OLD_FOLDER))


def syftbox(drive: Drive) -> str:
    """Id of the owner's `SyftBox` folder, made if it is not there. Raises ConfigError when there are several."""
    found = _only(whole(drive.find(SYFTBOX, None, mine=True, folder=True)).files, f"folders {SYFTBOX}")
    return drive.create_folder(SYFTBOX, None) if found is None else found.id


def open_folders(drive: Drive, box: str, pair: Pair) -> None:
    """Make the owner's own two folders for the peer and let him write there. Raises ConfigError when there are several."""
    mine = whole(drive.folders(box)).files if pair.has_own_folders else ()
    for kind in KINDS if pair.has_own_folders else ():
        name = folder_name(pair.version, pair.peer, kind, pair.me)
        found = _only([file for file in mine if _fits(file, pair, kind)], f"folders like {name}")
        _share(drive, drive.create_folder(name, box) if found is None else found.id, pair.peer, "writer")


def show_version(drive: Drive, box: str, pair: Pair, now: datetime) -> str:
    """Let the peer read which client the owner has; made if nothing says so. What keeps the two apart, empty for nothing."""
    found = _only(whole(drive.find(VERSION_FILE, box, mine=True, folder=False)).files, f"files {VERSION_FILE}")
    if found is None:
        has = pair.client
        made = drive.upload(VERSION_FILE, box, version_document(has, now), TYPE)
    else:
        made, has = found.id, declared(drive.download(found.id, VERSION_LIMIT))
    _share(drive, made, pair.peer, "reader")
    if not pair.version or _line(has) == _line(pair.version):
        return ""
    return f"{VERSION_FILE} says that you have client {has or '(unknown)'}, the peer has {pair.version}"


def version_document(version: str, now: datetime) -> bytes:
    """What a client of this version says of itself, as it writes it."""
    fields: dict[str, Any] = {
        "syft_client_version": version,
        "min_supported_syft_client_version": LEAST[_line(version) or (0, 10)],
        "protocol_version": "1.0.0",
        "min_supported_protocol_version": "1.0.0",
    }
    if _line(version) == (0, 10):
        fields["syft_client_install_source"] = f"syft=={version}"
    fields["updated_at"] = now.isoformat().replace("+00:00", "Z")
    if _line(version) == (0, 10):
        fields["attestation_token"] = None
    return json.dumps(fields, indent=2).encode()


def declared(body: bytes) -> str:
    """The version in a version file, empty when it says none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    version = found.get("syft_client_version") if isinstance(found, dict) else None
    return version if isinstance(version, str) and _line(version) is not None else ""


def _line(version: str) -> tuple[int, int] | None:
    """(major, minor): clients of one line understand each other. None for what is no version of a client."""
    if _VERSION.fullmatch(version) is None:
        return None
    major, minor, _ = version.split(".")
    return int(major), int(minor)


def _fits(file: File, pair: Pair, kind: Kind) -> bool:
    """True for the owner's own folder of this kind that the peer's client finds: of the same line, spelled the same."""
    name = folder_of(file.name, pair.peer)
    if name is None or (name.datasite, name.kind, name.peer) != (pair.peer, kind, pair.me):
        return False
    return not file.name.startswith(OLD_FOLDER) and (_line(name.version) if name.version else None) == (
        _line(pair.version) if pair.version else None
    )


def _only(files: Iterable[File], what: str) -> File | None:
    """The one that is there. Raises ConfigError for several: which of them clients use is chance."""
    found = tuple(files)
    if len(found) > 1:
        raise ConfigError(f"Google Drive holds {len(found)} {what}", "Keep the one with your data and delete the others.")
    return found[0] if found else None


def _share(drive: Drive, file: str, address: str, role: str) -> None:
    enough = WRITERS if role == "writer" else None
    for known, has in drive.permissions(file):
        if known.lower() == address.lower() and (enough is None or has in enough):
            return
    drive.share(file, address, role, mail=True)
