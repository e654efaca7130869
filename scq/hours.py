"""Times of day that matter to messages: quiet hours, and when a digest is made. Pure: the time zone is an argument."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo

from msgspec import Struct

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Hours(Struct, frozen=True):
    """When somebody wants to hear of things. Times of day are `HH:MM` in `zone`; None is the zone of the machine."""

    zone: tzinfo | None = None
    quiet: str = ""
    """`HH:MM-HH:MM`, also over midnight; empty: never."""
    digest: str = "daily"
    """`hourly` or `daily`."""
    digest_at: str = "08:00"


ANY_HOURS = Hours()


def is_quiet(now: datetime, hours: Hours) -> bool:
    """True inside the quiet hours; their end does not belong to them."""
    if not hours.quiet:
        return False
    start, _, end = hours.quiet.partition("-")
    first, last, clock = _clock(start), _clock(end), now.astimezone(hours.zone).time()
    return first <= clock < last if first < last else clock >= first or clock < last


def digest_at(created_at: datetime, hours: Hours) -> datetime:
    """When the digest that tells of something is made: the first full hour, or time of the day, after it."""
    if hours.digest == "hourly":
        return full_hour(created_at, hours)
    local = created_at.astimezone(hours.zone)
    today = _at(local, hours)
    return today if today > created_at else _at(local + DAY, hours)


def full_hour(after: datetime, hours: Hours) -> datetime:
    """The next full hour of the clock on the wall."""
    local = after.astimezone(hours.zone)
    return after - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond) + HOUR


def _at(day: datetime, hours: Hours) -> datetime:
    """The time of the digest on the day of `day`, whatever the clocks were set to in between."""
    wall = datetime.combine(day.date(), _clock(hours.digest_at))
    # Without a zone, a naive time is one of the machine.
    return (wall if hours.zone is None else wall.replace(tzinfo=hours.zone)).astimezone(UTC)


def _clock(text: str) -> time:
    return time(int(text[:2]), int(text[3:5]))
