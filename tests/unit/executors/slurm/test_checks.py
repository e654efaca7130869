from __future__ import annotations

import os
from pathlib import Path

import pytest

from scq.executors.slurm import SlurmExecutor
from tests.unit.executors.slurm.standins import Bin


@pytest.fixture
def bin_(tmp_path: Path) -> Bin:
    return Bin(tmp_path / "bin")


def found(bin_: Bin, **settings: object) -> list[tuple[str, str]]:
    return [(one.where.rpartition(".")[2], one.what) for one in SlurmExecutor(bin_.setting(**settings)).check()]


def test_what_is_fit_to_use_has_no_problem(bin_: Bin, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o711)
    (tmp_path / "slurm.conf").touch()
    assert found(bin_, shared_dir=str(tmp_path / "shared"), conf=str(tmp_path / "slurm.conf")) == []
    assert found(bin_, shared_dir=str(tmp_path / "not made yet")) == []
    assert bin_.calls("scontrol") == []


@pytest.mark.parametrize(
    ("folder", "what"),
    [
        ("", "is not set"),
        ("shared", "cannot be used"),
        ("/a\\b", "cannot be used"),
        ("/nonexistent/shared", "No such file or directory"),
        ("/proc/self/exe", "is not a folder"),
    ],
)
def test_a_shared_folder_that_cannot_be_used_is_named(bin_: Bin, folder: str, what: str) -> None:
    ((where, said),) = found(bin_, shared_dir=folder)
    assert where == "shared_dir"
    assert what in said


def test_a_shared_folder_has_to_be_ours_alone(bin_: Bin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o775)
    assert found(bin_, shared_dir=str(folder)) == [("shared_dir", f"{folder} can be written by others")]
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert found(bin_, shared_dir=str(folder)) == [("shared_dir", f"{folder} belongs to user {folder.stat().st_uid}")]


def test_missing_commands_and_a_missing_configuration_are_named(bin_: Bin, tmp_path: Path) -> None:
    (bin_.folder / "squeue").unlink()
    conf = str(tmp_path / "none.conf")
    said = [("conf", f"{conf} is not there"), ("bin", f"squeue not found in {bin_.folder}")]
    assert found(bin_, conf=conf) == said
