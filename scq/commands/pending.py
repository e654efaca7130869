"""`scq pending`: the jobs that wait for this owner's decision."""

from __future__ import annotations

from scq.context import Context
from scq.errors import ACTION_NEEDED, OK
from scq.looking import view
from scq.report import Report
from scq.showing import jobs_table
from scq.view import as_dict, oldest_first


def run(ctx: Context, *, exit_code: bool = False) -> Report:
    """List waiting jobs, oldest first. With `exit_code` the code is 3 when there are any."""
    shown = view(ctx, full=False)
    jobs = [
        job for job in oldest_first(shown.jobs().values()) if job.status == "pending" and job.sighting.owner == ctx.config.email
    ]
    code = ACTION_NEEDED if exit_code and jobs else OK
    data = {"jobs": [as_dict(job) for job in jobs], "total": len(jobs)}
    return Report("pending", data, tuple(jobs_table(jobs, ctx.config.email)), shown.problems, code)
