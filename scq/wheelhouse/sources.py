"""Where packages come from and what fetches them: the index, pip, uv, and the Pythons that the box shows."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from scq.errors import ConfigError, DependencyError


class Index(Struct, frozen=True):
    """Where packages come from: address (empty: the public index), file of trusted certificates, variables of the proxies."""

    url: str = ""
    certificates: str = ""
    proxies: dict[str, str] = {}
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.url or "the public index"


class Tools(Struct, frozen=True):
    """Programs on this machine that fetch: the folder of the package pip, and uv; empty where there is none."""

    pip: str
    uv: str = ""


def index_of(configured: str, env: Mapping[str, str]) -> Index:
    """The index that is configured, else the one pip or uv of the caller would use. Credentials are never taken along.

    Raises ConfigError for an address in which they cannot be told from the rest.
    """
    notes: list[str] = []
    given = configured or next((env[name] for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL") if env.get(name)), "")
    url = _without_credentials(given, "the package index", notes)
    certificates = next((env[name] for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE") if env.get(name)), "")
    proxies = {
        name: _without_credentials(env[name], f"the proxy in {name}", notes)
        for word in ("http_proxy", "https_proxy", "no_proxy")
        for name in (word, word.upper())
        if env.get(name)
    }
    return Index(url, os.path.realpath(certificates) if os.path.isfile(certificates) else "", proxies, tuple(notes))


def _without_credentials(url: str, what: str, notes: list[str]) -> str:
    bare = re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://|)[^/]*@", r"\1", url.strip())
    if "@" in bare:  # as after a password with a slash: what of it is secret cannot be told, so it is not shown either
        advice = "Write a / or @ of a password or path as %2F or %40."
        raise ConfigError(f"the address of {what} holds an @ after its host", advice)
    if bare != url.strip():
        notes.append(f"the name and password in the address of {what} were left out: they are secrets of the owner")
    return bare


def find_tools(path: str) -> Tools:
    """pip as it is installed beside scq, and uv from there or from the search path. Raises DependencyError without pip."""
    from importlib.util import find_spec

    pip = find_spec("pip")
    if pip is None or not pip.submodule_search_locations:
        raise DependencyError(
            "pip is missing beside scq, so packages cannot be fetched", "Install scq again, or: pip install pip"
        )
    return Tools(os.path.realpath(pip.submodule_search_locations[0]), find_uv(path))


def find_uv(path: str) -> str:
    """Absolute path of uv: the installed package `uv`, else a program of that name on the search path; empty without."""
    import shutil

    try:
        from uv import find_uv_bin

        return os.path.realpath(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv", path=path)
    if found is None:
        return ""
    with open(found, "rb") as file:
        is_program = file.read(4) == b"\x7fELF"  # and not a script that needs more than itself
    return os.path.realpath(found) if is_program else ""


def pythons(search_path: str, interpreters: Sequence[str]) -> dict[str, str]:
    """Version (`3.11`) → program, of every Python that jobs can see; first the one that `python3` is, nothing is run.

    `search_path` is the PATH of jobs, `interpreters` are the further folders that the box shows.
    """
    shown = [os.path.realpath(folder) for folder in ("/usr", *interpreters)]
    found: dict[str, str] = {}
    later: dict[str, str] = {}
    for folder in bin_folders(search_path, interpreters):
        for name in _names(folder):
            path = os.path.join(folder, name)
            real = os.path.realpath(path)
            version = re.fullmatch(r"python(3\.\d+)", os.path.basename(real))
            if version is None or not os.access(path, os.X_OK) or not any(real.startswith(f"{place}/") for place in shown):
                continue
            (found if name == "python3" else later).setdefault(version[1], path)
    return {**found, **{version: path for version, path in later.items() if version not in found}}


def bin_folders(search_path: str, interpreters: Sequence[str]) -> list[str]:
    """Folders in which jobs find programs: the search path, then those of the interpreters."""
    further = [os.path.join(folder, "bin") if os.path.isdir(os.path.join(folder, "bin")) else folder for folder in interpreters]
    return [folder for folder in (*search_path.split(":"), *further) if folder.startswith("/")]


def _names(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError:  # a folder of the search path need not exist
        return []
    return sorted(name for name in names if re.fullmatch(r"python3(\.\d+)?", name))
