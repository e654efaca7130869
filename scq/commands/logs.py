"""`scq logs`: what a job wrote to its standard output and error output, or what a service did."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import msgspec

from scq.clean import log
from scq.context import Context
from scq.errors import InvalidFileError, UsageError
from scq.files import read_bytes
from scq.journal import error_log_file, log_file
from scq.journal.reading import follow, parsed, tail
from scq.report import Report
from scq.selecting import select
from scq.services import SERVICES
from scq.state import Record
from scq.tree import DiskTree

LIMIT = 64 << 20
LINES = 50
"""Shown of the log of a service, where nothing else is asked for."""


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
        lines.extend(log(texts[name]).rstrip("\n").split("\n") if texts[name] else [])
    return Report("logs", {"id": job.id, "logs": {name: texts[name] for name in wanted}}, tuple(lines), shown.problems)


def is_service(word: str) -> bool:
    """Whether a word names a service: its log is shown, even if a job has that name, too."""
    return word in SERVICES


def service(ctx: Context, name: str, *, lines: int = LINES, errors: bool = False, run_id: str = "") -> Report:
    """Show the last lines of the log of a service, also from the files put aside. Raises InvalidFileError.

    `errors`: only warnings and errors. `run_id`: only those of one call, by its id or a beginning of it.
    """
    path = _path(ctx, name, errors)
    found = tail(path, lines, _of(run_id))
    data = {"service": name, "path": path, "lines": [msgspec.to_builtins(parsed(text)) for text in found]}
    shown = found or ([f"no such line in {path}"] if os.path.exists(path) else [f"nothing was logged yet: {path} is not there"])
    return Report("logs", data, tuple(shown))


def following(ctx: Context, name: str, *, lines: int = LINES, errors: bool = False, run_id: str = "") -> Iterator[str]:
    """As `service`, and then every new line as it comes, until the caller stops. Raises InvalidFileError."""
    return follow(_path(ctx, name, errors), lines, keep=_of(run_id))


def _path(ctx: Context, name: str, errors: bool) -> str:
    return error_log_file(ctx.home, name) if errors else log_file(ctx.home, name)


def _of(run_id: str) -> Callable[[str], bool] | None:
    return (lambda text: run_id in text and parsed(text).run.startswith(run_id)) if run_id else None


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
