"""`scq cleanup`: remove finished jobs, and what their runs left behind, after the configured time."""

from __future__ import annotations

from contextlib import nullcontext

from scq.context import Context
from scq.looking import view
from scq.report import Report
from scq.steps.removal import removed


def run(ctx: Context, *, older_than: float | None = None, unanswered: bool = False, dry_run: bool = False) -> Report:
    """Remove the owner's own jobs that ended longer ago than `older_than` seconds (default `cleanup_completed_after`).

    A job whose results wait for an answer stays, unless `unanswered`. Raises BusyError while another call runs jobs.
    """
    with nullcontext() if dry_run else ctx.only_one("run-approved"):
        shown = view(ctx, full=True)
        return removed(ctx, shown.records, shown.problems, older_than=older_than, unanswered=unanswered, dry_run=dry_run)
