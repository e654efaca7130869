"""Runs that are handed over and taken up by a later call, with an executor that only plays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq.authority import runnable
from scq.config_values import Config, Slurm
from scq.context import Context
from scq.errors import BUSY, FAILED, BusyError, ConfigError, ScqError
from scq.files import remove_tree
from scq.looking import observe
from scq.model import Bounds, Problem, Whereabouts
from scq.ports import Ending, Task
from scq.running import Options, Runner
from scq.sandbox.bwrap import BwrapSandbox
from scq.sandbox.scratch import remove_run
from scq.state import Record
from scq.steps.runs import Choice, report_of, run_jobs
from tests.people import OWNER, World

OPTIONS = Options(timeout_s=60.0, stream=True, share_outputs=False, share_logs=False)
START, END = "2026-11-21T12:00:00+00:00", "2026-11-21T12:00:03+00:00"
ENDED = Ending(0, "exit", START, END)


class Elsewhere:
    """An executor that takes tasks and runs none. `answer` is what it says of each task at once."""

    name = "slurm"
    remote = True

    def __init__(self) -> None:
        self.taken: list[Task] = []
        self.answer: Ending | ScqError | None = None
        self.outcomes: dict[str, Ending | bool | ScqError | None] = {}
        self.most = 1000
        self.trouble = ""
        self.wrong: tuple[Problem, ...] = ()

    def check(self) -> Sequence[Problem]:
        return self.wrong

    def run(self, tasks: Iterator[Task], limit: int, ended: Callable[[Task, Ending | ScqError], None]) -> None:
        for _ in range(min(limit, self.most)):
            task = next(tasks, None)
            if task is None:
                return
            self.taken.append(task)
            if self.answer is not None:
                ended(task, self.answer)

    def outcome(self, directory: str) -> Ending | bool | None:
        found = self.outcomes.get(directory)
        if isinstance(found, ScqError):
            raise found
        return found

    def began(self, directory: str) -> bool:
        return False

    def logs(self, directory: str) -> str:
        return directory

    def whereabouts(self, directories: Sequence[str]) -> Mapping[str, Whereabouts]:
        return {directory: Whereabouts("waiting", id="7") for directory in directories}

    def stop(self, directory: str) -> None:
        return


class Stage:
    """One owner whose jobs go elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.shared = folder / "shared"
        setting = Slurm(shared_dir=str(self.shared), max_queued=5)
        config = Config(email=OWNER, root=str(self.world.root), executor="slurm", slurm=setting, network="none")
        self.ctx = Context(config, str(self.world.owner.home), env={})
        self.executor = Elsewhere()
        self.ctx._executors["slurm"] = self.executor

    def runner(self) -> Runner:
        settings = {"scratch_root": str(self.shared), "apart": True}
        return Runner(self.ctx, BwrapSandbox(**settings), self.executor, OPTIONS)  # type: ignore[arg-type]

    def run(self) -> Runner:
        runner = self.runner()
        runner.run([key for key, record in observe(self.ctx).state.jobs.items() if runnable(record, OWNER)])
        return runner

    def folder(self, uid: str) -> str:
        """The run folder of a job that is out."""
        run = self.records()[uid].run
        assert run is not None
        return os.path.join(self.ctx.runs_folder(), run.directory)

    def records(self) -> dict[str, Record]:
        return {record.id: record for record in self.ctx.store.load().jobs.values()}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_job_is_handed_over_with_all_that_its_box_needs(stage: Stage) -> None:
    uid = stage.world.approved(note__txt="data")
    runner = stage.run()
    (task,) = stage.executor.taken
    assert [record.id for record in runner.handed] == [uid]
    assert (runner.outcomes, runner.problems) == ([], [])
    record = stage.records()[uid]
    assert record.run is not None
    assert (record.run.executor, record.run.phase, record.attempts) == ("slurm", "claimed", 1)
    entrance = task.entrance
    assert entrance is not None
    assert entrance.work.startswith(f"{stage.shared}/scq-")
    assert [path.read_text() for path in Path(entrance.code).rglob("note*")] == ["data"]
    assert (entrance.sandbox, entrance.digest, entrance.network, entrance.extra) == ("bwrap", record.run.digest, False, ())
    assert entrance.settings["scratch_root"] == "/var/tmp/scq"  # of the node, not the shared folder
    assert (task.invocation.argv, task.stream, task.traits.queue) == ((), False, record.sighting.ref.layout)
    assert stage.ctx.whereabouts([record])[uid].id == "7"


def test_no_more_jobs_are_out_than_are_allowed(stage: Stage) -> None:
    for number in range(7):
        stage.world.approved(f"job-{number}")
    assert len(stage.run().handed) == 5
    assert stage.run().handed == []
    out = [record for record in stage.records().values() if record.run is not None]
    assert len(out) == 5
    assert out[0].run is not None
    stage.executor.outcomes[os.path.join(stage.ctx.runs_folder(), out[0].run.directory)] = Ending(
        0, "exit", START, END, node="n1"
    )
    stage.runner().recover()
    ended = stage.records()[out[0].id]
    assert ended.run is not None
    assert (ended.status, ended.run.node, ended.run.phase) == ("running", "n1", "settled")  # the next look says that it is over
    assert len(stage.run().handed) == 1


def test_where_the_cluster_takes_no_more_the_rest_waits_here_as_before(stage: Stage) -> None:
    for number in range(4):
        stage.world.approved(f"job-{number}")
    stage.executor.most = 2
    stage.executor.trouble = "the controller does not answer"
    runner = stage.run()
    assert len(runner.handed) == 2
    assert [problem.what for problem in runner.problems] == ["the controller does not answer"]
    assert runner.exit_code == BUSY
    waiting = [record for record in stage.records().values() if record.run is None]
    assert [(record.attempts, record.runs) for record in waiting] == [(0, 0)] * 2
    assert len(os.listdir(stage.ctx.runs_folder())) == 2


def test_a_job_that_was_refused_is_given_back_and_nothing_of_it_stays(stage: Stage) -> None:
    uid = stage.world.approved()
    stage.executor.answer = ConfigError("invalid partition", "Correct executor.slurm.partition.")
    runner = stage.run()
    assert runner.exit_code == FAILED
    assert [outcome.refused for outcome in runner.outcomes] == ["invalid partition"]
    record = stage.records()[uid]
    assert (record.run, record.attempts, record.intents) == (None, 0, ("reopen",))
    assert os.listdir(stage.ctx.runs_folder()) == os.listdir(stage.shared) == []


def test_a_cluster_that_does_not_answer_is_told_once_and_nothing_is_lost(stage: Stage) -> None:
    for number in range(3):
        stage.world.approved(f"job-{number}")
    stage.run()
    before = stage.records()
    for record in before.values():
        assert record.run is not None
        folder = os.path.join(stage.ctx.runs_folder(), record.run.directory)
        stage.executor.outcomes[folder] = BusyError("no answer", "Try again.")
    runner = stage.runner()
    runner.recover()
    assert (runner.exit_code, [problem.what for problem in runner.problems]) == (BUSY, ["no answer"])
    assert stage.records() == before


def test_a_run_that_cannot_be_taken_over_does_not_hold_up_the_others(stage: Stage) -> None:
    uids = [stage.world.approved(f"job-{number}") for number in range(3)]
    stage.run()
    for uid, answer in zip(uids, (BusyError("no room", "Make some."), ENDED, None), strict=True):
        stage.executor.outcomes[stage.folder(uid)] = answer
    runner = stage.runner()
    runner.recover()
    assert [problem.what for problem in runner.problems] == ["no room"]
    assert [outcome.record.id for outcome in runner.outcomes] == [uids[1]]


def test_a_folder_that_cannot_be_removed_keeps_its_claim_and_holds_up_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, lost, over = [stage.world.approved(f"job-{number}") for number in range(3)]
    stage.run()
    stage.executor.outcomes |= {stage.folder(stuck): False, stage.folder(lost): False, stage.folder(over): ENDED}

    def remove(folder: str) -> None:
        if stuck in folder:
            raise OSError(39, "Directory not empty", folder)
        remove_run(folder)

    with monkeypatch.context() as patch:
        patch.setattr("scq.running.remove_run", remove)
        runner = stage.runner()
        runner.recover()
    assert ["cannot be removed" in problem.what for problem in runner.problems] == [True]
    records = stage.records()
    assert [records[uid].run is None for uid in (stuck, lost, over)] == [False, True, False]
    assert [outcome.record.id for outcome in runner.outcomes] == [over]
    stage.runner().recover()
    assert stage.records()[stuck].run is None


def test_what_a_restored_state_takes_for_out_is_not_shown_as_cut_off_when_it_was_over(stage: Stage) -> None:
    uid = stage.world.approved()
    stage.run()
    before = stage.ctx.store.load().jobs
    stage.executor.outcomes[stage.folder(uid)] = ENDED
    stage.runner().recover()
    stage.ctx.store.update(lambda state: replace(state, jobs=before))
    stage.executor.outcomes[stage.folder(uid)] = replace(ENDED, exit_code=None, cause="interrupted")
    runner = stage.runner()
    runner.recover()
    assert runner.outcomes == []
    observe(stage.ctx)
    assert stage.world.owner.job(uid)["status"] == "completed"


def test_what_never_began_is_given_back_in_one_save(stage: Stage) -> None:
    for number in range(5):
        stage.world.approved(f"job-{number}")
    stage.run()
    for record in stage.records().values():
        assert record.run is not None
        stage.executor.outcomes[os.path.join(stage.ctx.runs_folder(), record.run.directory)] = False
    revision = stage.ctx.store.load().revision
    runner = stage.runner()
    runner.recover()
    assert stage.ctx.store.load().revision == revision + 1
    assert ["lost by the cluster" in text for text in report_of(runner, ()).lines] == [True] * 5
    assert {(record.run, record.intents) for record in stage.records().values()} == {(None, ("reopen",))}


def test_the_end_of_an_approval_travels_with_the_job(stage: Stage) -> None:
    uid = stage.world.approved()
    end = stage.ctx.now().replace(year=2100)

    def bound(state):  # type: ignore[no-untyped-def]
        (key,) = state.jobs
        record = state.jobs[key]
        limited = replace(record, decision=replace(record.decision, bounds=Bounds(expires_at=end)))
        return replace(state, jobs={key: limited})

    stage.ctx.store.update(bound)
    stage.run()
    assert stage.executor.taken[0].entrance is not None
    assert stage.executor.taken[0].entrance.not_after == end
    assert stage.records()[uid].run is not None


def test_a_cluster_that_cannot_be_used_stops_the_call_before_anything_is_claimed(stage: Stage) -> None:
    stage.world.approved()
    stage.executor.wrong = (Problem("executor.slurm.shared_dir", "is not there", "Make it."),)
    made = run_jobs(stage.ctx, stage.runner(), observe(stage.ctx), (), Choice())
    assert made.exit_code == 78
    assert "slurm cannot be used" in made.errors[0]
    assert all(record.run is None for record in stage.records().values())


def test_what_was_handed_over_is_said_by_name_or_by_number(stage: Stage) -> None:
    stage.world.approved()
    made = run_jobs(stage.ctx, stage.runner(), observe(stage.ctx), (), Choice())
    assert (made.exit_code, len(made.data["handed"]), made.data["runs"]) == (0, 1, [])
    assert "handed over to slurm" in made.lines[0]
    remove_tree(str(stage.shared))


def test_content_that_a_node_found_changed_is_told_as_such(stage: Stage) -> None:
    stage.world.approved()
    stage.run()
    (record,) = stage.records().values()
    assert record.run is not None
    folder = os.path.join(stage.ctx.runs_folder(), record.run.directory)
    stage.executor.outcomes[folder] = Ending(None, "integrity", START, END, detail="run.sh was changed", node="n1")
    runner = stage.runner()
    runner.recover()
    made = report_of(runner, ())
    assert (made.exit_code, made.data["runs"][0]["cause"]) == (5, "integrity")
    assert "run.sh was changed" in made.lines[0]
