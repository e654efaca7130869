"""A real user manager of systemd makes the calls: timers run a real job in its box, and the units hold what they say."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any

import pytest

from tests import private_systemd


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What inside_systemd.py saw."""
    if reason := private_systemd.missing():
        pytest.skip(reason)
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap (bwrap) is not installed")
    ended = private_systemd.call(
        tmp_path_factory.mktemp("machine"), sys.executable, "-m", "tests.integration.inside_systemd", timeout_s=150
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_installed_timers_run_an_approved_job_in_its_box(seen: dict[str, Any]) -> None:
    assert seen["unusable"] == ""
    assert (seen["job"]["status"], seen["job"]["run"]["exit_code"]) == ("completed", 0)
    assert seen["box"] != "", "the job was in no box"
    assert [(one["name"], one["every"]) for one in seen["installed"]] == [("notify", 2.0), ("run", 2.0)]
    assert all(one["state"] in ("active", "running") and one["last_at"] for one in seen["installed"])


def test_an_install_says_what_it_did_and_the_second_one_does_nothing(seen: dict[str, Any]) -> None:
    assert seen["install"][0].endswith("/scq.timer"), "the units of before"
    assert [line.split()[0] for line in seen["install"][1:7]] == ["wrote"] * 4 + ["started"] * 2
    assert "enable-linger" in seen["install"][-1]
    assert seen["again"] == []


def test_systemd_finds_nothing_wrong_but_what_would_end_with_the_session(seen: dict[str, Any]) -> None:
    assert seen["before"] == ["calls are made only while you are signed in"]
    assert [where.rpartition("/")[2] for where in seen["found"]] == ["scq-run.timer", "systemd"], "it was edited"
    assert seen["edited"][1] == "changed"


def test_entries_are_stopped_started_and_removed_one_by_one(seen: dict[str, Any]) -> None:
    assert (seen["stop"], seen["stopped"][1], seen["start"]) == ("stopped scq-run.timer", "stopped", "started scq-run.timer")
    assert seen["results"] == ["success", "success"]
    assert seen["units"] == ["scq-notify.service", "scq-notify.timer"]
    assert len(seen["remove"]) == 2
    assert seen["remove again"] == []
    assert seen["left"] == []


@pytest.mark.parametrize(
    ("task", "allowed"),
    [
        ("notify", ["home", "box"]),
        ("run", ["home", "box", "namespace"]),
        ("approve", ["home", "outside", "box", "namespace"]),
    ],
)
def test_a_call_gets_its_secrets_and_no_more_room_than_its_unit_gives(
    seen: dict[str, Any], task: str, allowed: list[str]
) -> None:
    assert seen[f"probe {task}"].split("\n") == ["hush", *allowed, "NoNewPrivs:\t1", "0077", ""]
