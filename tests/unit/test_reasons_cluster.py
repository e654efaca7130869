"""What is said of a job that was handed to a cluster, in every state it can have there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scq.model import Whereabouts
from scq.reasons.queueing import BEGINNINGS, WORDS, why_it_waits
from tests.making import NOW, decision, record, run
from tests.unit.test_reasons import NASTY, said, text

HANDED = record("running", "running", run=run("claimed", executor="slurm", sandbox="bwrap"), decision=decision())
RUNS = Whereabouts("running", "411", "main", "n1", since=NOW - timedelta(minutes=4))


def failed(cause: Any, **fields: Any) -> Any:
    ended = run(cause=cause, exit_code=None, executor="slurm", node="n1", finished_at=NOW, **fields)
    return record("failed", "failed", run=ended, decision=decision())


def test_one_that_waits_says_its_place_and_why() -> None:
    place = Whereabouts("waiting", "412", "main", why="Priority", position=2)
    found = said(HANDED, place=place, alive=True)
    assert found.waits_for == "cluster"
    assert found.reasons[0].startswith(
        "It waits on the cluster: job 412, partition main, 2nd in line (attempt 1 in bwrap, claimed on "
    )
    assert found.reasons[1] == "Jobs with a higher priority are before it (Priority)."
    assert found.next == ("It starts by itself when it is its turn.", "To take it back from there: scq cancel count-00")
    assert len(said(HANDED, place=Whereabouts("waiting")).reasons) == 1


def test_one_that_runs_says_where_since_when_and_for_how_long_it_may() -> None:
    found = said(HANDED, place=RUNS, alive=True, started_at=RUNS.since, wall_s=600.0)
    assert found.waits_for == "end"
    assert found.reasons[0].startswith("It has been running on n1 for 4 min 0 s, since ")
    assert found.reasons[0].endswith("(job 411, attempt 1 in bwrap).")
    assert found.next[0] == "It may run for 10 min 0 s; 6 min 0 s are left."
    unknown = said(HANDED, place=Whereabouts("running"))
    assert unknown.reasons == ("It is running on the cluster (attempt 1 in bwrap).",)


def test_one_that_is_over_there_waits_for_the_next_call() -> None:
    found = said(HANDED, place=Whereabouts("ending", "412"), next_run=NOW, scheduler="cron")
    assert found.waits_for == "run"
    assert found.next[0].startswith("The next call by cron takes it over, at about ")
    assert "take it over with scq run-approved" in text(said(HANDED, place=Whereabouts("ending")))


def test_one_nobody_can_tell_of_is_neither_lost_nor_started_twice() -> None:
    found = said(HANDED, place=Whereabouts("unknown", why="the cluster does not answer"))
    assert found.waits_for == "cluster"
    assert found.reasons[0].endswith("where it is cannot be told now: the cluster does not answer.")
    assert "not started a second time" in found.next[0]


def test_one_that_is_being_handed_over_is_not_called_cut_off() -> None:
    found = said(HANDED)
    assert found.waits_for == "end"
    assert "is about to be handed over to the cluster" in found.reasons[0]


@pytest.mark.parametrize("state", ["waiting", "running", "unknown"])
def test_words_of_a_cluster_are_cleaned(state: Any) -> None:
    said(HANDED, place=Whereabouts(state, NASTY, NASTY, NASTY, NASTY))


@pytest.mark.parametrize(
    ("word", "meaning", "advice"),
    [
        ("Resources", "The machines it could run on are busy (Resources).", "starts by itself"),
        (
            "PartitionTimeLimit",
            "It may run longer (job_timeout) than its partition allows (PartitionTimeLimit).",
            "may never start",
        ),
        ("QOSMaxJobsPerUserLimit", "Its qos allows no more at once (QOSMaxJobsPerUserLimit).", "by itself"),
        ("AssocMaxJobsLimit", "Its account or user may have no more at once (AssocMaxJobsLimit).", "by itself"),
        (
            "ReqNodeNotAvail, UnavailableNodes:n2",
            "down, drained or reserved (ReqNodeNotAvail, UnavailableNodes:n2).",
            "can tell more",
        ),
        ("JobHeldUser", "Somebody of this account holds it (JobHeldUser).", "scontrol release 412"),
        ("Nodes required for job are DOWN, DRAINED or reserved", "are down, drained or reserved (Nodes", "can tell more"),
        ("FluxCapacitor", "The cluster says: FluxCapacitor.", "by itself"),
        ("{job}%s", "The cluster says: {job}%s.", "by itself"),
    ],
)
def test_reasons_are_told_in_plain_words_and_unknown_ones_as_they_are(word: str, meaning: str, advice: str) -> None:
    said_, then = why_it_waits(word, "412")
    assert meaning in said_
    assert advice in then


def test_every_reason_reads_as_two_sentences() -> None:
    for meaning, then in (*WORDS.values(), *(words for _, words in BEGINNINGS)):
        assert (meaning[0].isupper(), meaning[-1]) == (True, ".")
        assert then
    assert why_it_waits("JobHeldUser", "")[1] == "To let it go on: scontrol release NUMBER"


def test_an_approved_one_waits_for_room_where_as_many_as_may_are_out() -> None:
    approved = record("approved", "approved", decision=decision())
    assert said(approved, most=2, out=1).waits_for == "run"
    full = said(approved, most=2, out=2)
    assert full.waits_for == "room"
    assert "2 jobs are on the cluster, and at most 2 may be (executor.slurm.max_queued); it waits here" in text(full)
    assert "on its node of the cluster" in text(said(approved, most=2))
    assert "hand it to the cluster with scq run-approved" in text(said(approved, most=2))


@pytest.mark.parametrize(
    ("cause", "why", "advice"),
    [
        ("node", "the machine it ran on failed", "started again by itself"),
        ("preempted", "it had to make room for another job of the cluster", "need not make room"),
        ("cancelled", "somebody ended it, on the cluster or with scq cancel", "find out why before it is run again"),
        ("interrupted", "its runner was stopped or died", "With run.retry_interrupted"),
        ("integrity", "its content was not what was approved", "who can write in the shared folder"),
    ],
)
def test_an_end_on_a_cluster_says_why_where_and_what_to_do(cause: Any, why: str, advice: str) -> None:
    found = said(failed(cause))
    assert f": {why}." in found.reasons[0]
    assert found.reasons[0].startswith("It failed on 20")
    assert ", on the machine n1: " in found.reasons[0]
    assert advice in text(found)


@pytest.mark.parametrize("cause", ["node", "preempted", "cancelled"])
def test_what_the_cluster_said_of_an_end_is_not_said_twice(cause: Any) -> None:
    assert said(failed(cause, detail="it was ended with scq cancel")).reasons[0].endswith(": it was ended with scq cancel.")
    assert "died (why)" in said(failed("interrupted", detail="why")).reasons[0]


def test_one_that_was_tried_again_by_itself_is_not_any_more() -> None:
    assert "By itself it is not started again: this was attempt 3." in text(said(failed("node", attempt=3), retry=True))
    assert "retry_interrupted" not in text(said(failed("cancelled"), retry=True))
    assert "by itself" not in text(said(failed("killed"))).lower()
