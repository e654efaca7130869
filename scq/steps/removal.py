"""Removing jobs that ended long ago, and what their runs left behind."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta

from msgspec.structs import replace

from scq.acting import carry_out
from scq.clean import line
from scq.context import Context, audited
from scq.errors import FAILED, OK
from scq.keeping import prune
from scq.model import FINISHED, Job, Problem
from scq.report import Report
from scq.sandbox.scratch import remove_run
from scq.state import Record, State
from scq.view import awaits_answer, job_of


def removed(
    ctx: Context,
    records: Mapping[str, Record],
    seen: Sequence[Problem],
    *,
    older_than: float | None = None,
    unanswered: bool = False,
    dry_run: bool = False,
) -> Report:
    """Remove those of the owner's jobs that ended longer ago than `older_than` seconds (default `cleanup_completed_after`).

    `records` are all jobs as a full look saw them, `seen` what went wrong with it. A job whose results wait for an answer stays,
    unless `unanswered`.
    The caller holds the lock of `run-approved`, unless `dry_run`: folders of runs are removed too.
    """
    limit = timedelta(seconds=ctx.config.cleanup_completed_after if older_than is None else older_than)
    old = {
        key: record
        for key, record in records.items()
        if record.sighting.owner == ctx.config.email and _is_old(ctx, job_of(record), limit) and not _at_work(record)
    }
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


def _is_old(ctx: Context, job: Job, limit: timedelta) -> bool:
    if job.status not in FINISHED:
        return False
    sighting = job.sighting
    times = [sighting.finished_at, sighting.decided_at, sighting.updated_at]
    if job.run is not None:
        times.append(job.run.finished_at)
    if job.decision is not None:
        times.append(job.decision.at)
    known = [moment for moment in times if moment is not None]
    ended = max(known) if known else job.first_seen_at
    return ended is not None and ctx.now() - ended > limit


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
    prune(ctx, {record.decision.digest for record in records if record.decision is not None})
    runs = {record.run.directory for record in records if record.run is not None}
    folder = ctx.runs_folder()
    strays = sorted(name for name in os.listdir(folder) if name not in runs) if os.path.isdir(folder) else []
    for name in strays:
        remove_run(os.path.join(folder, name))
    return strays
