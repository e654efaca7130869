"""Digests: messages that wait for one become one message. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

from msgspec.structs import replace

from scq import clean
from scq.hours import Hours
from scq.model import Level, Notification
from scq.outbox import digest_due, over

ITEMS = 100
"""Messages named in a digest."""
LEVELS: tuple[Level, ...] = ("info", "warning", "error", "critical")
WHAT: Mapping[str, str] = {
    "baseline": "jobs wait",
    "job.received": "new job",
    "job.invalid": "job cannot be run",
    "job.approved": "job approved",
    "job.rejected": "job rejected",
    "job.expired": "approval expired",
    "job.started": "job started",
    "job.completed": "job completed",
    "job.failed": "job failed",
    "job.interrupted": "job interrupted",
    "job.integrity": "job content changed",
    "job.changed": "job content changed",
    "outputs.withheld": "results wait for your answer",
    "outputs.released": "results released",
    "results.withheld": "results withheld",
    "peer.requested": "peer request",
    "peer.request_seen": "peer request sent",
    "peer.granted": "peer request accepted",
    "peer.added": "peer added",
    "review.reminder": "jobs wait for review",
    "auth.failed": "sign-in needed",
    "auth.expiring": "sign-in expires soon",
    "channel.failed": "channel does not work",
    "source.stale": "source out of reach",
    "heartbeat": "still running",
}
"""How a digest names what happened."""


def bundled(outbox: Mapping[str, Notification], now: datetime, hours: Hours) -> dict[str, Notification]:
    """The outbox in which rows whose digest is due are one row for each recipient, channel and role.

    A row that would be alone in its digest is sent as it is.
    """
    groups: dict[tuple[str, str, str], list[Notification]] = {}
    for row in outbox.values():
        if digest_due(row, now, hours):
            groups.setdefault((row.recipient, row.channel, row.role), []).append(row)
    changed: dict[str, Notification] = {}
    for rows in groups.values():
        rows.sort(key=lambda row: (row.created_at, row.key))
        if len(rows) == 1:
            changed[rows[0].key] = replace(rows[0], in_digest=False, not_before=None)
        else:
            made = _digest(rows, now, hours)
            changed[made.key] = outbox.get(made.key, made)
            changed.update({row.key: over(row, "bundled", made.key, now) for row in rows})
    return {**outbox, **changed}


def _digest(rows: list[Notification], now: datetime, hours: Hours) -> Notification:
    """The row that stands for several, oldest first. Its key is made of theirs."""
    key = sha256("\0".join(("digest", *sorted(row.key for row in rows))).encode("utf-8")).hexdigest()
    items = [_item(row, hours) for row in rows[:ITEMS]]
    more = [f"and {len(rows) - ITEMS} more"] if len(rows) > ITEMS else []
    return replace(
        rows[0],
        key=key,
        kind="digest",
        job_id="",
        created_at=now,
        context={
            "at": now.isoformat(),
            "owner": rows[0].context.get("owner", ""),
            "count": str(len(rows)),
            "items": "\n".join([*items, *more]),
        },
        level=max((row.level for row in rows), key=LEVELS.index),
        state="queued",
        attempts=0,
        not_before=None,
        outcome="",
        in_digest=False,
        repeat=any(row.repeat for row in rows),
        ended_at=None,
    )


def _item(row: Notification, hours: Hours) -> str:
    at = row.created_at.astimezone(hours.zone).strftime("%Y-%m-%d %H:%M")
    words = row.context
    about = clean.line(words.get("name") or words.get("ds_email") or words.get("what", ""), 80)
    short_id = f" ({clean.line(words['short_id'])})" if "short_id" in words else ""
    return f"{at}  {WHAT.get(row.kind, clean.line(row.kind))}  {about}{short_id}".rstrip()
