"""Each approved job runs exactly once, or is named as interrupted: whatever the controller forgets, and whenever it is away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from scq.errors import BusyError
from scq.ports import Ending, Task
from tests.slurm.cluster import NODES, Cluster
from tests.slurm.sites import SlurmSite, unwelcome

ONCE = "echo yes >> alive"


@pytest.fixture
def site(tmp_path: Path, shared_dir: Path, own_cluster: Cluster) -> SlurmSite:
    return SlurmSite(tmp_path / "runs", shared_dir, own_cluster, command_timeout=2.0)


def drain(cluster: Cluster) -> None:
    for node in NODES:
        cluster.drain(node)


def forget(cluster: Cluster) -> None:
    cluster.kill_controller()
    cluster.start_controller(forget=True)


def ended_once(site: SlurmSite, *attempts: Task) -> None:
    """One of the attempts ended as it should, and none of the others ever began."""
    site.cluster.wait_until_empty()
    assert sorted(site.times_begun(task) for task in attempts) == [0] * (len(attempts) - 1) + [1]


def until_it_ran(site: SlurmSite, task: Task, command: str = ONCE) -> list[Task]:
    """What later calls do: ask, and hand it over again under a new tag as long as it is given back."""
    attempts = [task]
    while True:
        answer = site.answer(attempts[-1])
        if isinstance(answer, Ending):
            assert answer.cause == "exit"
            return attempts
        attempts.append(site.hand_over(command, f"again{len(attempts)}"))


class TestControllerThatForgets:
    def test_killed_right_after_it_took_the_job(self, site: SlurmSite) -> None:
        task = site.hand_over(ONCE)
        site.cluster.kill_controller()
        site.cluster.start_controller()
        ended_once(site, *until_it_ran(site, task))

    def test_jobs_it_forgot_are_known_by_their_names_and_not_by_numbers_that_others_have_now(self, site: SlurmSite) -> None:
        drain(site.cluster)
        unwanted, task = site.hand_over(ONCE, "unwanted"), site.hand_over(ONCE)
        forget(site.cluster)
        other = site.cluster.submit("sleep 600")
        assert str(other) == submitted(unwanted)
        assert site.executor().whereabouts([unwanted.directory])[unwanted.directory].state == "unknown"
        site.executor().stop(unwanted.directory)
        assert site.ending(unwanted).cause == "cancelled"
        assert site.cluster.job(other).state in ("PENDING", "RUNNING")  # type: ignore[union-attr]
        site.cluster.scancel(other)
        assert site.answer(task) is False
        again = site.hand_over(ONCE, "again")
        assert site.tag(again) != site.tag(task)
        assert site.ending(again).exit_code == 0
        ended_once(site, task, again)

    def test_a_job_that_was_given_back_cannot_begin_any_more(self, site: SlurmSite) -> None:
        """The controller has its state back, after somebody asked while it had not."""
        drain(site.cluster)
        task = site.hand_over(ONCE)
        site.cluster.wait_for(lambda: site.cluster.has_saved(site.tag(task)), "the controller saving its state")
        site.cluster.kill_controller()
        kept = site.cluster.take_state()
        site.cluster.start_controller(forget=True)
        assert site.answer(task) is False
        site.cluster.kill_controller()
        site.cluster.put_state(kept)
        site.cluster.start_controller()
        for node in NODES:
            site.cluster.resume(node)
        row = site.cluster.job(site.tag(task))
        assert row is not None
        site.cluster.wait_for(lambda: site.cluster.job(row.id).state == "COMPLETED", "the job that came too late")  # type: ignore[union-attr]
        assert site.times_begun(task) == 0

    def test_a_running_job_it_forgot_is_named_as_interrupted(self, site: SlurmSite) -> None:
        task = site.hand_over(f"{ONCE}; exec sleep 600")
        site.cluster.wait_for(lambda: site.times_begun(task), "the job")
        forget(site.cluster)
        assert site.ending(task).cause in ("interrupted", "cancelled", "node")
        site.cluster.wait_until_empty()
        assert site.times_begun(task) == 1


class TestControllerThatIsAway:
    def test_killed_while_the_job_runs_the_exit_code_still_arrives(self, site: SlurmSite) -> None:
        task = site.begun("until [ -e go ]; do sleep 0.05; done; exit 6")
        site.cluster.wait_for(lambda: site.cluster.has_saved(site.tag(task)), "the controller saving its state")
        site.cluster.kill_controller()
        Path(task.work, "go").touch()
        site.cluster.wait_for((site.control(task) / "result.json").exists, "the end of the job")
        site.cluster.start_controller()
        ending = site.ending(task)
        assert (ending.exit_code, ending.cause) == (6, "exit")

    def test_nothing_is_decided_while_nobody_answers(self, site: SlurmSite) -> None:
        task = site.begun("until [ -e go ]; do sleep 0.05; done; exit 6")
        site.cluster.hang_controller()
        with pytest.raises(BusyError):
            site.executor().outcome(task.directory)
        assert site.executor().whereabouts([task.directory])[task.directory].state == "unknown"
        with pytest.raises(BusyError):
            site.executor().stop(task.directory)
        site.cluster.wake_controller()
        assert site.ending(task).cause == "cancelled"

    def test_a_job_handed_over_while_nobody_answers_runs_once(self, site: SlurmSite) -> None:
        task = site.task("run", ONCE)

        def when_it_is_asked_for() -> Iterator[Task]:
            site.cluster.hang_controller()
            yield task

        site.executor().run(when_it_is_asked_for(), 1, unwelcome)
        assert submitted(task) == ""
        site.cluster.wake_controller()
        ended_once(site, *until_it_ran(site, task))


def submitted(task: Task) -> str:
    """The number the cluster gave a run, from its note."""
    note = json.loads(Path(task.directory, "submitted.json").read_bytes())
    return str(note["id"])
