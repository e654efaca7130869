"""What is written down is carried out, at the latest by the next call that can."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq.acting import carry_out, current, released_results
from scq.config_values import Config
from scq.context import Context
from scq.errors import IntegrityError, InvalidFileError, UsageError
from scq.looking import observe
from scq.model import Answer, ReleasedFile
from scq.state import Intent, Record, State
from scq.store import exclusive
from tests.making import NOW, record, run
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
    intend(ctx, "share", "reopen", run=None, outputs="released")
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
    intend(ctx, "decide", "share", outputs="released")

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


def released(folder: Path, *names: str, logs: bool = False) -> Record:
    """A record of which the named files were released; `folder` is that of its run."""
    paths = [(name, folder / "outputs" / name) for name in names]
    paths += [(name, folder / name) for name in ("stdout.txt", "stderr.txt") if logs]
    files = tuple(ReleasedFile(name, path.stat().st_size, sha256(path.read_bytes()).hexdigest()) for name, path in paths)
    answer = Answer("released", OWNER, NOW, files=files)
    return record(run=run(), answer=answer, outputs="released" if names else "withheld", logs="released" if logs else "withheld")


@pytest.fixture
def folder(ctx: Context) -> Path:
    """The folder of a run that wrote two results, one of them with the name of a log, and logs."""
    made = Path(ctx.runs_folder(), "run-1")
    (made / "outputs" / "deep").mkdir(parents=True)
    (made / "outputs" / "deep" / "a.csv").write_text("1\n")
    (made / "outputs" / "stdout.txt").write_text("mine\n")
    (made / "stdout.txt").write_text("said\n")
    (made / "stderr.txt").write_text("oops\n")
    return made


def test_nothing_is_published_that_was_not_released(ctx: Context, folder: Path) -> None:
    withheld = replace(released(folder, "deep/a.csv"), answer=Answer("withheld", OWNER, NOW), outputs="withheld")
    for held in (record(run=run(), outputs="withheld", logs="withheld"), withheld):
        found = released_results(ctx, held)
        assert (found.outputs_dir, found.stdout, found.stderr) == (None, b"", b"")
        assert (found.run.share_outputs, found.run.share_logs) == (False, False)


def test_only_what_was_released_is_published(ctx: Context, folder: Path) -> None:
    found = released_results(ctx, released(folder, "deep/a.csv"))
    assert found.outputs_dir == str(folder / "released" / "outputs")
    assert [path.name for path in Path(found.outputs_dir).rglob("*.*")] == ["a.csv"]
    assert (found.stdout, found.run.share_outputs, found.run.share_logs) == (b"", True, False)
    found = released_results(ctx, released(folder, "stdout.txt", logs=True))
    assert [path.read_text() for path in (folder / "released").rglob("*.*")] == ["mine\n"]
    assert (found.stdout, found.stderr, found.run.share_logs) == (b"said\n", b"oops\n", True)
    found = released_results(ctx, released(folder, logs=True))
    assert (found.outputs_dir, found.stdout) == (None, b"said\n")


def test_logs_a_run_never_wrote_are_published_empty(ctx: Context, folder: Path) -> None:
    logged = released(folder, logs=True)
    empty = tuple(ReleasedFile(file.path, 0, sha256(b"").hexdigest()) for file in (logged.answer.files if logged.answer else ()))
    for name in ("stdout.txt", "stderr.txt"):
        (folder / name).unlink()
    found = released_results(ctx, replace(logged, answer=Answer("released", OWNER, NOW, files=empty)))
    assert (found.stdout, found.stderr) == (b"", b"")


@pytest.mark.parametrize("name", ["outputs/deep/a.csv", "stderr.txt"])
def test_a_kept_file_that_is_not_what_was_released_is_not_published(ctx: Context, folder: Path, name: str) -> None:
    job = released(folder, "deep/a.csv", logs=True)
    (folder / name).write_text("2\n")
    with pytest.raises(IntegrityError, match="no longer what was released"):
        released_results(ctx, job)


@pytest.mark.parametrize("kind", ["link", "pipe", "nothing"])
def test_a_kept_file_that_was_replaced_by_something_else_is_not_followed(ctx: Context, folder: Path, kind: str) -> None:
    job, place = released(folder, "deep/a.csv"), folder / "outputs" / "deep" / "a.csv"
    place.rename(folder / "moved")
    if kind == "link":
        place.symlink_to(folder / "moved")
    elif kind == "pipe":
        os.mkfifo(place)
    with pytest.raises(InvalidFileError):
        released_results(ctx, job)


def test_a_job_that_ran_elsewhere_has_nothing_of_ours_to_publish(ctx: Context) -> None:
    with pytest.raises(IntegrityError, match="was not run here"):
        released_results(ctx, record())


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
