"""Events come from comparing what is seen with what was remembered."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from scq.diff import events, is_beat, overdue, reminder
from scq.model import Answer, Bounds, ReleasedFile
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


def strange(one: Record) -> Record:
    """The job as it is on Drive while nobody has accepted its sender."""
    return replace(one, sighting=replace(one.sighting, where="drive", flags=("not_a_peer",)))


def test_a_job_of_a_stranger_is_received_again_once_he_is_accepted() -> None:
    assert kinds(None, strange(record())) == ["job.received"]
    assert kinds(strange(record()), strange(record())) == []
    assert kinds(strange(record()), record()) == ["job.received"]
    assert kinds(strange(record()), record(status="rejected")) == ["job.rejected"]


def test_a_job_of_a_stranger_waits_for_nobody() -> None:
    old = strange(record(first_seen_at=NOW - timedelta(days=9)))
    assert overdue({"key": old}, ME, NOW, 60) == []
    assert events({}, {"key": old}, me=ME, first=True, revision=1, at=NOW) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("pending", {"status": "approved"}, ["job.approved"]),
        ("pending", {"status": "rejected"}, ["job.rejected"]),
        ("pending", {"status": "running"}, ["job.approved", "job.started"]),
        ("pending", {"status": "completed"}, ["job.approved", "job.completed"]),
        ("approved", {"status": "completed"}, ["job.completed"]),
        ("approved", {"status": "failed"}, ["job.failed"]),
        ("running", {"status": "failed", "run": run(cause="interrupted")}, ["job.interrupted", "job.failed"]),
        ("running", {"status": "failed", "run": run(cause="node")}, ["job.interrupted", "job.failed"]),
        ("running", {"status": "failed", "run": run(cause="preempted")}, ["job.interrupted", "job.failed"]),
        ("running", {"status": "failed", "run": run(cause="cancelled")}, ["job.failed"]),
        ("running", {"status": "failed", "run": run(cause="integrity")}, ["job.integrity", "job.failed"]),
        ("approved", {"status": "completed", "outputs": "withheld"}, ["job.completed", "outputs.withheld"]),
        ("approved", {"status": "completed", "logs": "withheld"}, ["job.completed", "outputs.withheld"]),
        ("approved", {"status": "completed", "outputs": "released", "logs": "withheld"}, ["job.completed"]),
        ("approved", {"status": "failed", "outputs": "withheld"}, ["job.failed"]),
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


def test_an_approval_that_was_in_force_and_expired_is_told_once() -> None:
    until = decision(bounds=Bounds(expires_at=NOW))
    before, after = record(status="approved", decision=until), record(status="pending", decision=until)
    (event,) = events({"key": before}, {"key": after}, me=ME, first=False, revision=1, at=NOW)
    assert (event.kind, event.detail) == ("job.expired", "the approval was in force until 2026-11-21 12:00 UTC")
    assert kinds(after, after) == []


@pytest.mark.parametrize(
    "after",
    [
        {"decision": None},
        {"decision": decision()},
        {"decision": decision(bounds=Bounds(max_runs=1))},
        {"decision": decision(bounds=Bounds(expires_at=NOW + timedelta(seconds=1)))},
        {"decision": decision("reject", bounds=Bounds(expires_at=NOW))},
        {"decision": decision(bounds=Bounds(expires_at=NOW)), "digest": "sha256:other"},
    ],
)
def test_an_approval_that_ended_otherwise_has_not_expired(after: dict[str, Any]) -> None:
    assert kinds(record(status="approved"), record(status="pending", **after)) == []


@pytest.mark.parametrize("status", ["failed", "rejected"])
def test_a_job_whose_time_ran_out_in_the_folders_has_expired(status: Any) -> None:
    over = record(status=status)
    over = replace(over, sighting=replace(over.sighting, reason="expired"))
    assert kinds(record(), over) == ["job.expired"]
    assert kinds(record(), replace(over, decision=decision("reject"))) != ["job.expired"]


DAY = timedelta(days=1)
LIMIT = DAY.total_seconds()


def waits(since: timedelta = 2 * DAY, **fields: Any) -> Record:
    fields = {"submitted_at": NOW - since, "first_seen_at": NOW - since} | fields
    return record(**fields)


def test_the_owner_is_reminded_of_everything_that_waits_too_long() -> None:
    records = {"old": waits(name="old"), "young": waits(DAY - timedelta(seconds=1)), "exact": waits(DAY, name="exact")}
    keys = overdue(records, ME, NOW, LIMIT)
    assert keys == ["old", "exact"]
    event = reminder([records[key] for key in keys], "7-3", NOW)
    assert (event.id, event.kind) == ("7-3", "review.reminder")
    assert [line.split("\t")[1:] for line in event.detail.splitlines()] == [
        ["exact", THEM, "since 2026-11-20 12:00 UTC"],
        ["old", THEM, "since 2026-11-19 12:00 UTC"],
    ]


@pytest.mark.parametrize("other", [{"status": "approved"}, {"owner": THEM}, {"missing_since": NOW}])
def test_nobody_is_reminded_of_what_does_not_wait_for_the_owner(other: dict[str, Any]) -> None:
    assert overdue({"key": waits(**other)}, ME, NOW, LIMIT) == []


def test_reminders_can_be_turned_off() -> None:
    assert overdue({"key": waits()}, ME, NOW, 0) == []


@pytest.mark.parametrize(
    ("reminded_at", "expected"),
    [(NOW, []), (NOW - DAY + timedelta(seconds=1), []), (NOW - DAY, ["a", "b"]), (NOW + DAY, ["a", "b"])],
)
def test_there_is_at_most_one_reminder_a_day(reminded_at: datetime, expected: list[str]) -> None:
    assert overdue({"a": waits(reminded_at=reminded_at), "b": waits()}, ME, NOW, LIMIT) == expected


def test_a_submission_time_in_the_future_is_the_clock_of_a_stranger() -> None:
    assert overdue({"key": waits(submitted_at=NOW + 999 * DAY)}, ME, NOW, LIMIT) == ["key"]
    assert overdue({"key": waits(submitted_at=None)}, ME, NOW, LIMIT) == ["key"]


@pytest.mark.parametrize(
    ("last", "expected"), [(None, True), (NOW, False), (NOW - DAY, True), (NOW - DAY / 2, False), (NOW + DAY, True)]
)
def test_the_heartbeat_beats_at_its_interval_the_first_time_at_once(last: datetime | None, expected: bool) -> None:
    assert is_beat(last, NOW, LIMIT) is expected


def test_what_other_software_says_about_a_failure_never_becomes_the_reason_of_an_approval() -> None:
    """That text may be error output, and the reason of an approval is told to the submitter."""
    failed = record(status="failed")
    failed = replace(failed, sighting=replace(failed.sighting, error="Traceback: /srv/owner/secret.csv"))
    found = events({"key": record()}, {"key": failed}, me=ME, first=False, revision=1, at=NOW)
    assert [(event.kind, event.detail) for event in found] == [("job.approved", ""), ("job.failed", "exit")]
