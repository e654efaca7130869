"""`scq share`: let the submitter read the outputs or the logs of a finished job."""

from __future__ import annotations

from scq.context import Context
from scq.releasing import Choice, release
from scq.report import Report


def run(ctx: Context, word: str, *, outputs: bool = False, logs: bool = False, dry_run: bool = False) -> Report:
    """Release every result file, the logs, or both. Nothing named means both."""
    both = not outputs and not logs
    return release(ctx, "share", word, Choice(outputs=outputs or both, logs=logs or both), "", dry_run=dry_run)
