"""What every generation that can be written promises: found once, read without writing, written so that repeating is harmless."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from scq.digest import Caps, manifest
from scq.errors import ScqError, UsageError
from scq.layouts import GENERATIONS, get
from scq.model import Decision, JobRef, Run, Sighting
from scq.ports import ResultSet
from scq.submitting import Source, Wishes, build
from scq.tree import DiskTree
from tests.making import NOW
from tests.people import OWNER, SCIENTIST, syftbox

SCRIPT = b"#!/bin/bash\necho hello\n"


class Queue:
    """One generation in one root."""

    def __init__(self, generation: str, root: Path) -> None:
        self.generation = generation
        self.root = str(root)
        self.layout = get(GENERATIONS[generation])

    def submit(self, name: str = "count rows") -> JobRef:
        source = Source("folder", {"run.sh": SCRIPT, "note.txt": b"read me\n"}, frozenset({"run.sh"}), "run.sh", "code")
        submission = build(source, Wishes(name, tags=("a",)), self.generation, OWNER, SCIENTIST, NOW)
        return self.layout.submit(self.root, self.generation, submission)

    def tree(self, full: bool = True, known: dict[str, str] | None = None) -> DiskTree:
        return DiskTree(self.root, OWNER, full=full, known_folders=known, now_ns=time.time_ns() + 10**11)

    def read(self, ref: JobRef) -> Sighting:
        tree = self.tree()
        spot = self.layout.locate(tree, ref)
        assert spot is not None
        return self.layout.read(tree, spot)

    def stamp(self, ref: JobRef) -> str:
        tree = self.tree()
        spot = self.layout.locate(tree, ref)
        assert spot is not None
        return self.layout.stamp(tree, spot)

    def snapshot(self) -> dict[str, Any]:
        """Every entry below the root with its content, to see what a step changed."""
        found: dict[str, Any] = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name)
                found[str(path.relative_to(self.root))] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def finished(self, tmp_path: Path, **fields: Any) -> ResultSet:
        outputs = tmp_path / "results"
        (outputs / "sub").mkdir(parents=True, exist_ok=True)
        (outputs / "sub" / "answer.txt").write_text("42\n")
        base: dict[str, Any] = {"phase": "ended", "cause": "exit", "exit_code": 0, "started_at": NOW, "finished_at": NOW}
        run = Run(attempt=1, digest="sha256:x", directory="r", claimed_at=NOW, **(base | fields))
        return ResultSet(run, str(outputs), b"out\n", b"err\n")


def approval(verdict: Any = "approve") -> Decision:
    return Decision(verdict=verdict, digest="sha256:x", by=OWNER, at=NOW, reason="because")


@pytest.fixture(params=sorted(GENERATIONS))
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Queue:
    return Queue(request.param, syftbox(tmp_path, OWNER, SCIENTIST))


def test_a_submitted_job_is_found_once_and_waits(queue: Queue) -> None:
    ref = queue.submit()
    assert [spot.ref for spot in queue.layout.find(queue.tree())] == [ref]
    seen = queue.read(ref)
    assert (seen.owner, seen.submitter, seen.name, seen.layout) == (OWNER, SCIENTIST, "count rows", queue.generation)
    assert seen.observed in ("pending", "received")
    assert seen.problems == ()


def test_other_families_do_not_claim_it(queue: Queue) -> None:
    queue.submit()
    for family in set(GENERATIONS.values()) - {GENERATIONS[queue.generation]}:
        assert list(get(family).find(queue.tree())) == []


def test_reading_writes_nothing(queue: Queue, tmp_path: Path) -> None:
    ref = queue.submit()
    before = queue.snapshot()
    seen = queue.read(ref)
    queue.layout.results(queue.tree(), seen)
    assert not manifest(queue.root, queue.layout.content(seen), Caps()).invalid
    assert queue.snapshot() == before


def test_the_stamp_stays_until_something_changes(queue: Queue) -> None:
    ref = queue.submit()
    first = queue.stamp(ref)
    assert queue.stamp(ref) == first
    queue.layout.decide(queue.root, queue.read(ref), approval())
    assert queue.stamp(ref) != first


def test_an_unchanged_folder_is_not_listed_again(queue: Queue) -> None:
    for number in range(20):
        queue.submit(f"job {number}")
    first = queue.tree()
    assert len(list(queue.layout.find(first))) == 20
    again = queue.tree(full=False, known=first.folders)
    assert list(queue.layout.find(again)) == []
    assert (again.lstats < 30, again.opens) == (True, 0)
    ref = queue.submit("one more")
    changed = queue.tree(full=False, known=first.folders)
    assert ref in [spot.ref for spot in queue.layout.find(changed)]


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_deciding_twice_changes_nothing_more(queue: Queue, verdict: Any) -> None:
    ref = queue.submit()
    queue.layout.decide(queue.root, queue.read(ref), approval(verdict))
    seen, before = queue.read(ref), queue.snapshot()
    queue.layout.decide(queue.root, seen, approval(verdict))
    assert queue.read(ref).observed == seen.observed
    assert queue.snapshot().keys() == before.keys()
    if verdict == "approve":
        assert seen.observed == "approved"
    elif queue.generation[0] != "b":
        assert (seen.observed, seen.reason or seen.error) == ("rejected", "because")


def test_deciding_and_running_do_not_change_the_content(queue: Queue) -> None:
    ref = queue.submit()
    seen = queue.read(ref)
    before = manifest(queue.root, queue.layout.content(seen), Caps()).digest
    queue.layout.decide(queue.root, seen, approval())
    queue.layout.begin(queue.root, queue.read(ref), Run(1, "sha256:x", "r", "claimed", NOW))
    assert manifest(queue.root, queue.layout.content(queue.read(ref)), Caps()).digest == before


@pytest.mark.parametrize(
    ("fields", "word", "code"),
    [({}, "completed", 0), ({"exit_code": 3}, "failed", 3), ({"cause": "timeout", "exit_code": None}, "failed", -1)],
)
def test_a_run_is_answered_and_answering_twice_is_harmless(
    queue: Queue, tmp_path: Path, fields: dict[str, Any], word: str, code: int
) -> None:
    ref = queue.submit()
    queue.layout.decide(queue.root, queue.read(ref), approval())
    results = queue.finished(tmp_path, **fields)
    queue.layout.begin(queue.root, queue.read(ref), results.run)
    queue.layout.finish(queue.root, queue.read(ref), results)
    before = queue.snapshot()
    queue.layout.finish(queue.root, queue.read(ref), results)
    assert queue.snapshot().keys() == before.keys()
    seen = queue.read(ref)
    assert (seen.observed, seen.exit_code) == (word, code)
    found = queue.layout.results(queue.tree(), seen)
    assert found.outputs == ("sub/answer.txt",)
    assert found.logs


def test_reopening_takes_the_results_away(queue: Queue, tmp_path: Path) -> None:
    ref = queue.submit()
    queue.layout.decide(queue.root, queue.read(ref), approval())
    queue.layout.finish(queue.root, queue.read(ref), queue.finished(tmp_path))
    for _ in range(2):
        queue.layout.reopen(queue.root, queue.read(ref))
    seen = queue.read(ref)
    assert seen.observed == "approved"
    assert queue.layout.results(queue.tree(), seen).outputs == ()


def test_results_are_private_until_they_are_shared(queue: Queue, tmp_path: Path) -> None:
    ref = queue.submit()
    queue.layout.decide(queue.root, queue.read(ref), approval())
    results = queue.finished(tmp_path)
    queue.layout.finish(queue.root, queue.read(ref), results)

    def readable() -> bool:
        rules = Path(queue.root).rglob("syft.pub.yaml")
        return any("outputs/**" in text or "output/**" in text for text in (path.read_text() for path in rules))

    assert not readable()
    for _ in range(2):
        queue.layout.share(queue.root, queue.read(ref), results, outputs=True, logs=True)
    assert readable()


def test_a_removed_job_is_gone_and_removing_twice_is_harmless(queue: Queue) -> None:
    ref, other = queue.submit(), queue.submit("neighbour")
    seen = queue.read(ref)
    for _ in range(2):
        queue.layout.remove(queue.root, seen)
    assert queue.layout.locate(queue.tree(), ref) is None
    assert [spot.ref for spot in queue.layout.find(queue.tree())] == [other]


@pytest.mark.parametrize("name", ["a/b", "..", "x\ny", "x" * 300, "v1", "a*b", ".hidden", ""])
def test_a_name_that_would_harm_a_peer_is_refused(queue: Queue, name: str) -> None:
    if GENERATIONS[queue.generation] == "code-queue" and name not in ("x\ny", ""):
        pytest.skip("the name is free text here, the folder is called by a uid")
    with pytest.raises(UsageError):
        queue.submit(name)


def test_a_name_that_is_taken_is_refused(queue: Queue) -> None:
    queue.submit()
    if GENERATIONS[queue.generation] == "code-queue":
        assert queue.submit().key
    else:
        with pytest.raises(UsageError):
            queue.submit()


def test_a_folder_replaced_by_a_link_is_not_written_through(queue: Queue, tmp_path: Path) -> None:
    ref = queue.submit()
    seen = queue.read(ref)
    outside = tmp_path / "outside"
    outside.mkdir()
    place = Path(queue.root, seen.path)
    place.rename(tmp_path / "moved")
    place.symlink_to(outside)
    if seen.review_path is not None:
        review = Path(queue.root, seen.review_path)
        review.parent.mkdir(parents=True, exist_ok=True)
        review.symlink_to(outside)
    assert queue.layout.locate(queue.tree(), ref) is None
    with contextlib.suppress(ScqError):
        queue.layout.finish(queue.root, seen, queue.finished(tmp_path))
    assert list(outside.iterdir()) == [], "where a generation answers elsewhere it may go on, but never through the link"
