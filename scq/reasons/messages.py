"""What became of the messages about a job."""

from __future__ import annotations

from collections.abc import Iterable

from scq.clean import line
from scq.model import Notification
from scq.reasons.facts import Facts
from scq.showing import when


def tidings(rows: Iterable[Notification], facts: Facts) -> tuple[str, ...]:
    """What became of each message about a job, oldest first, one sentence each."""
    return tuple(_tiding(row, facts) for row in sorted(rows, key=lambda row: (row.created_at, row.key)))


def _tiding(row: Notification, facts: Facts) -> str:
    what = f"{row.kind} to {line(row.recipient)} ({line(row.channel)})"
    why = f": {line(row.outcome, 200)}" if row.outcome else ""
    if row.state == "sent":
        return f"{what}: sent on {when(row.ended_at)}."
    if row.state == "bundled":
        return f"{what}: told in a digest on {when(row.ended_at)}."
    if row.state == "dead":
        return f"{what}: given up on {when(row.ended_at)}{why}. To try again: scq outbox retry {line(row.key, 80)}"
    if row.state == "dropped":
        return f"{what}: dropped by hand on {when(row.ended_at)}."
    if row.in_digest:
        return f"{what}: waits for the next digest."
    if row.state == "ambiguous":
        return f"{what}: nobody knows whether it arrived{why}."
    if row.state == "deferred":
        again = f"tried again at {when(row.not_before)}" if row.not_before else "tried again by the next call"
        return f"{what}: failed {row.attempts} time{'' if row.attempts == 1 else 's'}{why}; {again}."
    if facts.quiet and row.level != "critical":
        return f"{what}: waits for the end of the quiet hours."
    return f"{what}: waits for the next scq notify or cycle."
