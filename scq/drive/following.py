"""What the list of changes tells: usually nothing, else as few further questions as will do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from scq.drive import answers
from scq.drive.found import MESSAGE_PREFIX, Found
from scq.drive.items import Change, File
from scq.drive.names import is_event
from scq.drive.single import present

if TYPE_CHECKING:
    from scq.drive.connection import Drive


def follow(drive: Drive, found: Found, changes: Iterable[Change]) -> set[str]:
    """Take in what changed. Returns the inboxes that have to be listed. Raises as the calls of `drive`."""
    latest = {change.id: change.file for change in changes}
    fresh = {key for key, file in latest.items() if _is_folder(key, file, found) and _take_folder(key, file, found)}
    own_list = False
    strays: list[File] = []
    for key, file in latest.items():
        if file is None or file.trashed:
            found.drop_message(key)
            own_list |= key == found.peers_file
        elif key == found.peers_file or answers.is_own(file, found):
            own_list |= not _same_list(file, found)
        elif key in found.messages and not file.parents:
            strays.append(file)
        elif key in found.messages or any(map(found.is_inbox, file.parents)):
            found.take_message(file)
        elif file.name.startswith(MESSAGE_PREFIX) and file.owner != found.me and not file.is_folder:
            strays.append(file)
        elif is_event(file.name) and file.owner == found.me:
            found.foreign.append(file.name)
    if own_list:
        _read_list(drive, found, latest)
    return fresh | _homes(drive, found, strays)


def _is_folder(key: str, file: File | None, found: Found) -> bool:
    return key in found.folders or (file is not None and file.is_folder)


def _take_folder(key: str, file: File | None, found: Found) -> bool:
    if file is not None:
        return found.take_folder(file)
    found.drop_folder(key)
    return False


def _same_list(file: File, found: Found) -> bool:
    """Whether the owner's list of answers is known as it is in this change."""
    return (file.id, file.md5) == (found.peers_file, found.peers_md5) and answers.is_own(file, found) and file.md5 != ""


def _read_list(drive: Drive, found: Found, latest: Mapping[str, File | None]) -> None:
    """One download where the list that is known was written again; else Drive is asked which one counts now."""
    file = latest.get(found.peers_file)
    if file is not None and not file.trashed and answers.is_own(file, found):
        answers.refresh(drive, found, file)
    else:
        answers.look_up(drive, found, sure=True, told=latest)


def _homes(drive: Drive, found: Found, strays: Iterable[File]) -> set[str]:
    """Inboxes nobody knew, found by messages that came without a place or in an unknown one. Each folder is asked for once."""
    fresh: set[str] = set()
    asked: set[str] = set()
    for stray in strays:
        file = stray if stray.parents else present(drive, stray.id)
        if file is None:
            found.drop_message(stray.id)
            continue
        for key in set(file.parents) - found.folders.keys() - asked:
            asked.add(key)
            folder = present(drive, key)
            if folder is not None and found.take_folder(folder):
                fresh.add(key)
        found.take_message(file)
    return fresh
