"""`scq cancel` and `scq logs -f` on a real cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.people import OWNER, World
from tests.slurm.cluster import Cluster

CONFIG = """network: none
limits: {{memory: 200 MiB}}
executor:
  name: slurm
  slurm:
    shared_dir: {shared}
    bin: {bin}
    conf: {conf}
    python: {python}
    command_timeout: 1s
    file_delay: 0s
"""
ENDLESS = "trap '' TERM\necho begun\necho wrong >&2\nsleep 600 & wait\n"


@pytest.fixture
def away(tmp_path: Path, cluster: Cluster, shared_dir: Path) -> World:
    """People whose approved jobs go to the cluster."""
    world = World(tmp_path)
    config = CONFIG.format(shared=shared_dir, bin=cluster.bin, conf=cluster.conf, python=sys.executable)
    world.owner.configure(config)
    return world


@pytest.fixture
def follower(away: World) -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def follow(away: World, uid: str) -> subprocess.Popen[str]:
    place = ["--home", str(away.owner.home), "--root", str(away.root), "--email", OWNER]
    command = [sys.executable, "-m", "scq", *place, "logs", uid, "-f"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def over(away: World, uid: str) -> bool:
    away.owner.scq("run-approved", code=None)
    return bool(away.owner.job(uid)["status"] == "failed")


def test_a_job_is_followed_while_it_runs_and_ended_by_its_owner(
    away: World, cluster: Cluster, follower: list[subprocess.Popen[str]]
) -> None:
    uid = away.approved("endless", ENDLESS)
    away.owner.scq("run-approved")
    following = follow(away, uid)
    follower.append(following)
    assert following.stdout is not None
    assert {following.stdout.readline() for _ in range(4)} == {"── stdout\n", "begun\n", "── stderr\n", "wrong\n"}
    assert away.owner.json("logs", uid)["logs"] == {"stdout": "begun\n", "stderr": "wrong\n"}
    data = away.owner.json("cancel", uid, "-r", "takes too long")
    assert data["stopping"] == [uid]
    out, err = following.communicate(timeout=60)
    assert (following.returncode, out) == (0, "")
    assert "tells why" in err
    cluster.wait_for(lambda: over(away, uid), "the end of the job")
    assert away.owner.job(uid)["run"]["cause"] == "cancelled"
    assert away.owner.json("logs", uid, "--stdout")["logs"] == {"stdout": "begun\n"}
    cluster.wait_until_empty()


def test_a_wish_that_the_controller_did_not_hear_is_repeated_by_the_next_call(away: World, cluster: Cluster) -> None:
    uid = away.approved("endless", ENDLESS)
    away.owner.scq("run-approved")
    cluster.wait_for(lambda: away.owner.scq("logs", uid, code=None).code == 0, "the job")
    cluster.hang_controller()
    try:
        answer = away.owner.scq("cancel", uid, "--json", code=75)
    finally:
        cluster.wake_controller()
    assert "written down" in json.loads(answer.out)["errors"][0]
    cluster.wait_for(lambda: over(away, uid), "the end of the job")
    assert away.owner.job(uid)["run"]["cause"] == "cancelled"
    cluster.wait_until_empty()


def test_a_job_that_still_waits_is_cancelled_without_ever_having_begun(away: World, cluster: Cluster) -> None:
    for node in ("n1", "n2"):
        cluster.drain(node)
    try:
        uid = away.approved("patient", "echo begun\n")
        away.owner.scq("run-approved")
        assert "nothing was written yet" in away.owner.scq("logs", uid, code=2).err
        away.owner.scq("cancel", uid)
        cluster.wait_for(lambda: over(away, uid), "the end of the job")
    finally:
        for node in ("n1", "n2"):
            cluster.resume(node)
    run = away.owner.job(uid)["run"]
    assert (run["cause"], run["exit_code"], run["node"]) == ("cancelled", None, "")
