"""What a verb returns, and the document programs read."""

from __future__ import annotations

import json

import pytest

from scq.model import Problem
from scq.report import Report, as_json


@pytest.mark.parametrize(
    ("code", "errors", "ok"), [(0, (), True), (3, (), True), (0, ("x",), False), (1, (), False), (75, (), False)]
)
def test_a_verb_is_ok_when_it_did_what_it_was_asked(code: int, errors: tuple[str, ...], ok: bool) -> None:
    assert Report("check", exit_code=code, errors=errors).ok is ok


def test_words_that_are_no_text_keep_no_document_from_being_written() -> None:
    text = as_json(Report("exec", {"command": ["sh", "\udcff"], "n": 1}))
    assert json.loads(text)["data"] == {"command": ["sh", "?"], "n": 1}
    text.encode("utf-8")


def test_the_document_has_the_documented_fields_on_one_line() -> None:
    text = as_json(Report("check", {"é": "a\nb"}, ("shown",), (Problem("w", "x", "a"),), 1, ("e",)))
    assert "\n" not in text
    assert "é" in text
    assert json.loads(text) == {
        "scq": 1,
        "command": "check",
        "ok": False,
        "exit_code": 1,
        "data": {"é": "a\nb"},
        "problems": [{"where": "w", "what": "x", "advice": "a"}],
        "errors": ["e"],
    }
