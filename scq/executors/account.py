"""What a job used, put together from what the kernel says at the end of each process and what the watch saw."""

from __future__ import annotations

import resource
from collections.abc import Mapping

from scq.executors.processes import Reaped
from scq.model import Usage

MARGIN = 1 << 20


class Account:
    """The ended children of a supervisor. Made right after the job was started."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self._ended: dict[int, Reaped] = {}
        # The kernel also counts what a process was before it became another program: a copy of this one.
        self._copied = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + MARGIN

    def note(self, ended: Mapping[int, Reaped]) -> None:
        """Add children that have ended."""
        self._ended |= ended
        self.cpu_s += sum(one.cpu_s for one in ended.values())

    def usage(self, main: int, inside: int, seen_cpu_s: float, seen_memory: int) -> Usage:
        """`main` is the process that was started, `inside` the first one in its box (0: there is no box).

        The box's own process is left out where the job came back by itself; otherwise it holds what the job used.
        """
        ended = {pid: one for pid, one in self._ended.items() if not (pid == main and inside in self._ended)}
        largest = [one.memory for pid, one in ended.items() if pid != main or one.memory > self._copied]
        cpu_s = max(seen_cpu_s, sum(one.cpu_s for one in ended.values()))
        return Usage(round(cpu_s, 3), max(seen_memory, *largest, 0) or None)
