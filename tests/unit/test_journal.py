"""The log of scheduled calls: every line once, whole, whoever writes, rotates, dies or looks on."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from scq.config_values import Log
from scq.errors import InvalidFileError
from scq.journal import Journal, appending, error_log_file, log_file
from scq.journal.reading import LogLine, follow, parsed, tail
from scq.model import Problem
from scq.report import Report
from scq.secrets import remember

RUN = "3f2a91c0d4e5"
PROCESSES, LINES = 10, 500
WRITER = """
import sys
from scq.config_values import Log
from scq.journal import Journal
journal = Journal(sys.argv[1], Log(max_bytes=20_000, backups=100), sys.argv[2] * 12, {})
for number in range(int(sys.argv[3])):
    journal.note("check", "info", f"{sys.argv[2]}-{number} " + "x" * (number % 40))
"""
FOLLOWER = """
import sys, time
from scq.journal.reading import follow
def wait(seconds):
    print("waiting", flush=True)
    time.sleep(seconds / 25)
for text in follow(sys.argv[1], wait=wait):
    print(text)
    if "the end" in text:
        break
"""


def journal(home: Path, env: dict[str, str] | None = None, **settings: Any) -> Journal:
    return Journal(str(home), Log(**settings), RUN, env or {})


def lines_of(path: Path | str) -> list[str]:
    return Path(path).read_text().splitlines()


def messages(texts: list[str]) -> list[str]:
    return [parsed(text).message for text in texts]


def test_a_line_has_the_documented_form_and_names_its_run(tmp_path: Path) -> None:
    journal(tmp_path).note("check", "info", "one new job", jobs=1)
    (text,) = lines_of(tmp_path / "syft-notify.log")
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d - scq\.check - INFO - one new job \[{RUN}\]", text)
    assert stat.S_IMODE((tmp_path / "syft-notify.log").stat().st_mode) == 0o600
    assert not (tmp_path / "syft-notify.error.log").exists()


def test_a_json_line_has_the_facts_too(tmp_path: Path) -> None:
    journal(tmp_path, format="json").note(
        "run-approved", "warning", "a job failed", jobs=2, took_s=0.5, why="é\n", run="other", no=None
    )
    (text,) = lines_of(tmp_path / "syft-notify.log")
    found = json.loads(text)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert found == {
        "logger": "scq.run-approved",
        "level": "WARNING",
        "message": "a job failed",
        "run": RUN,
        "step": "run-approved",
        "jobs": 2,
        "took_s": 0.5,
        "why": "é",
        "no": None,
    }
    assert parsed(text) == LogLine(json.loads(text)["time"], "scq.run-approved", "WARNING", "a job failed", RUN)


def test_warnings_and_errors_stand_in_a_log_of_their_own_as_well(tmp_path: Path) -> None:
    here = journal(tmp_path)
    for severity in ("info", "warning", "error"):
        here.note("notify", severity, severity)
    assert messages(lines_of(log_file(str(tmp_path), "notify"))) == ["info", "warning", "error"]
    assert messages(lines_of(error_log_file(str(tmp_path), "notify"))) == ["warning", "error"]


def test_the_owners_own_program_has_its_own_log(tmp_path: Path) -> None:
    journal(tmp_path).note("automate", "error", "it failed")
    assert sorted(os.listdir(tmp_path)) == ["syft-approve.error.log", "syft-approve.log"]


@pytest.mark.parametrize(("level", "kept"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_less_than_the_level_is_left_out(tmp_path: Path, level: str, kept: int) -> None:
    here = journal(tmp_path, level=level)
    for severity in ("debug", "info", "warning", "error"):
        here.note("check", severity, severity)
    assert len(lines_of(tmp_path / "syft-notify.log")) == kept


@pytest.mark.parametrize(
    ("to", "on_stderr", "in_file"), [("file", False, True), ("stderr", True, False), ("both", True, True), ("none", False, False)]
)
def test_lines_go_where_they_are_wanted(
    tmp_path: Path, to: str, on_stderr: bool, in_file: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    journal(tmp_path, to=to).note("check", "info", "hello")
    assert ("hello" in capsys.readouterr().err) is on_stderr
    assert (tmp_path / "syft-notify.log").exists() is in_file


def test_a_loud_call_shows_its_lines_and_a_silent_one_writes_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = journal(tmp_path)
    here.is_loud = True
    here.note("check", "info", "hello")
    assert capsys.readouterr().err == lines_of(tmp_path / "syft-notify.log")[0] + "\n"
    here.is_silent = True
    here.note("check", "info", "again")
    assert capsys.readouterr().err == ""
    assert len(lines_of(tmp_path / "syft-notify.log")) == 1


def test_the_journal_of_systemd_hears_each_line_with_its_priority(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = os.fstat(2)
    env = {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}
    here = journal(tmp_path, env)
    here.note("check", "info", "calm")
    here.note("check", "error", "bad")
    calm, bad = capsys.readouterr().err.splitlines()
    assert (calm[:3], bad[:3]) == ("<6>", "<3>")
    assert [calm[3:], bad[3:]] == lines_of(tmp_path / "syft-notify.log")
    assert here.is_heard(2, "check")
    assert not journal(tmp_path, env, to="none").is_on_journal(2)
    assert not journal(tmp_path, {"JOURNAL_STREAM": "1:1"}).is_heard(2, "check"), "stderr was sent elsewhere"
    assert not here.is_on_journal(99_999), "a closed descriptor"


def test_whoever_writes_into_the_log_of_errors_itself_is_heard(tmp_path: Path) -> None:
    here = journal(tmp_path)
    here.note("check", "error", "bad")
    fd = os.open(tmp_path / "syft-notify.error.log", os.O_RDONLY)
    try:
        assert here.is_heard(fd, "check")
        assert not here.is_heard(fd, "automate")
        assert not journal(tmp_path, to="stderr").is_heard(fd, "check")
    finally:
        os.close(fd)
    assert not here.is_heard(99_999, "check")


def test_a_report_becomes_lines_and_an_end(tmp_path: Path) -> None:
    problems = (Problem("box/a", "is odd", "Mend it."), Problem("box/b", "is gone", ""))
    report = Report("check", {}, ("NEW JOB a\n  location: x", ""), problems, 1, ("box/b: is gone.", "it broke"))
    journal(tmp_path).report(report, 1.23456)
    assert [(one.level, one.message) for one in map(parsed, lines_of(tmp_path / "syft-notify.log"))] == [
        ("INFO", "NEW JOB a"),
        ("INFO", "location: x"),
        ("WARNING", "box/a: is odd. Mend it."),
        ("ERROR", "box/b: is gone."),
        ("ERROR", "it broke"),
        ("ERROR", "failed (exit code 1, 1.235 s)"),
    ]


@pytest.mark.parametrize(
    ("code", "level"), [(0, "INFO"), (3, "INFO"), (75, "INFO"), (4, "WARNING"), (130, "WARNING"), (5, "ERROR"), (99, "ERROR")]
)
def test_how_grave_an_end_is_follows_from_its_exit_code(tmp_path: Path, code: int, level: str) -> None:
    journal(tmp_path).ended("cycle", code, 0.0)
    (end,) = map(parsed, lines_of(tmp_path / "syft-notify.log"))
    assert (end.logger, end.level) == ("scq.cycle", level)
    assert end.message.endswith(f"(exit code {code}, 0.000 s)")


def test_of_a_dry_run_nothing_is_written(tmp_path: Path) -> None:
    journal(tmp_path).report(Report("check", {"dry_run": True}, ("NEW JOB",)), 0.1)
    assert os.listdir(tmp_path) == []


def test_text_of_strangers_stays_one_line_and_secrets_are_left_out(tmp_path: Path) -> None:
    remember("hush-hush-1")
    here = journal(tmp_path)
    here.note("check", "info", "a\x1b[2J\nb\r\u202e hush-hush-1 " + "y" * 5_000)
    here.note("check", "info", "\udcff https://ana:word@example.org/x")
    one, two = lines_of(tmp_path / "syft-notify.log")
    assert "\x1b" not in one
    assert "\u202e" not in one
    assert "hush" not in one
    assert len(one) < 2_200
    assert one.endswith(f"… [{RUN}]")
    assert "https://(hidden)@example.org/x" in two


def test_a_full_log_is_put_aside_and_only_so_many_are_kept(tmp_path: Path) -> None:
    here = journal(tmp_path, max_bytes=300, backups=2)
    for number in range(20):
        here.note("check", "info", f"line {number}")
    assert sorted(os.listdir(tmp_path)) == ["syft-notify.log", "syft-notify.log.1", "syft-notify.log.2"]
    kept = [text for end in (".2", ".1", "") for text in lines_of(f"{tmp_path}/syft-notify.log{end}")]
    assert messages(kept) == [f"line {number}" for number in range(20 - len(kept), 20)]
    assert all(path.stat().st_size <= 300 for path in tmp_path.iterdir())


def test_a_line_longer_than_a_whole_log_is_written_all_the_same(tmp_path: Path) -> None:
    here = journal(tmp_path, max_bytes=10, backups=1)
    here.note("check", "info", "one")
    here.note("check", "info", "two")
    assert messages(lines_of(tmp_path / "syft-notify.log")) == ["two"]
    assert messages(lines_of(tmp_path / "syft-notify.log.1")) == ["one"]


def test_what_a_power_cut_left_half_written_spoils_no_other_line(tmp_path: Path) -> None:
    (tmp_path / "syft-notify.log").write_bytes(b"2026-01-01 00:0")
    journal(tmp_path).note("check", "info", "whole")
    half, whole = lines_of(tmp_path / "syft-notify.log")
    assert (half, parsed(whole).message) == ("2026-01-01 00:0", "whole")


def test_many_processes_lose_tear_and_double_nothing_while_another_follows(tmp_path: Path) -> None:
    log = tmp_path / "syft-notify.log"
    follower = subprocess.Popen([sys.executable, "-c", FOLLOWER, str(log)], stdout=subprocess.PIPE, text=True)
    assert follower.stdout is not None
    assert follower.stdout.readline() == "waiting\n"
    names = "abcdefghijklm"[:PROCESSES]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name, str(LINES)]) for name in names]
    assert [writer.wait() for writer in writers] == [0] * PROCESSES
    journal(tmp_path, max_bytes=20_000, backups=100).note("check", "info", "the end")
    followed = [text for text in follower.communicate()[0].splitlines() if text != "waiting"]
    assert follower.returncode == 0
    written = tail(log, 10**6)
    assert len(list(tmp_path.glob("syft-notify.log.*"))) > 10
    assert followed == written, "what is followed comes once, in order"
    expected = {f"{name}-{number} {'x' * (number % 40)}".strip() for name in names for number in range(LINES)} | {"the end"}
    assert len(written) == len(expected)
    assert set(messages(written)) == expected


@pytest.mark.parametrize("point", [1, 2, 3])
def test_a_call_killed_while_it_rotates_blocks_and_loses_nothing(tmp_path: Path, point: int) -> None:
    settings: dict[str, Any] = {"max_bytes": 250, "backups": 3}
    here = journal(tmp_path, **settings)
    for number in range(12):
        here.note("check", "info", f"line {number}")
    oldest = messages(lines_of(tmp_path / "syft-notify.log.3"))
    before = messages(tail(tmp_path / "syft-notify.log", 100))
    child = os.fork()
    if child == 0:
        rename, calls = os.rename, iter(range(1, 100))

        def killed(*arguments: str) -> None:
            if next(calls) == point:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(*arguments)

        os.rename = killed  # type: ignore[assignment]
        while True:
            here.note("check", "info", "never")
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    after = messages(tail(tmp_path / "syft-notify.log", 100))
    meanwhile = [message for message in after if message == "never"]
    lost_by_design = [] if point == 1 else oldest
    assert after == [message for message in before if message not in lost_by_design] + meanwhile
    held = appending.lock(fd := os.open(tmp_path / "syft-notify.log", os.O_RDONLY), fcntl.LOCK_EX, 0.0)
    os.close(fd)
    assert held
    here.note("check", "info", "after")
    assert messages(tail(tmp_path / "syft-notify.log", 1)) == ["after"]
    lost_by_design = oldest
    assert messages(tail(tmp_path / "syft-notify.log", 100)) == [
        *(message for message in before if message not in lost_by_design),
        *meanwhile,
        "after",
    ]


def test_a_process_that_keeps_the_lock_keeps_nobody_from_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "syft-notify.log"
    journal(tmp_path).note("check", "info", "before")
    monkeypatch.setattr(appending, "PATIENCE", 0.01)
    with log.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        journal(tmp_path, max_bytes=1).note("check", "info", "meanwhile")
    assert messages(lines_of(log)) == ["before", "meanwhile"]


def obstacle(path: Path, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_what_is_no_log_is_left_alone_and_said_once(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    obstacle(tmp_path / "syft-notify.log", kind)
    here = journal(tmp_path)
    here.note("check", "info", "one")
    here.note("check", "info", "two")
    said = capsys.readouterr().err
    assert said.count("the log cannot be written") == said.count("\n") == 1
    assert str(tmp_path / "syft-notify.log") in said
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(InvalidFileError):
        tail(tmp_path / "syft-notify.log", 1)
    with pytest.raises(InvalidFileError):
        next(follow(tmp_path / "syft-notify.log"))


def test_a_log_that_cannot_be_put_aside_grows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "syft-notify.log.1").mkdir()
    (tmp_path / "syft-notify.log.1" / "x").touch()
    here = journal(tmp_path, max_bytes=100, backups=1)
    for number in range(3):
        here.note("check", "info", f"line {number}")
    assert len(lines_of(tmp_path / "syft-notify.log")) == 3
    assert capsys.readouterr().err.count("the log cannot be written") == 1


def test_a_full_disk_leaves_no_half_line_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = journal(tmp_path)
    here.note("check", "info", "before")
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
        here.note("check", "info", "half")
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda fd, data: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        here.note("check", "info", "none")
    here.note("check", "info", "after")
    assert messages(lines_of(tmp_path / "syft-notify.log")) == ["before", "after"]
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_a_home_that_is_not_there_has_no_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal(tmp_path / "gone").note("check", "error", "hello")
    assert (os.listdir(tmp_path), capsys.readouterr().err) == ([], "")


def test_a_closed_stderr_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    journal(tmp_path, to="both").note("check", "info", "hello")
    assert len(lines_of(tmp_path / "syft-notify.log")) == 1


class TestReading:
    def test_the_last_lines_reach_into_the_files_put_aside_and_over_gaps(self, tmp_path: Path) -> None:
        log = tmp_path / "x.log"
        log.write_text("e\nf\n")
        (tmp_path / "x.log.1").write_text("c\nd\n")
        (tmp_path / "x.log.10").write_text("a\nb\n")
        (tmp_path / "x.log.bak").write_text("no\n")
        assert tail(log, 5) == ["b", "c", "d", "e", "f"]
        assert tail(log, 100) == list("abcdef")
        assert tail(log, 2, lambda text: text in "ace") == ["c", "e"]
        assert tail(tmp_path / "none.log", 5) == tail(tmp_path / "none" / "none.log", 5) == []
        log.unlink()
        assert tail(log, 3) == ["b", "c", "d"]

    def test_long_files_and_odd_bytes_are_read(self, tmp_path: Path) -> None:
        log = tmp_path / "x.log"
        texts = [f"{number} {'y' * (number % 700)}." for number in range(1_000)]
        log.write_text("\n".join(texts) + "\nhalf")
        assert tail(log, 990) == texts[10:]
        assert list(islice(follow(log, 1_000), 1_000)) == texts
        log.write_bytes(b"\xff\x1b[2J\n" + b"z" * 200_000 + b"\n")
        first, second = tail(log, 5)
        assert "\x1b" not in first
        assert len(second) == 16_384
        log.write_bytes(b"no end" * 30_000)
        assert tail(log, 5) == []

    def test_a_line_without_an_end_is_not_waited_for_for_ever(self, tmp_path: Path) -> None:
        log = tmp_path / "x.log"
        lines = follow(log, wait=lambda seconds: log.write_bytes(b"z" * 100_000 + b"\nlast\n"))
        assert [len(text) for text in islice(lines, 3)] == [16_384, 16_384, 4]

    def test_it_follows_a_log_that_comes_into_being_is_emptied_and_replaced(self, tmp_path: Path) -> None:
        log = tmp_path / "x.log"

        def changes() -> Iterator[None]:
            yield
            log.write_text("one\ntw")
            yield
            log.write_text("one\ntwo\n")
            yield
            log.write_text("1\n")
            yield
            log.unlink()
            yield
            log.write_text("2\n")
            yield
            raise KeyboardInterrupt

        steps = changes()
        before = len(os.listdir("/proc/self/fd"))
        found = follow(log, wait=lambda seconds: next(steps))
        assert list(islice(found, 4)) == ["one", "two", "1", "2"]
        with pytest.raises(KeyboardInterrupt):
            next(found)
        assert len(os.listdir("/proc/self/fd")) == before

    def test_it_goes_on_across_several_rotations_between_two_looks(self, tmp_path: Path) -> None:
        here = journal(tmp_path, max_bytes=150, backups=50)
        log = tmp_path / "syft-notify.log"
        for number in range(9):
            here.note("check", "info", f"{number}")

        def more(_: float) -> None:
            for number in range(9, 30):
                here.note("check", "info", f"{number}")

        assert messages(list(islice(follow(log, 4, more), 25))) == [str(number) for number in range(5, 30)]
        only = follow(log, 3, more, keep=lambda text: parsed(text).message.endswith("7"))
        assert messages(list(islice(only, 4))) == ["7", "17", "27", "17"]

    def test_it_finds_its_way_when_it_begins_between_two_renames(self, tmp_path: Path) -> None:
        (tmp_path / "x.log.1").write_text("old\n")
        log = tmp_path / "x.log"
        assert next(follow(log, wait=lambda seconds: log.write_text("new\n"))) == "new"

    def test_after_more_rotations_than_files_are_kept_it_shows_what_is_left(self, tmp_path: Path) -> None:
        here = journal(tmp_path, max_bytes=100, backups=2)
        here.note("check", "info", "seen")

        def more(_: float) -> None:
            for number in range(9):
                here.note("check", "info", f"{number}")

        found = follow(tmp_path / "syft-notify.log", 1, more)
        assert messages(list(islice(found, 4))) == ["seen", "6", "7", "8"]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "hello",
            "{",
            '{"time": 1}',
            "[" * 5_000,
            "2026-01-01 00:00:00 - a - b - c [d]",
            "2026-13-01 00:00:00 - a - INFO - c [d]",
        ],
    )
    def test_a_line_nobody_understands_is_all_message(self, text: str) -> None:
        assert parsed(text) == LogLine(message=text)

    def test_a_line_is_taken_apart(self) -> None:
        found = parsed("2026-03-01 12:00:00 - scq.check - INFO - a - b [c] [3f2a91c0d4e5]")
        assert (found.logger, found.level, found.message, found.run) == ("scq.check", "INFO", "a - b [c]", RUN)
        assert found.time is not None
        assert found.time.endswith("Z")
