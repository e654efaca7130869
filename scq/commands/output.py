"""`scq output`: the result files of a job."""

from __future__ import annotations

import os
from typing import Any

from scq.clean import line
from scq.collecting import Limits, collect
from scq.context import Context
from scq.errors import UsageError
from scq.report import Report
from scq.selecting import select
from scq.showing import size
from scq.tree import DiskTree


def run(ctx: Context, word: str, *, copy_to: str = "", dry_run: bool = False) -> Report:
    """List the result files of one job; with `copy_to` copy them into that folder, which must be empty or not there yet."""
    _, record, job, shown = select(ctx, word)
    tree = DiskTree(ctx.config.root, ctx.config.email)
    results = ctx.layout(record.sighting.ref.layout).results(tree, record.sighting)
    folder = os.path.join(ctx.config.root, results.outputs_dir)
    rows: list[dict[str, Any]] = [
        {"path": path, "size": os.lstat(os.path.join(folder, path)).st_size} for path in results.outputs
    ]
    lines = [f"{size(row['size']):>9}  {line(row['path'], 300)}" for row in rows]
    data = {"id": job.id, "folder": results.outputs_dir, "outputs": rows, "stray": list(results.stray), "copied_to": None}
    lines.extend(f"  not collected by its runner: {line(path, 300)}" for path in results.stray)
    if not rows:
        lines.append(f"no result files ({job.status})")
    if copy_to and rows and not dry_run:
        data["copied_to"] = _copy(ctx, folder, copy_to, len(rows))
        lines.append(f"copied to {copy_to}")
    return Report("output", data, tuple(lines), shown.problems)


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
