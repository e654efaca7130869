"""`scq notify`: look once, then send what is due."""

from __future__ import annotations

from scq.context import Context
from scq.looking import Only
from scq.report import Report
from scq.steps.delivery import delivered
from scq.steps.look import look


def run(ctx: Context, *, dry_run: bool = False, only: Only = "") -> Report:
    """Look and queue as `check` does, then deliver every message that is due. `only` means what it means there.

    The exit code is 77 when a channel needs a sign-in, 1 when a message was given up, 75 when a source could not be read. With
    `dry_run` nothing is queued or sent.
    """
    with ctx.only_one("notify"):
        made = look(ctx, dry_run=dry_run, only=only)
        return delivered(ctx, made.seen.state, made.problems, made.exit_code, dry_run=dry_run)
