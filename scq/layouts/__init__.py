"""One on-disk generation of queue per file. Adding one: its file, one line in `FAMILIES`, its tests, docs/layouts.md."""

from __future__ import annotations

from importlib import import_module

from scq.ports import Layout

FAMILIES = {
    "inbox-review": "scq.layouts.inbox_review:InboxReview",
    "job-markers": "scq.layouts.job_markers:JobMarkers",
    "job-folders": "scq.layouts.job_folders:JobFolders",
    "code-queue": "scq.layouts.code_queue:CodeQueue",
    "code-queue-flat": "scq.layouts.code_queue_flat:CodeQueueFlat",
}
"""Family word to class. Newest first: the order in which a submission looks for a form the target datasite already has."""

GENERATIONS = {
    "c0": "inbox-review",
    "c1": "inbox-review",
    "b2": "job-markers",
    "b1": "job-markers",
    "b0": "job-folders",
    "a3": "code-queue",
}
"""Generations that can be submitted to, and their family."""


def get(family: str, queue_name: str = "code-queue") -> Layout:
    """The layout of one family. `queue_name` is the folder name of the status-folder generations."""
    module, name = FAMILIES[family].split(":")
    kind = getattr(import_module(module), name)
    layout: Layout = kind(queue_name) if family.startswith("code-queue") else kind()
    return layout


def every(queue_name: str = "code-queue") -> dict[str, Layout]:
    """All families by word."""
    return {family: get(family, queue_name) for family in FAMILIES}
