"""`scq cycle`: its steps, what one says of another, and the exit code of them all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scq.cli.session import Session
from scq.commands import cycle, release
from scq.context import Context, utc_now
from scq.errors import BusyError, ConfigError, UsageError
from scq.lastcalls import last_ended
from scq.report import Report
from scq.running import Options
from scq.steps.look import Look
from scq.steps.runs import run_jobs, runner_of
from scq.store import exclusive
from tests.people import OWNER, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@contextmanager
def locked(world: World, verb: str) -> Iterator[None]:
    """Another call of this verb is at work."""
    with exclusive(str(world.owner.home / "locks" / f"{verb}.lock"), 0):
        yield


def approved(world: World, name: str = "job", script: str = "exit 0\n") -> str:
    uid = world.submit(name, script)
    world.owner.scq("review", uid)
    world.owner.scq("approve", uid)
    return uid


def later(world: World, hours: float) -> Context:
    """A call so many hours from now."""
    here = Session(str(world.owner.home), str(world.root), OWNER, "", -1.0)
    ctx = here.context()
    ctx.now = lambda: utc_now() + timedelta(hours=hours)
    return ctx


def cut_off(world: World, name: str) -> str:
    """A job whose run was cut off with everything that ran it."""
    uid = approved(world, name)
    world.owner.scq("check")
    ctx = later(world, 0)
    runner = runner_of(ctx, Options(60.0, stream=False, share_outputs=False, share_logs=False))
    (key,) = runner._claim([key for key, record in ctx.store.load().jobs.items() if record.id == uid])
    run = ctx.store.load().jobs[key].run
    assert run is not None
    folder = Path(ctx.runs_folder()) / run.directory
    folder.mkdir(parents=True)
    (folder / "started").touch()
    return uid


def steps(data: dict[str, Any]) -> dict[str, int]:
    return {step["name"]: step["exit_code"] for step in data["steps"]}


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def mailbox(world: World) -> int:
    return len(list((world.owner.home / "mailbox").rglob("new/*")))


def test_one_cycle_runs_what_was_approved_and_tells_of_its_end(world: World) -> None:
    uid = approved(world)
    before = mailbox(world)
    data = world.owner.json("cycle")
    assert [(row["id"], row["status"]) for row in data["runs"]] == [(uid, "completed")]
    assert "job.completed" in {row["kind"] for row in data["messages"]}
    assert mailbox(world) > before
    assert world.owner.job(uid)["status"] == "completed"


def test_a_cycle_with_nothing_to_do_says_nothing(world: World) -> None:
    world.owner.scq("cycle")
    answer = world.owner.scq("cycle")
    assert (answer.out, answer.err) == ("", "")


def test_jobs_are_left_to_others_on_request(world: World) -> None:
    uid = approved(world)
    data = world.owner.json("cycle", "--no-run")
    assert data["runs"] == []
    assert "run-approved" not in steps(data)
    assert world.owner.job(uid)["status"] == "approved"


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(world: World) -> None:
    uid = approved(world)
    world.owner.scq("cycle", "--no-run")
    world.submit("another")
    before = files(world.folder)
    state = (world.owner.home / "state.json").read_bytes()
    data = world.owner.json("cycle", "--dry-run")
    assert [row["id"] for row in data["planned"]] == [uid]
    assert [row["name"] for row in data["check"]["new_jobs"]] == ["another"]
    assert files(world.folder) == before
    assert (world.owner.home / "state.json").read_bytes() == state


def test_while_another_call_runs_jobs_people_are_told_all_the_same(world: World) -> None:
    world.owner.scq("cycle")
    uid = approved(world)
    world.submit("news")
    with locked(world, "run-approved"):
        data = world.owner.json("cycle", code=75)
    assert steps(data) == {"run-approved": 75, "check": 0, "notify": 0}
    assert "job.received" in {row["kind"] for row in data["messages"]}
    assert world.owner.job(uid)["status"] == "approved"


def test_while_another_call_tells_people_jobs_are_run_all_the_same(world: World) -> None:
    uid = approved(world)
    with locked(world, "notify"):
        data = world.owner.json("cycle", code=75)
    assert steps(data)["notify"] == 75
    assert world.owner.job(uid)["status"] == "completed"


def test_while_another_call_looks_a_cycle_ends_at_once_and_quietly(world: World) -> None:
    with locked(world, "check"):
        answer = world.owner.scq("cycle", code=75)
    assert (answer.out, answer.err) == ("", "")


def test_a_step_that_cannot_be_done_does_not_stop_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    approved(world)
    world.submit("news")

    def broken(*arguments: object, **options: object) -> None:
        raise ConfigError("the sandbox is broken", "Mend it.")

    monkeypatch.setattr(cycle, "run_jobs", broken)
    answer = world.owner.scq("cycle", "--json", code=78)
    assert steps(answer.json["data"]) == {"check": 0, "run-approved": 78, "notify": 0}
    assert answer.json["errors"] == ["the sandbox is broken. Mend it."]


def test_a_disk_that_is_full_is_named_and_the_other_steps_go_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    approved(world)

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/some/file")

    monkeypatch.setattr(cycle, "run_jobs", full)
    answer = world.owner.scq("cycle", "--json", code=1)
    assert steps(answer.json["data"])["notify"] == 0
    assert answer.json["errors"][0].startswith("/some/file: No space left on device. Make room")


def test_a_bug_in_a_step_is_not_taken_for_trouble_of_the_machine(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def strange(*arguments: object, **options: object) -> None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr(cycle, "delivered", strange)
    monkeypatch.setattr("tempfile.tempdir", str(world.folder))
    world.owner.scq("cycle", code=70)


@pytest.mark.parametrize(
    ("codes", "worst"),
    [((0, 4, 75), 4), ((5, 78, 77), 5), ((78, 77, 1), 78), ((77, 1, 4), 77), ((1, 4, 75), 1), ((75, 0, 0), 75), ((0, 0, 0), 0)],
)
def test_the_worst_step_gives_the_exit_code(codes: tuple[int, ...], worst: int) -> None:
    assert cycle._worst(codes) == worst


def test_a_failed_job_is_the_exit_code_and_people_are_told(world: World) -> None:
    approved(world, "broken", "exit 3\n")
    data = world.owner.json("cycle", code=4)
    assert "job.failed" in {row["kind"] for row in data["messages"]}


def test_old_jobs_are_removed_after_a_full_look_and_only_then(world: World) -> None:
    uid = world.ended("done")
    world.owner.configure("sandbox: none\ncleanup_completed_after: 0\n")
    assert world.owner.json("cycle")["removed"] == []
    world.owner.configure("sandbox: none\ncleanup_completed_after: 0\ncheck: {sweep_every: 0}\n")
    world.owner.scq("release", uid, "-r", "fine", code=None)
    assert [row["id"] for row in world.owner.json("cycle")["removed"]] == [uid]


def test_each_step_that_went_well_is_remembered_as_a_call_of_its_own(world: World) -> None:
    approved(world)
    world.owner.scq("cycle")
    assert set(last_ended(str(world.owner.home))) == {"check", "run-approved", "notify", "cycle"}


def test_every_step_has_its_line_in_the_log_with_the_id_of_the_call(world: World) -> None:
    run = world.owner.json("cycle")["run"]
    log = (world.owner.home / "syft-notify.log").read_text().splitlines()
    for step in ("check", "run-approved", "notify"):
        assert any(f"scq.{step} " in text and run in text for text in log), step


def test_results_released_a_moment_ago_are_not_removed_because_the_run_is_long_over(world: World) -> None:
    uid = world.ended("slow", "echo 1 > outputs/answer.csv\n")
    cycle.run(later(world, 1))
    release.run(later(world, 30), uid, reason="fine")
    assert cycle.run(later(world, 31)).data["removed"] == []
    assert [row["id"] for row in cycle.run(later(world, 55)).data["removed"]] == [uid]


def test_what_lay_there_for_years_is_announced_before_it_is_removed(world: World) -> None:
    uid = approved(world, "old")
    world.owner.scq("run-approved")
    release.run(later(world, 0), uid, reason="fine")
    world.owner.scq("check")
    planned = cycle.run(later(world, 30_000), dry_run=True)
    first = cycle.run(later(world, 30_000))
    for made in (planned, first):
        assert made.data["removed"] == []
        assert "1 job that is over is removed after " in made.lines[-1]
        assert made.lines[-1].endswith("to keep them: scq config set cleanup_completed_after never")
    second = cycle.run(later(world, 30_023))
    assert (second.data["removed"], second.lines) == ([], ())
    assert [row["id"] for row in cycle.run(later(world, 30_025)).data["removed"]] == [uid]


def test_a_clock_that_was_ahead_does_not_keep_jobs_for_ever(world: World) -> None:
    uid = approved(world, "old")
    world.owner.scq("run-approved")
    release.run(later(world, 0), uid, reason="fine")
    cycle.run(later(world, 300_000))
    cycle.run(later(world, 2))
    assert [row["id"] for row in cycle.run(later(world, 27)).data["removed"]] == [uid]


def test_nothing_is_removed_after_a_look_that_failed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    approved(world, "old")
    world.owner.scq("run-approved")
    cycle.run(later(world, 1))
    monkeypatch.setattr(Look, "exit_code", 77)
    made = cycle.run(later(world, 100))
    assert (made.exit_code, made.data["removed"]) == (77, [])
    assert "cleanup" not in steps(made.data)


def test_what_comes_while_jobs_run_is_told_in_the_same_cycle(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.owner.scq("cycle")
    uid = approved(world)
    new: list[str] = []

    def busy(*arguments: Any) -> Report:
        made = run_jobs(*arguments)
        new.append(world.submit("late"))
        return made

    monkeypatch.setattr(cycle, "run_jobs", busy)
    answer = world.owner.scq("cycle", "--json")
    data = answer.json["data"]
    assert [row["id"] for row in data["runs"]] == [uid]
    assert new[0] in {job["id"] for job in data["check"]["new_jobs"]}
    assert {"job.received", "job.completed"} <= {row["kind"] for row in data["messages"]}
    assert [step["name"] for step in data["steps"]] == ["check", "run-approved", "notify"]
    log = (world.owner.home / "syft-notify.log").read_text()
    assert "NEW JOB" in log
    assert log.count(f"{uid[:8]}  completed") == 1, "how it ended is said once"


def test_a_source_that_goes_away_while_jobs_run_is_not_passed_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = approved(world)

    def busy(*arguments: Any) -> Report:
        made = run_jobs(*arguments)
        world.root.rename(world.folder / "away")
        return made

    monkeypatch.setattr(cycle, "run_jobs", busy)
    data = world.owner.json("cycle", code=75)
    assert steps(data) == {"check": 75, "run-approved": 0, "notify": 0}
    (world.folder / "away").rename(world.root)
    monkeypatch.undo()
    told = world.owner.json("cycle")["messages"]
    assert (uid, "job.completed") in {(row["job"], row["kind"]) for row in told}


def test_messages_leave_although_the_second_look_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    approved(world)

    def broken(*arguments: object) -> None:
        raise BusyError("the state is locked")

    monkeypatch.setattr(cycle, "observe", broken)
    data = world.owner.json("cycle", code=75)
    assert [row["status"] for row in data["runs"]] == ["completed"]
    assert "job.approved" in {row["kind"] for row in data["messages"]}


def test_a_run_that_was_cut_off_is_said_once_and_its_people_hear_of_it(world: World) -> None:
    uid = cut_off(world, "cut")
    data = world.owner.json("cycle", code=4)
    assert [(row["id"], row["cause"]) for row in data["runs"]] == [(uid, "interrupted")]
    assert "job.failed" in {row["kind"] for row in data["messages"]}
    assert world.owner.json("cycle")["runs"] == []


def test_what_became_of_a_run_that_was_cut_off_is_in_the_log_also_when_nobody_can_look(world: World) -> None:
    uid = cut_off(world, "cut")
    with locked(world, "check"):
        world.owner.scq("cycle", code=75)
    assert f"{uid[:8]}  failed  cut  (interrupted" in (world.owner.home / "syft-notify.log").read_text()


def test_a_step_that_was_not_called_rightly_is_no_success(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: object, **options: object) -> None:
        raise UsageError("no such thing")

    monkeypatch.setattr(cycle, "delivered", wrong)
    world.owner.scq("cycle", code=2)
