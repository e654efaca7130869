from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scq.errors import ConfigError
from scq.executors import processes
from tests.unit.executors.tasks import written_pid


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_process_is_read_from_proc(sleeper: subprocess.Popen[bytes]) -> None:
    found = processes.read_process(sleeper.pid)
    assert found is not None
    assert (found.pid, found.parent, found.session, found.tty) == (sleeper.pid, os.getpid(), sleeper.pid, 0)
    me = processes.read_process(os.getpid())
    assert me is not None
    assert found.ticks >= me.ticks > 0


def test_a_command_name_with_brackets_and_blanks_does_not_confuse_the_reader(tmp_path: Path) -> None:
    program = tmp_path / ") R 1 1 1"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "600"])
    try:
        found = processes.read_process(process.pid)
        assert found is not None
        assert found.parent == os.getpid()
        assert found.session == os.getsid(0)
    finally:
        process.kill()
        process.wait()


def test_a_process_that_has_gone_is_nobody() -> None:
    pid = gone()
    assert processes.read_process(pid) is None
    assert processes.children(pid) == []
    assert not processes.is_boxed(pid)
    assert not processes.send(pid, signal.SIGTERM)


def test_descendants_are_found_at_every_depth(tmp_path: Path) -> None:
    script = f"sh -c 'sleep 600 & echo $! > {tmp_path}/pid; wait'; true"
    process = subprocess.Popen(["/bin/sh", "-c", script])
    try:
        grandchild = written_pid(tmp_path / "pid")
        found = list(processes.descendants(process.pid))
        assert grandchild in found
        assert len(found) == 2
        assert process.pid in processes.descendants(os.getpid())
    finally:
        for pid in [*processes.descendants(process.pid), process.pid]:
            processes.send(pid, signal.SIGKILL)
        process.wait()


def in_fork(check: Callable[[], bool]) -> bool:
    """The answer of a check made in a forked process, whose only children are those the check starts."""
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_ending_all_leaves_no_child_and_tells_how_they_ended() -> None:
    def check() -> bool:
        sleeper = subprocess.Popen(["sleep", "600"])
        ended, immortal = processes.end_all(10.0)
        killed = os.waitstatus_to_exitcode(ended[sleeper.pid].status) == -signal.SIGKILL
        return killed and immortal == 0 and processes.reap() is None

    assert in_fork(check)


def test_ending_all_gives_up_on_what_cannot_be_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "send", lambda _pid, _number: False)

    def check() -> bool:
        sleeper = subprocess.Popen(["sleep", "600"])
        answer = processes.end_all(0.0)
        sleeper.kill()
        sleeper.wait()
        return answer == ({}, 1)

    assert in_fork(check)


def test_a_supervisor_learns_that_its_parent_is_dead_already() -> None:
    def check() -> bool:
        return processes.become_supervisor(os.getppid()) and not processes.become_supervisor(os.getppid() + 1)

    assert in_fork(check)


def test_a_kernel_without_lists_of_children_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    processes.require_process_tree()
    monkeypatch.setattr(os.path, "exists", lambda _path: False)
    with pytest.raises(ConfigError, match="children is missing") as caught:
        processes.require_process_tree()
    assert "CONFIG_PROC_CHILDREN" in caught.value.advice


def test_the_boot_has_one_name() -> None:
    assert processes.boot_id() == processes.boot_id() != ""
