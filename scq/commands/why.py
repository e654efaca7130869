"""`scq why`: what a job waits for, and what happens next."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from msgspec.structs import replace

from scq.clean import line
from scq.context import Context
from scq.errors import InvalidFileError, UsageError
from scq.files import read_bytes
from scq.lastcalls import last_ended
from scq.looking import View, rules
from scq.measuring import Call, Work, at_work, plan_of
from scq.model import Job, Limits, Notification, Problem
from scq.reasons import Explanation, Facts, explain, tidings
from scq.report import Report
from scq.selecting import select
from scq.showing import message_dict
from scq.state import Record
from scq.view import as_dict, find, job_of

PLAN = "plan.json"
"""What a run was given, in its folder."""
PLAN_LIMIT = 1 << 20


class _Planned(msgspec.Struct):
    """What matters here of such a plan."""

    limits: Limits = Limits()


def run(ctx: Context, word: str) -> Report:
    """Explain where one job is: what it waits for, why, and what happens next; and what became of its messages.

    Also for jobs that have vanished and for those of other owners. Looks at the folders, asks nobody and changes nothing.
    Raises UsageError when no job or several are meant.
    """
    record, job, shown = _found(ctx, word)
    facts, problems = _facts(ctx, record, shown)
    job = replace(job, place=facts.place)
    said = explain(record, facts)
    rows = [row for row in ctx.store.load().outbox.values() if row.job_id == record.id]
    messages = tidings(rows, facts)
    data: dict[str, Any] = {
        "job": as_dict(job),
        "status": job.status,
        "waits_for": said.waits_for,
        "reasons": list(said.reasons),
        "next": list(said.next),
        "messages": [message_dict(row) | {"said": text} for row, text in zip(_in_order(rows), messages, strict=True)],
    }
    return Report("why", data, tuple(_lines(job, record, said, messages)), (*shown.problems, *problems))


def _in_order(rows: list[Notification]) -> list[Notification]:
    return sorted(rows, key=lambda row: (row.created_at, row.key))


def _lines(job: Job, record: Record, said: Explanation, messages: tuple[str, ...]) -> list[str]:
    status = "gone" if record.missing_since is not None else job.status
    lines = [f"{job.short_id}  {status}  {line(job.name)}  (from {line(job.sighting.submitter) or 'unknown'})"]
    lines += [f"  {text}" for text in said.reasons]
    lines += ["next", *(f"  {text}" for text in said.next)]
    lines += ["messages", *(f"  {text}" for text in messages)] if messages else []
    return lines


def _found(ctx: Context, word: str) -> tuple[Record, Job, View]:
    """The job that is meant, also one that has vanished and is still remembered."""
    try:
        _, record, job, shown = select(ctx, word)
        return record, job, shown
    except UsageError as error:
        from scq.looking import view

        shown = view(ctx, full=False)
        gone = {key: job_of(record) for key, record in shown.records.items() if record.missing_since is not None}
        try:
            job = find(gone, word)
        except UsageError:
            raise error from None
        return next(record for record in shown.records.values() if record.id == job.id), job, shown


def _facts(ctx: Context, record: Record, shown: View) -> tuple[Facts, tuple[Problem, ...]]:
    own = [other for other in shown.records.values() if other.sighting.owner == ctx.config.email and other.missing_since is None]
    work = list(at_work(ctx, own))
    this = next((item for item in work if item.job.id == record.id), None)
    plan, problems = plan_of(ctx, last_ended(ctx.home), busy=any(item.keeps_a_call for item in work))
    call = _runs_jobs(plan.calls) if plan is not None else None
    denied, unread = _denied(ctx, record)
    facts = Facts(
        now=ctx.now(),
        rules=rules(ctx),
        next_run=call.next_at if call is not None else None,
        scheduler=plan.scheduler if plan is not None and call is not None else "",
        late_s=call.late_s if call is not None else 0.0,
        at_work=tuple(item.job.short_id for item in work if item.keeps_a_call and item.job.id != record.id),
        alive=this.alive if this is not None else None,
        began=this is not None and this.began,
        started_at=this.started_at if this is not None else None,
        place=this.place if this is not None else None,
        out=sum(item.on_cluster for item in work),
        most=None if ctx.config.executor == "local" else ctx.config.slurm.max_queued,
        wall_s=_wall_s(ctx, this),
        retry=ctx.config.retry_interrupted,
        sandbox=ctx.config.sandbox,
        sandbox_missing=_sandbox_missing(ctx) if record.status == "approved" else "",
        network=ctx.config.network,
        denied=tuple(phrase for _, phrase in denied),
        denied_rules=tuple(sorted({rule for rule, _ in denied})),
        fetches=ctx.config.drive.fetch,
        quiet=_is_quiet(ctx),
    )
    return facts, (*problems, *unread)


def _runs_jobs(calls: tuple[Call, ...]) -> Call | None:
    """The call that runs jobs: one of its own, or else the one that does everything."""
    return next((call for name in ("run", "notify") for call in calls if call.name == name), None)


def _wall_s(ctx: Context, work: Work | None) -> float | None:
    """How long a job at work may run, as its run was told."""
    if work is None or work.job.run is None:
        return None
    path = os.path.join(ctx.runs_folder(), work.job.run.directory, PLAN)
    try:
        return msgspec.json.decode(read_bytes(path, PLAN_LIMIT), type=_Planned).limits.wall_s
    except (InvalidFileError, msgspec.MsgspecError):
        # It is written right before the start: the job is being prepared.
        return None


def _sandbox_missing(ctx: Context) -> str:
    """Why there can be no sandbox, without trying one."""
    elsewhere = ctx.config.executor != "local" and ctx.config.network != "prepare"  # the box is made on its node only
    if ctx.config.sandbox == "none" or elsewhere:
        return ""
    from scq.sandbox.program import INSTALL, find_bwrap

    return "" if find_bwrap() else f"bubblewrap is not installed. {INSTALL}"


def _denied(ctx: Context, record: Record) -> tuple[list[tuple[str, str]], tuple[Problem, ...]]:
    """(rule and phrase of each finding that would block an approval of a waiting job, why that cannot be told)."""
    waits = record.status == "pending" and record.missing_since is None and record.sighting.where == "local"
    if not (ctx.config.deny and waits and record.digest and record.sighting.owner == ctx.config.email):
        return [], ()
    from scq.findings import denied
    from scq.reviewing import code_findings

    try:
        found = denied(code_findings(ctx, record), ctx.config.deny, ())
    except InvalidFileError as error:
        return [], (Problem(record.sighting.path, str(error), error.advice),)
    return [(item.rule, f"{item.rule} in {line(item.path, 80)}:{item.line}") for item in found], ()


def _is_quiet(ctx: Context) -> bool:
    if not ctx.config.notify.quiet_hours:
        return False
    from scq.delivering import hours_of
    from scq.hours import is_quiet

    return is_quiet(ctx.now(), hours_of(ctx.config, []))
