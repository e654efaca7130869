"""What a uv.lock may name: packages of the index in use, fetched from the places of that index. Pure.

uv fetches whatever address a lock gives for a file, so every one of them is checked. Source of the format: locks as
uv 0.11 writes them (`version = 1`) and its documentation of projects.
"""

from __future__ import annotations

import re
from typing import Any

from scq.clean import line as shown
from scq.errors import DependencyError
from scq.requirements.standards import parse_toml

PUBLIC = "https://pypi.org/simple"
PUBLIC_FILES = "files.pythonhosted.org"
"""Where the public index keeps its files."""
_TOP = {
    "version",
    "revision",
    "requires-python",
    "resolution-markers",
    "supported-markers",
    "required-markers",
    "conflicts",
    "options",
    "manifest",
    "package",
}
_PACKAGE = {
    "name",
    "version",
    "source",
    "resolution-markers",
    "dependencies",
    "optional-dependencies",
    "dev-dependencies",
    "metadata",
    "sdist",
    "wheels",
}
_FILE = {"url", "hash", "size", "upload-time", "zstd"}
# Narrower than what a URL may be: readers of URLs disagree about `\`, `@`, blanks and control characters.
_ADDRESS = re.compile(r"(https|http|file)://((?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?|)(/[!#-\[\]-~]*)?")
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}
_ADVICE = "Ask for a project that takes everything from the package index, with a uv.lock as uv writes it."


def check_lock(text: str, path: str, index: str) -> None:
    """Raises DependencyError when a uv.lock takes anything from elsewhere than `index` (empty: the public one)."""
    lock = parse_toml(text, path)
    _known(lock, _TOP, path)
    packages = lock.get("package", [])
    if not isinstance(packages, list):
        raise DependencyError(f"{path}: package is not a list", _ADVICE)
    index = (index or PUBLIC).rstrip("/")
    for package in packages:
        if not isinstance(package, dict) or not isinstance(package.get("name"), str):
            raise DependencyError(f"{path}: holds a package without a name", _ADVICE)
        where = f"{path}: {shown(package['name'], 60)}"
        _known(package, _PACKAGE, where)
        if not _is_own(package.get("source"), index):
            raise DependencyError(f"{where} comes from elsewhere than the package index", _ADVICE)
        wheels = package.get("wheels", [])
        for file in [*(wheels if isinstance(wheels, list) else [wheels]), *([package["sdist"]] if "sdist" in package else [])]:
            _check_file(file, where, index)


def _is_own(source: Any, index: str) -> bool:
    """Whether a package is one of the index or the project itself, and nothing beside that."""
    if not isinstance(source, dict) or len(source) != 1:
        return False
    ((kind, value),) = source.items()
    if kind == "registry":
        return isinstance(value, str) and value.rstrip("/") == index
    return kind in ("virtual", "editable") and value == "."


def _check_file(file: Any, where: str, index: str) -> None:
    if not isinstance(file, dict):
        raise DependencyError(f"{where} has a file that is not described as uv does it", _ADVICE)
    _known(file, _FILE, where)
    place, own = _place(file.get("url")), _place(index)
    if place is None or place not in {own, ("https", PUBLIC_FILES) if index == PUBLIC else own}:
        address = shown(str(file.get("url")), 120)
        raise DependencyError(f"{where} is fetched from elsewhere than the package index: {address}", _ADVICE)


def _place(url: Any) -> tuple[str, str] | None:
    """(scheme, host with port) of an address, None for what is not plainly one."""
    found = _ADDRESS.fullmatch(url) if isinstance(url, str) else None
    if found is None or (found[1] == "file") is bool(found[2]):
        return None
    return found[1], found[2].lower().removesuffix(_DEFAULT_PORTS.get(found[1], " "))


def _known(table: dict[str, Any], keys: set[str], where: str) -> None:
    foreign = sorted(set(table) - keys)
    if foreign:
        raise DependencyError(f"{where}: {shown(foreign[0], 40)!r} is not known in a lock here", _ADVICE)
