"""The verb that shows logs: of a job, or of a service."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from scq.cli.completing import jobs_or_services
from scq.cli.session import session
from scq.errors import UsageError

ADVICE = "scq logs ID shows a job; scq logs notify shows what the service did."


def logs(
    ctx: typer.Context,
    job: Annotated[
        str,
        typer.Argument(
            metavar="[ID|notify|approve]",
            help="A job by its id or name, or a service; a job of that name by its id.",
            autocompletion=jobs_or_services,
        ),
    ] = "notify",
    stdout: Annotated[bool, typer.Option("--stdout", help="Of a job: only standard output.")] = False,
    stderr: Annotated[bool, typer.Option("--stderr", help="Of a job: only error output.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing new lines.")] = False,
    lines: Annotated[int | None, typer.Option("--lines", "-n", min=1, help="Of a service: the last so many lines [50].")] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Of a service: only warnings and errors.")] = False,
    run: Annotated[str, typer.Option(metavar="RUN", help="Of a service: only the lines of one call.")] = "",
) -> None:
    """Show what a job wrote while it ran, or what a service did (without an argument: notify)."""
    from scq.commands import logs as verb

    here = session(ctx)
    if not verb.is_service(job):
        if lines is not None or errors or run:
            raise UsageError("-n, --errors and --run are for the log of a service", ADVICE)
        if follow and here.as_json:
            raise UsageError("--json is one document, and --follow shows lines as they come", "Leave one of the two out.")
        if not follow:
            here.show(verb.run(here.context(), job, stdout=stdout, stderr=stderr))
        _show_each(verb.following_job(here.context(), job, stdout=stdout, stderr=stderr))
        return
    if stdout or stderr:
        raise UsageError("--stdout and --stderr are for the log of a job", ADVICE)
    if follow and here.as_json:
        raise UsageError("--json is one document, and --follow has no end", "Set log.format: json, then follow the lines.")
    wanted = verb.LINES if lines is None else lines
    if not follow:
        here.show(verb.service(here.context(tolerant=True), job, lines=wanted, errors=errors, run_id=run))
    _show_each(verb.following(here.context(tolerant=True), job, lines=wanted, errors=errors, run_id=run))


def _show_each(lines: Iterable[str]) -> None:
    for text in lines:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
