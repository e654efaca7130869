from __future__ import annotations

import os
import signal

import pytest

from scq.executors import watch
from scq.executors.watch import Watch, proportional, reached
from scq.model import NO_LIMITS, Limits, Usage


@pytest.mark.parametrize(
    ("limits", "code", "used", "cause"),
    [
        (Limits(cpu_s=2.0), 128 + signal.SIGXCPU, 1.98, "cpu"),
        (Limits(cpu_s=2.0), 128 + signal.SIGKILL, 4.0, "cpu"),
        (Limits(cpu_s=2.0), 128 + signal.SIGKILL, 0.1, None),
        (Limits(cpu_s=2.0), 1, 4.0, None),
        (NO_LIMITS, 128 + signal.SIGXCPU, 4.0, None),
        (Limits(file_size=9), 128 + signal.SIGXFSZ, None, "disk"),
        (NO_LIMITS, 128 + signal.SIGXFSZ, None, None),
    ],
)
def test_the_limit_behind_an_exit_code(limits: Limits, code: int, used: float | None, cause: str | None) -> None:
    breach = reached(limits, code, Usage(used))
    assert (None if breach is None else breach.cause) == cause


def test_memory_that_the_kernel_does_not_tell_exactly_is_the_plain_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proportional([os.getpid()], 0) > 1 << 20

    def refuse(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    assert proportional([os.getpid()], 77) == 77


def test_a_process_that_has_gone_adds_nothing() -> None:
    assert proportional([1 << 30], 77) == 0


def test_the_next_look_is_later_the_longer_a_look_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 10.0, 10.01, 10.01, 20.0, 20.0001, 20.0001, 30.0, 35.0, 35.0])
    monkeypatch.setattr(watch.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(watch, "descendants", lambda _pid: iter(()))
    found = Watch(NO_LIMITS, "")
    due = [(found.look(0.0), found.due)[1] for _ in range(3)]
    assert due == pytest.approx([10.21, 20.0501, 35.5])


def test_time_of_processes_that_nobody_waited_for_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Watch(Limits(cpu_s=5.0), "")
    found._note({(1, 1): 3.0})
    found._note({(2, 5): 1.0})
    monkeypatch.setattr(watch, "descendants", lambda _pid: iter(()))
    assert found.look(0.0) is None
    assert found.cpu_s == 4.0
    breach = found.look(5.5)
    assert breach is not None
    assert breach.cause == "cpu"
