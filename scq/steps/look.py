"""Looking once: at Google Drive where it is used, then at the folders; what is new is remembered, and said."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from scq import exchanging
from scq.acting import carry_out
from scq.clean import block, line
from scq.context import Context
from scq.digest import read_file
from scq.errors import BUSY, OK, InvalidFileError
from scq.joining import NOT_ACCEPTED
from scq.looking import Observation, Only, observe, observe_peers
from scq.model import Job, Problem
from scq.report import Report
from scq.showing import NO_PEER, ON_DRIVE, when
from scq.view import as_dict, peer_dict

if TYPE_CHECKING:
    from scq.drive.poll import Poll

PREVIEW_LINES = 5
PREVIEW_BYTES = 16 << 10


class Look(Struct, frozen=True):
    """One look: what it saw, what Google Drive answered (None where it is not used), and what went wrong."""

    seen: Observation
    remote: Poll | None
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """75 when a source could not be read, 77 when a sign-in is needed."""
        return exchanging.exit_code(self.remote) or (OK if self.seen.source.ok else BUSY)


def look(ctx: Context, *, full: bool = False, dry_run: bool = False, only: Only = "", answer: bool = True) -> Look:
    """Carry out what was decided, look at every source once, remember, and (with `answer`) send back what was decided.

    With `only` the other half of the news is left for another call. With `dry_run` nothing is written or sent.
    """
    problems = [] if dry_run else carry_out(ctx)
    remote, wrong = exchanging.look(ctx, full=full, only="peers" if only == "peers" else "", dry_run=dry_run)
    if only == "peers":
        seen = observe_peers(ctx, remote, dry_run=dry_run)
    else:
        seen = observe(ctx, full=full, dry_run=dry_run, remote=remote, only=only)
    sent = exchanging.answer(ctx, seen.state) if answer and not dry_run and only != "peers" else ()
    return Look(seen, remote, (*problems, *wrong, *seen.problems, *sent))


def report(ctx: Context, made: Look, *, dry_run: bool = False) -> Report:
    """What a look says to people and programs: each new job with its place, the start of its script and its configuration."""
    return Report("check", _data(made.seen, dry_run), tuple(_lines(ctx, made.seen)), made.problems, made.exit_code)


def _data(seen: Observation, dry_run: bool) -> dict[str, Any]:
    sources = dict.fromkeys((seen.source, *([seen.remote] if seen.remote is not None else [])))
    return {
        "new_jobs": [as_dict(job) for job in seen.new_jobs],
        "changed_jobs": [as_dict(job) for job in seen.changed_jobs],
        "new_peers": [peer_dict(peer) for peer in seen.new_peers],
        "granted_peers": [peer_dict(peer) for peer in seen.granted_peers],
        "sources": [{"name": source.name, "ok": source.ok, "complete": source.complete} for source in sources],
        "events": [{"id": event.id, "kind": event.kind, "job": event.job_id} for event in seen.events],
        "full": seen.full,
        "dry_run": dry_run,
    }


def _lines(ctx: Context, seen: Observation) -> Iterator[str]:
    for job in seen.new_jobs:
        yield from _new(ctx, job)
    gone = {event.job_id for event in seen.events if event.kind == "job.vanished"}
    arrived = {job.id for job in seen.arrived_jobs}
    for job in {job.id: job for job in (*seen.changed_jobs, *seen.arrived_jobs)}.values():
        now_here = "  (in the SyftBox folder now)" if job.id in arrived else ""
        yield f"{job.short_id}  {'gone' if job.id in gone else job.status}  {line(job.name)}{now_here}"
    for peer in seen.new_peers:
        yield f"PEER REQUEST {line(peer.address)}, asked {when(peer.requested_at)}"
        address = quote(line(peer.address))  # an address may hold what a shell would carry out
        yield f"  next: scq peers accept {address}, or scq peers reject {address}"
    yield from (f"{line(peer.address)} is an accepted peer now" for peer in seen.granted_peers)


def _new(ctx: Context, job: Job) -> list[str]:
    """What a data owner wants to see of a new job at first sight."""
    sighting = job.sighting
    if sighting.owner != ctx.config.email:
        return [f"{job.short_id}  {job.status}  {line(job.name)}  (to {line(sighting.owner)})"]
    lines = [f"NEW JOB {job.short_id}: {line(sighting.submitter) or '(unknown)'}/{line(job.name)}"]
    lines.append(f"  location: {line(sighting.path, 500) if sighting.where == 'local' else ON_DRIVE}")
    if NOT_ACCEPTED in sighting.flags:
        lines.append(f"  {NO_PEER}")
    lines.extend(f"  ! {line(problem.what, 300)}" for problem in job.problems if sighting.where == "drive")
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
