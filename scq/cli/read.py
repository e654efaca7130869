"""Verbs that only look: list pending show why review diff status output wait."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from scq.cli.completing import Word, jobs, services
from scq.cli.session import Session, session
from scq.errors import UsageError

ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit with 3 when jobs wait.")]


def list_(
    ctx: typer.Context,
    status: Annotated[str, typer.Option(help="Only this status.")] = "",
    submitter: Annotated[str, typer.Option(help="Only jobs from this address.")] = "",
    tag: Annotated[str, typer.Option(help="Only jobs with this tag.")] = "",
    text: Annotated[str, typer.Option(help="Only jobs whose name, people or description hold this text.")] = "",
    mine: Annotated[bool, typer.Option("--mine", help="Only jobs you submitted.")] = False,
    for_me: Annotated[bool, typer.Option("--for-me", help="Only jobs sent to you.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="The newest so many.")] = None,
) -> None:
    """List jobs, oldest first."""
    from scq.commands import list as verb

    here = session(ctx)
    here.show(
        verb.run(here.context(), status=status, submitter=submitter, tag=tag, text=text, mine=mine, for_me=for_me, limit=limit)
    )


def pending(ctx: typer.Context, exit_code: ExitCode = False) -> None:
    """List the jobs that wait for your decision, oldest first."""
    from scq.commands import pending as verb

    here = session(ctx)
    here.show(verb.run(here.context(), exit_code=exit_code))


def show(ctx: typer.Context, job: Word) -> None:
    """Show everything known about one job, with its files."""
    from scq.commands import show as verb

    here = session(ctx)
    here.show(verb.run(here.context(), job))


def review(
    ctx: typer.Context,
    job: Annotated[
        str,
        typer.Argument(
            metavar="[ID]",
            help="Id, unique beginning of it, or name; without one every waiting job in turn.",
            autocompletion=jobs,
        ),
    ] = "",
    file: Annotated[str, typer.Option(help="Only this file of the job.")] = "",
    submitter: Annotated[str, typer.Option(help="In turn: only jobs from this address.")] = "",
    tag: Annotated[str, typer.Option(help="In turn: only jobs with this tag.")] = "",
    pager: Annotated[bool, typer.Option("--pager/--no-pager", help="Page on a terminal.")] = True,
) -> None:
    """Read everything of a job that can execute, run.sh first. `scq approve` then refuses any other content.

    Without an id: walk through the jobs that wait, and read, approve, reject or skip each.
    """
    here = session(ctx)
    if not job:
        _walk(here, file=file, submitter=submitter, tag=tag, pager=pager)
    from scq.cli.painting import painter
    from scq.commands import review as verb

    if submitter or tag:
        raise UsageError("--submitter and --tag choose among the jobs that wait", "Leave them out, or the job.")
    paint = None if here.as_json else painter(sys.stdout)
    here.show(verb.run(here.context(), job, file=file, paint=paint), pager=pager)


def _walk(here: Session, *, file: str, submitter: str, tag: str, pager: bool) -> NoReturn:
    """Walk through the jobs that wait, with the person at the terminal. Raises UsageError when nobody is there."""
    if file:
        raise UsageError("--file goes with a job", "Name the job: scq review ID --file FILE")
    if here.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "without a job, review asks on a terminal", "Name a job: scq review ID; scq pending lists those that wait."
        )
    from scq.cli.walk.faces import face
    from scq.cli.walk.terminal import Terminal
    from scq.cli.walk.walk import walk

    terminal = Terminal(sys.stdin, sys.stdout, os.environ, paging=pager)
    here.show(walk(here.context(), face(sys.stdout, os.environ), terminal, submitter=submitter, tag=tag))


def diff(
    ctx: typer.Context,
    job: Word,
    against: Annotated[
        str,
        typer.Argument(metavar="[OTHER]", help="Another job; default: the last approved one of that name.", autocompletion=jobs),
    ] = "",
) -> None:
    """Show what changed since the last approved job of the same submitter and name, or against another job."""
    from scq.commands import diff as verb

    here = session(ctx)
    here.show(verb.run(here.context(), job, against=against))


def status(
    ctx: typer.Context,
    service: Annotated[str, typer.Argument(metavar="[notify|approve]", help="Only this service.", autocompletion=services)] = "",
    exit_code: ExitCode = False,
) -> None:
    """How everything is doing: what waits for you, what does not work, jobs, schedule, messages, disk. Or one service."""
    from scq.cli.painting import marker
    from scq.commands import status as verb

    here = session(ctx)
    mark = None if here.as_json else marker(sys.stdout)
    if service:
        here.show(verb.service(here.context(), service, mark=mark))
    here.show(verb.run(here.context(), exit_code=exit_code, mark=mark))


def why(ctx: typer.Context, job: Word) -> None:
    """Say what a job waits for, why, and what happens next."""
    from scq.commands import why as verb

    here = session(ctx)
    here.show(verb.run(here.context(), job))


def output(
    ctx: typer.Context,
    job: Word,
    file: Annotated[str, typer.Option(help="Only this file, with its beginning.")] = "",
    preview: Annotated[bool, typer.Option("--preview", "-p", help="Show the beginning of each file.")] = False,
    copy_to: Annotated[str, typer.Option(help="Copy the files into this new folder.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Copy nothing.")] = False,
) -> None:
    """Look into the result files of a job, held or released, or copy them."""
    from scq.commands import output as verb

    here = session(ctx)
    here.show(verb.run(here.context(), job, file=file, preview=preview, copy_to=copy_to, dry_run=dry_run))


def wait(
    ctx: typer.Context,
    job: Word,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait at most.")] = 600.0,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks.")] = 2.0,
) -> None:
    """Wait until a job is over: exit code 0 completed, 4 failed or rejected, 75 time ran out."""
    from scq.clean import line
    from scq.commands import wait as verb

    here = session(ctx)
    here.show(
        verb.run(
            here.context(),
            job,
            timeout=timeout,
            interval=interval,
            progress=lambda found: here.say(f"{found.short_id}  {found.status}  {line(found.name)}"),
        )
    )
