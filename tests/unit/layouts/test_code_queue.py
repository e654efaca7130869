"""Reading the code queue: trees of the real peers, strange files, and what a look costs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scq.errors import ConfigError
from scq.layouts.code_queue import CodeQueue
from scq.layouts.code_queue_flat import CodeQueueFlat
from scq.model import JobRef, Sighting
from scq.ports import Layout
from scq.tree import DiskTree
from tests.golden import AVAILABLE, expected, materialise, scenarios

OWNER, SUBMITTER = "owner@example.org", "scientist@example.com"
UID = "11111111-2222-4333-8444-555555555555"
JOBS = f"datasites/{OWNER}/app_data/code-queue/jobs"
LATER = 10**20
"""A clock far ahead: no folder is too young to be remembered."""


def metadata(**changes: Any) -> dict[str, Any]:
    fields = {
        "uid": UID,
        "name": "Row count",
        "requester_email": SUBMITTER,
        "target_email": OWNER,
        "code_folder": "/srv/elsewhere/code",
        "description": None,
        "created_at": "2026-11-21T08:35:18.772414",
        "timeout_seconds": 86400,
        "tags": ["stats"],
        "status": "pending",
        "updated_at": "2026-11-21T08:35:18",
        "logs": None,
    }
    return {**fields, **changes}


def make_job(root: Path, stage: str = "pending", uid: str = UID, person: str = OWNER, **changes: Any) -> Path:
    job = root / f"datasites/{person}/app_data/code-queue/jobs/{stage}/{uid}"
    (job / "code").mkdir(parents=True)
    (job / "code/run.sh").write_text("#!/bin/bash\necho hello\n")
    (job / "metadata.json").write_text(json.dumps(metadata(**{"uid": uid, "status": stage, **changes}), indent=2))
    return job


def look(root: Path, me: str = OWNER, layout: Layout | None = None) -> list[Sighting]:
    queue = layout or CodeQueue()
    tree = DiskTree(str(root), me)
    return [queue.read(tree, spot) for spot in queue.find(tree)]


def only(root: Path, me: str = OWNER, layout: Layout | None = None) -> Sighting:
    [sighting] = look(root, me, layout)
    return sighting


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in sorted(root.rglob("*"))}


# trees of the real peers


@pytest.mark.skipif(not AVAILABLE, reason="the golden trees are not at hand")
def test_the_golden_trees_of_all_four_generations_are_found() -> None:
    assert len(scenarios("a0", "a1", "a2", "a3")) == 32


@pytest.mark.parametrize("scenario", scenarios("a0", "a1", "a2", "a3"))
def test_every_golden_tree_is_read_as_expected(scenario: str, tmp_path: Path) -> None:
    root = materialise(scenario, tmp_path)
    want = expected(scenario)
    before = snapshot(root)
    tree = DiskTree(str(root), want["viewer"])
    found: dict[str, tuple[Layout, Sighting]] = {}
    layouts: tuple[Layout, ...] = (CodeQueue(), CodeQueueFlat())
    for queue in layouts:
        for spot in queue.find(tree):
            assert spot.ref.key not in found
            assert queue.locate(tree, spot.ref) == spot
            found[spot.ref.key] = queue, queue.read(tree, spot)
    assert sorted(found) == sorted(job["uid"] for job in want["jobs"])
    for job in want["jobs"]:
        queue, sighting = found[job["uid"]]
        generation = {"a2": "a1"}.get(want["generation"][:2], want["generation"][:2])
        assert sighting.layout == generation
        compare(job, sighting)
        compare_results(job, queue, tree, sighting)
    assert tree.problems == []
    assert snapshot(root) == before


def compare(job: dict[str, Any], sighting: Sighting) -> None:
    assert sighting.observed == job["status"]
    assert sighting.uid == sighting.ref.key == job["uid"]
    assert sighting.path == job["dir"]
    if job.get("name") is not None:
        assert (sighting.name, sighting.submitter, sighting.owner) == (job["name"], job["submitter"], job["datasite"])
    plain: dict[str, object] = {"peer_status": sighting.peer_status, "error_message": sighting.error, "reason": sighting.reason}
    plain |= {"timeout_seconds": sighting.timeout_s, "exit_code": sighting.exit_code}
    for key, value in plain.items():
        if key in job:
            assert (key, value) == (key, job[key])
    assert ("damaged" in sighting.flags) == job.get("damaged", False)
    assert ("inconsistent" in sighting.flags) == job.get("inconsistent", False)
    assert bool(sighting.problems) == any(key in job for key in ("damaged", "inconsistent")) or job["status"] == "incomplete"
    places = [sighting.path, *sighting.ghosts]
    wanted = job.get("places") or job.get("duplicate_dirs") or [job["dir"], *job.get("ghost_dirs", [])]
    assert sorted(places) == sorted(wanted)


def compare_results(job: dict[str, Any], queue: Layout, tree: DiskTree, sighting: Sighting) -> None:
    results = queue.results(tree, sighting)
    if "outputs" in job:
        assert list(results.outputs) == job["outputs"]
    if job.get("has_log"):
        assert results.logs == (f"{sighting.path}/execution.log",)
    if "code_files" in job:
        content = queue.content(sighting)
        names = [name for name in tree.files(content.base) if os.path.basename(name) not in content.ignore]
        assert names == job["code_files"]


@pytest.mark.skipif(not AVAILABLE, reason="the golden trees are not at hand")
def test_results_of_a_job_that_was_moved_into_itself_are_shown_as_strays(tmp_path: Path) -> None:
    root = materialise("a3-code-queue-0.1.27/expired-while-running", tmp_path)
    sighting = only(root)
    stray = CodeQueue().results(DiskTree(str(root), OWNER), sighting).stray
    assert stray == (f"{sighting.path}/{sighting.uid}/output/half.txt",)


@pytest.mark.skipif(not AVAILABLE, reason="the golden trees are not at hand")
def test_who_decided_is_read_from_the_error_text_of_the_flat_form(tmp_path: Path) -> None:
    root = materialise("a0-code-queue-0.1.0/approved-and-rejected", tmp_path)
    decided = {job.name: (job.decided_by, job.reason) for job in look(root, layout=CodeQueueFlat())}
    assert decided == {"Row count": (OWNER, "Looks safe"), "Second": (OWNER, "Too broad")}


# who may be believed


@pytest.mark.parametrize(
    ("stage", "me", "believed"),
    [("pending", OWNER, False), ("approved", OWNER, True), ("approved", SUBMITTER, False), ("approved", OWNER.upper(), True)],
)
def test_a_status_is_the_owners_word_only_in_the_own_datasite_outside_pending(
    tmp_path: Path, stage: str, me: str, believed: bool
) -> None:
    make_job(tmp_path, stage)
    assert only(tmp_path, me).owner_only is believed


def test_an_approval_in_the_submitters_datasite_is_flagged_as_untrusted(tmp_path: Path) -> None:
    make_job(tmp_path, "approved", person=SUBMITTER)
    sighting = only(tmp_path)
    assert (sighting.layout, sighting.owner, sighting.submitter) == ("a1", OWNER, SUBMITTER)
    assert not sighting.owner_only
    assert "untrusted_approval" in sighting.flags


def test_the_requester_is_part_of_what_is_approved(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    queue = CodeQueue()
    before = queue.content(only(tmp_path))
    (job / "metadata.json").write_text(json.dumps(metadata(requester_email="second@example.net")))
    assert queue.content(only(tmp_path)).fields != before.fields
    fields = (("name", "Row count"), ("requester_email", SUBMITTER), ("timeout_seconds", "86400"))
    assert before.fields == (*fields, ("tags", "stats")), "tags choose the data a job may read"
    (job / "metadata.json").write_text(json.dumps(metadata(tags=[])))
    assert queue.content(only(tmp_path)).fields == fields


@pytest.mark.parametrize("who", ["*", "*@example.com", "USER", "a b@example.com", "a@b@c", "x@y\n", "@{{.UserEmail}}", 7, None])
def test_a_requester_that_is_no_plain_address_is_nobody(tmp_path: Path, who: object) -> None:
    make_job(tmp_path, requester_email=who)
    sighting = only(tmp_path)
    assert sighting.submitter == ""
    assert "damaged" in sighting.flags
    assert [problem.what for problem in sighting.problems] == ["has no usable requester_email"]


def test_a_job_to_oneself_is_told_apart_by_what_later_releases_make(tmp_path: Path) -> None:
    make_job(tmp_path, requester_email=OWNER)
    assert only(tmp_path).layout == "a1"
    (tmp_path / JOBS / "timedout").mkdir()
    assert only(tmp_path).layout == "a3"


# strange files


def fifo(path: Path) -> None:
    os.mkfifo(path)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(50 << 20)


def secret_link(path: Path) -> None:
    secret = path.parents[8] / "secret.json"
    secret.write_text(json.dumps(metadata(name="secret")))
    path.symlink_to(secret)


STRANGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "cut off": lambda path: path.write_text('{"uid": "1111'),
    "a list": lambda path: path.write_text("[1, 2]"),
    "a number": lambda path: path.write_text("7"),
    "not UTF-8": lambda path: path.write_bytes(b'{"name": "\xff"}'),
    "deeply nested": lambda path: path.write_text("[" * 100_000),
    "50 MB": sparse,
    "a FIFO": fifo,
    "a link to a secret": secret_link,
    "a dangling link": lambda path: path.symlink_to("nowhere"),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("stage", ["pending", "approved", "failed"])
def test_strange_metadata_is_damage_of_that_job_only(tmp_path: Path, kind: str, stage: str) -> None:
    other = "99999999-2222-4333-8444-555555555555"
    make_job(tmp_path / "box", "pending", other)
    path = make_job(tmp_path / "box", stage) / "metadata.json"
    path.unlink()
    STRANGE[kind](path)
    found = {sighting.ref.key: sighting for sighting in look(tmp_path / "box")}
    assert (found[UID].observed, found[UID].flags, found[UID].name) == (stage, ("damaged",), UID)
    [problem] = found[UID].problems
    assert problem.where == f"{JOBS}/{stage}/{UID}/metadata.json"
    assert problem.what
    assert problem.advice
    assert str(tmp_path) not in problem.what
    assert (found[other].observed, found[other].problems) == ("pending", ())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout_seconds", "soon"),
        ("timeout_seconds", -5),
        ("timeout_seconds", True),
        ("timeout_seconds", 10**30),
        ("created_at", "yesterday"),
        ("created_at", 12),
        ("updated_at", "9999-12-31T23:59:59-23:00"),
        ("tags", "stats"),
        ("description", ["x"]),
        ("exit_code", "0"),
        ("logs", 5),
        ("error_message", {}),
        ("status", 4),
    ],
)
def test_a_field_of_the_wrong_type_is_named_and_the_rest_is_read(tmp_path: Path, field: str, value: object) -> None:
    make_job(tmp_path, "pending", UID, OWNER, **{field: value})
    sighting = only(tmp_path)
    assert (sighting.name, sighting.observed) == ("Row count", "pending")
    assert "damaged" not in sighting.flags
    assert [problem.what for problem in sighting.problems] == [f"has no usable {field}"]


@pytest.mark.parametrize("field", ["name", "requester_email", "target_email"])
@pytest.mark.parametrize("value", [None, ["x"], 5, {}])
def test_a_job_without_a_field_that_peers_need_is_damaged(tmp_path: Path, field: str, value: object) -> None:
    make_job(tmp_path, "pending", UID, OWNER, **{field: value})
    sighting = only(tmp_path)
    assert sighting.flags == ("damaged",)
    assert [problem.what for problem in sighting.problems] == [f"has no usable {field}"]


def test_times_far_in_the_future_are_read_as_they_are(tmp_path: Path) -> None:
    make_job(tmp_path, created_at="2999-01-01T00:00:00Z", updated_at="2999-01-01T00:00:00+02:00")
    sighting = only(tmp_path)
    assert sighting.submitted_at == datetime(2999, 1, 1, tzinfo=UTC)
    assert sighting.updated_at == datetime(2998, 12, 31, 22, tzinfo=UTC)
    assert sighting.problems == ()


def test_text_that_cannot_be_stored_is_cut_and_cleaned(tmp_path: Path) -> None:
    make_job(tmp_path, name="\u202eevil\x1b[31m" + "x" * 50_000)
    assert len(only(tmp_path).name) == 10_000


def test_a_folder_without_metadata_is_still_arriving(tmp_path: Path) -> None:
    (make_job(tmp_path) / "metadata.json").unlink()
    sighting = only(tmp_path)
    assert (sighting.observed, sighting.flags, sighting.owner) == ("incomplete", ("half_arrived",), OWNER)


def test_a_folder_whose_metadata_says_something_else_is_inconsistent(tmp_path: Path) -> None:
    make_job(tmp_path, "approved", status="completed", uid=UID)
    sighting = only(tmp_path)
    assert (sighting.observed, sighting.peer_status, sighting.flags) == ("approved", "completed", ("inconsistent",))


def test_a_uid_in_the_metadata_never_replaces_the_folder_name(tmp_path: Path) -> None:
    path = make_job(tmp_path) / "metadata.json"
    path.write_text(json.dumps(metadata(uid="../../../etc")))
    sighting = only(tmp_path)
    assert sighting.uid == sighting.ref.key == UID
    assert "name_differs" in sighting.flags


def test_the_best_of_several_folders_is_the_one_with_code_that_got_furthest(tmp_path: Path) -> None:
    make_job(tmp_path, "pending")
    make_job(tmp_path, "completed")
    ghost = make_job(tmp_path, "failed")
    (ghost / "code/run.sh").unlink()
    (ghost / "code").rmdir()
    (tmp_path / JOBS / "running" / UID).mkdir(parents=True)
    sighting = only(tmp_path)
    assert sighting.path == f"{JOBS}/completed/{UID}"
    assert sorted(sighting.ghosts) == [f"{JOBS}/{stage}/{UID}" for stage in ("failed", "pending", "running")]


def test_links_in_place_of_folders_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    make_job(outside, "approved")
    box = tmp_path / "box"
    (box / JOBS).mkdir(parents=True)
    (box / JOBS / "approved").symlink_to(outside / JOBS / "approved")
    (box / JOBS / "pending").mkdir()
    (box / JOBS / "pending" / UID).symlink_to(outside / JOBS / "approved" / UID)
    linked = box / "datasites/x@example.org"
    linked.mkdir()
    (linked / "app_data").symlink_to(outside / f"datasites/{OWNER}/app_data")
    assert look(box) == []
    tree = DiskTree(str(box), OWNER)
    assert CodeQueue().locate(tree, JobRef("code-queue", OWNER, "", UID)) is None


def test_hidden_folders_and_files_are_no_jobs(tmp_path: Path) -> None:
    make_job(tmp_path)
    (tmp_path / JOBS / "pending/.draft.tmp").mkdir()
    (tmp_path / JOBS / "pending/notes.txt").write_text("x")
    (tmp_path / JOBS / "strange" / "uid").mkdir(parents=True)
    assert only(tmp_path).ref.key == UID


@pytest.mark.parametrize("ref", [JobRef("code-queue", "..", "", UID), JobRef("code-queue", OWNER, "", "../pending")])
def test_a_reference_that_leaves_its_folder_is_never_located(tmp_path: Path, ref: JobRef) -> None:
    make_job(tmp_path)
    tree = DiskTree(str(tmp_path), OWNER)
    assert CodeQueue().locate(tree, ref) is None
    assert CodeQueueFlat().locate(tree, ref) is None


def test_a_job_that_moves_while_it_is_read_is_followed(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    queue, tree = CodeQueue(), DiskTree(str(tmp_path), OWNER)
    [spot] = queue.find(tree)
    (tmp_path / JOBS / "approved").mkdir()
    job.rename(tmp_path / JOBS / "approved" / UID)
    assert queue.read(tree, spot).observed == "approved"


def test_a_job_that_vanishes_while_it_is_read_is_incomplete_and_not_an_error(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    queue, tree = CodeQueue(), DiskTree(str(tmp_path), OWNER)
    [spot] = queue.find(tree)
    job.rename(tmp_path / "away")
    assert queue.read(tree, spot).observed == "incomplete"
    assert queue.locate(tree, spot.ref) is None


def test_a_neighbouring_queue_of_another_product_is_reported_once(tmp_path: Path) -> None:
    make_job(tmp_path)
    (tmp_path / f"datasites/{OWNER}/app_data/syft-queues/q").mkdir(parents=True)
    tree = DiskTree(str(tmp_path), OWNER)
    for queue in (CodeQueue(), CodeQueueFlat(), CodeQueue()):
        list(queue.find(tree))
    [problem] = tree.problems
    assert "not supported" in problem.what


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a\0b"])
@pytest.mark.parametrize("kind", [CodeQueue, CodeQueueFlat])
def test_a_queue_name_that_is_no_folder_name_is_refused(kind: type[CodeQueue], name: str) -> None:
    with pytest.raises(ConfigError):
        kind(name)


def test_another_queue_name_is_looked_for_under_that_name(tmp_path: Path) -> None:
    make_job(tmp_path)
    (tmp_path / f"datasites/{OWNER}/app_data/code-queue").rename(tmp_path / f"datasites/{OWNER}/app_data/mine")
    assert look(tmp_path) == []
    assert only(tmp_path, layout=CodeQueue("mine")).ref.key == UID


# exit codes


@pytest.mark.parametrize(
    ("logs", "code"),
    [
        ("STDOUT:\nExit Code: 9\n\n\nSTDERR:\n\n\nExit Code: 3\nCompleted: now", 3),
        ("Exit Code: -1\nCompleted: now", -1),
        ("x" * 100_000 + "\nExit Code: 0\nCompleted: now", 0),
        ("Exit Code: many", None),
        ("Exit Code: ²", None),
        ("Exit Code: 99999999999999999999999", None),
        ("", None),
    ],
)
def test_the_exit_code_is_that_of_the_last_line_that_names_one(tmp_path: Path, logs: str, code: int | None) -> None:
    make_job(tmp_path, "failed", logs=logs)
    assert only(tmp_path).exit_code == code


def test_the_exit_code_field_comes_first_and_the_log_file_last(tmp_path: Path) -> None:
    job = make_job(tmp_path, "failed", logs=None)
    (job / "execution.log").write_text("STDOUT:\n\nExit Code: 4\nCompleted: now")
    assert only(tmp_path).exit_code == 4
    (job / "metadata.json").write_text(json.dumps(metadata(status="failed", exit_code=5)))
    assert only(tmp_path).exit_code == 5


def test_a_log_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (make_job(tmp_path, "failed") / "execution.log").write_bytes(b"\xff")
    sighting = only(tmp_path)
    assert sighting.exit_code is None
    assert [problem.where for problem in sighting.problems] == [f"{sighting.path}/execution.log"]


def test_a_running_job_shows_when_something_of_it_last_changed(tmp_path: Path) -> None:
    job = make_job(tmp_path, "running")
    (job / "execution.log").write_text("Job: x\n")
    for name in ("metadata.json", "execution.log"):
        os.utime(job / name, (1_000_000, 1_000_000))
    os.utime(job / "execution.log", (2_000_000, 2_000_000))
    sighting = only(tmp_path)
    assert sighting.updated_at == datetime.fromtimestamp(2_000_000, UTC)
    assert sighting.flags == ("running",)


# stamps and cost


def test_the_stamp_changes_with_everything_that_is_read(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    queue, tree = CodeQueue(), DiskTree(str(tmp_path), OWNER)

    def stamp() -> str:
        [spot] = queue.find(tree)
        return queue.stamp(tree, spot)

    seen = [stamp()]
    assert stamp() == seen[0]
    (job / "metadata.json").write_text(json.dumps(metadata(name="Another")))
    seen.append(stamp())
    (job / "code").rename(job / "elsewhere")
    seen.append(stamp())
    (job / UID).mkdir()
    seen.append(stamp())
    (tmp_path / JOBS / "running").mkdir()
    job.rename(tmp_path / JOBS / "running" / UID)
    seen.append(stamp())
    (tmp_path / JOBS / "running" / UID / "execution.log").write_text("x")
    seen.append(stamp())
    assert len(set(seen)) == len(seen)


def test_an_idle_look_costs_the_same_for_many_finished_jobs(tmp_path: Path) -> None:
    for number in range(300):
        make_job(tmp_path, "completed", f"{number:08}-2222-4333-8444-555555555555")
    first = DiskTree(str(tmp_path), OWNER, now_ns=LATER)
    assert len([*CodeQueue().find(first), *CodeQueueFlat().find(first)]) == 300
    again = DiskTree(str(tmp_path), OWNER, full=False, known_folders=first.folders, now_ns=LATER)
    assert [*CodeQueue().find(again), *CodeQueueFlat().find(again)] == []
    assert again.lstats < 20
    assert again.opens == 0


def test_a_full_sweep_takes_two_lstats_per_finished_job_and_opens_nothing(tmp_path: Path) -> None:
    count = 200
    for number in range(count):
        make_job(tmp_path, "completed", f"{number:08}-2222-4333-8444-555555555555")
    queue, tree = CodeQueue(), DiskTree(str(tmp_path), OWNER)
    stamps = {queue.stamp(tree, spot) for spot in queue.find(tree)}
    assert len(stamps) == count
    assert tree.lstats <= 2 * count + 20
    assert tree.opens == 0


# the flat form


def make_flat(root: Path, **changes: Any) -> Path:
    job = root / JOBS / UID
    (job / "code").mkdir(parents=True)
    (job / "code/run.sh").write_text("#!/bin/bash\n")
    job.with_suffix(".json").write_text(json.dumps(metadata(**{"requester_email": OWNER, **changes}), indent=2))
    return job


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_metadata_of_the_flat_form_is_damage(tmp_path: Path, kind: str) -> None:
    path = make_flat(tmp_path / "box").with_suffix(".json")
    path.unlink()
    STRANGE[kind](path)
    sighting = only(tmp_path / "box", layout=CodeQueueFlat())
    assert (sighting.observed, sighting.flags) == ("damaged", ("damaged",))
    assert sighting.problems[0].where == f"{JOBS}/{UID}.json"


@pytest.mark.parametrize("status", ["unheard-of", 5, ""])
def test_an_unknown_status_of_the_flat_form_is_damage_and_never_pending(tmp_path: Path, status: object) -> None:
    make_flat(tmp_path, status=status)
    sighting = only(tmp_path, layout=CodeQueueFlat())
    assert (sighting.observed, sighting.flags) == ("damaged", ("damaged",))
    assert sighting.problems


def test_an_approval_of_the_flat_form_is_never_the_owners_word(tmp_path: Path) -> None:
    make_flat(tmp_path, status="approved")
    sighting = only(tmp_path, layout=CodeQueueFlat())
    assert (sighting.observed, sighting.owner_only) == ("approved", False)


def test_a_flat_job_is_found_by_its_uid_alone_and_status_folders_are_not_flat_jobs(tmp_path: Path) -> None:
    make_flat(tmp_path).with_suffix(".json").unlink()
    make_job(tmp_path, "pending", "99999999-2222-4333-8444-555555555555")
    (tmp_path / JOBS / "notes").mkdir()
    sighting = only(tmp_path, layout=CodeQueueFlat())
    assert (sighting.ref.key, sighting.observed) == (UID, "incomplete")
    assert only(tmp_path).ref.key.startswith("99999999")


def test_a_link_in_place_of_a_flat_job_shows_nothing_of_what_is_behind_it(tmp_path: Path) -> None:
    job = make_flat(tmp_path / "box", status="failed", logs=None)
    outside = tmp_path / "outside"
    job.rename(outside)
    (outside / "execution.log").write_text("Exit Code: 3")
    (outside / "output").mkdir()
    (outside / "output/secret.txt").write_text("x")
    job.symlink_to(outside)
    sighting = only(tmp_path / "box", layout=CodeQueueFlat())
    assert (sighting.observed, sighting.flags, sighting.exit_code) == ("failed", ("damaged",), None)
    results = CodeQueueFlat().results(DiskTree(str(tmp_path / "box"), OWNER), sighting)
    assert (results.outputs, results.logs, results.stray) == ((), (), ())


def test_a_link_inside_a_job_shows_no_strays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    for folder in ("output", "outputs"):
        (outside / folder).mkdir(parents=True)
        (outside / folder / "secret.txt").write_text("x")
    job = make_job(tmp_path / "box", "completed")
    (job / UID).symlink_to(outside)
    (job / "code/run.sh").unlink()
    (job / "code").rmdir()
    (job / "code").symlink_to(outside)
    queue = CodeQueue()
    sighting = only(tmp_path / "box")
    assert (sighting.flags, sighting.ghosts) == (("damaged",), ())
    assert queue.results(DiskTree(str(tmp_path / "box"), OWNER), sighting).stray == ()


def test_the_stamp_of_a_flat_job_changes_with_everything_that_is_read(tmp_path: Path) -> None:
    job = make_flat(tmp_path)
    queue, tree = CodeQueueFlat(), DiskTree(str(tmp_path), OWNER)

    def stamp() -> str:
        [spot] = queue.find(tree)
        return queue.stamp(tree, spot)

    seen = [stamp()]
    assert stamp() == seen[0]
    job.with_suffix(".json").write_text(json.dumps(metadata(status="running")))
    seen.append(stamp())
    (job / "execution.log").write_text("x")
    seen.append(stamp())
    (job / "code").rename(job / "elsewhere")
    seen.append(stamp())
    assert len(set(seen)) == len(seen)


def test_what_is_odd_about_a_flat_job_is_flagged(tmp_path: Path) -> None:
    job = make_flat(tmp_path, status="approved", uid="another", target_email="other@example.net")
    assert only(tmp_path, layout=CodeQueueFlat()).flags == ("name_differs", "untrusted_approval")
    job.with_suffix(".json").write_text(json.dumps(metadata(status="running")))
    os.utime(job.with_suffix(".json"), (1_000_000, 1_000_000))
    sighting = only(tmp_path, layout=CodeQueueFlat())
    assert (sighting.flags, sighting.updated_at) == (("running",), datetime.fromtimestamp(1_000_000, UTC))
    (job / "code").rename(job / "elsewhere")
    assert only(tmp_path, layout=CodeQueueFlat()).flags == ("damaged", "running")


def test_a_flat_queue_that_did_not_change_is_passed_over(tmp_path: Path) -> None:
    make_flat(tmp_path)
    first = DiskTree(str(tmp_path), OWNER, now_ns=LATER)
    assert len(list(CodeQueueFlat().find(first))) == 1
    again = DiskTree(str(tmp_path), OWNER, full=False, known_folders=first.folders, now_ns=LATER)
    assert list(CodeQueueFlat().find(again)) == []
