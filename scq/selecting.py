"""Finding the one job a word on the command line means, looking further only when needed."""

from __future__ import annotations

from scq.context import Context
from scq.errors import UsageError
from scq.looking import View, view
from scq.model import Job, Run
from scq.state import Record
from scq.view import find


def select(ctx: Context, word: str) -> tuple[str, Record, Job, View]:
    """(key, record, job, what was seen). Raises UsageError when no job or several are meant."""
    shown = view(ctx, full=False)
    try:
        job = find(shown.jobs(), word)
    except UsageError:
        shown = view(ctx, full=True)
        job = find(shown.jobs(), word)
    key = next(key for key, record in shown.records.items() if record.id == job.id and record.missing_since is None)
    return key, shown.records[key], job, shown


def advice_at_work(run: Run | None, short_id: str) -> str:
    """What somebody can do about a job that is at work and for that reason is left alone."""
    if run is not None and run.is_out:
        return f"It is out on the cluster. To end it there: scq cancel {short_id}"
    if run is not None and run.phase != "settled":
        return f"To wait for it: scq wait {short_id}. Ctrl-C in the call that runs it ends it."
    return f"See scq show {short_id}"
