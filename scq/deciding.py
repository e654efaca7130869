"""Approving, rejecting and cancelling: the ledger row first, then the folders. Shared by the three verbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from scq.acting import carry_out
from scq.authority import approvals, with_vote
from scq.clean import line
from scq.context import Context, audited
from scq.errors import FAILED, OK, BusyError, IntegrityError, ScqError, UsageError
from scq.exchanging import send_back
from scq.keeping import keep
from scq.looking import View, observe, rules, view
from scq.model import Bounds, Decision, Job, Method, Problem, Verdict
from scq.report import Report
from scq.showing import bound_words
from scq.state import Record, State
from scq.view import as_dict, expect, find, job_of

Check = Callable[[Job, Record], None]
"""Raises ScqError when a job may not be decided so."""
UNSEEN = "-"
"""The revision of no job."""
WORDS = {"approve": "approved", "reject": "rejected", "cancel": "cancelled"}


def decide(
    ctx: Context,
    command: str,
    verdict: Verdict,
    words: Sequence[str],
    *,
    reason: str,
    method: Method,
    check: Check,
    dry_run: bool,
    by: str = "",
    bounds: Bounds | None = None,
    accepted: Sequence[str] = (),
    seen: Mapping[str, str] | None = None,
) -> Report:
    """Decide every named job on its own: one that is refused does not stop the others.

    `by` is the reviewer, the owner unless named. An approval that needs further reviewers is written down and waits for them.
    `seen` holds the revision by id of jobs that must still be what they were when they were shown; then no other job is decided.
    """
    if not dry_run:
        observe(ctx)  # a job decided before any check was still received, and is told so
    shown = view(ctx, full=False)
    shown = shown if _all_found(shown, words) else view(ctx, full=True)

    def before(record: Record) -> None:
        if verdict == "approve" and not dry_run:
            keep(ctx, record)

    expected = seen or {}

    def unchanged(job: Job, record: Record) -> None:
        if seen is not None:
            expect(job, seen.get(job.id, UNSEEN))
        check(job, record)

    chosen, errors, worst = _choose(shown, words, unchanged, before)
    said = Decision(
        verdict=verdict,
        digest="",
        by=by or ctx.config.email,
        at=ctx.now(),
        method=method,
        reason=reason,
        bounds=bounds or Bounds(),
        accepted=tuple(accepted),
    )
    decided = {key: _decided(ctx, record, said) for key, record in chosen.items()}
    undone: Sequence[Problem] = ()
    unsent: Sequence[Problem] = ()
    if chosen and not dry_run:
        saved = ctx.store.update(lambda state: _written_down(ctx, state, command, chosen, said, expected))
        decided = {key: replace(decided[key], decision=saved.jobs[key].decision, votes=saved.jobs[key].votes) for key in chosen}
        undone = carry_out(ctx, [key for key, record in decided.items() if record.decision is not None])
        unsent = send_back(ctx)  # what cannot be sent now goes out with the next call: it was decided all the same
    data = {"jobs": [_as_dict(ctx, record, verdict) for record in decided.values()], "dry_run": dry_run}
    lines = [_line(ctx, record, command, dry_run=dry_run) for record in decided.values()]
    code = worst if errors else FAILED if undone else OK
    return Report(command, data, tuple(lines), (*shown.problems, *undone, *unsent), code, tuple(errors))


def _decided(ctx: Context, record: Record, said: Decision) -> Record:
    """A record as it is once this was said: with a decision, or with one more approval of those that are needed."""
    said = replace(said, digest=record.digest or "")
    if said.verdict == "reject":
        decided = replace(record, decision=said, votes=(), runs=0)
    else:
        decided = with_vote(record, said, rules(ctx))
    return replace(decided, run=None, changed=False, problems=())


def _as_dict(ctx: Context, record: Record, verdict: Verdict) -> dict[str, Any]:
    if verdict == "reject":
        return as_dict(job_of(replace(record, status="rejected")))
    given = [vote.by for vote in approvals(record, rules(ctx), ctx.now())]
    decided = replace(record, status="pending" if record.decision is None else "approved")
    return as_dict(job_of(decided)) | {"approvals": {"given": given, "needed": ctx.config.quorum}}


def _line(ctx: Context, record: Record, command: str, *, dry_run: bool) -> str:
    prefix = "would be " if dry_run else ""
    name = f"{record.id[:8]}  {line(record.sighting.name)}  {record.digest or ''}"
    if record.decision is None:
        given = len(approvals(record, rules(ctx), ctx.now()))
        return f"{prefix}waiting {name}  ({given} of {ctx.config.quorum} approvals)"
    words = bound_words(record.decision.bounds)
    return f"{prefix}{WORDS[command]} {name}" + (f"  ({', '.join(words)})" if words else "")


def _all_found(shown: View, words: Sequence[str]) -> bool:
    jobs = shown.jobs()
    for word in words:
        try:
            find(jobs, word)
        except UsageError:
            return False
    return True


def _choose(
    shown: View, words: Sequence[str], check: Check, before: Callable[[Record], None]
) -> tuple[dict[str, Record], list[str], int]:
    jobs = shown.jobs()
    keys = {job.id: key for key, job in jobs.items()}
    chosen: dict[str, Record] = {}
    errors: list[str] = []
    worst = FAILED
    for word in dict.fromkeys(words):
        try:
            job = find(jobs, word)
            record = shown.records[keys[job.id]]
            _here(job)
            check(job, record)
            before(record)
        except ScqError as error:
            errors.append(f"{error}. {error.advice}".rstrip(". ") + ".")
            worst = max(worst, error.exit_code)
            continue
        chosen[keys[job.id]] = record
    return chosen, errors, worst


def _here(job: Job) -> None:
    """Only what lies in the SyftBox folder can be decided: only that is what would run. Raises BusyError."""
    if job.sighting.where == "drive":
        advice = "It can be decided when your SyftBox client, or scq check --fetch, has brought it here."
        raise BusyError(f"{job.short_id} is on Google Drive only, not in the SyftBox folder yet", advice)


def _written_down(
    ctx: Context, state: State, command: str, chosen: Mapping[str, Record], said: Decision, expected: Mapping[str, str]
) -> State:
    jobs = dict(state.jobs)
    for key, seen in chosen.items():
        record = jobs.get(key, seen)
        if record.run is not None and record.run.phase != "settled":
            raise IntegrityError(f"{record.id[:8]} was started while it was being decided", "scq show tells how it ends.")
        if record.id in expected and record.decision != seen.decision:
            raise BusyError(
                f"{record.id[:8]} was decided by another call at this moment", "Nothing was decided here; look again."
            )
        # What was seen and checked is what is decided; the status stays as remembered, so that the next look tells the change.
        decided = _decided(ctx, replace(record, sighting=seen.sighting, digest=seen.digest), said)
        state = _told(ctx, state, command, key, decided, said)
        jobs[key] = replace(
            decided,
            changed=record.changed,
            problems=record.problems,
            intents=record.intents if decided.decision is None else ("decide",),
            status=record.status if key in state.jobs else "pending",
        )
    return replace(state, jobs=jobs)


def _told(ctx: Context, state: State, command: str, key: str, record: Record, said: Decision) -> State:
    """The audit rows of one decision: one for the vote where several are needed, one for what came of it."""
    rows = [("vote", said)] if said.verdict == "approve" and ctx.config.quorum > 1 else []
    rows += [(command, record.decision)] if record.decision is not None else []
    for what, decision in rows:
        words = [*bound_words(decision.bounds), *(f"accepted {rule}" for rule in decision.accepted)]
        detail = "; ".join(part for part in (decision.reason, ", ".join(words)) if part)
        state = audited(
            state, said.at, decision.by, what, ref=key, job=record.id, digest=record.digest or "", detail=detail, verb=command
        )
    return state
