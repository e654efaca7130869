"""The owner's own list of answers to peers (`SYFT_peers.json`), as a look reads it. It is written by `peers_file`.

Format: an object with an object for each address, whose `state` is `accepted`, `rejected` or `requested_by_me`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from scq.drive.found import Found
from scq.drive.items import File, NotThereError
from scq.drive.names import PEERS_FILE, SYFTBOX
from scq.drive.single import present
from scq.errors import InvalidFileError

if TYPE_CHECKING:
    from scq.drive.connection import Drive

LIMIT = 4 << 20
"""Bytes; with encryption every entry holds keys."""
LONGEST = 320
"""Characters of an address or a word."""
ADVICE = (
    "What was known before still holds. Open the file on Google Drive and restore an earlier version of it (Manage versions)."
)


def states_of(body: bytes) -> dict[str, str]:
    """The words of the list by lower-case address; entries without one are left out. Raises InvalidFileError."""
    try:
        found = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"), type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise InvalidFileError("it is damaged: not the JSON that sync clients write", ADVICE) from None
    words = ((address, entry.get("state")) for address, entry in found.items() if isinstance(entry, dict))
    return {
        address.lower(): word
        for address, word in words
        if isinstance(word, str) and len(word) <= LONGEST and len(address) <= LONGEST and address.isprintable()
    }


def is_own(file: File, found: Found) -> bool:
    """True for a list of answers in the owner's Drive."""
    return file.name == PEERS_FILE and file.owner == found.me and not file.is_folder


def look_up(drive: Drive, found: Found, *, sure: bool, told: Mapping[str, File | None] | None = None) -> None:
    """Find the list, and read it if it has changed. `told` are files as the list of changes tells, None for those that are gone.

    Listings of Drive lag behind: what was told counts, and with `sure` a list that is known and not listed is asked for.
    """
    listing = drive.own_files(PEERS_FILE)
    known = found.peers_file
    newest: dict[str, File | None] = {**{file.id: file for file in listing.files}, **(told or {})}
    if sure and known and known not in newest:
        newest[known] = present(drive, known)
    files = [file for file in newest.values() if file is not None and is_own(file, found) and not file.trashed]
    if files:
        refresh(drive, found, _best(drive, files))
    elif listing.complete:
        found.set_states("", "", ())
    else:
        found.lack_states("")
    found.covered &= listing.complete


def refresh(drive: Drive, found: Found, file: File) -> None:
    """Read the list if it is not the one that was read before. A damaged one is said, and what was known before still holds."""
    if found.peers_file == file.id and file.md5 and found.peers_md5 == file.md5:
        return
    try:
        states = states_of(drive.download(file.id, LIMIT))
    except NotThereError:
        found.lack_states(file.id)
        found.covered = found.complete = False  # it vanished this moment: what came instead of it is seen next time
    except InvalidFileError as error:
        found.lack_states(file.id)
        found.complete = False
        found.say(PEERS_FILE, f"it {str(error).removeprefix('it ')}", ADVICE)
    else:
        found.set_states(file.id, file.md5, states.items())


def _best(drive: Drive, files: list[File]) -> File:
    """Of several lists the one in the SyftBox folder, else the newest."""
    if len(files) > 1:
        boxes = {file.id for file in drive.own_files(SYFTBOX).files if file.is_folder and not file.trashed}
        files = [file for file in files if boxes.intersection(file.parents)] or files
    return max(files, key=lambda file: (file.modified_at.timestamp() if file.modified_at else 0.0, file.id))
