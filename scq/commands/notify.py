"""`scq notify`: look once, then send what is due."""

from __future__ import annotations

from scq import exchanging
from scq.acting import carry_out
from scq.clean import line
from scq.context import Context
from scq.delivering import Delivery, deliver, due_now
from scq.errors import BUSY, FAILED, OK, SIGN_IN
from scq.looking import Only, observe, observe_peers
from scq.model import Problem
from scq.report import Report
from scq.showing import message_dict, message_line


def run(ctx: Context, *, dry_run: bool = False, only: Only = "") -> Report:
    """Look and queue as `check` does, then deliver every message that is due. `only` means what it means there.

    The exit code is 77 when a channel needs a sign-in, 1 when a message was given up, 75 when a source could not be read. With
    `dry_run` nothing is queued or sent.
    """
    with ctx.only_one("notify"):
        problems = [] if dry_run else carry_out(ctx)
        remote, wrong = exchanging.look(ctx, only="peers" if only == "peers" else "", dry_run=dry_run)
        if only == "peers":
            seen = observe_peers(ctx, remote, dry_run=dry_run)
        else:
            seen = observe(ctx, dry_run=dry_run, remote=remote, only=only)
        problems.extend((*wrong, *seen.problems))
        if not (dry_run or only == "peers"):
            problems.extend(exchanging.answer(ctx, seen.state))
        made = Delivery(tuple(due_now(ctx, seen.state, problems))) if dry_run else deliver(ctx, seen.state, problems)
        return _report(made, exchanging.exit_code(remote) or (OK if seen.source.ok else BUSY), problems, dry_run)


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
