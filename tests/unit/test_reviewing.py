"""scq.reviewing: what a reviewer is told about a real submission."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scq.config_values import Config
from scq.context import Context
from scq.model import DataFolder, Limits
from scq.reviewing import code_findings, terms
from scq.selecting import select
from scq.state import Record
from tests.people import OWNER, SCIENTIST, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def context(world: World, **settings: object) -> Context:
    return Context(Config(email=OWNER, root=str(world.root), **settings), str(world.owner.home), env={})  # type: ignore[arg-type]


def record(ctx: Context) -> Record:
    return select(ctx, "count")[1]


def rules(ctx: Context) -> list[tuple[str, int, str]]:
    return [(item.path, item.line, item.rule) for item in code_findings(ctx, record(ctx))]


def test_every_file_of_a_submission_is_looked_at(world: World) -> None:
    world.submit("count", "curl x\n", tool__py="import socket\n", layout="a3")
    assert rules(context(world)) == [("run.sh", 3, "network"), ("tool.py", 1, "network")]


def test_declared_data_may_be_named_by_the_jobs_it_is_for(world: World) -> None:
    world.submit("count", "cat /data/cohort/x.csv\n", layout="a3")
    mine = DataFolder("/srv/cohort", "/data/cohort", (SCIENTIST,))
    other = DataFolder("/srv/cohort", "/data/cohort", ("somebody@example.org",))
    assert rules(context(world, data=(mine,))) == []
    assert rules(context(world, data=(other,))) == [("run.sh", 3, "outside-files")]


def test_the_output_folder_of_a_generation_may_be_named(world: World) -> None:
    world.submit("count", "echo 1 > ../output/x\necho 2 > ../other\n", layout="a3")
    assert rules(context(world)) == [("run.sh", 4, "outside-files")]


def test_a_submission_that_cannot_be_run_has_no_findings(world: World) -> None:
    uid = world.submit("count", "curl x\n", layout="a3")
    os.symlink("/etc/passwd", world.place(uid) / "code/link")
    assert rules(context(world)) == []


def test_a_submission_may_ask_for_limits_and_gets_no_more_than_is_configured(world: World) -> None:
    world.submit("count", scq__yaml="limits: {timeout: 2h, memory: 1 GiB, colour: red}\n", layout="a3")
    ctx = context(world, job_timeout=60.0)
    found = terms(ctx, record(ctx))
    assert found.asked == Limits(wall_s=7200.0, memory=1 << 30)
    assert [problem.what for problem in found.problems] == ["colour is not a known key and is ignored"]
    assert (found.given.wall_s, found.given.memory, found.in_vain) == (60.0, 1 << 30, ("wall_s",))


def test_a_submission_without_the_file_asks_for_nothing(world: World) -> None:
    world.submit("count", layout="b2")
    ctx = context(world)
    found = terms(ctx, record(ctx))
    assert (found.asked, found.problems, found.in_vain) == (Limits(), (), ())


def test_a_request_that_is_no_regular_file_is_left_alone(world: World) -> None:
    uid = world.submit("count", layout="a3")
    os.mkfifo(world.place(uid) / "code/scq.yaml")
    ctx = context(world)
    found = terms(ctx, record(ctx))
    assert (found.asked, found.problems) == (Limits(wall_s=86_400.0), ()), "the time is that of its layout"
