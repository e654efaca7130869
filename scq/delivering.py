"""Delivering what is due: each message by itself, its start stored before it is handed over, its outcome after it.

One bad message, recipient or channel never stops the others. A call that dies in between leaves one row `sending`; the next one
does with it what `notify.on_ambiguous` says.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from scq import outbox, troubles
from scq.clean import line
from scq.config_channels import SECRETS
from scq.config_values import Config
from scq.context import Context
from scq.digests import bundled
from scq.errors import ChannelError, ConfigError, FailureKind, ScqError, SignInError
from scq.expiring import warned
from scq.hours import Hours
from scq.model import Notification, Problem, Thread
from scq.routing import route
from scq.state import State
from scq.troubles import Setback

if TYPE_CHECKING:
    from scq.ports import Channel, Message, Receipt
    from scq.render import Renderer

KEEP_THREADS = 2_000
SHOW_PROGRESS = 20
"""Messages to send above which a person at a terminal is told how far it is."""
STEP = 50
PATIENCE = 3
"""Failures in a row after which a channel is left alone until the next call: each may take as long as its time limit, and
messages over other channels wait meanwhile."""
REASON_LIMIT = 500


class Delivery(Struct, frozen=True):
    """What one call delivered: each row it touched with its outcome, how many due ones are left for the next call, and the
    channels that need a sign-in, each with what to do."""

    rows: tuple[Notification, ...] = ()
    left: int = 0
    sign_ins: Mapping[str, str] = {}


class Attempt(Struct, frozen=True):
    """One try: the row after it, what it says about its channel, and the conversation it began, if it did."""

    row: Notification
    setback: Setback | None = None
    thread: Thread | None = None
    signed_out: bool = False


def deliver(ctx: Context, state: State, problems: list[Problem]) -> Delivery:
    """Send every message that is due, at most `notify.max_per_run`. The caller holds the lock of `notify`.

    `state` is what is stored. Messages about channels that failed meanwhile go out in the same call. What went wrong for now is
    added to `problems`. With nothing to do nothing is read or written.
    """
    hours = hours_of(ctx.config, problems)
    plan = opened(_prepared(ctx, state), ctx.config, ctx.now(), hours)
    if plan == state and not outbox.due(plan.outbox, ctx.now(), hours):
        return Delivery()
    ctx.store.update(lambda before: opened(_prepared(ctx, before), ctx.config, ctx.now(), hours))
    done: dict[str, Notification] = {}
    sign_ins: dict[str, str] = {}
    sender: _Sender | None = None
    tried: set[str] = set()
    while (room := ctx.config.notify.max_per_run - len(done)) > 0 and (rows := _to_send(ctx, hours, tried)):
        tried.update(row.key for row in rows[:room])
        sender = sender or _Sender(ctx)
        for attempt in _attempts(ctx, sender, rows[:room], problems):
            done[attempt.row.key] = attempt.row
            if attempt.signed_out and attempt.setback is not None:
                sign_ins[attempt.row.channel] = attempt.setback.advice
    if sender is None:
        return Delivery()
    problems.extend(sender.renderer.problems)
    # One more version: the backup of the store then knows the outcome of the last message, too, and cannot repeat it.
    after = ctx.store.update(lambda before: replace(before, last={**before.last, "notify": ctx.now()}))
    left = sum(row.key not in done for row in outbox.due(after.outbox, ctx.now(), hours))
    return Delivery(tuple(done.values()), left, sign_ins)


def _prepared(ctx: Context, state: State) -> State:
    """The state with what the saved sign-ins have to say."""
    return warned(ctx, woken(ctx, state))


def woken(ctx: Context, state: State) -> State:
    """The state in which messages that wait for a sign-in are due at once when one was saved since they failed."""
    found = dict(state.troubles)
    for name in (setting.name for setting in ctx.config.channels if setting.type == "gmail"):
        trouble = found.get(f"channel {name}")
        if trouble is None or trouble.advice != troubles.SIGN_IN or not _is_newer(ctx.config.gmail_token_path, trouble.since):
            continue
        found[f"channel {name}"] = replace(trouble, since=ctx.now())
        state = replace(state, outbox=outbox.awake(state.outbox, name), troubles=found)
    return state


def _is_newer(path: str, moment: datetime) -> bool:
    try:
        return os.stat(path).st_mtime > moment.timestamp()
    except OSError:
        return False


def opened(state: State, config: Config, now: datetime, hours: Hours) -> State:
    """The state as a call that sends begins with it: old rows forgotten, rows of calls that died found, and the plan made."""
    rows = outbox.recovered(outbox.prune(state.outbox, now))
    used = {channel.name for channel in config.channels} | {row.channel for row in rows.values() if row.state in outbox.WAITING}
    known = troubles.of_channels(state.troubles, used)
    return planned(replace(state, outbox=rows, troubles=known), config, now, hours)


def planned(state: State, config: Config, now: datetime, hours: Hours, tried: Collection[str] = ()) -> State:
    """The state in which digests that are due are made and what is too much for a recipient waits for one."""
    made = bundled(state.outbox, now, hours)
    return replace(state, outbox=outbox.held_back(made, now, hours, config.notify.max_per_hour, tried))


def due_now(ctx: Context, state: State, problems: list[Problem]) -> list[Notification]:
    """The rows a call would send now. Nothing is changed."""
    hours = hours_of(ctx.config, problems)
    plan = opened(_prepared(ctx, state), ctx.config, ctx.now(), hours)
    return outbox.due(plan.outbox, ctx.now(), hours)[: ctx.config.notify.max_per_run]


def hours_of(config: Config, problems: list[Problem]) -> Hours:
    """When the owner wants to hear of things. A time zone nobody knows is a problem, and the one of the machine is used."""
    notify = config.notify
    zone: tzinfo | None = None
    if notify.timezone:
        from zoneinfo import ZoneInfo

        try:
            zone = ZoneInfo(notify.timezone)
        except (KeyError, ValueError, OSError):
            advice = "Use a name such as Europe/Berlin."
            problems.append(Problem("notify.timezone", f"{line(notify.timezone)} is not a time zone known here", advice))
    return Hours(zone, notify.quiet_hours, notify.digest, notify.digest_at)


def _to_send(ctx: Context, hours: Hours, tried: Collection[str]) -> list[Notification]:
    """What is due and was not tried in this call. Written only if a digest was made or something held back."""
    state = ctx.store.update(lambda before: planned(before, ctx.config, ctx.now(), hours, tried))
    return [row for row in outbox.due(state.outbox, ctx.now(), hours) if row.key not in tried]


def _attempts(ctx: Context, sender: _Sender, rows: Sequence[Notification], problems: list[Problem]) -> Iterator[Attempt]:
    """Try each row. An outcome is stored together with the start of the next row."""
    shows = len(rows) > SHOW_PROGRESS and sys.stderr.isatty()
    last: Attempt | None = None
    for number, row in enumerate(rows):
        if shows and number % STEP == 0:
            ctx.say(f"{number} of {len(rows)} messages")
        if sender.failures.get(row.channel, 0) >= PATIENCE:
            continue
        settled = sender.settled(row)
        begun = settled if settled.state in ("sent", "dead") else outbox.sending(settled, ctx.now())
        state = _save(ctx, last, row, begun)
        last = None
        if state.outbox.get(row.key) != begun:
            continue  # dropped by hand meanwhile
        thread = state.threads.get(_thread_key(row))
        last = Attempt(begun) if begun.state != "sending" else sender.attempt(begun, thread, problems)
        yield last
    _save(ctx, last, None, None)
    if shows:
        ctx.say(f"{len(rows)} of {len(rows)} messages")


class _Sender:
    """The renderer and the channels of one call."""

    def __init__(self, ctx: Context) -> None:
        from scq.render import Renderer

        self.ctx = ctx
        self.renderer: Renderer = Renderer(ctx.templates_folder(), ctx.config.notify.timezone)
        self.failures: dict[str, int] = {}
        """By channel, since it last took a message."""
        self.mail = {channel.name for channel in ctx.config.channels if channel.is_mail}

    def settled(self, row: Notification) -> Notification:
        """A row of which nobody knows whether it arrived, after asking or deciding; any other row as it is."""
        if row.state != "ambiguous":
            return row
        policy, now = self.ctx.config.notify.on_ambiguous, self.ctx.now()
        if policy == "drop":
            return outbox.over(row, "dead", "may have arrived; not sent again, as notify.on_ambiguous says", now)
        found = self._found(row) if policy == "verify" else None
        if found:
            return outbox.sent(row, "was found at the service: it had arrived", now)
        return replace(outbox.again(row), repeat=row.repeat or found is None)

    def _found(self, row: Notification) -> bool | None:
        """Whether the service has the message, None when it cannot tell."""
        try:
            find = getattr(self.ctx.channel(row.channel), "find", None)
            return None if find is None else find(row.key)
        except (ScqError, OSError):
            return None  # sent again and marked, which is right whatever the reason

    def attempt(self, row: Notification, thread: Thread | None, problems: list[Problem]) -> Attempt:
        """Render and hand over one row; what went wrong for now is added to `problems`."""
        try:
            channel = self.ctx.channel(row.channel)
            message = self._message(row, thread)
            receipt = _handed_over(channel, message)
        except ScqError as error:
            return self._failed(row, error, problems)
        self.failures.pop(row.channel, None)
        began = self._thread(row, message, receipt) if thread is None else None
        return Attempt(outbox.sent(row, line(receipt.text, REASON_LIMIT), self.ctx.now()), thread=began)

    def _message(self, row: Notification, thread: Thread | None) -> Message:
        from scq.letters import extra

        config = self.ctx.config
        return self.renderer.message(
            row,
            sender=config.email,
            email_format=config.email_format,
            domain=config.message_id_domain,
            thread=thread,
            # Code goes to the owner's mailbox only: a chat is read by others, and has no room for it.
            extra=extra(self.ctx, row) if row.channel in self.mail else None,
            call_id=self.ctx.run_id,
        )

    def _failed(self, row: Notification, error: ScqError, problems: list[Problem]) -> Attempt:
        kind, retry_after = _kind(error)
        if kind != "permanent":
            self.failures[row.channel] = self.failures.get(row.channel, 0) + 1
        secrets = self._secrets(row.channel)
        # Where it is shown, the name of the channel stands before it.
        said = str(error).removeprefix(f"channels.{row.channel}: ")
        what, advice = (_redacted(text, secrets) for text in (said, error.advice))
        after = outbox.failed(row, self.ctx.now(), what, kind, retry_after)
        if after.state != "dead":
            problems.append(Problem(f"channel {row.channel}", f"{what}; the message is tried again later", advice))
        if kind == "auth":
            advice = troubles.SIGN_IN if self._is_gmail(row.channel) else advice
            return Attempt(after, Setback(row.channel, "auth.failed", what, advice), signed_out=True)
        if kind == "config" or after.state == "dead":
            return Attempt(after, Setback(row.channel, "channel.failed", what, advice))
        return Attempt(after)

    def _is_gmail(self, channel: str) -> bool:
        return any(setting.name == channel and setting.type == "gmail" for setting in self.ctx.config.channels)

    def _secrets(self, channel: str) -> list[str]:
        """The secrets of a channel that can be had; what is not there cannot show up in a text either."""
        found: list[str] = []
        for setting in self.ctx.config.channels:
            for name in SECRETS if setting.name == channel else ():
                try:
                    found.append(setting.secret(name).read(self.ctx.env))
                except (ConfigError, OSError):
                    continue
        return [secret for secret in found if len(secret) >= 4]

    def _thread(self, row: Notification, message: Message, receipt: Receipt) -> Thread | None:
        """The conversation about a job that this mail begins."""
        if row.channel not in self.mail or not row.job_id:
            return None
        return Thread(message_id=receipt.message_id, at=self.ctx.now(), subject=message.subject, thread_id=receipt.thread_id)


def _handed_over(channel: Channel, message: Message) -> Receipt:
    """Send. An error of the machine leaves open whether the message arrived."""
    try:
        return channel.send(message)
    except OSError as error:
        raise ChannelError(f"it broke off ({error.strerror or type(error).__name__})", kind="ambiguous") from error


def _kind(error: ScqError) -> tuple[FailureKind, float | None]:
    if isinstance(error, ChannelError):
        return error.kind, error.retry_after
    if isinstance(error, SignInError):
        return "auth", None
    return ("config" if isinstance(error, ConfigError) else "transient"), None


def _redacted(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "[secret]")
    return line(text, REASON_LIMIT)


def _save(ctx: Context, last: Attempt | None, row: Notification | None, begun: Notification | None) -> State:
    """Store the outcome of one row and the start of the next in one save; the start only if that row is still as it was."""
    now = ctx.now()

    def put(state: State) -> State:
        if last is not None:
            state = _with_outcome(ctx, replace(state, outbox={**state.outbox, last.row.key: last.row}), last, now)
        if begun is not None and state.outbox.get(begun.key) == row:
            state = replace(state, outbox={**state.outbox, begun.key: begun})
        return state

    return ctx.store.update(put)


def _with_outcome(ctx: Context, state: State, last: Attempt, now: datetime) -> State:
    """The state after an attempt: conversations, troubles, and at most once a day a message about a trouble."""
    if last.thread is not None:
        state = replace(state, threads=_with_thread(state.threads, _thread_key(last.row), last.thread))
    if last.row.state == "sent":
        return replace(state, troubles=troubles.worked(state.troubles, last.row.channel))
    if last.setback is None:
        return state
    name = last.setback.name
    known = troubles.failed(state.troubles, last.setback, now)
    if troubles.is_to_tell(known[name], now):
        event = troubles.event(last.setback.kind, name, known[name], f"{state.revision + 1}-0", now)
        if rows := route([event], {}, ctx.config, now):
            state = replace(state, outbox=outbox.queue(state.outbox, rows))
            known = troubles.told(known, name, now)
    return replace(state, troubles=known)


def _with_thread(threads: Mapping[str, Thread], key: str, thread: Thread) -> dict[str, Thread]:
    """The newest conversations with one more; the first mail of a conversation stays its first."""
    kept = {key: thread, **threads}
    newest = sorted(kept.items(), key=lambda item: item[1].at)[-KEEP_THREADS:]
    return dict(newest)


def _thread_key(row: Notification) -> str:
    return f"{row.channel}/{row.recipient}/{row.job_id}"
