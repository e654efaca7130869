"""The audit log: appended, numbered, sealed, and whole again after a kill."""

from __future__ import annotations

import json
import os
import resource
import stat
from pathlib import Path

import pytest

from scq import audit
from scq.audit import Tip, Verdict, append_rows, continued, head_after, last_number, read_lines, read_rows, tip, verify
from scq.errors import InvalidFileError
from scq.model import AuditRow
from tests.making import ME, NOW


def row(number: int, detail: str = "") -> AuditRow:
    return AuditRow(n=number, at=NOW, what="approve", by=ME, detail=detail)


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = str(tmp_path / "audit.jsonl")
    append_rows(path, [row(1), row(2)])
    append_rows(path, [row(3)])
    return path


def numbers(path: str) -> list[tuple[int, bool]]:
    return [(found.n, sealed) for found, sealed in read_rows(path)]


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    path = str(tmp_path / "audit.jsonl")
    assert last_number(path) == 0
    assert numbers(path) == []
    append_rows(path, [])
    assert not os.path.exists(path)


def test_rows_are_sealed_in_order_and_private(log: str) -> None:
    assert numbers(log) == [(1, True), (2, True), (3, True)]
    assert last_number(log) == 3
    assert stat.S_IMODE(os.stat(log).st_mode) == 0o600


@pytest.mark.parametrize("cut", [b'{"row":{"n":4', b"x", b'{"row":{}}'])
def test_a_half_written_last_line_is_cut_off_and_never_counted(log: str, cut: bytes) -> None:
    with open(log, "ab") as file:
        file.write(cut)
    assert last_number(log) == 3
    assert numbers(log) == [(1, True), (2, True), (3, True)]
    append_rows(log, [row(4)])
    assert numbers(log) == [(1, True), (2, True), (3, True), (4, True)]


@pytest.mark.parametrize("content", [b"", b"half a first line"])
def test_a_log_without_a_whole_line_begins_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(content)
    assert last_number(str(path)) == 0
    append_rows(str(path), [row(1)])
    assert numbers(str(path)) == [(1, True)]


@pytest.mark.parametrize("length", [10, 1 << 16, 1 << 20])
def test_the_last_row_is_found_however_long_it_is(log: str, length: int) -> None:
    append_rows(log, [row(4, "x" * length)])
    assert last_number(log) == 4
    append_rows(log, [row(5)])
    assert numbers(log)[3:] == [(4, True), (5, True)]


@pytest.mark.parametrize("edit", ["change", "remove", "swap"])
def test_a_log_that_was_edited_shows_it(log: str, edit: str) -> None:
    lines = Path(log).read_bytes().splitlines(keepends=True)
    if edit == "change":
        lines[1] = lines[1].replace(b"approve", b"reject!")
    elif edit == "remove":
        del lines[1]
    else:
        lines[0], lines[1] = lines[1], lines[0]
    Path(log).write_bytes(b"".join(lines))
    assert not all(sealed for _, sealed in numbers(log))


@pytest.mark.parametrize("line", [b"{}\n", b"no json\n", b"\n", b"\xff\n"])
def test_a_damaged_line_is_named_after_the_rows_before_it(log: str, line: bytes) -> None:
    with open(log, "ab") as file:
        file.write(line)
    found = read_rows(log)
    assert [next(found)[0].n for _ in range(3)] == [1, 2, 3]
    with pytest.raises(InvalidFileError, match="line 4 is damaged"):
        next(found)


def test_a_link_laid_at_the_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidFileError):
        append_rows(str(tmp_path / "audit.jsonl"), [row(1)])
    assert not (tmp_path / "elsewhere").exists()


def test_a_write_that_fails_half_way_leaves_the_rows_before_it_whole(log: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(log) + 20, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            append_rows(log, [row(4)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert numbers(log) == [(1, True), (2, True), (3, True)]
    append_rows(log, [row(4)])
    assert numbers(log)[3:] == [(4, True)]


def test_every_line_is_one_json_document(log: str) -> None:
    first = json.loads(Path(log).read_text().splitlines()[0])
    assert first["row"]["n"] == 1
    assert first["previous"] == ""


def checked(path: str, expected: Tip | None = None, pending: tuple[AuditRow, ...] = ()) -> Verdict:
    return verify(read_lines(path), expected, pending)


def edited(path: str, edit: str) -> None:
    """Do something to a log of five rows."""
    lines = Path(path).read_bytes().splitlines(keepends=True)
    if edit == "change a byte":
        lines[2] = lines[2].replace(b"approve", b"reject!", 1)
    elif edit == "change the first":
        lines[0] = lines[0].replace(b"approve", b"reject!", 1)
    elif edit == "change the last":
        lines[4] = lines[4].replace(b"approve", b"reject!", 1)
    elif edit == "change a number":
        lines[2] = lines[2].replace(b'"n":3', b'"n":9', 1)
    elif edit == "remove one":
        del lines[2]
    elif edit == "remove two":
        del lines[1:3]
    elif edit == "remove the first":
        del lines[0]
    elif edit == "remove the last":
        del lines[4]
    elif edit == "swap":
        lines[1], lines[2] = lines[2], lines[1]
    elif edit == "repeat":
        lines.insert(2, lines[1])
    elif edit == "cut in the middle":
        lines[4] = lines[4][:20]
    elif edit == "add":
        lines.append(audit.line_of(row(6), audit.head_of(lines[4][:-1])) + b"\n")
    elif edit == "not UTF-8":
        lines[3] = lines[3].replace(b"approve", b"appro\xff\xfe", 1)
    elif edit == "no JSON":
        lines[3] = b"damage\n"
    elif edit == "an empty line":
        lines.insert(3, b"\n")
    elif edit == "deep":
        lines[3] = b"[" * 100_000 + b"\n"
    Path(path).write_bytes(b"".join(lines))


@pytest.mark.parametrize(
    ("edit", "kind", "line"),
    [
        ("change a byte", "changed", 3),
        ("change the first", "changed", 1),
        ("change the last", "changed", 5),
        ("change a number", "missing", 3),
        ("remove one", "missing", 3),
        ("remove two", "missing", 2),
        ("remove the first", "missing", 1),
        ("remove the last", "cut off", 5),
        ("swap", "reordered", 2),
        ("repeat", "reordered", 3),
        ("cut in the middle", "damaged", 5),
        ("add", "added", 6),
        ("not UTF-8", "damaged", 4),
        ("no JSON", "damaged", 4),
        ("an empty line", "damaged", 4),
        ("deep", "damaged", 4),
    ],
)
def test_checking_names_the_first_bad_line_and_what_is_wrong(tmp_path: Path, edit: str, kind: str, line: int) -> None:
    path = str(tmp_path / "audit.jsonl")
    append_rows(path, [row(number) for number in range(1, 6)])
    end = tip(path)
    assert checked(path, end) == Verdict(end)
    edited(path, edit)
    found = checked(path, end)
    assert (found.kind, found.line) == (kind, line), found.what
    assert found.what


def test_a_line_longer_than_any_row_is_not_read_whole(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    append_rows(log, [row(4, "x" * 5_000)])
    monkeypatch.setattr(audit, "LINE_LIMIT", 1_000)
    with pytest.raises(InvalidFileError, match="line 4 is damaged .longer than 1000 bytes"):
        checked(log)


def test_the_end_of_an_endless_line_is_not_looked_for_for_ever(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(log, "ab") as file:
        file.write(b"x" * (1 << 20) + b"\n")
    monkeypatch.setattr(audit, "LINE_LIMIT", 1 << 15)
    with pytest.raises(InvalidFileError, match="the last line is damaged"):
        last_number(log)


def test_a_damaged_last_line_is_never_written_behind(log: str) -> None:
    with open(log, "ab") as file:
        file.write(b"damage\n")
    before = Path(log).read_bytes()
    with pytest.raises(InvalidFileError, match="the last line is damaged"):
        last_number(log)
    assert Path(log).read_bytes() == before


def test_a_fifo_in_place_of_the_log_blocks_nobody(tmp_path: Path) -> None:
    path = str(tmp_path / "audit.jsonl")
    os.mkfifo(path)
    for attempt in (lambda: list(read_lines(path)), lambda: tip(path), lambda: append_rows(path, [row(1)])):
        with pytest.raises(InvalidFileError, match="not a regular file"):
            attempt()


def test_rows_that_wait_to_be_appended_count(log: str) -> None:
    waiting = (row(3), row(4), row(5))
    end = Tip(5, head_after(waiting[1:], tip(log).head))
    assert checked(log, end, waiting) == Verdict(end)
    with open(log, "ab") as file:
        file.write(b'{"row":{"n":4')
    assert checked(log, end, waiting) == Verdict(end), "the next save cuts off what a killed call half wrote"
    assert checked(log, end, waiting[2:]).kind == "damaged"


def test_without_a_remembered_head_only_the_number_is_held_against_the_end(log: str) -> None:
    assert checked(log, Tip(3)).kind == ""
    assert checked(log, Tip(4)).kind == "cut off"


def test_a_new_row_seals_what_was_remembered_and_not_what_stands_there(log: str) -> None:
    remembered = tip(log)
    text = Path(log).read_text()
    Path(log).write_text(text[: text.rindex("approve")] + "reject!" + text[text.rindex("approve") + 7 :])
    append_rows(log, [row(4)], remembered.head)
    found = checked(log)
    assert (found.kind, found.line) == ("changed", 3)


def test_the_log_goes_on_from_what_is_known_unless_it_holds_more(log: str) -> None:
    end = tip(log)
    assert continued(log, end, ()) == end
    assert continued(log, Tip(2, "other"), ()) == end
    assert continued(log, Tip(3), ()) == end, "the head is taken over once"
    assert continued(log, Tip(4), (row(4),)) == Tip(4, head_after([row(4)], end.head))
    assert continued(log, Tip(9, "known"), ()) == Tip(9, "known"), "a log that was cut off does not become the truth"
    assert continued(log + ".none", Tip(), ()) == Tip()
