"""How a call ends: every failure has an exit code and a line, and only a bug looks like a bug."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scq import machine
from scq.cli import session
from scq.errors import BusyError, ChannelError, ConfigError, IntegrityError, JobFailedError, ScqError, SignInError, UsageError
from scq.model import Problem
from scq.report import Report
from tests.people import OWNER, World


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def guarded(call: Callable[[], int], *arguments: str, err: io.StringIO | None = None, verb: str = "list") -> tuple[int, str, str]:
    out, err = io.StringIO(), err or io.StringIO()
    code = session.guarded(call, [verb, *arguments], {verb}, out, err)
    return code, out.getvalue(), err.getvalue()


def raising(error: BaseException) -> Callable[[], int]:
    def call() -> int:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ScqError, 1),
        (UsageError, 2),
        (JobFailedError, 4),
        (IntegrityError, 5),
        (BusyError, 75),
        (SignInError, 77),
        (ConfigError, 78),
        (ChannelError, 1),
    ],
)
def test_an_expected_failure_has_its_code_a_line_and_an_advice(error: type[ScqError], code: int) -> None:
    assert guarded(raising(error("it broke", "mend it")), err=Terminal()) == (code, "", "scq: it broke\n     mend it\n")
    ended, out, err = guarded(raising(error("it broke", "mend it")), "--json")
    assert (ended, err) == (code, "")
    assert json.loads(out) == {
        "scq": 1,
        "command": "list",
        "ok": False,
        "exit_code": code,
        "data": {},
        "problems": [],
        "errors": ["it broke. mend it"],
    }


def test_a_failure_without_advice_is_one_line() -> None:
    assert guarded(raising(ScqError("it broke"))) == (1, "", "scq: it broke\n")
    assert json.loads(guarded(raising(ScqError("it broke")), "--json")[1])["errors"] == ["it broke"]


def test_several_lines_stay_several_and_text_is_cleaned() -> None:
    assert guarded(raising(ConfigError("one\x1b[2J\ntwo")))[2] == "scq: one�[2J\n     two\n"


def test_a_scheduled_call_that_meets_another_says_nothing() -> None:
    assert guarded(raising(BusyError("held", "wait")), verb="check") == (75, "", "")
    assert guarded(raising(BusyError("held", "wait")), verb="check", err=Terminal())[2] == "scq: held\n     wait\n"


def test_a_script_hears_why_it_did_not_get_what_it_asked_for() -> None:
    assert guarded(raising(BusyError("held", "wait")), verb="review") == (75, "", "scq: held\n     wait\n")


@pytest.mark.parametrize("number", sorted(machine.TROUBLE))
def test_trouble_of_the_machine_is_a_failure_with_advice_and_no_bug(number: int) -> None:
    error = OSError(number, os.strerror(number), "/some/place")
    code, out, err = guarded(raising(error))
    assert (code, out) == (1, "")
    assert err == f"scq: /some/place: {os.strerror(number)}\n     {machine.TROUBLE[number]}\n"


def test_trouble_without_a_place_is_told_too() -> None:
    assert guarded(raising(OSError(errno.ENOSPC, "No space left on device")))[2].startswith("scq: No space left on device\n")
    assert json.loads(guarded(raising(OSError(errno.EIO, "bad disk")), "--json")[1])["exit_code"] == 1


@pytest.mark.parametrize("error", [ValueError("odd\x1b[2J"), FileNotFoundError(2, "No such file", "x"), OSError("no number")])
def test_a_bug_leaves_a_report_file(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, out, err = guarded(raising(error), "--json")
    assert (code, out) == (70, "")
    assert err.startswith(f"scq: this is a bug ({type(error).__name__}: ")
    assert "\x1b" not in err
    (report,) = tmp_path.glob("scq-bug-*.txt")
    assert str(report) in err
    text = report.read_text()
    assert "Traceback" in text
    assert "['list', '--json']" in text


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["config", "set", "channels.relay.password", "hush"], ["config", "set", "(hidden)"]),
        (["exec", "--", "mysql", "--password=hush"], ["exec", "(hidden)"]),
    ],
)
def test_a_bug_report_never_holds_words_that_may_be_secrets(
    words: list[str], shown: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert session.guarded(raising(ValueError("\udcff")), words, {"config"}, io.StringIO(), io.StringIO()) == 70
    (report,) = tmp_path.glob("scq-bug-*.txt")
    assert f"arguments {shown!r}" in report.read_text()
    assert "hush" not in report.read_text()


def test_an_interrupted_call_is_130() -> None:
    assert guarded(raising(KeyboardInterrupt())) == (130, "", "interrupted\n")


def test_a_call_that_ends_well_gives_its_code() -> None:
    assert guarded(lambda: 3) == (3, "", "")
    assert guarded(raising(session.Ended(4))) == (4, "", "")


def shown(report: Report, monkeypatch: pytest.MonkeyPatch, **manners: bool) -> tuple[int, str, str]:
    here = session.Session("", "", "", "", -1.0)
    for name, value in manners.items():
        setattr(here, name, value)
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(session.Ended) as ended:
        here.show(report)
    return ended.value.exit_code, out.getvalue(), err.getvalue()


REPORT = Report(
    "list",
    {},
    ("a", "b"),
    (Problem("w\n", "is odd\x1b[0m", "mend it\nit is\x1b[0m bent"), Problem("v", "is bad")),
    1,
    ("it broke",),
)


def test_lines_go_to_stdout_and_problems_to_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = "! w�: is odd�[0m\n  mend it\n  it is�[0m bent\n! v: is bad\nscq: it broke\n"
    assert shown(REPORT, monkeypatch) == (1, "a\nb\n", expected)
    assert shown(REPORT, monkeypatch, quiet=True) == (1, "", expected)


def test_programs_get_one_document_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = shown(REPORT, monkeypatch, as_json=True)
    assert (code, err, json.loads(out)["problems"][1]["what"]) == (1, "", "is bad")


def test_a_question_is_answered_with_yes_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for said, meant in (("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False), ("yesterday\n", False)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        assert session.confirm("Go on?") is meant
    assert capsys.readouterr().err.startswith("Go on? [y/N] Go on?")


def test_somebody_is_asked_only_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert session.asking() is session.confirm
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert session.asking() is None


def test_progress_is_silent_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    here = session.Session("", "", "", "", -1.0)
    here.say("one")
    here.quiet = True
    here.say("two")
    assert capsys.readouterr().err == "one\n"


def test_the_good_end_of_a_scheduled_verb_is_kept_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locks").mkdir()

    def kept(report: Report) -> list[str]:
        here = session.Session(str(tmp_path), "", "", "", -1.0)
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        with pytest.raises(session.Ended):
            here.show(report)
        return sorted(path.name for path in (tmp_path / "locks").iterdir())

    assert kept(Report("list")) == []
    assert kept(Report("check", {"dry_run": True})) == []
    assert kept(Report("check", exit_code=75)) == []
    assert kept(Report("check")) == ["check.done"]
    assert kept(Report("run-approved", exit_code=3)) == ["check.done", "run-approved.done"]


def test_a_good_end_whose_words_could_not_be_shown_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "locks").mkdir()
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OSError, match="standard output"):
        session.Session(str(tmp_path), "", "", "", -1.0).show(Report("check", lines=("a",)))
    assert list((tmp_path / "locks").iterdir()) == []


def test_details_are_for_those_who_ask(capsys: pytest.CaptureFixture[str]) -> None:
    here = session.Session("", "", "", "", -1.0)
    here.detail("one")
    here.verbose = True
    here.detail("two")
    assert capsys.readouterr().err == "two\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def program(world: World, *arguments: str) -> list[str]:
    place = ["--home", str(world.owner.home), "--root", str(world.root), "--email", world.owner.email]
    return [sys.executable, "-m", "scq", *place, *arguments]


class TestProcess:
    """What only a process of its own can show."""

    @pytest.mark.parametrize("verb", [["status"], ["status", "--json"], ["list", "--status", "pending"], ["--help"]])
    def test_a_reader_that_went_away_is_no_failure(self, world: World, verb: list[str]) -> None:
        world.submit()
        reader, writer = os.pipe()
        os.close(reader)
        ended = subprocess.run(program(world, *verb), stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writer)
        assert (ended.returncode, ended.stderr) == (0, "")

    @pytest.mark.parametrize("verb", [["status"], ["status", "--json"], ["show", "nothing", "--json"], ["--help"]])
    def test_an_output_that_cannot_be_written_is_told(self, world: World, verb: list[str]) -> None:
        with open("/dev/full", "w") as full:
            ended = subprocess.run(program(world, *verb), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert ended.returncode in (1, 2)
        assert ended.stderr.startswith("scq: ")
        assert "Traceback" not in ended.stderr
        assert "Exception ignored" not in ended.stderr

    @pytest.mark.usefixtures("interruptible")
    def test_an_interrupt_from_the_keyboard_ends_the_call_with_130(self, world: World) -> None:
        uid = world.submit()
        running = subprocess.Popen(program(world, "wait", uid, "-v"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert running.stderr is not None
        assert running.stderr.readline().startswith("home "), "it has begun"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=20)
        assert (running.returncode, err.splitlines()[-1]) == (130, "interrupted")

    def test_a_home_that_cannot_be_one_is_told(self, world: World) -> None:
        (world.folder / "file").touch()
        world.owner.home = world.folder / "file"
        ended = subprocess.run(program(world, "check"), capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert re.match(r"scq: .*/file/locks: Not a directory\n     Check the path", ended.stderr)

    def test_an_error_output_that_cannot_be_written_changes_no_exit_code_and_the_log_knows(self, world: World) -> None:
        world.root.rename(world.folder / "away")
        with open("/dev/full", "w") as full:
            ended = subprocess.run(program(world, "cycle", "-v"), stdout=subprocess.PIPE, stderr=full, check=False)
        assert ended.returncode == 75
        last = (world.owner.home / "syft-notify.log").read_text().splitlines()[-1]
        assert " - scq.cycle - INFO - not now, the next call tries again (exit code 75" in last

    def test_a_call_whose_streams_are_closed_does_its_work_and_writes_into_no_file_of_its_own(self, world: World) -> None:
        uid = world.approved()
        call = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *program(world, "cycle")]
        assert subprocess.run(call, check=False).returncode == 0
        assert world.owner.job(uid)["status"] == "completed"
        assert world.owner.scq("audit", "verify").code == 0


def test_a_configuration_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    """Without it every protection it asks for would be gone without a word."""
    world = World(tmp_path)
    answer = world.owner.scq("--config", str(tmp_path / "away.yaml"), "cycle", code=78)
    assert "away.yaml: is not there" in answer.err
    world.owner.scq("--config", str(tmp_path / "new.yaml"), "init", "--email", OWNER)
    world.owner.scq("--config", str(tmp_path / "new.yaml"), "check")


def test_what_a_call_says_on_stderr_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scq.secrets._READ", set())
    world = World(tmp_path)
    answer = world.owner.scq("why", "https://hooks.slack.com/services/T000/B000/abcdefgh", code=2)
    assert "abcdefgh" not in answer.err
    assert "(hidden)" in answer.err
