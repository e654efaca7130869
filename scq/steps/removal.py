"""Removing jobs that ended long ago, and what their runs left behind."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from scq.acting import carry_out
from scq.clean import line
from scq.context import Context, audited
from scq.errors import FAILED, OK
from scq.keeping import prune
from scq.model import FINISHED, Problem
from scq.report import Report
from scq.sandbox.scratch import remove_run
from scq.state import Record, State
from scq.view import awaits_answer, job_of

CLEANUP = "cleanup"
"""In `State.last`."""


def removed_in_time(ctx: Context, records: Mapping[str, Record], *, dry_run: bool = False) -> Report:
    """As `removed`, for calls nobody watches: what was over when the first of them came counts from then on.

    So nobody loses what lay there for years all at once; that first call says what will be removed, and how to keep it.
    """
    now = ctx.now()
    since = ctx.store.load().last.get(CLEANUP)
    if since is not None and since <= now:
        return removed(ctx, records, (), since=since, dry_run=dry_run)
    if not dry_run:
        ctx.store.update(lambda state: replace(state, last={**state.last, CLEANUP: now}))
    made = removed(ctx, records, (), since=now, dry_run=dry_run)
    all_old = _removable(ctx, records, None, None).values()
    count = sum(not awaits_answer(record) for record in all_old) - len(made.data["removed"])
    if count > 0:
        age = timedelta(seconds=ctx.config.cleanup_completed_after)
        what = "1 job that is over is" if count == 1 else f"{count} jobs that are over are"
        text = f"{what} removed after {now + age:%Y-%m-%d %H:%M} UTC; to keep them: scq config set cleanup_completed_after never"
        made = replace(made, lines=(*made.lines, text))
    return made


def removed(
    ctx: Context,
    records: Mapping[str, Record],
    seen: Sequence[Problem],
    *,
    older_than: float | None = None,
    since: datetime | None = None,
    unanswered: bool = False,
    dry_run: bool = False,
) -> Report:
    """Remove those of the owner's jobs that ended longer ago than `older_than` seconds (default `cleanup_completed_after`).

    `records` are all jobs as a full look saw them, `seen` what went wrong with it. A job whose results wait for an answer stays,
    unless `unanswered`. With `since` what was over before counts from then on, as if it had ended at that moment.
    The caller holds the lock of `run-approved`, unless `dry_run`: folders of runs are removed too.
    """
    old = _removable(ctx, records, older_than, since)
    waiting = {key for key, record in old.items() if awaits_answer(record) and not unanswered}
    old = {key: record for key, record in old.items() if key not in waiting}
    problems = list(seen)
    if old and not dry_run:
        after = ctx.store.update(lambda state: _marked(ctx, state, old))
        old = {key: record for key, record in old.items() if _is_marked(after.jobs.get(key))}
        problems.extend(carry_out(ctx, old.keys()))
    folders = [] if dry_run else _sweep(ctx)
    word = "would remove" if dry_run else "removed"
    jobs = [job_of(record) for record in old.values()]
    lines = [f"{word} {job.short_id}  {job.status}  {line(job.name)}" for job in jobs]
    if waiting and (lines or dry_run):
        lines.append(f"kept {len(waiting)} whose results wait for scq release or scq withhold")
    data = {
        "removed": [{"id": job.id, "name": job.name, "status": job.status} for job in jobs],
        "run_folders": folders,
        "waiting": len(waiting),
        "dry_run": dry_run,
    }
    return Report("cleanup", data, tuple(lines), tuple(problems), FAILED if len(problems) > len(seen) else OK)


def _removable(
    ctx: Context, records: Mapping[str, Record], older_than: float | None, since: datetime | None
) -> dict[str, Record]:
    limit = timedelta(seconds=ctx.config.cleanup_completed_after if older_than is None else older_than)
    return {
        key: record
        for key, record in records.items()
        if record.sighting.owner == ctx.config.email and _is_old(ctx, record, limit, since) and not _at_work(record)
    }


def _is_old(ctx: Context, record: Record, limit: timedelta, since: datetime | None = None) -> bool:
    if record.status not in FINISHED:
        return False
    ended = _ended_at(record)
    return ctx.now() - (ended if since is None else max(ended, since)) > limit


def _ended_at(record: Record) -> datetime:
    """When all was said about a job. What was released has to lie there for a while: its submitter does not look every minute."""
    sighting, run, decision, answer = record.sighting, record.run, record.decision, record.answer
    times = [
        sighting.finished_at,
        sighting.decided_at,
        sighting.updated_at,
        run.finished_at if run is not None else None,
        decision.at if decision is not None else None,
        answer.at if answer is not None else None,
    ]
    return max((moment for moment in times if moment is not None), default=record.first_seen_at)


def _at_work(record: Record) -> bool:
    return record.run is not None and record.run.phase != "settled"


def _is_marked(record: Record | None) -> bool:
    return record is not None and "remove" in record.intents


def _went_on(seen: Record, record: Record) -> bool:
    """Whether a job was run again, answered or decided about since it was seen."""
    return (record.run, record.answer, record.intents) != (seen.run, seen.answer, seen.intents)


def _marked(ctx: Context, state: State, old: dict[str, Record]) -> State:
    """The state in which the jobs are about to be removed, but for those that went on since they were seen."""
    jobs = dict(state.jobs)
    for key, seen in old.items():
        record = jobs.get(key) or ctx.store.finished_record(key) or seen
        if _at_work(record) or _went_on(seen, record):
            continue
        jobs[key] = replace(record, intents=("remove",))
        state = audited(
            state, ctx.now(), ctx.config.email, "remove", ref=key, job=record.id, digest=record.digest or "", detail=seen.status
        )
    return replace(state, jobs=jobs)


def _sweep(ctx: Context) -> list[str]:
    """Run folders and approved copies that belong to no remembered job any more; the names of the run folders."""
    state = ctx.store.load()
    finished = (ctx.store.finished_record(key) for key in ctx.store.finished_keys())
    records = [*state.jobs.values(), *(record for record in finished if record is not None)]
    prune(ctx, {vote.digest for record in records for vote in (*record.votes, record.decision) if vote is not None})
    runs = {record.run.directory for record in records if record.run is not None}
    folder = ctx.runs_folder()
    strays = sorted(name for name in os.listdir(folder) if name not in runs) if os.path.isdir(folder) else []
    for name in strays:
        remove_run(os.path.join(folder, name))
    return strays
