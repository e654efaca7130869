"""Which processes are taken for left-overs of a dead run, and which must never be."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from scq.executors import rundir
from scq.executors.processes import boot_id, read_process
from scq.executors.rundir import Started
from scq.executors.strays import end_strays
from tests.unit.executors.tasks import is_alive, wait_for

Spawn = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start `sleep` in a folder; everything started is ended afterwards."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(cwd: Path | str = "/", *, new_session: bool = False) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["sleep", "600"], cwd=cwd, start_new_session=new_session)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def record(directory: Path, **changes: object) -> None:
    """A run whose supervisor, started as early as this test process, is dead by now."""
    me = read_process(os.getpid())
    assert me is not None
    dead = subprocess.Popen(["true"])
    dead.wait()
    started = Started("2026-01-01T00:00:00+00:00", dead.pid, dead.pid, boot_id(), me.ticks, str(directory / "work"))
    rundir.write_started(str(directory), msgspec.structs.replace(started, **changes))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run/work/deep").mkdir(parents=True)
    return tmp_path / "run"


def test_a_process_that_works_inside_the_run_is_ended(run: Path, spawn: Spawn) -> None:
    process = spawn(run / "work/deep")
    record(run)
    assert end_strays(str(run)) == 0
    wait_for(lambda: not is_alive(process.pid), "the end of the process")


def test_a_process_in_a_removed_folder_of_the_run_is_ended(run: Path, spawn: Spawn) -> None:
    process = spawn(run / "work/deep")
    (run / "work/deep").rmdir()
    record(run)
    end_strays(str(run))
    wait_for(lambda: not is_alive(process.pid), "the end of the process")


def test_a_process_in_a_removed_working_folder_elsewhere_is_ended(run: Path, tmp_path: Path, spawn: Spawn) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    process = spawn(elsewhere)
    elsewhere.rmdir()
    record(run, cwd=str(elsewhere))
    end_strays(str(run))
    wait_for(lambda: not is_alive(process.pid), "the end of the process")


def test_a_process_in_a_folder_of_similar_name_is_left_alone(run: Path, spawn: Spawn) -> None:
    other = Path(f"{run}-other")
    other.mkdir()
    process = spawn(other)
    record(run)
    end_strays(str(run))
    assert is_alive(process.pid)


def test_a_process_whose_number_is_the_old_session_is_somebody_else(run: Path, spawn: Spawn) -> None:
    """The number of the dead supervisor was given to a new process since."""
    process = spawn(new_session=True)
    record(run, session=process.pid)
    end_strays(str(run))
    assert is_alive(process.pid)


def test_nothing_is_touched_after_a_restart_of_the_machine(run: Path, spawn: Spawn) -> None:
    process = spawn(run / "work")
    record(run, boot="an earlier one")
    end_strays(str(run))
    assert is_alive(process.pid)


def test_a_process_older_than_the_run_is_left_alone(run: Path, spawn: Spawn) -> None:
    process = spawn(run / "work")
    found = read_process(process.pid)
    assert found is not None
    record(run, ticks=found.ticks + 1)
    end_strays(str(run))
    assert is_alive(process.pid)


def test_a_shell_on_a_terminal_that_stands_in_the_run_is_left_alone(run: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(run / "work")
        os.execv("/bin/sh", ["sh", "-c", "echo ready; exec sleep 600"])
    try:
        assert os.read(terminal, 100).strip() == b"ready"
        record(run)
        end_strays(str(run))
        assert is_alive(pid)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_the_asking_process_is_left_alone(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run / "work")
    record(run)
    assert end_strays(str(run)) == 0


def test_without_a_record_nothing_is_touched(run: Path, spawn: Spawn) -> None:
    process = spawn(run / "work")
    assert end_strays(str(run)) == 0
    assert is_alive(process.pid)


def test_what_cannot_be_killed_is_counted(run: Path, spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    spawn(run / "work")
    record(run)
    monkeypatch.setattr("scq.executors.strays.PATIENCE_S", 0.0)
    monkeypatch.setattr("scq.executors.strays.send", lambda _pid, _number: False)
    assert end_strays(str(run)) == 1
