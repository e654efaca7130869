"""Measuring one process: wall clock, CPU time, peak memory, and what it asked the file system for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from msgspec import Struct

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
"""Nothing of the caller's: variables would change what is measured."""


def _command() -> tuple[str, ...]:
    """The installed console script, or what it does where the package is only importable."""
    script = Path(sys.executable).with_name("scq")
    if script.exists():
        return (str(script),)
    return (sys.executable, "-c", "import sys; from scq.__main__ import main; sys.exit(main())")


SCQ = _command()


class Cost(Struct, frozen=True):
    """The least disturbed of several repetitions: milliseconds, and MiB of peak resident memory."""

    wall_ms: float
    cpu_ms: float
    rss_mib: float


class Added(Struct, frozen=True):
    """What something adds to a call: median of the differences between neighbouring calls without and with it."""

    wall_ms: float
    cpu_ms: float
    rss_mib: float


class Calls(Struct, frozen=True):
    """System calls below one folder."""

    stats: int
    folder_opens: int
    file_opens: int


def measure(command: list[str] | tuple[str, ...], repeat: int = 5, before: Callable[[], object] | None = None) -> Cost:
    """Run a command several times; `before` is called ahead of each and not measured. Raises RuntimeError when it fails."""
    costs = []
    for _ in range(repeat):
        if before is not None:
            before()
        costs.append(_once(command))
    return Cost(
        min(cost.wall_ms for cost in costs),
        min(cost.cpu_ms for cost in costs),
        max(cost.rss_mib for cost in costs),
    )


def added(command: list[str], repeat: int, before: Callable[[], object]) -> Added:
    """What `before` adds to a command. Neighbouring calls are compared, so that other work on the machine matters less."""
    walls, cpus, peaks = [], [], []
    for _ in range(repeat):
        without = _once(command)
        before()
        with_it = _once(command)
        walls.append(with_it.wall_ms - without.wall_ms)
        cpus.append(with_it.cpu_ms - without.cpu_ms)
        peaks.append(with_it.rss_mib)
        _once(command)
    return Added(median(walls), median(cpus), max(peaks))


LAUNCHER = """
import os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in (0, 1, 2)]
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, used = os.wait4(pid, 0)
wall = time.perf_counter() - began
print(wall, used.ru_utime + used.ru_stime, used.ru_maxrss, os.waitstatus_to_exitcode(status))
"""
"""Starts a command from a small process: the peak memory of a process begins with that of the one that started it."""


def _once(command: list[str] | tuple[str, ...]) -> Cost:
    launched = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    done = subprocess.run(launched, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    wall, cpu, peak, code = (float(word) for word in done.stdout.split())
    if code != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {code:.0f}")
    return Cost(wall * 1e3, cpu * 1e3, peak / 1024)


def can_trace() -> bool:
    """True when strace is there and works."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], check=False).returncode == 0


STAT = re.compile(r'(?:newfstatat|lstat|stat|statx)\((?:(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, )?"([^"]*)"')
OPEN = re.compile(r'openat\((?:AT_FDCWD|\d+)<([^>]*)>, "([^"]*)", ([A-Z_|]+)')


def traced(command: list[str], folder: Path) -> Calls:
    """Count the calls of one run that name something below a folder."""
    with tempfile.NamedTemporaryFile("r") as log:
        trace = ["strace", "-f", "-y", "-qq", "-o", log.name, "-e", "trace=%file"]
        subprocess.run([*trace, *command], env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)
        lines = log.read().splitlines()

    def is_below(found: re.Match[str]) -> bool:
        return os.path.join(found[1] or "", found[2]).startswith(f"{folder}/")

    stats = sum(1 for line in lines if (found := STAT.search(line)) and is_below(found))
    opens = [found[3] for line in lines if (found := OPEN.search(line)) and is_below(found)]
    folders = sum(1 for flags in opens if "O_DIRECTORY" in flags)
    return Calls(stats, folders, len(opens) - folders)
