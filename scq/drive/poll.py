"""One look at Google Drive: what changed since the last one, or everything. Reads only.

The order of work keeps anything from being lost: the place in the list of changes is taken before anything is listed, and is
remembered only together with all it covers.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from scq.drive import bodies, scanning
from scq.drive.following import follow
from scq.drive.found import PLACE, Found
from scq.drive.items import StaleTokenError
from scq.errors import ConfigError, ScqError
from scq.model import Problem, Sighting, SourceReport
from scq.state import DriveMemory, State

if TYPE_CHECKING:
    from scq.drive.connection import Drive

SHOWN = 50
"""Problems that are told one by one: strangers can make any number of them."""


class Poll(Struct, frozen=True):
    """What one look found.

    `jobs` are those of the messages that were read in this look, of each sender the oldest message first. `gone` are messages
    that are in no inbox any more, or no longer what they were. `foreign` are names of event files of this account that have
    appeared: whoever made them works for it too.
    """

    memory: DriveMemory
    jobs: tuple[Sighting, ...]
    gone: frozenset[str]
    foreign: tuple[str, ...]
    problems: tuple[Problem, ...]
    source: SourceReport
    full: bool
    failure: ScqError | None = None
    """Why the look could not be made; the memory is the one before it."""
    answers_known: bool = True
    """False while the owner's list of answers could never be read, though there is one."""
    began: State | None = None
    """What was remembered when the look began. Another call may have looked meanwhile; then this one says nothing new."""


def poll(
    drive: Drive,
    memory: DriveMemory,
    *,
    me: str,
    now: datetime,
    full: bool,
    message_bytes: int,
    unpacked_bytes: int,
    progress: Callable[[str], None],
    sign_in: str = "",
    again: bool = False,
) -> Poll:
    """Look once. Everything is listed when `full`, the first time, for another account, and where Drive lost the place.

    `sign_in` tells one sign-in from another: a new one is believed only after Drive has said whose it is. With `again` messages
    that were given up are read once more if they are listed.

    Raises ConfigError for the sign-in of another account, SignInError, and BusyError when Drive cannot be asked: then nothing
    is lost, and the next look finds the same. A look that runs out of time while it reads messages ends well and goes on next
    time.
    """
    me = me.lower()
    proven = (memory.account, memory.sign_in) == (me, sign_in)
    if not proven:
        check_account(drive, me)
    left_behind = frozenset[str]()
    if memory.account not in ("", me):
        left_behind = frozenset(memory.messages)
        memory = DriveMemory()
    found = Found(me, memory)
    if again:
        found.forget_given_up()
    token, fresh = _changes(drive, found) if memory.token else ("", set[str]())
    told, is_full = bool(token), full or not token
    if is_full:
        if proven:
            check_account(drive, me)
        token = _scan(drive, found, token, fresh, now)
    elif inboxes := fresh | found.unread_inboxes():
        scanning.take(found, drive.messages(inboxes))
    bodies.read_all(drive, found, bodies.Limits(message_bytes, unpacked_bytes), progress)
    place = token if found.covered else memory.token if told else ""
    after = replace(
        _remembered(found),
        token=place,
        sign_in=sign_in,
        scanned_at=now if is_full and found.covered else memory.scanned_at,
    )
    return _poll(drive, found, after, is_full, left_behind)


def peers(drive: Drive, memory: DriveMemory, *, me: str, sign_in: str = "") -> Poll:
    """List only the folders of peers and the owner's list of answers; the memory keeps its place and its messages.

    Raises as `poll`.
    """
    me = me.lower()
    if (memory.account, memory.sign_in) != (me, sign_in):
        check_account(drive, me)
    found = Found(me, memory if memory.account in ("", me) else DriveMemory())
    scanning.folders_and_answers(drive, found, sure=bool(found.folders))
    after = replace(memory, folders=found.folders, peers_file=found.peers_file, peers_md5=found.peers_md5, states=found.states)
    return replace(_poll(drive, found, after, False, frozenset()), gone=frozenset())


def _changes(drive: Drive, found: Found) -> tuple[str, set[str]]:
    """(the new place in the list of changes, inboxes to be listed); no place where Drive does not know the old one any more."""
    try:
        changes, token = drive.changes(found.memory.token)
    except StaleTokenError:
        return "", set()
    return token, follow(drive, found, changes)


def _scan(drive: Drive, found: Found, token: str, fresh: set[str], now: datetime) -> str:
    """List everything; the place in the list of changes from before."""
    sure = bool(token) and found.memory.scanned_at is not None
    token = token or drive.start_token()
    known = set(found.inboxes())
    scanning.folders_and_answers(drive, found, sure=sure)
    scanning.all_messages(drive, found, sure=sure, now=now, fresh=fresh | (set(found.inboxes()) - known))
    return token


def check_account(drive: Drive, me: str) -> None:
    """Make sure that the sign-in is that of `me`. Raises ConfigError that names both, and as the calls of `drive`."""
    account = drive.account()
    if account.lower() != me.lower():
        raise ConfigError(
            f"the sign-in for Google Drive belongs to {account}, not to {me}",
            "Sign in again with the right account (scq auth google --drive), or set `email` to that address.",
        )


def _remembered(found: Found) -> DriveMemory:
    return replace(
        found.memory,
        account=found.me,
        folders=found.folders,
        messages=found.messages,
        peers_file=found.peers_file,
        peers_md5=found.peers_md5,
        states=found.states,
        missed=found.missed,
    )


def _poll(drive: Drive, found: Found, memory: DriveMemory, full: bool, left_behind: frozenset[str]) -> Poll:
    problems = [*found.problems, *drive.problems]
    if len(problems) > SHOWN:
        problems[SHOWN:] = [Problem(PLACE, f"{len(problems) - SHOWN} more problems of the same look are not shown")]
    return Poll(
        memory=memory,
        jobs=tuple(found.jobs),
        gone=frozenset(found.gone) | left_behind,
        foreign=tuple(found.foreign),
        problems=tuple(problems),
        source=SourceReport("drive", True, found.complete and found.covered),
        full=full,
        answers_known=found.answers_known,
    )
