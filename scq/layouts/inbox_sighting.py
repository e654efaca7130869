"""Reading one job of the inbox/review generation: what its folders say, with everything wrong named and nothing raised."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from scq.errors import InvalidFileError
from scq.files import SMALL
from scq.formats import integer, text
from scq.layouts.inbox_config import CONFIG_FILE, InboxConfig, parse_config
from scq.layouts.inbox_paths import (
    ABSENT,
    CODE,
    LOGS,
    OUTPUTS,
    RUN_SH,
    exists,
    home_of,
    is_segmented,
    is_versioned,
    job_name,
    job_path,
)
from scq.layouts.review_state import STATE_FILE, StateFile, observed, parse_state, reason, times
from scq.model import Observed, Problem, ResultFiles, Sighting, Spot
from scq.permissions import FILE_NAME
from scq.ports import Tree

REQUIRED = (CODE, RUN_SH, CONFIG_FILE)
SHOWN_NAMES = 5
RETURN_CODE_LIMIT = 64


class _Findings:
    """Problems and flags collected while one job is read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.flags: list[str] = []

    def add(self, where: str, what: str, advice: str = "", *, flag: str = "") -> None:
        self.problems.append(Problem(where, what, advice))
        if flag and flag not in self.flags:
            self.flags.append(flag)


class _State(Struct, frozen=True):
    """What is known of a state.yaml. `damaged` when there is one that says nothing usable."""

    values: StateFile
    word: str | None
    observed: Observed
    damaged: bool = False


NO_STATE = _State({}, None, "received")


def stamp(tree: Tree, spot: Spot) -> str:
    """Stamps of the folders there are (they change with their entries) and of every file `read` opens or dates."""
    inbox, review = _folders(spot)
    dated = (f"{review}/{name}" for name in (STATE_FILE, *LOGS, OUTPUTS))
    sides = ((inbox, (inbox, f"{inbox}/{CONFIG_FILE}")), (review, (review, *dated)))
    return "|".join(tree.stamp(path) if side in spot.places else ABSENT for side, paths in sides for path in paths)


def read(tree: Tree, spot: Spot) -> Sighting:
    """Join both folders of a job. Names come from the path; the owner's state counts, the submitter's files only describe."""
    inbox, review = _folders(spot)
    ref = spot.ref
    found = _Findings()
    # a folder that is not among the places may lie behind a link: nothing in it counts
    state = _read_state(tree, review, found) if review in spot.places else NO_STATE
    arrived = inbox in spot.places and tree.is_dir(inbox)
    missing = _check_entries(tree, inbox, state, found) if arrived else ()
    config = _read_config(tree, inbox, found) if arrived and CONFIG_FILE not in missing else None
    if not arrived:
        found.add(inbox, "the submission is no longer in the inbox", "What is known about it comes from the review folder.")
    if config is not None and config.name is not None and config.name != job_name(ref):
        what = f"{CONFIG_FILE} calls the job {config.name[:100]!r}; the folder name counts"
        found.add(f"{inbox}/{CONFIG_FILE}", what, "Read the job with care: the file was changed.", flag="name_differs")
    unreadable = arrived and config is None and CONFIG_FILE not in missing
    seen = _observe(state, gone=not arrived, partly=bool(missing), unreadable=unreadable)
    if seen == "running":
        found.flags.append("running")
    return Sighting(
        ref=ref,
        layout="c1" if is_segmented(ref) else "c0",
        name=job_name(ref),
        owner=ref.owner,
        submitter=ref.submitter,
        path=inbox,
        observed=seen,
        # releases that know segments list no flat job of such a name, so they have no word for it
        peer_status=state.word or (None if state.damaged or is_versioned(ref.key) else "received"),
        review_path=review if review in spot.places else None,
        owner_only=ref.owner.lower() == tree.me,
        updated_at=_updated_at(tree, review, state, config),
        exit_code=_exit_code(tree, review, state, found),
        flags=tuple(found.flags),
        problems=tuple(found.problems),
        **_decision_fields(state),
        **_config_fields(config),
    )


def results(tree: Tree, spot: Spot) -> ResultFiles:
    """Collected results from the review folder; files the job left in the inbox, where no release looks again, are stray."""
    inbox, review = _folders(spot)
    outputs_dir = f"{review}/{OUTPUTS}"
    has_review, has_inbox = review in spot.places, inbox in spot.places
    outputs = tuple(path for path in tree.files(outputs_dir) if _is_result(path)) if has_review else ()
    logs = tuple(f"{review}/{name}" for name in LOGS if has_review and tree.is_file(f"{review}/{name}"))
    stray: list[str] = []
    if has_inbox:
        folders = [f"{inbox}/{CODE}/{OUTPUTS}"] if tree.is_dir(f"{inbox}/{CODE}") else []
        for folder in [*folders, f"{inbox}/{OUTPUTS}"]:
            stray.extend(f"{folder}/{path}" for path in tree.files(folder) if _is_result(path))
    return ResultFiles(outputs_dir, outputs, logs, tuple(stray))


def _folders(spot: Spot) -> tuple[str, str]:
    home = home_of(spot.places[0], spot.ref.owner)
    return job_path(home, "inbox", spot.ref), job_path(home, "review", spot.ref)


def _is_result(path: str) -> bool:
    return FILE_NAME not in path.split("/")


def _read_state(tree: Tree, review: str, found: _Findings) -> _State:
    path = f"{review}/{STATE_FILE}"
    if not exists(tree, path):
        return NO_STATE
    advice = "Look at the file by hand. Without it the job counts as newly received."
    try:
        values = parse_state(tree.read_text(path, SMALL), path)
    except InvalidFileError as error:
        if not exists(tree, path):
            return NO_STATE
        found.add(path, _what(error, path), advice, flag="damaged")
        return _State({}, None, "damaged", damaged=True)
    word = text(values["status"], 100)
    if observed(values) == "damaged":
        found.add(path, f"the status word {word!r} is unknown", advice, flag="damaged")
    return _State(values, word, observed(values), damaged=observed(values) == "damaged")


def _check_entries(tree: Tree, inbox: str, state: _State, found: _Findings) -> tuple[str, ...]:
    """Compare the submission with what every release demands, exactly; return the entries that are missing."""
    names = set(tree.names(inbox)) - {FILE_NAME}
    missing = tuple(name for name in REQUIRED if name not in names)
    if state.observed in ("completed", "failed"):
        # what happens to a submission after its run, by a peer's runner or its submitter, is no news
        return missing
    if missing:
        what = f"{_listed(missing)} not there"
        found.add(inbox, what, "It may still be arriving. If not, ask the submitter to send it again.", flag="half_arrived")
    if state.observed not in ("received", "pending", "damaged"):
        return missing
    extra = sorted(names.difference(REQUIRED))
    if extra:
        what = f"unexpected entries beside the code: {_listed(extra)}"
        found.add(inbox, what, "Every release rejects such a job: reject it and say so.", flag="extra_entries")
    wrong = [name for name in REQUIRED if name in names and not _has_type(tree, inbox, name)]
    if wrong:
        what = f"{_listed(wrong)}: not a plain file or folder as it should be"
        found.add(inbox, what, "Reject the job and say so.", flag="extra_entries")
    return missing


def _has_type(tree: Tree, inbox: str, name: str) -> bool:
    path = f"{inbox}/{name}"
    return tree.is_dir(path) if name == CODE else tree.is_file(path)


def _listed(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(name[:60].encode("utf-8", "backslashreplace").decode() for name in names[:SHOWN_NAMES])
    return shown if len(names) <= SHOWN_NAMES else f"{shown} and {len(names) - SHOWN_NAMES} more"


def _read_config(tree: Tree, inbox: str, found: _Findings) -> InboxConfig | None:
    path = f"{inbox}/{CONFIG_FILE}"
    try:
        config = parse_config(tree.read_text(path, SMALL), path)
    except InvalidFileError as error:
        found.add(path, _what(error, path), "Reject the job and ask the submitter to send it again.", flag="damaged")
        return None
    if config.submitted_at is None:
        found.add(path, "has no readable submission time", "The job can still be reviewed.")
    return config


def _what(error: InvalidFileError, path: str) -> str:
    return str(error).removeprefix(f"{path}: ")


def _observe(state: _State, *, gone: bool, partly: bool, unreadable: bool) -> Observed:
    """The owner's word counts once something was decided. Until then a submission can be damaged or still arriving."""
    if state.damaged:
        return "damaged"
    if unreadable and state.observed in ("received", "pending", "approved"):
        return "damaged"
    if partly and state.observed in ("received", "pending"):
        return "incomplete"
    if gone and state.word is None:
        return "incomplete"
    return state.observed


def _exit_code(tree: Tree, review: str, state: _State, found: _Findings) -> int | None:
    """The code in the state, compared with returncode.txt. Only a finished job has one."""
    if state.observed not in ("completed", "failed"):
        return None
    code = integer(state.values.get("return_code"))
    path = f"{review}/{LOGS[2]}"
    if exists(tree, path):
        written = _written_code(tree, path)
        if written is None:
            found.add(path, "holds no return code", "Look at the logs of the job.", flag="inconsistent")
        elif code is not None and written != code:
            what = f"says {written} where {STATE_FILE} says {code}"
            found.add(path, what, "Look at the logs of the job.", flag="inconsistent")
        code = written if code is None else code
    if state.observed == "completed" and code:
        found.add(f"{review}/{STATE_FILE}", f"says done with return code {code}", "Look at the logs.", flag="inconsistent")
    return code


def _written_code(tree: Tree, path: str) -> int | None:
    try:
        content = tree.read_text(path, RETURN_CODE_LIMIT).strip()
        return int(content) if content.isascii() else None
    except (InvalidFileError, ValueError):
        return None


def _decision_fields(state: _State) -> dict[str, Any]:
    """Who decided what and when, and when the job ended, as `Sighting` fields."""
    at = times(state.values)
    side = "rejected" if state.observed == "rejected" else "approved"
    return {
        "reason": reason(state.values),
        "decided_by": text(state.values.get(f"{side}_by"), 320),
        "decided_at": at.get(f"{side}_at"),
        "approval_method": text(state.values.get("approval_method"), 40),
        "finished_at": at.get("completed_at"),
    }


def _config_fields(config: InboxConfig | None) -> dict[str, Any]:
    if config is None:
        return {}
    return {
        "submitted_at": config.submitted_at,
        "kind": config.kind,
        "entrypoint": config.entrypoint,
        "dependencies": config.dependencies,
        "description": config.description,
        "tags": config.tags,
        "timeout_s": config.timeout_s,
    }


def _updated_at(tree: Tree, review: str, state: _State, config: InboxConfig | None) -> datetime | None:
    """The latest time in the state; of a running job, whose state keeps no start, the newest change of its files."""
    if state.observed == "running":
        stamps = (tree.mtime(f"{review}/{name}") for name in (STATE_FILE, *LOGS, OUTPUTS))
        return max((at for at in map(_moment, stamps) if at is not None), default=None)
    known = times(state.values).values()
    return max(known, default=None) or (config.submitted_at if config is not None else None)


def _moment(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
