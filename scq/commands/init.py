"""`scq init`: write down whose queue this is and where it lies, without losing anything that is there."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from scq import legacy, signing
from scq.acting import current
from scq.clean import line
from scq.config_file import Change, get_value, parse, plan_change, read_config_text, write_change
from scq.config_keys import ALIASES, find_key
from scq.config_kinds import ADDRESS
from scq.context import Context, audited
from scq.errors import ConfigError, InvalidFileError, ScqError, UsageError
from scq.files import make_folder
from scq.model import FINISHED, Problem
from scq.report import Report
from scq.state import State
from scq.store import exclusive
from scq.syftbox import expand, lies_inside

ENDED = ("sent", "bundled", "dead", "dropped")
"""States of messages of which nothing more comes."""
IMPORTED = "import"
"""Key of `State.last`: when marks of older software were taken over."""
FORM = 1
"""Of a new config.yaml. A file without `version` has this form, too."""


class Import(Struct, frozen=True):
    """What an older configuration brings: settings by key path, what was told already, and what is left where it is."""

    source: str = ""
    settings: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    """Settings that are not taken because config.yaml has others."""
    notified: dict[str, tuple[str, ...]] = {}
    threads: dict[str, str] = {}
    left: tuple[Problem, ...] = ()


def run(
    ctx: Context,
    email: str | None = None,
    root: str | None = None,
    notify_jobs: bool | None = None,
    notify_peers: bool | None = None,
    *,
    dry_run: bool = False,
    import_from: str = "",
    force: bool = False,
    restored: bool = False,
) -> Report:
    """Merge the owner's address, the SyftBox folder and the choice of messages into config.yaml; keep a backup.

    Where `cryptography` is installed, a key to sign the audit log with is made once.

    `import_from` is the folder (or a file) of older software, or `auto` for the usual ones: its settings are taken where
    config.yaml has none, or with `force` in their place; sign-ins stay where they are and are referred to; what was told
    already is not told again.
    Nothing that was approved there is taken over.

    `restored` says that what is stored here is an older copy put back: what happened since is then taken in silently, and
    messages that were waiting say that they may be a repeat.

    Run again with the same words it changes nothing. Raises UsageError for an address that is none or not known, and
    ConfigError for a damaged config.yaml or a home inside the SyftBox folder.
    """
    email, root = email or ctx.env.get("SCQ_EMAIL"), root or ctx.env.get("SCQ_ROOT")
    chosen = {"do_email": email, "syftbox_root": root, **_choices(notify_jobs, notify_peers)}
    found = (
        _import(ctx, import_from if import_from == legacy.AUTO else expand(import_from, ctx.env), force, chosen)
        if import_from
        else Import()
    )
    owner = _owner(ctx, email or found.settings.get("do_email"))
    given = root or found.settings.get("syftbox_root")
    folder = os.path.abspath(expand(given, ctx.env)) if given else ctx.config.root
    _refuse_home_inside(ctx.home, folder)
    form = {} if os.path.lexists(ctx.config_path) else {"version": FORM}
    settings = {**form, **found.settings, **_settings(owner, folder, notify_jobs, notify_peers)}
    if dry_run:
        return _with_import(_report(ctx, plan_change(ctx.config_path, settings), "", owner, folder, dry_run=True), found)
    make_folder(ctx.home, 0o700)
    _close(ctx.home, 0o700)
    with exclusive(os.path.join(ctx.home, "locks", "config.lock"), ctx.config.lock_timeout):
        change = plan_change(ctx.config_path, settings)
        backup = write_change(change, ctx.now())
        _close(os.path.realpath(ctx.config_path), 0o600)
        made = signing.make_key(ctx.home) if signing.is_available() else False
    if found.notified or found.threads:
        ctx.store.update(lambda state: _remembered(state, found, ctx.now()))
    report = _with_import(_report(ctx, change, backup, owner, folder, dry_run=False, made_key=made), found)
    return _with_restored(report, ctx) if restored else report


def _import(ctx: Context, path: str, force: bool, chosen: dict[str, Any]) -> Import:
    """What lies there and what of it neither config.yaml nor this call says yet. Raises UsageError and ConfigError."""
    place = legacy.find_usual(ctx.env, _in_use(ctx)) if path == legacy.AUTO else legacy.find(expand(path, ctx.env))
    read = legacy.Older({})
    if place.config:
        read = legacy.modern(_older_settings(place.config), place.folder, ctx.env)
    elif not place.states:
        raise UsageError(f"{path}: holds no configuration and no state", "Name the folder of the older software.")
    values = legacy.with_usual_tokens(read.values, place.folder)
    taken, left = legacy.importable(values)
    present = parse(read_config_text(ctx.config_path) or "", ctx.config_path)
    told = {key: value for key, value in taken.items() if not force and _is_set(present, key)}
    kept = {key: value for key, value in told.items() if not _says(present, key, value)}
    settings = {key: value for key, value in taken.items() if key not in told and chosen.get(key) is None}
    named = values.get("state_file")
    states = (named, *place.states) if isinstance(named, str) and "\0" not in named else place.states
    notified, threads, unread = _told_there(ctx, states)
    return Import(place.config or path, settings, kept, notified, threads, (*read.left, *left, *unread, *_no_files(settings)))


def _in_use(ctx: Context) -> set[str]:
    """The files of scq itself, which lie where those of older software may have lain."""
    own = [ctx.config_path, *([ctx.store.path] if ctx.store.load().revision else [])]
    return {os.path.realpath(path) for path in own}


def _older_settings(path: str) -> dict[str, Any]:
    try:
        return parse(read_config_text(path) or "", path)
    except ConfigError as error:
        advice = "Correct that file, or name the older state file instead: scq init --import FILE.json."
        raise ConfigError(str(error), advice) from error


def _told_there(ctx: Context, paths: tuple[str, ...]) -> tuple[dict[str, tuple[str, ...]], dict[str, str], tuple[Problem, ...]]:
    """(marks, conversations, problems) of older state files."""
    notified: dict[str, tuple[str, ...]] = {}
    threads: dict[str, str] = {}
    problems: list[Problem] = []
    for path in dict.fromkeys(os.path.realpath(path) for path in paths if os.path.lexists(path)):
        try:
            state = legacy.read_state(path)
        except InvalidFileError as error:
            if path != os.path.realpath(ctx.store.path):  # what scq itself keeps is its own already
                why = str(error).removeprefix(f"{path}: ")
                problems.append(Problem(path, f"was not taken over: {why}", "What it remembers may be told again."))
            continue
        notified = _joined(notified, state.notified)
        threads = {**state.threads, **threads}
        if state.approvals:
            what = f"its {state.approvals} approvals were not taken over: they do not say what content they are for"
            problems.append(Problem(path, what, "scq pending lists what waits for a decision here."))
    return notified, threads, tuple(problems)


def _joined(one: dict[str, tuple[str, ...]], other: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {**one, **{name: tuple(dict.fromkeys((*one.get(name, ()), *words))) for name, words in other.items()}}


def _remembered(state: State, found: Import, now: datetime) -> State:
    """The state with what was told elsewhere; it is then not told again. Only jobs from before `now` can be meant by a name."""
    values, notified = state.values, _joined(state.notified, found.notified)
    is_known = notified == state.notified and IMPORTED in state.last
    last = state.last if is_known else {**state.last, IMPORTED: now}
    if found.threads and "thread_ids" not in values:
        values = {**values, "thread_ids": msgspec.Raw(msgspec.json.encode(found.threads))}
    return replace(state, notified=notified, values=values, last=last)


def _restored(ctx: Context, state: State, ended: set[str]) -> State:
    """The state of an older copy: the next look is like a first one, and nobody knows what became of messages that wait in it.

    Of the jobs that have `ended` since, only their folders say how.
    """
    if state.baseline_at is None:
        return state
    rows = {key: row if row.state in ENDED else replace(row, repeat=True) for key, row in state.outbox.items()}
    left = {key: replace(state.jobs[key], run=None, answer=None, stamp="") for key in ended & state.jobs.keys()}
    state = audited(state, ctx.now(), ctx.config.email, "restored", verb="init")
    return replace(state, jobs={**state.jobs, **left}, outbox=rows, baseline_at=None, peers_at=None, swept_at=None)


def _with_restored(report: Report, ctx: Context) -> Report:
    """The report with what the next look will do, once that is remembered."""
    before = ctx.store.load()
    if before.revision == 0:
        missing = Problem(ctx.store.path, "is not there or holds nothing", "Put the copy in its place first, then call again.")
        return replace(report, problems=(*report.problems, missing))
    ended = _ended_since(ctx, before)
    ctx.store.update(lambda state: _restored(ctx, state, ended))
    said = (
        "an older copy was put back: the next look takes in silently what happened since,",
        "  and one message lists the jobs that wait; approvals given since have to be given again",
    )
    return replace(report, lines=(*report.lines[:-1], *said, *report.lines[-1:]))


def _ended_since(ctx: Context, state: State) -> set[str]:
    """Keys of the jobs that were at work, or were to be next, when the copy was made, and that have ended by their folders.

    Of the others it is known that they were begun, or not: the next run takes care of them.
    """
    found = set()
    for key, record in state.jobs.items():
        if record.run is not None and record.run.phase != "settled":
            with suppress(ScqError):  # nobody can say
                sighting = current(ctx, record)
                found |= {key} if sighting is not None and sighting.observed in FINISHED else set()
    return found


def _is_set(values: dict[str, Any], key: str) -> bool:
    return any(get_value(values, tuple(name.split(".")))[1] for name in _spellings(key))


def _says(values: dict[str, Any], key: str, value: object) -> bool:
    return any(get_value(values, tuple(name.split("."))) == (value, True) for name in _spellings(key))


def _spellings(key: str) -> list[str]:
    return [key, *(other for other, real in ALIASES.items() if real == key)]


def _no_files(settings: dict[str, Any]) -> list[Problem]:
    missing = [key for key in legacy.TOKENS if key in settings and not os.path.isfile(settings[key])]
    return [Problem(key, f"{settings[key]}: no such file", "Sign in: scq auth google") for key in missing]


def _with_import(report: Report, found: Import) -> Report:
    """The report with what was taken, what was not, and why."""
    if not found.source:
        return report
    told = len(legacy.subjects(found.notified))
    words = {"taken": found.settings, "kept": found.kept, "told": told, "threads": len(found.threads)}
    left = [{"where": each.where, "what": each.what, "advice": each.advice} for each in found.left]
    lines = [f"imported from {found.source}:"]
    lines += [f"  {key}: {line(str(value), 300)}" for key, value in found.settings.items()]
    lines += [f"  {key}: kept as config.yaml has it, not {line(str(value), 300)} (--force)" for key, value in found.kept.items()]
    if found.notified:
        lines.append(f"  {told} jobs and peers that were announced already are not announced again")
    if len(lines) == 1:
        lines.append("  nothing that is not here already")
    return replace(
        report,
        data={**report.data, "imported": {"from": found.source, **words, "left": left}},
        lines=(*report.lines[:-1], *lines, *report.lines[-1:]),
        problems=(*report.problems, *found.left),
    )


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
    wanted = {"do_email": owner, "syftbox_root": root or None, **_choices(notify_jobs, notify_peers)}
    return {key: value for key, value in wanted.items() if value is not None}


def _choices(notify_jobs: bool | None, notify_peers: bool | None) -> dict[str, bool | None]:
    return {"notify.monitor_jobs": notify_jobs, "notify.monitor_peers": notify_peers}


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
