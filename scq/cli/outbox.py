"""`scq outbox`: list, show, retry, drop."""

from __future__ import annotations

from typing import Annotated, cast, get_args

import typer

from scq.cli.completing import messages
from scq.cli.session import session

outbox = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Messages: list, show, try again, drop."
)
Keys = Annotated[
    list[str],
    typer.Argument(
        metavar="KEY...", help="Key of a message, or the first six or more characters of it.", autocompletion=messages
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@outbox.callback()
def _outbox() -> None:
    """Messages: list, show, try again, drop."""


@outbox.command("list")
def list_(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    state: Annotated[str, typer.Option(help="Only those in this state, such as deferred or dead.")] = "",
) -> None:
    """List the messages that wait and those that were given up, newest last."""
    from scq.commands import outbox as verb
    from scq.errors import UsageError
    from scq.model import OutboxState

    if state and state not in get_args(OutboxState):
        raise UsageError(f"{state!a} is not a state of a message", f"Use one of: {', '.join(get_args(OutboxState))}.")
    here = session(ctx)
    here.show(verb.listing(here.context(), every=every, state=cast(OutboxState, state) if state else None))


@outbox.command("show")
def show(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of a message.", autocompletion=messages)],
) -> None:
    """Show everything about one message, and its text while it waits."""
    from scq.commands import outbox as verb

    here = session(ctx)
    here.show(verb.show(here.context(), key), pager=True)


@outbox.command("retry")
def retry(
    ctx: typer.Context,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY]...", help="Keys of messages.", autocompletion=messages)
    ] = None,
    all_dead: Annotated[bool, typer.Option("--all-dead", help="Every message that was given up.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Let the next `scq notify` send messages that were given up or are put off."""
    from scq.commands import outbox as verb

    here = session(ctx)
    here.show(verb.retry(here.context(), keys or (), all_dead=all_dead, dry_run=dry_run))


@outbox.command("drop")
def drop(ctx: typer.Context, keys: Keys, dry_run: DryRun = False) -> None:
    """Give up messages that still wait."""
    from scq.commands import outbox as verb

    here = session(ctx)
    here.show(verb.drop(here.context(), keys, dry_run=dry_run))
