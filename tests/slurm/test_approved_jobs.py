"""Approved jobs of an owner on a real cluster, by calls of the command line: each runs exactly once, or is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.people import OWNER, World
from tests.slurm.cluster import NODES, Cluster

CONFIG = """network: none
executor:
  name: slurm
  slurm: {{shared_dir: {shared}, bin: {bin}, conf: {conf}, python: {python}, command_timeout: 2s, file_delay: 0s}}
"""
BUSY = 75
COUNTED = "echo ran\n"


def people(folder: Path, shared: Path, cluster: Cluster) -> World:
    world = World(folder)
    world.owner.configure(CONFIG.format(shared=shared, bin=cluster.bin, conf=cluster.conf, python=sys.executable))
    return world


@pytest.fixture
def away(tmp_path: Path, shared_dir: Path, cluster: Cluster) -> World:
    return people(tmp_path, shared_dir, cluster)


@pytest.fixture
def own(tmp_path: Path, shared_dir: Path, own_cluster: Cluster) -> World:
    return people(tmp_path, shared_dir, own_cluster)


def calls_until(world: World, cluster: Cluster, *uids: str, status: str = "completed") -> None:
    """Calls that follow one another, until every job has that status."""

    def reached() -> bool:
        world.owner.scq("run-approved", code=None)
        return {world.owner.job(uid)["status"] for uid in uids} == {status}

    cluster.wait_for(reached, f"every job being {status}", every_s=1.0)


def tags(shared: Path) -> list[str]:
    """Names of the submissions whose folders are there."""
    return sorted(path.name.removesuffix(".run") for path in shared.iterdir() if path.name.endswith(".run"))


def test_two_calls_at_once_hand_over_each_job_once(away: World, cluster: Cluster, shared_dir: Path) -> None:
    for node in NODES:
        cluster.drain(node)
    try:
        uids = [away.approved(f"j{number}", COUNTED) for number in range(3)]
        place = ["--home", str(away.owner.home), "--root", str(away.root), "--email", OWNER]
        command = [sys.executable, "-m", "scq", *place, "run-approved"]
        calls = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ)) for _ in range(2)
        ]
        for call in calls:
            said, _ = call.communicate(timeout=60)
            assert call.returncode in (0, BUSY), said
        away.owner.scq("run-approved")
        handed = [row.name for row in cluster.jobs() if row.name in tags(shared_dir)]
        assert len(handed) == len(set(handed)) == len(uids)
    finally:
        for node in NODES:
            cluster.resume(node)
    calls_until(away, cluster, *uids)
    assert [away.owner.job(uid)["run"]["attempt"] for uid in uids] == [1] * len(uids)
    assert tags(shared_dir) == []


def test_a_controller_that_hangs_loses_nothing(away: World, cluster: Cluster) -> None:
    before = {row.id for row in cluster.jobs()}
    uid = away.approved("patient", COUNTED)
    cluster.hang_controller()
    try:
        away.owner.scq("run-approved", code=BUSY)
        away.owner.scq("run-approved", code=BUSY)
        assert away.owner.job(uid)["status"] in ("approved", "running")
    finally:
        cluster.wake_controller()
    calls_until(away, cluster, uid)
    assert len([row for row in cluster.jobs() if row.id not in before]) == 1
    assert away.owner.json("logs", uid, "--stdout")["logs"] == {"stdout": "ran\n"}


def test_without_a_controller_jobs_stay_approved_until_there_is_one(own: World, own_cluster: Cluster) -> None:
    uid = own.approved("patient", COUNTED)
    own_cluster.kill_controller()
    own.owner.scq("run-approved", code=BUSY)
    own_cluster.start_controller()
    calls_until(own, own_cluster, uid)
    assert own.owner.json("logs", uid, "--stdout")["logs"] == {"stdout": "ran\n"}


def test_a_job_that_the_controller_forgot_is_handed_over_again(own: World, own_cluster: Cluster, shared_dir: Path) -> None:
    for node in NODES:
        own_cluster.drain(node)
    uid = own.approved("forgotten", COUNTED)
    own.owner.scq("run-approved")
    (first,) = tags(shared_dir)
    own_cluster.kill_controller()
    own_cluster.start_controller(forget=True)
    other = own_cluster.submit("true", "--job-name=other")
    calls_until(own, own_cluster, uid)
    assert own_cluster.job(first) is None
    assert len([row for row in own_cluster.jobs() if row.id != other]) == 1
    assert own.owner.json("logs", uid, "--stdout")["logs"] == {"stdout": "ran\n"}


def test_a_power_cut_on_its_node_is_named_and_the_job_waits_for_its_owner(own: World, own_cluster: Cluster) -> None:
    uid = own.approved("long", "(setsid sleep 600 &)\necho begun\nsleep 600\n")
    own.owner.scq("run-approved")
    own_cluster.wait_for(lambda: own.owner.json("logs", uid, code=None).get("logs", {}).get("stdout") == "begun\n", "the job")
    node = own.owner.job(uid)["place"]["node"]
    assert len(own_cluster.processes()[node]) >= 3
    own_cluster.kill_node(node)
    assert not any(own_cluster.processes().values())
    own.owner.scq("run-approved")
    assert own.owner.job(uid)["status"] == "running"
    own_cluster.start_node(node)
    calls_until(own, own_cluster, uid, status="failed")
    run = own.owner.job(uid)["run"]
    assert (run["cause"], run["node"], run["attempt"]) == ("node", node, 1)
    before = len(own_cluster.jobs())
    own.owner.scq("run-approved")
    assert len(own_cluster.jobs()) == before
    assert own.owner.json("logs", uid, "--stdout")["logs"] == {"stdout": "begun\n"}


def test_a_private_copy_that_was_changed_while_it_waited_does_not_run(away: World, cluster: Cluster, shared_dir: Path) -> None:
    for node in NODES:
        cluster.drain(node)
    try:
        uid = away.approved("changed", COUNTED)
        away.owner.scq("run-approved")
        scripts = list(shared_dir.rglob("run.sh"))
        assert scripts
        for script in scripts:
            script.write_text("#!/bin/bash\necho other\n")
    finally:
        for node in NODES:
            cluster.resume(node)
    calls_until(away, cluster, uid, status="failed")
    assert away.owner.job(uid)["run"]["cause"] == "integrity"
    assert "other\n" not in away.owner.json("logs", uid)["logs"].values()
