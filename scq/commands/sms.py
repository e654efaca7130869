"""`scq sms`: a text message to a phone."""

from __future__ import annotations

from collections.abc import Sequence

from scq.context import Context
from scq.report import Report
from scq.telling import report, tell

CHANNEL = "sms"


def run(ctx: Context, text: str, *, title: str = "", to: Sequence[str] = ()) -> Report:
    """Write to the numbers `to`, else to those of the channel. Exit codes as for `scq send`."""
    return report("sms", ctx, tell(ctx, text, title=title, to=to, channels=[CHANNEL]), one_is_enough=False)
