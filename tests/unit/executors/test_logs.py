from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scq.executors.logs import LONGEST_LINE, CappedLog, LineStream, printable

MARK = re.compile(rb"\n--- (\d+) bytes left out ---\n")


def written(path: Path, limit: int, pieces: Sequence[bytes]) -> bytes:
    log = CappedLog(str(path), limit)
    for piece in pieces:
        log.write(piece)
    log.finish()
    return path.read_bytes()


class TestCappedLog:
    @pytest.mark.parametrize("size", [0, 1, 2047, 2048])
    def test_what_fits_is_kept_as_it_is(self, tmp_path: Path, size: int) -> None:
        data = os.urandom(size)
        assert written(tmp_path / "log", 2048, [data]) == data

    @given(sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=12), limit=st.integers(1024, 4096))
    def test_head_and_tail_are_kept_and_the_mark_counts_the_rest(
        self, tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit: int
    ) -> None:
        data = b"".join(b"%08d" % number for number in range(sum(sizes) // 8 + 1))[: sum(sizes)]
        ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
        pieces = [data[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        kept = written(tmp_path_factory.mktemp("log") / "log", limit, pieces)
        assert len(kept) <= limit
        if len(data) <= limit:
            assert kept == data
            return
        mark = MARK.search(kept)
        assert mark is not None
        head, tail = kept[: mark.start()], kept[mark.end() :]
        assert len(head) == limit // 2
        assert len(kept) > limit - 64
        assert data.startswith(head)
        assert data.endswith(tail)
        assert int(mark[1]) == len(data) - len(head) - len(tail)

    def test_the_smallest_limit_is_a_kibibyte(self, tmp_path: Path) -> None:
        assert written(tmp_path / "log", 0, [b"x" * 1000]) == b"x" * 1000

    def test_nothing_but_the_log_is_left_in_the_folder(self, tmp_path: Path) -> None:
        written(tmp_path / "log", 1024, [b"x" * 10_000])
        assert os.listdir(tmp_path) == ["log"]
        assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600

    def test_a_line_of_our_own_begins_at_the_beginning_of_a_line(self, tmp_path: Path) -> None:
        log = CappedLog(str(tmp_path / "log"), 2048)
        log.write_line("first")
        log.write(b"partial")
        log.write_line("second")
        log.write(b"whole\n")
        log.write_line("third")
        log.finish()
        assert (tmp_path / "log").read_text() == "first\npartial\nsecond\nwhole\nthird\n"

    def test_a_link_in_its_place_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError) as caught:
            CappedLog(str(tmp_path / "log"), 2048)
        assert caught.value.errno == errno.ELOOP
        assert not (tmp_path / "elsewhere").exists()

    def test_a_full_disk_is_remembered_and_the_rest_is_only_counted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = CappedLog(str(tmp_path / "log"), 2048)
        log.write(b"kept ")

        def full(*_arguments: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        log.write(b"lost ")
        monkeypatch.undo()
        log.write(b"lost too")
        log.finish()
        assert log.error is not None
        assert log.error.errno == errno.ENOSPC
        assert log.total == len("kept lost lost too")
        assert (tmp_path / "log").read_bytes() == b"kept "

    def test_a_disk_that_is_full_at_the_end_is_remembered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        log = CappedLog(str(tmp_path / "log"), 1024)
        log.write(b"x" * 5000)

        def full(*_arguments: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        log.finish()
        assert log.error is not None
        assert (tmp_path / "log").stat().st_size == 1024


def shown(pieces: Sequence[bytes], label: str = "job") -> str:
    """What a stream shows on a pipe with a reader that takes everything afterwards."""
    reader, writer = os.pipe()
    stream = LineStream(writer, label)
    for piece in pieces:
        stream.write(piece)
    stream.finish()
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        return file.read().decode()


class TestLineStream:
    def test_every_line_carries_the_label(self) -> None:
        assert shown([b"one\ntw", b"o\n\nthree\n"]) == "[job] one\n[job] two\n[job] \n[job] three\n"

    def test_a_partial_last_line_is_shown_at_the_end(self) -> None:
        assert shown([b"no line end"]) == "[job] no line end\n"

    def test_nothing_written_shows_nothing(self) -> None:
        assert shown([]) == ""

    def test_a_character_cut_between_two_reads_stays_whole(self) -> None:
        assert shown(["é".encode()[:1], "é\n".encode()[1:]]) == "[job] é\n"

    def test_bytes_that_are_no_text_are_replaced(self) -> None:
        assert shown([b"a\xff\n"]) == "[job] a\N{REPLACEMENT CHARACTER}\n"

    def test_a_label_cannot_carry_control_characters(self) -> None:
        assert shown([b"x\n"], label="a\033[2J\nb") == "[a[2Jb] x\n"

    def test_a_line_without_end_is_broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("scq.executors.logs.LONGEST_LINE", 10)
        assert shown([b"x" * 25]) == "[job] xxxxxxxxxx\n[job] xxxxxxxxxx\n[job] xxxxx\n"
        assert shown([b"x" * 25 + b"\n"]) == "[job] xxxxxxxxxx\n[job] xxxxxxxxxx\n[job] xxxxx\n"

    def test_a_broken_line_is_not_kept_in_memory(self) -> None:
        reader, writer = os.pipe()
        stream = LineStream(writer, "job")
        for _ in range(100):
            stream.write(b"x" * LONGEST_LINE)
        assert len(stream._partial) + len(stream._pending) < 3 * LONGEST_LINE
        stream.finish()
        os.close(reader)
        os.close(writer)

    def test_lines_are_left_out_while_the_reader_takes_nothing_and_that_is_said(self) -> None:
        reader, writer = os.pipe()
        stream = LineStream(writer, "job")
        stream.write(b"".join(b"%06d\n" % number for number in range(20_000)))
        taken = os.read(reader, 1 << 20)
        stream.write(b"later\n")
        stream.finish()
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            lines = (taken + file.read()).decode().splitlines()
        numbers = [line for line in lines if re.fullmatch(r"\[job\] \d{6}", line)]
        (note,) = [line for line in lines if "not shown" in line]
        assert numbers == [f"[job] {number:06d}" for number in range(len(numbers))]
        assert lines[-2:] == [note, "[job] later"]
        assert f" {20_000 - len(numbers)} lines" in note

    def test_a_reader_that_takes_nothing_is_waited_for_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        waits: list[float] = []

        def record(_read: object, _write: object, _error: object, seconds: float) -> tuple[list[int], list[int], list[int]]:
            waits.append(seconds)
            return [], [], []

        monkeypatch.setattr("scq.executors.logs.select.select", record)
        monkeypatch.setattr("scq.executors.logs.time", SimpleNamespace(monotonic=lambda: 0.0))  # filling the pipe takes no time
        reader, writer = os.pipe()
        stream = LineStream(writer, "job")
        for _ in range(3):
            stream.write(b"x\n" * 20_000)
        # The line that is stuck half-way and the first one behind it; later ones are left out at once.
        assert waits[0] > 0
        assert set(waits[2:]) == {0.0}
        stream.finish()
        os.close(reader)
        os.close(writer)

    def test_the_callers_descriptor_stays_blocking(self) -> None:
        reader, writer = os.pipe()
        LineStream(writer, "job").finish()
        assert os.get_blocking(writer)
        os.close(reader)
        os.close(writer)

    def test_a_reader_that_has_gone_ends_the_showing(self) -> None:
        reader, writer = os.pipe()
        stream = LineStream(writer, "job")
        os.close(reader)
        stream.write(b"one\ntwo\n")
        stream.finish()
        os.close(writer)

    def test_a_closed_descriptor_shows_nothing(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        os.close(writer)
        stream = LineStream(writer, "job")
        stream.write(b"one\n")
        stream.finish()

    def test_a_file_of_the_caller_is_appended_to_where_it_stands(self, tmp_path: Path) -> None:
        with (tmp_path / "file").open("w") as file:
            file.write("before\n")
            file.flush()
            stream = LineStream(file.fileno(), "job")
            stream.write(b"line\n")
            stream.finish()
            file.write("after\n")
        assert (tmp_path / "file").read_text() == "before\n[job] line\nafter\n"


@pytest.mark.parametrize("character", ["\0", "\x07", "\r", "\n", "\x1b", "\x7f", "\x9b", "\u202e", "\u2066", "\u200f", "\u2028"])
def test_printable_text_has_no_control_characters(character: str) -> None:
    assert printable(f"a{character}b\tc é 漢") == "ab\tc é 漢"
