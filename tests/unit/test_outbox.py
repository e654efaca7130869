"""A message is sent until it is sent, and given up only openly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from scq import outbox
from scq.model import Notification

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)


def row(**changes: Any) -> Notification:
    made = Notification("k", "1-0", "job.completed", "id", "mailbox", "a@b.org", "do", NOW, {"name": "n", "run_sh": "long"})
    return replace(made, **changes)


def box(*rows: Notification) -> dict[str, Notification]:
    return {item.key: item for item in rows}


def test_a_queued_row_is_due_at_once() -> None:
    assert outbox.due(box(row()), NOW) == [row()]


def test_a_row_left_as_sending_by_a_call_that_died_is_due_again() -> None:
    left = outbox.sending(row(), NOW)
    assert left.state == "sending"
    assert left.attempts == 1
    assert outbox.due(box(left), NOW) == [left]


@pytest.mark.parametrize("state", ["sent", "failed", "dropped"])
def test_a_row_that_ended_is_never_due(state: Any) -> None:
    assert outbox.due(box(row(state=state)), NOW + timedelta(days=999)) == []


def test_a_row_is_not_due_before_its_time() -> None:
    later = row(not_before=NOW + timedelta(hours=1))
    assert outbox.due(box(later), NOW) == []
    assert outbox.due(box(later), NOW + timedelta(hours=1)) == [later]


def test_a_row_postponed_by_a_clock_that_was_wrong_is_due() -> None:
    assert outbox.due(box(row(not_before=NOW + timedelta(days=3_000))), NOW) != []


def test_due_rows_come_oldest_first_and_rows_of_one_save_in_the_order_of_their_events() -> None:
    rows = [row(key="b"), row(key="a"), row(key="c", created_at=NOW - timedelta(seconds=1))]
    assert [item.key for item in outbox.due(box(*rows), NOW)] == ["c", "b", "a"]


def test_rows_that_were_tried_already_come_last() -> None:
    rows = [row(key="tried", attempts=1, created_at=NOW - timedelta(days=1)), row(key="fresh")]
    assert [item.key for item in outbox.due(box(*rows), NOW)] == ["fresh", "tried"]


def test_a_sent_row_keeps_its_receipt_and_not_its_long_words() -> None:
    done = outbox.sent(outbox.sending(row(not_before=NOW), NOW), "new/k")
    assert (done.state, done.outcome, done.not_before, done.context) == ("sent", "new/k", None, {"name": "n"})


def test_a_failed_attempt_waits_longer_each_time_and_the_last_one_drops_the_row() -> None:
    now, current, waits = NOW, row(), []
    while True:
        current = outbox.failed(outbox.sending(current, now), now, "refused", permanent=False)
        if current.state != "queued":
            break
        assert current.not_before is not None
        assert outbox.due(box(current), current.not_before - timedelta(seconds=1)) == []
        waits.append(current.not_before - now)
        now = current.not_before
    assert [wait.total_seconds() / 60 for wait in waits] == [1, 5, 30, 120, 360, *[1440] * 7]
    assert (current.state, current.outcome, current.not_before) == ("dropped", "refused", None)


def test_a_permanent_failure_is_not_tried_again() -> None:
    over = outbox.failed(outbox.sending(row(), NOW), NOW, "no such address", permanent=True)
    assert (over.state, over.outcome, over.not_before) == ("failed", "no such address", None)


def test_a_failure_without_a_recorded_attempt_waits_the_shortest_time() -> None:
    assert outbox.failed(row(), NOW, "x", permanent=False).not_before == NOW + timedelta(minutes=1)


def test_a_row_that_is_there_already_is_not_queued_again() -> None:
    done = row(state="sent")
    after = outbox.queue(box(done), [row(), row(key="new")])
    assert after == box(done, row(key="new"))


@pytest.mark.parametrize("state", ["sent", "failed", "dropped"])
def test_rows_that_ended_long_ago_are_pruned(state: Any) -> None:
    old = row(key="old", state=state, created_at=NOW - timedelta(days=31))
    young = row(key="young", state=state, created_at=NOW - timedelta(days=29))
    assert outbox.prune(box(old, young), NOW) == box(young)


@pytest.mark.parametrize("state", ["queued", "sending"])
def test_what_still_has_to_be_sent_is_never_pruned(state: Any) -> None:
    old = box(row(state=state, created_at=NOW - timedelta(days=999)))
    assert outbox.prune(old, NOW) == old


def test_of_too_many_ended_rows_the_newest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "KEEP_AT_MOST", 2)
    rows = [row(key=str(n), state="sent", created_at=NOW - timedelta(minutes=n)) for n in range(4)]
    assert list(outbox.prune(box(*rows, row(key="q")), NOW)) == ["0", "1", "q"]
