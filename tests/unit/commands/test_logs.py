"""`scq logs` of a service: its last lines, those of one call, and following them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scq.config_values import Log
from scq.journal import Journal
from tests.people import OWNER, World


def write(world: World, *messages: str, run: str = "3f2a91c0d4e5", step: str = "check", **settings: int) -> None:
    journal = Journal(str(world.owner.home), Log(**settings), run, {})  # type: ignore[arg-type]
    for message in messages:
        journal.note(step, "error" if "bad" in message else "info", message)


def shown(world: World, *arguments: str) -> list[str]:
    """The messages that are shown."""
    return [line["message"] for line in world.owner.json("logs", *arguments)["lines"]]


def test_the_log_of_the_notifying_service_is_what_is_shown_first(world: World) -> None:
    write(world, *(f"line {number}" for number in range(60)))
    assert shown(world) == shown(world, "notify") == [f"line {number}" for number in range(10, 60)]
    assert shown(world, "notify", "-n", "2") == ["line 58", "line 59"]
    assert world.owner.scq("logs", "-n", "1").out.endswith(" - scq.check - INFO - line 59 [3f2a91c0d4e5]\n")


def test_each_line_is_taken_apart_for_programs(world: World) -> None:
    write(world, "odd - [x]")
    data = world.owner.json("logs", "notify")
    (line,) = data["lines"]
    assert line.pop("time").endswith("Z")
    assert line == {"logger": "scq.check", "level": "INFO", "message": "odd - [x]", "run": "3f2a91c0d4e5"}
    assert (data["service"], data["path"]) == ("notify", str(world.owner.home / "syft-notify.log"))


def test_errors_one_call_and_the_other_service_can_be_asked_for(world: World) -> None:
    write(world, "fine", "bad one")
    write(world, "later", "bad two", run="0123456789ab")
    write(world, "approved", step="automate")
    assert shown(world, "--errors") == ["bad one", "bad two"]
    assert shown(world, "--run", "3f2a") == ["fine", "bad one"]
    assert shown(world, "--run", "0123456789ab", "--errors", "-n", "1") == ["bad two"]
    assert shown(world, "approve") == ["approved"]


def test_more_lines_than_there_are_numbers_for_is_all_of_them(world: World) -> None:
    write(world, "fine", "later")
    assert shown(world, "-n", "9" * 30) == ["fine", "later"]


def test_the_lines_of_one_call_are_found_in_files_put_aside_and_nowhere_else(world: World) -> None:
    for run in ("3f2a91c0d4e5", "0123456789ab"):
        write(world, *(f"of {run} {number}" for number in range(4)), run=run, max_bytes=200, backups=9)
    write(world, "names 3f2a91c0d4e5 in its text [3f2a91c0d4e5]", run="0123456789ab")
    assert (world.owner.home / "syft-notify.log.2").exists()
    assert shown(world, "--run", "3f2a") == [f"of 3f2a91c0d4e5 {number}" for number in range(4)]


def test_nothing_logged_is_said_and_no_error(world: World) -> None:
    assert world.owner.scq("logs", "approve").out.startswith("nothing was logged yet: ")
    write(world, "fine")
    assert world.owner.scq("logs", "--run", "ffff").out.startswith("no such line in ")


def test_a_log_can_be_read_although_the_settings_cannot(world: World) -> None:
    write(world, "fine")
    world.owner.configure("nonsense: true\n")
    assert "fine" in world.owner.scq("logs").out


def test_a_job_named_like_a_service_is_reached_by_its_id(world: World) -> None:
    uid = world.ended("notify", "echo from the job\n")
    assert world.owner.scq("logs", uid[:8], "--stdout").out == "from the job\n"
    assert "from the job" not in world.owner.scq("logs", "notify").out


@pytest.mark.parametrize(
    "words",
    [
        ("some-job", "-f"),
        ("some-job", "-n", "3"),
        ("some-job", "--errors"),
        ("notify", "--stdout"),
        ("-f", "--json"),
        ("-n", "0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(world: World, words: tuple[str, ...]) -> None:
    world.owner.scq("logs", *words, code=2)


@pytest.fixture
def follower(world: World) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "scq", "--home", str(world.owner.home), "logs", "notify", "-f", "-n", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    yield process
    process.kill()
    process.communicate()


def test_following_shows_each_line_at_once_across_rotation_and_ends_with_ctrl_c(
    world: World, follower: subprocess.Popen[str]
) -> None:
    assert follower.stdout is not None
    messages = [f"line {number}" for number in range(6)]
    write(world, messages[0])
    assert "line 0" in follower.stdout.readline(), "the log was not there when it began"
    write(world, *messages[1:], max_bytes=150)
    assert [text.split(" - ")[3].split(" [")[0] for text in (follower.stdout.readline() for _ in messages[1:])] == messages[1:]
    assert (world.owner.home / "syft-notify.log.2").exists()
    follower.send_signal(signal.SIGINT)
    assert follower.communicate(timeout=30) == ("", "interrupted\n")
    assert follower.returncode == 130


def test_a_job_that_another_call_runs_is_followed_to_its_end(world: World, tmp_path: Path) -> None:
    go = tmp_path / "go"
    uid = world.approved("long", f"echo one\nwhile [ ! -e {go} ]; do sleep 0.05; done\nprintf two\nexit 3\n")
    place = ["--home", str(world.owner.home), "--root", str(world.root), "--email", OWNER]
    command = [sys.executable, "-m", "scq", *place]
    with subprocess.Popen([*command, "run-approved", "--no-stream"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        state = world.owner.home / "runs" / f"{uid}-1" / "started"
        while not state.exists():
            assert running.poll() is None, running.communicate()
            time.sleep(0.02)
        with subprocess.Popen(
            [*command, "logs", uid, "-f"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as following:
            assert following.stdout is not None
            assert [following.stdout.readline() for _ in range(2)] == ["── stdout\n", "one\n"]
            go.touch()
            assert following.communicate(timeout=60) == ("two\n", f"{uid[:8]} ended with exit code 3\n")
            assert following.returncode == 0
        assert running.wait(timeout=60) == 4
