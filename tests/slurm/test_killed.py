"""A call killed before any of its effects, while it hands a job over or takes the result: each job runs exactly once."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from scq.audit import read_rows
from scq.store import Store
from tests.crash.test_killed_in_process import EFFECTS, Trap, in_a_fork
from tests.people import World
from tests.slurm.cluster import Cluster
from tests.unit.executors.slurm.standins import Bin

STEP = 3
"""Of so many effects of handing over one is tried, and of so many of taking a result: every pair would take minutes."""
LOST = range(2, 44, 4)
"""Effects of giving a job back and handing it over again that are tried."""
ENOUGH = 400
CALLS = (*EFFECTS, "fsync")


class Ear:
    """Listens on loopback, and counts the words that jobs say there."""

    def __init__(self) -> None:
        self.heard: Counter[str] = Counter()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection, connection.makefile() as lines:
                word = lines.readline().strip()
            if word == "over":
                return
            self.heard[word] += 1

    def close(self) -> None:
        """After everything that was said was heard."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"over\n")
        self._thread.join()
        self._socket.close()


@pytest.fixture
def ear() -> Iterator[Ear]:
    listening = Ear()
    yield listening
    listening.close()


class Killed:
    """One owner with one approved job, and the effects at which the calls about it die."""

    def __init__(self, folder: Path, number: int, conf: str, commands: Path, shared: Path, ear: Ear) -> None:
        self.number = number
        self.word = f"job-{number}"
        self.marker = folder / "reached"
        self.world = World(folder)
        shared.mkdir(0o711, parents=True)
        place = f"shared_dir: {shared}, conf: {conf}, bin: {commands}, file_delay: 0"
        self.world.owner.configure(
            f"executor: {{name: slurm, slurm: {{{place}}}}}\nnetwork: full\nresults: release\nlimits: {{memory: 200 MiB}}\n"
        )
        script = f"exec 3<>/dev/tcp/127.0.0.1/{ear.port}\necho {self.word} >&3\necho 42 > outputs/answer.txt\n"
        self.uid = self.world.approved(self.word, script)

    def call(self, *, dies_at: int) -> bool:
        """One call that dies at an effect; False when it has none of that number."""
        self.marker.unlink(missing_ok=True)
        trap = Trap(CALLS, dies_at, self.marker, lambda: os.kill(os.getpid(), signal.SIGKILL), only_forks=False)
        in_a_fork(lambda: self.world.owner.scq("run-approved"), trap)
        return self.marker.exists()

    def status(self) -> str:
        return str(self.world.owner.job(self.uid)["status"])

    def audited(self, what: str) -> int:
        rows = list(read_rows(Store(str(self.world.owner.home)).audit_path))
        assert all(sealed for _, sealed in rows)
        return sum(row.what == what for row, _ in rows)


def test_a_job_runs_exactly_once_wherever_the_calls_about_it_die(
    tmp_path: Path, cluster: Cluster, shared_dir: Path, ear: Ear
) -> None:
    all_of_them = []
    for number in range(1, ENOUGH, STEP):
        one = Killed(tmp_path / str(number), number, cluster.conf, cluster.bin, shared_dir / str(number), ear)
        all_of_them.append(one)
        died = one.call(dies_at=number)
        one.world.owner.scq("run-approved")
        assert one.status() == "running", one.marker
        if not died:
            break
    assert len(all_of_them) > 10
    cluster.wait_for(
        lambda: all(list((shared_dir / str(one.number)).glob("*.run/result.json")) for one in all_of_them), "the end of every job"
    )
    for one in all_of_them:
        one.call(dies_at=one.number)
    for one in all_of_them:
        said = f"died at effect {one.number}"
        one.world.owner.scq("run-approved")
        assert (one.status(), ear.heard[one.word]) == ("completed", 1), said
        assert one.audited("end") == 1, said
        assert [file["path"] for file in one.world.owner.json("output", one.uid)["outputs"]] == ["answer.txt"], said
        assert os.listdir(shared_dir / str(one.number)) == [], said
        assert one.world.owner.json("run-approved")["runs"] == [], said


def test_a_job_that_the_cluster_lost_runs_exactly_once_wherever_the_call_that_gives_it_back_dies(
    tmp_path: Path, shared_dir: Path, ear: Ear
) -> None:
    cluster, conf = Bin(tmp_path / "bin"), tmp_path / "slurm.conf"
    conf.touch()
    for number in LOST:
        cluster.set("sbatch", "cat > /dev/null; echo 16")
        one = Killed(tmp_path / str(number), number, str(conf), cluster.folder, shared_dir / str(number), ear)
        one.world.owner.scq("run-approved")
        assert one.status() == "running"
        cluster.set("sbatch", 'cat > "$0.script"; /bin/sh "$0.script" > "$0.out" 2>&1; echo 17')
        assert one.call(dies_at=number)
        for _ in range(3):
            one.world.owner.scq("run-approved", code=None)
        assert (one.status(), ear.heard[one.word]) == ("completed", 1), one.marker.read_text()
        assert one.audited("end") == 1
        assert os.listdir(shared_dir / str(number)) == []
