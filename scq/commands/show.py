"""`scq show`: everything known about one job, with its files."""

from __future__ import annotations

from msgspec.structs import replace

from scq.clean import line
from scq.context import Context
from scq.digest import manifest
from scq.report import Report
from scq.selecting import select
from scq.showing import answer_line, card, size
from scq.view import answer_dict, as_dict


def run(ctx: Context, word: str, *, files: bool = True) -> Report:
    """Show one job and the files that can influence its execution; without `files` none of them is opened, and none is named."""
    _, record, job, shown = select(ctx, word)
    job = replace(job, place=ctx.whereabouts([record]).get(record.id))
    data = as_dict(job) | {"answer": answer_dict(record.answer)}
    lines = card(job)
    if record.answer is not None:
        lines.append(f"      answer  {answer_line(record.answer)}")
    if files:
        content = ctx.layout(record.sighting.ref.layout).content(record.sighting)
        entries = manifest(ctx.config.root, content, ctx.caps).files
        data["files"] = [
            {"path": entry.path, "size": entry.size, "executable": entry.executable, "sha256": entry.sha256} for entry in entries
        ]
        lines.extend(f"  {size(entry.size):>9}  {line(entry.path, 300)}" for entry in entries)
    return Report("show", data, tuple(lines), shown.problems)
