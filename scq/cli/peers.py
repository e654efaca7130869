"""`scq peers`: list, show, accept, reject, notify-granted."""

from __future__ import annotations

from typing import Annotated, get_args

import typer
from typer._click.core import Context  # typer carries its own click since 0.26
from typer.core import TyperGroup

from scq.cli.completing import peers as known
from scq.cli.session import session


class ListByDefault(TyperGroup):
    """`scq peers` alone, or with options only, lists."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


peers = typer.Typer(
    cls=ListByDefault,
    add_completion=False,
    rich_markup_mode=None,
    help="Who may send you jobs: list, show, accept, reject, tell. Alone it lists.",
)
Addresses = Annotated[list[str], typer.Argument(metavar="ADDRESS...", help="Mail addresses of peers.", autocompletion=known)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Refresh = Annotated[bool, typer.Option("--refresh", help="Ask Google Drive now, instead of showing what the last look saw.")]


@peers.callback()
def _peers() -> None:
    """Who may send you jobs: list, show, accept, reject, tell. Alone it lists."""


@peers.command("list")
def list_(
    ctx: typer.Context,
    state: Annotated[list[str] | None, typer.Option(help="Only those in this state (repeatable), such as pending.")] = None,
    refresh: Refresh = False,
) -> None:
    """List all peers, those who wait for an answer first. A peer asked to send you jobs, or was asked by you."""
    from scq.commands import peers as verb
    from scq.errors import UsageError
    from scq.model import PeerState

    for word in state or ():
        if word not in get_args(PeerState):
            raise UsageError(f"{word!a} is not a state of a peer", f"Use one of: {', '.join(get_args(PeerState))}.")
    here = session(ctx)
    here.show(verb.listing(here.context(), states=state or (), refresh=refresh))


@peers.command("show")
def show(
    ctx: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Mail address of a peer.", autocompletion=known)],
    refresh: Refresh = False,
) -> None:
    """Show one peer: state, folders on Drive, waiting jobs."""
    from scq.commands import peers as verb

    here = session(ctx)
    here.show(verb.show(here.context(), address, refresh=refresh))


@peers.command("accept")
def accept(ctx: typer.Context, addresses: Addresses, dry_run: DryRun = False) -> None:
    """Let peers who asked send you jobs. Google Drive tells them by mail what is shared with them."""
    from scq.commands import peers as verb

    here = session(ctx)
    here.show(verb.accept(here.context(), addresses, dry_run=dry_run))


@peers.command("reject")
def reject(ctx: typer.Context, addresses: Addresses, dry_run: DryRun = False) -> None:
    """Refuse peers. One who was accepted before is refused from now on; what was shared stays shared."""
    from scq.commands import peers as verb

    here = session(ctx)
    here.show(verb.reject(here.context(), addresses, dry_run=dry_run))


@peers.command("notify-granted")
def notify_granted(ctx: typer.Context, addresses: Addresses, dry_run: DryRun = False) -> None:
    """Tell peers that they are accepted, once each. The next scq notify sends it."""
    from scq.commands import peers as verb

    here = session(ctx)
    here.show(verb.notify_granted(here.context(), addresses, dry_run=dry_run))
