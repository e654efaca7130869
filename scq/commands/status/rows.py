"""The screen of `scq status` below what needs a person: every group of facts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

from scq.clean import line
from scq.commands.status.notices import DRIVES
from scq.commands.status.screen import Row, ago, count, interval, lasting
from scq.context import Context
from scq.measuring import Cluster, Figures, SignIn, Source, Work
from scq.model import STATUSES
from scq.showing import seconds, size, when, where_note

SHOWN_OUT = 8
"""Jobs on a cluster that are shown one by one."""


def rows_of(ctx: Context, figures: Figures, signed: tuple[SignIn, ...]) -> Iterator[Row]:
    now = ctx.now()
    yield Row("jobs", text="  ".join(f"{figures.counts[word]} {word}" for word in STATUSES))
    shown = [work for work in figures.work if not work.on_cluster]
    out = sorted((work for work in figures.work if work.on_cluster), key=_turn)
    for work in (*shown, *out[:SHOWN_OUT]):
        yield _work_row(work, now)
    if figures.cluster is not None:
        yield Row("cluster", text=_cluster(figures.cluster, len(out) - SHOWN_OUT))
    for source in figures.sources:
        yield _source_row(source, figures, now)
    yield from _plan_rows(figures, now)
    yield Row("messages", text=_outbox(figures))
    for channel in figures.channels:
        sent = f", last message {ago(channel.sent_at, now)}" if channel.sent_at else ""
        yield Row("channels", line(channel.name, 24), "FAIL" if channel.trouble else "ok", f"{channel.type}{sent}")
    if not figures.channels:
        yield Row("channels", "", "none", "nobody is told anything; put one under channels: in config.yaml")
    for item in signed:
        word = {"ok": "ok", "ending": "ends"}.get(item.state, "FAIL")
        what = "cannot be used, see above" if item.state == "unusable" else item.what
        yield Row("sign-ins", item.name, word, f"until {when(item.ends_at)}" if item.ends_at else what)
    if ctx.config.sandbox == "none":
        yield Row("sandbox", "", "NONE", "jobs run with the rights of this account; see docs/configuration.md")
    else:
        yield Row("sandbox", "", "", ctx.config.sandbox)
    for disk in figures.disks:
        place = "" if len(figures.disks) == 1 else " for scq" if disk.name == "home" else " for the SyftBox folder"
        yield Row("disk", "", disk.state if disk.state != "full" else "FULL", f"{size(disk.free)} free{place}")


def _turn(work: Work) -> tuple[int, float, str]:
    """What runs comes first, then what is over, and what waits in its turn."""
    place = work.place
    if place is None:
        return 3, 0.0, work.job.id
    order = {"running": 0, "ending": 1, "waiting": 2}.get(place.state, 3)
    return order, math.inf if place.position is None else place.position, work.job.id


def _work_row(work: Work, now: datetime) -> Row:
    run = work.job.run
    head = f"{work.job.short_id} {line(work.job.name, 40)}"
    if work.on_cluster:
        return Row("running", head, "", _cluster_words(work, now))
    if work.alive is None:
        return Row("running", head, "", "by other software" + (f", {lasting(work.started_at, now)}" if work.started_at else ""))
    attempt = f", attempt {run.attempt}" if run is not None and run.attempt > 1 else ""
    if not work.alive:
        return Row("running", head, "FAIL", f"its runner is gone{attempt}")
    return Row("running", head, "", (lasting(work.started_at, now) if work.started_at else "being prepared") + attempt)


def _cluster_words(work: Work, now: datetime) -> str:
    """Where a job on a cluster is, and for how long it has been running."""
    run, place = work.job.run, work.place
    attempt = f", attempt {run.attempt}" if run is not None and run.attempt > 1 else ""
    if place is None:
        return f"about to be handed over to the cluster{attempt}"
    ran = f", {lasting(work.started_at, now)}" if work.started_at else ""
    return f"{where_note(place)}{ran}{attempt}"


def _cluster(cluster: Cluster, more: int) -> str:
    """`12 jobs out (9 waiting, 3 running); at most 200 (executor.slurm.max_queued)`."""
    words = (("waiting", "waiting"), ("running", "running"), ("ending", "over and to be taken over"), ("unknown", "not known"))
    parts = [f"{getattr(cluster, name)} {word}" for name, word in words if getattr(cluster, name)]
    states = f" ({', '.join(parts)})" if parts else ""
    rest = f"; {more} more: scq list --status running" if more > 0 else ""
    return f"{count(cluster.out, 'job', 'jobs')} out{states}; at most {cluster.most} (executor.slurm.max_queued){rest}"


def _source_row(source: Source, figures: Figures, now: datetime) -> Row:
    if not source.ok:
        since = f" since {when(source.since)}" if source.since else ""
        return Row("sources", DRIVES[source.name], "FAIL", f"{line(source.what, 200)}{since}")
    looked = f"looked at {ago(source.looked_at, now)}" if source.looked_at else "never looked at; scq check looks once"
    only = f"; {count(figures.on_drive, 'job', 'jobs')} there only" if source.name == "drive" and figures.on_drive else ""
    return Row("sources", DRIVES[source.name], "ok" if source.looked_at else "none", f"{looked}{only}")


def _plan_rows(figures: Figures, now: datetime) -> Iterator[Row]:
    """What is called at intervals; where nothing is installed, what was called by somebody else."""
    plan = figures.plan
    if plan is None:
        known = ("none", "nothing is installed; scq schedule install")
        yield Row("schedule", "", *(("FAIL", "what is installed cannot be told, see above") if figures.plan_damage else known))
        calls = sorted(figures.ended.items(), key=lambda item: item[1].at)
        if calls:
            verb, ended = calls[-1]
            yield Row("schedule", text=f"last good call: {verb}, {ago(ended.at, now)}")
        return
    for call in plan.calls:
        last = "never went well yet" if call.last is None else f"went well {ago(call.last.at, now)}"
        text = f"{last}, every {interval(call.every)} by {plan.scheduler}"
        state = "stopped" if call.stopped else "late" if call.late_s else "ok" if call.last else ""
        yield Row("schedule", call.name, state, text)


def _outbox(figures: Figures) -> str:
    """`2 to send, 1 tried again later, 1 uncertain, 5 sent, 1 given up; waiting longest: 3 min 0 s`."""
    box = figures.outbox
    wait = "" if figures.outbox_wait_s is None else f"; waiting longest: {seconds(figures.outbox_wait_s)}"
    parts = [f"{box['queued']} to send"]
    parts += [
        f"{box[word]} {text}" for word, text in (("deferred", "tried again later"), ("ambiguous", "uncertain")) if box[word]
    ]
    parts.append(f"{box['sent']} sent")
    parts += [f"{box['dead']} given up (scq outbox list)"] if box["dead"] else []
    return ", ".join(parts) + wait
