"""Every call of the documented Python API, with its arguments by name and by position as they are documented."""

from __future__ import annotations

from pathlib import Path

import pytest

import scq as q
from scq import QueueConfig
from scq.library.runner import create_runner
from tests.people import OWNER, code_folder
from tests.unit.library.conftest import COUNTING, Desk


@pytest.fixture(autouse=True)
def my_analysis(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.folder)
    code_folder(Path("my_analysis"), COUNTING)


def test_a_job_is_submitted_with_named_arguments() -> None:
    job = q.submit_job(
        target_email=OWNER,
        code_folder="./my_analysis",
        name="Statistical Analysis",
        description="Aggregate statistics computation",
        tags=["statistics", "privacy-safe"],
    )
    assert (f"{job.uid}", f"{job.status}") == (q.get_job("Statistical Analysis").uid, "pending")
    job = q.submit_script(target_email=OWNER, script_content="print('Hello, world!')", name="Hello World Test")
    assert [each.name for each in q.my_jobs()] == ["Statistical Analysis", "Hello World Test"]
    assert job in q.jobs_for_others


def test_a_job_is_submitted_with_arguments_in_their_order() -> None:
    job = q.submit_job(OWNER, "./my_analysis", "one", "how many", ["count"])
    assert (job.name, job.description, job.tags) == ("one", "how many", ["count"])
    job = q.submit_script(OWNER, "print(1)", "two", "how many", ["numpy"], ["count"])
    assert (job.name, job.description, job.as_dict()["dependencies"], job.tags) == ("two", "how many", ["numpy"], ["count"])


def test_a_data_owner_decides_and_a_submitter_gets_the_results(desk: Desk) -> None:
    job_uid = q.submit_job(OWNER, "./my_analysis", "one").uid
    other = q.submit_job(OWNER, "./my_analysis", "other").uid
    desk.turn(OWNER)
    assert [job.uid for job in q.pending_for_me()] == [job.uid for job in q.all_jobs_for_me()] == [job_uid, other]
    assert q.jobs_for_me == q.pending_for_me == q.all_jobs_for_me()
    q.review_job(job_uid)
    q.approve(job_uid, "Looks safe")
    q.reject(other, "Too broad")
    with pytest.raises(TypeError):
        q.approve(job_uid, "Looks safe", "sha256:")  # type: ignore[misc]
    create_runner(desk.root, OWNER, home=desk.home(OWNER)).process_approved_jobs(stream_output=False)
    assert q.wait_for_completion(job_uid).status == q.get_job(job_uid).status == "completed"
    folder = q.get_job_output(job_uid)
    assert folder is not None
    assert (folder / "count.txt").read_text() == "3\n"
    assert "counted" in q.get_job_logs(job_uid)
    assert q.status()["counts"]["rejected"] == 1
    assert "approve" in q.help()


def test_the_settings_of_a_queue_are_made_as_documented() -> None:
    config = QueueConfig(queue_name="code-queue", max_concurrent_jobs=3, job_timeout=600, cleanup_completed_after=86400)
    assert config == QueueConfig()
    assert q.create_client(config) is not None
