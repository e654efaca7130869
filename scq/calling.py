"""What a scheduler is to call: the scq at work with the options a bare call would lack, and what such a call needs."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator, Mapping

from scq import config
from scq.config_channels import SECRETS
from scq.config_kinds import CREDENTIALS
from scq.context import Context
from scq.errors import UsageError
from scq.ports import Entry, Schedule, Scheduler
from scq.services import SERVICES

CREDENTIALS_OF_ACCOUNTS = "/etc/scq"


def planned(ctx: Context, using: Scheduler, services: Mapping[str, float], user: str = "") -> Schedule:
    """What a scheduler is to call for these services (name to seconds between two calls)."""
    line = (*program(), *options(ctx, user))
    entries = tuple(
        Entry(task.name, (*line, *task.arguments), services[name], task.meaning, task.runs_jobs)
        for name, service in SERVICES.items()
        if name in services
        for task in service.tasks(using.overlaps)
    )
    return Schedule(ctx.home, entries, user, _credentials(ctx, user), _writable(ctx, user))


def program() -> tuple[str, ...]:
    """How the scq at work is called, absolute; a shim that looks for another one each time is not used."""
    beside = os.path.join(os.path.dirname(sys.executable), "scq")
    for path in (os.path.abspath(sys.argv[0]), beside):
        if os.path.basename(path) == "scq" and "/shims/" not in path and os.path.isfile(path) and os.access(path, os.X_OK):
            return (path,)
    return (sys.executable, "-m", "scq")


def options(ctx: Context, user: str = "") -> tuple[str, ...]:
    """The global options a bare call needs to find the same home, configuration, root and address as this one."""
    own_folder = home_of(user, ctx.env)
    bare = config.load(ctx.config_path, {"HOME": own_folder}, {}, home=ctx.home, strict=False).config
    usual = os.path.join(ctx.home, config.FILE_NAME)
    given = {
        "--home": ctx.home if ctx.home != os.path.join(own_folder, ".syft-creds") else "",
        "--config": ctx.config_path if ctx.config_path != usual else "",
        "--root": ctx.config.root if ctx.config.root != bare.root else "",
        "--email": ctx.config.email if ctx.config.email != bare.email else "",
    }
    return tuple(word for name, value in given.items() if value for word in (name, value))


def home_of(user: str, env: Mapping[str, str]) -> str:
    """The home directory of an account as the machine has it, where scheduled calls find themselves; empty: one's own.

    Raises UsageError when there is no such account.
    """
    try:
        return pwd.getpwnam(user).pw_dir if user else pwd.getpwuid(os.getuid()).pw_dir
    except (KeyError, ValueError):
        if user:
            raise UsageError(f"there is no account {user[:80]!a}", "Name one of this machine.") from None
        return env.get("HOME", "/")  # containers run as numbers nobody gave a name to


def _credentials(ctx: Context, user: str) -> tuple[tuple[str, str], ...]:
    """Secret files that config.yaml expects to be handed over, and where they lie until then.

    The manager of the machine reads them as root, so for an account they lie where only root writes: a link in its home would
    hand it any file of the machine.
    """
    folder = os.path.join(CREDENTIALS_OF_ACCOUNTS, user) if user not in ("", "root") else os.path.join(ctx.home, "secrets")
    files = [getattr(channel, f"{key}_file") for channel in ctx.config.channels for key in SECRETS]
    names = [path.removeprefix(CREDENTIALS) for path in (*files, ctx.config.health.url_file) if path.startswith(CREDENTIALS)]
    return tuple((name, os.path.join(folder, name)) for name in dict.fromkeys(names))


def variables(ctx: Context) -> Iterator[tuple[str, str]]:
    """(setting, name of the variable) of every secret that is in the environment."""
    for channel in ctx.config.channels:
        for key in SECRETS:
            if variable := getattr(channel, f"{key}_env"):
                yield f"channels.{channel.name}.{key}_env", variable
    if ctx.config.health.url_env:
        yield "health.url_env", ctx.config.health.url_env


def _writable(ctx: Context, user: str) -> tuple[str, ...]:
    """Folders outside of the home that calls write into."""
    settings = ctx.config
    as_root = user in ("", "root") and os.geteuid() == 0  # only then a sandbox needs a folder elsewhere
    files = (settings.state_file, settings.drive_token_path, settings.gmail_token_path)
    boxes = [channel.path for channel in settings.channels if channel.type == "file"]
    scratch = settings.sandbox_scratch if as_root and settings.sandbox != "none" else ""
    shared = settings.slurm.shared_dir if settings.executor == "slurm" else ""
    folders = (settings.root, scratch, shared, *(os.path.dirname(path) for path in (*files, *boxes) if path))
    return tuple(dict.fromkeys(path for path in folders if path and not f"{path}/".startswith(f"{ctx.home}/")))
