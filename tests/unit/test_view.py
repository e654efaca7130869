"""Finding jobs by what people type, and showing them to programs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from scq.errors import BusyError, UsageError
from scq.model import Answer, Job, Problem, Whereabouts
from scq.state import Record
from scq.view import as_dict, expect, find, fits, job_of, oldest_first, revision, sent_at
from tests.making import ME, NOW, THEM, decision, record, run


def jobs(*found: Job) -> dict[str, Job]:
    return {str(number): job for number, job in enumerate(found)}


ONE = job_of(record(name="alpha", id="aaaa1111-x"))
TWO = job_of(record(name="beta", id="aaaa2222-x"))
TWIN = job_of(record(name="beta", id="bbbb3333-x", submitter="second@example.net"))


@pytest.mark.parametrize("word", ["aaaa1111-x", "aaaa1", "AAAA1", " alpha "])
def test_a_job_is_found_by_id_beginning_or_name(word: str) -> None:
    assert find(jobs(ONE, TWO, TWIN), word) is ONE


def test_an_ambiguous_word_names_the_candidates() -> None:
    with pytest.raises(UsageError, match="fits 2 jobs: aaaa1111-x .*, aaaa2222-x"):
        find(jobs(ONE, TWO), "aaaa")
    with pytest.raises(UsageError, match="second@example.net"):
        find(jobs(TWO, TWIN), "beta")
    assert find(jobs(TWO, TWIN), "second@example.net/beta") is TWIN


@pytest.mark.parametrize("word", ["00000000-1111-4222-8333-444444444444", "0a0a0a0a", "0A0A0A0A"])
def test_a_job_that_is_called_like_the_id_of_another_is_not_that_one(word: str) -> None:
    stranger = job_of(record(name=word, id="bbbb3333-x"))
    with pytest.raises(UsageError, match="no job"):
        find(jobs(ONE, stranger), word)
    assert find(jobs(ONE, stranger), "bbbb") is stranger
    assert find(jobs(ONE, stranger), f"{THEM}/{word}") is stranger


def test_a_date_may_be_a_name() -> None:
    dated = job_of(record(name="20261122", id="bbbb3333-x"))
    assert find(jobs(ONE, dated), "20261122") is dated


@pytest.mark.parametrize("word", ["zzzz", "aaa", "", "\x1b[31m"])
def test_an_unknown_word_is_refused_without_control_characters(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(jobs(ONE), word)
    assert "\x1b" not in str(caught.value)


def test_the_job_object_has_the_documented_fields() -> None:
    shown = as_dict(job_of(record()))
    documented = "id short_id name layout owner submitter status submitted_at updated_at digest description tags path"
    assert set(documented.split()) <= shown.keys()
    assert shown["approval"] is None
    assert shown["run"] is None
    assert shown["results"] == {"outputs": "none", "logs": "none"}
    assert shown["submitted_at"] == "2026-11-21T11:00:00Z"


def test_decision_run_and_problems_are_shown() -> None:
    ended = run(started_at=NOW, finished_at=NOW + timedelta(seconds=90))
    shown = as_dict(job_of(record(decision=decision(reason="ok"), run=ended, problems=(Problem("a", "b", "c"),))))
    assert shown["approval"]["reason"] == "ok"
    assert shown["run"] == {
        "attempt": 1,
        "started_at": "2026-11-21T12:00:00Z",
        "finished_at": "2026-11-21T12:01:30Z",
        "duration_s": 90.0,
        "exit_code": 0,
        "cause": "exit",
        "executor": "local",
        "node": "",
    }
    assert shown["problems"] == [{"where": "a", "what": "b", "advice": "c"}]
    assert shown["updated_at"] == "2026-11-21T12:01:30Z"


def test_a_run_of_another_runner_is_shown_from_its_folders() -> None:
    known = record(status="completed")
    other = replace(known, sighting=replace(known.sighting, exit_code=4, started_at=NOW, finished_at=NOW - timedelta(hours=1)))
    shown = as_dict(job_of(other))["run"]
    assert (shown["attempt"], shown["exit_code"], shown["duration_s"]) == (0, 4, 0.0)
    without = replace(known, sighting=replace(known.sighting, exit_code=4))
    assert as_dict(job_of(without))["run"]["duration_s"] is None


def test_age_is_never_taken_from_a_clock_in_the_future() -> None:
    job = job_of(record(submitted_at=NOW + timedelta(days=400)))
    assert sent_at(job) == job.first_seen_at
    unseen = replace(job, first_seen_at=None)
    assert sent_at(unseen) == job.sighting.submitted_at
    nothing = replace(unseen, sighting=replace(job.sighting, submitted_at=None, updated_at=None))
    assert sent_at(nothing).year == 1970
    assert as_dict(nothing)["updated_at"] is None
    assert oldest_first([job, nothing]) == [nothing, job]


def test_owner_and_submitter_are_told() -> None:
    shown = as_dict(ONE)
    assert (shown["owner"], shown["submitter"]) == (ME, THEM)


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a.csv", "*.csv", True),
        ("a.csv", "a.csv", True),
        ("a.csv", "A.csv", False),
        ("deep/a.csv", "*.csv", False),
        ("deep/a.csv", "deep/*", True),
        ("deep/down/a.csv", "deep/*", False),
        ("deep/down/a.csv", "deep/**", True),
        ("a.csv", "**", True),
        ("a.csv", "**/*.csv", True),
        ("deep/down/a.csv", "**/*.csv", True),
        ("deep/down/a.txt", "**/*.csv", False),
        ("deep/down/a.csv", "**/down/*", True),
        ("deep/down/a.csv", "deep", False),
        ("a.csv", "", False),
        ("a[1].csv", "a[[]1].csv", True),
    ],
)
def test_a_pattern_stays_within_a_folder_unless_it_says_otherwise(path: str, pattern: str, expected: bool) -> None:
    assert fits(path, pattern) is expected


SHOWN = record("completed", decision=decision(), run=run("settled"))


@pytest.mark.parametrize(
    "change",
    [
        {"status": "failed"},
        {"digest": "sha256:" + "e" * 64},
        {"decision": None},
        {"decision": decision("reject")},
        {"run": run("settled", attempt=2)},
        {"run": None},
        {"answer": Answer("withheld", ME, NOW, "no")},
    ],
)
def test_what_was_decided_run_or_answered_since_makes_another_revision(change: dict[str, object]) -> None:
    before, after = job_of(SHOWN), job_of(replace(SHOWN, **change))
    assert revision(after) != revision(before)
    with pytest.raises(BusyError, match="changed since it was shown: "):
        expect(after, revision(before))


@pytest.mark.parametrize("change", [{"reviewed": "sha256:x"}, {"stamp": "other"}, {"told_outputs": "withheld"}, {}])
def test_what_was_only_read_or_looked_at_is_still_the_same(change: dict[str, object]) -> None:
    before, after = job_of(SHOWN), job_of(replace(SHOWN, **change))
    assert revision(after) == revision(before)
    expect(after, revision(before))
    expect(after, None)
    with pytest.raises(BusyError):
        expect(after, "")


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (record("rejected", "rejected", decision=decision("reject", reason="too broad")), f"{ME} rejected it (too broad)"),
        (record("completed", "completed", decision=decision()), f"{ME} approved it, it is completed now"),
        (record(), "it holds other content now"),
        (record("running", "running"), "it is running now"),
    ],
)
def test_who_comes_second_is_told_what_the_first_did(now: Record, said: str) -> None:
    with pytest.raises(BusyError) as caught:
        expect(job_of(now), "0" * 12)
    assert str(caught.value) == f"count-00 changed since it was shown: {said}"


def test_the_place_of_a_run_is_shown_without_control_characters() -> None:
    assert as_dict(job_of(record()))["place"] is None
    place = Whereabouts("waiting", id="412", partition="main", why="Resour\x1bces", position=3, starts_at=NOW)
    shown = as_dict(job_of(record(), place))["place"]
    assert "\x1b" not in shown["why"]
    assert (shown["state"], shown["id"], shown["partition"], shown["node"], shown["position"]) == (
        "waiting",
        "412",
        "main",
        "",
        3,
    )
    assert (shown["starts_at"], shown["since"]) == ("2026-11-21T12:00:00Z", None)
