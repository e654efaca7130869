"""The text of a file in pieces: always all of it, whoever wrote it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from pygments.lexers import get_all_lexers, get_lexer_by_name

from scq.web import colours
from scq.web.colours import LANGUAGES, LIMIT, LONGEST_LINE, lines, pieces

NAMES = [f"folder/main.{end}" for end in ("py", "sh", "json", "yaml", "toml", "md", "r", "sql")]
MARKS = (*"'\"#\\\n\x00{}(<`$ x\ufeff", '"""', "\r\n", "/*", "```", "<<E\n", "$(")


def text_of(found: list[list[colours.Piece]]) -> str:
    return "\n".join("".join(part for _, part in line) for line in found)


def classes(found: list[list[colours.Piece]]) -> set[str]:
    return {name for line in found for name, _ in line}


def test_a_line_is_its_pieces_with_the_short_names_of_their_kinds() -> None:
    assert lines("job/run.sh", "set -e\n# all\n\npython main.py") == [
        [("nb", "set"), ("", " -e")],
        [("c1", "# all")],
        [("", "")],
        [("", "python main.py")],
    ]


@pytest.mark.parametrize("name", ["main.py", "MAIN.PY", "a.b/main.py", "main.pyw"])
def test_the_end_of_a_name_says_which_language_it_is(name: str) -> None:
    assert lines(name, "import os")[0][0] == ("kn", "import")


@pytest.mark.parametrize("name", ["", "notes", "main.py/notes", "notes.txt", "x.smithy", ".py ", "main.py\n"])
def test_a_file_of_a_language_not_known_here_is_plain(name: str) -> None:
    assert lines(name, "import os\n") == [[("", "import os")], [("", "")]]


def test_every_language_has_its_lexer() -> None:
    known = {alias for _, aliases, _, _ in get_all_lexers(plugins=False) for alias in aliases}
    assert LANGUAGES.keys() <= known


@given(some.sampled_from(NAMES), some.lists(some.one_of(some.sampled_from(MARKS), some.text(max_size=8)), max_size=30))
@settings(max_examples=150, deadline=None)
def test_put_together_again_the_pieces_are_the_text(name: str, parts: list[str]) -> None:
    text = "".join(parts)
    found = lines(name, text)
    assert text_of(found) == text
    assert len(found) == text.count("\n") + 1
    assert all(found)
    assert "".join(part for _, part in pieces(name, text)) == text


@pytest.mark.parametrize("letter", ["a", "'", "\x00"])
def test_a_line_of_a_megabyte_is_plain(letter: str) -> None:
    text = letter * (1 << 20)
    assert lines("main.py", text) == [[("", text)]]


def test_what_stands_before_a_very_long_line_keeps_its_colours() -> None:
    text = "import os\n" + "x" * (LONGEST_LINE + 1) + "\nimport sys"
    found = lines("main.py", text)
    assert found[0][0] == ("kn", "import")
    assert [len(line) for line in found[1:]] == [1, 1]
    assert text_of(found) == text
    assert classes(lines("main.py", "#" * LONGEST_LINE)) == {"c1"}


def test_only_the_beginning_of_a_long_text_is_coloured() -> None:
    text = "# a comment\n" * (LIMIT // 12 + 100)
    found = lines("main.py", text)
    assert text_of(found) == text
    assert [classes([line]) for line in found[:3]] == [{"c1"}] * 3
    assert classes(found[-50:]) == {""}


def test_when_the_time_is_over_the_rest_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1_000))
    monkeypatch.setattr(colours.time, "monotonic", lambda: next(clock) / 10)
    text = "import os\n" * 100
    found = lines("main.py", text)
    assert text_of(found) == text
    assert classes(found[:1]) == {"kn", "", "nn"}
    assert classes(found[20:]) == {""}


def test_a_lexer_that_loses_text_colours_nothing_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lexer = get_lexer_by_name("python")
    told = [(0, *next((kind, value) for _, kind, value in lexer.get_tokens_unprocessed("import os"))), (9, None, "else")]
    monkeypatch.setattr(type(lexer), "get_tokens_unprocessed", lambda self, text: iter(told))
    assert lines("main.py", "import os\nimport sys") == [[("kn", "import"), ("", " os")], [("", "import sys")]]


def test_without_pygments_every_line_is_one_plain_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygments.lexers", None)
    assert lines("main.py", "import os\n\nx = 1\n") == [[("", "import os")], [("", "")], [("", "x = 1")], [("", "")]]


def test_pygments_is_loaded_by_what_has_colours_only() -> None:
    script = "import sys; from scq.web.colours import lines; lines('notes.txt', 'x'); assert 'pygments' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
