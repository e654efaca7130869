"""What people read of a job on a real cluster, from the line it waits in to the machine it ran on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.people import World
from tests.slurm.cluster import Cluster

CONFIG = """network: none
limits: {{memory: 100000000}}
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
NODES = ("n1", "n2")


@pytest.fixture
def away(tmp_path: Path, cluster: Cluster, shared_dir: Path) -> World:
    """People whose approved jobs go to the cluster."""
    shared_dir.mkdir(mode=0o711, exist_ok=True)
    world = World(tmp_path)
    world.owner.configure(CONFIG.format(shared=shared_dir, bin=cluster.bin, conf=cluster.conf, python=sys.executable))
    return world


def test_where_a_job_is_can_be_read_from_the_line_to_its_machine(away: World, cluster: Cluster) -> None:
    owner, node = away.owner, ""
    for name in NODES:
        cluster.drain(name)
    try:
        uid = away.approved("count", "echo begun\nsleep 600\n")
        owner.scq("run-approved")
        cluster.wait_for(lambda: (owner.job(uid)["place"] or {}).get("why") not in (None, "", "None", "Priority"), "a reason")
        said = owner.json("why", uid)
        assert said["waits_for"] == "cluster"
        assert "drained" in " ".join(said["reasons"]).lower()
        assert "1 job out (1 waiting); at most 200" in " ".join(owner.scq("status").out.split())
        assert owner.job(uid)["place"]["position"] == 1
        assert "waits (1st, " in owner.scq("list").out
    finally:
        for name in NODES:
            cluster.resume(name)

    def runs() -> bool:
        nonlocal node
        place = owner.job(uid)["place"]
        node = place["node"] if place and place["state"] == "running" else ""
        return bool(node)

    cluster.wait_for(lambda: runs() and "begun" in owner.scq("logs", uid, code=None).out, "the start of the job")
    assert node in NODES
    assert owner.scq("list").out.rstrip().endswith(f"on {node}")
    assert f"has been running on {node} for " in " ".join(owner.json("why", uid)["reasons"])
    assert 'scq_cluster_runs{state="running"} 1\n' in owner.scq("metrics").out
    cluster.hang_controller()
    try:
        data = owner.json("status")
    finally:
        cluster.wake_controller()
    assert (data["running"][0]["alive"], data["cluster"]["unknown"], data["notices"][-1]["advice"]) == (None, 1, "scq doctor")
    owner.scq("cancel", uid)
    cluster.wait_for(lambda: owner.scq("run-approved", code=None) and owner.job(uid)["status"] == "failed", "the end of the job")
    assert f" on {node}" in owner.scq("show", uid).out
    assert "find out why before it is run again" in owner.scq("why", uid).out
    cluster.wait_until_empty()
