from __future__ import annotations

import pytest
from msgspec.structs import replace

from scq.executors.slurm import endings
from scq.ports import Ending

TABLE = {
    # state: (cause when it began, cause when it did not)
    "": ("interrupted", None),
    "BOOT_FAIL": ("node", None),
    "CANCELLED": ("cancelled", "cancelled"),
    "COMPLETED": ("interrupted", "start"),
    "DEADLINE": ("timeout", "start"),
    "FAILED": ("interrupted", "start"),
    "NODE_FAIL": ("node", None),
    "OUT_OF_MEMORY": ("memory", "start"),
    "PREEMPTED": ("preempted", None),
    "REVOKED": ("interrupted", None),
    "TIMEOUT": ("timeout", "start"),
}


@pytest.mark.parametrize("state", TABLE)
def test_the_cause_of_an_end_without_a_result(state: str) -> None:
    began, never = TABLE[state]
    assert endings.without_result(state, began=True, stopped=False) == began
    assert endings.without_result(state, began=False, stopped=False) == never
    assert endings.without_result(state, began=True, stopped=True) == "cancelled"
    assert endings.without_result(state, began=False, stopped=True) == "cancelled"
    assert not endings.alive(state)
    assert endings.stage(state) == "ending"


def test_every_state_that_is_over_is_in_the_table() -> None:
    assert set(TABLE) - {""} == endings.OVER


@pytest.mark.parametrize(
    ("state", "stage"),
    [
        ("PENDING", "waiting"),
        ("REQUEUE_HOLD", "waiting"),
        ("CONFIGURING", "running"),
        ("RUNNING", "running"),
        ("SUSPENDED", "running"),
        ("COMPLETING", "ending"),
        ("A_WORD_OF_TOMORROW", "running"),
    ],
)
def test_a_job_that_may_still_do_something_is_alive(state: str, stage: str) -> None:
    assert endings.alive(state)
    assert endings.stage(state) == stage


def ending(cause: str, detail: str = "") -> Ending:
    return Ending(None, cause, "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00", detail=detail)


@pytest.mark.parametrize(
    ("state", "stopped", "cause"),
    [
        ("COMPLETED", False, "exit"),
        ("", False, "exit"),
        ("NODE_FAIL", False, "exit"),
        ("COMPLETED", True, "cancelled"),
        ("CANCELLED", False, "cancelled"),
        ("PREEMPTED", False, "preempted"),
        ("TIMEOUT", False, "timeout"),
    ],
)
def test_a_script_that_ended_well_after_it_was_stopped_did_not_end_by_itself(state: str, stopped: bool, cause: str) -> None:
    left = replace(ending("exit"), exit_code=0)
    found = endings.refined(left, state, stopped=stopped)
    assert (found.cause, found.exit_code) == (cause, 0 if cause == "exit" else None)


@pytest.mark.parametrize("cause", ["timeout", "memory", "start", "integrity"])
def test_what_the_supervisor_knows_better_stays(cause: str) -> None:
    assert endings.refined(ending(cause), "CANCELLED", stopped=True) == ending(cause)


@pytest.mark.parametrize(
    ("state", "stopped", "cause", "detail"),
    [
        ("CANCELLED", True, "cancelled", "it was ended with scq cancel"),
        ("COMPLETED", True, "cancelled", "it was ended with scq cancel"),
        ("CANCELLED", False, "cancelled", "it was cancelled on the cluster"),
        ("PREEMPTED", False, "preempted", "it had to make room for other work on the cluster"),
        ("NODE_FAIL", False, "node", "its node failed"),
        ("TIMEOUT", False, "timeout", "the cluster ended it for its time limit"),
        ("FAILED", False, "interrupted", ""),
        ("", False, "interrupted", ""),
    ],
)
def test_who_interrupted_a_job_is_told_by_the_cluster(state: str, stopped: bool, cause: str, detail: str) -> None:
    assert endings.refined(ending("interrupted"), state, stopped=stopped) == ending(cause, detail)


def test_every_cause_without_a_result_has_a_sentence() -> None:
    for began, never in TABLE.values():
        assert endings.sentence(began, stopped=False)  # type: ignore[arg-type]
        assert never is None or endings.sentence(never, stopped=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ("", ""),
        ("no such python", "FAILED"),
        ("slurmstepd-n2: error: *** JOB 3 ON n2 CANCELLED AT 2026-11-22T06:32:21 ***", "CANCELLED"),
        ("slurmstepd: error: *** JOB 3 ON n2 CANCELLED AT 2026-11-22T06:32:21 DUE TO TIME LIMIT ***", "TIMEOUT"),
        ("slurmstepd: error: *** JOB 3 ON n2 CANCELLED AT 2026-11-22T06:32:21 DUE TO NODE FAILURE ***", "NODE_FAIL"),
        ("slurmstepd: error: *** JOB 3 ON n2 CANCELLED AT 2026-11-22T06:32:21 DUE TO PREEMPTION ***", "PREEMPTED"),
        ("slurmstepd: error: *** JOB 3 ON n2 CANCELLED AT 2026-11-22T06:32:21 DUE TO JOB REQUEUE ***", ""),
    ],
)
def test_what_a_job_said_last_tells_how_it_ended_when_the_cluster_has_forgotten_it(words: str, state: str) -> None:
    assert endings.recalled(words) == state
