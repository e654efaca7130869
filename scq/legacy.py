"""Settings and memory of older notification software, read as what scq calls the same things.

Formats: the flat keys of the notification module of syft-client, and `config.yaml` and `notify/state.json` of syft-bg 0.3.
What was approved there is no approval here: an approval of scq covers the content of a whole submission.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from scq.config_keys import BY_PATH, find_key
from scq.errors import InvalidFileError, UsageError
from scq.files import read_bytes
from scq.model import Problem
from scq.routing import PEER_MARKS
from scq.syftbox import expand

CONFIG_NAMES = ("config.yaml", "daemon.yaml")
STATE_NAMES = (
    *("notify/state.json", "notification_state.json", "state.json"),
    *("approve/state.json", "email_approve/state.json", "sync/state.json"),
)
AUTO = "auto"
"""Written in the place of a folder: where older software usually lies."""
USUAL_PLACES = (
    *("~/.syft-bg", "~/.syft-creds", "~/.syft-notifications"),
    *("/content/drive/MyDrive/syft-bg", "/content/drive/MyDrive/syft-creds"),
)
"""The folders of older software, the newest first; the last two are those of Colab."""
TOKENS = {
    "gmail_token_path": ("gmail_token.json", "token.json"),
    "drive_token_path": ("token_do.json", "drive_token.json", "token.json"),
    "credentials_path": ("credentials.json",),
}
"""Where older software keeps sign-ins when its configuration does not say."""
TAKEN = (
    *("do_email", "syftbox_root", "drive_token_path", "gmail_token_path", "credentials_path", "email_format"),
    *("notify_on_new_job", "notify_on_approved", "notify_on_executed", "notify_on_new_peer", "notify_on_peer_granted"),
    *("notify.interval", "notify.monitor_jobs", "notify.monitor_peers"),
    *("notify.heartbeat_enabled", "notify.heartbeat_interval"),
)
"""What an import takes over. Nothing here lets a job run."""
STATE_LIMIT = 64 << 20
NAME_LIMIT = 1_000
"""Characters of a name or a word in an older state file; nobody wrote longer ones."""

_RENAMED = {"email": "do_email", "root": "syftbox_root", "state_path": "state_file"}
_PATHS = (*TOKENS, "syftbox_root", "state_file")
_SERVICES = {
    "email_approve": ("was not taken over: scq reads no answers by mail", "Answer with `scq approve` or `scq reject`."),
    "sync": ("was not taken over: scq has no service that fetches", "The SyftBox client fetches; scq looks at its folder."),
}


class Older(Struct, frozen=True):
    """An older configuration. `values` are named and nested as in config.yaml, paths absolute; `left` says what is not among
    them, and why."""

    values: dict[str, Any]
    left: tuple[Problem, ...] = ()


class OlderState(Struct, frozen=True):
    """An older state file: what was told about whom, and the mail conversation of each job by its name."""

    notified: dict[str, tuple[str, ...]]
    threads: dict[str, str]
    approvals: int
    """How many jobs and peers were approved there."""


class Place(Struct, frozen=True):
    """Where older software keeps its things. An empty `config` means that there is none."""

    folder: str
    config: str
    states: tuple[str, ...]


def find(path: str) -> Place:
    """What lies in a folder of older software, or beside one of its files. Raises UsageError when nothing is there."""
    path = os.path.abspath(path)
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    if not os.path.exists(path):
        raise UsageError(f"{path}: no such file or folder", "Name the folder of the older software, such as ~/.syft-bg.")
    if path != folder and path.endswith(".json"):
        return Place(folder, "", (path,))
    configs = [os.path.join(folder, name) for name in CONFIG_NAMES] if path == folder else [path]
    states = (os.path.join(folder, name) for name in STATE_NAMES)
    config = next((name for name in configs if os.path.lexists(name)), "")
    return Place(folder, config, tuple(name for name in states if os.path.lexists(name)))


def find_usual(env: Mapping[str, str], in_use: Collection[str] = ()) -> Place:
    """The first of the usual places that has a configuration, with the state files of all of them.

    `in_use` are files that are none of older software, links resolved. Raises UsageError when nothing is in any of the places.
    """
    folders = [expand(place, env) for place in USUAL_PLACES]
    found = [_without(find(folder), in_use) for folder in folders if os.path.isdir(folder)]
    first = next((place for place in found if place.config), None) or next((place for place in found if place.states), None)
    if first is None:
        looked = ", ".join(USUAL_PLACES)
        raise UsageError(f"no older software was found in {looked}", "Name its folder: scq init --import FOLDER.")
    return Place(first.folder, first.config, tuple(state for place in found for state in place.states))


def _without(place: Place, in_use: Collection[str]) -> Place:
    config = "" if os.path.realpath(place.config) in in_use else place.config
    return Place(place.folder, config, tuple(state for state in place.states if os.path.realpath(state) not in in_use))


def modern(values: Mapping[str, Any], folder: str, env: Mapping[str, str]) -> Older:
    """Older settings under the names of config.yaml. A relative path is meant from `folder`; unknown keys stay as they are."""
    found: dict[str, Any] = {}
    left: list[Problem] = []
    group = values.get("notify")
    notify = dict(group) if isinstance(group, dict) else {}
    state = notify.pop("notify_state_path", None)
    notify.pop("sync_state_path", None)
    for name, value in values.items():
        if name == "approve":
            left.extend(_approvals(value))
        elif name in _SERVICES:
            left.append(Problem(name, *_SERVICES[name]))
        elif name == "interval":
            notify.setdefault("interval", value)
        elif name != "notify" or not isinstance(group, dict):
            found.setdefault(_RENAMED.get(name, name), value)
    if notify:
        found["notify"] = notify
    if state is not None:
        found.setdefault("state_file", state)
    for name in _PATHS:
        if isinstance(found.get(name), str):
            found[name] = _absolute(found[name], folder, env)
    _usual_root(found, env)
    return Older(found, tuple(left))


def with_usual_tokens(values: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The settings with the sign-ins that lie in the folder, where the configuration names none."""
    found = dict(values)
    for key, names in TOKENS.items():
        paths = (os.path.join(folder, name) for name in names)
        path = next((path for path in paths if os.path.isfile(path)), None)
        if path is not None:
            found.setdefault(key, path)
    return found


def importable(values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """(settings to take over by key path, what else is there and why it is not taken)."""
    taken: dict[str, Any] = {}
    left: list[Problem] = []
    for path, value in _leaves(values):
        if path in TAKEN and value is not None:
            if BY_PATH[path].kind.parse(value) is None:
                left.append(Problem(path, f"was not taken over: it is not {BY_PATH[path].kind.allowed}"))
            else:
                taken[path] = value
        elif path not in TAKEN and path not in ("state_file", "version"):
            known = find_key(path) is not None or path == "channels"
            why = "is not imported; set it yourself if you want it" if known else "means nothing to scq"
            left.append(Problem(path[:100], f"was not taken over: it {why}"))
    return taken, tuple(left)


def read_state(path: str) -> OlderState:
    """An older state file. Raises InvalidFileError when it is none, damaged, or one of scq itself."""
    try:
        values = msgspec.json.decode(read_bytes(os.path.realpath(path), STATE_LIMIT), type=dict[str, msgspec.Raw])
        if "revision" in values:
            raise InvalidFileError(f"{path}: is a state file of scq itself")
        read = {name: msgspec.json.decode(values[name]) for name in _STATE_KEYS if name in values}
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidFileError(f"{path}: is not a state file ({error})") from error
    marks = read.get("notified_jobs", {})
    if not isinstance(marks, dict):
        raise InvalidFileError(f"{path}: its notified_jobs are not a mapping")
    notified = {
        name: tuple(dict.fromkeys(word for word in words if _is_name(word)))
        for name, words in marks.items()
        if _is_name(name) and isinstance(words, list)
    }
    threads = _mapping(read.get("thread_ids"))
    return OlderState(
        _with_peers(notified, read),
        {name: thread for name, thread in threads.items() if _is_name(name) and _is_name(thread)},
        sum(len(_mapping(read.get(name))) for name in ("approved_jobs", "approved_peers")),
    )


_STATE_KEYS = ("notified_jobs", "thread_ids", "approved_jobs", "approved_peers", "peer_snapshot", "snapshot")


def _with_peers(notified: dict[str, tuple[str, ...]], read: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """With the peers that were known there: what they asked was told, or happened before, and so was what was answered."""
    snapshot = _mapping(read.get("snapshot"))
    answered = [name for key in ("approved_jobs", "approved_peers") for name in _mapping(read.get(key))]
    approved = {name.removeprefix("peer_").lower() for name in answered if name.startswith("peer_") and _is_name(name)}
    approved |= set(_addresses(snapshot.get("approved_peer_emails")))
    known = {*approved, *_addresses(read.get("peer_snapshot")), *_addresses(snapshot.get("peer_emails"))}
    marks = dict(notified)
    for kind in ("peer.requested", "peer.request_seen", "peer.granted"):
        entity, word = PEER_MARKS[kind]
        for peer in sorted(approved if kind == "peer.granted" else known):
            name = entity.format(ds=peer)
            marks[name] = tuple(dict.fromkeys((*marks.get(name, ()), word)))
    return marks


def subjects(notified: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The jobs and peers that marks are about: each once, however many marks it has."""
    patterns = (entity.partition("{ds}") for entity, _ in PEER_MARKS.values())
    ends = [(before, after) for before, _, after in patterns if "{" not in after]
    return {
        next((name[len(b) : len(name) - len(a)] for b, a in ends if name.startswith(b) and name.endswith(a)), name)
        for name in notified
    }


def _addresses(value: object) -> list[str]:
    return [name.lower() for name in value if _is_name(name)] if isinstance(value, list) else []


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= NAME_LIMIT


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _absolute(path: str, folder: str, env: Mapping[str, str]) -> str:
    path = expand(path, env)
    return path if path.startswith(("/", "$SCQ_HOME/")) else os.path.normpath(os.path.join(folder, path))


def _usual_root(found: dict[str, Any], env: Mapping[str, str]) -> None:
    """Older software takes `~/SyftBox_<address>` where nothing else is said."""
    email = found.get("do_email")
    if "syftbox_root" not in found and isinstance(email, str) and "/" not in email:
        usual = expand(f"~/SyftBox_{email}", env)
        if email and os.path.isdir(usual):
            found["syftbox_root"] = usual


def _approvals(value: object) -> Iterator[Problem]:
    approve = _mapping(value)
    rules = len(_mapping(_mapping(approve.get("auto_approvals")).get("objects")))
    what = f"{rules} {'rule' if rules == 1 else 'rules'} for automatic approval" if rules else "automatic approval"
    yield Problem(
        "approve",
        f"was not taken over ({what}): scq runs only content that somebody approved",
        "Read each job with `scq review` and approve exactly that content with `scq approve`.",
    )
    if _mapping(approve.get("peers")).get("approved_domains"):
        yield Problem("approve.peers", "was not taken over: scq lets no peers in by itself", "Approve peers in SyftBox.")


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name == "notify" and isinstance(value, dict):
            yield from ((f"notify.{below}", inner) for below, inner in value.items())
        else:
            yield name, value
