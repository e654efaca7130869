"""The verb of data scientists: submit."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from scq.cli.session import session

STDIN_LIMIT = 16 << 20


def submit(
    ctx: typer.Context,
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Address of the data owner.")],
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Folder, Python file, bash script, or - for script text on stdin.")
    ],
    name: Annotated[str, typer.Option(help="Name of the job.")] = "",
    description: Annotated[str, typer.Option(help="What it does, for the owner.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag (repeatable).")] = None,
    requirement: Annotated[list[str] | None, typer.Option(help="A package the job needs (repeatable).")] = None,
    timeout: Annotated[int | None, typer.Option(help="Run time the job needs, seconds.")] = None,
    entrypoint: Annotated[str, typer.Option(help="Python file of the folder to start.")] = "",
    layout: Annotated[str, typer.Option(help="Force a queue generation: a3 b0 b1 b2 c0 c1.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
) -> None:
    """Send code to a data owner, in the form their queue already uses."""
    from scq.commands import submit as verb

    here = session(ctx)
    stdin = sys.stdin.buffer.read(STDIN_LIMIT) if source == "-" else None
    here.show(
        verb.run(
            here.context(),
            owner,
            source,
            name=name,
            description=description,
            tags=tag or (),
            requirements=requirement or (),
            timeout=timeout,
            entrypoint=entrypoint,
            layout=layout,
            stdin=stdin,
            dry_run=dry_run,
        )
    )
