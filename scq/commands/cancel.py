"""`scq cancel`: a submitter withdraws a job that has not started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scq.context import Context
from scq.deciding import decide
from scq.errors import UsageError
from scq.model import Job
from scq.report import Report
from scq.state import Record


def run(
    ctx: Context, words: Sequence[str], *, reason: str = "", seen: Mapping[str, str] | None = None, dry_run: bool = False
) -> Report:
    """Cancel waiting or approved jobs that were submitted by, or belong to, this person.

    A generation in which only the owner can say so has nothing to be cancelled by its submitter: the call is refused. `seen`
    holds the `revision` by id of jobs that must still be what they were when they were shown.
    """

    def check(job: Job, record: Record) -> None:
        sighting = job.sighting
        mine = sighting.submitter == ctx.config.email
        if not mine and sighting.owner != ctx.config.email:
            raise UsageError(f"{job.short_id} is not yours", "Only its submitter or owner can cancel it.")
        if job.status not in ("pending", "approved"):
            raise UsageError(f"{job.short_id} is {job.status}", f"See scq show {job.short_id}")
        if sighting.owner != ctx.config.email and sighting.layout[0] != "a":
            raise UsageError(
                f"{job.short_id}: a submitter cannot withdraw a job of this layout ({sighting.layout})",
                f"Ask {sighting.owner} to reject it.",
            )

    return decide(
        ctx,
        "cancel",
        "reject",
        words,
        reason=reason or "Cancelled by requester",
        method="cancel",
        check=check,
        dry_run=dry_run,
        seen=seen,
    )
