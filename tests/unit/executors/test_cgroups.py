from __future__ import annotations

import os
from pathlib import Path

import pytest

from scq import executors
from scq.executors import cgroups
from scq.model import Limits
from scq.ports import Invocation
from tests.unit.executors.tasks import make_task, run_one

LIMITS = Limits(memory=1 << 20, processes=5)
BOX = Invocation(("/usr/bin/bwrap", "--args", "{options}"), {}, "/", 65534, {"{options}": b"x"}, "{status}")


def test_root_asks_the_manager_of_the_system_and_drops_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(cgroups, "primary_group", lambda uid: uid - 1)
    scope = cgroups.Scope(LIMITS)
    found = scope.around(BOX)
    assert found.argv == (
        *("systemd-run", "--scope", "--quiet", "--collect", f"--unit={scope.unit}"),
        *("--property=MemoryMax=1048576", "--property=MemorySwapMax=0", "--property=TasksMax=7", "--"),
        *("setpriv", "--reuid=65534", "--regid=65533", "--clear-groups", "--"),
        *("env", "-i", "/usr/bin/bwrap", "--args", "{options}"),
    )
    assert (found.uid, found.feeds, found.report, found.cwd) == (None, BOX.feeds, "{status}", "/")


def test_a_user_asks_the_manager_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    monkeypatch.setenv("SECRET", "not for it")
    found = cgroups.Scope(Limits()).around(Invocation(("/usr/bin/bwrap",), {}, "/"))
    assert found.argv[5:] == ("--user", "--", "env", "-i", "/usr/bin/bwrap")
    assert found.env["XDG_RUNTIME_DIR"] == "/run/user/1000"
    assert "SECRET" not in found.env


def test_two_scopes_never_have_the_same_name() -> None:
    assert cgroups.Scope(LIMITS).unit != cgroups.Scope(LIMITS).unit


def test_the_control_group_is_the_one_of_the_unit_and_no_other() -> None:
    membership = "4:pids:/elsewhere/scq-1.scope\n0::/system.slice/scq-1.scope\n"
    assert cgroups.folder_of(membership, "scq-1.scope") == "/sys/fs/cgroup/system.slice/scq-1.scope"
    assert cgroups.folder_of(membership, "scq-2.scope") is None
    assert cgroups.folder_of("0::/system.slice/x-scq-1.scope\n", "scq-1.scope") is None


@pytest.mark.parametrize(
    ("memory", "pids", "cause"),
    [
        ("low 0\nhigh 0\nmax 9\noom 1\noom_kill 0\n", "max 0\n", None),
        ("low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n", "max 0\n", "memory"),
        ("oom_kill 0\n", "max 3\n", "processes"),
        ("garbage\n", "\n", None),
    ],
)
def test_events_of_the_kernel_name_the_cause(tmp_path: Path, memory: str, pids: str, cause: str | None) -> None:
    (tmp_path / "memory.events").write_text(memory)
    (tmp_path / "pids.events").write_text(pids)
    breach = cgroups.events(str(tmp_path), LIMITS)
    assert (None if breach is None else breach.cause) == cause
    assert cgroups.events(str(tmp_path), Limits()) is None


def test_a_group_that_has_gone_says_nothing(tmp_path: Path) -> None:
    assert cgroups.events(str(tmp_path / "gone"), LIMITS) is None


def test_a_process_outside_the_scope_is_not_judged_by_its_events() -> None:
    scope = cgroups.Scope(LIMITS)
    assert scope.look(os.getpid()) is None
    assert scope.folder is None


def test_without_systemd_the_watch_keeps_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "BOOTED", str(tmp_path / "missing"))
    assert not cgroups.usable()
    ending = run_one(executors.get("local"), make_task(tmp_path / "run", "true", limits=LIMITS))
    assert [line for line in ending.enforced if line.startswith("memory")] == [
        "memory 1048576: watched, at most 2x per process by the kernel"
    ]


@pytest.mark.parametrize(
    "program",
    ["exit 1", "exit 0", 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'],
    ids=["refuses", "does nothing", "makes no scope"],
)
def test_a_systemd_that_gives_no_scope_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    (tmp_path / "systemd-run").write_text(f"#!/bin/sh\n{program}\n")
    (tmp_path / "systemd-run").chmod(0o755)
    monkeypatch.setattr(cgroups, "BOOTED", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert not cgroups.usable()
    monkeypatch.setattr(cgroups, "folder_of", lambda said, _unit: said or None)
    assert cgroups.usable() == program.startswith("while")


@pytest.mark.parametrize(
    ("code", "seen", "cause"), [(137, 600_000, "memory"), (137, 1000, None), (1, 600_000, None), (0, 600_000, None)]
)
def test_a_kill_near_the_limit_counts_when_the_group_has_gone(tmp_path: Path, code: int, seen: int, cause: str | None) -> None:
    scope = cgroups.Scope(LIMITS)
    assert scope.behind(code, seen) is None
    scope.folder = str(tmp_path / "gone")
    breach = scope.behind(code, seen)
    assert (None if breach is None else breach.cause) == cause
