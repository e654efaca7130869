"""Each byte of a growing log is shown once, whatever happens to its file."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from scq.errors import InvalidFileError
from scq.executors.following import LONGEST_LINE, Following
from scq.executors.logs import CappedLog

LIMIT = 4096
HEAD = LIMIT // 2


def lines(first: int, count: int) -> bytes:
    """Lines of 16 bytes each that say which ones they are."""
    return b"".join(b"line %010d\n" % number for number in range(first, first + count))


def names(first: int, count: int) -> list[str]:
    return lines(first, count).decode().splitlines()


def everything(following: Following, path: Path) -> list[str]:
    """All lines that come once it is over."""
    found: list[str] = []
    while more := following.take(str(path), over=True):
        found += more
    return found


class Growing:
    """A log that somebody writes and somebody follows."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "stdout.txt"
        self.log = CappedLog(str(self.path), LIMIT)
        self.following = Following(LIMIT)

    def take(self) -> list[str]:
        return self.following.take(str(self.path), over=False)

    def rest(self) -> list[str]:
        self.log.finish()
        return everything(self.following, self.path)


@pytest.fixture
def growing(tmp_path: Path) -> Growing:
    return Growing(tmp_path)


def test_lines_come_as_they_are_written_and_only_whole_ones(growing: Growing) -> None:
    assert growing.take() == []
    growing.log.write(b"one\ntw")
    assert growing.take() == ["one"]
    growing.log.write(b"o\n\nthree")
    assert growing.take() == ["two", ""]
    assert growing.take() == []
    assert growing.rest() == ["three"]
    assert everything(growing.following, growing.path) == []


def test_a_log_that_is_not_there_yet_has_no_lines(tmp_path: Path) -> None:
    following = Following(LIMIT)
    for over in (False, True):
        assert following.take(str(tmp_path / "stdout.txt"), over=over) == []
        assert following.take(str(tmp_path / "nowhere/stdout.txt"), over=over) == []


def test_a_character_is_never_shown_in_halves(growing: Growing) -> None:
    raw = "prix: 3 €\n".encode()
    growing.log.write(raw[:-3])
    assert growing.take() == []
    growing.log.write(raw[-3:])
    assert growing.take() == ["prix: 3 €"]


def test_a_line_without_an_end_is_shown_in_pieces_between_characters(tmp_path: Path) -> None:
    for written in ("a" + "€" * LONGEST_LINE, "b" + "€" * LONGEST_LINE + "\nshort\n"):
        path = tmp_path / written[0]
        path.write_text(written)
        found = everything(Following(1 << 20), path)
        assert "".join(found) == written.replace("\n", "")
        assert "\ufffd" not in "".join(found)
        assert max(len(piece.encode()) for piece in found) <= LONGEST_LINE


def test_bytes_that_are_no_text_are_shown_as_such(growing: Growing) -> None:
    growing.log.write(b"\x80" * (LONGEST_LINE // 16) + b"\xff\n")
    assert set("".join(growing.take())) == {"\ufffd"}


def test_of_a_full_log_the_first_half_comes_at_once_and_the_kept_end_when_it_is_over(growing: Growing) -> None:
    growing.log.write(lines(0, 1000))
    assert growing.take() == names(0, HEAD // 16)
    assert growing.following.is_cut
    assert growing.take() == []
    found = growing.rest()
    assert found[1] == f"--- {16 * 1000 - HEAD - (HEAD - 64)} bytes left out ---"
    assert found[2:] == names(1000 - (HEAD - 64) // 16, (HEAD - 64) // 16)


def test_what_was_shown_of_the_second_half_is_not_shown_again(growing: Growing) -> None:
    growing.log.write(lines(0, 200))
    assert growing.take() == names(0, 200)
    growing.log.write(lines(200, 100))
    assert growing.take() == []
    assert growing.rest() == names(200, 100), "the end that is kept begins in what was shown"


def test_only_what_was_never_shown_is_counted_as_left_out(growing: Growing) -> None:
    growing.log.write(lines(0, 200))
    growing.take()
    growing.log.write(lines(200, 800))
    kept = (HEAD - 64) // 16
    assert growing.rest() == ["", f"--- {16 * (800 - kept)} bytes left out ---", *names(1000 - kept, kept)]


@pytest.mark.parametrize("step", [7, 100, 1000, 5000])
def test_no_line_is_shown_twice_or_out_of_order_however_it_is_read(growing: Growing, step: int) -> None:
    written = lines(0, 1200)
    found: list[str] = []
    for start in range(0, len(written), step):
        growing.log.write(written[start : start + step])
        found += growing.take()
    found += growing.rest()
    whole = [text for text in found if len(text) == 15 and text.startswith("line ")]
    assert whole == sorted(set(whole))
    assert whole[-1] == names(1199, 1)[0]


def test_a_log_that_is_being_completed_is_left_alone_until_it_is_over(growing: Growing) -> None:
    growing.log.write(lines(0, 10))
    assert growing.take() == names(0, 10)
    growing.log.write(lines(10, 990))
    growing.log.finish()
    assert growing.take() == [], "the file is another one now, and nobody said that it is complete"
    assert everything(growing.following, growing.path)[:2] == names(10, 2)


@pytest.mark.parametrize("count", [100, 1000])
def test_a_complete_copy_elsewhere_goes_on_where_the_first_one_was(growing: Growing, tmp_path: Path, count: int) -> None:
    growing.log.write(lines(0, 50))
    growing.take()
    growing.log.write(lines(50, count - 50))
    growing.log.finish()
    copied = tmp_path / "home" / "stdout.txt"
    copied.parent.mkdir()
    shutil.copy(growing.path, copied)
    first = growing.following.take(str(growing.path), over=True)
    os.remove(growing.path)
    assert growing.following.take(str(growing.path), over=True) == []
    assert first[0] == names(50, 1)[0]
    assert [*first, *everything(growing.following, copied)][-1] == names(count - 1, 1)[0]
    assert everything(growing.following, copied) == []


def test_a_log_that_is_over_when_it_is_first_seen_is_shown_as_it_is(growing: Growing) -> None:
    growing.log.write(lines(0, 1000))
    found = growing.rest()
    assert "\n".join(found) + "\n" == growing.path.read_text()


def test_a_log_as_long_as_its_limit_is_shown_whole_in_the_end(growing: Growing) -> None:
    growing.log.write(lines(0, LIMIT // 16))
    assert [*growing.take(), *growing.rest()] == names(0, LIMIT // 16)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "stdout.txt")
    with pytest.raises(InvalidFileError, match="is not a regular file"):
        Following(LIMIT).take(str(tmp_path / "stdout.txt"), over=False)
    os.symlink("/etc/passwd", tmp_path / "link")
    assert Following(LIMIT).take(str(tmp_path / "link"), over=True) == [], "a link is never followed"


def test_a_log_of_any_size_is_read_in_blocks(tmp_path: Path) -> None:
    (tmp_path / "stdout.txt").write_bytes(lines(0, 40_000))
    following = Following(1 << 30)
    first = following.take(str(tmp_path / "stdout.txt"), over=False)
    assert 0 < len(first) < 40_000
    assert [*first, *everything(following, tmp_path / "stdout.txt")] == names(0, 40_000)


@pytest.mark.parametrize(("number", "shown"), [(errno.ESTALE, []), (errno.EIO, None)])
def test_a_shared_file_that_cannot_be_read_any_more_is_gone_or_an_error(
    number: int, shown: list[str] | None, growing: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    growing.log.write(b"one\ntwo\n")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fails)
        if shown is None:
            with pytest.raises(InvalidFileError, match="cannot be read"):
                growing.take()
        else:
            assert growing.take() == shown
    assert growing.take() == ["one", "two"]
