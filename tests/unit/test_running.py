"""Claim, copy, start, collect, publish, settle; and repairing what earlier calls left, with an executor that only plays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from scq import running, tasks
from scq.acting import carry_out
from scq.audit import read_rows
from scq.authority import runnable
from scq.collecting import take_over
from scq.config_values import Config
from scq.context import Context
from scq.errors import BusyError, DependencyError, InvalidFileError, ScqError, UsageError
from scq.executors.rundir import STARTED, Started, was_started, write_started
from scq.files import write_atomic
from scq.layouts.inbox_review import InboxReview
from scq.looking import observe
from scq.model import DataFolder, Problem, Run, Whereabouts
from scq.ports import Ending, Plan, Task
from scq.releasing import Leaving
from scq.running import Options, Runner
from scq.sandbox.none import NoSandbox
from scq.state import Record, State
from tests.people import OWNER, World

START, END = "2026-11-21T12:00:00+00:00", "2026-11-21T12:00:03+00:00"
GOOD = Ending(0, "exit", START, END)
OPTIONS = Options(timeout_s=60.0, stream=False, share_outputs=False, share_logs=False)


class Player:
    """An executor that starts nothing: it writes what `script` says and reports `ending`."""

    name = "player"
    remote = False

    def __init__(self, ending: Ending = GOOD, script: Callable[[Task], None] | None = None) -> None:
        self.ending = ending
        self.script = script or (lambda task: None)
        self.tasks: list[Task] = []
        self.outcomes: dict[str, Ending | bool | None] = {}

    def run(self, tasks: Iterator[Task], limit: int, ended: Callable[[Task, Ending | ScqError], None]) -> None:
        for task in tasks:
            self.tasks.append(task)
            write_started(task.directory, Started("now", 1, 1, "boot", 1, "/"))
            self.script(task)
            ended(task, self.ending)

    def outcome(self, directory: str) -> Ending | bool | None:
        return self.outcomes.get(os.path.basename(directory), False)

    def began(self, directory: str) -> bool:
        return was_started(directory)

    def check(self) -> Sequence[Problem]:
        return ()

    def logs(self, directory: str) -> str:
        return directory

    def whereabouts(self, directories: Sequence[str]) -> Mapping[str, Whereabouts]:
        return {}

    def stop(self, directory: str) -> None:
        raise UsageError("it only plays")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class Stage:
    """One owner's context with jobs to run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ctx = Context(Config(email=OWNER, root=str(world.root), sandbox="none"), str(world.owner.home), env={})

    def runner(self, player: Player | None = None, options: Options = OPTIONS) -> Runner:
        return Runner(self.ctx, NoSandbox(), player or Player(), options)

    def approved(self) -> list[str]:
        state = observe(self.ctx).state
        return [key for key, record in state.jobs.items() if runnable(record, OWNER)]

    def record(self, uid: str) -> Record:
        return next(record for record in self.ctx.store.load().jobs.values() if record.id == uid)

    def claim(self, runner: Runner) -> Run:
        """Claim everything that is approved, as a call that dies right after it."""
        (key,) = runner._claim(self.approved())
        run = self.ctx.store.load().jobs[key].run
        assert run is not None
        return run

    def folder(self, run: Run) -> Path:
        return Path(self.ctx.runs_folder(), run.directory)


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world)


def test_a_run_is_claimed_prepared_ended_and_settled(stage: Stage) -> None:
    uid = stage.world.approved(note__txt="data")
    player = Player(script=lambda task: (Path(task.directory, "stdout.txt").write_text("hi\n"), None)[1])
    runner = stage.runner(player, replace(OPTIONS, share_logs=True))
    runner.run(stage.approved())
    (task,) = player.tasks
    assert (task.timeout_s, task.stream, task.label) == (60.0, False, "scientist@example.com][count")
    record = stage.record(uid)
    assert record.run is not None
    assert (record.run.phase, record.run.cause, record.run.exit_code, record.run.duration_s) == ("settled", "exit", 0, 3.0)
    assert (record.run.executor, record.run.sandbox, record.attempts) == ("player", "none", 1)
    assert (record.outputs, record.logs) == ("none", "released")
    assert [(outcome.record.id, outcome.refused) for outcome in runner.outcomes] == [(uid, "")]
    assert stage.world.owner.json("logs", uid)["logs"]["stdout"] == "hi\n"
    assert not (stage.folder(record.run) / "work").exists(), "the private copy is gone"


@pytest.mark.parametrize(
    ("cause", "exit_code", "known"),
    [
        ("timeout", None, "timeout"),
        ("killed", None, "killed"),
        ("start", None, "start"),
        ("output", 0, "output"),
        ("magic", 0, "interrupted"),
    ],
)
def test_every_way_to_end_is_kept(stage: Stage, cause: str, exit_code: int | None, known: str) -> None:
    uid = stage.world.approved()
    stage.runner(Player(Ending(exit_code, cause, "soon", "never"))).run(stage.approved())
    run = stage.record(uid).run
    assert run is not None
    assert (run.cause, run.duration_s) == (known, 0.0), "times that cannot be read are those of the claim"
    assert stage.world.owner.job(uid)["status"] == "failed"


def test_only_what_the_ledger_still_allows_is_claimed(stage: Stage) -> None:
    stage.world.approved("one")
    two = stage.world.approved("two")
    keys = stage.approved()
    stage.world.owner.scq("reject", two)
    runner = stage.runner()
    assert [stage.ctx.store.load().jobs[key].sighting.name for key in runner._claim([*keys, "nothing"])] == ["one"]
    assert runner._claim(keys) == [], "what is claimed is not claimed again"


def test_what_another_call_is_writing_right_now_is_left_for_later(stage: Stage) -> None:
    stage.world.approved()
    (key,) = stage.approved()
    stage.ctx.store.update(lambda state: replace(state, jobs={key: replace(state.jobs[key], intents=("decide",))}))
    assert stage.runner()._claim([key]) == []


@pytest.mark.parametrize("change", ["content", "vanish", "link"])
def test_what_is_not_what_was_approved_is_refused_and_given_back(stage: Stage, change: str) -> None:
    uid = stage.world.approved(note__txt="one", layout="a3")
    keys = stage.approved()
    (note,) = stage.world.root.rglob("note.txt")
    if change == "content":
        note.write_text("two")
    elif change == "link":
        note.unlink()
        note.symlink_to("/etc/passwd")
    else:
        stage.world.place(uid).rename(stage.world.folder / "aside")
    runner, player = stage.runner(), Player()
    runner.executor = player
    runner.run(keys)
    assert player.tasks == []
    (outcome,) = runner.outcomes
    assert outcome.integrity is (change != "vanish")
    assert "was not run: " in runner.problems[0].what
    record = stage.record(uid)
    assert (record.run, record.attempts) == (None, 0)
    assert os.listdir(stage.ctx.runs_folder()) == [], "nothing of the copy is left"


def test_a_full_disk_before_the_start_gives_the_claim_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = stage.world.approved()
    keys = stage.approved()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "runs")

    runner = stage.runner()
    monkeypatch.setattr(tasks, "make_folder", full)
    runner.run(keys)
    assert runner.problems[0].what == "was not run: runs: No space left on device"
    assert stage.record(uid).run is None


def test_a_record_without_a_claim_is_never_prepared(stage: Stage) -> None:
    stage.world.approved()
    (key,) = stage.approved()
    record = stage.ctx.store.load().jobs[key]
    with pytest.raises(InvalidFileError, match="has no claim"):
        tasks.make_task(stage.ctx, NoSandbox(), record, timeout_s=1.0, stream=False, remote=False)
    runner = stage.runner()
    runner._finish(key, record, GOOD)
    runner._refuse(key, record, "why", "advice")
    assert [outcome.refused for outcome in runner.outcomes] == ["why"]


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError(28, "No space left on device", "stdout.txt"), "stdout.txt: No space left on device"),
        (ScqError("is odd", "mend it"), "is odd"),
    ],
)
def test_results_that_cannot_be_published_wait_for_the_next_call(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: Exception, what: str
) -> None:
    uid = stage.world.approved()
    player = Player(script=lambda task: (Path(task.directory, "stdout.txt").write_text("hi\n"), None)[1])
    runner = stage.runner(player)

    def failing(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("scq.layouts.inbox_review.InboxReview.finish", failing)
        runner.run(stage.approved())
    assert runner.problems[0].what == f"the results cannot be written: {what}"
    claimed = stage.record(uid).run
    assert claimed is not None
    assert claimed.phase == "claimed"
    player.outcomes[claimed.directory] = GOOD
    again = stage.runner(player)
    again.recover()
    assert stage.world.owner.job(uid)["status"] == "completed"
    assert stage.world.owner.json("logs", uid)["logs"]["stdout"] == "hi\n"
    assert again.problems == []


def test_a_run_that_is_alive_is_left_alone(stage: Stage) -> None:
    stage.world.approved()
    player = Player()
    run = stage.claim(stage.runner(player))
    player.outcomes[run.directory] = None
    stage.runner(player).recover()
    assert next(iter(stage.ctx.store.load().jobs.values())).run == run


def test_a_job_whose_supervisor_ended_before_it_began_has_not_failed_but_waits(stage: Stage) -> None:
    uid = stage.world.approved()
    never = Ending(None, "interrupted", "now", "now")
    runner = stage.runner(Player(never, script=lambda task: Path(task.directory, STARTED).unlink()))
    runner.run(stage.approved())
    assert [outcome.refused for outcome in runner.outcomes] == ["its supervisor was stopped before it began"]
    assert (stage.record(uid).run, stage.record(uid).attempts) == (None, 0)
    carry_out(stage.ctx)
    stage.runner().run(stage.approved())
    assert stage.world.owner.job(uid)["status"] == "completed"


def test_a_claim_that_was_never_started_is_given_back(stage: Stage) -> None:
    uid = stage.world.approved()
    stage.claim(stage.runner())
    stage.runner().recover()
    record = stage.record(uid)
    assert (record.run, record.attempts, record.intents) == (None, 0, ("reopen",))
    stage.world.owner.scq("run-approved")
    assert stage.world.owner.job(uid)["run"]["attempt"] == 1


def test_a_run_that_was_cut_off_has_failed_and_is_not_started_again(stage: Stage) -> None:
    uid = stage.world.approved()
    run = stage.claim(stage.runner())
    stage.folder(run).mkdir(parents=True)
    write_atomic(str(stage.folder(run) / STARTED), b"{}")
    stage.runner().recover()
    found = stage.record(uid).run
    assert found is not None
    assert (found.phase, found.cause, found.exit_code) == ("settled", "interrupted", None)
    assert stage.world.owner.json("run-approved")["runs"] == []
    assert stage.world.owner.job(uid)["status"] == "failed"


def test_results_are_collected_once(stage: Stage) -> None:
    uid = stage.world.approved()
    run = stage.claim(stage.runner())
    folder = stage.folder(run)
    (folder / "work/outputs").mkdir(parents=True)
    (folder / "work/outputs/a").write_text("first")
    assert take_over(stage.ctx, stage.record(uid).sighting, str(folder)).files == ("a",)
    (folder / "work/outputs").mkdir(parents=True)
    assert take_over(stage.ctx, stage.record(uid).sighting, str(folder)).files == (), "a second call takes nothing more"
    assert (folder / "outputs/a").read_text() == "first"
    assert not (folder / "work").exists()


def test_a_job_that_was_removed_while_it_ran_keeps_its_results_and_is_named(stage: Stage) -> None:
    uid = stage.world.approved(layout="a3")
    key = stage.approved()[0]
    place = stage.world.place(uid)

    def removed(task: Task) -> None:
        (running_place,) = stage.world.root.rglob(place.name)
        running_place.rename(stage.world.folder / "aside")

    runner = stage.runner(Player(script=removed))
    runner.run([key])
    assert ["vanished while it ran" in problem.what for problem in runner.problems] == [True]
    assert stage.record(uid).run.phase == "settled"  # type: ignore[union-attr]
    runner._unsaved = {"nothing": (replace(stage.record(uid).run, phase="settled"), Leaving())}  # type: ignore[type-var]
    runner._settle()
    assert "nothing" not in stage.ctx.store.load().jobs


def test_a_claim_that_is_no_longer_ours_is_not_given_back(stage: Stage) -> None:
    uid = stage.world.approved()
    run = stage.claim(stage.runner())
    runner, key = stage.runner(), str(stage.record(uid).sighting.ref)
    runner._refused = {key: (replace(run, directory="other-1"), True), "nothing": (run, True)}
    before = stage.ctx.store.load()
    runner._settle()
    assert stage.record(uid).run == run
    assert stage.ctx.store.load().jobs == before.jobs


def test_endings_are_saved_in_batches(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two", "three"):
        stage.world.approved(name)
    keys = stage.approved()
    saves: list[int] = []
    real = stage.ctx.store.update

    def counted(change: Callable[[State], State]) -> State:
        saves.append(1)
        return real(change)

    monkeypatch.setattr(stage.ctx.store, "update", counted)
    stage.runner().run(keys)
    assert len(saves) == 2, "one for the claims, one for the endings"
    saves.clear()
    monkeypatch.setattr(running, "SETTLE_EVERY_S", -1.0)
    for name in ("four", "five"):
        stage.world.approved(name)
    keys = stage.approved()
    saves.clear()
    stage.runner().run(keys)
    assert len(saves) == 3, "one for the claims, one for each ending"


def test_an_interrupted_call_still_saves_what_had_ended(stage: Stage) -> None:
    one, two = stage.world.approved("one"), stage.world.approved("two")

    def interrupt(task: Task) -> None:
        if "two" in task.label:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.runner(Player(script=interrupt)).run(sorted(stage.approved()))
    ended = stage.record(one).run
    claimed = stage.record(two).run
    assert ended is not None
    assert claimed is not None
    assert (ended.phase, claimed.phase) == ("settled", "claimed")


def test_an_interrupted_job_is_started_again_only_where_that_is_configured_and_not_for_ever(stage: Stage) -> None:
    uid = stage.world.approved()
    stage.ctx.config = replace(stage.ctx.config, retry_interrupted=True)
    for attempt in (1, 2, 3):
        carry_out(stage.ctx)
        stage.runner(Player(Ending(None, "interrupted", "soon", "never"))).run(stage.approved())
        assert stage.record(uid).attempts == attempt
    run = stage.record(uid).run
    assert run is not None
    assert (run.cause, run.attempt) == ("interrupted", 3)
    assert stage.approved() == []


def raising(error: BaseException) -> Callable[..., Any]:
    def prepare(*_: object, **__: object) -> Any:
        raise error

    return prepare


def test_a_job_whose_packages_cannot_be_had_fails_and_says_which(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = stage.world.approved()
    monkeypatch.setattr(
        "scq.preparing.prepare", raising(DependencyError("no package is called nosuch", "Correct requirements.txt."))
    )
    player = Player()
    stage.runner(player).run(stage.approved())
    assert player.tasks == [], "nothing was started"
    job = stage.world.owner.job(uid)
    assert (job["status"], job["run"]["cause"]) == ("failed", "dependencies")
    logs = stage.world.owner.json("logs", uid)["logs"]
    assert logs["stderr"] == "scq: no package is called nosuch\nCorrect requirements.txt.\n"
    assert "no package is called nosuch" in stage.world.owner.scq("show", uid).out


def test_a_job_waits_while_the_package_index_does_not_answer(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = stage.world.approved()
    with monkeypatch.context() as patch:
        patch.setattr("scq.preparing.prepare", raising(BusyError("the index cannot be reached", "Try again.")))
        runner = stage.runner()
        runner.run(stage.approved())
    assert [outcome.refused for outcome in runner.outcomes] == ["the index cannot be reached"]
    carry_out(stage.ctx)
    assert stage.world.owner.job(uid)["status"] == "approved"
    stage.runner().run(stage.approved())
    assert stage.world.owner.job(uid)["status"] == "completed"


def test_a_call_that_ends_while_packages_are_fetched_has_run_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = stage.world.approved()
    with monkeypatch.context() as patch:
        patch.setattr("scq.preparing.prepare", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            stage.runner().run(stage.approved())
    stage.runner().recover()
    carry_out(stage.ctx)
    assert (stage.record(uid).run, stage.record(uid).runs) == (None, 0)
    stage.runner().run(stage.approved())
    assert (stage.world.owner.job(uid)["status"], stage.record(uid).runs) == ("completed", 1)


def test_results_beyond_the_limits_make_a_job_that_exceeded_them(stage: Stage) -> None:
    uid = stage.world.approved()
    stage.ctx.config = replace(stage.ctx.config, output_files=1)

    def write(task: Task) -> None:
        for name in "ab":
            Path(task.work, "outputs", name).write_text(name)

    stage.runner(Player(script=write)).run(stage.approved())
    run = stage.record(uid).run
    assert run is not None
    assert (run.cause, run.detail) == ("output", "more than 1 files of results")
    assert [row["path"] for row in stage.world.owner.json("output", uid)["outputs"]] == ["a"]


def test_a_job_that_asks_for_less_room_gets_less(stage: Stage) -> None:
    uid = stage.world.approved("modest", scq__yaml="limits: {output_files: 1}\n")

    def write(task: Task) -> None:
        for name in "ab":
            Path(task.work, "outputs", name).write_text(name)

    stage.runner(Player(script=write)).run(stage.approved())
    run = stage.record(uid).run
    assert run is not None
    assert (run.cause, run.detail) == ("output", "more than 1 files of results")


def test_what_a_run_was_given_is_kept_with_it(stage: Stage, tmp_path: Path) -> None:
    stage.world.approved()
    data = tmp_path / "data"
    data.mkdir()
    stage.ctx.config = replace(stage.ctx.config, data=(DataFolder(str(data), "/data/shown"),))
    player = Player()
    stage.runner(player).run(stage.approved())
    plan = msgspec.json.decode(Path(player.tasks[0].directory, "plan.json").read_bytes(), type=Plan)
    assert (plan.sandbox, plan.command, plan.limits.memory) == ("none", ("bash", "./run.sh"), 4 << 30)
    assert player.tasks[0].limits == plan.limits


@pytest.mark.parametrize("place", ["gone", ""])
def test_data_that_is_missing_or_holds_scqs_own_files_is_never_shown(place: str, stage: Stage, tmp_path: Path) -> None:
    uid = stage.world.approved()
    stage.ctx.config = replace(stage.ctx.config, data=(DataFolder(str(tmp_path / place), "/data/shown"),))
    runner = stage.runner()
    runner.run(stage.approved())
    assert "data:" in runner.outcomes[0].refused
    assert stage.record(uid).run is None


def sharing(stage: Stage, layout: str = "c0") -> tuple[str, Player]:
    """A job whose results shall leave when it ends, and a player that writes one."""
    uid = stage.world.approved("leaving", layout=layout)
    stage.ctx.config = replace(stage.ctx.config, hold_outputs="release")

    def write(task: Task) -> None:
        folder = next(path for name in ("outputs", "output") if (path := Path(task.work, name)).is_dir())
        (folder / "answer.txt").write_text("42")

    return uid, Player(script=write)


def test_an_answer_is_on_record_before_anything_leaves(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    uid, player = sharing(stage)
    seen: list[tuple[bool, int]] = []
    publish = InboxReview.finish

    def watched(self: InboxReview, *arguments: Any) -> None:
        answer = stage.record(uid).answer
        seen.append((answer is not None, sum(row.what == "release" for row, _ in read_rows(stage.ctx.store.audit_path))))
        publish(self, *arguments)

    monkeypatch.setattr(InboxReview, "finish", watched)
    stage.runner(player).run(stage.approved())
    assert seen == [(True, 1)]
    assert sum(row.what == "release" for row, _ in read_rows(stage.ctx.store.audit_path)) == 1


def test_an_answer_that_could_not_be_carried_out_is_carried_out_as_it_was_given(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid, player = sharing(stage)

    def failing(*_: object) -> None:
        raise ScqError("the disk is full", "Make room.")

    with monkeypatch.context() as patch:
        patch.setattr(InboxReview, "finish", failing)
        stage.runner(player).run(stage.approved())
    given = stage.record(uid).answer
    assert given is not None
    run = stage.record(uid).run
    assert run is not None
    player.outcomes[run.directory] = GOOD
    stage.ctx.config = replace(stage.ctx.config, hold_outputs="hold")
    stage.runner(player).recover()
    assert (stage.record(uid).answer, stage.record(uid).outputs) == (given, "released")
    assert [path.read_text() for path in stage.world.root.rglob("answer.txt")] == ["42"]


def test_an_answer_to_somebody_who_may_be_another_by_now_is_taken_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    uid, player = sharing(stage, "a3")

    def failing(*_: object) -> None:
        raise ScqError("the disk is full", "Make room.")

    with monkeypatch.context() as patch:
        patch.setattr("scq.layouts.code_queue.CodeQueue.finish", failing)
        stage.runner(player).run(stage.approved())
    run = stage.record(uid).run
    assert run is not None
    player.outcomes[run.directory] = GOOD
    metadata = stage.world.place(uid) / "metadata.json"
    metadata.write_text(metadata.read_text().replace("scientist@example.com", "second@example.net"))
    stage.runner(player).recover()
    answer = stage.record(uid).answer
    assert answer is not None
    assert (answer.verdict, answer.reason) == ("withheld", "the submission was changed while it ran")
    assert list(stage.world.root.rglob("answer.txt")) == []


def test_nothing_leaves_of_a_run_that_is_made_once_more(stage: Stage) -> None:
    uid, player = sharing(stage)
    stage.ctx.config = replace(stage.ctx.config, retry_interrupted=True)
    player.ending = Ending(None, "interrupted", "now", "now")
    stage.runner(player).run(stage.approved())
    assert (stage.record(uid).run, stage.record(uid).answer) == (None, None)
    assert list(stage.world.root.rglob("answer.txt")) == []


def test_an_approval_that_ends_while_other_jobs_run_allows_no_start(stage: Stage) -> None:
    uid = stage.world.submit("late")
    stage.world.owner.scq("approve", uid, "--expires", "1h", "--max-runs", "1")
    keys = stage.approved()
    claimed_at = stage.ctx.now()
    times = iter([claimed_at])
    stage.ctx.now = lambda: next(times, claimed_at + timedelta(hours=2))
    runner = stage.runner()
    runner.run(keys)
    assert runner.outcomes[0].refused.startswith("approval expired on")
    assert (stage.record(uid).run, stage.record(uid).runs) == (None, 0)
