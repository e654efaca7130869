"""Taking the results of a run out of its work folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pyfakefs.helpers
import pytest
from pyfakefs.fake_filesystem import FakeFilesystem

from scq.collecting import Collected, Limits, collect

LIMITS = Limits(files=10, bytes=1_000)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work/outputs").mkdir(parents=True)
    return tmp_path / "work"


def collected(work: Path, folders: tuple[str, ...] = ("outputs",), limits: Limits = LIMITS) -> Collected:
    return collect(str(work), folders, str(work.parent / "results"), limits)


def test_regular_files_are_taken_over_with_their_executable_bit_and_no_other(work: Path) -> None:
    (work / "outputs/deep").mkdir()
    (work / "outputs/deep/b.txt").write_text("b")
    (work / "outputs/a").write_text("a")
    (work / "outputs/a").chmod(0o6755)
    assert collected(work) == Collected(("a", "deep/b.txt"), ())
    assert (work.parent / "results/deep/b.txt").read_text() == "b"
    assert stat.S_IMODE((work.parent / "results/a").stat().st_mode) == 0o755


def test_nothing_makes_no_folder(work: Path) -> None:
    assert collected(work, ("outputs", "none", "a/b")) == Collected((), ())
    assert [path.name for path in work.parent.iterdir()] == ["work"]


def test_the_first_folder_wins(work: Path) -> None:
    (work / "code/outputs").mkdir(parents=True)
    (work / "code/outputs/a").write_text("first")
    (work / "outputs/a").write_text("second")
    (work / "outputs/b").write_text("b")
    assert collected(work, ("code/outputs", "outputs")) == Collected(("a", "b"), ("a: another result has the same name",))
    assert (work.parent / "results/a").read_text() == "first"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda out: (out / "x").symlink_to("/etc/passwd"), "x: is not a regular file"),
        (lambda out: (out / "x").symlink_to("/"), "x: is not a regular file"),
        (lambda out: os.mkfifo(out / "x"), "x: is not a regular file"),
        (lambda out: (out / "x\x1b[2J").touch(), "x\\x1b[2J: its name is not plain text"),
        (lambda out: os.close(os.open(os.fsencode(out) + b"/\xff", os.O_CREAT)), "\\udcff: its name is not plain text"),
        (lambda out: (out / "syft.pub.yaml").write_text("read: ['*']"), "syft.pub.yaml: is a permission file"),
        (lambda out: (out / "x").write_bytes(b"x" * 1_001), "x: more than 1000 bytes in total"),
        (lambda out: os.truncate(os.open(out / "x", os.O_CREAT | os.O_RDWR), 5 << 40), "x: more than 1000 bytes in total"),
    ],
)
def test_what_is_not_a_plain_result_is_left_with_its_reason(work: Path, make: Callable[[Path], object], reason: str) -> None:
    (work / "outputs/good").write_text("good")
    make(work / "outputs")
    exceeded = reason.partition(": ")[2] if "more than" in reason else ""
    assert collected(work) == Collected(("good",), (reason,), exceeded)
    assert os.listdir(work.parent / "results") == ["good"]


def test_limits_count_files_and_bytes_over_all_folders(work: Path) -> None:
    for number in range(12):
        (work / f"outputs/f{number:02}").write_bytes(b"x" * 10)
    found = collected(work)
    assert len(found.files) == 10
    assert found.left == ("f10: more than 10 files", "f11: more than 10 files")
    assert found.exceeded == "more than 10 files"
    assert len(collected(work, limits=Limits(files=100, bytes=55)).files) == 5


@pytest.mark.parametrize("folder", ["outputs", "code/outputs"])
def test_a_results_folder_replaced_by_a_link_is_not_followed(work: Path, folder: str) -> None:
    secret = work.parent / "secret"
    (secret / "outputs").mkdir(parents=True)
    (secret / "outputs/key").write_text("secret")
    (work / "outputs").rmdir()
    if folder == "outputs":
        (work / "outputs").symlink_to(secret / "outputs")
    else:
        (work / "code").symlink_to(secret)
    assert collected(work, (folder,)) == Collected((), ())


def test_repeating_it_replaces_what_a_killed_call_left(work: Path) -> None:
    (work.parent / "results.tmp").mkdir()
    (work.parent / "results.tmp/half").touch()
    (work.parent / "results").mkdir()
    (work.parent / "results/old").touch()
    (work / "outputs/a").touch()
    assert collected(work).files == ("a",)
    assert os.listdir(work.parent / "results") == ["a"]
    assert not (work.parent / "results.tmp").exists()


def test_a_file_that_vanishes_while_it_is_collected_is_left(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "outputs/a").touch()
    (work / "outputs/b").touch()
    real = os.open

    def vanishing(path: str, *rest: int) -> int:
        if path == str(work / "outputs/a"):
            os.unlink(path)
        return real(path, *rest)

    monkeypatch.setattr("scq.collecting.os.open", vanishing)
    assert collected(work) == Collected(("b",), ("a: cannot be read (No such file or directory)",))


def test_a_folder_that_cannot_be_listed_is_told_and_the_rest_is_taken(fs: FakeFilesystem) -> None:
    for name in ("a", "locked/b"):
        fs.create_file(f"/work/outputs/{name}")
    fs.create_dir("/run")
    os.chmod("/run", 0o777)
    os.chmod("/work/outputs/locked", 0)
    pyfakefs.helpers.set_uid(1000)
    pyfakefs.helpers.set_gid(1000)
    try:
        found = collect("/work", ("outputs",), "/run/results", LIMITS)
    finally:
        pyfakefs.helpers.reset_ids()
    assert found == Collected(("a",), ("outputs: a folder cannot be listed (Permission denied)",))


def test_a_flood_of_files_is_named_in_a_few_lines(work: Path) -> None:
    for number in range(150):
        (work / f"outputs/f{number:03}").touch()
    found = collected(work)
    assert (len(found.files), len(found.left), found.left[-1]) == (10, 101, "40 more")
