"""Verbs that tell somebody something now: send call sms exec channels."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from scq.cli.completing import channels as known
from scq.cli.session import session

STDIN_LIMIT = 1 << 20
"""Bytes of a text read from standard input."""

Text = Annotated[str, typer.Argument(metavar="TEXT", help="What to say; `-` reads it from standard input.")]
Channels = Annotated[list[str] | None, typer.Option("--channel", help="This channel (repeatable).", autocompletion=known)]


def send(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="What to say; `-` reads it from standard input.")] = "",
    title: Annotated[str, typer.Option(help="Title, or subject of a mail.")] = "",
    to: Annotated[list[str] | None, typer.Option(help="Address, or number of a phone (repeatable).")] = None,
    cc: Annotated[list[str] | None, typer.Option(help="Address that gets a copy (repeatable).")] = None,
    channel: Channels = None,
    first_of: Annotated[bool, typer.Option("--first-of", help="Only the first of the channels that takes it.")] = False,
    level: Annotated[str, typer.Option(help="info, warning, error or critical.")] = "info",
    attach: Annotated[list[str] | None, typer.Option(help="File that goes with a mail (repeatable).")] = None,
    footer: Annotated[bool, typer.Option("--footer", help="Add user, machine, version and time.")] = False,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the text from standard input.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which channels would be tried.")] = False,
) -> None:
    """Tell somebody something now, over the named channels or the first usual one that takes it."""
    from scq.commands import send as verb

    here = session(ctx)
    report = verb.run(
        here.context(),
        _text("-" if stdin else text),
        title=title,
        to=to or (),
        cc=cc or (),
        channels=channel or (),
        first_of=first_of,
        level=level,
        attach=attach or (),
        footer=footer,
        dry_run=dry_run,
    )
    here.show(report)


def call(
    ctx: typer.Context,
    text: Text,
    to: Annotated[list[str] | None, typer.Option(help="Number to call (repeatable).")] = None,
    repeat: Annotated[
        int, typer.Option(min=0, max=10, help="How often it is said; default from the channel.", show_default=False)
    ] = 0,
) -> None:
    """Call a phone and read a text."""
    from scq.commands import call as verb

    here = session(ctx)
    here.show(verb.run(here.context(), _text(text), to=to or (), repeat=repeat))


def sms(
    ctx: typer.Context,
    text: Text,
    title: Annotated[str, typer.Option(help="Stands before the text.")] = "",
    to: Annotated[list[str] | None, typer.Option(help="Number to write to (repeatable).")] = None,
) -> None:
    """Send a text message to a phone."""
    from scq.commands import sms as verb

    here = session(ctx)
    here.show(verb.run(here.context(), _text(text), title=title, to=to or ()))


def channels(
    ctx: typer.Context,
    test: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Send a test message over it (repeatable).", autocompletion=known)
    ] = None,
    test_all: Annotated[bool, typer.Option("--test-all", help="Send a test message over every channel.")] = False,
) -> None:
    """List the ways of telling somebody, and which are usable."""
    from scq.commands import channels as verb

    here = session(ctx)
    here.show(verb.run(here.context(), test=test or (), test_all=test_all))


exec_ = typer.Typer(add_completion=False, rich_markup_mode=None)


@exec_.command(context_settings={"allow_interspersed_args": False})
def exec_command(
    ctx: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="Command with its arguments, best behind `--`.")],
    title: Annotated[str, typer.Option(help="Title of the message.")] = "",
    channel: Channels = None,
    always: Annotated[bool, typer.Option("--always/--on-failure", help="When to tell.")] = True,
    level_ok: Annotated[str, typer.Option(help="Level when it went well.")] = "info",
    level_failed: Annotated[str, typer.Option(help="Level when it failed.")] = "error",
    tail: Annotated[int, typer.Option(min=0, max=1000, help="Last lines of its error output to send along.")] = 0,
) -> None:
    """Run a command and tell how it ended. The exit code is that of the command."""
    from scq.commands import exec as verb

    here = session(ctx)
    report = verb.run(
        here.context(tolerant=True),
        command,
        title=title,
        channels=channel or (),
        on_failure=not always,
        level_ok=level_ok,
        level_failed=level_failed,
        tail=tail,
    )
    here.show(report)


def _text(text: str) -> str:
    """The text of a call, from standard input for `-`; what is too long is cut and says so."""
    if text != "-":
        return text
    content = sys.stdin.buffer.read(STDIN_LIMIT + 1)
    shown = content[:STDIN_LIMIT].decode("utf-8", "replace")
    return shown if len(content) <= STDIN_LIMIT else f"{shown}\n[shortened]"
