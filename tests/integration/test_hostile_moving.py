"""Jobs that appear, change or vanish while they are being read: every call ends, and what holds still is answered."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scq import digest, files, scan
from scq.layouts.code_queue import CodeQueue
from scq.layouts.inbox_review import InboxReview
from scq.layouts.job_markers import JobMarkers
from scq.tree import DiskTree
from tests.integration.hostile import GENERATIONS, Box, Careful

LAYOUTS: dict[str, Any] = {"a3": CodeQueue, "b2": JobMarkers, "c0": InboxReview, "c1": InboxReview}
VERBS = [("check",), ("check", "--full"), ("list",), ("pending",), ("status",), ("run-approved",)]


def vanish(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)


def become_a_file(place: Path) -> None:
    vanish(place)
    place.write_text("no folder any more")


def become_a_link(place: Path) -> None:
    vanish(place)
    place.symlink_to(place.parent)


def lose_its_code(place: Path) -> None:
    for path in (place / "code", place / "run.sh"):
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)


def grow(place: Path) -> None:
    with (place / "note.txt" if (place / "note.txt").exists() else place / "code" / "note.txt").open("a") as file:
        file.write("x" * 100_000)


def swap_for_pipes(place: Path) -> None:
    for path in [path for path in place.rglob("*") if path.is_file()]:
        path.unlink()
        os.mkfifo(path)


CHANGES = [vanish, become_a_file, become_a_link, lose_its_code, grow, swap_for_pipes]


def once_before(patch: pytest.MonkeyPatch, owner: Any, name: str, act: Callable[[], None]) -> list[Callable[[], None]]:
    """Do something once, just before the first call of a method or function. The list is empty once it was done."""
    whole = getattr(owner, name)
    waiting = [act]

    def later(*arguments: Any, **named: Any) -> Any:
        while waiting:
            waiting.pop()()
        return whole(*arguments, **named)

    patch.setattr(owner, name, later)
    return waiting


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_job_that_changes_between_two_steps_of_a_look_stops_nothing(
    change: Callable[[Path], None], generation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [(LAYOUTS[generation], "stamp"), (LAYOUTS[generation], "read"), (LAYOUTS[generation], "content")]
    steps += [(DiskTree, "read_text"), (scan, "survey"), (scan, "manifest"), (digest, "_hash_file"), (digest, "digest_of")]
    box = Box(tmp_path)
    good = box.submit(generation, "healthy")
    box.owner.scq("check")
    for number, (owner, name) in enumerate(steps):
        moving = box.submit(generation, f"moving{number}")
        place = box.place(moving)
        with monkeypatch.context() as patch:
            waiting = once_before(patch, owner, name, partial(change, place))
            box.owner.scq("check", "--full")
        assert waiting == []
        assert box.owner.scq("approve", moving, code=None).code in (0, 1, 2, 5)
        shown = box.listed().get(moving)
        assert shown is None or shown["status"] in ("pending", "approved")
    box.answers(good)
    box.kept_its_secret()


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("change", [vanish, grow, swap_for_pipes])
@pytest.mark.parametrize("step", ["survey", "_hash_file", "digest_of"])
def test_a_job_that_changes_while_it_is_copied_for_its_run_does_not_run_changed(
    step: str, change: Callable[[Path], None], generation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(tmp_path)
    moving, good = box.submit(generation, "moving"), box.submit(generation, "healthy")
    box.owner.scq("approve", moving)
    box.owner.scq("check")
    place = box.place(moving)
    with monkeypatch.context() as patch:
        patch.setattr("scq.tasks.copy", changed_copy(patch, step, lambda: change(place)))
        runs = box.owner.json("run-approved", code=None)["runs"]
    (run,) = (run for run in runs if run["id"] == moving)
    assert run["status"] in ({"pending", "completed"} if step == "digest_of" else {"pending"}), (
        "only what was copied before may run"
    )
    box.answers(good)
    box.kept_its_secret()


def changed_copy(patch: pytest.MonkeyPatch, step: str, act: Callable[[], None]) -> Callable[..., Any]:
    """The copying of a submission in whose middle something happens."""
    whole = digest.copy

    def copy(*arguments: Any) -> Any:
        once_before(patch, digest, step, act)
        return whole(*arguments)

    return copy


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_job_that_appears_while_others_are_read_is_seen_by_the_next_look(
    generation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(tmp_path)
    first = box.submit(generation, "first")
    box.owner.scq("check")
    later: list[str] = []
    with monkeypatch.context() as patch:
        once_before(patch, LAYOUTS[generation], "read", lambda: later.append(box.submit(generation, "later")))
        (box.code(first) / "note.txt").write_text("changed")
        metadata = box.place(first) / ("metadata.json" if generation == "a3" else "config.yaml")
        os.utime(metadata, (1, 1))
        seen = {job["id"] for job in box.owner.json("check", "--full")["new_jobs"]}
    seen |= {job["id"] for job in box.owner.json("check")["new_jobs"]}
    assert seen == set(later)
    for job in (first, *later):
        box.answers(job)


@contextmanager
def hands_at_work(*work: Callable[[], None]) -> Iterator[None]:
    """Run some functions over and over beside the test."""
    over = threading.Event()

    def repeat(act: Callable[[], None]) -> None:
        while not over.is_set():
            act()

    threads = [threading.Thread(target=repeat, args=(act,), daemon=True) for act in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_submitter_who_never_holds_still_stops_nobody(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    restless, good = box.submit(generation, "restless"), box.submit(generation, "healthy")
    place = box.place(restless)
    aside = tmp_path / "aside"
    code = box.code(restless)

    def move_away_and_back() -> None:
        with suppress(FileNotFoundError):  # it held still for an approval, which moves an a3 job
            place.rename(aside)
            aside.rename(place)

    def scribble() -> None:
        for folder in (code, aside / code.relative_to(place)):
            if folder.is_dir():
                try:
                    files.write_atomic(str(folder / "note.txt"), os.urandom(40_000), sync=False)
                except OSError:
                    continue

    with hands_at_work(move_away_and_back, scribble):
        for _ in range(3):
            for verb in VERBS:
                box.owner.scq(*verb, code=None)
            Careful.scq(box.owner, "review", restless, code=None)
            Careful.scq(box.owner, "approve", restless, code=None)
        box.owner.scq("approve", good)
        box.owner.scq("run-approved", code=None)
    assert box.owner.job(good)["status"] == "completed"
    shutil.rmtree(aside, ignore_errors=True)
    box.owner.scq("check", "--full")
    box.owner.scq("audit", "show")
    box.kept_its_secret()
