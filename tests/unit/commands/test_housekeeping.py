"""scq cleanup, reset."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from scq.commands import cleanup, reset
from scq.config_values import Config
from scq.context import Context, utc_now
from scq.errors import UsageError
from scq.looking import View
from scq.model import Answer
from scq.steps import removal
from scq.store import exclusive
from tests.making import record, run
from tests.people import OWNER, World


def context(world: World, **settings: object) -> Context:
    config = Config(email=OWNER, root=str(world.root), **settings)  # type: ignore[arg-type]
    return Context(config, str(world.owner.home), env={})


class TestCleanup:
    def test_only_own_jobs_that_ended_long_ago_go(self, world: World) -> None:
        done, waiting = world.ended("done"), world.submit("waiting")
        assert world.owner.json("cleanup")["removed"] == [], "nothing is old yet"
        for name in os.listdir(world.owner.home / "approved"):
            os.utime(world.owner.home / "approved" / name, (1, 1))
        answer = world.owner.scq("cleanup", "--older-than", "0")
        assert answer.out == f"removed {done[:8]}  completed  done\n"
        assert [job["id"] for job in world.owner.json("list")["jobs"]] == [waiting]
        assert os.listdir(world.owner.home / "runs") == []
        assert os.listdir(world.owner.home / "approved") == []

    def test_a_rejected_job_goes_and_an_approved_one_stays_with_its_copy(self, world: World) -> None:
        rejected, approved = world.submit("rejected"), world.approved("approved")
        world.owner.scq("reject", rejected)
        assert [row["id"] for row in world.owner.json("cleanup", "--older-than", "0")["removed"]] == [rejected]
        assert len(os.listdir(world.owner.home / "approved")) == 1
        assert [row["status"] for row in (world.owner.job(approved),)] == ["approved"]

    def test_results_that_wait_for_an_answer_stay_unless_they_are_named(self, world: World) -> None:
        uid = world.ended("held", "mkdir -p outputs; echo 42 > outputs/answer.txt\n")
        assert world.owner.json("status")["results_waiting"] == 1
        assert "results waiting for your answer: 1" in world.owner.scq("status").out
        data = world.owner.json("cleanup", "--older-than", "0")
        assert (data["removed"], data["waiting"]) == ([], 1)
        said = world.owner.scq("cleanup", "--older-than", "0", "--dry-run").out
        assert said == "kept 1 whose results wait for scq release or scq withhold\n"
        assert [row["id"] for row in world.owner.json("cleanup", "--older-than", "0", "--unanswered")["removed"]] == [uid]

    @pytest.mark.parametrize("answer", ["release", "withhold"])
    def test_an_answered_job_waits_for_nothing(self, world: World, answer: str) -> None:
        uid = world.ended("held", "mkdir -p outputs; echo 42 > outputs/answer.txt\n")
        world.owner.scq(answer, uid, "-r", "because")
        assert world.owner.json("status")["results_waiting"] == 0
        assert [row["id"] for row in world.owner.json("cleanup", "--older-than", "0")["removed"]] == [uid]

    def test_a_dry_run_says_what_would_go(self, world: World) -> None:
        uid = world.ended()
        answer = world.owner.scq("cleanup", "--older-than", "0", "--dry-run")
        assert answer.out == f"would remove {uid[:8]}  completed  count\n"
        assert world.owner.job(uid)["status"] == "completed"

    def test_a_submitter_removes_nothing_of_the_owner(self, world: World) -> None:
        uid = world.ended()
        assert world.scientist.json("cleanup", "--older-than", "0")["removed"] == []
        assert world.owner.job(uid)

    def test_the_configured_time_counts(self, world: World) -> None:
        uid = world.ended()
        later = utc_now() + timedelta(hours=2)
        ctx = context(world, cleanup_completed_after=3_600.0)
        ctx.now = lambda: later
        assert [row["id"] for row in cleanup.run(ctx).data["removed"]] == [uid]

    def test_what_runs_of_forgotten_jobs_left_is_swept(self, world: World) -> None:
        kept = world.ended()
        stray = world.owner.home / "runs" / "gone-1"
        (stray / "work").mkdir(parents=True)
        for name, changed in (("sha256-0", 1), ("sha256-1", time.time())):
            (world.owner.home / "approved" / name).mkdir()
            os.utime(world.owner.home / "approved" / name, (changed, changed))
        assert world.owner.json("cleanup", "--dry-run")["run_folders"] == []
        assert world.owner.json("cleanup")["run_folders"] == ["gone-1"]
        assert [name[:36] for name in os.listdir(world.owner.home / "runs")] == [kept]
        kept_copies = os.listdir(world.owner.home / "approved")
        assert "sha256-0" not in kept_copies
        assert "sha256-1" in kept_copies, "an approval may be making it just now"

    def test_a_job_whose_end_nobody_knows_counts_from_when_it_was_first_seen(self, world: World) -> None:
        ctx = context(world)
        bare = record(status="completed", first_seen_at=utc_now() - timedelta(hours=1))
        assert removal._is_old(ctx, bare, timedelta(minutes=59))
        assert not removal._is_old(ctx, bare, timedelta(minutes=61))

    def test_a_job_that_is_started_in_between_is_kept(self, world: World) -> None:
        ctx = context(world)
        old = {"key": record(status="completed")}
        busy = record(status="running", run=run("claimed", cause=None))
        state = ctx.store.load()
        marked = removal._marked(ctx, replace(state, jobs={"key": busy}), old)
        assert marked.jobs["key"].intents == ()
        assert marked.audit == ()

    @pytest.mark.parametrize(
        "change",
        [
            {"run": run("settled", directory="again-1")},
            {"answer": Answer("released", OWNER, utc_now())},
            {"intents": ("share",)},
        ],
    )
    def test_a_job_that_was_run_or_answered_in_between_is_kept(self, world: World, change: dict[str, Any]) -> None:
        ctx = context(world)
        seen = record(status="completed", run=run("settled"))
        went_on = replace(seen, **change)
        state = replace(ctx.store.load(), jobs={"key": went_on})
        marked = removal._marked(ctx, state, {"key": seen})
        assert (marked.jobs["key"], marked.audit) == (went_on, ())
        assert removal._marked(ctx, state, {"key": went_on}).jobs["key"].intents == ("remove",)

    def test_what_is_answered_while_cleanup_looks_is_not_said_to_be_removed(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uid = world.ended("held", "mkdir -p outputs; echo 42 > outputs/answer.txt\n")
        looked = cleanup.view

        def look_and_wait(ctx: Context, *, full: bool) -> View:
            shown = looked(ctx, full=full)
            monkeypatch.setattr(cleanup, "view", looked)
            world.owner.scq("release", uid, "-r", "because")
            return shown

        monkeypatch.setattr(cleanup, "view", look_and_wait)
        assert world.owner.json("cleanup", "--older-than", "0", "--unanswered")["removed"] == []
        assert world.owner.job(uid)["status"] == "completed"
        assert world.owner.json("list")["jobs"] != []

    def test_what_cannot_be_removed_is_told_and_remembered(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        uid = world.ended()
        with monkeypatch.context() as patch:

            def read_only(*_: object) -> None:
                raise OSError(30, "Read-only file system", "jobs")

            patch.setattr("scq.layouts.inbox_review.InboxReview.remove", read_only)
            assert "Read-only" in world.owner.scq("cleanup", "--older-than", "0", code=1).err
        assert world.owner.job(uid)["status"] == "completed"
        world.owner.scq("check")
        assert world.owner.json("list")["jobs"] == []

    def test_nothing_is_swept_while_jobs_run(self, world: World) -> None:
        with exclusive(str(world.owner.home / "locks" / "run-approved.lock"), 0):
            assert world.owner.scq("cleanup", "--json", code=75).json["ok"] is False


class TestReset:
    def test_every_job_of_the_owner_goes_and_the_audit_log_stays(self, world: World) -> None:
        done, waiting = world.ended("done"), world.submit("waiting", by=world.second)
        answer = world.owner.scq("reset", "--yes")
        assert answer.out == (
            f"delete {done[:8]}  completed  done\ndelete {waiting[:8]}  pending  waiting\ndeleted 2 jobs; this cannot be undone\n"
        )
        assert world.owner.json("list")["jobs"] == []
        assert world.scientist.json("list")["jobs"] == []
        assert [row["what"] for row in world.owner.json("audit", "show")["rows"]][-1] == "reset"

    def test_nobody_at_the_terminal_and_no_yes_keeps_everything(self, world: World) -> None:
        world.submit()
        assert "1 jobs were kept" in world.owner.scq("reset", code=2).err
        assert "scq reset --yes" in world.owner.scq("reset", "--json", code=2).json["errors"][0]
        assert len(world.owner.json("list")["jobs"]) == 1

    @pytest.mark.parametrize("said", [True, False])
    def test_somebody_at_the_terminal_is_asked(self, world: World, said: bool) -> None:
        world.submit()
        asked: list[str] = []

        def confirm(question: str) -> bool:
            asked.append(question)
            return said

        if said:
            assert reset.run(context(world, sandbox="none"), confirm=confirm).data["deleted"] == 1
        else:
            with pytest.raises(UsageError):
                reset.run(context(world, sandbox="none"), confirm=confirm)
        assert "deletes 1 jobs for good. It cannot be undone" in asked[0]
        assert len(world.owner.json("list")["jobs"]) == (0 if said else 1)

    def test_a_dry_run_and_an_empty_queue_delete_nothing(self, world: World) -> None:
        assert world.owner.scq("reset").out == "0 jobs\n"
        uid = world.submit()
        assert world.owner.scq("reset", "--dry-run").out == f"would delete {uid[:8]}  pending  count\n1 jobs\n"
        assert world.owner.json("reset", "--dry-run") == {"deleted": 1, "counts": {"pending": 1}, "dry_run": True}

    def test_what_others_own_stays(self, world: World) -> None:
        world.submit()
        assert world.scientist.json("reset", "--yes")["deleted"] == 0

    def test_a_running_job_stops_it(self, world: World) -> None:
        uid = world.approved()
        ctx = context(world)

        def claimed(state):  # type: ignore[no-untyped-def]
            jobs = {key: reset.replace(found, run=run("claimed", cause=None)) for key, found in state.jobs.items()}
            return reset.replace(state, jobs=jobs)

        ctx.store.update(claimed)
        assert "a job is running" in world.owner.scq("reset", "--yes", code=2).err
        assert world.owner.job(uid)["status"] == "running"
