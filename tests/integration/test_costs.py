"""What a look asks of the disk, counted: it follows what is alive, not what ever existed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.world import Template
from scq import looking
from scq.scan import Snapshot
from scq.store import Store
from tests.people import OWNER, SCIENTIST, Person, code_folder, syftbox

GENERATIONS = ["a3", "b0", "b1", "b2", "c0", "c1"]
SHORT, LONG = 5, 200
"""Lengths of history: whatever grows with it shows."""
STAT_CALLS = 300
NEWEST = 10 * 10**9
"""Nanoseconds the clock of a look is ahead, so that files made a moment ago are old enough to be trusted."""


class Past:
    """A datasite with many finished jobs and three that wait, remembered by a full look."""

    def __init__(self, folder: Path, generation: str, finished: int) -> None:
        self.generation = generation
        self.root = syftbox(folder, OWNER, SCIENTIST)
        self.source = code_folder(folder / "code")
        self.scientist = Person(folder / "ds", self.root, SCIENTIST)
        before = Person(folder / "before", self.root, OWNER)
        self.owner = Person(folder / "do", self.root, OWNER)
        self.made = 0
        word = self.submit()
        before.scq("approve", word)
        before.scq("run-approved")
        self.model = Template(self.root, word)
        for _ in range(finished - 1):
            self.model.copy(self.next_word())
        for _ in range(3):
            self.submit()
        self.owner.scq("check", "--full")
        self.owner.scq("check", "--full")

    def submit(self, name: str = "") -> str:
        """Submit a job; returns the word that its folder bears."""
        name = name or self.next_word()
        options = ("--name", name, "--layout", self.generation)
        data = self.scientist.json("submit", OWNER, str(self.source), *options)
        return str(data["id"]) if self.generation == "a3" else name

    def next_word(self) -> str:
        self.made += 1
        return f"a{self.made:07d}-0000-4000-8000-000000000000" if self.generation == "a3" else f"job-{self.made:07d}"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Snapshot]:
    """The looks made, newest last. Their clock is ahead, so that nobody has to wait for time stamps to become old."""
    found: list[Snapshot] = []
    real_scan, real_time = looking.scan, time.time_ns

    def scan(*arguments: object, **options: object) -> Snapshot:
        snapshot = real_scan(*arguments, **{**options, "now_ns": real_time() + NEWEST})  # type: ignore[arg-type]
        found.append(snapshot)
        return snapshot

    monkeypatch.setattr(looking, "scan", scan)
    return found


@pytest.fixture
def no_records(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and from then on nobody may load the records of the jobs that are over."""

    def refuse(self: Store) -> None:
        raise AssertionError("the records of jobs that are over were loaded")

    return lambda: monkeypatch.setattr(Store, "finished", refuse)


def state_of(home: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every file below a home, locks and logs apart."""
    files = (path for path in home.rglob("*") if path.is_file() and path.parent.name != "locks" and path.suffix != ".log")
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_an_idle_check_opens_no_job_and_costs_the_same_over_any_history(
    tmp_path: Path, generation: str, looks: list[Snapshot], no_records: Callable[[], None]
) -> None:
    pasts = [Past(tmp_path / str(size), generation, size) for size in (SHORT, LONG)]
    no_records()
    looks.clear()
    for past in pasts:
        past.owner.scq("check")
    short, long = looks
    assert (long.full, long.opens, len(long.seen), len(long.listed)) == (False, 0, 3, 0)
    assert long.lstats == short.lstats < STAT_CALLS


def test_an_idle_check_writes_nothing(tmp_path: Path, looks: list[Snapshot]) -> None:
    past = Past(tmp_path, "c0", SHORT)
    os.utime(past.owner.home / "config.yaml", (1, 1))
    past.owner.scq("check")
    before = state_of(past.owner.home)
    past.owner.scq("check")
    past.owner.scq("status")
    past.owner.scq("pending")
    assert state_of(past.owner.home) == before
    assert "config.cache.json" in before


@pytest.mark.parametrize("generation", GENERATIONS)
def test_one_new_job_is_all_that_a_check_reads(
    tmp_path: Path, generation: str, looks: list[Snapshot], no_records: Callable[[], None]
) -> None:
    pasts = [Past(tmp_path / str(size), generation, size) for size in (SHORT, LONG)]
    no_records()
    looks.clear()
    for past in pasts:
        past.owner.scq("check")
        past.submit()
        assert len(past.owner.json("check")["new_jobs"]) == 1
        assert past.owner.json("check")["new_jobs"] == []
    (idle, short, after), (_, long, _) = looks[:3], looks[3:]
    assert long.opens == short.opens <= 8
    assert long.lstats == short.lstats <= idle.lstats + 30
    assert after.opens == 0
    assert len(after.seen) == 4


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_sweep_over_jobs_that_did_not_change_opens_none_and_loads_none(
    tmp_path: Path, generation: str, looks: list[Snapshot], no_records: Callable[[], None]
) -> None:
    past = Past(tmp_path, generation, LONG)
    no_records()
    assert past.owner.json("check", "--full")["changed_jobs"] == []
    sweep = looks[-1]
    assert (sweep.full, sweep.opens, len(sweep.unchanged), len(sweep.seen)) == (True, 0, LONG, 3)
    assert sweep.lstats < 12 * LONG + STAT_CALLS
    assert past.owner.json("status")["counts"]["completed"] == LONG


@pytest.mark.parametrize("generation", ["b2", "c0"])
def test_a_sweep_sees_what_happened_to_a_finished_job(tmp_path: Path, generation: str, looks: list[Snapshot]) -> None:
    past = Past(tmp_path, generation, SHORT)
    (code,) = (path for path in past.root.rglob("returncode.txt") if past.model.word in str(path))
    code.write_text("3")
    past.owner.scq("check")
    assert not looks[-1].unchanged, "an ordinary look does not visit it"
    past.owner.scq("check", "--full")
    assert len(looks[-1].unchanged) == SHORT - 1
    shown = past.owner.json("list", "--text", past.model.word)["jobs"]
    assert [job["flags"] or job["run"]["exit_code"] for job in shown] in ([["inconsistent"]], [3])


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_name_that_was_removed_and_used_again_is_a_new_job(tmp_path: Path, generation: str, looks: list[Snapshot]) -> None:
    past = Past(tmp_path, generation, SHORT)
    word = past.submit("again") if generation != "a3" else past.submit()
    past.owner.scq("approve", word)
    past.owner.scq("run-approved")
    past.owner.scq("check", "--full")
    past.owner.scq("cleanup", "--older-than", "0")
    past.submit("again")
    assert [job["name"] for job in past.owner.json("check")["new_jobs"]] == ["again"]


@pytest.mark.parametrize("note", ["finished.index.json", "folders.json", "config.cache.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b'{"of": 7}', b"\xff"])
def test_without_a_usable_note_the_answer_is_the_same(
    tmp_path: Path, note: str, content: bytes | None, looks: list[Snapshot]
) -> None:
    past = Past(tmp_path, "c0", SHORT)
    os.utime(past.owner.home / "config.yaml", (1, 1))
    past.owner.scq("check")
    path = past.owner.home / note
    assert path.is_file()
    path.unlink() if content is None else path.write_bytes(content)
    word = past.submit()
    assert past.owner.json("status")["counts"]["completed"] == SHORT
    seen = past.owner.json("check")
    assert ([job["name"] for job in seen["new_jobs"]], seen["changed_jobs"]) == ([word], [])
    assert past.owner.json("check", "--full")["new_jobs"] == []
    assert past.owner.json("list")["total"] == SHORT + 4


def test_an_index_of_another_document_is_not_believed(tmp_path: Path, looks: list[Snapshot]) -> None:
    past = Past(tmp_path, "c0", SHORT)
    stale = (past.owner.home / "finished.index.json").read_bytes()
    word = past.submit()
    past.owner.scq("approve", word)
    past.owner.scq("run-approved")
    past.owner.scq("check", "--full")
    (past.owner.home / "finished.index.json").write_bytes(stale)
    assert past.owner.json("status")["counts"]["completed"] == SHORT + 1
    assert past.owner.json("check")["new_jobs"] == []


def test_a_syftbox_that_shows_nothing_any_more_does_not_end_the_memory_of_finished_jobs(
    tmp_path: Path, looks: list[Snapshot]
) -> None:
    past = Past(tmp_path, "c0", SHORT)
    past.root.rename(tmp_path / "unmounted")
    past.root.mkdir()
    answer = past.owner.scq("check", "--full")
    assert f"shows none of the {SHORT + 3} jobs that were here before" in answer.err
    past.root.rmdir()
    (tmp_path / "unmounted").rename(past.root)
    seen = past.owner.json("check", "--full")
    assert (seen["new_jobs"], seen["changed_jobs"], seen["events"]) == ([], [], [])
    assert past.owner.json("status")["counts"]["completed"] == SHORT


def test_a_uid_of_a_finished_job_is_not_given_to_another(tmp_path: Path, looks: list[Snapshot]) -> None:
    past = Past(tmp_path, "a3", SHORT)
    (place,) = (path for path in past.root.rglob(past.model.word) if path.is_dir())
    copy = tmp_path / "SyftBox/datasites" / SCIENTIST / "app_data/code-queue/jobs/pending" / past.model.word
    copy.parent.mkdir(parents=True)
    copy.mkdir()
    (copy / "metadata.json").write_bytes((place / "metadata.json").read_bytes())
    for full in ([], ["--full"]):
        past.owner.scq("check", *full)
        ids = [job["id"] for job in past.owner.json("list")["jobs"]]
        assert len(ids) == len(set(ids))
