"""What the log of the services says about a call, however it ended."""

from __future__ import annotations

import fcntl
import os
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from scq.commands import check
from scq.errors import UsageError
from scq.journal.reading import LogLine, parsed
from tests.people import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def logged(world: World, name: str = "syft-notify.log") -> list[LogLine]:
    path = world.owner.home / name
    return [parsed(text) for text in path.read_text().splitlines()] if path.exists() else []


def said(world: World) -> list[tuple[str, str]]:
    return [(one.level, one.message.split(", 0.")[0]) for one in logged(world)]


def test_a_scheduled_call_writes_down_what_it_said_and_how_it_ended(world: World) -> None:
    world.submit("survey")
    world.owner.scq("check")
    first, *_, last = logged(world)
    assert (first.logger, first.level) == ("scq.check", "INFO")
    assert first.message.startswith("NEW JOB")
    assert last.message.startswith("done (exit code 0, ")
    assert len({one.run for one in logged(world)}) == 1
    assert logged(world, "syft-notify.error.log") == []


def test_the_audit_log_and_the_log_name_the_same_run(world: World) -> None:
    world.approved()
    world.owner.scq("run-approved")
    (started,) = [one for one in logged(world) if one.message.startswith("starting ")]
    row = next(row for row in world.owner.json("audit", "show")["rows"] if row["what"] == "run")
    assert row["run"] == started.run


def test_other_verbs_and_dry_runs_are_not_written_down(world: World) -> None:
    world.submit()
    world.owner.scq("list")
    for verb in ("check", "run-approved", "notify", "cycle", "cleanup"):
        world.owner.scq(verb, "--dry-run")
    assert logged(world) == []
    world.owner.scq("cleanup")
    assert [one.logger for one in logged(world)] == ["scq.cleanup"]


def test_the_steps_of_a_cycle_are_written_once_and_then_its_end(world: World) -> None:
    world.submit("survey")
    world.owner.scq("cycle")
    messages = [one.message for one in logged(world)]
    assert sum(message.startswith("NEW JOB") for message in messages) == 1
    assert logged(world)[-1].logger == "scq.cycle"
    assert [one.logger for one in logged(world)].count("scq.cycle") == 1
    assert len({one.run for one in logged(world)}) == 1


def test_a_call_that_meets_another_is_one_line(world: World) -> None:
    world.owner.scq("check")
    before = len(logged(world))
    with (world.owner.home / "locks" / "check.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        world.owner.scq("check", code=75)
    (met,) = logged(world)[before:]
    assert (met.level, met.logger) == ("INFO", "scq.check")
    assert met.message.endswith("(exit code 75)")


def test_settings_nobody_can_read_are_an_error_in_the_log(world: World) -> None:
    world.owner.configure("nonsense: [")
    world.owner.scq("check", code=78)
    assert [level for level, _ in said(world)] == ["ERROR", "ERROR"]
    assert "config.yaml" in logged(world)[0].message
    assert logged(world, "syft-notify.error.log") == logged(world)


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (UsageError("it broke", "Mend it."), 2, [("ERROR", "it broke. Mend it."), ("ERROR", "not called rightly (exit code 2")]),
        (
            OSError(28, "No space left on device", "/x"),
            1,
            [("ERROR", "/x: No space left on device. "), ("ERROR", "failed (exit code 1")],
        ),
        (KeyboardInterrupt(), 130, [("WARNING", "interrupted (exit code 130")]),
        (ValueError("odd"), 70, [("ERROR", "this is a bug (ValueError). Please"), ("ERROR", "ended by a bug (exit code 70")]),
    ],
)
def test_a_call_that_failed_says_so_in_the_log(
    world: World,
    error: BaseException,
    code: int,
    expected: list[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(check, "run", fail)
    world.owner.scq("check", code=code)
    found = said(world)
    assert [level for level, _ in found] == [level for level, _ in expected]
    assert all(text.startswith(start) for (_, text), (_, start) in zip(found, expected, strict=True)), found


def test_who_asks_for_more_sees_the_lines_too(world: World) -> None:
    assert "scq.check - INFO - done" in world.owner.scq("check", "-v").err
    assert "scq.check" not in world.owner.scq("check").err


def test_what_the_journal_hears_is_not_shown_a_second_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.submit("survey")
    there = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
    answer = world.owner.scq("check")
    assert answer.err.count("NEW JOB") == 1
    assert answer.err.startswith("<6>")
    world.owner.configure("nonsense: [")
    failed = world.owner.scq("check", code=78).err.splitlines()
    assert [text[:3] for text in failed] == ["<3>", "<3>"]
    assert world.owner.scq("list", code=78).err.startswith("scq: "), "other verbs are not in the log"


def test_a_log_that_cannot_be_written_changes_nothing_of_the_call(world: World) -> None:
    (world.owner.home / "syft-notify.log").mkdir()
    answer = world.owner.scq("check")
    assert answer.err.count("the log cannot be written") == 1
    assert world.owner.json("check")["events"] == []


def test_no_folder_is_made_for_the_log_of_a_home_that_is_not_there(world: World, tmp_path: Path) -> None:
    world.owner.home = tmp_path / "gone"
    world.owner.scq("cycle", "--no-run", code=None)
    world.owner.home = tmp_path / "none"
    world.owner.scq("check", "--nonsense", code=2)
    assert not (tmp_path / "none").exists()


def test_a_mail_names_the_call_that_sent_it_in_its_header_and_its_last_line(world: World) -> None:
    world.owner.configure(f"sandbox: none\nchannels:\n  post:\n    type: file\n    path: {world.owner.home}/mailbox\n")
    world.owner.scq("check")
    world.submit("survey")
    world.owner.scq("cycle", "--no-run")
    run = logged(world)[-1].run
    mails = [message_from_bytes(path.read_bytes(), policy=default) for path in (world.owner.home / "mailbox" / "new").iterdir()]
    assert [mail["X-SCQ-Run"] for mail in mails] == [run, run], "the owner's and the submitter's"
    for mail in mails:
        body = mail.get_body(("plain",))
        assert body is not None
        assert body.get_content().rstrip().endswith(f", run {run}")


def test_a_pipe_that_breaks_inside_a_call_is_not_taken_for_a_reader_that_went_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("tempfile.tempdir", str(world.folder))
    monkeypatch.setattr("scq.steps.look.observe", broken)
    world.owner.scq("cycle", code=70)
    assert logged(world)[-1].level == "ERROR"
