from __future__ import annotations

import resource
from pathlib import Path

import pytest

from scq.executors import limits
from scq.model import NO_LIMITS, Limits
from scq.ports import Invocation, Task

ALL = Limits(cpu_s=1.2, memory=1000, processes=10, open_files=20, file_size=30, disk=40)


@pytest.fixture(autouse=True)
def nothing_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _number: (5, resource.RLIM_INFINITY))


def test_without_limits_only_memory_dumps_are_refused() -> None:
    assert limits.kernel_limits(NO_LIMITS, 5) == {resource.RLIMIT_CORE: (0, 0)}


def test_each_limit_becomes_one_of_the_kernel() -> None:
    assert limits.kernel_limits(ALL, 500) == {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_CPU: (3, 5),
        resource.RLIMIT_DATA: (2000, 2000),
        resource.RLIMIT_NPROC: (510, 510),
        resource.RLIMIT_NOFILE: (20, 20),
        resource.RLIMIT_FSIZE: (30, 30),
    }


def test_never_more_is_set_than_the_caller_has_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _number: (3, 3))
    found = limits.kernel_limits(ALL, 500)
    assert found[resource.RLIMIT_CPU] == (3, 3)
    assert found[resource.RLIMIT_NOFILE] == (3, 3)


def test_the_tasks_of_the_machine_are_counted() -> None:
    assert limits.machine_tasks() > 1


@pytest.mark.parametrize(
    ("uid", "said"),
    [(0, "watched, the kernel does not limit root"), (65534, "watched, with all of the user's others by the kernel")],
)
def test_what_holds_each_limit_is_said(tmp_path: Path, uid: int, said: str) -> None:
    task = Task("j", str(tmp_path), Invocation(("x",), {}, "/", uid), 9.5, 100, False, ALL, "/work")
    assert limits.enforced(task) == (
        "wall 9.5 s: supervisor",
        "log_bytes 100: supervisor",
        "cpu 1.2 s: watched, 3 s per process by the kernel",
        "memory 1000: watched, at most 2x per process by the kernel",
        f"processes 10: {said}",
        "open_files 20: kernel, per process",
        "file_size 30: kernel",
        "disk 40: watched",
    )
    grouped = limits.enforced(task, in_group=True)
    assert grouped[3:5] == ("memory 1000: cgroup", "processes 10: cgroup")


def test_a_folder_nobody_named_is_not_said_to_be_watched(tmp_path: Path) -> None:
    task = Task("j", str(tmp_path), Invocation(("x",), {}, "/"), 1.0, 100, False, Limits(disk=40))
    assert limits.enforced(task) == ("wall 1 s: supervisor", "log_bytes 100: supervisor")
