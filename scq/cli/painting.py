"""Colours on a terminal, where they are wanted: for states, and for code when the `pretty` extra is installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO

Paint = Callable[[str, str], str]
COLOURS = {"good": "32", "note": "33", "bad": "1;31", "head": "1", "dim": "2"}
"""What a word means, and how it is shown (SGR parameters of ECMA-48)."""


def painter(stream: IO[str]) -> Paint | None:
    """A function that colours the text of a file by its name; None on a pipe, with NO_COLOR, or without Pygments."""
    if not _wanted(stream):
        return None
    try:
        from pygments.formatters import TerminalFormatter
        from pygments.token import Token
    except ImportError:
        return None
    from io import StringIO

    from scq.web.colours import pieces

    def paint(path: str, text: str) -> str:
        out = StringIO()
        TerminalFormatter().format(((kind or Token.Text, part) for kind, part in pieces(path, text)), out)
        return out.getvalue()

    return paint


def marker(stream: IO[str]) -> Paint | None:
    """A function that shows a text by what it means, a key of `COLOURS`; None on a pipe or with NO_COLOR."""
    return _marked if _wanted(stream) else None


def _marked(meaning: str, text: str) -> str:
    return f"\x1b[{COLOURS[meaning]}m{text}\x1b[0m"


def _wanted(stream: IO[str]) -> bool:
    """True on a terminal, unless its owner said otherwise."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
