"""What a job's status is: what its folders show, judged by what our own ledger allows. Pure.

Folders are observed, never trusted for authority. A job counts as approved only if the ledger holds an approval of exactly
the content seen now, or if the approval was found where only the owner can write and adopting is switched on.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from scq.model import FINISHED, Bounds, Decision, Problem, Run, Seen, Sharing, Sighting, Status
from scq.state import Record

NOT_APPROVED_HERE = "marked approved on disk, not approved here"
CHANGED = "the content is no longer what was approved"


class Rules(Struct, frozen=True):
    """Who we are and what we believe. `orphan_after` is how long a running job may show no life."""

    me: str
    adopt: bool
    orphan_after: timedelta
    quorum: int = 1
    """How many different reviewers have to approve the same content."""
    reviewers: tuple[str, ...] = ()
    """Who counts as one; empty means everybody."""


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
        and not _used_up(record, decision.bounds)
    )


def approvals(record: Record, rules: Rules, now: datetime) -> tuple[Decision, ...]:
    """The approvals of exactly the content seen now that count: one of each reviewer, none that has expired."""
    decision = record.decision
    votes = record.votes
    if not votes and decision is not None and decision.verdict == "approve":
        votes = (decision,)
    return tuple(
        vote
        for vote in votes
        if vote.digest == record.digest and not _expired(vote.bounds, now) and (not rules.reviewers or vote.by in rules.reviewers)
    )


def with_vote(record: Record, vote: Decision, rules: Rules) -> Record:
    """The record after one more approval of the content seen now. With enough of them it holds a decision, else none.

    An approval under which a run has begun is spent: it does not count towards the next decision.
    """
    earlier = approvals(record, rules, vote.at) if not record.runs else ()
    votes = (*(other for other in earlier if other.by != vote.by and other.method != "adopted"), vote)
    decision = _united(votes) if len(votes) >= rules.quorum else None
    return replace(record, votes=votes, decision=decision, runs=0)


def _united(votes: tuple[Decision, ...]) -> Decision:
    """What several reviewers allowed together: the strictest of each bound."""
    names = Bounds.__struct_fields__
    given = {name: [value for vote in votes if (value := getattr(vote.bounds, name)) is not None] for name in names}
    return replace(
        votes[-1],
        by=", ".join(vote.by for vote in votes),
        bounds=Bounds(**{name: min(values, default=None) for name, values in given.items()}),
        accepted=tuple(sorted({rule for vote in votes for rule in vote.accepted})),
    )


def _expired(bounds: Bounds, now: datetime) -> bool:
    return bounds.expires_at is not None and now >= bounds.expires_at


def _used_up(record: Record, bounds: Bounds) -> bool:
    return bounds.max_runs is not None and record.runs >= bounds.max_runs


def lapsed(record: Record, bounds: Bounds, rules: Rules, now: datetime) -> Problem | None:
    """Why an approval of this very content does not allow a run (any more)."""
    short = record.id[:8]
    again = f"To allow it again: scq approve {short}"
    if bounds.expires_at is not None and _expired(bounds, now):
        return _problem(record.sighting, f"approval expired on {bounds.expires_at:%Y-%m-%d %H:%M} UTC", again)
    if _used_up(record, bounds):
        runs = "1 run" if bounds.max_runs == 1 else f"{bounds.max_runs} runs"
        return _problem(record.sighting, f"approval was for {runs} and is used up", again)
    return _too_few(record, rules, now)


def _too_few(record: Record, rules: Rules, now: datetime) -> Problem | None:
    given = approvals(record, rules, now)
    if len(given) >= rules.quorum:
        return None
    names = f", by {', '.join(vote.by for vote in given)}" if given else ""
    what = f"{len(given)} of {rules.quorum} approvals{names}"
    return _problem(record.sighting, what, f"Another reviewer has to approve it: scq approve {record.id[:8]} --by ADDRESS")


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
            ended = lapsed(record, decision.bounds, rules, now)
            if ended is not None:
                return replace(record, status="pending", problems=(ended,))
            return replace(record, status="approved")
    if decision is not None and decision.verdict == "approve" and decision.digest != record.digest:
        advice = f"Look at it again: scq diff {record.id[:8]}, then approve or reject it."
        return replace(record, status="pending", changed=True, problems=(_problem(sighting, CHANGED, advice),))
    if decision is None and approvals(record, rules, now) and (waiting := _too_few(record, rules, now)) is not None:
        return replace(record, status="pending", problems=(waiting,))
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
