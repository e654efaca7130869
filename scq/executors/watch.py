"""Looking at a running job: what all its processes use together, and whether that is more than they may.

Source of the formats: proc(5), `stat` and `smaps_rollup`.
"""

from __future__ import annotations

import os
import signal
import time

from msgspec import Struct

from scq.executors.diskuse import DiskUse
from scq.executors.processes import GONE, descendants
from scq.model import Cause, Limits, Usage

FIRST_S, SHORTEST_S, LONGEST_S = 0.02, 0.05, 0.5
SHARE = 20
"""A look may take one part in this many of the time."""
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")


class Breach(Struct, frozen=True):
    """A limit that was exceeded, and one sentence on by how much."""

    cause: Cause
    detail: str


class Sample(Struct):
    """What the processes of a job use at one moment; `cpu_s` also holds what their waited-for children used."""

    cpu_s: float = 0.0
    memory: int = 0
    tasks: int = 0


class Watch:
    """Watches everything below this process. `wrappers` are processes of the box, whose memory and number do not count."""

    def __init__(self, limits: Limits, work: str) -> None:
        self.limits = limits
        self.wrappers: set[int] = set()
        self.due = time.monotonic() + FIRST_S
        self.cpu_s = 0.0
        self.memory = 0
        self._live: dict[tuple[int, int], float] = {}
        self._gone_s = 0.0
        self._disk = None if limits.disk is None or not work else DiskUse(work, limits.disk)

    def look(self, reaped_s: float) -> Breach | None:
        """Look once; the limit that is exceeded, if one is. `reaped_s` is the CPU time of children waited for by now."""
        began = time.monotonic()
        breach = self._processes(reaped_s)
        took = time.monotonic() - began
        if breach is None and self._disk is not None and (seen := self._disk.step()) is not None:
            breach = Breach("disk", f"disk limit {self.limits.disk} bytes, at least {seen} seen")
        # The walk over the disk keeps within limits of its own.
        self.due = time.monotonic() + min(max(SHARE * took, SHORTEST_S), LONGEST_S)
        return breach

    def _processes(self, reaped_s: float) -> Breach | None:
        limits, sample, pids = self.limits, Sample(), []
        seen: dict[tuple[int, int], float] = {}
        for pid in descendants(os.getpid()):
            if _add(sample, pid, counted=pid not in self.wrappers, own=seen):
                pids.append(pid)
            if limits.processes is not None and sample.tasks > limits.processes:
                # Not one more is read: where they multiply, every moment counts.
                return Breach("processes", f"processes limit {limits.processes}, at least {sample.tasks} seen")
        self._note(seen)
        # The second sum holds what nobody waited for, such as children of a process that ignores their ends.
        self.cpu_s = max(self.cpu_s, reaped_s + sample.cpu_s, self._gone_s + sum(seen.values()))
        if limits.memory is not None and sample.memory > limits.memory:
            sample.memory = min(sample.memory, proportional(pids, sample.memory))
        self.memory = max(self.memory, sample.memory)
        if limits.memory is not None and sample.memory > limits.memory:
            return Breach("memory", f"memory limit {limits.memory} bytes, {sample.memory} seen")
        if limits.cpu_s is not None and self.cpu_s > limits.cpu_s:
            return Breach("cpu", f"cpu limit {limits.cpu_s:g} s, {self.cpu_s:.2f} s seen")
        return None

    def _note(self, seen: dict[tuple[int, int], float]) -> None:
        self._gone_s += sum(used for key, used in self._live.items() if key not in seen)
        self._live = seen


def reached(limits: Limits, code: int, used: Usage) -> Breach | None:
    """The limit behind an exit code that looks like a kernel's signal for one, None when there is none.

    A shell and a box hand on the end of their child as 128 and the signal, so both look alike here.
    """
    used_s = used.cpu_s or 0.0
    spent = code == 128 + signal.SIGXCPU or (code == 128 + signal.SIGKILL and used_s >= (limits.cpu_s or 0.0))
    if limits.cpu_s is not None and spent:
        return Breach("cpu", f"cpu limit {limits.cpu_s:g} s, {used_s:.2f} s used")
    if limits.file_size is not None and code == 128 + signal.SIGXFSZ:
        return Breach("disk", f"file_size limit {limits.file_size} bytes, a file would have become larger")
    return None


def _add(sample: Sample, pid: int, *, counted: bool, own: dict[tuple[int, int], float]) -> bool:
    """Add one process to a sample, its own CPU time to `own` by number and start; False when it does not count or has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except GONE:
        return False
    user, system, children_user, children_system = map(int, fields[11:15])
    own[pid, int(fields[19])] = (user + system) / TICKS
    sample.cpu_s += (user + system + children_user + children_system) / TICKS
    if not counted:
        return False
    sample.tasks += max(int(fields[17]), 1)
    sample.memory += int(fields[21]) * PAGE
    return True


def proportional(pids: list[int], otherwise: int) -> int:
    """Bytes used by processes where a page that several share counts once; `otherwise` when the kernel does not tell.

    Exact but slow, so it is asked only when the plain sum is over the limit.
    """
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                rows = [line.split() for line in file if line.startswith(b"Pss:")]
        except PermissionError:
            return otherwise
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(row[1]) * 1024 for row in rows)
    return total
