"""From what a data scientist names on the command line to a submission: reading the source and choosing its form."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from scq import scripts
from scq.digest import Caps
from scq.errors import InvalidFileError, UsageError
from scq.files import read_bytes, walk
from scq.ports import Submission

LEFT_OUT = frozenset(
    {".git", ".venv", "venv", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", "node_modules", ".DS_Store"}
    | {".ipynb_checkpoints", ".idea", ".vscode", "syft.pub.yaml"}
)
"""Names that never travel: the sync clients leave them out as well."""
RESERVED = frozenset({"config.yaml", "approved", "done", "stdout.txt", "stderr.txt", "returncode.txt", "outputs", "logs"})
"""Names that mean something to the marker generation, whose code lies beside them."""


class Source(Struct, frozen=True):
    """What was read from the submitter's machine. `kind`: folder (brings run.sh), python, project (python folder) or bash."""

    kind: str
    files: dict[str, bytes]
    executable: frozenset[str]
    entry: str = ""
    folder_name: str = ""
    path: str | None = None


class Wishes(Struct, frozen=True):
    """What the submitter asked for besides the code."""

    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    timeout_s: int | None = None


def read_source(path: str, caps: Caps, *, entrypoint: str = "", stdin: bytes | None = None) -> Source:
    """Read a folder, a script file, or the text on stdin (`path` is `-`). Raises UsageError saying what is missing."""
    if path == "-":
        return _script_text("script", stdin or b"", None)
    full = os.path.abspath(os.path.expanduser(path))
    if os.path.isdir(full):
        return _folder(full, caps, entrypoint)
    if not os.path.isfile(full):
        raise UsageError(f"{path}: no such file or folder", "Name a folder with run.sh, a Python file, or a bash script.")
    try:
        text = read_bytes(os.path.realpath(full), caps.bytes)
    except InvalidFileError as error:
        raise UsageError(str(error), error.advice) from error
    return _script_text(os.path.basename(full), text, full)


def build(source: Source, wishes: Wishes, generation: str, owner: str, submitter: str, now: datetime) -> Submission:
    """The submission in the form of one generation (a3, b0, b1, b2, c0, c1)."""
    form = {"a": _status_folder, "b": _markers, "c": _inbox}[generation[0]]
    files, executable, run_sh = form(source, wishes, generation)
    python = source.kind in ("python", "project")
    return Submission(
        owner=owner,
        submitter=submitter,
        name=wishes.name,
        files=files,
        executable=executable,
        run_sh=run_sh,
        kind="python" if python else "bash",
        entrypoint=source.entry if python else None,
        dependencies=wishes.requirements,
        description=wishes.description,
        tags=wishes.tags,
        timeout_s=wishes.timeout_s,
        is_folder=source.kind in ("folder", "project"),
        source_path=None if source.path is None else os.path.basename(source.path),
        submitted_at_iso=now.isoformat(),
    )


Form = tuple[Mapping[str, bytes], frozenset[str], str]


def _status_folder(source: Source, wishes: Wishes, generation: str) -> Form:
    files, executable = dict(source.files), set(source.executable)
    if source.kind == "folder":
        run_sh = files.pop("run.sh").decode("utf-8", "surrogateescape")
        if wishes.requirements:
            _add_requirements(files, wishes.requirements)
    elif source.kind == "bash":
        files = {"script.sh": files[source.entry]}
        executable = {"script.sh"}
        run_sh = scripts.status_folder_bash("script.sh")
    else:
        if wishes.requirements:
            _add_requirements(files, wishes.requirements)
        run_sh = scripts.status_folder_python(source.entry, has_requirements="requirements.txt" in files)
    return files, frozenset(executable - {"run.sh"}), run_sh


def _markers(source: Source, wishes: Wishes, generation: str) -> Form:
    if source.kind == "bash":
        return {}, frozenset(), source.files[source.entry].decode("utf-8", "surrogateescape")
    if source.kind == "python":
        run_sh = scripts.markers_python(source.entry, wishes.requirements, folder="", has_pyproject=False)
        return source.files, frozenset(), run_sh
    if source.kind == "folder":
        clash = sorted({path.split("/", 1)[0] for path in source.files} & RESERVED)
        if clash:
            raise UsageError(f"{', '.join(clash)}: the owner's queue uses this name itself", "Rename it and submit again.")
        files = {path: content for path, content in source.files.items() if path != "run.sh"}
        run_sh = source.files["run.sh"].decode("utf-8", "surrogateescape")
        return files, frozenset(source.executable - {"run.sh"}), run_sh
    folder = source.folder_name
    files = {f"{folder}/{path}": content for path, content in source.files.items()}
    has_pyproject = "pyproject.toml" in source.files
    run_sh = scripts.markers_python(source.entry, wishes.requirements, folder=folder, has_pyproject=has_pyproject)
    return files, frozenset(f"{folder}/{path}" for path in source.executable), run_sh


def _inbox(source: Source, wishes: Wishes, generation: str) -> Form:
    if source.kind == "bash":
        text = source.files[source.entry]
        return {"script.sh": text}, frozenset({"script.sh"}), text.decode("utf-8", "surrogateescape")
    if source.kind == "folder":
        files = dict(source.files)
        if wishes.requirements:
            _add_requirements(files, wishes.requirements)
        return files, source.executable | {"run.sh"}, scripts.inbox_folder()
    has_pyproject = source.kind == "project" and "pyproject.toml" in source.files
    return source.files, source.executable, scripts.inbox_python(source.entry, wishes.requirements, has_pyproject=has_pyproject)


def _add_requirements(files: dict[str, bytes], requirements: Sequence[str]) -> None:
    have = files.get("requirements.txt", b"").decode("utf-8", "replace").splitlines()
    wanted = [*have, *(name for name in requirements if name not in have)]
    files["requirements.txt"] = ("\n".join(wanted) + "\n").encode()


def _script_text(name: str, text: bytes, path: str | None) -> Source:
    if not text.strip():
        raise UsageError(f"{name}: is empty", "There is nothing to run.")
    first = text.split(b"\n", 1)[0]
    if name.endswith(".py") or (not name.endswith((".sh", ".bash")) and not _is_shell(first)):
        entry = name if name.endswith(".py") else "script.py"
        return Source("python", {entry: text}, frozenset(), entry, path=path)
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: is not UTF-8 text", "Save the script as UTF-8.") from error
    return Source("bash", {"script.sh": text}, frozenset({"script.sh"}), "script.sh", path=path)


def _is_shell(first_line: bytes) -> bool:
    return first_line.startswith(b"#!") and any(word.endswith((b"/sh", b"bash")) for word in first_line[2:].split())


def _folder(full: str, caps: Caps, entrypoint: str) -> Source:
    files, executable = _read_folder(full, caps)
    name = os.path.basename(full) or "project"
    if "run.sh" in files and not entrypoint:
        try:
            files["run.sh"].decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError("run.sh: is not UTF-8 text", "Save the script as UTF-8.") from error
        return Source("folder", files, executable, "run.sh", name, full)
    entry = entrypoint or _entry(files)
    if entry not in files:
        raise UsageError(f"{entry}: is not in {full}", "Name a file of the folder with --entrypoint.")
    _check_pyproject(files)
    return Source("project", files, executable, entry, name, full)


def _entry(files: Mapping[str, bytes]) -> str:
    if "main.py" in files:
        return "main.py"
    scripts_at_top = [path for path in files if path.endswith(".py") and "/" not in path]
    if len(scripts_at_top) == 1:
        return scripts_at_top[0]
    raise UsageError(
        "the folder has neither run.sh nor main.py nor exactly one Python file", "Name the script with --entrypoint."
    )


def _check_pyproject(files: Mapping[str, bytes]) -> None:
    if "pyproject.toml" not in files:
        return
    try:
        tomllib.loads(files["pyproject.toml"].decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"pyproject.toml: {error}", "Mend it and submit again.") from error


def _read_folder(full: str, caps: Caps) -> tuple[dict[str, bytes], frozenset[str]]:
    files: dict[str, bytes] = {}
    executable: set[str] = set()
    room = caps.bytes
    for path, found in walk(full, 4 * caps.files + 1_000):
        if LEFT_OUT.intersection(path.split("/")) or path.endswith((".pyc", ".tmp")) or stat.S_ISDIR(found.st_mode):
            continue
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{path}: only plain files can be submitted", "Replace it by a copy, or leave it out.")
        room -= found.st_size
        if len(files) >= caps.files or room < 0:
            raise UsageError(f"the folder holds more than {caps.files} files or {caps.bytes} bytes", "Submit code, not data.")
        files[path] = read_bytes(os.path.join(full, path), caps.bytes)
        if found.st_mode & stat.S_IXUSR:
            executable.add(path)
    return files, frozenset(executable)
