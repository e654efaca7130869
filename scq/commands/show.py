"""`scq show`: everything known about one job, with its files."""

from __future__ import annotations

from scq.clean import line
from scq.context import Context
from scq.digest import manifest
from scq.report import Report
from scq.selecting import select
from scq.showing import answer_line, card, size
from scq.view import answer_dict, as_dict


def run(ctx: Context, word: str) -> Report:
    """Show one job and the files that can influence its execution."""
    _, record, job, shown = select(ctx, word)
    content = ctx.layout(record.sighting.ref.layout).content(record.sighting)
    made = manifest(ctx.config.root, content, ctx.caps)
    files = [
        {"path": entry.path, "size": entry.size, "executable": entry.executable, "sha256": entry.sha256} for entry in made.files
    ]
    answer = [f"      answer  {answer_line(record.answer)}"] if record.answer is not None else []
    lines = [*card(job), *answer, *(f"  {size(entry.size):>9}  {line(entry.path, 300)}" for entry in made.files)]
    return Report("show", as_dict(job) | {"answer": answer_dict(record.answer), "files": files}, tuple(lines), shown.problems)
