"""Killed before each of its effects, in this process: every verb that writes, in every generation.

The call is made in a fork whose `os` functions count; the one that reaches the number kills its process with SIGKILL, be it the
call itself or the supervisor of a job. So no clean-up code runs, as in a real crash.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from tests.crash.world import World, expected, holds, nothing_half_visible

EFFECTS = ("replace", "rename", "unlink", "remove", "rmdir", "mkdir", "link", "fchmod")
"""A kill before an fsync leaves what a kill before the next effect leaves; only a run can tell (see below)."""
ENOUGH = 400
"""No call has so many effects; a loop that gets here does not end."""

GENERATIONS = ("a3", "b0", "b1", "b2", "c0", "c1")
EVERYWHERE = [
    (generation, verb, stage)
    for generation in GENERATIONS
    for verb, stage in (("approve", "seen"), ("reject", "seen"), ("run-approved", "approved"), ("rerun", "finished"), ("share", "finished"))
]
LOOKS = [(generation, "check", stage) for generation in ("a3", "c0") for stage in ("unseen", "expected")]
UNSEEN = [("b2", "approve", "unseen"), ("c1", "reject", "unseen"), ("a3", "run-approved", "seen")]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill does not lose what the kernel already has, so these tests learn nothing from a real fsync."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.parametrize(("generation", "verb", "stage"), [*EVERYWHERE, *LOOKS, *UNSEEN])
def test_a_call_killed_before_any_effect_is_as_if_made_or_not_made(
    tmp_path: Path, generation: str, verb: str, stage: str
) -> None:
    world = World(tmp_path, generation, stage)
    words = [verb, world.uid] if verb in ("approve", "reject", "rerun", "share") else [verb]
    wanted = expected(world, lambda: world.owner.scq(*words))
    # A supervisor syncs the note that the job is about to start, then starts it: what it does next is no effect of its own.
    effects = (*EFFECTS, "fsync") if verb == "run-approved" else EFFECTS
    marker = tmp_path / "killed"
    for number in range(1, ENOUGH):
        world.restore()
        marker.unlink(missing_ok=True)
        in_a_fork(lambda: world.owner.scq(*words), effects, number, marker)
        if not marker.exists():
            assert number > 3, "the call had no effects to be killed at"
            return
        where = f"{verb} killed before effect {number}: {marker.read_text()}"
        try:
            world.wait_for_runs()
            nothing_half_visible(world)
            world.go_on(run_first=number % 2 == 0)
            holds(world, wanted)
        except AssertionError as error:
            error.add_note(where)
            raise
    pytest.fail("the call does not end")


def in_a_fork(call: Callable[[], object], effects: Collection[str], number: int, marker: Path) -> None:
    """Make a call in a fork and kill the process that comes to its effect of that number; `marker` says which one it was."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        try:
            arm(effects, number, marker)
            call()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def arm(effects: Collection[str], number: int, marker: Path) -> None:
    """From here on the effect of that number, counted in this process and on in its forks, does not happen: SIGKILL."""
    count = 0

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def effect(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == number:
                descriptor = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                os.write(descriptor, f"{name}{arguments} ".encode("utf-8", "replace"))
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return effect

    for name in effects:
        setattr(os, name, counted(name, getattr(os, name)))
