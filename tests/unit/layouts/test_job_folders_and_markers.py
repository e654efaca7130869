"""Reading the folder and the marker generations of syft-job."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scq.formats import parse_time
from scq.layouts.job_folders import JobFolders
from scq.layouts.job_markers import JobMarkers
from scq.model import JobRef, Sighting
from scq.ports import Layout
from scq.tree import DiskTree
from tests.unit.layouts.job_trees import (
    B0,
    B1,
    B2,
    CONFIG,
    OWNER,
    PLACE,
    SCENARIOS,
    SENDER,
    again,
    job,
    layout_of,
    look,
    only,
    recorded,
    see,
)

COMPARED: dict[str, Callable[[Sighting], object]] = {
    "name": lambda seen: seen.name,
    "submitter": lambda seen: seen.submitter,
    "datasite": lambda seen: seen.owner,
    "peer_status": lambda seen: seen.peer_status,
    "status": lambda seen: seen.observed,
    "dir": lambda seen: seen.path,
    "type": lambda seen: seen.kind,
    "entry_point": lambda seen: seen.entrypoint,
    "return_code": lambda seen: seen.exit_code,
    "markers": lambda seen: list(seen.markers),
    "untrusted_approval": lambda seen: "untrusted_approval" in seen.flags,
}
NEVER_TOLD = {("b1", "really")}
"""A running job of B1 looks exactly like an approved one."""


def differences(wanted: dict[str, Any], seen: Sighting, layout: Layout, tree: DiskTree) -> list[str]:
    """Every key of an expected job that the sighting or its results answer differently."""
    results = layout.results(tree, seen)
    answers = {key: answer(seen) for key, answer in COMPARED.items()}
    answers["submitted_at"] = seen.submitted_at
    answers["outputs"] = list(results.outputs)
    answers["logs"] = [path.removeprefix(f"{seen.path}/") for path in results.logs]
    answers["really"] = "running" if "running" in seen.flags else seen.observed
    expected = {key: value for key, value in wanted.items() if (seen.layout, key) not in NEVER_TOLD}
    expected["submitted_at"] = parse_time(wanted["submitted_at"])
    return [f"{key}: wanted {value!r}, got {answers[key]!r}" for key, value in expected.items() if answers[key] != value]


@pytest.mark.skipif(not SCENARIOS, reason="the recorded trees are not there")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_recorded_trees_are_read_as_expected(scenario: Path, tmp_path: Path) -> None:
    root, expected = recorded(scenario, tmp_path / "box")
    generation = scenario.parent.name[:2]
    layout, other = layout_of(generation), layout_of("b1" if generation == "b0" else "b0")
    tree = look(root, expected["viewer"])
    jobs = {seen.path: seen for seen in (layout.read(tree, spot) for spot in layout.find(tree))}

    assert {seen.layout for seen in jobs.values()} == {generation}
    for wanted in expected["jobs"]:
        assert differences(wanted, jobs[wanted["dir"]], layout, tree) == []
    if not expected.get("partial_list"):
        assert len(jobs) == len(expected["jobs"])
        assert [seen.flags for seen in jobs.values() if "damaged" in seen.flags or "half_arrived" in seen.flags] == []
    assert see(root, other) == []
    assert tree.problems == []
    assert layout.target(str(root), OWNER) == generation


@pytest.mark.skipif(not SCENARIOS, reason="the recorded trees are not there")
def test_all_recorded_generations_are_there() -> None:
    assert {path.parent.name[:2] for path in SCENARIOS} == {"b0", "b1", "b2"}
    assert len(SCENARIOS) == 19


@pytest.mark.parametrize("generation", ["b0", "b1", "b2"])
def test_a_small_job_is_read_whole(generation: str, tmp_path: Path) -> None:
    more = "type: python\nentry_point: main.py\ncode_path: /srv/x\ndependencies: [syft-client, numpy]\n"
    job(tmp_path, PLACE[generation], CONFIG + more)
    seen = only(tmp_path, layout_of(generation))
    assert (seen.layout, seen.name, seen.owner, seen.submitter, seen.path) == (
        generation,
        "count",
        OWNER,
        SENDER,
        PLACE[generation],
    )
    assert (seen.observed, seen.peer_status, seen.kind, seen.entrypoint) == ("pending", "inbox", "python", "main.py")
    assert seen.dependencies == ("syft-client", "numpy")
    assert seen.submitted_at == datetime(2026, 11, 21, 8, 0, 0, 500_000, tzinfo=UTC)
    assert (seen.flags, seen.problems, seen.exit_code) == ((), (), None)
    assert seen.ref == JobRef(layout_of(generation).family, OWNER, SENDER if generation == "b2" else "", "count")


def test_the_identity_of_a_folder_job_stays_while_it_moves(tmp_path: Path) -> None:
    folder = job(tmp_path, f"{B0}/inbox/count")
    refs, words = set(), []
    for word in ("approved", "done"):
        seen = only(tmp_path, JobFolders())
        refs.add(seen.ref)
        words.append(seen.observed)
        (tmp_path / B0 / word).mkdir()
        folder = folder.rename(tmp_path / B0 / word / "count")
    seen = only(tmp_path, JobFolders())
    assert refs == {seen.ref}
    assert [*words, seen.observed] == ["pending", "approved", "completed"]


def test_of_one_submission_in_two_status_folders_the_furthest_stage_counts(tmp_path: Path) -> None:
    job(tmp_path, f"{B0}/inbox/count")
    job(tmp_path, f"{B0}/approved/count")
    seen = only(tmp_path, JobFolders())
    assert (seen.path, seen.ghosts, seen.problems) == (f"{B0}/approved/count", (f"{B0}/inbox/count",), ())


def test_a_later_submission_under_the_name_of_a_done_job_is_not_hidden_by_it(tmp_path: Path) -> None:
    job(tmp_path, f"{B0}/done/count", returncode_txt="0")
    job(tmp_path, f"{B0}/inbox/count", CONFIG.replace("T08", "T09"))
    seen = only(tmp_path, JobFolders())
    assert (seen.observed, seen.path, seen.ghosts) == ("pending", f"{B0}/inbox/count", (f"{B0}/done/count",))
    assert seen.problems[0].where == f"{B0}/done/count"


def test_only_the_owner_adopts_approvals_of_the_folder_generation(tmp_path: Path) -> None:
    job(tmp_path, f"{B0}/approved/count")
    assert only(tmp_path, JobFolders(), "Owner@Example.org").owner_only
    assert not only(tmp_path, JobFolders(), SENDER).owner_only


@pytest.mark.parametrize(
    ("folder", "pattern", "level", "who", "trusted"),
    [
        (B0, "**", "write", "*", False),
        (B0, "**", "write", OWNER, True),
        (B0, "**", "read", SENDER, True),
        (B0, "inbox/**", "write", "*", True),
        (B0, "approved/**", "admin", SENDER, False),
        (B0, "approved", "write", SENDER, False),
        (f"{B0}/approved", "**", "write", SENDER, False),
        (f"datasites/{OWNER}", "app_data/job/**", "write", SENDER, False),
        (f"datasites/{OWNER}", "public/**", "write", "*", True),
    ],
)
def test_an_approval_in_a_place_strangers_may_write_is_not_trusted(
    folder: str, pattern: str, level: str, who: str, trusted: bool, tmp_path: Path
) -> None:
    job(tmp_path, f"{B0}/approved/count")
    text = f"rules:\n- pattern: '{pattern}'\n  access:\n    {level}: ['{who}']\n"
    (tmp_path / folder / "syft.pub.yaml").write_text(text)
    seen = only(tmp_path, JobFolders())
    assert (seen.owner_only, "untrusted_approval" in seen.flags) == (trusted, not trusted)


@pytest.mark.parametrize(
    "text", ["", "- a\n", "rules: 3\n", "rules: [3]\n", "rules: [{pattern: '**', access: {write: 3}}]\n", "{"]
)
def test_an_approval_below_a_damaged_permission_file_is_not_trusted(text: str, tmp_path: Path) -> None:
    job(tmp_path, f"{B0}/approved/count")
    (tmp_path / B0 / "syft.pub.yaml").write_text(text)
    assert not only(tmp_path, JobFolders()).owner_only


@pytest.mark.parametrize(
    ("markers", "code", "observed", "exit_code"),
    [
        ((), None, "pending", None),
        (("approved",), None, "approved", None),
        (("approved",), "3", "approved", None),
        (("approved", "done"), None, "completed", None),
        (("approved", "done"), "0", "completed", 0),
        (("done",), "-1\n", "failed", -1),
    ],
)
def test_markers_tell_the_status(
    markers: tuple[str, ...], code: str | None, observed: str, exit_code: int | None, tmp_path: Path
) -> None:
    files = dict.fromkeys(markers, "") | ({} if code is None else {"returncode_txt": code})
    job(tmp_path, PLACE["b2"], **files)
    seen = only(tmp_path, JobMarkers())
    assert (seen.observed, seen.exit_code, seen.markers) == (observed, exit_code, markers)
    assert not seen.owner_only
    assert ("untrusted_approval" in seen.flags) == (observed == "approved")
    assert (seen.finished_at is not None) == ("done" in markers)


def test_a_job_of_b2_with_young_logs_is_running_and_dated_by_them(tmp_path: Path) -> None:
    folder = job(tmp_path, PLACE["b2"], approved="", stdout_txt="")
    os.utime(folder / "stdout.txt", (4e9, 4e9))
    seen = only(tmp_path, JobMarkers())
    assert "running" in seen.flags
    assert seen.updated_at == datetime.fromtimestamp(4e9, UTC)


def test_stale_logs_of_a_rerun_do_not_look_like_a_run(tmp_path: Path) -> None:
    folder = job(tmp_path, PLACE["b2"], approved="", stdout_txt="", stderr_txt="", returncode_txt="1")
    for name in ("stdout.txt", "stderr.txt", "returncode.txt"):
        os.utime(folder / name, (1e9, 1e9))
    assert "running" not in only(tmp_path, JobMarkers()).flags
    os.utime(folder / "stdout.txt", (2e9, 2e9))
    assert "running" in only(tmp_path, JobMarkers()).flags


def test_a_submission_that_is_still_arriving_is_incomplete(tmp_path: Path) -> None:
    for generation in ("b0", "b1", "b2"):
        root = tmp_path / generation
        (root / PLACE[generation]).mkdir(parents=True)
        seen = only(root, layout_of(generation))
        assert (seen.observed, seen.flags) == ("incomplete", ("half_arrived",))
        assert "config.yaml and run.sh" in seen.problems[-1].what
        (root / PLACE[generation] / "config.yaml").write_text(CONFIG)
        assert only(root, layout_of(generation)).observed == "incomplete"
        (root / PLACE[generation] / "run.sh").write_text("true\n")
        assert only(root, layout_of(generation)).observed == "pending"


def test_folders_of_the_newer_generation_are_not_read_here(tmp_path: Path) -> None:
    base = f"{OWNER}/app_data/job"
    job(tmp_path, f"{base}/inbox/{SENDER}/new")
    job(tmp_path, f"{base}/review/{SENDER}/new")
    job(tmp_path, f"{base}/inbox/odd")
    (tmp_path / base / "inbox" / "config.yaml").write_text(CONFIG)
    (tmp_path / base / "something else").mkdir()
    job(tmp_path, f"datasites/{OWNER}/app_data/job/inbox/{SENDER}/moved")
    assert see(tmp_path, JobFolders()) == see(tmp_path, JobMarkers()) == []
    assert JobMarkers().target(str(tmp_path), OWNER) is None
    job(tmp_path, f"{base}/{SENDER}/left from before")
    assert only(tmp_path, JobMarkers()).name == "left from before"


def test_both_generations_below_datasites_are_told_apart(tmp_path: Path) -> None:
    job(tmp_path, f"{B0}/inbox/folder job")
    job(tmp_path, f"{B1}/marker job")
    job(tmp_path, f"{OWNER}/app_data/job/late marker job")
    assert [seen.path for seen in see(tmp_path, JobFolders())] == [f"{B0}/inbox/folder job"]
    assert [seen.name for seen in see(tmp_path, JobMarkers())] == ["marker job", "late marker job"]
    assert {seen.layout for seen in see(tmp_path, JobMarkers())} == {"b1"}


def test_a_config_put_into_a_folder_of_jobs_hides_none_of_them(tmp_path: Path) -> None:
    job(tmp_path, f"{B0}/inbox/count")
    (tmp_path / B0 / "inbox" / "config.yaml").write_text(CONFIG)
    job(tmp_path, f"{B2}/count")
    (tmp_path / B2 / "config.yaml").write_text(CONFIG)
    assert [seen.name for seen in see(tmp_path, JobFolders())] == ["count"]
    assert {(seen.submitter, seen.name) for seen in see(tmp_path, JobMarkers())} >= {(SENDER, "count")}


def test_sub_folders_of_a_job_that_is_named_like_an_address_are_no_jobs(tmp_path: Path) -> None:
    folder = job(tmp_path, f"{OWNER}/app_data/job/ask me@home")
    (folder / "outputs").mkdir()
    assert [(seen.name, seen.layout) for seen in see(tmp_path, JobMarkers())] == [("ask me@home", "b1")]


def test_two_jobs_of_one_name_in_both_kinds_of_root_are_one_identity_with_a_ghost(tmp_path: Path) -> None:
    job(tmp_path, f"{B1}/count")
    job(tmp_path, f"{OWNER}/app_data/job/count")
    seen = only(tmp_path, JobMarkers())
    assert (seen.path, seen.ghosts) == (f"{B1}/count", (f"{OWNER}/app_data/job/count",))
    assert seen.problems[0].where == seen.ghosts[0]
    assert again(tmp_path, JobMarkers(), seen.ref) == seen


def test_a_marker_job_that_bears_the_name_of_a_status_folder_is_one_job(tmp_path: Path) -> None:
    job(tmp_path, f"{B1}/inbox")
    job(tmp_path, f"{OWNER}/app_data/job/inbox/{SENDER}/new")
    seen = only(tmp_path, JobMarkers())
    assert (seen.name, seen.ghosts) == ("inbox", ())
    assert again(tmp_path, JobMarkers(), seen.ref) == seen


def test_a_file_time_no_calendar_has_is_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job(tmp_path, PLACE["b2"], done="")
    monkeypatch.setattr(DiskTree, "mtime", lambda tree, path: 1e30)
    seen = only(tmp_path, JobMarkers())
    assert (seen.updated_at, seen.finished_at, seen.observed) == (None, None, "completed")


@pytest.mark.parametrize("generation", ["b0", "b1", "b2"])
def test_an_idle_incremental_look_over_many_jobs_opens_and_visits_none(generation: str, tmp_path: Path) -> None:
    parent = {"b0": f"{B0}/done", "b1": B1, "b2": B2}[generation]
    for number in range(300):
        job(tmp_path, f"{parent}/job {number}", done="", returncode_txt="0")
    layout = layout_of(generation)
    first = look(tmp_path, now_ns=2**62)
    assert len(list(layout.find(first))) == 300
    second = look(tmp_path, full=False, known_folders=first.folders, now_ns=2**62)
    assert list(layout.find(second)) == []
    assert second.opens == 0
    assert second.lstats < 10
    job(tmp_path, f"{parent}/new")
    third = look(tmp_path, full=False, known_folders=first.folders, now_ns=2**62)
    assert any(spot.ref.key == "new" for spot in layout.find(third))


@pytest.mark.parametrize("generation", ["b0", "b1", "b2"])
def test_locate_finds_what_find_found_and_nothing_that_is_gone_or_linked(generation: str, tmp_path: Path) -> None:
    folder = job(tmp_path, PLACE[generation])
    layout = layout_of(generation)
    (spot,) = layout.find(look(tmp_path))
    assert layout.locate(look(tmp_path), spot.ref) == spot
    folder.rename(tmp_path / "elsewhere")
    assert layout.locate(look(tmp_path), spot.ref) is None
    folder.symlink_to(tmp_path / "elsewhere")
    assert layout.locate(look(tmp_path), spot.ref) is None
    folder.unlink()
    parent = folder.parent.rename(tmp_path / "parent")
    (tmp_path / "elsewhere").rename(parent / "count")
    folder.parent.symlink_to(parent)
    assert layout.locate(look(tmp_path), spot.ref) is None


@pytest.mark.parametrize("generation", ["b0", "b1", "b2"])
@pytest.mark.parametrize("change", ["config", "run", "approve", "done", "code"])
def test_the_stamp_changes_with_whatever_read_would_tell(generation: str, change: str, tmp_path: Path) -> None:
    folder = job(tmp_path, PLACE[generation])
    layout = layout_of(generation)

    def stamp() -> str:
        tree = look(tmp_path)
        (spot,) = layout.find(tree)
        opened = tree.opens
        found = layout.stamp(tree, spot)
        assert tree.opens == opened
        return found

    def advance(word: str) -> None:
        nonlocal folder
        if generation == "b0":
            (tmp_path / B0 / word).mkdir()
            folder = folder.rename(tmp_path / B0 / word / "count")
        else:
            (folder / word).touch()

    if change == "code":
        advance("done")
    before = stamp()
    assert stamp() == before
    if change == "config":
        (folder / "config.yaml").write_text(CONFIG + "type: python\n")
    elif change == "run":
        (folder / "run.sh").unlink()
    elif change == "code":
        (folder / "returncode.txt").write_text("3")
    else:
        advance("approved" if change == "approve" else "done")
    assert stamp() != before


def test_content_leaves_out_status_logs_and_results_only(tmp_path: Path) -> None:
    job(tmp_path, PLACE["b2"])
    content = JobMarkers().content(only(tmp_path, JobMarkers()))
    assert content.base == PLACE["b2"]
    assert content.include == ()
    assert set(content.exclude) == {
        "approved", "done", "stdout.txt", "stderr.txt", "returncode.txt", "logs", "outputs", ".venv"
    }  # fmt: skip
    assert content.ignore == ("syft.pub.yaml",)


def test_permission_files_are_never_results_and_stray_outputs_are_named(tmp_path: Path) -> None:
    folder = job(tmp_path, f"{B0}/done/count", stdout_txt="x")
    for path in ("outputs/syft.pub.yaml", "outputs/deep/syft.pub.yaml", "outputs/deep/a.csv", "code/outputs/left.txt"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")
    results = JobFolders().results(look(tmp_path), only(tmp_path, JobFolders()))
    assert results.outputs_dir == f"{B0}/done/count/outputs"
    assert results.outputs == ("deep/a.csv",)
    assert results.logs == (f"{B0}/done/count/stdout.txt",)
    assert results.stray == (f"{B0}/done/count/code/outputs/left.txt",)
