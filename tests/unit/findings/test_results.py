"""scq.findings on result files: what they are by content, and what should be looked at before they leave."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
import zlib

import pytest

from scq.findings import Inspected, Known, fingerprints, inspect, is_plain
from scq.findings.personal import CAP
from scq.findings.results import PREVIEW_LINES, PREVIEW_WIDTH

NOTHING = Known()


def look(path: str, content: bytes | str, known: Known = NOTHING, most: int = 0) -> Inspected:
    data = content.encode() if isinstance(content, str) else content
    return inspect(path, data, len(data), known, most=most)


def rules(path: str, content: bytes | str, known: Known = NOTHING) -> list[str]:
    return [item.rule for item in look(path, content, known).findings]


def png(extra: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", os.urandom(9000)) + chunk(b"IEND", b"") + extra


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x", "y")
    return buffer.getvalue()


def framed(footer: bytes) -> bytes:
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def parquet(count: int) -> bytes:
    """The frame of a Parquet file: version 1, a schema of a root and one column, the number of rows, no row groups."""
    root = b"\x48\x04root" + b"\x15\x02" + b"\0"
    column = b"\x15\x02" + b"\x25\x00" + b"\x18\x01x" + b"\0"
    zigzag, encoded = count << 1, b""
    while zigzag > 0x7F:
        encoded += bytes([zigzag & 0x7F | 0x80])
        zigzag >>= 7
    return framed(b"\x15\x02" + b"\x19\x2c" + root + column + b"\x16" + encoded + bytes([zigzag]) + b"\x19\x0c" + b"\0")


class TestWhatItIs:
    @pytest.mark.parametrize(
        ("path", "content", "kind", "summary"),
        [
            ("a.csv", "age,sex\n1,m\n2,f\n", "csv", "CSV, 2 rows × 2 columns (age, sex)"),
            ("a.csv", "n\n1\n", "csv", "CSV, 1 row × 1 column (n)"),
            ("a.tsv", "a\tb\n1\t2\n", "csv", "CSV, 1 row × 2 columns (a, b)"),
            ("table", "a;b\n1;2\n3;4\n", "csv", "CSV, 2 rows × 2 columns (a, b)"),
            ("a.csv", "1,2\n3,4\n", "csv", "CSV, 2 rows × 2 columns"),
            ("a.csv", 'a,b\n"x\ny",2\n', "csv", "CSV, 1 row × 2 columns (a, b)"),
            ("a.csv", "\n\n", "csv", "CSV without rows"),
            ("a.dat", b"\xff\xfe\xfd", "binary", "binary data"),
            ("a.csv", "a,b,c,d,e,f,g\n1,2,3,4,5,6,7\n", "csv", "CSV, 1 row × 7 columns (a, b, c, d, e, f, …)"),
            ("a.json", json.dumps([{"a": 1}] * 30), "json", "JSON list of 30 objects"),
            ("a.json", "[1]", "json", "JSON list of 1 value"),
            ("a.json", '{"mean": 1, "n": 2}', "json", "JSON object with 2 keys (mean, n)"),
            ("a.json", "{}", "json", "JSON object, empty"),
            ("a.jsonl", '{"a": 1}\n{"a": 2}\n', "jsonl", "JSON lines, 2 documents"),
            ("a.txt", "hello\nworld", "text", "text, 2 lines"),
            ("BM.txt", "BM begins like an image", "text", "text, 1 line"),
            ("a.md", "| a | b |\n|---|---|\n| 1 | 2 |\n", "text", "text, 3 lines"),
            ("a.txt", "", "empty", "empty file"),
            ("a.png", png(), "png", "PNG image"),
            ("a.svg", "<?xml version='1.0'?>\n<!DOCTYPE svg PUBLIC 'x'>\n<svg/>", "svg", "SVG image"),
            ("a.html", "<!DOCTYPE html><p>x", "html", "HTML page"),
            ("a.parquet", b"PAR1" + b"\0" * 20 + b"PAR1", "parquet", "Parquet-like table"),
        ],
    )
    def test_content_decides(self, path: str, content: bytes | str, kind: str, summary: str) -> None:
        found = look(path, content)
        assert (found.kind, found.summary, found.findings) == (kind, summary, ())

    @pytest.mark.parametrize(
        ("path", "content", "found"),
        [
            ("a.png", "no image at all", ["disguised"]),
            ("a.csv", b"\x7fELF\0\0", ["disguised", "executable"]),
            ("a.json", "{", ["disguised"]),
            ("a.txt", zipped(), ["archive", "disguised"]),
            ("a.csv", json.dumps({"a": 1}), ["disguised"]),
            ("a.csv", '"' + "x" * 200_000, ["disguised"]),
            ("a.parquet", "not", ["disguised"]),
        ],
    )
    def test_a_name_that_says_something_else_is_a_finding(self, path: str, content: bytes | str, found: list[str]) -> None:
        assert [rule for rule in rules(path, content) if rule != "encoded"] == found

    def test_the_preview_is_short_and_cannot_touch_the_terminal(self) -> None:
        found = look("a.txt", "\x1b[2Jx\u202e" + "y" * 500 + "\n" + "line\n" * 100)
        lines = found.preview.split("\n")
        assert (len(lines), len(lines[0])) == (PREVIEW_LINES, PREVIEW_WIDTH)
        assert all(line.isprintable() for line in lines)
        assert look("a.png", png()).preview == ""


class TestPeople:
    def test_addresses_are_counted_and_masked(self) -> None:
        (found,) = look("a.txt", "jane.roe@example.org, JO@sub.example.com; x@y 1@2 @ a@b.c").findings
        assert (found.rule, found.what) == ("email", "2 e-mail addresses, the first is j…@e….org")

    @pytest.mark.parametrize("text", ["mail us @example.org", "@example.org", "ä@example.org"])
    def test_an_address_without_a_name_is_none(self, text: str) -> None:
        assert rules("a.txt", text) == []

    @pytest.mark.parametrize(
        ("piece", "first"), [("jo@a.org\n", "e-mail addresses, the first is j…@a….org"), ("555-123-4567\n", "555…67")]
    )
    def test_only_so_many_addresses_and_numbers_are_counted(self, piece: str, first: str) -> None:
        (found,) = look("a.txt", piece * (CAP + 5)).findings
        assert found.what.startswith(f"{CAP} ")
        assert found.what.endswith(first)

    @pytest.mark.parametrize(
        "number",
        [
            *("+49 170 1234567", "+1 (555) 123-4567", "(555) 123-4567", "555-123-4567", "(030) 1234567", "0170/123 4567"),
            "+491701234567",
        ],
    )
    def test_telephone_numbers_are_found(self, number: str) -> None:
        (found,) = look("a.txt", f"call {number} now").findings
        assert found.rule == "phone"
        assert number not in found.what

    @pytest.mark.parametrize(
        "text",
        [
            *("1234567890", "3.14159265358979", "2024-01-02", "2024-01-02 10:11:12", "10.0.0.1", "+1.2345678901"),
            "-0.5551234567",
            *("1e-10", "0001 0002 0003", "100 200 300 400", "12,345,678", "978-3-16-148410-0", "0.123-4567", "555.1234"),
            *("+1 2 34 56", "+123 (4567) 1234 1234 1234"),
        ],
    )
    def test_other_numbers_are_no_telephone_numbers(self, text: str) -> None:
        assert rules("a.txt", f"x {text} y") == []


class TestRecords:
    def test_many_rows_look_like_records(self) -> None:
        assert rules("a.csv", "a,b\n" + "1,2\n" * 1001) == ["many-rows"]
        assert rules("a.csv", "a,b\n" + "1,2\n" * 1000) == []
        assert rules("a.json", json.dumps([1] * 1001)) == ["many-rows"]
        assert rules("a.json", json.dumps({"x": {"y": [1] * 1001}})) == ["many-rows"]
        assert rules("a.json", json.dumps({str(n): {"a": 1} for n in range(1001)})) == ["many-rows"]
        assert rules("a.jsonl", '{"a": 1}\n' * 1001) == ["many-rows"]
        assert rules("a.txt", "word\n" * 5000) == []

    @pytest.mark.parametrize(("count", "found"), [(3, []), (1000, []), (5000, ["many-rows"])])
    def test_the_rows_of_a_parquet_file_stand_at_its_end(self, count: int, found: list[str]) -> None:
        inspected = look("a.parquet", parquet(count))
        assert (inspected.summary, [item.rule for item in inspected.findings]) == (f"Parquet, {count} rows", found)

    @pytest.mark.parametrize(
        "before",
        [
            *(b"\x11", b"\x12"),  # truth values, which are in the type
            b"\x13\xff",  # a byte
            b"\x17" + struct.pack("<d", 1.5),
            b"\x18\x02ab",
            b"\x19\x21\x01\x02",  # a list of two truth values
            b"\x19\xf3\x02\x01\x02",  # a list that gives its length on its own
            b"\x1c\x11\x13\x01\0",  # a structure of two fields
        ],
    )
    def test_fields_of_any_type_may_stand_before_the_number_of_rows(self, before: bytes) -> None:
        assert look("a.parquet", framed(before + b"\x26\x0e\0")).summary == "Parquet, 7 rows"

    def test_a_field_of_a_parquet_file_may_give_its_number_on_its_own(self) -> None:
        assert look("a.parquet", framed(b"\x06\x06\x0e\0")).summary == "Parquet, 7 rows"

    @pytest.mark.parametrize(
        "footer",
        [
            *(b"\xff" * 20, b"\x19\xfc\xff\xff\xff\xff\x0f", b"\x1c" * 100, b"\x15", b"\0", b"\x18\xff\x01"),
            b"\x36" + b"\x80" * 10 + b"\x01",  # a number of more than 64 bits
        ],
    )
    def test_a_broken_end_of_a_parquet_file_is_no_number(self, footer: bytes) -> None:
        assert look("a.parquet", framed(footer)).summary == "Parquet-like table"

    DATA = b"id,name,diagnosis and remarks\n17,Jane Roe,chronic obstructive disease\n18,Jo Bloggs,hypertension of grade one\n"

    def test_copied_lines_are_recognized_however_they_are_spaced(self) -> None:
        known = fingerprints([self.DATA])
        lines = self.DATA.decode().split("\n")
        assert rules("a.txt", f"{lines[1]}\n{lines[2]}\n", known) == ["copied"]
        assert rules("a.txt", f"  {lines[1].upper()} \n{lines[2].replace(' ', '   ')}\n", known) == ["copied"]
        assert rules("a.csv", "x,y\n1,chronic obstructive disease\n2,hypertension of grade one\n", known) == ["copied"]

    def test_one_short_line_or_the_same_headings_are_no_copy(self) -> None:
        known = fingerprints([self.DATA])
        assert rules("a.txt", "18,Jo Bloggs,hyper\n", known) == []
        assert rules("a.csv", "id,name,diagnosis and remarks\n1,x,y\n", known) == []
        long = b"a" * 30 + b" " + b"b" * 40
        assert rules("a.txt", long, fingerprints([long])) == ["copied"]

    def test_pieces_of_any_size_give_the_same_fingerprints(self) -> None:
        whole = fingerprints([self.DATA])
        assert len(whole.hashes) == 5
        assert fingerprints([self.DATA[at : at + 1] for at in range(len(self.DATA))]) == whole
        assert whole.complete

    def test_only_so_many_fingerprints_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("scq.findings.known.CAP", 3)
        known = fingerprints([self.DATA])
        assert (len(known.hashes), known.complete) == (3, False)

    def test_data_without_line_breaks_does_not_pile_up(self) -> None:
        known = fingerprints(b"x" * 1000 for _ in range(1000))
        assert len(known.hashes) == 1


class TestDanger:
    @pytest.mark.parametrize(
        ("path", "content", "found"),
        [
            ("a.zip", zipped(), ["archive"]),
            ("a.xlsx", zipped(), ["archive"]),
            ("a.gz", gzip.compress(b"x", mtime=0), ["archive"]),
            ("a.tar", tar(), ["archive"]),
            ("a.pkl", pickle.dumps({"a": 1}), ["pickle"]),
            ("a", pickle.dumps(os.getcwd), ["pickle"]),
            ("a", pickle.dumps(os.getcwd, 0), ["pickle"]),
            ("a", pickle.dumps([1], 0), ["pickle"]),
            ("model.pt", zipped(), ["archive", "pickle"]),
            ("a.npy", b"\x93NUMPY\1\0v\0{'descr': '|O', 'fortran_order': False}", ["pickle"]),
            ("a.npy", b"\x93NUMPY\1\0v\0{'descr': '<f8', 'fortran_order': False}", []),
            ("a", b"\x7fELF\0", ["executable"]),
            ("a", "#!/bin/sh\nls\n", ["executable"]),
            ("a", os.urandom(9000), ["high-entropy"]),
            ("a", os.urandom(3000), []),
            ("a.png", png(b"more"), ["hidden"]),
            ("a.png", png()[:-12], []),
            ("a.html", "<html><script>x</script>", ["active"]),
            ("a.html", "<html><img src='https://example.org/x.png'>", ["active"]),
            ("a.html", "<html><p onclick = x>", ["active"]),
            ("a.html", "<html><table><tr><td>1", []),
            ("a.svg", "<svg><script>x</script></svg>", ["active"]),
            ("a.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>", []),
            ("a.csv", 'a,b\n=HYPERLINK("x"),1\n', ["active"]),
            ("a.csv", "a,b\n@SUM(1),1\n", ["active"]),
            ("a.csv", "a,b\n-1,+2.5\n-,+\n-1e-5,@home\n", []),
            ("a.txt", "a\u200bb", ["hidden"]),
            ("a\u202eb.txt", "x", ["hidden", "hidden"]),
            ("a.txt", "x " + os.urandom(400).hex(), ["encoded"]),
            ("a.txt", "-" * 3000, []),
        ],
    )
    def test_what_should_be_looked_at(self, path: str, content: bytes | str, found: list[str]) -> None:
        assert rules(path, content) == found

    def test_what_was_not_looked_at_is_said(self) -> None:
        found = inspect("a.csv", b"a,b\n1,2\n1,", 5000, NOTHING)
        assert found.summary == "CSV, at least 2 rows × 2 columns (a, b)"
        assert [item.what for item in found.findings] == ["only the first 10 of 5000 bytes were looked at"]
        assert inspect("a.txt", "é".encode()[:1], 5000, NOTHING).kind == "text"
        found = inspect("a.json", b'[{"a": 1}, {"a', 5000, NOTHING)
        assert (found.kind, found.summary) == ("json", "JSON, not read to its end")
        assert [item.rule for item in found.findings] == ["oversized"]

    def test_a_file_above_the_limit_is_told(self) -> None:
        assert [item.rule for item in look("a.txt", "abc", most=2).findings] == ["oversized"]
        assert look("a.txt", "abc", most=3).findings == ()


KNOWN_LINE = "Jane Doe, Rudolfstrasse 12, diabetes mellitus"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("counts.csv", []),
        ("2024-01-15/by_age-group.csv", []),
        ("jane.doe@hospital.org.csv", ["email"]),
        ("jane.doe@hospital.org/counts.csv", ["email"]),
        ("x/212-555-0147.csv", ["phone"]),
        ("call_+49 89 1234567_now.csv", ["phone"]),
        (KNOWN_LINE, ["copied"]),
        (f"a/{KNOWN_LINE}.csv", ["copied"]),
        ("jane_doe,_rudolfstrasse_12,_diabetes_mellitus.csv", ["copied"]),
        ("Jane Doe, Rudolfst/rasse 12, diabetes mellitus", ["copied"]),
    ],
)
def test_what_a_job_writes_into_a_name_is_found(path: str, found: list[str]) -> None:
    known = fingerprints([f"name,street,diagnosis\n{KNOWN_LINE}\n".encode()])
    assert rules(path, "a,b\n1,2\n3,4\n", known) == found
    assert set(found) <= set(rules(path, png(), known)), "whatever the file holds"


def test_personal_data_in_a_name_is_masked() -> None:
    (finding,) = look("jane.doe@hospital.org.csv", "a,b\n1,2\n").findings
    assert finding.what == "its name has an e-mail address: j…@h….csv"


@pytest.mark.parametrize("path", ["a.csv", "A/b-1/c_d.e", "9", "a" * 64])
def test_a_plain_path(path: str) -> None:
    assert is_plain(path)


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", "..", "../a", ".a", "_a", "a/b/c/d", "a" * 65, "a b", "ä", "a\n", "a/b\n"]
)
def test_a_path_that_is_not_plain(path: str) -> None:
    assert not is_plain(path)
