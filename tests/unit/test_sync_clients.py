"""Seeing other programs that sync, with real locks and real processes, and keeping them out."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scq import sync_clients
from scq.errors import BUSY, BusyError, InvalidFileError
from scq.sync_clients import LOCK_NAME, alone, running

HOLD = """
import fcntl, sys
lock = open(sys.argv[1])
fcntl.flock(lock, fcntl.LOCK_EX)
print("ready", flush=True)
sys.stdin.read()
"""
WAIT = "import sys\nprint('ready', flush=True)\nsys.stdin.read()\n"
FOREGROUND = "from syft_bg.api.api import run_foreground; run_foreground('{}')"


@pytest.fixture
def env(no_real_home: Path) -> dict[str, str]:
    return {"HOME": str(no_real_home)}


@contextmanager
def child(command: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> Iterator[int]:
    """A process that has said that it is ready, until the block ends; its id."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=cwd)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        process.communicate(timeout=30)


@contextmanager
def client(root: Path) -> Iterator[int]:
    """What the SyftBox client does while it syncs."""
    lock = root / LOCK_NAME
    lock.touch()
    with child([sys.executable, "-c", HOLD, str(lock)]) as pid:
        yield pid


@pytest.fixture
def services(tmp_path: Path) -> Path:
    """A folder from which the commands of syft-bg start something that waits."""
    package = tmp_path / "installed" / "syft_bg"
    (package / "api").mkdir(parents=True)
    wait = f"def run_foreground(service):\n    {WAIT.replace(chr(10), chr(10) + '    ')}\n"
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(WAIT)
    (package / "api" / "__init__.py").touch()
    (package / "api" / "api.py").write_text(wait)
    (package.parent / "syft-bg").write_text(WAIT)
    (package.parent / "api.py").write_text(WAIT)
    return package.parent


def test_a_quiet_folder_shows_nothing_and_stays_as_it_was(tmp_path: Path, env: dict[str, str]) -> None:
    assert running(str(tmp_path), env) == ""
    assert not (tmp_path / LOCK_NAME).exists()


def test_a_client_at_work_is_named_and_keeps_scq_out_until_it_is_done(tmp_path: Path, env: dict[str, str]) -> None:
    with client(tmp_path) as pid:
        said = running(str(tmp_path), env)
        assert said in (
            f"{who} is syncing this SyftBox: it holds {tmp_path}/{LOCK_NAME}" for who in (f"process {pid}", "another program")
        )
        with pytest.raises(BusyError) as caught, alone(str(tmp_path), env):
            raise AssertionError("both at once")
    assert (str(caught.value), caught.value.exit_code) == (said, BUSY)
    assert "drive.fetch: false" in caught.value.advice

    assert running(str(tmp_path), env) == ""
    with alone(str(tmp_path), env):
        pass


def test_a_client_that_starts_meanwhile_has_to_wait(tmp_path: Path, env: dict[str, str]) -> None:
    ask = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    command = [sys.executable, "-c", ask, str(tmp_path / LOCK_NAME)]
    with alone(str(tmp_path), env):
        assert (tmp_path / LOCK_NAME).stat().st_mode & 0o777 == 0o644
        assert b"BlockingIOError" in subprocess.run(command, capture_output=True, check=False).stderr
        with pytest.raises(BusyError), alone(str(tmp_path), env):
            raise AssertionError("both at once")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_the_lock_is_free_again_after_an_error(tmp_path: Path, env: dict[str, str]) -> None:
    with pytest.raises(ZeroDivisionError), alone(str(tmp_path), env):
        raise ZeroDivisionError
    with (tmp_path / LOCK_NAME).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("listed", ["", "no table at all\n", "1: FLOCK  ADVISORY  WRITE x 00:00:0 0 EOF\n"])
def test_without_the_name_of_the_holder_it_is_another_program(
    tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "locks").write_text(listed)
    with client(tmp_path):
        monkeypatch.setattr(sync_clients, "PROC", str(tmp_path / "proc"))
        assert running(str(tmp_path), env).startswith("another program is syncing")


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / LOCK_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidFileError, match=LOCK_NAME), alone(str(tmp_path), env):
        raise AssertionError("held a link")
    assert not (tmp_path / "elsewhere").exists()
    assert running(str(tmp_path), env).startswith("nobody can tell")


def test_something_else_in_place_of_the_lock_is_refused(tmp_path: Path, env: dict[str, str]) -> None:
    os.mkfifo(tmp_path / LOCK_NAME)
    with pytest.raises(InvalidFileError, match="not a regular file"), alone(str(tmp_path), env):
        raise AssertionError("held a pipe")


def test_a_root_that_is_not_there_is_no_crash(tmp_path: Path, env: dict[str, str]) -> None:
    assert running(str(tmp_path / "none"), env) == ""
    with pytest.raises(InvalidFileError, match="No such file"), alone(str(tmp_path / "none"), env):
        raise AssertionError("held nothing")


def test_a_file_system_without_locks_is_named(tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InvalidFileError, match="cannot be locked"), alone(str(tmp_path), env):
        raise AssertionError("held nothing")


SERVICES = {
    "the form of today": (["-u", "-c", FOREGROUND.format("sync")], "sync"),
    "another service of today": (["-u", "-c", FOREGROUND.format("email_approve")], "email_approve"),
    "the module": (["-u", "-m", "syft_bg", "run", "--service", "approve"], "approve"),
    "the module with options": (["-X", "utf8", "-m", "syft_bg", "run", "--once", "--service=approve"], "approve"),
    "the script": (["syft-bg", "run", "-s", "approve"], "approve"),
}


@pytest.mark.parametrize("form", SERVICES)
def test_a_service_that_syncs_is_found_in_every_form(tmp_path: Path, env: dict[str, str], services: Path, form: str) -> None:
    words, name = SERVICES[form]
    with child([sys.executable, *words], env, services) as pid:
        assert running(str(tmp_path), env) == f"syft-bg is running (service {name}, process {pid})"
        with pytest.raises(BusyError, match=f"process {pid}"), alone(str(tmp_path), env):
            raise AssertionError("both at once")
    assert running(str(tmp_path), env) == ""


HARMLESS = {
    "a service that only reads": ["-u", "-c", FOREGROUND.format("notify")],
    "a look at the log": ["-m", "syft_bg", "logs", "sync"],
    "no service named": ["-m", "syft_bg", "run", "--once"],
    "the dashboard": ["syft-bg"],
    "a file of that name": ["api.py", "syft_bg", "run", "--service", "sync"],
    "code that only speaks of it": ["-c", f"{WAIT}# syft_bg sync"],
}


@pytest.mark.parametrize("form", HARMLESS)
def test_what_does_not_sync_is_not_found(tmp_path: Path, env: dict[str, str], services: Path, form: str) -> None:
    with child([sys.executable, *HARMLESS[form]], env, services):
        assert running(str(tmp_path), env) == ""


def test_an_editor_of_such_a_file_is_no_client(tmp_path: Path, env: dict[str, str], services: Path) -> None:
    editor = tmp_path / "vim"
    editor.write_text("#!/bin/sh\necho ready\nread line\n")
    editor.chmod(0o755)
    with child([str(editor), "-c", FOREGROUND.format("sync")], env, services):
        assert running(str(tmp_path), env) == ""


def test_a_service_of_another_home_is_not_ours(tmp_path: Path, env: dict[str, str], services: Path) -> None:
    with child([sys.executable, "-c", FOREGROUND.format("sync")], {"HOME": str(tmp_path)}, services):
        assert running(str(tmp_path), env) == ""
        assert running(str(tmp_path), {"HOME": str(tmp_path)}) != ""


def test_a_service_without_a_home_counts(tmp_path: Path, env: dict[str, str], services: Path) -> None:
    with child([sys.executable, "-c", FOREGROUND.format("sync")], {}, services):
        assert "service sync" in running(str(tmp_path), env)


def test_what_started_scq_itself_is_not_seen_as_another_program(tmp_path: Path, env: dict[str, str], services: Path) -> None:
    inner = f"import sys; sys.path.insert(0, {os.getcwd()!r}); from scq.sync_clients import running"
    inner += f"; import os; print(repr(running({str(tmp_path)!r}, os.environ)))"
    outer = f"import subprocess, sys  # {FOREGROUND.format('sync')}\nsubprocess.run([sys.executable, '-c', {inner!r}])"
    done = subprocess.run([sys.executable, "-c", outer], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "''\n", done.stderr


def fake_process(proc: Path, pid: int, command: bytes, environ: bytes = b"") -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cmdline").write_bytes(command)
    (proc / str(pid) / "environ").write_bytes(environ)


def test_strange_processes_are_passed_over(tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "99999999999999999999").mkdir()
    (proc / "٣").mkdir()
    for pid, command in enumerate(
        [b"", b"\0\0\0", b"python\0-X", b"python\0-c", b"python\0-m", b"\xff\xfe\0-m", b"python\0" * 9999], 7
    ):
        fake_process(proc, pid, command)
    monkeypatch.setattr(sync_clients, "PROC", str(proc))
    assert running(str(tmp_path), env) == ""

    fake_process(proc, 55, b"python\0-c\0" + FOREGROUND.format("sync").encode(), b"A=\xff\0" * 100)
    assert running(str(tmp_path), env) == "syft-bg is running (service sync, process 55)"
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert running(str(tmp_path), env) == ""


def test_a_process_that_ends_during_the_look_is_passed_over(
    tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "self").mkdir()
    monkeypatch.setattr(sync_clients, "PROC", str(tmp_path))
    monkeypatch.setattr(os, "listdir", lambda _: ["4", "self"])
    assert running(str(tmp_path), env) == ""


def test_where_processes_cannot_be_looked_at_a_pid_file_has_to_do(
    tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_clients, "PROC", str(tmp_path / "none"))
    file = Path(env["HOME"], ".syft-bg", "sync", "daemon.pid")
    file.parent.mkdir(parents=True)
    for content in ("", "x", "-1", "0", "9" * 50, "9" * 200):
        file.write_text(content)
        assert running(str(tmp_path), env) == ""
    with child([sys.executable, "-c", WAIT]) as pid:
        file.write_text(f"{pid}\n")
        assert running(str(tmp_path), env) == f"syft-bg is running (service sync, process {pid}): {file}"
    assert running(str(tmp_path), env) == ""


def test_without_a_home_variable_the_account_says_where_it_is(
    tmp_path: Path, no_real_home: Path, services: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pwd
    from types import SimpleNamespace

    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_dir=str(no_real_home)))
    with child([sys.executable, "-c", FOREGROUND.format("sync")], {"HOME": str(no_real_home)}, services):
        assert "service sync" in running(str(tmp_path), {})

        def unknown(_: int) -> None:
            raise KeyError

        monkeypatch.setattr(pwd, "getpwuid", unknown)
        assert running(str(tmp_path), {}) == ""
