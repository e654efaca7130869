"""The first process of an emulated machine: whatever is started on it, however often it forks, stays its descendant.

Called as `python -I -S init.py COMMAND…`. When the process that started it is killed, so is the whole machine. Standard library
only, so that it starts in milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main(command: list[str]) -> None:
    """Start the command, then collect whoever ends, until nobody is left."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.fork() == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.execvp(command[0], command)
    signal.signal(signal.SIGTERM, lambda *_: end_all())
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def end_all() -> None:
    """Kill every descendant: those of a process that ends become children of this one, and have their turn."""
    while below := children():
        for pid in below:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    os._exit(0)


def children() -> list[int]:
    """Processes whose parent this one is."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(word) for word in file.read().split()]


if __name__ == "__main__":
    main(sys.argv[1:])
