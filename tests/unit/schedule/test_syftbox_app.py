"""A SyftBox app that makes the calls, started as SyftBox clients start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from scq import schedule
from scq.errors import ConfigError, UsageError
from scq.ports import Entry, Schedule
from scq.schedule.syftbox_app import REST, SyftBoxApp

RUN_SH = Path(__file__).parents[3] / "run.sh"
CALL = """#!/usr/bin/env bash
echo "$@" >>"$0.calls"
[ ! -e "$0.long" ] || { [ "${!#}" != cycle ] || { sleep 60 & echo $! >>"$0.pids"; trap 'kill $!; exit 75' TERM; wait $!; }; }
exit "$(cat "$0.code" 2>/dev/null || echo 0)"
"""


class Box:
    """A SyftBox with its client's configuration, and a program that notes how it is called."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "SyftBox"
        (self.root / "apps").mkdir(parents=True)
        config = folder / "config.json"
        config.write_text(json.dumps({"email": "ann@example.org", "data_dir": str(self.root)}))
        self.env = {"HOME": str(folder), "SYFTBOX_CLIENT_CONFIG_PATH": str(config), "PATH": "/usr/bin:/bin"}
        self.program = folder / "it's scq"
        self.program.write_text(CALL)
        self.program.chmod(0o755)
        self.home = str(folder / ".syft-creds")
        self.run_sh = self.root / "apps" / "scq" / "run.sh"

    @property
    def app(self) -> SyftBoxApp:
        return SyftBoxApp(self.env)

    def plan(self, *names: str, home: str = "", every: float = 30) -> Schedule:
        place = home or self.home
        verbs = {"notify": "cycle", "approve": "automate"}
        entries = [
            Entry(name, (str(self.program), "--home", place, verbs[name]), every, "m\nm")
            for name in names or ("notify", "approve")
        ]
        return Schedule(place, tuple(entries))

    def file(self, ending: str) -> Path:
        return Path(f"{self.program}.{ending}")

    def calls(self) -> list[str]:
        """The verbs of the calls so far."""
        return [line.split()[-1] for line in self.file("calls").read_text().splitlines()] if self.file("calls").exists() else []

    def run(self, *start: str, **variables: str) -> int:
        return subprocess.run([*start, str(self.run_sh)], env={**self.env, **variables}, check=False).returncode


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def until(true: object) -> None:
    """Wait until a function answers yes."""
    assert callable(true)
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def test_it_is_found_by_its_name() -> None:
    made = schedule.get("syftbox", {"HOME": "/nowhere"})
    assert (made.name, made.overlaps) == ("syftbox", True)


def test_it_repeats_calls_exactly_as_the_repository_does() -> None:
    assert RUN_SH.read_text().endswith(REST)


def test_installing_writes_the_app_once(box: Box) -> None:
    (said, _) = box.app.install(box.plan())
    assert str(box.run_sh) in said
    assert box.run_sh.stat().st_mode & 0o777 == 0o755
    assert box.app.files(box.plan())[0].text == box.run_sh.read_text()
    assert box.app.install(box.plan()) == ()
    assert box.app.verify(box.plan()) == []
    assert {(found.name, found.state, found.every) for found in box.app.installed(box.home)} == {
        ("notify", "active", 30),
        ("approve", "active", 30),
    }


@pytest.mark.parametrize("start", [(), ("sh",), ("bash",)])
def test_a_client_that_calls_again_and_again_gets_one_round(box: Box, start: tuple[str, ...]) -> None:
    box.app.install(box.plan())
    assert box.run(*start) == 0
    assert box.calls() == ["automate", "cycle"]


@pytest.mark.parametrize(("code", "seen"), [("0", 0), ("75", 0), ("77", 77), ("5", 5)])
def test_the_app_ends_as_the_cycle_ended_but_try_later_is_fine(box: Box, code: str, seen: int) -> None:
    box.app.install(box.plan("notify"))
    box.file("code").write_text(code)
    assert box.run() == seen


@pytest.mark.parametrize("every", ["0", "1.5", "often", "-1"])
def test_an_interval_that_is_none_is_refused(box: Box, every: str) -> None:
    box.app.install(box.plan())
    assert box.run(SCQ_EVERY=every) == 2
    assert box.calls() == []


def test_a_client_that_starts_it_once_gets_rounds_until_it_ends_it(box: Box) -> None:
    box.app.install(box.plan(every=1))
    box.file("long").touch()
    with subprocess.Popen(["sh", box.run_sh], env={**box.env, "SYFTBOX_APP_ID": "local.scq"}) as process:
        # The next round begins although the first one is still at work, and not more than four are.
        until(lambda: box.calls().count("cycle") == 4)
        assert [found.state for found in box.app.installed(box.home) if found.name == "notify"] == ["running"]
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    assert box.calls().count("cycle") == 4
    for pid in box.file("pids").read_text().split():
        until(lambda pid=pid: not Path("/proc", pid, "exe").exists())
    assert [found.state for found in box.app.installed(box.home) if found.name == "notify"] == ["active"]


def test_a_client_that_is_gone_leaves_no_rounds_behind(box: Box) -> None:
    box.app.install(box.plan("notify", every=1))
    said = box.root / "pid"
    started = f"'{box.run_sh}' & echo $! >'{said}'; read word"
    with subprocess.Popen(["sh", "-c", started], env={**box.env, "SYFTBOX_APP_ID": "local.scq"}, stdin=subprocess.PIPE) as client:
        until(lambda: len(box.calls()) > 1)
        client.kill()
    until(lambda: not Path("/proc", said.read_text().strip(), "exe").exists())


def test_ending_a_single_round_ends_its_call(box: Box) -> None:
    box.app.install(box.plan("notify"))
    box.file("long").touch()
    with subprocess.Popen([box.run_sh], env=box.env) as process:
        until(lambda: box.file("pids").exists() and box.file("pids").read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    pid = box.file("pids").read_text().strip()
    until(lambda: not Path("/proc", pid, "exe").exists())


def test_a_stopped_call_is_left_out_until_it_is_started(box: Box) -> None:
    box.app.install(box.plan())
    before = box.run_sh.read_text()
    assert box.app.stop(box.home, "approve") == "approve: the SyftBox app lets it rest"
    assert {found.name: found.state for found in box.app.installed(box.home)} == {"notify": "active", "approve": "stopped"}
    assert box.run() == 0
    assert box.calls() == ["cycle"]
    box.app.start(box.home, "approve")
    assert box.run_sh.read_text() == before
    assert box.run_sh.stat().st_mode & 0o777 == 0o755
    with pytest.raises(UsageError, match="report is not in a SyftBox app"):
        box.app.start(box.home, "report")


def test_an_edited_line_is_said_to_be_and_mended(box: Box) -> None:
    box.app.install(box.plan("notify"))
    box.run_sh.write_text(box.run_sh.read_text().replace(" cycle", " check"))
    assert [found.state for found in box.app.installed(box.home)] == ["changed"]
    assert [problem.what for problem in box.app.verify(box.plan("notify"))] == ["is not what belongs there"]
    assert box.app.stop(box.home, "notify")
    assert box.app.install(box.plan("notify"))
    assert [found.state for found in box.app.installed(box.home)] == ["active"]


@pytest.mark.parametrize("text", ["#!/bin/sh\necho mine\n", None])
def test_somebody_elses_app_is_left_alone(box: Box, text: str | None) -> None:
    box.run_sh.parent.mkdir()
    if text is not None:
        box.run_sh.write_text(text)
    with pytest.raises(ConfigError, match="is an app that is not from scq"):
        box.app.install(box.plan())
    assert [problem.what for problem in box.app.verify(box.plan())] == ["is an app that is not from scq"]
    assert box.app.remove(box.home) == ()
    assert box.app.installed(box.home) == ()
    assert box.run_sh.exists() == (text is not None)


def test_removing_takes_the_app_and_its_logs_and_nothing_else(box: Box) -> None:
    other = f"{box.home}-2"
    box.app.install(box.plan())
    box.app.install(box.plan(home=other))
    (box.run_sh.parent / "logs").mkdir()
    (box.run_sh.parent / "logs" / "app.log").touch()
    assert len(box.app.remove(box.home)) == 1
    assert not box.run_sh.parent.exists()
    assert box.app.remove(box.home) == ()
    (place,) = {found.place for found in box.app.installed(other)}
    mine = Path(place).with_name("notes")
    mine.touch()
    box.app.remove(other)
    assert [path.name for path in mine.parent.iterdir()] == ["notes"]


def test_it_takes_a_client_and_its_folder_for_apps(tmp_path: Path) -> None:
    box = Box(tmp_path)
    (box.root / "apps").rename(box.root / "apis")
    assert box.app.files(box.plan())[0].path == str(box.root / "apis" / "scq" / "run.sh")
    (box.root / "apis").rmdir()
    assert "has no folder `apps`" in box.app.unusable()
    none = SyftBoxApp({"HOME": str(tmp_path / "nobody")})
    assert "no configuration of a SyftBox client" in none.unusable()
    assert none.installed(box.home) == ()
    assert none.remove(box.home) == ()
    assert none.files(box.plan())[0].path.startswith(f"{tmp_path}/nobody/SyftBox/apps/scq-")
    assert [problem.where for problem in none.verify(box.plan())] == ["SyftBox"]
    with pytest.raises(UsageError):
        none.install(box.plan())


def test_it_installs_for_nobody_else_and_only_printable_paths(box: Box) -> None:
    with pytest.raises(UsageError, match="not as ann"):
        box.app.files(Schedule(box.home, (), user="ann"))
    assert [problem.where for problem in box.app.verify(box.plan(home="/a\nb"))][-1] == "SyftBox"


def test_an_app_without_calls_does_nothing(box: Box) -> None:
    box.app.install(Schedule(box.home, ()))
    assert box.run() == 0
    assert os.listdir(box.run_sh.parent) == ["run.sh"]
