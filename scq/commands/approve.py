"""`scq approve`: allow exactly the content that was seen to run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from scq.clean import line
from scq.config_kinds import ADDRESS, DURATION, FILES, SIZE, Kind
from scq.context import Context
from scq.deciding import decide
from scq.digest import manifest
from scq.errors import ConfigError, IntegrityError, UsageError
from scq.model import Bounds, Job
from scq.report import Report
from scq.selecting import advice_at_work
from scq.state import Record

FINDINGS_SHOWN = 5


def run(
    ctx: Context,
    words: Sequence[str],
    *,
    reason: str = "",
    digest: str = "",
    by: str = "",
    expires: str = "",
    max_runs: int | None = None,
    timeout: str = "",
    memory: str = "",
    accept: Collection[str] = (),
    confirm: Callable[[str], bool] | None = None,
    seen: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> Report:
    """Approve one or many jobs of this owner.

    `digest` (`sha256:…`) says which content is meant and replaces the rule that content must not have changed since the last
    `scq review`. `confirm` is asked before a job is approved that was never reviewed here; None means nobody is asked. `by` is
    the address of the reviewer. `expires`, `max_runs`, `timeout` and `memory` bound the approval, in the words of config.yaml.
    `accept` names rules of findings that are accepted although `deny` blocks them. `seen` holds the `revision` by id of jobs
    that must still be what they were when they were shown. Raises UsageError.
    """
    if digest and len(words) != 1:
        raise UsageError("--digest goes with exactly one job", "Approve the jobs one by one.")
    reviewer = _reviewer(ctx, by)
    bounds = _bounds(ctx, expires, max_runs, timeout, memory)

    def check(job: Job, record: Record) -> None:
        _allowed(ctx, job)
        if digest:
            _same(job, digest)
        elif record.reviewed is not None and record.reviewed != job.digest:
            raise IntegrityError(f"{job.short_id} has changed since you reviewed it", f"Look again: scq review {job.short_id}")
        _not_denied(ctx, record, accept)
        if not digest and record.reviewed is None and confirm is not None and not confirm(_question(job)):
            raise UsageError(f"{job.short_id} was not approved", f"Read it first: scq review {job.short_id}")

    return decide(
        ctx,
        "approve",
        "approve",
        words,
        reason=reason,
        method="digest" if digest else "manual",
        check=check,
        dry_run=dry_run,
        by=reviewer,
        bounds=bounds,
        accepted=sorted(set(accept)),
        seen=seen,
    )


def _reviewer(ctx: Context, by: str) -> str:
    reviewer: str = _parsed("--by", ADDRESS, by) if by else ctx.config.email
    if ctx.config.reviewers and reviewer not in ctx.config.reviewers:
        allowed = ", ".join(ctx.config.reviewers)
        raise UsageError(f"{reviewer} is not one of approvals.reviewers", f"Name one of them with --by: {allowed}")
    return reviewer


def _bounds(ctx: Context, expires: str, max_runs: int | None, timeout: str, memory: str) -> Bounds:
    return Bounds(
        expires_at=ctx.now() + timedelta(seconds=_parsed("--expires", DURATION, expires)) if expires else None,
        max_runs=_parsed("--max-runs", FILES, max_runs) if max_runs is not None else None,
        timeout_s=_parsed("--timeout", DURATION, timeout) if timeout else None,
        memory=_parsed("--memory", SIZE, memory) if memory else None,
    )


def _parsed(option: str, kind: Kind, word: object) -> Any:
    value = kind.parse(word)
    if value is None:
        raise UsageError(f"{option} {str(word)[:80]!a} is not allowed", f"It is {kind.allowed}.")
    return value


def _not_denied(ctx: Context, record: Record, accept: Collection[str]) -> None:
    """Rules that the configuration denies block an approval, however the content is named."""
    if not ctx.config.deny:
        return
    from scq.findings import CODE_RULES, denied
    from scq.reviewing import code_findings

    unknown = sorted({*ctx.config.deny, *accept} - CODE_RULES.keys())
    if unknown:
        named = f"`deny` or --accept-finding names {line(unknown[0], 80)!a}, which is not a rule"
        raise ConfigError(named, f"The rules are: {', '.join(sorted(CODE_RULES))}.")
    made = manifest(ctx.config.root, ctx.layout(record.sighting.ref.layout).content(record.sighting), ctx.caps)
    if made.digest != record.digest:
        raise IntegrityError(f"{record.id[:8]} is changing while it is approved", f"Look again: scq review {record.id[:8]}")
    blocking = denied(code_findings(ctx, record, made), ctx.config.deny, accept)
    if not blocking:
        return
    shown = "; ".join(f"{line(item.path)}:{item.line} {item.rule} ({line(item.what)})" for item in blocking[:FINDINGS_SHOWN])
    more = f"; and {len(blocking) - FINDINGS_SHOWN} more" if len(blocking) > FINDINGS_SHOWN else ""
    options = " ".join(f"--accept-finding {rule}" for rule in sorted({item.rule for item in blocking}))
    raise UsageError(
        f"{record.id[:8]} has findings that `deny` blocks: {shown}{more}",
        f"If they are all right: scq approve {record.id[:8]} {options}",
    )


def _allowed(ctx: Context, job: Job) -> None:
    if job.sighting.owner != ctx.config.email:
        raise UsageError(f"{job.short_id} belongs to {job.sighting.owner}", "Only the owner of a datasite approves its jobs.")
    if job.invalid:
        reasons = "; ".join(job.invalid[:3])
        raise UsageError(f"{job.short_id} cannot be run: {reasons}", f"Reject it: scq reject {job.short_id} -r REASON")
    if job.status in ("pending", "approved") or _stuck(job):
        return
    again = f"To run it once more: scq rerun {job.short_id}"
    advice = again if job.status in ("completed", "failed") else advice_at_work(job.run, job.short_id)
    raise UsageError(f"{job.short_id} is {job.status}", advice)


def _stuck(job: Job) -> bool:
    """Another runner left it as running and is gone."""
    return job.status == "running" and job.run is None and bool(job.problems)


def _same(job: Job, digest: str) -> None:
    if job.digest != digest:
        raise IntegrityError(
            f"{job.short_id} has digest {job.digest}, not {digest}", f"Look at what it is now: scq review {job.short_id}"
        )


def _question(job: Job) -> str:
    return f"{job.short_id} was never reviewed here. Approve {job.digest} unread?"
