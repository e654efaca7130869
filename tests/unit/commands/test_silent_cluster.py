"""A cluster that does not answer holds no verb up for longer than one of its commands may take, however many jobs are out."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from scq.executors.slurm import notes
from scq.executors.slurm.notes import Note
from tests.people import World
from tests.unit.commands.test_out_on_a_cluster import home, out

CONFIG = """network: none
executor:
  name: slurm
  slurm: {{shared_dir: {shared}, bin: {bin}, command_timeout: 0.2}}
"""
HANGS = """#!/bin/sh
echo {name} >> {log}
exec sleep 60
"""


@pytest.fixture
def silent(world: World, tmp_path: Path) -> tuple[list[str], Path]:
    """(jobs that are out, where every command is noted down that was started and hangs)."""
    shared, programs, log = tmp_path / "shared", tmp_path / "bin", tmp_path / "log"
    for folder in (shared, programs):
        folder.mkdir()
    shared.chmod(0o711)
    for name in ("sbatch", "squeue", "scontrol", "scancel"):
        (programs / name).write_text(HANGS.format(name=name, log=log))
        (programs / name).chmod(0o755)
    jobs = [out(world, name) for name in ("first", "second", "third")]
    for number, uid in enumerate(jobs, 1):
        control = shared / f"scq-{number:016x}.run"
        control.mkdir(mode=0o700)
        note = Note(f"scq-{number:016x}", str(control), time.time() - 100, 4096, id=str(number))
        notes.write_note(str(home(world, uid)), note)
    (world.owner.home / "config.yaml").write_text(CONFIG.format(shared=shared, bin=programs))
    log.touch()
    return jobs, log


@pytest.mark.parametrize("verb", ["list", "metrics", "report", "status", "show", "why", "logs"])
def test_a_look_waits_for_one_command(verb: str, world: World, silent: tuple[list[str], Path]) -> None:
    jobs, log = silent
    words = [verb, jobs[0]] if verb in ("show", "why", "logs") else [verb]
    answer = world.owner.scq(*words, code=None)
    assert log.read_text().split() == ["squeue"]
    assert ("no answer within 0.2 s" in answer.out + answer.err) == (verb not in ("list", "metrics", "report"))


def test_many_are_cancelled_with_one_command_and_every_wish_is_kept(world: World, silent: tuple[list[str], Path]) -> None:
    jobs, log = silent
    answer = world.owner.scq("cancel", *jobs, code=75)
    assert log.read_text().split() == ["scancel"]
    assert answer.err.count("is written down") == len(jobs)
    assert all(notes.is_noted(str(home(world, uid)), notes.STOP) for uid in jobs)
