"""`scq list`: every job this person owns or has submitted."""

from __future__ import annotations

from msgspec.structs import replace

from scq.context import Context
from scq.looking import View, view
from scq.model import Job
from scq.report import Report
from scq.showing import jobs_table
from scq.view import as_dict, oldest_first, status_word


def run(
    ctx: Context,
    *,
    status: str = "",
    submitter: str = "",
    tag: str = "",
    text: str = "",
    mine: bool = False,
    for_me: bool = False,
    limit: int | None = None,
) -> Report:
    """List jobs, oldest first. Filters narrow the list together; `limit` keeps the newest ones after filtering and sorting.

    Raises UsageError for a status that is none.
    """
    status_word(status)
    shown = view(ctx, full=True)
    wanted = [
        job
        for job in oldest_first(shown.jobs().values())
        if _concerns(job, ctx.config.email, mine=mine, for_me=for_me) and _fits(job, status, submitter, tag, text)
    ]
    jobs = _placed(ctx, shown, wanted if limit is None else wanted[max(0, len(wanted) - limit) :])
    data = {"jobs": [as_dict(job) for job in jobs], "total": len(wanted)}
    return Report("list", data, tuple(jobs_table(jobs, ctx.config.email)), shown.problems)


def _placed(ctx: Context, shown: View, jobs: list[Job]) -> list[Job]:
    """The jobs, those on a cluster with where they are there: it is asked once for all of them, and not at all without one."""
    listed = {job.id for job in jobs if job.status == "running"}
    places = ctx.whereabouts(record for record in shown.records.values() if record.id in listed)
    # A stranger can give a job of somebody else the same id.
    return [replace(job, place=places.get(job.id)) if job.run is not None and job.run.is_out else job for job in jobs]


def _concerns(job: Job, me: str, *, mine: bool, for_me: bool) -> bool:
    owned = job.sighting.owner == me
    submitted = job.sighting.submitter.lower() == me
    if mine and not for_me:
        return submitted
    if for_me and not mine:
        return owned
    return owned or submitted


def _fits(job: Job, status: str, submitter: str, tag: str, text: str) -> bool:
    sighting = job.sighting
    words = f"{job.name}\n{sighting.submitter}\n{sighting.owner}\n{sighting.description}\n{job.id}".lower()
    return (
        (not status or job.status == status)
        and (not submitter or sighting.submitter.lower() == submitter.lower())
        and (not tag or tag in sighting.tags)
        and (not text or text.lower() in words)
    )
