"""`DaemonManager` and `ServiceManager`: the documented calls, over real processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scq.errors import ConfigError, ScqError, UsageError
from scq.journal import reading
from scq.library.services import DaemonManager, ServiceManager
from scq.schedule.loop import Loop
from tests.people import OWNER, syftbox


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the documented configuration, where calls write down how they were called."""
    root = syftbox(tmp_path, OWNER)
    made = tmp_path / "creds"
    made.mkdir(mode=0o700)
    (made / "daemon.yaml").write_text(f"do_email: {OWNER}\nsyftbox_root: {root}\ninterval: 3600\n")
    program = tmp_path / "bin" / "scq"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {made}/calls\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("SCQ_HOME", str(made))
    yield made
    for entry in Loop(os.environ).installed(str(made)):
        if entry.pid is not None:
            os.kill(entry.pid, signal.SIGKILL)


def wait_for(is_so: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_documented_calls_one_after_the_other(home: Path) -> None:
    manager = DaemonManager(config_path=str(home / "daemon.yaml"))
    assert manager.get_pid() is None
    assert not manager.is_running()
    assert not manager.stop()
    assert manager.start()
    pid = manager.get_pid()
    assert pid is not None
    assert manager.is_running()
    assert manager.pid_file == home / "syft-notify.pid"
    assert manager.pid_file.read_text().splitlines()[::2] == [str(pid), "every 3600"]
    assert manager.start()
    assert manager.get_pid() == pid
    assert manager.restart(interval=1800)
    assert manager.get_pid() != pid
    assert manager.pid_file.read_text().splitlines()[2] == "every 1800"
    assert manager.stop()
    assert not manager.stop()
    assert manager.get_pid() is None
    assert not manager.pid_file.exists()
    assert manager.restart()
    assert manager.is_running()
    assert manager.pid_file.read_text().splitlines()[2] == "every 3600"


def test_calls_read_the_configuration_that_was_named(home: Path) -> None:
    manager = DaemonManager(home / "daemon.yaml")
    manager.start(interval=30)
    wait_for((home / "calls").exists)
    assert (home / "calls").read_text() == f"--home {home} --config {home}/daemon.yaml cycle\n"


def test_a_folder_without_daemon_yaml_is_that_of_its_config_yaml(home: Path) -> None:
    (home / "daemon.yaml").rename(home / "config.yaml")
    (home / "config.yaml").write_text((home / "config.yaml").read_text().replace("interval: 3600", "notify: {interval: 2h}"))
    manager = DaemonManager(home / "daemon.yaml")
    manager.start()
    wait_for((home / "calls").exists)
    assert (home / "calls").read_text() == f"--home {home} cycle\n"
    assert manager.pid_file.read_text().splitlines()[2] == "every 7200"


def test_a_home_without_any_configuration_keeps_the_installed_interval(home: Path) -> None:
    (home / "daemon.yaml").unlink()
    manager = DaemonManager(home / "config.yaml")
    assert manager.start(interval=900)
    assert manager.start()
    assert manager.pid_file.read_text().splitlines()[2] == "every 900"


def test_status_prints_what_is_documented(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manager = DaemonManager(home / "daemon.yaml")
    manager.log_file.write_text(
        "".join(f"2026-11-21 08:00:0{number} - scq.cycle - INFO - look {number}\n" for number in range(7))
    )
    assert manager.status() is False
    manager.start()
    assert manager.status() is True
    before, after = capsys.readouterr().out.split("notify: ")[1:]
    assert before.startswith("not running\n")
    assert after.splitlines()[:4] == [
        f"running, process {manager.get_pid()}, every 1 h 0 min, by loop",
        f"configuration: {home}/daemon.yaml",
        f"log: {home}/syft-notify.log",
        f"errors: {home}/syft-notify.error.log",
    ]
    assert [text[-6:] for text in after.splitlines()[4:]] == [f"look {number}" for number in range(2, 7)]


def test_logs_prints_the_last_lines_without_control_characters(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manager = DaemonManager(home / "daemon.yaml")
    manager.logs()
    assert capsys.readouterr().out == ""
    manager.log_file.write_text("one\ntwo \x1b[31m\nthree\n")
    manager.logs(lines=2)
    out = capsys.readouterr().out
    assert out.startswith("two ")
    assert "\x1b" not in out
    assert out.endswith("three\n")
    for wrong in (-1, True, "5"):
        with pytest.raises(UsageError, match="lines: "):
            manager.logs(lines=wrong)  # type: ignore[arg-type]


def test_following_the_logs_ends_when_interrupted(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def follow(path: Path, lines: int) -> Iterator[str]:
        yield f"{path.name} {lines}"
        raise KeyboardInterrupt

    monkeypatch.setattr(reading, "follow", follow)
    DaemonManager(home / "daemon.yaml").logs(follow=True, lines=3)
    assert capsys.readouterr().out == "syft-notify.log 3\n"


def test_what_cannot_be_used_is_an_error_with_advice(home: Path) -> None:
    with pytest.raises(ConfigError, match="no such file") as missing:
        DaemonManager(home / "other.yaml").start()
    assert "config.yaml" in missing.value.advice
    assert missing.value.__notes__ == [missing.value.advice]
    with pytest.raises(UsageError, match="interval: 0 is not allowed"):
        DaemonManager(home / "daemon.yaml").start(interval=0)
    (home / "daemon.yaml").write_text("do_email: 7\n")
    with pytest.raises(ConfigError, match="do_email"):
        DaemonManager(home / "daemon.yaml").restart()
    assert not DaemonManager(home / "daemon.yaml").stop()
    (home / "schedule.json").write_text("[]")
    with pytest.raises(ConfigError, match="does not say what is installed"):
        DaemonManager(home / "daemon.yaml").is_running()


def test_the_service_manager_lists_starts_and_stops(home: Path) -> None:
    (home / "daemon.yaml").rename(home / "config.yaml")
    (home / "config.yaml").write_text(f"do_email: {OWNER}\nnotify: {{interval: 1h}}\n")
    manager = ServiceManager()
    assert manager.list_services() == ["notify", "approve"]
    nothing = {"scheduler": None, "running": False, "pid": None, "every_s": None}
    assert manager.get_all_status() == {name: {"name": name, **nothing} for name in ("notify", "approve")}
    assert manager.stop_service("notify") is False
    assert manager.start_service("notify") is True
    status = manager.get_all_status()["notify"]
    assert (status["running"], status["scheduler"], status["every_s"]) == (True, "loop", 3600.0)
    assert status["pid"] > 1
    with pytest.raises(ConfigError, match="there is no program to call"):
        manager.start_service("approve")
    (home / "config.yaml").write_text('approve: {command: ["/bin/true"], interval: 1h}\n')
    assert ServiceManager(home=home).start_service("approve") is True
    assert manager.stop_service("approve") is True
    assert manager.stop_service("notify") is True
    for call in (manager.start_service, manager.stop_service):
        for name in ("sync", None, ["notify"], "x" * 10_000):
            with pytest.raises(ScqError, match="is no service"):
                call(name)  # type: ignore[arg-type]
