"""Finding the one job a word means, looking further only when needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from scq import selecting
from scq.config_values import Config
from scq.context import Context
from scq.errors import UsageError
from scq.looking import View
from tests.people import OWNER, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each look was a full one."""
    real, made = selecting.view, []

    def counted(ctx: Context, *, full: bool) -> View:
        made.append(full)
        return real(ctx, full=full)

    monkeypatch.setattr(selecting, "view", counted)
    return made


def context(world: World) -> Context:
    return Context(Config(email=OWNER, root=str(world.root)), str(world.owner.home), env={})


def test_a_living_job_is_found_by_one_small_look(world: World, looks: list[bool]) -> None:
    uid = world.submit()
    key, record, job, shown = selecting.select(context(world), "count")
    assert (record.id, job.id, shown.records[key].id) == (uid, uid, uid)
    assert looks == [False]


def test_a_job_that_is_over_costs_a_full_look(world: World, looks: list[bool]) -> None:
    uid = world.ended()
    world.owner.scq("check", "--full")
    looks.clear()
    assert selecting.select(context(world), uid)[2].status == "completed"
    assert looks == [False, True]


def test_an_unknown_word_is_refused_after_the_full_look(world: World, looks: list[bool]) -> None:
    world.submit()
    with pytest.raises(UsageError, match="no job 'nothing'"):
        selecting.select(context(world), "nothing")
    assert looks == [False, True]


def test_a_job_that_vanished_is_not_found(world: World) -> None:
    uid = world.submit(layout="a3")
    world.submit("other", layout="a3")
    world.owner.scq("check")
    world.place(uid).rename(world.folder / "aside")
    world.owner.scq("check")
    with pytest.raises(UsageError, match="no job"):
        selecting.select(context(world), uid)
