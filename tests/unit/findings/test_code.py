"""scq.findings.in_code: which rules read which file, what is hidden in any text, and how much is listed."""

from __future__ import annotations

import pytest

from scq.findings import CODE_RULES, denied, in_code
from scq.findings.code import CAP, SIZE
from scq.findings.hidden import SHOWN_EACH
from scq.model import Finding


def rules(path: str, data: bytes, run_sh: str = "run.sh") -> list[tuple[int, str]]:
    return [(item.line, item.rule) for item in in_code([(path, data)], run_sh=run_sh)]


@pytest.mark.parametrize(
    ("path", "data", "rule"),
    [
        ("run.sh", b"curl x", "network"),
        ("code/run.sh", b"curl x", "network"),
        ("start", b"#!/bin/sh\ncurl x", "network"),
        ("start", b"#!/usr/bin/env -S bash -e\ncurl x", "network"),
        ("start", b"#!/usr/bin/python3.12\nimport socket", "network"),
        ("run.sh", b"#!/usr/bin/env python3\nimport socket", "network"),
        ("A.PY", b"import socket", "network"),
        ("run.sh", b"\xef\xbb\xbfcurl x", "network"),
        ("run.sh", b"echo a\r\ncurl x\r\n", "network"),
        ("x.R", b"x", "unparsed"),
        ("x.ipynb", b"{}", "unparsed"),
        ("run.sh", b"#!/usr/bin/perl\n", "unparsed"),
        ("x", b"a\0b", "binary"),
        ("x", b"\xff\xfe", "binary"),
        ("x", b"a" * (SIZE + 1), "too-large"),
        ("x.py", b"\n" * 2_000_000, "too-large"),
    ],
)
def test_a_file_is_read_by_what_it_is(path: str, data: bytes, rule: str) -> None:
    assert [found for _, found in rules(path, data)] == [rule]


@pytest.mark.parametrize("path", ["notes.md", "data.csv", "x", "requirements.txt", "a.sh.txt"])
def test_a_text_that_is_no_code_is_not_read_as_code(path: str) -> None:
    assert rules(path, b"curl x\nimport socket\nrm -rf /\n" + b"long " * 1000) == []


def test_what_does_not_show_is_named_wherever_it_stands() -> None:
    text = "a\nb\u202ec\nd\u200be\nf\x1b[2J\n".encode()
    assert rules("notes.md", text) == [(2, "hidden"), (3, "hidden"), (4, "hidden")]
    (first, *_) = in_code([("notes.md", text)], run_sh="run.sh")
    assert first.what == "U+202E (right-to-left override) does not show, or changes how a line shows"


def test_only_so_many_hidden_characters_of_one_file_are_named() -> None:
    most = [(line, "hidden") for line in range(1, SHOWN_EACH + 1)]
    assert rules("notes.md", "a\u200bb\n".encode() * SHOWN_EACH) == most
    assert rules("notes.md", "a\u200bb\n".encode() * (SHOWN_EACH + 5)) == most


def test_look_alikes_and_endless_lines_are_told_in_code_only() -> None:
    text = "p\u0430ypal=1\n".encode() + b"#" * 3000
    assert rules("x.py", text) == [(1, "hidden"), (2, "hidden")]
    assert rules("x.txt", text) == []
    assert rules("x.py", "größe = 'длина' + 'ελ'\n".encode()) == []


def test_run_sh_comes_first_and_files_are_kept_apart() -> None:
    found = in_code([("a.py", b"import socket"), ("run.sh", b"echo\ncurl x")], run_sh="run.sh")
    assert [(item.path, item.line, item.rule) for item in found] == [("run.sh", 2, "network"), ("a.py", 1, "network")]


def test_only_so_many_are_listed_and_the_last_one_counts_the_rest() -> None:
    found = in_code([("run.sh", b"rm a\n" * 250)], run_sh="run.sh")
    assert len(found) == CAP
    assert found[-1] == Finding("", 0, "more", "51 more findings of the same rules are not listed")
    assert len(in_code([("run.sh", b"rm a\n" * CAP)], run_sh="run.sh")) == CAP


def test_a_job_of_far_too_much_code_is_looked_at_in_part_and_says_so() -> None:
    files = [(f"{number}.py", b"#" + b" \n" * (SIZE // 2 - 1)) for number in range(10)]
    found = in_code([*files, ("last.sh", b"curl x")], run_sh="run.sh")
    assert {(item.path, item.rule) for item in found} == {("8.py", "too-large"), ("9.py", "too-large"), ("last.sh", "too-large")}


def test_many_findings_of_one_rule_never_push_out_another() -> None:
    flood = [(f"{number}.sh", b"rm a\n" * 1000 + b"cat /etc/passwd\n" * 1000) for number in range(3)]
    found = in_code([*flood, ("z.sh", b"rm a\n" * 1000 + b"curl x\n")], run_sh="run.sh")
    assert len(found) == CAP
    assert [(item.path, item.line) for item in denied(found, ("network",))] == [("z.sh", 1001)]


def test_a_denied_rule_blocks_unless_it_is_accepted() -> None:
    found = in_code([("run.sh", b"curl x\nrm y\n")], run_sh="run.sh")
    assert [item.rule for item in denied(found, ("network", "eval"))] == ["network"]
    assert denied(found, ("network", "delete"), ("delete",)) == (found[0],)
    assert denied(found, ("network",), ("network",)) == ()
    assert denied(found, ()) == ()


def test_every_rule_that_is_used_is_explained() -> None:
    script = b"curl x\nrm y\nsudo z\nenv\neval $a\npip install b\nnohup c\nbase64 -d d\ncat /etc/e\nperl f\necho 'g"
    found = in_code([("run.sh", script), ("p.py", b"import subprocess"), ("b", b"\0"), ("l", b"a" * (SIZE + 1))], run_sh="run.sh")
    used = {item.rule for item in found}
    assert used <= set(CODE_RULES)
    assert used >= set(CODE_RULES) - {"more", "hidden"}
