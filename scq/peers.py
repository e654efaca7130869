"""Who asked to send jobs and what was answered, from the folders peers made and the owner's own list of answers. Pure.

A peer who made a folder for the owner's datasite and has no answer yet asks. Words of the list (`SYFT_peers.json`): `accepted`,
`rejected`, and `requested_by_me` for somebody the owner asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from scq.model import Event, Peer, PeerState
from scq.state import RemoteFolder

FORGET_WITHDRAWN = timedelta(days=30)
ANSWERS: Mapping[str, PeerState] = {"accepted": "accepted", "rejected": "rejected"}
ASKED_BY_ME = "requested_by_me"
UNTOLD = (None, "withdrawn", "requested")
"""States before a request that is worth a message; None is a peer nobody knew."""


def now_known(
    folders: Mapping[str, RemoteFolder], states: Mapping[str, str], before: Mapping[str, Peer], now: datetime, *, complete: bool
) -> dict[str, Peer]:
    """Every peer by address. `states` are the words of the owner's list, by lower-case address.

    Unless the look was `complete`, a peer whose folders were not seen keeps the state it had.
    """
    by_peer: dict[str, list[RemoteFolder]] = {}
    for folder in folders.values():
        by_peer.setdefault(folder.peer, []).append(folder)
    known: dict[str, Peer] = {}
    for address in sorted({*by_peer, *states, *before}):
        peer = _peer(address, by_peer.get(address, []), states.get(address, ""), before.get(address), now, complete)
        if peer is not None:
            known[address] = peer
    return known


def _peer(
    address: str, folders: Collection[RemoteFolder], word: str, before: Peer | None, now: datetime, complete: bool
) -> Peer | None:
    """The peer as it is now; None for one that is to be forgotten."""
    state = _state(bool(folders), word)
    if state is None:
        return _without_trace(before, now, complete)
    same = before is not None and before.state == state
    times = [folder.created_at for folder in folders if folder.created_at is not None]
    return Peer(
        address=address,
        state=state,
        since=before.since if before is not None and same else now,
        requested_at=min(times) if times else before.requested_at if before is not None else None,
        versions=tuple(sorted({folder.version for folder in folders})),
    )


def _state(has_folders: bool, word: str) -> PeerState | None:
    if word in ANSWERS:
        return ANSWERS[word]
    if word == ASKED_BY_ME:
        return "connected" if has_folders else "requested"
    return "pending" if has_folders else None


def _without_trace(before: Peer | None, now: datetime, complete: bool) -> Peer | None:
    """What becomes of a peer with neither folders nor an answer."""
    if before is None or not complete:
        return before
    if before.state == "pending":
        return replace(before, state="withdrawn", since=now)
    if before.state == "withdrawn" and now - before.since <= FORGET_WITHDRAWN:
        return before
    return None


def events(
    before: Mapping[str, Peer],
    after: Mapping[str, Peer],
    *,
    me: str,
    first: bool,
    revision: int,
    number: int,
    at: datetime,
) -> list[Event]:
    """What is told of peers, oldest request first. `number` is that of the first id, `revision` that of the save of `after`.

    On the `first` look who waits for an answer is told, and who was accepted long ago is not.
    """
    found: list[Event] = []
    for new in sorted(after.values(), key=lambda peer: (peer.requested_at or peer.since, peer.address)):
        old = before.get(new.address)
        for kind in _kinds(old.state if old is not None else None, new.state, first):
            found.append(
                Event(
                    id=f"{revision}-{number + len(found)}",
                    kind=kind,
                    ref=f"peer/{me}/{new.address}",
                    job_id="",
                    at=at,
                    before=old.state if old is not None else None,
                    after=new.state,
                    detail=new.address,
                )
            )
    return found


def _kinds(old: PeerState | None, new: PeerState, first: bool) -> Iterator[str]:
    if new == "pending" and old in UNTOLD:
        yield from ("peer.requested", "peer.request_seen")
    elif new == "accepted" and old != "accepted" and not first:
        yield "peer.granted"
