"""Verb for people who look back: report."""

from __future__ import annotations

from typing import Annotated

import typer

from scq.cli.session import session


def report(
    ctx: typer.Context,
    html: Annotated[str, typer.Option("--html", metavar="FILE", help="Write a page for the browser, one file.")] = "",
    public: Annotated[
        bool, typer.Option("--public", help="For one submitter: only what they may know. Goes with --for.")
    ] = False,
    submitter: Annotated[str, typer.Option("--for", metavar="EMAIL", help="The submitter of --public.")] = "",
    since: Annotated[str, typer.Option(metavar="DURATION", help="Only what happened in this time, such as 90d.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make the page and write nothing.")] = False,
) -> None:
    """Say how the queue has been doing: waiting, decided, run, failed, released."""
    from scq.commands import report as verb

    here = session(ctx)
    here.show(verb.run(here.context(), html=html, public=public, submitter=submitter, since=since, dry_run=dry_run))
