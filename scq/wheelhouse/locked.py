"""What uv installed for a project: the packages of the environment it made, with the hashes of its lock file."""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from scq.errors import DependencyError, InvalidFileError
from scq.files import read_text
from scq.requirements.standards import parse_toml
from scq.wheelhouse.store import PLAIN_NAME, Package, parse_wheel_name

LOCK_LIMIT = 8 << 20


def installed(folder: str) -> tuple[Package, ...]:
    """Every package in `.venv` of a project folder.

    Where the lock does not tell which file was taken, hash and file name are empty.
    """
    if not real_folder(os.path.dirname(folder), os.path.basename(folder)):
        return ()
    try:
        locked = parse_toml(read_text(os.path.join(folder, "uv.lock"), LOCK_LIMIT), "uv.lock").get("package", [])
    except InvalidFileError:
        locked = []
    entries = [entry for entry in locked if isinstance(entry, dict)] if isinstance(locked, list) else []
    files = {(str(entry.get("name")), str(entry.get("version"))): entry.get("wheels", []) for entry in entries}
    found = []
    for place in _places(folder):
        base = os.path.basename(place)
        if not PLAIN_NAME.fullmatch(base):
            raise DependencyError(f"{ascii(base)[1:-1][:100]}: is not the name of a package", "Ask for other packages.")
        name, _, version = base.removesuffix(".dist-info").rpartition("-")
        name = re.sub(r"[-_.]+", "-", name).lower()
        file, sha256 = _taken(files.get((name, version), []), _tags(place))
        found.append(Package(name, version, sha256, file))
    return tuple(sorted(found))


def real_folder(base: str, below: str) -> bool:
    """Whether every component of the path `below` (relative, not leading out of `base`) is a folder of its own and no link."""
    path = base
    for part in below.split("/"):
        path = os.path.join(path, part)
        if part == ".." or not os.path.lexists(path) or not stat.S_ISDIR(os.lstat(path).st_mode):
            return False
    return True


def _places(folder: str) -> list[str]:
    """Every `.dist-info` of the environment in a folder; what is reached through a link does not count."""
    library = os.path.join(folder, ".venv", "lib")
    found: list[str] = []
    if not real_folder(os.path.dirname(folder), f"{os.path.basename(folder)}/.venv/lib"):
        return found
    for python in os.listdir(library):
        packages = os.path.join(library, python, "site-packages")
        if python.startswith("python3") and real_folder(library, f"{python}/site-packages"):
            infos = (name for name in os.listdir(packages) if name.endswith(".dist-info"))
            found += (os.path.join(packages, name) for name in infos if real_folder(packages, name))
    return found


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
