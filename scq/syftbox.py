"""The configuration of the SyftBox client on this machine: where the SyftBox folder is and whose it is.

Format: JSON written by the SyftBox client and by syft-core 0.2.8 (docs/layouts.md). Read only, never written. The tokens
in that file are never kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from msgspec import Struct

from scq.config_kinds import is_owner_address
from scq.errors import InvalidFileError
from scq.files import read_text
from scq.formats import parse_json
from scq.model import Problem

VARIABLE = "SYFTBOX_CLIENT_CONFIG_PATH"
LEGACY_NAME = "client_config.json"


class ClientConfig(Struct, frozen=True):
    """What the client says: lower-case address and absolute folder, each empty when it does not say. `path` is the file."""

    path: str = ""
    email: str = ""
    root: str = ""
    problems: tuple[Problem, ...] = ()


def expand(path: str, env: Mapping[str, str]) -> str:
    """`~` and `~/…` below the `HOME` of `env`; any other path as it is."""
    if path != "~" and not path.startswith("~/"):
        return path
    home = env.get("HOME") or os.path.expanduser("~")
    return home + path[1:]


def lies_inside(inner: str, outer: str) -> bool:
    """True when a folder is another one or lies below it, links resolved; also below another name of it, as a mount gives."""
    path, below = os.path.realpath(inner), os.path.realpath(outer)
    if (path + "/").startswith(below.rstrip("/") + "/"):
        return True
    try:
        whole = os.stat(below)
    except OSError:  # what is not there, or may not be looked at, holds nothing
        return False
    while path != "/":
        path, found = os.path.dirname(path), _stat(path)
        if found is not None and os.path.samestat(found, whole):
            return True
    return False


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def read_client_config(env: Mapping[str, str]) -> ClientConfig:
    """The client's configuration file; empty when there is none. Never raises for what the file holds: that is a problem."""
    named = env.get(VARIABLE, "")
    path = os.path.realpath(expand(named or "~/.syftbox/config.json", env))
    if not os.path.lexists(path):
        path = os.path.join(os.path.dirname(path), LEGACY_NAME)
    if not os.path.lexists(path):
        if not named:
            return ClientConfig()
        return ClientConfig(
            problems=(Problem(named, f"is named by {VARIABLE} but is not there", f"Correct or unset {VARIABLE}."),)
        )
    try:
        found = parse_json(read_text(os.path.realpath(path)), path)
    except InvalidFileError as error:
        what = str(error).removeprefix(f"{path}: ")
        return ClientConfig(path, problems=(Problem(path, what, "Set do_email and syftbox_root with `scq init` instead."),))
    problems: list[Problem] = []
    email = _email(found.get("email"), path, problems)
    root = _root(found.get("data_dir", found.get("sync_folder", "~/SyftBox")), path, env, problems)
    return ClientConfig(path, email, root, tuple(problems))


def _email(value: object, path: str, problems: list[Problem]) -> str:
    if isinstance(value, str) and is_owner_address(value.strip()):
        return value.strip().lower()
    problems.append(Problem(path, "email is missing or not an e-mail address", "Set do_email with `scq init --email`."))
    return ""


def _root(value: object, path: str, env: Mapping[str, str], problems: list[Problem]) -> str:
    if isinstance(value, str) and value.isprintable():
        folder = expand(value, env)
        if os.path.isabs(folder):
            return os.path.abspath(folder)
    problems.append(Problem(path, "data_dir is not an absolute path", "Set syftbox_root with `scq init --root`."))
    return ""


def identity_of(root: str) -> str:
    """Whose SyftBox folder this is: from its name `SyftBox_<email>`, else the only person's folder in it; empty when unclear."""
    named = os.path.basename(root).removeprefix("SyftBox_")
    if named != os.path.basename(root) and is_owner_address(named):
        return named.lower()
    people: set[str] = set()
    for folder in (root, os.path.join(root, "datasites")):
        try:
            with os.scandir(folder) as entries:
                people.update(
                    entry.name.lower() for entry in entries if "@" in entry.name and entry.is_dir(follow_symlinks=False)
                )
        except OSError:
            # Not there or not readable: the look itself says so, here it only means that nobody was found.
            continue
    only = next(iter(people)) if len(people) == 1 else ""
    return only if is_owner_address(only) else ""
