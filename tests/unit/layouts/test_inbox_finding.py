"""Generation C: finding jobs by names only, cheaply, and following no link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scq.model import JobRef
from tests.unit.layouts.inbox_trees import (
    DS,
    OWNER,
    QUEUE,
    approval,
    disk,
    keys,
    layout,
    only,
    put_job,
    put_state,
    sightings,
    whats,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "SyftBox"
    (folder / QUEUE).mkdir(parents=True)
    return folder


def test_identity_comes_from_the_path_alone(root: Path) -> None:
    put_job(root, "a job", name="../../other", submitter="second@example.net")
    tree = disk(root)
    (spot,) = layout.find(tree)
    assert spot.ref == JobRef("inbox-review", OWNER, "second@example.net", "a job")
    assert layout.read(tree, spot).name == "a job"


def test_the_same_name_in_both_protocols_and_of_two_people_is_many_jobs(root: Path) -> None:
    for key in ("same", "v1/same"):
        put_job(root, key)
        put_job(root, key, submitter="second@example.net")
    assert {(item.ref.key, item.submitter, item.layout) for item in sightings(root)} == {
        ("same", DS, "c0"),
        ("v1/same", DS, "c1"),
        ("same", "second@example.net", "c0"),
        ("v1/same", "second@example.net", "c1"),
    }


def test_an_unknown_protocol_is_reported_and_not_read(root: Path) -> None:
    put_job(root, "v2/new")
    put_job(root, "v0/odd")
    put_job(root, f"v{'9' * 40}/far")
    put_job(root, "known")
    tree = disk(root)
    assert [spot.ref.key for spot in layout.find(tree)] == ["known"]
    reported = {problem.where.rpartition("/")[2]: problem.what for problem in tree.problems}
    assert reported["v2"] == "protocol v2 is newer than this scq"
    assert reported["v0"] == "protocol v0 is not known to this scq"
    assert "newer than this scq" in reported["v" + "9" * 40]


@pytest.mark.parametrize("name", ["v1", "v2", "v10"])
def test_a_flat_job_called_like_a_protocol_is_a_job(root: Path, name: str) -> None:
    put_job(root, name)
    put_state(root, name, status="approved")
    sighting = only(root)
    assert (sighting.name, sighting.layout, sighting.observed) == (name, "c0", "approved")
    assert layout.locate(disk(root), sighting.ref) is not None


def test_a_flat_job_called_v1_that_only_the_review_knows_is_a_job(root: Path) -> None:
    review = put_state(root, "v1", status="done", return_code=0)
    (review / "outputs/deep").mkdir(parents=True)
    (review / "outputs/state.yaml").write_text("status: approved\n")
    assert [(item.ref.key, item.observed) for item in sightings(root)] == [("v1", "completed")]


def test_results_that_look_like_a_state_are_no_job(root: Path) -> None:
    """The outputs of a flat job called v1 lie where a job called `outputs` of protocol 1 would."""
    put_job(root, "v1/real")
    review = put_state(root, "v1", status="done")
    (review / "outputs").mkdir()
    (review / "outputs/state.yaml").write_text("status: approved\n")
    assert keys(root) == ["v1", "v1/real"]


def test_a_job_known_only_from_the_review_is_found(root: Path) -> None:
    put_state(root, status="done", return_code=0)
    put_state(root, "v1/two", status="rejected")
    found = {item.ref.key: item for item in sightings(root)}
    assert (found["count rows"].observed, found["v1/two"].observed) == ("completed", "rejected")
    assert "no longer in the inbox" in whats(found["count rows"])
    assert found["count rows"].path == f"{QUEUE}/inbox/{DS}/count rows"
    assert found["count rows"].flags == ()


def test_a_review_folder_without_state_is_not_a_job(root: Path) -> None:
    review = put_state(root, status="done")
    (review / "state.yaml").unlink()
    assert keys(root) == []
    assert layout.locate(disk(root), JobRef("inbox-review", OWNER, DS, "count rows")) is None


@pytest.mark.parametrize("place", ["app_data", "app_data/job", "app_data/job/inbox", "app_data/job/review"])
def test_a_structure_folder_that_is_a_link_is_reported_and_not_followed(root: Path, tmp_path: Path, place: str) -> None:
    put_job(root)
    put_state(root, status="approved")
    moved = tmp_path / "elsewhere"
    (root / OWNER / place).rename(moved)
    (root / OWNER / place).symlink_to(moved)
    tree = disk(root)
    found = [layout.read(tree, spot) for spot in layout.find(tree)]
    assert [problem.where for problem in tree.problems] == [f"{OWNER}/{place}"]
    assert "links are not followed" in tree.problems[0].what
    # what the other side knows is still shown: never an approval out of a linked review folder
    assert [item.observed for item in found] == {"inbox": ["approved"], "review": ["received"]}.get(place.rpartition("/")[2], [])


@pytest.mark.parametrize("part", ["", DS, f"{DS}/v1", f"{DS}/v1/job"])
@pytest.mark.parametrize("side", ["inbox", "review"])
def test_a_known_job_behind_a_link_is_not_located_there(root: Path, tmp_path: Path, side: str, part: str) -> None:
    put_job(root, "v1/job")
    put_state(root, "v1/job", status="approved")
    ref = JobRef("inbox-review", OWNER, DS, "v1/job")
    place = root / QUEUE / side / part
    moved = tmp_path / "elsewhere"
    place.rename(moved)
    place.symlink_to(moved)
    spot = layout.locate(disk(root), ref)
    other = {"inbox": "review", "review": "inbox"}[side]
    assert spot is not None
    assert spot.places == (f"{QUEUE}/{other}/{DS}/v1/job",)


@pytest.mark.parametrize("key", ["..", "v1/..", "a/../b", "", "v1/", "bad\udcff", "x\0"])
def test_a_reference_that_leaves_its_folder_is_not_located(root: Path, key: str) -> None:
    put_job(root)
    assert layout.locate(disk(root), JobRef("inbox-review", OWNER, DS, key)) is None


def test_jobs_below_the_datasites_folder_are_found_too(root: Path) -> None:
    put_job(root, home=f"datasites/{OWNER}")
    put_job(root, "v1/two", home=f"datasites/{OWNER}")
    put_state(root, home=f"datasites/{OWNER}", status="pending")
    found = sightings(root)
    assert [(item.owner, item.ref.key, item.observed) for item in found] == [
        (OWNER, "count rows", "pending"),
        (OWNER, "v1/two", "received"),
    ]
    assert found[0].path == f"datasites/{QUEUE}/inbox/{DS}/count rows"
    assert found[0].review_path == f"datasites/{QUEUE}/review/{DS}/count rows"
    spot = layout.locate(disk(root), found[0].ref)
    assert spot is not None
    assert spot.places[0] == found[0].path


def test_an_older_inbox_below_datasites_is_left_to_its_own_layout(root: Path) -> None:
    job = root / f"datasites/{OWNER}/app_data/job/inbox/odd@name"
    (job / "code").mkdir(parents=True)
    (job / "config.yaml").write_text("name: odd@name\n")
    (root / f"datasites/{OWNER}/app_data/job/inbox/plain/code").mkdir(parents=True)
    assert keys(root) == []
    assert layout.target(str(root), OWNER) is None


def test_a_job_in_both_homes_is_read_once_and_reported(root: Path) -> None:
    put_job(root)
    put_job(root, home=f"datasites/{OWNER}")
    tree = disk(root)
    assert [spot.places for spot in layout.find(tree)] == [(f"{QUEUE}/inbox/{DS}/count rows",)]
    assert [problem.where for problem in tree.problems] == [f"datasites/{QUEUE}/inbox/{DS}/count rows"]
    again = disk(root, full=False)
    (ref,) = [spot.ref for spot in layout.find(again)]
    located = layout.locate(again, ref)
    assert located is not None
    assert located.places == (f"{QUEUE}/inbox/{DS}/count rows",)


HOSTILE_NAMES = ["line\nbreak", "\x1b[31mred", "b\u202eidi", "[a-z]*?", ".hidden", "config.yaml", " ", "-rf", "日" * 85, "a b"]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_folder_name_is_only_a_name(root: Path, name: str) -> None:
    put_job(root, name)
    put_job(root, f"v1/{name}")
    for sighting in sightings(root):
        assert sighting.name == name
        layout.decide(str(root), sighting, approval())
    assert [(item.observed, item.name) for item in sightings(root)] == [("approved", name)] * 2


def test_names_that_are_not_utf8_are_reported_and_disturb_nobody(root: Path) -> None:
    put_job(root)
    os.mkdir(os.fsencode(root / QUEUE / "inbox" / DS) + b"/bad\xff")
    os.mkdir(os.fsencode(root / QUEUE / "inbox") + b"/who\xff")
    tree = disk(root)
    assert [spot.ref.key for spot in layout.find(tree)] == ["count rows"]
    assert len(tree.problems) == 2


def test_an_incremental_look_over_many_finished_jobs_costs_a_handful_of_lstats(root: Path) -> None:
    for number in range(200):
        put_job(root, f"flat {number}")
        put_state(root, f"flat {number}", status="done")
        put_job(root, f"v1/job {number}")
        put_state(root, f"v1/job {number}", status="done")
    first = disk(root)
    assert len(list(layout.find(first))) == 400
    second = disk(root, full=False, known=first.folders)
    assert list(layout.find(second)) == []
    assert second.opens == 0
    assert second.lstats < 15


def test_an_incremental_look_finds_what_is_new_on_either_side(root: Path) -> None:
    put_job(root, "old")
    put_job(root, "v1/old")
    first = disk(root)
    assert len(list(layout.find(first))) == 2
    for add in (lambda: put_job(root, "v1/new"), lambda: put_job(root, "new"), lambda: put_state(root, "v1/r", status="done")):
        known = disk(root)
        list(layout.find(known))
        add()
        fresh = disk(root, full=False, known=known.folders)
        located = [spot for found in layout.find(fresh) if (spot := layout.locate(fresh, found.ref))]
        assert {"v1/new", "new", "v1/r"} & {spot.ref.key for spot in located}


def test_a_flat_job_called_v1_is_found_when_its_config_arrives_after_its_folder_was_listed(root: Path) -> None:
    folder = put_job(root, "v1")
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").unlink()
    known = disk(root)
    list(layout.find(known))
    (folder / "config.yaml").write_text(config)
    fresh = disk(root, full=False, known=known.folders)
    assert [spot.ref.key for spot in layout.find(fresh)] == ["v1"]


def test_a_job_called_like_a_file_of_a_job_hides_no_other(root: Path) -> None:
    for name in ("config.yaml", "state.yaml", "fine"):
        put_job(root, f"v1/{name}")
        put_state(root, f"v1/{name}", status="pending")
    assert keys(root) == ["v1/config.yaml", "v1/fine", "v1/state.yaml"]
    assert all(layout.locate(disk(root), JobRef("inbox-review", OWNER, DS, key)) for key in keys(root))


def test_a_protocol_folder_that_became_a_job_holds_no_others(root: Path) -> None:
    folder = put_job(root, "v1/inner")
    (folder.parent / "config.yaml").write_text("name: v1\n")
    tree = disk(root)
    assert [spot.ref.key for spot in layout.find(tree)] == ["v1"]
    assert layout.locate(tree, JobRef("inbox-review", OWNER, DS, "v1/inner")) is None
    assert "extra_entries" in only(root).flags


def test_a_submission_whose_config_arrives_last_changes_its_stamp(root: Path) -> None:
    """Its parent folder does not change then, so it has to be remembered from the beginning."""
    folder = put_job(root)
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").unlink()
    tree = disk(root)
    (spot,) = layout.find(tree)
    before = layout.stamp(tree, spot)
    assert layout.read(tree, spot).observed == "incomplete"
    (folder / "config.yaml").write_text(config)
    assert layout.stamp(tree, spot) != before
    assert layout.read(tree, spot).observed == "received"
