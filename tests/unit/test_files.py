"""Reading what strangers wrote without being fooled, and writing so that nobody ever sees half a file."""

from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem

from scq import files
from scq.errors import InvalidFileError


def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    assert files.read_bytes(str(tmp_path / "a"), 5) == b"hello"
    assert files.read_text(str(tmp_path / "a")) == "hello"


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "link", "socket", "large"])
def test_what_is_not_a_small_regular_file_is_refused_with_its_name(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "thing"
    (tmp_path / "real").write_text("secret")
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(tmp_path / "real")
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("thing")
    elif kind == "large":
        path.write_bytes(b"x" * 11)
    with pytest.raises(InvalidFileError, match="thing: ") as caught:
        files.read_bytes(str(path), 10)
    assert caught.value.advice


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidFileError, match="is not UTF-8"):
        files.read_text(str(tmp_path / "a"))


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    real = os.fstat

    def before_it_grew(fd: int) -> os.stat_result:
        found = list(real(fd))
        found[stat.ST_SIZE] = 1
        return os.stat_result(found)

    monkeypatch.setattr(files.os, "fstat", before_it_grew)
    with pytest.raises(InvalidFileError, match="larger than 4 bytes"):
        files.read_bytes(str(path), 4)


def test_a_disk_that_fails_while_it_is_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"12345")

    class Broken:
        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *_: object) -> None: ...

        def read(self, _: int) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    descriptors: list[int] = []
    monkeypatch.setattr(files.os, "fdopen", lambda fd, mode: (descriptors.append(fd), Broken())[1])
    with pytest.raises(InvalidFileError, match="Input/output error"):
        files.read_bytes(str(tmp_path / "a"))
    os.close(descriptors[0])


def test_a_write_replaces_the_whole_file_with_the_given_rights_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("a much longer old text")
    files.write_atomic(str(path), b"new", mode=0o640)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    files.write_atomic(str(path), b"newer", sync=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_write_never_follows_a_link_laid_at_its_temporary_name(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f".a.{os.getpid()}.tmp").symlink_to(victim)
    files.write_atomic(str(tmp_path / "a"), b"new")
    assert victim.read_text() == "precious"
    assert (tmp_path / "a").read_text() == "new"


def test_the_longest_name_a_file_can_have_is_written_too(tmp_path: Path) -> None:
    name = "漢" * 85
    files.write_atomic(str(tmp_path / name), b"new")
    assert (tmp_path / name).read_bytes() == b"new"


@pytest.fixture
def folder_for_all() -> Iterator[Path]:
    """A folder that an ordinary user can reach, whoever runs the tests."""
    with tempfile.TemporaryDirectory(prefix="scq-files-") as name:
        os.chmod(name, 0o777)
        yield Path(name)


def as_ordinary_user(act: Callable[[], object]) -> None:
    """Do something, in a fork, as a user whom the rights of folders bind."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            act()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("mode", [0o000, 0o111, 0o444, 0o555, 0o300, 0o4555])
def test_a_tree_whose_folders_give_no_rights_is_removed(folder_for_all: Path, mode: int) -> None:
    tree, kept = folder_for_all / "tree", folder_for_all / "kept"
    kept.mkdir()
    (kept / "file").write_text("stays")
    kept.chmod(0o755)

    def make() -> None:
        (tree / "a" / "b").mkdir(parents=True)
        (tree / "a" / "b" / "file").write_text("x")
        (tree / "a" / "c").mkdir()
        (tree / "a" / "link").symlink_to(kept)
        for folder in ("a/b", "a/c", "a", "."):
            (tree / folder).chmod(mode)

    as_ordinary_user(make)
    assert tree.is_dir()
    as_ordinary_user(lambda: files.remove_tree(str(tree)))
    assert os.listdir(folder_for_all) == ["kept"]
    assert (kept / "file").read_text() == "stays"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o755


def test_a_tree_of_more_levels_than_can_be_walked_down_is_removed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    handle = os.open(tree, os.O_RDONLY)
    for _ in range(3_000):
        os.mkdir("d", dir_fd=handle)
        below = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=handle))
    os.close(handle)
    files.remove_tree(str(tree))
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree").mkdir()

    def read_only(path: str, **_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", path)

    monkeypatch.setattr(os, "rmdir", read_only)
    with pytest.raises(OSError, match="Read-only file system: .*tree"):
        files.remove_tree(str(tmp_path / "tree"))


def test_a_full_disk_keeps_the_old_file_and_the_error_names_it(fs: FakeFilesystem) -> None:
    fs.create_file("/home/me/state.json", contents="old")
    fs.set_disk_usage(fs.get_disk_usage().used + 10, "/")
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_atomic("/home/me/state.json", b"x" * 100)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/home/me/state.json")
    assert Path("/home/me/state.json").read_text() == "old"
    assert os.listdir("/home/me") == ["state.json"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a").write_text("old")
    monkeypatch.setattr(files.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomic(str(tmp_path / "a"), b"new")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("a", "old")]


def test_removing_what_is_not_there_is_fine(tmp_path: Path) -> None:
    files.remove_file(str(tmp_path / "nothing"))
    files.remove_tree(str(tmp_path / "nothing"))
    assert list(tmp_path.iterdir()) == []


def test_removing_a_tree_removes_a_link_and_not_what_it_points_at(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(kept)
    files.remove_tree(str(tmp_path / "link"))
    assert not (tmp_path / "link").is_symlink()
    assert (kept / "below").is_dir()
    files.remove_tree(str(kept))
    assert not kept.exists()


def test_making_a_folder_twice_is_fine(tmp_path: Path) -> None:
    files.make_folder(str(tmp_path / "a/b"), 0o700)
    files.make_folder(str(tmp_path / "a/b"), 0o700)
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o700


def tree(folder: Path) -> Path:
    for name in ("b/deep/er", "a"):
        (folder / name).mkdir(parents=True)
    (folder / "b/deep/file").write_text("x")
    (folder / "c").symlink_to("b")
    return folder


def test_a_walk_is_sorted_and_follows_no_link(tmp_path: Path) -> None:
    found = [path for path, _ in files.walk(str(tree(tmp_path)), 100)]
    assert found == ["a", "b", "c", "b/deep", "b/deep/er", "b/deep/file"]


def test_a_walk_ends_at_its_limits(tmp_path: Path) -> None:
    tree(tmp_path)
    assert len(list(files.walk(str(tmp_path), 4))) == 4
    assert [path for path, _ in files.walk(str(tmp_path), 100, depth=1)] == ["a", "b", "c", "b/deep"]


def test_a_walk_of_nothing_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(files.walk(str(tmp_path / "nothing"), 10))
