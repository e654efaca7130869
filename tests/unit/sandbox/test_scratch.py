from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scq.errors import ConfigError
from scq.files import remove_tree
from scq.sandbox import scratch
from scq.sandbox.scratch import hand_over, make_scratch, remove_run, remove_scratch, scratch_of

ME = os.geteuid(), os.getegid()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_without_a_note_the_run_directory_is_the_scratch_folder(run: Path) -> None:
    assert scratch_of(str(run)) == str(run)
    remove_scratch(str(run))
    assert run.is_dir()


def test_a_scratch_folder_is_made_once_and_remembered(run: Path, tmp_path: Path) -> None:
    root = tmp_path / "a/b"
    folder = make_scratch(str(run), str(root), *ME)
    assert make_scratch(str(run), str(root), *ME) == folder == scratch_of(str(run))
    assert Path(folder).parent == root
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert root.stat().st_mode & 0o777 == 0o711
    assert os.listdir(root) == [Path(folder).name]


def test_a_folder_that_was_remembered_and_not_made_is_made(run: Path, tmp_path: Path) -> None:
    folder = make_scratch(str(run), str(tmp_path / "root"), *ME)
    os.rmdir(folder)
    assert make_scratch(str(run), str(tmp_path / "root"), *ME) == folder
    assert os.path.isdir(folder)


def test_removing_takes_the_folder_with_what_is_in_it(run: Path, tmp_path: Path) -> None:
    folder = Path(make_scratch(str(run), str(tmp_path / "root"), *ME))
    (folder / "work").mkdir()
    (folder / "work/file").touch()
    remove_scratch(str(run))
    assert not folder.exists()
    assert run.is_dir()


@pytest.mark.parametrize("remove", [remove_scratch, remove_run])
def test_what_a_cluster_was_told_of_a_run_goes_with_it_and_goes_first(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remove: Callable[[str], None]
) -> None:
    folder = Path(make_scratch(str(run), str(tmp_path / "root"), *ME))
    for path in (folder / "work", Path(f"{folder}.run"), tmp_path / "root/scq-other.run"):
        path.mkdir()
    gone: list[str] = []

    def noted(path: str) -> None:
        gone.append(path)
        remove_tree(path)

    monkeypatch.setattr(scratch, "remove_tree", noted)
    remove(str(run))
    assert gone[:2] == [f"{folder}.run", str(folder)]
    assert os.listdir(tmp_path / "root") == ["scq-other.run"]
    assert run.exists() == (remove is remove_scratch)


@pytest.mark.parametrize("mode", [0o700, 0o711, 0o755])
def test_a_root_of_the_caller_that_only_he_can_write_to_is_used_as_it_is(run: Path, tmp_path: Path, mode: int) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root").chmod(mode)
    assert Path(make_scratch(str(run), str(tmp_path / "root"), *ME)).is_dir()
    assert (tmp_path / "root").stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_a_root_that_the_user_of_the_box_cannot_pass_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="cannot pass") as caught:
        make_scratch(str(run), str(tmp_path / "root"), 65534, 65534)
    assert caught.value.advice == f"Allow it: chmod o+x {tmp_path}/root"


def test_a_disk_that_gives_no_file_away_is_no_hindrance_where_none_has_to_be(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_settings: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.chown", refuse)
    assert os.path.isdir(make_scratch(str(run), str(tmp_path / "root"), *ME))


def test_a_root_in_which_others_may_write_is_refused(run: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write") as caught:
        make_scratch(str(run), str(root), *ME)
    assert "sandbox.scratch" in caught.value.advice


def test_a_link_in_place_of_the_root_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError):
        make_scratch(str(run), str(tmp_path / "root"), *ME)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_a_root_of_somebody_else_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir(mode=0o711)
    os.chown(tmp_path / "root", 65534, 65534)
    with pytest.raises(ConfigError):
        make_scratch(str(run), str(tmp_path / "root"), *ME)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_handing_over_gives_everything_away_but_what_links_point_to(tmp_path: Path) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    (work / "deep").mkdir(parents=True)
    (work / "deep/file").touch()
    outside.touch()
    (work / "link").symlink_to(outside)
    hand_over(str(work), 65534, 65534)
    for path in (work, work / "deep", work / "deep/file", work / "link"):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (65534, 65534)
    assert outside.stat().st_uid == 0


def test_what_killed_self_tests_left_is_swept_when_it_is_old_and_nothing_else(tmp_path: Path) -> None:
    for name, age in (("trial-old", 7200), ("trial-new", 10), ("scq-old", 7200)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "canary").touch()
        long_ago = time.time() - age
        os.utime(tmp_path / name, (long_ago, long_ago))
    scratch.sweep_trials(str(tmp_path))
    scratch.sweep_trials(str(tmp_path / "not there"))
    assert sorted(os.listdir(tmp_path)) == ["scq-old", "trial-new"]


def test_what_another_machine_sweeps_at_the_same_time_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("trial-a", "trial-b"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1, 1))

    def late(path: str) -> None:
        os.rmdir(path)
        remove_tree(path)
        os.rmdir(path)

    monkeypatch.setattr(scratch, "remove_tree", late)
    scratch.sweep_trials(str(tmp_path))
    assert os.listdir(tmp_path) == []
