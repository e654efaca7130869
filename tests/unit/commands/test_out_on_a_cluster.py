"""Verbs and a job that was handed to a cluster: cancel and logs, and the refusals of the others.

The cluster is a stand-in here; tests/slurm has a real one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from msgspec.structs import replace

from scq import executors
from scq.commands import logs as verb
from scq.context import Context
from scq.errors import BusyError, ScqError
from scq.executors import rundir
from scq.model import Limits, Problem, Run, Whereabouts
from scq.ports import Ending, Plan, Task
from scq.showing import where_words
from scq.state import State
from scq.store import Store
from tests.making import NOW
from tests.people import OWNER, SECOND, Person, World

ENDING = Ending(0, "exit", NOW.isoformat(), NOW.isoformat())


class StandIn:
    """An executor whose jobs are somewhere else: a test says where, and how they end."""

    name = "slurm"
    remote = True
    places: ClassVar[dict[str, Whereabouts]] = {}
    stopped: ClassVar[list[str]] = []
    silent: ClassVar[bool] = False
    far: ClassVar[Path | None] = None

    def __init__(self, setting: object = None) -> None:
        self.setting = setting

    def check(self) -> Sequence[Problem]:
        return ()

    def run(self, tasks: Iterator[Task], limit: int, ended: Callable[[Task, Ending | ScqError], None]) -> None:
        raise NotImplementedError

    def outcome(self, directory: str) -> Ending | bool | None:
        return rundir.read_result(directory)

    def began(self, directory: str) -> bool:
        return False

    def logs(self, directory: str) -> str:
        return directory if rundir.read_result(directory) is not None else str(self.far)

    def whereabouts(self, directories: Sequence[str]) -> Mapping[str, Whereabouts]:
        return {folder: place for folder in directories if (place := self.places.get(os.path.basename(folder))) is not None}

    def stop(self, directory: str) -> None:
        StandIn.stopped.append(os.path.basename(directory))
        if self.silent:
            raise BusyError("the cluster does not answer", "Try again.")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[StandIn]:
    StandIn.places, StandIn.stopped, StandIn.silent, StandIn.far = {}, [], False, tmp_path / "shared"
    monkeypatch.setitem(executors.EXECUTORS, "slurm", f"{__name__}:StandIn")
    return StandIn


def change(world: World, uid: str, executor: str = "slurm", **fields: Any) -> None:
    """Let the remembered job be one whose run is at work."""

    def changed(state: State) -> State:
        key = next(key for key, record in state.jobs.items() if record.id == uid)
        record = state.jobs[key]
        run = record.run or Run(1, record.digest or "", f"{uid[:36]}-1", "claimed", NOW, executor=executor)
        run = replace(run, **fields)
        return replace(state, jobs={**state.jobs, key: replace(record, run=run, status="running", attempts=1)})

    Store(str(world.owner.home)).update(changed)


def home(world: World, uid: str) -> Path:
    folder = world.owner.home / "runs" / f"{uid[:36]}-1"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def out(world: World, name: str = "count", executor: str = "slurm", **rest: Any) -> str:
    """A job that was approved and handed over."""
    uid = world.approved(name, **rest)
    home(world, uid)
    change(world, uid, executor)
    return uid


def rows(world: World, what: str) -> list[Any]:
    return [row for row in world.owner.json("audit", "show")["rows"] if row["what"] == what]


class TestCancel:
    def test_the_cluster_is_asked_to_end_the_run_and_the_audit_log_says_why(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world)
        answer = world.owner.scq("cancel", uid, "-r", "too much")
        assert answer.out == (
            f"asked the cluster to end {uid[:8]}  count; the next scq run-approved or scq cycle tells how it ended\n"
        )
        assert cluster.stopped == [f"{uid}-1"]
        assert world.owner.job(uid)["status"] == "running", "it is not over before the cluster says so"
        (row,) = rows(world, "cancel")
        assert (row["job"], row["detail"], row["by"]) == (uid, "too much", OWNER)

    def test_programs_hear_which_jobs_are_being_ended(self, world: World, cluster: type[StandIn]) -> None:
        one, two, waiting = out(world, "one"), out(world, "two"), world.submit("three")
        data = world.owner.json("cancel", one, waiting, two, one)
        assert [job["id"] for job in data["jobs"]] == [waiting, one, two]
        assert [job["status"] for job in data["jobs"]] == ["rejected", "running", "running"]
        assert data["stopping"] == [one, two]
        assert cluster.stopped == [f"{one}-1", f"{two}-1"]

    def test_what_is_not_out_has_nothing_to_be_ended(self, world: World) -> None:
        uid = world.submit()
        data = world.owner.json("cancel", uid)
        assert (data["stopping"], data["dry_run"]) == ([], False)

    def test_a_dry_run_asks_nobody(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world)
        answer = world.owner.scq("cancel", uid, "--dry-run")
        assert answer.out.startswith(f"would ask the cluster to end {uid[:8]}")
        assert cluster.stopped == []
        assert rows(world, "cancel") == []

    def test_a_cluster_that_does_not_answer_is_told_and_the_wish_is_kept(self, world: World, cluster: type[StandIn]) -> None:
        one, two = out(world, "one"), out(world, "two")
        cluster.silent = True
        answer = world.owner.scq("cancel", one, two, "--json", code=75)
        assert answer.json["data"]["stopping"] == []
        assert [error.split(".")[0] for error in answer.json["errors"]] == [
            f"{uid[:8]}: the cluster does not answer" for uid in (one, two)
        ]
        assert "the next scq run-approved or scq cycle asks the cluster again" in answer.json["errors"][0]
        assert cluster.stopped == [f"{one}-1", f"{two}-1"], "the executor was told, and remembers"
        assert len(rows(world, "cancel")) == 2

    def test_a_wish_that_could_not_be_kept_is_not_said_to_be(
        self, world: World, cluster: type[StandIn], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_executor: object, directory: str) -> None:
            raise BusyError(f"{directory}: No space left", "Make room there.") from OSError(28, "No space left")

        monkeypatch.setattr(cluster, "stop", full)
        said = world.owner.scq("cancel", out(world), code=75).err
        assert "Make room there." in said
        assert "written down" not in said

    def test_one_that_cannot_be_found_does_not_stop_the_others(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world)
        answer = world.owner.scq("cancel", "nothing", uid, code=2)
        assert "no job 'nothing'" in answer.err
        assert cluster.stopped == [f"{uid}-1"]

    def test_only_what_was_seen_is_ended(self, world: World, cluster: type[StandIn], tmp_path: Path) -> None:
        uid = out(world)
        ctx = context(world)
        revision = world.owner.job(uid)["revision"]
        report = verb_cancel(ctx, [uid], seen={uid: "another"})
        assert (report.exit_code, cluster.stopped) == (75, [])
        assert "changed since it was shown" in report.errors[0]
        assert verb_cancel(ctx, [uid], seen={}).exit_code == 75, "it was not among what was shown"
        assert verb_cancel(ctx, [uid], seen={uid: revision}).exit_code == 0
        assert cluster.stopped == [f"{uid}-1"]

    def test_a_run_that_was_settled_meanwhile_is_left_alone(
        self, world: World, cluster: type[StandIn], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uid = out(world)
        ctx = context(world)
        update = ctx.store.update

        def settled_first(changed: Callable[[State], State]) -> State:
            change(world, uid, phase="settled", cause="exit", exit_code=0)
            return update(changed)

        monkeypatch.setattr(ctx.store, "update", settled_first)
        report = verb_cancel(ctx, [uid])
        assert (report.exit_code, cluster.stopped) == (2, [])
        assert "is over by now" in report.errors[0]

    def test_what_was_taken_over_already_is_over(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world)
        change(world, uid, phase="ended", cause="exit", exit_code=0)
        world.owner.scq("cancel", uid, code=2)
        assert (cluster.stopped, rows(world, "cancel")) == ([], [])

    def test_its_submitter_is_sent_to_the_owner_and_a_stranger_away(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world, layout="c0")
        ctx = context(world)
        record = next(record for record in ctx.store.load().jobs.values() if record.id == uid)
        ctx.layout(record.sighting.ref.layout).begin(str(world.root), record.sighting, record.run)  # type: ignore[arg-type]
        assert f"Only its owner can end it now: ask {OWNER}" in world.scientist.scq("cancel", uid, code=2).err
        assert "is not yours" in world.second.scq("cancel", uid, code=2).err
        assert cluster.stopped == []

    def test_somebody_else_on_the_same_home_ends_nothing(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world)
        other = Person(world.owner.home, world.root, SECOND)
        assert f"{uid[:8]} belongs to {OWNER}" in other.scq("cancel", uid, code=2).err
        assert cluster.stopped == []

    def test_a_run_of_this_machine_ends_with_the_call_that_runs_it(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world, executor="local")
        answer = world.owner.scq("cancel", uid, code=2)
        assert f"{uid[:8]} is running" in answer.err
        assert "Ctrl-C in the call that runs it ends it" in answer.err

    @pytest.mark.parametrize("words", [("approve",), ("reject",), ("rerun",), ("reset", "--yes")])
    def test_other_verbs_leave_it_alone_and_name_cancel(
        self, world: World, cluster: type[StandIn], words: tuple[str, ...]
    ) -> None:
        uid = out(world)
        named = words if words[0] == "reset" else (*words, uid)
        answer = world.owner.scq(*named, code=2)
        assert "is running" in answer.err
        assert f"scq cancel {uid[:8]}" in answer.err
        assert world.owner.job(uid)["status"] == "running"

    def test_cleaning_up_leaves_it_alone(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world)
        assert world.owner.json("cleanup", "--older-than", "0.000001")["removed"] == []
        assert world.owner.job(uid)["status"] == "running"


class TestLogs:
    def test_what_was_written_so_far_is_shown(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world)
        far(cluster, stdout=b"half of\nit", stderr=b"")
        assert world.owner.json("logs", uid)["logs"] == {"stdout": "half of\nit", "stderr": ""}

    def test_a_job_that_waits_has_none_and_says_where_it_is(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world)
        answer = world.owner.scq("logs", uid, code=2)
        assert f"{uid[:8]} is being handed to the cluster; nothing was written yet" in answer.err
        cluster.places[f"{uid}-1"] = Whereabouts("ending", "7")
        answer = world.owner.scq("logs", uid, code=2)
        assert f"{uid[:8]} is over on the cluster; no log of it is here yet" in answer.err
        assert "scq run-approved takes it over." in answer.err
        cluster.places[f"{uid}-1"] = Whereabouts("waiting", "7", position=3)
        answer = world.owner.scq("logs", uid, code=2)
        assert f"{uid[:8]} waits on the cluster" in answer.err
        assert f"scq logs {uid[:8]} -f" in answer.err

    def test_the_part_of_a_full_log_that_is_being_written_over_is_left_out(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world)
        planned(world, uid, 1024)
        far(cluster, stdout=b"a" * 512 + b"b" * 512)
        shown = world.owner.json("logs", uid, "--stdout")["logs"]["stdout"]
        assert shown == "a" * 512 + "\n--- the end of this log can be read when the job is over ---\n"
        rundir.write_result(str(cluster.far), ENDING)
        assert world.owner.json("logs", uid, "--stdout")["logs"]["stdout"] == "a" * 512 + "b" * 512


class TestFollow:
    def test_lines_come_as_they_are_written_until_it_is_over(self, world: World, cluster: type[StandIn]) -> None:
        def last() -> None:
            far(cluster, stdout=b"one\ntwo\nthree")
            rundir.write_result(str(cluster.far), ENDING)

        uid = out(world)
        cluster.places[f"{uid}-1"] = Whereabouts("waiting", "7")
        follow = Follow(world, uid)
        follow.then(lambda: far(cluster, stdout=b"one\ntwo\n"))
        follow.then(lambda: far(cluster, stdout=b"one\ntwo\nthr", stderr=b"\x1b[31mbad\x07\n"))
        follow.then(last)
        assert follow.lines == ["── stdout", "one", "two", "── stderr", "bad�", "── stdout", "three"]
        assert follow.said == [
            f"{uid[:8]} waits on the cluster: job 7",
            f"{uid[:8]} ended with exit code 0; the next scq run-approved or scq cycle takes its results over",
        ]

    def test_why_a_run_was_ended_over_there_is_left_to_the_call_that_asks_the_cluster(
        self, world: World, cluster: type[StandIn]
    ) -> None:
        uid = out(world)
        far(cluster, stdout=b"one\n")
        rundir.write_result(str(cluster.far), replace(ENDING, exit_code=None, cause="interrupted"))
        assert Follow(world, uid).said == [
            f"{uid[:8]} was ended on the cluster; the next scq run-approved or scq cycle tells why"
        ]

    @pytest.mark.parametrize(("option", "shown"), [("stdout", ["out"]), ("stderr", ["error"])])
    def test_one_stream_is_followed_by_itself(self, world: World, cluster: type[StandIn], option: str, shown: list[str]) -> None:
        uid = out(world)
        far(cluster, stdout=b"out\n", stderr=b"error\n")
        rundir.write_result(str(cluster.far), ENDING)
        assert Follow(world, uid, **{option: True}).lines == shown

    def test_a_job_that_never_stops_writing_is_looked_at_no_more_often(
        self, world: World, cluster: type[StandIn], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks = []

        def is_over(at_work: object) -> bool:
            looks.append(at_work)
            far(cluster, stdout=b"line\n" * len(looks))
            return len(looks) == 30

        monkeypatch.setattr(verb._AtWork, "is_over", is_over)
        follow = Follow(world, out(world))
        follow.rounds = 29
        assert follow.lines == ["── stdout", *["line"] * 30]
        assert follow.rounds == 0, "it waits after each look but the last"

    def test_nothing_is_lost_when_another_call_takes_the_results_over(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world)

        def taken_over() -> None:
            assert cluster.far is not None
            for file in cluster.far.iterdir():
                file.unlink()
            (home(world, uid) / "stdout.txt").write_bytes(b"one\ntwo\n")
            rundir.write_result(str(home(world, uid)), replace(ENDING, exit_code=3))

        far(cluster, stdout=b"one\n")
        follow = Follow(world, uid)
        follow.then(taken_over)
        assert follow.lines == ["── stdout", "one", "two"]
        assert follow.said[-1].startswith(f"{uid[:8]} ended with exit code 3")

    def test_a_full_log_is_said_to_be_one_and_its_end_comes_last(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world)
        planned(world, uid, 1024)
        far(cluster, stdout=b"a\n" * 512)
        follow = Follow(world, uid, stdout=True)
        follow.then(lambda: rundir.write_result(str(cluster.far), ENDING))
        assert follow.lines == ["a"] * 512
        assert sum("stdout is full" in text for text in follow.said) == 1

    @pytest.mark.parametrize("state", ["", "ending"])
    def test_a_run_that_is_lost_on_the_cluster_does_not_keep_anybody_waiting(
        self, world: World, cluster: type[StandIn], state: Any
    ) -> None:
        uid = out(world)
        follow = Follow(world, uid)
        if state:
            cluster.places[f"{uid}-1"] = Whereabouts(state)
        follow.rounds = verb.ASK_EVERY + 1
        assert follow.said == [f"{uid[:8]} is over on the cluster; the next scq run-approved or scq cycle tells how it ended"]

    def test_where_it_is_is_said_when_that_changes(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world)
        name = f"{uid}-1"
        silent, runs = Whereabouts("unknown", why="the cluster does not answer"), Whereabouts("running", "7", node="c1")
        cluster.places[name] = silent
        follow = Follow(world, uid)
        follow.then(lambda: cluster.places.update({name: runs}), after=verb.ASK_EVERY)
        follow.then(lambda: cluster.places.clear(), after=verb.ASK_EVERY)
        follow.rounds = 3 * verb.ASK_EVERY
        assert follow.said[:2] == [f"{uid[:8]} {where_words(place)}" for place in (silent, runs)]

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"phase": "settled", "cause": "node", "detail": "c1 failed"}, "failed: "),
            ({"phase": "settled", "cause": "exit", "exit_code": 0}, "ended with exit code 0"),
            ({"directory": "another"}, ": this run was given back; the job is running"),
        ],
    )
    def test_what_another_call_found_out_ends_it(
        self, world: World, cluster: type[StandIn], fields: dict[str, Any], said: str
    ) -> None:
        uid = out(world)
        cluster.places[f"{uid}-1"] = Whereabouts("running", "7")
        follow = Follow(world, uid)
        follow.then(lambda: change(world, uid, **fields))
        follow.rounds = verb.SETTLED_EVERY
        assert said in follow.said[-1]

    def test_a_job_that_was_removed_meanwhile_ends_it(self, world: World, cluster: type[StandIn]) -> None:
        uid = out(world)
        cluster.places[f"{uid}-1"] = Whereabouts("running", "7")
        follow = Follow(world, uid)
        store = Store(str(world.owner.home))
        follow.then(lambda: store.update(lambda state: replace(state, jobs={})))
        follow.rounds = verb.SETTLED_EVERY
        assert follow.said[-1] == f"{uid[:8]} was removed"

    def test_a_job_of_this_machine_is_followed_too(self, world: World) -> None:
        uid = out(world, executor="local")
        folder = home(world, uid)
        started = rundir.Started(NOW.isoformat(), 1, 1, "boot", 1, "/")
        lock = rundir.acquire_lock(str(folder))
        rundir.write_started(str(folder), started)
        follow = Follow(world, uid)
        follow.then(lambda: (folder / "stdout.txt").write_bytes(b"one\n"))
        follow.then(lambda: os.close(lock))
        assert follow.lines == ["── stdout", "one"]
        assert follow.said == [f"{uid[:8]}: its runner is gone; the next scq run-approved tells how it ended"]

    def test_the_end_of_a_job_of_this_machine_is_said(self, world: World) -> None:
        uid = out(world, executor="local")
        folder = home(world, uid)
        (folder / "stderr.txt").write_bytes(b"bad\n")
        rundir.write_result(str(folder), replace(ENDING, exit_code=None, cause="memory", detail="memory limit"))
        follow = Follow(world, uid)
        assert follow.lines == ["── stderr", "bad"]
        assert follow.said == [f"{uid[:8]} failed: it used more memory than it may (memory limit)"]

    def test_a_job_that_is_over_is_shown_at_once(self, world: World) -> None:
        uid = world.ended(script="echo out; echo bad >&2\n")
        answer = world.owner.scq("logs", uid, "-f", "--stdout")
        assert (answer.out, answer.err) == ("out\n", f"{uid[:8]} ended with exit code 0\n")

    def test_a_job_that_has_not_begun_has_nothing_to_follow(self, world: World) -> None:
        uid = world.approved()
        assert f"{uid[:8]} has no logs" in world.owner.scq("logs", uid, "-f", code=2).err

    def test_one_document_and_lines_as_they_come_do_not_go_together(self, world: World) -> None:
        uid = world.approved()
        assert "Leave one of the two out" in world.owner.scq("logs", uid, "-f", "--json", code=2).out


def context(world: World, said: list[str] | None = None) -> Context:
    from scq import config

    loaded = config.load(
        str(world.owner.home / "config.yaml"), {}, {"email": OWNER, "root": str(world.root)}, home=str(world.owner.home)
    )
    return Context(loaded.config, str(world.owner.home), say=None if said is None else said.append)


def verb_cancel(ctx: Context, words: list[str], **options: Any) -> Any:
    from scq.commands import cancel

    return cancel.run(ctx, words, **options)


def far(cluster: type[StandIn], **streams: bytes) -> None:
    """Write logs where the cluster has them, as a wrapper does: into the file that is there."""
    assert cluster.far is not None
    cluster.far.mkdir(exist_ok=True)
    for name, content in streams.items():
        with open(cluster.far / f"{name}.txt", "ab") as file:
            file.truncate(0)
            file.write(content)


def planned(world: World, uid: str, log_bytes: int) -> None:
    plan = Plan("none", "", False, (), "", {}, (), Limits(log_bytes=log_bytes))
    (home(world, uid) / "plan.json").write_bytes(msgspec.json.encode(plan))


class Follow:
    """Follows a job; what is to happen in between happens at the moments in which it would wait."""

    def __init__(self, world: World, uid: str, **options: bool) -> None:
        self._world, self._uid, self._options = world, uid, options
        self._steps: list[tuple[int, Callable[[], object]]] = []
        self._said: list[str] = []
        self._lines: list[str] | None = None
        self.rounds = 0

    def then(self, step: Callable[[], object], after: int = 0) -> None:
        self._steps.append((after, step))

    @property
    def lines(self) -> list[str]:
        if self._lines is None:
            ctx = context(self._world, self._said)
            self._lines = list(verb.following_job(ctx, self._uid, wait=self._wait, **self._options))
        return self._lines

    @property
    def said(self) -> list[str]:
        assert self.lines is not None
        return self._said

    def _wait(self, _seconds: float) -> None:
        if self._steps and self._steps[0][0] <= 0:
            self._steps.pop(0)[1]()
            return
        if self._steps:
            self._steps[0] = self._steps[0][0] - 1, self._steps[0][1]
            return
        self.rounds -= 1
        assert self.rounds >= 0, "it waits although nothing will come any more"
