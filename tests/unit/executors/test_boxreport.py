from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from scq.executors.boxreport import LONGEST, BoxReport


@pytest.fixture
def pipe() -> Iterator[tuple[BoxReport, int]]:
    reader, writer = os.pipe()
    yield BoxReport(reader), writer
    os.close(reader)


def test_what_a_box_says_is_understood_in_pieces(pipe: tuple[BoxReport, int]) -> None:
    report, writer = pipe
    assert report.take()
    os.write(writer, b'{ "child-pid": 4242, "net-namespace": 7 }\n{ "exit-')
    assert report.take()
    assert (report.child, report.exit_code) == (4242, None)
    os.write(writer, b'code": 3 }\n')
    os.close(writer)
    assert not report.take()
    assert report.exit_code == 3


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[1]",
        b'{"child-pid": "7", "exit-code": true}',
        b'{"child-pid": -1, "exit-code": 1.5}',
        b"[" * 5000,
        b"\xff\xfe",
        b'{"exit-code": 99999999999999999999999999x}',
    ],
)
def test_what_makes_no_sense_is_passed_over(pipe: tuple[BoxReport, int], line: bytes) -> None:
    report, writer = pipe
    os.write(writer, line + b'\n{"child-pid": 9}\n')
    os.close(writer)
    assert not report.take()
    assert (report.child, report.exit_code) == (9, None)


def test_no_more_is_read_than_a_box_has_to_say(pipe: tuple[BoxReport, int]) -> None:
    report, writer = pipe
    os.write(writer, b"x" * LONGEST + b'\n{"exit-code": 0}\n')
    assert not report.take()
    assert not report.take()
    os.close(writer)
    assert report.exit_code is None
