"""`scq status`: the one screen that says how the queue is doing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from scq.clean import line
from scq.context import Context
from scq.errors import ACTION_NEEDED, OK
from scq.measuring import STATUSES, Figures, measure
from scq.model import Trouble
from scq.report import Report
from scq.showing import seconds, when


def run(ctx: Context, *, exit_code: bool = False) -> Report:
    """Counts by status, the oldest wait, the outbox, what does not work, when each verb last went well, and the sandbox.

    Live jobs are looked at; jobs that are over are counted as of the last sweep. With `exit_code` the code is 3 when jobs wait.
    """
    figures = measure(ctx)
    data: dict[str, Any] = {
        "email": ctx.config.email,
        "root": ctx.config.root,
        "home": ctx.home,
        "counts": figures.counts,
        "oldest_pending": figures.oldest.id if figures.oldest else None,
        "oldest_wait_s": figures.oldest_wait_s,
        "results_waiting": figures.results_waiting,
        "sandbox": ctx.config.sandbox,
        "outbox": figures.outbox,
        "outbox_wait_s": figures.outbox_wait_s,
        "troubles": [_trouble(what, trouble) for what, trouble in figures.troubles.items()],
        "last_ok": {verb: _iso(ended.at) for verb, ended in figures.ended.items()},
        "looked_at": _iso(figures.looked_at),
        "drive": {
            "looked_at": _iso(figures.drive_looked_at),
            "jobs": figures.on_drive,
            "missed": figures.drive_missed,
            "peers": figures.peers,
        },
        "source": {"name": figures.source.name, "ok": figures.source.ok},
    }
    code = ACTION_NEEDED if exit_code and figures.oldest else OK
    return Report("status", data, tuple(_lines(ctx, figures)), figures.problems, code)


def _lines(ctx: Context, figures: Figures) -> list[str]:
    lines = [f"{line(ctx.config.email) or '(no email configured: scq init --email YOU)'}   {line(ctx.config.root, 300)}"]
    lines.append("  ".join(f"{figures.counts[word]} {word}" for word in STATUSES))
    if figures.oldest is not None and figures.oldest_wait_s is not None:
        lines.append(f"waiting longest: {figures.oldest.short_id} {line(figures.oldest.name)}, {seconds(figures.oldest_wait_s)}")
    if figures.results_waiting:
        lines.append(
            f"results waiting for your answer: {figures.results_waiting}; scq output ID, then scq release or scq withhold"
        )
    lines.append(f"last full look: {when(figures.looked_at)}")
    if figures.drive_looked_at is not None:
        lines.append(f"Google Drive: {figures.on_drive} of the waiting jobs; last full look: {when(figures.drive_looked_at)}")
    if figures.peers["pending"]:
        lines.append(f"peers that wait for your answer: {figures.peers['pending']}; scq peers")
    lines.append(_outbox(figures))
    for what, trouble in figures.troubles.items():
        advice = f"; {line(trouble.advice, 300)}" if trouble.advice else ""
        lines.append(f"! {line(what)}: {line(trouble.what, 300)} since {when(trouble.since)}{advice}")
    if ctx.config.sandbox == "none":
        lines.append("sandbox: NONE. Jobs run with the rights of this account; see docs/configuration.md")
    else:
        lines.append(f"sandbox: {ctx.config.sandbox}")
    return lines


def _outbox(figures: Figures) -> str:
    """`outbox: 2 to send, 1 tried again later, 1 uncertain, 5 sent, 1 given up; waiting longest: 3 min 0 s`."""
    box = figures.outbox
    wait = "" if figures.outbox_wait_s is None else f"; waiting longest: {seconds(figures.outbox_wait_s)}"
    parts = [f"{box['queued']} to send"]
    parts += [
        f"{box[word]} {text}" for word, text in (("deferred", "tried again later"), ("ambiguous", "uncertain")) if box[word]
    ]
    parts.append(f"{box['sent']} sent")
    parts += [f"{box['dead']} given up (scq outbox list)"] if box["dead"] else []
    return "outbox: " + ", ".join(parts) + wait


def _trouble(what: str, trouble: Trouble) -> dict[str, Any]:
    return {"where": what, "what": trouble.what, "since": _iso(trouble.since), "advice": trouble.advice}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
