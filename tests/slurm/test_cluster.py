"""The cluster of the tests itself: what it says it does to a real Slurm."""

from __future__ import annotations

from pathlib import Path

from tests.slurm.cluster import Cluster


def test_a_job_runs_and_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    number = cluster.submit(f"touch {tmp_path}/ran")
    cluster.wait_for((tmp_path / "ran").exists, "the job")
    cluster.wait_for(lambda: cluster.job(number).state == "COMPLETED", "its end")  # type: ignore[union-attr]
    cluster.wait_until_empty()


def test_a_machine_that_is_cut_off_leaves_no_process(own_cluster: Cluster, tmp_path: Path) -> None:
    number = own_cluster.submit(f"setsid sleep 600 & touch {tmp_path}/ran; sleep 600", "--no-requeue", "-w", "n2")
    own_cluster.wait_for((tmp_path / "ran").exists, "the job")
    assert len(own_cluster.processes()["n2"]) >= 3
    own_cluster.kill_node("n2")
    assert not any(own_cluster.processes().values())
    own_cluster.start_node("n2")
    own_cluster.wait_for(lambda: own_cluster.job(number).state == "NODE_FAIL", "the end of its job")  # type: ignore[union-attr]


def test_a_controller_starts_again_on_what_it_saved(own_cluster: Cluster) -> None:
    own_cluster.kill_controller()
    assert own_cluster.command("squeue", check=False, timeout_s=60.0) == ""
    own_cluster.start_controller()
    own_cluster.submit("true")
