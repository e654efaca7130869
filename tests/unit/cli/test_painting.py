"""Colours for states: only on a terminal whose owner wants them."""

from __future__ import annotations

import io

import pytest

from scq.cli.painting import COLOURS, marker


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize("meaning", COLOURS)
def test_a_word_on_a_terminal_has_the_colour_of_its_meaning_and_ends_it(meaning: str) -> None:
    mark = marker(Terminal())
    assert mark is not None
    assert mark(meaning, "ok") == f"\x1b[{COLOURS[meaning]}mok\x1b[0m"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("NO_COLOR", ""), ("TERM", "dumb")])
def test_an_owner_who_wants_none_gets_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert marker(Terminal()) is None


def test_a_pipe_gets_none() -> None:
    assert marker(io.StringIO()) is None
