from __future__ import annotations

import os
from pathlib import Path

import pytest

from scq.executors import diskuse
from scq.executors.diskuse import SMALLEST, DiskUse
from scq.files import opened_for_change


def held(folder: Path) -> int:
    """Bytes one complete walk finds."""
    return max(DiskUse(str(folder), 1 << 60)._sizes(), default=0)


def test_every_entry_counts_at_least_a_block(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / str(number)).touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to("nowhere")
    assert held(tmp_path) == 12 * SMALLEST


def test_content_of_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(bytes(1 << 20))
    single = held(tmp_path)
    os.link(tmp_path / "one", tmp_path / "two")
    assert single >= 1 << 20
    assert held(tmp_path) == single + SMALLEST


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/large").write_bytes(bytes(1 << 20))
    (tmp_path / "work").mkdir()
    (tmp_path / "work/link").symlink_to(tmp_path / "outside")
    assert held(tmp_path / "work") == SMALLEST


def test_a_folder_that_was_made_unreadable_is_counted(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/large").write_bytes(bytes(1 << 20))
    (tmp_path / "hidden").chmod(0o300)
    os.close(opened_for_change(str(tmp_path / "hidden")))
    assert (tmp_path / "hidden").stat().st_mode & 0o777 == 0o700
    assert held(tmp_path) > 1 << 20


def test_rights_of_what_a_link_points_to_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o500)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="link"):
        opened_for_change(str(tmp_path / "link"))
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o500


def test_a_folder_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    assert held(tmp_path / "gone") == 0
    assert DiskUse(str(tmp_path / "gone"), 0).step() is None


def test_a_long_walk_goes_on_in_steps_and_finds_what_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diskuse, "STEP_S", 0.0)
    for number in range(20):
        (tmp_path / str(number)).touch()
    use = DiskUse(str(tmp_path), 10 * SMALLEST)
    answers = [use.step() for _ in range(11)]
    assert answers == [*[None] * 10, 11 * SMALLEST]


def test_after_a_walk_it_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diskuse, "_filled", lambda _folder: 0)
    use = DiskUse(str(tmp_path), 0)
    assert use.step() is None
    use._rest_until += 600.0
    (tmp_path / "new").touch()
    assert use.step() is None
    use._rest_until = 0.0
    assert use.step() == SMALLEST


def test_it_hurries_while_the_file_system_fills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled = iter([0, 0, 0, 2 * SMALLEST])  # at the start, and before each of three steps
    monkeypatch.setattr(diskuse, "_filled", lambda _folder: next(filled))
    use = DiskUse(str(tmp_path), 3 * SMALLEST)
    assert use.step() is None
    use._rest_until += 600.0
    for number in range(4):
        (tmp_path / str(number)).touch()
    assert use.step() is None, "it rests"
    assert use.step() == 4 * SMALLEST, "and stops resting"


def test_a_folder_that_has_gone_fills_nothing(tmp_path: Path) -> None:
    assert diskuse._filled(str(tmp_path / "gone")) == 0
