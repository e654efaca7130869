"""Who is told about which event, over which channels: events become outbox rows. Pure.

A row carries everything needed to write its message later, as clean strings, so that a message never changes between
the moment it was queued and the moment it is sent, and no file has to be read to send it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Protocol

from msgspec.structs import replace

from scq import clean
from scq.model import Event, Job, Level, Notification, Role
from scq.wording import peer_of, words_of

BOTH: tuple[Role, ...] = ("do", "ds")
DO: tuple[Role, ...] = ("do",)
DS: tuple[Role, ...] = ("ds",)
ROLES: Mapping[str, tuple[Role, ...]] = {
    "baseline": DO,
    "job.received": BOTH,
    "job.invalid": BOTH,
    "job.approved": BOTH,
    "job.rejected": DS,
    "job.expired": BOTH,
    "job.started": (),
    "job.completed": BOTH,
    "job.failed": BOTH,
    "job.interrupted": DO,
    "job.integrity": DO,
    "job.changed": DO,
    "job.vanished": (),
    "outputs.withheld": DO,
    "outputs.released": DS,
    "results.withheld": DS,
    "peer.requested": DO,
    "peer.request_seen": (),
    "peer.granted": DS,
    "peer.added": DS,
    "review.reminder": DO,
    "auth.expiring": DO,
    "auth.failed": DO,
    "channel.failed": DO,
    "source.stale": DO,
    "heartbeat": DO,
    "digest": (),
}
"""Who hears of an event unless the configuration says otherwise: `do` the data owner, `ds` the data scientist. A digest is not
told because of an event: it is made of rows that wait for it."""
LEVELS: Mapping[str, Level] = {
    "job.invalid": "warning",
    "job.failed": "error",
    "job.interrupted": "warning",
    "job.integrity": "critical",
    "job.changed": "critical",
    "review.reminder": "warning",
    "auth.expiring": "error",
    "auth.failed": "error",
    "channel.failed": "warning",
    "source.stale": "warning",
}
"""How much an event matters; `info` where nothing is said."""
IN_DIGEST: frozenset[tuple[str, Role]] = frozenset({("job.invalid", "do"), ("job.expired", "do")})
"""What is told in the next digest only, unless the configuration says otherwise."""
INSTEAD_OF: Mapping[str, str] = {
    "outputs.withheld": "job.completed",
    "job.interrupted": "job.failed",
    "job.integrity": "job.failed",
}
"""An event that says more to the owner about the same job than another one: he then gets the first only."""
BY_HAND = ("manual", "digest")
"""How the owner approves himself; `digest` is what the command in his mail does."""
SWITCHES: Mapping[str, str] = {
    "baseline": "notify_on_new_job",
    "job.received": "notify_on_new_job",
    "job.invalid": "notify_on_new_job",
    "job.approved": "notify_on_approved",
    "job.completed": "notify_on_executed",
    "job.failed": "notify_on_executed",
    "peer.requested": "notify_on_new_peer",
    "peer.request_seen": "notify_on_new_peer",
    "peer.granted": "notify_on_peer_granted",
}
"""The documented switch of an event, where it has one."""
JOB_EVENTS = ("job.", "outputs.", "results.", "review.", "baseline")
MARKS: Mapping[str, str] = {
    "job.received": "new",
    "job.approved": "approved",
    "job.completed": "executed",
    "job.failed": "failed",
    "job.rejected": "rejected",
}
"""The words under which other software that shares the state file remembers that it has told of an event of a job."""
PEER_MARKS: Mapping[str, tuple[str, str]] = {
    "peer.requested": ("peer_new_{ds}_to_do", "new_peer_request"),
    "peer.request_seen": ("peer_new_{ds}_to_ds", "peer_request_sent"),
    "peer.granted": ("peer_granted_{ds}", "peer_granted"),
    "peer.added": ("peer_added_{ds}_{do}", "peer_added"),
}
"""The same for peers: name of the entry, and the word in it."""


class Monitors(Protocol):
    """The switches below `notify:`."""

    @property
    def monitor_jobs(self) -> bool: ...
    @property
    def monitor_peers(self) -> bool: ...
    @property
    def events(self) -> Mapping[str, str]: ...


class Way(Protocol):
    """A configured channel."""

    @property
    def name(self) -> str: ...
    @property
    def is_mail(self) -> bool: ...


class Settings(Protocol):
    """What of the configuration decides who is told over which channel, under the names it has there."""

    @property
    def email(self) -> str: ...
    @property
    def notify(self) -> Monitors: ...
    @property
    def channels(self) -> Sequence[Way]: ...
    @property
    def routing_levels(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def routing_events(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def routing_order(self) -> Sequence[str]: ...


def route(
    events: Iterable[Event],
    jobs: Mapping[str, Job],
    settings: Settings,
    now: datetime,
    told: Mapping[str, Sequence[str]] | None = None,
) -> list[Notification]:
    """One row per event, role, recipient and channel.

    `jobs` is by `str(ref)` and must hold the job of every event that names one; an event about an unknown job is told to
    nobody. A peer event has the address of the peer in its `detail` or at the end of its `ref`. `told` is what other software
    has announced already: event words by job (id, its first eight characters, or a name only one of `jobs` has) or peer. The key
    of a row depends on the event alone, so that routing an event again gives the same rows.
    """
    owner = settings.email.strip().lower()
    found = [event for event in events if _wanted(event.kind, settings)]
    better = {
        (INSTEAD_OF[event.kind], event.ref) for event in found if event.kind in INSTEAD_OF and _reaches_owner(event, settings)
    }
    rows: list[Notification] = []
    for event in found:
        job = jobs.get(event.ref)
        if told and _is_told(event, job, jobs, owner, told):
            continue
        for role in roles(event, settings):
            recipient = _recipient(event, job, role, owner, settings)
            if recipient is None or (role == "do" and (event.kind, event.ref) in better):
                continue
            row = _row(event, role, recipient, _held(event, role, settings), words_of(event, job, role, owner), now)
            rows.extend(_over(row, event, channel) for channel in channels_for(event, role, settings))
    return rows


def key(event: Event, role: Role, recipient: str, channel: str) -> str:
    """Identity of one message, sha256 in hex.

    The time of the event is part of it: numbers of events start again when the state is reset.
    """
    parts = (event.id, event.kind, event.ref, event.at.astimezone(UTC).isoformat(), role, recipient, channel)
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def roles(event: Event, settings: Settings) -> tuple[Role, ...]:
    """Who is to be told about an event."""
    usual = ROLES.get(event.kind, ())
    word = settings.notify.events.get(event.kind, "digest")
    chosen: dict[str, tuple[Role, ...]] = {"off": (), "do": DO, "ds": DS, "both": BOTH}
    return chosen.get(word, usual)


def channels_for(event: Event, role: Role, settings: Settings) -> tuple[str, ...]:
    """Names of the channels over which one role is told. What a channel has to do with is never told over this channel."""
    routed = settings.routing_events.get(event.kind, settings.routing_levels.get(level_of(event.kind)))
    every = tuple(channel.name for channel in settings.channels)
    if role == "ds":
        return _mail_channels(routed, settings)
    broken = event.ref.removeprefix("channel ") if event.ref.startswith("channel ") else ""
    chosen = tuple(name for name in (every if routed is None else routed) if name in every and name != broken)
    return chosen or (tuple(name for name in every if name != broken) if broken else ())


def _reaches_owner(event: Event, settings: Settings) -> bool:
    return "do" in roles(event, settings) and bool(channels_for(event, "do", settings))


def level_of(kind: str) -> Level:
    """How much an event matters."""
    return LEVELS.get(kind, "info")


def _mail_channels(routed: Sequence[str] | None, settings: Settings) -> tuple[str, ...]:
    """Those a submitter can be reached over: what is routed there, else the first one, so that nobody gets two copies."""
    mail = [channel.name for channel in settings.channels if channel.is_mail]
    chosen = tuple(name for name in routed or () if name in mail)
    first = [name for name in (*settings.routing_order, *mail) if name in mail]
    return chosen or tuple(first[:1])


def _wanted(kind: str, settings: Settings) -> bool:
    if kind.startswith(JOB_EVENTS) and not settings.notify.monitor_jobs:
        return False
    if kind.startswith("peer.") and not settings.notify.monitor_peers:
        return False
    return kind not in SWITCHES or bool(getattr(settings, SWITCHES[kind]))


def _held(event: Event, role: Role, settings: Settings) -> bool:
    """True when somebody is told in the next digest. What is critical never waits."""
    word = settings.notify.events.get(event.kind)
    usual = word is None and (event.kind, role) in IN_DIGEST
    return (usual or word == "digest") and level_of(event.kind) != "critical"


def _row(event: Event, role: Role, recipient: str, in_digest: bool, context: dict[str, str], now: datetime) -> Notification:
    return Notification(
        key="",
        event=event.id,
        kind=event.kind,
        job_id=event.job_id,
        channel="",
        recipient=recipient,
        role=role,
        created_at=now,
        context=context,
        level=level_of(event.kind),
        in_digest=in_digest,
    )


def _over(row: Notification, event: Event, channel: str) -> Notification:
    return replace(row, key=key(event, row.role, row.recipient, channel), channel=channel)


def _recipient(event: Event, job: Job | None, role: Role, owner: str, settings: Settings) -> str | None:
    """The address to write to, None when nobody is to be told. Only jobs sent to this owner are told about."""
    if not clean.is_address(owner):
        return None
    if event.kind.startswith("peer."):
        peer = peer_of(event)
        return owner if role == "do" else peer if clean.is_address(peer) and peer != owner else None
    if event.kind in ("baseline", "review.reminder"):
        return owner if role == "do" and event.detail.strip() not in ("", "0") else None
    if not event.kind.startswith(JOB_EVENTS):
        return owner if role == "do" else None
    if job is None or job.sighting.owner.strip().lower() != owner:
        return None
    method = job.decision.method if job.decision is not None else "manual"
    if role == "do":
        own_doing = event.kind == "job.approved" and method in BY_HAND and event.kind not in settings.notify.events
        return None if own_doing else owner
    submitter = job.sighting.submitter.strip().lower()
    if submitter == owner or not clean.is_address(submitter):
        return None
    return None if event.kind == "job.rejected" and method == "cancel" else submitter


def _is_told(event: Event, job: Job | None, jobs: Mapping[str, Job], owner: str, told: Mapping[str, Sequence[str]]) -> bool:
    """True when other software has told of an event already."""
    if event.kind in PEER_MARKS:
        entity, word = PEER_MARKS[event.kind]
        return word in told.get(entity.format(ds=peer_of(event), do=owner), ())
    return job is not None and event.kind in MARKS and _is_marked(job, MARKS[event.kind], jobs, told)


def unannounced(jobs: Mapping[str, Job], told: Mapping[str, Sequence[str]]) -> set[str]:
    """Keys of the jobs that other software has not announced."""
    return {key for key, job in jobs.items() if not _is_marked(job, MARKS["job.received"], jobs, told)}


def _is_marked(job: Job, word: str, jobs: Mapping[str, Job], told: Mapping[str, Sequence[str]]) -> bool:
    names = [job.id, job.short_id]
    if sum(other.name == job.name for other in jobs.values()) == 1:
        names.append(job.name)
    return any(word in told.get(name, ()) for name in names)
