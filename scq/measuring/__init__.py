"""The figures of one queue: for the screen of `scq status` and for machines that watch it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, get_args

from msgspec import Struct

from scq import installed
from scq.context import COLAB, Context
from scq.errors import ConfigError, ScqError
from scq.lastcalls import Ended, last_ended
from scq.looking import view
from scq.measuring.work import Cluster, Work, at_work, cluster_of
from scq.model import STATUSES, Job, Notification, PeerState, Problem, SourceReport, Trouble
from scq.state import State
from scq.view import awaits_answer, job_of, oldest_first, sent_at

if TYPE_CHECKING:
    from scq.signin.purposes import Purpose

__all__ = [
    "OUTBOX_STATES",
    "Call",
    "Cluster",
    "Figures",
    "SignIn",
    "Source",
    "Work",
    "at_work",
    "lateness",
    "measure",
    "plan_of",
    "sign_ins",
]

OUTBOX_STATES = ("queued", "deferred", "ambiguous", "sent", "dead", "dropped", "bundled")
"""As they are counted: what is handed over just now counts as queued."""
VERBS: dict[str, tuple[str, ...]] = {"notify": ("cycle", "notify"), "run": ("run-approved",), "approve": ("automate",)}
"""The verbs whose good end shows that a task of a schedule is done. A cycle that leaves the runs to another call still tells."""
MISSED = 3
"""So many calls may be left out before a schedule is late."""
GRACE = timedelta(minutes=1)
SCARCE = 100 << 20
"""Free bytes below which nothing can be relied on."""
SOON = timedelta(days=2)
"""A sign-in that ends sooner is to be renewed."""


class Call(Struct, frozen=True):
    """A call that is made at intervals (`every`, seconds), and how that goes."""

    name: str
    every: float
    last: Ended | None
    """The last one that went well."""
    late_s: float
    """For how long it has been overdue; 0 while it is not."""
    next_at: datetime | None
    """When the next one is expected; None where nothing tells, and while it rests."""
    stopped: bool = False
    """It was put to rest with `scq stop`."""


class Plan(Struct, frozen=True):
    """What was installed to make calls at intervals."""

    scheduler: str
    at: datetime
    calls: tuple[Call, ...]


class Disk(Struct, frozen=True):
    """The disk of a folder, in bytes. `low`: less than the results of one job may take; `full`: nothing can be relied on."""

    name: Literal["home", "syftbox"]
    path: str
    free: int
    total: int
    state: Literal["ok", "low", "full"]


class Source(Struct, frozen=True):
    """Where jobs come from. `since` says for how long it could not be read, as far as that is remembered."""

    name: str
    ok: bool
    looked_at: datetime | None
    full_at: datetime | None
    """When everything in it was last looked at."""
    since: datetime | None = None
    what: str = ""
    advice: str = ""


class SignIn(Struct, frozen=True):
    """A saved sign-in that is needed, as its file says; Google is not asked."""

    name: str
    path: str
    state: Literal["ok", "ending", "missing", "unusable"]
    ends_at: datetime | None = None
    what: str = ""
    advice: str = ""


class Line(Struct, frozen=True):
    """One way of telling somebody, as far as is remembered: nothing is tried."""

    name: str
    type: str
    trouble: Trouble | None
    sent_at: datetime | None
    """When a message last went over it."""


class Figures(Struct, frozen=True):
    """How the queue of one owner is doing. Waits are in seconds, None when nothing waits."""

    counts: dict[str, int]
    """Jobs by status."""
    oldest: Job | None
    """The one that waits longest for a decision."""
    oldest_wait_s: float | None
    results_waiting: int
    approval_ends_s: float | None
    """Until the first approval that is in force and not used runs out."""
    outbox: dict[str, int]
    """Messages by state."""
    outbox_wait_s: float | None
    """Of the oldest message still to be sent; what is kept for a digest does not wait."""
    troubles: dict[str, Trouble]
    ended: dict[str, Ended]
    """By scheduled verb."""
    looked_at: datetime | None
    drive_looked_at: datetime | None
    """When everything on Google Drive was last listed; None where it never was."""
    drive_missed: int
    """Messages that such a list held and Drive had not told of before."""
    on_drive: int
    """Jobs that are on Google Drive only."""
    peers: dict[str, int]
    """By state."""
    source: SourceReport
    problems: tuple[Problem, ...]
    work: tuple[Work, ...]
    """Jobs at work now."""
    cluster: Cluster | None
    """None where none is configured and no run is out."""
    plan: Plan | None
    """None where nothing is installed, or where nobody can tell."""
    plan_damage: tuple[Problem, ...]
    """Why it cannot be told what is installed."""
    sources: tuple[Source, ...]
    channels: tuple[Line, ...]
    disks: tuple[Disk, ...]


def measure(ctx: Context) -> Figures:
    """Look at the live jobs and count. Jobs that are over are counted as of the last full look."""
    shown = view(ctx, full=False)
    state = ctx.store.load()
    now = ctx.now()
    records = [one for one in shown.records.values() if one.missing_since is None and one.sighting.owner == ctx.config.email]
    jobs = [job_of(record) for record in records]
    waiting = oldest_first(job for job in jobs if job.status == "pending")
    counts, unanswered = _counts(ctx, state, jobs)
    ended = last_ended(ctx.home)
    work = tuple(at_work(ctx, records))
    plan, damage = plan_of(ctx, ended, busy=any(job.keeps_a_call for job in work))
    return Figures(
        counts=counts,
        oldest=waiting[0] if waiting else None,
        oldest_wait_s=_since(sent_at(waiting[0]), now) if waiting else None,
        results_waiting=unanswered,
        approval_ends_s=_approval_ends(jobs, now),
        outbox=_outbox(state.outbox.values()),
        outbox_wait_s=_outbox_wait(state.outbox.values(), now),
        troubles=dict(sorted(state.troubles.items())),
        ended=ended,
        looked_at=state.swept_at,
        drive_looked_at=state.drive.scanned_at,
        drive_missed=state.drive.missed,
        on_drive=sum(job.sighting.where == "drive" for job in jobs),
        peers={word: sum(peer.state == word for peer in state.peers.values()) for word in get_args(PeerState)},
        source=shown.source,
        problems=(*shown.problems, *damage),
        work=work,
        cluster=cluster_of(ctx, work),
        plan=plan,
        plan_damage=damage,
        sources=tuple(_sources(ctx, state, None if shown.source.ok else shown.problems[-1], ended)),
        channels=tuple(_channels(ctx, state)),
        disks=disks(ctx),
    )


def lateness(every: float, since: datetime, now: datetime) -> float:
    """Seconds for which a call made every `every` seconds has been overdue, the last good one being at `since`; 0: it is not."""
    return max(0.0, (now - since - GRACE).total_seconds() - MISSED * every)


def plan_of(ctx: Context, ended: Mapping[str, Ended], *, busy: bool) -> tuple[Plan | None, tuple[Problem, ...]]:
    """(what is installed and how its calls go, why that cannot be told).

    While a call runs jobs (`busy`) no other one of its kind is expected to end.
    """
    try:
        record = installed.read(ctx.home)
    except ConfigError as error:
        return None, (Problem("schedule", str(error), error.advice),)
    if record is None:
        return None, ()
    calls = tuple(
        _call(name, every, record.at, ended, ctx.now(), busy=busy, stopped=name in record.stopped)
        for name, every in record.entries
    )
    return Plan(record.scheduler, record.at, calls), ()


def _call(name: str, every: float, at: datetime, ended: Mapping[str, Ended], now: datetime, *, busy: bool, stopped: bool) -> Call:
    found = [ended[verb] for verb in VERBS.get(name, (name,)) if verb in ended]
    last = max(found, key=lambda end: end.at, default=None)
    if stopped:
        return Call(name, every, last, 0.0, None, stopped=True)
    since = at if last is None else max(at, last.at)
    late = 0.0 if busy and name == "run" else lateness(every, since, now)
    return Call(name, every, last, late, since + timedelta(seconds=every))


def _sources(ctx: Context, state: State, wrong: Problem | None, ended: Mapping[str, Ended]) -> Iterator[Source]:
    """`wrong` is why the SyftBox folder could not be read just now."""
    calls = [end.at for verb, end in ended.items() if verb in ("check", "notify", "cycle")]
    yield _source("syftbox", wrong, state.troubles.get("source syftbox"), state.swept_at, calls)
    if ctx.uses_drive():
        trouble = state.troubles.get("source drive")
        yield _source("drive", trouble, trouble, state.drive.scanned_at, calls)


def _source(
    name: str, wrong: Problem | Trouble | None, trouble: Trouble | None, full_at: datetime | None, calls: list[datetime]
) -> Source:
    """A good end of a call that looks says that the source could be read, unless it is known that it could not."""
    looked = max([full_at, *calls]) if full_at is not None and wrong is trouble is None else full_at
    if wrong is None:
        return Source(name, True, looked, full_at)
    return Source(name, False, looked, full_at, trouble.since if trouble else None, wrong.what, wrong.advice)


def _channels(ctx: Context, state: State) -> Iterator[Line]:
    sent: dict[str, datetime] = {}
    for row in state.outbox.values():
        if row.state == "sent" and row.ended_at is not None:
            sent[row.channel] = max(row.ended_at, sent.get(row.channel, row.ended_at))
    for setting in ctx.config.channels:
        yield Line(setting.name, setting.type, state.troubles.get(f"channel {setting.name}"), sent.get(setting.name))


def sign_ins(ctx: Context) -> tuple[SignIn, ...]:
    """The saved sign-ins that are needed: there, readable, and for how long, where Google said so."""
    sends = any(setting.type == "gmail" for setting in ctx.config.channels)
    reads = ctx.uses_drive() and (COLAB not in ctx.env or os.path.lexists(ctx.config.drive_token_path))
    if not (sends or reads):
        return ()
    from scq.signin.purposes import DRIVE, DRIVE_CHANGES, GMAIL

    changes = DRIVE_CHANGES if ctx.config.drive.fetch else DRIVE
    found = [(GMAIL, ctx.config.gmail_token_path)] if sends else []
    found += [(changes, ctx.config.drive_token_path)] if reads else []
    return tuple(_sign_in(ctx, purpose, path) for purpose, path in found)


def _sign_in(ctx: Context, purpose: Purpose, path: str) -> SignIn:
    from scq.signin import purposes, service_account, tokens

    name = {"gmail": "Gmail", "drive": "Google Drive"}[purpose.word]
    if not os.path.lexists(path):
        return SignIn(name, path, "missing", None, "there is none", purpose.advice)
    try:
        if purpose.word == "drive" and service_account.read(path) is not None:
            return SignIn(name, path, "ok")
        token = tokens.read(path, purpose)
    except ScqError as error:
        return SignIn(name, path, "unusable", None, str(error), error.advice)
    if not purposes.is_allowed(token.scopes, purpose.allowed):
        return SignIn(name, path, "unusable", token.ends, f"it lacks {purposes.short(purpose.asks)}", purpose.advice)
    if token.ends is not None and token.ends - ctx.now() <= SOON:
        word = "it has ended" if token.ends <= ctx.now() else "it ends soon"
        return SignIn(name, path, "ending", token.ends, word, purpose.advice)
    return SignIn(name, path, "ok", token.ends)


def disks(ctx: Context) -> tuple[Disk, ...]:
    """The disks of scq's own folder and of the SyftBox folder, each once; what is not there or does not answer is left out."""
    found: dict[int, Disk] = {}
    folders: tuple[tuple[Literal["home", "syftbox"], str], ...] = (("home", ctx.home), ("syftbox", ctx.config.root))
    for name, path in folders:
        try:
            device, usage = os.stat(path).st_dev, os.statvfs(path)
        except OSError:
            # The checks of that folder say so.
            continue
        free = usage.f_bavail * usage.f_frsize
        out_of_room = free < SCARCE or bool(usage.f_files and not usage.f_favail)
        state: Literal["ok", "low", "full"] = "full" if out_of_room else "low" if free < ctx.config.output_bytes else "ok"
        found.setdefault(device, Disk(name, path, free, usage.f_blocks * usage.f_frsize, state))
    return tuple(found.values())


def _counts(ctx: Context, state: State, jobs: Iterable[Job]) -> tuple[dict[str, int], int]:
    """Jobs by status, and how many have results that wait for an answer."""
    counts: dict[str, int] = dict.fromkeys(STATUSES, 0)
    for job in jobs:
        counts[job.status] += 1
    for status, number in ctx.store.finished_counts().items():
        counts[status] = counts.get(status, 0) + number
    unanswered = ctx.store.finished_unanswered() + sum(awaits_answer(record) for record in state.jobs.values())
    for key in state.jobs:
        came_back = ctx.store.finished_record(key)
        if came_back is not None:  # still remembered as over, too, until the next full look
            counts[came_back.status] -= 1
            unanswered -= awaits_answer(came_back)
    return counts, unanswered


def _since(moment: datetime, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds())


def _approval_ends(jobs: Iterable[Job], now: datetime) -> float | None:
    ends = [job.decision.bounds.expires_at for job in jobs if job.status == "approved" and job.decision is not None]
    return min((max(0.0, (end - now).total_seconds()) for end in ends if end is not None), default=None)


def _outbox(rows: Iterable[Notification]) -> dict[str, int]:
    counts = dict.fromkeys(OUTBOX_STATES, 0)
    for row in rows:
        counts["queued" if row.state == "sending" else row.state] += 1
    return counts


def _outbox_wait(rows: Iterable[Notification], now: datetime) -> float | None:
    waiting = {"queued", "sending", "deferred", "ambiguous"}
    waits = [_since(row.created_at, now) for row in rows if row.state in waiting and not row.in_digest]
    return max(waits, default=None)
