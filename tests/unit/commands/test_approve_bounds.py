"""scq approve with bounds, several reviewers, and findings that block it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from scq.commands import approve, run_approved, show
from scq.config_values import Config
from scq.context import Context, utc_now
from tests.people import OWNER, World

ALICE, BOB, CAROL = "alice@example.org", "bob@example.org", "carol@example.org"
QUORUM = "sandbox: none\napprovals:\n  quorum: 2\n"
REVIEWERS = QUORUM + f"  reviewers: [{ALICE}, {BOB}]\n"
CURL = "curl https://example.org | sh\n"


def audit(world: World) -> list[tuple[str, str, str]]:
    return [(row["what"], row["by"], row["detail"]) for row in world.owner.json("audit", "show")["rows"] if row["job"]]


def later(world: World, passed: timedelta) -> Context:
    config = Config(email=OWNER, root=str(world.root), sandbox="none")
    return Context(config, str(world.owner.home), now=lambda: utc_now() + passed)


class TestBounds:
    def test_bounds_are_kept_with_the_approval_and_shown(self, world: World) -> None:
        uid = world.submit()
        options = ["--expires", "7d", "--max-runs", "2", "--timeout", "30m", "--memory", "2GiB"]
        answer = world.owner.scq("approve", uid, "-r", "fine", *options)
        approval = world.owner.job(uid)["approval"]
        assert (approval["max_runs"], approval["timeout_s"], approval["memory"]) == (2, 1800.0, 2 << 30)
        left = datetime.fromisoformat(approval["expires_at"]) - utc_now()
        assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
        assert "2 runs, time 30 min 0 s, memory 2.1 GB" in answer.out
        assert "2 runs, time 30 min 0 s, memory 2.1 GB" in world.owner.scq("show", uid).out
        ((what, by, detail),) = audit(world)
        assert (what, by) == ("approve", OWNER)
        assert detail.startswith("fine; until ")

    def test_without_bounds_there_are_none(self, world: World) -> None:
        approval = world.owner.job(world.approved())["approval"]
        assert [approval[name] for name in ("expires_at", "max_runs", "timeout_s", "memory")] == [None] * 4
        assert approval["accepted_findings"] == []

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("--expires", "soon"),
            ("--expires", "-1d"),
            ("--expires", "1e99d"),
            ("--max-runs", "0"),
            ("--max-runs", "99999999999"),
            ("--timeout", "0"),
            ("--timeout", "nan"),
            ("--memory", "lots"),
            ("--memory", "0"),
        ],
    )
    def test_a_bound_that_makes_no_sense_names_itself_and_decides_nothing(self, world: World, option: str, value: str) -> None:
        uid = world.submit()
        assert option in world.owner.scq("approve", uid, option, value, code=2).err
        assert world.owner.job(uid)["status"] == "pending"

    def test_an_expired_approval_runs_nothing_until_it_is_given_again(self, world: World) -> None:
        uid = world.submit(script="echo ran > outputs/ran.txt\n")
        world.owner.scq("approve", uid, "--expires", "1h")
        assert run_approved.run(later(world, timedelta(hours=2))).data["runs"] == []
        expired = later(world, timedelta(hours=2))
        job = show.run(expired, uid).data
        assert job["status"] == "pending"
        assert "approval expired on" in job["problems"][-1]["what"]
        world.owner.scq("approve", uid)
        assert [row["status"] for row in run_approved.run(later(world, timedelta(hours=2))).data["runs"]] == ["completed"]

    def test_an_approval_for_one_run_is_used_up_by_it(self, world: World) -> None:
        uid = world.submit()
        world.owner.scq("approve", uid, "--max-runs", "1")
        assert [row["status"] for row in world.owner.json("run-approved")["runs"]] == ["completed"]
        again = world.owner.scq("rerun", uid)
        assert again.out.startswith(f"open again {uid[:8]}  count; approval was for 1 run and is used up.")
        assert world.owner.json("run-approved")["runs"] == []
        job = world.owner.job(uid)
        assert (job["status"], job["problems"][-1]["what"]) == ("pending", "approval was for 1 run and is used up")
        world.owner.scq("approve", uid, "--max-runs", "1")
        assert [row["status"] for row in world.owner.json("run-approved")["runs"]] == ["completed"]
        assert world.owner.job(uid)["run"]["attempt"] == 2

    def test_a_dry_run_shows_the_bounds_and_decides_nothing(self, world: World) -> None:
        uid = world.submit()
        answer = world.owner.scq("approve", uid, "--max-runs", "3", "--dry-run")
        assert answer.out.startswith("would be approved")
        assert "(3 runs)" in answer.out
        assert world.owner.job(uid)["status"] == "pending"


class TestQuorum:
    def test_two_different_reviewers_approve_the_same_content(self, world: World) -> None:
        world.owner.configure(QUORUM)
        uid = world.submit()
        digest = world.owner.job(uid)["digest"]
        first = world.owner.scq("approve", uid, "--by", ALICE, "-r", "one")
        assert first.out == f"waiting {uid[:8]}  count  {digest}  (1 of 2 approvals)\n"
        again = world.owner.json("approve", uid, "--by", ALICE)
        assert again["jobs"][0]["approvals"] == {"given": [ALICE], "needed": 2}
        assert again["jobs"][0]["status"] == "pending"
        assert world.owner.json("run-approved")["runs"] == []
        job = world.owner.job(uid)
        assert (job["status"], job["approval"]) == ("pending", None)
        assert job["problems"][-1]["what"] == f"1 of 2 approvals, by {ALICE}"
        second = world.owner.scq("approve", uid, "--by", BOB, "-r", "two")
        assert second.out.startswith(f"approved {uid[:8]}")
        assert world.owner.job(uid)["approval"]["by"] == f"{ALICE}, {BOB}"
        assert audit(world) == [
            ("vote", ALICE, "one"),
            ("vote", ALICE, ""),
            ("vote", BOB, "two"),
            ("approve", f"{ALICE}, {BOB}", "two"),
        ]
        assert [row["status"] for row in world.owner.json("run-approved")["runs"]] == ["completed"]

    def test_changed_content_needs_every_approval_again(self, world: World) -> None:
        world.owner.configure(QUORUM)
        uid = world.submit(note__txt="a")
        world.owner.scq("approve", uid, "--by", ALICE)
        (note,) = world.root.rglob("note.txt")
        note.write_text("changed")
        assert "1 of 2" in world.owner.scq("approve", uid, "--by", BOB).out
        assert "approved" in world.owner.scq("approve", uid, "--by", ALICE).out

    def test_one_rejection_decides(self, world: World) -> None:
        world.owner.configure(QUORUM)
        uid = world.submit()
        world.owner.scq("approve", uid, "--by", ALICE)
        world.owner.scq("reject", uid, "-r", "no")
        assert world.owner.job(uid)["status"] == "rejected"

    def test_a_quorum_that_is_raised_holds_for_jobs_approved_before(self, world: World) -> None:
        uid = world.approved()
        world.owner.configure(QUORUM)
        assert world.owner.json("run-approved")["runs"] == []
        assert world.owner.job(uid)["status"] == "pending"
        world.owner.scq("approve", uid, "--by", BOB)
        assert [row["status"] for row in world.owner.json("run-approved")["runs"]] == ["completed"]

    def test_only_listed_reviewers_may_approve(self, world: World) -> None:
        world.owner.configure(REVIEWERS)
        uid = world.submit()
        answer = world.owner.scq("approve", uid, code=2)
        assert f"{OWNER} is not one of approvals.reviewers" in answer.err
        assert ALICE in answer.err
        assert CAROL in world.owner.scq("approve", uid, "--by", CAROL, code=2).err
        world.owner.scq("approve", uid, "--by", ALICE.upper())
        world.owner.scq("approve", uid, "--by", BOB)
        assert world.owner.job(uid)["status"] == "approved"

    @pytest.mark.parametrize("by", ["nobody", "a@b, c@d", "a@example.org\nx", "Alice <alice@example.org>"])
    def test_a_reviewer_is_an_address(self, world: World, by: str) -> None:
        uid = world.submit()
        assert "--by" in world.owner.scq("approve", uid, "--by", by, code=2).err

    def test_an_approval_that_waits_is_not_shown_in_the_folders(self, world: World) -> None:
        world.owner.configure(QUORUM)
        uid = world.submit(layout="c0")
        before = world.scientist.job(uid)["peer_status"]
        world.owner.scq("approve", uid, "--by", ALICE)
        assert world.scientist.job(uid)["peer_status"] == before
        world.owner.scq("approve", uid, "--by", BOB)
        assert world.scientist.job(uid)["status"] == "approved"


class TestDeny:
    @pytest.fixture
    def uid(self, world: World) -> str:
        world.owner.configure("sandbox: none\ndeny: [network, privileges]\n")
        return world.submit(script=CURL)

    def test_a_denied_finding_blocks_and_says_how_to_accept_it(self, world: World, uid: str) -> None:
        err = world.owner.scq("approve", uid, code=2).err
        assert "run.sh:3 network" in err
        assert f"scq approve {uid[:8]} --accept-finding network" in err
        assert world.owner.job(uid)["status"] == "pending"

    def test_naming_the_digest_does_not_help(self, world: World, uid: str) -> None:
        digest = world.owner.job(uid)["digest"]
        assert "run.sh:3 network" in world.owner.scq("approve", uid, "--digest", digest, code=2).err

    def test_accepting_another_rule_does_not_help(self, world: World, uid: str) -> None:
        assert "network" in world.owner.scq("approve", uid, "--accept-finding", "privileges", code=2).err

    def test_what_was_accepted_is_written_down(self, world: World, uid: str) -> None:
        world.owner.scq("approve", uid, "-r", "seen", "--accept-finding", "network")
        assert world.owner.job(uid)["approval"]["accepted_findings"] == ["network"]
        assert audit(world) == [("approve", OWNER, "seen; accepted network")]

    def test_a_job_without_such_findings_is_approved(self, world: World, uid: str) -> None:
        world.owner.scq("approve", world.submit("quiet"))

    def test_a_rule_nobody_knows_stops_instead_of_never_matching(self, world: World, uid: str) -> None:
        world.owner.configure("sandbox: none\ndeny: [netwrok]\n")
        answer = world.owner.scq("approve", uid, code=78)
        assert "'netwrok', which is not a rule" in answer.err
        assert "network" in answer.err

    def test_nothing_is_read_where_nothing_is_denied(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("scq.reviewing.code_findings", pytest.fail)
        world.approved(script=CURL)

    def test_code_that_changes_while_it_is_looked_at_is_refused(
        self, world: World, uid: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = approve.manifest

        def swapped(*arguments: object) -> object:
            for run_sh in world.root.rglob("run.sh"):
                run_sh.write_text("echo harmless\n")
            return real(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(approve, "manifest", swapped)
        assert "is changing while it is approved" in world.owner.scq("approve", uid, code=5).err


def test_the_state_of_votes_survives_the_journey(world: World) -> None:
    world.owner.configure(QUORUM)
    world.submit()
    world.owner.scq("approve", "count", "--by", ALICE, "--max-runs", "1")
    (record,) = json.loads((world.owner.home / "state.json").read_text())["jobs"].values()
    assert [(vote["by"], vote["bounds"]) for vote in record["votes"]] == [(ALICE, {"max_runs": 1})]
    assert "decision" not in record
