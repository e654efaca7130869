"""Syntax colours for code on a terminal, when the `pretty` extra is installed and colours are wanted."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO

Paint = Callable[[str, str], str]


def painter(stream: IO[str]) -> Paint | None:
    """A function that colours the text of a file by its name; None on a pipe, with NO_COLOR, or without Pygments."""
    if not stream.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
        return None
    try:
        from pygments import highlight
        from pygments.formatters import TerminalFormatter
        from pygments.lexers import get_lexer_for_filename
        from pygments.util import ClassNotFound
    except ImportError:
        return None

    def paint(path: str, text: str) -> str:
        try:
            lexer = get_lexer_for_filename(path, stripnl=False)
        except ClassNotFound:
            return text
        return str(highlight(text, lexer, TerminalFormatter()))

    return paint
