"""What a reader does not see in a text: marks that reorder it, letters that look like others, data packed into it."""

from __future__ import annotations

import re
import unicodedata

from scq.findings.sink import Sink, shown

LINE = 2_000
"""Longest line of code that nobody has to scroll for."""
ENCODED = 512
SHOWN_EACH = 20
"""Findings of one sort in one file."""
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVISIBLE = "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2064\u206a-\u206f\u3164\ufff9-\ufffb"
_HIDDEN = re.compile(f"[{_BIDI}]|[{_INVISIBLE}\ufeff\uffa0\U000e0000-\U000e007f]|[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
_WORD = re.compile(r"[^\W\d_]+")
_ENCODED = re.compile(rf"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{{{ENCODED + 1},}}={{0,2}}")
_SIMPLE = re.compile(r"(.{1,4})\1+")
_MIXABLE = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE")


def hidden(text: str, sink: Sink, *, is_code: bool) -> None:
    """Characters that cannot be seen or reorder a line; in code also words of mixed alphabets and very long lines."""
    if not text.isascii() or not text.isprintable():
        for match in _first(_HIDDEN, text):
            sink.add(_line(text, match.start()), "hidden", f"{_name(match.group())} does not show, or changes how a line shows")
    if not is_code:
        return
    if not text.isascii():
        for match in _WORD.finditer(text):
            if not match.group().isascii() and _is_mixed(match.group()):
                sink.add(_line(text, match.start()), "hidden", f"{shown(match.group())} mixes letters of several alphabets")
                break
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LINE:
            sink.add(number, "hidden", f"a line of {len(line)} characters")


def encoded(text: str, sink: Sink) -> None:
    """Long runs of base64 or hexadecimal digits."""
    for match in _first(_ENCODED, text):
        run = match.group()
        # A ruler of one character or a repeated pattern holds no data.
        if _SIMPLE.fullmatch(run) is None:
            what = f"{len(run)} characters that look like packed data: {shown(run[:24])}…"
            sink.add(_line(text, match.start()), "encoded", what)


def _first(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    found = []
    for match in pattern.finditer(text):
        found.append(match)
        if len(found) == SHOWN_EACH:
            break
    return found


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _name(char: str) -> str:
    return f"U+{ord(char):04X} ({unicodedata.name(char, 'control character').lower()})"


def _is_mixed(word: str) -> bool:
    """Latin letters together with those of an alphabet that has look-alikes."""
    names = {unicodedata.name(char, "").partition(" ")[0] for char in word[:200]}
    return "LATIN" in names and not names.isdisjoint(_MIXABLE)
