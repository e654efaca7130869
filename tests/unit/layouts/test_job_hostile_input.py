"""Hostile jobs of the folder and the marker generations: each is reported, none disturbs another."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scq.layouts.job_markers import JobMarkers
from scq.model import Sighting
from tests.unit.layouts.job_trees import B1, B2, CONFIG, OWNER, PLACE, SENDER, job, layout_of, look, only, see

GENERATIONS = ["b0", "b1", "b2"]
MERGED = "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
BAD_CONFIGS = {
    "empty": b"",
    "list": b"- a\n- b\n",
    "text": b"hello",
    "not yaml": b"name: [unclosed",
    "not utf-8": b"name: \xff\xfe",
    "binary": bytes(range(256)),
    "alias bomb": MERGED.encode(),
    "deep in brackets": b"a: " + b"[" * 500_000,
    "deep in blocks": b"- " * 200_000,
    "object": b"name: !!python/object/apply:os.system [touch hacked]\n",
    "wrong name": b"name: [1]\n",
    "wrong submitter": b"submitted_by: {a: b}\n",
    "wrong time": b"submitted_at: yesterday\n",
    "time out of range": b"submitted_at: 2026-99-99\n",
    "wrong type": b"type: julia\n",
    "wrong entry": b"entry_point: 3\n",
    "wrong dependencies": b"dependencies: numpy\n",
    "wrong dependency": b"dependencies: [numpy, {a: b}]\n",
    "huge number": b"dependencies: " + b"9" * 100_000,
}


def jobs_beside(root: Path, generation: str, **config: bytes | None) -> dict[str, Sighting]:
    """A good job and a bad one (`bad`) side by side, as they are seen."""
    parent = PLACE[generation].removesuffix("/count")
    job(root, f"{parent}/good", CONFIG.replace("count", "good"))
    job(root, f"{parent}/bad", config.get("bad"))
    return {seen.name: seen for seen in see(root, layout_of(generation))}


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("kind", BAD_CONFIGS)
def test_a_damaged_config_is_reported_and_the_next_job_is_read(generation: str, kind: str, tmp_path: Path) -> None:
    seen = jobs_beside(tmp_path, generation, bad=BAD_CONFIGS[kind])
    bad, good = seen["bad"], seen["good"]
    assert (bad.observed, bad.flags) == ("pending", ("damaged",))
    assert bad.problems[0].where == f"{bad.path}/config.yaml"
    assert bad.problems[0].what
    assert bad.problems[0].advice
    assert (good.observed, good.flags, good.problems) == ("pending", (), ())


def test_a_file_larger_than_any_config_is_not_read(tmp_path: Path) -> None:
    folder = job(tmp_path, PLACE["b2"], CONFIG)
    os.truncate(folder / "config.yaml", 50 << 20)
    seen = only(tmp_path, JobMarkers())
    assert seen.flags == ("damaged",)
    assert "larger" in seen.problems[0].what


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("kind", ["fifo", "link to a secret", "dangling link", "folder", "link to itself"])
def test_a_config_that_is_no_plain_file_is_damage_and_never_followed(generation: str, kind: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("name: secret\nsubmitted_by: secret@example.org\n")
    path = job(tmp_path, PLACE[generation], None) / "config.yaml"
    make: dict[str, Callable[[], object]] = {
        "fifo": lambda: os.mkfifo(path),
        "link to a secret": lambda: path.symlink_to(secret),
        "dangling link": lambda: path.symlink_to("nowhere"),
        "folder": path.mkdir,
        "link to itself": lambda: path.symlink_to(path),
    }
    make[kind]()
    seen = only(tmp_path, layout_of(generation))
    assert (seen.name, seen.observed, seen.flags) == ("count", "pending", ("damaged",))
    assert "secret" not in seen.submitter
    assert seen.submitter == (SENDER if generation == "b2" else "")
    assert not any("secret" in problem.what for problem in seen.problems)


def test_a_missing_config_of_an_approved_job_is_damage(tmp_path: Path) -> None:
    job(tmp_path, PLACE["b2"], None, approved="")
    seen = only(tmp_path, JobMarkers())
    assert (seen.observed, "damaged" in seen.flags) == ("approved", True)


@pytest.mark.parametrize("marker", ["approved", "done"])
@pytest.mark.parametrize("kind", ["link", "folder", "fifo", "dangling link"])
def test_a_marker_that_is_no_plain_file_does_not_count(marker: str, kind: str, tmp_path: Path) -> None:
    path = job(tmp_path, PLACE["b2"]) / marker
    make: dict[str, Callable[[], object]] = {
        "link": lambda: path.symlink_to("run.sh"),
        "folder": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "dangling link": lambda: path.symlink_to("nowhere"),
    }
    make[kind]()
    seen = only(tmp_path, JobMarkers())
    assert (seen.observed, seen.markers, seen.flags) == ("pending", (), ("damaged",))
    assert seen.problems[0].where == f"{seen.path}/{marker}"


@pytest.mark.parametrize("text", ["", "ok", "0 0", "1_0", "٣", "9" * 63, "0" * 1000, "0x10", "nan"])
def test_a_return_code_that_is_none_is_unknown_and_damage(text: str, tmp_path: Path) -> None:
    job(tmp_path, PLACE["b2"], done="", returncode_txt=text)
    seen = only(tmp_path, JobMarkers())
    assert (seen.observed, seen.exit_code, seen.flags) == ("completed", None, ("damaged",))
    assert seen.problems[0].where == f"{seen.path}/returncode.txt"


def test_a_return_code_is_never_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("42")
    folder = job(tmp_path, PLACE["b2"], done="")
    (folder / "returncode.txt").symlink_to(tmp_path / "secret")
    seen = only(tmp_path, JobMarkers())
    assert (seen.exit_code, seen.flags) == (None, ("damaged",))


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    "name",
    [
        "v1",
        "two words",
        "line\nbreak",
        "\x1b[31mred\x1b[0m",
        "\u202egnp.exe",
        "x" * 250,
        "'quote\"",
        "[a]*?",
        "-rf",
        "~",
        "$(id)",
    ],
)
def test_strange_names_are_plain_names(generation: str, name: str, tmp_path: Path) -> None:
    job(tmp_path, PLACE[generation].replace("count", name))
    layout = layout_of(generation)
    seen = only(tmp_path, layout)
    assert (seen.name, seen.ref.key, seen.observed, seen.flags) == (name, name, "pending", ("name_differs",))
    assert layout.locate(look(tmp_path), seen.ref) is not None


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_name_that_is_not_utf8_is_reported_and_passed_over(generation: str, tmp_path: Path) -> None:
    job(tmp_path, PLACE[generation])
    bad = os.fsencode(tmp_path / PLACE[generation]).replace(b"count", b"bad\xff")
    os.mkdir(bad)
    tree = look(tmp_path)
    assert [spot.ref.key for spot in layout_of(generation).find(tree)] == ["count"]
    assert any("UTF-8" in problem.what for problem in tree.problems)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_linked_job_folder_is_no_job(generation: str, tmp_path: Path) -> None:
    outside = job(tmp_path, "outside")
    place = tmp_path / PLACE[generation]
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)
    assert see(tmp_path, layout_of(generation)) == []


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_folder_counts_when_the_file_gives_another_name(generation: str, tmp_path: Path) -> None:
    job(tmp_path, PLACE[generation], CONFIG.replace("name: count", "name: ../../other"))
    seen = only(tmp_path, layout_of(generation))
    assert (seen.name, seen.path, seen.flags) == ("count", PLACE[generation], ("name_differs",))


def test_the_folder_counts_when_the_file_names_another_submitter(tmp_path: Path) -> None:
    job(tmp_path, PLACE["b2"], CONFIG.replace(SENDER, "boss@example.org"))
    seen = only(tmp_path, JobMarkers())
    assert (seen.submitter, seen.flags) == (SENDER, ("inconsistent",))


def test_the_case_of_an_address_makes_no_difference(tmp_path: Path) -> None:
    job(tmp_path, PLACE["b2"], CONFIG.replace(SENDER, SENDER.title()))
    assert only(tmp_path, JobMarkers()).flags == ()


@pytest.mark.parametrize("form", ["'2999-01-01T00:00:00+00:00'", "2999-01-01T00:00:00Z", "2999-01-01 00:00:00+00:00"])
def test_a_time_in_the_future_is_read_as_it_is(form: str, tmp_path: Path) -> None:
    job(tmp_path, PLACE["b2"], f"name: count\nsubmitted_by: {SENDER}\nsubmitted_at: {form}\n")
    seen = only(tmp_path, JobMarkers())
    assert (seen.submitted_at, seen.flags) == (datetime(2999, 1, 1, tzinfo=UTC), ())


def test_long_texts_are_cut(tmp_path: Path) -> None:
    job(tmp_path, PLACE["b2"], CONFIG + f"entry_point: {'x' * 100_000}\ndependencies: [{'y' * 100_000}]\n")
    seen = only(tmp_path, JobMarkers())
    assert len(seen.entrypoint or "") == 1_000
    assert len(seen.dependencies[0]) == 1_000


def test_a_folder_of_somebody_unknown_is_shown_but_named(tmp_path: Path) -> None:
    job(tmp_path, f"{OWNER}/app_data/job/*@example.org/count", "name: count\n")
    seen = only(tmp_path, JobMarkers())
    assert seen.submitter == "*@example.org"
    assert "whose job" in seen.problems[-1].what


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_job_that_vanishes_while_it_is_read_is_not_an_error(generation: str, tmp_path: Path) -> None:
    folder = job(tmp_path, PLACE[generation])
    layout = layout_of(generation)
    tree = look(tmp_path)
    (spot,) = layout.find(tree)
    folder.rename(tmp_path / "gone")
    assert layout.stamp(tree, spot)
    seen = layout.read(tree, spot)
    assert seen.observed == "incomplete"
    assert layout.results(tree, seen).outputs == ()


def test_reading_never_writes(tmp_path: Path) -> None:
    for place in (*PLACE.values(), f"{B1}/other", f"{B2}/done"):
        job(tmp_path, place, done="")
    before = {str(path): path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    for layout in map(layout_of, ("b0", "b2")):
        tree = look(tmp_path)
        for seen in see(tmp_path, layout):
            layout.results(tree, seen)
            layout.content(seen)
        layout.target(str(tmp_path), OWNER)
    assert {str(path): path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before
