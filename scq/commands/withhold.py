"""`scq withhold`: answer a job without its results."""

from __future__ import annotations

from msgspec.structs import replace

from scq.clean import line
from scq.context import Context
from scq.errors import UsageError
from scq.model import Answer
from scq.releasing import answerable, report, write_down
from scq.report import Report
from scq.selecting import select
from scq.view import expect


def run(ctx: Context, word: str, *, reason: str, seen: str | None = None, dry_run: bool = False) -> Report:
    """Tell the submitter that the results stay here, and why; what was released before is taken out of the SyftBox folder.

    With `seen`, its `revision`, the job must still be what it was when it was shown.
    """
    if not reason.strip():
        raise UsageError("a job is answered without results only with a reason", "Its submitter will read it: -r REASON")
    key, record, job, shown = select(ctx, word)
    expect(job, seen)
    answerable(ctx, job)
    if job.run is None:
        advice = "Take its results, or the right to read them, away there."
        raise UsageError(f"{job.short_id} was not run here: its results lie in the SyftBox folder already", advice)
    # `told_outputs` is set back so that the next look tells this answer, whatever was told before.
    after = replace(
        record,
        answer=Answer("withheld", ctx.config.email, ctx.now(), reason),
        outputs="withheld",
        logs="withheld",
        told_outputs="none",
        intents=(*(intent for intent in record.intents if intent != "share"), "share"),
    )
    problems = [*shown.problems, *([] if dry_run else write_down(ctx, key, record, after, ()))]
    lines = [f"{'would withhold' if dry_run else 'withheld'} the results of {job.short_id}  {line(job.name)}"]
    if "released" in (job.outputs, job.logs):
        lines.append("  what was synced to the submitter before cannot be called back")
    return report("withhold", after, lines, problems, dry_run=dry_run, failed=len(problems) > len(shown.problems))
