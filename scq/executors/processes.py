"""Linux processes: becoming the one who inherits orphans, finding every descendant, and ending them all.

Source of the formats: proc(5) (`stat`, `status`, `task/*/children`) and prctl(2).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

from msgspec import Struct

from scq.errors import ConfigError

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PAUSE_S = 0.002
GONE = (FileNotFoundError, ProcessLookupError, PermissionError)
"""How /proc says that a process has ended meanwhile, or is hidden from us."""


class Process(Struct, frozen=True):
    """What `/proc/<pid>/stat` says: `tty` is 0 without a terminal, `ticks` the start time in clock ticks since boot.

    `state` is one letter, `Z` for one that has ended and was not waited for.
    """

    pid: int
    state: str
    parent: int
    session: int
    tty: int
    ticks: int


def read_process(pid: int) -> Process | None:
    """One process, None when it has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command name stands in brackets and may itself hold brackets and blanks.
            fields = file.read().rpartition(b")")[2].split()
    except GONE:
        return None
    parent, session, tty, ticks = (int(fields[index]) for index in (1, 3, 4, 19))
    return Process(pid, fields[0].decode(), parent, session, tty, ticks)


def all_pids() -> list[int]:
    """Every process number that can be seen now."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def boot_id() -> str:
    """Differs after every start of the machine."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def require_process_tree() -> None:
    """Raise ConfigError where children of a process cannot be listed: a time limit could not be kept there."""
    if not os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children"):
        raise ConfigError(
            "/proc/<pid>/task/<tid>/children is missing, so a job could not be stopped with everything it started",
            "Run scq on Linux with /proc mounted and a kernel built with CONFIG_PROC_CHILDREN.",
        )


def children(pid: int) -> list[int]:
    """Direct children of a process, of all its threads; empty when it has gone."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
    except GONE:
        return found
    return found


def descendants(pid: int) -> Iterator[int]:
    """Every process below one, parents first."""
    waiting = children(pid)
    while waiting:
        child = waiting.pop(0)
        yield child
        waiting += children(child)


def is_boxed(pid: int) -> bool:
    """True for a process inside a further pid namespace."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("NSpid:"):
                    return len(line.split()) > 2
    except GONE:
        return False
    return False


def send(pid: int, number: int) -> bool:
    """Send a signal; False when the process has gone or is not ours to signal."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def send_group(pid: int, number: int) -> bool:
    """Send a signal to a whole process group at once; False when none of it is left."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def ask_to_end() -> None:
    """SIGTERM to every descendant of this process.

    Where some of them live in a box of their own, only those are asked: the box would take them down without a grace period.
    """
    found = list(descendants(os.getpid()))
    boxed = [pid for pid in found if is_boxed(pid)]
    for pid in boxed or found:
        send(pid, signal.SIGTERM)


class Reaped(Struct, frozen=True):
    """A child that has ended, with the children it waited for: wait status, their CPU seconds, resident bytes of the largest."""

    status: int
    cpu_s: float
    memory: int


def reap() -> dict[int, Reaped] | None:
    """The children that have ended by now; None when there is no child left at all."""
    ended: dict[int, Reaped] = {}
    while True:
        try:
            pid, status, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return ended or None
        if pid == 0:
            return ended
        ended[pid] = Reaped(status, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def end_all(patience_s: float) -> tuple[dict[int, Reaped], int]:
    """SIGKILL every descendant until none is left: (the direct ones that ended, number that would not die).

    Needs to be the subreaper of its descendants, so that orphans come back to it and nothing gets away.
    """
    ended: dict[int, Reaped] = {}
    give_up = time.monotonic() + patience_s
    while (now_ended := reap()) is not None:
        ended |= now_ended
        alive = list(descendants(os.getpid()))
        for pid in alive:
            send(pid, signal.SIGKILL)
        if time.monotonic() > give_up:
            return ended, len(alive)
        if not now_ended:
            time.sleep(PAUSE_S)
    return ended, 0


def become_supervisor(parent: int) -> bool:
    """Inherit orphaned descendants, and get SIGTERM when the parent dies. False when it is dead already.

    Raises OSError when the kernel refuses.
    """
    inherit_orphans()
    _control(PR_SET_PDEATHSIG, int(signal.SIGTERM))
    return os.getppid() == parent


def inherit_orphans() -> None:
    """Make this process the parent of descendants whose own parent dies. Raises OSError when the kernel refuses."""
    _control(PR_SET_CHILD_SUBREAPER, 1)


def _control(option: int, value: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
