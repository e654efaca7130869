"""A sign-in that ends soon is told of once a day, before anything has to wait for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq.config_channels import ChannelSetting
from scq.config_values import Config
from scq.context import Context
from scq.expiring import NAME, warned
from scq.signin.purposes import GMAIL
from scq.state import State
from scq.troubles import SIGN_IN

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)


class Clock:
    """A moment, a sign-in file, and the channels that are configured."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.token = folder / "gmail_token.json"
        self.home = folder / "home"
        self.channels: tuple[ChannelSetting, ...] = (ChannelSetting("post", "gmail"), ChannelSetting("box", "file"))

    def ends(self, at: datetime | None, **changes: Any) -> None:
        found = {"token": "a", "refresh_token": "r", "client_id": "c", "client_secret": "s"}
        self.token.write_text(json.dumps(found | ({} if at is None else {"refresh_token_expires_at": at.isoformat()}) | changes))

    def look(self, state: State) -> State:
        config = Config(email="owner@example.org", channels=self.channels, gmail_token_path=str(self.token))
        return warned(Context(config, str(self.home), env={}, now=lambda: self.now), state)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


def kinds(state: State) -> list[str]:
    return [row.kind for row in state.outbox.values()]


def test_it_is_told_once_a_day_over_every_channel_until_somebody_signs_in(clock: Clock) -> None:
    clock.ends(NOW + timedelta(days=1, hours=20))
    state = clock.look(State())
    assert sorted(row.channel for row in state.outbox.values()) == ["box", "post"]
    assert set(kinds(state)) == {"auth.expiring"}
    assert "2026-03-04 06:30 UTC" in next(iter(state.outbox.values())).context["reason"]
    assert clock.look(state) == state
    clock.now += timedelta(days=1)
    state = clock.look(replace(state, revision=7))
    assert len(kinds(state)) == 4
    clock.ends(NOW + timedelta(days=8))
    after = clock.look(state)
    assert (after.troubles, len(kinds(after))) == ({}, 4)


@pytest.mark.parametrize("days", [-1, 0, 2.01, 400])
def test_what_ends_later_or_has_ended_is_not_told(clock: Clock, days: float) -> None:
    clock.ends(NOW + timedelta(days=days))
    assert clock.look(State()) == State()


def test_nothing_is_told_where_nobody_knows_the_end_or_needs_the_sign_in(clock: Clock) -> None:
    assert clock.look(State()) == State()  # no sign-in at all: the channel says so
    clock.ends(None)
    assert clock.look(State()) == State()
    clock.ends(None, refresh_token_expires_at="tomorrow")
    assert clock.look(State()) == State()
    clock.ends(NOW + timedelta(days=1))
    told = clock.look(State())
    assert NAME in told.troubles
    clock.channels = (ChannelSetting("box", "file"),)
    assert clock.look(State()) == State()
    assert clock.look(told).troubles == {}


def test_with_nobody_to_tell_it_is_tried_again(clock: Clock) -> None:
    clock.ends(NOW + timedelta(days=1))
    clock.channels = ()
    assert clock.look(State()) == State()


def test_what_to_do_is_the_command_that_signs_in() -> None:
    assert f"Run: {GMAIL.command}" == SIGN_IN
