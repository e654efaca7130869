"""What Slurm's word for the state of a job says about a run. It never decides whether a job ran: files do.

Source of the words: squeue(1) of Slurm 22.05, job state codes.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec.structs import replace

from scq.model import Cause
from scq.ports import Ending

OVER = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)
"""A job in such a state does nothing any more. Every other word, also one that is not known here, is a job that may."""
WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
GONE = ""
"""In place of a word: the cluster does not know the job."""

_BEGAN: dict[str, Cause] = {
    "BOOT_FAIL": "node",
    "CANCELLED": "cancelled",
    "DEADLINE": "timeout",
    "NODE_FAIL": "node",
    "OUT_OF_MEMORY": "memory",
    "PREEMPTED": "preempted",
    "TIMEOUT": "timeout",
}
_STOPPED = frozenset({"CANCELLED", "DEADLINE", "PREEMPTED", "TIMEOUT"})
"""Slurm ended it while it ran. A node that failed, or too much memory, may have come after its end."""
_NEVER_STARTED = frozenset({"COMPLETED", "DEADLINE", "FAILED", "OUT_OF_MEMORY", "TIMEOUT"})
"""Slurm had it on a node, and it ended before it began the run: it would do so again."""
_ENDED = re.compile(r"\*\*\* JOB \d+ ON \S+ CANCELLED AT \S+(?: DUE TO ([A-Z ]+))? \*\*\*", re.ASCII)
"""What slurmstepd of Slurm 22.05 writes last into the output of a job that it ends."""
_REASONS = {"": "CANCELLED", "NODE FAILURE": "NODE_FAIL", "PREEMPTION": "PREEMPTED", "TIME LIMIT": "TIMEOUT"}
_SENTENCES: dict[Cause, str] = {
    "cancelled": "it was cancelled on the cluster",
    "interrupted": "it ended on the cluster without a result",
    "memory": "the cluster ended it for its memory",
    "node": "its node failed",
    "preempted": "it had to make room for other work on the cluster",
    "start": "it ended on the cluster before it began",
    "timeout": "the cluster ended it for its time limit",
}
STOPPED = "it was ended with scq cancel"


def alive(state: str) -> bool:
    """Whether a job may still do something, as far as the cluster knows."""
    return state != GONE and state not in OVER


def stage(state: str) -> Literal["waiting", "running", "ending"]:
    """Where a job is, for people."""
    if not alive(state) or state == "COMPLETING":
        return "ending"
    return "waiting" if state in WAITING else "running"


def recalled(words: str) -> str:
    """Slurm's word for a job that it has forgotten, by the last words about its start: empty when they tell nothing."""
    said = _ENDED.search(words)
    if said is None:
        return "FAILED" if words else GONE
    return _REASONS.get(said[1] or "", GONE)


def without_result(state: str, *, began: bool, stopped: bool) -> Cause | None:
    """The cause of the end of a run that left no result, None for one that may simply be submitted again.

    `began`: the job itself was about to be started; `stopped`: we were told to end it.
    """
    if stopped or state == "CANCELLED":
        return "cancelled"
    if began:
        return _BEGAN.get(state, "interrupted")
    return "start" if state in _NEVER_STARTED else None


def sentence(cause: Cause, *, stopped: bool) -> str:
    """One sentence on such a cause."""
    return STOPPED if stopped and cause == "cancelled" else _SENTENCES.get(cause, "")


def refined(ending: Ending, state: str, *, stopped: bool) -> Ending:
    """An ending as the supervisor on the node wrote it, which cannot know who stopped it.

    A script that was stopped may itself end well: where it is known to have been stopped, its exit code tells nothing.
    """
    if ending.cause != "interrupted" and not (ending.cause == "exit" and (stopped or state in _STOPPED)):
        return ending
    cause = without_result(state, began=True, stopped=stopped) or "interrupted"
    if cause == "interrupted":
        return ending
    return replace(ending, exit_code=None, cause=cause, detail=sentence(cause, stopped=stopped))
