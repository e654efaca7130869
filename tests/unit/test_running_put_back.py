"""A state that was put back from a backup, made between the claim of a job and its start."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scq.config_values import Config
from scq.context import Context
from scq.executors.rundir import STARTED
from scq.running import Options
from scq.steps.runs import runner_of
from tests.people import OWNER, World


@pytest.mark.parametrize("began", [False, True])
@pytest.mark.parametrize("layout", ["a3", "b0", "b2", "c0"])
def test_a_job_that_has_run_since_is_neither_run_again_nor_shown_as_cut_off(tmp_path: Path, layout: str, began: bool) -> None:
    world = World(tmp_path)
    uid = world.approved(layout=layout)
    world.owner.scq("check")
    ctx = Context(Config(email=OWNER, root=str(world.root), sandbox="none"), str(world.owner.home))
    keys = list(ctx.store.load().jobs)
    assert runner_of(ctx, Options(60.0, stream=False, share_outputs=False, share_logs=False))._claim(keys) == keys
    shutil.copytree(world.owner.home, tmp_path / "backup")
    assert [row["status"] for row in world.owner.json("run-approved")["runs"]] == ["completed"]

    shutil.rmtree(world.owner.home)
    shutil.copytree(tmp_path / "backup", world.owner.home)
    if began:  # copied while it ran
        place = world.owner.home / "runs" / f"{uid}-1"
        place.mkdir(parents=True)
        (place / STARTED).touch()
    for _ in range(2):
        assert world.owner.json("run-approved")["runs"] == []
    assert world.owner.job(uid)["status"] == "completed"
