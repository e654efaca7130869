"""What every executor owes its caller. An executor's own tests inherit `ExecutorContract` and provide `executor`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scq import executors
from scq.ports import Ending, Executor, Task
from tests.unit.executors.tasks import make_task, numbered, run_one


class ExecutorContract:
    """Inherit and provide the fixture `executor`."""

    @pytest.fixture
    def executor(self) -> Executor:
        raise NotImplementedError

    @pytest.mark.parametrize("code", [0, 1, 7, 255])
    def test_the_exit_code_is_the_job_s_own(self, executor: Executor, tmp_path: Path, code: int) -> None:
        ending = run_one(executor, make_task(tmp_path / "run", f"exit {code}"))
        assert (ending.exit_code, ending.cause) == (code, "exit")

    def test_output_lies_in_the_run_directory_with_its_size(self, executor: Executor, tmp_path: Path) -> None:
        ending = run_one(executor, make_task(tmp_path / "run", "printf out; printf error >&2"))
        assert (tmp_path / "run/stdout.txt").read_bytes() == b"out"
        assert (tmp_path / "run/stderr.txt").read_bytes() == b"error"
        assert (ending.stdout_bytes, ending.stderr_bytes) == (3, 5)

    def test_times_are_aware_utc_and_in_order(self, executor: Executor, tmp_path: Path) -> None:
        ending = run_one(executor, make_task(tmp_path / "run", "true"))
        started, finished = (datetime.fromisoformat(text) for text in (ending.started_at, ending.finished_at))
        assert started.utcoffset() == finished.utcoffset() == timedelta(0)
        assert started <= finished

    def test_a_later_question_gets_the_reported_ending(self, executor: Executor, tmp_path: Path) -> None:
        ending = run_one(executor, make_task(tmp_path / "run", "exit 3"))
        assert executor.outcome(str(tmp_path / "run")) == ending

    def test_a_directory_without_a_run_has_no_living_runner(self, executor: Executor, tmp_path: Path) -> None:
        assert executor.outcome(str(tmp_path)) is False
        assert executor.outcome(str(tmp_path / "missing")) is False

    def test_each_end_is_reported_once_in_the_calling_process(self, executor: Executor, tmp_path: Path) -> None:
        reports: list[tuple[str, int]] = []
        executor.run(numbered(tmp_path, 6, "true"), 3, lambda task, _ending: reports.append((task.label, os.getpid())))
        assert sorted(reports) == [(f"j{number}", os.getpid()) for number in range(6)]

    def test_a_task_is_taken_only_when_there_is_room(self, executor: Executor, tmp_path: Path) -> None:
        taken = ended = 0
        most = 0

        def tasks() -> Iterator[Task]:
            nonlocal taken, most
            for task in numbered(tmp_path, 8, "sleep 0.05"):
                taken += 1
                most = max(most, taken - ended)
                yield task

        def count(_task: Task, _ending: Ending) -> None:
            nonlocal ended
            ended += 1

        executor.run(tasks(), 3, count)
        assert (taken, ended, most) == (8, 8, 3)

    def test_never_more_jobs_run_at_once_than_the_limit(self, executor: Executor, tmp_path: Path) -> None:
        count_then_leave = f'cd {tmp_path} && mkdir "in.$$" && ls -d in.* | wc -l && sleep 0.1 && rmdir "in.$$"'
        executor.run(numbered(tmp_path, 8, count_then_leave), 3, lambda _task, _ending: None)
        seen = [int((tmp_path / f"j{number}/stdout.txt").read_text()) for number in range(8)]
        assert max(seen) <= 3
        assert max(seen) > 1

    def test_a_job_over_its_time_limit_is_ended(self, executor: Executor, tmp_path: Path) -> None:
        ending = run_one(executor, make_task(tmp_path / "run", "echo begun; exec sleep 600", timeout_s=0.3))
        assert (ending.exit_code, ending.cause) == (None, "timeout")
        assert (tmp_path / "run/stdout.txt").read_text() == "begun\n--- PROCESS TIMED OUT ---\n"
        assert (tmp_path / "run/stderr.txt").read_text() == "--- PROCESS TIMED OUT ---\n"

    def test_a_job_that_cannot_be_started_says_why(self, executor: Executor, tmp_path: Path) -> None:
        ending = run_one(executor, make_task(tmp_path / "run", ["/no/such/program"]))
        assert (ending.exit_code, ending.cause) == (None, "start")
        assert "/no/such/program" in (tmp_path / "run/stderr.txt").read_text()

    def test_the_environment_is_exactly_the_given_one(self, executor: Executor, tmp_path: Path) -> None:
        env = {"ONLY": "this one, with = and\nlines", "EMPTY": ""}
        run_one(executor, make_task(tmp_path / "run", ["/usr/bin/env", "-0"], env=env))
        said = (tmp_path / "run/stdout.txt").read_text().split("\0")
        assert sorted(said) == sorted(["", *(f"{name}={value}" for name, value in env.items())])

    def test_the_job_starts_in_its_folder_without_input(self, executor: Executor, tmp_path: Path) -> None:
        run_one(executor, make_task(tmp_path / "run", "pwd -P; cat"))
        assert (tmp_path / "run/stdout.txt").read_text() == f"{(tmp_path / 'run/work').resolve()}\n"

    def test_output_is_cut_in_the_middle(self, executor: Executor, tmp_path: Path) -> None:
        run_one(executor, make_task(tmp_path / "run", "seq 100000", log_limit=4096))
        kept = (tmp_path / "run/stdout.txt").read_bytes()
        assert len(kept) <= 4096
        assert kept.startswith(b"1\n2\n3\n")
        assert kept.endswith(b"99999\n100000\n")
        assert b" bytes left out ---\n" in kept


class TestLocalExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return executors.get("local")
