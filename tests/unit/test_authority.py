"""What counts as approved, and what never does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scq.authority import CHANGED, NOT_APPROVED_HERE, Rules, judge, runnable
from scq.state import Record
from tests.making import DIGEST, ME, NOW, OTHER_DIGEST, THEM, decision, record, run, seen

RULES = Rules(me=ME, adopt=False, orphan_after=timedelta(minutes=10))
ADOPTING = Rules(me=ME, adopt=True, orphan_after=timedelta(minutes=10))


def judged(known: Record | None = None, rules: Rules = RULES, **look: Any) -> Record:
    return judge(seen(**look), known, "new-id", rules, NOW)


def test_a_job_never_seen_before_gets_the_new_id_and_waits() -> None:
    found = judged()
    assert (found.id, found.status, found.first_seen_at) == ("new-id", "pending", NOW)
    assert not runnable(found, ME)


def test_a_known_job_keeps_its_id() -> None:
    assert judged(record()).id == "count-0000-0000"


def test_an_approval_of_exactly_this_content_counts() -> None:
    found = judged(record(decision=decision()), observed="approved")
    assert found.status == "approved"
    assert runnable(found, ME)


def test_an_approval_counts_although_the_folder_does_not_show_it_yet() -> None:
    assert judged(record(decision=decision()), observed="pending").status == "approved"


def test_changed_content_drops_the_approval() -> None:
    found = judged(record(decision=decision(digest=OTHER_DIGEST)), observed="approved")
    assert (found.status, found.changed) == ("pending", True)
    assert found.problems[0].what == CHANGED
    assert not runnable(found, ME)


def test_content_that_cannot_be_hashed_any_more_drops_the_approval() -> None:
    found = judged(record(decision=decision()), observed="approved", digest=None, invalid=("a symbolic link",))
    assert (found.status, found.changed) == ("pending", True)


def test_an_invalid_job_with_the_approved_digest_waits_without_being_called_changed() -> None:
    found = judged(record(decision=decision()), observed="approved", invalid=("folder and file differ",))
    assert (found.status, found.changed) == ("pending", False)


@pytest.mark.parametrize("rules", [RULES, ADOPTING])
def test_an_approval_where_the_submitter_may_write_is_never_believed(rules: Rules) -> None:
    found = judged(rules=rules, observed="approved", owner_only=False)
    assert found.status == "pending"
    assert found.problems[0].what == NOT_APPROVED_HERE
    assert "never where the submitter" in found.problems[0].advice


def test_an_approval_in_an_owner_only_place_is_adopted_only_when_configured() -> None:
    assert judged(observed="approved").status == "pending"
    found = judged(rules=ADOPTING, observed="approved", reason="fine", decided_by="peer@example.org")
    assert found.status == "approved"
    assert found.decision is not None
    assert (found.decision.method, found.decision.digest, found.decision.by) == ("adopted", DIGEST, "peer@example.org")


@pytest.mark.parametrize("look", [{"invalid": ("no",)}, {"digest": None}, {"flags": ("inconsistent",)}])
def test_a_doubtful_job_is_never_adopted(look: dict[str, Any]) -> None:
    assert judged(rules=ADOPTING, observed="approved", **look).status == "pending"


def test_our_rejection_holds_where_the_folders_cannot_show_it() -> None:
    assert judged(record(decision=decision("reject")), observed="pending").status == "rejected"


def test_new_content_after_a_rejection_waits_again() -> None:
    found = judged(record(decision=decision("reject", OTHER_DIGEST)), observed="pending")
    assert (found.status, found.changed) == ("pending", False)


@pytest.mark.parametrize("word", ["completed", "failed", "rejected"])
def test_what_the_folders_say_is_over_is_over(word: str) -> None:
    assert judged(observed=word).status == word


@pytest.mark.parametrize("word", ["received", "incomplete", "damaged"])
def test_words_without_a_public_status_are_pending(word: str) -> None:
    assert judged(observed=word).status == "pending"
    assert judged(observed=word, owner=THEM).status == "pending"


def test_a_damaged_state_never_counts_as_approved() -> None:
    assert judged(record(decision=decision()), observed="damaged").status == "pending"


@pytest.mark.parametrize("phase", ["claimed", "started"])
def test_a_claimed_job_is_running(phase: str) -> None:
    assert judged(record(run=run(phase, cause=None)), observed="approved").status == "running"


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, "completed"), ({"exit_code": 3}, "failed"), ({"cause": "timeout", "exit_code": None}, "failed")],
)
def test_our_own_run_says_how_it_ended(fields: dict[str, Any], status: str) -> None:
    assert judged(record(run=run(**fields)), observed="running").status == status


def test_a_finished_job_marked_approved_elsewhere_is_not_run_again() -> None:
    found = judged(record(run=run(), decision=decision()), observed="approved")
    assert found.status == "completed"
    assert "scq rerun" in found.problems[0].advice


def test_reopening_shows_the_job_as_approved_before_its_folders_do() -> None:
    assert judged(record(decision=decision(), intents=("reopen",)), observed="completed").status == "approved"


def test_a_running_job_without_life_is_called_out() -> None:
    quiet = judged(observed="running", updated_at=NOW - timedelta(hours=2))
    assert (quiet.status, len(quiet.problems)) == ("running", 1)
    assert judged(observed="running", updated_at=NOW - timedelta(minutes=1)).problems == ()
    assert judged(observed="running").problems == ()


def test_for_somebody_elses_job_the_folders_alone_count() -> None:
    found = judged(observed="approved", owner=THEM, owner_only=False)
    assert (found.status, found.outputs) == ("approved", "none")
    assert not runnable(found, ME)
    assert judged(observed="completed", owner=THEM).outputs == "released"


@pytest.mark.parametrize("known", [record(intents=("decide",), decision=decision()), record(run=run("claimed", cause=None))])
def test_folders_that_look_odd_while_we_write_in_them_do_not_make_a_job_invalid(known: Record) -> None:
    assert judged(known, observed="approved", invalid=("folder and file differ",)).invalid == ()
