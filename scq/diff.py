"""Events: what changed between what was remembered and what is seen. The only place they come from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from scq.clean import line
from scq.model import FINISHED, Event
from scq.state import Record

WAITING = frozenset({"pending"})
NAMED_FILES = 100


def events(
    before: Mapping[str, Record], after: Mapping[str, Record], *, me: str, first: bool, revision: int, at: datetime
) -> list[Event]:
    """One event per change of state, oldest job first. `revision` is that of the save that will remember `after`.

    On the first look nothing about the past is told; what waits for the owner makes one `baseline` event.
    """
    if first:
        return _baseline(after, me, revision, at)
    found: list[Event] = []
    for key in sorted(after, key=lambda name: (after[name].first_seen_at, name)):
        old, new = before.get(key), after[key]
        for kind, detail in _kinds(old, new):
            found.append(
                Event(
                    id=f"{revision}-{len(found)}",
                    kind=kind,
                    ref=key,
                    job_id=new.id,
                    at=at,
                    before=None if old is None else old.status,
                    after=new.status,
                    detail=detail,
                )
            )
    return found


def _baseline(after: Mapping[str, Record], me: str, revision: int, at: datetime) -> list[Event]:
    waiting = [record for record in after.values() if record.status in WAITING and record.sighting.owner == me]
    if not waiting:
        return []
    waiting.sort(key=lambda record: (record.sighting.submitter, record.sighting.name))
    detail = "\n".join(f"{record.id}\t{line(record.sighting.name)}\t{line(record.sighting.submitter)}" for record in waiting)
    return [Event(id=f"{revision}-0", kind="baseline", ref="", job_id="", at=at, after="pending", detail=detail)]


def _kinds(old: Record | None, new: Record) -> list[tuple[str, str]]:
    """(kind, detail) of what happened to one job since the last look; several when states were passed through unseen."""
    if old is None:
        return [("job.received", ""), *_invalid(None, new), *_progress("pending", new)]
    if new.missing_since is not None:
        return [] if old.missing_since is not None else [("job.vanished", "")]
    found = _invalid(old, new)
    if new.changed and not old.changed:
        found.append(("job.changed", "the content is no longer what was approved"))
    if old.status != new.status:
        found.extend(_progress(old.status, new))
    elif old.told_outputs != "released" and new.outputs == "released" and new.status in FINISHED:
        found.append(("outputs.released", _left(new)))
    if new.answer is not None and new.answer.verdict == "withheld" and old.told_outputs == "none" and new.status in FINISHED:
        found.append(("results.withheld", new.answer.reason))
    return found


def _left(new: Record) -> str:
    """The result files that left, a name a line; empty where other software keeps them."""
    files = new.answer.files if new.answer is not None else ()
    return "\n".join(line(file.path, 200) for file in files[:NAMED_FILES])


def _invalid(old: Record | None, new: Record) -> list[tuple[str, str]]:
    if new.invalid and (old is None or not old.invalid):
        return [("job.invalid", "; ".join(new.invalid))]
    return []


def _progress(before: str, new: Record) -> list[tuple[str, str]]:
    if new.status == before or new.status == "pending":
        return []
    if new.status == "rejected":
        return [("job.rejected", _reason(new))]
    passed: list[tuple[str, str]] = []
    if before == "pending":
        passed.append(("job.approved", _reason(new)))
    if new.status == "running":
        passed.append(("job.started", ""))
    elif new.status == "completed":
        passed.append(("job.completed", ""))
    elif new.status == "failed":
        passed.append(_failure(new))
    return passed


def _failure(new: Record) -> tuple[str, str]:
    cause = new.run.cause if new.run is not None and new.run.cause is not None else "exit"
    if cause == "interrupted":
        return "job.interrupted", cause
    return "job.failed", cause


def _reason(new: Record) -> str:
    if new.decision is not None:
        return new.decision.reason
    return new.sighting.reason or new.sighting.error or ""
