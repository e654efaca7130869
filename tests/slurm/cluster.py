"""A real Slurm of two nodes on this machine, from the programs that are installed: started, broken and ended by the tests."""

from __future__ import annotations

import secrets
import shutil
import signal
import time
from pathlib import Path
from typing import NamedTuple, Self

from tests.slurm.daemons import NODES, PATIENCE_S, Daemons, Refused, missing, missing_for_hosts, user_name
from tests.slurm.machines import command_name, described, program, send

__all__ = ["NODES", "Cluster", "Refused", "Row", "missing", "missing_for_hosts", "program", "user_name"]


class Row(NamedTuple):
    """One job as the controller lists it, ended ones too while it remembers them."""

    id: int
    name: str
    state: str
    node: str
    reason: str


class Cluster(Daemons):
    """A controller and two nodes, n1 and n2. A context manager; `close` fails when something of it is left alive."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.cut_all()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # ---- what a test does to it

    def kill_controller(self) -> None:
        """SIGKILL: what was not saved yet is forgotten."""
        self.machines.pop("controller").cut()

    def start_controller(self, *, forget: bool = False) -> None:
        """Start it again on the state it saved, or on none, and wait until it answers."""
        if forget:
            self.take_state()
        self.start_slurmctld()
        self.wait_for(self.answers, "the controller answering")

    def take_state(self) -> Path:
        """Take away what a killed controller saved; where it lies now."""
        kept = self.folder / f"state-{secrets.token_hex(4)}"
        (self.folder / "state").rename(kept)
        (self.folder / "state").mkdir(mode=0o700)
        return kept

    def put_state(self, kept: Path) -> None:
        """Give a killed controller back what it saved."""
        shutil.rmtree(self.folder / "state")
        kept.rename(self.folder / "state")

    def has_saved(self, name: str) -> bool:
        """Whether a controller that is started now would know the job of that name."""
        state = self.folder / "state" / "job_state"
        return state.exists() and name.encode() in state.read_bytes()

    def hang_controller(self) -> None:
        """Let it take connections and never answer, until `wake_controller`."""
        self._signal_controller(signal.SIGSTOP)

    def wake_controller(self) -> None:
        """End `hang_controller`."""
        self._signal_controller(signal.SIGCONT)

    def kill_node(self, name: str) -> None:
        """Power cut: its daemon, the jobs on it, and whatever these started."""
        self.machines.pop(name).cut()

    def start_node(self, name: str) -> None:
        """Power on again, and wait until jobs can run there."""
        self.start_slurmd(name)
        self.wait_for(lambda: self.node_state(name) in ("idle", "mixed", "allocated"), f"{name} being up")

    def drain(self, name: str) -> None:
        """Let no further job begin on a node."""
        self.command("scontrol", "update", f"nodename={name}", "state=drain", "reason=test")

    def resume(self, name: str) -> None:
        """End `drain`, also where the controller has forgotten it."""

        def resumed() -> bool:
            if "drain" in self.node_state(name):
                self.command("scontrol", "update", f"nodename={name}", "state=resume", check=False)
            return "drain" not in self.node_state(name)

        self.wait_for(resumed, f"{name} taking jobs again")

    def scancel(self, *arguments: object) -> None:
        """End a job as an operator would."""
        self.command("scancel", *map(str, arguments))

    def cut_link(self, name: str) -> None:
        """Take the network of a node away (`hosts=True`)."""
        self.in_switch("ip", "link", "set", f"to-{name}", "down")

    def restore_link(self, name: str) -> None:
        """End `cut_link`."""
        self.in_switch("ip", "link", "set", f"to-{name}", "up")

    # ---- what a test asks

    def submit(self, script: str, *options: str) -> int:
        """Hand over a job that is not scq's; its id."""
        out = self.command("sbatch", "--parsable", "--output=/dev/null", *options, stdin=f"#!/bin/sh\n{script}\n")
        return int(out.partition(";")[0])

    def jobs(self) -> list[Row]:
        """Every job the controller knows, ended ones too."""
        lines = self.command("squeue", "-h", "-a", "-t", "all", "-o", "%A|%j|%T|%N|%r").splitlines()
        return [Row(int(number), *rest) for number, *rest in (line.split("|") for line in lines)]

    def job(self, word: int | str) -> Row | None:
        """The newest job of that id or name."""
        return next((row for row in sorted(self.jobs(), reverse=True) if word in (row.id, row.name)), None)

    def processes(self) -> dict[str, list[int]]:
        """Everything alive on each node that is on, its daemon left out: the jobs and what they started."""
        return {
            name: [pid for pid in self.machines[name].processes() if command_name(pid) not in ("slurmd", "")]
            for name in NODES
            if name in self.machines
        }

    def wait_until_empty(self) -> None:
        """Wait until no job is left on any node, as a process."""
        self.wait_for(lambda: not any(self.processes().values()), "the end of every process of the jobs")

    def close(self) -> None:
        """End the daemons, the jobs with them. Fails when a job that was cancelled leaves something alive."""
        left: dict[str, list[str]] = {}
        if "controller" in self.machines:
            self.wake_controller()
            self.command("scancel", "--state=PENDING", f"--user={user_name()}", check=False)
            self.command("scancel", f"--user={user_name()}", check=False)
            give_up = time.monotonic() + PATIENCE_S
            while any(self.processes().values()) and time.monotonic() < give_up:
                time.sleep(0.15)
            left = {name: [described(pid) for pid in pids] for name, pids in self.processes().items() if pids}
        self.cut_all()
        assert not left, f"cancelled jobs left processes alive: {left}"

    def _signal_controller(self, number: signal.Signals) -> None:
        for pid in self.machines["controller"].processes():
            send(pid, number)
