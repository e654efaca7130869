"""`scq logs`: what a job wrote to its standard output and error output."""

from __future__ import annotations

import os

from scq.clean import block
from scq.context import Context
from scq.errors import InvalidFileError, UsageError
from scq.files import read_bytes
from scq.report import Report
from scq.selecting import select
from scq.state import Record
from scq.tree import DiskTree

LIMIT = 64 << 20


def run(ctx: Context, word: str, *, stderr: bool = False, stdout: bool = False) -> Report:
    """Show the logs of one job: those kept from its run here, else those its folders hold. Both streams unless one is named."""
    _, record, job, shown = select(ctx, word)
    texts = _kept(ctx, record) or _published(ctx, record)
    if not texts:
        raise UsageError(f"{job.short_id} has no logs", f"It is {job.status}; see scq show {job.short_id}")
    wanted = [
        name for name in texts if (not stderr and not stdout) or (stderr and name == "stderr") or (stdout and name != "stderr")
    ]
    lines: list[str] = []
    for name in wanted:
        if len(wanted) > 1:
            lines.append(f"── {name}")
        lines.extend(block(texts[name]).rstrip("\n").split("\n") if texts[name] else [])
    return Report("logs", {"id": job.id, "logs": {name: texts[name] for name in wanted}}, tuple(lines), shown.problems)


def _kept(ctx: Context, record: Record) -> dict[str, str]:
    if record.run is None:
        return {}
    folder = os.path.join(ctx.runs_folder(), record.run.directory)
    paths = {name: os.path.join(folder, f"{name}.txt") for name in ("stdout", "stderr")}
    return {name: _text(path) for name, path in paths.items() if os.path.lexists(path)}


def _published(ctx: Context, record: Record) -> dict[str, str]:
    tree = DiskTree(ctx.config.root, ctx.config.email)
    results = ctx.layout(record.sighting.ref.layout).results(tree, record.sighting)
    texts: dict[str, str] = {}
    for path in results.logs:
        name = path.rsplit("/", 1)[-1].removesuffix(".txt").removesuffix(".log")
        if name != "returncode":
            texts[name] = _text(os.path.join(ctx.config.root, path))
    if not texts and record.sighting.layout.startswith("a"):
        texts = _from_metadata(ctx, record)
    return texts


def _from_metadata(ctx: Context, record: Record) -> dict[str, str]:
    """In the status-folder generation a submitter finds the logs inside metadata.json only."""
    from scq.files import read_text
    from scq.formats import parse_json, text

    path = os.path.join(ctx.config.root, record.sighting.path, "metadata.json")
    try:
        logs = text(parse_json(read_text(path, 16 << 20), path).get("logs"), 16 << 20)
    except InvalidFileError:
        return {}
    return {"execution": logs} if logs else {}


def _text(path: str) -> str:
    return read_bytes(path, LIMIT).decode("utf-8", "replace")
