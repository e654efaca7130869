"""Limits on a box as a whole, kept by the kernel: the box runs in a scope of systemd with a control group of its own.

Source of the formats: systemd-run(1), systemd.resource-control(5), and `memory.events`, `pids.events` of the kernel's cgroup-v2.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

from msgspec.structs import replace

from scq.executors.processes import GONE
from scq.executors.spawning import primary_group
from scq.executors.watch import Breach
from scq.model import Limits
from scq.ports import Invocation

BOOTED = "/run/systemd/system"
TREE = "/sys/fs/cgroup"
PROBE_S = 3.0
WRAPPERS = 2
"""Processes of the box itself."""
NEEDED_VARIABLES = ("PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


def usable() -> bool:
    """True when this machine runs systemd and it gives us a scope in which descriptors are still open. Asked once per call."""
    if not os.path.isdir(BOOTED):
        return False
    scope = Scope(Limits(memory=1 << 30, processes=64))
    reader, writer = os.pipe()
    try:
        probe = scope.around(Invocation(("/bin/bash", "-c", f"cat /proc/self/cgroup >&{writer}"), {}, "/"))
        found = subprocess.run(
            probe.argv, env=dict(probe.env), capture_output=True, pass_fds=[writer], timeout=PROBE_S, check=False
        )
        os.set_blocking(reader, False)
        said = os.read(reader, 4096).decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        os.close(reader)
        os.close(writer)
    return found.returncode == 0 and folder_of(said, scope.unit) is not None


class Scope:
    """A scope for one box. `folder` is its control group, None until the box was seen in it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.unit = f"scq-{os.urandom(8).hex()}.scope"
        self.folder: str | None = None

    def around(self, invocation: Invocation) -> Invocation:
        """The same with the box inside the scope. The environment is the one systemd-run needs; that of the box stays empty."""
        argv = (*self._options(), "--", *_dropped(invocation.uid), "env", "-i", *invocation.argv)
        found = {name: os.environ[name] for name in NEEDED_VARIABLES if name in os.environ}
        return replace(invocation, argv=argv, env=found, uid=None)

    def look(self, pid: int) -> Breach | None:
        """The limit that the kernel had to enforce on the box of this process, if one."""
        if self.folder is None:
            try:
                with open(f"/proc/{pid}/cgroup") as file:
                    self.folder = folder_of(file.read(), self.unit)
            except GONE:
                return None
        return None if self.folder is None else events(self.folder, self.limits)

    def behind(self, code: int, seen: int) -> Breach | None:
        """The limit behind an exit code, where `seen` is the memory the watch saw.

        The group goes with its last process, and what the kernel counted with it: then SIGKILL near the limit has to do.
        """
        if self.folder is None or code == 0:
            return None
        near = self.limits.memory is not None and 2 * seen >= self.limits.memory
        if code == 128 + signal.SIGKILL and near:
            return Breach("memory", f"memory limit {self.limits.memory} bytes, the kernel ended a process")
        return events(self.folder, self.limits)

    def _options(self) -> Iterator[str]:
        yield from ("systemd-run", "--scope", "--quiet", "--collect", f"--unit={self.unit}")
        if os.geteuid() != 0:
            yield "--user"
        if self.limits.memory is not None:
            yield from (f"--property=MemoryMax={self.limits.memory}", "--property=MemorySwapMax=0")
        if self.limits.processes is not None:
            yield f"--property=TasksMax={self.limits.processes + WRAPPERS}"


def _dropped(uid: int | None) -> tuple[str, ...]:
    if uid is None or uid == os.geteuid():
        return ()
    return ("setpriv", f"--reuid={uid}", f"--regid={primary_group(uid)}", "--clear-groups", "--")


def folder_of(membership: str, unit: str) -> str | None:
    """The control group named in a `/proc/<pid>/cgroup`, None while it is another than the scope's."""
    for line in membership.splitlines():
        number, _, path = line.partition("::")
        if number == "0" and path.endswith(f"/{unit}"):
            return TREE + path
    return None


def events(folder: str, limits: Limits) -> Breach | None:
    """The limit that the kernel had to enforce in a control group, None when there was none or the group has gone."""
    if limits.memory is not None and _count(folder, "memory.events", "oom_kill"):
        return Breach("memory", f"memory limit {limits.memory} bytes, the kernel ended a process")
    if limits.processes is not None and _count(folder, "pids.events", "max"):
        return Breach("processes", f"processes limit {limits.processes}, the kernel refused more")
    return None


def _count(folder: str, name: str, key: str) -> int:
    try:
        with open(os.path.join(folder, name)) as file:
            pairs = dict(line.split() for line in file)
    except (OSError, ValueError):  # ended, and the group with it
        return 0
    return int(pairs.get(key, "0"))
