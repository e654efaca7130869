"""Copies of what was approved."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scq import keeping
from scq.config_values import Config
from scq.context import Context
from scq.errors import IntegrityError
from scq.looking import observe
from tests.people import OWNER, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def ctx(world: World) -> Context:
    return Context(Config(email=OWNER, root=str(world.root)), str(world.owner.home), env={})


def test_a_copy_is_kept_once_and_found_by_its_digest(world: World, ctx: Context) -> None:
    world.submit(note__txt="one")
    (record,) = observe(ctx).state.jobs.values()
    keeping.keep(ctx, record)
    keeping.keep(ctx, record)
    assert record.digest is not None
    content = keeping.kept(ctx, record.digest)
    assert content is not None
    assert (Path(keeping.folder(ctx), content.base) / "code/note.txt").read_text() == "one"
    assert len(os.listdir(keeping.folder(ctx))) == 1


def test_what_a_killed_call_left_is_made_anew(world: World, ctx: Context) -> None:
    world.submit()
    (record,) = observe(ctx).state.jobs.values()
    half = Path(keeping._path(ctx, record.digest or "") + f".{os.getpid()}.tmp")
    half.mkdir(parents=True)
    (half / "run.sh").write_text("half")
    keeping.keep(ctx, record)
    assert [name for name in os.listdir(keeping.folder(ctx)) if name.endswith(".tmp")] == []


def test_content_that_is_not_what_was_seen_is_not_kept(world: World, ctx: Context) -> None:
    world.submit(note__txt="one")
    (record,) = observe(ctx).state.jobs.values()
    (note,) = world.root.rglob("note.txt")
    note.write_text("two")
    with pytest.raises(IntegrityError, match="is changing"):
        keeping.keep(ctx, record)
    assert os.listdir(keeping.folder(ctx)) == []


def test_what_was_never_kept_is_none(ctx: Context) -> None:
    assert keeping.kept(ctx, "") is None
    assert keeping.kept(ctx, "sha256:0") is None


def test_everything_but_the_wanted_goes(world: World, ctx: Context) -> None:
    keeping.prune(ctx, set())
    one, _ = world.approved("one", "echo 1\n"), world.approved("two", "echo 2\n")
    digest = world.owner.job(one)["digest"]
    for name in os.listdir(keeping.folder(ctx)):
        os.utime(os.path.join(keeping.folder(ctx), name), (1, 1))
    keeping.prune(ctx, {digest})
    assert os.listdir(keeping.folder(ctx)) == [digest.replace(":", "-")]
