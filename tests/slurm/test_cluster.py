"""The cluster of the tests itself: what it says it does to a real Slurm, and that nothing of it outlives them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm import conftest, daemons
from tests.slurm.cluster import Cluster, Refused
from tests.slurm.machines import INIT
from tests.unit.executors.tasks import is_alive, wait_for, written_pid

LEAVING = """
import os, subprocess, sys
subprocess.Popen([sys.executable, "-I", "-S", sys.argv[1], "sh", "-c", sys.argv[2]])
sys.stdin.read()
os.kill(os.getpid(), 9)
"""


def test_a_job_runs_and_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    number = cluster.submit(f"touch {tmp_path}/ran")
    cluster.wait_for((tmp_path / "ran").exists, "the job")
    cluster.wait_for(lambda: cluster.job(number).state == "COMPLETED", "its end")  # type: ignore[union-attr]
    cluster.wait_until_empty()


def test_everything_on_a_machine_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Such as a worker of the tests that is killed."""
    daemon = f"(setsid sh -c 'trap \"\" TERM HUP; echo $$ > {tmp_path}/pid; sleep 600; sleep 600' &); sleep 600"
    owner = subprocess.Popen([sys.executable, "-c", LEAVING, INIT, daemon], stdin=subprocess.PIPE)
    pid = written_pid(tmp_path / "pid")
    owner.communicate()
    wait_for(lambda: not is_alive(pid), "the end of the machine")


def test_where_munge_does_not_start_the_tests_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = daemons.missing()
    if lacking:
        conftest.need(lacking)
    monkeypatch.setattr("tests.slurm.daemons.program", {"munged": "/bin/false"}.get)
    with pytest.raises(Refused, match="munged does not start"), Cluster(tmp_path / "sl"):
        raise AssertionError("it did not start")


def test_without_slurm_the_tests_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCQ_SLURM_REQUIRED", raising=False)
    with pytest.raises(pytest.skip.Exception, match="slurmctld is not installed"):
        conftest.need("slurmctld is not installed")
    monkeypatch.setenv("SCQ_SLURM_REQUIRED", "1")
    with pytest.raises(pytest.fail.Exception, match="slurmctld is not installed"):
        conftest.need("slurmctld is not installed")
    conftest.need("")
