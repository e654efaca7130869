"""Running what the ledger allows, and saying what became of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from scq.acting import carry_out
from scq.authority import CHANGED, runnable
from scq.clean import line
from scq.context import Context
from scq.errors import BUSY, CONFIG, INTEGRITY, JOB_FAILED, OK, ScqError
from scq.exchanging import send_back
from scq.looking import Observation
from scq.model import Problem
from scq.planning import choose, exceeding, matches
from scq.report import Report
from scq.showing import plan_lines, seconds, usage_words
from scq.state import Record
from scq.view import awaits_answer, job_of

if TYPE_CHECKING:
    from scq.ports import Sandbox
    from scq.running import Options, Outcome, Runner


MOST_NAMED = 20
"""Jobs handed over that are named one by one."""


class Choice(Struct, frozen=True):
    """Which jobs are run, each by its id, a beginning of it, or its name; empty `only`: all. At most `most` of them."""

    only: Sequence[str] = ()
    skip: Sequence[str] = ()
    most: int | None = None


def nothing_run() -> dict[str, Any]:
    """What a report says of jobs where none was run."""
    return {"runs": [], "handed": []}


def runner_of(ctx: Context, options: Options) -> Runner:
    """The one who runs jobs in this call. The caller holds the lock of `run-approved`."""
    from scq.running import Runner  # takes as long to load as a whole look that finds nothing new

    return Runner(ctx, ctx.sandbox(), ctx.executor(), options)


def is_left(ctx: Context) -> bool:
    """Whether earlier calls left something to be finished."""
    records = ctx.store.load().jobs.values()
    return any(record.intents or (record.run is not None and record.run.phase != "settled") for record in records)


def is_due(ctx: Context, seen: Observation) -> bool:
    """Whether there is a job to be run, or to be refused."""
    records = seen.state.jobs
    return any(record.changed or runnable(record, ctx.config.email) for record in records.values())


def recovered(ctx: Context, runner: Runner) -> list[Problem]:
    """Finish what earlier calls left behind, before a look; what went wrong."""
    before = carry_out(ctx)
    runner.recover()
    return [*before, *carry_out(ctx)]


def run_jobs(ctx: Context, runner: Runner, seen: Observation, problems: Sequence[Problem], choice: Choice) -> Report:
    """Run every approved job that was seen, oldest first, in the foreground, and send back what may leave.

    Exit code 4 when a job failed, 5 when content was not what was approved, 78 when the sandbox cannot be had.
    """
    if not seen.source.ok:
        return _report(runner, [*problems], [], set(), BUSY)
    keys = choose(seen.state.jobs, ctx.config.email, only=choice.only, skip=choice.skip, max_jobs=choice.most)
    changed = _changed(seen, choice.only, choice.skip, ctx.config.email)
    if keys:
        refusals, why = _refusals(ctx, runner)
        if refusals:
            errors = (f"no job was run: {why}",)
            return Report("run-approved", nothing_run(), (), (*problems, *refusals), CONFIG, errors)
        runner.run(keys)
    sent = send_back(ctx)
    news = {outcome.key for outcome in changed} if seen.first else {event.ref for event in seen.events}
    return _report(runner, [*problems, *sent], changed, news)


def _refusals(ctx: Context, runner: Runner) -> tuple[list[Problem], str]:
    """What keeps every job from being run, and that in a few words. The box of a job on a cluster is proven on its node."""
    refused = list(runner.executor.check())
    if refused:
        return refused, f"{runner.executor.name} cannot be used as it is configured"
    if runner.executor.remote and ctx.config.network != "prepare":
        return [], ""
    return list(runner.sandbox.check()), "the sandbox does not hold on this machine"


def planned_jobs(ctx: Context, sandbox: Sandbox, options: Options, seen: Observation, choice: Choice) -> Report:
    """What `run_jobs` would run, each job with everything it would be given; nothing is started."""
    if not seen.source.ok:
        return Report("run-approved", nothing_run(), (), seen.problems, BUSY)
    keys = choose(seen.state.jobs, ctx.config.email, only=choice.only, skip=choice.skip, max_jobs=choice.most)
    planned = [_planned(ctx, sandbox, seen.state.jobs[key], options) for key in keys]
    lines = tuple(line for _, shown in planned for line in shown)
    data = nothing_run() | {"planned": [row for row, _ in planned], "dry_run": True}
    return Report("run-approved", data, lines, seen.problems)


def _changed(seen: Observation, only: Sequence[str], skip: Sequence[str], me: str) -> list[Outcome]:
    """Jobs that were approved and are no longer what was approved: refused, every time, until the owner decides again."""
    from scq.running import Outcome

    return [
        Outcome(key, record, refused=CHANGED, integrity=True)
        for key, record in seen.state.jobs.items()
        if record.changed and record.missing_since is None and record.sighting.owner == me
        if (not only or matches(job_of(record), only)) and not matches(job_of(record), skip)
    ]


def _planned(ctx: Context, sandbox: Sandbox, record: Record, options: Options) -> tuple[dict[str, Any], list[str]]:
    """One job that would be run, with everything it would be given: as JSON, and as lines."""
    from scq.provision import beginning, provide

    job = job_of(record)
    row: dict[str, Any] = {"id": job.id, "short_id": job.short_id, "name": job.name, "digest": job.digest}
    row |= {"plan": None, "problem": ""}
    head = f"would run {job.short_id}  {line(job.name)}  {job.digest}  (sandbox: {sandbox.name})"
    work = os.path.join(ctx.runs_folder(), f"{job.id}-{record.attempts + 1}", "work")
    try:
        provision = provide(ctx, job, lambda path: beginning(ctx, record, path), work=work, timeout_s=options.timeout_s)
        plan = provision.plan(sandbox)
    except ScqError as error:
        row["problem"] = f"{error}. {error.advice}"
        return row, [head, f"    not as things are: {line(str(error), 300)}. {error.advice}"]
    row["plan"] = msgspec.to_builtins(plan) | {"prepare": ctx.config.network == "prepare"}
    return row, [head, *plan_lines(plan, exceeding(provision.asked, provision.limits))]


def report_of(runner: Runner, problems: Sequence[Problem]) -> Report:
    """What a runner has done so far."""
    return _report(runner, [*problems], [], set())


def _report(runner: Runner, problems: list[Problem], changed: list[Outcome], news: set[str], otherwise: int = OK) -> Report:
    """`news` are the jobs something happened to since the last look: a refusal is told once, its exit code stays."""
    outcomes = [*runner.outcomes, *changed]
    rows = [_row(outcome) for outcome in outcomes]
    lines = [_line(outcome) for outcome in (*runner.outcomes, *(outcome for outcome in changed if outcome.key in news))]
    lines += [f"{record.id[:8]}  lost by the cluster before it began  {line(record.sighting.name)}" for record in runner.lost]
    lines += _handed_lines(runner)
    if any(awaits_answer(outcome.record) for outcome in runner.outcomes):
        lines.append("results wait for your answer: scq output ID, then scq release ID or scq withhold ID")
    if lines and runner.sandbox.name == "none":
        lines.append("(without a sandbox: `sandbox: none` is configured)")
    problems = [*problems, *runner.problems]
    refused = any(outcome.integrity for outcome in outcomes) or any(row["cause"] == "integrity" for row in rows)
    failed = any(row["status"] == "failed" for row in rows)
    code = INTEGRITY if refused else JOB_FAILED if failed else runner.exit_code if runner.problems else otherwise
    errors = tuple(f"{line(problem.where, 300)}: {line(problem.what, 500)}. {problem.advice}" for problem in runner.problems)
    handed = [{"id": record.id, "short_id": record.id[:8], "name": record.sighting.name} for record in runner.handed]
    return Report("run-approved", {"runs": rows, "handed": handed}, tuple(lines), tuple(problems), code, errors)


def _handed_lines(runner: Runner) -> list[str]:
    """The jobs that were handed over in this call, one a line; of many only how many."""
    handed, where = runner.handed, runner.executor.name
    if len(handed) > MOST_NAMED:
        return [f"{len(handed)} jobs handed over to {where}: scq list --status running shows where they are"]
    return [f"{record.id[:8]}  handed over to {where}  {line(record.sighting.name)}" for record in handed]


def _row(outcome: Outcome) -> dict[str, object]:
    record = outcome.record
    run = record.run
    good = run is not None and run.cause == "exit" and run.exit_code == 0
    return {
        "id": record.id,
        "short_id": record.id[:8],
        "name": record.sighting.name,
        "status": "pending" if outcome.refused else "completed" if good else "failed",
        "exit_code": None if run is None else run.exit_code,
        "duration_s": None if run is None or outcome.refused else run.duration_s,
        "cause": "integrity" if outcome.integrity else "refused" if outcome.refused else None if run is None else run.cause,
        "detail": "" if run is None else run.detail,
        "usage": None if run is None else {"cpu_s": run.usage.cpu_s, "memory": run.usage.memory},
        "results": {"outputs": record.outputs, "logs": record.logs, "waits": outcome.waits},
        "node": "" if run is None else line(run.node, 200),
        "left": list(outcome.left),
    }


def _line(outcome: Outcome) -> str:
    row = _row(outcome)
    head = f"{row['short_id']}  {row['status']}  {line(str(row['name']))}"
    if outcome.refused:
        return f"{row['short_id']}  refused  {line(str(row['name']))}: {line(outcome.refused, 300)}"
    run = outcome.record.run
    code = "no exit code" if run is None or run.exit_code is None else f"exit code {run.exit_code}"
    used = usage_words(run.usage) if run is not None else []
    where = [f"on {row['node']}"] if row["node"] else []
    text = f"{head}  ({', '.join([str(row['cause']), code, seconds(run.duration_s if run else None), *used, *where])})"
    if run is not None and run.detail:
        text += f"  {line(run.detail, 300)}"
    if outcome.waits:
        text += f"  its results wait for scq release: {outcome.waits}"
    if outcome.left:
        text += f"  {len(outcome.left)} result files left out: {line(outcome.left[0], 200)}"
    return text
