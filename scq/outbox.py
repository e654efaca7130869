"""The life of one message after it was queued: due, sending, sent, tried again, told in a digest, given up. Pure.

`sending` is stored before a message is handed over and its outcome after it. A row found as `sending` at the start of a call
belongs to one that died in between: nobody knows whether it arrived, and what becomes of it is a setting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from scq.errors import FailureKind
from scq.hours import ANY_HOURS, DAY, HOUR, Hours, digest_at, full_hour, is_quiet
from scq.model import Notification, OutboxState

WAITS = (*(timedelta(minutes=minutes) for minutes in (1, 2, 4, 8, 15, 30, 60)),)
"""How long to wait after the first, second, … failed attempt; then hourly."""
GIVE_UP: Mapping[FailureKind, timedelta] = {"transient": 3 * DAY, "auth": 7 * DAY, "config": 7 * DAY}
"""Age at which a message that could not be sent is given up, by what was in its way. Never at the first attempt."""
LONGEST_WAIT = DAY
KEEP_FOR = timedelta(days=30)
KEEP_AT_MOST = 500
BULKY = frozenset({"run_sh", "error_output", "files", "waiting", "items"})
"""Long words of a message that are not kept once it is over."""
TO_SEND: frozenset[OutboxState] = frozenset({"queued", "deferred", "ambiguous"})
WAITING: frozenset[OutboxState] = TO_SEND | {"sending"}
"""States of messages that are not over."""
DIED = "the call that sent it died; nobody knows whether it arrived"


def queue(outbox: Mapping[str, Notification], rows: Iterable[Notification]) -> dict[str, Notification]:
    """The outbox with new rows, by key. A row that is there already stays as it is."""
    return {**{row.key: row for row in rows}, **outbox}


def recovered(outbox: Mapping[str, Notification]) -> dict[str, Notification]:
    """The outbox at the start of a call that sends: what another call was sending may have arrived or not."""
    return {key: replace(row, state="ambiguous", outcome=DIED) if row.state == "sending" else row for key, row in outbox.items()}


def due(outbox: Mapping[str, Notification], now: datetime, hours: Hours = ANY_HOURS) -> list[Notification]:
    """The rows to send now: those never tried first, each kind oldest first, so that one that kills the call stops no other.

    Rows of one save stay in the order of their events. In quiet hours only what is critical is due.
    """
    quiet = is_quiet(now, hours)
    rows = [
        row
        for row in outbox.values()
        if row.state in TO_SEND and not row.in_digest and _is_time(row, now) and (not quiet or row.level == "critical")
    ]
    return sorted(rows, key=lambda row: (row.attempts, row.created_at))


def held_back(
    outbox: Mapping[str, Notification], now: datetime, hours: Hours, max_per_hour: int, apart: Collection[str] = ()
) -> dict[str, Notification]:
    """The outbox in which due rows beyond `max_per_hour` of one recipient and channel wait for a digest at the next full hour.

    What is critical is counted by itself. A digest, and what was handed over before, is never held. `apart` are keys not to be
    touched.
    """
    counts: Counter[tuple[str, str, bool]] = Counter()
    for row in outbox.values():
        if row.state == "sent" and row.ended_at is not None and timedelta(0) <= now - row.ended_at < HOUR:
            counts[row.recipient, row.channel, row.level == "critical"] += 1
    changed: dict[str, Notification] = {}
    for row in due(outbox, now, hours):
        target = (row.recipient, row.channel, row.level == "critical")
        counts[target] += 1
        may_wait = row.kind != "digest" and row.state != "ambiguous" and row.key not in apart
        if may_wait and counts[target] > max_per_hour:
            changed[row.key] = replace(row, state="queued", in_digest=True, not_before=full_hour(now, hours))
    return {**outbox, **changed}


def digest_due(row: Notification, now: datetime, hours: Hours) -> bool:
    """True when the digest a row waits for is to be made now."""
    if not row.in_digest or row.state not in TO_SEND:
        return False
    at = row.not_before or digest_at(row.created_at, hours)
    # Further off than any digest can be: a clock has jumped back.
    return at <= now or at > now + 2 * DAY


def sending(row: Notification, now: datetime) -> Notification:
    """The row as it must be stored before it is handed over. The attempt counts even if nobody lives to tell its outcome."""
    return replace(row, state="sending", attempts=row.attempts + 1, not_before=now)


def again(row: Notification) -> Notification:
    """A row of which nobody knows whether it arrived, to be sent once more and marked as a possible repeat."""
    return replace(row, state="queued", repeat=True)


def sent(row: Notification, receipt: str, now: datetime) -> Notification:
    """The row after the channel took the message."""
    return over(row, "sent", receipt, now)


def over(row: Notification, state: OutboxState, outcome: str, now: datetime) -> Notification:
    """The row at its end. What is dead can be tried again by hand, so its words are kept, and that it may have arrived."""
    keep = state in ("dead", "dropped")
    context = row.context if keep else {name: word for name, word in row.context.items() if name not in BULKY}
    repeat = row.repeat or (keep and row.state == "ambiguous")
    return replace(row, state=state, not_before=None, outcome=outcome, context=context, repeat=repeat, ended_at=now)


def failed(row: Notification, now: datetime, problem: str, kind: FailureKind, retry_after: float | None = None) -> Notification:
    """The row after an attempt that failed: `deferred`, `dead` if nothing can help or it took too long, or `ambiguous`."""
    if kind == "permanent":
        return over(row, "dead", problem, now)
    if kind == "ambiguous":
        return replace(row, state="ambiguous", not_before=None, outcome=problem)
    if row.attempts > 1 and now - row.created_at >= GIVE_UP[kind]:
        return over(row, "dead", problem, now)
    wait = WAITS[min(max(row.attempts, 1), len(WAITS)) - 1] if kind == "transient" else HOUR
    # In this order, so that what is no number (NaN) is no wait.
    asked = timedelta(seconds=min(max(0.0, retry_after or 0.0), LONGEST_WAIT.total_seconds()))
    return replace(row, state="deferred", not_before=now + max(wait, asked), outcome=problem)


def awake(outbox: Mapping[str, Notification], channel: str) -> dict[str, Notification]:
    """The outbox in which what was tried over a channel in vain is due at once."""
    return {
        key: replace(row, not_before=None) if row.state == "deferred" and row.channel == channel else row
        for key, row in outbox.items()
    }


def anew(row: Notification, now: datetime) -> Notification:
    """A row that somebody wants to be tried at once, whatever became of it: waiting times begin again."""
    marked = row.repeat or row.state == "ambiguous"
    return replace(
        row,
        state="queued",
        created_at=now,
        attempts=0,
        not_before=None,
        outcome="",
        in_digest=False,
        repeat=marked,
        ended_at=None,
    )


def prune(outbox: Mapping[str, Notification], now: datetime) -> dict[str, Notification]:
    """The outbox without rows that ended more than 30 days ago, and with the 500 newest of the others at most.

    What still has to be sent is never pruned. What was given up is counted apart, so that no number of others hides it.
    """
    ended = [row for row in outbox.values() if row.state not in WAITING and now - _ended(row) <= KEEP_FOR]
    ended.sort(key=lambda row: (_ended(row), row.created_at, row.key))
    lost = [row.key for row in ended if row.state == "dead"]
    others = [row.key for row in ended if row.state != "dead"]
    kept = {*lost[-KEEP_AT_MOST:], *others[-KEEP_AT_MOST:]}
    return {key: row for key, row in outbox.items() if row.state in WAITING or key in kept}


def _ended(row: Notification) -> datetime:
    return row.ended_at or row.created_at


def _is_time(row: Notification, now: datetime) -> bool:
    """True when a row has waited long enough. A time further off than any wait was set by a clock that has jumped back."""
    return row.not_before is None or row.not_before <= now or row.not_before > now + LONGEST_WAIT
