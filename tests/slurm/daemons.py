"""The daemons of a cluster: how Slurm is configured and started here, and called.

Each daemon runs on an emulated machine of its own. With `hosts=True` every machine has a network namespace, a name and an address
of its own, joined by a bridge.
"""

from __future__ import annotations

import os
import pwd
import random
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.slurm.machines import Machine, entered, program

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
COMMANDS = ("sbatch", "squeue", "scontrol", "scancel", "sinfo")
NODES = ("n1", "n2")
MEMORY_MIB = 16_000
"""Said to be there in each, whatever this machine has: jobs are small."""
CONTROLLER_ADDRESS = "10.77.0.1"
PATIENCE_S = 120.0
ATTEMPTS = 4
"""Another process may take a port between choosing it and starting a daemon."""

CONF = """\
ClusterName={name}
SlurmctldHost={controller}({controller_address})
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.sock
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=200
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
JobCompType=jobcomp/none
KillWait=2
SlurmdTimeout=3
MessageTimeout=5
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
SlurmdParameters=config_overrides
MinJobAge={min_job_age}
{nodes}
{partitions}
{extra}
"""
"""Source: slurm.conf(5) of Slurm 22.05."""
CGROUP_CONF = "CgroupPlugin=cgroup/v1\n"
"""The only plugin that lets slurmd start where no cgroup is mounted or may be changed; nothing here uses one (cgroup.conf(5))."""
PARTITIONS = "PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP"


def missing() -> str:
    """What keeps a cluster from being started here; empty when nothing does."""
    lacks = [name for name in PROGRAMS if program(name) is None]
    return f"{lacks[0]} is not installed (Debian: slurmctld slurmd slurm-client munge)" if lacks else ""


def missing_for_hosts() -> str:
    """What keeps a cluster with networks of its own from being started here."""
    if found := missing():
        return found
    if lacks := [name for name in ("ip", "unshare", "nsenter") if shutil.which(name) is None]:
        return f"{lacks[0]} is not installed"
    trial = ["unshare", "--net", "--uts", "ip", "link", "add", "br0", "type", "bridge"]
    made = subprocess.run(trial, capture_output=True, check=False)
    return "" if made.returncode == 0 else "no network namespace with a bridge can be made here"


class Refused(Exception):
    """Something that a cluster needs does not start on this machine; the text is its own."""


class Daemons:
    """A controller and two nodes, n1 and n2: how they are set up, started and asked."""

    def __init__(
        self, folder: Path, *, min_job_age: int = 300, partitions: str = PARTITIONS, extra: str = "", hosts: bool = False
    ) -> None:
        self.folder = folder
        self.hosts = hosts
        self.settings: dict[str, Any] = {"min_job_age": min_job_age, "partitions": partitions, "extra": extra}
        self.machines: dict[str, Machine] = {}
        self.conf = str(folder / "slurm.conf")
        self.bin = folder / "bin"
        for name in ("state", "log", "run", "bin"):
            (folder / name).mkdir(parents=True)
        for name in ("log", "state"):
            (folder / name).chmod(0o700)
        (folder / "cgroup.conf").write_text(CGROUP_CONF)
        (folder / "munge.key").write_bytes(secrets.token_bytes(1024))
        (folder / "munge.key").chmod(0o600)

    def command(self, *argv: str, stdin: str | None = None, check: bool = True, timeout_s: float = 30.0) -> str:
        """Call one of Slurm's commands; its standard output."""
        argv = (str(self.bin / argv[0]), *argv[1:])
        done = subprocess.run(
            argv,
            env=self.environment(),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert not check or done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def node_state(self, name: str) -> str:
        """Such as `idle`, `down*`."""
        # One line for each of its partitions.
        return self.command("sinfo", "-h", "-N", "-n", name, "-o", "%T", check=False).partition("\n")[0]

    def environment(self) -> dict[str, str]:
        """Variables for calls of Slurm's commands."""
        return {"PATH": f"{self.bin}:{os.environ['PATH']}", "SLURM_CONF": self.conf, "LANG": "C.UTF-8"}

    def wait_for(
        self, condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S, *, every_s: float = 0.15
    ) -> None:
        """Wait until something is true. Asking costs a process or more, so it is done less often the longer it takes."""
        begun = time.monotonic()
        while not condition():
            passed = time.monotonic() - begun
            assert passed < timeout_s, f"{what} did not happen\n{self.said()}"
            time.sleep(max(every_s, min(passed / 8, 1.0)))

    def said(self) -> str:
        """The end of the controller's log, for somebody who has to find out what went wrong."""
        log = self.folder / "log" / "slurmctld.log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""

    def start(self) -> None:
        for attempt in range(ATTEMPTS):
            self._configure()
            self._start_network()
            self._start_munge()
            self.start_slurmctld("-i")
            for name in NODES:
                self.start_slurmd(name)
            give_up = time.monotonic() + PATIENCE_S
            while time.monotonic() < give_up and not self._died():
                if all(self.node_state(name) == "idle" for name in NODES):
                    return
                time.sleep(0.05)
            said = self.said()
            self.cut_all()
            again = attempt + 1 < ATTEMPTS and "in use" in self._errors()
            assert again, f"Slurm did not start\n{said}\n{self._errors()}"

    def _configure(self) -> None:
        ports = free_ports(1 + len(NODES))
        host = socket.gethostname().partition(".")[0]
        lines = []
        for number, name in enumerate(NODES):
            hostname, address = (name, node_address(number)) if self.hosts else (host, "127.0.0.1")
            place = f"NodeHostname={hostname} NodeAddr={address} Port={ports[1 + number]}"
            lines.append(f"NodeName={name} {place} CPUs=2 RealMemory={MEMORY_MIB} State=UNKNOWN")
        text = CONF.format(
            name=f"scq{secrets.token_hex(4)}",
            controller="ctl" if self.hosts else host,
            controller_address=CONTROLLER_ADDRESS if self.hosts else "127.0.0.1",
            user=user_name(),
            folder=self.folder,
            ports=ports,
            nodes="\n".join(lines),
            **self.settings,
        )
        Path(self.conf).write_text(text)

    def _start_network(self) -> None:
        """A switch that is the controller's machine, and a namespace for each node; also the commands that enter the first."""
        inside = ""
        if self.hosts:
            self.machines["switch"] = self._machine("switch", ["sleep", "infinity"], inside=("unshare", "--net", "--uts"))
            self.wait_for(self.machines["switch"].processes, "the network")
            inside = " ".join(entered(self.machines["switch"])) + " "
            self.in_switch("hostname", "ctl")
            for command in ("add br0 type bridge", "set lo up", "set br0 up"):
                self.in_switch("ip", "link", *command.split())
            self.in_switch("ip", "addr", "add", f"{CONTROLLER_ADDRESS}/24", "dev", "br0")
            for number, name in enumerate(NODES):
                self._join(name, f"{node_address(number)}/24")
        for name in COMMANDS:
            (self.bin / name).write_text(f'#!/bin/sh\nexec {inside}{program(name)} "$@"\n')
            (self.bin / name).chmod(0o755)

    def _join(self, name: str, address: str) -> None:
        """Make the network of one node and plug it in. It outlives the node's power cuts, as a cable does."""
        wire = self._machine(f"wire-{name}", ["sleep", "infinity"], inside=("unshare", "--net", "--uts"))
        self.machines[f"wire-{name}"] = wire
        self.wait_for(wire.processes, "the network of a node")
        self.in_switch("ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", str(wire.first.pid))
        self.in_switch("ip", "link", "set", f"to-{name}", "master", "br0", "up")
        for command in (f"hostname {name}", "ip link set lo up", f"ip addr add {address} dev eth0", "ip link set eth0 up"):
            subprocess.run([*entered(wire), *command.split()], check=True)

    def in_switch(self, *argv: str) -> None:
        subprocess.run([*entered(self.machines["switch"]), *argv], check=True)

    def _start_munge(self) -> None:
        run = self.folder / "run"
        files = [f"--socket={run}/munge.sock", f"--pid-file={run}/munged.pid", f"--log-file={self.folder}/log/munged.log"]
        keys = [f"--key-file={self.folder}/munge.key", f"--seed-file={self.folder}/munge.seed"]
        self.machines["munge"] = self._machine("munge", ["munged", "--foreground", "--force", "--num-threads=2", *files, *keys])
        first = self.machines["munge"].first
        self.wait_for(lambda: (run / "munge.sock").exists() or first.poll() is not None, "munged listening")
        if first.poll() is not None:
            raise Refused(f"munged does not start here: {self._errors()[-500:]}")

    def start_slurmctld(self, *options: str) -> None:
        inside = entered(self.machines["switch"]) if self.hosts else ()
        self.machines["controller"] = self._machine("controller", ["slurmctld", "-D", *options], inside=inside)

    def start_slurmd(self, name: str) -> None:
        inside = entered(self.machines[f"wire-{name}"]) if self.hosts else ()
        self.machines[name] = self._machine(name, ["slurmd", "-D", "-N", name], inside=inside)

    def _machine(self, name: str, command: list[str], inside: tuple[str, ...] = ()) -> Machine:
        command[0] = program(command[0]) or command[0]
        env = {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "SLURM_CONF": self.conf, "LANG": "C.UTF-8"}
        return Machine(command, env, self.folder / "log" / f"{name}.out", inside)

    def answers(self) -> bool:
        """Whether the controller answers, and every node that is on has told it who it is."""
        states = [self.node_state(name) for name in NODES if name in self.machines]
        return all(state and not state.endswith("*") and not state.startswith("unk") for state in states)

    def _died(self) -> bool:
        """Whether a daemon ended again right after it was started."""
        return any(machine.first.poll() is not None for machine in self.machines.values())

    def _errors(self) -> str:
        return "".join(path.read_text(errors="replace")[-1000:] for path in (self.folder / "log").iterdir())

    def cut_all(self) -> None:
        """The nodes first: a controller that is gone could not tell them anything anyway."""
        for name in sorted(self.machines, key=lambda name: name not in NODES):
            self.machines.pop(name).cut()


def node_address(number: int) -> str:
    """Address of a node that has a network of its own."""
    return f"10.77.0.{11 + number}"


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, below those the kernel gives to outgoing connections."""
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 200):
        with socket.socket() as trial:
            try:
                trial.bind(("", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free port was found")


def user_name() -> str:
    """Account the daemons and the tests run as."""
    return pwd.getpwuid(os.geteuid()).pw_name
