"""The permission files of SyftBox, `syft.pub.yaml`: writing who may read or fill a folder.

The nearest file at or above a path decides alone; names a file does not list are private to the datasite owner. scq always
writes into the folder it is about, so that patterns never contain the name of a job or an address.
Format: syft-permissions 0.1.15, written as syft-perms does (sorted keys, `terminal` always there); docs/layouts.md.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from scq.errors import InvalidFileError
from scq.files import read_text, write_atomic
from scq.formats import dump_yaml, parse_yaml

FILE_NAME = "syft.pub.yaml"
Level = Literal["read", "write", "admin"]


def rule(pattern: str, *, read: tuple[str, ...] = (), write: tuple[str, ...] = (), admin: tuple[str, ...] = ()) -> dict[str, Any]:
    """One rule: a glob relative to the folder of the file, and the addresses per level."""
    return {"access": {"admin": list(admin), "read": list(read), "write": list(write)}, "pattern": pattern}


def read_rules(folder: str) -> list[dict[str, Any]]:
    """The usable rules of a folder's own permission file; empty when there is none or it is damaged."""
    return _usable(_read(folder))


def write_rules(folder: str, rules: list[dict[str, Any]], *, terminal: bool = False) -> None:
    """Replace the permission file of a folder, unless it says so already. `terminal`: files further down do not count."""
    there = _read(folder)
    if rules and _usable(there) == rules and (there.get("terminal") is True) == terminal:
        return
    write_atomic(os.path.join(folder, FILE_NAME), dump_yaml({"rules": rules, "terminal": terminal}), mode=0o644)


def grant(folder: str, pattern: str, address: str, level: Level) -> None:
    """Give an address one level for what matches `pattern` in a folder; all else in the file stays. Idempotent."""
    there = _read(folder)
    rules = _usable(there)
    for item in rules:
        if item["pattern"] == pattern:
            access = item["access"] if isinstance(item.get("access"), dict) else {}
            listed = access[level] if isinstance(access.get(level), list) else []
            item["access"] = access | {level: listed if address in listed else [*listed, address]}
            break
    else:
        rules = [*rules, rule(pattern, **{level: (address,)})]
    write_rules(folder, rules, terminal=there.get("terminal") is True)


def grant_read(folder: str, pattern: str, address: str) -> None:
    """Let an address read what matches `pattern` in a folder; as `grant`."""
    grant(folder, pattern, address, "read")


def _read(folder: str) -> dict[str, Any]:
    try:
        return parse_yaml(read_text(os.path.join(folder, FILE_NAME)), FILE_NAME)
    except InvalidFileError:
        return {}


def _usable(content: dict[str, Any]) -> list[dict[str, Any]]:
    rules = content.get("rules")
    if not isinstance(rules, list):
        return []
    return [item for item in rules if isinstance(item, dict) and isinstance(item.get("pattern"), str)]
