"""Verbs that answer a job that is over: release withhold share."""

from __future__ import annotations

from typing import Annotated

import typer

from scq.cli.completing import Word
from scq.cli.session import session

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


def release(
    ctx: typer.Context,
    job: Word,
    reason: Annotated[str, typer.Option("-r", "--reason", help="Why; kept in the audit log.")] = "",
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only result files that fit this pattern (repeatable): `*` within a folder, `**` across folders."),
    ] = None,
    outputs: Annotated[bool, typer.Option("--outputs/--no-outputs", help="The result files.")] = True,
    logs: Annotated[bool, typer.Option("--logs", help="Standard output and error output too.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Let the result files of a job leave, and its logs with --logs. Look at them first: scq output ID."""
    from scq.commands import release as verb

    here = session(ctx)
    here.show(
        verb.run(here.context(), job, only=only or (), outputs=outputs, logs=logs, reason=reason, dry_run=dry_run),
    )


def withhold(
    ctx: typer.Context,
    job: Word,
    reason: Annotated[str, typer.Option("-r", "--reason", help="Why; the submitter reads it.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Answer a job without its results. What was released of it before is taken out of the SyftBox folder."""
    from scq.commands import withhold as verb

    here = session(ctx)
    here.show(verb.run(here.context(), job, reason=reason, dry_run=dry_run))


def share(
    ctx: typer.Context,
    job: Word,
    outputs: Annotated[bool, typer.Option("--outputs", help="The result files.")] = False,
    logs: Annotated[bool, typer.Option("--logs", help="Standard output, error output, return code.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Let the submitter read all outputs, the logs, or both (default)."""
    from scq.commands import share as verb

    here = session(ctx)
    here.show(verb.run(here.context(), job, outputs=outputs, logs=logs, dry_run=dry_run))
