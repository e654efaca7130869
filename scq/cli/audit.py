"""`scq audit`: show, verify, export."""

from __future__ import annotations

from typing import Annotated

import typer

from scq.cli.completing import jobs
from scq.cli.session import session

audit = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Who decided what, and what was run.")


@audit.callback()
def _audit() -> None:
    """Who decided what, and what was run."""


@audit.command("show")
def show(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(metavar="[ID]", help="Only rows of this job.", autocompletion=jobs)] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="The newest so many rows.")] = None,
) -> None:
    """Show the audit log, oldest row first.

    Exit code 5 when a row does not follow from the one before it; `audit verify` knows the last one, too.
    """
    from scq.commands import audit as verb

    here = session(ctx)
    here.show(verb.show(here.context(), job=job, limit=limit))


@audit.command("verify")
def verify(
    ctx: typer.Context,
    file: Annotated[str, typer.Option(metavar="EXPORT", help="An export instead of the log here.")] = "",
    key: Annotated[str, typer.Option(metavar="PUBLIC", help="File with the public key it must be signed with.")] = "",
) -> None:
    """Check that nothing of the log was changed, moved, taken out or cut off. Exit code 5 names the first bad line."""
    from scq.commands import audit as verb

    here = session(ctx)
    here.show(verb.check(here.context(), file=file, key=key))


@audit.command("export")
def export(
    ctx: typer.Context,
    to: Annotated[str, typer.Option(metavar="FILE", help="A new file; default: standard output.")] = "",
    sign: Annotated[bool | None, typer.Option("--sign/--no-sign", help="Default: when there is a key.")] = None,
) -> None:
    """Write the whole log as one document that others can check."""
    from scq.commands import audit as verb

    here = session(ctx)
    here.show(verb.export(here.context(), to=to, sign=sign))
