"""Limits the kernel keeps for a job, process by process, from its first instruction on. Source of their meaning: getrlimit(2)."""

from __future__ import annotations

import math
import os
import resource

from scq.model import Limits
from scq.ports import Task

BACKSTOP = 2
"""A process may ask for this many times the memory limit: what it asks for is not what it uses."""
CPU_GRACE_S = 2
"""Between SIGXCPU, which a process can ignore, and SIGKILL."""


def kernel_limits(limits: Limits, machine_tasks: int) -> dict[int, tuple[int, int]]:
    """(soft, hard) by `resource.RLIMIT_…`, none of them above what this process has itself, so that setting them cannot fail.

    The kernel counts `RLIMIT_NPROC` over everything a user runs, so the processes of the machine are added to the limit: the job
    must not fail for what others run. It is only a backstop of the watch.
    """
    wanted: dict[int, tuple[int, int]] = {resource.RLIMIT_CORE: (0, 0)}
    if limits.cpu_s is not None:
        seconds = _cpu_seconds(limits.cpu_s)
        wanted[resource.RLIMIT_CPU] = seconds, seconds + CPU_GRACE_S
    if limits.memory is not None:
        wanted[resource.RLIMIT_DATA] = _same(limits.memory * BACKSTOP)
    if limits.processes is not None:
        wanted[resource.RLIMIT_NPROC] = _same(limits.processes + machine_tasks)
    if limits.open_files is not None:
        wanted[resource.RLIMIT_NOFILE] = _same(limits.open_files)
    if limits.file_size is not None:
        wanted[resource.RLIMIT_FSIZE] = _same(limits.file_size)
    return {number: _within(pair, resource.getrlimit(number)[1]) for number, pair in wanted.items()}


def _cpu_seconds(limit_s: float) -> int:
    """What the kernel allows each process: a little more, so that the watch, which adds all of them up, sees it first."""
    return math.ceil(limit_s) + 1


def machine_tasks() -> int:
    """How many processes and threads the machine runs now."""
    with open("/proc/loadavg", "rb") as file:
        return int(file.read().split()[3].partition(b"/")[2])


def enforced(task: Task, *, in_group: bool = False) -> tuple[str, ...]:
    """What holds a job to each of its limits, one line each; a limit that is not held has none.

    `in_group` says that a control group holds all its processes together.
    """
    limits, found = task.limits, [f"wall {task.timeout_s:g} s: supervisor", f"log_bytes {task.log_limit}: supervisor"]
    if limits.cpu_s is not None:
        found.append(f"cpu {limits.cpu_s:g} s: watched, {_cpu_seconds(limits.cpu_s)} s per process by the kernel")
    if limits.memory is not None:
        watched = f"watched, at most {BACKSTOP}x per process by the kernel"
        found.append(f"memory {limits.memory}: {'cgroup' if in_group else watched}")
    if limits.processes is not None:
        uid = os.geteuid() if task.invocation.uid is None else task.invocation.uid
        kernel = ", the kernel does not limit root" if uid == 0 else ", with all of the user's others by the kernel"
        found.append(f"processes {limits.processes}: {'cgroup' if in_group else 'watched' + kernel}")
    if limits.open_files is not None:
        found.append(f"open_files {limits.open_files}: kernel, per process")
    if limits.file_size is not None:
        found.append(f"file_size {limits.file_size}: kernel")
    if limits.disk is not None and task.work:
        found.append(f"disk {limits.disk}: watched")
    return tuple(found)


def _same(value: int) -> tuple[int, int]:
    return value, value


def _within(pair: tuple[int, int], hard: int) -> tuple[int, int]:
    if hard == resource.RLIM_INFINITY:
        return pair
    return min(pair[0], hard), min(pair[1], hard)
