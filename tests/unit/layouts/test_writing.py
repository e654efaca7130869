"""Writing below the root: nothing through a link, results without tricks, names the peers can live with."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from scq.errors import IntegrityError, InvalidFileError, UsageError
from scq.layouts import writing
from scq.layouts.writing import check_name, copy_results, publish_folder, safe_folder, write_files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_safe_folder_is_made_with_its_parents_and_found_again(tmp_path: Path) -> None:
    made = safe_folder(str(tmp_path), "owner@x.org/app_data/job")
    assert made == f"{tmp_path}/owner@x.org/app_data/job"
    assert mode(Path(made)) == 0o755 & ~_umask()
    assert safe_folder(str(tmp_path), "owner@x.org/app_data/job") == made


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def test_the_root_itself_is_a_safe_folder(tmp_path: Path) -> None:
    assert safe_folder(str(tmp_path), "") == str(tmp_path)


def test_a_root_that_is_a_link_is_the_owners_choice(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    safe_folder(str(tmp_path / "root"), "a/b")
    assert (tmp_path / "real/a/b").is_dir()


def test_without_create_nothing_is_made(tmp_path: Path) -> None:
    assert safe_folder(str(tmp_path), "a/b", create=False) == f"{tmp_path}/a/b"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("place", ["a", "a/b", "a/b/c"])
def test_a_link_anywhere_on_the_way_is_refused_and_named(tmp_path: Path, place: str, create: bool) -> None:
    outside = tmp_path / "outside"
    (outside / "b/c").mkdir(parents=True)
    root = tmp_path / "root"
    link = root / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    before = sorted(outside.rglob("*"))
    with pytest.raises(IntegrityError, match=f"{link}: is a symbolic link"):
        safe_folder(str(root), "a/b/c", create=create)
    assert sorted(outside.rglob("*")) == before


def test_a_dangling_link_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")
    with pytest.raises(IntegrityError, match="symbolic link"):
        safe_folder(str(tmp_path), "a/b")
    assert not (tmp_path / "nowhere").exists()


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(IntegrityError, match="is not a folder"):
        safe_folder(str(tmp_path), "a/b")


@pytest.mark.parametrize("path", ["../out", "a/../b", "/etc", "a//b", ".", "a/.", "a\0b", "bad\udcff"])
def test_a_path_that_could_leave_the_root_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(IntegrityError, match="not a path below"):
        safe_folder(str(tmp_path), path)


def test_a_folder_that_cannot_be_looked_at_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="cannot be looked at"):
        safe_folder(str(tmp_path), "x" * 300)


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_somebody_else_being_faster_is_fine_unless_it_is_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    plain = os.mkdir

    def late(path: str, mode: int) -> None:
        if kind == "link":
            os.symlink("/", path)
        else:
            plain(path, mode)
        raise FileExistsError(path)

    monkeypatch.setattr(os, "mkdir", late)
    if kind == "link":
        with pytest.raises(IntegrityError, match="symbolic link"):
            safe_folder(str(tmp_path), "a")
    else:
        assert safe_folder(str(tmp_path), "a") == f"{tmp_path}/a"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "outputs"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "rows.txt").write_text("3\n")
    (folder / "deep/er/table.csv").write_text("a,b\n")
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    parent = tmp_path / "job"
    parent.mkdir()
    return parent / "outputs"


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_results_are_copied_and_copied_again(source: Path, target: Path) -> None:
    for _ in range(2):
        copy_results(str(source), str(target))
        assert tree(target) == {"rows.txt": "3\n", "deep/er/table.csv": "a,b\n"}
        assert os.listdir(target.parent) == ["outputs"]


def test_old_results_are_replaced_whole(source: Path, target: Path) -> None:
    target.mkdir()
    (target / "old.txt").write_text("old")
    copy_results(str(source), str(target))
    assert "old.txt" not in tree(target)


def test_links_fifos_and_names_that_are_not_utf8_are_left_out(source: Path, target: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("private")
    (source / "link").symlink_to(secret)
    (source / "linked").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(source / "fifo")
    with open(os.fsencode(source) + b"/bad\xff", "w") as file:
        file.write("x")
    os.mkdir(os.fsencode(source) + b"/badder\xff")
    with open(os.fsencode(source) + b"/badder\xff/in", "w") as file:
        file.write("x")
    copy_results(str(source), str(target))
    assert sorted(os.listdir(target)) == ["deep", "rows.txt"]


@pytest.mark.parametrize("name", ["syft.pub.yaml", "SYFT.PUB.YAML", "syftperm.yaml"])
def test_a_job_cannot_decide_who_reads_its_results(source: Path, target: Path, name: str) -> None:
    (source / name).write_text("rules: [{pattern: '**', access: {read: ['*']}}]")
    (source / "deep" / name).mkdir()
    (source / "deep" / name / "inside.txt").write_text("x")
    copy_results(str(source), str(target))
    assert tree(target) == {"rows.txt": "3\n", "deep/er/table.csv": "a,b\n"}


def test_modes_are_plain_and_set_id_bits_are_gone(source: Path, target: Path) -> None:
    (source / "rows.txt").chmod(0o6600)
    (source / "tool").write_text("#!/bin/sh\n")
    (source / "tool").chmod(0o4711)
    copy_results(str(source), str(target))
    assert mode(target / "rows.txt") == 0o644
    assert mode(target / "tool") == 0o755


def test_a_file_larger_than_one_block_is_copied_whole(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BLOCK", 1000)
    content = os.urandom(2500)
    (source / "big").write_bytes(content)
    copy_results(str(source), str(target))
    assert (target / "big").read_bytes() == content


def test_a_target_that_is_a_link_is_refused(source: Path, target: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "keep").write_text("x")
    target.symlink_to(victim)
    with pytest.raises(IntegrityError, match="symbolic link"):
        copy_results(str(source), str(target))
    assert tree(victim) == {"keep": "x"}


@pytest.mark.parametrize("kind", ["missing", "link", "file"])
def test_a_source_that_is_no_folder_is_refused_and_old_results_stay(tmp_path: Path, target: Path, kind: str) -> None:
    source = tmp_path / "source"
    if kind == "link":
        source.symlink_to(tmp_path)
    elif kind == "file":
        source.write_text("x")
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(IntegrityError, match=str(source)):
        copy_results(str(source), str(target))
    assert tree(target) == {"old": "old"}


def test_too_many_entries_are_refused_without_a_trace(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "RESULT_ENTRIES_LIMIT", 3)
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(IntegrityError, match="more than 3 entries"):
        copy_results(str(source), str(target))
    assert os.listdir(target.parent) == ["outputs"]
    assert tree(target) == {"old": "old"}


def test_a_file_that_vanishes_while_copying_leaves_the_old_results(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(path: str) -> int:
        raise InvalidFileError(f"{path}: cannot be opened")

    monkeypatch.setattr(writing, "open_regular", gone)
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(InvalidFileError):
        copy_results(str(source), str(target))
    assert os.listdir(target.parent) == ["outputs"]
    assert tree(target) == {"old": "old"}


def test_what_a_killed_copy_left_behind_is_cleared_by_the_next(source: Path, target: Path) -> None:
    left = target.parent / ".outputs.99999.tmp"
    left.mkdir()
    (left / "half").write_text("x")
    (target.parent / ".outputs-of-mine.tmp").mkdir()
    copy_results(str(source), str(target))
    assert sorted(os.listdir(target.parent)) == [".outputs-of-mine.tmp", "outputs"]


@pytest.mark.parametrize("name", ["count rows", "Job - 2d9dda9d", "zählung_1.0", "version1", "v1.2", "V1", "a" * 200, "日" * 66])
def test_ordinary_names_are_fine(name: str) -> None:
    check_name(name)


BAD_NAMES = ["", ".", "..", "a/b", "../up", "a..b", ".hidden", "nul\0", "bad\udcff", "line\nbreak", "\x1b[31mred", "b\u202eidi"]
BAD_NAMES += ["tab\t", "zero\u200bwidth", "a" * 201, "日" * 67, "re[port", "re]port", "a*", "a?", "{a", "a}", "v1", "v0", "v123"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_peers_or_patterns_stumble_over_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a job name"):
        check_name(name)


def test_files_are_written_with_their_modes(tmp_path: Path) -> None:
    write_files(str(tmp_path), {"run.sh": b"#!/bin/sh\n", "code/lib/a.py": b"a"}, {"run.sh"})
    assert mode(tmp_path / "run.sh") == 0o755
    assert mode(tmp_path / "code/lib/a.py") == 0o644
    assert (tmp_path / "code/lib/a.py").read_bytes() == b"a"


@pytest.mark.parametrize("path", ["../out", "/etc/x", "a//b", "a/../../b", "", "bad\udcff", "a/"])
def test_a_file_path_that_leaves_the_folder_is_refused_before_anything_is_written(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="cannot be submitted"):
        write_files(str(tmp_path), {"fine": b"", path: b""}, set())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_published_whole(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    publish_folder(str(tmp_path), "job", {"a": b"1", "b/c": b"2"}, set(), str(tmp_path / "inbox/job"))
    assert tree(tmp_path) == {"inbox/job/a": "1", "inbox/job/b/c": "2"}
    assert os.listdir(tmp_path) == ["inbox"]


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "dangling link"])
def test_a_taken_name_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "job"
    if kind == "dangling link":
        target.symlink_to(tmp_path / "nowhere")
    elif kind == "file":
        target.write_text("x")
    else:
        target.mkdir()
        if kind == "folder":
            (target / "keep").write_text("x")
    with pytest.raises(UsageError, match="exists already"):
        publish_folder(str(tmp_path), "job", {"a": b"1"}, set(), str(target))
    assert os.listdir(tmp_path) == ["job"]
    assert not (target / "a").exists()


def test_losing_the_race_for_a_name_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "job"
    target.mkdir()
    (target / "theirs").write_text("x")
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    with pytest.raises(UsageError, match="exists already"):
        publish_folder(str(tmp_path), "job", {"a": b"1"}, set(), str(target))
    assert os.listdir(tmp_path) == ["job"]


def test_other_trouble_while_publishing_is_not_called_a_taken_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        publish_folder(str(tmp_path), "job", {"a": b"1"}, set(), str(tmp_path / "no/such/job"))
    assert os.listdir(tmp_path) == []
