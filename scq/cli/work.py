"""Verbs that do the work: check run-approved notify cycle automate rerun cleanup reset."""

from __future__ import annotations

from typing import Annotated

import typer

from scq.cli.completing import Word
from scq.cli.session import asking, session

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


def check(
    ctx: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="Visit finished jobs and list everything on Google Drive.")] = False,
    fetch: Annotated[bool, typer.Option("--fetch", help="Bring jobs of accepted peers from Google Drive.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Look at every source once, say what is new, queue the messages. Silent when nothing happened."""
    from scq.commands import check as verb

    here = session(ctx)
    here.show(verb.run(here.context(), full=full, fetch=fetch, dry_run=dry_run))


def run_approved(
    ctx: typer.Context,
    job: Annotated[list[str] | None, typer.Option("--job", help="Only this job (repeatable).")] = None,
    skip: Annotated[list[str] | None, typer.Option("--skip", help="Not this job (repeatable).")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Seconds each job may run.")] = None,
    max_jobs: Annotated[int | None, typer.Option(min=1, help="Start at most so many.")] = None,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Show what the jobs print.")] = False,
    share_outputs: Annotated[bool, typer.Option("--share-outputs", help="Let submitters read the outputs.")] = False,
    share_logs: Annotated[bool, typer.Option("--share-logs", help="Let submitters read the logs.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Run every approved job, oldest first. Exit 4: a job failed. 5: content changed. 78: no sandbox."""
    from scq.commands import run_approved as verb

    here = session(ctx)
    report = verb.run(
        here.context(),
        jobs=job or (),
        skip=skip or (),
        timeout=timeout,
        max_jobs=max_jobs,
        stream=stream and not here.as_json,
        share_outputs=share_outputs,
        share_logs=share_logs,
        dry_run=dry_run,
    )
    here.show(report)


def notify(ctx: typer.Context, dry_run: DryRun = False) -> None:
    """Look once and deliver every message that is due."""
    from scq.commands import notify as verb

    here = session(ctx)
    here.show(verb.run(here.context(), dry_run=dry_run))


def cycle(
    ctx: typer.Context,
    no_run: Annotated[bool, typer.Option("--no-run", help="Leave running jobs to other calls.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Look once, run what is approved, deliver what is due, remove what ended long ago."""
    from scq.commands import cycle as verb

    here = session(ctx)
    here.show(verb.run(here.context(), no_run=no_run, dry_run=dry_run))


def automate(ctx: typer.Context, dry_run: DryRun = False) -> None:
    """Run the program of `approve.command` once, if jobs wait for a decision. It decides; scq never does."""
    from scq.commands import automate as verb

    here = session(ctx)
    made = verb.run(here.context(), dry_run=dry_run)
    if not made.data["ran"]:
        here.detail("automate: nothing to run")
    here.show(made)


def rerun(ctx: typer.Context, job: Word, dry_run: DryRun = False) -> None:
    """Let an approved job that is over run once more. Its content must still be what was approved."""
    from scq.commands import rerun as verb

    here = session(ctx)
    here.show(verb.run(here.context(), job, dry_run=dry_run))


def cleanup(
    ctx: typer.Context,
    older_than: Annotated[
        float | None, typer.Option(min=0, help="Seconds since the end; default from the configuration.")
    ] = None,
    unanswered: Annotated[bool, typer.Option("--unanswered", help="Also jobs whose results wait for your answer.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Remove your own jobs that ended long ago, and what their runs left behind."""
    from scq.commands import cleanup as verb

    here = session(ctx)
    here.show(verb.run(here.context(), older_than=older_than, unanswered=unanswered, dry_run=dry_run))


def reset(
    ctx: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Delete every job sent to you. Cannot be undone."""
    from scq.commands import reset as verb

    here = session(ctx)
    here.show(verb.run(here.context(), confirm=None if here.as_json else asking(), yes=yes, dry_run=dry_run))
