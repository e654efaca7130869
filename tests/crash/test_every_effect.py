"""Killed before each system call that changes something: the real command line in a process of its own, under strace.

strace counts the calls of one name in one process and sends SIGKILL at the one that is asked for, before it takes effect. With
`--seccomp-bpf` it would send nothing, so every kill is seen to have happened. Left out are `openat` and `fsync`: a kill before
one of them leaves what a kill before the next call leaves. The supervisors of jobs are killed in test_killed_in_process.py.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.crash.world import Expected, World, expected, holds, nothing_half_visible
from tests.people import Person

REPOSITORY = Path(__file__).resolve().parents[2]
CALLS = (
    *("mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "link", "linkat", "symlink"),
    *("symlinkat", "write", "pwrite64", "ftruncate", "chmod", "fchmod", "fchmodat", "copy_file_range", "sendfile"),
)
KILLED = {-signal.SIGKILL, 128 + signal.SIGKILL}
_IN_VAIN = re.compile(r".* = -1 E[A-Z]+ \(.*\)")

TRACED = [
    ("c0", "check", "unseen", 2),
    ("a3", "approve", "seen", 3),
    ("c0", "run-approved", "approved", 2),
    ("c0", "rerun", "finished", 3),
    ("b2", "share", "finished", 2),
]
"""The last number: of how many system calls one is tried. All other pairs, and every effect of some of these, are in
test_killed_in_process.py, which is faster."""


class Point(NamedTuple):
    """The call of that name and number in one process."""

    name: str
    number: int


@pytest.fixture(scope="module")
def strace(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a strace that may trace here; skips where there is none."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not installed")
    log = tmp_path_factory.mktemp("strace") / "log"
    tried = subprocess.run([found, "-qq", "-o", str(log), "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"strace cannot trace here: {tried.stderr.strip()}")
    return found


@pytest.mark.parametrize(("generation", "verb", "stage", "every"), TRACED)
def test_a_call_killed_at_any_system_call_is_as_if_made_or_not_made(
    tmp_path: Path, strace: str, generation: str, verb: str, stage: str, every: int
) -> None:
    world = World(tmp_path, generation, stage)
    command = command_line(world.owner, verb, world.uid)
    wanted = expected(world, lambda: subprocess.run(command, cwd=REPOSITORY, env=environment(), check=True, capture_output=True))
    points = effects(strace, command, tmp_path / "trace")[::every]
    assert len(points) > 5
    for turn, point in enumerate(points):
        world.restore()
        ended = killed_at(strace, command, point, tmp_path / "trace")
        assert ended.returncode in KILLED, f"{point} was not reached: {ended}"
        assert ended.stderr == b""
        survives(world, wanted, f"{verb} killed before {point}", said=ended.stdout, run_first=turn % 2 == 0)


def command_line(person: Person, verb: str, uid: str) -> list[str]:
    words = [verb] if verb in ("check", "run-approved") else [verb, uid]
    place = ["--home", str(person.home), "--root", str(person.root), "--email", person.email]
    return [sys.executable, "-m", "scq", *place, *words]


def environment() -> dict[str, str]:
    """Nothing is compiled meanwhile, so that nothing but scq writes."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def effects(strace: str, command: list[str], trace: Path) -> list[Point]:
    """The calls of a command's own process that changed something. Leaves a changed world."""
    arguments = [strace, "-qq", "-o", str(trace), "-e", f"trace={','.join(CALLS)}"]
    subprocess.run([*arguments, *command], cwd=REPOSITORY, env=environment(), check=True, capture_output=True)
    counts: Counter[str] = Counter()
    points = []
    for line in trace.read_text(errors="replace").splitlines():
        name, bracket, _ = line.partition("(")
        if not bracket or name not in CALLS:
            continue
        counts[name] += 1
        if _IN_VAIN.fullmatch(line) is None:
            points.append(Point(name, counts[name]))
    return points


def killed_at(strace: str, command: list[str], point: Point, trace: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command and kill its own process, not one it forks, at a point."""
    inject = [f"trace={point.name}", "-e", f"inject={point.name}:signal=KILL:when={point.number}"]
    arguments = [strace, "-o", str(trace), "-e", *inject]
    return subprocess.run([*arguments, *command], cwd=REPOSITORY, env=environment(), check=False, capture_output=True)


def survives(world: World, wanted: Expected, what: str, *, run_first: bool, said: bytes = b"") -> None:
    try:
        world.wait_for_runs()
        nothing_half_visible(world)
        world.go_on(run_first=run_first)
        holds(world, Expected(wanted.made, wanted.made) if said else wanted)
    except AssertionError as error:
        error.add_note(what)
        raise
