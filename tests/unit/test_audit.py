"""The audit log: appended, numbered, sealed, and whole again after a kill."""

from __future__ import annotations

import json
import os
import resource
import stat
from pathlib import Path

import pytest

from scq.audit import append_rows, last_number, read_rows
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
