"""`scq share`: let the submitter read the outputs or the logs of a finished job."""

from __future__ import annotations

from msgspec.structs import replace

from scq.acting import carry_out
from scq.clean import line
from scq.context import Context, audited
from scq.digest import manifest
from scq.errors import FAILED, OK, IntegrityError, UsageError
from scq.model import Job
from scq.report import Report
from scq.selecting import select
from scq.state import Record, State
from scq.view import as_dict


def run(ctx: Context, word: str, *, outputs: bool = False, logs: bool = False, dry_run: bool = False) -> Report:
    """Grant read access through the permission files of the job's layout. Nothing named means both."""
    key, record, job, shown = select(ctx, word)
    if not outputs and not logs:
        outputs = logs = True
    _allowed(ctx, job)
    _unchanged(ctx, job)
    problems = list(shown.problems)
    if not dry_run:
        ctx.store.update(lambda state: _shared(ctx, state, key, record, outputs=outputs, logs=logs))
        problems.extend(carry_out(ctx, {key}))
    what = " and ".join(word for word, given in (("outputs", outputs), ("logs", logs)) if given)
    verb = "would share" if dry_run else "shared"
    text = f"{verb} {what} of {job.short_id}  {line(job.name)} with {line(job.sighting.submitter)}"
    results = {"outputs": "released" if outputs else job.outputs, "logs": "released" if logs else job.logs}
    code = FAILED if len(problems) > len(shown.problems) else OK
    return Report("share", as_dict(job) | {"results": results, "dry_run": dry_run}, (text,), tuple(problems), code)


def _allowed(ctx: Context, job: Job) -> None:
    if job.sighting.owner != ctx.config.email:
        raise UsageError(f"{job.short_id} belongs to {job.sighting.owner}", "Only the owner shares its results.")
    if job.status not in ("completed", "failed"):
        raise UsageError(f"{job.short_id} is {job.status}", "Only results of a job that is over can be shared.")
    if not job.sighting.submitter:
        raise UsageError(f"{job.short_id} names no submitter", "There is nobody to share with.")


def _unchanged(ctx: Context, job: Job) -> None:
    """Where the submitter's address stands in a file of the submission, that file must still be the one that was approved."""
    if job.ref.submitter or job.run is None:
        return
    content = ctx.layout(job.ref.layout).content(job.sighting)
    if manifest(ctx.config.root, content, ctx.caps).digest != job.run.digest:
        what = f"{job.short_id} is no longer what was run, so it may name somebody else than its submitter"
        raise IntegrityError(what, f"Copy the results with scq output {job.short_id} --copy-to FOLDER and send them yourself.")


def _shared(ctx: Context, state: State, key: str, seen: Record, *, outputs: bool, logs: bool) -> State:
    record = state.jobs.get(key, seen)
    again = replace(
        record,
        outputs="released" if outputs else record.outputs,
        logs="released" if logs else record.logs,
        intents=(*record.intents, "share"),
        status=record.status,
    )
    detail = " ".join(word for word, given in (("outputs", outputs), ("logs", logs)) if given)
    state = audited(
        state, ctx.now(), ctx.config.email, "share", ref=key, job=record.id, digest=record.digest or "", detail=detail
    )
    return replace(state, jobs={**state.jobs, key: again})
