"""Emulated machines: every process that is started on one can be listed, and cut off with all others at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

INIT = str(Path(__file__).with_name("init.py"))


class Machine:
    """One emulated machine: its first process and everything below it."""

    def __init__(self, command: list[str], env: Mapping[str, str], log: Path, inside: tuple[str, ...] = ()) -> None:
        self.log = log
        with log.open("ab") as output:
            self.first = subprocess.Popen(
                [*inside, sys.executable, "-I", "-S", INIT, *command],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def processes(self) -> list[int]:
        """Everything alive on it, its first process left out."""
        children = family()
        found: list[int] = []
        waiting = [self.first.pid]
        while waiting:
            below = children.get(waiting.pop(), [])
            found += below
            waiting += below
        return found

    def cut(self) -> None:
        """Pull the plug: nothing on it gets to do anything any more. Doing it again changes nothing."""
        while living := self.processes():
            # Stopped first, so that none of them notices the end of another.
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in living:
                    send(pid, number)
            time.sleep(0.005)
        self.first.kill()
        self.first.wait()


def entered(machine: Machine) -> tuple[str, ...]:
    """What to put before a command that is to run in the namespaces of a machine."""
    pid = machine.first.pid
    return ("nsenter", f"--net=/proc/{pid}/ns/net", f"--uts=/proc/{pid}/ns/uts")


def program(name: str) -> str | None:
    """Where a program lies; daemons often are in folders that are not on an ordinary user's PATH."""
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def family() -> dict[int, list[int]]:
    """Children of every process, ended ones left out."""
    children: dict[int, list[int]] = {}
    for pid, state, parent in every_process():
        if state not in "ZX":
            children.setdefault(parent, []).append(pid)
    return children


def every_process() -> Iterator[tuple[int, str, int]]:
    """Number, state and parent of every process."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                words = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            yield int(name), words[0], int(words[1])


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may have ended meanwhile."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def command_name(pid: int) -> str:
    """Name of a process, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def described(pid: int) -> str:
    """A process as `ps` would show it."""
    try:
        return f"{pid} {Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ').decode(errors='replace')}"
    except (FileNotFoundError, ProcessLookupError):
        return f"{pid} (ended)"
