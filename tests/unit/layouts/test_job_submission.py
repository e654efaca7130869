"""Submitting to the folder and the marker generations of syft-job."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from scq.errors import IntegrityError, UsageError
from scq.layouts import job_submission
from scq.layouts.job_folders import JobFolders
from scq.layouts.job_markers import JobMarkers
from tests.unit.layouts.job_trees import (
    B0,
    B1,
    OWNER,
    PLACE,
    SENDER,
    job,
    layout_of,
    only,
    see,
    snapshot,
    submission,
)

GENERATIONS = ["b0", "b1", "b2"]
PYTHON = {
    "kind": "python",
    "entrypoint": "main.py",
    "dependencies": ("syft-client", "numpy"),
    "source_path": "/srv/scientist/main.py",
    "files": {"main.py": b"print(1)\n", "tool.sh": b"true\n"},
    "executable": frozenset({"tool.sh"}),
}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_submitted_job_is_found_again(generation: str, tmp_path: Path) -> None:
    ref = layout_of(generation).submit(str(tmp_path), generation, submission(**PYTHON))
    seen = only(tmp_path, layout_of(generation))
    assert (seen.ref, seen.path, seen.layout) == (ref, PLACE[generation], generation)
    assert (seen.observed, seen.flags, seen.problems) == ("pending", (), ())
    assert (seen.kind, seen.entrypoint, seen.dependencies) == ("python", "main.py", ("syft-client", "numpy"))
    assert layout_of(generation).target(str(tmp_path), OWNER) == generation


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_submitted_bash_job_has_the_files_and_the_text_of_its_peers(generation: str, tmp_path: Path) -> None:
    layout_of(generation).submit(str(tmp_path), generation, submission())
    folder = tmp_path / PLACE[generation]
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "run.sh"]
    wanted = f"name: count\nsubmitted_at: '2026-11-21T08:00:00.500000+00:00'\nsubmitted_by: {SENDER}\n"
    assert (folder / "config.yaml").read_text() == wanted
    assert stat.S_IMODE((folder / "run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "config.yaml").stat().st_mode) == 0o644
    assert list(tmp_path.rglob("*.tmp")) == []


@pytest.mark.parametrize(
    ("generation", "more", "code"),
    [
        ("b0", {"dependencies": ["syft-client", "numpy"]}, "code/"),
        ("b1", {"dependencies": ["syft-client", "numpy"]}, ""),
        ("b2", {"dependencies": ["syft-client", "numpy"], "is_folder_submission": False}, ""),
    ],
)
def test_a_submitted_python_job_has_the_keys_and_places_of_its_peers(
    generation: str, more: dict[str, Any], code: str, tmp_path: Path
) -> None:
    layout_of(generation).submit(str(tmp_path), generation, submission(**PYTHON))
    folder = tmp_path / PLACE[generation]
    values = yaml.safe_load((folder / "config.yaml").read_text())
    assert values == more | {
        "name": "count",
        "submitted_by": SENDER,
        "submitted_at": "2026-11-21T08:00:00.500000+00:00",
        "type": "python",
        "code_path": "/srv/scientist/main.py",
        "entry_point": "main.py",
    }
    assert (folder / f"{code}main.py").read_bytes() == b"print(1)\n"
    assert stat.S_IMODE((folder / f"{code}tool.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / f"{code}main.py").stat().st_mode) == 0o644


def test_the_oldest_form_names_dependencies_only_when_there_are_some(tmp_path: Path) -> None:
    JobFolders().submit(str(tmp_path), "b0", submission(**(PYTHON | {"dependencies": ()})))
    assert "dependencies" not in yaml.safe_load((tmp_path / PLACE["b0"] / "config.yaml").read_text())


def test_a_folder_submission_of_b2_keeps_its_folder(tmp_path: Path) -> None:
    files = {"project/main.py": b"1", "project/lib/__init__.py": b""}
    JobMarkers().submit(str(tmp_path), "b2", submission(**(PYTHON | {"files": files, "is_folder": True})))
    folder = tmp_path / PLACE["b2"]
    assert (folder / "project/lib/__init__.py").read_bytes() == b""
    assert yaml.safe_load((folder / "config.yaml").read_text())["is_folder_submission"] is True


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_taken_name_is_refused_and_nothing_changes(generation: str, tmp_path: Path) -> None:
    layout = layout_of(generation)
    layout.submit(str(tmp_path), generation, submission())
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="already"):
        layout.submit(str(tmp_path), generation, submission(run_sh="other"))
    assert snapshot(tmp_path) == before


def test_of_two_submissions_at_once_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = job_submission._build

    def build_slowly(*args: Any) -> None:
        build(*args)
        job(tmp_path, PLACE["b2"], "name: first\n")

    monkeypatch.setattr(job_submission, "_build", build_slowly)
    with pytest.raises(UsageError, match="already"):
        JobMarkers().submit(str(tmp_path), "b2", submission())
    assert (tmp_path / PLACE["b2"] / "config.yaml").read_text() == "name: first\n"
    assert list(tmp_path.rglob("*.tmp")) == []


def test_a_name_that_is_done_is_taken_too(tmp_path: Path) -> None:
    job(tmp_path, f"{B0}/done/count")
    with pytest.raises(UsageError, match="already"):
        JobFolders().submit(str(tmp_path), "b0", submission())


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "../x",
        ".hidden",
        "a\nb",
        "\x1b[31mred",
        "a\u202eb",
        "a\0b",
        "v1",
        "v23",
        "é" * 101,
        "a*",
        "a?b",
        "[a]",
        "{a}",
        "\udcff",
    ],
)
def test_names_that_peers_could_misread_are_refused(generation: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        layout_of(generation).submit(str(tmp_path), generation, submission(name=name))
    assert refused.value.advice
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("generation", "name"), [("b0", "inbox"), ("b1", "approved"), ("b1", "a@b.c"), ("b2", "review")])
def test_names_that_are_words_of_a_queue_are_refused(generation: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="meaning of its own"):
        layout_of(generation).submit(str(tmp_path), generation, submission(name=name))


@pytest.mark.parametrize("name", ["count rows", "Job - 0da33045", "zählen", "v1 draft", "x" * 200])
def test_ordinary_names_are_accepted(name: str, tmp_path: Path) -> None:
    JobMarkers().submit(str(tmp_path), "b2", submission(name=name))
    assert only(tmp_path, JobMarkers()).name == name


@pytest.mark.parametrize(
    "path", ["approved", "done", "stdout.txt", "outputs/x", "config.yaml", "run.sh", "run.sh/x", "syft.pub.yaml", ".."]
)
def test_files_that_bear_a_name_of_the_queue_are_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        JobMarkers().submit(str(tmp_path), "b2", submission(files={path: b"mine"}))
    assert list(tmp_path.rglob("count")) == []


@pytest.mark.parametrize("field", ["owner", "submitter"])
@pytest.mark.parametrize("address", ["*", "*@example.org", "nobody", "../a@b.c", "a@b\n"])
def test_only_plain_addresses_become_folders(field: str, address: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mail address"):
        JobMarkers().submit(str(tmp_path), "b2", submission(**{field: address}))


def test_a_link_on_the_way_stops_a_submission(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "box" / OWNER).mkdir(parents=True)
    (tmp_path / "box" / OWNER / "app_data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError):
        JobMarkers().submit(str(tmp_path / "box"), "b2", submission())
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_failed_submission_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        JobMarkers().submit(str(tmp_path), "b2", submission())
    assert see(tmp_path, JobMarkers()) == []
    assert list(tmp_path.rglob("*.tmp")) == []


def test_a_job_of_b1_goes_where_the_datasite_is(tmp_path: Path) -> None:
    (tmp_path / OWNER).mkdir()
    JobMarkers().submit(str(tmp_path), "b1", submission())
    assert only(tmp_path, JobMarkers()).path == f"{OWNER}/app_data/job/count"
    assert JobMarkers().target(str(tmp_path), OWNER) == "b1"
    (tmp_path / "datasites" / OWNER).mkdir(parents=True)
    JobMarkers().submit(str(tmp_path), "b1", submission(name="next"))
    assert {seen.path for seen in see(tmp_path, JobMarkers())} == {f"{OWNER}/app_data/job/count", f"{B1}/next"}


def test_a_datasite_without_jobs_is_no_target(tmp_path: Path) -> None:
    (tmp_path / OWNER / "app_data" / "job").mkdir(parents=True)
    (tmp_path / B0).mkdir(parents=True)
    assert JobFolders().target(str(tmp_path), OWNER) is None
    assert JobMarkers().target(str(tmp_path), OWNER) is None
    assert JobMarkers().target(str(tmp_path), "nobody@example.org") is None
