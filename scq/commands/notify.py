"""`scq notify`: look once, then send what is due.

A row is stored as `sending` before it is handed over and with its outcome after it. A call that dies in between leaves it
`sending`; the next one sends it again under the same key, by which the channel recognises it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec.structs import replace

from scq import outbox
from scq.acting import carry_out
from scq.clean import line
from scq.context import Context
from scq.errors import BUSY, FAILED, OK, ChannelError, ConfigError
from scq.looking import observe
from scq.model import Notification, Problem
from scq.report import Report
from scq.state import State

USER_TEMPLATES = "templates"
"""Folder below `$SCQ_HOME` whose templates stand before the shipped ones."""


def run(ctx: Context, *, dry_run: bool = False) -> Report:
    """Look and queue as `check` does, then deliver every message that is due.

    One bad message never stops the others. The exit code is 1 when a message failed for good, 75 when a source could not be
    read. With `dry_run` nothing is queued or sent.
    """
    with ctx.only_one("notify"):
        problems = [] if dry_run else carry_out(ctx)
        seen = observe(ctx, dry_run=dry_run)
        problems.extend(seen.problems)
        rows = outbox.due(seen.state.outbox, ctx.now())
        if not dry_run:
            rows = _deliver(ctx, rows, problems)
            _tidy(ctx)
        lost = [row for row in rows if row.state in ("failed", "dropped")]
        code = FAILED if lost else OK if seen.source.ok else BUSY
        return Report(
            "notify",
            {"messages": [_as_dict(row) for row in rows], "dry_run": dry_run},
            tuple(_shown(row) for row in rows),
            tuple(problems),
            code,
            tuple(f"{_shown(row)}: {line(row.outcome)}" for row in lost),
        )


def _deliver(ctx: Context, rows: Sequence[Notification], problems: list[Problem]) -> list[Notification]:
    """Send each row and return it with its outcome. An outcome is stored together with the start of the next row."""
    if not rows:
        return []
    send = _Sender(ctx)
    done: list[Notification] = []
    for row in rows:
        begun = outbox.sending(row, ctx.now())
        _save(ctx, [*done[-1:], begun])
        done.append(send.one(begun, problems))
    _save(ctx, done[-1:])
    problems.extend(send.renderer.problems)
    return done


class _Sender:
    """The channels and the renderer of one call, each built once."""

    def __init__(self, ctx: Context) -> None:
        from scq.render import Renderer

        self.ctx = ctx
        self.renderer = Renderer(os.path.join(ctx.home, USER_TEMPLATES))

    def one(self, row: Notification, problems: list[Problem]) -> Notification:
        """Render and send one row; what went wrong for now is added to `problems`."""
        config = self.ctx.config
        try:
            channel = self.ctx.channel(row.channel)
            message = self.renderer.message(row, sender=config.email, email_format=config.email_format)
            return outbox.sent(row, channel.send(message).text)
        except ConfigError as error:
            return outbox.failed(row, self.ctx.now(), str(error), permanent=True)
        except ChannelError as error:
            after = outbox.failed(row, self.ctx.now(), str(error), error.kind in ("permanent", "config"))
            if after.state == "queued":
                problems.append(Problem(f"channel {row.channel}", f"{error}; the message is tried again later", error.advice))
            return after


def _save(ctx: Context, rows: Sequence[Notification]) -> None:
    changed = {row.key: row for row in rows}

    def put(state: State) -> State:
        return replace(state, outbox={**state.outbox, **changed})

    ctx.store.update(put)


def _tidy(ctx: Context) -> None:
    """Forget messages that ended long ago; nothing is written when there are none."""

    def pruned(state: State) -> State:
        return replace(state, outbox=outbox.prune(state.outbox, ctx.now()))

    state = ctx.store.load()
    if pruned(state) != state:
        ctx.store.update(pruned)


def _shown(row: Notification) -> str:
    word = {"sent": "sent", "queued": "later", "sending": "again"}.get(row.state, row.state)
    name = line(row.context.get("name", ""), 80)
    return f"{word:8}{row.kind} {name} -> {line(row.recipient)} ({line(row.channel)})".replace("  ->", " ->")


def _as_dict(row: Notification) -> dict[str, object]:
    return {
        "key": row.key,
        "event": row.event,
        "kind": row.kind,
        "job": row.job_id,
        "role": row.role,
        "recipient": row.recipient,
        "channel": row.channel,
        "state": row.state,
        "attempts": row.attempts,
        "not_before": None if row.not_before is None else row.not_before.isoformat().replace("+00:00", "Z"),
        "outcome": row.outcome,
    }
