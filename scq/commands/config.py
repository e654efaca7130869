"""`scq config show|get|set|validate|path`: the settings in force, and changing one of them safely."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import msgspec

from scq.config import Loaded, judge, keys, load, value_of
from scq.config_channels import SECRETS, channel_keys
from scq.config_file import parse, plan_change, write_change
from scq.config_keys import BY_PATH, CHANNELS, GROUPS, find_key, nearest
from scq.config_kinds import Key
from scq.context import Context
from scq.errors import CONFIG, OK, ConfigError, UsageError
from scq.model import Problem
from scq.report import Report
from scq.store import exclusive

HIDDEN = "(hidden)"


def show(ctx: Context) -> Report:
    """Every key with its value in force, where that comes from, and what the key means."""
    loaded = _load(ctx)
    settings = list(_settings(ctx, loaded))
    width = max(len(str(setting["key"])) for setting in settings)
    lines = [f"{setting['key']:<{width}}  {_shown(setting['value'])}  ({setting['origin']})" for setting in settings]
    return Report("config show", {"path": ctx.config_path, "settings": settings}, tuple(lines), loaded.problems)


def get(ctx: Context, key: str) -> Report:
    """The value in force of one key. Raises UsageError for a key nobody knows."""
    found = _known(key)
    value = _in_force(ctx, found.path)
    return Report("config get", {"key": found.path, "value": value}, (_shown(value),))


def set_(ctx: Context, key: str, value: str, *, dry_run: bool = False) -> Report:
    """Write one key into config.yaml after checking it; the version before is kept.

    `value` is read as YAML, so lists and numbers can be given. Raises UsageError when it is not allowed, ConfigError when
    config.yaml is damaged.
    """
    found = _known(key)
    setting = _allowed(found, value)
    if dry_run:
        change = plan_change(ctx.config_path, {found.path: setting})
        _refuse_new_errors(ctx, change.values)
        backup = ""
    else:
        with exclusive(os.path.join(ctx.home, "locks", "config.lock"), ctx.config.lock_timeout):
            change = plan_change(ctx.config_path, {found.path: setting})
            _refuse_new_errors(ctx, change.values)
            backup = write_change(change, ctx.now())
    setting = _without_secrets(found.path, setting)
    data = {"key": found.path, "value": setting, "changed": change.text is not None, "backup": backup, "dry_run": dry_run}
    problems: tuple[Problem, ...] = ()
    if not change.kept_form:
        problems = (Problem(ctx.config_path, "was written anew without its comments", "The backup still has them."),)
    return Report("config set", data, (_told(found.path, setting, changed=change.text is not None, dry_run=dry_run),), problems)


def validate(ctx: Context) -> Report:
    """Check config.yaml and everything else settings come from. Exit 78 when something cannot be used."""
    loaded = _load(ctx)
    errors = tuple(f"{problem.where}: {problem.what}" for problem in loaded.errors)
    warnings = tuple(problem for problem in loaded.problems if problem not in loaded.errors)
    data = {
        "path": ctx.config_path,
        "exists": os.path.lexists(ctx.config_path),
        "errors": [_as_dict(problem) for problem in loaded.errors],
        "warnings": [_as_dict(problem) for problem in warnings],
    }
    where = ctx.config_path if data["exists"] else f"{ctx.config_path} is not there, the defaults hold"
    lines = () if errors else (f"{where}: fine" if data["exists"] else where,)
    return Report("config validate", data, lines, warnings, CONFIG if errors else OK, errors)


def path(ctx: Context) -> Report:
    """Where config.yaml is, whether it exists or not."""
    data = {"path": ctx.config_path, "exists": os.path.lexists(ctx.config_path)}
    return Report("config path", data, (ctx.config_path,))


def _load(ctx: Context) -> Loaded:
    """The settings once more, this time with every error and the origins."""
    return load(ctx.config_path, ctx.env, {}, home=ctx.home, strict=False)


def _settings(ctx: Context, loaded: Loaded) -> Iterator[dict[str, Any]]:
    for info in keys():
        for name in _names(ctx, info.path):
            value = _in_force(ctx, name)
            group = CHANNELS if name.startswith(CHANNELS) else name
            origin = loaded.origins.get(group, "default")
            if name in ("do_email", "syftbox_root") and value != value_of(loaded.config, name):
                origin = "command line"
            yield {
                "key": name,
                "value": value,
                "origin": origin,
                "default": info.default,
                "type": info.type,
                "meaning": info.meaning,
            }


def _names(ctx: Context, path: str) -> tuple[str, ...]:
    if ".NAME." not in path:
        return (path,)
    name = path.rpartition(".")[2]
    return tuple(path.replace("NAME", channel.name) for channel in ctx.config.channels if name in channel_keys(channel.type))


def _in_force(ctx: Context, path: str) -> Any:
    value = value_of(ctx.config, path)
    value = _without_secrets(path, value)
    return value or os.path.join(ctx.home, "state.json") if path == "state_file" else value


def _without_secrets(path: str, value: Any) -> Any:
    """A value as it may be shown: what holds a secret itself is hidden, also inside a whole channel."""
    if isinstance(value, dict):
        return {word: _without_secrets(f"{path}.{word}", entry) for word, entry in value.items()}
    return HIDDEN if value and is_secret(path) else value


def is_secret(path: str) -> bool:
    """True for settings that hold a secret themselves, instead of the name of its place."""
    return path == "health.url" or (path.startswith(CHANNELS + ".") and path.rpartition(".")[2] in SECRETS)


def _known(key: str) -> Key:
    found = find_key(key)
    if found is not None:
        return found
    if key in GROUPS:
        members = ", ".join(path for path in BY_PATH if path.startswith(f"{key}."))
        raise UsageError(f"{key} is a group of keys", f"Name one of them: {members}.")
    close = nearest(key)
    advice = f"Did you mean {close}?" if close else "`scq config show` lists every key."
    raise UsageError(f"{key[:100]!a} is not a known key", advice)


def _allowed(key: Key, text: str) -> Any:
    """The value to write. Read as YAML first, as it will be in the file; as plain text where that is not allowed."""
    candidates: list[Any] = []
    try:
        found = parse(f"value: {text}", "the value")
        candidates += found.values() if len(found) == 1 else ()
    except ConfigError:
        # Plain text that is not YAML, such as `a: b`; it is written in quotes.
        pass
    candidates.append(text)
    for candidate in candidates:
        if candidate is not None and key.kind.parse(candidate) is not None:
            return candidate
    shown = HIDDEN if is_secret(key.path) else ascii(text[:100])
    raise UsageError(f"{key.path}: {shown} is not allowed", f"Allowed: {key.kind.allowed}.")


def _refuse_new_errors(ctx: Context, values: dict[str, Any]) -> None:
    """A setting may be allowed by itself and still leave the file incomplete, such as a channel without a type."""
    before = _load(ctx).errors
    after = judge(values, ctx.config_path, ctx.env, {}, home=ctx.home).errors
    new = [problem for problem in after if problem not in before]
    if new:
        lines = "\n".join(f"{problem.where}: {problem.what}" for problem in new)
        advice = "Nothing was written. A channel is set with all it needs: scq config set channels.NAME '{type: …}'."
        raise UsageError(lines, advice if CHANNELS in lines else "Set what is missing first; nothing was written.")


def _told(key: str, setting: Any, *, changed: bool, dry_run: bool) -> str:
    if not changed:
        return f"{key} is {_shown(setting)} already"
    return f"{key} {'would be' if dry_run else 'is now'} {_shown(setting)}"


def _shown(value: Any) -> str:
    """One line a person can read and YAML can read back."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode("utf-8")


def _as_dict(problem: Problem) -> dict[str, str]:
    return {"where": problem.where, "what": problem.what, "advice": problem.advice}
