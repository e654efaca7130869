from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from scq.errors import BusyError
from scq.executors import rundir
from scq.executors.local import LocalExecutor, never_started
from scq.executors.rundir import Started
from scq.ports import Ending

ENDING = Ending(0, "exit", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00", 3, 4)
STARTED = Started("2026-01-01T00:00:00+00:00", 1, 1, "boot", 1, "/nowhere")


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    rundir.write_result(str(tmp_path), ENDING)
    assert rundir.read_result(str(tmp_path)) == ENDING


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"exit_code": "0"}', b"\xff" * 10, b" " * 100_000])
def test_a_damaged_result_is_no_result(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "result.json").write_bytes(content)
    assert rundir.read_result(str(tmp_path)) is None
    assert LocalExecutor().outcome(str(tmp_path)) is False


def test_a_pipe_in_place_of_a_result_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "result.json")
    assert rundir.read_result(str(tmp_path)) is None


def test_a_start_is_remembered_once(tmp_path: Path) -> None:
    assert not rundir.was_started(str(tmp_path))
    rundir.write_started(str(tmp_path), STARTED)
    assert rundir.was_started(str(tmp_path))
    assert rundir.read_started(str(tmp_path)) == STARTED
    with pytest.raises(FileExistsError):
        rundir.write_started(str(tmp_path), STARTED)


def test_half_a_start_record_still_says_that_it_was_started(tmp_path: Path) -> None:
    (tmp_path / "started").write_bytes(b"")
    assert not never_started(str(tmp_path))
    assert rundir.read_started(str(tmp_path)) is None


def test_a_run_is_alive_as_long_as_its_lock_is_held(tmp_path: Path) -> None:
    executor = LocalExecutor()
    lock = rundir.acquire_lock(str(tmp_path))
    assert executor.outcome(str(tmp_path)) is None
    assert not never_started(str(tmp_path))
    rundir.write_result(str(tmp_path), ENDING)
    assert executor.outcome(str(tmp_path)) is None
    os.close(lock)
    assert executor.outcome(str(tmp_path)) == ENDING


def test_asking_for_the_lock_does_not_keep_it(tmp_path: Path) -> None:
    os.close(rundir.acquire_lock(str(tmp_path)))
    assert not rundir.is_locked(str(tmp_path))
    os.close(rundir.acquire_lock(str(tmp_path)))


def test_two_who_ask_at_once_do_not_take_each_other_for_the_supervisor(tmp_path: Path) -> None:
    os.close(rundir.acquire_lock(str(tmp_path)))
    with (tmp_path / "lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not rundir.is_locked(str(tmp_path))


def test_a_second_supervisor_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rundir, "LOCK_PATIENCE_S", 0.0)
    lock = rundir.acquire_lock(str(tmp_path))
    with pytest.raises(BusyError, match="another process"):
        rundir.acquire_lock(str(tmp_path))
    os.close(lock)


def test_a_lock_that_cannot_be_looked_at_is_not_taken_for_free(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        rundir.is_locked(str(tmp_path))


def test_a_record_whose_text_is_no_text_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / rundir.RESULT).write_bytes(b'{"exit_code":0,"cause":"\xff","started_at":"","finished_at":""}')
    (tmp_path / rundir.STARTED).write_bytes(b'{"started_at":"\xff","pid":1,"session":1,"boot":"","ticks":1,"cwd":""}')
    assert rundir.read_result(str(tmp_path)) is None
    assert rundir.read_started(str(tmp_path)) is None
