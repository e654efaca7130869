"""What the folder and the marker generations of syft-job have in common when a job is read.

A job is a folder with `config.yaml` and `run.sh`; code, log files and `outputs/` lie beside them.
Format: syft-job 0.1.1-0.1.27; docs/layouts.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from scq.errors import InvalidFileError
from scq.files import SMALL
from scq.formats import parse_time, parse_yaml, same_address, text, texts
from scq.layouts.bound import bound_fields
from scq.model import Content, Observed, Problem, ResultFiles, Sighting, Spot
from scq.permissions import FILE_NAME as PERMISSIONS
from scq.ports import Tree

CONFIG = "config.yaml"
RUN_SCRIPT = "run.sh"
RETURN_CODE = "returncode.txt"
LOGS = ("stdout.txt", "stderr.txt", RETURN_CODE)
LOGS_FOLDER = "logs"
OUTPUTS = "outputs"
MARKERS = ("approved", "done")
NOT_SUBMITTED = (*MARKERS, *LOGS, LOGS_FOLDER, OUTPUTS, ".venv")
"""Top-level names of a job folder that status and runs leave there; nothing a submitter sends may bear them."""

RETURN_CODE_LIMIT = 64
ASK_AGAIN = "Ask the submitter to send the job again."
_ADDRESS = re.compile(r"[^\s@*?\[\]{}\\/\"'<>]+@[^\s@*?\[\]{}\\/\"'<>]+")
_NUMBER = re.compile(r"-?[0-9]{1,10}")


def is_address(value: object) -> bool:
    """True for one plain mail address: no wildcard, no template and no blank a permission file could take for more."""
    return isinstance(value, str) and len(value) <= 254 and value.isprintable() and _ADDRESS.fullmatch(value) is not None


class Config(Struct, frozen=True):
    """The usable part of a config.yaml, and what of it is not usable."""

    name: str | None = None
    submitter: str = ""
    submitted_at: datetime | None = None
    kind: str | None = None
    entrypoint: str | None = None
    dependencies: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_time(value: object) -> bool:
    return parse_time(value) is not None


_EXPECTED: dict[str, tuple[Callable[[object], bool], str]] = {
    "name": (_is_text, "a text"),
    "submitted_by": (is_address, "one mail address"),
    "submitted_at": (_is_time, "a time"),
    "type": (lambda value: value in (None, "python", "bash"), "`python` or `bash`"),
    "entry_point": (lambda value: value is None or _is_text(value), "a text"),
    "dependencies": (lambda value: value is None or (isinstance(value, list) and all(map(_is_text, value))), "a list of texts"),
}


def read_config(tree: Tree, folder: str) -> Config:
    """Read the config.yaml of a job folder. Whatever is wrong with it is in `problems`; nothing is raised."""
    where = f"{folder}/{CONFIG}"
    try:
        values = parse_yaml(tree.read_text(where, SMALL), where)
    except InvalidFileError as error:
        return Config(problems=(Problem(where, str(error).removeprefix(f"{where}: "), error.advice or ASK_AGAIN),))
    unfit = {key for key, (fits, _) in _EXPECTED.items() if key in values and not fits(values[key])}
    problems = tuple(Problem(where, f"`{key}` is not {_EXPECTED[key][1]}", ASK_AGAIN) for key in _EXPECTED if key in unfit)
    return _usable({key: value for key, value in values.items() if key not in unfit}, problems)


def _usable(values: dict[str, Any], problems: tuple[Problem, ...]) -> Config:
    return Config(
        name=text(values.get("name"), 1_000),
        submitter=values.get("submitted_by", ""),
        submitted_at=parse_time(values.get("submitted_at")),
        kind=values.get("type"),
        entrypoint=text(values.get("entry_point"), 1_000),
        dependencies=texts(values.get("dependencies")),
        problems=problems,
    )


def read_return_code(tree: Tree, path: str) -> tuple[int | None, tuple[Problem, ...]]:
    """The number in a return code file, None when there is no such file or it holds something else."""
    if tree.stamp(path) == "-":
        return None, ()
    try:
        found = tree.read_text(path, RETURN_CODE_LIMIT).strip()
    except InvalidFileError as error:
        return None, (Problem(path, str(error).removeprefix(f"{path}: "), "Read the logs to see how the job ended."),)
    if _NUMBER.fullmatch(found) is None:
        return None, (Problem(path, "does not hold a return code", "Read the logs to see how the job ended."),)
    return int(found), ()


def job_names(tree: Tree, folder: str) -> list[str]:
    """Names of the jobs that may be new in a folder of jobs.

    Where the folder is itself a job (it has a config.yaml), sub-folders are most likely its code: only those that have a
    config.yaml of their own count. So nobody can hide the jobs of a folder by putting a config.yaml into it.
    """
    names = [name for name in tree.fresh_children(folder) if not is_temporary(name)]
    if names and tree.is_file(f"{folder}/{CONFIG}"):
        return [name for name in names if tree.is_file(f"{folder}/{name}/{CONFIG}")]
    return names


def is_temporary(name: str) -> bool:
    """True for names under which something is being written and which the network never carries."""
    return name.startswith(".") and name.endswith(".tmp")


class Stage(Struct, frozen=True):
    """What a layout has found out about a job before its files are read.

    `word` is the peer's status word, `logs` the folder of its log files, `ended` the file whose time is the end of the run,
    `dated` every file whose time tells when something happened last. Paths are relative to the root.
    """

    path: str
    generation: str
    word: str
    logs: str
    ended: str
    dated: tuple[str, ...]
    owner_only: bool = False
    running: bool = False
    markers: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    ghosts: tuple[str, ...] = ()


def read_job(tree: Tree, spot: Spot, stage: Stage) -> Sighting:
    """The sighting of one job in the stage its layout found. The submitter is the folder's where the path has one.

    `kind` stays None for a job without `type`: peers take it for a bash job, the file does not say so. The return code is
    read last, because peers show `done` before they write it.
    """
    path, ref = stage.path, spot.ref
    missing = _not_arrived(tree, path) if stage.word == "inbox" else []
    config = Config() if CONFIG in missing else read_config(tree, path)
    code, code_problems = read_return_code(tree, f"{stage.logs}/{RETURN_CODE}") if stage.word == "done" else (None, ())
    damage = (*config.problems, *code_problems)
    flags = [*stage.flags, *(["damaged"] if damage else []), *(["half_arrived"] if missing else [])]
    notes, more_flags = _differences(ref.submitter, ref.key, path, config, bool(missing))
    if missing:
        advice = "Wait for the rest. If it never comes, ask the submitter to send the job again."
        notes.append(Problem(path, f"{' and '.join(missing)} not there yet", advice))
    return Sighting(
        ref=ref,
        layout=stage.generation,
        name=ref.key,
        owner=ref.owner,
        submitter=ref.submitter or config.submitter,
        path=path,
        observed="incomplete" if missing else _observed(stage.word, code),
        peer_status=stage.word,
        owner_only=stage.owner_only,
        submitted_at=config.submitted_at,
        updated_at=newest(tree, stage.dated),
        finished_at=newest(tree, (stage.ended,)) if stage.word == "done" else None,
        kind=config.kind,
        entrypoint=config.entrypoint,
        dependencies=config.dependencies,
        exit_code=code,
        markers=stage.markers,
        flags=tuple(sorted({*flags, *more_flags, *(["running"] if stage.running else [])})),
        problems=(*stage.problems, *damage, *notes),
        ghosts=stage.ghosts,
    )


def _not_arrived(tree: Tree, path: str) -> list[str]:
    return [name for name in (CONFIG, RUN_SCRIPT) if tree.stamp(f"{path}/{name}") == "-"]


def _observed(word: str, code: int | None) -> Observed:
    if word == "done":
        return "completed" if code in (None, 0) else "failed"
    return "approved" if word == "approved" else "pending"


def _differences(submitter: str, name: str, path: str, config: Config, incomplete: bool) -> tuple[list[Problem], list[str]]:
    """Where config.yaml and the path disagree (the path counts), and who is missing."""
    problems, flags = [], []
    where = f"{path}/{CONFIG}"
    if config.name is not None and config.name != name:
        flags.append("name_differs")
        advice = "Check that it is the job you expect."
        problems.append(Problem(where, "`name` is not the name of its folder; the folder counts", advice))
    if submitter and config.submitter and not same_address(submitter, config.submitter):
        flags.append("inconsistent")
        advice = "Ask the submitter, and send nothing to the address in the file."
        problems.append(Problem(where, "`submitted_by` is not the person whose folder it lies in; the folder counts", advice))
    if not is_address(submitter or config.submitter) and not incomplete:
        problems.append(Problem(path, "does not say whose job it is", "Its results cannot be shared. " + ASK_AGAIN))
    return problems, flags


def newest(tree: Tree, paths: Iterable[str]) -> datetime | None:
    """The latest modification time among files, aware UTC; None when none is there or no calendar has that time."""
    times = [found for found in map(tree.mtime, paths) if found is not None]
    try:
        return datetime.fromtimestamp(max(times), UTC) if times else None
    except (OverflowError, ValueError, OSError):
        return None


def content_of(sighting: Sighting) -> Content:
    """Everything in the job folder but status markers, permission files and what runs leave there."""
    return Content(base=sighting.path, exclude=NOT_SUBMITTED, fields=bound_fields(sighting))


def results_of(tree: Tree, sighting: Sighting, logs: str) -> ResultFiles:
    """Result files of a job whose log files lie in `logs`; results left in the code folder are stray."""
    base = f"{sighting.path}/{OUTPUTS}"
    stray = f"{sighting.path}/code/{OUTPUTS}"
    return ResultFiles(
        outputs_dir=base,
        outputs=_without_permissions(tree.files(base)),
        logs=tuple(path for path in (f"{logs}/{name}" for name in LOGS) if tree.is_file(path)),
        stray=tuple(f"{stray}/{name}" for name in _without_permissions(tree.files(stray))),
    )


def _without_permissions(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(path for path in paths if path.rpartition("/")[2] != PERMISSIONS)
