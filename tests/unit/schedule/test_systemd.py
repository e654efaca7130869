"""systemd schedulers on real folders. A small systemctl stands in for the real one, which integration tests use."""

from __future__ import annotations

import os
import pwd
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scq import resources
from scq.errors import ConfigError, ScqError, UsageError
from scq.ports import Entry, Schedule
from scq.schedule import SCHEDULERS, get
from scq.schedule.systemd import SystemSystemd, UserSystemd

STAND_IN = """#!/bin/sh
here={folder}
verb= now= units=
for word; do
  case $word in
    --now) now=1 ;;
    --*) ;;
    *) if [ -z "$verb" ]; then verb=$word; else units="$units $word"; last=$word; fi ;;
  esac
done
if [ -e "$here/silent" ] || [ -e "$here/no-$verb" ]; then
  printf 'Failed to connect to bus: no medium found\\nsecond line\\n' >&2
  exit 1
fi
echo "$*" >> "$here/calls"
for unit in $units; do
  case $verb$now in
    restart|start|enable1) : > "$here/$unit" ;;
    stop|disable1) rm -f "$here/$unit" ;;
  esac
done
case $verb in
  show)
    if [ -n "$units" ] && [ -e "$here/$last" ]; then echo ActiveState=active; else echo ActiveState=inactive; fi
    if [ -e "$here/$last.properties" ]; then cat "$here/$last.properties"; fi ;;
  list-timers) if [ -e "$here/timers.json" ]; then cat "$here/timers.json"; else echo '[]'; fi ;;
esac
"""
ACCOUNT = pwd.getpwuid(os.getuid()).pw_name


class Machine:
    """A folder of units, a manager that answers, and a home to be scheduled."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.units = folder / "config" / "systemd" / "user"
        self.home = folder / "creds"
        self.scq = folder / "bin" / "scq"
        for made in (self.state, self.home, self.scq.parent, folder / "linger"):
            made.mkdir()
        self.linger = folder / "linger"
        self.scq.write_text("#!/bin/sh\n")
        self.scq.chmod(0o755)
        program = self.scq.parent / "systemctl"
        program.write_text(STAND_IN.format(folder=shlex.quote(str(self.state))))
        program.chmod(0o755)
        self.env = {
            "PATH": f"{self.scq.parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }

    def user(self) -> UserSystemd:
        return UserSystemd(self.env, booted=str(self.state), linger=str(self.linger))

    def schedule(self, *names: str, every: float = 60.0, home: Path | None = None, **fields: object) -> Schedule:
        entries = tuple(
            Entry(name, (str(self.scq), "do", name), every, "do", name == "run") for name in names or ("notify", "run")
        )
        return Schedule(str(home or self.home), entries, **fields)  # type: ignore[arg-type]

    def calls(self) -> list[str]:
        path = self.state / "calls"
        found = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [call for call in found if " show " not in call]

    def names(self) -> list[str]:
        return sorted(path.name for path in self.units.iterdir())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_registry_knows_both_kinds(machine: Machine) -> None:
    assert [get(name, machine.env).name for name in ("systemd", "systemd-system")] == ["systemd", "systemd-system"]
    assert {"systemd", "systemd-system"} <= {*SCHEDULERS}
    assert not machine.user().overlaps


def test_an_install_writes_units_and_starts_timers_and_doing_it_again_changes_nothing(machine: Machine) -> None:
    systemd, schedule = machine.user(), machine.schedule()
    done = systemd.install(schedule)
    assert [line.split("/")[-1] for line in done[:4]] == [
        path.rpartition("/")[2] for path in (f.path for f in systemd.files(schedule))
    ]
    assert f"loginctl enable-linger {ACCOUNT}" in done[-1]
    assert any(call.endswith("daemon-reload") for call in machine.calls())
    before = {path: path.stat().st_mtime_ns for path in machine.units.iterdir()}
    assert systemd.install(schedule) == ()
    assert machine.calls() == []
    assert {path: path.stat().st_mtime_ns for path in machine.units.iterdir()} == before
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in machine.units.iterdir())


def test_what_is_written_is_what_files_says_and_that_writes_nothing(machine: Machine) -> None:
    systemd, schedule = machine.user(), machine.schedule()
    wanted = systemd.files(schedule)
    assert not machine.units.exists()
    systemd.install(schedule)
    assert {file.path: file.text for file in wanted} == {str(path): path.read_text() for path in machine.units.iterdir()}


def test_another_interval_and_one_entry_less_replace_what_was_there(machine: Machine) -> None:
    systemd, usual = machine.user(), machine.home.parent / ".syft-creds"
    systemd.install(machine.schedule("notify", "run", "approve", home=usual))
    machine.calls()
    done = systemd.install(machine.schedule("notify", every=120.0, home=usual))
    names = [f"{name}{suffix}" for name in ("scq-approve", "scq-run") for suffix in (".service", ".timer")]
    assert [line.rpartition("/")[2] for line in done if line.startswith("removed")] == names
    assert "--user --no-pager --no-ask-password restart scq-notify.timer" in machine.calls()
    assert machine.names() == ["scq-notify.service", "scq-notify.timer"]
    assert [one.every for one in systemd.installed(str(usual))] == [120.0]


def test_units_that_an_install_left_before_systemd_knew_them_are_loaded_by_the_next_one(machine: Machine) -> None:
    systemd, schedule = machine.user(), machine.schedule("notify")
    systemd.install(schedule)
    machine.calls()
    timer = next(name for name in machine.names() if name.endswith(".timer"))
    (machine.state / f"{timer}.properties").write_text("NeedDaemonReload=yes")
    assert f"started {timer}" in systemd.install(schedule)
    begin = machine.calls()
    assert [call.split()[3] for call in begin] == ["daemon-reload", "enable", "restart"]


def test_a_timer_that_is_off_or_will_be_is_named_and_switched_on_again(machine: Machine) -> None:
    (machine.linger / ACCOUNT).touch()
    systemd, schedule = machine.user(), machine.schedule("notify")
    systemd.install(schedule)
    assert systemd.verify(schedule) == ()
    timer = next(name for name in machine.names() if name.endswith(".timer"))
    (machine.state / f"{timer}.properties").write_text("UnitFileState=disabled")
    assert [problem.what for problem in systemd.verify(schedule)] == ["would not be on after a restart of the machine"]
    assert systemd.install(schedule) == (f"started {timer}",)
    (machine.state / f"{timer}.properties").unlink()
    systemd.stop(schedule.home, "notify")
    assert [(one.where, one.what) for one in systemd.verify(schedule)] == [(str(machine.units / timer), "is switched off")]


def test_who_may_not_change_the_units_of_the_machine_still_sees_them(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.units.mkdir(parents=True)
    systemd = SystemSystemd(machine.env, folder=str(machine.units), booted=str(machine.state))
    schedule = machine.schedule("notify", user="nobody", credentials=(("ping", "/etc/scq/nobody/ping"),))
    systemd.install(schedule)
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(machine.units))
    assert [one.state for one in systemd.installed(schedule.home)] == ["active"]
    assert systemd.verify(schedule) == ()
    with pytest.raises(ConfigError, match="cannot be removed: only root writes") as error:
        systemd.remove(schedule.home)
    assert "sudo scq --home" in error.value.advice
    with pytest.raises(UsageError, match="only root writes"):
        systemd.stop(schedule.home, "notify")
    assert len(machine.names()) == 2
    assert systemd.remove("/another/home") == ()


def test_a_unit_of_somebody_else_is_never_overwritten(machine: Machine) -> None:
    machine.units.mkdir(parents=True)
    for content in ("[Unit]\n", "", b"\xff"):
        schedule = machine.schedule(home=machine.home.parent / ".syft-creds")
        foreign = machine.units / "scq-run.timer"
        foreign.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(UsageError, match=r"scq-run\.timer is there"):
            machine.user().install(schedule)
        assert machine.names() == ["scq-run.timer"]
        assert machine.user().remove(schedule.home) == ()


def test_two_homes_do_not_meet_and_the_usual_one_has_the_plain_names(machine: Machine) -> None:
    usual = machine.home.parent / ".syft-creds"
    machine.user().install(machine.schedule("notify", home=usual))
    machine.user().install(machine.schedule("notify"))
    assert len(machine.names()) == 4
    assert "scq-notify.timer" in machine.names()
    assert [one.name for one in machine.user().installed(str(machine.home))] == ["notify"]
    assert len(machine.user().remove(str(machine.home))) == 2
    assert machine.names() == ["scq-notify.service", "scq-notify.timer"]


def test_units_under_former_names_go_when_they_are_ours(machine: Machine) -> None:
    machine.units.mkdir(parents=True)
    (machine.units / "scq.timer").write_text("[Unit]\nDescription=Look at the SyftBox code job queue every minute\n")
    (machine.units / "scq.service").write_text("[Unit]\nDescription=Somebody's own\n")
    usual = machine.home.parent / ".syft-creds"
    assert machine.user().remove(str(machine.home)) == (), "another home"
    assert any("scq.timer" in line for line in machine.user().install(machine.schedule("notify", home=usual)))
    assert "scq.service" in machine.names()
    assert "scq.timer" not in machine.names()


def test_installed_tells_states_and_times(machine: Machine) -> None:
    systemd, home = machine.user(), str(machine.home)
    assert systemd.installed(home) == ()
    systemd.install(machine.schedule("notify", "run"))
    timer = next(name for name in machine.names() if name.startswith("scq-run") and name.endswith(".timer"))
    service = timer.replace(".timer", ".service")
    (machine.state / "timers.json").write_text('[{"last": 1700000000000000, "next": null}]')
    notify, _run = systemd.installed(home)
    assert (notify.name, notify.state, notify.every, notify.pid) == ("notify", "active", 60.0, None)
    assert (notify.last_at, notify.next_at) == (datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), None)
    (machine.state / service).touch()
    (machine.state / f"{service}.properties").write_text("MainPID=42\nResult=success")
    assert [(one.state, one.pid) for one in systemd.installed(home)] == [("active", None), ("running", 42)]
    (machine.state / service).unlink()
    (machine.state / f"{service}.properties").write_text("MainPID=0\nResult=exit-code\nExecMainStatus=78")
    assert "78" in systemd.installed(home)[1].detail
    assert systemd.stop(home, "run") == f"stopped {timer}"
    assert systemd.installed(home)[1].state == "stopped"
    assert systemd.start(home, "run") == f"started {timer}"
    assert systemd.installed(home)[1].state == "active"
    with pytest.raises(UsageError, match="not installed"):
        systemd.stop(home, "approve")


def test_an_edited_unit_and_half_an_entry_are_changed(machine: Machine) -> None:
    systemd, schedule = machine.user(), machine.schedule("notify", "run")
    systemd.install(schedule)
    edited, gone = (path for path in sorted(machine.units.iterdir()) if path.suffix == ".service")
    edited.write_text(edited.read_text() + "PrivateNetwork=yes\n")
    gone.unlink()
    assert [one.state for one in systemd.installed(schedule.home)] == ["changed", "changed"]
    assert [problem.what for problem in systemd.verify(schedule) if problem.where in (str(edited), str(gone))] == [
        "is not what `scq schedule install` would write now",
        "is missing",
    ]
    (machine.state / "silent").touch()
    assert [one.state for one in systemd.installed(schedule.home)] == ["changed", "changed"]


def test_nothing_is_wrong_with_an_installed_schedule_on_a_machine_that_lets_it_go_on(machine: Machine) -> None:
    (machine.linger / ACCOUNT).touch()
    systemd, schedule = machine.user(), machine.schedule("notify", "run")
    assert systemd.verify(schedule) == ()
    assert not any("linger" in line for line in systemd.install(schedule))
    assert systemd.verify(schedule) == ()


def test_verify_names_a_missing_program_a_shim_and_a_missing_home(machine: Machine) -> None:
    systemd = machine.user()
    shim = machine.home / "shims" / "scq"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\n")
    shim.chmod(0o755)
    entry = Entry("notify", (str(shim), "cycle"), 60.0, "look")
    found = systemd.verify(Schedule(str(machine.home / "none"), (entry, Entry("run", ("/nowhere/scq",), 60.0, "run"))))
    assert {problem.where for problem in found} >= {str(shim), "/nowhere/scq", str(machine.home / "none")}


def test_a_secret_that_is_not_there_would_keep_the_units_from_starting(machine: Machine) -> None:
    (machine.linger / ACCOUNT).touch()
    secret = machine.home / "smtp.password"
    schedule = machine.schedule("notify", credentials=(("smtp.password", str(secret)),))
    assert [problem.where for problem in machine.user().verify(schedule)] == [str(secret)]
    assert machine.user().install(schedule)[-1].startswith(f"{secret}: is to be handed over by systemd, and is not there. Write")
    secret.write_text("hush")
    assert machine.user().verify(schedule) == ()


def test_a_manager_that_cannot_be_had_is_named_in_a_few_words(machine: Machine) -> None:
    assert machine.user().unusable() == ""
    (machine.state / "silent").touch()
    assert "no medium found" in machine.user().unusable()
    assert "not started with systemd" in UserSystemd(machine.env, booted="/nowhere").unusable()
    assert "not installed" in UserSystemd({"PATH": "/nowhere"}, booted=str(machine.state)).unusable()
    with pytest.raises(UsageError, match="systemd cannot be used"):
        machine.user().install(machine.schedule())
    with pytest.raises(UsageError):
        machine.user().start(str(machine.home), "notify")


def test_units_are_removed_also_where_nobody_can_be_asked_to_stop_them(machine: Machine) -> None:
    systemd = machine.user()
    systemd.install(machine.schedule("notify"))
    wants = machine.units / "timers.target.wants"
    wants.mkdir()
    timer = next(path for path in machine.units.iterdir() if path.suffix == ".timer")
    (wants / timer.name).symlink_to(timer)
    (machine.state / "silent").touch()
    assert [one.state for one in systemd.installed(str(machine.home))] == ["unknown"]
    assert len(systemd.remove(str(machine.home))) == 2
    assert list(wants.iterdir()) == []


def test_what_systemd_refuses_is_an_error_with_its_first_line(machine: Machine) -> None:
    (machine.state / "no-daemon-reload").touch()
    with pytest.raises(ScqError, match=r"^systemctl --user daemon-reload: Failed to connect to bus: no medium found$"):
        machine.user().install(machine.schedule())


def test_what_scq_ships_no_unit_for_is_refused(machine: Machine) -> None:
    with pytest.raises(UsageError, match="ships no systemd unit"):
        machine.user().files(machine.schedule("dance"))


def test_user_units_are_this_accounts_only(machine: Machine) -> None:
    with pytest.raises(UsageError, match="this account's"):
        machine.user().files(machine.schedule("notify", user="somebody-else"))
    assert machine.user().files(machine.schedule("notify", user=ACCOUNT))


def test_system_units_name_the_account_and_always_the_home(machine: Machine) -> None:
    systemd = SystemSystemd(machine.env, folder=str(machine.units), booted=str(machine.state))
    assert SystemSystemd(machine.env).folder == "/etc/systemd/system"
    assert "only root writes" in systemd.unusable()
    machine.units.mkdir(parents=True)
    usual = machine.home.parent / ".syft-creds"
    usual.mkdir()
    schedule = machine.schedule("notify", "run", "approve", user="nobody", home=usual)
    systemd.install(schedule)
    assert all("syft-creds-" in name for name in machine.names())
    assert all("\nUser=nobody\n" in path.read_text() for path in machine.units.iterdir() if path.suffix == ".service")
    assert all("--system" in call for call in machine.calls())
    assert [one.name for one in systemd.installed(schedule.home)] == ["approve", "notify", "run"]
    assert systemd.verify(schedule) == ()
    with pytest.raises(UsageError, match="no account"):
        systemd.files(machine.schedule(user="no-such-account"))
    assert f"User={ACCOUNT}" in systemd.files(machine.schedule())[0].text


def test_the_shipped_folder_holds_a_service_and_a_timer_for_every_task_in_both_kinds() -> None:
    expected = {f"scq-{task}{suffix}" for task in ("notify", "run", "approve") for suffix in (".service", ".timer")}
    shipped = Path(resources.folder("systemd"))
    assert {path.name for path in shipped.iterdir() if path.is_file()} == expected
    assert {path.name for path in (shipped / "system").iterdir()} == expected
