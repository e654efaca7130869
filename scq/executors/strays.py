"""What a run left alive when its supervisor was killed: found by its marks and ended.

The kernel keeps no handle to such processes, so there are two marks: the session of the job, and a working directory inside the
run. Both are believed only for processes that are younger than the run and of the same boot.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

from scq.executors.processes import GONE, PAUSE_S, Process, all_pids, boot_id, read_process, send
from scq.executors.rundir import Started, read_started

PATIENCE_S = 5.0


def end_strays(directory: str) -> int:
    """SIGKILL every process still alive of a run whose supervisor is dead. Returns how many would not die in five seconds."""
    started = read_started(directory)
    if started is None or started.boot != boot_id():
        return 0
    give_up = time.monotonic() + PATIENCE_S
    while alive := list(strays(directory, started)):
        for process in alive:
            send(process.pid, signal.SIGKILL)
        if time.monotonic() > give_up:
            return len(alive)
        time.sleep(PAUSE_S)
    return 0


def strays(directory: str, started: Started) -> Iterator[Process]:
    """The processes of a run, as far as they can be told from all others."""
    ours = _own_line()
    # The supervisor is dead. A live process with its number is somebody else, and so are all in that session.
    leader = read_process(started.session)
    session = started.session if leader is None or leader.ticks == started.ticks else -1
    folders = tuple(os.path.realpath(folder) for folder in (directory, started.cwd) if folder != "/")
    for pid in all_pids():
        process = read_process(pid)
        if process is None or process.ticks < started.ticks or pid in ours or process.state in "ZX":
            continue
        # Somebody's shell may stand in the folder to look around: it has a terminal, a job has none.
        if process.session == session or (process.tty == 0 and _works_in(pid, folders)):
            yield process


def _own_line() -> set[int]:
    """This process and its ancestors."""
    found: set[int] = set()
    process = read_process(os.getpid())
    while process is not None and process.pid not in found:
        found.add(process.pid)
        process = read_process(process.parent)
    return found


def _works_in(pid: int, folders: tuple[str, ...]) -> bool:
    try:
        place = os.readlink(f"/proc/{pid}/cwd").removesuffix(" (deleted)")
    except GONE:
        return False
    return any(place == folder or place.startswith(f"{folder}/") for folder in folders)
