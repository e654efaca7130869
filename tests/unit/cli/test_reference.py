"""docs/cli.md is what the command line says about itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scq import errors
from scq.cli import reference
from scq.cli.app import VERBS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


@pytest.fixture(scope="module")
def made() -> str:
    return reference.document()


def test_the_page_is_the_one_that_the_command_line_gives(made: str) -> None:
    advice = "the command line has changed: .venv/bin/python -m scq.cli.reference > docs/cli.md"
    assert PAGE.read_text("utf-8") == made, advice


def test_every_verb_has_a_heading_that_the_overview_links(made: str) -> None:
    assert re.findall(r"^### scq (\S+)$", made, re.M) == list(VERBS)
    assert re.findall(r"\]\(#scq-(\S+)\)", made) == list(VERBS)
    assert "#### scq peers notify-granted\n" in made


def test_options_are_told_with_their_values_bounds_and_defaults(made: str) -> None:
    wait = made.partition("### scq wait\n")[2].partition("\n### ")[0]
    assert "scq wait [OPTIONS] ID\n" in wait
    assert "| `--timeout NUMBER` | Seconds to wait at most. | `600` |" in wait
    assert "| `--interval NUMBER` | Seconds between two looks. At least 0.05. | `2` |" in wait
    call = made.partition("### scq call\n")[2].partition("\n### ")[0]
    assert "default from the channel. At most 10. |  |" in call
    release = made.partition("### scq release\n")[2].partition("\n### ")[0]
    assert "| `--outputs`, `--no-outputs` | The result files. | `--outputs` |" in release
    assert "| `-r`, `--reason TEXT` |" in release
    assert "| `--json` |" not in release, "what all verbs have stands at the top"


def test_every_table_of_the_page_is_whole(made: str) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", made, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table


def test_all_exit_codes_are_explained(made: str) -> None:
    codes = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    assert set(reference.CODES) == {*codes, 130}
    assert all(f"| {code} | {meaning} |" in made for code, meaning in reference.CODES.items())


def test_texts_with_signs_of_markdown_are_shown_as_they_are() -> None:
    assert reference._cell("a * b | `c * d` <e>\n  f") == "a \\* b | `c * d` \\<e> f"
    assert list(reference._table(("x",), [("`a|b`",)]))[-1] == "| `a\\|b` |"


def test_the_terminal_does_not_matter() -> None:
    """The page is made by one command, narrow or wide, with colours or without."""
    environment = {**os.environ, "COLUMNS": "30", "LINES": "5", "TERM": "xterm-256color", "FORCE_COLOR": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "scq.cli.reference"], env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert ended.stdout == reference.document()
