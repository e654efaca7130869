"""What a job is compared with, and how two submissions differ."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scq.comparing import Reach, compare, compare_with, last_approved
from scq.config_values import Config
from scq.context import Context
from scq.errors import UsageError
from scq.state import Record
from tests.people import OWNER, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def context(world: World) -> Context:
    world.owner.scq("check", "--full")
    return Context(Config(email=OWNER, root=str(world.root)), str(world.owner.home), env={})


def records(ctx: Context) -> dict[str, Record]:
    return {record.id: record for record in ctx.store.load().jobs.values()}


def test_the_newest_approved_job_of_that_submitter_and_name_is_compared_with(world: World) -> None:
    world.approved("count", layout="a3")
    second = world.approved("count", layout="a3")
    world.approved("other", layout="a3")
    world.approved("count", layout="a3", by=world.second)
    world.submit("count", layout="a3")
    third = world.submit("count", "echo new\n", layout="a3")
    ctx = context(world)
    known = records(ctx)
    found = last_approved(known[third], known.values())
    assert found is not None
    assert found.id == second
    comparison = compare(ctx, known[third], known.values())
    assert comparison is not None
    assert comparison.against == second
    assert [(change.path, change.change) for change in comparison.changes] == [("run.sh", "changed")]
    assert "-echo done\n+echo new\n" in comparison.changes[0].diff


def test_what_was_approved_itself_comes_before_any_other_job(world: World) -> None:
    uid = world.approved(note__txt="one\n", layout="a3")
    (world.place(uid) / "code/note.txt").write_text("two\n")
    ctx = context(world)
    known = records(ctx)
    found = compare(ctx, known[uid], known.values())
    assert found is not None
    assert found.against.startswith("what was approved (sha256:")
    shutil.rmtree(world.owner.home / "approved")
    assert compare(ctx, known[uid], known.values()) is None


def test_texts_beyond_the_reach_are_only_said_to_differ(world: World) -> None:
    one = world.submit("one", long__txt="a\n" * 50, short__txt="a\n", layout="a3")
    two = world.submit("two", long__txt="b\n" * 50, short__txt="b\n", new__txt="c\n" * 50, layout="a3")
    ctx = context(world)
    known = records(ctx)
    near = compare_with(ctx, known[two], known[one], reach=Reach(bytes=1_000, lines=10))
    diffs = {change.path: change.diff for change in near.changes}
    assert diffs["long.txt"] == "too long to be compared here\n"
    assert diffs["short.txt"].endswith("-a\n+b\n")
    assert diffs["new.txt"].count("+c\n") == 50
    few = compare_with(ctx, known[two], known[one], reach=Reach(files=1))
    assert [change.diff == "not compared here\n" for change in few.changes] == [False, True, True]
    begin = compare_with(ctx, known[two], known[one], reach=Reach(bytes=2))
    assert next(change.diff for change in begin.changes if change.path == "long.txt").endswith("-a\n+b\n")


def test_equal_jobs_have_no_changes_and_binary_ones_are_named(world: World) -> None:
    one, two = world.submit("one", data__bin="a", layout="a3"), world.submit("two", data__bin="b", layout="a3")
    (world.place(two) / "code/data.bin").write_bytes(b"\0b")
    ctx = context(world)
    known = records(ctx)
    assert compare_with(ctx, known[one], known[one]).changes == ()
    assert [change.diff for change in compare_with(ctx, known[two], known[one]).changes] == ["binary files differ\n"]
    assert compare_with(ctx, known[two], known[one]).against == one


def test_a_job_whose_folder_is_gone_cannot_be_compared(world: World) -> None:
    one, two = world.submit("one", layout="a3"), world.submit("two", layout="a3")
    ctx = context(world)
    known = records(ctx)
    shutil.rmtree(world.place(one))
    with pytest.raises(UsageError, match=f"{one[:8]} cannot be read"):
        compare_with(ctx, known[two], known[one])


def test_a_last_line_without_a_newline_stays_a_line_of_its_own(world: World) -> None:
    one, two = world.submit("one", a__txt="x", layout="a3"), world.submit("two", a__txt="y", layout="a3")
    ctx = context(world)
    known = records(ctx)
    (change,) = compare_with(ctx, known[two], known[one]).changes
    assert change.diff.endswith("-x\n\\ No newline at end of file\n+y\n\\ No newline at end of file\n")
