"""`SYFT_peers.json`: the owner's own answers to peers, in the form of the clients since 0.1.94 (docs/drive.md).

Drive knows no conditional write, and another client of the account may write the same file. So what is about to be replaced is
looked at right before, and what stands there right after; whoever wrote in between is read again and keeps what he wrote.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scq.drive.items import File, Listing
from scq.drive.names import PEERS_FILE, SYFTBOX
from scq.errors import BusyError, ConfigError, InvalidFileError
from scq.state import DriveMemory

if TYPE_CHECKING:
    from scq.drive.connection import Drive

LIMIT = 4 << 20
"""Bytes; with a key bundle an entry has a few thousand."""
TRIES = 3
TYPE = "text/plain"
"""Of every JSON file that the clients put on Drive."""
ADVICE = (
    f"Nothing was written. Look at {PEERS_FILE} in the folder {SYFTBOX} on Google Drive: Drive keeps earlier versions "
    "(Manage versions); put the last whole one back, or delete the file to begin anew, then call again."
)


def is_accepted(memory: DriveMemory, address: str) -> bool:
    """True for a peer whom the list accepted when it was read, unless a rejection is written down and not on Drive yet."""
    return memory.states.get(address) == "accepted" and memory.answers.get(address) != "rejected"


def parse(body: bytes) -> dict[str, Any]:
    """The entries by address, whatever they hold. Raises InvalidFileError when this is no file of the clients."""
    try:
        found = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise InvalidFileError(f"{PEERS_FILE} on Google Drive is not JSON", ADVICE) from None
    if not isinstance(found, dict):
        raise InvalidFileError(f"{PEERS_FILE} on Google Drive does not hold peers by address", ADVICE)
    return found


def merged(entries: Mapping[str, Any], answers: Mapping[str, str]) -> dict[str, Any]:
    """The entries with the state of some peers changed, and everything else as it was.

    Clients compare addresses as they are written, so every spelling that is there says the same. Raises InvalidFileError.
    """
    made = dict(entries)
    for address, state in answers.items():
        spellings = [key for key in entries if key.lower() == address.lower()]
        for key in dict.fromkeys((*spellings, address)):
            known = made.get(key, {})
            if not isinstance(known, dict):
                raise InvalidFileError(f"{PEERS_FILE} on Google Drive holds no entry of a peer under {key!a}", ADVICE)
            made[key] = {**known, "state": state}
    return made


def document(entries: Mapping[str, Any]) -> bytes:
    """The file as the clients write it."""
    return json.dumps(entries, indent=2).encode()


def write(drive: Drive, box: str, answers: Mapping[str, str]) -> None:
    """Put the state of peers, by address, into the file in the `SyftBox` folder with this id; made if it is not there.

    Raises InvalidFileError for a damaged file, BusyError when somebody else keeps writing it, and what Drive raises.
    """
    for _ in range(TRIES):
        file, inside = _found(drive, box)
        body = b"{}" if file is None else drive.download(file.id, LIMIT)
        if file is not None and not _is(file, body):
            continue
        wanted = merged(parse(body), answers)
        if inside and wanted == parse(body):
            return
        if _written(drive, box, file if inside else None, document(wanted)):
            return
    raise BusyError(
        f"somebody else is writing {PEERS_FILE} on Google Drive", "Another client of this account is at work; call again later."
    )


def _written(drive: Drive, box: str, file: File | None, body: bytes) -> bool:
    """Replace the file, or make it. False when somebody wrote right before or right after: then it has to be read again."""
    if file is None:
        made = drive.upload(PEERS_FILE, box, body, TYPE)
    elif drive.file(file.id).md5 != file.md5:
        return False
    else:
        made = drive.replace(file.id, body, TYPE).id
    return _is(drive.file(made), body)


def _is(file: File, body: bytes) -> bool:
    return file.md5 == hashlib.md5(body, usedforsecurity=False).hexdigest()


def _found(drive: Drive, box: str) -> tuple[File | None, bool]:
    """(the file as it is now, whether it lies in the `SyftBox` folder). One that lies elsewhere is read and not written to."""
    listing = whole(drive.own_files(PEERS_FILE))
    inside = [file for file in listing.files if box in file.parents]
    if len(inside) > 1:
        raise ConfigError(f"the folder {SYFTBOX} on Google Drive holds {len(inside)} files {PEERS_FILE}", "Keep the right one.")
    chosen = max(
        inside or listing.files, key=lambda file: file.modified_at.timestamp() if file.modified_at else 0.0, default=None
    )
    return (None if chosen is None else drive.file(chosen.id)), bool(inside)


def whole(listing: Listing) -> Listing:
    """A listing, if Drive has searched everything. Raises BusyError: on half an answer nothing may be made twice."""
    if not listing.complete:
        raise BusyError("Google Drive has not searched everything", "Call again later.")
    return listing
