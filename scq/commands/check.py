"""`scq check`: look once, say what is new, queue the messages, remember."""

from __future__ import annotations

from msgspec.structs import replace

from scq.context import Context
from scq.looking import Only
from scq.report import Report
from scq.steps.look import look, report


def run(ctx: Context, *, full: bool = False, fetch: bool = False, dry_run: bool = False, only: Only = "") -> Report:
    """Look at every source once. Prints each new job with its place, the start of its script and its configuration.

    `fetch` brings jobs of accepted peers from Google Drive, as `drive.fetch` does for every call. With `only` the other half of
    the news is left for another call. A source that cannot be read makes the exit code 75, a sign-in that is needed 77; what
    was remembered of it stays as it was.
    """
    if fetch:
        ctx.config = replace(ctx.config, drive=replace(ctx.config.drive, fetch=True))
    with ctx.only_one("check"):
        return report(ctx, look(ctx, full=full, dry_run=dry_run, only=only), dry_run=dry_run)
