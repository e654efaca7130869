"""`scq review`: read everything of a job that can execute, and remember which content was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from scq.clean import block, line
from scq.context import Context
from scq.digest import manifest, read_file
from scq.errors import UsageError
from scq.looking import observe
from scq.model import Content, FileEntry, Manifest
from scq.report import Report
from scq.selecting import select
from scq.showing import card, size
from scq.state import Record, State
from scq.view import as_dict

SHOWN_BYTES = 256 << 10
"""Longest file that is shown whole; the rest of a longer one is named, never hidden."""

Paint = Callable[[str, str], str]
"""(path, cleaned text) → text with syntax colours."""


def run(ctx: Context, word: str, *, file: str = "", paint: Paint | None = None, remember: bool = True) -> Report:
    """Show one job: run.sh first, then every other file with its size, the digest, and why it cannot be run, if so.

    Reading the whole job (no `file`) notes the digest as reviewed; `scq approve` refuses when the content differs then.
    """
    key, record, job, shown = select(ctx, word)
    content = ctx.layout(record.sighting.ref.layout).content(record.sighting)
    made = manifest(ctx.config.root, content, ctx.caps)
    entries = _wanted(made, content, file)
    texts = [(entry, *_text(ctx, content, entry)) for entry in entries]
    files = [_file(entry, text, whole) for entry, text, whole in texts]
    data = as_dict(job) | {"digest": made.digest or None, "invalid": list(made.invalid or job.invalid), "files": files}
    lines = [] if file else card(replace(job, digest=made.digest or None, invalid=made.invalid or job.invalid))
    for entry, text, whole in texts:
        lines.extend(_shown(entry, text, whole, paint))
    if not file and not made.invalid:
        lines.extend(
            ["", f"to approve exactly this:  scq approve {job.short_id}", f"to refuse:  scq reject {job.short_id} -r REASON"]
        )
    if remember and not file and made.digest and record.sighting.owner == ctx.config.email:
        observe(ctx)
        ctx.store.update(lambda state: _reviewed(state, key, record, made.digest))
    return Report("review", data, tuple(lines), shown.problems)


def _reviewed(state: State, key: str, seen: Record, digest: str) -> State:
    if key not in state.jobs and seen.status in ("completed", "failed", "rejected"):
        return state
    record = state.jobs.get(key, seen)
    return replace(state, jobs={**state.jobs, key: replace(record, reviewed=digest)})


def _wanted(made: Manifest, content: Content, file: str) -> list[FileEntry]:
    ordered = sorted(made.files, key=lambda entry: (entry.path != content.run_sh, entry.path))
    if not file:
        return ordered
    chosen = [entry for entry in ordered if entry.path == file]
    if not chosen:
        names = ", ".join(line(entry.path, 80) for entry in ordered[:20])
        raise UsageError(f"no file {file!a} in this job", f"It has: {names}")
    return chosen


def _text(ctx: Context, content: Content, entry: FileEntry) -> tuple[str | None, bool]:
    """(text or None for a binary file, whether that is all of it)."""
    raw = read_file(ctx.config.root, content, entry.path, SHOWN_BYTES)
    if b"\0" in raw:
        return None, False
    return raw.decode("utf-8", "replace"), len(raw) >= entry.size


def _file(entry: FileEntry, text: str | None, whole: bool) -> dict[str, Any]:
    return {
        "path": entry.path,
        "size": entry.size,
        "executable": entry.executable,
        "sha256": entry.sha256,
        "text": text,
        "whole": whole,
    }


def _shown(entry: FileEntry, text: str | None, whole: bool, paint: Paint | None) -> list[str]:
    mark = " (executable)" if entry.executable else ""
    lines = ["", f"── {line(entry.path, 300)}  {size(entry.size)}{mark}"]
    if text is None:
        return [*lines, f"   binary, sha256 {entry.sha256}"]
    cleaned = block(text)
    body = paint(entry.path, cleaned) if paint is not None else cleaned
    lines.extend(body.rstrip("\n").split("\n"))
    if not whole:
        lines.append(f"   … shown are the first {size(SHOWN_BYTES)} of {size(entry.size)}; sha256 {entry.sha256}")
    return lines
