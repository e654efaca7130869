"""What nobody can be faster than, measured in the same run."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from benchmarks.measuring import Cost, measure

WALK = """
import os, sys
stack = [sys.argv[1]]
while stack:
    with os.scandir(stack.pop()) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                stack.append(entry.path)
"""


def interpreter(repeat: int) -> Cost:
    """A bare interpreter, as a console script starts it."""
    return measure((sys.executable, "-c", "pass"), repeat)


def walk(folder: Path, repeat: int) -> Cost:
    """Listing and lstat of every entry below a folder, in a bare interpreter."""
    return measure((sys.executable, "-c", WALK, str(folder)), repeat)


def script(path: Path, repeat: int) -> Cost:
    """The job itself, without scq."""
    return measure(("/bin/bash", str(path)), repeat)


def box(repeat: int) -> Cost:
    """An empty command in the plainest box."""
    program = shutil.which("bwrap") or "bwrap"
    return measure((program, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"), repeat)


def fsync_ms(folder: Path) -> float:
    """Making one small file durable, milliseconds."""
    path = folder / "fsync.tmp"
    best = 1e9
    for _ in range(20):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"x" * 4096)
        began = time.perf_counter()
        os.fsync(fd)
        best = min(best, time.perf_counter() - began)
        os.close(fd)
        path.unlink()
    return best * 1e3
