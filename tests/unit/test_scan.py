"""One look at the queue folders: what is visited, what is taken from memory, what cannot be approved and why."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from scq import layouts, scan
from scq.digest import Caps
from scq.model import JobRef, Problem, SourceReport
from scq.scan import Memory, Snapshot, job_id
from scq.state import Record
from tests.making import sighting
from tests.people import OWNER, SCIENTIST, World

LATER_NS = 10_000_000_000
REF = JobRef("inbox-review", OWNER, SCIENTIST, "count")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def remembered(snapshot: Snapshot) -> dict[str, Record]:
    """What a look that found this would remember."""
    return {
        key: Record(
            seen.sighting.name,
            seen.sighting,
            "pending",
            first_seen_at=seen.sighting.submitted_at,  # type: ignore[arg-type]
            stamp=seen.stamp,
            content_stamp=seen.content_stamp,
            digest=seen.digest,
            invalid=seen.invalid,
        )
        for key, seen in snapshot.seen.items()
    }


def look(
    root: object,
    alive: dict[str, Record] | None = None,
    finished: dict[str, Record] | None = None,
    folders: dict[str, str] | None = None,
    *,
    full: bool = True,
    caps: Caps = Caps(),  # noqa: B008 - immutable
) -> Snapshot:
    over = finished or {}
    memory = Memory(
        alive=alive or {},
        folders=folders or {},
        names=lambda folder: frozenset(),
        finished_keys=lambda: over.keys(),
        finished_record=over.get,
        is_unchanged=lambda key, stamp: False,
    )
    return scan.scan(str(root), OWNER, layouts.every("code-queue"), memory, caps, full=full, now_ns=time.time_ns() + LATER_NS)


def test_an_id_is_the_uid_or_made_of_the_reference() -> None:
    assert job_id(REF, "f00d") == "f00d"
    made = job_id(REF, None)
    assert made == job_id(REF, None) != job_id(JobRef("inbox-review", OWNER, SCIENTIST, "other"), None)
    assert job_id(REF, "f00d", {"f00d"}) == made, "a uid that is taken is not given twice"


def test_the_id_of_a_reference_never_changes() -> None:
    assert job_id(REF, None) == "a5dad5ca-2238-56db-b714-ea44bf5fa1e0"


@pytest.mark.parametrize("root", ["", "/nothing/here"])
def test_a_root_that_cannot_be_read_shows_nothing_and_misses_nothing(root: str) -> None:
    found = look(root, {"key": Record("x", sighting(), "pending", sighting().submitted_at)}, folders={"a": "b"})  # type: ignore[arg-type]
    assert (found.seen, found.missing, found.folders) == ({}, frozenset(), {"a": "b"})
    assert found.source == SourceReport("local", False, False)
    assert found.problems[0].advice


@pytest.mark.parametrize("layout", ["a3", "b2", "c0", "c1"])
def test_what_did_not_change_is_neither_parsed_nor_hashed_again(world: World, layout: str) -> None:
    world.submit(layout=layout, note__txt="one")
    first = look(world.root)
    again = look(world.root, remembered(first))
    assert first.opens > 0
    assert again.opens == 0
    assert [seen.digest for seen in again.seen.values()] == [seen.digest for seen in first.seen.values()]


def test_what_changed_is_hashed_again(world: World) -> None:
    world.submit(note__txt="one")
    first = look(world.root)
    (note,) = world.root.rglob("note.txt")
    note.write_text("two")
    again = look(world.root, remembered(first))
    (before,), (after,) = first.seen.values(), again.seen.values()
    assert after.digest not in (None, before.digest)


def test_a_moment_old_stamps_are_not_trusted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.submit()
    monkeypatch.setattr("tests.unit.test_scan.LATER_NS", 0)
    (seen,) = look(world.root).seen.values()
    assert (seen.stamp, seen.content_stamp) == ("", "")
    assert seen.digest


def test_jobs_that_are_over_are_visited_by_full_looks_only(world: World) -> None:
    world.submit()
    memory = remembered(look(world.root))
    assert look(world.root, finished=memory, full=False).seen == {}
    assert look(world.root, finished=memory, full=True).seen.keys() == memory.keys()


def test_a_living_job_is_visited_although_its_folder_did_not_change(world: World) -> None:
    world.submit()
    first = look(world.root)
    again = look(world.root, remembered(first), folders=first.folders, full=False)
    assert again.seen.keys() == first.seen.keys()
    assert look(world.root, folders=first.folders, full=False).seen == {}


def test_a_living_job_that_is_gone_is_missing(world: World) -> None:
    uid = world.submit("gone", layout="a3")
    world.submit("stays", layout="a3")
    memory = remembered(look(world.root))
    world.place(uid).rename(world.folder / "aside")
    found = look(world.root, memory, full=False)
    assert len(found.missing) == len(found.seen) == 1
    assert found.source.complete


def test_when_every_job_is_gone_at_once_none_is_believed_gone(world: World) -> None:
    for name in ("one", "two"):
        world.submit(name, layout="a3")
    memory = remembered(look(world.root))
    found = look(world.folder / "code", memory)
    assert (found.missing, found.source) == (frozenset(), SourceReport("local", True, False))
    assert "shows none of the 2 jobs" in found.problems[0].what


def test_the_last_job_may_go(world: World) -> None:
    world.submit(layout="a3")
    memory = remembered(look(world.root))
    assert look(world.folder / "code", memory).missing == memory.keys()


def test_a_memory_of_an_unknown_layout_is_left_alone(world: World) -> None:
    strange = sighting(family="from-the-future")
    memory = {"key": Record("x", strange, "pending", strange.submitted_at)}  # type: ignore[arg-type]
    assert look(world.root, memory).missing == frozenset()


def test_jobs_of_others_are_seen_but_not_hashed(world: World) -> None:
    world.submit()
    memory = Memory({}, {}, lambda folder: frozenset(), lambda: frozenset(), lambda key: None, lambda key, stamp: False)
    found = scan.scan(
        str(world.root), SCIENTIST, layouts.every("code-queue"), memory, Caps(), full=True, now_ns=time.time_ns() + LATER_NS
    )
    (seen,) = found.seen.values()
    assert (seen.digest, seen.content_stamp) == (None, "")
    assert seen.stamp


def test_a_submission_that_cannot_be_run_says_why_and_has_no_digest(world: World) -> None:
    uid = world.submit(note__txt="one")
    os.mkfifo(world.place(uid) / "code/pipe")
    (seen,) = look(world.root).seen.values()
    assert (seen.digest, seen.invalid, seen.content_stamp) == (None, ("code/pipe: is a FIFO",), "")
    (capped,) = look(world.root, caps=Caps(files=1)).seen.values()
    assert any("more than 1 files" in reason for reason in capped.invalid)


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({"observed": "incomplete"}, ("it has not arrived completely yet", "r")),
        ({"observed": "damaged"}, ("r",)),
        ({"observed": "damaged", "problems": (Problem("w", "is odd"),)}, ("is odd", "r")),
        ({"flags": ("inconsistent",), "problems": (Problem("w", "differ"),)}, ("differ", "r")),
        ({"flags": ("name_differs",), "problems": (Problem("w", "differ"),)}, ("r",)),
    ],
)
def test_doubts_of_the_layout_are_reasons_too(fields: dict[str, object], reasons: tuple[str, ...]) -> None:
    assert scan._refusals(sighting(**fields), ("r",)) == reasons  # type: ignore[arg-type]


def test_damage_nobody_explained_is_still_a_reason() -> None:
    assert scan._refusals(sighting("damaged"), ()) == ("its folders are damaged",)


def test_the_newest_time_of_a_stamp() -> None:
    assert scan._newest("1:2:30:81a4|1:2:50:81a4|-|v1") == 50
    assert scan._newest("-") == 0


def test_jobs_that_are_over_and_unchanged_are_only_named(world: World) -> None:
    world.submit()
    over = remembered(look(world.root))
    memory = Memory(
        alive={},
        folders={},
        names=lambda folder: frozenset(),
        finished_keys=over.keys,
        finished_record=over.get,
        is_unchanged=lambda key, stamp: over[key].stamp == stamp,
    )
    parts = layouts.every("code-queue")
    now_ns = time.time_ns() + LATER_NS
    found = scan.scan(str(world.root), OWNER, parts, memory, Caps(), full=True, now_ns=now_ns, changes_only=True)
    assert (found.seen, found.unchanged, found.opens) == ({}, over.keys(), 0)
