"""How jobs look in a terminal."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from scq.model import Answer, Problem, ReleasedFile, Whereabouts
from scq.showing import answer_line, card, jobs_table, ordinal, seconds, size, when, where, where_note, where_words
from scq.view import job_of
from tests.making import DIGEST, ME, NOW, THEM, decision, record, run

JOB = job_of(record(id="aaaa1111-0000"))


def test_a_table_is_aligned_and_shows_the_other_person() -> None:
    mine = job_of(record(id="bbbb2222-0000", owner=THEM, submitter=ME, status="completed", name="mine"))
    unknown = job_of(record(id="cccc3333-0000", submitter=""))
    first, second, third = jobs_table([JOB, mine, unknown], ME)
    assert first.split("  ")[:2] == ["aaaa1111", "pending"]
    assert f"  {THEM} " in first
    assert f"  to {THEM}  mine" in second
    assert "(unknown)" in third
    assert len({line.index(when(JOB.sighting.submitted_at)) for line in (first, second, third)}) == 1
    assert jobs_table([], ME) == []


def test_a_table_names_what_is_wrong() -> None:
    bad = replace(JOB, invalid=("x is a symbolic link",), problems=(Problem("a", "b"),))
    assert jobs_table([bad], ME)[0].endswith("! cannot be run: x is a symbolic link")
    assert jobs_table([replace(JOB, problems=(Problem("a", "is odd"),))], ME)[0].endswith("! is odd")


def test_a_table_says_what_is_on_drive_only_and_from_whom() -> None:
    there = replace(JOB, sighting=replace(JOB.sighting, where="drive"))
    stranger = replace(there, sighting=replace(there.sighting, flags=("not_a_peer",)), problems=(Problem("a", "is odd"),))
    first, second = jobs_table([there, stranger], ME)
    assert first.endswith("  on Google Drive")
    assert second.endswith("  on Google Drive, sender not accepted ! is odd")


def test_text_of_strangers_cannot_touch_the_terminal() -> None:
    nasty = "\x1b[2Jx\r\n\u202ey"
    job = job_of(record(id="aaaa1111-0000", name=nasty, submitter=nasty, tags=(nasty,)))
    job = replace(
        job,
        sighting=replace(job.sighting, description=nasty, path=nasty, entrypoint=nasty, dependencies=(nasty,), reason=nasty),
        invalid=(nasty,),
        problems=(Problem(nasty, nasty, nasty),),
    )
    for shown in (*jobs_table([job], ME), *card(job)):
        assert shown.isprintable(), shown


def facts(job: object) -> dict[str, str]:
    return {text.strip().split("  ")[0]: text.strip().split("  ", 1)[-1] for text in card(job)}  # type: ignore[arg-type]


def test_a_card_shows_the_facts_that_are_known() -> None:
    job = replace(JOB, sighting=replace(JOB.sighting, description="why", timeout_s=60, reason="because"), changed=True)
    found = facts(job)
    assert found["status"] == "pending (content changed since approval)"
    assert (found["from"], found["for"], found["asks for"], found["reason"]) == (THEM, ME, "60 s", "because")
    assert found["digest"] == DIGEST
    assert not {"tags", "decision", "run", "results", "kind"} & found.keys()
    assert facts(job_of(record(submitter="")))["from"] == "(unknown)"


@pytest.mark.parametrize(
    ("method", "shown"),
    [("manual", "approved by"), ("digest", "approved by digest by"), ("adopted", "approved with other software by")],
)
def test_a_card_says_how_it_was_decided(method: str, shown: str) -> None:
    job = job_of(record(decision=decision(method=method, reason="fine"), status="approved"))
    assert facts(job)["decision"].startswith(f"{shown} {ME} on ")
    assert facts(job)["decision"].endswith(": fine")


def test_a_card_says_that_it_was_cancelled() -> None:
    assert facts(job_of(record(decision=decision("reject", method="cancel"))))["decision"].startswith("rejected (cancelled) by")


def test_a_card_says_how_it_ran() -> None:
    ended = run(started_at=NOW, finished_at=NOW + timedelta(seconds=75), sandbox="bwrap")
    found = facts(job_of(record(run=ended, status="completed", outputs="withheld", logs="released")))
    assert found["run"] == "attempt 1, exit, exit code 0, 1 min 15 s, in bwrap"
    assert found["results"] == "outputs withheld, logs released"
    cut = run(finished_at=NOW, cause="interrupted", exit_code=None, sandbox="none")
    assert facts(job_of(record(run=cut)))["run"] == "attempt 1, interrupted, no exit code, unknown time, without a sandbox"
    assert facts(job_of(record(run=run("claimed", cause=None))))["run"].startswith("attempt 1, claimed 2026-")
    other = replace(JOB, sighting=replace(JOB.sighting, exit_code=3))
    assert facts(other)["run"] == "exit code 3"


def test_a_card_ends_with_what_is_wrong_and_what_to_do() -> None:
    job = replace(JOB, invalid=("a link",), problems=(Problem("w", "is odd", "mend it"), Problem("w", "is odder")))
    assert [text.strip() for text in card(job)[-4:]] == [
        "cannot be run  a link",
        "problem  is odd",
        "mend it",
        "problem  is odder",
    ]


def test_an_unknown_time_is_a_dash() -> None:
    assert when(None) == "-"
    assert when(NOW) == NOW.astimezone().strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (2_000_000, "2.0 MB"), (3_200_000_000, "3.2 GB"), (10**13, "10000.0 GB")],
)
def test_sizes_are_short(count: int, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "unknown time"), (0.42, "0.4 s"), (12.9, "12 s"), (60, "1 min 0 s"), (185, "3 min 5 s"), (7_800, "2 h 10 min")],
)
def test_durations_are_short(value: float | None, shown: str) -> None:
    assert seconds(value) == shown


def test_an_answer_is_one_line() -> None:
    files = (ReleasedFile("a.csv", 1, "00"), ReleasedFile("b.csv", 1, "11"))
    at = when(NOW)
    assert answer_line(Answer("released", ME, NOW, "agreed", files)) == f"released (2 files) by {ME} on {at}: agreed"
    assert answer_line(Answer("released", ME, NOW, files=files[:1], automatic=True)) == (
        f"released (1 file) by itself by {ME} on {at}"
    )
    assert answer_line(Answer("withheld", ME, NOW, "too\nsmall")) == f"withheld by {ME} on {at}: too\ufffdsmall"


WAITS = Whereabouts("waiting", "412", "main", why="Resources", position=3, starts_at=NOW)
RUNS = Whereabouts("running", "412", "main", "n1", since=NOW)


@pytest.mark.parametrize(
    ("place", "words", "note"),
    [
        (
            WAITS,
            f"waits on the cluster: job 412, partition main, 3rd in line (Resources), expected to start at {when(NOW)}",
            "waits (3rd, Resources)",
        ),
        (Whereabouts("waiting", why="Priority"), "waits on the cluster (Priority)", "waits (Priority)"),
        (
            Whereabouts("waiting", why="ReqNodeNotAvail, UnavailableNodes:n[1-2]"),
            "waits on the cluster (ReqNodeNotAvail, UnavailableNodes:n[1-2])",
            "waits (ReqNodeNotAvail)",
        ),
        (Whereabouts("waiting"), "waits on the cluster", "waits"),
        (RUNS, f"runs on n1 since {when(NOW)} (job 412)", "on n1"),
        (Whereabouts("running"), "runs on the cluster", "on the cluster"),
        (Whereabouts("ending"), "is over on the cluster; the next scq run-approved takes it over", "over, to be taken over"),
        (
            Whereabouts("unknown", why="no answer"),
            "was handed to the cluster; more cannot be told now: no answer",
            "not known now",
        ),
        (Whereabouts("unknown"), "was handed to the cluster; more cannot be told now", "not known now"),
    ],
)
def test_where_a_run_is_on_a_cluster_has_long_words_and_short_ones(place: Whereabouts, words: str, note: str) -> None:
    assert (where_words(place), where_note(place)) == (words, note)
    assert where(replace(JOB, place=place)) == words


def test_a_table_and_a_card_say_where_a_run_is_and_a_card_where_it_was() -> None:
    job = replace(JOB, place=RUNS)
    assert jobs_table([job], ME)[0].endswith("  on n1")
    assert jobs_table([replace(job, problems=(Problem("a", "is odd"),))], ME)[0].endswith("  on n1 ! is odd")
    assert facts(job)["where"].strip() == where_words(RUNS)
    ended = replace(JOB, run=run(sandbox="bwrap", node="n1", finished_at=NOW))
    assert facts(ended)["run"].strip().endswith(", in bwrap on n1")
    assert "where" not in facts(ended)
    assert (where(ended), where(JOB), where(replace(JOB, run=run()))) == ("on n1", "", "")


def test_what_a_cluster_says_cannot_touch_the_terminal() -> None:
    nasty = "\x1b[2Jx\r\n\u202ey" * 100
    for state in ("waiting", "running", "ending", "unknown"):
        job = replace(JOB, place=Whereabouts(state, nasty, nasty, nasty, nasty), run=run(node=nasty, finished_at=NOW))
        for shown in (*jobs_table([job], ME), *card(job), where(replace(job, place=None))):
            assert shown.isprintable(), shown
            assert len(shown) < 700


def test_a_place_in_line_is_counted_as_people_do() -> None:
    counted = "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 101st 111th 112th"
    assert [ordinal(int(word[:-2])) for word in counted.split()] == counted.split()
