"""The life of one message after it was queued: due, sending, sent, tried again, given up. Pure.

`sending` is stored before a message is handed over and its outcome after it. A row found as `sending` belongs to a call that
died in between: it is due again, under the same key, by which a channel recognises a message it already has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from scq.model import Notification

DAY = timedelta(days=1)
WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=6), *[DAY] * 7)
"""How long to wait after the first, second, … failed attempt. After the last one the message is dropped."""
KEEP_FOR = timedelta(days=30)
KEEP_AT_MOST = 500
BULKY = frozenset({"run_sh", "error_output", "files", "waiting"})
"""Long words of a message that are not kept once it is sent."""
WAITING = frozenset({"queued", "sending"})


def queue(outbox: Mapping[str, Notification], rows: Iterable[Notification]) -> dict[str, Notification]:
    """The outbox with new rows, by key. A row that is there already stays as it is."""
    return {**{row.key: row for row in rows}, **outbox}


def due(outbox: Mapping[str, Notification], now: datetime) -> list[Notification]:
    """The rows to send now: those never tried first, each kind oldest first, so that one that kills the call stops no other.

    Rows of one save stay in the order of their events.
    """
    rows = [row for row in outbox.values() if row.state in WAITING and _is_time(row, now)]
    return sorted(rows, key=lambda row: (row.attempts, row.created_at))


def sending(row: Notification, now: datetime) -> Notification:
    """The row as it must be stored before it is handed over. The attempt counts even if nobody lives to tell its outcome."""
    return replace(row, state="sending", attempts=row.attempts + 1, not_before=now)


def sent(row: Notification, receipt: str) -> Notification:
    """The row after the channel took the message."""
    context = {name: word for name, word in row.context.items() if name not in BULKY}
    return replace(row, state="sent", not_before=None, outcome=receipt, context=context)


def failed(row: Notification, now: datetime, problem: str, permanent: bool) -> Notification:
    """The row after an attempt that failed: queued again for later, `failed` if that cannot help, `dropped` after the last."""
    if permanent:
        return replace(row, state="failed", not_before=None, outcome=problem)
    if row.attempts > len(WAITS):
        return replace(row, state="dropped", not_before=None, outcome=problem)
    wait = WAITS[max(row.attempts, 1) - 1]
    return replace(row, state="queued", not_before=now + wait, outcome=problem)


def prune(outbox: Mapping[str, Notification], now: datetime) -> dict[str, Notification]:
    """The outbox without rows that ended more than 30 days ago, and with the 500 newest of the others at most.

    What still has to be sent is never pruned.
    """
    ended = [row for row in outbox.values() if row.state not in WAITING and now - row.created_at <= KEEP_FOR]
    ended.sort(key=lambda row: (row.created_at, row.key))
    kept = {row.key for row in ended[-KEEP_AT_MOST:]}
    return {key: row for key, row in outbox.items() if row.state in WAITING or key in kept}


def _is_time(row: Notification, now: datetime) -> bool:
    """True when a row has waited long enough. A time further off than any wait was set by a clock that has jumped back."""
    return row.not_before is None or row.not_before <= now or row.not_before > now + DAY
