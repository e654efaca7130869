"""One look at a SyftBox root: what is listed, what is passed over, and what is said about what cannot be read."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pyfakefs.helpers
import pytest
from pyfakefs.fake_filesystem import FakeFilesystem

from scq.errors import InvalidFileError
from scq.tree import DiskTree

ME = "owner@example.org"


def tree(root: Path | str, **options: object) -> DiskTree:
    return DiskTree(str(root), " Owner@Example.ORG ", **options)  # type: ignore[arg-type]


def test_own_address_is_compared_in_lower_case(tmp_path: Path) -> None:
    assert tree(tmp_path).me == ME


def test_datasites_are_found_in_both_forms(tmp_path: Path) -> None:
    for name in ("a@b.org", "apps", "datasites/c@d.org", "datasites/plain"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "x@y.org").symlink_to("a@b.org")
    assert tree(tmp_path).datasites() == [("a@b.org", "a@b.org"), ("datasites/c@d.org", "c@d.org")]


def test_folders_are_listed_sorted_without_links_and_files(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("a")
    found = tree(tmp_path)
    assert found.children("") == ["a", "b"]
    assert found.children("nothing") == []
    assert found.children("file") == []
    assert found.names("") == ["a", "b", "file", "link"]
    assert found.names("file") == []
    assert found.problems == []


def test_links_are_neither_file_nor_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "to-folder").symlink_to("folder")
    (tmp_path / "to-file").symlink_to("file")
    found = tree(tmp_path)
    assert found.is_dir("folder")
    assert found.is_file("file")
    assert not any(found.is_dir(name) or found.is_file(name) for name in ("to-folder", "to-file", "nothing"))
    assert not found.is_dir("file/below")


def test_a_stamp_changes_with_the_file_and_is_a_dash_without_one(tmp_path: Path) -> None:
    found = tree(tmp_path)
    assert found.stamp("a") == "-"
    assert found.mtime("a") is None
    (tmp_path / "a").write_text("x")
    before = found.stamp("a")
    assert found.mtime("a") == (tmp_path / "a").lstat().st_mtime
    (tmp_path / "a").write_text("xy")
    assert found.stamp("a") != before
    assert len(before.split(":")) == 4


def test_an_unchanged_folder_of_jobs_is_listed_once(tmp_path: Path) -> None:
    (tmp_path / "jobs/one").mkdir(parents=True)
    os.utime(tmp_path / "jobs", (1, 1))
    first = tree(tmp_path, full=False, now_ns=time.time_ns())
    assert first.fresh_children("jobs") == ["one"]
    again = tree(tmp_path, full=False, now_ns=time.time_ns(), known_folders=first.folders)
    assert again.fresh_children("jobs") == []
    assert again.folders == first.folders
    full = tree(tmp_path, full=True, now_ns=time.time_ns(), known_folders=first.folders)
    assert full.fresh_children("jobs") == ["one"]
    (tmp_path / "jobs/two").mkdir()
    changed = tree(tmp_path, full=False, now_ns=time.time_ns(), known_folders=first.folders)
    assert changed.fresh_children("jobs") == ["one", "two"]


def test_a_folder_that_changed_a_moment_ago_is_listed_again_next_time(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    found = tree(tmp_path, full=False, now_ns=time.time_ns())
    found.fresh_children("jobs")
    assert found.folders == {"jobs": "young"}
    again = tree(tmp_path, full=False, now_ns=time.time_ns(), known_folders=found.folders)
    again.fresh_children("jobs")
    assert again.listings == 1


def test_of_a_folder_that_changed_only_the_new_names_are_told(tmp_path: Path) -> None:
    (tmp_path / "jobs/old").mkdir(parents=True)
    (tmp_path / "jobs/new").mkdir()
    known = {"jobs": ["old", "gone"]}
    found = tree(tmp_path, full=False, known_folders={"jobs": "stamp before"}, known_names=known.__getitem__)
    assert found.fresh_children("jobs") == ["new"]
    assert found.listed == {"jobs": ["old", "new"]}, "what is gone may come back as another job"
    forgotten = tree(tmp_path, full=False, known_names=known.__getitem__)
    assert forgotten.fresh_children("jobs") == ["new", "old"]
    full = tree(tmp_path, full=True, known_folders={"jobs": "stamp before"}, known_names=known.__getitem__)
    assert full.fresh_children("jobs") == ["new", "old"]


def test_what_is_no_folder_holds_no_jobs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert tree(tmp_path).fresh_children("file") == []
    assert tree(tmp_path).fresh_children("nothing") == []


def test_a_name_that_is_not_utf8_is_passed_over_and_named_without_control_bytes(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/bad\xff")
    (tmp_path / "good").mkdir()
    found = tree(tmp_path)
    assert found.children("") == ["good"]
    assert [(problem.where, problem.what) for problem in found.problems] == [("/bad\\xff", "the folder name is not UTF-8")]
    found.children("")
    assert len(found.problems) == 1, "the same thing is said once"


def test_a_text_is_read_and_what_cannot_be_read_is_named_by_its_relative_path(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hello")
    found = tree(tmp_path)
    assert found.read_text("a", 100) == "hello"
    with pytest.raises(InvalidFileError, match=r"^a: is larger"):
        found.read_text("a", 2)
    with pytest.raises(InvalidFileError, match=r"^b: cannot be opened"):
        found.read_text("b", 2)
    assert found.opens == 3


def test_result_files_are_regular_files_with_readable_names(tmp_path: Path) -> None:
    (tmp_path / "out/deep").mkdir(parents=True)
    (tmp_path / "out/deep/b").touch()
    (tmp_path / "out/a").touch()
    (tmp_path / "out/link").symlink_to("a")
    (tmp_path / "out/bad").touch()
    os.rename(tmp_path / "out/bad", os.fsencode(tmp_path) + b"/out/\xff")
    os.mkfifo(tmp_path / "out/fifo")
    found = tree(tmp_path)
    assert found.files("out") == ["a", "deep/b"]
    assert found.files("nothing") == []


def test_a_folder_that_may_not_be_read_is_a_problem_and_not_the_end(fs: FakeFilesystem) -> None:
    fs.create_dir("/root/locked/below")
    fs.create_dir("/root/open")
    os.chmod("/root/locked", 0)
    pyfakefs.helpers.set_uid(1000)
    pyfakefs.helpers.set_gid(1000)
    try:
        found = tree("/root")
        assert found.children("open") == []
        assert found.children("locked") == []
        assert found.names("locked") == []
        assert found.files("locked") == []
        assert found.mtime("locked/below") is None
    finally:
        pyfakefs.helpers.reset_ids()
    assert {problem.where for problem in found.problems} == {"locked", "locked/below"}
    assert all("Permission denied" in problem.what and problem.advice for problem in found.problems)
