"""`scq run-approved`: run what the ledger allows, and answer."""

from __future__ import annotations

from collections.abc import Sequence

from scq.context import Context
from scq.looking import observe
from scq.report import Report
from scq.running import Options
from scq.steps.runs import Choice, planned_jobs, recovered, run_jobs, runner_of


def run(
    ctx: Context,
    *,
    jobs: Sequence[str] = (),
    skip: Sequence[str] = (),
    timeout: float | None = None,
    max_jobs: int | None = None,
    stream: bool = False,
    share_outputs: bool = False,
    share_logs: bool = False,
    dry_run: bool = False,
) -> Report:
    """Run every approved job, oldest first, in the foreground; `timeout` is in seconds per job.

    Runs that an earlier call left behind are finished first. Exit code 4 when a job failed, 5 when content was not what was
    approved, 78 when the sandbox cannot be had.
    """
    with ctx.only_one("run-approved"):
        options = Options(timeout or ctx.config.job_timeout, stream, share_outputs, share_logs)
        choice = Choice(jobs, skip, max_jobs)
        if dry_run:
            return planned_jobs(ctx, ctx.sandbox(), options, observe(ctx, dry_run=True), choice)
        runner = runner_of(ctx, options)
        problems = recovered(ctx, runner)
        seen = observe(ctx)
        return run_jobs(ctx, runner, seen, [*problems, *seen.problems], choice)
