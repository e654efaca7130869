"""The figures of one queue: for the screen of `scq status` and for machines that watch it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import get_args

from msgspec import Struct

from scq.context import Context
from scq.lastcalls import Ended, last_ended
from scq.looking import view
from scq.model import Job, Notification, PeerState, Problem, SourceReport, Trouble
from scq.state import State
from scq.view import awaits_answer, oldest_first, sent_at

STATUSES = ("pending", "approved", "running", "completed", "failed", "rejected")
OUTBOX_STATES = ("queued", "deferred", "ambiguous", "sent", "dead", "dropped", "bundled")
"""As they are counted: what is handed over just now counts as queued."""


class Figures(Struct, frozen=True):
    """How the queue of one owner is doing. Waits are in seconds, None when nothing waits."""

    counts: dict[str, int]
    """Jobs by status."""
    oldest: Job | None
    """The one that waits longest for a decision."""
    oldest_wait_s: float | None
    results_waiting: int
    approval_ends_s: float | None
    """Until the first approval that is in force and not used runs out."""
    outbox: dict[str, int]
    """Messages by state."""
    outbox_wait_s: float | None
    """Of the oldest message still to be sent; what is kept for a digest does not wait."""
    troubles: dict[str, Trouble]
    ended: dict[str, Ended]
    """By scheduled verb."""
    looked_at: datetime | None
    drive_looked_at: datetime | None
    """When everything on Google Drive was last listed; None where it never was."""
    drive_missed: int
    """Messages that such a list held and Drive had not told of before."""
    on_drive: int
    """Jobs that are on Google Drive only."""
    peers: dict[str, int]
    """By state."""
    source: SourceReport
    problems: tuple[Problem, ...]


def measure(ctx: Context) -> Figures:
    """Look at the live jobs and count. Jobs that are over are counted as of the last full look."""
    shown = view(ctx, full=False)
    state = ctx.store.load()
    now = ctx.now()
    jobs = [job for job in shown.jobs().values() if job.sighting.owner == ctx.config.email]
    waiting = oldest_first(job for job in jobs if job.status == "pending")
    counts, unanswered = _counts(ctx, state, jobs)
    return Figures(
        counts=counts,
        oldest=waiting[0] if waiting else None,
        oldest_wait_s=_since(sent_at(waiting[0]), now) if waiting else None,
        results_waiting=unanswered,
        approval_ends_s=_approval_ends(jobs, now),
        outbox=_outbox(state.outbox.values()),
        outbox_wait_s=_outbox_wait(state.outbox.values(), now),
        troubles=dict(sorted(state.troubles.items())),
        ended=last_ended(ctx.home),
        looked_at=state.swept_at,
        drive_looked_at=state.drive.scanned_at,
        drive_missed=state.drive.missed,
        on_drive=sum(job.sighting.where == "drive" for job in jobs),
        peers={word: sum(peer.state == word for peer in state.peers.values()) for word in get_args(PeerState)},
        source=shown.source,
        problems=shown.problems,
    )


def _counts(ctx: Context, state: State, jobs: Iterable[Job]) -> tuple[dict[str, int], int]:
    """Jobs by status, and how many have results that wait for an answer."""
    counts = dict.fromkeys(STATUSES, 0)
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
    return counts, unanswered


def _since(moment: datetime, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds())


def _approval_ends(jobs: Iterable[Job], now: datetime) -> float | None:
    ends = [job.decision.bounds.expires_at for job in jobs if job.status == "approved" and job.decision is not None]
    return min((max(0.0, (end - now).total_seconds()) for end in ends if end is not None), default=None)


def _outbox(rows: Iterable[Notification]) -> dict[str, int]:
    counts = dict.fromkeys(OUTBOX_STATES, 0)
    for row in rows:
        counts["queued" if row.state == "sending" else row.state] += 1
    return counts


def _outbox_wait(rows: Iterable[Notification], now: datetime) -> float | None:
    waiting = {"queued", "sending", "deferred", "ambiguous"}
    waits = [_since(row.created_at, now) for row in rows if row.state in waiting and not row.in_digest]
    return max(waits, default=None)
