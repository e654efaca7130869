"""Facts about a job that may be anything: they come from whatever made them, and a page has to show what it can of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from scq.clean import line
from scq.formats import parse_time
from scq.model import STATUSES, Whereabouts

PLACES: tuple[Literal["waiting", "running", "ending", "unknown"], ...] = ("waiting", "running", "ending", "unknown")
ITEMS = 20
"""The most that is shown of anything there can be many of."""
NAME, TEXT = 120, 400
"""Characters that are shown of a name, and of a sentence."""


class Seen:
    """Facts that may be missing or of any type, asked for as what docs/json.md says they are. False when there are none."""

    def __init__(self, facts: object) -> None:
        self._facts = facts if isinstance(facts, Mapping) else {}

    def text(self, name: str) -> str:
        """A text as it is; empty when there is none."""
        found = self._facts.get(name)
        return found if isinstance(found, str) else ""

    def line(self, name: str, limit: int = TEXT) -> str:
        """A text as one clean line."""
        return line(self.text(name), limit)

    def lines(self, name: str) -> list[str]:
        """The first texts of a list as clean lines; how many were left out is the last."""
        found = self._list(name)
        more = len(found) - ITEMS
        texts = [line(item, TEXT) for item in found[:ITEMS] if isinstance(item, str)]
        return [text for text in texts if text] + ([f"and {more} more"] if more > 0 else [])

    def parts(self, name: str) -> list[Seen]:
        """The first facts of a list of facts."""
        return [Seen(item) for item in self._list(name)[:ITEMS]]

    def part(self, name: str) -> Seen:
        """Facts within these; empty ones when there are none."""
        return Seen(self._facts.get(name))

    def number(self, name: str) -> float | None:
        """A number that people can read."""
        found = self._facts.get(name)
        usable = isinstance(found, int | float) and not isinstance(found, bool) and abs(found) < 1e18
        return found if usable else None

    def is_set(self, name: str) -> bool:
        """True for what is true, and for nothing else."""
        return self._facts.get(name) is True

    def time(self, name: str) -> datetime | None:
        """A time, aware."""
        return parse_time(self.text(name)[:TEXT])

    def _list(self, name: str) -> Sequence[Any]:
        found = self._facts.get(name)
        return found if isinstance(found, list | tuple) else ()

    def __bool__(self) -> bool:
        return bool(self._facts)

    @property
    def status(self) -> str:
        """One of `STATUSES`, else `unknown`."""
        found = self.text("status")
        return found if found in STATUSES else "unknown"

    @property
    def place(self) -> Whereabouts | None:
        """Where the run of a job object is on a cluster; None where that is not said in words that are known."""
        found = self.part("place")
        state = next((state for state in PLACES if state == found.text("state")), None)
        if state is None:
            return None
        position = found.number("position")
        return Whereabouts(
            state,
            **{name: found.text(name) for name in ("id", "partition", "node", "why")},
            position=None if position is None else int(position),
            starts_at=found.time("starts_at"),
            since=found.time("since"),
        )

    @property
    def read(self) -> str:
        """Whether its owner read here what it is now: `read`, `changed` or `unread`."""
        digest, reviewed = self.text("digest"), self.text("reviewed")
        if not reviewed:
            return "unread"
        return "read" if reviewed == digest else "changed"
