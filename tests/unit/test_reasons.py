"""What a job waits for, in every state it can be in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from scq.authority import CHANGED, NOT_APPROVED_HERE, Rules
from scq.model import Answer, Bounds, Notification, Problem, ReleasedFile
from scq.reasons import Explanation, Facts, explain, tidings
from scq.state import Record
from tests.making import DIGEST, ME, NOW, OTHER_DIGEST, THEM, decision, record, run

RULES = Rules(me=ME, adopt=False, orphan_after=timedelta(hours=1))
HOUR = timedelta(hours=1)
NASTY = "\x1b[2Jx\r\n\u202ey"


def facts(**known: Any) -> Facts:
    base: dict[str, Any] = {"now": NOW, "rules": RULES}
    return Facts(**(base | known))


def said(of: Record, **known: Any) -> Explanation:
    """The explanation, which must always say something that ends, on clean lines."""
    found = explain(of, facts(**known))
    assert found.reasons
    assert found.next
    for text in (*found.reasons, *found.next):
        assert text.isprintable(), text
        assert text == text.strip() != "", text
    return found


def text(of: Explanation) -> str:
    return " ".join((*of.reasons, *of.next))


def seen(of: Record, **fields: Any) -> Record:
    return replace(of, sighting=replace(of.sighting, **fields))


class TestWaiting:
    def test_a_new_job_waits_for_a_review(self) -> None:
        found = said(record())
        assert found.waits_for == "review"
        assert found.reasons == (f"Nobody has decided about it yet; {THEM} waits for your answer.",)
        assert found.next == (
            "Read it: scq review count-00",
            "To let it run: scq approve count-00",
            "To refuse it: scq reject count-00 -r REASON",
        )

    def test_one_that_was_read_waits_for_a_decision_and_one_that_changed_since_for_a_second_look(self) -> None:
        assert "scq review" not in text(said(record(reviewed=DIGEST)))
        again = said(record(reviewed=OTHER_DIGEST))
        assert "It has changed since you reviewed it." in again.reasons
        assert "Read it again: scq review count-00" in again.next

    def test_one_whose_content_changed_since_its_approval_says_so(self) -> None:
        found = said(record(changed=True, decision=decision(digest=OTHER_DIGEST), problems=(Problem("a", CHANGED),)))
        assert found.waits_for == "review"
        assert found.reasons[0] == "The content is no longer what was approved."
        assert found.next[0] == "See what changed: scq diff count-00"

    @pytest.mark.parametrize("fields", [{"reviewers": ("b@example.org",)}, {"quorum": 2}])
    def test_where_the_owner_alone_does_not_count_a_reviewer_is_to_be_named(self, fields: Any) -> None:
        rules = replace(RULES, **fields)
        old = decision(bounds=Bounds(expires_at=NOW - HOUR))
        for one in (record(), record(changed=True), record(decision=old)):
            assert "scq approve count-00 --by ADDRESS" in text(said(one, rules=rules))
        assert "--by" not in text(said(record(), rules=replace(RULES, reviewers=(ME,))))

    def test_one_marked_approved_elsewhere_is_not_approved_here(self) -> None:
        found = said(record("approved", problems=(Problem("a", NOT_APPROVED_HERE),)))
        assert (found.waits_for, found.reasons[0][:25]) == ("review", "Its folder says approved,")

    def test_a_damaged_one_says_so(self) -> None:
        assert "damaged" in text(said(record("damaged")))

    def test_one_that_cannot_be_run_waits_for_its_submitter(self) -> None:
        found = said(record(invalid=tuple(f"reason {number}" for number in range(8))))
        assert found.waits_for == "submitter"
        assert found.reasons[0] == "It cannot be run: reason 0."
        assert found.reasons[-1] == "And for 3 more reasons; see scq show count-00."
        assert len(said(record(invalid=("one",))).reasons) == 1

    def test_one_that_is_still_arriving_waits_for_the_rest(self) -> None:
        assert said(record("incomplete")).waits_for == "arrival"

    def test_findings_that_are_denied_keep_it_from_being_approved(self) -> None:
        found = said(record(), denied=("network in a.py:3", "shell in run.sh:1"), denied_rules=("network", "shell"))
        assert "network in a.py:3; shell in run.sh:1." in found.reasons[-1]
        assert "To let it run: scq approve count-00 --accept-finding network --accept-finding shell" in found.next
        assert " and 2 more." in text(said(record(), denied=("a",) * 7))

    def test_several_reviewers_are_asked_for_and_those_who_are_missing_named(self) -> None:
        rules = replace(RULES, quorum=3, reviewers=(ME, "b@example.org", "c@example.org"))
        assert "3 approvals of different reviewers" in text(said(record(), rules=rules))
        assert "--by ADDRESS" in text(said(record(), rules=rules))
        found = said(record(votes=(decision(),)), rules=rules)
        assert found.waits_for == "reviewers"
        assert f"has 1: {ME} on " in found.reasons[0]
        assert found.next[0].endswith("scq approve count-00 --by ADDRESS. One of: b@example.org, c@example.org.")
        assert "2 more of them have" in found.next[0]
        two = (decision(), replace(decision(), by="b@example.org"))
        assert "1 more of them has" in said(record(votes=two), rules=rules).next[0]
        assert "One of" not in said(record(votes=two), rules=replace(rules, reviewers=())).next[0]

    @pytest.mark.parametrize(
        ("bounds", "runs", "why"),
        [
            (Bounds(expires_at=NOW - HOUR), 0, "Approval expired on 2026-11-21 11:00 UTC."),
            (Bounds(max_runs=1), 1, "Approval was for 1 run and is used up."),
        ],
    )
    def test_an_approval_that_ended_is_asked_for_again(self, bounds: Bounds, runs: int, why: str) -> None:
        found = said(record(decision=decision(bounds=bounds), runs=runs))
        assert (found.waits_for, found.reasons) == ("review", (why,))
        assert found.next == ("To allow it again: scq approve count-00",)

    def test_one_on_drive_only_waits_for_its_copy(self) -> None:
        there = seen(record(), where="drive")
        assert said(there).waits_for == "arrival"
        assert "scq check --fetch" in text(said(there))
        assert said(there, fetches=True).next == ("The next scq check (or cycle) fetches it.",)

    def test_one_of_a_stranger_waits_for_the_answer_to_him(self) -> None:
        found = said(seen(record(), where="drive", flags=("not_a_peer",)))
        assert found.waits_for == "peer"
        assert "See who asks: scq peers" in found.next


class TestApproved:
    JOB = record("approved", "approved", decision=decision(reason="as agreed"))

    def test_it_says_who_allowed_what_and_when_it_runs(self) -> None:
        found = said(self.JOB, next_run=NOW + timedelta(seconds=30), scheduler="cron")
        assert found.waits_for == "run"
        assert found.reasons[0].startswith(f"It was approved by {ME} on ")
        assert found.reasons[0].endswith(": as agreed")
        assert DIGEST in found.reasons[1]
        assert found.next[0].startswith("The next call by cron runs it, at about ")

    def test_nobody_who_calls_is_said(self) -> None:
        assert said(self.JOB).next[0].startswith("Nothing calls scq by itself: run it with scq run-approved")

    def test_calls_that_rest_are_said(self) -> None:
        assert said(self.JOB, scheduler="cron").next[0].startswith("What calls scq is stopped: scq start, or run it")

    def test_a_call_that_is_overdue_is_said(self) -> None:
        found = said(self.JOB, next_run=NOW - HOUR, scheduler="systemd", late_s=3000.0)
        assert "overdue for 50 min 0 s: see scq status notify" in found.next[0]

    def test_bounds_are_said(self) -> None:
        bounds = Bounds(expires_at=NOW + HOUR, max_runs=2)
        found = said(replace(self.JOB, decision=decision(bounds=bounds)))
        assert "The approval holds until 2026-11-21 13:00 UTC, 2 runs." in found.reasons
        assert "Unless it starts before" in text(found)

    def test_what_would_stop_it_is_said(self) -> None:
        missing = said(self.JOB, sandbox_missing="bubblewrap is not installed.")
        assert (missing.waits_for, missing.reasons[-1]) == ("mending", "It cannot be run here: bubblewrap is not installed.")
        busy = said(self.JOB, at_work=tuple(f"job{number}" for number in range(7)))
        assert busy.waits_for == "runner"
        assert "Another call is running job0, job1, job2, job3, job4 and 2 more;" in text(busy)
        assert "WITHOUT a sandbox" in text(said(self.JOB, sandbox="none"))
        assert "scq doctor tries it" in text(said(self.JOB))

    @pytest.mark.parametrize(
        ("network", "words"),
        [("none", "`run.network` is none"), ("prepare", "are fetched before it starts"), ("full", "are fetched while it runs")],
    )
    def test_packages_it_wants_are_said(self, network: Any, words: str) -> None:
        assert words in text(said(seen(self.JOB, dependencies=("numpy", "pandas")), network=network))

    def test_a_folder_that_does_not_show_it_yet_is_said(self) -> None:
        assert "Its folder does not show that yet" in text(said(replace(self.JOB, intents=("decide",))))

    @pytest.mark.parametrize(
        ("method", "words"), [("adopted", " with other software by "), ("digest", ", naming its digest by ")]
    )
    def test_how_it_was_approved_is_said(self, method: Any, words: str) -> None:
        assert words in said(replace(self.JOB, decision=decision(method=method))).reasons[0]

    def test_one_without_a_decision_waits_for_one(self) -> None:
        assert said(record("approved", "approved")).waits_for == "review"


class TestRunning:
    JOB = record("running", "running", run=run("claimed", sandbox="bwrap", cause=None, exit_code=None))

    def test_it_says_since_when_and_how_long_it_may(self) -> None:
        found = said(self.JOB, alive=True, started_at=NOW - timedelta(minutes=4), wall_s=600.0)
        assert found.waits_for == "end"
        assert found.reasons[0].startswith("It has been running for 4 min 0 s, since ")
        assert found.reasons[0].endswith("(attempt 1 in bwrap).")
        assert found.next[0] == "It may run for 10 min 0 s; 6 min 0 s are left."
        over = said(self.JOB, alive=True, started_at=NOW - HOUR, wall_s=600.0)
        assert over.next[0].endswith("which is over: it is being ended.")
        assert said(self.JOB, alive=True, started_at=NOW).next == ("It is ended when it reaches its time limit.",)

    def test_one_that_is_being_prepared_says_so(self) -> None:
        assert "is being prepared" in text(said(self.JOB, alive=True))

    def test_one_whose_runner_is_gone_waits_for_the_next_call(self) -> None:
        found = said(self.JOB, alive=False, began=True)
        assert found.waits_for == "recovery"
        assert "cause interrupted" in found.next[0]
        assert "starts it again" in said(self.JOB, alive=False, began=True, retry=True).next[0]
        assert "gives it back and runs it" in said(self.JOB, alive=False).next[0]
        assert "without a sandbox" in text(said(replace(self.JOB, run=run("claimed", sandbox="none")), alive=False))

    def test_one_of_other_software_is_theirs(self) -> None:
        assert said(record("running", "running")).waits_for == "end"
        assert "since 20" in text(said(seen(record("running", "running"), started_at=NOW)))
        lost = record("running", "running", problems=(Problem("a", "says running, but shows no life", "b"),))
        found = said(lost)
        assert found.waits_for == "runner-elsewhere"
        assert "Says running, but shows no life." in found.reasons


class TestOver:
    def test_a_good_end_with_results_waits_for_an_answer(self) -> None:
        found = said(record("completed", "completed", run=run(), outputs="withheld", decision=decision()))
        assert found.waits_for == "answer"
        assert "Then scq release count-00 -r REASON, or scq withhold count-00 -r REASON" in found.next

    def test_what_was_answered_is_said(self) -> None:
        def job(answer: Answer | None, outputs: Any = "released") -> Record:
            return record("completed", "completed", run=run(), outputs=outputs, answer=answer, decision=decision())

        one = (ReleasedFile("a", 1, "b"),)
        assert f"1 file was released by {ME} on " in text(said(job(Answer("released", ME, NOW, files=one))))
        assert "2 files were released by itself (auto_release)" in text(
            said(job(Answer("released", ME, NOW, files=one * 2, automatic=True)))
        )
        withheld = said(job(Answer("withheld", ME, NOW, "too small"), "withheld"))
        assert "withheld by" in text(withheld)
        assert withheld.reasons[-1].endswith(": too small.")
        assert withheld.waits_for == "nothing"
        assert "It left no results." in said(job(None, "none")).reasons
        assert "Its results were released." in said(job(None)).reasons

    def test_it_says_whether_it_can_run_again(self) -> None:
        job = record("completed", "completed", run=run(), decision=decision())
        assert said(job).next == ("To run it once more: scq rerun count-00",)
        used = replace(job, decision=decision(bounds=Bounds(max_runs=1)), runs=1)
        assert "approve it again, for its approval was for 1 run and is used up." in said(used).next[0]
        assert "under another name" in said(replace(job, decision=None)).next[0]

    @pytest.mark.parametrize(
        ("cause", "words"),
        [
            ("timeout", "it ran longer than it may (limit 600 s)"),
            ("memory", "it used more memory than it may"),
            ("dependencies", "docs/dependencies.md"),
            ("integrity", "scq diff count-00"),
            ("interrupted", "it can be run again as it is"),
            ("killed", "something outside of scq ended it"),
        ],
    )
    def test_a_failure_says_why_and_what_to_do(self, cause: Any, words: str) -> None:
        failed = record(
            "failed",
            "failed",
            run=run(cause=cause, exit_code=None, detail="limit 600 s", started_at=NOW - HOUR, finished_at=NOW),
            decision=decision(),
        )
        assert words in text(said(failed))
        assert " after 1 h 0 min" in text(said(failed))

    def test_a_script_that_failed_shows_its_log(self) -> None:
        found = said(record("failed", "failed", run=run(exit_code=3), decision=decision()))
        assert found.reasons[0] == "It failed by itself with exit code 3."
        assert "scq logs count-00 --stderr" in found.next[0]

    def test_one_that_other_software_ran_says_what_is_known(self) -> None:
        found = said(seen(record("failed", "failed"), exit_code=2, error="no such file"))
        assert found.reasons == ("Other software ran it: failed with exit code 2.", "It says: no such file")
        assert said(record("completed", "completed")).reasons == ("Other software ran it: completed.",)


class TestRejected:
    def test_it_says_who_and_why(self) -> None:
        found = said(record("rejected", "rejected", decision=decision("reject", reason="reads too much")))
        assert found.waits_for == "nothing"
        assert found.reasons[0].startswith(f"It was rejected by {ME} on ")
        assert found.reasons[0].endswith(": reads too much")
        assert "withdrawn by" in text(said(record("rejected", "rejected", decision=decision("reject", method="cancel"))))

    def test_one_rejected_by_other_software_says_what_its_folder_says(self) -> None:
        assert said(record("rejected", "rejected")).reasons == ("It was rejected by other software.",)
        found = said(seen(record("rejected", "rejected"), decided_by="x@example.org", decided_at=NOW, reason="no"))
        assert found.reasons[0].startswith("It was rejected by x@example.org on ")
        assert found.reasons[0].endswith(": no")


@pytest.mark.parametrize(("where", "place"), [("local", "the SyftBox folder"), ("drive", "Google Drive")])
def test_one_that_vanished_says_since_when(where: Any, place: str) -> None:
    found = said(seen(record(missing_since=NOW), where=where))
    assert found.waits_for == "return"
    assert place in found.reasons[0]


class TestAtOtherOwners:
    def job(self, observed: str, status: Any, **fields: Any) -> Record:
        return seen(record(observed, status, owner=THEM, submitter=ME), **fields)

    def test_it_waits_for_the_owner(self) -> None:
        found = said(self.job("pending", "pending"))
        assert found.waits_for == "owner"
        assert "scq cancel" not in text(found)
        assert "scq cancel count-00" in text(said(self.job("pending", "pending", layout="a3")))
        assert "scq cancel" not in text(said(self.job("pending", "pending", layout="a3", submitter="x@example.org")))
        assert said(self.job("incomplete", "pending")).waits_for == "arrival"

    def test_what_the_owner_did_is_said_as_far_as_it_is_known(self) -> None:
        assert said(self.job("approved", "approved", decided_at=NOW)).waits_for == "owner"
        assert "approved it; it has not been run yet" in text(said(self.job("approved", "approved")))
        assert said(self.job("running", "running", started_at=NOW)).waits_for == "end"
        assert "It runs at" in text(said(self.job("running", "running")))
        assert f"{THEM} rejected it: too wide" in text(said(self.job("rejected", "rejected", reason="too wide")))
        assert "No reason was given." in text(said(self.job("rejected", "rejected")))

    def test_the_end_says_where_to_look(self) -> None:
        found = said(self.job("completed", "completed", exit_code=0))
        assert found.waits_for == "nothing"
        assert found.reasons == (f"It is done at {THEM} with exit code 0.",)
        assert "scq output count-00" in found.next[0]
        failed = said(self.job("failed", "failed", error="no such file"))
        assert failed.reasons == (f"It failed at {THEM}.", "It says: no such file")


def test_text_of_strangers_cannot_touch_the_terminal() -> None:
    nasty = {"name": NASTY, "submitter": NASTY, "reason": NASTY, "error": NASTY, "decided_by": NASTY, "dependencies": (NASTY,)}
    jobs = [
        seen(record(observed, status, invalid=invalid, run=ran, decision=decided, owner=owner), **nasty)
        for observed, status in (("pending", "pending"), ("approved", "approved"), ("rejected", "rejected"), ("failed", "failed"))
        for owner in (ME, NASTY)
        for invalid in ((), (NASTY,))
        for ran in (None, run(cause="timeout", detail=NASTY))
        for decided in (None, decision(reason=NASTY))
    ]
    for job in jobs:
        said(job)


class TestMessages:
    ROW = Notification("k", "1-0", "job.received", "j", "post", THEM, "do", NOW, ended_at=NOW, attempts=2, outcome="no answer")

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"state": "sent"}, "sent on "),
            ({"state": "bundled"}, "told in a digest on "),
            ({"state": "dead"}, ": no answer. To try again: scq outbox retry k"),
            ({"state": "dropped"}, "dropped by hand on "),
            ({"state": "queued", "in_digest": True}, "waits for the next digest."),
            ({"state": "ambiguous"}, "nobody knows whether it arrived: no answer."),
            ({"state": "deferred", "not_before": NOW}, "failed 2 times: no answer; tried again at "),
            ({"state": "deferred", "attempts": 1}, "failed 1 time: no answer; tried again by the next call."),
            ({"state": "queued"}, "waits for the next scq notify or cycle."),
            ({"state": "sending"}, "waits for the next scq notify or cycle."),
        ],
    )
    def test_each_says_what_became_of_it(self, fields: dict[str, Any], words: str) -> None:
        (found,) = tidings([replace(self.ROW, **fields)], facts())
        assert found.startswith(f"job.received to {THEM} (post): ")
        assert words in found

    def test_quiet_hours_hold_back_all_but_what_is_critical(self) -> None:
        (quiet,) = tidings([self.ROW], facts(quiet=True))
        assert quiet.endswith("waits for the end of the quiet hours.")
        (critical,) = tidings([replace(self.ROW, level="critical")], facts(quiet=True))
        assert critical.endswith("waits for the next scq notify or cycle.")

    def test_the_oldest_comes_first(self) -> None:
        older = replace(self.ROW, key="z", kind="job.approved", created_at=NOW - HOUR)
        assert [text.split()[0] for text in tidings([self.ROW, older], facts())] == ["job.approved", "job.received"]
