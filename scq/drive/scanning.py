"""Everything is listed anew: folders of peers, the owner's list of answers, and the messages of all inboxes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scq.drive import answers
from scq.drive.found import MESSAGE_PREFIX, Found
from scq.drive.items import File, Listing
from scq.drive.single import present

if TYPE_CHECKING:
    from scq.drive.connection import Drive

LAG = timedelta(minutes=10)
"""By which the list of changes may be behind before something counts as missed."""


def folders_and_answers(drive: Drive, found: Found, *, sure: bool) -> None:
    """List the folders of peers and read the owner's list of answers.

    `sure`: what is remembered is as the list of changes tells, so that something that is not listed is asked for once more:
    listings lag behind. Nothing is forgotten after a listing that was not complete.
    """
    listing = drive.peer_folders()
    for file in listing.files:
        found.take_folder(file)
    if listing.complete:
        for key in found.folders.keys() - {file.id for file in listing.files}:
            still = present(drive, key) if sure else None
            if still is None:
                found.drop_folder(key)
            else:
                found.take_folder(still)
    found.covered &= listing.complete
    answers.look_up(drive, found, sure=sure)


def all_messages(drive: Drive, found: Found, *, sure: bool, now: datetime, fresh: Collection[str]) -> None:
    """List the messages of every inbox. `fresh` are inboxes that this look has found, of which nothing can have been missed."""
    before = set(found.messages)
    listing = drive.messages(found.inboxes())
    take(found, listing)
    if listing.complete:
        for key in before & found.messages.keys() - {file.id for file in listing.files}:
            still = present(drive, key) if sure else None
            if still is None:
                found.drop_message(key)
            else:
                found.take_message(still)
    if sure:
        news = found.messages.keys() - before
        found.missed += sum(
            file.id in news and not set(file.parents) & set(fresh) and _is_old(file, now) for file in listing.files
        )


def take(found: Found, listing: Listing) -> None:
    """Messages of a listing; one that the list of changes has just told to be gone stays gone."""
    for file in listing.files:
        if file.name.startswith(MESSAGE_PREFIX) and file.id not in found.gone:
            found.take_message(file)
    found.covered &= listing.complete


def _is_old(file: File, now: datetime) -> bool:
    return file.created_at is not None and now - file.created_at > LAG
