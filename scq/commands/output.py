"""`scq output`: the result files of a job."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from scq.acting import OUTPUTS, released_files
from scq.clean import block, line
from scq.collecting import Limits, collect
from scq.context import Context
from scq.errors import UsageError
from scq.model import Job, Problem, Run
from scq.releasing import inspect_outputs, kept_outputs, objection
from scq.report import Report
from scq.selecting import select
from scq.showing import answer_line, size
from scq.state import Record
from scq.tree import DiskTree
from scq.view import answer_dict

if TYPE_CHECKING:
    from scq.findings import Inspected

SHOWN_FINDINGS = 5
"""Of one file, to people; the JSON document has all of them."""


class Listing(Struct, frozen=True):
    """Result files: the folder they lie in (absolute), that folder as the report gives it, and a row for each."""

    folder: str
    shown_folder: str
    rows: list[dict[str, Any]]
    lines: list[str]
    problems: tuple[Problem, ...] = ()


def run(ctx: Context, word: str, *, file: str = "", preview: bool = False, copy_to: str = "", dry_run: bool = False) -> Report:
    """List the result files of one job; with `copy_to` copy them into that folder, which must be empty or not there yet.

    The owner of a job that ran here sees what is kept of its run, held or released, and what a look into each file finds.
    `preview` shows the beginnings of the files, `file` only one of them. Anybody else sees what lies in the job's folder.
    """
    _, record, job, shown = select(ctx, word)
    results = ctx.layout(record.sighting.ref.layout).results(DiskTree(ctx.config.root, ctx.config.email), record.sighting)
    kept = record.run is not None and record.run.phase == "settled" and job.sighting.owner == ctx.config.email
    if kept and record.run is not None:
        listing = _kept(ctx, record, record.run, file, preview=preview or bool(file))
    else:
        listing = _published(ctx, results.outputs_dir, results.outputs, file)
    waits = _waits(ctx, record) if kept else ""
    lines = [*listing.lines, *(f"  not collected by its runner: {line(path, 300)}" for path in results.stray)]
    lines.extend(_closing(record, job, listing, waits, kept=kept))
    data: dict[str, Any] = {
        "id": job.id,
        "folder": listing.shown_folder,
        "outputs": listing.rows,
        "stray": list(results.stray),
        "copied_to": None,
        "results": {"outputs": job.outputs, "logs": job.logs},
        "answer": answer_dict(record.answer),
        "waits": waits,
    }
    if copy_to and listing.rows and not dry_run:
        data["copied_to"] = _copy(ctx, listing.folder, copy_to, len(listing.rows))
        lines.append(f"copied to {copy_to}")
    return Report("output", data, tuple(lines), (*shown.problems, *listing.problems))


def _published(ctx: Context, folder: str, paths: tuple[str, ...], only: str) -> Listing:
    place = os.path.join(ctx.config.root, folder)
    rows = [_row(path, os.lstat(os.path.join(place, path)).st_size, None, released=True) for path in _named(paths, only)]
    lines = [f"{size(row['size']):>9}  {line(row['path'], 300)}" for row in rows]
    return Listing(place, folder, rows, lines)


def _kept(ctx: Context, record: Record, run: Run, only: str, *, preview: bool) -> Listing:
    folder = os.path.join(ctx.runs_folder(), run.directory, OUTPUTS)
    sizes = dict(kept_outputs(ctx, run))
    names = _named(tuple(sizes), only)
    found, problems = inspect_outputs(ctx, record)
    left = {file.path for file in released_files(record)[0]}
    rows = [_row(path, sizes[path], found.get(path), released=path in left) for path in names]
    lines: list[str] = []
    for row in rows:
        lines.extend(_lines(row, preview=preview))
    return Listing(folder, folder, rows, lines, problems)


def _named(paths: tuple[str, ...], only: str) -> tuple[str, ...]:
    if not only:
        return paths
    if only not in paths:
        there = ", ".join(line(path, 100) for path in paths[:20]) or "none at all"
        raise UsageError(f"there is no result file {line(only, 200)!r}", f"There are: {there}.")
    return (only,)


def _row(path: str, length: int, found: Inspected | None, *, released: bool) -> dict[str, Any]:
    return {
        "path": path,
        "size": length,
        "released": released,
        "kind": found.kind if found is not None else None,
        "summary": found.summary if found is not None else "",
        "preview": found.preview if found is not None else "",
        "findings": [{"rule": hint.rule, "line": hint.line, "what": hint.what} for hint in found.findings] if found else [],
    }


def _lines(row: dict[str, Any], *, preview: bool) -> list[str]:
    state = "released" if row["released"] else "held"
    lines = [f"{size(row['size']):>9}  {state:<8}  {line(row['path'], 300)}  {line(row['summary'], 200)}".rstrip()]
    hints = row["findings"]
    lines.extend(f"{'':>9}    ! {hint['rule']}: {line(hint['what'], 300)}" for hint in hints[:SHOWN_FINDINGS])
    if len(hints) > SHOWN_FINDINGS:
        lines.append(f"{'':>9}    ! and {len(hints) - SHOWN_FINDINGS} more")
    if preview and row["preview"]:
        lines.extend(f"{'':>9}    | {text}" for text in block(row["preview"]).rstrip("\n").split("\n"))
    return lines


def _waits(ctx: Context, record: Record) -> str:
    """Why results did not leave by themselves where that is configured."""
    if record.answer is not None or record.run is None or not ctx.config.auto_release.types:
        return ""
    return objection(ctx, record, record.run, record.sighting)


def _closing(record: Record, job: Job, listing: Listing, waits: str, *, kept: bool) -> list[str]:
    if not listing.rows and record.answer is None:
        return [f"no result files ({job.status})"]
    if not kept:
        return []
    if record.answer is not None:
        return [answer_line(record.answer)]
    held = f"held until you answer: scq release {job.short_id} -r REASON, or scq withhold {job.short_id} -r REASON"
    return [held, *([f"did not leave by itself: {waits}"] if waits else [])]


def _copy(ctx: Context, folder: str, target: str, count: int) -> str:
    target = os.path.abspath(os.path.expanduser(target))
    if os.path.isdir(target) and os.listdir(target):
        raise UsageError(f"{target} is not empty", "Name a folder that does not exist yet.")
    limits = Limits(files=count, bytes=ctx.config.output_bytes)
    parent, name = os.path.split(folder)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    found = collect(parent, (name,), target, limits)
    if found.left:
        raise UsageError(f"not everything was copied: {'; '.join(found.left[:5])}", f"See {target}")
    return target
