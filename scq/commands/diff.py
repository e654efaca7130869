"""`scq diff`: what changed since the last approved job of the same submitter and name, or against another job."""

from __future__ import annotations

import difflib
from typing import Any

from scq.clean import block, line
from scq.context import Context
from scq.digest import manifest, read_file
from scq.errors import UsageError
from scq.keeping import folder, kept
from scq.looking import View, view
from scq.model import Content, FileEntry
from scq.report import Report
from scq.selecting import select
from scq.state import Record
from scq.view import find, job_of, sent_at

SHOWN_BYTES = 256 << 10


Files = dict[str, tuple[FileEntry, bytes]]


def run(ctx: Context, word: str, *, against: str = "") -> Report:
    """Compare a job file by file with what it should be compared with; files that are equal are left out.

    That is the other job named by `against`; else, when the job changed since it was approved, what was approved; else the
    last approved job of the same submitter and name.
    """
    _, record, job, shown = select(ctx, word)
    if not shown.full:
        shown = view(ctx, full=True)
    found = _reference(ctx, shown, record, against)
    if found is None:
        data: dict[str, Any] = {"id": job.id, "against": None, "files": [], "same": False}
        lines = [f"no earlier approved job of {line(job.sighting.submitter)} is called {line(job.name)}"]
        return Report("diff", data, tuple(lines), shown.problems)
    title, old = found
    changes, lines = _compared(old, _files(ctx, record))
    data = {"id": job.id, "against": title, "files": changes, "same": not changes}
    head = f"compared with {title}" if changes else f"no difference from {title}"
    return Report("diff", data, (head, *lines), shown.problems)


def _reference(ctx: Context, shown: View, record: Record, against: str) -> tuple[str, Files] | None:
    if not against and record.decision is not None and record.decision.digest != record.digest:
        copy = kept(ctx, record.decision.digest)
        if copy is not None:
            return f"what was approved ({record.decision.digest[:19]})", _read(ctx, folder(ctx), copy, record.id)
    other = _other(shown, record, against)
    return None if other is None else (other.id, _files(ctx, other))


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
    return max(same, key=lambda other: sent_at(job_of(other)), default=None)


def _files(ctx: Context, record: Record) -> Files:
    content = ctx.layout(record.sighting.ref.layout).content(record.sighting)
    return _read(ctx, ctx.config.root, content, record.id)


def _read(ctx: Context, root: str, content: Content, job: str) -> Files:
    made = manifest(root, content, ctx.caps)
    if made.invalid:
        raise UsageError(f"{job[:8]} cannot be read: {'; '.join(made.invalid[:3])}", "Only whole submissions are compared.")
    return {entry.path: (entry, read_file(root, content, entry.path, SHOWN_BYTES)) for entry in made.files}


def _compared(old: Files, new: Files) -> tuple[list[dict[str, str]], list[str]]:
    changes: list[dict[str, str]] = []
    lines: list[str] = []
    for path in sorted({*old, *new}):
        before, after = old.get(path), new.get(path)
        if before is not None and after is not None and before[0] == after[0]:
            continue
        kind = "added" if before is None else "removed" if after is None else "changed"
        text = _difference(path, before, after)
        changes.append({"path": path, "change": kind, "diff": text})
        lines.extend([f"── {line(path, 300)}  {kind}", *block(text).rstrip("\n").split("\n")])
    return changes, lines


def _difference(path: str, before: tuple[FileEntry, bytes] | None, after: tuple[FileEntry, bytes] | None) -> str:
    sides = [b"" if side is None else side[1] for side in (before, after)]
    if any(b"\0" in side for side in sides):
        return "binary files differ\n"
    old, new = (side.decode("utf-8", "replace").splitlines(keepends=True) for side in sides)
    text = "".join(difflib.unified_diff(old, new, f"before/{path}", f"after/{path}"))
    if not text and before is not None and after is not None:
        return "the executable bit or what follows the shown part differs\n"
    return text
