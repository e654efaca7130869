"""Events come from comparing what is seen with what was remembered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from scq.diff import events
from scq.model import Answer, ReleasedFile
from scq.state import Record
from tests.making import ME, NOW, THEM, decision, record, run


def kinds(before: Record | None, after: Record) -> list[str]:
    old = {} if before is None else {"key": before}
    return [event.kind for event in events(old, {"key": after}, me=ME, first=False, revision=7, at=NOW)]


def test_nothing_new_is_silent() -> None:
    assert kinds(record(), record()) == []


def test_a_new_job_is_received() -> None:
    (event,) = events({}, {"key": record()}, me=ME, first=False, revision=7, at=NOW)
    assert (event.id, event.kind, event.ref, event.before, event.after) == ("7-0", "job.received", "key", None, "pending")


def test_a_new_invalid_job_says_so_once() -> None:
    bad = record(invalid=("is a FIFO",))
    assert kinds(None, bad) == ["job.received", "job.invalid"]
    assert kinds(bad, bad) == []
    assert kinds(record(), bad) == ["job.invalid"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("pending", {"status": "approved"}, ["job.approved"]),
        ("pending", {"status": "rejected"}, ["job.rejected"]),
        ("pending", {"status": "running"}, ["job.approved", "job.started"]),
        ("pending", {"status": "completed"}, ["job.approved", "job.completed"]),
        ("approved", {"status": "completed"}, ["job.completed"]),
        ("approved", {"status": "failed"}, ["job.failed"]),
        ("running", {"status": "failed", "run": run(cause="interrupted")}, ["job.interrupted"]),
        ("running", {"status": "failed", "run": run(cause="timeout")}, ["job.failed"]),
        ("approved", {"status": "pending"}, []),
        ("approved", {"status": "pending", "changed": True}, ["job.changed"]),
        ("completed", {"status": "completed", "outputs": "released"}, ["outputs.released"]),
    ],
)
def test_each_change_of_status_has_its_events(before: Any, after: dict[str, Any], expected: list[str]) -> None:
    assert kinds(record(status=before), record(**after)) == expected


def answered(verdict: Any = "released", **fields: Any) -> Record:
    files = (ReleasedFile("a.csv", 2, "00"), ReleasedFile("deep/b\u202e.csv", 3, "11"))
    answer = Answer(verdict, ME, NOW, "too small groups", files if verdict == "released" else ())
    return record(status="completed", outputs=verdict, answer=answer, **fields)


def detail(before: Record, after: Record) -> str:
    (event,) = events({"key": before}, {"key": after}, me=ME, first=False, revision=1, at=NOW)
    return event.detail


def test_the_names_of_released_files_travel_with_the_event() -> None:
    assert detail(record(status="completed"), answered()).splitlines() == ["a.csv", "deep/b\ufffd.csv"]
    many = Answer("released", ME, NOW, files=tuple(ReleasedFile(f"{n}", 1, "00") for n in range(500)))
    assert len(detail(record(status="completed"), replace(answered(), answer=many)).splitlines()) == 100


def test_an_answer_without_results_is_told_once_with_its_reason() -> None:
    waiting, answer = record(status="completed", outputs="withheld", told_outputs="none"), answered("withheld")
    assert kinds(waiting, answer) == ["results.withheld"]
    assert detail(waiting, answer) == "too small groups"
    assert kinds(replace(answer, told_outputs="withheld"), answer) == []
    assert kinds(record(status="approved"), answer) == ["job.completed", "results.withheld"]
    assert kinds(waiting, replace(answer, answer=None)) == [], "held results are no answer"


def test_reasons_travel_with_the_event() -> None:
    decided = record(status="rejected", decision=decision("reject", reason="too broad"))
    (event,) = events({"key": record()}, {"key": decided}, me=ME, first=False, revision=1, at=NOW)
    assert event.detail == "too broad"
    by_peer = replace(decided, decision=None, sighting=replace(decided.sighting, reason="no bash"))
    (event,) = events({"key": record()}, {"key": by_peer}, me=ME, first=False, revision=1, at=NOW)
    assert event.detail == "no bash"


def test_a_vanished_job_is_told_once() -> None:
    gone = record(missing_since=NOW)
    assert kinds(record(), gone) == ["job.vanished"]
    assert kinds(gone, gone) == []


def test_the_first_look_tells_nothing_about_the_past() -> None:
    after = {"done": record(status="completed"), "wait": record(name="b"), "early": record(name="a"), "mine": record(owner=THEM)}
    (event,) = events({}, after, me=ME, first=True, revision=1, at=NOW)
    assert event.kind == "baseline"
    assert [line.split("\t")[1] for line in event.detail.splitlines()] == ["a", "b"]
    assert events({}, {"done": record(status="completed")}, me=ME, first=True, revision=1, at=NOW) == []


def test_ids_are_unique_and_ordered_by_age() -> None:
    young = record(name="young", first_seen_at=NOW)
    old = record(name="old", first_seen_at=NOW - timedelta(days=1))
    found = events({}, {"a": young, "b": old}, me=ME, first=False, revision=3, at=NOW)
    assert [(event.id, event.ref) for event in found] == [("3-0", "b"), ("3-1", "a")]
