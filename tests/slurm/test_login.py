"""What a node does before it starts a job: it does not log the owner in, which would run their profile and may take minutes."""

from __future__ import annotations

from pathlib import Path

from tests.slurm.cluster import Cluster
from tests.slurm.sites import SlurmSite


def test_nobody_is_logged_in_on_the_node(tmp_path: Path, shared_dir: Path, cluster: Cluster) -> None:
    site = SlurmSite(tmp_path / "runs", shared_dir, cluster)
    task = site.begun("exec sleep 600")
    pids = [pid for found in cluster.processes().values() for pid in found]
    known = [Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in pids if b"scq.node" in words(pid)]
    assert len(known) == 1
    assert b"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin" in known[0]
    # With this variable slurmd asks a login shell for the environment.
    assert not any(one.startswith(b"SLURM_GET_USER_ENV=") for one in known[0])
    site.executor().stop(task.directory)
    site.ending(task)


def words(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
