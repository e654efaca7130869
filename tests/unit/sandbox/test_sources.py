"""What cannot be shown to jobs is found out before one starts."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from scq.errors import ConfigError
from scq.ports import Mount
from scq.sandbox import sources
from scq.sandbox.sources import prove_readable
from tests.unit.sandbox.boxes import Box
from tests.unit.sandbox.conftest import needs_root

NOBODY = 65534, 65534


def prove(*places: Path | str, dropped: tuple[int, int] | None = NOBODY) -> None:
    prove_readable([Mount(str(source), "/data") for source in places], dropped, "nobody")


@pytest.fixture(params=[None, pytest.param(NOBODY, marks=needs_root)], ids=["own account", "dropped"])
def dropped(request: pytest.FixtureRequest) -> tuple[int, int] | None:
    found: tuple[int, int] | None = request.param
    return found


def test_what_can_be_read_passes(open_directory: Path, dropped: tuple[int, int] | None) -> None:
    (open_directory / "file").write_text("x")
    (open_directory / "-n $(touch here) \n").mkdir()
    prove(open_directory, open_directory / "file", open_directory / "-n $(touch here) \n", dropped=dropped)
    prove(dropped=dropped)


def test_what_vanished_is_named(open_directory: Path, dropped: tuple[int, int] | None) -> None:
    with pytest.raises(ConfigError, match="/cohort: is to be shown to jobs but is not there") as caught:
        prove(open_directory, open_directory / "cohort", dropped=dropped)
    assert "data or sandbox.interpreters" in caught.value.advice


def test_only_files_and_folders_can_be_shown(open_directory: Path, dropped: tuple[int, int] | None) -> None:
    os.mkfifo(open_directory / "pipe")
    with pytest.raises(ConfigError, match="neither a file nor a folder"):
        prove(open_directory / "pipe", dropped=dropped)


def test_links_that_lead_in_circles_are_named(open_directory: Path) -> None:
    (open_directory / "loop").symlink_to("loop")
    with pytest.raises(ConfigError, match="loop: cannot be shown"):
        prove(open_directory / "loop")


@needs_root
@pytest.mark.parametrize("mode", [0o700, 0o744, 0o711])
def test_a_folder_that_the_user_cannot_read_or_enter_is_named_with_the_command_to_allow_it(
    open_directory: Path, mode: int
) -> None:
    folder = open_directory / "the cohort"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ConfigError, match="the cohort: cannot be read by nobody") as caught:
        prove(open_directory, folder)
    assert f"setfacl -R -m u:nobody:rX {shlex.quote(str(folder))}" in caught.value.advice
    assert "every folder above" in caught.value.advice


@needs_root
def test_a_folder_behind_a_closed_one_and_a_closed_file_are_named(open_directory: Path) -> None:
    (open_directory / "closed/inner").mkdir(parents=True)
    (open_directory / "closed").chmod(0o700)
    with pytest.raises(ConfigError, match="inner: cannot be read"):
        prove(open_directory / "closed/inner")
    (open_directory / "file").touch(0o600)
    with pytest.raises(ConfigError, match="file: cannot be read"):
        prove(open_directory / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_folder_that_the_caller_cannot_read_is_named(open_directory: Path) -> None:
    (open_directory / "closed").mkdir(mode=0o300)
    with pytest.raises(ConfigError, match="closed: cannot be read"):
        prove(open_directory / "closed", dropped=None)


@needs_root
def test_a_job_does_not_start_and_its_folder_stays_as_it_is_when_data_cannot_be_read(open_directory: Path) -> None:
    box = Box(open_directory, None)
    closed = open_directory / "closed"
    closed.mkdir(mode=0o700)
    before = box.work.stat().st_uid
    with pytest.raises(ConfigError, match="closed: cannot be read by nobody"):
        box.run("true", mounts=[Mount(str(closed), "/data")])
    assert box.work.stat().st_uid == before


@needs_root
def test_a_disk_that_does_not_answer_is_named(open_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "TRIAL", "exec sleep 60")
    monkeypatch.setattr(sources, "TIMEOUT_S", 0.1)
    with pytest.raises(ConfigError, match=f"{open_directory}: could not be tried"):
        prove(open_directory)


@needs_root
def test_a_trial_that_fails_proves_nothing(open_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "TRIAL", "echo no shell >&2; exit 3")
    with pytest.raises(ConfigError, match="no shell"):
        prove(open_directory)


def test_a_device_is_not_taken_for_a_file_nor_a_file_for_a_device(open_directory: Path) -> None:
    (open_directory / "file").touch()
    (open_directory / "link").symlink_to("/dev/null")
    prove_readable([Mount("/dev/null", "/dev/null", device=True)], None, "me")
    for name in ("file", "link"):
        with pytest.raises(ConfigError, match="is not a character device"):
            prove_readable([Mount(str(open_directory / name), "/dev/x", device=True)], None, "me")
    with pytest.raises(ConfigError, match="neither a file nor a folder"):
        prove("/dev/null", dropped=None)


@needs_root
def test_a_device_that_the_user_cannot_open_is_named() -> None:
    closed = next((path for path in ("/dev/fuse", "/dev/kvm", "/dev/loop-control") if _is_closed(path)), None)
    if closed is None:
        pytest.skip("no device here is for root only")
    with pytest.raises(ConfigError, match=f"{closed}: cannot be read by nobody"):
        prove_readable([Mount(closed, closed, device=True)], NOBODY, "nobody")


def _is_closed(path: str) -> bool:
    return os.path.exists(path) and not os.stat(path).st_mode & 0o006
