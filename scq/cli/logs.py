"""The verb that shows logs: of a job, or of a service."""

from __future__ import annotations

from typing import Annotated

import typer

from scq.cli.session import session

Word = Annotated[str, typer.Argument(metavar="ID", help="Id, unique beginning of it, or name.")]


def logs(
    ctx: typer.Context,
    job: Word,
    stdout: Annotated[bool, typer.Option("--stdout", help="Only standard output.")] = False,
    stderr: Annotated[bool, typer.Option("--stderr", help="Only error output.")] = False,
) -> None:
    """Show what a job wrote while it ran."""
    from scq.commands import logs as verb

    here = session(ctx)
    here.show(verb.run(here.context(), job, stdout=stdout, stderr=stderr))
