"""The permission files of SyftBox, `syft.pub.yaml`: writing who may read a folder's results.

The nearest file at or above a path decides alone; names a file does not list are private to the datasite owner. scq always
writes into the job's own folder, so that patterns never contain the name of a job.
Format: syft-permissions 0.1.15, written as syft-perms does (sorted keys, `terminal` always there); docs/layouts.md.
"""

from __future__ import annotations

import os
from typing import Any

from scq.errors import InvalidFileError
from scq.files import read_text, write_atomic
from scq.formats import dump_yaml, parse_yaml

FILE_NAME = "syft.pub.yaml"


def rule(pattern: str, *, read: tuple[str, ...] = (), write: tuple[str, ...] = (), admin: tuple[str, ...] = ()) -> dict[str, Any]:
    """One rule: a glob relative to the folder of the file, and the addresses per level."""
    return {"access": {"admin": list(admin), "read": list(read), "write": list(write)}, "pattern": pattern}


def read_rules(folder: str) -> list[dict[str, Any]]:
    """The usable rules of a folder's own permission file; empty when there is none or it is damaged."""
    try:
        value = parse_yaml(read_text(os.path.join(folder, FILE_NAME)), FILE_NAME)
    except InvalidFileError:
        return []
    rules = value.get("rules")
    if not isinstance(rules, list):
        return []
    return [item for item in rules if isinstance(item, dict) and isinstance(item.get("pattern"), str)]


def write_rules(folder: str, rules: list[dict[str, Any]]) -> None:
    """Replace the permission file of a folder, unless it says so already."""
    if rules and read_rules(folder) == rules:
        return
    write_atomic(os.path.join(folder, FILE_NAME), dump_yaml({"rules": rules, "terminal": False}), mode=0o644)


def grant_read(folder: str, pattern: str, address: str) -> None:
    """Let an address read what matches `pattern` in a folder; other rules stay. Idempotent."""
    rules = read_rules(folder)
    for item in rules:
        if item["pattern"] == pattern:
            access = item["access"] if isinstance(item.get("access"), dict) else {}
            readers = access["read"] if isinstance(access.get("read"), list) else []
            item["access"] = access | {"read": readers if address in readers else [*readers, address]}
            break
    else:
        rules = [*rules, rule(pattern, read=(address,))]
    write_rules(folder, rules)


def revoke_read(folder: str, pattern: str, address: str) -> None:
    """Take back what `grant_read` gave. Idempotent."""
    rules = read_rules(folder)
    for item in rules:
        access = item.get("access")
        if item["pattern"] == pattern and isinstance(access, dict):
            readers = access.get("read")
            if isinstance(readers, list):
                access["read"] = [reader for reader in readers if reader != address]
    write_rules(folder, rules)
