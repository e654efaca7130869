"""Delivering: one bad message, recipient or channel stops no other, and nothing is lost or repeated without saying so."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq import delivering
from scq.config_channels import ChannelSetting
from scq.config_values import Config, Notify
from scq.context import Context
from scq.delivering import PATIENCE, Delivery, deliver
from scq.errors import ChannelError, ConfigError, SignInError, UsageError
from scq.model import Notification, Problem
from scq.outbox import queue
from scq.ports import Message, Receipt
from scq.state import State

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
OWNER = "owner@example.org"
Failing = Callable[[Message], BaseException | None]


class Recorder:
    """A channel that keeps what it was given. `fails` says what goes wrong with a message."""

    def __init__(self, name: str, fails: Failing = lambda message: None) -> None:
        self.name = name
        self.fails = fails
        self.sent: list[Message] = []

    def usable(self) -> str:
        return ""

    def send(self, message: Message) -> Receipt:
        error = self.fails(message)
        if error is not None:
            raise error
        self.sent.append(message)
        return Receipt(f"receipt {len(self.sent)}", message_id=f"<{message.key}@test>", thread_id="thread-7")


class Finding(Recorder):
    """One that can also look for a message; `known` is its answer."""

    known: bool | BaseException | None = None

    def find(self, key: str) -> bool | None:
        if isinstance(self.known, BaseException):
            raise self.known
        return self.known


class Desk:
    """An owner with channels that record, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.home = str(folder / "home")
        self.config = Config(
            email=OWNER,
            channels=(ChannelSetting("post", "gmail"), ChannelSetting("team", "slack")),
            notify=Notify(timezone="UTC"),
        )
        self.post, self.team = Recorder("post"), Recorder("team")
        self.env: dict[str, str] = {}
        self.said: list[str] = []
        self.problems: list[Problem] = []

    def set(self, **notify: Any) -> None:
        self.config = replace(self.config, notify=replace(self.config.notify, **notify))

    def context(self) -> Context:
        ctx = Context(self.config, self.home, env=self.env, now=lambda: self.now, say=self.said.append)
        ctx.channels = {"post": self.post, "team": self.team}
        return ctx

    def add(self, *rows: Notification) -> None:
        self.context().store.update(lambda state: replace(state, outbox=queue(state.outbox, rows)))

    def deliver(self) -> Delivery:
        ctx = self.context()
        self.problems.clear()
        return deliver(ctx, ctx.store.load(), self.problems)

    def state(self) -> State:
        return self.context().store.load()

    def rows(self) -> dict[str, Notification]:
        return self.state().outbox

    def states(self) -> dict[str, str]:
        return {key: row.state for key, row in self.rows().items()}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def row(key: str = "a", **changes: Any) -> Notification:
    words = {"name": f"job {key}", "short_id": "01234567", "at": NOW.isoformat(), "owner": OWNER}
    made = Notification(key.ljust(64, "0"), "1-0", "job.completed", "id-" + key, "post", OWNER, "do", NOW, words)
    return replace(made, **changes)


def keys(found: Recorder) -> list[str]:
    return [message.key.rstrip("0") for message in found.sent]


def test_what_is_due_is_sent_oldest_first_and_its_receipt_kept(desk: Desk) -> None:
    desk.add(row("b"), row("a", created_at=NOW - timedelta(minutes=1)), row("later", not_before=NOW + timedelta(hours=1)))
    made = desk.deliver()
    assert keys(desk.post) == ["a", "b"]
    assert [item.outcome for item in made.rows] == ["receipt 1", "receipt 2"]
    assert sorted(desk.states().values()) == ["queued", "sent", "sent"]
    assert (made.left, made.sign_ins) == (0, {})


def test_with_nothing_to_do_nothing_is_read_or_written(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.add(row(state="sent", ended_at=NOW))
    ctx = desk.context()
    state = ctx.store.load()
    monkeypatch.setattr(ctx.store, "update", lambda change: pytest.fail("the store was touched"))
    assert deliver(ctx, state, []) == Delivery()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ChannelError("x"), "deferred"),
        (ChannelError("x", kind="permanent"), "dead"),
        (ChannelError("x", kind="auth"), "deferred"),
        (ChannelError("x", kind="config"), "deferred"),
        (ChannelError("x", kind="ambiguous"), "ambiguous"),
        (ConfigError("x"), "deferred"),
        (SignInError("x"), "deferred"),
        (UsageError("x"), "deferred"),
        (OSError(5, "Input/output error"), "ambiguous"),
        (ConnectionResetError(), "ambiguous"),
    ],
)
def test_each_kind_of_failure_leads_to_its_state_and_stops_no_other_message(
    desk: Desk, error: BaseException, expected: str
) -> None:
    desk.post.fails = lambda message: error if message.key.startswith("a") else None
    desk.add(row("a"), row("b"))
    desk.deliver()
    assert keys(desk.post) == ["b"]
    assert (desk.states()[row("a").key], desk.states()[row("b").key]) == (expected, "sent")


def test_a_channel_that_was_taken_out_of_the_configuration_is_a_problem_and_may_come_back(desk: Desk) -> None:
    desk.add(row(channel="gone"))
    desk.deliver()
    assert [(found.where, "there is no channel" in found.what) for found in desk.problems] == [("channel gone", True)]
    assert desk.rows()[row().key].not_before == NOW + timedelta(hours=1)


def test_a_service_that_asks_to_wait_is_obeyed(desk: Desk) -> None:
    desk.post.fails = lambda message: ChannelError("slow down", retry_after=1_800)
    desk.add(row())
    desk.deliver()
    assert desk.rows()[row().key].not_before == NOW + timedelta(minutes=30)


def test_what_is_dropped_by_hand_while_others_are_sent_is_not_sent(desk: Desk) -> None:
    def drops(message: Message) -> None:
        desk.context().store.update(
            lambda state: replace(
                state,
                outbox={key: replace(item, state="dropped") if key[0] == "b" else item for key, item in state.outbox.items()},
            )
        )

    desk.post.fails = drops
    desk.add(row("a"), row("b"), row("c"))
    desk.deliver()
    assert keys(desk.post) == ["a", "c"]
    assert desk.states() == {row("a").key: "sent", row("b").key: "dropped", row("c").key: "sent"}


# whether it arrived


def died(desk: Desk) -> None:
    """A call that died while it sent a message."""
    desk.add(row(state="sending", attempts=1))


def test_a_message_that_may_have_arrived_is_sent_again_and_marked(desk: Desk) -> None:
    died(desk)
    desk.deliver()
    (sent,) = desk.post.sent
    assert "repeat" in sent.text.lower()
    assert desk.rows()[row().key].repeat
    assert desk.rows()[row().key].attempts == 2


@pytest.mark.parametrize(
    ("known", "sent", "marked"),
    [(True, 0, False), (False, 1, False), (None, 1, True), (ChannelError("away"), 1, True), (OSError(5, "x"), 1, True)],
)
def test_it_may_be_looked_for_first(desk: Desk, known: Any, sent: int, marked: bool) -> None:
    desk.post = finding = Finding("post")
    finding.known = known
    desk.set(on_ambiguous="verify")
    died(desk)
    desk.deliver()
    assert (len(finding.sent), desk.rows()[row().key].repeat) == (sent, marked)
    assert desk.rows()[row().key].state == "sent"


def test_a_channel_that_cannot_look_sends_it_again_and_marked(desk: Desk) -> None:
    desk.set(on_ambiguous="verify")
    died(desk)
    desk.deliver()
    assert (len(desk.post.sent), desk.rows()[row().key].repeat) == (1, True)


def test_it_may_be_dropped_and_that_is_said(desk: Desk) -> None:
    desk.set(on_ambiguous="drop")
    died(desk)
    made = desk.deliver()
    assert desk.post.sent == []
    assert [(item.state, "may have arrived" in item.outcome) for item in made.rows] == [("dead", True)]


def test_what_became_unclear_now_waits_for_the_next_call(desk: Desk) -> None:
    desk.post.fails = lambda message: ChannelError("broke off", kind="ambiguous")
    desk.add(row())
    desk.deliver()
    assert desk.rows()[row().key].attempts == 1
    desk.post.fails = lambda message: None
    desk.deliver()
    assert [("repeat" in message.text.lower()) for message in desk.post.sent] == [True]


# limits, digests, quiet hours


def test_one_call_sends_so_many_and_says_how_many_are_left(desk: Desk) -> None:
    desk.set(max_per_run=2)
    desk.add(*(row(name) for name in "abcde"))
    assert [desk.deliver().left for _ in range(3)] == [3, 1, 0]
    assert keys(desk.post) == list("abcde")


def test_too_many_messages_for_one_recipient_come_in_a_digest_at_the_full_hour(desk: Desk) -> None:
    desk.set(max_per_hour=2)
    desk.add(*(row(name) for name in "abcd"), row("x", recipient="other@example.org"), row("z", level="critical"))
    desk.deliver()
    assert keys(desk.post) == ["a", "b", "x", "z"]
    assert desk.deliver().rows == ()
    desk.now = NOW.replace(hour=11, minute=0)
    desk.deliver()
    digest = desk.post.sent[-1]
    assert digest.event == "digest"
    assert "job c" in digest.text
    assert sorted(desk.states().values()) == ["bundled"] * 2 + ["sent"] * 5


def test_quiet_hours_hold_everything_but_what_is_critical(desk: Desk) -> None:
    desk.set(quiet_hours="22:00-11:00")
    desk.add(row("a"), row("b", level="critical"))
    desk.deliver()
    assert keys(desk.post) == ["b"]
    desk.now = NOW.replace(hour=11, minute=0)
    desk.deliver()
    assert keys(desk.post) == ["b", "a"]


def test_a_time_zone_nobody_knows_is_a_problem_and_stops_nothing(desk: Desk) -> None:
    desk.set(timezone="Mars/Olympus")
    desk.add(row())
    desk.deliver()
    assert keys(desk.post) == ["a"]
    assert "notify.timezone" in [found.where for found in desk.problems]


# troubles


def test_a_sign_in_that_is_needed_is_told_over_another_channel_in_the_same_call_and_then_daily(desk: Desk) -> None:
    desk.post.fails = lambda message: ChannelError("token was revoked", "Sign in again.", kind="auth")
    desk.add(row())
    made = desk.deliver()
    assert made.sign_ins == {"post": "Run: scq auth google --send"}
    assert [message.event for message in desk.team.sent] == ["auth.failed"]
    assert "token was revoked" in desk.team.sent[0].text
    assert desk.state().troubles["channel post"].what == "token was revoked"
    for _ in range(23):
        desk.now += timedelta(hours=1)
        desk.deliver()
    assert len(desk.team.sent) == 1
    desk.now += timedelta(hours=1)
    desk.deliver()
    assert len(desk.team.sent) == 2
    desk.post.fails = lambda message: None
    desk.now += timedelta(hours=1)
    desk.deliver()
    assert desk.state().troubles == {}


def test_a_message_that_was_given_up_is_told_over_another_channel_once_a_day(desk: Desk) -> None:
    desk.post.fails = lambda message: ChannelError("no such address", kind="permanent")
    desk.add(*(row(name) for name in "abc"))
    desk.deliver()
    assert [message.event for message in desk.team.sent] == ["channel.failed"]


def test_with_one_channel_only_its_trouble_is_remembered_and_nobody_can_be_told(desk: Desk) -> None:
    desk.config = replace(desk.config, channels=desk.config.channels[:1])
    desk.post.fails = lambda message: SignInError("signed out")
    desk.add(row())
    desk.deliver()
    assert desk.state().troubles["channel post"].told_at is None
    assert len(desk.rows()) == 1


def test_two_channels_that_are_both_signed_out_do_not_write_about_each_other_forever(desk: Desk) -> None:
    desk.post.fails = desk.team.fails = lambda message: ChannelError("signed out", kind="auth")
    desk.add(row())
    assert len(desk.deliver().rows) == 3
    desk.now += timedelta(hours=1)
    desk.deliver()
    assert len(desk.rows()) == 3


@pytest.mark.parametrize("setting", [{"url": "https://x.example/T0PSECRET"}, {"url_env": "TEAM_URL"}])
def test_a_secret_never_shows_in_what_is_stored_or_reported(desk: Desk, setting: dict[str, str]) -> None:
    desk.env["TEAM_URL"] = "https://x.example/T0PSECRET"
    unset = ChannelSetting("team", "slack", token_env="NOT_SET", **setting)
    desk.config = replace(desk.config, channels=(desk.config.channels[0], unset))
    desk.team.fails = lambda message: ChannelError(
        "POST https://x.example/T0PSECRET failed", "Look at https://x.example/T0PSECRET", kind="config"
    )
    desk.add(row(channel="team"))
    made = desk.deliver()
    shown = f"{made.rows}{desk.problems}{desk.state().troubles}{desk.post.sent}"
    assert "T0PSECRET" not in shown
    assert "[secret]" in shown


# conversations


def test_the_first_mail_about_a_job_begins_a_conversation_and_later_ones_continue_it(desk: Desk) -> None:
    desk.add(row("a", job_id="j", kind="job.received"))
    desk.deliver()
    thread = desk.state().threads[f"post/{OWNER}/j"]
    first = desk.post.sent[0]
    assert (thread.message_id, thread.thread_id, thread.subject) == (f"<{first.key}@test>", "thread-7", first.subject)
    desk.add(row("b", job_id="j", kind="job.failed"), row("c", job_id="other"))
    desk.deliver()
    later = {message.job_id: message for message in desk.post.sent[1:]}
    assert (later["j"].in_reply_to, later["j"].thread_id) == (thread.message_id, "thread-7")
    assert later["j"].subject == f"Re: {first.subject}"
    assert later["other"].in_reply_to == ""
    assert desk.state().threads[f"post/{OWNER}/j"] == thread


def test_only_mail_about_a_job_begins_a_conversation(desk: Desk) -> None:
    desk.add(row("a", channel="team"), row("b", kind="heartbeat", job_id=""))
    desk.deliver()
    assert desk.state().threads == {}


def test_the_newest_conversations_are_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "KEEP_THREADS", 2)
    for name in "abc":
        desk.now += timedelta(minutes=1)
        desk.add(row(name))
        desk.deliver()
    assert sorted(desk.state().threads) == [f"post/{OWNER}/id-b", f"post/{OWNER}/id-c"]


# progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_at_a_terminal_sees_how_far_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    desk.set(max_per_run=1_000, max_per_hour=1_000)
    desk.add(*(row(f"k{number:03}") for number in range(60)))
    desk.deliver()
    assert desk.said == ["0 of 60 messages", "50 of 60 messages", "60 of 60 messages"]


def test_a_few_messages_or_no_terminal_are_no_reason_to_talk(desk: Desk) -> None:
    desk.set(max_per_run=1_000)
    desk.add(*(row(f"k{number:03}") for number in range(30)))
    desk.deliver()
    assert desk.said == []


# a channel that is down


def test_a_channel_that_keeps_failing_is_left_alone_until_the_next_call(desk: Desk) -> None:
    desk.set(max_per_run=10, max_per_hour=100)
    tries: list[str] = []

    def silent(message: Message) -> BaseException:
        tries.append(message.key)
        return ChannelError("did not answer")

    desk.post.fails = silent
    desk.add(*(row(f"p{number:02}") for number in range(30)), row("x", channel="team", created_at=NOW + timedelta(seconds=1)))
    desk.now += timedelta(seconds=2)
    made = desk.deliver()
    assert len(tries) == PATIENCE
    assert keys(desk.team) == ["x"], "what goes over another channel neither waits for it nor is crowded out"
    assert (len(made.rows), made.left) == (PATIENCE + 1, 30 - PATIENCE)
    desk.deliver()
    assert len(set(tries)) == 2 * PATIENCE, "those never tried come first"


def test_a_bad_recipient_is_no_reason_to_leave_a_channel_alone(desk: Desk) -> None:
    desk.post.fails = lambda message: ChannelError("no such address", kind="permanent") if "q" in message.words["name"] else None
    desk.add(*(row(f"q{number}") for number in range(9)), row("z"))
    desk.deliver()
    assert keys(desk.post) == ["z"]


def test_a_channel_that_works_in_between_is_tried_on(desk: Desk) -> None:
    desk.post.fails = lambda message: ChannelError("busy") if int(message.key[0]) % 2 else None
    desk.add(*(row(f"{number}") for number in range(9)))
    desk.deliver()
    assert sorted(desk.states().values()) == ["deferred"] * 4 + ["sent"] * 5


def test_the_trouble_of_a_channel_that_is_no_longer_configured_ends_with_its_last_message(desk: Desk) -> None:
    desk.post.fails = lambda message: ChannelError("wrong", kind="config")
    desk.add(row())
    desk.deliver()
    desk.config = replace(desk.config, channels=desk.config.channels[1:])
    desk.deliver()
    assert "channel post" in desk.state().troubles
    ctx = desk.context()
    ctx.store.update(lambda state: replace(state, outbox={}))
    desk.deliver()
    assert desk.state().troubles == {}


def test_after_a_new_sign_in_what_waited_for_it_goes_out_at_once_and_a_bad_one_is_tried_once(desk: Desk, tmp_path: Path) -> None:
    token = tmp_path / "token.json"

    def sign_in() -> None:
        token.write_text("{}")
        os.utime(token, times=(desk.now.timestamp(),) * 2)

    desk.config = replace(desk.config, gmail_token_path=str(token))
    desk.post.fails = lambda message: ChannelError("token was revoked", kind="auth")
    desk.add(row())
    desk.deliver()
    for expected in (["post"], []):
        desk.now += timedelta(minutes=1)
        if expected:
            sign_in()
            desk.now += timedelta(seconds=1)
        assert [item.channel for item in desk.deliver().rows] == expected
    assert len(desk.team.sent) == 1, "told once a day, whatever is tried in between"
    desk.post.fails = lambda message: None
    desk.now += timedelta(minutes=1)
    sign_in()
    desk.now += timedelta(seconds=1)
    assert len(desk.deliver().rows) == 1
    assert (keys(desk.post), desk.state().troubles) == (["a"], {})


def test_the_name_of_a_channel_is_not_said_twice(desk: Desk) -> None:
    desk.post.fails = lambda message: ChannelError("channels.post: the server is busy")
    desk.add(row())
    (failed,) = desk.deliver().rows
    assert failed.outcome == "the server is busy"
    assert [(problem.where, problem.what.split(";")[0]) for problem in desk.problems] == [("channel post", "the server is busy")]
