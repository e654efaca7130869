"""One process of a run is ended and the others are not, or what they hold on to is taken away: the job never goes on alone."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from scq.executors import rundir
from tests.slurm.cluster import Cluster
from tests.slurm.machines import command_name, described, send
from tests.slurm.sites import SlurmSite

STUBBORN = "trap '' TERM HUP; (setsid sh -c 'trap \"\" TERM HUP; sleep 601; sleep 602' &); sleep 603; sleep 604"


@pytest.fixture
def site(tmp_path: Path, shared_dir: Path, cluster: Cluster) -> SlurmSite:
    return SlurmSite(tmp_path / "runs", shared_dir, cluster)


def alive(cluster: Cluster) -> list[int]:
    return [pid for pids in cluster.processes().values() for pid in pids]


def test_a_supervisor_that_is_killed_takes_the_job_with_it(site: SlurmSite) -> None:
    task = site.begun(STUBBORN)
    for pid in alive(site.cluster):
        if "scq.node" in described(pid):
            send(pid, signal.SIGKILL)
    site.cluster.wait_until_empty()
    assert site.ending(task).cause == "interrupted"


def test_a_job_ends_with_the_process_of_slurm_that_keeps_it(site: SlurmSite) -> None:
    task = site.begun(STUBBORN)
    for pid in alive(site.cluster):
        if command_name(pid) == "slurmstepd":
            send(pid, signal.SIGKILL)
    site.cluster.wait_until_empty()
    left = rundir.read_result(str(site.control(task)))
    assert left is not None
    assert left.cause == "interrupted"
    # The cluster would notice it only after minutes.
    site.executor().stop(task.directory)
    assert site.ending(task).cause in ("cancelled", "node"), "the cluster may have noticed it first, after all"


def test_a_job_whose_control_folder_vanishes_does_not_go_on(site: SlurmSite) -> None:
    task = site.begun(STUBBORN)
    shutil.rmtree(site.control(task))
    site.cluster.wait_until_empty()


def test_processes_that_multiply_end_when_they_are_cancelled(site: SlurmSite) -> None:
    task = site.begun("while :; do (trap '' TERM; sleep 60) & sleep 0.01; done")
    site.executor().stop(task.directory)
    site.cluster.wait_until_empty()
    assert site.ending(task).cause == "cancelled"


def test_a_job_that_halts_itself_ends_when_it_is_cancelled(site: SlurmSite) -> None:
    task = site.begun("kill -STOP $$; sleep 600")
    site.executor().stop(task.directory)
    site.cluster.wait_until_empty()
    assert site.ending(task).cause == "cancelled"
