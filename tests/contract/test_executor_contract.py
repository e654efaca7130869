"""What every executor owes its caller. An executor's own tests inherit `ExecutorContract` and provide `site`."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scq import executors
from scq.errors import ScqError, UsageError
from scq.ports import Ending, Executor, Task
from tests.unit.executors.tasks import PATH, make_task

Report = Callable[[Task, Ending], None]


class Site(ABC):
    """How an executor is used by the suite: what differs between one that waits for the end and one that does not."""

    moment_s = 0.3
    """Long enough for a job to have said something."""
    several = 8
    """Jobs where more are wanted than may run at once, which is three."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @abstractmethod
    def executor(self) -> Executor:
        """One such as a later call would have: it knows nothing of what was done before."""

    @abstractmethod
    def task(
        self,
        name: str,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] = PATH,
        timeout_s: float = 60.0,
        log_limit: int = 1 << 20,
    ) -> Task:
        """A task labelled `name`, ready to be handed over."""

    @abstractmethod
    def finish(self, tasks: Iterator[Task], limit: int, ended: Report) -> None:
        """Run all of them to their end, at most `limit` at once, and report each."""

    @abstractmethod
    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """What a job sees that was given `env`."""

    @abstractmethod
    def folder(self, task: Task) -> str:
        """Where a job is, as it sees it."""

    def run(self, command: str | Sequence[str], **settings: object) -> Ending:
        """Run one job, called `run`, to its end."""
        endings: list[Ending] = []
        task = self.task("run", command, **settings)  # type: ignore[arg-type]
        self.finish(iter([task]), 1, lambda _task, ending: endings.append(ending))
        (ending,) = endings
        return ending

    def directory(self, name: str = "run") -> str:
        """Of the task of that name."""
        return str(self.home / name)

    def log(self, stream: str, name: str = "run") -> bytes:
        """`stdout` or `stderr` of a run, from where its executor says that it lies."""
        return (Path(self.executor().logs(self.directory(name))) / f"{stream}.txt").read_bytes()


class ExecutorContract:
    """Inherit and provide the fixture `site`."""

    @pytest.fixture
    def site(self) -> Site:
        raise NotImplementedError

    def test_the_exit_code_is_the_job_s_own(self, site: Site) -> None:
        found: dict[str, tuple[int | None, str]] = {}
        tasks = (site.task(code, f"exit {code}") for code in ("0", "7", "255"))
        site.finish(tasks, 3, lambda task, ending: found.update({task.label: (ending.exit_code, ending.cause)}))
        assert found == {code: (int(code), "exit") for code in ("0", "7", "255")}

    def test_output_lies_where_the_executor_says_with_its_size(self, site: Site) -> None:
        ending = site.run("printf out; printf error >&2")
        assert (site.log("stdout"), site.log("stderr")) == (b"out", b"error")
        assert (ending.stdout_bytes, ending.stderr_bytes) == (3, 5)
        assert Path(site.directory(), "stdout.txt").read_bytes() == b"out"  # where it stays, now that the run is over

    def test_a_run_that_ended_began_and_later_questions_get_the_reported_ending(self, site: Site) -> None:
        assert not site.executor().began(site.directory())
        ending = site.run("exit 3")
        assert site.executor().began(site.directory())
        assert site.executor().outcome(site.directory()) == ending
        assert site.executor().outcome(site.directory()) == ending
        started, finished = (datetime.fromisoformat(text) for text in (ending.started_at, ending.finished_at))
        assert started.utcoffset() == finished.utcoffset() == timedelta(0)
        assert started <= finished

    def test_a_directory_without_a_run_has_no_living_runner(self, site: Site, tmp_path: Path) -> None:
        executor = site.executor()
        assert executor.outcome(str(tmp_path)) is False
        assert executor.outcome(str(tmp_path / "missing")) is False
        assert not executor.began(str(tmp_path))
        assert executor.whereabouts([str(tmp_path), str(tmp_path / "missing")]) == {}

    def test_tasks_are_taken_while_there_is_room_and_each_end_is_reported_once(self, site: Site) -> None:
        taken = ended = most = 0
        reports: list[tuple[str, int]] = []
        endings: list[Ending] = []

        def tasks() -> Iterator[Task]:
            nonlocal taken, most
            for number in range(site.several):
                taken += 1
                most = max(most, taken - ended)
                yield site.task(f"j{number}", f"sleep {site.moment_s}")

        def count(task: Task, ending: Ending) -> None:
            nonlocal ended
            ended += 1
            reports.append((task.label, os.getpid()))
            endings.append(ending)

        site.finish(tasks(), 3, count)
        assert sorted(reports) == [(f"j{number}", os.getpid()) for number in range(site.several)]
        assert (taken, most) == (site.several, 3)
        assert 1 < most_at_once(endings) <= 3

    def test_nothing_is_taken_where_there_is_nothing(self, site: Site) -> None:
        site.executor().run(iter(()), 3, lambda task, _ending: pytest.fail(task.label))

    def test_a_job_over_its_time_limit_is_ended(self, site: Site) -> None:
        ending = site.run("echo begun; exec sleep 600", timeout_s=site.moment_s)
        assert (ending.exit_code, ending.cause) == (None, "timeout")
        assert site.log("stdout") == b"begun\n--- PROCESS TIMED OUT ---\n"
        assert site.log("stderr") == b"--- PROCESS TIMED OUT ---\n"

    def test_a_job_that_cannot_be_started_says_why(self, site: Site) -> None:
        ending = site.run(["/no/such/program"])
        assert (ending.exit_code, ending.cause) == (None, "start")
        assert b"/no/such/program" in site.log("stderr")

    def test_the_environment_is_exactly_the_given_one(self, site: Site) -> None:
        env = {"ONLY": "this one, with = and\nlines", "EMPTY": ""}
        site.run(["/usr/bin/env", "-0"], env=env)
        said = site.log("stdout").decode().split("\0")
        assert sorted(said) == sorted(["", *(f"{name}={value}" for name, value in site.environment(env).items())])

    def test_the_job_starts_in_its_folder_without_input(self, site: Site) -> None:
        task = site.task("run", "pwd -P; cat")
        site.finish(iter([task]), 1, lambda _task, _ending: None)
        assert site.log("stdout").decode() == f"{site.folder(task)}\n"

    def test_output_is_cut_in_the_middle(self, site: Site) -> None:
        site.run("seq 100000", log_limit=4096)
        kept = site.log("stdout")
        assert len(kept) <= 4096
        assert kept.startswith(b"1\n2\n3\n")
        assert kept.endswith(b"99999\n100000\n")
        assert b" bytes left out ---\n" in kept

    def test_what_a_job_leaves_in_the_background_ends_with_it(self, site: Site) -> None:
        task = site.task("run", "(setsid sh -c 'while :; do date >> alive; sleep 0.01; done' &) ; until [ -s alive ]; do :; done")
        site.finish(iter([task]), 1, lambda _task, _ending: None)
        alive = Path(task.work, "alive")
        written = alive.stat().st_size
        site.finish(iter([site.task("later", f"sleep {site.moment_s}")]), 1, lambda _task, _ending: None)
        assert alive.stat().st_size == written


def most_at_once(endings: Sequence[Ending]) -> int:
    """How many of them ran at the same moment at most."""
    moments = [(ending.started_at, 1) for ending in endings] + [(ending.finished_at, -1) for ending in endings]
    running = most = 0
    for _, change in sorted(moments, key=lambda moment: (datetime.fromisoformat(moment[0]), moment[1])):
        running += change
        most = max(most, running)
    return most


class LocalSite(Site):
    def executor(self) -> Executor:
        return executors.get("local")

    def task(self, name: str, command: str | Sequence[str], **settings: object) -> Task:
        return make_task(self.home / name, command, label=name, **settings)  # type: ignore[arg-type]

    def finish(self, tasks: Iterator[Task], limit: int, ended: Report) -> None:
        def report(task: Task, ending: Ending | ScqError) -> None:
            assert isinstance(ending, Ending)
            ended(task, ending)

        self.executor().run(tasks, limit, report)

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        return dict(env)

    def folder(self, task: Task) -> str:
        return os.path.realpath(task.work)


class TestLocalExecutor(ExecutorContract):
    @pytest.fixture
    def site(self, tmp_path: Path) -> Site:
        return LocalSite(tmp_path / "runs")

    def test_it_waits_for_the_end(self, site: Site) -> None:
        assert not site.executor().remote

    def test_a_run_is_ended_by_ending_its_call(self, site: Site) -> None:
        with pytest.raises(UsageError):
            site.executor().stop(site.directory())
