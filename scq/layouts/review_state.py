"""The state.yaml of the inbox/review generation: which words it knows, how a transition changes it, how it is saved.

Only the seven status words are ever written, times end in `Z`, every key is there (null when unset): the runners of the
peers stop at anything else. Flat jobs (protocol 0) keep the reason under both names its releases know; jobs below `v1`
carry the two identity keys. Source: syft-job 0.1.28-0.1.40 (docs/layouts.md).
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from scq.errors import IntegrityError, InvalidFileError
from scq.files import SMALL, read_bytes, read_text, write_atomic
from scq.formats import dump_yaml, integer, parse_time, parse_yaml, text, z_time
from scq.model import Decision, Observed

STATE_FILE = "state.yaml"
OBSERVED: dict[str, Observed] = {
    "received": "received",
    "pending": "pending",
    "approved": "approved",
    "rejected": "rejected",
    "running": "running",
    "done": "completed",
    "failed": "failed",
}
TIMES = ("received_at", "approved_at", "rejected_at", "completed_at")
TEXTS = ("approved_by", "approval_method", "rejected_by", "review_reason")
FLAT_TEXTS = ("rejection_reason",)
IDENTITY = {"canonical_name": "JobState", "version": "1"}

StateFile = dict[str, Any]


def parse_state(content: str, where: str) -> StateFile:
    """The mapping of a state.yaml. Raises InvalidFileError: not a mapping, or no status word at all."""
    value = parse_yaml(content, where)
    if not isinstance(value.get("status"), str):
        raise InvalidFileError(f"{where}: has no status", "Ask the data owner to look at it.")
    return value


def observed(state: StateFile) -> Observed:
    """The status word as every layout says it; a word outside the seven is damage."""
    return OBSERVED.get(state["status"], "damaged")


def reason(state: StateFile) -> str | None:
    """Text recorded at the review: releases before 0.1.35 have it for rejections only, under another name."""
    return text(state.get("review_reason")) or text(state.get("rejection_reason"))


def times(state: StateFile) -> dict[str, datetime]:
    """The readable times of a state by key, aware UTC."""
    found = ((key, parse_time(state.get(key))) for key in TIMES)
    return {key: at for key, at in found if at is not None}


def load_state(folder: str) -> StateFile | None:
    """State of a review folder (absolute path), None when there is none. Raises InvalidFileError when it is damaged."""
    path = os.path.join(folder, STATE_FILE)
    if not os.path.lexists(path):
        return None
    state = parse_state(read_text(path), path)
    if observed(state) == "damaged":
        raise InvalidFileError(f"{path}: the status word {str(text(state['status'], 40))!r} is unknown", "Look at it by hand.")
    return state


def load_sound_state(folder: str, at: datetime) -> StateFile:
    """As `load_state`; a job without state is pending since `at`. Raises IntegrityError when it is damaged."""
    try:
        return load_state(folder) or pending(at)
    except InvalidFileError as error:
        advice = "Reject the job, or remove its state.yaml so that it counts as newly received."
        raise IntegrityError(f"{error}", advice) from error


def load_any_state(folder: str, at: datetime) -> StateFile:
    """As `load_state`; a job without state, or with a damaged one, is pending since `at`."""
    try:
        return load_state(folder) or pending(at)
    except InvalidFileError:
        return pending(at)


def pending(received_at: datetime) -> StateFile:
    """State of a submission that was received and waits."""
    return {"status": "pending", "received_at": z_time(received_at)}


def approved(state: StateFile, decision: Decision) -> StateFile:
    """State after an approval; a rejection it replaces is taken out."""
    return state | {
        "status": "approved",
        "approved_by": decision.by,
        "approved_at": z_time(decision.at),
        "approval_method": "manual",
        "review_reason": text(decision.reason) or None,
        "rejected_by": None,
        "rejected_at": None,
        "rejection_reason": None,
    }


def rejected(state: StateFile, decision: Decision) -> StateFile:
    """State after a rejection. An earlier approval stays on record, as the peers leave it."""
    words = text(decision.reason) or None
    return state | {
        "status": "rejected",
        "rejected_by": decision.by,
        "rejected_at": z_time(decision.at),
        "review_reason": words,
        "rejection_reason": words,
    }


def running(state: StateFile) -> StateFile:
    return state | {"status": "running"}


def ended(state: StateFile, at: datetime, return_code: int) -> StateFile:
    """State after a run: `done` for return code 0, `failed` for any other."""
    word = "done" if return_code == 0 else "failed"
    return state | {"status": word, "completed_at": z_time(at), "return_code": return_code}


def reopened(state: StateFile) -> StateFile:
    """State of a finished job that shall run again."""
    return state | {"status": "approved", "completed_at": None, "return_code": None}


def save_state(folder: str, state: StateFile, *, segmented: bool) -> None:
    """Replace the state.yaml of a review folder (absolute path), unless it says exactly this already."""
    path = os.path.join(folder, STATE_FILE)
    content = dump_yaml(_complete(state, segmented))
    if not _holds(path, content):
        write_atomic(path, content, mode=0o644)


def _complete(state: StateFile, segmented: bool) -> StateFile:
    """Every key the peers expect, in the type they expect; keys unknown to us stay."""
    texts = TEXTS if segmented else TEXTS + FLAT_TEXTS
    found = times(state)
    whole = dict(state)
    whole.update({key: z_time(found[key]) if key in found else None for key in TIMES})
    whole.update({key: text(state.get(key)) for key in texts})
    whole["return_code"] = integer(state.get("return_code"))
    if segmented:
        whole.update(IDENTITY)
        # the 0.1.40 reader of v1 does not know this key; a reason it holds is kept under the name it knows
        old = text(whole.pop("rejection_reason", None))
        whole["review_reason"] = whole["review_reason"] or old
    return whole


def _holds(path: str, content: bytes) -> bool:
    if os.path.isdir(path) and not os.path.islink(path):
        raise IntegrityError(f"{path}: is a folder where the state belongs", "Find out who put it there, then remove it.")
    try:
        return read_bytes(path, SMALL) == content
    except InvalidFileError:
        return False
