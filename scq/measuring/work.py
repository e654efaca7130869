"""The jobs that are at work now: here, on a cluster, or with other software."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import Struct

from scq.context import Context
from scq.model import Job, Whereabouts
from scq.state import Record
from scq.view import job_of


class Work(Struct, frozen=True):
    """A job at work. `alive` says whether its runner lives; None: it is run by other software, or only its cluster could tell."""

    job: Job
    alive: bool | None
    started_at: datetime | None
    """None while it is prepared or waits, or where nobody knows, such as after a power cut."""
    began: bool = False

    @property
    def place(self) -> Whereabouts | None:
        """Where it is on a cluster; None for other runs, and while it is being handed over."""
        return self.job.place

    @property
    def on_cluster(self) -> bool:
        return self.job.run is not None and self.job.run.elsewhere

    @property
    def keeps_a_call(self) -> bool:
        """Whether a call is busy with it. What was handed over keeps none."""
        return bool(self.alive) and not self.on_cluster


class Cluster(Struct, frozen=True):
    """The runs that were handed to a cluster: how many are out, how many may be, and by their state there.

    `waiting`, `running`, `ending` and `unknown` need not sum up to `out`: one may be about to be handed over.
    """

    out: int
    most: int
    waiting: int
    running: int
    ending: int
    unknown: int
    why: str = ""
    """Why it cannot be told of some where they are."""


def at_work(ctx: Context, records: Iterable[Record]) -> Iterator[Work]:
    """The jobs among these that are running, oldest first. Of those on a cluster it is asked once, of all together."""
    running = [record for record in records if record.status == "running"]
    if not running:
        return
    places = ctx.whereabouts(running)
    for record in sorted(running, key=lambda record: (record.first_seen_at, record.id)):
        job = job_of(record, places.get(record.id))
        if record.run is None:
            yield Work(job, None, record.sighting.started_at)
        elif record.run.elsewhere:
            yield _on_cluster(job)
        else:
            yield _here(job, os.path.join(ctx.runs_folder(), record.run.directory))


def _here(job: Job, folder: str) -> Work:
    from scq.executors import rundir
    from scq.formats import parse_time

    at = parse_time(started.started_at) if (started := rundir.read_started(folder)) is not None else None
    return Work(job, rundir.is_locked(folder), at, rundir.was_started(folder))


def _on_cluster(job: Job) -> Work:
    """No process of this machine has to live for it, so it is never cut off: the next call finds out what became of it."""
    place = job.place
    known = place is not None and place.state != "unknown"
    runs = place is not None and place.state == "running"
    return Work(job, True if known else None, place.since if place is not None and runs else None, runs)


def cluster_of(ctx: Context, work: Iterable[Work]) -> Cluster | None:
    """How many runs are on a cluster; None where none is configured and none is out."""
    out = [item for item in work if item.on_cluster]
    if not out and ctx.config.executor == "local":
        return None
    places = [item.place for item in out if item.place is not None]
    counts = {state: sum(place.state == state for place in places) for state in ("waiting", "running", "ending", "unknown")}
    why = next((place.why for place in places if place.state == "unknown" and place.why), "")
    return Cluster(len(out), ctx.config.slurm.max_queued, **counts, why=why)
