"""Figures: what is counted, what waits, and when calls last went well."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq.config_values import Config
from scq.context import Context
from scq.lastcalls import Ended, last_ended, mark_ended
from scq.measuring import OUTBOX_STATES, measure
from scq.model import Notification, OutboxState, Trouble
from scq.store import Store
from tests.people import OWNER, World

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def row(key: str, state: OutboxState, age: float = 0.0, *, in_digest: bool = False) -> Notification:
    at = NOW - timedelta(seconds=age)
    return Notification(key, "1-0", "job.received", "j", "mailbox", OWNER, "do", at, state=state, in_digest=in_digest)


def context(home: Path, root: Path) -> Context:
    return Context(Config(email=OWNER, root=str(root), sandbox="none"), str(home), env={}, now=lambda: NOW)


def with_rows(home: Path, *rows: Notification) -> Context:
    Store(str(home)).update(lambda state: replace(state, outbox={item.key: item for item in rows}))
    return context(home, home)


def test_an_empty_home_has_nothing_to_count(tmp_path: Path) -> None:
    figures = measure(context(tmp_path, tmp_path))
    assert set(figures.counts.values()) == set(figures.outbox.values()) == {0}
    assert (figures.oldest, figures.oldest_wait_s, figures.outbox_wait_s, figures.approval_ends_s) == (None,) * 4
    assert (figures.results_waiting, figures.troubles, figures.ended, figures.looked_at) == (0, {}, {}, None)
    assert figures.source.ok
    assert list(tmp_path.iterdir()) == []


def test_messages_are_counted_by_state_and_those_in_hand_as_queued(tmp_path: Path) -> None:
    states: list[OutboxState] = ["queued", "sending", "ambiguous", "deferred", "sent", "sent", "bundled", "dead", "dropped"]
    figures = measure(with_rows(tmp_path, *(row(str(number), state) for number, state in enumerate(states))))
    assert tuple(figures.outbox) == OUTBOX_STATES
    expected = {"queued": 2, "deferred": 1, "ambiguous": 1, "sent": 2, "dead": 1, "dropped": 1, "bundled": 1}
    assert figures.outbox == expected


@pytest.mark.parametrize("state", ["queued", "sending", "ambiguous", "deferred"])
def test_the_oldest_message_to_be_sent_waits_longest(tmp_path: Path, state: OutboxState) -> None:
    rows = [row("a", "sent", 9000), row("b", state, 60), row("c", "queued", 5), row("d", "queued", 8000, in_digest=True)]
    assert measure(with_rows(tmp_path, *rows)).outbox_wait_s == 60.0


def test_a_message_of_the_future_does_not_wait_less_than_nothing(tmp_path: Path) -> None:
    assert measure(with_rows(tmp_path, row("a", "queued", -500))).outbox_wait_s == 0.0


def test_troubles_are_there_in_order(tmp_path: Path) -> None:
    troubles = {"source syftbox": Trouble("cannot be read", NOW), "channel relay": Trouble("sign-in needed", NOW)}
    Store(str(tmp_path)).update(lambda state: replace(state, troubles=troubles))
    assert list(measure(context(tmp_path, tmp_path)).troubles) == ["channel relay", "source syftbox"]


def test_jobs_results_and_approvals_that_run_out_are_counted(world: World) -> None:
    world.ended("alpha")
    uid = world.submit("beta")
    world.owner.scq("approve", uid, "--expires", "2h")
    waiting = world.submit("gamma")
    world.owner.scq("check", "--full")
    config = Config(email=OWNER, root=str(world.root), sandbox="none")
    figures = measure(Context(config, str(world.owner.home), env={}))
    assert {word: number for word, number in figures.counts.items() if number} == {"completed": 1, "approved": 1, "pending": 1}
    assert figures.oldest is not None
    assert figures.oldest.id == waiting
    assert figures.oldest_wait_s is not None
    assert figures.approval_ends_s is not None
    assert 0 < figures.approval_ends_s <= 7200
    assert figures.looked_at is not None


def test_jobs_of_somebody_else_are_not_counted(world: World) -> None:
    world.submit("alpha")
    config = Config(email="else@example.org", root=str(world.root), sandbox="none")
    assert set(measure(Context(config, str(world.owner.home), env={})).counts.values()) == {0}


def test_the_end_of_a_call_is_kept_as_the_times_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    began = NOW.timestamp()
    mark_ended(str(tmp_path), "check", began, began + 1.25)
    mark_ended(str(tmp_path), "notify", began + 60, began)
    expected = {"check": Ended(NOW + timedelta(seconds=1.25), 1.25), "notify": Ended(NOW, 0.0)}
    assert last_ended(str(tmp_path)) == expected
    path = tmp_path / "locks" / "check.done"
    assert (path.stat().st_size, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600)
    mark_ended(str(tmp_path), "check", began + 100, began + 101)
    assert last_ended(str(tmp_path))["check"] == Ended(NOW + timedelta(seconds=101), 1.0)


def test_no_calls_no_times(tmp_path: Path) -> None:
    assert last_ended(str(tmp_path)) == {}
    (tmp_path / "locks").write_text("")
    assert last_ended(str(tmp_path)) == {}


def test_what_is_no_file_is_passed_over_and_never_written_through(tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    locks.mkdir()
    (locks / "check.done").mkdir()
    (tmp_path / "mine").touch()
    os.utime(tmp_path / "mine", (1, 1))
    (locks / "notify.done").symlink_to(tmp_path / "mine")
    assert last_ended(str(tmp_path)) == {}
    with pytest.raises(OSError, match="notify.done"):
        mark_ended(str(tmp_path), "notify", 5.0, 6.0)
    assert (tmp_path / "mine").stat().st_mtime == 1
