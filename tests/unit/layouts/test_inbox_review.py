"""Generation C: every golden tree, hostile folders, and writing what the peers understand."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from scq.errors import IntegrityError, UsageError
from scq.layouts.inbox_review import InboxReview
from scq.model import Content, Decision, JobRef, Run, Sighting
from scq.permissions import rule
from scq.ports import Layout, ResultSet, Submission
from scq.tree import DiskTree
from tests import golden

OWNER, DS = "owner@example.org", "scientist@example.com"
QUEUE = f"{OWNER}/app_data/job"
NOW = datetime(2026, 11, 21, 9, 0, 0, 123456, UTC)
LOGS = ["stdout.txt", "stderr.txt", "returncode.txt"]
layout = InboxReview()


def disk(root: Path, *, full: bool = True, known: dict[str, str] | None = None) -> DiskTree:
    """A look one hour from now, so that no folder is too young to be remembered."""
    later = int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1e9)
    return DiskTree(str(root), OWNER, full=full, known_folders=known, now_ns=later)


def sightings(root: Path) -> list[Sighting]:
    tree = disk(root)
    return [layout.read(tree, spot) for spot in layout.find(tree)]


def only(root: Path) -> Sighting:
    found = sightings(root)
    assert len(found) == 1, [item.path for item in found]
    return found[0]


def whats(sighting: Sighting) -> str:
    return " / ".join(f"{problem.where}: {problem.what}" for problem in sighting.problems)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "SyftBox"
    (folder / QUEUE).mkdir(parents=True)
    return folder


CONFIG: dict[str, Any] = {
    "name": "count rows",
    "type": "bash",
    "submitted_at": "2026-11-21T08:37:15.600637Z",
    "entrypoint": None,
    "dependencies": [],
    "files": ["script.sh"],
    "headers": {},
}


def put_job(root: Path, key: str = "count rows", submitter: str = DS, home: str = OWNER, **config: Any) -> Path:
    """A sound submission in the inbox; returns its folder."""
    folder = root / home / "app_data/job/inbox" / submitter / key
    (folder / "code").mkdir(parents=True)
    (folder / "code/script.sh").write_text("echo 1\n")
    (folder / "run.sh").write_text("echo 1\n")
    name = key.rpartition("/")[2]
    (folder / "config.yaml").write_text(yaml.safe_dump({**CONFIG, "name": name, **config}))
    return folder


def put_state(root: Path, key: str = "count rows", submitter: str = DS, home: str = OWNER, **state: Any) -> Path:
    """A state.yaml with the given values; returns the review folder."""
    folder = root / home / "app_data/job/review" / submitter / key
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.yaml").write_text(yaml.safe_dump(state))
    return folder


# ---- the trees of the real peers


def report(root: Path, sighting: Sighting) -> dict[str, Any]:
    """A sighting in the words of expected.json."""
    result = layout.results(disk(root), sighting)
    submitted = sighting.submitted_at
    return {
        "name": sighting.name,
        "submitter": sighting.submitter,
        "datasite": sighting.owner,
        "peer_status": sighting.peer_status,
        "status": sighting.observed,
        "inbox_dir": sighting.path,
        "review_dir": sighting.review_path,
        "type": sighting.kind,
        "entrypoint": sighting.entrypoint,
        "submitted_at": submitted and submitted.isoformat().replace("+00:00", "Z"),
        "protocol": {"c0": "0", "c1": "1"}[sighting.layout],
        "reason": sighting.reason,
        "return_code": sighting.exit_code,
        "approval_method": sighting.approval_method,
        "outputs": sorted(result.outputs),
        "stray_outputs": sorted(result.stray),
        "logs": [path.rpartition("/")[2] for path in result.logs],
        "damaged": "damaged" in sighting.flags,
        "would_be": "incomplete" if "half_arrived" in sighting.flags else None,
    }


@pytest.mark.skipif(not golden.AVAILABLE, reason="golden trees are not at hand")
@pytest.mark.parametrize("scenario", golden.scenarios("c0a", "c0b", "c1"))
def test_golden_trees_are_read_as_their_peers_wrote_them(scenario: str, tmp_path: Path) -> None:
    expected = golden.expected(scenario)
    root = golden.materialise(scenario, tmp_path)
    found = {item.path: item for item in sightings(root)}
    for job in expected["jobs"]:
        sighting = found.pop(job["inbox_dir"])
        # whether a running job is orphaned is a question of time and asked elsewhere; config names are checked below
        known = {key: value for key, value in job.items() if key not in ("orphaned", "name_in_config")}
        for key in ("outputs", "stray_outputs"):
            if key in known:
                known[key] = sorted(known[key])
        seen = report(root, sighting)
        assert {key: seen[key] for key in known} == known
        assert ("running" in sighting.flags) == (job["status"] == "running")
        assert not job.get("orphaned") or "running" in sighting.flags
        assert ("name_differs" in sighting.flags) == ("name_in_config" in job or job["name"] == "v1")
        assert "inconsistent" not in sighting.flags
        assert sighting.owner_only
        assert msgspec.json.decode(msgspec.json.encode(sighting), type=Sighting) == sighting
    # a folder the peers do not see yet must be remembered, or its later arrival would be missed; it is not a job
    assert sorted(found) == expected.get("invisible_to_peer", [])
    assert {item.observed for item in found.values()} <= {"incomplete"}


@pytest.mark.skipif(not golden.AVAILABLE, reason="golden trees are not at hand")
@pytest.mark.parametrize("scenario", golden.scenarios("c0a", "c0b", "c1"))
def test_in_golden_trees_every_found_spot_can_be_located_again(scenario: str, tmp_path: Path) -> None:
    root = golden.materialise(scenario, tmp_path)
    tree = disk(root)
    spots = list(layout.find(tree))
    assert [layout.locate(tree, spot.ref) for spot in spots] == spots
    assert tree.problems == []
    assert layout.target(str(root), OWNER) == ("c1" if scenario.startswith("c1") and "v1" not in scenario else "c0")


@pytest.mark.skipif(not golden.AVAILABLE, reason="golden trees are not at hand")
@pytest.mark.parametrize("scenario", golden.scenarios("a", "b"))
def test_trees_of_other_generations_hold_no_such_jobs(scenario: str, tmp_path: Path) -> None:
    root = golden.materialise(scenario, tmp_path)
    tree = disk(root)
    assert list(layout.find(tree)) == []
    assert tree.problems == []
    assert layout.target(str(root), OWNER) is None


def test_it_is_a_layout() -> None:
    checked: Layout = layout
    assert (checked.family, checked.generations) == ("inbox-review", ("c0", "c1"))


# ---- finding


def keys(root: Path, **how: Any) -> list[str]:
    return [spot.ref.key for spot in layout.find(disk(root, **how))]


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


# ---- reading


def test_a_sound_submission_is_received_with_everything_it_says(root: Path) -> None:
    put_job(root, type="python", entrypoint="main.py", dependencies=["six", 5, "numpy"])
    sighting = only(root)
    assert sighting == Sighting(
        ref=JobRef("inbox-review", OWNER, DS, "count rows"),
        layout="c0",
        name="count rows",
        owner=OWNER,
        submitter=DS,
        path=f"{QUEUE}/inbox/{DS}/count rows",
        observed="received",
        peer_status="received",
        owner_only=True,
        submitted_at=datetime(2026, 11, 21, 8, 37, 15, 600637, UTC),
        updated_at=datetime(2026, 11, 21, 8, 37, 15, 600637, UTC),
        kind="python",
        entrypoint="main.py",
        dependencies=("six", "numpy"),
    )


def test_somebody_elses_review_folder_is_not_ours_to_trust(root: Path) -> None:
    put_job(root, home="other@example.org")
    assert not only(root).owner_only


@pytest.mark.parametrize(
    ("word", "observed"),
    [
        ("received", "received"),
        ("pending", "pending"),
        ("approved", "approved"),
        ("running", "running"),
        ("done", "completed"),
        ("failed", "failed"),
        ("rejected", "rejected"),
    ],
)
def test_each_word_is_understood(root: Path, word: str, observed: str) -> None:
    put_job(root)
    put_state(root, status=word)
    sighting = only(root)
    assert (sighting.observed, sighting.peer_status, sighting.problems) == (observed, word, ())
    assert sighting.review_path == f"{QUEUE}/review/{DS}/count rows"


def test_times_people_and_reasons_of_a_decision_are_read(root: Path) -> None:
    put_job(root)
    times = {"received_at": "2026-11-21T08:00:00Z", "approved_at": "2026-11-21T09:00:00Z", "completed_at": "2026-11-21T10:00:00Z"}
    put_state(root, status="done", approved_by=OWNER, review_reason="fine", approval_method="auto", return_code=0, **times)
    sighting = only(root)
    assert (sighting.decided_by, sighting.reason, sighting.approval_method) == (OWNER, "fine", "auto")
    assert sighting.decided_at == datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert sighting.finished_at == sighting.updated_at == datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert (sighting.exit_code, sighting.started_at) == (0, None)


def test_unquoted_times_are_read(root: Path) -> None:
    folder = put_job(root)
    (folder / "config.yaml").write_text("name: count rows\nsubmitted_at: 2026-11-21T08:00:00Z\n")
    sighting = only(root)
    assert sighting.submitted_at == datetime(2026, 11, 21, 8, tzinfo=UTC)
    assert sighting.kind == "python"


@pytest.mark.parametrize("value", [None, 5, "soon", "9999-12-31T23:59:59-14:00", [1], {}, True])
def test_a_senseless_time_is_a_problem_and_nothing_more(root: Path, value: object) -> None:
    put_job(root, submitted_at=value)
    sighting = only(root)
    assert (sighting.observed, sighting.submitted_at) == ("received", None)
    assert "no readable submission time" in whats(sighting)


def test_a_future_time_is_only_a_time(root: Path) -> None:
    put_job(root, submitted_at="2999-01-01T00:00:00Z")
    assert only(root).observed == "received"


def test_a_name_in_the_config_never_counts(root: Path) -> None:
    put_job(root, name="../../../escaped\n\x1b[31m")
    sighting = only(root)
    assert (sighting.name, sighting.flags) == ("count rows", ("name_differs",))
    assert "../../../escaped" in whats(sighting)


def test_our_own_values_come_back_from_the_headers(root: Path) -> None:
    put_job(root, headers={"scq": {"description": "what for", "tags": ["a", "b", 3], "timeout_s": 60}, "other": 1})
    sighting = only(root)
    assert (sighting.description, sighting.tags, sighting.timeout_s) == ("what for", ("a", "b"), 60)


@pytest.mark.parametrize("headers", [5, [], None, {"scq": 5}, {"scq": {"description": 5, "tags": "x", "timeout_s": "60"}}])
def test_headers_of_a_wrong_type_are_as_good_as_none(root: Path, headers: object) -> None:
    put_job(root, headers=headers)
    sighting = only(root)
    assert (sighting.description, sighting.tags, sighting.timeout_s, sighting.observed) == ("", (), None, "received")


@pytest.mark.parametrize("value", [0, -5, True, 1 << 70])
def test_a_senseless_time_limit_is_left_out(root: Path, value: object) -> None:
    put_job(root, headers={"scq": {"timeout_s": value}})
    assert only(root).timeout_s is None


def spoil(path: Path, how: str) -> None:
    """Put something in place of a file that no reader may choke on."""
    path.unlink()
    if how == "fifo":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    elif how == "link":
        secret = path.parents[3] / "secret"
        secret.write_text("status: approved\nname: secret\n")
        path.symlink_to(secret)
    elif how == "huge":
        with path.open("wb") as file:
            file.truncate(50 << 20)
    else:
        path.write_bytes(SPOILED[how])


SPOILED: dict[str, bytes] = {
    "empty": b"",
    "list": b"- status: approved\n",
    "text": b"approved\n",
    "torn": b"status: [appro",
    "not utf-8": b"status: approved\nname: \xff\n",
    "nul": b"status: approved\0",
    "deep": b"[" * 100_000,
    "tag": b"!!python/object/apply:os.system ['true']\n",
    "two": b"status: approved\n---\nstatus: done\n",
}
SPOILERS = [*SPOILED, "fifo", "folder", "link", "huge"]


@pytest.mark.parametrize("how", SPOILERS)
def test_a_spoiled_state_is_damage_and_never_an_approval(root: Path, how: str) -> None:
    put_job(root)
    review = put_state(root, status="approved")
    spoil(review / "state.yaml", how)
    put_job(root, "fine")
    found = {item.name: item for item in sightings(root)}
    assert found["fine"].observed == "received"
    spoiled = found["count rows"]
    assert (spoiled.observed, spoiled.peer_status, spoiled.flags) == ("damaged", None, ("damaged",))
    assert spoiled.problems[0].where == f"{QUEUE}/review/{DS}/count rows/state.yaml"
    assert spoiled.problems[0].advice
    msgspec.json.encode(spoiled)


@pytest.mark.parametrize("how", SPOILERS)
def test_a_spoiled_config_is_damage(root: Path, how: str) -> None:
    folder = put_job(root)
    spoil(folder / "config.yaml", how)
    put_job(root, "fine")
    found = {item.name: item for item in sightings(root)}
    assert found["fine"].observed == "received"
    spoiled = found["count rows"]
    assert (spoiled.observed, spoiled.name) == ("damaged", "count rows")
    assert "damaged" in spoiled.flags
    assert f"{QUEUE}/inbox/{DS}/count rows/config.yaml" in [problem.where for problem in spoiled.problems]
    msgspec.json.encode(spoiled)


@pytest.mark.parametrize("status", [None, 5, ["approved"], {"a": 1}, "", "Approved", "timedout", "x" * 5_000, "line\nbreak"])
def test_a_status_outside_the_seven_words_is_damage(root: Path, status: object) -> None:
    put_job(root)
    put_state(root, status=status)
    sighting = only(root)
    assert (sighting.observed, sighting.flags) == ("damaged", ("damaged",))
    assert len(whats(sighting)) < 500


@pytest.mark.parametrize("kind", ["sql", "", None, 5, ["bash"], "Bash", {"a": "b"}])
def test_a_job_type_outside_the_two_is_damage(root: Path, kind: object) -> None:
    put_job(root, type=kind)
    sighting = only(root)
    assert (sighting.observed, sighting.kind) == ("damaged", None)
    assert "job type" in whats(sighting)


def test_an_alias_bomb_is_harmless(root: Path) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(20)
    )
    folder = put_job(root)
    (folder / "config.yaml").write_text(f"{bomb}name: count rows\ntype: bash\ndependencies: *u\nheaders: {{scq: {{tags: *u}}}}\n")
    review = put_state(root, status="pending")
    (review / "state.yaml").write_text(f"{bomb}status: pending\nreview_reason: *u\n")
    sighting = only(root)
    assert (sighting.observed, sighting.dependencies, sighting.tags, sighting.reason) == ("pending", (), (), None)
    layout.decide(str(root), sighting, approval())
    assert only(root).observed == "approved"
    assert (review / "state.yaml").stat().st_size < 10_000


def test_wrong_types_in_a_state_are_left_out(root: Path) -> None:
    put_job(root)
    put_state(root, status="approved", approved_by=5, approved_at=[], review_reason={"a": 1}, approval_method=7, return_code="x")
    sighting = only(root)
    assert (sighting.observed, sighting.decided_by, sighting.decided_at) == ("approved", None, None)
    assert (sighting.reason, sighting.approval_method, sighting.exit_code) == (None, None, None)


def test_a_submitter_cannot_damage_what_is_already_over(root: Path) -> None:
    folder = put_job(root)
    for word, observed in (("done", "completed"), ("failed", "failed"), ("rejected", "rejected"), ("running", "running")):
        put_state(root, status=word, return_code=None)
        (folder / "config.yaml").write_text("[")
        sighting = only(root)
        assert sighting.observed == observed
        assert "damaged" in sighting.flags


@pytest.mark.parametrize("missing", ["code", "run.sh", "config.yaml"])
@pytest.mark.parametrize("word", [None, "received", "pending"])
def test_what_is_missing_may_still_arrive(root: Path, missing: str, word: str | None) -> None:
    folder = put_job(root)
    if word:
        put_state(root, status=word)
    if missing == "code":
        shutil.rmtree(folder / "code")
    else:
        (folder / missing).unlink()
    sighting = only(root)
    assert (sighting.observed, sighting.flags) == ("incomplete", ("half_arrived",))
    assert f"{missing} not there" in whats(sighting)
    assert sighting.peer_status == (word or "received")


def test_a_rejection_of_a_half_arrived_job_stays_a_rejection(root: Path) -> None:
    shutil.rmtree(put_job(root) / "code")
    put_state(root, status="rejected", review_reason="Expected …")
    sighting = only(root)
    assert (sighting.observed, sighting.reason, sighting.flags) == ("rejected", "Expected …", ("half_arrived",))


def test_what_happens_to_a_submission_after_its_run_is_no_news(root: Path) -> None:
    folder = put_job(root)
    put_state(root, status="done", return_code=0)
    (folder / "uv.lock").write_text("x")
    shutil.rmtree(folder / "code")
    sighting = only(root)
    assert (sighting.observed, sighting.flags, sighting.problems) == ("completed", (), ())


def test_entries_nobody_asked_for_are_named(root: Path) -> None:
    folder = put_job(root)
    (folder / ".hidden\x1b").write_text("x")
    with open(os.fsencode(folder) + b"/bad\xff", "w") as file:
        file.write("x")
    for number in range(10):
        (folder / f"more {number}").write_text("x")
    sighting = only(root)
    assert (sighting.observed, sighting.flags) == ("received", ("extra_entries",))
    assert "and 7 more" in whats(sighting)
    msgspec.json.encode(sighting)


def test_a_permission_file_in_a_submission_is_no_extra_entry(root: Path) -> None:
    (put_job(root) / "syft.pub.yaml").write_text("rules: []\n")
    assert only(root).flags == ()


@pytest.mark.parametrize("entry", ["run.sh", "code"])
@pytest.mark.parametrize("kind", ["link", "fifo", "swapped"])
def test_an_entry_of_the_wrong_kind_is_named(root: Path, entry: str, kind: str) -> None:
    path = put_job(root) / entry
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if kind == "link":
        path.symlink_to("/etc")
    elif kind == "fifo":
        os.mkfifo(path)
    elif entry == "code":
        path.write_text("x")
    else:
        path.mkdir()
    sighting = only(root)
    assert sighting.flags == ("extra_entries",)
    assert entry in whats(sighting)


@pytest.mark.parametrize(
    ("status", "code", "written", "exit_code", "inconsistent"),
    [
        ("done", 0, "0", 0, False),
        ("done", 0, " 0\n", 0, False),
        ("failed", 3, "3", 3, False),
        ("failed", -1, None, -1, False),
        ("failed", None, "7", 7, False),
        ("done", None, None, None, False),
        ("failed", 3, "4", 3, True),
        ("done", 0, "none", 0, True),
        ("done", 0, "", 0, True),
        ("done", 0, "٠", 0, True),
        ("done", 0, "9" * 5_000, 0, True),
        ("done", 5, "5", 5, True),
        ("approved", 3, "3", None, False),
        ("rejected", None, "3", None, False),
    ],
)
def test_return_codes_are_compared(
    root: Path, status: str, code: int | None, written: str | None, exit_code: int | None, inconsistent: bool
) -> None:
    put_job(root)
    review = put_state(root, status=status, return_code=code)
    if written is not None:
        (review / "returncode.txt").write_text(written)
    sighting = only(root)
    assert (sighting.exit_code, "inconsistent" in sighting.flags) == (exit_code, inconsistent)
    assert bool(sighting.problems) == inconsistent


def test_a_running_job_shows_when_its_files_last_changed(root: Path) -> None:
    put_job(root)
    review = put_state(root, status="running", approved_at="2026-11-21T09:00:00Z")
    (review / "stdout.txt").write_text("x")
    os.utime(review / "state.yaml", (1_000_000, 1_000_000))
    os.utime(review / "stdout.txt", (2_000_000, 2_000_000))
    sighting = only(root)
    assert sighting.flags == ("running",)
    assert sighting.updated_at == datetime.fromtimestamp(2_000_000, UTC)
    assert sighting.finished_at is None


def test_a_file_time_no_calendar_knows_is_left_out(root: Path) -> None:
    put_job(root)
    review = put_state(root, status="running")
    tree = disk(root)
    (spot,) = layout.find(tree)
    tree.mtime = lambda path: 1e300 if path.endswith("state.yaml") else None  # type: ignore[method-assign]
    assert layout.read(tree, spot).updated_at is None
    assert review.is_dir()


def test_the_stamp_changes_with_everything_that_is_read_and_else_stays(root: Path) -> None:
    folder = put_job(root)
    review = put_state(root, status="running")
    tree = disk(root)
    (spot,) = layout.find(tree)
    changes: list[Callable[[], object]] = [
        lambda: (folder / "config.yaml").write_text("name: x\n"),
        lambda: (folder / "extra").write_text("x"),
        lambda: (folder / "extra").unlink(),
        lambda: put_state(root, status="failed"),
        lambda: (review / "stdout.txt").write_text("a"),
        lambda: (review / "stdout.txt").write_text("ab"),
        lambda: (review / "returncode.txt").write_text("1"),
        lambda: (review / "outputs").mkdir(),
    ]
    seen = [layout.stamp(tree, spot)]
    for change in changes:
        change()
        before = tree.opens
        seen.append(layout.stamp(tree, spot))
        assert tree.opens == before
    assert len(set(seen)) == len(seen)
    assert layout.stamp(tree, spot) == seen[-1]


def test_a_job_that_vanishes_while_it_is_read_is_still_an_answer(root: Path) -> None:
    put_job(root)
    put_state(root, status="approved")
    tree = disk(root)
    (spot,) = layout.find(tree)
    layout.stamp(tree, spot)
    shutil.rmtree(root / QUEUE)
    sighting = layout.read(tree, spot)
    assert sighting.observed == "incomplete"
    assert sighting.problems


def test_a_state_that_vanishes_between_two_calls_is_no_damage(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_job(root)
    review = put_state(root, status="approved")
    tree = disk(root)
    (spot,) = layout.find(tree)
    plain = tree.read_text

    def late(path: str, limit: int) -> str:
        if path.endswith("state.yaml"):
            (review / "state.yaml").unlink()
        return plain(path, limit)

    monkeypatch.setattr(tree, "read_text", late)
    assert layout.read(tree, spot).observed == "received"


def test_reading_never_writes(root: Path) -> None:
    put_job(root)
    put_job(root, "v1/two")
    put_state(root, "v1/two", status="pending")
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
    for sighting in sightings(root):
        layout.results(disk(root), sighting)
        layout.content(sighting)
        layout.target(str(root), OWNER)
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*")} == before


def test_everything_in_the_inbox_folder_counts_as_content(root: Path) -> None:
    put_job(root)
    sighting = only(root)
    assert layout.content(sighting) == Content(base=sighting.path, run_sh="run.sh", ignore=("syft.pub.yaml",))


# ---- results


def test_results_are_listed_without_permission_files(root: Path) -> None:
    folder = put_job(root)
    review = put_state(root, status="done")
    for path in ("outputs/a.txt", "outputs/deep/b.txt", "outputs/syft.pub.yaml", "outputs/deep/syft.pub.yaml", "stderr.txt"):
        (review / path).parent.mkdir(parents=True, exist_ok=True)
        (review / path).write_text("x")
    for path in ("outputs/left.txt", "code/outputs/too.txt", "code/outputs/syft.pub.yaml"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")
    (review / "outputs/link").symlink_to("/etc/passwd")
    result = layout.results(disk(root), only(root))
    assert result.outputs_dir == f"{QUEUE}/review/{DS}/count rows/outputs"
    assert result.outputs == ("a.txt", "deep/b.txt")
    assert result.logs == (f"{QUEUE}/review/{DS}/count rows/stderr.txt",)
    base = f"{QUEUE}/inbox/{DS}/count rows"
    assert result.stray == (f"{base}/code/outputs/too.txt", f"{base}/outputs/left.txt")


@pytest.mark.parametrize(
    "place", ["inbox/{ds}/count rows/code", "inbox/{ds}/count rows", "review/{ds}/count rows", "review/{ds}"]
)
def test_results_behind_a_link_are_not_listed(root: Path, tmp_path: Path, place: str) -> None:
    put_job(root)
    put_state(root, status="done")
    sighting = only(root)
    target = root / QUEUE / place.format(ds=DS)
    secret = tmp_path / "secret"
    for path in ("outputs", "code/outputs", "count rows/outputs"):
        (secret / path).mkdir(parents=True)
        (secret / path / "private.csv").write_text("x")
    (secret / "stdout.txt").write_text("x")
    shutil.rmtree(target)
    target.symlink_to(secret)
    result = layout.results(disk(root), sighting)
    assert (result.outputs, result.logs, result.stray) == ((), (), ())


def test_a_job_that_is_gone_has_no_results(root: Path) -> None:
    put_job(root)
    sighting = only(root)
    shutil.rmtree(root / QUEUE)
    result = layout.results(disk(root), sighting)
    assert (result.outputs, result.logs, result.stray) == ((), (), ())
    assert result.outputs_dir == f"{QUEUE}/review/{DS}/count rows/outputs"


# ---- deciding and running


def approval(**values: Any) -> Decision:
    return Decision(**{"verdict": "approve", "digest": "sha256:0", "by": OWNER, "at": NOW, "reason": "Looks safe", **values})


def rejection(**values: Any) -> Decision:
    return Decision(**{"verdict": "reject", "digest": "sha256:0", "by": OWNER, "at": NOW, "reason": "Too broad", **values})


def a_run(**values: Any) -> Run:
    base = {"attempt": 1, "digest": "sha256:0", "directory": "r", "phase": "ended", "claimed_at": NOW, "cause": "exit"}
    return Run(**{**base, "exit_code": 0, "started_at": NOW, "finished_at": NOW + timedelta(seconds=2), **values})


def results_of(tmp_path: Path, run: Run | None = None, **values: Any) -> ResultSet:
    folder = tmp_path / "collected"
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    (folder / "rows.txt").write_text("3\n")
    (folder / "deep/table.csv").write_text("a\n")
    base = {"run": run or a_run(), "outputs_dir": str(folder), "stdout": b"hello\xff\n", "stderr": b""}
    return ResultSet(**{**base, **values})


def state_of(root: Path, key: str = "count rows") -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load((root / QUEUE / "review" / DS / key / "state.yaml").read_text())
    return value


def review_of(root: Path, key: str = "count rows") -> Path:
    return root / QUEUE / "review" / DS / key


def rules_of(folder: Path) -> object:
    return yaml.safe_load((folder / "syft.pub.yaml").read_text())["rules"]


KEYS = ("count rows", "v1/count rows")
FLAT_STATE = """\
approval_method: manual
approved_at: '2026-11-21T09:00:00.123456Z'
approved_by: owner@example.org
completed_at: null
received_at: '2026-11-21T09:00:00.123456Z'
rejected_at: null
rejected_by: null
rejection_reason: null
return_code: null
review_reason: Looks safe
status: approved
"""
V1_STATE = """\
approval_method: manual
approved_at: '2026-11-21T09:00:00.123456Z'
approved_by: owner@example.org
canonical_name: JobState
completed_at: null
received_at: '2026-11-21T09:00:00.123456Z'
rejected_at: null
rejected_by: null
return_code: null
review_reason: Looks safe
status: approved
version: '1'
"""


@pytest.mark.parametrize(("key", "text"), [(KEYS[0], FLAT_STATE), (KEYS[1], V1_STATE)])
def test_an_approval_is_byte_for_byte_what_the_peers_write(root: Path, key: str, text: str) -> None:
    put_job(root, key)
    layout.decide(str(root), only(root), approval())
    path = review_of(root, key) / "state.yaml"
    assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o644
    sighting = only(root)
    assert (sighting.observed, sighting.decided_by, sighting.decided_at, sighting.reason) == (
        "approved",
        OWNER,
        NOW,
        "Looks safe",
    )


def test_whole_seconds_are_written_without_microseconds(root: Path) -> None:
    put_job(root)
    layout.decide(str(root), only(root), approval(at=NOW.replace(microsecond=0)))
    assert state_of(root)["approved_at"] == "2026-11-21T09:00:00Z"


@pytest.mark.parametrize("key", KEYS)
def test_a_rejection_keeps_its_reason_where_each_release_looks(root: Path, key: str) -> None:
    put_job(root, key)
    put_state(root, key, status="pending", received_at="2026-11-21T08:00:00Z")
    layout.decide(str(root), only(root), rejection())
    state = state_of(root, key)
    assert (state["status"], state["review_reason"], state["rejected_by"]) == ("rejected", "Too broad", OWNER)
    assert state["rejected_at"] == "2026-11-21T09:00:00.123456Z"
    assert state["received_at"] == "2026-11-21T08:00:00Z"
    assert state.get("rejection_reason") == (None if key.startswith("v1/") else "Too broad")
    assert ("rejection_reason" in state) != key.startswith("v1/")
    assert only(root).reason == "Too broad"


def test_no_reason_is_null(root: Path) -> None:
    put_job(root)
    layout.decide(str(root), only(root), approval(reason=""))
    assert state_of(root)["review_reason"] is None


def test_unknown_keys_and_unquoted_times_of_a_peer_survive(root: Path) -> None:
    put_job(root)
    review = put_state(root, status="pending")
    (review / "state.yaml").write_text("status: pending\nreceived_at: 2026-11-21T08:00:00Z\nfuture_key: {a: [1, 2]}\n")
    layout.decide(str(root), only(root), approval())
    state = state_of(root)
    assert (state["future_key"], state["received_at"]) == ({"a": [1, 2]}, "2026-11-21T08:00:00Z")


def test_values_the_peers_would_choke_on_are_not_written_back(root: Path) -> None:
    put_job(root)
    put_state(root, status="pending", received_at=5, return_code="x", rejected_by=[1], completed_at="soon")
    layout.decide(str(root), only(root), approval())
    state = state_of(root)
    assert [state[key] for key in ("received_at", "return_code", "rejected_by", "completed_at")] == [None] * 4


def test_a_decision_looks_at_the_file_and_not_at_what_was_seen_before(root: Path) -> None:
    put_job(root)
    seen = only(root)
    put_state(root, status="done", return_code=0, completed_at="2026-11-21T08:00:00Z")
    before = (review_of(root) / "state.yaml").read_bytes()
    layout.decide(str(root), seen, approval())
    layout.decide(str(root), seen, rejection())
    assert (review_of(root) / "state.yaml").read_bytes() == before


def test_a_running_job_can_be_rejected_but_not_approved(root: Path) -> None:
    put_job(root)
    put_state(root, status="running")
    layout.decide(str(root), only(root), approval())
    assert state_of(root)["status"] == "running"
    layout.decide(str(root), only(root), rejection())
    assert state_of(root)["status"] == "rejected"


def test_approving_after_a_rejection_leaves_no_trace_of_it(root: Path) -> None:
    put_job(root)
    layout.decide(str(root), only(root), rejection())
    layout.decide(str(root), only(root), approval())
    state = state_of(root)
    assert (state["status"], state["rejected_by"], state["rejected_at"], state["rejection_reason"]) == (
        "approved",
        None,
        None,
        None,
    )


def test_an_adopted_approval_stays_as_the_peer_wrote_it(root: Path) -> None:
    put_job(root)
    put_state(root, status="approved", approved_by="peer", approval_method="auto")
    before = (review_of(root) / "state.yaml").read_bytes()
    layout.decide(str(root), only(root), approval(method="adopted"))
    assert (review_of(root) / "state.yaml").read_bytes() == before


@pytest.mark.parametrize("how", ["empty", "list", "fifo", "link", "huge", "torn"])
def test_a_damaged_state_cannot_be_approved_begun_or_reopened_but_rejected(root: Path, how: str) -> None:
    put_job(root)
    review = put_state(root, status="approved")
    spoil(review / "state.yaml", how)
    sighting = only(root)
    for write in (
        lambda: layout.decide(str(root), sighting, approval()),
        lambda: layout.begin(str(root), sighting, a_run()),
        lambda: layout.reopen(str(root), sighting),
    ):
        with pytest.raises(IntegrityError, match="state.yaml"):
            write()
    layout.decide(str(root), sighting, rejection())
    assert only(root).observed == "rejected"
    assert not (review / "state.yaml").is_symlink()


def test_a_folder_in_place_of_the_state_is_named(root: Path) -> None:
    put_job(root)
    (review_of(root) / "state.yaml").mkdir(parents=True)
    with pytest.raises(IntegrityError, match="is a folder"):
        layout.decide(str(root), only(root), rejection())


@pytest.mark.parametrize("key", KEYS)
def test_a_whole_run_is_shown_step_by_step_and_each_step_can_be_repeated(root: Path, tmp_path: Path, key: str) -> None:
    put_job(root, key)
    first = only(root)
    collected = results_of(tmp_path)
    steps: list[tuple[Callable[[Sighting], None], str]] = [
        (lambda seen: layout.decide(str(root), seen, approval()), "approved"),
        (lambda seen: layout.begin(str(root), seen, a_run()), "running"),
        (lambda seen: layout.finish(str(root), seen, collected), "completed"),
    ]
    for step, observed in steps:
        step(first)
        assert only(root).observed == observed
        once = snapshot(root)
        step(only(root) if observed != "running" else first)
        assert snapshot(root) == once
    done = only(root)
    assert (done.exit_code, done.finished_at, done.decided_by) == (0, NOW + timedelta(seconds=2), OWNER)
    assert done.flags == ()
    result = layout.results(disk(root), done)
    assert result.outputs == ("deep/table.csv", "rows.txt")
    assert [path.rpartition("/")[2] for path in result.logs] == LOGS
    review = review_of(root, key)
    assert (review / "stdout.txt").read_bytes() == b"hello\xff\n"
    assert (review / "stderr.txt").read_bytes() == b""
    assert (review / "returncode.txt").read_bytes() == b"0"
    assert rules_of(review) == [rule("state.yaml", read=(DS,))]


def snapshot(root: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))}


@pytest.mark.parametrize(
    ("cause", "exit_code", "code", "observed"),
    [
        ("exit", 0, 0, "completed"),
        ("exit", 3, 3, "failed"),
        ("exit", -9, -9, "failed"),
        ("exit", None, -1, "failed"),
        ("timeout", None, -1, "failed"),
        ("timeout", 124, 124, "failed"),
        ("timeout", 0, -1, "failed"),
        ("interrupted", None, -1, "failed"),
        ("integrity", None, -1, "failed"),
        ("output", 0, -1, "failed"),
        (None, 0, -1, "failed"),
    ],
)
def test_only_a_script_that_ended_well_is_done(
    root: Path, tmp_path: Path, cause: str | None, exit_code: int | None, code: int, observed: str
) -> None:
    put_job(root)
    layout.finish(str(root), only(root), results_of(tmp_path, a_run(cause=cause, exit_code=exit_code)))
    sighting = only(root)
    assert (sighting.observed, sighting.exit_code, sighting.flags) == (observed, code, ())
    assert (review_of(root) / "returncode.txt").read_text() == str(code)


def test_a_run_without_outputs_shows_an_empty_folder(root: Path, tmp_path: Path) -> None:
    put_job(root)
    old = review_of(root) / "outputs/old.txt"
    old.parent.mkdir(parents=True)
    old.write_text("x")
    for _ in range(2):
        layout.finish(str(root), only(root), results_of(tmp_path, outputs_dir=None))
        assert list((review_of(root) / "outputs").iterdir()) == []


def test_a_run_that_ended_unseen_is_dated_by_what_is_known(root: Path, tmp_path: Path) -> None:
    put_job(root)
    layout.finish(str(root), only(root), results_of(tmp_path, a_run(started_at=None, finished_at=None)))
    assert only(root).finished_at == NOW


def test_a_run_is_recorded_even_when_the_state_was_torn_meanwhile(root: Path, tmp_path: Path) -> None:
    put_job(root)
    sighting = only(root)
    review = put_state(root, status="running")
    (review / "state.yaml").write_text("")
    layout.finish(str(root), sighting, results_of(tmp_path))
    assert only(root).observed == "completed"


def test_a_run_can_be_shared_from_the_start(root: Path, tmp_path: Path) -> None:
    put_job(root)
    layout.finish(str(root), only(root), results_of(tmp_path, a_run(share_outputs=True, share_logs=True)))
    expected = [rule(name, read=(DS,)) for name in ("state.yaml", "outputs/**", *LOGS)]
    assert rules_of(review_of(root)) == expected
    assert not (review_of(root).parent / "syft.pub.yaml").exists()


def test_what_may_be_read_is_settled_before_anything_is_published(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_job(root)
    order: list[str] = []
    plain = os.replace

    def replace(source: str, target: str) -> None:
        order.append(os.path.basename(target))
        plain(source, target)

    monkeypatch.setattr(os, "replace", replace)
    layout.finish(str(root), only(root), results_of(tmp_path))
    assert order == ["syft.pub.yaml", "stdout.txt", "stderr.txt", "returncode.txt", "state.yaml"]


def test_a_second_run_is_private_again(root: Path, tmp_path: Path) -> None:
    put_job(root)
    layout.finish(str(root), only(root), results_of(tmp_path, a_run(share_outputs=True, share_logs=True)))
    layout.reopen(str(root), only(root))
    layout.finish(str(root), only(root), results_of(tmp_path))
    assert rules_of(review_of(root)) == [rule("state.yaml", read=(DS,))]


def test_outputs_cannot_make_themselves_readable(root: Path, tmp_path: Path) -> None:
    put_job(root)
    collected = results_of(tmp_path)
    (tmp_path / "collected/syft.pub.yaml").write_text("rules: [{pattern: '**', access: {read: ['*']}}]\n")
    layout.finish(str(root), only(root), collected)
    assert not (review_of(root) / "outputs/syft.pub.yaml").exists()


@pytest.mark.parametrize("status", ["rejected", "done", "failed"])
def test_a_job_that_was_settled_meanwhile_is_not_begun(root: Path, status: str) -> None:
    put_job(root)
    seen = only(root)
    put_state(root, status=status)
    with pytest.raises(IntegrityError, match=f"is {status} by now"):
        layout.begin(str(root), seen, a_run())
    assert state_of(root)["status"] == status


def test_reopening_takes_everything_back_and_can_be_repeated(root: Path, tmp_path: Path) -> None:
    put_job(root)
    layout.decide(str(root), only(root), approval())
    layout.finish(str(root), only(root), results_of(tmp_path, a_run(exit_code=3, share_outputs=True)))
    done = only(root)
    (review_of(root) / ".outputs.4711.tmp").mkdir()
    for _ in range(2):
        layout.reopen(str(root), done)
        assert sorted(os.listdir(review_of(root))) == ["state.yaml", "syft.pub.yaml"]
        assert (review_of(root) / "state.yaml").read_text() == FLAT_STATE
        assert rules_of(review_of(root)) == [rule("state.yaml", read=(DS,))]


def test_a_rejected_job_is_not_reopened(root: Path) -> None:
    put_job(root)
    layout.decide(str(root), only(root), rejection())
    with pytest.raises(IntegrityError, match="is rejected"):
        layout.reopen(str(root), only(root))
    assert only(root).observed == "rejected"


@pytest.mark.parametrize(("outputs", "logs"), [(True, False), (False, True), (True, True), (False, False)])
def test_sharing_adds_exactly_what_was_asked_for(root: Path, tmp_path: Path, outputs: bool, logs: bool) -> None:
    put_job(root)
    layout.finish(str(root), only(root), results_of(tmp_path))
    for _ in range(2):
        layout.share(str(root), only(root), None, outputs=outputs, logs=logs)
        patterns = ["state.yaml", *(["outputs/**"] if outputs else []), *(LOGS if logs else [])]
        assert rules_of(review_of(root)) == [rule(pattern, read=(DS,)) for pattern in patterns]


def test_sharing_reaches_outputs_that_a_peer_locked_with_a_file_of_their_own(root: Path) -> None:
    put_job(root)
    review = put_state(root, status="done")
    (review / "outputs").mkdir()
    (review / "outputs/syft.pub.yaml").write_text(yaml.safe_dump({"rules": [rule("**", read=(OWNER,))], "terminal": False}))
    layout.share(str(root), only(root), None, outputs=False, logs=True)
    assert rules_of(review / "outputs") == [rule("**", read=(OWNER,))]
    layout.share(str(root), only(root), None, outputs=True, logs=False)
    assert rules_of(review / "outputs") == [rule("**", read=(OWNER, DS))]


def writes(root: Path, sighting: Sighting, tmp_path: Path) -> list[Callable[[], None]]:
    box = str(root)
    return [
        lambda: layout.decide(box, sighting, approval()),
        lambda: layout.decide(box, sighting, rejection()),
        lambda: layout.begin(box, sighting, a_run()),
        lambda: layout.finish(box, sighting, results_of(tmp_path)),
        lambda: layout.reopen(box, sighting),
        lambda: layout.share(box, sighting, None, outputs=True, logs=True),
    ]


@pytest.mark.parametrize("part", ["", DS, f"{DS}/v1", f"{DS}/v1/job"])
def test_no_write_goes_through_a_link(root: Path, tmp_path: Path, part: str) -> None:
    put_job(root, "v1/job")
    sighting = only(root)
    victim = tmp_path / "victim"
    (victim / DS / "v1/job").mkdir(parents=True)
    place = root / QUEUE / "review" / part
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(victim)
    before = snapshot(victim)
    for write in writes(root, sighting, tmp_path):
        with pytest.raises(IntegrityError, match=f"{place}: is a symbolic link"):
            write()
    assert snapshot(victim) == before


def test_results_do_not_go_through_a_linked_outputs_folder(root: Path, tmp_path: Path) -> None:
    put_job(root)
    review = put_state(root, status="running")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "syft.pub.yaml").write_text("rules: []\n")
    (review / "outputs").symlink_to(victim)
    with pytest.raises(IntegrityError, match="symbolic link"):
        layout.finish(str(root), only(root), results_of(tmp_path))
    layout.share(str(root), only(root), None, outputs=True, logs=False)
    assert snapshot(victim) == {"syft.pub.yaml": b"rules: []\n"}
    assert state_of(root)["status"] == "running"
    layout.reopen(str(root), only(root))
    assert snapshot(victim) == {"syft.pub.yaml": b"rules: []\n"}
    assert not (review / "outputs").exists()


def test_links_in_place_of_the_written_files_are_replaced_and_not_followed(root: Path, tmp_path: Path) -> None:
    put_job(root)
    review = put_state(root, status="running")
    victim = tmp_path / "victim"
    victim.write_text("keep")
    for name in (*LOGS, "syft.pub.yaml"):
        (review / name).symlink_to(victim)
    layout.finish(str(root), only(root), results_of(tmp_path))
    assert victim.read_text() == "keep"
    assert not any((review / name).is_symlink() for name in LOGS)


class PowerCut(BaseException):
    """Stands for the process dying."""


@pytest.mark.parametrize("key", KEYS)
def test_dying_between_any_two_writes_leaves_a_readable_job_that_the_next_call_completes(
    root: Path, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_job(root, key)
    layout.decide(str(root), only(root), approval())
    layout.begin(str(root), only(root), a_run())
    start = snapshot(root)
    running = only(root)
    calls = [(os, "replace"), (os, "rename"), (os, "mkdir"), (os, "unlink"), (os, "rmdir")]
    cut = 0
    while True:
        restore(root, start)
        with monkeypatch.context() as patch:
            counter = iter(range(10_000))
            for module, name in calls:
                patch.setattr(module, name, dying(getattr(module, name), counter, cut))
            try:
                layout.finish(str(root), running, results_of(tmp_path))
            except PowerCut:
                died = True
            else:
                died = False
        sighting = only(root)
        assert sighting.observed == ("running" if died else "completed")
        assert "damaged" not in sighting.flags
        if not died:
            break
        layout.finish(str(root), running, results_of(tmp_path))
        assert only(root).observed == "completed"
        assert sorted(name for name in os.listdir(review_of(root, key)) if not name.startswith(".")) == sorted(
            [*LOGS, "outputs", "state.yaml", "syft.pub.yaml"]
        )
        cut += 1
    assert cut == 8


def dying(call: Callable[..., Any], counter: Any, cut: int) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if next(counter) == cut:
            raise PowerCut
        return call(*args, **kwargs)

    return wrapped


def restore(root: Path, content: dict[str, bytes | None]) -> None:
    shutil.rmtree(root)
    for path, data in content.items():
        if data is None:
            (root / path).mkdir(parents=True, exist_ok=True)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)


@pytest.mark.skipif(not golden.AVAILABLE, reason="golden trees are not at hand")
def test_an_approval_written_over_a_peers_state_differs_only_in_its_fields(tmp_path: Path) -> None:
    for scenario, extra in (("c0b-syft-job-0.1.38/pending", {"rejection_reason": None}), ("c1-syft-job-0.1.40/pending", {})):
        root = golden.materialise(scenario, tmp_path / scenario[:2] / scenario[2:4])
        for sighting in sightings(root):
            path = root / str(sighting.review_path) / "state.yaml"
            before = yaml.safe_load(path.read_text())
            layout.decide(str(root), sighting, approval())
            changed = {"approved_by": OWNER, "approval_method": "manual", "review_reason": "Looks safe", "status": "approved"}
            expected = {**before, **extra, **changed, "approved_at": "2026-11-21T09:00:00.123456Z"}
            assert yaml.safe_load(path.read_text()) == expected
            assert path.read_bytes() == yaml.safe_dump(expected).encode()


# ---- removing


@pytest.mark.parametrize("key", KEYS)
def test_removing_takes_both_folders_and_nothing_else(root: Path, key: str) -> None:
    put_job(root, key)
    put_state(root, key, status="done")
    put_job(root, f"{key} two")
    target = next(item for item in sightings(root) if item.ref.key == key)
    for _ in range(2):
        layout.remove(str(root), target)
        assert keys(root) == [f"{key} two"]
    assert not review_of(root, key).exists()


def test_a_removal_that_dies_does_not_bring_the_job_back_as_new(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_job(root)
    put_state(root, status="done", return_code=0)
    target = only(root)
    plain = shutil.rmtree

    def half(path: str) -> None:
        if "/review/" in path:
            raise PowerCut
        plain(path)

    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(shutil, "rmtree", half)
        layout.remove(str(root), target)
    assert only(root).observed == "completed"


def test_removing_a_flat_job_called_v1_spares_the_jobs_of_the_protocol(root: Path) -> None:
    put_job(root, "v1")
    put_state(root, "v1", status="done")
    put_state(root, "v1/other", status="done")
    (review_of(root, "v1") / "outputs").mkdir()
    layout.remove(str(root), next(item for item in sightings(root) if item.ref.key == "v1"))
    assert keys(root) == ["v1/other"]
    assert not (root / QUEUE / "inbox" / DS / "v1").exists()
    assert os.listdir(review_of(root, "v1")) == ["other"]


@pytest.mark.parametrize("side", ["inbox", "review"])
def test_removing_does_not_reach_through_a_link(root: Path, tmp_path: Path, side: str) -> None:
    put_job(root)
    put_state(root, status="done")
    target = only(root)
    victim = tmp_path / "victim"
    (victim / "count rows").mkdir(parents=True)
    place = root / QUEUE / side / DS
    shutil.rmtree(place)
    place.symlink_to(victim)
    with pytest.raises(IntegrityError, match="symbolic link"):
        layout.remove(str(root), target)
    assert (victim / "count rows").is_dir()


def test_removing_a_link_in_place_of_a_job_removes_the_link(root: Path, tmp_path: Path) -> None:
    folder = put_job(root)
    target = only(root)
    victim = tmp_path / "victim"
    folder.rename(victim)
    folder.symlink_to(victim)
    layout.remove(str(root), target)
    assert not folder.is_symlink()
    assert (victim / "run.sh").exists()


# ---- submitting


def a_submission(**values: Any) -> Submission:
    base = {
        "owner": OWNER,
        "submitter": DS,
        "name": "py one",
        "files": {"analysis.py": b"print(1)\n", "lib/stats.py": b""},
        "executable": frozenset({"lib/stats.py"}),
        "run_sh": "#!/bin/bash\npython analysis.py\n",
        "kind": "python",
        "entrypoint": "analysis.py",
        "dependencies": ("six==1.16.0",),
        "description": "",
        "tags": (),
        "timeout_s": None,
        "is_folder": True,
        "source_path": "/srv/scientist/projects/project",
        "submitted_at_iso": "2026-11-21T08:36:21.011665+00:00",
    }
    return Submission(**{**base, **values})


FLAT_CONFIG = """\
code_path: /srv/scientist/projects/project
datasets: null
dependencies:
- six==1.16.0
entrypoint: analysis.py
files:
- analysis.py
- lib/stats.py
headers: {}
is_folder_submission: true
job_type: local
name: py one
submitted_at: '2026-11-21T08:36:21.011665Z'
type: python
"""
V1_CONFIG = f"canonical_name: JobSubmissionMetadata\n{FLAT_CONFIG}version: '1'\n"


@pytest.mark.parametrize(("generation", "segment", "config"), [("c0", "", FLAT_CONFIG), ("c1", "v1/", V1_CONFIG)])
def test_a_submission_is_byte_for_byte_what_the_peers_write(tmp_path: Path, generation: str, segment: str, config: str) -> None:
    ref = layout.submit(str(tmp_path), generation, a_submission())
    assert ref == JobRef("inbox-review", OWNER, DS, f"{segment}py one")
    folder = tmp_path / QUEUE / "inbox" / DS / f"{segment}py one"
    assert (folder / "config.yaml").read_text() == config
    assert snapshot(folder) == {
        "config.yaml": config.encode(),
        "run.sh": b"#!/bin/bash\npython analysis.py\n",
        "code": None,
        "code/analysis.py": b"print(1)\n",
        "code/lib": None,
        "code/lib/stats.py": b"",
    }
    assert [oct((folder / name).stat().st_mode & 0o777) for name in ("run.sh", "config.yaml", "code/lib/stats.py")] == [
        "0o755",
        "0o644",
        "0o755",
    ]
    assert os.listdir(tmp_path / QUEUE) == ["inbox"]
    assert os.listdir(tmp_path / QUEUE / "inbox") == [DS]
    assert layout.target(str(tmp_path), OWNER) == generation


@pytest.mark.parametrize("generation", ["c0", "c1"])
def test_what_was_submitted_is_read_back(tmp_path: Path, generation: str) -> None:
    text = "Wörter: mit\nZeilen – und\x1b[31m Farbe " + "x" * 200
    layout.submit(str(tmp_path), generation, a_submission(description=text, tags=("a", "ü"), timeout_s=90, name="日 job"))
    sighting = only(tmp_path)
    assert (sighting.layout, sighting.observed, sighting.problems) == (generation, "received", ())
    assert (sighting.description, sighting.tags, sighting.timeout_s) == (text, ("a", "ü"), 90)
    assert (sighting.kind, sighting.entrypoint, sighting.dependencies) == ("python", "analysis.py", ("six==1.16.0",))
    assert sighting.submitted_at == datetime(2026, 11, 21, 8, 36, 21, 11665, UTC)
    assert (tmp_path / sighting.path / "config.yaml").read_bytes().isascii()


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"files": {}}, {"code/script.sh"}),
        ({"files": {}, "is_folder": True}, {"code/script.sh"}),
        ({"files": {"data.txt": b""}}, {"code/script.sh", "code/data.txt"}),
        ({"files": {"data.txt": b""}, "is_folder": True}, {"code/data.txt"}),
    ],
)
def test_a_bash_job_shows_its_script_below_code(tmp_path: Path, values: dict[str, Any], names: set[str]) -> None:
    bash = {"kind": "bash", "entrypoint": None, "executable": frozenset(), "run_sh": "echo hi\n", "is_folder": False}
    layout.submit(str(tmp_path), "c0", a_submission(**{**bash, **values}))
    folder = tmp_path / QUEUE / "inbox" / DS / "py one"
    assert {str(path.relative_to(folder)) for path in folder.rglob("code/*")} == names
    if "code/script.sh" in names:
        assert (folder / "code/script.sh").read_bytes() == (folder / "run.sh").read_bytes() == b"echo hi\n"
    assert only(tmp_path).kind == "bash"


def test_a_script_of_that_name_is_not_overwritten(tmp_path: Path) -> None:
    layout.submit(str(tmp_path), "c0", a_submission(kind="bash", is_folder=False, files={"script.sh": b"mine\n"}))
    assert (tmp_path / QUEUE / "inbox" / DS / "py one/code/script.sh").read_bytes() == b"mine\n"


def test_a_submission_never_stores_addresses(tmp_path: Path) -> None:
    layout.submit(str(tmp_path), "c0", a_submission())
    assert "@" not in (tmp_path / QUEUE / "inbox" / DS / "py one/config.yaml").read_text()
    assert not (tmp_path / QUEUE / "inbox" / DS / "syft.pub.yaml").exists()


@pytest.mark.parametrize("side", ["inbox", "review"])
@pytest.mark.parametrize(("generation", "key"), [("c0", "py one"), ("c1", "v1/py one")])
def test_a_taken_name_is_refused(root: Path, side: str, generation: str, key: str) -> None:
    put_job(root, key) if side == "inbox" else put_state(root, key, status="done")
    before = snapshot(root)
    with pytest.raises(UsageError, match="exists already"):
        layout.submit(str(root), generation, a_submission())
    assert {path: data for path, data in snapshot(root).items() if data is not None} == {
        path: data for path, data in before.items() if data is not None
    }


def test_the_same_name_may_be_used_in_the_other_protocol(tmp_path: Path) -> None:
    layout.submit(str(tmp_path), "c0", a_submission())
    layout.submit(str(tmp_path), "c1", a_submission())
    assert keys(tmp_path) == ["py one", "v1/py one"]


@pytest.mark.parametrize(
    "values",
    [
        {"name": "v1"},
        {"name": "../up"},
        {"name": "re[port]"},
        {"name": ""},
        {"owner": "../x@y"},
        {"submitter": ""},
        {"submitter": "a/b@c"},
        {"owner": ".hidden@x"},
        {"files": {}},
        {"files": {"../../evil": b""}},
        {"files": {"/etc/x": b""}},
        {"submitted_at_iso": "yesterday"},
    ],
)
def test_what_no_peer_could_read_is_refused_without_a_trace(tmp_path: Path, values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        layout.submit(str(tmp_path), "c0", a_submission(**values))
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.name.endswith(".tmp")] == []


def test_an_unknown_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="c7"):
        layout.submit(str(tmp_path), "c7", a_submission())


def test_a_protocol_job_is_not_put_inside_a_flat_job(root: Path) -> None:
    put_job(root, "v1")
    with pytest.raises(UsageError, match="cannot hold others"):
        layout.submit(str(root), "c1", a_submission())


@pytest.mark.parametrize("part", ["inbox", f"inbox/{DS}", f"inbox/{DS}/v1"])
def test_a_submission_does_not_go_through_a_link(root: Path, tmp_path: Path, part: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    place = root / QUEUE / part
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(victim)
    with pytest.raises(IntegrityError, match="symbolic link"):
        layout.submit(str(root), "c1", a_submission())
    assert list(victim.iterdir()) == []


def test_a_submission_is_written_where_the_datasite_has_its_queue(tmp_path: Path) -> None:
    put_job(tmp_path, home=f"datasites/{OWNER}")
    layout.submit(str(tmp_path), "c0", a_submission())
    assert sorted(item.path for item in sightings(tmp_path)) == [
        f"datasites/{QUEUE}/inbox/{DS}/count rows",
        f"datasites/{QUEUE}/inbox/{DS}/py one",
    ]
    decided = sightings(tmp_path)[0]
    layout.decide(str(tmp_path), decided, approval())
    assert sightings(tmp_path)[0].observed == "approved"
    assert not (tmp_path / OWNER).exists()


def test_a_new_queue_is_made_below_datasites_where_that_is_the_form_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "datasites").mkdir()
    layout.submit(str(tmp_path), "c0", a_submission())
    assert only(tmp_path).path.startswith(f"datasites/{OWNER}/")


# ---- which form a datasite shows


def test_a_datasite_without_a_queue_shows_no_form(root: Path) -> None:
    assert layout.target(str(root), OWNER) is None
    assert layout.target(str(root), "nobody@example.org") is None
    assert layout.target(str(root), "../..") is None


@pytest.mark.parametrize("side", ["inbox", "review"])
def test_an_empty_side_is_the_flat_form(root: Path, side: str) -> None:
    (root / QUEUE / side).mkdir()
    assert layout.target(str(root), OWNER) == "c0"


@pytest.mark.parametrize("side", ["inbox", "review"])
def test_any_segment_is_the_newer_form(root: Path, side: str) -> None:
    put_job(root)
    (root / QUEUE / side / "second@example.net/v1").mkdir(parents=True)
    assert layout.target(str(root), OWNER) == "c1"


def test_a_flat_job_called_v1_is_no_segment(root: Path) -> None:
    put_job(root, "v1")
    put_state(root, "v1", status="pending")
    assert layout.target(str(root), OWNER) == "c0"


def test_linked_sides_show_no_form(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere/a/v1").mkdir(parents=True)
    (root / QUEUE / "inbox").symlink_to(tmp_path / "elsewhere")
    assert layout.target(str(root), OWNER) is None
