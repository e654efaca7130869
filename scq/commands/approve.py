"""`scq approve`: allow exactly the content that was seen to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scq.context import Context
from scq.deciding import decide
from scq.errors import IntegrityError, UsageError
from scq.model import Job
from scq.report import Report
from scq.state import Record


def run(
    ctx: Context,
    words: Sequence[str],
    *,
    reason: str = "",
    digest: str = "",
    confirm: Callable[[str], bool] | None = None,
    dry_run: bool = False,
) -> Report:
    """Approve one or many jobs of this owner.

    `digest` (`sha256:…`) says which content is meant and replaces the rule that content must not have changed since the last
    `scq review`. `confirm` is asked before a job is approved that was never reviewed here; None means nobody is asked.
    """
    if digest and len(words) != 1:
        raise UsageError("--digest goes with exactly one job", "Approve the jobs one by one.")

    def check(job: Job, record: Record) -> None:
        _allowed(ctx, job)
        if digest:
            _same(job, digest)
        elif record.reviewed is not None and record.reviewed != job.digest:
            raise IntegrityError(f"{job.short_id} has changed since you reviewed it", f"Look again: scq review {job.short_id}")
        elif record.reviewed is None and confirm is not None and not confirm(_question(job)):
            raise UsageError(f"{job.short_id} was not approved", f"Read it first: scq review {job.short_id}")

    return decide(
        ctx, "approve", "approve", words, reason=reason, method="digest" if digest else "manual", check=check, dry_run=dry_run
    )


def _allowed(ctx: Context, job: Job) -> None:
    if job.sighting.owner != ctx.config.email:
        raise UsageError(f"{job.short_id} belongs to {job.sighting.owner}", "Only the owner of a datasite approves its jobs.")
    if job.invalid:
        reasons = "; ".join(job.invalid[:3])
        raise UsageError(f"{job.short_id} cannot be run: {reasons}", f"Reject it: scq reject {job.short_id} -r REASON")
    if job.status in ("pending", "approved") or _stuck(job):
        return
    advice = f"To run it once more: scq rerun {job.short_id}" if job.status in ("completed", "failed") else "See scq show."
    raise UsageError(f"{job.short_id} is {job.status}", advice)


def _stuck(job: Job) -> bool:
    """Another runner left it as running and is gone."""
    return job.status == "running" and job.run is None and bool(job.problems)


def _same(job: Job, digest: str) -> None:
    if job.digest != digest:
        raise IntegrityError(
            f"{job.short_id} has digest {job.digest}, not {digest}", f"Look at what it is now: scq review {job.short_id}"
        )


def _question(job: Job) -> str:
    return f"{job.short_id} was never reviewed here. Approve {job.digest} unread?"
