"""Approved jobs on a Slurm cluster: what handing over, looking and collecting cost, and what Slurm and the files cost alone.

A real cluster of two nodes runs on this machine meanwhile. Its nodes take nothing while jobs are handed over, so that only that
is measured.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from benchmarks.measuring import Cost, measure
from benchmarks.world import World
from tests.slurm.cluster import NODES, Cluster, missing, user_name

BARE = 100
"""So many submissions of the same form, without scq, are the floor of handing over."""
COLLECTED = 100
WAIT_S = 900.0
CONFIG = """sandbox: bwrap
check.sweep_every: 1d
executor:
  name: slurm
  slurm:
    shared_dir: {shared}
    conf: {conf}
    bin: {bin}
    max_queued: 5000
    command_timeout: 5m
    file_delay: 0s
limits.memory: 200 MiB
"""
SUBMIT = """
import subprocess, sys
options, script = sys.argv[2:], b"#!/bin/sh\\nexec /usr/bin/true\\n"
for number in range(int(sys.argv[1])):
    command = ["sbatch", "--parsable", f"--job-name=bare-{number}", *options]
    subprocess.run(command, input=script, stdout=subprocess.DEVNULL, check=True)
"""
COLLECT = """
import os, shutil, sys
source, target = sys.argv[1:]
shutil.rmtree(target, ignore_errors=True)
os.mkdir(target)
for name in sorted(os.listdir(source)):
    if name.endswith(".run"):
        os.mkdir(f"{target}/{name}")
        for kept in ("stdout.txt", "stderr.txt", "started", "result.json"):
            with open(f"{source}/{name}/{kept}", "rb") as file:
                content = file.read()
            with open(f"{target}/{name}/{kept}.tmp", "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(f"{target}/{name}/{kept}.tmp", f"{target}/{name}/{kept}")
    shutil.rmtree(f"{source}/{name}")
"""
COMMANDS = ("sbatch", "squeue", "scontrol", "scancel")
PROGRAMS = os.path.dirname(shutil.which("sbatch") or "")
COUNTING = '#!/bin/sh\necho {name} >> {log}\nexec {program} "$@"\n'


class Result(Struct, frozen=True):
    """What was measured. Floors are of so many submissions, one question, and so many results, each in a bare interpreter."""

    jobs: int
    submit: Cost
    bare: Cost
    look: Cost
    listing: Cost
    squeue: Cost
    questions: int
    """Commands of Slurm in one look with all jobs out."""
    answers: int
    """Jobs that one look showed with their place."""
    collect: Cost
    idle: Cost
    """The same call when there is nothing to collect."""
    files: Cost

    @property
    def submit_ms(self) -> float:
        """Handing over one job."""
        return (self.submit.wall_ms - self.idle.wall_ms) / self.jobs

    @property
    def bare_ms(self) -> float:
        """`sbatch` of one job."""
        return self.bare.wall_ms / BARE

    @property
    def look_ms(self) -> float:
        """What a job that is out adds to a look."""
        return (self.look.wall_ms - self.idle.wall_ms) / self.jobs

    @property
    def collect_ms(self) -> float:
        """Collecting one job."""
        return (self.collect.wall_ms - self.idle.wall_ms) / COLLECTED

    @property
    def files_ms(self) -> float:
        """Taking the files of one job home."""
        return self.files.wall_ms / COLLECTED


def unusable() -> str:
    """Why there is nothing to be measured on this machine; empty when there is."""
    return missing() or ("" if shutil.which("bwrap") else "bwrap is not installed")


def runs(folder: Path, jobs: int, repeat: int) -> Result:
    """Hand over so many jobs in one call, look with all of them out, and collect some that really ran."""
    folder.mkdir(mode=0o711)
    with Cluster(folder / "cluster", extra="MaxJobCount=20000") as cluster:
        for node in NODES:
            cluster.drain(node)
        many = _World(folder / "many", cluster)
        many.approve(jobs)
        bare = measure(_bare(cluster, folder), 1)
        _cancel(cluster)
        submit = measure(many.command("run-approved"), 1)
        squeue = measure((*_with(cluster), "squeue", "--all", "--noheader", "--format=%i|%j|%U|%T"), repeat)
        look = measure(many.command("run-approved"), repeat)
        listing = measure(many.command("list", "--status", "running", "--json"), repeat)
        questions, answers = many.questions(), many.placed()
        _cancel(cluster)
        few = _World(folder / "few", cluster)
        few.approve(COLLECTED)
        few.world.call("run-approved")
        for node in NODES:
            cluster.resume(node)
        few.wait()
        files = measure((sys.executable, "-c", COLLECT, few.copied(), str(folder / "taken")), 1)
        collect = measure(few.command("run-approved"), 1)
        idle = measure(few.command("run-approved"), repeat)
    return Result(jobs, submit, bare, look, listing, squeue, questions, answers, collect, idle, files)


class _World:
    """An owner whose jobs go to the cluster."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        folder.mkdir(mode=0o711)
        self.folder = folder
        self.cluster = cluster
        self.shared = folder / "shared"
        self.shared.mkdir()
        self.shared.chmod(0o711)
        self.world = World(folder, "c0")
        self._configure(PROGRAMS)

    def _configure(self, programs: str) -> None:
        text = CONFIG.format(shared=self.shared, conf=self.cluster.conf, bin=programs)
        (self.world.home / "config.yaml").write_text(text)

    def command(self, *arguments: str) -> list[str]:
        return self.world.command(*arguments)

    def approve(self, count: int) -> None:
        words = self.world.add_pending(count - 1)  # one came with the world
        self.world.call("check")
        for first in range(0, len(words), 500):
            self.world.call("approve", *words[first : first + 500])
        self.world.call("approve", self.world.waiting.word)

    def questions(self) -> int:
        """How many commands of Slurm one look starts."""
        log = self.folder / "commands.log"
        with _counting(self.folder / "bin", log, PROGRAMS) as programs:
            self._configure(programs)
            self.world.call("run-approved")
        self._configure(PROGRAMS)
        return len(log.read_text().splitlines())

    def placed(self) -> int:
        """How many jobs are shown with their place in the queue."""
        found = self.world.call("list", "--status", "running")["jobs"]
        assert isinstance(found, list)
        return sum(job["place"]["state"] == "waiting" for job in found)

    def wait(self) -> None:
        """Until every job has said how it ended. Raises RuntimeError when that takes too long."""
        give_up = time.monotonic() + WAIT_S
        while len(list(self.shared.glob("*.run/result.json"))) < COLLECTED:
            if time.monotonic() > give_up:
                raise RuntimeError(f"the cluster did not run {COLLECTED} jobs in {WAIT_S:.0f} s")
            time.sleep(0.2)

    def copied(self) -> str:
        """The shared folder once more, for the floor of collecting."""
        copy = self.folder / "copy"
        shutil.copytree(self.shared, copy, symlinks=True)
        return str(copy)


@contextmanager
def _counting(folder: Path, log: Path, programs: str) -> Iterator[str]:
    """The same commands, and each call of one is a line in the log."""
    folder.mkdir()
    log.touch()
    for name in COMMANDS:
        (folder / name).write_text(COUNTING.format(name=name, log=log, program=os.path.join(programs, name)))
        (folder / name).chmod(0o755)
    yield str(folder)
    shutil.rmtree(folder)


def _bare(cluster: Cluster, folder: Path) -> tuple[str, ...]:
    """The floor of handing over: as many options as scq gives, from a bare interpreter."""
    options = ("--no-requeue", "--time=15", "--mem=456M", f"--output={folder}/bare.txt", "--chdir=/", "--export=LANG=C.UTF-8")
    return (*_with(cluster), sys.executable, "-c", SUBMIT, str(BARE), *options)


def _with(cluster: Cluster) -> tuple[str, ...]:
    """What to put before a command that calls Slurm's."""
    return (shutil.which("env") or "", f"SLURM_CONF={cluster.conf}")


def _cancel(cluster: Cluster) -> None:
    """End everything that is there."""
    cluster.command("scancel", f"--user={user_name()}")
    cluster.wait_for(lambda: not cluster.command("squeue", "--noheader"), "the end of all jobs")
