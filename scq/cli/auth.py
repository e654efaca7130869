"""`scq auth`: google, status, revoke."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from scq.cli.session import asking, session

if TYPE_CHECKING:
    from scq.signin.asking import Desk

LONGEST_PASTE = 1 << 16

auth = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Sign in to Google.")


@auth.callback()
def _auth() -> None:
    """Sign in to Google, look at sign-ins, give them back."""


@auth.command("google")
def google(
    ctx: typer.Context,
    send: Annotated[bool, typer.Option("--send", help="For sending mail (scope gmail.send). This is the default.")] = False,
    drive: Annotated[bool, typer.Option("--drive", help="For reading Google Drive (scope drive.readonly).")] = False,
    write: Annotated[bool, typer.Option("--write", help="With --drive: also for writing there (scope drive).")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open the page elsewhere and paste the answer.")] = False,
    credentials: Annotated[str, typer.Option(metavar="FILE", help="The client file; default: credentials_path.")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for the answer; 0: any.")] = 0,
) -> None:
    """Ask for a sign-in in a browser and save it. Where there is none, paste the address it ends at."""
    from scq.commands import auth as verb
    from scq.signin.asking import browser

    here = session(ctx)
    desk = _desk(None if no_browser else browser(os.environ, sys.platform))
    here.show(verb.google(here.context(), desk, send=send, drive=drive, write=write, credentials=credentials, port=port))


@auth.command("status")
def status(
    ctx: typer.Context,
    online: Annotated[bool, typer.Option("--online", help="Renew each sign-in, which proves that it lives.")] = False,
) -> None:
    """Show the saved sign-ins. Exit code 77 when one that is needed is missing or dead."""
    from scq.commands import auth as verb

    here = session(ctx)
    here.show(verb.status(here.context(), online=online))


@auth.command("revoke")
def revoke(
    ctx: typer.Context,
    send: Annotated[bool, typer.Option("--send", help="Only the one for sending mail.")] = False,
    drive: Annotated[bool, typer.Option("--drive", help="Only the one for Google Drive.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Remove the file even when Google cannot be reached.")] = False,
) -> None:
    """Give sign-ins back to Google and remove their files."""
    from scq.commands import auth as verb

    here = session(ctx)
    desk = _desk(None, None if here.as_json else asking())
    here.show(verb.revoke(here.context(), desk, send=send, drive=drive, yes=yes, force=force))


def _desk(browse: Callable[[str], bool] | None, confirm: Callable[[str], bool] | None = None) -> Desk:
    from scq.signin.asking import Desk

    return Desk(_tell, lambda: sys.stdin.readline(LONGEST_PASTE), browse, confirm)


def _tell(text: str) -> None:
    """Always shown, also with --quiet: without the address nobody can sign in."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
