"""What counts as approved, and what never does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from scq.authority import CHANGED, NOT_APPROVED_HERE, Rules, approvals, judge, runnable, with_vote
from scq.model import Bounds, Decision
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


HOUR = timedelta(hours=1)
ALICE, BOB, CAROL = "alice@example.org", "bob@example.org", "carol@example.org"
TWO = Rules(me=ME, adopt=False, orphan_after=HOUR, quorum=2)


def vote(by: str, digest: str = DIGEST, **bounds: Any) -> Decision:
    return replace(decision(digest=digest), by=by, bounds=Bounds(**bounds))


def bounded(runs: int = 0, **bounds: Any) -> Record:
    return record(decision=decision(bounds=Bounds(**bounds)), runs=runs)


@pytest.mark.parametrize(("left", "status"), [(HOUR, "approved"), (timedelta(0), "pending"), (-HOUR, "pending")])
def test_an_approval_lasts_until_it_expires(left: timedelta, status: str) -> None:
    found = judged(bounded(expires_at=NOW + left), observed="approved")
    assert found.status == status
    assert runnable(found, ME) == (status == "approved")
    assert not found.changed
    if status == "pending":
        assert "approval expired on 2026-11-21" in found.problems[0].what
        assert found.problems[0].advice == "To allow it again: scq approve count-00"


@pytest.mark.parametrize(("runs", "status"), [(0, "approved"), (1, "approved"), (2, "pending"), (3, "pending")])
def test_an_approval_is_used_up_by_the_runs_that_began_under_it(runs: int, status: str) -> None:
    found = judged(bounded(runs, max_runs=2), observed="approved")
    assert found.status == status
    if status == "pending":
        assert found.problems[0].what == "approval was for 2 runs and is used up"


def test_a_run_that_began_after_the_look_uses_an_approval_up_as_well() -> None:
    found = judged(bounded(max_runs=1), observed="approved")
    assert runnable(found, ME)
    assert not runnable(replace(found, runs=1), ME)


def test_a_used_up_approval_says_nothing_about_the_run_that_used_it() -> None:
    assert judged(replace(bounded(1, max_runs=1), run=run()), observed="completed").status == "completed"
    assert judged(replace(bounded(1, max_runs=1), run=run("started", cause=None))).status == "running"


def test_two_reviewers_are_two_different_ones() -> None:
    first = with_vote(record(), vote(ALICE), TWO)
    assert (first.decision, [item.by for item in first.votes]) == (None, [ALICE])
    again = with_vote(first, vote(ALICE), TWO)
    assert (again.decision, len(again.votes)) == (None, 1)
    both = with_vote(again, vote(BOB), TWO)
    assert both.decision is not None
    assert (both.decision.verdict, both.decision.by, both.decision.digest) == ("approve", f"{ALICE}, {BOB}", DIGEST)
    assert judged(both, TWO).status == "approved"


def test_a_job_that_lacks_approvals_says_how_many_it_has() -> None:
    found = judged(with_vote(record(), vote(ALICE), TWO), TWO, observed="approved")
    assert (found.status, found.problems[0].what) == ("pending", f"1 of 2 approvals, by {ALICE}")
    assert not runnable(found, ME)


def test_what_two_allow_is_the_strictest_of_both() -> None:
    first = with_vote(record(), vote(ALICE, max_runs=5, timeout_s=60.0, expires_at=NOW + HOUR), TWO)
    both = with_vote(first, vote(BOB, max_runs=2, memory=100, expires_at=NOW + 2 * HOUR), TWO)
    assert both.decision is not None
    assert both.decision.bounds == Bounds(expires_at=NOW + HOUR, max_runs=2, timeout_s=60.0, memory=100)


def test_rules_accepted_by_either_are_told() -> None:
    first = with_vote(record(), replace(vote(ALICE), accepted=("network",)), TWO)
    both = with_vote(first, replace(vote(BOB), accepted=("eval", "network")), TWO)
    assert both.decision is not None
    assert both.decision.accepted == ("eval", "network")


@pytest.mark.parametrize("first", [vote(ALICE, OTHER_DIGEST), vote(ALICE, expires_at=NOW)])
def test_an_approval_of_other_content_or_one_that_expired_does_not_count(first: Decision) -> None:
    assert with_vote(record(votes=(first,)), vote(BOB), TWO).decision is None


def test_an_approval_that_was_run_under_does_not_count_for_the_next_decision() -> None:
    both = with_vote(with_vote(record(), vote(ALICE, max_runs=1), TWO), vote(BOB, max_runs=1), TWO)
    ran = replace(both, runs=1)
    assert judged(ran, TWO).status == "pending"
    again = with_vote(ran, vote(ALICE), TWO)
    assert (again.decision, again.runs, len(again.votes)) == (None, 0, 1)
    assert with_vote(again, vote(BOB), TWO).decision is not None


def test_a_higher_number_of_reviewers_holds_for_what_is_approved_already() -> None:
    one = with_vote(record(), vote(ALICE), RULES)
    assert judged(one, RULES).status == "approved"
    found = judged(one, TWO)
    assert (found.status, found.problems[0].what) == ("pending", f"1 of 2 approvals, by {ALICE}")
    assert not runnable(found, ME)
    assert judged(with_vote(one, vote(BOB), TWO), TWO).status == "approved"


def test_an_approval_of_before_there_were_votes_is_one() -> None:
    old = record(decision=decision())
    assert judged(old, TWO).status == "pending"
    assert with_vote(old, vote(BOB), TWO).decision is not None
    assert with_vote(old, vote(ME), TWO).decision is None


def test_what_other_software_approved_is_no_vote() -> None:
    old = record(decision=replace(decision(), method="adopted", by=CAROL))
    assert with_vote(old, vote(BOB), TWO).decision is None


def test_only_listed_reviewers_count() -> None:
    listed = replace(TWO, reviewers=(ALICE, BOB))
    votes = (vote(ALICE), vote(CAROL))
    known = record(votes=votes, decision=replace(decision(), by=f"{ALICE}, {CAROL}"))
    assert [item.by for item in approvals(known, listed, NOW)] == [ALICE]
    assert judged(known, listed).status == "pending"
    assert judged(known, TWO).status == "approved"


def test_votes_do_not_outlive_a_rejection() -> None:
    found = record(decision=decision("reject"), votes=(vote(ALICE), vote(BOB)))
    assert judged(found, TWO).status == "rejected"
