"""The filters of templates: times, durations and wrapped text, always in English whatever the machine speaks."""

from __future__ import annotations

from datetime import datetime, tzinfo

WIDTH = 76
"""Columns of plain text."""
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def datetime_text(value: object, zone: tzinfo | None = None) -> str:
    """The `datetime` filter: `January 15, 2024 at 03:30 PM`, aware times in `zone` (None: local); a string stays as it is."""
    if not isinstance(value, datetime):
        return "unknown" if value is None else str(value)
    local = value if value.tzinfo is None else value.astimezone(zone)
    hour = local.hour % 12 or 12
    half = "PM" if local.hour >= 12 else "AM"
    return f"{MONTHS[local.month - 1]} {local.day:02d}, {local.year} at {hour:02d}:{local.minute:02d} {half}"


def datetime_tz_text(value: object, zone: tzinfo | None = None) -> str:
    """The `datetime_tz` filter: as `datetime`, followed by the abbreviation of the time zone when there is one."""
    name = value.astimezone(zone).tzname() if isinstance(value, datetime) and value.tzinfo is not None else None
    return f"{datetime_text(value, zone)} {name}" if name else datetime_text(value, zone)


def duration_text(value: object) -> str:
    """The `duration` filter: seconds as `2 hours 15 minutes 30 seconds`; no days, nothing negative; a string stays."""
    if isinstance(value, str):
        return value
    if not isinstance(value, int | float) or value != value or value in (float("inf"), float("-inf")):
        return "unknown"
    minutes, seconds = divmod(max(0, int(value)), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [_count(hours, "hour"), _count(minutes, "minute"), _count(seconds, "second")]
    return " ".join(part for part in parts if part) or "0 seconds"


def _count(number: int, unit: str) -> str:
    if number == 0:
        return ""
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def wrap_text(value: object, indent: int = 0) -> str:
    """The `wrap` filter: lines of at most 76 columns, all but the first indented; words longer than that stay whole."""
    from textwrap import wrap

    space = " " * indent
    rows = [wrap(row, WIDTH - indent, break_long_words=False, break_on_hyphens=False) or [""] for row in str(value).split("\n")]
    return f"\n{space}".join(line for row in rows for line in row)
