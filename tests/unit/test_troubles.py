"""What does not work is remembered, told now and then, and forgotten when it works."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scq import troubles
from scq.model import Trouble
from scq.troubles import Setback

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
BROKEN = Setback("relay", "auth.failed", "refused the password", "Change it.")


def test_a_channel_that_fails_is_a_trouble_since_it_first_failed() -> None:
    first = troubles.failed({}, BROKEN, NOW)
    assert first == {"channel relay": Trouble("refused the password", NOW, "Change it.")}
    told = troubles.told(first, "channel relay", NOW)
    again = troubles.failed(told, Setback("relay", "channel.failed", "is away"), NOW + timedelta(hours=1))
    assert again == {"channel relay": Trouble("is away", NOW, "", NOW)}
    assert troubles.worked(again, "other") == again
    assert troubles.worked(again, "relay") == {}


@pytest.mark.parametrize(
    ("told_at", "expected"),
    [
        (None, True),
        (NOW, False),
        (NOW - timedelta(hours=23), False),
        (NOW - timedelta(days=1), True),
        (NOW + timedelta(days=99), True),
    ],
)
def test_a_trouble_is_told_at_most_once_a_day(told_at: datetime | None, expected: bool) -> None:
    assert troubles.is_to_tell(Trouble("x", NOW, told_at=told_at), NOW) is expected


def test_a_source_is_stale_once_it_was_out_of_reach_for_long() -> None:
    away = troubles.seen({}, "source syftbox", False, NOW)
    assert troubles.seen(away, "source syftbox", False, NOW + timedelta(days=2)) == away
    trouble = away["source syftbox"]
    assert not troubles.is_stale(trouble, NOW + timedelta(seconds=59), 60)
    assert troubles.is_stale(trouble, NOW + timedelta(seconds=60), 60)
    told = troubles.told(away, "source syftbox", NOW)
    assert not troubles.is_stale(told["source syftbox"], NOW + timedelta(days=9), 60)
    assert troubles.seen(told, "source syftbox", True, NOW) == {}


def test_the_event_says_what_and_what_to_do() -> None:
    event = troubles.event("auth.failed", BROKEN.name, Trouble("refused", NOW, "Change it."), "7-0", NOW)
    assert (event.id, event.kind, event.ref, event.detail) == ("7-0", "auth.failed", "channel relay", "refused\nChange it.")


def test_a_channel_that_is_gone_has_no_trouble() -> None:
    found = {"channel old": Trouble("x", NOW), "channel post": Trouble("y", NOW), "source syftbox": Trouble("z", NOW)}
    assert list(troubles.of_channels(found, {"post"})) == ["channel post", "source syftbox"]


def test_a_source_whose_trouble_began_in_the_future_is_told_at_once() -> None:
    assert troubles.is_stale(Trouble("x", NOW + timedelta(days=400)), NOW, 3600)
