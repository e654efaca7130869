"""Who is told about which event: events become outbox rows. Pure.

A row carries everything needed to write its message later, as clean strings, so that a message never changes between
the moment it was queued and the moment it is sent, and no file has to be read to send it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Protocol

from scq import clean
from scq.model import Event, Job, Notification, Role

ROLES: Mapping[str, tuple[Role, ...]] = {
    "baseline": ("do",),
    "job.received": ("do", "ds"),
    "job.invalid": ("ds",),
    "job.approved": ("do", "ds"),
    "job.rejected": ("ds",),
    "job.completed": ("do", "ds"),
    "job.failed": ("do", "ds"),
    "job.interrupted": ("do",),
    "job.integrity": ("do",),
    "job.changed": ("do",),
    "outputs.released": ("ds",),
    "results.withheld": ("ds",),
}
"""Who hears of an event: `do` the data owner, `ds` the data scientist. Events that are not listed are told to nobody."""

REASON_LIMIT = 2_000
EXCERPT_LIMIT = 4_000
"""Characters of a script or an error text kept in a row: rows live in the state file, which every call reads."""
WAITING_LIMIT = 100
"""Jobs listed by name in the message about what waits at the first look."""


class Monitors(Protocol):
    """The switches below `notify:`."""

    @property
    def monitor_jobs(self) -> bool: ...


class Toggles(Protocol):
    """The documented switches, under the names they have in the configuration."""

    @property
    def notify_on_new_job(self) -> bool: ...
    @property
    def notify_on_approved(self) -> bool: ...
    @property
    def notify_on_executed(self) -> bool: ...
    @property
    def notify(self) -> Monitors: ...


def route(
    events: Iterable[Event], jobs: Mapping[str, Job], toggles: Toggles, channels: Sequence[str], owner_email: str, now: datetime
) -> list[Notification]:
    """One row per event, role, recipient and channel.

    `jobs` is by `str(ref)` and must hold the job of every event that names one; an event about an unknown job is told to
    nobody. The key of a row depends on the event alone, so that routing an event again gives the same rows.
    """
    owner = owner_email.strip().lower()
    rows: list[Notification] = []
    for event in events:
        if not _wanted(event.kind, toggles):
            continue
        job = jobs.get(event.ref)
        for role in ROLES.get(event.kind, ()):
            recipient = _recipient(event, job, role, owner)
            if recipient is None:
                continue
            context = _context(event, job, role, owner)
            rows.extend(_row(event, role, recipient, channel, context, now) for channel in channels)
    return rows


def key(event: Event, role: Role, recipient: str, channel: str) -> str:
    """Identity of one message, sha256 in hex.

    The time of the event is part of it: numbers of events start again when the state is reset.
    """
    parts = (event.id, event.kind, event.ref, event.at.astimezone(UTC).isoformat(), role, recipient, channel)
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _row(event: Event, role: Role, recipient: str, channel: str, context: dict[str, str], now: datetime) -> Notification:
    return Notification(
        key=key(event, role, recipient, channel),
        event=event.id,
        kind=event.kind,
        job_id=event.job_id,
        channel=channel,
        recipient=recipient,
        role=role,
        created_at=now,
        context=context,
    )


def _wanted(kind: str, toggles: Toggles) -> bool:
    if not toggles.notify.monitor_jobs:
        return False
    if kind in ("baseline", "job.received", "job.invalid"):
        return toggles.notify_on_new_job
    if kind == "job.approved":
        return toggles.notify_on_approved
    if kind in ("job.completed", "job.failed"):
        return toggles.notify_on_executed
    return True


def _recipient(event: Event, job: Job | None, role: Role, owner: str) -> str | None:
    """The address to write to, None when nobody is to be told. Only jobs sent to this owner are told about."""
    if not clean.is_address(owner):
        return None
    if event.kind == "baseline":
        return owner if event.detail.strip() not in ("", "0") else None
    if job is None or job.sighting.owner.strip().lower() != owner:
        return None
    method = job.decision.method if job.decision is not None else "manual"
    if role == "do":
        return None if event.kind == "job.approved" and method == "manual" else owner
    submitter = job.sighting.submitter.strip().lower()
    if submitter == owner or not clean.is_address(submitter):
        return None
    return None if event.kind == "job.rejected" and method == "cancel" else submitter


def _context(event: Event, job: Job | None, role: Role, owner: str) -> dict[str, str]:
    """The words of a message. Empty ones are left out; what the submitter must not see is not in his."""
    words = {"at": event.at.astimezone(UTC).isoformat(), "owner": owner, "status": event.after or ""}
    if job is None:
        words |= _waiting(event.detail)
    else:
        words |= _job_words(job) | _detail(event, job, role)
    return {name: word for name, word in words.items() if word}


def _job_words(job: Job) -> dict[str, str]:
    seen, run, decision = job.sighting, job.run, job.decision
    exit_code = run.exit_code if run is not None else seen.exit_code
    duration = run.duration_s if run is not None else None
    return {
        "job_id": clean.line(job.id),
        "short_id": clean.line(job.short_id),
        "name": clean.line(job.name),
        "submitter": clean.line(seen.submitter),
        "digest": job.digest or "",
        "submitted_at": seen.submitted_at.astimezone(UTC).isoformat() if seen.submitted_at is not None else "",
        "method": decision.method if decision is not None else "",
        "reviewer": clean.line(decision.by) if decision is not None else "",
        "exit_code": "" if exit_code is None else str(exit_code),
        "duration_s": "" if duration is None else str(duration),
        "cause": run.cause or "" if run is not None else "",
        "outputs": job.outputs,
        "logs": job.logs,
    }


def _detail(event: Event, job: Job, role: Role) -> dict[str, str]:
    """What the event itself says, under the name it has in the message. Error output goes to the owner only."""
    detail = clean.block(event.detail).strip()
    if event.kind == "job.invalid":
        return {"reason": (clean.block("; ".join(job.invalid)) or detail)[:REASON_LIMIT]}
    if event.kind in ("job.approved", "job.rejected", "results.withheld"):
        return {"reason": detail[:REASON_LIMIT]}
    if event.kind == "outputs.released":
        return {"files": detail[:EXCERPT_LIMIT]}
    if role == "ds" or (job.run is not None and detail == job.run.cause):
        return {}
    if event.kind == "job.received":
        return {"run_sh": _excerpt(detail)}
    if event.kind == "job.failed":
        return {"error_output": detail[-EXCERPT_LIMIT:]}
    return {"reason": detail[:REASON_LIMIT]}


def _excerpt(text: str) -> str:
    """The beginning of a script; never cut silently."""
    if len(text) <= EXCERPT_LIMIT:
        return text
    return text[:EXCERPT_LIMIT] + "\n[shortened: `scq review` shows the rest]"


def _waiting(detail: str) -> dict[str, str]:
    """Count and names of the jobs that wait at the first look. One `id<TAB>name<TAB>submitter` line per job, or a number."""
    if detail.strip().isdecimal():
        return {"count": detail.strip()}
    rows = [fields for fields in (row.split("\t") for row in detail.split("\n")) if len(fields) == 3]
    shown = [f"{clean.line(job_id)[:8]}  {clean.line(name, 80)}  ({clean.line(who)})" for job_id, name, who in rows]
    more = [f"and {len(shown) - WAITING_LIMIT} more"] if len(shown) > WAITING_LIMIT else []
    return {"count": str(len(rows)), "waiting": "\n".join(shown[:WAITING_LIMIT] + more)}
