"""Approving, rejecting and cancelling: the ledger row first, then the folders. Shared by the three verbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from scq.acting import carry_out
from scq.clean import line
from scq.context import Context, audited
from scq.errors import FAILED, OK, IntegrityError, ScqError, UsageError
from scq.keeping import keep
from scq.looking import View, observe, view
from scq.model import Decision, Job, Method, Problem, Verdict
from scq.report import Report
from scq.state import Record, State
from scq.view import as_dict, find, job_of

Check = Callable[[Job, Record], None]
"""Raises ScqError when a job may not be decided so."""


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
) -> Report:
    """Decide every named job on its own: one that is refused does not stop the others."""
    if not dry_run:
        observe(ctx)  # a job decided before any check was still received, and is told so
    shown = view(ctx, full=False)
    shown = shown if _all_found(shown, words) else view(ctx, full=True)

    def before(record: Record) -> None:
        if verdict == "approve" and not dry_run:
            keep(ctx, record)

    chosen, errors, worst = _choose(shown, words, check, before)
    problems: list[Problem] = list(shown.problems)
    if chosen and not dry_run:
        now = ctx.now()
        decisions = {
            key: Decision(verdict=verdict, digest=record.digest or "", by=ctx.config.email, at=now, method=method, reason=reason)
            for key, record in chosen.items()
        }
        ctx.store.update(lambda state: _written_down(ctx, state, command, chosen, decisions))
        problems.extend(carry_out(ctx, chosen.keys()))
        chosen = {key: replace(record, decision=decisions[key], run=None, changed=False) for key, record in chosen.items()}
    jobs = [job_of(record) for record in chosen.values()]
    word = {"approve": "approved", "reject": "rejected", "cancel": "cancelled"}[command]
    prefix = "would be " if dry_run else ""
    lines = [f"{prefix}{word} {job.short_id}  {line(job.name)}  {job.digest or ''}" for job in jobs]
    data = {"jobs": [as_dict(job) | {"status": _after(verdict)} for job in jobs], "dry_run": dry_run}
    failed = len(problems) > len(shown.problems)
    return Report(command, data, tuple(lines), tuple(problems), worst if errors else FAILED if failed else OK, tuple(errors))


def _after(verdict: Verdict) -> str:
    return "approved" if verdict == "approve" else "rejected"


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
            check(job, record)
            before(record)
        except ScqError as error:
            errors.append(f"{error}. {error.advice}".rstrip(". ") + ".")
            worst = max(worst, error.exit_code)
            continue
        chosen[keys[job.id]] = record
    return chosen, errors, worst


def _written_down(ctx: Context, state: State, command: str, chosen: dict[str, Record], decisions: dict[str, Decision]) -> State:
    jobs = dict(state.jobs)
    for key, seen in chosen.items():
        decision = decisions[key]
        record = jobs.get(key, seen)
        if record.run is not None and record.run.phase != "settled":
            raise IntegrityError(f"{record.id[:8]} was started while it was being decided", "scq show tells how it ends.")
        # What was seen and checked is what is decided; the status stays as remembered, so that the next look tells the change.
        jobs[key] = replace(
            record,
            sighting=seen.sighting,
            digest=seen.digest,
            decision=decision,
            run=None,
            intents=("decide",),
            status=record.status if key in state.jobs else "pending",
        )
        state = audited(
            state, decision.at, decision.by, command, ref=key, job=record.id, digest=decision.digest, detail=decision.reason
        )
    return replace(state, jobs=jobs)
