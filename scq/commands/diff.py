"""`scq diff`: what changed since the last approved job of the same submitter and name, or against another job."""

from __future__ import annotations

from typing import Any

import msgspec

from scq.clean import block, line
from scq.comparing import Comparison, compare, compare_with
from scq.context import Context
from scq.looking import view
from scq.report import Report
from scq.selecting import select
from scq.view import find


def run(ctx: Context, word: str, *, against: str = "") -> Report:
    """Compare a job file by file with what it should be compared with; files that are equal are left out.

    That is the other job named by `against`; else, when the job changed since it was approved, what was approved; else the
    last approved job of the same submitter and name.
    """
    _, record, job, shown = select(ctx, word)
    if not shown.full:
        shown = view(ctx, full=True)
    if against:
        wanted = find(shown.jobs(), against)
        other = next(other for other in shown.records.values() if other.id == wanted.id)
        found: Comparison | None = compare_with(ctx, record, other)
    else:
        found = compare(ctx, record, shown.records.values())
    if found is None:
        data: dict[str, Any] = {"id": job.id, "against": None, "files": [], "same": False}
        lines = [f"no earlier approved job of {line(job.sighting.submitter)} is called {line(job.name)}"]
        return Report("diff", data, tuple(lines), shown.problems)
    data = {"id": job.id, "against": found.against, "files": msgspec.to_builtins(found.changes), "same": not found.changes}
    head = f"compared with {found.against}" if found.changes else f"no difference from {found.against}"
    return Report("diff", data, (head, *_lines(found)), shown.problems)


def _lines(found: Comparison) -> list[str]:
    lines: list[str] = []
    for change in found.changes:
        lines.extend([f"── {line(change.path, 300)}  {change.change}", *block(change.diff).rstrip("\n").split("\n")])
    return lines
