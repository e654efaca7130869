"""The simple form of YAML is read without the library: exactly as the library would, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from scq.formats import _simple_yaml, dump_yaml

WORDS = [
    "null",
    "Null",
    "~",
    "yes",
    "No",
    "ON",
    "true",
    "1",
    "0",
    "007",
    "-7",
    "-0",
    "0x1f",
    "1_000",
    "1e3",
    "1:30",
    ".5",
    "2026-11-21",
]
TEXTS = st.one_of(st.sampled_from(WORDS), st.text(max_size=90), st.text("ab 01'\"-:#[]{},&*!|>%@`.\t", max_size=12))
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), TEXTS, st.lists(TEXTS, max_size=3), st.just({}))
KEYS = st.one_of(st.sampled_from([*WORDS, "name", "submitted_at", "job_type"]), st.text(max_size=8))
LINES = st.lists(
    st.one_of(
        st.builds("{}: {}".format, KEYS, TEXTS),
        st.builds("{}:{}".format, KEYS, TEXTS),
        st.builds("{}: '{}'".format, KEYS, TEXTS),
        st.builds("- {}".format, TEXTS),
        st.builds("{}:".format, KEYS),
        TEXTS,
    ),
    max_size=5,
)


def loaded(text: str) -> Any:
    return yaml.load(text, Loader=yaml.CSafeLoader)


def agrees(text: str) -> None:
    simple = _simple_yaml(text)
    if simple is not None:
        value = loaded(text)
        assert (simple, [type(item) for item in simple.values()]) == (value, [type(item) for item in value.values()])


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=6))
def test_what_peers_write_is_understood_as_the_library_does(value: dict[str, Any]) -> None:
    agrees(dump_yaml(value).decode())


@given(LINES, st.sampled_from(["\n", "\r\n", "\n\n", "\n  "]), st.sampled_from(["", "\n", "\n\n", "\n...\n"]))
@example(["a: b", "- c"], "\n", "\n")
@example(["a:", "- b", "- c", "d: e"], "\n", "\n")
@example(["a:", "- b"], "\n  ", "\n")
@example(["a: b", "a: c"], "\n", "\n")
def test_any_text_is_understood_as_the_library_does_or_left_to_it(lines: list[str], between: str, end: str) -> None:
    agrees(between.join(lines) + end)


def test_a_submission_of_the_peers_is_simple() -> None:
    value = {
        "name": "count rows",
        "type": "python",
        "submitted_at": "2026-11-21T11:15:55.610611Z",
        "submitted_by": "scientist@example.com",
        "dependencies": ["numpy>=1.26,<3", "six==1.16.0"],
        "tags": [],
        "files": ["main.py", "lib/rows.py"],
        "is_folder_submission": False,
        "datasets": None,
        "return_code": -1,
        "code_path": "/srv/projects/count rows",
        "headers": {},
    }
    assert _simple_yaml(dump_yaml(value).decode()) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "a",
        "a:",
        "a:\n",
        "a: |\n",
        "a: &b c",
        "a: *b",
        "yes: 1",
        "a: 010",
        "a: b # c",
        "a: b\n\tc: d",
        "a: {b: c}",
        "a:\n- b\nc:",
    ],
)
def test_anything_else_is_left_to_the_library(text: str) -> None:
    assert _simple_yaml(text) is None
