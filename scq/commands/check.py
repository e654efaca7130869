"""`scq check`: look once, say what is new, queue the messages, remember."""

from __future__ import annotations

from scq.acting import carry_out
from scq.clean import block, line
from scq.context import Context
from scq.digest import read_file
from scq.errors import BUSY, OK, InvalidFileError
from scq.looking import observe
from scq.model import Job
from scq.report import Report
from scq.showing import when
from scq.view import as_dict

PREVIEW_LINES = 5
PREVIEW_BYTES = 16 << 10


def run(ctx: Context, *, full: bool = False, dry_run: bool = False) -> Report:
    """Look at every source once. Prints each new job with its place, the start of its script and its configuration.

    A source that cannot be read makes the exit code 75; what was remembered of it stays as it was.
    """
    with ctx.only_one("check"):
        problems = [] if dry_run else carry_out(ctx)
        seen = observe(ctx, full=full, dry_run=dry_run)
        lines: list[str] = []
        for job in seen.new_jobs:
            lines.extend(_new(ctx, job))
        lines.extend(f"{job.short_id}  {job.status}  {line(job.name)}" for job in seen.changed_jobs)
        source = {"name": seen.source.name, "ok": seen.source.ok, "complete": seen.source.complete}
        data = {
            "new_jobs": [as_dict(job) for job in seen.new_jobs],
            "changed_jobs": [as_dict(job) for job in seen.changed_jobs],
            "new_peers": [],
            "granted_peers": [],
            "sources": [source],
            "events": [{"id": event.id, "kind": event.kind, "job": event.job_id} for event in seen.events],
            "full": seen.full,
            "dry_run": dry_run,
        }
        code = OK if seen.source.ok else BUSY
        return Report("check", data, tuple(lines), (*problems, *seen.problems), code)


def _new(ctx: Context, job: Job) -> list[str]:
    """What a data owner wants to see of a new job at first sight."""
    sighting = job.sighting
    if sighting.owner != ctx.config.email:
        return [f"{job.short_id}  {job.status}  {line(job.name)}  (to {line(sighting.owner)})"]
    lines = [f"NEW JOB {job.short_id}: {line(sighting.submitter) or '(unknown)'}/{line(job.name)}"]
    lines.append(f"  location: {line(sighting.path, 500)}")
    lines.extend(f"  cannot be run: {line(reason, 300)}" for reason in job.invalid)
    lines.extend(_preview(ctx, job))
    lines.append("  configuration:")
    facts = {
        "name": line(job.name),
        "submitted_by": line(sighting.submitter),
        "submitted_at": when(sighting.submitted_at),
        "type": sighting.kind or "",
        "entrypoint": line(sighting.entrypoint or ""),
        "dependencies": line(", ".join(sighting.dependencies), 300),
        "tags": line(", ".join(sighting.tags), 300),
        "description": line(sighting.description, 300),
        "digest": job.digest or "",
    }
    lines.extend(f"    {name}: {value}" for name, value in facts.items() if value)
    lines.append(f"  next: scq review {job.short_id}")
    return lines


def _preview(ctx: Context, job: Job) -> list[str]:
    if job.digest is None:
        return []
    content = ctx.layout(job.ref.layout).content(job.sighting)
    try:
        raw = read_file(ctx.config.root, content, content.run_sh, PREVIEW_BYTES)
    except InvalidFileError as error:
        return [f"  {error}"]
    text = block(raw.decode("utf-8", "replace")).splitlines()
    shown = [f"    {number}: {line(text_line, 160)}" for number, text_line in enumerate(text[:PREVIEW_LINES], start=1)]
    more = len(text) - PREVIEW_LINES
    return ["  script:", *shown, *([f"    … ({more} more lines)"] if more > 0 else [])]
