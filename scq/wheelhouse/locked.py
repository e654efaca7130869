"""What uv installed for a project: the packages of the environment it made, with the hashes of its lock file."""

from __future__ import annotations

import os
import re
from glob import glob
from typing import Any

from scq.errors import DependencyError, InvalidFileError
from scq.files import read_text
from scq.requirements.standards import parse_toml
from scq.wheelhouse.store import Package, parse_wheel_name

LOCK_LIMIT = 8 << 20


def installed(folder: str) -> tuple[Package, ...]:
    """Every package in `.venv` of a project folder.

    Where the lock does not tell which file was taken, hash and file name are empty.
    """
    try:
        locked = parse_toml(read_text(os.path.join(folder, "uv.lock"), LOCK_LIMIT), "uv.lock").get("package", [])
    except InvalidFileError:
        locked = []
    entries = [entry for entry in locked if isinstance(entry, dict)] if isinstance(locked, list) else []
    files = {(str(entry.get("name")), str(entry.get("version"))): entry.get("wheels", []) for entry in entries}
    found = []
    for place in glob(os.path.join(glob_escape(folder), ".venv", "lib", "python3*", "site-packages", "*.dist-info")):
        name, _, version = os.path.basename(place).removesuffix(".dist-info").rpartition("-")
        name = re.sub(r"[-_.]+", "-", name).lower()
        file, sha256 = _taken(files.get((name, version), []), _tags(place))
        found.append(Package(name, version, sha256, file))
    return tuple(sorted(found))


def glob_escape(folder: str) -> str:
    """A folder as a pattern that means nothing but itself."""
    return re.sub(r"([*?[])", r"[\1]", folder)


def _tags(place: str) -> frozenset[str]:
    try:
        text = read_text(os.path.join(place, "WHEEL"))
    except InvalidFileError:
        return frozenset()
    return frozenset(re.findall(r"(?m)^Tag: *(\S+)\s*$", text))


def _taken(wheels: Any, tags: frozenset[str]) -> tuple[str, str]:
    """File name and sha256 of the one wheel with these tags; empty when there is none or more than one."""
    from packaging.utils import parse_wheel_filename

    fitting = set()
    for wheel in wheels if isinstance(wheels, list) else []:
        if not isinstance(wheel, dict):
            continue
        file = str(wheel.get("url", "")).rpartition("/")[2]
        try:
            parse_wheel_name(file)
        except DependencyError:
            continue
        if {str(tag) for tag in parse_wheel_filename(file)[3]} == tags or len(wheels) == 1:
            fitting.add((file, str(wheel.get("hash", "")).removeprefix("sha256:")))
    return fitting.pop() if len(fitting) == 1 else ("", "")
