"""The geometry of the charts of a page: plain numbers that a template draws as SVG. Nothing in it is text from strangers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from scq.timeline import Story

WIDTH = 1_000
"""Units of every chart from left to right; it is stretched to the width it gets."""
HEIGHT = 40
GAP = 0.24
"""Share of its step that a bar leaves free."""
WIDEST = 24.0
"""Widest upright bar: where there are few of them they are no blocks."""
THINNEST = 3.0
"""Narrowest part of a track: a run of seconds in a year is still seen."""


class Bar(Struct, frozen=True):
    """A rectangle, and which of the values it stands for."""

    x: float
    y: float
    width: float
    height: float
    index: int


class Part(Struct, frozen=True):
    """A stretch of a track: `wait` until the decision, `queue` until the run, `run`, or the moment of the `release`."""

    kind: str
    x: float
    width: float


class Track(Struct, frozen=True):
    """One job between two moments."""

    story: Story
    parts: tuple[Part, ...]


def bars(values: Sequence[int], most: int) -> tuple[Bar, ...]:
    """One upright bar for each value that is not 0, all on one scale on which `most` fills the height."""
    step = WIDTH / max(1, len(values))
    width = min(WIDEST, step * (1 - GAP))
    return tuple(
        Bar(_round((index + 0.5) * step - width / 2), _round(HEIGHT - high), _round(width), _round(high), index)
        for index, value in enumerate(values)
        if value and (high := max(2.0, HEIGHT * value / most))
    )


def length(value: int, most: int) -> float:
    """How long a lying bar is."""
    return _round(WIDTH * value / most) if most else 0.0


def tracks(stories: Iterable[Story], now: datetime) -> tuple[tuple[Track, ...], datetime]:
    """Jobs on one scale of time from the first arrival among them, which is given back, to `now`."""
    chosen = tuple(stories)
    begin = min((one.submitted_at for one in chosen), default=now)
    whole = max(1.0, (now - begin).total_seconds())

    def place(moment: datetime) -> float:
        return min(float(WIDTH), max(0.0, WIDTH * (moment - begin).total_seconds() / whole))

    def part(kind: str, start: datetime, end: datetime) -> Part:
        width = max(THINNEST, place(end) - place(start))
        return Part(kind, _round(min(place(start), WIDTH - width)), _round(width))

    def track(one: Story) -> Track:
        decided = one.verdict.at if one.verdict is not None else None
        stays = [part("wait", one.submitted_at, decided or one.began_at or one.ended_at or now)]
        if decided is not None and one.began_at is None and one.status in ("approved", "running"):
            stays.append(part("queue", decided, now))
        elif decided is not None and one.began_at is not None and one.began_at > decided:
            stays.append(part("queue", decided, one.began_at))
        if one.began_at is not None:
            stays.append(part("run", one.began_at, one.ended_at or (now if one.status == "running" else one.began_at)))
        if one.results.outcome == "released" and one.results.at is not None:
            stays.append(part("release", one.results.at, one.results.at))
        return Track(one, tuple(stays))

    return tuple(map(track, chosen)), begin


def _round(value: float) -> float:
    return round(value, 1)
