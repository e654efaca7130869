"""Generation C: what the folders of one job say, whatever a stranger put into them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from scq.model import Content, JobRef, Sighting
from tests.unit.layouts.inbox_trees import (
    DS,
    OWNER,
    QUEUE,
    SPOILERS,
    disk,
    layout,
    only,
    put_job,
    put_state,
    sightings,
    spoil,
    whats,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "SyftBox"
    (folder / QUEUE).mkdir(parents=True)
    return folder


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


def test_an_alias_bomb_is_refused_before_it_is_loaded(root: Path) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(20)
    )
    folder = put_job(root)
    (folder / "config.yaml").write_text(f"{bomb}name: count rows\ntype: bash\ndependencies: *u\nheaders: {{scq: {{tags: *u}}}}\n")
    review = put_state(root, status="pending")
    (review / "state.yaml").write_text(f"{bomb}status: pending\nreview_reason: *u\n")
    sighting = only(root)
    assert sighting.observed == "damaged"
    assert "uses YAML aliases" in whats(sighting)
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
