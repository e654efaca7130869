"""How runs end on a cluster when it is not the job that ends them: each end has its own cause, and none is run a second time."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scq.model import Limits
from scq.ports import Task
from tests.slurm.cluster import NODES, Cluster
from tests.slurm.conftest import open_folder, started
from tests.slurm.sites import SlurmSite

AGAIN_AND_AGAIN = "echo yes >> alive; exec sleep 600"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do this")


@pytest.fixture
def site(tmp_path: Path, shared_dir: Path, cluster: Cluster) -> SlurmSite:
    return SlurmSite(tmp_path / "runs", shared_dir, cluster)


@pytest.fixture
def resting(cluster: Cluster) -> Iterator[None]:
    """Nothing begins until the nodes are resumed."""
    for node in NODES:
        cluster.drain(node)
    yield
    go_on(cluster)


def go_on(cluster: Cluster) -> None:
    for node in NODES:
        cluster.resume(node)


def running(site: SlurmSite, name: str = "run", **settings: object) -> Task:
    task = site.hand_over(AGAIN_AND_AGAIN, name, **settings)
    site.cluster.wait_for(lambda: site.times_begun(task), f"{name} running")
    return task


class TestByTheOperator:
    def test_cancelled_while_it_waits_it_never_began(self, site: SlurmSite, resting: None) -> None:
        task = site.hand_over(AGAIN_AND_AGAIN)
        site.cluster.scancel(f"--name={site.tag(task)}")
        assert site.ending(task).cause == "cancelled"
        assert not site.executor().began(task.directory)
        assert site.times_begun(task) == 0

    def test_cancelled_while_it_runs_it_leaves_not_even_a_daemon_that_left_its_session(self, site: SlurmSite) -> None:
        task = site.begun(
            "(setsid sh -c 'trap \"\" TERM HUP; sleep 601 & sleep 602; sleep 603' &) ; trap '' TERM; sleep 604; sleep 605"
        )
        assert sum(map(len, site.cluster.processes().values())) >= 4
        site.cluster.scancel(f"--name={site.tag(task)}")
        site.cluster.wait_until_empty()
        ending = site.ending(task)
        assert (ending.cause, ending.exit_code) == ("cancelled", None)
        assert ending.node in NODES

    def test_a_script_that_ends_well_because_its_child_was_cancelled_was_cancelled(self, site: SlurmSite) -> None:
        task = site.begun("sleep 600 & wait; exit 0")
        site.cluster.scancel(f"--name={site.tag(task)}")
        ending = site.ending(task)
        assert (ending.cause, ending.exit_code) == ("cancelled", None)

    def test_killed_without_a_warning_it_leaves_nothing(self, site: SlurmSite) -> None:
        task = site.begun("(setsid sleep 601 &); sleep 602")
        row = site.cluster.job(site.tag(task))
        assert row is not None
        site.cluster.scancel("--signal=KILL", "--full", row.id)
        site.cluster.wait_until_empty()
        assert site.ending(task).cause in ("cancelled", "interrupted")

    def test_it_is_not_put_back_by_itself_and_does_not_run_again_when_it_is(self, site: SlurmSite) -> None:
        task = running(site)
        row = site.cluster.job(site.tag(task))
        assert row is not None
        assert "Requeue=0" in site.cluster.command("scontrol", "show", "job", str(row.id))
        site.cluster.command("scontrol", "update", f"jobid={row.id}", "requeue=1")
        site.cluster.command("scontrol", "requeue", str(row.id))
        # A job that was put back may not begin for two minutes; the operator has no patience.
        site.cluster.wait_for(lambda: site.cluster.job(row.id).state == "PENDING", "the job being back")  # type: ignore[union-attr]
        site.cluster.command("scontrol", "update", f"jobid={row.id}", "starttime=now")
        site.cluster.wait_for(lambda: site.cluster.job(row.id).state not in ("PENDING", "RUNNING", "COMPLETING"), "its end")  # type: ignore[union-attr]
        assert site.times_begun(task) == 1
        assert site.ending(task).cause == "interrupted"


class TestByTheCluster:
    def test_more_memory_than_it_may_have(self, site: SlurmSite) -> None:
        task = site.hand_over("head -c 400m /dev/zero | tail", limits=Limits(memory=100 << 20))
        ending = site.ending(task)
        assert ending.cause == "memory"
        site.cluster.wait_until_empty()

    def test_a_time_limit_of_the_cluster_that_is_shorter_than_ours(self, site: SlurmSite) -> None:
        task = running(site, timeout_s=3600.0)
        row = site.cluster.job(site.tag(task))
        assert row is not None
        site.cluster.command("scontrol", "update", f"jobid={row.id}", "endtime=now+1")
        ending = site.ending(task)
        assert (ending.cause, ending.exit_code) == ("timeout", None)

    def test_room_made_for_somebody_more_important(self, tmp_path: Path, shared_dir: Path) -> None:
        partitions = (
            "PartitionName=low Nodes=n[1-2] Default=YES PriorityTier=1 PreemptMode=CANCEL State=UP\n"
            "PartitionName=high Nodes=n[1-2] PriorityTier=10 PreemptMode=OFF State=UP"
        )
        extra = "PreemptType=preempt/partition_prio\nPreemptMode=CANCEL"
        with started(partitions=partitions, extra=extra) as preempting:
            site = SlurmSite(tmp_path / "runs", shared_dir, preempting, partition="low")
            task = running(site)
            number = preempting.submit("true", "--partition=high", "--exclusive", "--nodes=2")
            ending = site.ending(task)
            assert (ending.cause, ending.exit_code) == ("preempted", None)
            preempting.wait_for(lambda: preempting.job(number).state == "COMPLETED", "the other job")  # type: ignore[union-attr]

    def test_a_job_the_cluster_refuses_is_told_at_once(self, site: SlurmSite) -> None:
        reports: list[str] = []
        task = site.task("run", AGAIN_AND_AGAIN, limits=Limits(memory=1 << 40))
        site.executor().run(iter([task]), 1, lambda _task, error: reports.append(str(error)))
        assert len(reports) == 1
        row = site.cluster.job(site.tag(task))
        assert row is None or row.state == "FAILED"
        assert site.times_begun(task) == 0


class TestByTheMachine:
    def test_link_of_its_node_down(self, tmp_path: Path, shared_dir: Path, host_cluster: Cluster) -> None:
        site = SlurmSite(tmp_path / "runs", shared_dir, host_cluster)
        task = running(site)
        row = host_cluster.job(site.tag(task))
        assert row is not None
        host_cluster.cut_link(row.node)
        ending = site.ending(task)
        assert (ending.cause, ending.node) == ("node", row.node)
        host_cluster.restore_link(row.node)
        host_cluster.wait_until_empty()
        assert site.times_begun(task) == 1
        assert site.ending(task) == ending


class TestWhatIsNotWhatWasApproved:
    def test_nothing_of_it_runs(self, site: SlurmSite, resting: None) -> None:
        changed, added, order = (site.hand_over(AGAIN_AND_AGAIN, name) for name in ("changed", "added", "order"))
        Path(changed.work, "code", "run.sh").write_text("echo other\n")
        Path(added.work, "code", "more.py").write_text("echo other\n")
        path = site.control(order) / "order.json"
        path.write_bytes(path.read_bytes().replace(b"sleep 600", b"sleep 601"))
        go_on(site.cluster)
        for task in (changed, added, order):
            ending = site.ending(task)
            assert (ending.cause, ending.exit_code) == ("integrity", None), task.label
            assert ending.detail
            assert site.times_begun(task) == 0


class TestNames:
    @needs_root
    def test_a_job_of_another_user_with_the_same_name_is_not_mistaken_for_ours(self, site: SlurmSite) -> None:
        task = running(site)
        other = site.cluster.submit(
            "sleep 600", f"--job-name={site.tag(task)}", f"--uid={pwd.getpwnam('nobody').pw_uid}", "--chdir=/"
        )
        site.cluster.wait_for(lambda: site.cluster.job(other).state == "RUNNING", "the other job")  # type: ignore[union-attr]
        place = site.executor().whereabouts([task.directory])[task.directory]
        assert place.id != str(other)
        site.executor().stop(task.directory)
        assert site.ending(task).cause == "cancelled"
        assert site.cluster.job(other).state == "RUNNING"  # type: ignore[union-attr]
        site.cluster.scancel(other)

    def test_a_finished_run_is_known_by_its_file_whatever_the_cluster_says(self, site: SlurmSite) -> None:
        task = site.hand_over("exit 4")
        site.cluster.wait_for((site.control(task) / "result.json").exists, "its end")
        other = site.cluster.submit("sleep 600", f"--job-name={site.tag(task)}")
        assert site.ending(task).exit_code == 4
        site.cluster.scancel(other)


@needs_root
class TestFullSharedFolder:
    @pytest.fixture
    def small(self, tmp_path: Path, cluster: Cluster) -> Iterator[SlurmSite]:
        with open_folder() as folder:
            shared = folder / "shared"
            shared.mkdir()
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=2m,mode=711", "scq", shared], capture_output=True, check=False
            )
            if mounted.returncode != 0:
                pytest.skip("no file system can be mounted here")
            try:
                yield SlurmSite(tmp_path / "runs", shared, cluster)
            finally:
                cluster.wait_until_empty()
                subprocess.run(["umount", "--lazy", shared], check=True)

    def test_before_the_run_nothing_is_submitted(self, small: SlurmSite) -> None:
        task = small.task("run", AGAIN_AND_AGAIN)
        fill(small.shared / "ballast")
        reports: list[str] = []
        small.executor().run(iter([task]), 1, lambda _task, error: reports.append(str(error)))
        assert len(reports) == 1
        assert small.cluster.job(small.tag(task)) is None

    def test_filled_by_the_job_itself_it_has_an_end_and_runs_once(self, small: SlurmSite) -> None:
        task = small.hand_over("echo yes >> alive; cat /dev/zero > big; exit 7")
        assert small.ending(task).cause in ("exit", "interrupted", "disk")
        assert small.times_begun(task) == 1


def fill(path: Path) -> None:
    """Use every byte of a file system."""
    with path.open("wb", buffering=0) as file:
        while shutil.disk_usage(path).free:
            file.write(bytes(1 << 12))
