"""`scq schedule`, `start`, `stop` and `restart` over the loop, and over schedulers that are only data."""

from __future__ import annotations

import json
import os
import pwd
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq import calling, schedule
from scq.cli.app import call
from scq.errors import UsageError
from scq.model import Problem
from scq.schedule.loop import Loop
from tests.people import OWNER, Person, syftbox

SCQ = os.path.join(os.path.dirname(sys.executable), "scq")
OTHERS = ("systemd", "systemd-system", "cron", "launchd", "syftbox")


@pytest.fixture
def owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    """An owner on a machine that has nothing but the loop, where calls do nothing."""
    quiet = tmp_path / "bin" / "scq"
    quiet.parent.mkdir()
    quiet.write_text("#!/bin/sh\nexit 0\n")
    quiet.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(quiet)])
    for name in OTHERS:
        monkeypatch.setitem(schedule.SCHEDULERS, name, "unit_fake:Absent")
    monkeypatch.setitem(sys.modules, "scq.schedule.unit_fake", Fakes)
    made = Person(tmp_path / "home", syftbox(tmp_path, OWNER), OWNER, "notify: {interval: 1h}\n")
    yield made
    for entry in Loop(os.environ).installed(str(made.home)):
        if entry.pid is not None:
            os.kill(entry.pid, signal.SIGKILL)


class Absent(Loop):
    """A scheduler this machine does not have."""

    name = "absent"

    def unusable(self) -> str:
        return "this machine has none"

    def installed(self, home: str) -> tuple[Any, ...]:
        return ()


class Present(Loop):
    """A scheduler that keeps its entries in a file of its own, and waits for the call before."""

    name = "cron"
    overlaps = False

    def unusable(self) -> str:
        return ""

    def install(self, wanted: Any) -> tuple[str, ...]:
        text = "\n".join(f"{entry.name} {entry.every:g} active" for entry in wanted.entries)
        Path(wanted.home, "fake").write_text(text)
        return (f"wrote {wanted.home}/fake",)

    def remove(self, home: str) -> tuple[str, ...]:
        Path(home, "fake").unlink()
        return (f"removed {home}/fake",)

    def installed(self, home: str) -> tuple[Any, ...]:
        from scq.ports import Installed

        path = Path(home, "fake")
        rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return tuple(Installed(name, str(path), state, float(every)) for name, every, state in rows)  # type: ignore[arg-type]

    def start(self, home: str, name: str) -> str:
        return self._put(home, name, "active")

    def stop(self, home: str, name: str) -> str:
        return self._put(home, name, "stopped")

    def verify(self, wanted: Any) -> tuple[Any, ...]:
        return ()

    def refuse(self, home: str) -> tuple[str, ...]:
        raise UsageError("there is no crontab here")

    def _put(self, home: str, name: str, state: str) -> str:
        rows = [f"{row.name} {row.every:g} {state if row.name == name else row.state}" for row in self.installed(home)]
        Path(home, "fake").write_text("\n".join(rows))
        return f"{name}: {state}"


class Fakes:
    Absent = Absent
    Present = Present


@pytest.fixture
def with_cron(owner: Person, monkeypatch: pytest.MonkeyPatch) -> Person:
    """The same machine with a cron."""
    monkeypatch.setitem(schedule.SCHEDULERS, "cron", "unit_fake:Present")
    return owner


def services(owner: Person, *arguments: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in owner.json(*arguments)["services"]}


def test_installing_takes_the_first_usable_scheduler_and_says_why_not_another(owner: Person) -> None:
    answer = owner.scq("schedule", "install")
    lines = answer.out.splitlines()
    assert lines[:5] == [f"{name} is not used: this machine has none" for name in OTHERS]
    assert lines[5] == "installed with loop:"
    assert lines[-2:] == [
        "  notify: every 1 h 0 min, look, run what was approved, tell people",
        "See how it is doing: `scq schedule show`. Undo it: `scq schedule remove`.",
    ]
    again = owner.scq("schedule", "install")
    assert "everything was as it should be" in again.out
    record = json.loads((owner.home / "schedule.json").read_text())
    assert (record["scheduler"], record["entries"]) == ("loop", [["notify", 3600.0]])


def test_a_dry_run_prints_every_file_and_writes_nothing(owner: Person) -> None:
    before = sorted(os.listdir(owner.home))
    answer = owner.scq("schedule", "install", "--loop", "--every", "2m", "--dry-run")
    assert f"--- {owner.home}/loop.json (mode 0600)" in answer.out
    assert '"every": 120.0' in answer.out
    assert sorted(os.listdir(owner.home)) == before
    data = owner.json("schedule", "install", "--loop", "--dry-run")
    assert data["dry_run"] is True
    assert data["done"] == []
    assert data["scheduler"] == "loop"
    assert data["files"][0]["path"] == f"{owner.home}/loop.json"
    assert data["files"][0]["mode"] == "0600"


def test_the_calls_name_the_running_program_and_what_it_was_told(owner: Person) -> None:
    (call,) = owner.json("schedule", "install", "--loop", "--dry-run")["calls"]
    given = ["--home", str(owner.home), "--root", str(owner.root), "--email", OWNER]
    assert call == {"name": "notify", "argv": [sys.argv[0], *given, "cycle"], "every_s": 3600.0}


def test_approve_is_installed_when_it_has_a_program(owner: Person) -> None:
    owner.configure('notify: {interval: 1h}\napprove: {command: ["/bin/true"], interval: 2h}\n')
    calls = owner.json("schedule", "install", "--every", "5m")["calls"]
    assert [(call["name"], call["argv"][-1], call["every_s"]) for call in calls] == [
        ("notify", "cycle", 300.0),
        ("approve", "automate", 7200.0),
    ]
    assert {row["state"] for row in owner.json("schedule", "show")["entries"]} == {"running"}


def test_show_tells_what_is_installed_with_state_and_times(owner: Person) -> None:
    owner.scq("schedule", "install")
    owner.scq("cycle")
    (row,) = owner.json("schedule", "show")["entries"]
    assert (row["name"], row["state"], row["every_s"], row["place"]) == (
        "notify",
        "running",
        3600.0,
        f"{owner.home}/syft-notify.pid",
    )
    assert row["pid"] > 1
    assert row["last_at"]
    assert row["next_at"] is None
    text = owner.scq("schedule", "show").out
    assert f"process {row['pid']}, last 20" in text
    owner.scq("stop")
    assert "stopped" in owner.scq("schedule", "show").out


def test_show_tells_what_would_be_installed(owner: Person) -> None:
    answer = owner.scq("schedule", "show")
    assert answer.out.startswith("loop is not installed, it would be:\n--- ")
    assert not (owner.home / "schedule.json").exists()
    named = owner.scq("schedule", "show", "--cron")
    assert named.out.startswith("cron is not installed, it cannot be used here: this machine has none\n")
    assert owner.json("schedule", "show", "--launchd")["would_be"] == "launchd"


def test_removing_ends_everything_and_again_does_nothing(owner: Person) -> None:
    owner.scq("schedule", "install")
    assert owner.scq("schedule", "remove", "--dry-run").out == "would remove what loop has\n"
    answer = owner.scq("schedule", "remove")
    assert answer.out == f"notify: stopped\nremoved {owner.home}/loop.json\n"
    assert not (owner.home / "schedule.json").exists()
    assert owner.scq("schedule", "remove").out == "nothing is installed\n"
    assert owner.scq("schedule", "remove", "--dry-run").out == "nothing is installed\n"


def test_switching_removes_what_the_other_one_had(with_cron: Person) -> None:
    owner = with_cron
    owner.scq("schedule", "install", "--loop")
    assert "would remove what loop has" in owner.scq("schedule", "install", "--cron", "--dry-run").out
    answer = owner.scq("schedule", "install", "--cron")
    assert "  removing loop:\n  notify: stopped\n" in answer.out
    assert f"wrote {owner.home}/fake" in answer.out
    assert not (owner.home / "loop.json").exists()
    assert [row["name"] for row in owner.json("schedule", "show")["entries"]] == ["notify", "run"]
    back = owner.scq("schedule", "install", "--loop")
    assert f"removed {owner.home}/fake" in back.out
    assert not (owner.home / "fake").exists()


def test_what_cannot_be_used_or_read_is_refused_before_anything_changes(with_cron: Person) -> None:
    owner = with_cron
    owner.scq("schedule", "install", "--cron")
    assert "cannot be used here: this machine has none" in owner.scq("schedule", "install", "--systemd", code=78).err
    assert "more than one scheduler" in owner.scq("schedule", "install", "--loop", "--cron", code=2).err
    assert "'soon' is not allowed" in owner.scq("schedule", "install", "--every", "soon", code=2).err
    assert "--user is for --system" in owner.scq("schedule", "install", "--loop", "--user", "root", code=2).err
    assert "--system needs --user" in owner.scq("schedule", "install", "--system", code=2).err
    assert "no account" in owner.scq("schedule", "install", "--system", "--user", "nobody-of-this-name", code=2).err
    assert (owner.home / "fake").exists()


def test_a_damaged_record_is_named_and_installing_writes_it_anew(with_cron: Person) -> None:
    owner = with_cron
    owner.scq("schedule", "install", "--loop")
    (owner.home / "schedule.json").write_text("{")
    for words in (("schedule", "show"), ("schedule", "verify"), ("start",), ("stop",)):
        assert "schedule.json: does not say what is installed" in owner.scq(*words, code=78).err
    answer = owner.scq("schedule", "install", "--cron")
    assert "removing loop:" in answer.out
    assert owner.json("schedule", "show")["scheduler"] == "cron"
    (owner.home / "schedule.json").write_text("{")
    assert f"removed {owner.home}/fake" in owner.scq("schedule", "remove").out


def test_what_nobody_wrote_down_is_found_before_the_loop_would_call_a_second_time(with_cron: Person) -> None:
    owner = with_cron
    owner.scq("schedule", "install", "--cron")
    (owner.home / "schedule.json").unlink()
    assert owner.scq("stop").out == "notify: stopped\nrun: stopped\n"
    (owner.home / "schedule.json").unlink()
    assert services(owner, "start")["notify"]["scheduler"] == "cron"
    assert owner.scq("schedule", "show").out.startswith("cron:\n")
    assert not (owner.home / "loop.json").exists()


def test_a_configuration_that_cannot_be_read_keeps_nobody_from_stopping_looking_and_removing(owner: Person) -> None:
    owner.scq("schedule", "install")
    owner.configure("notify: {interval: [")
    assert "running" in owner.scq("schedule", "show").out
    assert owner.scq("stop").out == "notify: stopped\n"
    owner.scq("start", code=78)
    assert f"removed {owner.home}/loop.json" in owner.scq("schedule", "remove").out
    owner.scq("schedule", "install", code=78)
    assert not (owner.home / "schedule.json").exists()


def test_looking_for_what_to_end_makes_no_home(owner: Person) -> None:
    owner.home = owner.home / "none"
    assert owner.scq("stop").out == "nothing was running\n"
    assert owner.scq("schedule", "remove").out == "nothing is installed\n"
    assert not owner.home.exists()


def test_a_home_whose_list_of_calls_is_damaged_can_be_cleared(owner: Person) -> None:
    owner.scq("start")
    (owner.home / "loop.json").write_text("{")
    (owner.home / "schedule.json").unlink()
    assert owner.scq("schedule", "remove").out == f"notify: stopped\nremoved {owner.home}/loop.json\n"
    assert not (owner.home / "syft-notify.pid").exists()


def test_a_scheduler_that_is_gone_from_this_machine_keeps_no_other_from_being_installed(
    with_cron: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = with_cron
    owner.scq("schedule", "install", "--cron")
    with monkeypatch.context() as patch:
        patch.setattr(Present, "remove", Present.refuse)
        assert "no crontab here" in owner.scq("schedule", "install", "--loop", code=2).err, "it may be there again"
        patch.setattr(Present, "unusable", lambda self: "there is no crontab here")
        answer = owner.scq("schedule", "install", "--loop")
    assert "nothing was removed from cron, which cannot be used here: there is no crontab here" in answer.out
    assert owner.json("schedule", "show")["scheduler"] == "loop"


def test_verify_sees_that_a_scheduler_lost_its_entries(with_cron: Person) -> None:
    owner = with_cron
    owner.scq("schedule", "install", "--cron")
    owner.scq("schedule", "verify")
    (owner.home / "fake").write_text("")
    assert "! cron: does not have the calls of this home any more" in owner.scq("schedule", "verify", code=1).err


def test_verify_names_what_does_not_work(owner: Person) -> None:
    answer = owner.scq("schedule", "verify", code=1)
    assert "nothing is installed" in answer.err
    assert "scq schedule install" in answer.err
    owner.scq("schedule", "install")
    assert owner.scq("schedule", "verify").out == "loop: works\n"
    owner.scq("stop")
    document = owner.scq("schedule", "verify", "--json", code=1).json
    assert document["data"] == {"scheduler": "loop", "works": False}
    assert [problem["what"] for problem in document["problems"]] == ["nothing makes the calls of notify"]


def test_verify_names_secrets_that_a_scheduled_call_would_not_have(with_cron: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = with_cron
    owner.configure("channels: {hook: {type: webhook, url_env: HOOK_URL}}\nhealth: {url_env: PING_URL}\n")
    owner.scq("schedule", "install", "--cron")
    answer = owner.scq("schedule", "verify", code=1)
    assert "channels.hook.url_env: HOOK_URL: is an environment variable" in answer.err
    assert "health.url_env: PING_URL: is an environment variable" in answer.err
    owner.scq("schedule", "install", "--loop")
    owner.scq("schedule", "verify")


def test_start_uses_the_loop_where_nothing_is_installed_and_again_does_nothing(owner: Person) -> None:
    row = services(owner, "start")["notify"]
    assert row == {"name": "notify", "scheduler": "loop", "running": True, "pid": row["pid"], "every_s": 3600.0}
    assert owner.scq("start").out == "notify: is running already\n"
    assert services(owner, "start")["notify"]["pid"] == row["pid"]
    assert owner.scq("stop").out == "notify: stopped\n"
    assert owner.scq("stop").out == "notify: was not running\n"
    assert owner.scq("stop", "approve").out == "approve: was not running\n"
    assert services(owner, "stop", "notify")["notify"]["running"] is False
    assert services(owner, "start", "notify", "-i", "30m")["notify"]["every_s"] == 1800.0
    assert services(owner, "start", "notify")["notify"]["every_s"] == 1800.0


def test_stopping_where_nothing_was_ever_started_is_fine(owner: Person) -> None:
    assert owner.scq("stop").out == "nothing was running\n"


def test_restart_makes_a_new_process_with_another_interval(owner: Person) -> None:
    first = services(owner, "start")["notify"]["pid"]
    row = services(owner, "restart", "--interval", "10m")["notify"]
    assert row["pid"] != first
    assert row["every_s"] == 600.0
    assert row["running"]
    assert services(owner, "restart", "notify")["notify"]["every_s"] == 600.0


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_approve_without_a_program_is_refused_with_advice_when_named(owner: Person, verb: str) -> None:
    answer = owner.scq(verb, "approve", code=78)
    assert "there is no program to call" in answer.err
    assert "approve.command" in answer.err
    assert list(services(owner, verb)) == ["notify"]


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_an_unknown_service_is_refused(owner: Person, verb: str) -> None:
    assert "Use one of: notify, approve." in owner.scq(verb, "sync", code=2).err


def test_starting_one_more_service_leaves_another_at_rest(owner: Person) -> None:
    owner.configure('notify: {interval: 1h}\napprove: {command: ["/bin/true"], interval: 2h}\n')
    owner.scq("start", "notify")
    owner.scq("stop", "notify")
    owner.scq("start", "approve")
    states = {row["name"]: row["state"] for row in owner.json("schedule", "show")["entries"]}
    assert states == {"notify": "stopped", "approve": "running"}
    assert list(services(owner, "stop")) == ["notify", "approve"]


def test_services_of_an_installed_scheduler_are_started_and_stopped_over_it(with_cron: Person) -> None:
    owner = with_cron
    owner.scq("schedule", "install", "--cron")
    assert owner.scq("stop").out == "notify: stopped\nrun: stopped\n"
    assert services(owner, "stop")["notify"]["running"] is False
    assert owner.scq("start").out == "notify: active\nrun: active\n"
    assert services(owner, "start")["notify"]["scheduler"] == "cron"
    assert not (owner.home / "loop.json").exists()


def test_a_call_that_installs_at_the_same_time_is_waited_for(owner: Person) -> None:
    from scq.store import exclusive

    with exclusive(str(owner.home / "locks" / "schedule.lock"), 0):
        answer = owner.scq("--lock-timeout", "0.1", "start", code=75)
    assert "another scq call holds" in answer.err


def test_the_settings_of_another_account_mean_what_they_mean_to_it(
    owner: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(schedule.SCHEDULERS, "systemd-system", "systemd:SystemSystemd")
    monkeypatch.setattr(calling, "home_of", lambda user, env: str(owner.home.parent if user else "/of-root"))
    monkeypatch.setenv("HOME", "/of-root")
    owner.home.rename(owner.home.parent / ".syft-creds")
    owner.home = owner.home.parent / ".syft-creds"
    owner.configure("syftbox_root: ~/SyftBox\n")
    assert call(["schedule", "show", "--system", "--user", "nobody"]) == 0
    said = capsys.readouterr().out
    assert f"ReadWritePaths=-{owner.home} -{owner.root}\n" in said
    assert "--root" not in said


def test_the_home_of_another_account_is_looked_at_when_it_is_named(
    owner: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(Path.home()))  # is put back afterwards
    folder = pwd.getpwnam("nobody").pw_dir
    assert call(["schedule", "verify", "--user", "nobody"]) == 1
    assert f"! {folder}/.syft-creds: nothing is installed" in capsys.readouterr().err


def test_what_rests_is_known_to_everybody_who_asks(with_cron: Person) -> None:
    with_cron.scq("schedule", "install", "--cron")
    with_cron.scq("stop")
    record = json.loads((with_cron.home / "schedule.json").read_text())
    assert record["stopped"] == ["notify", "run"]
    assert "notify is stopped: it makes no calls" in with_cron.scq("status").out
    assert {call["name"]: call["stopped"] for call in with_cron.json("status")["schedule"]["calls"]} == {
        "notify": True,
        "run": True,
    }
    with_cron.scq("start")
    assert json.loads((with_cron.home / "schedule.json").read_text())["stopped"] == []
    assert "is stopped" not in with_cron.scq("status").out


def test_what_a_scheduler_cannot_do_is_written_down_as_it_does_it(with_cron: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_most_each_minute(self: Present, home: str) -> tuple[Any, ...]:
        return tuple(replace(row, every=max(60.0, row.every)) for row in installed(self, home))

    installed = Present.installed
    monkeypatch.setattr(Present, "installed", at_most_each_minute)
    with_cron.scq("schedule", "install", "--cron", "--every", "20s")
    assert json.loads((with_cron.home / "schedule.json").read_text())["entries"] == [["notify", 60.0], ["run", 60.0]]


def test_what_is_wrong_with_what_was_installed_is_said_at_once(with_cron: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Present, "verify", lambda self, wanted: (Problem("cron", "no daemon is at work", "Start it."),))
    assert "! cron: no daemon is at work\n  Start it." in with_cron.scq("schedule", "install", "--cron").err
