"""What a program may hand over by mistake: nothing of it is taken for something else, and everything survives a way elsewhere."""

from __future__ import annotations

import copy
import pickle
import shutil
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import scq as q
from scq.errors import BusyError, JobFailedError, ScqError, UsageError
from scq.library.given import seconds
from scq.library.jobs import JobCollection
from tests.people import OWNER
from tests.unit.library.conftest import COUNTING, Two

BROKEN = "\udcff"
NO_JOBS: tuple[Any, ...] = (None, 5, b"None", Path("None"), ["None"], True)


class TestJobs:
    @pytest.mark.parametrize("wrong", NO_JOBS)
    def test_the_text_of_something_else_is_never_the_name_of_a_job(self, two: Two, wrong: Any) -> None:
        job = two.submit(name="None")
        two.submit(name="5")
        with pytest.raises(UsageError, match="where a job is meant"):
            two.owner.approve(wrong)
        with pytest.raises(UsageError, match="where a job is meant"):
            job.diff(wrong)
        assert [each.status for each in two.owner.all_jobs_for_me()] == ["pending", "pending"]

    def test_a_job_is_compared_with_another_job_object(self, two: Two) -> None:
        one, other = two.submit("echo 1\n", "one"), two.submit("echo 2\n", "other")
        assert other.diff(one) == two.owner.diff_job(other, one.uid)

    def test_a_job_is_looked_at_without_opening_a_file_of_it(self, two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
        job = two.submit()
        monkeypatch.setattr("scq.commands.show.manifest", None)
        assert "files" not in two.owner.get_job(job).refresh().as_dict()

    def test_what_is_changed_in_the_facts_does_not_change_the_job(self, two: Two) -> None:
        job = two.submit()
        facts = job.as_dict()
        facts["tags"].append("more")
        facts["results"]["outputs"] = "released"
        assert (job.tags, job.as_dict()["results"]["outputs"]) == (["count"], "none")


class TestNothing:
    """An empty list is not the same as leaving something out."""

    @pytest.mark.parametrize("nothing", [[], (), {}, iter(())])
    def test_no_file_is_never_all_files(self, two: Two, nothing: Any) -> None:
        job = two.ended()
        for release in (job.release, lambda *given, **named: two.owner.release(job, *given, **named)):
            with pytest.raises(UsageError, match="names no file"):
                release("fine", only=nothing)
        assert job.refresh().as_dict()["results"]["outputs"] == "withheld"

    def test_no_job_is_never_all_jobs(self, two: Two) -> None:
        job = two.submit()
        job.approve()
        assert two.owner.run_approved(jobs=[]) == []
        assert two.owner.run_approved(jobs=(each for each in ())) == []
        assert job.refresh().status == "approved"

    def test_jobs_to_be_run_are_named_in_every_way(self, two: Two) -> None:
        one, other, third = (two.submit(name=name) for name in ("one", "other", "third"))
        two.owner.pending_for_me().approve_all(unread=True)
        assert [row["id"] for row in two.owner.run_approved(jobs=one)] == [one.uid]
        assert [row["id"] for row in two.owner.run_approved(jobs=[other, "third"], skip="third")] == [other.uid]
        assert [row["id"] for row in two.owner.run_approved(jobs="third")] == [third.uid]

    def test_an_empty_path_is_not_the_working_folder(self, two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(two.folder)
        Path("run.sh").write_text("#!/bin/bash\n" + COUNTING)
        for path in ("", "a\0b"):
            with pytest.raises(UsageError, match="is not a path"):
                two.scientist.submit_job(OWNER, path)
        assert two.scientist.my_jobs() == []


class TestValues:
    @pytest.mark.parametrize("wrong", [-1, 2.5, float("nan"), "5", True, []])
    def test_a_number_of_jobs_is_a_whole_one(self, two: Two, wrong: Any) -> None:
        job = two.submit()
        job.approve()
        for call in (two.owner.my_jobs, two.owner.all_jobs_for_me, two.owner.jobs_for_me):
            with pytest.raises(UsageError, match="limit"):
                call(limit=wrong)
        with pytest.raises(UsageError, match="max_jobs"):
            two.owner.run_approved(max_jobs=wrong)
        assert job.refresh().status == "approved"

    def test_a_text_that_cannot_be_stored_is_refused_before_anything_is_done(self, two: Two) -> None:
        job, ended = two.submit(), two.ended(name="ended")
        refused: list[Callable[[], object]] = [
            lambda: job.approve(BROKEN),
            lambda: job.approve(accept=BROKEN),
            lambda: job.reject(BROKEN),
            lambda: two.owner.pending_for_me().approve_all(BROKEN),
            lambda: ended.release(BROKEN),
            lambda: ended.withhold(BROKEN),
            lambda: two.scientist.submit_script(OWNER, "print()", "other", requirements=BROKEN),
            lambda: two.scientist.submit_script(OWNER, "print()", "other", tags=[BROKEN]),
        ]
        for call in refused:
            with pytest.raises(UsageError, match="UTF-8"):
                call()
        assert [each.status for each in two.owner.all_jobs_for_me()] == ["pending", "completed"]
        assert ended.refresh().as_dict()["results"]["outputs"] == "withheld"

    def test_jobs_are_narrowed_by_texts_only(self, two: Two) -> None:
        two.submit()
        found = two.owner.all_jobs_for_me()
        for narrow in (found.by_status, found.by_name, found.by_tags, found.sorted_by, q.help):
            for wrong in (5, ["count"], {"a": 1}):
                with pytest.raises(UsageError, match="where text is needed"):
                    narrow(wrong)  # type: ignore[operator]
        assert found.by_status("") == found.by_name("") == found
        with pytest.raises(UsageError, match="reason"):
            q.JobCollection().reject_all(None)  # type: ignore[arg-type]

    def test_nobody_waits_longer_than_a_clock_can_say(self, two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
        job, slept = two.submit(), []

        def sleep(wait: float) -> None:
            slept.append(wait)
            two.owner.reject(job)

        monkeypatch.setattr("scq.commands.wait.time.sleep", sleep)
        with pytest.raises(JobFailedError):
            job.wait(timeout=float("inf"), interval=10**400)
        assert slept[0] < threading.TIMEOUT_MAX
        assert seconds("timeout", 5) == 5

    def test_what_cannot_be_waited_for_is_refused_before_anybody_is_told(self, two: Two) -> None:
        told: list[q.CodeJob] = []
        with pytest.raises(UsageError, match="timeout"):
            two.submit().wait(timeout=-1, progress=told.append)
        assert told == []


class TestWaiting:
    def test_a_job_that_goes_away_ends_the_waiting(self, two: Two) -> None:
        job = two.submit()

        def remove(_: q.CodeJob) -> None:
            shutil.rmtree(two.root / job.as_dict()["path"])

        with pytest.raises(UsageError, match="no job"):
            job.wait(timeout=60, progress=remove)

    def test_an_interrupt_ends_the_waiting_and_nothing_else(self, two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(_: float) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("scq.commands.wait.time.sleep", interrupt)
        job = two.submit()
        with pytest.raises(KeyboardInterrupt):
            two.owner.wait_for_completion(job)
        assert job.approve().status == "approved"

    def test_a_warning_that_is_an_error_does_not_hide_how_it_ended(self, two: Two) -> None:
        job = two.submit()
        (two.folder / "owner" / "config.yaml").write_text("sandbox: none\njob_timeoot: 3\n")
        with warnings.catch_warnings():
            warnings.simplefilter("error", q.ProblemWarning)
            with pytest.raises(BusyError, match="still pending") as caught:
                job.wait(timeout=0)
        assert "job_timeoot" in caught.value.__notes__[0]


LIVE = ("pending_for_me", "jobs_for_me", "approved_by_me", "jobs_for_others", "my_pending", "my_running", "my_completed")


class TestElsewhere:
    """Jobs go to other processes and are kept."""

    @pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
    def test_everything_can_be_copied_and_pickled(self, two: Two, take: Callable[[Any], Any]) -> None:
        job = two.submit()
        assert take(job).approve("from elsewhere").status == "approved"
        assert take(two.owner.all_jobs_for_me()).refresh()[0].reason == "from elsewhere"
        assert take(two.owner).get_job(job) == job
        reading = two.owner.inspect_job(job)
        assert take(reading) == reading
        assert repr(take(reading)) == repr(reading)
        for name in LIVE:
            assert take(getattr(two.scientist, name)) == getattr(two.scientist, name)

    def test_a_refusal_comes_back_from_another_process(self, two: Two) -> None:
        two.submit()
        with pytest.raises(q.RefusedJobsError) as caught:
            two.owner.pending_for_me().approve_all()
        error = pickle.loads(pickle.dumps(caught.value))
        assert str(error) == str(caught.value)
        assert (error.decided, error.refused, error.exit_code) == ([], caught.value.refused, 2)


class TestDecidingTogether:
    def test_findings_that_are_denied_are_refused_and_the_others_are_decided(self, two: Two) -> None:
        bad, good = two.submit("curl https://example.org/\n", "bad"), two.submit(name="good")
        (rule,) = {finding["rule"] for finding in bad.inspect()["findings"]}
        (two.folder / "owner" / "config.yaml").write_text(f"sandbox: none\ndeny: [{rule}]\n")
        with pytest.raises(q.RefusedJobsError, match=rule) as caught:
            two.owner.pending_for_me.approve_all("fine", unread=True)
        assert (caught.value.decided, list(caught.value.refused)) == ([good], [bad.uid])

    def test_an_approval_that_needs_another_one_is_given_and_the_job_waits(self, two: Two) -> None:
        two.submit()
        people = f"approvals: {{quorum: 2, reviewers: [{OWNER}, second@example.net]}}\n"
        (two.folder / "owner" / "config.yaml").write_text("sandbox: none\n" + people)
        waiting = two.owner.pending_for_me()
        assert [job.status for job in waiting.approve_all("fine", unread=True)] == ["pending"]
        assert two.owner.approve(waiting[0], by="second@example.net").status == "approved"

    def test_a_job_that_is_gone_is_named_and_the_others_are_decided(self, two: Two) -> None:
        gone, there = two.submit(name="gone"), two.submit(name="there")
        waiting = two.owner.pending_for_me()
        shutil.rmtree(two.root / gone.as_dict()["path"])
        with pytest.raises(q.RefusedJobsError, match="no job") as caught:
            waiting.reject_all("too broad")
        assert (caught.value.decided, list(caught.value.refused)) == ([there], [gone.uid])

    def test_a_warning_that_is_an_error_hides_no_refusal(self, two: Two) -> None:
        read, unread = two.submit(name="read"), two.submit(name="unread")
        read.review()
        waiting = two.owner.pending_for_me()
        (two.folder / "owner" / "config.yaml").write_text("sandbox: none\njob_timeoot: 3\n")
        with warnings.catch_warnings():
            warnings.simplefilter("error", q.ProblemWarning)
            with pytest.raises(q.RefusedJobsError) as caught:
                waiting.approve_all()
        assert (caught.value.decided, list(caught.value.refused)) == ([read], [unread.uid])
        assert "job_timeoot" in caught.value.__notes__[0]

    def test_iterating_is_not_disturbed_by_what_is_decided_meanwhile(self, two: Two) -> None:
        for name in ("one", "two", "three"):
            two.submit(name=name)
        assert [job.reject("no").status for job in two.owner.pending_for_me] == ["rejected"] * 3
        assert two.owner.pending_for_me == JobCollection()


def test_a_home_that_cannot_be_written_to_is_named(two: Two) -> None:
    two.submit()
    (two.folder / "file").write_text("")
    client = q.create_client(home=two.folder / "file", root=two.root, email=OWNER)
    assert len(client.pending_for_me) == 1, "what only looks needs none"
    for call in (client.approve, client.review_job):
        with pytest.raises(ScqError, match="file") as caught:
            call("survey")
        assert caught.value.advice in caught.value.__notes__


def test_a_name_that_is_not_there_proposes_one() -> None:
    with pytest.raises(AttributeError) as caught:
        q.aprove  # type: ignore[attr-defined] # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("aprove", q), "from this a traceback proposes `approve`"


def test_a_client_can_be_made_as_any_object_is(two: Two) -> None:
    client = q.QueueClient(q.QueueConfig(job_timeout=7), home=two.folder / "owner", root=two.root, email=OWNER)
    job = two.submit()
    assert client.pending_for_me == [job]
    assert client.inspect_job(job)["limits"]["given"]["wall_s"] == 7
