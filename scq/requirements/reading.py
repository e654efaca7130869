"""Which packages and Pythons a submission asks for, read from its scripts and project files. Pure: nothing is run or resolved.

Everything here was written by a stranger. What is understood is reduced to names, extras, versions and markers (PEP 508) and
written anew, so that no word of a submission can become an option, a path or an address of what fetches it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Any

from scq.clean import line as shown
from scq.errors import DependencyError
from scq.requirements import Asked, Declared, Project, Wanted
from scq.requirements.gathering import DEPTH, MOST, Gathering, Reader
from scq.requirements.shell import commands, logical_lines, split_options
from scq.requirements.standards import check_project, inline_metadata, parse_toml, requirement, strings, table_of

SCRIPT_LIMIT = 1 << 17
"""Characters of scripts that are looked at, all together."""

PROJECT_OPTIONS = ("--frozen", "--locked", "--no-dev", "--all-extras", "--all-groups", "--no-default-groups")
PROJECT_VALUES = ("--extra", "--group", "--no-group", "--no-extra", "--only-group")

_WRAPPERS = {"exec", "command", "env", "time", "nohup", "nice", "sudo", "builtin"}
_KEYWORDS = {"then", "do", "else", "elif", "if", "while", "until", "!", "{"}
_FETCHERS = {"uvx", "conda", "mamba", "micromamba", "poetry", "pipx", "pipenv", "pixi", "hatch", "pdm"}
_PYTHON = re.compile(r"python(\d+\.\d+)")


def declared(run_sh: str, dependencies: Iterable[str], read: Reader) -> Declared:
    """What the script at path `run_sh`, the scripts it calls and the files these name ask for.

    `dependencies` are those of the submission's metadata. Paths are relative to the folder in which the script starts.
    Raises DependencyError for what cannot be given to a job.
    """
    reading = _Reading(read)
    reading.script(run_sh, "")
    for text in dependencies:
        reading.want(text, "dependencies of the submission")
    return reading.result()


class _Reading(Gathering):
    """Walks through scripts and files and gathers what they ask for. `cwd` is relative to the submission."""

    def __init__(self, read: Reader) -> None:
        super().__init__(read)
        self.cwd = ""
        self.left = SCRIPT_LIMIT

    def script(self, path: str, cwd: str, depth: int = 0) -> None:
        """Read a script that starts in `cwd`; the folder it changes to stays its own affair."""
        if depth > DEPTH or (path, cwd, False) in self.visited or len(self.visited) > MOST:
            return
        self.visited.add((path, cwd, False))
        text = (self.read(path) or "")[: self.left]
        self.left -= len(text)
        before, self.cwd = self.cwd, cwd
        outer: list[str] = []
        for number, words in commands(text):
            where = f"{path} line {number}"
            if words == ["("]:
                outer.append(self.cwd)
            elif words == [")"]:
                self.cwd = outer.pop() if outer else self.cwd
            else:
                self.command(words, where, depth)
        self.cwd = before

    def command(self, words: list[str], where: str, depth: int) -> None:
        while words and (words[0] in _WRAPPERS | _KEYWORDS or re.match(r"[A-Za-z_]\w*=", words[0])):
            words = words[1:]
        if not words:
            return
        name, rest = posixpath.basename(words[0]), words[1:]
        python = _PYTHON.fullmatch(name)
        if python is not None:
            self.pythons[Asked(python[1], where)] = None
            self.check_count()
        if name == "cd":
            self.change_folder(rest)
        elif name in ("bash", "sh", "source", "."):
            self.follow(rest, where, depth)
        elif words[0].startswith("./") or name.endswith(".sh"):
            self.follow(words, where, depth)
        elif re.fullmatch(r"pip[\d.]*", name):
            self.pip(rest, where)
        elif re.fullmatch(r"python[\d.]*", name) and "-m" in rest and rest[rest.index("-m") + 1 :][:1] == ["pip"]:
            self.pip(rest[rest.index("-m") + 2 :], where)
        elif name == "uv":
            self.uv = self.uv or where
            self.uv_command(rest, where)
        elif name in _FETCHERS:
            self.note(f"{where}: what `{name}` needs is not fetched")

    def change_folder(self, words: list[str]) -> None:
        """A folder named through a variable is taken to be the one the script is in already, as in `cd "$(dirname "$0")"`."""
        if words and "$" not in words[0] and "`" not in words[0]:
            self.cwd = _inside(self.cwd, words[0]) or ""

    def follow(self, words: list[str], where: str, depth: int) -> None:
        if words[:1] == ["-c"] and len(words) > 1:
            for _, inner in commands(words[1]):
                if depth < DEPTH:
                    self.command(inner, where, depth + 1)
            return
        path = next((word for word in words if not word.startswith("-")), "")
        inside = _inside(self.cwd, path) if path else None
        if inside and ".venv/" not in path:
            self.script(inside, self.cwd, depth + 1)

    def pip(self, words: list[str], where: str) -> None:
        if words[:1] and words[0] in ("install", "download", "wheel"):
            self.install(words[1:], where)

    def uv_command(self, words: list[str], where: str) -> None:
        while words and words[0].startswith("-"):
            words = words[1:]
        verb, rest = words[0] if words else "", words[1:]
        if verb == "pip":
            if rest[:1] == ["install"]:
                self.install(rest[1:], where)
            elif rest[:1] == ["sync"]:
                names, options = split_options(rest[1:], where)
                self.options(options, where)
                for name in names:
                    self.file(name, where, self.wanted)
        elif verb == "venv":
            self.options(split_options(rest, where)[1], where)
            self.default_python(where)
        elif verb in ("sync", "lock"):
            self.project(split_options(rest, where)[1], where)
        elif verb == "run":
            self.uv_run(rest, where)
        elif verb in ("add", "remove", "tool", "build", "publish"):
            self.note(f"{where}: what `uv {verb}` needs is not fetched")

    def uv_run(self, words: list[str], where: str) -> None:
        names, options = split_options(words, where, until_first=True)
        chosen = dict(options)
        script = names[0] if names else chosen.get("--script", "")
        inline = inline_metadata(self.text(script) or "") if script.endswith(".py") else None
        if inline is not None:
            self.metadata(inline, f"{script} (its own metadata)")
            self.options(options, where)
        elif "--no-project" in chosen or "--isolated" in chosen:
            self.options(options, where)
        else:
            self.project(options, where)

    def install(self, words: list[str], where: str) -> None:
        if "--no-index" in words:  # the submission brings its own packages
            return
        names, options = split_options(words, where)
        self.options(options, where)
        for name in names:
            if re.fullmatch(r"\.(\[[\w, -]*\])?", name):
                self.local_project(where, name)
            else:
                self.want(name, where)

    def options(self, options: Iterable[tuple[str, str]], where: str) -> None:
        """Take from the options of a command what they ask for."""
        for option, value in options:
            if option in ("-r", "--requirement", "--requirements"):
                self.file(value, where, self.wanted)
            elif option in ("-c", "--constraint", "--constraints"):
                self.file(value, where, self.constraints)
            elif option in ("-e", "--editable"):
                if not re.fullmatch(r"\.(\[[\w, -]*\])?", value):
                    raise DependencyError(
                        f"{where}: an editable install of {shown(value, 80)!r}", "Put its code into the submission."
                    )
                self.local_project(where, value)
            elif option == "--with":
                for name in value.split(","):
                    self.want(name, where)
            elif option in ("-p", "--python"):
                self.python(value, where)

    def python(self, value: str, where: str) -> None:
        word = re.sub(r"^(?:cpython|python)[@-]?", "", value.strip())
        if re.fullmatch(r"\d+(\.\d+){0,2}", word) or re.fullmatch(r"[<>=!~][\d.,<>=!~*\s]*", word):
            self.pythons[Asked(word, where)] = None
            self.check_count()
        elif word and ".venv" not in word:
            self.note(f"{where}: the Python {shown(value, 40)!r} is looked for only when the job runs")

    def default_python(self, where: str) -> None:
        """What uv takes when its command names no Python."""
        pinned = self.text(".python-version")
        if pinned is not None and not any(asked.where == where for asked in self.pythons):
            self.python(pinned.strip().partition("\n")[0], f"{_join(self.cwd, '.python-version')} for {where}")

    def want(self, text: str, where: str, hashes: tuple[str, ...] = (), into: dict[Wanted, None] | None = None) -> None:
        """Note one requirement. One that holds a variable of the shell is left out, and said so."""
        text = text.strip()
        if "$" in text or "`" in text:
            self.note(f"{where}: {shown(text, 40)!r} is known only when the job runs, so it is not fetched")
        elif text:
            (self.wanted if into is None else into)[Wanted(requirement(text, where), where, hashes)] = None
            self.check_count()

    def text(self, path: str) -> str | None:
        inside = _inside(self.cwd, path)
        return self.read(inside) if inside else None

    def file(self, name: str, where: str, into: dict[Wanted, None], depth: int = 0) -> None:
        """Read a requirements file (the format of pip's documentation), named relative to the current folder."""
        if "$" in name or "`" in name:  # as in "$CODE_DIR/requirements.txt"
            self.note(f"{where}: of {shown(name, 60)!r} only the last part is known before the job runs")
            name = posixpath.basename(name)
            if self.text(name) is None:
                return
        path = _inside(self.cwd, name)
        if path is None or name.startswith("-"):
            raise DependencyError(f"{where}: {shown(name, 80)!r} is outside the submission", "Name a file of the submission.")
        if path.endswith("pyproject.toml"):
            self.metadata(self.toml(path).get("project"), path)
            return
        if (path, "", into is self.constraints) in self.visited or depth > DEPTH:
            return
        self.visited.add((path, "", into is self.constraints))
        self.check_count()
        text = self.read(path)
        if text is None:
            raise DependencyError(f"{where}: {shown(path, 80)} is not in the submission", "Ask for it to be submitted as well.")
        for number, entry in logical_lines(text, path):
            self.file_line(entry, path, f"{path} line {number}", into, depth)

    def file_line(self, entry: str, path: str, where: str, into: dict[Wanted, None], depth: int) -> None:
        if not entry.startswith("-"):
            text, *options = re.split(r"\s--(?=hash[= ])", entry)
            hashes = tuple(re.sub(r"^hash[= ]\s*", "", option).strip() for option in options)
            if not all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes):
                raise DependencyError(f"{where}: only sha256 hashes are understood", "Write them as --hash=sha256:….")
            self.want(text, where, hashes, into)
            return
        _, options_found = split_options(entry.split(), where)
        before, self.cwd = self.cwd, posixpath.dirname(path)
        for option, value in options_found:
            if option in ("-r", "--requirement"):
                self.file(value, where, into, depth + 1)
            elif option in ("-c", "--constraint"):
                self.file(value, where, self.constraints, depth + 1)
            else:
                self.options([(option, value)], where)
        self.cwd = before

    def toml(self, path: str) -> dict[str, Any]:
        """A project file. Raises DependencyError when it is missing or damaged."""
        text = self.read(path)
        if text is None:
            raise DependencyError(f"{path} is not in the submission", "Ask for it to be submitted as well.")
        return parse_toml(text, path)

    def metadata(self, table: Any, path: str) -> None:
        """Dependencies and Python range of a `[project]` table, or of the metadata inside a script."""
        table = table if isinstance(table, dict) else {}
        for name in strings(table.get("dependencies"), f"{path}: dependencies"):
            self.want(name, path)
        if isinstance(table.get("requires-python"), str):
            self.python(table["requires-python"], path)

    def project(self, options: list[tuple[str, str]], where: str) -> None:
        """The project that uv finds from the current folder upwards, with what its build needs."""
        self.options(options, where)
        folder = self.cwd
        while folder and self.read(_join(folder, "pyproject.toml")) is None:
            folder = posixpath.dirname(folder)
        path = _join(folder, "pyproject.toml")
        if self.read(path) is None:
            if not any(option == "--with" for option, _ in options):
                self.note(f"{where}: there is no pyproject.toml to take dependencies from")
            return
        table = self.toml(path)
        check_project(table, path)
        if not any(option in ("-p", "--python") for option, _ in options):
            self.default_python(where)
            needed = table_of(table, "project").get("requires-python")
            if isinstance(needed, str):
                self.python(needed, path)
        chosen: list[str] = []
        for option, value in options:
            if option in PROJECT_VALUES and not re.fullmatch(r"[A-Za-z0-9][\w.-]*", value):
                raise DependencyError(f"{where}: {option} {shown(value, 40)!r} is not a name", "Ask for a corrected script.")
            if option in PROJECT_OPTIONS + PROJECT_VALUES:
                chosen += [option, value] if value else [option]
        self.projects[Project(folder, where, tuple(chosen))] = None
        self.check_count()
        if "build-system" in table and table_of(table_of(table, "tool"), "uv").get("package", True):
            self.build_requirements(table, path)

    def local_project(self, where: str, name: str) -> None:
        """`pip install .`: it is built inside the box of the job, from what its pyproject.toml names."""
        path = _join(self.cwd, "pyproject.toml")
        if self.read(path) is None:
            what = f"{where}: {name} has no pyproject.toml, so what it needs can be found only by running it"
            raise DependencyError(what, "Ask for a pyproject.toml that names its dependencies.")
        table = self.toml(path)
        project = table.get("project")
        self.metadata(project, path)
        extras = table_of(project if isinstance(project, dict) else {}, "optional-dependencies")
        for extra in re.findall(r"[\w-]+", name):
            for text in strings(extras.get(extra), f"{path}: {extra}"):
                self.want(text, path)
        self.build_requirements(table, path)

    def build_requirements(self, table: dict[str, Any], path: str) -> None:
        build = table_of(table, "build-system")
        names = strings(build.get("requires", ["setuptools>=64", "wheel"]), f"{path}: build-system.requires")
        if str(build.get("build-backend", "")).startswith("hatchling"):
            names = [*names, "editables>=0.3"]  # which hatchling asks for only once it is asked to build
        for name in names:
            self.want(name, f"{path} (build-system)")


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _inside(folder: str, path: str) -> str | None:
    """A path named in a folder of the submission, relative to the submission; None when it leads out. Empty: the submission."""
    joined = posixpath.normpath(posixpath.join(folder or ".", path))
    if joined.startswith(("/", "../")) or joined == ".." or "\0" in joined:
        return None
    return "" if joined == "." else joined
