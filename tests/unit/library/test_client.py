"""`QueueClient` and `create_client`: everything that can be done from Python, on a real SyftBox with two people."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import scq as q
from scq.errors import BusyError, ConfigError, IntegrityError, JobFailedError, UsageError
from scq.library.client import QueueClient
from scq.library.settings import configure
from tests.people import OWNER, code_folder
from tests.unit.library.conftest import COUNTING, Two

HELLO = "print('hello')\n"


@pytest.fixture(autouse=True)
def nothing_configured() -> Iterator[None]:
    yield
    configure(None)


class TestMaking:
    def test_a_client_touches_nothing_before_it_is_used(self, tmp_path: Path) -> None:
        client = q.create_client(home=tmp_path / "home", root=str(tmp_path / "root"), email=OWNER)
        assert OWNER in repr(client)
        assert str(tmp_path / "home") in repr(client)
        assert list(tmp_path.iterdir()) == []

    def test_clients_of_two_people_work_side_by_side(self, two: Two) -> None:
        job = two.submit()
        assert two.owner.pending_for_me == [job]
        assert two.scientist.pending_for_me == []
        assert two.scientist.my_pending == two.scientist.jobs_for_others == [job]
        assert two.owner.jobs_for_others == []
        assert two.owner.get_job(job).approve("fine").status == "approved"

    def test_everything_that_comes_from_a_client_stays_with_it(self, two: Two) -> None:
        two.submit()
        (job,) = two.owner.pending_for_me
        assert two.owner.pending_for_me().approve_all(unread=True) == [job]
        assert two.owner.all_jobs_for_me().by_name("survey")[:1].refresh()[0].status == "approved"
        assert two.owner.approved_by_me.sorted_by("name")[0].reject("no").status == "rejected"

    def test_a_tilde_in_home_and_root_is_expanded(self, no_real_home: Path) -> None:
        assert repr(str(no_real_home / "lab")) in repr(q.create_client(home="~/lab"))

    @pytest.mark.parametrize(
        "wrong", [{"email": "owner"}, {"email": 5}, {"config": {"job_timeout": 3}}, {"config": "lab"}, {"email": "a@b\n.org"}]
    )
    def test_what_cannot_be_used_is_refused_at_once(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            q.create_client(**wrong)

    def test_a_folder_that_is_no_path_is_refused(self) -> None:
        with pytest.raises(UsageError, match="int where a path"):
            q.create_client(home=5)  # type: ignore[arg-type]

    def test_the_settings_of_a_client_are_its_own_and_win(self, two: Two) -> None:
        one = two.client(OWNER, q.QueueConfig(job_timeout=7))
        configure(q.QueueConfig(job_timeout=8))
        other = two.client(OWNER)
        assert one._verbs.context().config.job_timeout == 7
        assert other._verbs.context().config.job_timeout == 8
        configure(None)
        assert one._verbs.context().config.job_timeout == 7
        assert other._verbs.context().config.job_timeout == 600

    def test_changing_the_settings_object_afterwards_changes_no_client(self, two: Two) -> None:
        config = q.QueueConfig(job_timeout=7)
        client = two.client(OWNER, config)
        config.job_timeout = 9
        assert client._verbs.context().config.job_timeout == 7

    @pytest.mark.parametrize("name", [name for name, module in q.PUBLIC.items() if module == "queue"])
    def test_every_function_is_a_method_of_a_client(self, name: str) -> None:
        method = inspect.getattr_static(QueueClient, name)
        assert inspect.getdoc(getattr(q, name)) == inspect.getdoc(method)
        if not isinstance(method, property):
            assert list(inspect.signature(method).parameters) == ["self", *inspect.signature(getattr(q, name)).parameters]


class TestSending:
    def test_python_is_sent_as_text(self, two: Two) -> None:
        job = two.scientist.submit_python(OWNER, HELLO, "hello", "says hello", "numpy", "tiny")
        assert (job.as_dict()["kind"], job.tags, job.description) == ("python", ["tiny"], "says hello")
        assert HELLO in [file["text"] for file in two.owner.inspect_job(job)["files"]]

    def test_python_is_sent_as_a_file_or_a_folder(self, two: Two) -> None:
        code = code_folder(two.folder / "code", main__py=HELLO, other__py="print(2)\n")
        assert two.scientist.submit_python(OWNER, path=code / "main.py").as_dict()["entrypoint"] == "main.py"
        (code / "run.sh").unlink()
        assert two.scientist.submit_python(OWNER, path=code, name="main").as_dict()["entrypoint"] == "main.py"
        other = two.scientist.submit_python(OWNER, path=str(code), name="other", entrypoint="other.py")
        assert other.as_dict()["entrypoint"] == "other.py"

    def test_bash_is_sent_with_a_first_line(self, two: Two) -> None:
        bare = two.scientist.submit_bash(OWNER, "echo hello\n", "bare")
        whole = two.scientist.submit_bash(OWNER, "#!/usr/bin/env bash\necho hello\n", "whole")
        (two.folder / "hello.sh").write_text("echo hello\n")
        file = two.scientist.submit_bash(OWNER, path=two.folder / "hello.sh")
        assert {job.as_dict()["kind"] for job in (bare, whole, file)} == {"bash"}
        assert two.owner.read_job_file(bare, "run.sh").startswith("#!/bin/bash\n")
        assert two.owner.read_job_file(whole, "run.sh").startswith("#!/usr/bin/env bash\n")

    @pytest.mark.parametrize(
        ("name", "arguments", "says"),
        [
            ("submit_python", {}, "either text or a file"),
            ("submit_python", {"script_content": HELLO, "path": "a.py"}, "either text or a file"),
            ("submit_python", {"script_content": "#!/bin/bash\necho\n"}, "not a python script"),
            ("submit_python", {"path": "a.sh"}, "not a python script"),
            ("submit_python", {"path": "there.txt"}, "no ending"),
            ("submit_python", {"path": "nowhere.py"}, "no such file"),
            ("submit_python", {"path": 5}, "int where a path"),
            ("submit_python", {"script_content": 5}, "int where text"),
            ("submit_bash", {}, "either text or a file"),
            ("submit_bash", {"script_content": "#!/usr/bin/env python3\n"}, "not a bash script"),
            ("submit_bash", {"path": "a.py"}, "not a bash script"),
            ("submit_bash", {"path": "."}, "not a bash script"),
            ("submit_bash", {"script_content": "echo \udcff"}, "UTF-8"),
            ("submit_script", {"script_content": b"echo"}, "bytes where text"),
            ("submit_script", {"script_content": HELLO, "name": 5}, "name: int"),
            ("submit_script", {"script_content": HELLO, "tags": 5}, "int where several"),
            ("submit_script", {"script_content": HELLO, "target_email": 5}, "target_email: int"),
            ("submit_script", {"script_content": HELLO, "description": None}, "description: NoneType"),
            ("submit_script", {"script_content": HELLO, "tags": ["a", 5]}, "int where text"),
            ("submit_script", {"script_content": HELLO, "requirements": [b"numpy"]}, "bytes where text"),
        ],
    )
    def test_what_cannot_be_sent_is_named(
        self, two: Two, monkeypatch: pytest.MonkeyPatch, name: str, arguments: dict[str, Any], says: str
    ) -> None:
        monkeypatch.chdir(two.folder)
        Path("there.txt").write_text(HELLO)
        with pytest.raises(UsageError, match=says):
            getattr(two.scientist, name)(**{"target_email": OWNER, **arguments})
        assert two.scientist.my_jobs() == []


class TestReading:
    def test_inspecting_shows_everything_and_remembers_nothing(self, two: Two) -> None:
        job = two.submit("curl https://example.org/\n")
        found = two.owner.inspect_job(job)
        assert found["files"][0]["path"] == "run.sh"
        assert found["limits"]["given"]["wall_s"] == 600
        assert [finding["rule"] for finding in found["findings"]]
        assert "curl" in repr(found)
        assert job.inspect()["files"] == found["files"]
        assert job.refresh().reviewed is None
        assert two.owner.review_job(job)["digest"] == job.refresh().reviewed == job.digest

    def test_files_are_listed_and_read(self, two: Two) -> None:
        job = two.submit()
        assert two.owner.list_job_files(job) == job.files()
        assert job.files()[0] == "run.sh"
        assert two.owner.read_job_file(job, "run.sh") == job.read_file("run.sh") == "#!/bin/bash\n" + COUNTING

    def test_what_cannot_be_read_as_text_is_refused(self, two: Two) -> None:
        code = code_folder(two.folder / "code", long__txt="x" * (300 << 10))
        (code / "table.bin").write_bytes(b"\0\1\2")
        job = two.scientist.submit_job(OWNER, code, "survey")
        names = {Path(path).name: path for path in job.files()}
        for path, says in [(names["table.bin"], "binary"), (names["long.txt"], "too long"), ("../x", "no file"), ("", "no file")]:
            with pytest.raises(UsageError, match=says) as caught:
                two.owner.read_job_file(job, path)
            assert caught.value.advice
        with pytest.raises(UsageError, match="file: int"):
            two.owner.read_job_file(job, 5)  # type: ignore[arg-type]

    def test_a_job_is_compared_with_the_last_approved_one_or_another(self, two: Two) -> None:
        first = two.submit("echo 1\n")
        assert two.owner.diff_job(first)["against"] is None
        other = two.submit("echo 2\n", "other")
        found = two.owner.diff_job(other, first)
        assert found["against"] == first.uid
        assert "+echo 2" in repr(found)
        assert other.diff(first.uid) == found

    def test_what_a_submitter_sees_by_status(self, two: Two) -> None:
        done, waiting = two.ended(), two.submit(name="later")
        assert two.scientist.my_completed == [done]
        assert two.scientist.my_pending == [waiting]
        assert two.scientist.my_running == []
        assert two.owner.approved_by_me == [done]
        assert two.owner.all_jobs_for_me("completed") == two.owner.jobs_for_me("completed") == [done]

    @pytest.mark.parametrize("look", ["my_jobs", "all_jobs_for_me", "jobs_for_me", "pending_for_me"])
    def test_a_word_that_is_no_status_hides_nothing_unnoticed(self, two: Two, look: str) -> None:
        with pytest.raises(UsageError, match="'pendign' is not a status"):
            getattr(two.owner, look)("pendign")


class TestActing:
    def test_an_approval_is_bounded(self, two: Two) -> None:
        job = two.submit()
        two.owner.approve(job, "once", expires=3600, max_runs=1, timeout="2m", memory=1 << 28)
        approval = two.owner.get_job(job).as_dict()["approval"]
        assert (approval["max_runs"], approval["timeout_s"], approval["memory"]) == (1, 120, 1 << 28)
        assert approval["expires_at"] is not None
        assert job.approve("longer", expires="7d").as_dict()["approval"]["max_runs"] is None

    def test_a_finding_that_is_denied_has_to_be_accepted(self, two: Two) -> None:
        job = two.submit("curl https://example.org/\n")
        (rule,) = {finding["rule"] for finding in job.inspect()["findings"]}
        (two.folder / "owner" / "config.yaml").write_text(f"sandbox: none\ndeny: [{rule}]\n")
        with pytest.raises(UsageError, match=rule):
            two.owner.approve(job)
        assert two.owner.approve(job, accept=rule).status == "approved"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"expires": 0},
            {"timeout": 0},
            {"memory": 0},
            {"max_runs": 0},
            {"max_runs": "often"},
            {"timeout": float("nan")},
            {"expires": "soon"},
            {"by": 5},
            {"by": "nobody"},
            {"digest": 5},
            {"reason": None},
            {"reason": 5},
            {"accept": [5]},
        ],
    )
    def test_a_bound_that_says_nothing_is_never_overlooked(self, two: Two, wrong: dict[str, Any]) -> None:
        job = two.submit()
        with pytest.raises(UsageError):
            two.owner.approve(job, **wrong)
        with pytest.raises(UsageError):
            job.approve(**wrong)
        assert job.refresh().status == "pending"

    def test_a_submitter_withdraws_a_job(self, tmp_path: Path) -> None:
        two = Two(tmp_path)
        (two.root / "datasites" / OWNER / "app_data" / "code-queue" / "jobs" / "pending").mkdir(parents=True)
        job, other = two.submit(), two.submit(name="other")
        assert two.scientist.cancel(job, "a mistake").status == "rejected"
        assert two.scientist.get_job(other.uid).cancel("also").status == "rejected"
        assert two.owner.pending_for_me == []

    def test_a_submitter_cannot_withdraw_what_only_the_owner_can(self, two: Two) -> None:
        with pytest.raises(UsageError, match="cannot withdraw") as caught:
            two.scientist.cancel(two.submit())
        assert OWNER in str(caught.value)

    def test_running_gives_how_each_job_ended(self, two: Two) -> None:
        good, bad, left = (
            two.submit(script, name) for script, name in ((COUNTING, "good"), ("exit 3\n", "bad"), ("echo\n", "left"))
        )
        two.owner.pending_for_me.approve_all("all", unread=True)
        rows = {row["id"]: row for row in two.owner.run_approved(skip="left", timeout="30s")}
        assert {uid: row["status"] for uid, row in rows.items()} == {good.uid: "completed", bad.uid: "failed"}
        assert [row["id"] for row in two.owner.run_approved(jobs=[left.uid])] == [left.uid]
        assert two.owner.run_approved() == []
        with pytest.raises(UsageError, match="timeout"):
            two.owner.run_approved(timeout="soon")

    def test_content_that_changed_after_the_approval_is_not_run(self, two: Two) -> None:
        job = two.submit()
        two.owner.approve(job)
        path = two.root / str(job.as_dict()["path"]) / "run.sh"
        path.write_text(path.read_text() + "echo more\n")
        with pytest.raises(IntegrityError):
            two.owner.run_approved()

    def test_results_are_released_or_withheld(self, two: Two) -> None:
        job = two.ended()
        with pytest.raises(UsageError, match="reason"):
            two.owner.release(job, " ")
        with pytest.raises(UsageError, match="no result file fits"):
            job.release("fine", only="*.csv")
        assert two.owner.release(job, "only a count", only="*.txt").as_dict()["results"]["outputs"] == "released"
        assert two.scientist.get_job(job.uid).output_files() == ["count.txt"]
        assert job.release("the log too", outputs=False, logs=True).as_dict()["results"]["logs"] == "released"
        assert two.owner.withhold(job, "too small").as_dict()["results"]["outputs"] == "withheld"
        assert two.scientist.get_job(job.uid).output_files() == []
        with pytest.raises(UsageError, match="reason"):
            job.withhold("")

    def test_a_job_is_run_once_more(self, two: Two) -> None:
        job = two.ended("exit 3\n")
        assert two.owner.rerun(job).status == "approved"
        two.owner.run_approved()
        assert job.refresh().rerun().status == "approved"
        with pytest.raises(UsageError, match="is approved"):
            job.rerun()

    def test_a_look_says_what_is_new(self, two: Two) -> None:
        two.owner.check()
        job = two.submit()
        assert [row["id"] for row in two.owner.check()["new_jobs"]] == [job.uid]
        assert two.owner.check()["new_jobs"] == []

    def test_a_look_without_its_folder_fails(self, two: Two) -> None:
        two.owner.check()
        two.root.rename(two.folder / "away")
        with pytest.raises(BusyError):
            two.owner.check()


class TestWaiting:
    def test_progress_is_told_at_the_start_and_at_each_change(self, two: Two) -> None:
        job = two.submit()
        told: list[tuple[str, str]] = []

        def act(seen: q.CodeJob) -> None:
            told.append((seen.uid, seen.status))
            if seen.status == "pending":
                two.owner.approve(job)
            elif seen.status == "approved":
                two.owner.run_approved()

        assert two.owner.wait_for_completion(job, timeout=60, interval=0.01, progress=act).status == "completed"
        assert told == [(job.uid, "pending"), (job.uid, "approved"), (job.uid, "completed")]
        told.clear()
        assert job.wait(progress=act).status == "completed"
        assert told == [(job.uid, "completed")]

    def test_progress_is_told_although_the_job_fails(self, two: Two) -> None:
        job = two.ended("exit 3\n")
        told: list[str] = []
        with pytest.raises(JobFailedError):
            two.owner.wait_for_completion(job, progress=lambda seen: told.append(seen.status))
        assert told == ["failed"]

    def test_true_is_a_line_on_stderr_for_each_change(self, two: Two, capsys: pytest.CaptureFixture[str]) -> None:
        job = two.submit(name="survey")
        with pytest.raises(BusyError):
            job.wait(timeout=0, progress=True)
        said = capsys.readouterr()
        assert (said.out, said.err) == ("", f"{job.short_id}  pending  survey\n")

    def test_nobody_is_told_unless_asked(self, two: Two, capsys: pytest.CaptureFixture[str]) -> None:
        for progress in (None, False):
            with pytest.raises(BusyError):
                two.submit(name=f"job {progress}").wait(timeout=0, progress=progress)
        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize(
        "wrong", [{"progress": "yes"}, {"timeout": -1}, {"timeout": float("nan")}, {"interval": -1}, {"timeout": "1m"}]
    )
    def test_what_cannot_be_meant_is_refused(self, two: Two, wrong: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            two.submit().wait(**wrong)

    def test_what_progress_raises_ends_the_waiting(self, two: Two) -> None:
        def broken(_: q.CodeJob) -> None:
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            two.owner.wait_for_completion(two.submit(), progress=broken)
