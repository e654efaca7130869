"""Delivering every message that is due, and saying which."""

from __future__ import annotations

from collections.abc import Sequence

from scq.clean import line
from scq.context import Context
from scq.delivering import Delivery, deliver, due_now
from scq.errors import FAILED, SIGN_IN
from scq.model import Problem
from scq.report import Report
from scq.showing import message_dict, message_line
from scq.state import State


def delivered(ctx: Context, state: State, problems: Sequence[Problem], looked: int, *, dry_run: bool = False) -> Report:
    """Send what is due, or with `dry_run` only say what it would be. The caller holds the lock of `notify`.

    `problems` are those of the look before, and `looked` is its exit code, which counts where nothing worse happened: 77 when a
    channel needs a sign-in, 1 when a message was given up.
    """
    found = list(problems)
    made = Delivery(tuple(due_now(ctx, state, found))) if dry_run else deliver(ctx, state, found)
    return _report(made, looked, found, dry_run)


def _report(made: Delivery, looked: int, problems: list[Problem], dry_run: bool) -> Report:
    lost = [row for row in made.rows if row.state == "dead"]
    lines = [message_line(row) for row in made.rows]
    if made.left:
        lines.append(f"{made.left} more {'waits' if made.left == 1 else 'wait'}: the next call goes on")
    errors = [f"{message_line(row)}: {line(row.outcome, 500)}" for row in lost]
    errors.extend(f"channel {line(name)} needs a sign-in. {advice}".rstrip() for name, advice in made.sign_ins.items())
    code = SIGN_IN if made.sign_ins else FAILED if lost else looked
    data = {"messages": [message_dict(row) for row in made.rows], "left": made.left, "dry_run": dry_run}
    return Report("notify", data, tuple(lines), tuple(problems), code, tuple(errors))
