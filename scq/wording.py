"""The words a message is made of: what an event and its job say to one role, as clean strings. Pure.

The data scientist gets only what he may know: never error output, host names, paths of the owner or the owner's own reasons
for how his machine is set up.
"""

from __future__ import annotations

from datetime import UTC, datetime

from scq import clean
from scq.model import Event, Job, Role
from scq.showing import duration

REASON_LIMIT = 2_000
EXCERPT_LIMIT = 4_000
"""Characters of a script or an error text kept in a row: rows live in the state file, which every call reads."""
WAITING_LIMIT = 100
"""Jobs listed by name in a message about several."""
SOURCES = {"source syftbox": "SyftBox folder", "source drive": "Google Drive"}
"""What people call a source."""
LISTS = ("baseline", "review.reminder")
"""Events about several jobs at once."""
OWN_FAULTS = ("is missing", "is a symbolic link", "is a FIFO", "is a socket", "is a device", "is not UTF-8", "control characters")
"""Ends of reasons that tell a submitter about his own files and nothing about the owner's machine."""
TOO_LARGE = "it is larger than what is accepted here"
UNUSABLE = "some of its files cannot be used"


def words_of(event: Event, job: Job | None, role: Role, owner: str) -> dict[str, str]:
    """The words of a message. Empty ones are left out; what the submitter must not see is not in his."""
    words = {"at": iso(event.at), "owner": owner, "status": event.after or ""}
    if event.kind.startswith("peer."):
        words["ds_email"] = clean.line(peer_of(event))
    elif event.kind in LISTS:
        words |= _waiting(event.detail)
    elif job is None:
        words |= _own(event)
    else:
        words |= _job_words(job) | _detail(event, job, role)
        if role == "do" and job.run is not None:
            words["node"] = clean.line(job.run.node)
    return {name: word for name, word in words.items() if word}


def peer_of(event: Event) -> str:
    """The address a peer event is about: its detail, else the last part of its ref (`peer/<owner>/<peer>`)."""
    return (event.detail.strip() or event.ref.rpartition("/")[2]).lower()


def iso(moment: datetime | None) -> str:
    """A time in UTC, empty for none."""
    return moment.astimezone(UTC).isoformat() if moment is not None else ""


def _own(event: Event) -> dict[str, str]:
    """Events about scq itself: what does not work and what to do about it, or that all is well."""
    if event.kind == "heartbeat":
        seconds = event.detail.strip()
        return {"interval_s": seconds, "interval_human": duration(float(seconds))} if seconds else {}
    reason, _, advice = clean.block(event.detail).partition("\n")
    kind, _, name = event.ref.partition(" ")
    return {
        "what": SOURCES.get(event.ref) or clean.line(event.ref),
        kind if kind in ("channel", "source") else "": clean.line(name),
        "reason": reason[:REASON_LIMIT],
        "advice": advice[:REASON_LIMIT],
    }


def _job_words(job: Job) -> dict[str, str]:
    seen, run, decision = job.sighting, job.run, job.decision
    exit_code = run.exit_code if run is not None else seen.exit_code
    duration_s = run.duration_s if run is not None else None
    return {
        "job_id": clean.line(job.id),
        "short_id": clean.line(job.short_id),
        "name": clean.line(job.name),
        "submitter": clean.line(seen.submitter),
        "digest": job.digest or "",
        "submitted_at": iso(seen.submitted_at),
        "method": decision.method if decision is not None else "",
        "reviewer": clean.line(decision.by) if decision is not None else "",
        "expires": iso(decision.bounds.expires_at) if decision is not None else "",
        "run_id": clean.line(run.directory.rpartition("/")[2]) if run is not None else "",
        "exit_code": "" if exit_code is None else str(exit_code),
        "duration_s": "" if duration_s is None else str(duration_s),
        "cause": run.cause or "" if run is not None else "",
        "outputs": job.outputs,
        "logs": job.logs,
    }


def _detail(event: Event, job: Job, role: Role) -> dict[str, str]:
    """What the event itself says, under the name it has in the message. Error output goes to the owner only."""
    detail = clean.block(event.detail).strip()
    if event.kind == "job.invalid":
        return {"reason": _invalid(job, role)}
    if event.kind == "job.approved" and role == "ds" and not _by_hand(job):
        return {}
    if event.kind in ("job.approved", "job.rejected", "results.withheld"):
        return {"reason": detail[:REASON_LIMIT]}
    if event.kind == "outputs.released":
        return {"files": detail[:EXCERPT_LIMIT]}
    if role == "ds":
        return {}
    why = clean.line(job.run.detail, 500) if job.run is not None else ""
    if job.run is not None and detail == job.run.cause:
        return {"reason": why}
    if event.kind == "job.received":
        return {"run_sh": _excerpt(detail)}
    if event.kind == "job.failed":
        return {"error_output": detail[-EXCERPT_LIMIT:], "reason": why}
    return {"reason": detail[:REASON_LIMIT]}


def _by_hand(job: Job) -> bool:
    """True when the owner wrote the words of an approval. Those of other software may be for him alone."""
    return job.decision is None or job.decision.method != "adopted"


def _invalid(job: Job, role: Role) -> str:
    """Why a submission cannot be run. The submitter hears about his own files; any other reason would show how this machine is
    set up, and becomes a general sentence."""
    reasons = job.invalid if role == "do" else tuple(dict.fromkeys(_neutral(reason) for reason in job.invalid))
    return clean.block("; ".join(reasons))[:REASON_LIMIT]


def _neutral(reason: str) -> str:
    if reason.startswith("more than ") or "lies deeper than" in reason:
        return TOO_LARGE
    return reason if reason.endswith(OWN_FAULTS) and not reason.startswith("/") else UNUSABLE


def _excerpt(text: str) -> str:
    """The beginning of a script; never cut silently."""
    if len(text) <= EXCERPT_LIMIT:
        return text
    return text[:EXCERPT_LIMIT] + "\n[shortened: `scq review` shows the rest]"


def _waiting(detail: str) -> dict[str, str]:
    """Count and names of jobs that wait. One `id<TAB>name<TAB>submitter[<TAB>since]` line per job, or a number."""
    if detail.strip().isdecimal():
        return {"count": detail.strip()}
    rows = [fields for fields in (row.split("\t") for row in detail.split("\n")) if len(fields) in (3, 4)]
    shown = [_waiting_line(*fields) for fields in rows]
    more = [f"and {len(shown) - WAITING_LIMIT} more"] if len(shown) > WAITING_LIMIT else []
    return {"count": str(len(rows)), "waiting": "\n".join(shown[:WAITING_LIMIT] + more)}


def _waiting_line(job_id: str, name: str, who: str, since: str = "") -> str:
    shown = f"{clean.line(job_id)[:8]}  {clean.line(name, 80)}  ({clean.line(who)})"
    return f"{shown}  {clean.line(since, 40)}" if since else shown
