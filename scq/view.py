"""How jobs are shown and found: the job object of the JSON contract (docs/json.md), and ids on the command line. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any

from scq.clean import line
from scq.errors import BusyError, UsageError
from scq.model import STATUSES, Answer, Job, Peer, Whereabouts
from scq.state import Record

SHORTEST_PREFIX = 4
WILD = frozenset("*?[")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[0-9]*[a-f])[0-9a-f]{8}")
"""A full id, or a short one. Eight digits alone may be a date in a name."""


def job_of(record: Record, place: Whereabouts | None = None) -> Job:
    """A record as the job it stands for; `place` is where its run is now, where that was asked."""
    return Job(
        id=record.id,
        sighting=record.sighting,
        status=record.status,
        digest=record.digest,
        invalid=record.invalid,
        decision=record.decision,
        run=record.run,
        outputs=record.outputs,
        logs=record.logs,
        first_seen_at=record.first_seen_at,
        changed=record.changed,
        problems=(*record.sighting.problems, *record.problems),
        reviewed=record.reviewed,
        answer=record.answer,
        place=place,
    )


def awaits_answer(record: Record) -> bool:
    """True for a job whose results were neither released nor withheld with an answer."""
    return record.outputs == "withheld" and record.answer is None and record.missing_since is None


def as_dict(job: Job) -> dict[str, Any]:
    """The job object of `list`, `pending` and `show`."""
    sighting = job.sighting
    return {
        "id": job.id,
        "short_id": job.short_id,
        "name": job.name,
        "layout": sighting.layout,
        "owner": sighting.owner,
        "submitter": sighting.submitter,
        "status": job.status,
        "peer_status": sighting.peer_status,
        "where": sighting.where,
        "submitted_at": _time(sighting.submitted_at),
        "updated_at": _time(_updated_at(job)),
        "first_seen_at": _time(job.first_seen_at),
        "digest": job.digest,
        "reviewed": job.reviewed,
        "revision": revision(job),
        "description": sighting.description,
        "tags": list(sighting.tags),
        "kind": sighting.kind,
        "entrypoint": sighting.entrypoint,
        "dependencies": list(sighting.dependencies),
        "timeout_s": sighting.timeout_s,
        "path": sighting.path,
        "flags": list(sighting.flags),
        "invalid": list(job.invalid),
        "changed": job.changed,
        "reason": sighting.reason or sighting.error,
        "approval": _approval(job),
        "run": _run(job),
        "place": None if job.place is None else place_dict(job.place),
        "results": {"outputs": job.outputs, "logs": job.logs},
        "problems": [{"where": p.where, "what": p.what, "advice": p.advice} for p in job.problems],
    }


def place_dict(place: Whereabouts) -> dict[str, Any]:
    """Where a run is now (docs/json.md)."""
    return {
        "state": place.state,
        "id": line(place.id, 100),
        "partition": line(place.partition, 100),
        "node": line(place.node, 200),
        "why": line(place.why, 300),
        "position": place.position,
        "starts_at": _time(place.starts_at),
        "since": _time(place.since),
    }


def revision(job: Job) -> str:
    """Twelve hex characters that are others as soon as the job was decided, run or answered again, or holds other content.

    Who shows a job and acts on it later gives it back, so that nobody decides about something else than they saw.
    """
    decision, run, answer = job.decision, job.run, job.answer
    facts = (
        job.status,
        job.digest,
        (decision.verdict, decision.by, _time(decision.at)) if decision is not None else None,
        (run.attempt, run.phase) if run is not None else None,
        (answer.verdict, _time(answer.at)) if answer is not None else None,
    )
    return sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def expect(job: Job, seen: str | None) -> None:
    """Check that a job still is what was seen of it as `seen`, a revision; None expects nothing.

    Raises BusyError saying what became of it meanwhile.
    """
    if seen is not None and seen != revision(job):
        raise BusyError(f"{job.short_id} changed since it was shown: {_now(job)}", "Look at it again, then decide.")


def _now(job: Job) -> str:
    decision, status = job.decision, f"it is {job.status} now"
    if decision is None:
        return "it holds other content now" if job.status == "pending" else status
    verb = "approved" if decision.verdict == "approve" else "rejected"
    reason = f" ({line(decision.reason, 200)})" if decision.reason else ""
    return f"{line(decision.by, 100)} {verb} it{reason}" + ("" if job.status == verb else f", {status}")


def oldest_first(jobs: Iterable[Job]) -> list[Job]:
    """Jobs in the order they were submitted; those without a time come by when they were first seen."""
    return sorted(jobs, key=lambda job: (sent_at(job), job.id))


def sent_at(job: Job) -> datetime:
    """When a job was submitted. A time in the future is a stranger's clock: the time it was first seen counts then."""
    seen = job.first_seen_at
    sent = job.sighting.submitted_at
    if seen is None:
        return sent or _EPOCH
    return sent if sent is not None and sent <= seen else seen


def find(jobs: Mapping[str, Job], word: str) -> Job:
    """The one job meant by a full id, a unique prefix of at least four characters, or an unambiguous name.

    A word in the form of an id is never a name: a stranger may call a job by the id of another that is gone. Raises UsageError
    naming the candidates when the word fits several jobs, or none.
    """
    word = word.strip()
    exact = [job for job in jobs.values() if job.id == word]
    if len(exact) == 1:
        return exact[0]
    fitting = [job for job in jobs.values() if len(word) >= SHORTEST_PREFIX and job.id.startswith(word.lower())]
    if _ID.fullmatch(word.lower()) is None:
        fitting = fitting or [job for job in jobs.values() if job.name == word]
    fitting = fitting or [job for job in jobs.values() if f"{job.sighting.submitter}/{job.name}" == word]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise UsageError(
            f"no job {word[:80]!a}",
            f"scq list shows the jobs; of an id a unique beginning of {SHORTEST_PREFIX} characters or more is enough.",
        )
    shown = ", ".join(f"{job.id} ({ascii(job.name)[1:-1]} from {ascii(job.sighting.submitter)[1:-1]})" for job in fitting[:5])
    raise UsageError(f"{word[:80]!a} fits {len(fitting)} jobs: {shown}", "Give more of the id.")


def status_word(status: str) -> str:
    """A status to narrow by, empty for all. Raises UsageError for a word that is none: it would hide every job."""
    if status and status not in STATUSES:
        raise UsageError(f"{status[:80]!a} is not a status", f"They are {', '.join(STATUSES)}.")
    return status


def fits(path: str, pattern: str) -> bool:
    """True when a relative path is meant by a pattern: `*` stays within one folder, `**` stands for any folders."""
    if WILD.isdisjoint(pattern):
        return path == pattern
    return _fits(path.split("/"), pattern.split("/"))


def _fits(parts: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return _fits(parts, patterns[1:] or ["*"]) or (bool(parts) and _fits(parts[1:], patterns))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _fits(parts[1:], patterns[1:])


def answer_dict(answer: Answer | None) -> dict[str, Any] | None:
    """What was decided about the results of a run, as `show`, `output`, `release`, `withhold` and `share` give it."""
    if answer is None:
        return None
    return {
        "verdict": answer.verdict,
        "by": answer.by,
        "at": _time(answer.at),
        "reason": answer.reason,
        "files": [{"path": file.path, "size": file.size, "sha256": file.sha256} for file in answer.files],
        "automatic": answer.automatic,
    }


def peer_dict(peer: Peer) -> dict[str, Any]:
    """The peer object of `peers` and `check`."""
    return {
        "address": peer.address,
        "state": peer.state,
        "since": _time(peer.since),
        "requested_at": _time(peer.requested_at),
        "versions": list(peer.versions),
    }


def _approval(job: Job) -> dict[str, Any] | None:
    decision = job.decision
    if decision is None:
        return None
    return {
        "verdict": decision.verdict,
        "by": decision.by,
        "at": _time(decision.at),
        "reason": decision.reason,
        "method": decision.method,
        "digest": decision.digest,
        "expires_at": _time(decision.bounds.expires_at),
        "max_runs": decision.bounds.max_runs,
        "timeout_s": decision.bounds.timeout_s,
        "memory": decision.bounds.memory,
        "accepted_findings": list(decision.accepted),
    }


def _run(job: Job) -> dict[str, Any] | None:
    run = job.run
    if run is None:
        sighting = job.sighting
        if sighting.exit_code is None and sighting.finished_at is None:
            return None
        started, finished = sighting.started_at, sighting.finished_at
        duration = max(0.0, (finished - started).total_seconds()) if started and finished else None
        return _run_dict(0, started, finished, duration, sighting.exit_code, None)
    times = (run.started_at, run.finished_at, run.duration_s)
    return _run_dict(run.attempt, *times, run.exit_code, run.cause, run.executor, run.node)


def _run_dict(
    attempt: int,
    started: datetime | None,
    finished: datetime | None,
    duration: float | None,
    exit_code: int | None,
    cause: str | None,
    executor: str = "",
    node: str = "",
) -> dict[str, Any]:
    return {
        "attempt": attempt,
        "started_at": _time(started),
        "finished_at": _time(finished),
        "duration_s": duration,
        "exit_code": exit_code,
        "cause": cause,
        "executor": executor,
        "node": line(node, 200),
    }


def _updated_at(job: Job) -> datetime | None:
    times = [job.sighting.updated_at, job.sighting.submitted_at]
    if job.decision is not None:
        times.append(job.decision.at)
    if job.run is not None:
        times.extend([job.run.claimed_at, job.run.finished_at])
    known = [time for time in times if time is not None]
    return max(known) if known else None


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
