"""A message is sent until it is sent, and given up only openly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from scq import outbox
from scq.digests import ITEMS, bundled
from scq.hours import Hours, digest_at, full_hour, is_quiet
from scq.model import Notification

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
HOURLY = Hours(UTC, digest="hourly")
BERLIN = ZoneInfo("Europe/Berlin")


def row(**changes: Any) -> Notification:
    made = Notification("k", "1-0", "job.completed", "id", "mailbox", "a@b.org", "do", NOW, {"name": "n", "run_sh": "long"})
    return replace(made, **changes)


def box(*rows: Notification) -> dict[str, Notification]:
    return {item.key: item for item in rows}


def test_a_queued_row_is_due_at_once() -> None:
    assert outbox.due(box(row()), NOW) == [row()]


def test_of_a_row_left_as_sending_nobody_knows_whether_it_arrived() -> None:
    left = outbox.sending(row(), NOW)
    assert (left.state, left.attempts) == ("sending", 1)
    assert outbox.due(box(left), NOW) == []
    (found,) = (outbox.recovered(box(left, row(key="other", state="sent"))).values(),)
    assert [item.state for item in found] == ["ambiguous", "sent"]
    unclear = outbox.recovered(box(left))
    assert outbox.due(unclear, NOW) == list(unclear.values())
    assert (outbox.again(unclear["k"]).state, outbox.again(unclear["k"]).repeat) == ("queued", True)


@pytest.mark.parametrize("state", ["sent", "bundled", "dead", "dropped"])
def test_a_row_that_ended_is_never_due(state: Any) -> None:
    assert outbox.due(box(row(state=state)), NOW + timedelta(days=999)) == []


def test_a_row_is_not_due_before_its_time() -> None:
    later = row(state="deferred", not_before=NOW + timedelta(hours=1))
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
    done = outbox.sent(outbox.sending(row(not_before=NOW), NOW), "new/k", NOW)
    assert (done.state, done.outcome, done.not_before, done.context) == ("sent", "new/k", None, {"name": "n"})
    assert done.ended_at == NOW


def test_a_row_that_was_given_up_keeps_what_its_message_needs() -> None:
    assert outbox.over(row(), "dead", "no", NOW).context == row().context


def attempts(kind: Any, retry_after: float | None = None, most: int = 400) -> tuple[list[timedelta], Notification, datetime]:
    """The waits between attempts that all fail, the row in the end, and when that was."""
    now, current, waits = NOW, row(), []
    for _ in range(most):
        current = outbox.failed(outbox.sending(current, now), now, "refused", kind, retry_after)
        if current.state != "deferred":
            break
        assert current.not_before is not None
        assert outbox.due(box(current), current.not_before - timedelta(seconds=1)) == []
        waits.append(current.not_before - now)
        now = current.not_before
    return waits, current, now


def test_a_failed_attempt_waits_longer_each_time_then_an_hour_and_is_given_up_after_three_days() -> None:
    waits, last, now = attempts("transient")
    assert [wait.total_seconds() / 60 for wait in waits[:9]] == [1, 2, 4, 8, 15, 30, 60, 60, 60]
    assert (last.state, last.outcome, last.not_before, last.ended_at) == ("dead", "refused", None, now)
    assert timedelta(days=3) <= now - NOW < timedelta(days=3, hours=1)


@pytest.mark.parametrize("kind", ["auth", "config"])
def test_what_a_person_has_to_mend_is_tried_hourly_for_a_week(kind: str) -> None:
    waits, last, now = attempts(kind)
    assert set(waits) == {timedelta(hours=1)}
    assert last.state == "dead"
    assert timedelta(days=7) <= now - NOW < timedelta(days=7, hours=2)


def test_the_first_attempt_is_never_the_last() -> None:
    late = NOW + timedelta(days=30)
    assert outbox.failed(outbox.sending(row(), late), late, "x", "transient").state == "deferred"


def test_a_service_that_asks_to_wait_is_obeyed_within_a_day() -> None:
    def wait(asked: float | None) -> timedelta:
        after = outbox.failed(outbox.sending(row(), NOW), NOW, "x", "transient", asked)
        assert after.not_before is not None
        return after.not_before - NOW

    assert wait(3_600) == timedelta(hours=1)
    assert wait(5) == wait(None) == wait(-1e9) == timedelta(minutes=1)
    assert wait(1e12) == timedelta(days=1)
    assert wait(float("inf")) == timedelta(days=1)


def test_a_permanent_failure_is_not_tried_again() -> None:
    gone = outbox.failed(outbox.sending(row(), NOW), NOW, "no such address", "permanent")
    assert (gone.state, gone.outcome, gone.not_before, gone.ended_at) == ("dead", "no such address", None, NOW)


def test_a_connection_that_broke_after_everything_was_handed_over_leaves_it_open() -> None:
    unclear = outbox.failed(outbox.sending(row(), NOW), NOW, "broke off", "ambiguous")
    assert (unclear.state, unclear.outcome, unclear.not_before) == ("ambiguous", "broke off", None)


def test_a_failure_without_a_recorded_attempt_waits_the_shortest_time() -> None:
    assert outbox.failed(row(), NOW, "x", "transient").not_before == NOW + timedelta(minutes=1)


def test_trying_again_by_hand_begins_anew() -> None:
    late = NOW + timedelta(days=9)
    dead = row(state="dead", attempts=80, outcome="x", ended_at=NOW, in_digest=True)
    assert outbox.anew(dead, late) == row(created_at=late)
    assert outbox.anew(row(state="ambiguous"), late).repeat
    assert outbox.failed(outbox.sending(outbox.anew(dead, late), late), late, "x", "transient").state == "deferred"


def test_a_row_that_is_there_already_is_not_queued_again() -> None:
    done = row(state="sent")
    assert outbox.queue(box(done), [row(), row(key="new")]) == box(done, row(key="new"))


ENDED = ["sent", "bundled", "dead", "dropped"]


@pytest.mark.parametrize("state", ENDED)
def test_rows_that_ended_long_ago_are_pruned(state: Any) -> None:
    old = row(key="old", state=state, created_at=NOW - timedelta(days=31))
    young = row(key="young", state=state, created_at=NOW - timedelta(days=29))
    late = row(key="late", state=state, created_at=NOW - timedelta(days=99), ended_at=NOW)
    assert outbox.prune(box(old, young, late), NOW) == box(young, late)


@pytest.mark.parametrize("state", ["queued", "sending", "deferred", "ambiguous"])
def test_what_still_has_to_be_sent_is_never_pruned(state: Any) -> None:
    old = box(row(state=state, created_at=NOW - timedelta(days=999)))
    assert outbox.prune(old, NOW) == old


def test_of_too_many_ended_rows_the_newest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "KEEP_AT_MOST", 2)
    rows = [row(key=str(n), state="sent", created_at=NOW - timedelta(minutes=n)) for n in range(4)]
    assert list(outbox.prune(box(*rows, row(key="q")), NOW)) == ["0", "1", "q"]


# quiet hours and times of digests


@pytest.mark.parametrize(
    ("quiet", "clock", "expected"),
    [
        ("", "03:00", False),
        *(("22:00-07:00", clock, True) for clock in ("22:00", "23:59", "00:00", "06:59")),
        *(("22:00-07:00", clock, False) for clock in ("21:59", "07:00", "12:00")),
        *(
            ("12:00-13:30", clock, quiet)
            for clock, quiet in (("11:59", False), ("12:00", True), ("13:29", True), ("13:30", False))
        ),
    ],
)
def test_quiet_hours_may_go_over_midnight(quiet: str, clock: str, expected: bool) -> None:
    now = NOW.replace(hour=int(clock[:2]), minute=int(clock[3:]))
    assert is_quiet(now, Hours(UTC, quiet)) is expected


def test_quiet_hours_are_those_of_the_time_zone() -> None:
    assert is_quiet(NOW.replace(hour=21, minute=30), Hours(BERLIN, "22:00-07:00"))
    assert not is_quiet(NOW.replace(hour=21, minute=30), Hours(UTC, "22:00-07:00"))


def test_in_quiet_hours_only_what_is_critical_is_due() -> None:
    rows = box(row(), row(key="c", level="critical"), row(key="e", level="error"))
    quiet = Hours(UTC, "10:00-11:00")
    assert [item.key for item in outbox.due(rows, NOW, quiet)] == ["c"]
    assert len(outbox.due(rows, NOW + timedelta(minutes=30), quiet)) == 3


@pytest.mark.parametrize(
    ("created", "zone", "expected"),
    [
        ("2026-03-02T07:59:59", UTC, "2026-03-02T08:00:00"),
        ("2026-03-02T08:00:00", UTC, "2026-03-03T08:00:00"),
        ("2026-03-02T10:30:00", BERLIN, "2026-03-03T07:00:00"),
        ("2026-03-28T10:30:00", BERLIN, "2026-03-29T06:00:00"),
        ("2026-10-24T10:30:00", BERLIN, "2026-10-25T07:00:00"),
    ],
)
def test_a_daily_digest_comes_at_its_time_on_the_wall(created: str, zone: tzinfo, expected: str) -> None:
    made = digest_at(datetime.fromisoformat(created).replace(tzinfo=UTC), Hours(zone, digest_at="08:00"))
    assert made.isoformat() == f"{expected}+00:00"


def test_an_hourly_digest_comes_at_the_full_hour() -> None:
    assert digest_at(NOW, HOURLY) == NOW.replace(hour=11, minute=0)
    assert full_hour(NOW, Hours(ZoneInfo("Asia/Kolkata"))) == NOW.replace(minute=30, hour=11), "16:00 there to 17:00"
    assert full_hour(NOW.replace(minute=0), HOURLY) == NOW.replace(hour=11, minute=0)


def test_without_a_time_zone_it_is_the_one_of_the_machine() -> None:
    at = digest_at(NOW, Hours())
    assert timedelta(0) < at - NOW <= timedelta(days=1, hours=1)
    assert at.astimezone().strftime("%H:%M") == "08:00"


# digests

ELEVEN = NOW.replace(hour=11, minute=0)


def held(key: str, **changes: Any) -> Notification:
    return row(key=key, in_digest=True, **changes)


def test_rows_wait_for_their_digest_and_become_one() -> None:
    words = {"name": "survey\x1b[2J", "short_id": "01234567", "owner": "o@b.org"}
    rows = box(
        held("a", context=words), held("b", kind="job.failed", level="error", created_at=NOW - timedelta(minutes=1)), row(key="c")
    )
    assert bundled(rows, ELEVEN - timedelta(seconds=1), HOURLY) == rows
    after = bundled(rows, ELEVEN, HOURLY)
    (made,) = (item for item in after.values() if item.kind == "digest")
    assert (made.state, made.level, made.recipient, made.channel, made.role, made.job_id) == (
        *("queued", "error", "a@b.org", "mailbox", "do"),
        "",
    )
    assert made.context["count"] == "2"
    assert made.context["items"].splitlines() == [
        "2026-03-02 10:29  job failed  n",
        "2026-03-02 10:30  job completed  survey\ufffd[2J (01234567)",
    ]
    assert [(after[key].state, after[key].outcome, after[key].ended_at) for key in "ab"] == [("bundled", made.key, ELEVEN)] * 2
    assert after["c"] == row(key="c")
    assert outbox.due(after, ELEVEN) == [row(key="c"), made]
    assert bundled(after, ELEVEN, HOURLY) == after


def test_a_digest_has_the_same_key_whenever_it_is_made_of_the_same_rows() -> None:
    rows = box(held("a"), held("b"))
    first, later = (bundled(rows, at, HOURLY).keys() for at in (ELEVEN, ELEVEN + timedelta(days=9)))
    assert first == later
    (made,) = first - rows.keys()
    known = {**rows, made: row(key=made, kind="digest", state="sent")}
    assert bundled(known, ELEVEN, HOURLY)[made].state == "sent"


def test_a_row_alone_in_its_digest_is_sent_as_it_is() -> None:
    after = bundled(box(held("a", not_before=ELEVEN), held("b", recipient="c@d.org")), ELEVEN, HOURLY)
    assert after == box(row(key="a"), row(key="b", recipient="c@d.org"))


@pytest.mark.parametrize("other", [{"recipient": "c@d.org"}, {"channel": "relay"}, {"role": "ds"}])
def test_each_recipient_channel_and_role_has_a_digest_of_its_own(other: dict[str, Any]) -> None:
    after = bundled(box(*(held(key, **(other if key > "b" else {})) for key in "abcd")), ELEVEN, HOURLY)
    assert sorted(item.context["count"] for item in after.values() if item.kind == "digest") == ["2", "2"]


def test_a_long_digest_is_cut_and_says_so() -> None:
    after = bundled(box(*(held(f"{n:03}") for n in range(ITEMS + 7))), ELEVEN, HOURLY)
    (made,) = (item for item in after.values() if item.kind == "digest")
    assert made.context["count"] == str(ITEMS + 7)
    assert made.context["items"].splitlines()[ITEMS:] == ["and 7 more"]


def test_a_digest_put_far_off_by_a_clock_that_was_wrong_is_made_now() -> None:
    rows = box(held("a", created_at=NOW + timedelta(days=3_000)), held("b", created_at=NOW + timedelta(days=3_000)))
    assert len(bundled(rows, NOW, HOURLY)) == 3


# limits


def test_what_is_too_much_for_an_hour_waits_for_a_digest_at_the_full_hour() -> None:
    rows = box(*(row(key=f"{n}") for n in range(5)), row(key="else", recipient="c@d.org"))
    after = outbox.held_back(rows, NOW, HOURLY, 3)
    assert [key for key, item in after.items() if item.in_digest] == ["3", "4"]
    assert {after[key].not_before for key in "34"} == {ELEVEN}
    assert len(outbox.due(after, NOW)) == 4
    assert outbox.held_back(after, NOW, HOURLY, 3) == after


def test_what_was_sent_in_the_last_hour_counts() -> None:
    sent = [row(key=f"s{n}", state="sent", ended_at=NOW - timedelta(minutes=59)) for n in range(3)]
    old = [row(key=f"o{n}", state="sent", ended_at=NOW - timedelta(minutes=60)) for n in range(3)]
    assert outbox.held_back(box(*sent, row()), NOW, HOURLY, 3)["k"].in_digest
    assert not outbox.held_back(box(*old, row()), NOW, HOURLY, 3)["k"].in_digest


@pytest.mark.parametrize("special", [{"level": "critical"}, {"kind": "digest"}, {"state": "ambiguous"}])
def test_what_must_not_wait_is_never_held_back(special: dict[str, Any]) -> None:
    rows = box(row(key="a"), row(key="b", **special))
    assert outbox.held_back(rows, NOW, HOURLY, 1) == rows
    assert outbox.held_back(box(row(key="a"), row(key="b")), NOW, HOURLY, 1, apart=["b"])["b"].in_digest is False


# what must stay known


@pytest.mark.parametrize("state", ["dead", "dropped"])
def test_what_may_have_arrived_is_still_marked_when_it_was_given_up_and_is_tried_again_by_hand(state: Any) -> None:
    given_up = outbox.over(row(state="ambiguous"), state, "not sent again", NOW)
    assert outbox.anew(given_up, NOW).repeat
    assert not outbox.anew(outbox.over(row(), state, "never tried", NOW), NOW).repeat


def test_a_digest_of_a_row_that_may_have_arrived_says_so() -> None:
    rows = box(held("a", repeat=True), held("b"))
    (digest,) = [item for item in bundled(rows, NOW + timedelta(days=1), HOURLY).values() if item.kind == "digest"]
    assert digest.repeat


def test_a_message_that_was_given_up_is_not_hidden_by_many_that_were_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "KEEP_AT_MOST", 2)
    lost = row(key="lost", state="dead", ended_at=NOW - timedelta(days=1))
    rows = [row(key=str(n), state="sent", ended_at=NOW - timedelta(minutes=n)) for n in range(4)]
    assert list(outbox.prune(box(lost, *rows), NOW)) == ["lost", "0", "1"]


def test_a_wait_that_is_no_number_is_no_wait() -> None:
    after = outbox.failed(outbox.sending(row(), NOW), NOW, "x", "transient", float("nan"))
    assert after.not_before == NOW + timedelta(minutes=1)


def test_critical_messages_have_a_limit_of_their_own_so_that_nobody_can_be_called_all_night() -> None:
    """A submitter can change his files again and again, and each change is critical."""
    rows = box(*(row(key=f"{n}") for n in range(3)), *(row(key=f"c{n}", level="critical") for n in range(5)))
    after = outbox.held_back(rows, NOW, HOURLY, 3)
    assert [key for key, item in after.items() if item.in_digest] == ["c3", "c4"]
    (digest,) = [item for item in bundled(after, ELEVEN, HOURLY).values() if item.kind == "digest"]
    assert digest.level == "critical"
