"""Lines of at most 80 columns for a terminal: aligned groups of facts, each with its state in one word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from msgspec import Struct

from scq.showing import seconds

Mark = Callable[[str, str], str]
"""Shows a text by what it means: `good`, `note`, `bad`, `head`, `dim`."""
WIDTH = 80
LABEL = 10
STATE = 4
GOOD, NOTED = ("ok", "active", "running"), ("late", "low", "ends", "none", "stopped", "changed", "unknown")
"""States that are no failure."""
UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


class Row(Struct, frozen=True):
    """One line of the screen: the group it belongs to, what it is about, its state in one word, and the rest."""

    label: str
    name: str = ""
    word: str = ""
    text: str = ""


def plain(meaning: str, text: str) -> str:
    return text


def table(rows: list[Row], mark: Mark) -> Iterator[str]:
    """The rows with aligned columns; a group is named once, and what is too long goes on in the next line."""
    before = ""
    for row in rows:
        group = [other for other in rows if other.label == row.label]
        name = _cell(row.name, max(len(other.name) for other in group))
        word = _cell(row.word, STATE if any(other.word for other in group) else 0)
        label = ("" if row.label == before else row.label).ljust(LABEL)
        before = row.label
        indent = len(label) + len(word) + len(name)
        first, *rest = wrapped(" " * indent, row.text)
        shown = mark(_meaning(row.word), row.word) + word[len(row.word) :] if row.word else word
        yield (mark("head", label) + shown + name + first[indent:]).rstrip()
        yield from rest


def _cell(text: str, width: int) -> str:
    return f"{text.ljust(width)}  " if width else ""


def _meaning(word: str) -> str:
    return "good" if word in GOOD else "note" if word in NOTED else "bad"


def wrapped(indent: str, text: str) -> list[str]:
    """Text cut at blanks into lines of at most `WIDTH` columns; what follows the first is indented alike."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append((indent if not lines else " " * len(indent)) + word)
    return lines


def count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def ago_words(value: float) -> str:
    """A duration in its largest unit, rounded down: `2 hours`, `1 day`."""
    for unit_s, unit in UNITS:
        if value >= unit_s:
            return count(int(value // unit_s), unit, f"{unit}s")
    return "less than a second"


def ago(moment: datetime, now: datetime) -> str:
    waited = (now - moment) / timedelta(seconds=1)
    return "just now" if waited < 1 else f"{ago_words(waited)} ago"


def lasting(since: datetime, now: datetime) -> str:
    return f"for {seconds(max(0.0, (now - since).total_seconds()))}"


def interval(every: float) -> str:
    """How often: `30 s`, `5 min`, `1 h`."""
    whole = int(every)
    if whole >= 3_600 and whole % 3_600 == 0:
        return f"{whole // 3_600} h"
    return f"{whole // 60} min" if whole >= 60 and whole % 60 == 0 else f"{every:g} s"
