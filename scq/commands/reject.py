"""`scq reject`: refuse a job, with a reason its submitter will read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scq.context import Context
from scq.deciding import decide
from scq.errors import UsageError
from scq.model import Job
from scq.report import Report
from scq.selecting import advice_at_work
from scq.state import Record


def run(
    ctx: Context, words: Sequence[str], *, reason: str = "", seen: Mapping[str, str] | None = None, dry_run: bool = False
) -> Report:
    """Reject one or many waiting or approved jobs of this owner.

    `seen` holds the `revision` by id of jobs that must still be what they were when they were shown.
    """

    def check(job: Job, record: Record) -> None:
        if job.sighting.owner != ctx.config.email:
            raise UsageError(f"{job.short_id} belongs to {job.sighting.owner}", "To withdraw a job of your own: scq cancel")
        if job.status not in ("pending", "approved"):
            raise UsageError(f"{job.short_id} is {job.status}", advice_at_work(job.run, job.short_id))

    return decide(ctx, "reject", "reject", words, reason=reason, method="manual", check=check, dry_run=dry_run, seen=seen)
