"""`scq rerun`: let an approved job that is over run once more."""

from __future__ import annotations

import os

from msgspec.structs import replace

from scq.acting import RELEASED, carry_out
from scq.authority import lapsed
from scq.clean import line
from scq.context import Context, audited
from scq.digest import manifest
from scq.errors import FAILED, OK, IntegrityError, UsageError
from scq.files import remove_tree
from scq.looking import rules
from scq.model import Job, Problem
from scq.report import Report
from scq.selecting import advice_at_work, select
from scq.state import Record, State
from scq.view import as_dict


def run(ctx: Context, word: str, *, dry_run: bool = False) -> Report:
    """Take the results of one job away and make it approved again. Its content must still be what was approved."""
    key, record, job, shown = select(ctx, word)
    digest = _digest(ctx, record)
    _allowed(ctx, job, digest)
    problems = list(shown.problems)
    if not dry_run:
        ctx.store.update(lambda state: _reopened(ctx, state, key, record, digest))
        if record.run is not None:
            remove_tree(os.path.join(ctx.runs_folder(), record.run.directory, RELEASED))
        problems.extend(carry_out(ctx, {key}))
    ended = _approval_ended(ctx, record)
    word, then = ("approved", "scq run-approved runs it") if ended is None else ("open", f"{ended.what}. {ended.advice}")
    text = f"{'would be ' if dry_run else ''}{word} again {job.short_id}  {line(job.name)}; {then}"
    status = "approved" if ended is None else "pending"
    again = replace(job, status=status, digest=digest, run=None, answer=None, outputs="none", logs="none")
    code = FAILED if len(problems) > len(shown.problems) else OK
    return Report(
        "rerun", as_dict(replace(again, outputs="none", logs="none")) | {"dry_run": dry_run}, (text,), tuple(problems), code
    )


def _approval_ended(ctx: Context, record: Record) -> Problem | None:
    """Why the approval of this job does not allow one more run."""
    return None if record.decision is None else lapsed(record, record.decision.bounds, rules(ctx), ctx.now())


def _digest(ctx: Context, record: Record) -> str:
    content = ctx.layout(record.sighting.ref.layout).content(record.sighting)
    return manifest(ctx.config.root, content, ctx.caps).digest


def _allowed(ctx: Context, job: Job, digest: str) -> None:
    decision = job.decision
    if job.sighting.owner != ctx.config.email:
        raise UsageError(f"{job.short_id} belongs to {job.sighting.owner}", "Only the owner can let it run again.")
    if job.status not in ("completed", "failed") and not (job.status == "running" and job.run is None):
        advice = f" {advice_at_work(job.run, job.short_id)}" if job.status == "running" else ""
        raise UsageError(f"{job.short_id} is {job.status}", f"Only a job that is over can be run again.{advice}")
    if decision is None or decision.verdict != "approve":
        raise UsageError(
            f"{job.short_id} was not approved here", "Ask its submitter to send it again, then review and approve it."
        )
    if decision.digest != digest:
        raise IntegrityError(f"{job.short_id} is no longer what was approved", "Ask its submitter to send it again.")


def _reopened(ctx: Context, state: State, key: str, seen: Record, digest: str) -> State:
    record = state.jobs.get(key, seen)
    if record.run is not None and record.run.phase != "settled":
        raise UsageError(f"{record.id[:8]} is running", advice_at_work(record.run, record.id[:8]))
    again = replace(
        record,
        run=None,
        answer=None,
        intents=("reopen",),
        outputs="none",
        logs="none",
        digest=digest,
        content_stamp="",
        stamp="",
    )
    state = audited(state, ctx.now(), ctx.config.email, "rerun", ref=key, job=record.id, digest=digest)
    return replace(state, jobs={**state.jobs, key: again})
