"""Preparing a run: what its submission wants installed is fetched before any data is mounted, and handed over read-only.

Two phases: here a box with a network, without data, secrets or files of the owner; then the run, with the packages and without a
network. docs/dependencies.md says what works.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta

import msgspec
from msgspec import Struct

from scq.context import Context
from scq.errors import DependencyError, InvalidFileError
from scq.files import make_folder, read_text, remove_tree, write_atomic
from scq.model import Limits, Sighting
from scq.ports import Mount, Sandbox
from scq.requirements import Asked, Declared, Project, Wanted
from scq.requirements.lock import check_lock
from scq.requirements.reading import declared
from scq.requirements.standards import fits
from scq.wheelhouse.fetching import TOOLS, Allowance, Fetcher, MissingError, UnreachableError
from scq.wheelhouse.locked import installed, real_folder
from scq.wheelhouse.sources import Index, Tools, bin_folders, find_tools, find_uv, index_of, pythons
from scq.wheelhouse.store import Package, Remembered, Store, key_of

FRESH = timedelta(days=7)
"""How long what was found for the same wishes is used again without asking the index."""
WHEELS = "/wheels"
"""Where the box of the job shows its packages."""
FETCHING = "prepare"
LAID_OUT = "wheels"
COPIED_TOOLS = "tools"
CACHE = ".uv-cache"
PROJECT_FILES = ("pyproject.toml", "uv.lock")
FILE_LIMIT = 4 << 20
OFFLINE = {
    "PIP_CONFIG_FILE": "/dev/null",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_NO_INDEX": "1",
    "UV_LINK_MODE": "copy",
    "UV_NO_CONFIG": "1",
    "UV_OFFLINE": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}
"""So that pip and uv fail at once, and clearly, instead of trying to reach a network that is not there."""


class Prepared(Struct, frozen=True):
    """What a run is given on top. Values of `env` below the private copy still name it as it lies on this machine."""

    mounts: tuple[Mount, ...] = ()
    env: dict[str, str] = {}
    packages: tuple[Package, ...] = ()
    notes: tuple[str, ...] = ()


def offline() -> Prepared:
    """For a run that gets neither packages nor a network."""
    return Prepared(env=dict(OFFLINE))


def prepare(ctx: Context, sandbox: Sandbox, *, sighting: Sighting, code: str, folder: str) -> Prepared:
    """Fetch what the private copy in `code` wants installed; `folder` is the private folder of the run.

    Both absolute. Leaves `packages.json` in `folder` where something was asked for. Raises DependencyError naming what cannot be
    had; nothing but the folders of this run and the store of wheels was touched then.
    """
    if sandbox.name == "none":
        return Prepared(notes=("without a box nothing is fetched beforehand: the job has the network of this machine",))
    run_sh = ctx.layout(sighting.ref.layout).content(sighting).run_sh
    asked = declared(run_sh, sighting.dependencies, lambda path: _submitted(code, path))
    if asked == Declared():
        return offline()
    scratch = sandbox.scratch(folder)
    tidy(scratch)
    try:
        return _Preparation(ctx, sandbox, asked, code=code, folder=folder, scratch=scratch).run()
    except InvalidFileError as error:
        raise DependencyError(f"what was fetched cannot be used: {error}", error.advice) from error
    finally:
        remove_tree(os.path.join(scratch, FETCHING))


def tidy(scratch: str) -> None:
    """Remove what preparing left in the folder that holds the private copy of a run."""
    for name in (FETCHING, LAID_OUT, COPIED_TOOLS):
        remove_tree(os.path.join(scratch, name))


class _Preparation:
    """One run's worth of preparing. `scratch` is the folder that the user of the box can reach."""

    def __init__(self, ctx: Context, sandbox: Sandbox, asked: Declared, *, code: str, folder: str, scratch: str) -> None:
        self.ctx = ctx
        self.sandbox = sandbox
        self.asked = asked
        self.code = code
        self.folder = folder
        self.scratch = scratch
        self.index: Index = index_of(ctx.config.prepare_index, ctx.env)
        self.store = Store(os.path.join(ctx.home, "wheels"))
        self.notes: dict[str, None] = dict.fromkeys((*asked.notes, *self.index.notes))
        self.fetching: Fetcher | None = None
        self.cache = ""

    def run(self) -> Prepared:
        """All of it, in an order in which what cannot work is found before anything is fetched."""
        box = pythons(self.ctx.config.job_path, self.ctx.config.sandbox_interpreters)
        chosen = choose_pythons(self.asked, box)
        uv = self._uv() if self.asked.uv else ""
        env = dict(OFFLINE)
        packages = self._wheels([(version, box[version]) for version in chosen])
        mounts = self._laid_out(packages)
        if mounts:
            env |= {"PIP_FIND_LINKS": WHEELS, "UV_FIND_LINKS": WHEELS}
        cache = self._free_name(CACHE)
        if uv:
            env["UV_CACHE_DIR"] = os.path.join(self.code, cache)
            mounts += (Mount(uv, f"{TOOLS}/bin/uv"),)
        if self.index.url and self.asked.projects:
            env["UV_DEFAULT_INDEX"] = self.index.url
        for project in self.asked.projects:
            packages += self._project(project, box[self._python_of(project, chosen)], cache)
        self._take_cache(cache)
        env["PATH"] = ":".join((*([f"{TOOLS}/bin"] if uv else []), *self._path()))
        prepared = Prepared(mounts, env, tuple(sorted(set(packages))), tuple(self.notes))
        self._note_down(prepared, chosen)
        return prepared

    def _wheels(self, targets: list[tuple[str, str]]) -> tuple[Package, ...]:
        """The packages of all requirements together, for each Python."""
        wanted = tuple(dict.fromkeys(wish.text for wish in self.asked.wanted))
        constraints = tuple(dict.fromkeys(wish.text for wish in self.asked.constraints))
        if not wanted:
            return ()
        found: dict[Package, None] = {}
        for version, python in targets:
            for package in self._wheels_for(version, python, wanted, constraints):
                found[package] = None
        check_hashes(self.asked.wanted, tuple(found))
        return tuple(found)

    def _wheels_for(
        self, version: str, python: str, wanted: tuple[str, ...], constraints: tuple[str, ...]
    ) -> tuple[Package, ...]:
        machine, source = os.uname().machine, str(self.ctx.config.prepare_source_packages)
        hashes = [f"{wish.text} {' '.join(sorted(wish.hashes))}" for wish in (*self.asked.wanted, *self.asked.constraints)]
        key = key_of((version, python), (machine, source), wanted, constraints, (self.index.url,), hashes)
        known, now = self.store.remembered(key), self.ctx.now()
        pinned = all(wish.hashes for wish in self.asked.wanted)
        if known is not None and (pinned or timedelta() <= now - known.at < FRESH):
            self.notes[f"the packages were already here, as found on {known.at:%Y-%m-%d}"] = None
            return known.packages
        try:
            fetched = self._fetcher().wheels(version, python, wanted, constraints)
        except MissingError as error:
            where = next((wish.where for wish in self.asked.wanted if _same_name(wish.text, error.name)), "")
            raise DependencyError(f"{where}: {error}" if where else str(error), error.advice) from error
        except UnreachableError:
            if known is None:
                raise
            self.notes[f"the package index cannot be reached: packages as found on {known.at:%Y-%m-%d}"] = None
            return known.packages
        packages = self.store.keep(fetched)
        check_hashes(self.asked.wanted, packages)  # what is wrong must not be remembered
        self.store.remember(key, Remembered(now, packages))
        return packages

    def _laid_out(self, packages: tuple[Package, ...]) -> tuple[Mount, ...]:
        if not packages:
            return ()
        place = os.path.join(self.scratch, LAID_OUT)
        self.store.lay_out(packages, place)
        return (Mount(place, WHEELS),)

    def _project(self, project: Project, python: str, cache: str) -> tuple[Package, ...]:
        """Fetch for a project into a cache that becomes this job's own."""
        paths = {name: os.path.join(project.folder, name) for name in PROJECT_FILES}
        files = {name: text for name, path in paths.items() if (text := _submitted(self.code, path)) is not None}
        if "uv.lock" in files:
            check_lock(files["uv.lock"], paths["uv.lock"], self.index.url)
        inside = os.path.join(os.path.relpath(self.code, os.path.join(self.scratch, "work")), cache)
        try:
            made, fetched = self._fetcher().project(python, files, project.options, inside)
        except UnreachableError:
            raise
        except DependencyError as error:
            raise DependencyError(f"{project.where}: {error}", error.advice) from error
        found = installed(made)
        self.cache = fetched
        return found

    def _take_cache(self, name: str) -> None:
        """Make what uv fetched the job's own. Raises DependencyError when something built there put a link in its way."""
        if not os.path.lexists(self.cache):
            return
        work = os.path.join(self.scratch, FETCHING, "projects")
        if not real_folder(work, os.path.relpath(self.cache, work)):
            what = "a package that was built replaced a folder of the fetching box by something else"
            raise DependencyError(what, "Ask for other packages, or set prepare.source_packages to false.")
        # Links in it are relative, and the job sees it at the place where it was filled.
        os.rename(self.cache, os.path.join(self.code, name))

    def _python_of(self, project: Project, chosen: tuple[str, ...]) -> str:
        asked = [python for python in self.asked.pythons if python.where == project.where]
        return next((version for version in chosen if all(fits(python.version, version) for python in asked)), chosen[0])

    def _fetcher(self) -> Fetcher:
        if self.fetching is None:
            config = self.ctx.config
            place = os.path.join(self.scratch, FETCHING)
            make_folder(place, 0o755)
            tools = find_tools(self.ctx.env.get("PATH", ""))
            tools = Tools(self._reachable(tools.pip, "pip"), self._reachable(tools.uv, "uv") if tools.uv else "")
            limits = Limits(cpu_s=config.limit_cpu, memory=config.limit_memory, processes=config.limit_processes)
            allowance = Allowance(config.prepare_timeout, config.prepare_bytes, config.prepare_source_packages, limits)
            certificates = self.index.certificates and self._reachable(self.index.certificates, "certificates.pem")
            index = msgspec.structs.replace(self.index, certificates=certificates)
            self.fetching = Fetcher(self.sandbox, place, index, tools, allowance)
        return self.fetching

    def _uv(self) -> str:
        found = find_uv(self.ctx.env.get("PATH", ""))
        if not found:
            what = f"{self.asked.uv}: the job calls uv, which is not installed here"
            raise DependencyError(what, "Install it beside scq: pip install 'scq[uv]'")
        return self._reachable(found, "uv")

    def _reachable(self, source: str, name: str) -> str:
        """A tool itself, or a copy where it cannot be reached: in a home directory of root, or from a node of a cluster."""
        import shutil

        here = self.ctx.config.executor == "local"  # a node does not see the tools of this machine
        if here and (self.scratch == self.folder or open_to_all(source)):
            return source
        copy = os.path.join(self.scratch, COPIED_TOOLS, name)
        if not os.path.exists(copy):
            make_folder(os.path.dirname(copy), 0o755)
            if os.path.isdir(source):
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(source, copy)
                os.chmod(copy, 0o755)  # noqa: S103 - a program that anybody may run
        return copy

    def _path(self) -> list[str]:
        return bin_folders(self.ctx.config.job_path, self.ctx.config.sandbox_interpreters)

    def _free_name(self, name: str) -> str:
        """A name that the submission does not use."""
        while os.path.lexists(os.path.join(self.code, name)):
            name += "-"
        return name

    def _note_down(self, prepared: Prepared, versions: tuple[str, ...]) -> None:
        note = {
            "index": self.index.label,
            "pythons": versions,
            "packages": prepared.packages,
            "notes": prepared.notes,
        }
        text = msgspec.json.format(msgspec.json.encode(note), indent=2)
        write_atomic(os.path.join(self.folder, "packages.json"), text + b"\n", sync=False)


def choose_pythons(asked: Declared, box: dict[str, str]) -> tuple[str, ...]:
    """Versions of the box that what was asked for means, at least one. Raises DependencyError naming one that is not there."""
    if not box:
        raise DependencyError("the box has no Python", "Install python3, or add the folder of one with sandbox.interpreters.")
    chosen: dict[str, None] = {}
    for wish in sorted(asked.pythons, key=_is_range):
        version = next((version for version in (*chosen, *box) if fits(wish.version, version)), None)
        if version is None:
            raise DependencyError(
                f"{wish.where}: Python {wish.version} is asked for, and the box has {', '.join(box)}",
                "Add the folder of such a Python with sandbox.interpreters.",
            )
        chosen[version] = None
    return tuple(chosen) or (next(iter(box)),)


def _is_range(wish: Asked) -> bool:
    return re.fullmatch(r"\d+\.\d+(\.\d+)?", wish.version) is None


def check_hashes(wanted: tuple[Wanted, ...], packages: tuple[Package, ...]) -> None:
    """Raises DependencyError when a package is not the one whose hash was named."""
    for wish in wanted:
        if not wish.hashes:
            continue
        for package in packages:
            if _same_name(wish.text, package.name) and f"sha256:{package.sha256}" not in wish.hashes:
                what = f"{wish.where}: {package.file} does not have the hash that is named there"
                raise DependencyError(what, "Ask for requirements with the hashes of the wheels for this machine.")


def open_to_all(path: str) -> bool:
    """True when everybody can pass every folder on the way and read what is there."""
    mode = os.stat(path).st_mode
    needed = 0o005 if os.path.isdir(path) else 0o004
    above = os.path.dirname(path)
    while mode & needed == needed:
        if above == os.path.dirname(above):
            return True
        mode, needed, above = os.stat(above).st_mode, 0o001, os.path.dirname(above)
    return False


def _same_name(requirement: str, name: str) -> bool:
    from packaging.utils import canonicalize_name

    bare = re.match(r"[A-Za-z0-9._-]*", requirement)
    return bare is not None and canonicalize_name(bare[0]) == canonicalize_name(re.split(r"[\s<>=!~;\[(]", name)[0])


def _submitted(code: str, path: str) -> str | None:
    """Text of a file of the private copy, None when there is none. Raises DependencyError when it cannot be read as text."""
    place = os.path.join(code, path)
    if not os.path.isfile(place):
        return None
    try:
        return read_text(place, FILE_LIMIT)
    except InvalidFileError as error:
        what = str(error).removeprefix(f"{place}: ")
        raise DependencyError(f"{path}: {what}", "Ask for a smaller file, or one that is UTF-8 text.") from error
