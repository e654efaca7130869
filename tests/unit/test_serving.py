"""What is to be called, by which program, with which options, and who writes into whose home."""

from __future__ import annotations

import os
import pwd
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq import calling, config, installed, schedule, serving
from scq.context import Context
from scq.errors import ConfigError, UsageError
from scq.schedule.loop import Loop
from tests.people import OWNER, syftbox

ROOT = os.geteuid() == 0


def context(home: Path, text: str = "", **given: str) -> Context:
    """The parts of a call in this home, with options of the command line."""
    home.mkdir(mode=0o700, exist_ok=True)
    path = home / "config.yaml"
    path.write_text(text)
    loaded = config.load(str(path), os.environ, given, home=str(home))
    return Context(loaded.config, str(home), config_path=str(path))


def open_the_way_to(folder: Path) -> None:
    """Let every account reach a folder of this test."""
    for place in (folder, *folder.parents):
        if not place.stat().st_mode & 0o001:
            place.chmod(0o755)


def executable(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_running_program_is_named_absolute_and_shims_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    own = executable(tmp_path / "bin" / "scq")
    shim = executable(tmp_path / ".pyenv" / "shims" / "scq")
    monkeypatch.setattr(sys, "argv", [own])
    assert calling.program() == (own,)
    monkeypatch.chdir(tmp_path / "bin")
    monkeypatch.setattr(sys, "argv", ["./scq"])
    assert calling.program() == (own,)
    monkeypatch.setattr(sys, "argv", [shim])
    assert calling.program() == (f"{tmp_path}/venv/python", "-m", "scq")
    beside = executable(tmp_path / "venv" / "scq")
    for word in (shim, str(tmp_path / "away" / "scq"), "/usr/lib/scq/__main__.py", "-c"):
        monkeypatch.setattr(sys, "argv", [word])
        assert calling.program() == (beside,)


def test_options_name_only_what_a_bare_call_would_not_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "alice"
    folder.mkdir()
    monkeypatch.setattr(calling, "home_of", lambda user, env: str(folder))
    root = str(syftbox(tmp_path, OWNER))
    usual = folder / ".syft-creds"
    assert calling.options(context(usual, f"do_email: {OWNER}\nsyftbox_root: {root}\n")) == ()
    assert calling.options(context(usual, f"do_email: {OWNER}\n", root=root)) == ("--root", root)
    monkeypatch.setenv("SCQ_EMAIL", "other@example.org")
    monkeypatch.setenv("SCQ_ROOT", root)
    given = ("--root", root, "--email", "other@example.org")
    assert calling.options(context(usual, f"do_email: {OWNER}\n")) == given
    elsewhere = context(tmp_path / "home", "")
    elsewhere.config_path = str(usual / "config.yaml")
    assert calling.options(elsewhere)[:4] == ("--home", str(tmp_path / "home"), "--config", str(usual / "config.yaml"))


def test_the_home_directory_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert calling.home_of("", {}) == pwd.getpwuid(os.getuid()).pw_dir
    assert calling.home_of("root", {}) == pwd.getpwnam("root").pw_dir
    for name in ("nobody-of-this-name", "a\0b"):
        with pytest.raises(UsageError, match="there is no account"):
            calling.home_of(name, {})
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert calling.home_of("", {"HOME": "/somewhere"}) == "/somewhere"


def test_a_scheduler_that_waits_for_the_call_before_gets_two_calls(tmp_path: Path) -> None:
    ctx = context(tmp_path / "home", 'approve: {command: ["/bin/true"]}\nnotify: {interval: 1m}\n')
    using = Loop(os.environ)
    assert [entry.name for entry in calling.planned(ctx, using, serving.usual_services(ctx)).entries] == ["notify", "approve"]
    using.overlaps = False
    entries = calling.planned(ctx, using, serving.usual_services(ctx)).entries
    assert [(entry.name, entry.argv[-1], entry.every, entry.runs_jobs) for entry in entries] == [
        ("notify", "--no-run", 60.0, False),
        ("run", "run-approved", 60.0, True),
        ("approve", "automate", 30.0, False),
    ]


def test_handed_over_secrets_and_folders_that_are_written_are_named(tmp_path: Path) -> None:
    box = tmp_path / "letters"
    text = (
        "sandbox: none\nstate_file: /srv/state/scq.json\n"
        f"channels: {{mail: {{type: file, path: {box}/mail}}, "
        "hook: {type: webhook, url_file: $CREDENTIALS_DIRECTORY/hook}, chat: {type: slack, url_file: /srv/chat}}\n"
        "health: {url_file: $CREDENTIALS_DIRECTORY/ping}\n"
    )
    ctx = context(tmp_path / "home", text, root="/srv/box")
    wanted = calling.planned(ctx, Loop(os.environ), {"notify": 30.0})
    assert wanted.credentials == (("hook", f"{ctx.home}/secrets/hook"), ("ping", f"{ctx.home}/secrets/ping"))
    assert wanted.writable == ("/srv/box", "/srv/state", str(box))


def test_only_calls_of_the_administrator_need_the_scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = context(tmp_path / "home")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert calling.planned(ctx, Loop(os.environ), {}).writable == ("/var/tmp/scq",)
    assert calling.planned(ctx, Loop(os.environ), {}, "nobody").writable == ()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert calling.planned(ctx, Loop(os.environ), {}).writable == ()


def test_a_scheduler_of_the_whole_machine_is_taken_only_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = context(tmp_path / "home")
    monkeypatch.setattr(schedule, "SCHEDULERS", {"systemd-system": "loop:Loop"})
    with pytest.raises(ConfigError, match="no scheduler can be used here"):
        serving.choose(ctx)
    assert serving.choose(ctx, user="root").name == "systemd-system"
    monkeypatch.setattr(schedule, "SCHEDULERS", {"systemd-system": "loop:Loop", "loop": "loop:Loop"})
    choice = serving.choose(ctx)
    assert choice.name == "loop"
    assert "--system --user NAME" in choice.passed_over[0][1]


def test_a_service_that_is_changed_by_hand_counts_as_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scq.ports import Installed

    ctx = context(tmp_path / "home")
    for state, running in (("active", True), ("changed", True), ("stopped", False), ("unknown", False)):
        monkeypatch.setattr(Loop, "installed", lambda self, home, word=state: (Installed("notify", "x", word, 5.0),))
        assert serving.state_of(ctx, "notify").running is running
    assert serving.state_of(ctx, "approve") == serving.ServiceState("approve")


def test_the_record_is_written_before_anything_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = context(tmp_path / "home")

    def fail(self: Loop, wanted: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Loop, "install", fail)
    with pytest.raises(OSError, match="No space"):
        serving.install(ctx, "loop", {"notify": 30.0})
    record = installed.read(ctx.home)
    assert record is not None
    assert record.scheduler == "loop"


def test_an_interval_that_the_scheduler_cannot_express_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = context(tmp_path / "home")
    record = installed.Record("loop", (("notify", 60.0),), ctx.now())
    installed.write(ctx.home, record)

    def refuse(self: Loop, wanted: object) -> None:
        raise UsageError("cannot call every 7 s")

    monkeypatch.setattr(Loop, "files", refuse)
    with pytest.raises(UsageError, match="every 7 s"):
        serving.start(ctx, "notify", 7.0)
    assert installed.read(ctx.home) == record


@pytest.mark.skipif(not ROOT, reason="needs the administrator")
def test_what_the_administrator_writes_into_a_home_belongs_to_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_the_way_to(tmp_path)
    nobody = pwd.getpwnam("nobody")
    ctx = context(tmp_path / "home")
    os.chown(ctx.home, nobody.pw_uid, nobody.pw_gid)
    monkeypatch.setattr(Loop, "install", lambda self, wanted: ("done",))
    serving.install(ctx, "loop", {"notify": 30.0})
    for name in ("schedule.json", "locks", "locks/schedule.lock"):
        found = os.stat(os.path.join(ctx.home, name))
        assert (found.st_uid, found.st_gid) == (nobody.pw_uid, nobody.pw_gid), name
    assert (os.geteuid(), os.getegid()) == (0, 0)


@pytest.mark.skipif(not ROOT, reason="needs the administrator")
@pytest.mark.parametrize("what", ["home", "schedule.json", "locks"])
def test_a_link_in_a_home_leads_the_administrator_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    open_the_way_to(tmp_path)
    monkeypatch.setattr(Loop, "install", lambda self, wanted: ("done",))
    target = tmp_path / "of-root"
    target.mkdir(mode=0o755)
    (target / "precious").write_text("kept")
    ctx = context(tmp_path / "home")
    os.chown(ctx.home, 65534, 65534)
    link = Path(ctx.home) if what == "home" else Path(ctx.home, what)
    if what == "home":
        link.rename(tmp_path / "aside")
    link.symlink_to(target / "precious" if what == "schedule.json" else target)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    if what == "schedule.json":
        serving.install(ctx, "loop", {"notify": 30.0})
    else:
        for call in (lambda: serving.install(ctx, "loop", {"notify": 30.0}), lambda: installed.forget(ctx.home)):
            with suppress(PermissionError, ConfigError):
                call()
    assert os.listdir(target) == ["precious"]
    assert (target / "precious").read_text() == "kept"
    assert (os.geteuid(), os.getegid()) == (0, 0)


@pytest.mark.skipif(not ROOT, reason="needs the administrator")
def test_a_record_in_a_home_cannot_make_calls_those_of_another_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_the_way_to(tmp_path)
    ctx = context(tmp_path / "home")
    os.chown(ctx.home, 65534, 65534)
    monkeypatch.setitem(schedule.SCHEDULERS, "systemd-system", "loop:Loop")
    for user in ("root", "", "nobody-of-this-name"):
        installed.write(ctx.home, installed.Record("systemd-system", (), ctx.now(), user))
        with pytest.raises(ConfigError, match=r"schedule\.json: names another account than the one it belongs to"):
            serving.start(ctx, "notify")
    installed.write(ctx.home, installed.Record("systemd-system", (), ctx.now(), "nobody"))
    with pytest.raises(UsageError, match="would have to be installed again") as error:
        serving.start(ctx, "notify")
    assert "sudo scq schedule install --system --user nobody" in error.value.advice


def test_secrets_for_another_account_are_handed_over_from_where_only_the_administrator_writes(tmp_path: Path) -> None:
    ctx = context(tmp_path / "home", "health: {url_file: $CREDENTIALS_DIRECTORY/ping}\n")
    assert calling.planned(ctx, Loop(os.environ), {}, "nobody").credentials == (("ping", "/etc/scq/nobody/ping"),)


def test_nothing_is_installed_for_an_account_that_has_no_home_yet(tmp_path: Path) -> None:
    ctx = context(tmp_path / "home")
    ctx.home = str(tmp_path / "none")
    with pytest.raises(ConfigError, match="there is no such folder") as error:
        serving.install(ctx, "systemd-system", {"notify": 30.0}, "alice")
    assert error.value.advice == "Let alice call `scq init` first."
    assert not (tmp_path / "none").exists()


def test_services_are_found_again_in_what_was_installed(tmp_path: Path) -> None:
    ctx = context(tmp_path / "home")
    assert serving.recorded_services(ctx) == {}
    record = installed.Record("cron", (("run", 60.0), ("approve", 90.0)), ctx.now())
    installed.write(ctx.home, record)
    assert serving.recorded_services(ctx) == {"notify": 60.0, "approve": 90.0}
    installed.write(ctx.home, replace(record, entries=(("other", 1.0),)))
    assert serving.recorded_services(ctx) == {}


def test_a_record_of_an_unknown_scheduler_makes_no_sense(tmp_path: Path) -> None:
    ctx = context(tmp_path / "home")
    installed.write(ctx.home, installed.Record("dice", (), ctx.now()))
    for call in (serving.recorded, serving.recorded_services):
        with pytest.raises(ConfigError, match="does not say what is installed"):
            call(ctx)
