"""Text from strangers, made safe to show: nothing in it can move the cursor, reorder a line, hide itself or start a new one.

Each character that cannot be shown becomes U+FFFD, and every other one stays: what follows an escape character may be a command
to a terminal, but in a script it is code that runs.
"""

from __future__ import annotations

import re

CAP = 1 << 20
"""Characters looked at. Whatever is longer is cut before any other work."""

_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}[mK]")
"""Terminal commands (ECMA-48) that colour what follows or clear the rest of a line."""
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Characters that count as printable and show nothing."""
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")


def line(text: str, limit: int = 200) -> str:
    """One line of at most `limit` characters for a terminal, a mail header or a table; what was cut ends in `…`.

    Line breaks, control characters, bidi marks and zero-width characters become U+FFFD, tabs and wide blanks a plain blank.
    """
    shown = _shown(text[:CAP], keep="").strip()
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "…"


def block(text: str) -> str:
    """Several lines: as `line`, but line breaks and tabs stay and nothing is shortened below `CAP` characters."""
    return _shown(text[:CAP].replace("\r\n", "\n"), keep="\n\t")


def log(text: str) -> str:
    """What a program wrote while it ran: as `block`, without the colours that programs give their output."""
    return block(_COLOUR.sub("", text[:CAP]))


def is_address(text: str) -> bool:
    """True for exactly one plain e-mail address (RFC 5321 dot-string, ASCII): no display name, list, group or blank."""
    return len(text) <= 254 and text.find("@") <= 64 and _ADDRESS.fullmatch(text) is not None


def _shown(text: str, keep: str) -> str:
    if text.isprintable() and _BLANK_LETTERS.isdisjoint(text):
        return text
    return "".join(char if char in keep else _visible(char) for char in text)


def _visible(char: str) -> str:
    if char.isprintable():
        return "�" if char in _BLANK_LETTERS else char
    if char == "\t" or (char.isspace() and char not in "\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"):
        return " "
    return "�"
