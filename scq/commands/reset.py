"""`scq reset`: delete every job of this owner's queues. Cannot be undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from scq.acting import carry_out
from scq.clean import line
from scq.context import Context, audited
from scq.errors import FAILED, OK, UsageError
from scq.joining import in_folders
from scq.looking import view
from scq.report import Report
from scq.selecting import advice_at_work
from scq.state import Record, State
from scq.view import job_of, oldest_first


def run(ctx: Context, *, confirm: Callable[[str], bool] | None = None, yes: bool = False, dry_run: bool = False) -> Report:
    """Delete all jobs addressed to this owner, waiting, running and finished ones. Refuses while a job runs.

    Jobs that are on Google Drive only stay there.

    Without `yes` somebody must be asked through `confirm`. What was decided stays in the audit log.
    """
    shown = view(ctx, full=True)
    here = in_folders(shown.records)
    records = {key: record for key, record in here.items() if record.sighting.owner == ctx.config.email}
    for record in records.values():
        _refuse_at_work(record)
    jobs = oldest_first(job_of(record) for record in records.values())
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.status] = counts.get(job.status, 0) + 1
    lines = [f"{'would delete' if dry_run else 'delete'} {job.short_id}  {job.status}  {line(job.name)}" for job in jobs]
    data: dict[str, Any] = {"deleted": len(jobs), "counts": counts, "dry_run": dry_run}
    if dry_run or not jobs:
        return Report("reset", data, (*lines, f"{len(jobs)} jobs"), shown.problems)
    question = "\n".join([*lines, f"This deletes {len(jobs)} jobs for good. It cannot be undone. Go on?"])
    if not yes and (confirm is None or not confirm(question)):
        raise UsageError(f"{len(jobs)} jobs were kept", "To delete them without being asked: scq reset --yes")
    ctx.store.update(lambda state: _marked(ctx, state, records))
    problems = [*shown.problems, *carry_out(ctx, records.keys())]
    lines.append(f"deleted {len(jobs)} jobs; this cannot be undone")
    return Report("reset", data, tuple(lines), tuple(problems), FAILED if len(problems) > len(shown.problems) else OK)


def _refuse_at_work(record: Record) -> None:
    if record.run is not None and record.run.phase != "settled":
        advice = advice_at_work(record.run, record.id[:8])
        raise UsageError(f"a job is running: {record.id[:8]}", f"{advice} Once scq run-approved has finished it, reset.")


def _marked(ctx: Context, state: State, records: dict[str, Record]) -> State:
    jobs = dict(state.jobs)
    for key, seen in records.items():
        record = jobs.get(key, seen)
        _refuse_at_work(record)  # it may have been started while the question was read
        jobs[key] = replace(record, intents=("remove",))
    state = audited(state, ctx.now(), ctx.config.email, "reset", detail=f"{len(records)} jobs")
    return replace(state, jobs=jobs)
