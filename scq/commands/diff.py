"""`scq diff`: what changed since the last approved job of the same submitter and name, or against another job."""

from __future__ import annotations

import difflib
from typing import Any

from scq.clean import block, line
from scq.context import Context
from scq.digest import manifest, read_file
from scq.errors import UsageError
from scq.looking import View
from scq.model import Content, FileEntry
from scq.report import Report
from scq.selecting import select
from scq.state import Record
from scq.view import find, job_of, sent_at

SHOWN_BYTES = 256 << 10


def run(ctx: Context, word: str, *, against: str = "") -> Report:
    """Compare the content of two jobs file by file. Files that are equal are left out."""
    _, record, job, shown = select(ctx, word)
    if not shown.full:
        from scq.looking import view

        shown = view(ctx, full=True)
    other = _other(shown, record, against)
    if other is None:
        data: dict[str, Any] = {"id": job.id, "against": None, "files": [], "same": False}
        lines = [f"no earlier approved job of {line(job.sighting.submitter)} is called {line(job.name)}"]
        return Report("diff", data, tuple(lines), shown.problems)
    old, new = _files(ctx, other), _files(ctx, record)
    changes: list[dict[str, str]] = []
    lines = []
    for path in sorted({*old, *new}):
        before, after = old.get(path), new.get(path)
        if before is not None and after is not None and before[0] == after[0]:
            continue
        kind = "added" if before is None else "removed" if after is None else "changed"
        text = _difference(path, before, after)
        changes.append({"path": path, "change": kind, "diff": text})
        lines.extend([f"── {line(path, 300)}  {kind}", *block(text).rstrip("\n").split("\n")])
    if not changes:
        lines = [f"no difference from {other.id[:8]}"]
    data = {"id": job.id, "against": other.id, "files": changes, "same": not changes}
    return Report("diff", data, tuple(lines), shown.problems)


def _other(shown: View, record: Record, against: str) -> Record | None:
    if against:
        wanted = find(shown.jobs(), against)
        return next(other for other in shown.records.values() if other.id == wanted.id)
    same = [
        other
        for other in shown.records.values()
        if other.id != record.id
        and other.sighting.submitter == record.sighting.submitter
        and other.sighting.name == record.sighting.name
        and (other.status in ("approved", "running", "completed") or (other.decision and other.decision.verdict == "approve"))
    ]
    if record.sighting.owner == record.sighting.submitter and not same:
        return None
    return max(same, key=lambda other: sent_at(job_of(other)), default=None)


def _files(ctx: Context, record: Record) -> dict[str, tuple[FileEntry, bytes]]:
    content = ctx.layout(record.sighting.ref.layout).content(record.sighting)
    made = manifest(ctx.config.root, content, ctx.caps)
    if made.invalid:
        raise UsageError(f"{record.id[:8]} cannot be read: {'; '.join(made.invalid[:3])}", "Only whole submissions are compared.")
    return {entry.path: (entry, _bytes(ctx, content, entry)) for entry in made.files}


def _bytes(ctx: Context, content: Content, entry: FileEntry) -> bytes:
    return read_file(ctx.config.root, content, entry.path, SHOWN_BYTES)


def _difference(path: str, before: tuple[FileEntry, bytes] | None, after: tuple[FileEntry, bytes] | None) -> str:
    sides = [b"" if side is None else side[1] for side in (before, after)]
    if any(b"\0" in side for side in sides):
        return "binary files differ\n"
    old, new = (side.decode("utf-8", "replace").splitlines(keepends=True) for side in sides)
    text = "".join(difflib.unified_diff(old, new, f"before/{path}", f"after/{path}"))
    if not text and before is not None and after is not None:
        return "the executable bit or what follows the shown part differs\n"
    return text
