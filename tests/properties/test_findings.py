"""Whatever a submitter writes, the rules come to an end, and what they say can be shown."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from scq.findings import CODE_RULES, RESULT_RULES, fingerprints, in_code, inspect
from scq.model import Finding
from scq.requested import parse

SHELL_PARTS = (
    *"ab \n\t\\'\"$`(){}<>|&;#=*!",
    *("$(", "${", "$((", "))", "<<E", "\nE\n", "case ", " in", "esac", ";;", "curl", "$'", "<(", "eval "),
)
PYTHON_PARTS = (
    *("import os", "os.system", "(", ")", "[", "'", '"', "\n", " ", "=", "x", ".", "getattr", "eval", "f'{", ":", "\\"),
    "0x",
)
YAML_PARTS = ("limits", ": ", "{", "}", "[", "&a", "*a", "\n", "  ", "memory", "1", "!!x", "?")


def made_of(parts: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(parts), max_size=60).map(lambda found: "".join(found).encode())


NAMES = st.sampled_from(
    [*("run.sh", "a.py", "a.csv", "a.json", "a.jsonl", "a.html", "a.svg", "a.png", "a.npy", "a", "a.pkl"), "\u202e\x1b.txt"]
)
BEGINNINGS = st.sampled_from(
    [
        *(b"", b"#!", b"#!/bin/sh\n", b"PAR1", b"\x89PNG\r\n\x1a\n", b"\x80\x04", b"PK\x03\x04", b"{", b"[", b"<svg", b"a,b\n"),
        *(b"c\n", b"\xef\xbb\xbf"),
    ]
)
BYTES = st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode), made_of(SHELL_PARTS), made_of(PYTHON_PARTS))


def well_formed(found: tuple[Finding, ...], rules: dict[str, str]) -> bool:
    return all(item.rule in rules and item.line >= 0 and item.what.isprintable() and item.what for item in found)


@settings(max_examples=300, deadline=None)
@given(NAMES, BEGINNINGS, BYTES)
def test_no_code_breaks_the_rules(path: str, beginning: bytes, data: bytes) -> None:
    assert well_formed(in_code([(path, beginning + data)], run_sh="run.sh"), CODE_RULES)


@settings(max_examples=300, deadline=None)
@given(NAMES, BEGINNINGS, BYTES, st.integers(0, 100))
def test_no_result_breaks_the_rules(path: str, beginning: bytes, data: bytes, more: int) -> None:
    content = beginning + data
    found = inspect(path, content, len(content) + more, fingerprints([data]))
    assert well_formed(found.findings, RESULT_RULES)
    assert found.summary.isprintable()
    assert all(line.isprintable() for line in found.preview.split("\n"))


@settings(max_examples=200, deadline=None)
@given(st.one_of(BYTES, made_of(YAML_PARTS)))
def test_no_request_breaks_its_reader(text: bytes) -> None:
    _, problems = parse(text)
    assert all(problem.what.isprintable() for problem in problems)
