"""Looking and remembering: the first beat of every verb, and the one place where events and outbox rows are made.

`view` looks and judges without writing anything. `observe` does the same and saves memory, events and messages in one
atomic save, so a message can be neither lost nor queued twice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from scq.authority import Rules, judge
from scq.context import Context, audited
from scq.diff import events
from scq.joining import NOT_ACCEPTED, arrived, brought, flagged, in_folders, joined, known_before
from scq.model import FINISHED, Event, Job, Notification, Peer, Problem, Sighting, SourceReport
from scq.noticing import at_intervals, is_current, peers_in, with_drive, with_peers, with_source
from scq.outbox import queue
from scq.routing import MARKS, route, unannounced
from scq.safeguards import noted
from scq.scan import Memory, Snapshot, job_id, scan
from scq.state import Record, State
from scq.view import job_of
from scq.wording import peer_of

if TYPE_CHECKING:
    from scq.drive.poll import Poll

Only = Literal["", "jobs", "peers"]
"""Which half of what there is to tell; empty: both."""
FORGET_MISSING = timedelta(days=7)
DETAIL_LENGTH = 16 << 10


class View(Struct, frozen=True):
    """What one look shows. `records` are the visited jobs (all of them after a full look) by `str(ref)`.

    Jobs that are on Google Drive only are shown as they were when that was last looked at.
    """

    records: dict[str, Record]
    problems: tuple[Problem, ...]
    source: SourceReport
    full: bool

    def jobs(self) -> dict[str, Job]:
        """The jobs that are there, by `str(ref)`."""
        return {key: job_of(record) for key, record in self.records.items() if record.missing_since is None}


class Observation(Struct, frozen=True):
    """What a look changed in memory."""

    new_jobs: tuple[Job, ...]
    changed_jobs: tuple[Job, ...]
    events: tuple[Event, ...]
    problems: tuple[Problem, ...]
    source: SourceReport
    state: State
    first: bool
    full: bool
    remote: SourceReport | None = None
    """Google Drive, where it was asked."""
    new_peers: tuple[Peer, ...] = ()
    granted_peers: tuple[Peer, ...] = ()
    arrived_jobs: tuple[Job, ...] = ()
    """Known from Google Drive, and in the SyftBox folder now."""


def view(ctx: Context, *, full: bool) -> View:
    """Look and judge; remember nothing."""
    state = ctx.store.load()
    snapshot = _scan(ctx, state, full=full, changes_only=False)
    finished = _finished_before(ctx, snapshot)
    records = _judged(ctx, _with_arrivals(state, snapshot), snapshot, finished)
    return View(flagged(records, state.peers), _problems(ctx, snapshot), snapshot.source, full)


def observe(
    ctx: Context, *, full: bool = False, dry_run: bool = False, remote: Poll | None = None, only: Only = ""
) -> Observation:
    """Look, judge, find events, queue notifications, and save all of it at once (unless `dry_run`).

    `remote` is what a look at Google Drive found; what it covers is remembered in the same save. With `only` the other half is
    left for another call: nothing of it is remembered, so nothing of it is lost.
    """
    state = ctx.store.load()
    full = full or _sweep_due(ctx, state)
    snapshot = _scan(ctx, state, full=full, changes_only=True)
    finished = _finished_before(ctx, snapshot)
    found: list[Event] = []
    changed: dict[str, Record] = {}
    wrong: list[Problem] = []

    def remember(before: State) -> State:
        for items in (found, changed, wrong):
            items.clear()
        # What waits is announced in one message the first time, so that look has to be a whole one.
        asked = remote if snapshot.source.ok or before.baseline_at is not None else None
        asked = asked if asked is not None and is_current(before, asked) else None
        after = _with_arrivals(before, snapshot)
        records = _judged(ctx, after, snapshot, finished)
        if asked is not None:
            after, records = _with_remote(ctx, after, records, asked, snapshot.source, wrong)
        changed.update(records)
        after = _remembered(ctx, after, snapshot, finished, records, found, asked)
        return after if only == "jobs" else with_peers(ctx, after, asked, found)

    after = remember(state) if dry_run else ctx.store.update(remember)
    if not dry_run and snapshot.source.ok:
        if snapshot.full:
            _settle_finished(ctx, after, finished, changed, snapshot)
        ctx.store.note_folders(snapshot.listed)
    new, moved = _news(_with_arrivals(state, snapshot), finished, changed, found)
    return Observation(
        new,
        moved,
        tuple(found),
        (*_problems(ctx, snapshot), *(() if remote is None else remote.problems), *wrong),
        snapshot.source,
        after,
        state.baseline_at is None,
        full,
        None if remote is None else remote.source,
        *_peer_news(after, found),
        tuple(map(job_of, brought(state.jobs, changed))),
    )


def observe_peers(ctx: Context, remote: Poll | None, *, dry_run: bool = False) -> Observation:
    """As `observe`, for peers only: the SyftBox folder is not looked at, and nothing about jobs is remembered."""
    found: list[Event] = []

    def remember(before: State) -> State:
        found.clear()
        return with_peers(ctx, before, remote if remote is not None and is_current(before, remote) else None, found)

    state = ctx.store.load()
    after = remember(state) if dry_run else ctx.store.update(remember)
    source = SourceReport("drive", False, False) if remote is None else remote.source
    problems = (*ctx.problems, *ctx.store.problems, *(() if remote is None else remote.problems))
    return Observation((), (), tuple(found), problems, source, after, False, False, source, *_peer_news(after, found))


def _peer_news(state: State, found: list[Event]) -> tuple[tuple[Peer, ...], tuple[Peer, ...]]:
    """(peers that ask now, peers that were granted now)."""
    new, granted = (
        tuple(peer for event in found if event.kind == kind and (peer := state.peers.get(peer_of(event))) is not None)
        for kind in ("peer.requested", "peer.granted")
    )
    return new, granted


def _with_arrivals(state: State, snapshot: Snapshot) -> State:
    """The state in which jobs whose copy has arrived from Drive are those copies."""
    jobs = arrived(state.jobs, (seen.sighting for key, seen in snapshot.seen.items() if key not in state.jobs))
    return state if jobs == state.jobs else replace(state, jobs=jobs)


def _with_remote(
    ctx: Context, before: State, records: dict[str, Record], remote: Poll, here: SourceReport, wrong: list[Problem]
) -> tuple[State, dict[str, Record]]:
    """State and records with what was found on Google Drive. A message that is not remembered any more is gone."""
    carried = {message for record in records.values() for message in record.sighting.messages}
    records, problems = joined(
        records,
        remote.jobs,
        remote.gone | (carried - remote.memory.messages.keys()),
        now=ctx.now(),
        new_id=lambda ref: job_id(ref, None),
        finished=ctx.store.finished_record,
        may_vanish=here.ok and here.complete,  # else the copy may be where nobody could look
    )
    wrong.extend(problems)
    records = flagged(records, peers_in(ctx, before, remote))
    kept = before.drive  # what other verbs write there may be newer than what the look began with
    memory = replace(remote.memory, answers=kept.answers, outgoing=kept.outgoing, sent=kept.sent)
    return replace(before, drive=memory), records


def _sweep_due(ctx: Context, state: State) -> bool:
    if state.swept_at is None:
        return True
    age = (ctx.now() - state.swept_at).total_seconds()
    return age < 0 or age >= ctx.config.sweep_every


def _scan(ctx: Context, state: State, *, full: bool, changes_only: bool) -> Snapshot:
    memory = Memory(
        alive=in_folders(state.jobs),
        folders=state.folders,
        names=ctx.store.folder_names,
        finished_keys=ctx.store.finished_keys,
        finished_record=ctx.store.finished_record,
        is_unchanged=ctx.store.is_unchanged,
    )
    return scan(
        ctx.config.root,
        ctx.config.email,
        ctx.layouts,
        memory,
        ctx.caps,
        full=full,
        now_ns=time.time_ns(),
        changes_only=changes_only,
    )


def _finished_before(ctx: Context, snapshot: Snapshot) -> dict[str, Record]:
    """The visited jobs that were remembered as over."""
    if not snapshot.full:
        return {}
    found = ((key, ctx.store.finished_record(key)) for key in snapshot.seen)
    return {key: record for key, record in found if record is not None}


def rules(ctx: Context) -> Rules:
    """By what a job is judged."""
    limit = ctx.config.orphan_after or 2 * ctx.config.job_timeout
    # Other software knows neither several reviewers nor which of them count: what it says is one voice without a name.
    adopt = ctx.config.adopt and ctx.config.quorum == 1 and not ctx.config.reviewers
    return Rules(
        me=ctx.config.email,
        adopt=adopt,
        orphan_after=timedelta(seconds=limit),
        quorum=ctx.config.quorum,
        reviewers=ctx.config.reviewers,
    )


def _judged(ctx: Context, state: State, snapshot: Snapshot, finished: Mapping[str, Record]) -> dict[str, Record]:
    """Every live job and every visited one, judged anew. The live document wins over what is remembered as over."""
    judging, now = rules(ctx), ctx.now()
    records = dict(state.jobs)
    taken = {record.id for record in (*state.jobs.values(), *finished.values())}
    # Own datasite first: a copy of one of its uids elsewhere must not take the id away.
    for key, seen in sorted(snapshot.seen.items(), key=lambda item: (item[1].sighting.ref.owner != judging.me, item[0])):
        known = state.jobs.get(key) or finished.get(key)
        new_id = known.id if known is not None else job_id(seen.sighting.ref, _free_uid(ctx, seen.sighting), taken)
        taken.add(new_id)
        records[key] = judge(seen, None if known is None else replace(known, missing_since=None), new_id, judging, now)
    for key in snapshot.missing & state.jobs.keys():
        if state.jobs[key].missing_since is None:
            records[key] = replace(state.jobs[key], missing_since=now)
    return records


def _free_uid(ctx: Context, sighting: Sighting) -> str | None:
    """The uid of a new job, unless a job that is over has it: its key ends in it."""
    uid = sighting.uid
    if uid is None or any(key.endswith(f"/{uid}") for key in ctx.store.finished_keys()):
        return None
    return uid


def _remembered(
    ctx: Context,
    before: State,
    snapshot: Snapshot,
    finished: Mapping[str, Record],
    records: dict[str, Record],
    found: list[Event],
    remote: Poll | None,
) -> State:
    now = ctx.now()
    if not snapshot.source.ok and remote is None:
        return with_source(ctx, with_drive(ctx, before, remote, found), snapshot.source, found)
    first = before.baseline_at is None
    known = known_before({**finished, **before.jobs}, records)
    news = events(known, _to_tell(records, before), me=ctx.config.email, first=first, revision=before.revision + 1, at=now)
    found.extend(_with_detail(ctx, event, records.get(event.ref)) for event in news)
    before = at_intervals(ctx, before, records, found, first)
    rows = _rows(ctx, before, records, found)
    before = with_source(ctx, with_drive(ctx, before, remote, found), snapshot.source, found)
    alive = {
        key: record
        for key, record in records.items()
        if not (key in finished and key not in before.jobs and record.status in FINISHED)
        and not (record.missing_since is not None and now - record.missing_since > FORGET_MISSING)
    }
    after = replace(
        before,
        jobs=alive,
        folders=snapshot.folders,
        outbox=queue(before.outbox, rows),
        baseline_at=before.baseline_at or now,
        swept_at=now if snapshot.full and snapshot.source.ok else before.swept_at,
    )
    return noted(_audit_adopted(after, before, ctx), ctx.config, now)


def _to_tell(records: Mapping[str, Record], before: State) -> Mapping[str, Record]:
    """What is told of at the first look leaves out what other software has announced."""
    if before.baseline_at is not None or not before.notified:
        return records
    told = _told_by_others(before, records)
    fresh = unannounced({key: job_of(record) for key, record in records.items()}, told)
    return {key: record for key, record in records.items() if key in fresh}


def _rows(ctx: Context, before: State, records: Mapping[str, Record], found: list[Event]) -> list[Notification]:
    """The messages about what was found, without those other software has sent already."""
    jobs = {key: job_of(record) for key, record in records.items()}
    told_by_others = _told_by_others(before, records)
    if told_by_others and any(happened.kind in MARKS for happened in found):
        # A name that a job had that is over says nothing about a new one.
        over = {record.sighting.name for key in ctx.store.finished_keys() if (record := _over(ctx, key, records)) is not None}
        told_by_others = {entity: words for entity, words in told_by_others.items() if entity not in over}
    rows = route(found, jobs, ctx.config, ctx.now(), told_by_others)
    # Before the owner has accepted somebody, nothing he sends makes mails: of his request the owner hears once.
    strangers = {job.id for job in jobs.values() if NOT_ACCEPTED in job.sighting.flags}
    return [row for row in rows if row.job_id not in strangers]


def _told_by_others(before: State, records: Mapping[str, Record]) -> Mapping[str, tuple[str, ...]]:
    """What other software has told, without names of jobs sent after it was taken over: they are others than it meant."""
    since = before.last.get("import")
    if since is None:
        return before.notified
    sightings = [record.sighting for record in records.values()]
    later = {seen.name for seen in sightings if seen.submitted_at is not None and seen.submitted_at > since}
    return {entity: words for entity, words in before.notified.items() if entity not in later}


def _over(ctx: Context, key: str, records: Mapping[str, Record]) -> Record | None:
    return None if key in records else ctx.store.finished_record(key)


def _with_detail(ctx: Context, event: Event, record: Record | None) -> Event:
    """What a message about this event shows besides the job itself: the script of a new job, the last errors of a failed one."""
    if record is None or record.sighting.owner != ctx.config.email or event.kind not in ("job.received", "job.failed"):
        return event
    from scq.letters import last_errors, script

    if event.kind == "job.received" and record.digest is not None:
        return replace(event, detail=script(ctx, record, DETAIL_LENGTH))
    if event.kind == "job.failed" and record.run is not None and (errors := last_errors(ctx, record.run)):
        return replace(event, detail=errors[-DETAIL_LENGTH:])
    return event


def _audit_adopted(after: State, before: State, ctx: Context) -> State:
    for key, record in after.jobs.items():
        old = before.jobs.get(key)
        decision = record.decision
        if decision is not None and decision.method == "adopted" and (old is None or old.decision != decision):
            after = audited(
                after, ctx.now(), decision.by, "adopt", ref=key, job=record.id, digest=decision.digest, detail=decision.reason
            )
    return after


def _settle_finished(
    ctx: Context, state: State, finished: Mapping[str, Record], records: Mapping[str, Record], snapshot: Snapshot
) -> None:
    """After a full look: jobs that are over leave the live document, and changes of those that had left are kept."""
    changed = {
        key: record
        for key, record in records.items()
        if key in finished and key not in state.jobs and record != finished[key] and record.status in FINISHED
    }
    present = snapshot.seen.keys() | snapshot.unchanged if snapshot.source.complete else None
    ctx.store.tidy(is_over, changed, present)


def is_over(record: Record) -> bool:
    """True when nothing more is to be done about a job."""
    settled = record.run is None or record.run.phase == "settled"
    return record.status in FINISHED and settled and not record.intents and record.missing_since is None


def _news(
    before: State, finished: Mapping[str, Record], records: Mapping[str, Record], found: list[Event]
) -> tuple[tuple[Job, ...], tuple[Job, ...]]:
    """(jobs seen for the first time, jobs whose status or content changed); on the first look only what waits is new."""
    touched = {event.ref for event in found if event.ref}
    if before.baseline_at is None:
        fresh = [key for key, record in records.items() if record.status == "pending"]
        return tuple(job_of(records[key]) for key in fresh), ()
    known = known_before({**finished, **before.jobs}, records).keys()
    new = tuple(job_of(records[key]) for key in records if key in touched and key not in known)
    return new, tuple(job_of(records[key]) for key in records if key in touched and key in known)


def _problems(ctx: Context, snapshot: Snapshot) -> tuple[Problem, ...]:
    return (*ctx.problems, *ctx.store.problems, *snapshot.problems)
