"""What a job's status is: what its folders show, judged by what our own ledger allows. Pure.

Folders are observed, never trusted for authority. A job counts as approved only if the ledger holds an approval of exactly
the content seen now, or if the approval was found where only the owner can write and adopting is switched on.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from scq.model import FINISHED, Decision, Problem, Run, Seen, Sharing, Sighting, Status
from scq.state import Record

NOT_APPROVED_HERE = "marked approved on disk, not approved here"
CHANGED = "the content is no longer what was approved"


class Rules(Struct, frozen=True):
    """Who we are and what we believe. `orphan_after` is how long a running job may show no life."""

    me: str
    adopt: bool
    orphan_after: timedelta


def judge(seen: Seen, record: Record | None, new_id: str, rules: Rules, now: datetime) -> Record:
    """The record of a job after a look: the same one, updated. `new_id` is used for a job never seen before."""
    sighting = seen.sighting
    if record is None:
        record = Record(id=new_id, sighting=sighting, status="pending", first_seen_at=now)
    record = replace(
        record,
        sighting=sighting,
        stamp=seen.stamp,
        content_stamp=seen.content_stamp,
        digest=seen.digest,
        invalid=record.invalid if _at_work(record) else seen.invalid,
        problems=(),
        changed=False,
        told_outputs=record.outputs,
    )
    if sighting.owner != rules.me:
        return replace(record, status=_observed_status(sighting), outputs=_submitter_sharing(sighting))
    return _owned(record, rules, now)


def _at_work(record: Record) -> bool:
    """True while our own writing into the folders may be half done: what looks odd there is not the submitter's doing."""
    return bool(record.intents) or (record.run is not None and record.run.phase != "settled")


def runnable(record: Record, me: str) -> bool:
    """True when the ledger allows this job to start now, as far as the last look can tell."""
    decision = record.decision
    return (
        record.status == "approved"
        and record.sighting.owner == me
        and decision is not None
        and (decision.verdict, decision.digest) == ("approve", record.digest)
        and record.run is None
        and not record.invalid
    )


def _owned(record: Record, rules: Rules, now: datetime) -> Record:
    sighting, run = record.sighting, record.run
    if run is not None and run.phase in ("claimed", "started"):
        return replace(record, status="running")
    if run is not None:
        return replace(record, status=_run_status(run), problems=_reopened_elsewhere(sighting))
    if "reopen" in record.intents or sighting.observed not in FINISHED | {"running"}:
        return _undecided_on_disk(record, rules, now)
    if sighting.observed == "running":
        return replace(record, status="running", problems=_orphan(sighting, rules, now))
    return replace(record, status=_observed_status(sighting))


def _undecided_on_disk(record: Record, rules: Rules, now: datetime) -> Record:
    """Waiting or approved on disk: the ledger has the last word."""
    sighting, decision = record.sighting, record.decision
    if decision is not None and decision.digest == (record.digest or ""):
        if decision.verdict == "reject":
            return replace(record, status="rejected")
        if not record.invalid and sighting.observed != "damaged":
            return replace(record, status="approved")
    if decision is not None and decision.verdict == "approve" and decision.digest != record.digest:
        advice = f"Look at it again: scq diff {record.id[:8]}, then approve or reject it."
        return replace(record, status="pending", changed=True, problems=(_problem(sighting, CHANGED, advice),))
    if sighting.observed != "approved":
        return replace(record, status="pending")
    if rules.adopt and sighting.owner_only and record.digest and not record.invalid and not sighting.flags:
        adopted = Decision(
            verdict="approve",
            digest=record.digest,
            by=sighting.decided_by or sighting.owner,
            at=sighting.decided_at or now,
            method="adopted",
            reason=sighting.reason or "",
        )
        return replace(record, status="approved", decision=adopted)
    advice = f"Review it: scq review {record.id[:8]}. What is approved elsewhere is taken over only with approvals.adopt: true"
    advice += "." if sighting.owner_only else ", and never where the submitter could have written it."
    return replace(record, status="pending", problems=(_problem(sighting, NOT_APPROVED_HERE, advice),))


def _run_status(run: Run) -> Status:
    return "completed" if run.cause == "exit" and run.exit_code == 0 else "failed"


def _reopened_elsewhere(sighting: Sighting) -> tuple[Problem, ...]:
    if sighting.observed in ("approved", "running"):
        what = f"was run here, but its folder says {sighting.observed}"
        return (_problem(sighting, what, "To run it again: scq rerun."),)
    return ()


def _orphan(sighting: Sighting, rules: Rules, now: datetime) -> tuple[Problem, ...]:
    since = sighting.updated_at
    if since is None or now - since < rules.orphan_after:
        return ()
    advice = "Another runner was started and is gone. To run it here: approve it with scq approve, then scq rerun."
    return (_problem(sighting, f"says running, but shows no life since {since:%Y-%m-%d %H:%M} UTC", advice),)


def _observed_status(sighting: Sighting) -> Status:
    if sighting.observed in ("received", "incomplete", "damaged"):
        return "pending"
    return sighting.observed  # type: ignore[return-value]


def _submitter_sharing(sighting: Sighting) -> Sharing:
    return "released" if sighting.observed in ("completed", "failed") else "none"


def _problem(sighting: Sighting, what: str, advice: str) -> Problem:
    return Problem(sighting.path, what, advice)
