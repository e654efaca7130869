"""Descriptors for a process: filled, numbered, passed on and closed."""

from __future__ import annotations

import os
import subprocess

from scq.descriptors import opened
from scq.ports import Invocation


def test_a_process_reads_what_it_is_fed_and_reports_where_it_is_told_to() -> None:
    reader, writer = os.pipe()
    script = 'cat "/proc/self/fd/$1"; echo done > "/proc/self/fd/$2"'
    invocation = Invocation(
        ("sh", "-c", script, "sh", "{filter}", "{report}"), {}, "/", feeds={"{filter}": b"12345"}, report="{report}"
    )
    with opened(invocation, writer) as (argv, passed):
        said = subprocess.run(argv, pass_fds=passed, capture_output=True, check=True).stdout
    os.close(writer)
    assert (said, os.read(reader, 100)) == (b"12345", b"done\n")
    os.close(reader)


def test_a_report_nobody_listens_to_goes_nowhere_and_nothing_stays_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    invocation = Invocation(("true", "{filter}", "{report}"), {}, "/", feeds={"{filter}": b""}, report="{report}")
    with opened(invocation) as (argv, passed):
        assert argv == ["true", *map(str, passed)]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_plain_invocation_is_left_as_it_is() -> None:
    with opened(Invocation(("echo", "{filter}"), {}, "/")) as (argv, passed):
        assert (argv, passed) == (["echo", "{filter}"], ())
