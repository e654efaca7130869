"""scq send, call, sms, channels and exec, as they are called."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scq import __version__
from tests.people import OWNER, Person, World
from tests.servers.http import Answer, HttpServer, Request
from tests.servers.proxy import Internet

ROOT = Path(__file__).resolve().parents[3]
SLEEPER = """
import signal, sys, time
def stop(number, frame):
    sys.exit(40 + number)
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""
ACCOUNT = f'sid: AC{"0" * 32}, token: "{"1" * 32}", from: "+15005550100", to: "+15005550101"'
PHONES = f"channels: {{pager: {{type: twilio-call, {ACCOUNT}}}, texts: {{type: twilio-sms, {ACCOUNT}}}}}\n"


@pytest.fixture(autouse=True)
def _no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own channels stay silent."""
    for name in [name for name in os.environ if name.startswith(("SCITEX_", "SCQ_DEFAULT", "SCQ_ENV", "DBUS_", "DISPLAY"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def owner(world: World) -> Person:
    world.owner.configure("channels: {mailbox: {type: file}, second: {type: file, path: $SCQ_HOME/second}}\n")
    return world.owner


def mails(person: Person, name: str = "mailbox") -> list[Any]:
    paths = sorted((person.home / name / "new").glob("*"), key=lambda path: path.stat().st_mtime_ns)
    return [message_from_bytes(path.read_bytes(), policy=default) for path in paths]


def ran(person: Person, *words: str) -> Any:
    """`data` of `scq exec`; behind the command `--json` would be its own."""
    return person.scq("exec", "--json", *words).json["data"]


def text(mail: Any) -> str:
    return str(mail.get_body(("plain",)).get_content())


def test_a_text_is_sent_over_the_first_channel(owner: Person) -> None:
    answer = owner.scq("send", "hello there", "--title", "Greeting")
    assert answer.out.startswith(f"sent to {OWNER} over mailbox")
    [mail] = mails(owner)
    assert (mail["Subject"], text(mail).strip()) == ("Greeting", "hello there")


def test_a_document_on_standard_output_stays_one(owner: Person) -> None:
    owner.configure("channels: {screen: {type: stdout}}\n")
    answer = owner.scq("send", "hello", "--json")
    assert answer.json["data"]["messages"][0]["ok"]
    assert "hello" in answer.err


def test_words_that_are_no_text_are_shown_as_such_and_change_no_exit_code(owner: Person) -> None:
    document = owner.scq("exec", "--json", "sh", "-c", "exit 3", "\udcff", code=3).json
    assert document["data"]["command"] == ["sh", "-c", "exit 3", "?"]


def test_several_channels_are_all_told_unless_the_first_is_enough(owner: Person) -> None:
    data = owner.json("send", "hello", "--channel", "second", "--channel", "mailbox")
    assert [message["channel"] for message in data["messages"]] == ["second", "mailbox"]
    data = owner.json("send", "hello", "--channel", "second", "--channel", "mailbox", "--first-of")
    assert [message["channel"] for message in data["messages"]] == ["second"]


def test_one_failing_channel_of_several_is_exit_one_and_named(owner: Person) -> None:
    with HttpServer(lambda request: Answer(500)) as server:
        owner.configure(f"channels:\n  mailbox: {{type: file}}\n  hook: {{type: webhook, url: '{server.url}/key-of-mine'}}\n")
        answer = owner.scq("send", "hello", "--channel", "hook", "--channel", "mailbox", code=1)
    assert answer.out.startswith("sent")
    assert answer.err.startswith("scq: hook")
    assert "key-of-mine" not in answer.err


def test_a_channel_nobody_set_up_is_exit_78(owner: Person) -> None:
    assert "nothing: there is no such channel" in owner.scq("send", "hello", "--channel", "nothing", code=78).err


def test_a_missing_sign_in_is_exit_77(owner: Person) -> None:
    owner.configure("channels: {google: {type: gmail}}\n")
    owner.scq("send", "hello", "--channel", "google", code=77)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hello", "--level", "loud"], "'loud' is not a level"),
        (["  "], "there is nothing to send"),
        ([], "there is nothing to send"),
        (["hello", "--attach", "/missing/file"], "cannot attach /missing/file"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(owner: Person, arguments: list[str], said: str) -> None:
    assert said in owner.scq("send", *arguments, code=2).err


def test_a_dry_run_says_which_channels_would_be_tried(owner: Person) -> None:
    data = owner.json("send", "hello", "--dry-run")
    assert [(row["channel"], row["usable"]) for row in data["channels"]] == [("mailbox", True), ("second", True)]
    assert "nothing: there is no such channel" in owner.scq("send", "hello", "--dry-run", "--channel", "nothing").out
    assert not (owner.home / "mailbox").exists()


def test_addresses_copies_files_and_a_footer_are_sent_along(owner: Person, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("a note\n")
    place = str(tmp_path / "note.txt")
    owner.scq("send", "hello", "--to", "a@example.org", "--cc", "c@example.org", "--attach", place, "--footer")
    [mail] = mails(owner)
    assert (mail["To"], mail["Cc"]) == ("a@example.org", "c@example.org")
    assert [part.get_filename() for part in mail.iter_attachments()] == ["note.txt"]
    assert f"scq {__version__}" in text(mail)
    assert os.uname().nodename in text(mail)


@pytest.mark.parametrize("words", [["-"], ["--stdin"]])
def test_the_text_may_come_from_standard_input(owner: Person, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"from a pipe \xff\n")))
    owner.scq("send", *words)
    assert text(mails(owner)[0]).strip() == "from a pipe �"


def test_a_text_from_standard_input_is_cut_and_says_so(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scq.cli.telling.STDIN_LIMIT", 4)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"too long")))
    owner.scq("send", "-")
    assert text(mails(owner)[0]).split() == ["too", "[shortened]"]


def test_a_phone_is_called_and_written_to(owner: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner.configure(PHONES)
    with Internet(_twilio, tmp_path, monkeypatch) as net:
        owner.scq("call", "wake up", "--to", "+1 (500) 555-0109", "--repeat", "2")
        owner.scq("sms", "done", "--title", "Build")
        call, sms = net.requests
    assert call.path.endswith("/Calls.json")
    assert b"15005550109" in call.body
    assert call.body.count(b"wake") == 3
    assert sms.path.endswith("/Messages.json")
    assert b"Build" in sms.body


def _twilio(request: Request) -> Answer:
    return Answer(201, {"sid": "SM1", "status": "queued"})


def test_without_a_phone_set_up_that_is_said(owner: Person) -> None:
    assert "SCITEX_NOTIFICATION_TWILIO_SID" in owner.scq("call", "wake up", code=78).err
    assert "SCITEX_NOTIFICATION_TWILIO_SID" in owner.scq("sms", "done", code=78).err


def test_channels_are_listed_with_their_use_and_origin(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCITEX_NOTIFICATION_WEBHOOK_URL", "https://example.org/key-of-mine")
    owner.configure(
        "channels: {mailbox: {type: file}, hook: {type: webhook, url_env: MISSING}}\n"
        "routing: {levels: {error: [hook]}, events: {job.integrity: [hook]}, order: [mailbox]}\n"
    )
    rows = {row["name"]: row for row in owner.json("channels")["channels"]}
    assert list(rows) == ["mailbox", "hook", "webhook"]
    assert (rows["hook"]["usable"], rows["hook"]["levels"], rows["hook"]["events"]) == (False, ["error"], ["job.integrity"])
    assert "MISSING" in rows["hook"]["why"]
    assert (rows["mailbox"]["order"], rows["webhook"]["from"]) == (1, "environment")
    answer = owner.scq("channels")
    assert "not usable" in answer.out
    assert "key-of-mine" not in answer.out


def test_a_test_message_is_sent_and_its_receipt_shown(owner: Person) -> None:
    answer = owner.scq("channels", "--test", "mailbox")
    assert answer.out.startswith(f"sent to {OWNER} over mailbox (")
    assert mails(owner)[0]["X-SCQ-Event"] == "test"
    data = owner.json("channels", "--test-all")
    assert [(row["channel"], row["ok"]) for row in data["tests"]] == [("mailbox", True), ("second", True)]


def test_a_test_message_that_fails_is_a_failure(owner: Person) -> None:
    assert "no such channel" in owner.scq("channels", "--test", "nothing", code=78).err


def test_a_command_that_ends_well_is_told(owner: Person) -> None:
    data = ran(owner, "--", "sh", "-c", "exit 0")
    assert (data["exit_code"], data["ended"], data["command"]) == (0, "finished", ["sh", "-c", "exit 0"])
    [mail] = mails(owner)
    assert mail["Subject"] == "sh finished"
    assert "exit 0" not in text(mail), "arguments may hold secrets"
    assert os.uname().nodename in text(mail)


def test_the_exit_code_is_that_of_the_command(owner: Person) -> None:
    owner.scq("exec", "sh", "-c", "exit 7", code=7)
    [mail] = mails(owner)
    assert mail["Subject"] == "sh failed"
    assert "failed with exit code 7" in text(mail)


def test_options_behind_the_command_belong_to_it(owner: Person) -> None:
    assert ran(owner, "true", "--title", "mine")["command"] == ["true", "--title", "mine"]


def test_a_command_that_is_missing_or_no_program_is_told(owner: Person, tmp_path: Path) -> None:
    missing = owner.scq("exec", "no-such-program-here", code=127)
    assert missing.err.startswith("scq: no-such-program-here was not found\n")
    (tmp_path / "plain").write_text("text")
    owner.scq("exec", str(tmp_path / "plain"), code=126)
    assert ["was not found" in text(mails(owner)[0]), "could not be started" in text(mails(owner)[1])] == [True, True]


@pytest.mark.parametrize(("number", "word"), [(9, "SIGKILL"), (40, "signal 40")])
def test_a_command_ended_by_a_signal_gives_128_and_its_number(owner: Person, number: int, word: str) -> None:
    owner.scq("exec", "--", "sh", "-c", f"kill -{number} $$", code=128 + number)
    assert word in text(mails(owner)[0])


def test_only_failures_are_told_when_asked(owner: Person) -> None:
    assert ran(owner, "--on-failure", "true")["messages"] == []
    owner.scq("exec", "--on-failure", "--title", "Nightly", "--channel", "second", "false", code=1)
    assert [mail["Subject"] for mail in mails(owner, "second")] == ["Nightly"]


def test_a_script_behind_its_interpreter_is_named(owner: Person, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    owner.scq("exec", sys.executable, str(tmp_path / "train.py"), "--password=hidden")
    subject = mails(owner)[0]["Subject"]
    assert subject.endswith("train.py finished")
    assert "hidden" not in text(mails(owner)[0])


def test_the_last_lines_of_its_errors_are_sent_and_shown(owner: Person) -> None:
    answer = owner.scq("exec", "--tail", "2", "--", "sh", "-c", "for n in 1 2 3; do echo line $n >&2; done; exit 1", code=1)
    assert "line 1\nline 2\nline 3\n" in answer.err
    told = text(mails(owner)[0])
    assert "line 2\nline 3" in told
    assert "line 1" not in told


def test_something_left_behind_does_not_hold_the_call(owner: Person, tmp_path: Path) -> None:
    """What the command leaves behind keeps its error output open for a minute; the call ends with the command."""
    held = tmp_path / "pid"
    data = ran(owner, "--tail", "5", "--", "sh", "-c", f"sleep 60 & echo $! > {held}; echo word >&2")
    os.kill(int(held.read_text()), signal.SIGKILL)
    assert data["exit_code"] == 0
    assert "word" in text(mails(owner)[0])


def test_errors_that_nobody_reads_any_more_stop_no_command(owner: Person) -> None:
    command = [sys.executable, "-m", "scq", "--home", str(owner.home), "--root", str(owner.root), "--email", OWNER]
    flood = "import sys\nfor n in range(40000): sys.stderr.write(f'line {n}\\n')\nsys.exit(9)"
    command += ["exec", "--tail", "1", "--", sys.executable, "-c", flood]
    reading, writing = os.pipe()
    os.close(reading)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=writing, env=env, check=False)
    os.close(writing)
    assert ended.returncode == 9
    assert "line 39999" in text(mails(owner)[0])


def test_nobody_to_tell_changes_no_exit_code(owner: Person) -> None:
    answer = owner.scq("exec", "--channel", "nothing", "--", "sh", "-c", "exit 5", code=5)
    assert "! channel nothing" in answer.err
    assert "not everybody could be told" in answer.err


def test_a_configuration_that_cannot_be_used_keeps_no_command_from_running(owner: Person) -> None:
    owner.configure("job_timeout: never\n")
    answer = owner.scq("exec", "--", "sh", "-c", "exit 6", code=6)
    assert "job_timeout" in answer.err
    assert len(mails(owner)) == 1


def test_an_unknown_level_is_refused_before_anything_runs(owner: Person, tmp_path: Path) -> None:
    owner.scq("exec", "--level-failed", "loud", "touch", str(tmp_path / "made"), code=2)
    assert not (tmp_path / "made").exists()


def test_a_disk_that_fails_while_telling_changes_no_exit_code(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scq.commands.exec.tell", full)
    assert "No space left" in owner.scq("exec", "--", "sh", "-c", "exit 8", code=8).err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("interruptible")
def test_a_signal_is_passed_on_and_the_end_is_told(owner: Person, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "scq", "--home", str(owner.home), "--root", str(owner.root), "--email", OWNER]
    command += ["exec", "--json", "--", sys.executable, "-c", SLEEPER]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, text=True, env=env) as call:
        assert call.stdout is not None
        assert call.stdout.readline() == "ready\n"
        call.send_signal(number)
        document = json.loads(call.stdout.read())
    assert call.returncode == document["exit_code"] == 40 + number
    assert f"exit code {40 + number}" in text(mails(owner)[0])


@pytest.mark.usefixtures("interruptible")
def test_keys_at_a_terminal_reach_the_command_once(owner: Person) -> None:
    """At a terminal the command is in the foreground group, so the terminal itself sends what its keys mean."""
    import pty

    command = [sys.executable, "-m", "scq", "--home", str(owner.home), "--root", str(owner.root), "--email", OWNER]
    command += ["exec", "--", sys.executable, "-c", SLEEPER]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, command)
    with os.fdopen(terminal, "r+b", buffering=0) as keyboard:
        assert keyboard.readline().strip() == b"ready"
        keyboard.write(b"\x03")
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 40 + signal.SIGINT


@pytest.mark.usefixtures("interruptible")
def test_a_command_that_reads_a_pipe_still_owns_the_terminal(owner: Person) -> None:
    """As in `ls | scq exec less`: in a group of its own it would be stopped when it asks the terminal."""
    import pty

    asking = "import sys; tty = open('/dev/tty'); print('ready', flush=True); sys.exit(len(tty.readline()))"
    command = [sys.executable, "-m", "scq", "--home", str(owner.home), "--root", str(owner.root), "--email", OWNER]
    command += ["exec", "--", sys.executable, "-c", asking]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execv(sys.executable, command)
    with os.fdopen(terminal, "r+b", buffering=0) as keyboard:
        assert keyboard.readline().strip() == b"ready"
        keyboard.write(b"four\n")
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 5
