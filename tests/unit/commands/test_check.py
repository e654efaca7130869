"""scq check: what is new is said once, with its place, the start of its script and its configuration."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from scq.errors import InvalidFileError
from scq.store import exclusive
from tests.people import SCIENTIST, World

LONG = "".join(f"echo {number}\n" for number in range(9))


def test_a_new_job_is_shown_with_place_script_and_configuration(world: World) -> None:
    world.owner.scq("check")
    uid = world.submit("count", LONG, "--tag", "urgent", "--description", "Ages", layout="a3")
    text = world.owner.scq("check").out
    lines = text.splitlines()
    assert lines[0] == f"NEW JOB {uid[:8]}: {SCIENTIST}/count"
    assert lines[1] == f"  location: {world.owner.job(uid)['path']}"
    assert lines[2:8] == [
        "  script:",
        "    1: #!/bin/bash",
        "    2: set -e",
        "    3: echo 0",
        "    4: echo 1",
        "    5: echo 2",
    ]
    assert lines[8] == "    … (6 more lines)"
    for fact in ("name: count", f"submitted_by: {SCIENTIST}", "tags: urgent", "description: Ages", "digest: sha256:"):
        assert f"    {fact}" in text
    assert lines[-1] == f"  next: scq review {uid[:8]}"


def test_what_was_told_is_not_told_again(world: World) -> None:
    world.owner.scq("check")
    world.submit()
    assert world.owner.scq("check").out
    assert world.owner.scq("check").out == ""


def test_the_first_look_tells_what_waits_and_nothing_of_the_past(world: World) -> None:
    world.owner.scq("reject", world.submit("old"))
    shutil.rmtree(world.owner.home)
    world.owner.home.mkdir()
    world.owner.configure("sandbox: none\n")
    world.submit("new")
    data = world.owner.json("check")
    assert [job["name"] for job in data["new_jobs"] if job["status"] == "pending"][-1] == "new"
    assert [event["kind"] for event in data["events"]] == ["baseline"]


def test_a_dry_run_remembers_nothing(world: World) -> None:
    world.submit()
    first = world.owner.json("check", "--dry-run")
    assert (len(first["new_jobs"]), first["dry_run"]) == (1, True)
    assert not (world.owner.home / "state.json").exists()
    assert [job["id"] for job in world.owner.json("check", "--dry-run")["new_jobs"]] == [first["new_jobs"][0]["id"]]


def test_a_submitter_is_told_how_their_job_fares(world: World) -> None:
    world.scientist.scq("check")
    uid = world.submit()
    assert world.scientist.scq("check").out == f"{uid[:8]}  pending  count  (to owner@example.org)\n"
    world.owner.scq("approve", uid)
    assert world.scientist.scq("check").out == f"{uid[:8]}  approved  count\n"
    assert world.scientist.scq("check").out == ""


def test_a_job_that_cannot_be_run_says_why(world: World) -> None:
    world.owner.scq("check")
    world.submit(bad__txt="x")
    (bad,) = world.root.rglob("bad.txt")
    bad.unlink()
    os.mkfifo(bad)
    text = world.owner.scq("check").out
    assert "  cannot be run: code/bad.txt: is a FIFO" in text
    assert "script:" not in text


def test_a_script_that_vanishes_while_it_is_shown_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.owner.scq("check")
    world.submit()

    def gone(*_: object) -> bytes:
        raise InvalidFileError("run.sh: cannot be read (No such file or directory)")

    monkeypatch.setattr("scq.steps.look.read_file", gone)
    assert "run.sh: cannot be read (No such file or directory)" in world.owner.scq("check").out


def test_a_root_that_cannot_be_read_is_busy_and_nothing_is_forgotten(world: World) -> None:
    uid = world.submit()
    world.owner.scq("check")
    hidden = world.root.with_name("unmounted")
    world.root.rename(hidden)
    answer = world.owner.scq("check", "--json", code=75).json
    assert answer["data"]["sources"] == [{"name": "local", "ok": False, "complete": False}]
    assert "cannot be read" in answer["problems"][0]["what"]
    hidden.rename(world.root)
    assert world.owner.json("check")["new_jobs"] == []
    assert world.owner.job(uid)["status"] == "pending"


def test_an_empty_root_is_no_reason_to_forget_every_job(world: World) -> None:
    world.submit("one")
    world.submit("two")
    world.owner.scq("check")
    hidden = world.root.with_name("unmounted")
    world.root.rename(hidden)
    world.root.mkdir()
    answer = world.owner.scq("check", "--json").json
    assert "shows none of the 2 jobs" in answer["problems"][0]["what"]
    assert answer["data"]["events"] == []
    world.root.rmdir()
    hidden.rename(world.root)
    assert world.owner.json("check")["events"] == []


def test_a_vanished_job_is_an_event_and_its_return_is_not_news(world: World) -> None:
    gone, _ = world.submit("gone"), world.submit("stays")
    world.owner.scq("check")
    place, aside = world.place(gone), world.folder / "aside"
    place.rename(aside)
    assert [event["kind"] for event in world.owner.json("check")["events"]] == ["job.vanished"]
    assert [job["name"] for job in world.owner.json("list")["jobs"]] == ["stays"]
    aside.rename(place)
    assert world.owner.json("check", "--full")["new_jobs"] == []
    assert len(world.owner.json("list")["jobs"]) == 2


def test_two_checks_at_once_do_not_mix(world: World) -> None:
    (world.owner.home / "locks").mkdir()
    with exclusive(str(world.owner.home / "locks" / "check.lock"), 0):
        answer = world.owner.scq("check", code=75)
        assert (answer.out, answer.err) == ("", ""), "a scheduled call that overlaps says nothing"
        assert "another scq call holds" in world.owner.scq("check", "--json", code=75).json["errors"][0]


def test_a_damaged_state_is_mended_and_said(world: World) -> None:
    world.submit()
    world.owner.scq("check")
    world.owner.scq("approve", "count")
    Path(world.owner.home / "state.json").write_text("{")
    answer = world.owner.scq("check")
    assert "was damaged" in answer.err
    assert "scq check --full" in answer.err
