"""Events: what changed between what was remembered and what is seen. The only place they come from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from scq.clean import line
from scq.joining import NOT_ACCEPTED
from scq.model import FINISHED, INTERRUPTIONS, Event
from scq.state import Record

WAITING = frozenset({"pending"})
NAMED_FILES = 100
EXPIRED = "expired"
"""The reason layouts give for a job whose time ran out before it was run."""
DAY = timedelta(days=1)


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
        for kind, detail in _kinds(old, new, at):
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


def overdue(records: Mapping[str, Record], me: str, now: datetime, after_s: float) -> list[str]:
    """Keys of the jobs the owner is to be reminded of now: everything that has waited too long, at most once a day altogether.

    A time in the future is the clock of a stranger, or one that has jumped back, and keeps nobody from being reminded.
    """
    found = [
        key
        for key, record in _waiting(records, me).items()
        if after_s > 0 and (now - _waits_since(record)).total_seconds() >= after_s
    ]
    times = [told for key in found if (told := records[key].reminded_at) is not None]
    return [] if any(timedelta(0) <= now - told < DAY for told in times) else found


def reminder(records: Iterable[Record], number: str, at: datetime) -> Event:
    """The event that reminds of jobs; `number` is its id."""
    return Event(id=number, kind="review.reminder", ref="", job_id="", at=at, after="pending", detail=_lines(records))


def is_beat(last: datetime | None, now: datetime, every_s: float) -> bool:
    """True when it is time to say that all is well: the first time at once, and after a clock has jumped back."""
    return last is None or not 0 <= (now - last).total_seconds() < every_s


def _waits_since(record: Record) -> datetime:
    sent = record.sighting.submitted_at
    return min(sent, record.first_seen_at) if sent is not None else record.first_seen_at


def is_strange(record: Record) -> bool:
    """True for a job on Google Drive whose sender is not an accepted peer: it is shown, and nobody gets a message about it."""
    return NOT_ACCEPTED in record.sighting.flags


def _waiting(records: Mapping[str, Record], me: str) -> dict[str, Record]:
    """The jobs that wait for the owner."""
    return {
        key: record
        for key, record in records.items()
        if record.status in WAITING and record.sighting.owner == me and record.missing_since is None and not is_strange(record)
    }


def _lines(records: Iterable[Record]) -> str:
    """`id<TAB>name<TAB>submitter<TAB>since when it waits`, a job a line, by submitter and name."""
    ordered = sorted(records, key=lambda record: (record.sighting.submitter, record.sighting.name))
    return "\n".join(
        "\t".join(
            (
                record.id,
                line(record.sighting.name),
                line(record.sighting.submitter),
                f"since {_waits_since(record):%Y-%m-%d %H:%M} UTC",
            )
        )
        for record in ordered
    )


def _baseline(after: Mapping[str, Record], me: str, revision: int, at: datetime) -> list[Event]:
    waiting = _waiting(after, me)
    if not waiting:
        return []
    return [
        Event(id=f"{revision}-0", kind="baseline", ref="", job_id="", at=at, after="pending", detail=_lines(waiting.values()))
    ]


def _kinds(old: Record | None, new: Record, at: datetime) -> list[tuple[str, str]]:
    """(kind, detail) of what happened to one job since the last look; several when states were passed through unseen."""
    if old is None:
        return [("job.received", ""), *_invalid(None, new), *_progress("pending", new)]
    if new.missing_since is not None:
        return [] if old.missing_since is not None else [("job.vanished", "")]
    found = _invalid(old, new)
    if is_strange(old) and not is_strange(new) and new.status in WAITING:
        found.append(("job.received", "its sender is an accepted peer now"))
    if new.changed and not old.changed:
        found.append(("job.changed", "the content is no longer what was approved"))
    if old.status != new.status:
        found.extend([*_progress(old.status, new), *_lapsed(old, new, at)])
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
    if new.run is None and new.decision is None and new.status in FINISHED and new.sighting.reason == EXPIRED:
        return [("job.expired", "it was not run in the time the submitter gave it")]
    if new.status == "rejected":
        return [("job.rejected", _reason(new))]
    passed: list[tuple[str, str]] = []
    if before == "pending":
        passed.append(("job.approved", new.decision.reason if new.decision is not None else ""))
    if new.status == "running":
        passed.append(("job.started", ""))
    elif new.status == "completed":
        passed.extend([("job.completed", ""), *_held(new)])
    elif new.status == "failed":
        passed.extend(_failure(new))
    return passed


def _held(new: Record) -> list[tuple[str, str]]:
    """Results of a job that wait for the owner's answer."""
    held = "withheld" in (new.outputs, new.logs) and new.outputs != "released" and new.answer is None
    return [("outputs.withheld", "")] if held else []


def _lapsed(old: Record, new: Record, at: datetime) -> list[tuple[str, str]]:
    """An approval that was in force and has expired before the job ran."""
    decision = new.decision
    until = decision.bounds.expires_at if decision is not None and decision.verdict == "approve" else None
    if decision is None or until is None or (old.status, new.status) != ("approved", "pending"):
        return []
    if new.digest != decision.digest or until > at:
        return []
    return [("job.expired", f"the approval was in force until {until:%Y-%m-%d %H:%M} UTC")]


def _failure(new: Record) -> list[tuple[str, str]]:
    """The failure, after what the owner hears instead of it."""
    cause = new.run.cause if new.run is not None and new.run.cause is not None else "exit"
    first = "job.interrupted" if cause in INTERRUPTIONS else "job.integrity" if cause == "integrity" else ""
    return [*([(first, cause)] if first else []), ("job.failed", cause)]


def _reason(new: Record) -> str:
    if new.decision is not None:
        return new.decision.reason
    return new.sighting.reason or new.sighting.error or ""
