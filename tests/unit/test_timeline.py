"""What a report counts, and what a submitter is told of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from scq.model import Answer, Problem, ReleasedFile, Whereabouts
from scq.timeline import (
    MOST_MONTHS,
    RUN_EDGES,
    WAIT_EDGES,
    Count,
    Results,
    Story,
    Verdict,
    span,
    spread,
    story,
    summary,
    within,
)
from tests.making import ME, NOW, THEM, decision, record, run, sighting

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FILES = (ReleasedFile("a.csv", 10, "c" * 64), ReleasedFile("b.csv", 30, "d" * 64))


def one(**fields: Any) -> Story:
    base: dict[str, Any] = {"id": "aaaa1111-x", "name": "count", "submitter": THEM, "status": "pending", "submitted_at": NOW}
    return Story(**(base | fields))


def test_a_story_goes_from_arrival_to_answer() -> None:
    answer = Answer("released", ME, NOW + HOUR, "checked", FILES)
    ended = run(started_at=NOW, finished_at=NOW + timedelta(seconds=90))
    told = story(record(status="completed", decision=decision(reason="fine"), run=ended, answer=answer, outputs="released"), "do")
    assert (told.short_id, told.name, told.submitter, told.status) == ("count-00", "count", THEM, "completed")
    assert told.digest == "a" * 64
    assert told.verdict == Verdict("approved", NOW, ME, "fine")
    assert told.wait_s == 3600
    assert told.run_s == 90
    assert told.results == Results("released", NOW + HOUR, ME, "checked", FILES)
    assert told.results.size == 40
    assert told.touched_at() == NOW + HOUR
    assert told.cause == ""


def test_a_job_that_waits_has_no_decision_no_run_and_no_results() -> None:
    told = story(record(), "do")
    assert (told.verdict, told.wait_s, told.run_s, told.results) == (None, None, None, Results())
    assert told.touched_at() == told.submitted_at


@pytest.mark.parametrize(
    ("status", "made", "word"),
    [
        ("rejected", decision("reject", reason="no"), "rejected"),
        ("rejected", decision("reject", method="cancel", reason="no"), "cancelled"),
        ("approved", decision("approve", reason="no"), "approved"),
    ],
)
def test_a_decision_has_one_word(status: str, made: Any, word: str) -> None:
    told = story(record(status=status, decision=made), "do").verdict
    assert told == Verdict(word, NOW, ME, "no")


def test_what_other_software_decided_is_told_as_far_as_it_is_known() -> None:
    seen = sighting("rejected", decided_by="other@example.org", decided_at=NOW, reason="not today")
    assert story(record(status="rejected", sighting=seen), "do").verdict == Verdict(
        "rejected", NOW, "other@example.org", "not today"
    )
    seen = sighting("completed", decided_by=ME, decided_at=NOW, reason="for me alone", finished_at=NOW, exit_code=0)
    told = story(record(status="completed", sighting=seen), "do")
    assert told.verdict == Verdict("approved", NOW, ME)
    assert (told.ended_at, told.exit_code) == (NOW, 0)
    assert story(record(status="rejected"), "do").verdict == Verdict("rejected", None)
    assert story(record(status="rejected"), "do").wait_s is None
    assert story(record(status="completed"), "do").verdict is None


def test_a_failure_has_its_cause_and_for_the_owner_what_is_known_of_it() -> None:
    ended = run(cause="memory", exit_code=None, detail="more than 4 GB in /srv/data")
    failed = record(status="failed", run=ended)
    assert (story(failed, "do").cause, story(failed, "do").detail) == ("memory", "more than 4 GB in /srv/data")
    assert (story(failed, "ds").cause, story(failed, "ds").detail) == ("memory", "")
    elsewhere = record(status="failed", sighting=sighting("failed", error="KeyError: 'age'", exit_code=1))
    assert (story(elsewhere, "do").cause, story(elsewhere, "do").detail) == ("", "KeyError: 'age'")
    assert story(elsewhere, "ds").detail == ""


def test_results_wait_until_somebody_answers() -> None:
    assert story(record(status="completed", run=run(), outputs="withheld"), "do").results == Results("waiting")
    assert story(record(status="completed", outputs="released"), "do").results == Results("released")
    assert story(record(status="completed", logs="released"), "do").results == Results("released")


def test_a_submitter_is_not_told_who_decided_nor_why_results_left() -> None:
    made = record(status="completed", decision=decision(reason="fine"), answer=Answer("released", ME, NOW, "checked", FILES))
    told = story(made, "ds")
    assert told.verdict == Verdict("approved", NOW, "", "fine")
    assert told.results == Results("released", NOW, "", "", FILES)
    kept = record(status="completed", answer=Answer("withheld", ME, NOW, "too few people"))
    assert story(kept, "ds").results == Results("withheld", NOW, "", "too few people")
    adopted = record(status="approved", decision=decision(method="adopted", reason="note to myself"))
    assert story(adopted, "ds").verdict == Verdict("approved", NOW)
    assert story(adopted, "do").verdict == Verdict("approved", NOW, ME, "note to myself")


def test_what_is_wrong_with_a_job_is_told_to_each_in_his_words() -> None:
    wrong = record(
        sighting=sighting(where="drive"),
        invalid=("/srv/box/run.sh: cannot be opened",),
        changed=True,
        problems=(Problem("x", "secret"),),
    )
    for_owner, for_submitter = story(wrong, "do").notes, story(wrong, "ds").notes
    assert for_owner == (
        "cannot be run: /srv/box/run.sh: cannot be opened",
        "its content has changed since it was approved",
        "on Google Drive, not in the SyftBox folder yet",
        "secret",
    )
    assert for_submitter[0] == "cannot be run: some of its files cannot be used"
    assert "secret" not in for_submitter


def test_durations_are_never_negative() -> None:
    told = one(verdict=Verdict("approved", NOW - HOUR), began_at=NOW, ended_at=NOW - HOUR)
    assert (told.wait_s, told.run_s) == (0.0, 0.0)


def test_a_time_keeps_what_happened_in_it_and_all_that_is_not_over() -> None:
    old = {"submitted_at": NOW - 90 * DAY}
    over = one(id="over", status="completed", **old)
    held = one(id="held", status="completed", results=Results("waiting"), **old)
    waits = one(id="waits", **old)
    late = one(id="late", status="completed", ended_at=NOW - DAY, **old)
    new = one(id="new", status="rejected")
    assert [told.id for told in within((over, held, waits, late, new), NOW - 7 * DAY)] == ["new", "waits", "late", "held"]
    assert [told.id for told in within((over, new), None)] == ["new", "over"]


def test_the_figures_count_every_job() -> None:
    stories = (
        one(),
        one(status="completed", verdict=Verdict("approved", NOW + HOUR), results=Results("released", NOW, files=FILES)),
        one(status="failed", cause="timeout", verdict=Verdict("approved", NOW), results=Results("waiting")),
        one(status="failed", cause="exit", submitter=ME),
        one(status="failed", cause="timeout", submitter=ME),
        one(status="rejected", verdict=Verdict("rejected", None)),
    )
    told = summary(stories, NOW, UTC)
    assert told.jobs == 6
    assert told.counts == {"pending": 1, "approved": 0, "running": 0, "completed": 1, "failed": 3, "rejected": 1}
    assert [(person.address, person.jobs, person.wait_s) for person in told.people] == [(THEM, 4, 0.0), (ME, 2, None)]
    assert told.people[0].counts["failed"] == 1
    assert list(told.failures.items()) == [("timeout", 2), ("exit", 1)]
    assert told.verdicts == {"approved": 2, "rejected": 1}
    assert told.results_waiting == 1
    assert (told.released_jobs, told.released_files, told.released_bytes) == (1, 2, 40)
    assert told.waits.count == 2


def test_without_jobs_there_are_figures_too() -> None:
    told = summary((), NOW, UTC)
    assert (told.jobs, told.people, told.failures, told.waits.median_s) == (0, (), {}, None)
    assert told.activity.counts == (Count(NOW.date()),)


def test_median_and_nine_of_ten_are_values_that_were_seen() -> None:
    found = spread([float(number) for number in range(1, 11)], RUN_EDGES)
    assert (found.count, found.median_s, found.most_s) == (10, 5.0, 9.0)
    assert spread([3.0, None], RUN_EDGES).median_s == 3.0
    assert spread([None], RUN_EDGES).most_s is None


def test_a_duration_on_an_edge_belongs_to_the_range_above_it() -> None:
    bins = dict(spread([0.5, 1, 9.9, 10, 90_000], RUN_EDGES).bins)
    assert (bins["under 1 s"], bins["1 s to 10 s"], bins["10 s to 1 min"], bins["1 d and more"]) == (1, 2, 1, 1)
    assert sum(bins.values()) == 5
    assert [words for words, _ in spread([], WAIT_EDGES).bins][:2] == ["under 10 min", "10 min to 1 h"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        *((0, "0 s"), (0.42, "0.4 s"), (9, "9 s"), (59.9, "59 s"), (600, "10 min"), (601, "10 min 1 s"), (3600, "1 h")),
        *((12_000, "3 h 20 min"), (86_400, "1 d"), (187_200, "2 d 4 h")),
    ],
)
def test_a_duration_has_two_units_at_most(value: float, words: str) -> None:
    assert span(value) == words


def activity(*stories: Story, since: datetime | None = None, zone: Any = UTC) -> Any:
    return summary(stories, NOW, zone, since).activity


def test_days_follow_each_other_without_gaps() -> None:
    arrived = NOW - 2 * DAY
    told = one(
        status="completed",
        submitted_at=arrived,
        verdict=Verdict("approved", NOW),
        ended_at=NOW,
        results=Results("released", NOW),
    )
    found = activity(told)
    assert found.step == "day"
    assert found.counts == (
        Count(date(2026, 11, 19), submitted=1),
        Count(date(2026, 11, 20)),
        Count(date(2026, 11, 21), decided=1, ended=1, released=1),
    )


def test_a_day_begins_at_midnight_of_the_zone() -> None:
    late = one(submitted_at=datetime(2026, 11, 20, 23, 30, tzinfo=UTC))
    assert activity(late).counts[0].start == date(2026, 11, 20)
    assert activity(late, zone=timezone(HOUR)).counts[0].start == date(2026, 11, 21)


def test_a_long_time_is_counted_by_week_and_a_longer_one_by_month() -> None:
    weeks = activity(one(submitted_at=NOW - 200 * DAY))
    assert weeks.step == "week"
    assert all(count.start.weekday() == 0 for count in weeks.counts)
    assert weeks.counts[0].submitted == 1
    months = activity(one(submitted_at=NOW - 900 * DAY))
    assert months.step == "month"
    assert all(count.start.day == 1 for count in months.counts)
    assert months.counts[0].submitted == 1


def test_a_time_from_long_ago_makes_no_endless_chart() -> None:
    found = activity(one(submitted_at=datetime(1970, 1, 1, tzinfo=UTC)), one())
    assert len(found.counts) == MOST_MONTHS
    assert found.earlier == 1


def test_a_chart_begins_where_the_report_begins() -> None:
    found = activity(one(submitted_at=NOW - 40 * DAY), one(), since=NOW - 7 * DAY)
    assert found.counts[0].start == date(2026, 11, 14)
    assert sum(count.submitted for count in found.counts) == 1
    assert found.earlier == 0


def test_what_a_wrong_clock_puts_into_the_future_is_in_no_chart() -> None:
    assert activity(one(ended_at=NOW + DAY)).counts == (Count(NOW.date(), submitted=1),)


def test_where_a_run_is_or_was_on_a_cluster_is_told_to_the_owner_alone() -> None:
    out, place = record(status="running", run=run("claimed", executor="slurm")), Whereabouts("waiting", "412")
    assert story(out, "do", place).where == "waits on the cluster: job 412"
    assert story(out, "ds", place).where == ""
    ended = record(status="completed", run=run(node="n1"))
    assert (story(ended, "do").where, story(ended, "ds").where) == ("on n1", "")
