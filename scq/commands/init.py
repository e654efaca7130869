"""`scq init`: write down whose queue this is and where it lies, without losing anything that is there."""

from __future__ import annotations

import os
import stat
from typing import Any

from scq import signing
from scq.config_file import Change, plan_change, write_change
from scq.config_keys import find_key
from scq.config_kinds import ADDRESS
from scq.context import Context
from scq.errors import ConfigError, UsageError
from scq.files import make_folder
from scq.model import Problem
from scq.report import Report
from scq.store import exclusive
from scq.syftbox import expand, lies_inside


def run(
    ctx: Context,
    email: str | None = None,
    root: str | None = None,
    notify_jobs: bool | None = None,
    notify_peers: bool | None = None,
    *,
    dry_run: bool = False,
) -> Report:
    """Merge the owner's address, the SyftBox folder and the choice of messages into config.yaml; keep a backup.

    Where `cryptography` is installed, a key to sign the audit log with is made once.

    Run again with the same words it changes nothing. Raises UsageError for an address that is none or not known, and
    ConfigError for a damaged config.yaml or a home inside the SyftBox folder.
    """
    owner = _owner(ctx, email)
    folder = os.path.abspath(expand(root, ctx.env)) if root else ctx.config.root
    _refuse_home_inside(ctx.home, folder)
    settings = _settings(owner, folder, notify_jobs, notify_peers)
    if dry_run:
        return _report(ctx, plan_change(ctx.config_path, settings), "", owner, folder, dry_run=True)
    make_folder(ctx.home, 0o700)
    _close(ctx.home, 0o700)
    with exclusive(os.path.join(ctx.home, "locks", "config.lock"), ctx.config.lock_timeout):
        change = plan_change(ctx.config_path, settings)
        backup = write_change(change, ctx.now())
        _close(os.path.realpath(ctx.config_path), 0o600)
        made = signing.make_key(ctx.home) if signing.is_available() else False
    return _report(ctx, change, backup, owner, folder, dry_run=False, made_key=made)


def _owner(ctx: Context, email: str | None) -> str:
    given = email or ctx.config.email
    if not given:
        raise UsageError("your e-mail address is not known", "Give it: scq init --email owner@example.org")
    owner: str | None = ADDRESS.parse(given)
    if owner is None:
        raise UsageError(f"{given[:100]!a} is not an e-mail address", "Write it like owner@example.org.")
    return owner


def _refuse_home_inside(home: str, root: str) -> None:
    if root and lies_inside(home, root):
        raise ConfigError(f"{home} lies inside the SyftBox folder {root}", "Choose another one: --home or SCQ_HOME.")


def _settings(owner: str, root: str, notify_jobs: bool | None, notify_peers: bool | None) -> dict[str, Any]:
    wanted = {
        "do_email": owner,
        "syftbox_root": root or None,
        "notify.monitor_jobs": notify_jobs,
        "notify.monitor_peers": notify_peers,
    }
    return {key: value for key, value in wanted.items() if value is not None}


def _close(path: str, mode: int) -> None:
    """Take away what the group and others may do, where they may do anything."""
    found = os.stat(path)
    if stat.S_IMODE(found.st_mode) & 0o077:
        os.chmod(path, mode)


def _report(ctx: Context, change: Change, backup: str, owner: str, root: str, *, dry_run: bool, made_key: bool = False) -> Report:
    changed = change.text is not None
    data = {
        "home": ctx.home,
        "config": ctx.config_path,
        "email": owner,
        "root": root,
        "changed": changed,
        "backup": backup,
        "dry_run": dry_run,
    }
    verb = "would be written" if dry_run else "written"
    lines = [f"{ctx.config_path} {verb}" if changed else f"{ctx.config_path} says so already"]
    if backup:
        lines.append(f"before: {backup}")
    lines += [f"owner: {owner}", f"SyftBox folder: {root or 'not known'}"]
    if made_key:
        lines.append(f"key of the audit log: {os.path.join(ctx.home, signing.KEY)}; keep a copy of {signing.PUBLIC} elsewhere")
    if not dry_run:
        lines.append("next: scq doctor")
    return Report("init", data, tuple(lines), _problems(change, root))


def _problems(change: Change, root: str) -> tuple[Problem, ...]:
    problems: list[Problem] = []
    if not root:
        problems.append(Problem("syftbox_root", "no SyftBox folder was found", "Name it: scq init --root FOLDER"))
    elif not os.path.isdir(root):
        problems.append(Problem("syftbox_root", f"{root} is not a folder", "Start SyftBox, or correct it with scq init --root."))
    if not change.kept_form:
        problems.append(Problem(change.path, "was written anew without its comments", "The backup still has them."))
    unknown = [key for key in change.values if find_key(key) is None and not isinstance(change.values[key], dict)]
    problems.extend(
        Problem(change.path, f"{key[:100]} is not a known key and was kept", "scq config validate") for key in unknown
    )
    return tuple(problems)
