"""Addresses and telephone numbers in a text, counted and masked."""

from __future__ import annotations

import re

CAP = 10_000
"""Hits that are counted."""
_DOMAIN = re.compile(r"@([A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}\.[A-Za-z]{2,24})(?![A-Za-z0-9])")
_LOCAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-")
_PHONE = re.compile(
    r"(?<![\w.+:/-])(?:"
    r"\+\d{1,3}[ /-]?(?:\(0\)[ ]?)?\(?\d{1,4}\)?(?:[ /-]?\d{2,4}){2,4}"
    r"|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}"
    r"|\(0\d{1,4}\)[ ]?\d{3,4}[ -]?\d{3,5}"
    r"|0\d{2,4}[/-]\d{3,4}[ -]?\d{3,5}"
    r")(?![\w/]|[.:,-]?\d)"
)


def emails(text: str) -> tuple[int, str]:
    """(how many, the first one masked)."""
    count, first = 0, ""
    for match in _DOMAIN.finditer(text):
        start = at = match.start()
        while start > 0 and at - start < 64 and text[start - 1] in _LOCAL:
            start -= 1
        if start == at:
            continue
        count += 1
        first = first or f"{text[start]}…@{match.group(1)[0]}….{match.group(1).rpartition('.')[2]}"
        if count == CAP:
            break
    return count, first


def phones(text: str) -> tuple[int, str]:
    """(how many, the first one masked). A long number alone is none: it needs a `+` or the usual groups."""
    count, first = 0, ""
    for match in _PHONE.finditer(text):
        found = match.group()
        digits = sum(char.isdigit() for char in found)
        if not 8 <= digits <= 15:
            continue
        count += 1
        first = first or f"{found[:3]}…{found[-2:]}"
        if count == CAP:
            break
    return count, first
