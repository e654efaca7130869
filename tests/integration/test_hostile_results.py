"""Folders and files swapped for links, pipes or folders before results are written; a SyftBox that cannot be written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scq.executors.local import LocalExecutor
from tests.integration.hostile import GENERATIONS, SCRIPT, Bound, Box, Careful, in_time, needs_rights, problems_of

IN_THE_WAY: dict[str, Callable[[Path, Path], object]] = {
    "link out": lambda path, outside: path.symlink_to(outside),
    "dangling link out": lambda path, outside: path.symlink_to(outside / "new"),
    "FIFO": lambda path, outside: os.mkfifo(path),
    "file": lambda path, outside: path.write_text("in the way"),
}
RESULTS = {"a3": ("output", "execution.log"), "b2": ("outputs", "stdout.txt", "returncode.txt", "done", "syft.pub.yaml")}
RESULTS["c0"] = RESULTS["c1"] = ("outputs", "stdout.txt", "stderr.txt", "returncode.txt", "state.yaml", "syft.pub.yaml")


def answer_folder(box: Box, job: str) -> Path:
    return Path(str(box.place(job)).replace("/inbox/", "/review/"))


def before_publishing(monkeypatch: pytest.MonkeyPatch, act: Callable[[str], None]) -> None:
    """Do something once for each job, by its id: after it has ended and before its results are collected."""
    whole_run = LocalExecutor.run

    def run(self: LocalExecutor, tasks: Any, limit: int, ended: Callable[..., None]) -> None:
        def ended_later(task: Any, ending: Any) -> None:
            act(os.path.basename(task.directory)[:36])
            ended(task, ending)

        whole_run(self, tasks, limit, ended_later)

    monkeypatch.setattr(LocalExecutor, "run", run)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_what_lies_in_the_way_of_results_is_never_written_through(
    kind: str, generation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(tmp_path)
    jobs = {box.submit(generation, f"blocked-{name}"): name for name in RESULTS[generation]}
    good = box.submit(generation, "healthy")
    box.owner.scq("approve", *jobs)
    blocked: dict[str, Path] = {}

    def block(job: str) -> None:
        blocked[job] = answer_folder(box, job) / jobs[job]
        if blocked[job].exists():
            blocked[job].rename(tmp_path / f"aside-{job}")
        IN_THE_WAY[kind](blocked[job], box.outside)

    with monkeypatch.context() as patch:
        before_publishing(patch, block)
        said = box.owner.scq("run-approved", code=None)
    assert blocked.keys() == jobs.keys()
    waiting = [job for job in jobs if box.owner.job(job)["status"] != "completed"]
    assert said.err.count("results cannot be written") >= len(waiting)
    box.kept_its_secret()
    for job in waiting:
        blocked[job].unlink()
    box.owner.scq("run-approved", code=None)
    for job in jobs:
        assert box.owner.job(job)["status"] == "completed"
        assert [row["path"] for row in box.owner.json("output", job)["outputs"]] == ["answer.txt"]
    box.answers(good)
    box.kept_its_secret()


QUEUE = "datasites/owner@example.org/app_data/code-queue"
LEVELS = {
    "a3": [
        f"{QUEUE}/jobs/completed",
        f"{QUEUE}/jobs",
    ],
    "b2": ["owner@example.org/app_data/job/scientist@example.com", "owner@example.org/app_data/job"],
    "c0": ["owner@example.org/app_data/job/review/scientist@example.com", "owner@example.org/app_data/job/review"],
    "c1": ["owner@example.org/app_data/job/review/scientist@example.com/v1", "owner@example.org/app_data"],
}


@pytest.mark.parametrize(("generation", "level"), [(generation, level) for generation in LEVELS for level in (0, 1)])
def test_a_queue_folder_replaced_by_a_link_gets_no_results(
    generation: str, level: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(tmp_path)
    job = box.submit(generation, "moved")
    box.owner.scq("approve", job)
    folder = box.root / LEVELS[generation][level]

    aside = tmp_path / "aside"

    def replace(job: str) -> None:
        if folder.exists():
            folder.rename(aside)
        folder.symlink_to(box.outside)

    with monkeypatch.context() as patch:
        before_publishing(patch, replace)
        box.owner.scq("run-approved", code=None)
    box.owner.scq("check", "--full", code=None)
    box.owner.scq("list")
    box.kept_its_secret()
    folder.unlink()
    if aside.exists():
        aside.rename(folder)
    box.owner.scq("check", "--full")
    good = box.submit(generation, "healthy")
    box.answers(good)
    assert box.owner.job(job)["status"] == "completed"
    if not box.owner.json("output", job)["outputs"]:
        box.owner.scq("rerun", job)
        box.owner.scq("run-approved")
    assert [row["path"] for row in box.owner.json("output", job)["outputs"]] == ["answer.txt"]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_results_that_had_nowhere_to_go_are_named(generation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(tmp_path)
    job = box.submit(generation, "vanishing")
    box.owner.scq("approve", job)

    def vanish(job: str) -> None:
        for path in (box.root / "datasites" / box.owner.email, box.root / box.owner.email):
            path.rename(tmp_path / f"aside-{path.parent.name}")

    with monkeypatch.context() as patch:
        before_publishing(patch, vanish)
        said = box.owner.scq("run-approved", code=None)
    assert job[:8] in said.err


@pytest.mark.parametrize("generation", ["c0", "c1"])
def test_a_review_folder_that_is_a_link_is_named_before_anything_is_decided(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    job, good = box.submit(generation, "blocked"), box.submit(generation, "healthy")
    review = answer_folder(box, job)
    review.parent.mkdir(parents=True, exist_ok=True)
    review.symlink_to(box.outside)
    box.owner.scq("check")
    answer = box.owner.scq("approve", job, code=1)
    assert "a symbolic link" in answer.err
    assert "a symbolic link" in box.owner.scq("run-approved", code=None).err
    assert box.owner.job(job)["run"] is None
    box.answers(good)
    box.kept_its_secret()


def test_results_that_are_links_or_pipes_stay_behind(tmp_path: Path) -> None:
    for generation in GENERATIONS:
        box = Box(tmp_path / generation)
        steal = f'cd "${{OUTPUT_DIR:-outputs}}"\nln -s {box.secret} stolen\nln -s {box.outside} folder\nmkfifo pipe\n'
        steal += 'echo \'rules: [{pattern: "**", access: {read: ["*"]}}]\' > syft.pub.yaml\nchmod u+s answer.txt\n'
        job = box.submit(generation, "thief", SCRIPT + steal)
        good = box.submit(generation, "healthy")
        box.answers(job)
        left = box.owner.json("output", job)
        assert "stolen" not in str(left)
        box.owner.scq("share", job)
        (copied,) = (path for path in box.root.rglob("answer.txt") if path.parent.name.startswith("output"))
        assert copied.stat().st_mode & 0o6000 == 0
        box.answers(good)
        box.kept_its_secret()


@pytest.mark.parametrize("name", [".metadata.json", ".syft.pub.yaml"])
@pytest.mark.parametrize("make", [lambda path, theirs: os.mkfifo(path), lambda path, theirs: os.link(theirs, path)])
def test_a_temporary_name_that_is_taken_neither_blocks_nor_is_written_through(
    make: Callable[[Path, Path], None], name: str, tmp_path: Path
) -> None:
    box = Box(tmp_path)
    theirs = tmp_path / "theirs.txt"
    theirs.write_text("as it was")
    job, good = box.submit("a3", "guesser"), box.submit("a3", "healthy")
    make(box.place(job) / f"{name}.{os.getpid()}.tmp", theirs)
    with in_time(5):
        box.owner.scq("approve", job, code=None)
    assert theirs.read_text() == "as it was"
    box.answers(good)


@needs_rights
@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_syftbox_that_cannot_be_written_is_named_and_the_decision_waits(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path, Bound)
    job, late = box.submit(generation, "first"), box.submit(generation, "second")
    folders = [box.root, *(path for path in box.root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert box.owner.scq("check").err == ""
        box.owner.scq("review", job)
        answer = box.owner.scq("approve", job, code=1)
        assert "cannot be written (Permission denied)" in answer.err
        assert "will be done by the next call" in answer.err
        assert box.owner.job(job)["status"] == "approved"
        assert "cannot be written (Permission denied)" in box.owner.scq("run-approved", code=None).err
        assert box.owner.job(job)["run"] is None
        assert box.owner.scq("submit", box.owner.email, str(box.folder / "sources" / "first"), "--name", "third", code=1).err
    finally:
        for folder in folders:
            folder.chmod(0o755)
    box.owner.scq("run-approved", code=None)
    box.owner.scq("check")
    assert box.owner.job(job)["status"] == "completed"
    assert box.scientist.job(job)["status"] == "completed"
    box.answers(late)
    assert problems_of(box.owner.job(job)) == "[[], []]"
    assert isinstance(box.owner, Careful)
