"""`scq report`: figures and a page of the queue, for the owner and for one submitter."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from scq.audit import read_rows
from scq.store import Store
from tests.people import OWNER, SCIENTIST, SECOND, World

RESULTS = 'cd "${OUTPUT_DIR:-$(mkdir -p outputs && echo outputs)}"\necho 42 > totals.csv\necho 7 > private.csv\n'
FAILING = "echo secret-of-the-owner >&2\nexit 3\n"


@pytest.fixture
def queue(world: World) -> World:
    """Two submitters; of the first one job that waits, one that failed, one with results, and one that was rejected."""
    world.approved("well-done", RESULTS)
    world.approved("broken", FAILING)
    world.owner.scq("run-approved", code=None)
    return waiting(world)


def waiting(world: World) -> World:
    """Jobs of two submitters that wait, and one that was rejected."""
    world.submit("waiting")
    refused = world.submit("refused")
    world.owner.scq("reject", refused, "-r", "reads too much")
    world.submit("of-the-second", by=world.second)
    return world


def page(world: World, *options: str, name: str = "report.html") -> str:
    place = world.folder / name
    world.owner.scq("report", "--html", str(place), *options)
    return place.read_text()


def test_the_figures_are_said_in_a_few_lines(queue: World) -> None:
    said = queue.owner.scq("report")
    assert said.err == ""
    lines = said.out.splitlines()
    assert lines[0] == f"{OWNER}: 5 jobs"
    assert lines[1] == "2 pending  0 approved  0 running  1 completed  1 failed  1 rejected"
    assert lines[2].startswith("waiting longest: ")
    assert f"by submitter: {SCIENTIST} 4, {SECOND} 1" in lines
    assert "failures: 1 exit" in lines
    assert any(entry.startswith("audit log: ") and "rows, whole, head " in entry for entry in lines)
    assert "results waiting for your answer: 1" in lines


def test_the_same_figures_are_there_for_programs(queue: World) -> None:
    data = queue.owner.json("report", "--since", "90d")
    assert data["counts"] == {"pending": 2, "approved": 0, "running": 0, "completed": 1, "failed": 1, "rejected": 1}
    assert {waiting["name"] for waiting in data["pending"]} == {"waiting", "of-the-second"}
    assert [(person["address"], person["jobs"]) for person in data["submitters"]] == [(SCIENTIST, 4), (SECOND, 1)]
    assert data["failures"] == {"exit": 1}
    assert data["decisions"] == {"approved": 2, "rejected": 1}
    assert data["runs"]["count"] == 2
    assert data["waits"]["median_s"] >= 0
    assert sum(part["submitted"] for part in data["activity"]["counts"]) == 5
    assert (data["path"], data["bytes"], data["complete"], data["for"]) == (None, None, True, None)
    assert data["since"] < data["made_at"]
    rows = [row for row, _ in read_rows(str(queue.owner.home / "audit.jsonl"))]
    assert data["audit"]["count"] == len(rows)
    assert data["audit"]["wrong"] is None


def test_a_page_is_for_its_owner_only_and_changes_nothing_else(queue: World) -> None:
    before = {path: path.read_bytes() for path in queue.owner.home.rglob("*") if path.is_file() and "locks" not in path.parts}
    shown = page(queue)
    assert stat.S_IMODE((queue.folder / "report.html").stat().st_mode) == 0o600
    for word in ("well-done", "broken", "waiting", "refused", "of-the-second", "reads too much", SECOND, "scq review"):
        assert word in shown
    assert "secret-of-the-owner" not in shown
    after = {path: path.read_bytes() for path in queue.owner.home.rglob("*") if path.is_file() and "locks" not in path.parts}
    assert after == before


def test_a_submitter_is_shown_his_own_jobs_and_only_what_he_may_know(queue: World) -> None:
    assert "not released so far" in page(queue, "--public", "--for", SCIENTIST)
    queue.owner.scq("release", queue.owner.job("well-done")["id"], "--only", "totals.csv", "-r", "note to myself")
    shown = page(queue, "--public", "--for", SCIENTIST.upper())
    assert stat.S_IMODE((queue.folder / "report.html").stat().st_mode) == 0o644
    for word in ("well-done", "broken", "waiting", "refused", "reads too much", "totals.csv", SCIENTIST):
        assert word in shown
    machine = os.uname().nodename
    for word in (SECOND, "of-the-second", "secret-of-the-owner", "private.csv", "note to myself"):
        assert word not in shown
    for word in (str(queue.root), str(queue.folder), f"@{machine}", "audit"):
        assert word not in shown
    said = queue.owner.json("report", "--public", "--for", SCIENTIST)
    assert (said["jobs"], said["for"], said["audit"], said["results_waiting"]) == (4, SCIENTIST, None, None)
    assert queue.owner.json("report", "--public", "--for", "nobody@example.org")["jobs"] == 0


def test_a_dry_run_says_how_large_the_page_would_be_and_writes_nothing(world: World) -> None:
    waiting(world)
    place = world.folder / "report.html"
    said = world.owner.scq("report", "--html", str(place), "--dry-run")
    assert said.out.startswith(f"{place}: would hold 3 jobs, ")
    assert not place.exists()
    assert world.owner.json("report", "--html", str(place), "--dry-run")["bytes"] > 10_000


def test_a_page_of_everybody_is_never_put_where_it_is_sent_to_others(world: World) -> None:
    inside = world.root / OWNER / "report.html"
    refused = world.owner.scq("report", "--html", str(inside), code=2)
    assert "inside the SyftBox folder" in refused.err
    link = world.root / OWNER / "link.html"
    link.symlink_to(world.folder / "elsewhere.html")
    world.owner.scq("report", "--html", str(link), code=2)
    (world.folder / "way").symlink_to(world.root / OWNER)
    world.owner.scq("report", "--html", str(world.folder / "way" / "report.html"), code=2)
    assert sorted(path.name for path in (world.root / OWNER).iterdir() if path.suffix == ".html") == ["link.html"]
    said = world.owner.scq("report", "--html", str(inside), "--public", "--for", SCIENTIST)
    assert "who may read that place gets it" in said.out
    assert SCIENTIST in inside.read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--public"], "belong together"),
        (["--for", SCIENTIST], "belong together"),
        (["--public", "--for", "no address\x1b[2J"], "is not an address"),
        (["--since", "soon"], "--since 'soon' is not allowed"),
        (["--html", "/nowhere/report.html"], "is not a folder"),
        (["--html", "."], "is a folder"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused(world: World, options: list[str], words: str) -> None:
    said = world.owner.scq("report", *options, code=2)
    assert words in said.err
    assert "\x1b" not in said.err


def test_a_page_replaces_a_plain_file_and_nothing_else(world: World) -> None:
    """A root user who means his terminal (`/dev/stdout`) loses no device."""
    os.mkfifo(world.folder / "pipe")
    (world.folder / "link").symlink_to(world.folder / "target.html")
    for name in ("pipe", "link"):
        said = world.owner.scq("report", "--html", str(world.folder / name), code=2)
        assert f"{name} is no plain file" in said.err
    assert stat.S_ISFIFO((world.folder / "pipe").stat().st_mode)
    assert (world.folder / "link").is_symlink()


def test_a_folder_that_cannot_be_read_is_a_problem_and_stands_on_the_page(world: World) -> None:
    waiting(world)
    world.owner.scq("check", "--full")
    world.root.rename(world.folder / "gone")
    place = world.folder / "report.html"
    said = world.owner.scq("report", "--html", str(place))
    assert "! " in said.err
    shown = place.read_text()
    assert "Not everything could be read" in shown
    for name in ("waiting", "refused"):
        assert name in shown
    said = world.owner.scq("report", "--html", str(place), "--public", "--for", SCIENTIST)
    assert "Not everything could be read" in place.read_text()
    assert str(world.root) not in place.read_text()
    world.root.mkdir()  # as where nothing is mounted
    world.owner.scq("report", "--html", str(place), "--public", "--for", SCIENTIST)
    assert "Not everything could be read" in place.read_text()
    assert "waiting" in place.read_text()


def test_a_log_that_was_changed_is_named(world: World) -> None:
    waiting(world)
    log = world.owner.home / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"reads too much", b"reads so much!"))
    said = world.owner.scq("report")
    assert "was changed" in said.out
    assert "was changed" in said.err
    assert "not as it was written" in page(world)
    log.write_bytes(b"\xff not a log\n")
    assert "damaged" in world.owner.scq("report").out


def test_a_log_that_cannot_be_read_keeps_nobody_from_the_rest(world: World) -> None:
    waiting(world)
    log = world.owner.home / "audit.jsonl"
    log.unlink()
    os.mkfifo(log)
    said = world.owner.scq("report")
    assert "could not be checked" in said.err
    assert "2 pending" in said.out


def test_a_forged_name_gets_nobody_a_page_of_it(world: World) -> None:
    waiting(world)
    store = Store(str(world.owner.home))
    key = next(key for key, record in store.load().jobs.items() if record.sighting.name == "waiting")

    def forge(state: Any) -> Any:
        from msgspec.structs import replace

        record = state.jobs[key]
        seen = replace(record.sighting, flags=("forged",), where="drive", messages=("m1",))
        return replace(state, jobs={**state.jobs, key: replace(record, sighting=seen)})

    store.update(forge)
    place = world.root / world.owner.job("waiting")["path"]
    place.rename(world.folder / "moved")
    assert "waiting" in {job["name"] for job in world.owner.json("report")["pending"]}
    assert world.owner.json("report", "--public", "--for", SCIENTIST)["pending"] == []


def test_before_the_first_look_there_is_a_page_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert "There are no jobs." in page(world)
    assert world.owner.json("report")["audit"] == {"count": 0, "head": None, "wrong": None}
