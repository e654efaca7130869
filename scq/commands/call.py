"""`scq call`: a phone rings and reads a text."""

from __future__ import annotations

from collections.abc import Sequence

from scq.context import Context
from scq.report import Report
from scq.telling import report, tell

CHANNEL = "twilio"


def run(ctx: Context, text: str, *, to: Sequence[str] = (), repeat: int = 0) -> Report:
    """Call the numbers `to`, else those of the channel. Exit codes as for `scq send`."""
    return report("call", ctx, tell(ctx, text, to=to, channels=[CHANNEL], level="critical", repeat=repeat), one_is_enough=False)
