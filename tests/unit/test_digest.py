"""What a submission consists of: the same content always has the same digest, and nothing leads the reading elsewhere."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq import digest
from scq.digest import Caps, copy, manifest, read_entry, read_file, survey
from scq.errors import InvalidFileError
from scq.model import Content, FileEntry

CAPS = Caps(files=50, bytes=10_000)
CONTENT = Content(base="job")


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (tmp_path / "job/deep").mkdir(parents=True)
    (tmp_path / "job/run.sh").write_text("echo hi\n")
    (tmp_path / "job/deep/data.txt").write_text("1,2,3")
    return tmp_path / "job"


def reasons(job: Path, caps: Caps = CAPS, content: Content = CONTENT) -> tuple[str, ...]:
    found = manifest(str(job.parent), content, caps)
    assert (found.digest == "") == bool(found.invalid)
    return found.invalid


def test_the_digest_names_every_file_with_size_and_executable_bit(job: Path) -> None:
    (job / "deep/data.txt").chmod(0o755)
    found = manifest(str(job.parent), CONTENT, CAPS)
    assert [(entry.path, entry.executable, entry.size) for entry in found.files] == [
        ("run.sh", True, 8),
        ("deep/data.txt", True, 5),
    ]
    assert found.digest.startswith("sha256:")
    assert len(found.digest) == 71


def test_the_digest_of_given_entries_never_changes() -> None:
    entries = (FileEntry("run.sh", True, 3, "aa"), FileEntry("a", False, 0, "bb"))
    expected = "sha256:5c397febe417beb99a55a4a74d9779687aee324b22d4e14e20bb0d083c67f84e"
    assert digest.digest_of(entries, (("b", "1"), ("a", "2"))) == expected
    assert digest.digest_of(entries[::-1], (("a", "2"), ("b", "1"))) == expected


@pytest.mark.parametrize("change", ["content", "name", "mode", "fields", "more"])
def test_whatever_can_influence_execution_changes_the_digest(job: Path, change: str) -> None:
    before = manifest(str(job.parent), CONTENT, CAPS).digest
    content = CONTENT
    if change == "content":
        (job / "deep/data.txt").write_text("1,2,4")
    elif change == "name":
        (job / "deep/data.txt").rename(job / "deep/data2.txt")
    elif change == "mode":
        (job / "deep/data.txt").chmod(0o755)
    elif change == "fields":
        content = replace(CONTENT, fields=(("timeout", "5"),))
    else:
        (job / "more").touch()
    assert manifest(str(job.parent), content, CAPS).digest not in ("", before)


def test_the_executable_bit_of_run_sh_and_what_is_left_out_do_not_matter(job: Path) -> None:
    before = manifest(str(job.parent), CONTENT, CAPS).digest
    (job / "run.sh").chmod(0o755)
    (job / "deep/syft.pub.yaml").write_text("read: ['*']")
    assert manifest(str(job.parent), CONTENT, CAPS).digest == before
    (job / "config.yaml").touch()
    assert manifest(str(job.parent), replace(CONTENT, exclude=("config.yaml",)), CAPS).digest == before
    assert manifest(str(job.parent), replace(CONTENT, include=("run.sh", "deep")), CAPS).digest == before


def socket_at(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda job: (job / "x").symlink_to("/etc/passwd"), "x: is a symbolic link"),
        (lambda job: (job / "x").symlink_to("run.sh"), "x: is a symbolic link"),
        (lambda job: os.mkfifo(job / "x"), "x: is a FIFO"),
        (lambda job: socket_at(job / "x"), "x: is a socket"),
        (lambda job: (job / "x\ny").touch(), "x\\ny: the name holds control characters"),
        (lambda job: os.mkdir(os.fsencode(job) + b"/\xff"), "\\udcff: the name is not UTF-8"),
        (lambda job: (job / "run.sh").unlink(), "run.sh: is missing"),
        (lambda job: (job / "/".join(["d"] * 33)).mkdir(parents=True), "lies deeper than 32 folders"),
        (lambda job: [(job / f"f{n}").touch() for n in range(60)], "more than 50 files"),
        (lambda job: [(job / f"d{n}").mkdir() for n in range(1_200)], "more than 50 files"),
        (lambda job: os.truncate(job / "run.sh", 5 << 30), f"more than 10000 bytes in total ({(5 << 30) + 5})"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_reason(job: Path, make: Callable[[Path], object], reason: str) -> None:
    make(job)
    assert any(reason in found for found in reasons(job)), reasons(job)
    target = job.parent / "copy"
    target.mkdir()
    assert copy(str(job.parent), CONTENT, CAPS, str(target)).invalid == reasons(job)
    assert list(target.iterdir()) == [], "nothing of it is copied"


def test_a_device_is_refused() -> None:
    found = list(os.lstat("/dev/null"))
    assert digest._refusal("x", os.stat_result(found)) == "x: is a device"


def test_a_missing_submission_is_refused(tmp_path: Path) -> None:
    assert "No such file" in reasons(tmp_path / "job")[0]


def test_at_most_twenty_reasons_are_given(job: Path) -> None:
    for number in range(40):
        (job / f"l{number}").symlink_to("run.sh")
    assert len(reasons(job)) == 20


def test_a_survey_opens_nothing_and_its_stamp_follows_every_change(job: Path) -> None:
    before = survey(str(job.parent), CONTENT, CAPS)
    assert before.paths == ("run.sh", "deep/data.txt")
    assert survey(str(job.parent), CONTENT, CAPS).stamp == before.stamp
    (job / "deep/data.txt").write_text("1,2,9")
    os.utime(job / "deep/data.txt", ns=(1, 1))
    after = survey(str(job.parent), CONTENT, CAPS)
    assert after.stamp != before.stamp
    assert after.youngest_ns >= before.youngest_ns, "a time that was set back does not make a file old"


def test_the_copy_holds_the_files_of_the_manifest_and_nothing_else(job: Path) -> None:
    (job / "syft.pub.yaml").touch()
    (job / "empty").mkdir()
    (job / "run.sh").chmod(0o6644)
    target = job.parent / "copy"
    target.mkdir()
    made = copy(str(job.parent), CONTENT, CAPS, str(target))
    assert made == manifest(str(job.parent), CONTENT, CAPS)
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()) == ["deep/data.txt", "run.sh"]
    assert stat.S_IMODE((target / "run.sh").stat().st_mode) & 0o7000 == 0
    assert os.access(target / "run.sh", os.X_OK)


def test_a_copy_never_writes_over_what_is_there(job: Path) -> None:
    target = job.parent / "copy"
    target.mkdir()
    (target / "run.sh").symlink_to(job.parent / "elsewhere")
    assert "run.sh: cannot be copied (File exists)" in copy(str(job.parent), CONTENT, CAPS, str(target)).invalid[0]
    assert not (job.parent / "elsewhere").exists()


def swap(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Do something right after the listing, before the first file is opened."""
    real = digest.survey

    def surveyed(root: str, content: Content, caps: Caps) -> digest.Survey:
        found = real(root, content, caps)
        change()
        return found

    monkeypatch.setattr(digest, "survey", surveyed)


@pytest.mark.parametrize("to", ["link", "folder link", "fifo", "nothing"])
def test_a_file_swapped_between_listing_and_reading_is_never_followed(
    job: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    secret = job.parent / "secret"
    secret.mkdir()
    (secret / "data.txt").write_text("secret")

    def change() -> None:
        if to == "folder link":
            (job / "deep").rename(job.parent / "old")
            (job / "deep").symlink_to(secret)
            return
        (job / "deep/data.txt").unlink(missing_ok=True)
        if to == "link":
            (job / "deep/data.txt").symlink_to(secret / "data.txt")
        elif to == "fifo":
            os.mkfifo(job / "deep/data.txt")

    swap(monkeypatch, change)
    assert "changed while it was read" in reasons(job)[0]


def test_a_base_that_becomes_a_link_is_not_followed(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change() -> None:
        if not job.is_symlink():
            job.rename(job.parent / "moved")
            job.symlink_to("moved")

    swap(monkeypatch, change)
    assert "changed while it was read" in reasons(job)[0]


def test_a_file_that_grows_while_it_is_read_is_refused(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.read

    def read(fd: int, count: int) -> bytes:
        block = real(fd, count)
        with (job / "run.sh").open("a") as file:
            file.write("more\n")
        return block

    monkeypatch.setattr(digest.os, "read", read)
    assert "grows while it is read" in reasons(job)[0]


def test_the_beginning_of_one_file_is_read(job: Path) -> None:
    assert read_file(str(job.parent), CONTENT, "deep/data.txt", 3) == b"1,2"
    with pytest.raises(InvalidFileError, match="No such file"):
        read_file(str(job.parent), CONTENT, "deep/none", 3)


def test_no_descriptor_stays_open(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))
    manifest(str(job.parent), CONTENT, CAPS)
    (job / "deep/data.txt").unlink()
    with pytest.raises(InvalidFileError, match="No such file"):
        read_file(str(job.parent), CONTENT, "deep/data.txt", 3)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_cannot_take_the_copy_is_not_the_submissions_fault(
    job: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def failing(fd: int, block: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(digest, "_write_all", failing)
    target = job.parent / "copy"
    target.mkdir()
    with pytest.raises(OSError, match=os.strerror(number)):
        copy(str(job.parent), CONTENT, CAPS, str(target))


def test_what_a_killed_call_left_half_written_is_no_content(tmp_path: Path) -> None:
    job = tmp_path / "job"
    (job / "code").mkdir(parents=True)
    (job / "run.sh").write_text("echo\n")
    (job / "code/a").write_text("a")
    content = Content(base="job", ignore=())
    before = manifest(str(tmp_path), content, Caps())
    for name in (".syft.pub.yaml.4711.tmp", "code/.a.1.tmp"):
        (job / name).write_text("half")
    assert manifest(str(tmp_path), content, Caps()) == before
    (tmp_path / "copy").mkdir()
    copy(str(tmp_path), content, Caps(), str(tmp_path / "copy"))
    assert sorted(path.name for path in (tmp_path / "copy").rglob("*")) == ["a", "code", "run.sh"]
    (job / "code/.a.tmp").write_text("of the submitter")
    assert manifest(str(tmp_path), content, Caps()).digest != before.digest


def test_an_entry_is_read_only_while_it_is_what_was_hashed(job: Path) -> None:
    (entry,) = (entry for entry in manifest(str(job.parent), CONTENT, Caps()).files if entry.path == "deep/data.txt")
    whole = (job / "deep/data.txt").read_bytes()
    assert read_entry(str(job.parent), CONTENT, entry, 3) == whole[:3]
    assert read_entry(str(job.parent), CONTENT, entry, 1 << 20) == whole
    for content in (whole[:-1] + b"!", whole + b"more", b""):
        (job / "deep/data.txt").write_bytes(content)
        with pytest.raises(InvalidFileError, match=r"deep/data\.txt: changed while it was read"):
            read_entry(str(job.parent), CONTENT, entry, 3)
    (job / "deep/data.txt").unlink()
    with pytest.raises(InvalidFileError, match="cannot be read"):
        read_entry(str(job.parent), CONTENT, entry, 3)
