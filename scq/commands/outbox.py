"""`scq outbox list|show|retry|drop`: the messages, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

from scq import outbox
from scq.clean import block, line
from scq.context import Context
from scq.errors import UsageError
from scq.model import Notification, OutboxState, Problem
from scq.report import Report
from scq.showing import message_dict, when
from scq.state import State

SHORTEST_KEY = 6
SHOWN_KEY = 8
OPEN: frozenset[OutboxState] = outbox.WAITING | {"dead"}
"""What `list` shows without being asked: what is not over, and what was given up."""
RETRIABLE: frozenset[OutboxState] = frozenset({"dead", "dropped", "deferred", "ambiguous"})
DROPPABLE: frozenset[OutboxState] = outbox.TO_SEND
Change = Callable[[Notification], Notification]


def listing(ctx: Context, *, every: bool = False, state: OutboxState | None = None) -> Report:
    """The messages, newest last: those that wait or were given up, all of them, or those in one state."""
    wanted = (lambda row: row.state == state) if state else (lambda row: every or row.state in OPEN)
    rows = sorted(filter(wanted, ctx.store.load().outbox.values()), key=lambda row: row.created_at)
    data = {"messages": [message_dict(row) for row in rows]}
    return Report("outbox list", data, tuple(_table(rows)), tuple(ctx.store.problems))


def show(ctx: Context, word: str) -> Report:
    """Everything about one message, and its text as it would be sent while it waits.

    Raises UsageError when the word is not the beginning of exactly one key.
    """
    row = _find(ctx.store.load(), word)
    problems: list[Problem] = []
    text = _text(ctx, row, problems) if row.state in outbox.WAITING else ""
    data = {**message_dict(row), "context": row.context, "text": text}
    return Report("outbox show", {"message": data}, tuple(_card(row, text)), tuple(problems))


def retry(ctx: Context, words: Sequence[str], *, all_dead: bool = False, dry_run: bool = False) -> Report:
    """Put messages back to be sent by the next `scq notify`, as if they had never been tried.

    Raises UsageError for one that was sent, told in a digest or waits anyway.
    """
    now = ctx.now()
    return _changed(ctx, words, lambda row: outbox.anew(row, now), RETRIABLE, "retry", dry_run, all_dead=all_dead)


def drop(ctx: Context, words: Sequence[str], *, dry_run: bool = False) -> Report:
    """Give messages up that still wait. Raises UsageError for one that does not."""
    now = ctx.now()
    return _changed(ctx, words, lambda row: outbox.over(row, "dropped", "dropped by hand", now), DROPPABLE, "drop", dry_run)


def _changed(
    ctx: Context,
    words: Sequence[str],
    change: Change,
    allowed: Collection[str],
    verb: str,
    dry_run: bool,
    *,
    all_dead: bool = False,
) -> Report:
    """Change the rows meant, all of them or none."""
    if bool(words) == all_dead:
        raise UsageError(f"nothing to {verb}" if not words else "keys and --all-dead", "Give keys, or --all-dead for retry.")
    chosen: dict[str, Notification] = {}

    def put(state: State) -> State:
        chosen.clear()
        rows = (
            [row for row in state.outbox.values() if row.state == "dead"] if all_dead else [_find(state, word) for word in words]
        )
        for row in rows:
            if row.state not in allowed:
                raise UsageError(f"message {row.key[:SHOWN_KEY]} is {row.state}: there is nothing to {verb}", "scq outbox list")
            chosen[row.key] = change(row)
        return replace(state, outbox={**state.outbox, **chosen})

    put(ctx.store.load()) if dry_run else ctx.store.update(put)
    shown = tuple(_table(list(chosen.values())))
    data = {"messages": [message_dict(row) for row in chosen.values()], "dry_run": dry_run}
    return Report(f"outbox {verb}", data, shown)


def _find(state: State, word: str) -> Notification:
    """The one row whose key begins so."""
    word = word.strip().lower()
    found = [row for key, row in state.outbox.items() if len(word) >= SHORTEST_KEY and key.startswith(word)]
    if len(found) != 1:
        what = f"fits {len(found)} messages" if found else "is not the beginning of a message's key"
        advice = f"scq outbox list --all shows them; at least {SHORTEST_KEY} characters of the key are needed."
        raise UsageError(f"{line(word, 80)!a} {what}", advice)
    return found[0]


def _table(rows: Sequence[Notification]) -> list[str]:
    cells = [
        (
            row.key[:SHOWN_KEY],
            row.state,
            when(row.created_at),
            row.kind,
            line(row.recipient, 60),
            line(row.channel),
            line(row.context.get("name") or row.context.get("ds_email") or "", 60),
            _note(row),
        )
        for row in rows
    ]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(7)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in cells]


def _note(row: Notification) -> str:
    if row.in_digest and row.state in outbox.WAITING:
        return "in the next digest"
    until = f"not before {when(row.not_before)}" if row.not_before is not None and row.state == "deferred" else ""
    why = line(row.outcome, 100) if row.state in RETRIABLE else ""
    return "; ".join(part for part in (until, why) if part)


def _card(row: Notification, text: str) -> list[str]:
    """Every field of a message, a line each, then its text."""
    facts = [
        *((name.replace("_", " "), value) for name, value in message_dict(row).items()),
        *((f"word {name}", value) for name, value in sorted(row.context.items())),
    ]
    width = max(len(name) for name, _ in facts)
    lines = [f"{name.rjust(width)}  {_beside(value, width)}" for name, value in facts if value not in (None, "")]
    return [*lines, "", *block(text).rstrip("\n").split("\n")] if text else lines


def _beside(value: object, width: int) -> str:
    """A value of several lines, the first of them behind its name and the others below it."""
    return f"\n{' ' * width}  ".join(line(part, 300) for part in str(value).splitlines())


def _text(ctx: Context, row: Notification, problems: list[Problem]) -> str:
    """The message as text."""
    from scq.letters import extra
    from scq.render import Renderer

    renderer = Renderer(ctx.templates_folder(), ctx.config.notify.timezone)
    message = renderer.message(row, sender=ctx.config.email, email_format="text", extra=extra(ctx, row))
    problems.extend(renderer.problems)
    return f"Subject: {message.subject}\n\n{message.text}"
