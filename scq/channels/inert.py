"""Text that mentions nobody and formats nothing, whatever a messaging service reads into it, and that is short enough for it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

GAP = "\u200b"
"""Zero-width space: takes the meaning of the characters around it, not their looks."""
_MENTION = re.compile(
    r"(?<!\w)@(?=\w)|@(?=(?:everyone|here|channel|group|all)\b)|<(?=[@#!&:/a-zA-Z])|\](?=[(\[:])", re.IGNORECASE
)
_LOST = re.compile(r"^(?=[ \t\n])", re.MULTILINE)
"""Where apprise would drop an empty line or the blanks a line begins with."""
_MARKDOWN = re.compile(r"([\\`*_~|>#:<\[\]()-])")


def inert_for(type_name: str) -> Callable[[str], str]:
    """What makes a text inert for a type of channel. apprise escapes the rest: HTML, Slack's and Teams' own marks."""
    if type_name.startswith("twilio"):
        return str  # a telephone knows no mentions, and one odd letter more than doubles the price of an SMS
    if type_name == "discord":
        return lambda text: _MARKDOWN.sub(r"\\\1", _unmentioned(text))
    if type_name == "telegram":
        return lambda text: _LOST.sub(GAP, _unmentioned(text))
    return _unmentioned


def _unmentioned(text: str) -> str:
    return _MENTION.sub(rf"\g<0>{GAP}", text)


def cut(text: str, limit: int, size: Callable[[str], int], rest: str) -> str:
    """The beginning of a text that fits, with a last line that says where the rest is. No character has a size below one."""
    if len(text) <= limit and size(text) <= limit:
        return text
    low, high = 0, min(len(text), limit)
    while low < high:
        middle = (low + high + 1) // 2
        fits = size(f"{text[:middle]}\n{rest}") <= limit
        low, high = (middle, high) if fits else (low, middle - 1)
    return f"{text[:low].rstrip()}\n{rest}"


def utf16(text: str) -> int:
    """Length as most services count it. Line breaks count twice: some services get them as two characters."""
    return len(text.encode("utf-16-le", "replace")) // 2 + text.count("\n")


def octets(text: str) -> int:
    """Bytes as ntfy counts them; where escapes make the JSON longer than 1.85 times as much, what they count for."""
    return max(len(text.encode("utf-8", "replace")), len(json.dumps(text)) * 20 // 37)
