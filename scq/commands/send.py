"""`scq send`: tell somebody something now."""

from __future__ import annotations

from collections.abc import Sequence

from scq.clean import line
from scq.context import Context
from scq.errors import UsageError
from scq.report import Report
from scq.telling import footer_lines, level_named, report, tell
from scq.telling.attaching import attachments
from scq.telling.directory import Directory


def run(
    ctx: Context,
    text: str,
    *,
    title: str = "",
    to: Sequence[str] = (),
    cc: Sequence[str] = (),
    channels: Sequence[str] = (),
    first_of: bool = False,
    level: str = "info",
    attach: Sequence[str] = (),
    footer: bool = False,
    dry_run: bool = False,
) -> Report:
    """Send a text over the named channels, or the first usual one that takes it, and report each outcome.

    Exit code 0 when all took it (one is enough with `first_of` or without names), 77 when a sign-in is missing, 78 when a
    setting is, else 1. Raises UsageError for an unknown level, an empty text, or a file that cannot be attached.
    """
    known = level_named(level)
    if not text.strip():
        raise UsageError("there is nothing to send", "Give a text, or `-` to read it from standard input.")
    files = attachments(attach)
    if dry_run:
        return _planned(ctx, level, channels)
    outcomes = tell(
        ctx,
        text,
        title=title,
        to=to,
        cc=cc,
        channels=channels,
        level=known,
        attachments=files,
        first=first_of,
        footer=footer_lines(ctx) if footer else (),
    )
    return report("send", ctx, outcomes, one_is_enough=first_of or not channels)


def _planned(ctx: Context, level: str, channels: Sequence[str]) -> Report:
    """Which channels would be tried, in which order, and whether they could be used."""
    directory = Directory(ctx)
    plan = directory.plan(level)
    rows = []
    for name in channels or (*plan.together, *plan.in_turn):
        setting = directory.find(name)
        why = directory.why_not(name) if setting is None else directory.unusable(setting)
        rows.append({"channel": name, "usable": not why, "why": line(why, 500)})
    lines = tuple(f"{row['channel']}: {row['why'] or 'would be tried'}" for row in rows)
    return Report("send", {"messages": [], "channels": rows, "dry_run": True}, lines, (*ctx.problems, *directory.problems))
