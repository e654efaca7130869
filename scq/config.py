"""The settings of one call: config.yaml, environment, command line and the SyftBox client's own configuration, checked.

docs/configuration.md lists every key. Every problem is found in one go; what cannot be used stops the call, a key nobody
knows is only a warning.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from scq.config_channels import CHANNEL_KEYS, SECRETS, ChannelSetting, as_values, channel_keys, lacking
from scq.config_cluster import cluster_errors, cluster_notes
from scq.config_file import read_values
from scq.config_keys import (
    ALIASES,
    BY_PATH,
    CHANNELS,
    GROUPS,
    KEYS,
    SHORTHANDS,
    find_key,
    nearest,
)
from scq.config_kinds import ADDRESS, CHANNEL_NAME, CREDENTIALS, DURATION, Key, Kind
from scq.config_values import Automation, AutoRelease, Config, Drive, Health, Log, Notify, Slurm
from scq.errors import ConfigError
from scq.model import DataFolder, Placement, Problem
from scq.syftbox import ClientConfig, expand, identity_of, lies_inside, read_client_config

PLACES = ("drive_token_path", "gmail_token_path", "credentials_path")
"""Paths whose defaults lie in `$SCQ_HOME`."""
TIMEOUT_VARIABLE = "SYFT_DEFAULT_JOB_TIMEOUT_SECONDS"
FILE_NAME = "config.yaml"
HOLDERS: dict[str, tuple[str, Callable[..., Any]]] = {
    "notify": ("notify", Notify),
    "auto_release": ("auto_release", AutoRelease),
    "health": ("health", Health),
    "drive": ("drive", Drive),
    "log": ("log", Log),
    "approve": ("automation", Automation),
    "executor.slurm": ("slurm", Slurm),
}
"""Group in the file to the attribute of `Config` that holds it, and what that is made of."""


class Loaded(Struct, frozen=True):
    """What was found. `problems` are the warnings, and the errors first when the load was not strict."""

    config: Config
    problems: tuple[Problem, ...]
    source: str
    """The file read; empty when there is none."""
    origins: dict[str, str]
    """Where the value of a key comes from, by key path; a key that is not here is at its default."""
    errors: tuple[Problem, ...] = ()


class KeyInfo(Struct, frozen=True):
    """One line of the key list: path, type, default as config.yaml would spell it, meaning."""

    path: str
    type: str
    default: Any
    meaning: str


def load(
    path: str, env: Mapping[str, str], overrides: Mapping[str, str | None], *, home: str = "", strict: bool = True
) -> Loaded:
    """The settings of a call. `overrides` are `email` and `root` of the command line; `home` defaults to the file's folder.

    A missing file means defaults. Raises ConfigError naming every problem, one per line; when not `strict` these become
    problems and the defaults stand in their place.
    """
    home = home or os.path.dirname(os.path.abspath(path))
    found: dict[str, Any] | None = None
    damage: tuple[Problem, ...] = ()
    try:
        found = read_values(path, home)
    except ConfigError as error:
        if strict:
            raise
        damage = (Problem(path, str(error).removeprefix(f"{path}: "), error.advice),)
    loaded = judge(found or {}, path, env, overrides, home=home)
    if loaded.errors and strict:
        lines = [f"{problem.where}: {problem.what}" for problem in loaded.problems]
        raise ConfigError("\n".join(lines), f"Correct {path}; `scq config validate` checks it.")
    return msgspec.structs.replace(
        loaded,
        source="" if found is None else path,
        errors=(*damage, *loaded.errors),
        problems=(*damage, *loaded.problems),
    )


def judge(
    values: Mapping[str, Any], path: str, env: Mapping[str, str], overrides: Mapping[str, str | None], *, home: str
) -> Loaded:
    """What values of a config.yaml would mean, with every error found; `path` only gives the name shown in messages."""
    findings = _Findings(path, env, home)
    findings.walk(values, "")
    findings.routes()
    _add_timeout(findings, env)
    _add_place(findings, env, overrides)
    root = findings.values.get("syftbox_root")
    if root and lies_inside(home, root):
        # What lies in the SyftBox folder is sent to others: the ledger and the sign-in tokens must never be there.
        findings.errors.append(Problem(home, f"lies inside the SyftBox folder {root}", "Choose another one: --home or SCQ_HOME."))
    config = findings.config()
    findings.errors.extend(cluster_errors(config, home, findings.name))
    findings.warnings.extend(cluster_notes(findings.values, findings.name))
    errors = tuple(findings.errors)
    return Loaded(config, (*errors, *findings.warnings), "", findings.origins, errors)


class _Findings:
    """Walks the values found and sorts them into settings, errors and warnings."""

    def __init__(self, path: str, env: Mapping[str, str], home: str) -> None:
        self.name = os.path.basename(path)
        self.env = env
        self.home = home
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.origins: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        """By key path."""
        self.channels: tuple[ChannelSetting, ...] | None = None

    def walk(self, values: Mapping[str, Any], prefix: str) -> None:
        for name, value in values.items():
            spelled = prefix + name
            path = ALIASES.get(spelled, spelled)
            if not isinstance(value, dict) and path in SHORTHANDS:
                first, *others = SHORTHANDS[path]
                for other in others:
                    self.setting(BY_PATH[other], spelled, value)
                path = first
            if value is None and (path in BY_PATH or path in GROUPS or path == CHANNELS):
                continue
            if path in BY_PATH:
                self.setting(BY_PATH[path], spelled, value)
            elif path == CHANNELS:
                self.all_channels(value)
            elif path in GROUPS and isinstance(value, dict):
                self.walk(value, path + ".")
            elif path in GROUPS:
                self.error(spelled, value, "a group of settings, indented below it", secret=path == "health")
            else:
                self.unknown(spelled, nearest(spelled))

    def setting(self, key: Key, spelled: str, value: Any) -> None:
        if key.path in self.values:
            self.error(spelled, value, f"one of the spellings of {key.path}, not both")
            return
        parsed = self.checked(key.kind, spelled, value, secret=key.path == "health.url")
        if parsed is not None:
            self.values[key.path] = parsed
            self.origins[key.path] = self.name

    def checked(self, kind: Kind, spelled: str, value: Any, *, secret: bool = False) -> Any:
        parsed = kind.parse(value)
        if parsed is None and isinstance(value, dict):
            # Of a mapping only what is wrong by itself is worth showing.
            value = next(({word: entry} for word, entry in value.items() if kind.parse({word: entry}) is None), value)
        if parsed is None and isinstance(value, list) and len(value) <= 100:
            value = next(([entry] for entry in value if kind.parse([entry]) is None), value)
        if parsed is None:
            self.error(spelled, value, kind.allowed, secret=secret)
        return self.expanded(parsed) if kind.name == "path" and parsed is not None else parsed

    def expanded(self, path: str) -> str:
        if path.startswith("$SCQ_HOME/"):
            path = self.home + path.removeprefix("$SCQ_HOME")
        if path.startswith(CREDENTIALS):
            handed_over = self.env.get("CREDENTIALS_DIRECTORY", "")
            if not handed_over:
                return path  # called by hand: whoever needs the file says by this name that it is not there
            path = os.path.join(handed_over, path.removeprefix(CREDENTIALS))
        return os.path.abspath(expand(path, self.env))

    def all_channels(self, value: Any) -> None:
        if not isinstance(value, dict):
            self.error(CHANNELS, value, "channel names with their settings, indented below it", secret=True)
            return
        before = self.channels or ()
        for name in {channel.name for channel in before} & {str(name) for name in value}:
            self.error(f"{CHANNELS}.{name}", name, "one place only: below `channels`")
        self.channels = (*before, *(self.channel(name, entry) for name, entry in value.items()))
        self.origins[CHANNELS] = self.name

    def channel(self, name: str, entry: Any) -> ChannelSetting:
        """One channel. What it cannot use or lacks is an error, what it does not know a warning."""
        where = f"{CHANNELS}.{name}"
        if CHANNEL_NAME.parse(name) is None:
            self.error(where[:80], name, CHANNEL_NAME.allowed)
        if not isinstance(entry, dict) or "type" not in entry:
            self.error(where, entry, "settings with a `type`, indented below it", secret=True)
            return ChannelSetting(str(name))
        allowed = channel_keys(entry["type"])
        parsed: dict[str, Any] = {"path": self.expanded(ChannelSetting().path)}
        for word, value in entry.items():
            if word not in allowed:
                self.unknown(f"{where}.{word}", "")
            elif value is not None:
                checked = self.checked(allowed[word].kind, f"{where}.{word}", value, secret=word in SECRETS)
                parsed.update({} if checked is None else {allowed[word].attribute: checked})
        setting = ChannelSetting(name=str(name), **parsed)
        for word, wanted in lacking(setting):
            value = getattr(setting, allowed[word].attribute)
            if value:
                self.error(f"{where}.{word}", value, wanted, secret=word in SECRETS)
            else:
                self.errors.append(Problem(f"{self.name}: {where}.{word}", f"is missing: {wanted}"))
        return setting

    def routes(self) -> None:
        """Routing may only name channels that are there."""
        channels = (ChannelSetting(),) if self.channels is None else self.channels
        known = {channel.name for channel in channels}
        for path in ("routing.levels", "routing.events", "routing.order"):
            found = self.values.get(path, ())
            names = found if isinstance(found, tuple) else [name for entry in found.values() for name in entry]
            for name in names:
                if name not in known:
                    self.error(path, name, f"one of your channels: {', '.join(sorted(known)) or 'there are none'}")

    def error(self, spelled: str, value: Any, allowed: str, *, secret: bool = False) -> None:
        shown = "(hidden)" if secret else msgspec.json.encode(value).decode("utf-8")
        shown = shown if len(shown) <= 80 else shown[:79] + "…"
        self.errors.append(Problem(f"{self.name}: {spelled}", f"{shown} is not allowed: {allowed}"))

    def unknown(self, spelled: str, close: str) -> None:
        advice = f"Did you mean {close}?" if close else "`scq config show` lists every key."
        self.warnings.append(Problem(f"{self.name}: {spelled[:200]}", "is not a known key and is ignored", advice))

    def config(self) -> Config:
        """The settings found, defaults for the rest; paths in defaults are expanded too."""
        own: dict[str, Any] = {name: self.expanded(getattr(Config(), name)) for name in PLACES}
        groups: dict[str, dict[str, Any]] = {name: {} for name in HOLDERS}
        for path, value in self.values.items():
            groups.get(path.rpartition(".")[0], own)[BY_PATH[path].attribute] = value
        mailbox = ChannelSetting(path=self.expanded(ChannelSetting().path))
        own["channels"] = (mailbox,) if self.channels is None else self.channels
        if "data" in own:
            own["data"] = tuple(DataFolder(**{**entry, "path": self.expanded(entry["path"])}) for entry in own["data"])
        slurm = groups["executor.slurm"]
        if "rules" in slurm:
            slurm["rules"] = tuple(Placement(**entry) for entry in slurm["rules"])
        return Config(**own, **{attribute: made(**groups[name]) for name, (attribute, made) in HOLDERS.items()})


def _add_timeout(findings: _Findings, env: Mapping[str, str]) -> None:
    value = env.get(TIMEOUT_VARIABLE, "")
    if not value or "job_timeout" in findings.values:
        return
    seconds = DURATION.parse(value)
    if seconds is None:
        findings.errors.append(Problem(TIMEOUT_VARIABLE, f"{value[:80]!a} is not allowed: {DURATION.allowed}"))
        return
    findings.values["job_timeout"] = seconds
    findings.origins["job_timeout"] = TIMEOUT_VARIABLE


def _add_place(findings: _Findings, env: Mapping[str, str], overrides: Mapping[str, str | None]) -> None:
    """Root and address: command line, own variables, config.yaml, SyftBox's variables, the client's file, what is there."""
    file_email, file_root = findings.values.get("do_email"), findings.values.get("syftbox_root")
    emails = [("--email", overrides.get("email")), ("SCQ_EMAIL", env.get("SCQ_EMAIL"))]
    roots = [("--root", overrides.get("root")), ("SCQ_ROOT", env.get("SCQ_ROOT"))]
    if not file_email:
        emails.append(("SYFTBOX_EMAIL", env.get("SYFTBOX_EMAIL")))
    if not file_root:
        roots.append(("SYFTBOX_FOLDER", env.get("SYFTBOX_FOLDER")))
    email = next((pair for pair in emails if pair[1]), None)
    root = next((pair for pair in roots if pair[1]), None)
    if email and email[1]:
        _take(findings, "do_email", _checked_email(findings, email[0], email[1]), email[0])
    if root and root[1]:
        _take(findings, "syftbox_root", os.path.abspath(expand(root[1], env)), root[0])
    if "do_email" not in findings.values or "syftbox_root" not in findings.values:
        _add_client(findings, env, read_client_config(env))
    if "do_email" not in findings.values:
        _take(findings, "do_email", identity_of(findings.values.get("syftbox_root", "")), "the SyftBox folder")


def _checked_email(findings: _Findings, origin: str, value: str) -> str:
    email: str | None = ADDRESS.parse(value)
    if email is None:
        findings.errors.append(Problem(origin, f"{value[:80]!a} is not allowed: {ADDRESS.allowed}"))
    return email or ""


def _add_client(findings: _Findings, env: Mapping[str, str], client: ClientConfig) -> None:
    findings.warnings.extend(client.problems)
    if "do_email" not in findings.values:
        _take(findings, "do_email", client.email, client.path)
    if "syftbox_root" not in findings.values:
        usual = expand("~/SyftBox", env)
        found = (client.root, client.path) if client.root else (usual if os.path.isdir(usual) else "", "~/SyftBox")
        _take(findings, "syftbox_root", *found)


def _take(findings: _Findings, path: str, value: str, origin: str) -> None:
    if value:
        findings.values[path] = value
        findings.origins[path] = origin


def keys() -> list[KeyInfo]:
    """Every key of config.yaml with type, default and meaning; drives `scq config show` and docs/configuration.md."""
    config = Config()
    found = []
    for key in KEYS:
        holder = _holder(config, key.path)
        found.append(KeyInfo(key.path, key.kind.name, msgspec.to_builtins(getattr(holder, key.attribute)), key.meaning))
    for key in CHANNEL_KEYS.values():
        default = getattr(ChannelSetting(), key.attribute)
        found.append(KeyInfo(f"{CHANNELS}.NAME.{key.path}", key.kind.name, default, key.meaning))
    return found


def value_of(config: Config, path: str) -> Any:
    """The value in force of a key path (any accepted spelling) as JSON types; KeyError when there is no such key."""
    key = find_key(path)
    if key is None:
        raise KeyError(path)
    if key.path.startswith(CHANNELS + "."):
        name = key.path.split(".")[1]
        channel = next((item for item in config.channels if item.name == name), None)
        if channel is None:
            return None
        return getattr(channel, key.attribute) if key.attribute else as_values(channel)
    return msgspec.to_builtins(getattr(_holder(config, key.path), key.attribute))


def _holder(config: Config, path: str) -> Any:
    """What holds the setting of a path: the settings themselves, or one of their groups."""
    group = path.rpartition(".")[0]
    return getattr(config, HOLDERS[group][0]) if group in HOLDERS else config
