"""`scq doctor` names each thing that would stop a job, and what to do about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import scq.commands.doctor as doctor
from scq import calling, installed, schedule, serving
from scq.channels.file import FileChannel
from scq.channels.place import Place
from scq.config import load
from scq.config_channels import ChannelSetting
from scq.context import Context
from scq.errors import CONFIG, FAILED, OK, ConfigError
from scq.lastcalls import mark_ended
from scq.model import Problem, Trouble
from scq.ports import Installed, Message, Receipt
from scq.report import Report, as_json
from scq.serving import ServiceState
from scq.state import State
from scq.store import Store

ME = "owner@example.org"


class FakeSandbox:
    name = "fake"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = problems

    def check(self) -> Sequence[Problem]:
        return self.problems


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "scq-home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def box(tmp_path: Path) -> Path:
    folder = tmp_path / "SyftBox"
    (folder / ME).mkdir(parents=True)
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the programs a job and a crontab need, ours first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder, "scq", f"#!{sys.executable}\n")
    program(folder, "bash")
    program(folder, "uv")
    return folder


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


HOLDER = """
import fcntl, sys
lock = open(sys.argv[1] + "/.sync.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
"""A client at work: it keeps its lock until its input ends."""


def configure(home: Path, box: Path, programs: Path, more: str = "") -> None:
    path = home / "config.yaml"
    path.write_text(f"do_email: {ME}\nsyftbox_root: {box}\nrun: {{path: {programs}, output_bytes: 1}}\n{more}")
    path.chmod(0o600)


def went_well(home: Path, verb: str, at: datetime | None = None) -> None:
    """As if a scheduled call had ended well."""
    (home / "locks").mkdir(exist_ok=True)
    seconds = (at or datetime.now(UTC)).timestamp()
    mark_ended(str(home), verb, seconds, seconds)


def context(home: Path, path: str = "", problems: Sequence[Problem] = (), now: datetime | None = None) -> Context:
    env = {"HOME": str(home.parent / "nobody"), "PATH": path}
    loaded = load(str(home / "config.yaml"), env, {}, home=str(home), strict=False)
    clock = datetime.now(UTC) if now is None else now
    ctx = Context(loaded.config, str(home), env=env, now=lambda: clock, problems=loaded.problems)
    ctx.sandbox = lambda: FakeSandbox(problems)  # type: ignore[assignment, method-assign, return-value]
    return ctx


def found(report: Report, name: str) -> list[dict[str, Any]]:
    return [check for check in report.data["checks"] if check["name"] == name]


def one(report: Report, name: str) -> dict[str, Any]:
    (check,) = found(report, name)
    return check


def test_a_good_installation_has_nothing_to_say(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    went_well(home, "cycle")
    report = doctor.run(context(home, str(programs)))
    assert [check for check in report.data["checks"] if check["level"] != "ok"] == []
    assert report.exit_code == OK
    assert report.ok
    names = {check["name"] for check in report.data["checks"]}
    assert names == {
        "python", "configuration", "identity", "syftbox", "home", "files", "state", "locks", "clock", "disk", "sandbox",
        "limits", "data", "interpreters", "programs", "queues", "channels", "schedule", "logs",
    }  # fmt: skip


def test_nothing_is_left_behind(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    doctor.run(context(home, str(programs)))
    assert os.listdir(home) == ["config.yaml"]
    assert os.listdir(box) == [ME]


def test_an_empty_machine_is_told_to_init(tmp_path: Path) -> None:
    report = doctor.run(context(tmp_path / "no-home"))
    assert report.exit_code == CONFIG
    for name in ("home", "identity", "syftbox"):
        check = one(report, name)
        assert (check["ok"], check["level"]) == (False, "config")
        assert "scq init" in check["advice"]


def test_every_failure_has_advice(tmp_path: Path) -> None:
    report = doctor.run(context(tmp_path / "no-home", problems=[Problem("bwrap", "is missing", "apt-get install bubblewrap")]))
    for check in report.data["checks"]:
        assert check["ok"] or check["advice"], check


def test_pending_mistakes_of_the_configuration_are_listed(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs, "job_timeout: often\nqueue: q\n")
    report = doctor.run(context(home, str(programs)))
    levels = [(check["level"], check["detail"].split(": ")[1]) for check in found(report, "configuration")]
    assert levels == [("config", "job_timeout"), ("warning", "queue")]
    assert report.exit_code == CONFIG


def test_an_open_home_is_a_failure(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    home.chmod(0o755)
    report = doctor.run(context(home, str(programs)))
    assert "0755" in one(report, "home")["detail"]
    assert one(report, "home")["advice"] == f"chmod 700 {home}"
    assert report.exit_code == FAILED


def test_what_is_to_be_typed_is_quoted_where_a_shell_would_misread_it(tmp_path: Path, box: Path, programs: Path) -> None:
    home = tmp_path / "my home"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    configure(home, box, programs)
    assert one(doctor.run(context(home, str(programs))), "home")["advice"] == f"chmod 700 '{home}'"


def test_a_home_inside_the_syftbox_is_a_failure(box: Path, programs: Path) -> None:
    inside = box / "scq-home"
    inside.mkdir(mode=0o700)
    configure(inside, box, programs)
    report = doctor.run(context(inside, str(programs)))
    assert "lies inside the SyftBox folder" in one(report, "home")["detail"]
    assert report.exit_code == CONFIG


def test_a_home_that_is_a_file_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check = one(doctor.run(context(tmp_path / "file")), "home")
    assert (check["ok"], check["level"]) == (False, "config")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_home_of_somebody_else_is_a_failure(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    os.chown(home, 65534, 65534)
    assert "belongs to user 65534" in one(doctor.run(context(home, str(programs))), "home")["detail"]


def test_the_public_key_of_the_audit_log_may_be_open(home: Path, box: Path, programs: Path) -> None:
    (home / "audit.pub").write_text("key")
    (home / "audit.pub").chmod(0o644)
    configure(home, box, programs)
    assert one(doctor.run(context(home, str(programs))), "files")["ok"] is True


def test_open_files_are_named(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    (home / "token_do.json").touch(mode=0o644)
    (home / "token_do.json").chmod(0o644)
    check = one(doctor.run(context(home, str(programs))), "files")
    assert not check["ok"]
    assert "token_do.json" in check["detail"]
    assert "chmod go=" in check["advice"]


def test_a_syftbox_that_is_not_there_is_a_failure(home: Path, box: Path, programs: Path) -> None:
    configure(home, box / "gone", programs)
    report = doctor.run(context(home, str(programs)))
    assert "is not a folder" in one(report, "syftbox")["detail"]
    assert report.exit_code == CONFIG


def test_a_syftbox_without_an_own_folder_is_a_note(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    (box / ME).rmdir()
    report = doctor.run(context(home, str(programs)))
    assert one(report, "syftbox")["level"] == "warning"
    assert report.exit_code == OK


def test_an_own_folder_that_cannot_be_written_is_a_failure(
    home: Path, box: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(home, box, programs)
    really = os.access

    def read_only(path: str, mode: int) -> bool:
        # Root may write anywhere, so the answer of a read-only mount is given here.
        return False if mode & os.W_OK and str(path).startswith(str(box)) else really(path, mode)

    monkeypatch.setattr(os, "access", read_only)
    check = one(doctor.run(context(home, str(programs))), "syftbox")
    assert "cannot be written" in check["detail"]


def test_jobs_that_are_found_are_counted_by_family(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    job = box / ME / "app_data" / "job" / "inbox" / "ds@example.org" / "first"
    job.mkdir(parents=True)
    (job / "config.yaml").write_text("name: first\n")
    assert "inbox-review 1" in one(doctor.run(context(home, str(programs))), "queues")["detail"]


def test_an_unusable_state_is_a_failure_and_is_left_alone(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    (home / "state.json").write_text("{")
    (home / "state.json").chmod(0o600)
    report = doctor.run(context(home, str(programs)))
    assert one(report, "state")["level"] == "config"
    assert report.exit_code == CONFIG
    assert (home / "state.json").read_text() == "{"


def test_a_sandbox_that_does_not_hold_is_a_failure(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    problem = Problem("bwrap", "is not installed", "apt-get install bubblewrap")
    report = doctor.run(context(home, str(programs), [problem]))
    assert one(report, "sandbox")["advice"] == "apt-get install bubblewrap"
    assert report.exit_code == FAILED


def test_a_sandbox_switched_off_is_a_note(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs, "sandbox: none\n")
    report = doctor.run(context(home, str(programs)))
    assert one(report, "sandbox")["level"] == "warning"
    assert any(line.startswith("note  sandbox: switched off") for line in report.lines)


def test_locks_that_keep_nobody_out_are_a_failure(home: Path, box: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(home, box, programs)
    import fcntl

    # A file system whose locks are only pretended: flock always succeeds in this process.
    monkeypatch.setattr(fcntl, "flock", lambda fd, operation: None)
    check = one(doctor.run(context(home, str(programs))), "locks")
    assert not check["ok"]
    assert "keeps nobody out" in check["detail"]


def test_a_lock_somebody_keeps_is_seen_as_taken(home: Path) -> None:
    path = home / "lock"
    path.touch()
    code = "import fcntl,sys; f=open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        assert doctor._other_process_takes(str(path)) is False
        holder.stdin.close()
    assert doctor._other_process_takes(str(path)) is True


def test_a_clock_of_long_ago_is_a_failure(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    report = doctor.run(context(home, str(programs), now=datetime(1999, 12, 31, tzinfo=UTC)))
    assert "1999-12-31" in one(report, "clock")["detail"]
    assert report.exit_code == FAILED


def test_a_clock_that_fell_behind_what_is_remembered_is_a_failure(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    later = datetime.now(UTC) + timedelta(days=1)
    ctx = context(home, str(programs))
    ctx.store.update(lambda state: State(last={"check": later}))
    check = one(doctor.run(ctx), "clock")
    assert not check["ok"]
    assert "was remembered" in check["detail"]


def test_a_file_system_with_another_clock_is_a_note(
    home: Path, box: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(home, box, programs)
    monkeypatch.setattr(doctor, "_file_system_drift", lambda folder: timedelta(hours=-2))
    check = one(doctor.run(context(home, str(programs))), "clock")
    assert check["level"] == "warning"
    assert "-7200 s" in check["detail"]


def test_a_full_disk_is_a_failure(home: Path, box: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(home, box, programs)
    real = os.statvfs(home)
    full = os.statvfs_result((real.f_bsize, real.f_frsize, real.f_blocks, 0, 0, *real[5:10]))
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    report = doctor.run(context(home, str(programs)))
    assert all(not check["ok"] for check in found(report, "disk"))
    assert report.exit_code == FAILED


def test_less_room_than_one_job_may_need_is_a_note(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    (home / "config.yaml").write_text((home / "config.yaml").read_text().replace("output_bytes: 1", "output_bytes: 1024 GiB"))
    report = doctor.run(context(home, str(programs)))
    assert {check["level"] for check in found(report, "disk")} == {"warning"}


@pytest.mark.parametrize(("missing", "level"), [("bash", "failure"), ("uv", "warning")])
def test_a_missing_interpreter_is_named(missing: str, level: str, home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    (programs / missing).unlink()
    (home / "config.yaml").write_text((home / "config.yaml").read_text() + "network: none\n")
    check = one(doctor.run(context(home, str(programs))), "interpreters")
    assert check["level"] == level
    assert f"no {missing}" in check["detail"]


def test_another_program_of_our_name_first_on_the_path_is_a_failure(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    older = program(home.parent / "older", "scq", "#!/opt/other/python\n")
    report = doctor.run(context(home, f"{older.parent}:{programs}"))
    assert str(older) in one(report, "programs")["detail"]
    assert report.exit_code == FAILED


def test_another_program_of_our_name_later_on_the_path_is_a_note(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    older = program(home.parent / "older", "scq", "#!/opt/other/python\n")
    check = one(doctor.run(context(home, f"{programs}:{older.parent}")), "programs")
    assert check["level"] == "warning"
    assert str(older) in check["detail"]


def test_one_program_under_two_names_is_one_program(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    (home.parent / "same").symlink_to(programs)
    assert one(doctor.run(context(home, f"{programs}:{home.parent}/same")), "programs")["level"] == "ok"


def test_a_path_without_us_says_what_to_write_into_a_crontab(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    check = one(doctor.run(context(home, "/nowhere")), "programs")
    assert check["level"] == "warning"
    assert "crontab" in check["advice"]


def test_lines_show_the_failure_and_the_advice_below_it(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    home.chmod(0o755)
    lines = doctor.run(context(home, str(programs))).lines
    at = next(number for number, line in enumerate(lines) if line.startswith("FAIL  home: "))
    assert lines[at + 1] == f"      chmod 700 {home}"


def test_a_syftbox_that_cannot_be_read_is_a_failure(
    home: Path, box: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(home, box, programs)
    really = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(box) and really(path, mode))
    assert "cannot be read" in one(doctor.run(context(home, str(programs))), "syftbox")["detail"]


def test_a_folder_name_that_is_not_utf8_is_a_note(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    inbox = box / ME / "app_data" / "job" / "inbox" / "ds@example.org"
    inbox.mkdir(parents=True)
    os.mkdir(os.fsencode(inbox) + b"/\xff\xfe")
    report = doctor.run(context(home, str(programs)))
    assert any("not UTF-8" in check["detail"] for check in found(report, "queues"))
    assert report.exit_code == OK


def test_a_state_saved_by_its_backup_is_a_note(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    ctx = context(home, str(programs))
    for revision in range(2):
        ctx.store.update(lambda state, n=revision: State(last={"check": datetime(2026, 1, 1 + n, tzinfo=UTC)}))  # type: ignore[misc]
    (home / "state.json").write_text("{")
    (home / "state.json").chmod(0o600)
    levels = [check["level"] for check in found(doctor.run(context(home, str(programs))), "state")]
    assert levels == ["warning", "ok"]


def test_a_huge_program_of_our_name_is_not_read_and_not_ours(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    with (programs / "scq").open("wb") as file:
        file.truncate(50 << 20)
    assert one(doctor.run(context(home, str(programs))), "programs")["level"] == "failure"


def test_a_home_without_room_for_a_lock_is_a_failure(
    home: Path, box: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(home, box, programs)

    def full(**where: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(doctor.tempfile, "TemporaryDirectory", full)
    assert "No space left" in one(doctor.run(context(home, str(programs))), "locks")["detail"]


def test_a_lock_that_is_never_released_is_a_failure(
    home: Path, box: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(home, box, programs)
    monkeypatch.setattr(doctor, "_other_process_takes", lambda path: False)
    assert "never released" in one(doctor.run(context(home, str(programs))), "locks")["detail"]


def test_data_is_shown_to_be_there_and_readable(home: Path, box: Path, programs: Path, tmp_path: Path) -> None:
    configure(home, box, programs)
    good = tmp_path / "cohort"
    good.mkdir()
    text = (home / "config.yaml").read_text()
    (home / "config.yaml").write_text(
        f"{text}data: {{{good}: /data/good, {tmp_path}/gone: /data/gone, {home.parent}: /data/all}}\n"
    )
    checks = found(doctor.run(context(home, str(programs))), "data")
    assert [check["level"] for check in checks] == ["ok", "config", "config"]
    assert "is not there" in checks[1]["detail"]
    assert "holds scq's own folder" in checks[2]["detail"]


def test_uv_that_scq_brings_along_is_good_enough(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    (programs / "uv").unlink()
    assert one(doctor.run(context(home, str(programs))), "interpreters")["level"] == "ok"


# Channels, secrets, hours, pings


def test_every_channel_is_asked_whether_it_could_be_used(home: Path, box: Path, programs: Path) -> None:
    more = "channels: {box: {type: file}, run: {type: exec, command: [/no/such/program]}, out: {type: stdout}}\n"
    configure(home, box, programs, more)
    report = doctor.run(context(home, str(programs)))
    by_name = {check["detail"].split(" ")[0]: check for check in found(report, "channels")}
    assert (by_name["box"]["level"], by_name["run"]["level"], by_name["out"]["level"]) == ("ok", "failure", "ok")
    assert by_name["run"]["advice"]
    assert report.exit_code == FAILED


def test_a_channel_that_cannot_even_be_made_is_a_failure(home: Path, box: Path, programs: Path) -> None:
    class Broken:
        name = "mailbox"

        def usable(self) -> str:
            raise ConfigError("the environment variable WORD is not set")

        def send(self, message: Message) -> Receipt:
            raise AssertionError

    configure(home, box, programs)
    ctx = context(home, str(programs))
    ctx.channels["mailbox"] = Broken()
    check = one(doctor.run(ctx), "channels")
    assert (check["level"], check["detail"]) == ("failure", "mailbox (file): the environment variable WORD is not set")
    assert check["advice"] == "Correct its settings."


def test_nobody_to_tell_and_submitters_who_cannot_be_told_are_notes(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs, "channels: {}\n")
    report = doctor.run(context(home, str(programs)))
    assert (one(report, "channels")["level"], report.exit_code) == ("warning", OK)
    assert "nobody is told anything" in one(report, "channels")["detail"]
    configure(home, box, programs, "channels: {out: {type: stdout}}\n")
    notes = [check for check in found(doctor.run(context(home, str(programs))), "channels") if check["level"] == "warning"]
    assert ["submitters are told nothing" in check["detail"] for check in notes] == [True]


def test_a_missing_sign_in_says_how_to_sign_in(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs, "channels: {mail: {type: gmail}}\n")
    check = one(doctor.run(context(home, str(programs))), "channels")
    assert (check["level"], check["advice"]) == ("failure", "Run: scq auth google --send")
    assert str(home / "gmail_token.json") in check["detail"]


def test_a_saved_sign_in_that_others_can_read_is_a_failure(home: Path, box: Path, programs: Path) -> None:
    token = home.parent / "token.json"
    token.write_text("{}")
    token.chmod(0o644)
    configure(home, box, programs, f"gmail_token_path: {token}\nchannels: {{mail: {{type: gmail}}}}\n")
    ctx = context(home, str(programs))
    ctx.channels["mail"] = FileChannel(ChannelSetting("mail"), Place(env={}))
    check = one(doctor.run(ctx), "secrets")
    assert (check["level"], check["advice"]) == ("failure", f"chmod 600 {token}")


def test_secrets_in_the_settings_and_in_open_files_are_found(home: Path, box: Path, programs: Path) -> None:
    token = home.parent / "token"
    token.write_text("hush-1")
    token.chmod(0o640)
    more = (
        "channels:\n"
        "  relay: {type: smtp, host: mail.example.org, user: bot, password: hush-2}\n"
        f"  bot: {{type: telegram, to: '1', token_file: {token}}}\n"
        f"  gone: {{type: slack, url_file: {home}/gone}}\n"
        "  kept: {type: slack, url_env: SLACK_URL}\n"
        "health: {url: 'https://hc.example.org/hush-3'}\n"
    )
    configure(home, box, programs, more)
    ctx = context(home, str(programs))
    ctx.channels.update({name: FileChannel(ChannelSetting(name), Place(env={})) for name in ("relay", "bot", "gone", "kept")})
    report = doctor.run(ctx)
    assert [(check["level"], check["detail"]) for check in found(report, "secrets")] == [
        ("warning", "channels.relay.password stands in config.yaml itself"),
        ("failure", f"{token} is open to others"),
        ("warning", "health.url stands in config.yaml itself"),
    ]
    assert "channels.relay.password_file" in found(report, "secrets")[0]["advice"]
    assert one(report, "health")["detail"] == "hc.example.org is told about notify, cycle"
    assert "hush" not in as_json(report) + "\n".join(report.lines)


def test_an_address_to_ping_that_cannot_be_read_is_a_failure(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs, "health: {url_env: NO_SUCH_VARIABLE}\n")
    report = doctor.run(context(home, str(programs)))
    assert (one(report, "health")["level"], report.exit_code) == ("failure", FAILED)
    assert "NO_SUCH_VARIABLE" in one(report, "health")["detail"]
    (home / "url").write_text("not an address: hush")
    (home / "url").chmod(0o600)
    configure(home, box, programs, "health: {url_file: $SCQ_HOME/url}\n")
    check = one(doctor.run(context(home, str(programs))), "health")
    assert check["level"] == "failure"
    assert "hush" not in check["detail"]


def test_an_address_to_ping_in_two_places_is_a_note(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs, "health: {url: 'https://hc.example.org/hush', url_env: PING}\n")
    checks = found(doctor.run(context(home, str(programs))), "health")
    assert [check["level"] for check in checks] == ["ok", "warning"]
    assert checks[1]["advice"] == "Keep one of url, url_env, url_file and url_keyring."


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "Europe", "x" * 300])
def test_a_time_zone_this_machine_does_not_know_is_a_failure(zone: str, home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs, f"notify: {{timezone: {zone}}}\n")
    report = doctor.run(context(home, str(programs)))
    assert (one(report, "hours")["level"], report.exit_code) == ("config", CONFIG)


@pytest.mark.parametrize(
    ("quiet", "at", "noted"),
    [
        ("22:00-07:00", "23:00", True),
        ("22:00-07:00", "06:59", True),
        ("22:00-07:00", "07:00", False),
        ("09:00-17:00", "12:00", True),
        ("09:00-17:00", "08:59", False),
        ("09:00-17:00", "17:00", False),
    ],
)
def test_a_digest_in_quiet_hours_is_a_note(quiet: str, at: str, noted: bool, home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs, f"notify: {{timezone: UTC, quiet_hours: '{quiet}', digest_at: '{at}'}}\n")
    assert [check["level"] for check in found(doctor.run(context(home, str(programs))), "hours")] == ["warning"] * noted


def test_a_heartbeat_every_few_minutes_is_a_note(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs, "notify: {heartbeat_enabled: true, heartbeat_interval: 10m}\n")
    assert "health.url" in one(doctor.run(context(home, str(programs))), "hours")["advice"]


def test_drive_is_no_matter_where_there_is_no_sign_in_for_it(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    assert found(doctor.run(context(home, str(programs))), "drive") == []


def test_a_sign_in_for_drive_is_proven_to_be_one_that_is_enough(home: Path, box: Path, programs: Path) -> None:
    token = home / "token_do.json"
    reading = "https://www.googleapis.com/auth/drive.readonly"
    token.write_text(json.dumps({"token": "t", "scopes": [reading], "expiry": "2999-01-01T00:00:00Z"}))
    token.chmod(0o600)
    configure(home, box, programs)
    assert one(doctor.run(context(home, str(programs))), "drive")["detail"] == "there is a sign-in for Google Drive"
    configure(home, box, programs, "drive: {fetch: true}\n")
    check = one(doctor.run(context(home, str(programs))), "drive")
    assert (check["ok"], "scq auth google --drive --write" in check["advice"]) == (False, True)


def test_another_client_beside_fetching_is_a_note(home: Path, box: Path, programs: Path) -> None:
    writing = "https://www.googleapis.com/auth/drive"
    (home / "token_do.json").write_text(json.dumps({"token": "t", "scopes": [writing], "expiry": "2999-01-01T00:00:00Z"}))
    (home / "token_do.json").chmod(0o600)
    configure(home, box, programs, "drive: {fetch: true}\n")
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(box)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"held\n"
        checks = found(doctor.run(context(home, str(programs))), "drive")
    assert [check["level"] for check in checks] == ["ok", "warning"]
    assert "drive.fetch: false" in checks[1]["advice"]


def test_what_did_not_work_when_last_tried_is_a_note(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    at = datetime(2026, 11, 21, tzinfo=UTC)
    troubles = {
        "channel relay": Trouble("sign-in needed", at, "Run: scq auth google --send"),
        "source syftbox": Trouble("is away", at),
    }
    Store(str(home)).update(lambda state: replace(state, troubles=troubles))
    report = doctor.run(context(home, str(programs)))
    assert [check["detail"].split(" since ")[0] for check in found(report, "troubles")] == [
        "channel relay: sign-in needed",
        "source syftbox: is away",
    ]
    assert [check["advice"] for check in found(report, "troubles")] == [
        "Run: scq auth google --send",
        "It goes away when it works again.",
    ]
    assert report.exit_code == OK


def test_the_names_of_open_files_are_clean_and_the_advice_can_be_pasted(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    (home / "a; rm \x1b[2J").touch(mode=0o644)
    check = one(doctor.run(context(home, str(programs))), "files")
    assert "\x1b" not in check["detail"] + check["advice"]
    assert "'a; rm \N{REPLACEMENT CHARACTER}[2J'" in check["advice"]


def install(home: Path, *entries: tuple[str, float], scheduler: str = "loop", at: datetime | None = None) -> None:
    installed.write(str(home), installed.Record(scheduler, entries, at or datetime.now(UTC)))


def put_loop(home: Path, services: dict[str, float]) -> None:
    """The loop as `scq schedule install --loop` leaves it, but for its process."""
    loop = schedule.get("loop", {})
    for file in loop.files(calling.planned(context(home), loop, services)):
        Path(file.path).write_text(file.text)
        Path(file.path).chmod(0o600)
    install(home, *services.items())


def test_that_nobody_calls_is_a_note_unless_somebody_did(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    check = one(doctor.run(context(home, str(programs))), "schedule")
    assert (check["level"], check["advice"]) == ("warning", "scq schedule install")
    went_well(home, "notify")
    check = one(doctor.run(context(home, str(programs))), "schedule")
    assert (check["level"], check["detail"][:27]) == ("ok", "nothing is installed by scq")
    went_well(home, "notify", datetime.now(UTC) - timedelta(days=2))
    assert one(doctor.run(context(home, str(programs))), "schedule")["level"] == "warning"


def test_calls_that_do_not_go_well_are_a_failure(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    put_loop(home, {"notify": 30.0})
    install(home, ("notify", 30.0), at=datetime.now(UTC) - timedelta(days=1))
    late, stopped = found(doctor.run(context(home, str(programs))), "schedule")
    assert (late["level"], late["detail"]) == ("failure", "notify never went well yet; loop is to call it every 30 s")
    assert "scq status notify" in late["advice"]
    assert (stopped["level"], stopped["advice"]) == ("warning", "scq start notify")
    went_well(home, "cycle")
    assert found(doctor.run(context(home, str(programs))), "schedule")[0]["level"] == "ok"


def test_what_was_installed_and_is_gone_is_a_failure(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    install(home, ("notify", 30.0))
    fresh, gone = found(doctor.run(context(home, str(programs))), "schedule")
    assert fresh["level"] == "ok"
    assert (gone["detail"], gone["advice"]) == ("notify was installed and is not there any more", "scq schedule install")


def test_what_was_edited_by_hand_is_a_note(home: Path, box: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(home, box, programs)
    install(home, ("notify", 30.0), scheduler="cron")
    edited = ServiceState("notify", "cron", True, None, 30.0, (Installed("notify", "crontab of owner", "changed"),))
    monkeypatch.setattr(serving, "state_of", lambda ctx, service: edited)
    check = found(doctor.run(context(home, str(programs))), "schedule")[1]
    assert (check["level"], check["detail"]) == ("warning", "crontab of owner was edited by hand")
    assert check["advice"]


@pytest.mark.parametrize("text", ["{", '{"scheduler": "nonsense", "entries": [["notify", 30]], "at": "2026-11-21T12:00:00Z"}'])
def test_a_record_of_the_schedule_that_makes_no_sense_is_a_failure(text: str, home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    (home / "schedule.json").write_text(text)
    (home / "schedule.json").chmod(0o600)
    report = doctor.run(context(home, str(programs)))
    assert any(check["level"] == "failure" and check["advice"] for check in found(report, "schedule"))


def test_a_log_that_cannot_be_written_is_a_failure(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    (home / "syft-notify.log").write_text("12345")
    (home / "syft-notify.log").chmod(0o600)
    assert "5 bytes now" in one(doctor.run(context(home, str(programs))), "logs")["detail"]
    os.mkfifo(home / "syft-approve.error.log", 0o600)
    check = one(doctor.run(context(home, str(programs))), "logs")
    assert (check["level"], check["detail"]) == ("failure", f"{home}/syft-approve.error.log cannot be written")
    assert check["advice"]
    configure(home, box, programs, "log: {to: stderr}\n")
    assert found(doctor.run(context(home, str(programs))), "logs") == []


def test_the_version_of_the_configuration_is_named(home: Path, box: Path, programs: Path) -> None:
    configure(home, box, programs)
    assert one(doctor.run(context(home, str(programs))), "configuration")["detail"].endswith("config.yaml, version 1")


def test_a_scheduler_that_does_not_answer_is_a_failure(
    home: Path, box: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(ctx: Context, service: str) -> ServiceState:
        raise ConfigError("crontab: cannot be called")

    configure(home, box, programs)
    install(home, ("notify", 30.0), scheduler="cron")
    monkeypatch.setattr(serving, "state_of", silent)
    check = found(doctor.run(context(home, str(programs))), "schedule")[1]
    assert (check["level"], check["detail"]) == ("failure", "notify: crontab: cannot be called")
    assert check["advice"] == "scq schedule verify"
