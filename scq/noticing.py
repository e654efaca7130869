"""What a look has to tell besides jobs: peers, sources out of reach, reminders, and that all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from scq import troubles
from scq.clean import line
from scq.context import Context
from scq.diff import is_beat, overdue, reminder
from scq.errors import SignInError
from scq.model import Event, Peer, SourceReport
from scq.outbox import queue
from scq.routing import route
from scq.state import Record, State

if TYPE_CHECKING:
    from scq.drive.poll import Poll

SHOWN_AS = {"local": "syftbox"}
"""How people know a source."""


def peers_in(ctx: Context, before: State, remote: Poll) -> dict[str, Peer]:
    """The peers as a look at Google Drive saw them, by address."""
    from scq import peers

    memory = remote.memory
    return peers.now_known(memory.folders, memory.states, before.peers, ctx.now(), complete=remote.source.complete)


def is_current(before: State, remote: Poll) -> bool:
    """False when another call has looked at Google Drive, or answered a peer, since this look began.

    Such a look is dropped: what it found would take back what is known by now, and so be told a second time. Nothing is lost by
    that, for the place in the list of changes is dropped with it.
    """
    return remote.began is None or _marks(remote.began) == _marks(before)


def _marks(state: State) -> tuple[object, ...]:
    return state.drive.token, state.drive.scanned_at, state.drive.states, state.peers


def with_peers(ctx: Context, before: State, remote: Poll | None, found: list[Event]) -> State:
    """The state that knows the peers as a look at Google Drive saw them, with the messages about what is new among them."""
    if remote is None or not remote.source.ok:
        return before
    from scq import peers

    now, known = ctx.now(), peers_in(ctx, before, remote)
    number = {"revision": before.revision + 1, "number": len(found)}
    me, told = ctx.config.email, before.peers if before.peers_at is not None else {}
    if before.peers_at is None and not remote.answers_known:
        return replace(before, peers=known)  # without the answers old peers would be told as new ones
    is_other = remote.began is not None and remote.began.drive.account not in ("", me)
    news = peers.events(told, known, me=me, first=before.peers_at is None or is_other, at=now, **number)
    found.extend(news)
    rows = route(news, {}, ctx.config, now, before.notified)
    return replace(before, peers=known, peers_at=before.peers_at or now, outbox=queue(before.outbox, rows))


def with_source(ctx: Context, before: State, source: SourceReport, found: list[Event]) -> State:
    """The state that knows how long the source has been out of reach; nothing in it changes while that goes on."""
    now, name = ctx.now(), f"source {SHOWN_AS.get(source.name, source.name)}"
    known = troubles.seen(before.troubles, name, source.ok, now)
    after = before if known == before.troubles else replace(before, troubles=known)
    if name in known and troubles.is_stale(known[name], now, ctx.config.stale_after):
        return _told_of(ctx, after, "source.stale", name, found)
    return after


def with_drive(ctx: Context, before: State, remote: Poll | None, found: list[Event]) -> State:
    """The same for Google Drive, in its own words. A sign-in that is needed is told at once, and daily after that."""
    name, now = "source drive", ctx.now()
    if remote is None:
        left = {other: trouble for other, trouble in before.troubles.items() if other != name}
        return before if name not in before.troubles or ctx.uses_drive() else replace(before, troubles=left)
    failure = remote.failure
    if failure is not None and name not in before.troubles:
        known = troubles.expiring(before.troubles, name, line(str(failure), 300), _joined(failure.advice), now)
        before = replace(before, troubles=known)
    if isinstance(failure, SignInError) and troubles.is_to_tell(before.troubles[name], now):
        return _told_of(ctx, before, "auth.failed", name, found)
    return with_source(ctx, before, remote.source, found)


def _joined(advice: str) -> str:
    """Lines of advice as one."""
    return line(" ".join(part if part.endswith((".", ":")) else f"{part}." for part in advice.splitlines()), 600)


def _told_of(ctx: Context, before: State, kind: str, name: str, found: list[Event]) -> State:
    """The state with the messages that tell of a trouble, if anybody is to be told."""
    now = ctx.now()
    happened = troubles.event(kind, name, before.troubles[name], f"{before.revision + 1}-{len(found)}", now)
    rows = route([happened], {}, ctx.config, now)
    if not rows:
        return before
    found.append(happened)
    return replace(before, troubles=troubles.told(before.troubles, name, now), outbox=queue(before.outbox, rows))


def at_intervals(ctx: Context, before: State, records: dict[str, Record], found: list[Event], first: bool) -> State:
    """Reminders of jobs that wait too long, and the heartbeat. What the first look tells of is not reminded of at once."""
    config, now = ctx.config, ctx.now()
    keys = overdue(records, config.email, now, config.notify.remind_after)
    if keys and not first:
        found.append(reminder([records[key] for key in keys], f"{before.revision + 1}-{len(found)}", now))
    records.update({key: replace(records[key], reminded_at=now) for key in keys})
    every = config.notify.heartbeat_interval
    if not config.notify.heartbeat_enabled or not is_beat(before.last.get("heartbeat"), now, every):
        return before
    number = f"{before.revision + 1}-{len(found)}"
    found.append(Event(id=number, kind="heartbeat", ref="", job_id="", at=now, detail=str(every)))
    return replace(before, last={**before.last, "heartbeat": now})
