"""What of scq's own does not work, for as long as it does not: remembered, told, forgotten when it works again. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from scq.hours import DAY
from scq.model import Event, Trouble

SIGN_IN = "Run: scq auth google --send"
"""What to do about a sign-in for Gmail that is missing, dead or about to end."""


class Setback(Struct, frozen=True):
    """A channel that failed in a way that concerns more than one message. `kind` is the event that tells of it."""

    channel: str
    kind: str
    what: str
    advice: str = ""

    @property
    def name(self) -> str:
        return f"channel {self.channel}"


def worked(troubles: Mapping[str, Trouble], channel: str) -> dict[str, Trouble]:
    """The troubles after a channel took a message."""
    return {name: trouble for name, trouble in troubles.items() if name != f"channel {channel}"}


def of_channels(troubles: Mapping[str, Trouble], names: Collection[str]) -> dict[str, Trouble]:
    """The troubles without those of channels that are gone."""
    return {
        name: trouble
        for name, trouble in troubles.items()
        if not name.startswith("channel ") or name.removeprefix("channel ") in names
    }


def failed(troubles: Mapping[str, Trouble], setback: Setback, now: datetime) -> dict[str, Trouble]:
    """The troubles after a setback: since when and when it was told stay as they were."""
    return expiring(troubles, setback.name, setback.what, setback.advice, now)


def seen(troubles: Mapping[str, Trouble], name: str, ok: bool, now: datetime) -> dict[str, Trouble]:
    """The troubles after a look at a source, by the name of its trouble such as `source syftbox`."""
    if ok:
        return {other: trouble for other, trouble in troubles.items() if other != name}
    return {name: Trouble("cannot be read", now, "Check that it is there and may be read."), **troubles}


def expiring(troubles: Mapping[str, Trouble], name: str, what: str, advice: str, now: datetime) -> dict[str, Trouble]:
    """The troubles with something that still works and will not for long."""
    known = troubles.get(name) or Trouble(what, now)
    return {**troubles, name: replace(known, what=what, advice=advice)}


def is_to_tell(trouble: Trouble, now: datetime) -> bool:
    """True at most once a day. A time in the future was set by a clock that has jumped back."""
    return trouble.told_at is None or not timedelta(0) <= now - trouble.told_at < DAY


def is_stale(trouble: Trouble, now: datetime, after_s: float) -> bool:
    """True once for a source that has been out of reach for long; also where a clock that has jumped back says when it began."""
    return trouble.told_at is None and not 0 <= (now - trouble.since).total_seconds() < after_s


def event(kind: str, name: str, trouble: Trouble, number: str, now: datetime) -> Event:
    """The event that tells of a trouble; `number` is its id."""
    return Event(id=number, kind=kind, ref=name, job_id="", at=now, detail=f"{trouble.what}\n{trouble.advice}")


def told(troubles: Mapping[str, Trouble], name: str, now: datetime) -> dict[str, Trouble]:
    """The troubles after somebody was told of one."""
    return {**troubles, name: replace(troubles[name], told_at=now)}
