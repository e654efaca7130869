"""`scq cancel`: a submitter withdraws a job that has not started; an owner has one ended that is out on a cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import Struct

from scq.clean import line
from scq.context import Context, audited
from scq.deciding import UNSEEN, decide
from scq.errors import FAILED, OK, BusyError, ScqError, UsageError
from scq.looking import view
from scq.model import Job, Problem, Run
from scq.report import Report
from scq.selecting import advice_at_work
from scq.state import Record, State
from scq.view import as_dict, expect, find, job_of

TELLS = "the next scq run-approved or scq cycle tells how it ended"
NOTED = "That it is to end is written down: the next scq run-approved or scq cycle asks the cluster again."


class Out(Struct, frozen=True):
    """A job that is out on a cluster."""

    key: str
    record: Record
    run: Run


class Ended(Struct):
    """What came of the jobs that were out: those whose cluster was asked, and why others were not."""

    asked: list[Record] = []
    errors: list[str] = []
    exit_code: int = OK
    problems: tuple[Problem, ...] = ()


def run(
    ctx: Context, words: Sequence[str], *, reason: str = "", seen: Mapping[str, str] | None = None, dry_run: bool = False
) -> Report:
    """Cancel waiting or approved jobs that were submitted by, or belong to, this person, and own jobs out on a cluster.

    A generation in which only the owner can say so has nothing to be cancelled by its submitter: the call is refused. A job that
    is out is not over yet when this returns: its cluster was asked to end it. `seen` holds the `revision` by id of jobs that
    must still be what they were when they were shown.
    """
    out, problems = _out(ctx, words)
    ended = _end(ctx, out, reason, seen, dry_run=dry_run)
    rest = [word for word in words if word not in out]
    decided = _decide(ctx, rest, reason, seen, dry_run=dry_run) if rest or not out else Report("cancel", {"jobs": []})
    prefix = "would ask" if dry_run else "asked"
    lines = [f"{prefix} the cluster to end {job.id[:8]}  {line(job.sighting.name)}; {TELLS}" for job in ended.asked]
    return Report(
        "cancel",
        {
            "jobs": [*decided.data["jobs"], *(as_dict(job_of(record)) for record in ended.asked)],
            "stopping": [record.id for record in ended.asked],
            "dry_run": dry_run,
        },
        (*decided.lines, *lines),
        decided.problems or problems,
        max(decided.exit_code, ended.exit_code),
        (*decided.errors, *ended.errors),
    )


def _decide(ctx: Context, words: Sequence[str], reason: str, seen: Mapping[str, str] | None, *, dry_run: bool) -> Report:
    return decide(
        ctx,
        "cancel",
        "reject",
        words,
        reason=reason or "Cancelled by requester",
        method="cancel",
        check=partial(_allowed, ctx),
        dry_run=dry_run,
        seen=seen,
    )


def _allowed(ctx: Context, job: Job, record: Record) -> None:
    sighting = job.sighting
    mine = sighting.submitter == ctx.config.email
    if not mine and sighting.owner != ctx.config.email:
        raise UsageError(f"{job.short_id} is not yours", "Only its submitter or owner can cancel it.")
    if job.status == "running" and sighting.owner != ctx.config.email:
        raise UsageError(f"{job.short_id} is running", f"Only its owner can end it now: ask {sighting.owner}.")
    if job.status not in ("pending", "approved"):
        raise UsageError(f"{job.short_id} is {job.status}", advice_at_work(job.run, job.short_id))
    if sighting.owner != ctx.config.email and sighting.layout[0] != "a":
        raise UsageError(
            f"{job.short_id}: a submitter cannot withdraw a job of this layout ({sighting.layout})",
            f"Ask {sighting.owner} to reject it.",
        )


def _out(ctx: Context, words: Sequence[str]) -> tuple[dict[str, Out], tuple[Problem, ...]]:
    """The jobs out on a cluster that are meant, by the word that means each, and what was wrong while looking."""
    if not any(record.run is not None and record.run.is_out for record in ctx.store.load().jobs.values()):
        return {}, ()
    shown = view(ctx, full=False)
    jobs = shown.jobs()
    keys = {job.id: key for key, job in jobs.items()}
    out: dict[str, Out] = {}
    for word in words:
        try:
            job = find(jobs, word)
        except UsageError:  # said by the look that decides
            continue
        if job.run is not None and job.run.is_out:
            out[word] = Out(keys[job.id], shown.records[keys[job.id]], job.run)
    return out, shown.problems


def _end(ctx: Context, out: Mapping[str, Out], reason: str, seen: Mapping[str, str] | None, *, dry_run: bool) -> Ended:
    """Ask for the end of each of these, each on its own: one that is refused does not stop the others."""
    ended = Ended()
    for one in {one.key: one for one in out.values()}.values():
        try:
            _ask(ctx, one, reason, seen, dry_run=dry_run)
        except ScqError as error:
            ended.errors.append(f"{error}. {error.advice}".rstrip(". ") + ".")
            ended.exit_code = max(ended.exit_code, error.exit_code, FAILED)
        else:
            ended.asked.append(one.record)
    return ended


def _ask(ctx: Context, one: Out, reason: str, seen: Mapping[str, str] | None, *, dry_run: bool) -> None:
    """Ask for the end of one run. What was asked for is in the audit log before the cluster hears of it."""
    record, run, short = one.record, one.run, one.record.id[:8]
    if record.sighting.owner != ctx.config.email:
        raise UsageError(f"{short} belongs to {record.sighting.owner}", "Only its owner can end it.")
    if seen is not None:
        expect(job_of(record), seen.get(record.id, UNSEEN))
    executor = ctx.executor(run.executor)
    if dry_run:
        return
    ctx.store.update(lambda state: _noted(ctx, state, one.key, run, reason))
    try:
        executor.stop(os.path.join(ctx.runs_folder(), run.directory))
    except BusyError as error:
        # With a full disk not even the wish could be kept.
        advice = error.advice if isinstance(error.__cause__, OSError) else NOTED
        raise BusyError(f"{short}: {error}", advice) from error


def _noted(ctx: Context, state: State, key: str, run: Run, reason: str) -> State:
    record = state.jobs.get(key)
    if record is None or record.run is None or record.run.directory != run.directory or not record.run.is_out:
        raise UsageError(f"{run.directory[:8]} is over by now", f"See scq show {run.directory[:8]}")
    return audited(state, ctx.now(), ctx.config.email, "cancel", ref=key, job=record.id, digest=run.digest, detail=reason)
