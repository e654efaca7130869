"""Reading the metadata file of a job, which both forms of the code queue share. Its writer is a stranger.

Format: syft-code-queue 0.1.0-0.1.27 and syft-simple-runner 0.2.2 (docs/layouts.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from scq.errors import ConfigError, InvalidFileError
from scq.formats import integer, is_component, parse_json, parse_time, same_address, text, texts
from scq.model import FINISHED, Content, JobRef, Observed, Problem, Sighting
from scq.ports import Tree

LIMIT = 16 << 20
"""Cap for a metadata file, bytes: the captured output of the job may be inside."""
LOG_NAME = "execution.log"
OUTPUT = "output"
EXPIRED = "Job expired"
"""Begins the failure or rejection text of a job that a peer let expire."""
EXIT_CODE = "Exit Code:"
"""Begins the only line in which the peers keep an exit code."""

ARRIVING = "Wait until the rest has arrived; if nothing comes, ask the submitter to send the job again."

_UID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")

T = TypeVar("T")

_REQUIRED = frozenset({"name", "requester_email", "target_email"})


class Facts(Struct, frozen=True):
    """The usable part of one metadata file. What could not be used is None and named in `wrong`."""

    uid: str | None = None
    name: str | None = None
    requester: str | None = None
    target: str | None = None
    status: str | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    timeout_s: int | None = None
    created: datetime | None = None
    updated: datetime | None = None
    started: datetime | None = None
    completed: datetime | None = None
    error: str | None = None
    exit_code: int | None = None
    logs_end: str | None = None
    wrong: tuple[str, ...] = ()
    damaged: bool = False
    """True when a field is unusable without which no peer can read the job."""


NOTHING = Facts(damaged=True)


def load(tree: Tree, path: str) -> Facts:
    """The facts of one metadata file; `path` is relative to the root. Raises InvalidFileError."""
    values = parse_json(tree.read_text(path, LIMIT), path)
    wrong: list[str] = []

    def use(key: str, parse: Callable[[object], T | None]) -> T | None:
        found = parse(values.get(key))
        if found is None and (key in _REQUIRED or values.get(key) is not None):
            wrong.append(key)
        return found

    facts = Facts(
        uid=use("uid", text),
        name=use("name", _name),
        requester=use("requester_email", address),
        target=use("target_email", address),
        status=use("status", text),
        description=use("description", text) or "",
        tags=use("tags", _tags) or (),
        timeout_s=use("timeout_seconds", _seconds),
        created=use("created_at", parse_time),
        updated=use("updated_at", parse_time),
        started=use("started_at", parse_time),
        completed=use("completed_at", parse_time),
        error=use("error_message", text),
        exit_code=use("exit_code", integer),
        logs_end=use("logs", _end),
    )
    return replace(facts, wrong=tuple(wrong), damaged=not _REQUIRED.isdisjoint(wrong))


def _name(value: object) -> str | None:
    """A job gets its name as an environment variable, which cannot hold a NUL."""
    found = text(value)
    return None if found is None or "\0" in found else found


def _tags(value: object) -> tuple[str, ...] | None:
    return texts(value) if isinstance(value, list) else None


def _seconds(value: object) -> int | None:
    found = integer(value)
    return found if found is not None and found > 0 else None


def _end(value: object) -> str | None:
    return text(value[-2_000:]) if isinstance(value, str) else None


def address(value: object) -> str | None:
    """A plain address, None for anything else: in a permission file `*` and `USER` would mean other people too."""
    found = text(value, 321)
    if found is None or found.count("@") != 1 or len(found) > 320 or not found.isprintable():
        return None
    return None if any(character in ' \t*?[]{}/\\,"' for character in found) else found


def problems(facts: Facts, where: str) -> tuple[Problem, ...]:
    """One problem for each field that cannot be used."""
    advice = "Ask the submitter to send the job again."
    return tuple(Problem(where, f"has no usable {field}", advice) for field in facts.wrong)


def sighting(
    facts: Facts,
    ref: JobRef,
    *,
    layout: str,
    path: str,
    observed: Observed,
    owner_only: bool,
    updated_at: datetime | None,
    exit_code: int | None,
    flags: tuple[str, ...],
    problems: tuple[Problem, ...],
    ghosts: tuple[str, ...] = (),
    reason: str | None = None,
    decided_by: str | None = None,
) -> Sighting:
    """One job; what its metadata does not say is taken from where it lies."""
    return Sighting(
        ref=ref,
        layout=layout,
        name=facts.name or ref.key,
        owner=addressee(facts, ref),
        submitter=facts.requester or "",
        path=path,
        observed=observed,
        peer_status=facts.status,
        uid=uid_of(ref.key),
        owner_only=owner_only,
        submitted_at=facts.created,
        updated_at=updated_at,
        started_at=facts.started,
        finished_at=facts.completed if observed in FINISHED else None,
        description=facts.description,
        tags=facts.tags,
        timeout_s=facts.timeout_s,
        reason=reason or _reason(facts, observed),
        error=facts.error,
        decided_by=decided_by,
        decided_at=facts.completed if observed == "rejected" else None,
        exit_code=exit_code,
        flags=flags,
        problems=problems,
        ghosts=ghosts,
    )


def addressee(facts: Facts, ref: JobRef) -> str:
    """Who decides about a job. Only its sender's own datasite may hold a job for somebody else; elsewhere the folder counts.

    Otherwise whoever may edit the metadata file could hide a job from the person in whose datasite it lies.
    """
    sent_from_here = facts.requester is None or same_address(facts.requester, ref.owner)
    return facts.target if facts.target is not None and sent_from_here else ref.owner


def incomplete(ref: JobRef, layout: str, path: str, missing: str, ghosts: tuple[str, ...] = ()) -> Sighting:
    """A job whose metadata file has not arrived."""
    return Sighting(
        ref=ref,
        layout=layout,
        name=ref.key,
        owner=ref.owner,
        submitter="",
        path=path,
        observed="incomplete",
        uid=uid_of(ref.key),
        flags=("half_arrived",),
        problems=(Problem(path, f"has no {missing} yet", ARRIVING),),
        ghosts=ghosts,
    )


def uid_of(key: str) -> str | None:
    """The id of a job whose folder is named by one. Any other name would be shown, and cut, as if it were an id."""
    return key if _UID.fullmatch(key) else None


def content(sighting: Sighting) -> Content:
    """The code folder, and the fields that say what runs, how long, who gets the results, and which data the job may read."""
    limit = "" if sighting.timeout_s is None else str(sighting.timeout_s)
    fields = (("name", sighting.name), ("requester_email", sighting.submitter), ("timeout_seconds", limit))
    tags = (("tags", "\n".join(sighting.tags)),) if sighting.tags else ()
    return Content(base=f"{sighting.path}/code", fields=(*fields, *tags))


def _reason(facts: Facts, observed: str) -> str | None:
    if facts.error is not None and facts.error.startswith(EXPIRED):
        return "expired"
    return facts.error if observed == "rejected" else None


def unreadable(where: str, error: InvalidFileError) -> Problem:
    """A metadata or log file that cannot be used at all."""
    return Problem(where, str(error).removeprefix(f"{where}: "), error.advice or "Ask the submitter to send the job again.")


def exit_code(tree: Tree, facts: Facts, log: str, observed: str) -> tuple[int | None, tuple[Problem, ...]]:
    """Exit code of an ended job: from its field, else the last `Exit Code:` line of the kept output, else of the log file."""
    if observed not in ("completed", "failed"):
        return None, ()
    if facts.exit_code is not None:
        return facts.exit_code, ()
    if facts.logs_end is not None:
        return parse_exit_code(facts.logs_end), ()
    if not tree.is_file(log):
        return None, ()
    try:
        return parse_exit_code(tree.read_text(log, LIMIT)), ()
    except InvalidFileError as error:
        return None, (unreadable(log, error),)


def parse_exit_code(log: str) -> int | None:
    """The number of the last `Exit Code:` line; None when there is none."""
    for line in reversed(log.splitlines()):
        if line.startswith(EXIT_CODE):
            number = line.removeprefix(EXIT_CODE).strip()
            return int(number) if number.removeprefix("-").isdecimal() and len(number) < 12 else None
    return None


def newest(tree: Tree, paths: Iterable[str]) -> datetime | None:
    """Latest change of some files, None when none is there."""
    seconds = max((found for path in paths if (found := tree.mtime(path)) is not None), default=None)
    return None if seconds is None else _moment(seconds)


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def checked_queue_name(name: str) -> str:
    """The name itself. Raises ConfigError when it cannot be a folder name."""
    if not is_component(name) or name.startswith("."):
        raise ConfigError(f"queue_name: {name!r} is not a folder name", "Use a plain name such as code-queue.")
    return name


def queue_folders(tree: Tree, queue_name: str) -> Iterator[tuple[str, str]]:
    """Every `jobs` folder of the queue as (folder relative to the root, address of the datasite that holds it)."""
    for folder, person in tree.datasites():
        app_data = f"{folder}/app_data"
        jobs = f"{app_data}/{queue_name}/jobs"
        if folder.startswith("datasites/") and tree.is_dir(jobs) and _is_plain(tree, app_data, queue_name):
            yield jobs, person


def _is_plain(tree: Tree, app_data: str, queue_name: str) -> bool:
    """False when a folder above the jobs is a link: it was only looked through."""
    return tree.is_dir(app_data) and tree.is_dir(f"{app_data}/{queue_name}")
