"""What is written down is carried out, at the latest by the next call that can."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq.acting import carry_out, current, saved_results
from scq.config import Config
from scq.context import Context
from scq.errors import UsageError
from scq.looking import observe
from scq.state import Intent, Record, State
from scq.store import exclusive
from tests.making import run
from tests.people import OWNER, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def ctx(world: World) -> Context:
    return Context(Config(email=OWNER, root=str(world.root), sandbox="none"), str(world.owner.home), env={})


def intend(ctx: Context, *intents: Intent, **fields: object) -> str:
    """Write intents down for the only job there is; its key."""
    (key,) = observe(ctx).state.jobs

    def change(state: State) -> State:
        return replace(state, jobs={key: replace(state.jobs[key], intents=intents, **fields)})

    ctx.store.update(change)
    return key


def only(ctx: Context) -> Record:
    (record,) = ctx.store.load().jobs.values()
    return record


def test_nothing_to_do_writes_nothing(world: World, ctx: Context) -> None:
    world.submit()
    before = observe(ctx).state.revision
    assert carry_out(ctx) == []
    assert ctx.store.load().revision == before


def test_a_decision_reaches_the_folders_and_is_settled(world: World, ctx: Context) -> None:
    uid = world.approved()
    intend(ctx, "decide")
    assert carry_out(ctx) == []
    assert only(ctx).intents == ()
    assert world.scientist.json("show", uid)["peer_status"] == "approved"


def test_a_decision_without_a_ledger_row_is_nothing(world: World, ctx: Context) -> None:
    uid = world.submit()
    intend(ctx, "decide")
    assert carry_out(ctx) == []
    assert world.scientist.json("show", uid)["status"] == "pending"


def test_only_the_named_jobs_are_done(world: World, ctx: Context) -> None:
    world.approved()
    key = intend(ctx, "decide")
    assert carry_out(ctx, {"another"}) == []
    assert only(ctx).intents == ("decide",)
    assert carry_out(ctx, {key}) == []
    assert only(ctx).intents == ()


def test_several_intents_are_done_in_their_order(world: World, ctx: Context) -> None:
    uid = world.ended()
    intend(ctx, "share", "reopen", outputs="released")
    assert carry_out(ctx) == []
    assert world.scientist.json("show", uid)["status"] == "approved"
    assert only(ctx).intents == ()


@pytest.mark.parametrize("error", [OSError(30, "Read-only file system", "status.json"), UsageError("is odd", "mend it")])
def test_what_cannot_be_done_now_stays_written_down_and_stops_what_comes_after_it(
    world: World, ctx: Context, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    world.approved()
    intend(ctx, "decide", "share")

    def failing(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("scq.layouts.inbox_review.InboxReview.decide", failing)
        (problem,) = carry_out(ctx)
    assert problem.advice
    assert only(ctx).intents == ("decide", "share")


def test_what_was_done_before_a_failure_is_settled(world: World, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    world.ended()
    intend(ctx, "decide", "share")

    def failing(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scq.layouts.inbox_review.InboxReview.share", failing)
    (problem,) = carry_out(ctx)
    assert problem.where.endswith("/count"), "an error without a place is told about the job"
    assert only(ctx).intents == ("share",)


def test_a_job_whose_folders_are_gone_is_settled(world: World, ctx: Context) -> None:
    uid = world.approved(layout="a3")
    intend(ctx, "decide")
    world.place(uid).rename(world.folder / "aside")
    assert carry_out(ctx) == []
    assert only(ctx).intents == ()
    assert current(ctx, only(ctx)) is None


def test_removing_takes_the_run_folder_and_the_memory_along(world: World, ctx: Context) -> None:
    world.ended()
    world.owner.scq("check", "--full")
    world.owner.scq("share", "count")
    intend(ctx, "remove")
    assert carry_out(ctx) == []
    assert os.listdir(ctx.runs_folder()) == []
    assert (ctx.store.load().jobs, list(Context(ctx.config, ctx.home, env={}).store.finished().jobs)) == ({}, [])


def test_a_record_that_went_away_in_between_is_fine(world: World, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    world.approved()
    key = intend(ctx, "decide")
    real = ctx.layouts["inbox-review"].decide

    def forget(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        ctx.store.update(lambda state: replace(state, jobs={}))

    monkeypatch.setattr(ctx.layouts["inbox-review"], "decide", forget)
    assert carry_out(ctx, {key}) == []
    assert ctx.store.load().jobs == {}


def test_saved_results_are_those_of_the_run_folder(ctx: Context) -> None:
    found = saved_results(ctx, run(directory="none"))
    assert (found.outputs_dir, found.stdout, found.stderr) == (None, b"", b"")
    folder = Path(ctx.runs_folder(), "one")
    (folder / "outputs").mkdir(parents=True)
    (folder / "stdout.txt").write_bytes(b"hi")
    found = saved_results(ctx, run(directory="one"))
    assert (found.outputs_dir, found.stdout, found.stderr) == (str(folder / "outputs"), b"hi", b"")


def test_another_call_that_writes_the_folders_is_waited_for_and_then_told(world: World, ctx: Context) -> None:
    world.approved()
    intend(ctx, "decide")
    impatient = Context(replace(ctx.config, lock_timeout=0.0), ctx.home, env={})
    with exclusive(os.path.join(ctx.home, "locks", "folders.lock"), 0):
        (problem,) = carry_out(impatient)
    assert "the next call shows it" in problem.advice
    assert only(ctx).intents == ("decide",)


def test_what_is_left_of_a_half_removed_job_is_removed(world: World, ctx: Context) -> None:
    uid = world.approved(layout="a3")
    intend(ctx, "remove")
    (world.place(uid) / "metadata.json").unlink()
    world.place(uid).rename(world.folder / "aside")
    assert carry_out(ctx) == []
    assert ctx.store.load().jobs == {}
