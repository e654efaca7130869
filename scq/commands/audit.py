"""`scq audit show`: who decided what, on which content, and what was run."""

from __future__ import annotations

from scq.audit import read_rows
from scq.clean import line
from scq.context import Context
from scq.errors import INTEGRITY, OK
from scq.model import AuditRow, Problem
from scq.report import Report
from scq.showing import when


def show(ctx: Context, *, job: str = "", limit: int | None = None) -> Report:
    """The audit log, oldest row first; `job` keeps the rows of one id or its beginning. Exit code 5 when a seal is broken."""
    rows = []
    problems: list[Problem] = []
    for row, sealed in read_rows(ctx.store.audit_path):
        if not sealed:
            problems.append(
                Problem(ctx.store.audit_path, f"row {row.n} does not follow from the row before it", "Compare it with a backup.")
            )
        if not job or row.job.startswith(job):
            rows.append(row)
    rows = rows if limit is None else rows[max(0, len(rows) - limit) :]
    lines = [_line(row) for row in rows]
    data = {
        "rows": [
            {
                "n": row.n,
                "at": row.at.isoformat().replace("+00:00", "Z"),
                "what": row.what,
                "by": row.by,
                "job": row.job,
                "ref": row.ref,
                "digest": row.digest,
                "detail": row.detail,
            }
            for row in rows
        ],
        "sealed": not problems,
    }
    return Report("audit", data, tuple(lines), tuple(problems), INTEGRITY if problems else OK)


def _line(row: AuditRow) -> str:
    cells = (
        f"{row.n:>5}",
        when(row.at),
        f"{row.what:<8}",
        f"{row.job[:8]:<8}",
        line(row.by, 60),
        row.digest[:19],
        line(row.detail, 200),
    )
    return "  ".join(cells).rstrip()
