"""What makes calls at intervals: schedule start stop restart."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from scq.cli.completing import services
from scq.cli.session import HOME, Session, session

schedule = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Have calls made at intervals: install, remove, show, verify.",
)
Systemd = Annotated[bool, typer.Option("--systemd", help="Timers of your own account.")]
System = Annotated[bool, typer.Option("--system", help="Systemd timers of the whole machine; needs --user.")]
Cron = Annotated[bool, typer.Option("--cron", help="Your crontab.")]
Launchd = Annotated[bool, typer.Option("--launchd", help="Agents of macOS.")]
SyftBox = Annotated[bool, typer.Option("--syftbox", help="An app that the SyftBox client calls.")]
LoopFlag = Annotated[bool, typer.Option("--loop", help="A small process of scq; ends with the machine.")]
User = Annotated[str, typer.Option("--user", metavar="NAME", help="--system: the account whose calls these are.")]
Every = Annotated[str, typer.Option(metavar="TIME", help="Pause between two calls, such as 30s, 1m. Default: notify.interval.")]
Interval = Annotated[
    str, typer.Option("--interval", "-i", metavar="TIME", help="Pause between two calls, such as 30s. Default: config.yaml.")
]
Service = Annotated[
    str, typer.Argument(metavar="[SERVICE]", help="notify or approve; all of them when left out.", autocompletion=services)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@schedule.callback()
def _schedule() -> None:
    """Have calls made at intervals: install, remove, show, verify."""


@schedule.command("install")
def install(
    ctx: typer.Context,
    systemd: Systemd = False,
    system: System = False,
    cron: Cron = False,
    launchd: Launchd = False,
    syftbox: SyftBox = False,
    loop: LoopFlag = False,
    every: Every = "",
    user: User = "",
    dry_run: DryRun = False,
) -> None:
    """Install with one scheduler, the first usable one when none is named. What another one had is removed."""
    from scq.commands import schedule as verb

    here = _of_user(session(ctx), user)
    name = _one_of(systemd, system, cron, launchd, syftbox, loop)
    here.show(verb.install(here.context(), name, every=_seconds("--every", every), user=user, dry_run=dry_run))


@schedule.command("remove")
def remove(ctx: typer.Context, user: User = "", dry_run: DryRun = False) -> None:
    """Remove whatever is installed."""
    from scq.commands import schedule as verb

    here = _of_user(session(ctx), user)
    here.show(verb.remove(here.context(tolerant=True), dry_run=dry_run))


@schedule.command("show")
def show(
    ctx: typer.Context,
    systemd: Systemd = False,
    system: System = False,
    cron: Cron = False,
    launchd: Launchd = False,
    syftbox: SyftBox = False,
    loop: LoopFlag = False,
    user: User = "",
) -> None:
    """Show what is installed and how it is doing, or what would be installed."""
    from scq.commands import schedule as verb

    here = _of_user(session(ctx), user)
    here.show(verb.show(here.context(tolerant=True), _one_of(systemd, system, cron, launchd, syftbox, loop), user=user))


@schedule.command("verify")
def verify(ctx: typer.Context, user: User = "") -> None:
    """Check that what is installed works. Exit 1: it does not."""
    from scq.commands import schedule as verb

    here = _of_user(session(ctx), user)
    here.show(verb.verify(here.context()))


def start(ctx: typer.Context, service: Service = "", interval: Interval = "") -> None:
    """Have the calls of a service made, over what is installed; where nothing is, a small process makes them."""
    from scq.commands import start as verb

    here = session(ctx)
    here.show(verb.run(here.context(), service, every=_seconds("--interval", interval)))


def stop(ctx: typer.Context, service: Service = "") -> None:
    """Let a service rest until `scq start`."""
    from scq.commands import stop as verb

    here = session(ctx)
    here.show(verb.run(here.context(tolerant=True), service))


def restart(ctx: typer.Context, service: Service = "", interval: Interval = "") -> None:
    """Stop a service and start it again."""
    from scq.commands import restart as verb

    here = session(ctx)
    here.show(verb.run(here.context(), service, every=_seconds("--interval", interval)))


def _one_of(systemd: bool, system: bool, cron: bool, launchd: bool, syftbox: bool, loop: bool) -> str:
    """The scheduler named by flags, empty for none. Raises UsageError for more than one."""
    from scq.errors import UsageError

    flags = {
        "systemd": systemd,
        "systemd-system": system,
        "cron": cron,
        "launchd": launchd,
        "syftbox": syftbox,
        "loop": loop,
    }
    names = [name for name, given in flags.items() if given]
    if len(names) > 1:
        raise UsageError("more than one scheduler", "Name one: two would make every call twice.")
    return names[0] if names else ""


def _seconds(option: str, text: str) -> float | None:
    """A duration of the command line. Raises UsageError."""
    from scq.config_kinds import DURATION
    from scq.errors import UsageError

    if not text:
        return None
    found: float | None = DURATION.parse(text)
    if found is None:
        raise UsageError(f"{option}: {text[:80]!a} is not allowed: {DURATION.allowed}")
    return found


def _of_user(here: Session, user: str) -> Session:
    """The session, in the home of the account named, where no other home was; its settings mean what they mean there."""
    if user:
        from scq.calling import home_of

        own = home_of(user, os.environ)
        folder = os.path.join(own, ".syft-creds")
        if here.home == os.path.abspath(os.path.expanduser(HOME)):
            if here.config_path == os.path.join(here.home, "config.yaml"):
                here.config_path = os.path.join(folder, "config.yaml")
            here.home = folder
        os.environ["HOME"] = own
    return here
