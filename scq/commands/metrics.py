"""`scq metrics`: the figures of the queue in the text form that Prometheus reads (exposition format 0.0.4).

No label names a job or a person.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from scq import __version__
from scq.context import Context
from scq.errors import UsageError
from scq.files import write_atomic
from scq.measuring import Figures, measure
from scq.model import Problem
from scq.report import Report
from scq.syftbox import lies_inside

ENDING = ".prom"
"""A collector of text files reads names that end so, and no others."""
READABLE = 0o644


class Family(Struct, frozen=True):
    """One metric, a gauge: its name and meaning, and (labels, value) of each sample."""

    name: str
    help: str
    samples: tuple[tuple[dict[str, str], float], ...]


def run(ctx: Context, *, textfile: str = "") -> Report:
    """Count once, and print the metrics or write them into `textfile`, which is replaced as a whole (mode 0644).

    Raises UsageError for a place that holds anything but a plain file, whose folder is not there, or that others would get with
    the SyftBox folder.
    """
    path = _place(ctx, textfile) if textfile else ""
    figures = measure(ctx)
    families = [family for family in _families(figures) if family.samples]
    text = exposition(families)
    problems = list(figures.problems)
    if path:
        write_atomic(path, text.encode("utf-8"), mode=READABLE, sync=False)
        if not path.endswith(ENDING):
            problems.append(Problem(path, f"does not end in {ENDING}", "A collector of text files passes over other names."))
    data: dict[str, Any] = {
        "metrics": [
            {"name": family.name, "labels": labels, "value": value} for family in families for labels, value in family.samples
        ],
        "textfile": path or None,
    }
    return Report("metrics", data, () if path else tuple(text.splitlines()), tuple(problems))


def _place(ctx: Context, textfile: str) -> str:
    path = os.path.abspath(os.path.expanduser(textfile))
    if not os.path.isdir(os.path.dirname(path)):
        raise UsageError(f"{os.path.dirname(path)} is not a folder", "Make it first, or choose another --textfile.")
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise UsageError(f"{path} is no plain file", "Links, pipes, devices and folders are not replaced.")
    if ctx.config.root and lies_inside(os.path.dirname(path), ctx.config.root):
        raise UsageError(
            f"{path} lies inside the SyftBox folder", "What lies there is sent to others: choose another --textfile."
        )
    return path


def exposition(families: Iterable[Family]) -> str:
    """The families as text, each line ended."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {_escaped(family.help)}")
        lines.append(f"# TYPE {family.name} gauge")
        lines.extend(f"{family.name}{_labels(labels)} {_number(value)}" for labels, value in family.samples)
    return "".join(line + "\n" for line in lines)


def _labels(labels: dict[str, str]) -> str:
    shown = ",".join(f'{name}="{_escaped(value, quote=True)}"' for name, value in labels.items())
    return f"{{{shown}}}" if shown else ""


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(value, 3))


def _families(figures: Figures) -> Iterator[Family]:
    yield _one("scq_build_info", "The version of scq, always 1.", 1, version=__version__)
    yield _one("scq_source_up", "Whether the SyftBox folder could be read.", figures.source.ok)
    yield _by("scq_jobs", "Jobs by status.", "status", figures.counts)
    yield _one("scq_oldest_pending_seconds", "How long the oldest job has waited for a decision.", figures.oldest_wait_s or 0)
    yield _one("scq_results_waiting", "Jobs whose results wait for an answer.", figures.results_waiting)
    ends = "Until the first approval that was not used runs out."
    yield Family("scq_approval_expiring_seconds", ends, _some(figures.approval_ends_s))
    yield _one("scq_jobs_on_drive", "Waiting jobs that are on Google Drive only.", figures.on_drive)
    yield _by("scq_peers", "Peers by state.", "state", figures.peers)
    yield _one("scq_drive_missed_messages", "Messages that Google Drive told of only in a full list.", figures.drive_missed)
    yield _by("scq_outbox", "Messages by state.", "state", figures.outbox)
    yield _one("scq_outbox_oldest_seconds", "Age of the oldest message still to be sent.", figures.outbox_wait_s or 0)
    yield _by("scq_troubles", "What does not work now.", "what", dict.fromkeys(figures.troubles, 1))
    stamps = {verb: ended.at.timestamp() for verb, ended in figures.ended.items()}
    yield _by("scq_last_success_timestamp_seconds", "When a scheduled verb last ended well.", "verb", stamps)
    took = {verb: ended.took_s for verb, ended in figures.ended.items()}
    yield _by("scq_last_success_duration_seconds", "How long that call took.", "verb", took)
    yield from _schedule(figures)
    cut_off = sum(work.alive is False for work in figures.work)
    yield _one("scq_runs_cut_off", "Runs whose runner is gone; the next call that runs jobs ends them.", cut_off)
    yield from _cluster(figures)
    room = "Room for scq's own folder and for the SyftBox folder; given once where that is one disk."
    yield _by("scq_disk_free_bytes", room, "folder", {str(disk.name): disk.free for disk in figures.disks})


def _schedule(figures: Figures) -> Iterator[Family]:
    installed = None if figures.plan_damage else float(figures.plan is not None)
    yield Family("scq_schedule_installed", "Whether scq installed something that makes calls.", _some(installed))
    calls = figures.plan.calls if figures.plan is not None else ()
    yield _by("scq_schedule_interval_seconds", "How often a task is called.", "task", {call.name: call.every for call in calls})
    overdue = "For how long a good end of a task has been overdue; 0: it is not."
    yield _by("scq_schedule_overdue_seconds", overdue, "task", {call.name: call.late_s for call in calls})


def _cluster(figures: Figures) -> Iterator[Family]:
    """Nothing where no cluster is used."""
    cluster = figures.cluster
    if cluster is None:
        return
    states = {name: getattr(cluster, name) for name in ("waiting", "running", "ending", "unknown")}
    yield _by("scq_cluster_runs", "Runs on the cluster, by their state there.", "state", states)
    yield _one("scq_cluster_runs_out", "Runs that were handed to the cluster and are not over.", cluster.out)
    yield _one("scq_cluster_runs_most", "How many runs may be on the cluster at once.", cluster.most)


def _one(name: str, help: str, value: float, **labels: str) -> Family:
    return Family(name, help, ((labels, float(value)),))


def _some(value: float | None) -> tuple[tuple[dict[str, str], float], ...]:
    return () if value is None else (({}, value),)


def _by(name: str, help: str, label: str, values: dict[str, Any]) -> Family:
    return Family(name, help, tuple(({label: word}, float(value)) for word, value in values.items()))
