"""Killed before each of its effects, in this process: every verb that writes, in every generation.

The call is made in a fork whose `os` functions count; the one that reaches the number kills its process with SIGKILL, be it the
call itself or the supervisor of a job. So no clean-up code runs, as in a real crash. A second round raises instead, as Ctrl-C
does.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.crash.world import World, expected, holds, nothing_half_visible

EFFECTS = ("replace", "rename", "unlink", "remove", "rmdir", "mkdir", "link", "fchmod")
"""A kill before an fsync leaves what a kill before the next effect leaves; only a run can tell (see below)."""
ENOUGH = 400
"""No call has so many effects; a loop that gets here does not end."""

GENERATIONS = ("a3", "b0", "b1", "b2", "c0", "c1")
CALLS = (
    ("submit", "empty"),
    ("approve", "seen"),
    ("reject", "seen"),
    ("run-approved", "approved"),
    ("rerun", "finished"),
    ("release", "finished"),
    ("withhold", "finished"),
    ("cleanup", "finished"),
)
LONG = ("run-approved", "rerun", "release", "cleanup")
"""Calls with so many effects that one generation of each family has to do; the others write with the same code."""
STEPS = {"c0": 1, "a3": 2}
"""Of how many effects one is tried, by generation: every one in the present form, each second in the oldest one."""
EVERY = 3
"""The same for the other generations, which write with the same code as one of these two."""
EVERYWHERE = [
    (generation, verb, stage)
    for generation in GENERATIONS
    for verb, stage in CALLS
    if verb not in LONG or generation in ("a3", "b0", "c0")
    if (generation, verb) != ("c0", "run-approved")  # killed at its system calls in test_every_effect, and as a part of `cycle`
]
LOOKS = [(generation, "check", stage) for generation in ("a3", "c0") for stage in ("unseen", "expected")]
CYCLES = [("c0", "cycle", "approved")]
UNSEEN = [("b2", "approve", "unseen"), ("c1", "reject", "unseen"), ("a3", "run-approved", "seen")]


@pytest.mark.parametrize(("generation", "verb", "stage"), [*EVERYWHERE, *LOOKS, *CYCLES, *UNSEEN])
def test_a_call_killed_before_any_effect_is_as_if_made_or_not_made(
    tmp_path: Path, generation: str, verb: str, stage: str
) -> None:
    world = World(tmp_path, generation, stage)
    # A supervisor syncs the note that the job is about to start, then starts it: what it does next is no effect of its own.
    effects = (*EFFECTS, "fsync") if verb in ("run-approved", "cycle") else EFFECTS
    die_everywhere(
        world, verb, effects, lambda: os.kill(os.getpid(), signal.SIGKILL), tmp_path / "reached", numbers=tried(generation, verb)
    )


def tried(generation: str, verb: str) -> range:
    """Numbers of the effects to die at."""
    if verb == "cycle":  # its steps are the calls above; what is its own is what lies between them
        return range(1, ENOUGH, 2 * EVERY)
    step = STEPS.get(generation, EVERY) if (generation, verb) != ("a3", "run-approved") else 1
    return range(1 + GENERATIONS.index(generation) % step, ENOUGH, step)


@pytest.mark.parametrize(
    ("generation", "verb", "stage"),
    [("a3", "approve", "seen"), ("c0", "approve", "seen"), ("c0", "run-approved", "approved"), ("a3", "rerun", "finished")],
)
def test_a_call_interrupted_at_any_effect_is_as_if_made_or_not_made(
    tmp_path: Path, generation: str, verb: str, stage: str
) -> None:
    def interrupt() -> None:
        raise Interrupted

    numbers = range(1, ENOUGH, 1 if (generation, verb) == ("c0", "approve") else 2)
    die_everywhere(World(tmp_path, generation, stage), verb, EFFECTS, interrupt, tmp_path / "reached", numbers=numbers)


@pytest.mark.parametrize("generation", ["a3", "b0", "c0"])
def test_a_supervisor_killed_before_any_effect_ends_its_job_or_has_not_begun_it(tmp_path: Path, generation: str) -> None:
    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    world = World(tmp_path, generation, "approved")
    statuses = die_everywhere(world, "run-approved", (*EFFECTS, "fsync"), kill, tmp_path / "reached", only_forks=True)
    assert statuses == {"failed", "completed"}, "the last effect comes after the result"


class Interrupted(BaseException):
    """Passes through everything that catches exceptions, and lets clean-up code run."""


def die_everywhere(
    world: World,
    verb: str,
    effects: Collection[str],
    death: Callable[[], None],
    marker: Path,
    *,
    only_forks: bool = False,
    numbers: range = range(1, ENOUGH),
) -> set[str]:
    """Let a call die at its first effect, then, from the same start, at its second, until it has no further one.

    `numbers` are those of the effects that are tried.

    Returns the statuses the job ended with.
    """
    statuses: set[str] = set()
    call = call_of(world, verb)
    wanted = expected(world, call)
    for turn, number in enumerate(numbers):
        world.restore()
        marker.unlink(missing_ok=True)
        in_a_fork(call, Trap(effects, number, marker, death, only_forks))
        if not marker.exists():
            assert number > 3, "the call had no effects to be killed at"
            return statuses
        try:
            world.wait_for_runs()
            nothing_half_visible(world)
            world.go_on(run_first=turn % 2 == 1)
            statuses.add(holds(world, wanted).status)
            if verb == "release":
                runs_again(world)
        except AssertionError as error:
            error.add_note(f"{verb} died at effect {number}: {marker.read_text()}")
            raise
    pytest.fail("the call does not end")


def call_of(world: World, verb: str) -> Callable[[], object]:
    """The call through the command line."""
    if verb == "submit":
        return lambda: world.scientist.scq(*world.submission)
    if verb == "cleanup":
        return lambda: world.owner.scq("cleanup", "--older-than", "0", "--unanswered")
    words = [verb] if verb in ("check", "run-approved", "cycle") else [verb, world.uid]
    words += ["-r", "because", *(["--logs"] if verb == "release" else [])] if verb in ("release", "withhold") else []
    return lambda: world.owner.scq(*words)


def runs_again(world: World) -> None:
    """What a killed call left lying about must not count as content of the job."""
    world.owner.scq("rerun", world.uid)
    world.owner.scq("run-approved")
    assert world.ran() == 2


class Trap(NamedTuple):
    """Where a call shall die: at the effect of that number, counted in its process and on in its forks; `marker` says which."""

    effects: Collection[str]
    number: int
    marker: Path
    death: Callable[[], None]
    only_forks: bool

    def arm(self) -> None:
        """Set the trap in this process, for good."""
        count, spared = 0, os.getpid() if self.only_forks else 0

        def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            def effect(*arguments: Any, **options: Any) -> Any:
                nonlocal count
                count += os.getpid() != spared
                if os.getpid() != spared and count == self.number:
                    descriptor = os.open(self.marker, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                    os.write(descriptor, f"{name}{arguments} ".encode("utf-8", "replace"))
                    os.close(descriptor)
                    self.death()
                return function(*arguments, **options)

            return effect

        for name in self.effects:
            setattr(os, name, counted(name, getattr(os, name)))


def in_a_fork(call: Callable[[], object], trap: Trap) -> None:
    """Make a call in a fork of this process, with a trap set."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        try:
            trap.arm()
            call()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
