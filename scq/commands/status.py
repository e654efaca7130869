"""`scq status`: the one screen that says how the queue is doing."""

from __future__ import annotations

from typing import Any

from scq.clean import line
from scq.context import Context
from scq.errors import ACTION_NEEDED, OK
from scq.looking import view
from scq.model import Job
from scq.report import Report
from scq.showing import seconds, when
from scq.view import awaits_answer, oldest_first, sent_at

WORDS = ("pending", "approved", "running", "completed", "failed", "rejected")


def run(ctx: Context, *, exit_code: bool = False) -> Report:
    """Counts by status, the oldest wait, when each verb last looked, the outbox and the sandbox.

    Live jobs are looked at; jobs that are over are counted as of the last sweep. With `exit_code` the code is 3 when jobs wait.
    """
    shown = view(ctx, full=False)
    state = ctx.store.load()
    counts = dict.fromkeys(WORDS, 0)
    jobs = [job for job in shown.jobs().values() if job.sighting.owner == ctx.config.email]
    for job in jobs:
        counts[job.status] += 1
    for status, number in ctx.store.finished_counts().items():
        counts[status] = counts.get(status, 0) + number
    unanswered = ctx.store.finished_unanswered() + sum(awaits_answer(record) for record in state.jobs.values())
    for key in state.jobs:
        came_back = ctx.store.finished_record(key)
        if came_back is not None:  # still remembered as over, too, until the next full look
            counts[came_back.status] -= 1
            unanswered -= awaits_answer(came_back)
    waiting = oldest_first(job for job in jobs if job.status == "pending")
    outbox = _outbox(state.outbox.values())
    data: dict[str, Any] = {
        "email": ctx.config.email,
        "root": ctx.config.root,
        "home": ctx.home,
        "counts": counts,
        "oldest_pending": waiting[0].id if waiting else None,
        "oldest_wait_s": _wait(ctx, waiting[0]) if waiting else None,
        "results_waiting": unanswered,
        "sandbox": ctx.config.sandbox,
        "outbox": outbox,
        "looked_at": _iso(state.swept_at),
        "source": {"name": shown.source.name, "ok": shown.source.ok},
    }
    lines = _lines(ctx, data, waiting, when(state.swept_at))
    code = ACTION_NEEDED if exit_code and waiting else OK
    return Report("status", data, tuple(lines), shown.problems, code)


def _lines(ctx: Context, data: dict[str, Any], waiting: list[Job], swept: str) -> list[str]:
    lines = [f"{line(ctx.config.email) or '(no email configured: scq init --email YOU)'}   {line(ctx.config.root, 300)}"]
    lines.append("  ".join(f"{data['counts'][word]} {word}" for word in WORDS))
    if waiting:
        first = waiting[0]
        lines.append(f"waiting longest: {first.short_id} {line(first.name)}, {seconds(data['oldest_wait_s'])}")
    if data["results_waiting"]:
        lines.append(
            f"results waiting for your answer: {data['results_waiting']}; scq output ID, then scq release or scq withhold"
        )
    lines.append(f"last full look: {swept}")
    box = data["outbox"]
    lines.append(f"outbox: {box['queued']} to send, {box['sent']} sent, {box['failed']} failed")
    if ctx.config.sandbox == "none":
        lines.append("sandbox: NONE. Jobs run with the rights of this account; see docs/configuration.md")
    else:
        lines.append(f"sandbox: {ctx.config.sandbox}")
    return lines


def _wait(ctx: Context, job: Job) -> float:
    return max(0.0, (ctx.now() - sent_at(job)).total_seconds())


def _outbox(rows: Any) -> dict[str, int]:
    counts = {"queued": 0, "sent": 0, "failed": 0}
    for row in rows:
        word = {"queued": "queued", "sending": "queued", "sent": "sent"}.get(row.state, "failed")
        counts[word] += 1
    return counts


def _iso(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
