"""Verbs that set up: init config doctor demo."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from scq.cli.completing import keys
from scq.cli.session import session

Key = Annotated[str, typer.Argument(help="Key, for example notify.interval.", autocompletion=keys)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be written.")]


def init(
    ctx: typer.Context,
    email: Annotated[str | None, typer.Option(help="Your address.")] = None,
    root: Annotated[str | None, typer.Option(help="Your SyftBox folder.")] = None,
    notify_jobs: Annotated[bool | None, typer.Option("--notify-jobs/--no-notify-jobs", help="Messages about jobs.")] = None,
    notify_peers: Annotated[bool | None, typer.Option("--notify-peers/--no-notify-peers", help="Messages about peers.")] = None,
    import_from: Annotated[
        str,
        typer.Option(
            "--import",
            metavar="PLACE",
            help="Take over settings of syft-bg, syft-notify or syft-client, and what was told: their folder or state file, "
            "or `auto` to look in the usual folders.",
        ),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="What is imported replaces what is set.")] = False,
    restored: Annotated[
        bool,
        typer.Option("--restored", help="What is stored here is an older copy put back: take in silently what happened since."),
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Write the configuration, or add to the one that is there; nothing is lost, a backup is kept."""
    from scq.commands import init as verb

    here = session(ctx)
    place = here.context(tolerant=True)
    here.show(
        verb.run(
            place,
            email,
            root,
            notify_jobs,
            notify_peers,
            dry_run=dry_run,
            import_from=import_from,
            force=force,
            restored=restored,
        )
    )


def doctor(ctx: typer.Context) -> None:
    """Check everything a job needs and say what to do for each finding. Exit 78: configuration, 1: something else."""
    from scq.commands import doctor as verb

    here = session(ctx)
    here.show(verb.run(here.context(tolerant=True)))


def demo(
    ctx: typer.Context,
    keep: Annotated[str, typer.Option(metavar="DIR", help="Keep everything in this new folder, to play with.")] = "",
) -> None:
    """Watch one job from submission to answer, in ten steps on a temporary SyftBox. Your own queue is not touched."""
    from scq.commands import demo as verb

    here = session(ctx)
    colours = sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    here.show(verb.run(keep=keep, say=here.say, colours=colours))


config = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Show, read, change or check the configuration."
)


@config.command("show")
def config_show(ctx: typer.Context) -> None:
    """Every key with its value, where it comes from, and what it means."""
    from scq.commands import config as verb

    here = session(ctx)
    here.show(verb.show(here.context(tolerant=True)))


@config.command("get")
def config_get(ctx: typer.Context, key: Key) -> None:
    """The value in force of one key."""
    from scq.commands import config as verb

    here = session(ctx)
    here.show(verb.get(here.context(tolerant=True), key))


@config.command("set")
def config_set(
    ctx: typer.Context,
    key: Key,
    value: Annotated[str, typer.Argument(help="Value, as it would stand in config.yaml.")],
    dry_run: DryRun = False,
) -> None:
    """Write one key into config.yaml after checking it."""
    from scq.commands import config as verb

    here = session(ctx)
    here.show(verb.set_(here.context(tolerant=True), key, value, dry_run=dry_run))


@config.command("validate")
def config_validate(ctx: typer.Context) -> None:
    """Name every problem of config.yaml at once."""
    from scq.commands import config as verb

    here = session(ctx)
    here.show(verb.validate(here.context(tolerant=True)))


@config.command("path")
def config_path(ctx: typer.Context) -> None:
    """Where the configuration lies."""
    from scq.commands import config as verb

    here = session(ctx)
    here.show(verb.path(here.context(tolerant=True)))
