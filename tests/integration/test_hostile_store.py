"""scq's own files damaged, its disk full, its clock wrong, two calls at once: decisions are kept, or the call says why not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import scq
from scq import context, store
from tests.integration.hostile import GENERATIONS, Apart, Box, Careful

Spoil = Callable[[Path], object]
DAMAGE: dict[str, Spoil] = {
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: path.write_bytes(b""),
    "list": lambda path: path.write_bytes(b"[]"),
    "not JSON": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "wrong types": lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), "jobs": [1], "revision": "x"})),
    "deep": lambda path: path.write_bytes(b'{"jobs": ' * 50_000),
    "missing": lambda path: path.unlink(),
    "FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
}
FOLDER = {"folder": lambda path: (path.unlink(), path.mkdir())}


class Died(BaseException):
    """What ends a call in the middle."""


def decided(tmp_path: Path, generation: str = "c0") -> tuple[Box, str, str]:
    """A box whose owner approved one job and rejected another."""
    box = Box(tmp_path, Apart)
    yes, no = box.submit(generation, "yes"), box.submit(generation, "no")
    box.owner.scq("check")
    box.owner.scq("approve", yes)
    box.owner.scq("reject", no, "-r", "too broad")
    box.owner.scq("check")
    return box, yes, no


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_state_file_is_kept_and_its_backup_used(kind: str, tmp_path: Path) -> None:
    box, yes, no = decided(tmp_path)
    state = box.owner.home / "state.json"
    DAMAGE[kind](state)
    checked = box.owner.scq("check", code=None)
    assert "state.json" in checked.err
    assert "was damaged" in checked.err
    kept = [path for path in box.owner.home.iterdir() if path.name.startswith("state.json.corrupt-")]
    assert bool(kept) == (kind != "missing")
    assert box.owner.job(yes)["approval"]["verdict"] == "approve"
    assert box.owner.job(no)["status"] == "rejected"
    good = box.submit("c0", "healthy")
    box.owner.scq("check")
    assert box.listed()[good]["status"] == "pending"
    runs = box.owner.json("run-approved")["runs"]
    assert [(run["id"], run["status"]) for run in runs] == [(yes, "completed")]


def test_a_folder_in_place_of_the_state_file_is_named(tmp_path: Path) -> None:
    box, yes, _ = decided(tmp_path)
    FOLDER["folder"](box.owner.home / "state.json")
    assert "state.json" in box.owner.scq("check", code=None).err
    assert box.owner.job(yes)["approval"]["verdict"] == "approve"


@pytest.mark.parametrize("kind", [kind for kind in DAMAGE if kind != "missing"])
def test_with_both_versions_damaged_every_call_stops_and_nothing_is_overwritten(kind: str, tmp_path: Path) -> None:
    box, _, _ = decided(tmp_path)
    paths = [box.owner.home / name for name in ("state.json", "state.json.bak")]
    for path in paths:
        DAMAGE[kind](path)
    before = [(path.lstat().st_mode, path.lstat().st_size, path.lstat().st_mtime_ns) for path in paths]
    for call in (("check",), ("list",), ("run-approved",), ("status",)):
        answer = box.owner.scq(*call, code=78)
        assert "state.json" in answer.err
    assert before == [(path.lstat().st_mode, path.lstat().st_size, path.lstat().st_mtime_ns) for path in paths]


def test_the_backup_is_never_replaced_by_the_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that dies right after it looked at a damaged state must leave the good version behind."""
    box, yes, _ = decided(tmp_path)
    state = box.owner.home / "state.json"
    state.write_bytes(b"")
    box.submit("c0", "another")

    def die(path: str, content: bytes, **kwargs: Any) -> None:
        raise Died

    near = Careful(box.owner.home, box.root, box.owner.email)
    with monkeypatch.context() as patch:
        patch.setattr(store, "write_atomic", die)
        with pytest.raises(Died):
            near.scq("check")
    assert box.owner.job(yes)["approval"]["verdict"] == "approve"


def test_a_state_file_is_named_once_per_call(tmp_path: Path) -> None:
    box, _, _ = decided(tmp_path)
    (box.owner.home / "state.json").write_bytes(b"")
    assert box.owner.scq("check").err.count("was damaged") == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> Path:
    """Use up what is left of a file system."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return filler
    raise AssertionError("the disk is larger than it should be")


def test_a_full_disk_below_the_home_is_named_and_loses_no_decision(small_disk: Path, tmp_path: Path) -> None:
    box, yes, no = decided(tmp_path)
    shutil.copytree(box.owner.home, small_disk / "do")
    box.owner.home = small_disk / "do"
    late = box.submit("c0", "late")
    filler = fill(small_disk)
    answer = box.owner.scq("check", code=1)
    assert "No space left" in answer.err
    box.owner.scq("approve", late, code=1)
    filler.unlink()
    assert box.owner.job(yes)["approval"]["verdict"] == "approve"
    assert box.owner.job(no)["status"] == "rejected"
    box.answers(late)


@pytest.mark.parametrize("generation", ["a3", "b2", "c0", "c1"])
def test_a_full_disk_below_the_syftbox_only_delays_results(generation: str, small_disk: Path, tmp_path: Path) -> None:
    box = Box(tmp_path, Apart)
    shutil.move(box.root, small_disk / "SyftBox")
    box.root = box.owner.root = box.scientist.root = small_disk / "SyftBox"
    job, late = box.submit(generation, "first"), box.submit(generation, "late")
    box.owner.scq("approve", job)
    filler = fill(small_disk)
    answer = box.owner.scq("run-approved", code=None)
    assert answer.code != 0
    assert "No space left" in answer.err
    box.owner.scq("approve", late, code=None)
    filler.unlink()
    box.owner.scq("run-approved", code=None)
    for uid in (job, late):
        assert box.owner.job(uid)["status"] == "completed"
        assert box.scientist.job(uid)["status"] == "completed"
        assert [row["path"] for row in box.owner.json("output", uid)["outputs"]] == ["answer.txt"]


@pytest.mark.parametrize("hours", [-1, -24 * 400, 24 * 400])
def test_a_clock_that_jumps_changes_no_decision(hours: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(tmp_path)
    job, good = box.submit("c0", "first"), box.submit("a3", "healthy")
    box.owner.scq("check")
    box.owner.scq("approve", job)
    box.owner.scq("check")
    monkeypatch.setattr(
        context.Context.__init__, "__kwdefaults__", {**context.Context.__init__.__kwdefaults__, "now": moved(hours)}
    )
    told = {event["kind"] for event in box.owner.json("check", "--full")["events"]}
    assert told <= {"review.reminder"}  # a job that has waited long by that clock
    assert box.owner.json("check")["new_jobs"] == []
    box.answers(good)
    assert box.owner.job(job)["status"] == "completed"
    assert box.owner.job(job)["run"]["duration_s"] >= 0
    box.owner.scq("cleanup", "--older-than", "1000d", code=None)
    box.owner.scq("status")
    box.owner.scq("audit", "show")
    monkeypatch.undo()
    assert box.owner.json("check", "--full")["new_jobs"] == []
    assert box.owner.json("run-approved")["runs"] == []


def moved(hours: int) -> Callable[[], datetime]:
    return lambda: datetime.now(UTC) + timedelta(hours=hours)


def at_once(box: Box, *calls: tuple[str, ...]) -> list[subprocess.CompletedProcess[str]]:
    """Several calls of the owner started together."""

    def ask(arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        place = ["--home", str(box.owner.home), "--root", str(box.root), "--email", box.owner.email]
        command = [sys.executable, "-m", "scq", *place, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=Path(scq.__file__).parents[1])

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(ask, calls))


@pytest.mark.parametrize("pair", [("check", "check"), ("check", "run-approved"), ("run-approved", "run-approved")])
def test_two_calls_at_once_do_everything_once(pair: tuple[str, str], tmp_path: Path) -> None:
    box = Box(tmp_path)
    counter = tmp_path / "counter"
    jobs = [box.submit(generation, "counted", f"echo ran >> {counter}\n") for generation in GENERATIONS]
    box.owner.scq("check")
    box.owner.scq("approve", *jobs)
    new = box.submit("c0", "new")
    for answer in at_once(box, *((verb,) for verb in pair)):
        assert answer.returncode in (0, 75), answer
        assert "Traceback" not in answer.stderr
        assert answer.returncode == 0 or answer.stdout + answer.stderr == ""
    box.owner.scq("run-approved")
    box.owner.scq("check")
    assert counter.read_text() == "ran\n" * len(jobs)
    received = [row for row in box.owner.state()["outbox"].values() if row["kind"] == "job.received" and row["job_id"] == new]
    assert len({row["key"] for row in received}) == len(received) > 0
    assert {box.owner.job(job)["status"] for job in jobs} == {"completed"}


def test_deciding_and_reviewing_while_others_look_and_run_loses_nothing(tmp_path: Path) -> None:
    box = Box(tmp_path)
    slow, first, second = (box.submit("c0", name, "sleep 0.5\n") for name in ("slow", "first", "second"))
    box.owner.scq("check")
    box.owner.scq("approve", slow)
    answers = at_once(box, ("run-approved",), ("approve", first), ("review", second), ("check",), ("reject", second, "-r", "no"))
    assert {answer.returncode for answer in answers} <= {0, 75}, answers
    assert not [answer for answer in answers if "Traceback" in answer.stderr]
    box.owner.scq("run-approved")
    assert {name: box.owner.job(uid)["status"] for name, uid in (("slow", slow), ("first", first), ("second", second))} == {
        "slow": "completed",
        "first": "completed",
        "second": "rejected",
    }
