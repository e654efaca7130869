"""`scq doctor` on a real cluster: one tiny job tells what a node is like, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scq import checking
from scq.checking import Check
from scq.commands import doctor
from scq.config import load
from scq.context import Context
from scq.executors.slurm import probe
from tests.slurm.cluster import NODES, Cluster

ME = "owner@example.org"
KILL_WAIT = "it waits 2 s between asking a job to end and killing it (KillWait)"
"""A cluster for tests kills quickly, and that is worth a note."""
LATE = """#!{python}
import sys
from datetime import datetime, timedelta
from scq import node
from scq.executors.slurm import probe
class Late(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) - timedelta(seconds=90)
probe.datetime = Late
sys.exit(node.main(sys.argv[4:]))
"""


class Owner:
    """A home on the machine from which jobs are handed over."""

    def __init__(self, folder: Path, cluster: Cluster, shared: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        self.folder, self.cluster, self.shared = folder, cluster, shared
        (folder / "SyftBox" / ME).mkdir(parents=True)

    def configure(self, more: str = "") -> None:
        path = self.home / "config.yaml"
        path.write_text(
            f"do_email: {ME}\nsyftbox_root: {self.folder}/SyftBox\nexecutor: {{name: slurm, slurm: {{shared_dir: {self.shared}, "
            f"bin: {self.cluster.bin}, conf: {self.cluster.conf}, file_delay: 0, {more}}}}}\n"
        )
        path.chmod(0o600)

    def look(self, more: str = "") -> list[Check]:
        """What is found out about the box and the cluster."""
        self.configure(more)
        env = {"HOME": str(self.folder), "PATH": os.environ["PATH"]}
        ctx = Context(load(str(self.home / "config.yaml"), env, {}).config, str(self.home), env=env)
        return [*doctor._sandbox(ctx), *checking.cluster(ctx)]

    def odd(self, more: str = "") -> list[tuple[str, str]]:
        return [(check.level, check.detail) for check in self.look(more) if check.level != "ok" and check.detail != KILL_WAIT]

    def program(self, text: str) -> str:
        """A program on the disk that everybody sees."""
        path = self.shared.parent / "python-of-the-nodes"
        path.write_text(text)
        path.chmod(0o755)
        return f"python: {path}"

    def trials(self) -> list[str]:
        """Tiny jobs that are not over."""
        over = ("COMPLETED", "CANCELLED", "FAILED")
        return [row.state for row in self.cluster.jobs() if row.name.startswith(probe.TRIAL) and row.state not in over]


@pytest.fixture
def owner(tmp_path: Path, cluster: Cluster, shared_dir: Path) -> Iterator[Owner]:
    made = Owner(tmp_path, cluster, shared_dir)
    yield made
    assert os.listdir(shared_dir) == []
    cluster.wait_for(lambda: not made.trials(), "the end of every tiny job")
    cluster.wait_until_empty()


@pytest.fixture
def drained(cluster: Cluster) -> Iterator[None]:
    for name in NODES:
        cluster.drain(name)
    yield
    for name in NODES:
        cluster.resume(name)
    cluster.wait_for(lambda: all(cluster.node_state(name) == "idle" for name in NODES), "the nodes being back")


def test_a_good_cluster_is_seen_from_within(owner: Owner) -> None:
    found = owner.look("partition: main, rules: [{tags: gpu, cpus: 2}]")
    assert [(check.name, check.level) for check in found] == [
        ("sandbox", "ok"),
        ("cluster", "ok"),
        ("cluster", "warning"),
        ("cluster", "ok"),
        ("shared", "ok"),
        ("node", "ok"),
    ], found
    assert found[2].detail == KILL_WAIT
    assert found[-1].detail.startswith(("node n1: scq ", "node n2: scq "))
    assert found[-1].detail.endswith("the box holds")


def test_places_the_cluster_does_not_have_are_named(owner: Owner) -> None:
    found = owner.odd("partition: gone, rules: [{tags: gpu, partition: none-such}]")
    assert [level for level, _ in found] == ["failure", "failure"]
    assert found[0][1].startswith("rule 1 of executor.slurm.rules: ")
    assert "sbatch refused it" in found[1][1]
    assert "invalid partition" in found[1][1].lower()


def test_a_node_without_bwrap_is_named(owner: Owner) -> None:
    ((level, detail),) = owner.odd(owner.program(f'#!/bin/sh\nPATH=/none exec {sys.executable} "$@"\n'))
    assert level == "failure"
    assert "bwrap" in detail
    assert detail.startswith("node n")


def test_a_node_whose_python_lacks_scq_says_so(owner: Owner) -> None:
    ((level, detail),) = owner.odd(owner.program(f"#!/bin/sh\nexec {sys.executable} -I -S -c 'import scq.node'\n"))
    assert level == "failure"
    assert "No module named" in detail


def test_a_clock_that_differs_is_measured(owner: Owner) -> None:
    ((level, detail),) = owner.odd(owner.program(LATE.format(python=sys.executable)))
    assert level == "failure"
    assert detail.endswith("its clock is 90 s behind")


@pytest.mark.usefixtures("drained")
def test_a_job_no_node_takes_is_taken_back(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PATIENCE_S", 2.0)
    ((level, detail),) = owner.odd()
    assert level == "failure"
    assert "it waits for a node (" in detail
    assert owner.trials() == []


@pytest.mark.usefixtures("drained")
def test_a_call_that_is_ended_while_it_waits_leaves_nothing(owner: Owner) -> None:
    owner.configure()
    call = subprocess.Popen(
        [sys.executable, "-m", "scq", "--home", str(owner.home), "doctor"],
        env={"HOME": str(owner.folder), "PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL,
    )
    owner.cluster.wait_for(owner.trials, "a tiny job")
    call.send_signal(signal.SIGTERM)
    assert call.wait() == -signal.SIGTERM
    assert owner.trials() == []


def test_a_controller_that_hangs_holds_nobody_up(owner: Owner) -> None:
    owner.cluster.hang_controller()
    try:
        ((level, detail),) = owner.odd("command_timeout: 0.5")
    finally:
        owner.cluster.wake_controller()
    assert (level, "scontrol" in detail) == ("failure", True)
