"""Notifications on a desktop: a real bus, a real notify-send, and the way to the bus where nobody names it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq.channels import desktop as module
from scq.channels.desktop import DesktopChannel, notify_send, session_bus
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.model import Level
from scq.ports import Message
from tests.servers.desktop import Desktop, Shown, bus, desktop

MESSAGE = Message(
    "ab" * 32, "job.failed", "o@x.org", "o@x.org", "Job: s [scq 1]", "It failed.\n", None, "2026-03-02T10:30:00+00:00"
)


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Desktop]:
    with desktop(tmp_path) as made:
        yield made


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No bus at its usual place and no other process; the folder that stands for /proc."""
    (tmp_path / "proc").mkdir()
    monkeypatch.setattr(module, "RUNTIME", str(tmp_path / "run"))
    monkeypatch.setattr(module, "PROC", str(tmp_path / "proc"))
    return tmp_path / "proc"


def channel(env: Mapping[str, str]) -> DesktopChannel:
    return DesktopChannel(ChannelSetting("screen", "desktop"), Place({"PATH": os.environ["PATH"], **env}))


def at(made: Desktop) -> DesktopChannel:
    return channel({"DBUS_SESSION_BUS_ADDRESS": made.address})


@pytest.mark.parametrize(("level", "urgency"), [("info", 1), ("warning", 1), ("error", 2), ("critical", 2)])
def test_a_notification_is_shown_with_its_urgency(shown: Desktop, level: Level, urgency: int) -> None:
    assert at(shown).usable() == ""
    assert at(shown).send(replace(MESSAGE, level=level)).text
    assert shown.shown == [Shown("scq", "Job: s [scq 1]", "It failed.", urgency)]


@pytest.mark.parametrize(
    "words", ["--version", "-h", "a & b", "<b>bold</b>", "tab\\tnew\\nline", "\\74b\\76 \\33[2J", "\\", "&#60;", "Grüße 日本語"]
)
def test_words_arrive_as_they_are_and_never_as_options_escapes_or_markup(shown: Desktop, words: str) -> None:
    at(shown).send(replace(MESSAGE, subject=words, text=words))
    ((title, body),) = [(found.title, found.body) for found in shown.shown]
    assert title == words
    assert "<" not in body
    assert unescape(body) == words


def test_a_long_text_is_cut_and_an_empty_title_has_a_name(shown: Desktop) -> None:
    at(shown).send(replace(MESSAGE, subject="", text="x" * 500_000))
    (found,) = shown.shown
    assert found.title == "scq"
    assert len(found.body) == 1000
    assert found.body.endswith("…")


def test_a_desktop_that_refuses_is_a_failure(shown: Desktop) -> None:
    shown.refuses = True
    with pytest.raises(ChannelError, match="notify-send: exit status 1.*not shown") as caught:
        at(shown).send(MESSAGE)
    assert caught.value.kind == "transient"


def test_a_bus_on_which_nobody_shows_notifications_is_a_failure(tmp_path: Path) -> None:
    with bus(tmp_path) as made, pytest.raises(ChannelError, match="exit status 1") as caught:
        at(made).send(MESSAGE)
    assert caught.value.kind == "transient"


def test_a_bus_that_is_gone_is_a_failure(tmp_path: Path) -> None:
    with bus(tmp_path) as made:
        pass
    with pytest.raises(ChannelError, match="exit status 1"):
        at(made).send(MESSAGE)


def test_without_a_session_it_is_not_usable(nowhere: Path, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "notify-send", "exit 0")
    without = channel({"PATH": str(tmp_path / "bin")})
    assert without.usable() == "this account has no desktop session on this machine"
    with pytest.raises(ChannelError, match="no desktop session"):
        without.send(MESSAGE)


def test_without_notify_send_it_is_not_usable(tmp_path: Path) -> None:
    assert channel({"PATH": str(tmp_path)}).usable() == "notify-send is not installed"


def test_the_environment_says_first_where_the_bus_is(nowhere: Path) -> None:
    assert session_bus({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}) == "unix:path=/x"


def test_from_cron_the_bus_at_its_usual_place_is_found(nowhere: Path, tmp_path: Path) -> None:
    usual = tmp_path / "run" / str(os.geteuid())
    usual.mkdir(parents=True)
    with desktop(usual) as made:
        channel({}).send(MESSAGE)
        assert len(made.shown) == 1


def test_a_file_at_the_usual_place_is_no_bus(nowhere: Path, tmp_path: Path) -> None:
    usual = tmp_path / "run" / str(os.geteuid())
    usual.mkdir(parents=True)
    (usual / "bus").touch()
    assert session_bus({}) == ""


@contextmanager
def running(folder: Path, name: str, address: str, *box: str) -> Iterator[None]:
    """A real process of that name with the address in its environment."""
    source = shutil.which("sleep")
    assert source is not None
    folder.mkdir()
    os.chmod(shutil.copy(source, folder / name), 0o755)
    with subprocess.Popen([*box, str(folder / name), "600"], env={"A": "b", "DBUS_SESSION_BUS_ADDRESS": address}) as process:
        try:
            while not any(comm(pid) == name for pid in os.listdir("/proc") if pid.isdecimal()):
                assert process.poll() is None
            yield
        finally:
            process.kill()


def comm(pid: str) -> str:
    try:
        return Path("/proc", pid, "comm").read_text().strip()
    except OSError:
        return ""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
def test_from_cron_the_bus_of_a_program_of_the_desktop_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RUNTIME", str(tmp_path / "run"))
    with desktop(tmp_path) as made, running(tmp_path / "bin", "xfce4-session", made.address):
        channel({}).send(MESSAGE)
        assert len(made.shown) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("job", "unix:path={socket}"),
        ("gnome-shell", "unix:path={socket}.not"),
        ("gnome-shell", "unixexec:path=/bin/sh,argv1=-c,argv2=true"),
        ("gnome-shell", "unix:path={socket};unixexec:path=/bin/sh"),
        ("gnome-shell", "tcp:host=localhost,port=1"),
        ("gnome-shell", "unix:path=/etc/passwd"),
        ("gnome-shell", "unix:path={socket}%00"),
    ],
)
def test_an_address_that_could_be_a_trap_is_never_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    monkeypatch.setattr(module, "RUNTIME", str(tmp_path / "run"))
    where = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(where)
        trap = address.format(socket=where)
        with running(tmp_path / "bin", name, trap):
            assert session_bus({}) != trap


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
def test_what_a_process_in_a_box_says_is_never_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RUNTIME", str(tmp_path / "run"))
    where = str(tmp_path / "socket")
    box = shutil.which("bwrap")
    if box is None:
        pytest.skip("bwrap is not installed")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(where)
        boxed = (box, "--dev-bind", "/", "/", "--die-with-parent", "--proc", "/proc")
        with running(tmp_path / "bin", "sway", f"unix:path={where}", *boxed):
            assert session_bus({}) != f"unix:path={where}"
        with running(tmp_path / "more", "sway", f"unix:path={where}"):
            assert session_bus({}) == f"unix:path={where}"


def test_a_process_that_ended_meanwhile_is_passed_over(nowhere: Path) -> None:
    (nowhere / "17").mkdir()
    assert session_bus({}) == ""


def test_a_machine_without_proc_has_no_such_bus(nowhere: Path) -> None:
    nowhere.rmdir()
    assert session_bus({}) == ""


def program(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_program_that_hangs_is_stopped_and_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    program(tmp_path / "bin" / "notify-send", "exec sleep 600")
    hanging = channel({"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"})
    with pytest.raises(ChannelError, match="did not end") as caught:
        hanging.send(MESSAGE)
    assert caught.value.kind == "ambiguous"


def test_on_a_mac_the_words_are_arguments_of_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    where = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    assert channel({"PATH": str(tmp_path)}).usable() == "osascript is not installed"
    program(tmp_path / "bin" / "osascript", f'printf "%s\\n" "$@" > {tmp_path}/got')
    hostile = '" & (do shell script "id") & "'
    channel(where).send(replace(MESSAGE, subject=hostile, text=hostile))
    *script, dashes, title, body = (tmp_path / "got").read_text().splitlines()
    assert (dashes, title, body) == ("--", hostile, hostile)
    assert not any("do shell" in line for line in script)


def test_the_command_ends_its_options_before_the_words() -> None:
    assert notify_send("-t", "b", "info") == ("notify-send", "-u", "normal", "-a", "scq", "--", "-t", "b")
