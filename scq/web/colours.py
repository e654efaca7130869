"""The colours of code, as classes for a style sheet: what a text is made of, piece by piece.

The names of the classes are the short names of Pygments (`k` keyword, `s1` string, `c1` comment …). The text itself is never
changed, whatever a lexer makes of it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

Piece = tuple[str, str]
"""(class, text); the class is empty for plain text."""
LIMIT = 128 << 10
"""Characters of one text that are coloured; what follows is plain."""
LONGEST_LINE = 1_000
"""Characters of a line that is still coloured; from a longer one on everything is plain. Lexers look ahead within a line, again
and again, and nobody reads such a line for its colours."""
PATIENCE_S = 1.0
"""Seconds that colouring one text may take: a text can be made to need very many steps. What is left then is plain."""
LANGUAGES = {
    "bash": ("sh", "bash", "zsh", "ksh"),
    "c": ("c", "h"),
    "cpp": ("cpp", "cc", "cxx", "hpp"),
    "css": ("css",),
    "docker": ("dockerfile",),
    "go": ("go",),
    "html": ("html", "htm"),
    "ini": ("ini", "cfg", "conf"),
    "java": ("java",),
    "javascript": ("js", "mjs", "cjs"),
    "json": ("json", "ipynb", "geojson"),
    "julia": ("jl",),
    "makefile": ("makefile", "mk"),
    "markdown": ("md", "markdown"),
    "perl": ("pl", "pm"),
    "python": ("py", "pyi", "pyw"),
    "r": ("r",),
    "rst": ("rst",),
    "ruby": ("rb",),
    "rust": ("rs",),
    "sql": ("sql",),
    "toml": ("toml",),
    "typescript": ("ts",),
    "xml": ("xml", "svg"),
    "yaml": ("yaml", "yml"),
}
"""Languages that are coloured, by the ends of file names in small letters. The name of a file chooses among these and among no
other lexers: there are hundreds, some far slower than others, and any installed package can add more."""
_LEXERS = {end: language for language, ends in LANGUAGES.items() for end in ends}


def lines(path: str, text: str) -> list[list[Piece]]:
    """The pieces of each line of a text, coloured by the name of its file; lines end at `\\n`, which is in no piece.

    Put together again the pieces are the text, always. Every line has at least one piece. Without Pygments, in a language that
    is not known here, and beyond the limits above, each line is one plain piece.
    """
    found: list[list[Piece]] = [[]]
    for kind, part in pieces(path, text):
        name = _class(kind)
        first, *others = part.split("\n")
        found[-1].append((name, first))
        found.extend([(name, other)] for other in others)
    return [_joined(line) for line in found]


def pieces(path: str, text: str) -> Iterator[tuple[_TokenType | None, str]]:
    """What a text is made of: (token type of Pygments, text), one after the other and nothing left out; None is plain."""
    lexer = _lexer(path)
    wanted = _readable(text)
    end = time.monotonic() + PATIENCE_S
    done = 0
    if lexer is not None:
        # Not every lexer can read a last line that does not end; the end that is added is not part of any piece.
        for _, kind, value in lexer.get_tokens_unprocessed(wanted + "\n"):
            part = value[: len(wanted) - done]
            if not wanted.startswith(part, done) or time.monotonic() > end:
                break
            yield kind, part
            done += len(part)
    if done < len(text):
        yield None, text[done:]


def _lexer(path: str) -> Lexer | None:
    """What reads a file of this name; None when nothing here does."""
    name = path.rpartition("/")[2].lower()
    language = _LEXERS.get(name.rpartition(".")[2])
    if language is None:
        return None
    try:
        from pygments.lexers import get_lexer_by_name
    except ImportError:
        return None
    return get_lexer_by_name(language)


def _readable(text: str) -> str:
    """The beginning of a text that is worth its colours."""
    text = text[:LIMIT]
    too_long = re.search(rf"^[^\n]{{{LONGEST_LINE + 1}}}", text, re.MULTILINE)
    return text[: too_long.start()] if too_long else text


def _class(kind: _TokenType | None) -> str:
    """The short name of a token type, of the nearest one above it that has a name; blanks are plain."""
    if kind is None:
        return ""
    from pygments.token import STANDARD_TYPES

    name = next(STANDARD_TYPES[known] for known in reversed(kind.split()) if known in STANDARD_TYPES)
    return "" if name == "w" else name


def _joined(line: list[Piece]) -> list[Piece]:
    """A line with neighbours of one class as one piece, and without empty ones."""
    grouped = ((name, "".join(text for _, text in group)) for name, group in groupby(filter(itemgetter(1), line), itemgetter(0)))
    return list(grouped) or [("", "")]
