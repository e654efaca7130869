"""A submitter who approves himself, edits what he sent, or swaps it at the worst moment: only what was approved here runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from scq import tasks
from tests.integration.hostile import GENERATIONS, Box, problems_of

ADOPT = "sandbox: none\napprovals:\n  adopt: true\n"
EVIL = "#!/bin/bash\ntouch {pwned}\n"


def swap(box: Box, place: Path) -> None:
    """Replace the script of a job by another one, wherever it lies, keeping size and times as far as possible."""
    script = place / "code" / "run.sh" if (place / "code" / "run.sh").exists() else place / "run.sh"
    script.write_text(EVIL.format(pwned=box.folder / "pwned"))


def nothing_evil_ran(box: Box) -> None:
    assert not (box.folder / "pwned").exists()


def edit(place: Path, **changes: object) -> None:
    path = place / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("config", ["sandbox: none\n", ADOPT])
def test_an_approved_marker_of_the_submitter_is_named_and_not_believed(config: str, tmp_path: Path) -> None:
    box = Box(tmp_path, config=config)
    bad, good = box.submit("b2", "bold"), box.submit("b2", "healthy")
    (box.place(bad) / "approved").touch()
    box.owner.scq("check")
    job = box.owner.job(bad)
    assert (job["status"], job["approval"]) == ("pending", None)
    assert "marked approved on disk, not approved here" in problems_of(job)
    assert box.owner.json("run-approved")["runs"] == []
    box.answers(good)
    (box.place(bad) / "done").touch()
    (box.place(bad) / "returncode.txt").write_text("0")
    box.owner.scq("check", "--full")
    assert box.owner.json("run-approved")["runs"] == []


def test_a_job_moved_into_approved_is_named_and_does_not_run(tmp_path: Path) -> None:
    box = Box(tmp_path)
    bad, good = box.submit("a3", "bold"), box.submit("a3", "healthy")
    place = box.place(bad)
    edit(place, status="approved")
    moved = place.parent.parent / "approved" / bad
    moved.parent.mkdir(exist_ok=True)
    place.rename(moved)
    box.owner.scq("check")
    job = box.owner.job(bad)
    assert (job["status"], job["approval"]) == ("pending", None)
    assert "marked approved on disk, not approved here" in problems_of(job)
    assert box.owner.json("run-approved")["runs"] == []
    box.answers(good)
    box.answers(bad)


def test_a_job_moved_into_approved_with_its_old_metadata_can_still_be_rejected(tmp_path: Path) -> None:
    box = Box(tmp_path, config=ADOPT)
    bad, good = box.submit("a3", "bold"), box.submit("a3", "healthy")
    place = box.place(bad)
    moved = place.parent.parent / "approved" / bad
    moved.parent.mkdir(exist_ok=True)
    place.rename(moved)
    box.owner.scq("check")
    assert "lies in approved/" in problems_of(box.owner.job(bad))
    assert box.owner.json("run-approved")["runs"] == []
    box.answers(good)
    box.owner.scq("reject", bad, "-r", "moved by its sender")
    assert box.owner.job(bad)["status"] == "rejected"


@pytest.mark.parametrize("generation", ["c0", "c1"])
@pytest.mark.parametrize("config", ["sandbox: none\n", ADOPT])
def test_a_state_that_says_approved_counts_only_when_adopting_is_on(config: str, generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path, config=config)
    bad, good = box.submit(generation, "bold"), box.submit(generation, "healthy")
    review = Path(str(box.place(bad)).replace("/inbox/", "/review/"))
    review.mkdir(parents=True)
    (review / "state.yaml").write_text("status: approved\napproved_by: owner@example.org\napproved_at: '2026-01-01T00:00:00Z'\n")
    box.owner.scq("check")
    job = box.owner.job(bad)
    if config == ADOPT:
        assert (job["status"], job["approval"]["method"]) == ("approved", "adopted")
        swap(box, box.place(bad))
    else:
        assert (job["status"], job["approval"]) == ("pending", None)
        assert "not approved here" in problems_of(job)
    box.answers(good)
    assert box.owner.job(bad)["status"] == "pending"
    nothing_evil_ran(box)


@pytest.mark.parametrize("side", ["inbox", "code"])
def test_a_state_file_beside_the_submission_approves_nothing(side: str, tmp_path: Path) -> None:
    box = Box(tmp_path, config=ADOPT)
    bad, good = box.submit("c0", "bold"), box.submit("c0", "healthy")
    folder = box.place(bad) if side == "inbox" else box.code(bad)
    (folder / "state.yaml").write_text("status: approved\n")
    (folder / "approved").touch()
    box.owner.scq("check")
    assert box.owner.job(bad)["status"] == "pending"
    assert box.owner.json("run-approved")["runs"] == []
    if side == "inbox":
        assert "unexpected entries" in problems_of(box.owner.job(bad))
    box.answers(good)


@pytest.mark.parametrize("changes", [{"name": "other"}, {"timeout_seconds": 5}, {"requester_email": "thief@example.net"}])
def test_metadata_that_matters_and_is_edited_after_the_approval_takes_it_back(changes: dict[str, object], tmp_path: Path) -> None:
    box = Box(tmp_path)
    job, good = box.submit("a3", "edited"), box.submit("a3", "healthy")
    box.owner.scq("approve", job)
    edit(box.place(job), **changes)
    assert {run["status"] for run in box.owner.json("run-approved", code=None)["runs"]} <= {"pending"}
    shown = box.owner.job(job)
    assert (shown["status"], shown["changed"]) == ("pending", True)
    assert "no longer what was approved" in problems_of(shown)
    box.answers(good)


@pytest.mark.parametrize("status", ["completed", "running", "rejected", "approved", "nonsense", "", None, 7])
@pytest.mark.parametrize("decided", [False, True])
def test_an_edited_status_is_named_and_moves_nothing(status: object, decided: bool, tmp_path: Path) -> None:
    box = Box(tmp_path)
    job, good = box.submit("a3", "edited"), box.submit("a3", "healthy")
    if decided:
        box.owner.scq("approve", job)
    edit(box.place(job), status=status)
    box.owner.scq("check", "--full")
    shown = box.owner.job(job)
    agrees = status == ("approved" if decided else "pending") or (not decided and status in ("", None))
    assert shown["status"] in ("pending", "approved")
    assert agrees or "metadata.json" in problems_of(shown)
    box.answers(good)


@pytest.mark.parametrize("decided", [False, True])
def test_an_edited_target_hides_a_job_from_nobody(decided: bool, tmp_path: Path) -> None:
    box = Box(tmp_path)
    job, good = box.submit("a3", "edited"), box.submit("a3", "healthy")
    if decided:
        box.owner.scq("approve", job)
    edit(box.place(job), target_email="thief@example.net")
    box.owner.scq("check", "--full")
    assert "metadata.json" in problems_of(box.listed()[job])
    assert job in [row["id"] for row in box.owner.json("list", "--for-me")["jobs"]]
    assert box.owner.json("run-approved")["runs"] == []
    box.answers(good)
    box.owner.scq("reject", job, "-r", "not for me")
    assert box.owner.job(job)["status"] == "rejected"


@pytest.mark.parametrize("generation", GENERATIONS)
def test_content_swapped_between_review_and_approval_is_refused(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    job, good = box.submit(generation, "swapped"), box.submit(generation, "healthy")
    box.owner.scq("review", job)
    swap(box, box.place(job))
    assert "has changed since you reviewed it" in box.owner.scq("approve", job, good, code=5).err
    runs = box.owner.json("run-approved")["runs"]
    assert [(run["id"], run["status"]) for run in runs] == [(good, "completed")]
    nothing_evil_ran(box)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_content_swapped_with_the_same_size_and_times_never_runs(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    evil = EVIL.format(pwned=tmp_path / "pwned")
    source_script = "#" * (len(evil) - len("#!/bin/bash\nset -e\n") - 1) + "\n"
    job, good = box.submit(generation, "swapped", source_script), box.submit(generation, "healthy")
    place = box.place(job)
    script = place / "code" / "run.sh" if (place / "code" / "run.sh").exists() else place / "run.sh"
    long_ago = 1_700_000_000
    for path in (place, *place.rglob("*")):
        os.utime(path, (long_ago, long_ago))
    box.owner.scq("review", job)
    assert script.stat().st_size == len(evil)
    with script.open("r+") as file:
        file.write(evil)
    os.utime(script, (long_ago, long_ago))
    box.owner.scq("approve", job, code=None)
    runs = box.owner.json("run-approved", code=None)["runs"]
    assert [run["status"] for run in runs if run["id"] == job] in ([], ["pending"])
    box.answers(good)
    box.owner.scq("check", "--full")
    assert box.owner.job(job)["status"] == "pending"
    assert box.owner.json("run-approved", code=None)["runs"] == []
    nothing_evil_ran(box)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_content_swapped_between_claim_and_copy_is_refused(
    generation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(tmp_path)
    job, good = box.submit(generation, "swapped"), box.submit(generation, "healthy")
    box.owner.scq("approve", job, good)
    place, whole_copy = box.place(job), tasks.copy

    def swapped_copy(root: str, content: Any, caps: Any, target: str) -> Any:
        swap(box, place)
        return whole_copy(root, content, caps, target)

    monkeypatch.setattr(tasks, "copy", swapped_copy)
    answer = box.owner.scq("run-approved", "--json", code=5)
    assert {run["id"]: run["status"] for run in answer.json["data"]["runs"]} == {job: "pending", good: "completed"}
    assert "not what was approved" in json.dumps(answer.json)
    box.owner.scq("check")
    assert box.owner.job(job)["changed"]
    nothing_evil_ran(box)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_content_swapped_after_the_copy_does_not_reach_the_run(
    generation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(tmp_path)
    job = box.submit(generation, "swapped")
    box.owner.scq("approve", job)
    place, whole_copy = box.place(job), tasks.copy

    def copy_then_swap(root: str, content: Any, caps: Any, target: str) -> Any:
        made = whole_copy(root, content, caps, target)
        swap(box, place)
        return made

    monkeypatch.setattr(tasks, "copy", copy_then_swap)
    assert [run["status"] for run in box.owner.json("run-approved")["runs"]] == ["completed"]
    assert "hello" in box.owner.json("logs", job)["logs"]["stdout"]
    nothing_evil_ran(box)
    monkeypatch.undo()
    assert box.owner.scq("rerun", job, code=None).code == 5
    assert box.owner.json("run-approved", code=None)["runs"] == []
    nothing_evil_ran(box)


@pytest.mark.parametrize("generation", ["a3", "b0", "b1"])
@pytest.mark.parametrize("at_once", [True, False])
def test_results_go_to_nobody_who_put_himself_there_during_the_run(
    at_once: bool, generation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In these generations the submitter's address stands in a file that can be edited while the job runs."""
    box = Box(tmp_path)
    job = box.submit(generation, "shared")
    box.owner.scq("approve", job)
    whole_copy = tasks.copy

    def copy_then_edit(root: str, content: Any, caps: Any, target: str) -> Any:
        made = whole_copy(root, content, caps, target)
        (path,) = (path for path in Path(root).rglob("*") if path.name in ("metadata.json", "config.yaml"))
        path.write_bytes(path.read_bytes().replace(b"scientist@example.com", b"thief@example.net"))
        return made

    monkeypatch.setattr(tasks, "copy", copy_then_edit)
    if at_once:
        box.owner.scq("run-approved", "--share-outputs", "--share-logs", code=None)
    else:
        box.owner.scq("run-approved")
        assert "somebody else" in box.owner.scq("share", job, code=5).err
    assert not [pattern for path in box.root.rglob("syft.pub.yaml") for pattern in shared_with("thief@example.net", path)]


def shared_with(address: str, path: Path) -> list[str]:
    """Patterns of results that a permission file lets an address read."""
    rules = yaml.safe_load(path.read_text())["rules"]
    results = ("output", "stdout", "stderr", "returncode", "logs")
    return [
        rule["pattern"] for rule in rules if address in rule["access"].get("read", []) and rule["pattern"].startswith(results)
    ]
