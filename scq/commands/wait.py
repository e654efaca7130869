"""`scq wait`: look again and again until a job is over. The only verb that stays, and only as long as it is told to."""

from __future__ import annotations

import time
from collections.abc import Callable

from scq.clean import line
from scq.context import Context
from scq.errors import BUSY, JOB_FAILED, OK
from scq.model import FINISHED, Job
from scq.report import Report
from scq.selecting import select
from scq.view import as_dict

Progress = Callable[[Job], None]


def run(ctx: Context, word: str, *, timeout: float = 600.0, interval: float = 2.0, progress: Progress | None = None) -> Report:
    """Wait until one job is completed, failed or rejected. Exit code 0, 4 when it did not complete, 75 when time ran out."""
    deadline = time.monotonic() + timeout
    _, record, job, shown = select(ctx, word)
    known = job.status
    while job.status not in FINISHED:
        if progress is not None and job.status != known:
            progress(job)
        known = job.status
        left = deadline - time.monotonic()
        if left <= 0:
            text = f"{job.short_id} is still {job.status} after {timeout:g} s"
            return Report("wait", as_dict(job), (), shown.problems, BUSY, (text,))
        time.sleep(min(interval, max(0.01, left)))
        _, record, job, shown = select(ctx, record.id)
    code = OK if job.status == "completed" else JOB_FAILED
    why = line(job.sighting.reason or job.sighting.error or "", 300)
    text = f"{job.short_id}  {job.status}  {line(job.name)}" + (f": {why}" if why and code else "")
    return Report("wait", as_dict(job), (text,), shown.problems, code)
