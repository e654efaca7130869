"""Changing the metadata file of a job so that every peer of the code queue goes on reading it.

Format: syft-code-queue 0.1.0-0.1.27 (docs/layouts.md). The file is JSON with two spaces and ASCII escapes; its times are
local without offset, and one time with an offset makes a peer's list of all jobs fail.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from scq.errors import InvalidFileError
from scq.files import read_text, remove_tree, write_atomic
from scq.formats import naive_local_time, parse_json, parse_time
from scq.layouts.code_queue_metadata import LIMIT
from scq.model import Decision, Run, Sighting

DEFAULT_TIMEOUT_S = 86_400
CANCELLED = "Cancelled by requester"
FAILED = "Execution failed"

_TIMES = ("created_at", "updated_at", "started_at", "completed_at")
_CAUSES = {
    "timeout": "time limit reached",
    "killed": "killed",
    "interrupted": "the runner stopped before the job ended",
    "integrity": "the code is not what was approved",
    "start": "could not be started",
    "output": "the results could not be collected",
    "node": "the machine it ran on failed",
    "preempted": "it had to make room for other jobs",
    "cancelled": "it was ended on request",
}


def rewrite(path: str, sighting: Sighting, changes: dict[str, Any]) -> None:
    """Change fields of a metadata file (absolute path), keeping the other fields and their order.

    A file that cannot be read is replaced by a fresh one made from the sighting. Nothing is written when only the time of
    the change would differ. Idempotent.
    """
    try:
        values = parse_json(read_text(path, LIMIT), path)
    except InvalidFileError:
        values = _fresh(path, sighting, changes["updated_at"])
    else:
        if all(key in values and values[key] == value for key, value in changes.items() if key != "updated_at"):
            return
    clear_the_way(path)
    values = {key: value for key, value in values.items() if _is_shallow(value)}
    write_atomic(path, dump({**values, **_plain_times(values), **changes}), mode=0o644)


def dump(values: dict[str, Any]) -> bytes:
    """The text form of a metadata file: two spaces, ASCII escapes, no line end after the last brace."""
    import json

    return json.dumps(values, indent=2).encode("ascii")


def _plain_times(values: dict[str, Any]) -> dict[str, str]:
    """Times with an offset become local times without one."""
    times = {key: parse_time(values.get(key)) for key in _TIMES}
    return {key: naive_local_time(value) for key, value in times.items() if value is not None}


def _is_shallow(value: object, depth: int = 20) -> bool:
    """False for a value nested so deeply that writing it would exhaust the stack."""
    if isinstance(value, dict):
        value = list(value.values())
    return not isinstance(value, list) or (depth > 0 and all(_is_shallow(item, depth - 1) for item in value))


def _fresh(path: str, sighting: Sighting, now: str) -> dict[str, Any]:
    created = sighting.submitted_at
    return new_metadata(
        uid=sighting.ref.key,
        name=sighting.name,
        requester=sighting.submitter,
        target=sighting.owner,
        code_folder=os.path.join(os.path.dirname(path), "code"),
        description=sighting.description,
        created=now if created is None else naive_local_time(created),
        timeout_s=sighting.timeout_s,
        tags=sighting.tags,
    )


def new_metadata(
    *,
    uid: str,
    name: str,
    requester: str,
    target: str,
    code_folder: str,
    description: str,
    created: str,
    timeout_s: int | None,
    tags: tuple[str, ...],
) -> dict[str, Any]:
    """All fields of a pending job in the order of syft-code-queue 0.1.27; `created` is local time without offset."""
    return {
        "uid": uid,
        "name": name,
        "requester_email": requester,
        "target_email": target,
        "code_folder": code_folder,
        "description": description or None,
        "created_at": created,
        "timeout_seconds": DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s,
        "tags": list(tags),
        "status": "pending",
        "updated_at": created,
        "started_at": None,
        "completed_at": None,
        "output_folder": None,
        "error_message": None,
        "exit_code": None,
        "logs": None,
    }


def decide(decision: Decision) -> dict[str, Any]:
    """Fields of a decided job. A rejection keeps its reason where the peers keep it; a cancelled job is a rejected one."""
    at = naive_local_time(decision.at)
    if decision.verdict == "approve":
        return {"status": "approved", "updated_at": at, "completed_at": None, "error_message": None}
    reason = CANCELLED if decision.method == "cancel" else decision.reason or None
    return {"status": "rejected", "updated_at": at, "completed_at": at, "error_message": reason}


def begin(run: Run) -> dict[str, Any]:
    """Fields of a job that starts now."""
    started = naive_local_time(run.started_at or run.claimed_at)
    changes: dict[str, Any] = {"status": "running", "updated_at": started, "started_at": started, "completed_at": None}
    return {**changes, "error_message": None, "exit_code": None}


def finish(run: Run, output_folder: str) -> dict[str, Any]:
    """Fields of a job that has ended; `output_folder` is absolute."""
    ended = naive_local_time(ended_at(run))
    status = final_status(run)
    cause = _CAUSES.get(run.cause or "exit")
    failure = f"{FAILED}: {cause}" if cause else FAILED
    return {
        "status": status,
        "updated_at": ended,
        "started_at": naive_local_time(run.started_at or run.claimed_at),
        "completed_at": ended,
        "output_folder": output_folder,
        "error_message": None if status == "completed" else failure,
        "exit_code": code_of(run),
    }


def reopen() -> dict[str, Any]:
    """Fields of a finished job that may run again."""
    nothing = dict.fromkeys(("started_at", "completed_at", "output_folder", "error_message", "exit_code"))
    return {"status": "approved", "updated_at": _now(), **nothing}


def share(logs: str) -> dict[str, Any]:
    """Fields of a job whose output the submitter may read."""
    return {"updated_at": _now(), "logs": logs}


def _now() -> str:
    return naive_local_time(datetime.now(UTC))


def final_status(run: Run) -> str:
    """`completed` for exit code 0 of a run that ended by itself, else `failed`."""
    return "completed" if run.exit_code == 0 and run.cause in (None, "exit") else "failed"


def code_of(run: Run) -> int:
    """Exit code as it is written down: -1 when the process never returned one."""
    return -1 if run.exit_code is None else run.exit_code


def ended_at(run: Run) -> datetime:
    return run.finished_at or run.started_at or run.claimed_at


def clear_the_way(path: str) -> None:
    """Remove a folder that stands where a file is about to be written."""
    if os.path.isdir(path):
        remove_tree(path)
