"""`scq cycle`: one look, then everything that follows from it: run what is approved, tell people, clean up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from scq.context import Context
from scq.errors import ACTION_NEEDED, BUSY, CONFIG, FAILED, INTEGRITY, JOB_FAILED, OK, SIGN_IN, USAGE, BusyError, ScqError
from scq.lastcalls import mark_ended
from scq.looking import observe
from scq.machine import advice_on, words_of
from scq.report import Report
from scq.state import Record
from scq.steps.delivery import delivered
from scq.steps.look import Look, look, report
from scq.steps.runs import Choice, is_due, is_left, nothing_run, planned_jobs, recovered, report_of, run_jobs, runner_of

if TYPE_CHECKING:
    from scq.running import Options, Runner

WORST_FIRST = (INTEGRITY, CONFIG, SIGN_IN, USAGE, FAILED, JOB_FAILED, BUSY, ACTION_NEEDED, OK)
"""Which exit code of its steps a cycle ends with."""
NEWS = ("new_jobs", "changed_jobs", "new_peers", "granted_peers", "events")
"""What a second look adds to the first."""


def run(ctx: Context, *, no_run: bool = False, dry_run: bool = False) -> Report:
    """Look once, run approved jobs (unless `no_run`), deliver what is due, and after a full look remove what ended long ago.

    A step that fails does not stop the others, and a step another call is doing right now is left to it: while one cycle runs a
    long job, the next ones look and tell. The exit code is the worst of the steps: 5, 78, 77, 1, 4, then 75. Raises BusyError
    while another call is looking.
    """
    cycle = _Cycle(ctx, dry_run)
    with ExitStack() as running:
        may_run = not (no_run or dry_run) and cycle.take_up(running)
        with ctx.only_one("check"):
            ctx.begun("cycle")
            made = cycle.look()
        if may_run:
            cycle.run_jobs(made)
    if dry_run and not no_run:
        cycle.step("run-approved", lambda: planned_jobs(ctx, ctx.sandbox(), _options(ctx), made.seen, Choice()))
    cycle.step("notify", cycle.deliver)
    if made.seen.full and made.exit_code == OK:  # while Drive is away, results that were released may not have been sent yet
        cycle.step("cleanup", cycle.clean_up)
    return cycle.report()


def _options(ctx: Context) -> Options:
    from scq.running import Options

    return Options(ctx.config.job_timeout, stream=False, share_outputs=False, share_logs=False)


class _Cycle:
    """The steps of one cycle, and what each of them said."""

    def __init__(self, ctx: Context, dry_run: bool) -> None:
        self.ctx = ctx
        self.dry_run = dry_run
        self.reports: list[Report] = []
        self.took: list[float] = []

    def step(self, name: str, do: Callable[[], Report]) -> Report:
        """Do one step. Whatever a user can mend becomes its report; the other steps go on."""
        began = time.time()
        made = self._attempt(name, do)
        self._add(made, began)
        return made

    def _attempt(self, name: str, do: Callable[[], Report]) -> Report:
        try:
            return do()
        except BusyError:
            return Report(name, exit_code=BUSY)  # the call that is at work says what there is to say
        except ScqError as error:
            return Report(name, exit_code=error.exit_code, errors=(f"{error}. {error.advice}".strip(),))
        except OSError as error:
            advice = advice_on(error)
            if advice is None:
                raise
            return Report(name, exit_code=FAILED, errors=(f"{words_of(error)}. {advice}",))

    def take_up(self, running: ExitStack) -> bool:
        """Hold the lock of the runs and finish what earlier calls left; False when another call runs jobs, or nothing can."""

        def begin() -> Report:
            running.enter_context(self.ctx.only_one("run-approved"))
            if not is_left(self.ctx):
                return Report("run-approved", nothing_run())
            runner = self._runner()
            return report_of(runner, recovered(self.ctx, runner))

        began = time.time()
        made = self._attempt("run-approved", begin)
        if made != Report("run-approved", nothing_run()):  # said at once: the look may fail
            self._add(made, began)
        return "runs" in made.data

    def look(self) -> Look:
        """The look everything else follows from; without it there is nothing to do, so its failures end the cycle."""
        began = time.time()
        made = look(self.ctx, dry_run=self.dry_run)
        self.state = made.seen.state
        self._add(report(self.ctx, made, dry_run=self.dry_run), began)
        return made

    def run_jobs(self, made: Look) -> None:
        """Run what was approved. If anything was, look again, so that people hear of it in the same call."""
        if made.seen.source.ok and not is_due(self.ctx, made.seen):
            self.step("run-approved", lambda: Report("run-approved", nothing_run()))
            return
        runners: list[Runner] = []

        def work() -> Report:
            runners.append(self._runner())
            return run_jobs(self.ctx, runners[0], made.seen, (), Choice())

        self.step("run-approved", work)
        ran = {outcome.record.id for runner in runners for outcome in runner.outcomes}
        if ran:
            self.step("check", lambda: self.look_again(ran))

    def look_again(self, ran: set[str]) -> Report:
        """What came meanwhile; how the jobs ended that were run was said already."""
        seen = observe(self.ctx)
        self.state = seen.state
        seen = replace(seen, changed_jobs=tuple(job for job in seen.changed_jobs if job.id not in ran))
        return report(self.ctx, Look(seen, None, seen.problems))

    def deliver(self) -> Report:
        """Send what is due."""
        with self.ctx.only_one("notify"):
            return delivered(self.ctx, self.state, (), OK, dry_run=self.dry_run)

    def clean_up(self) -> Report:
        """Remove what ended long ago."""
        from scq.steps.removal import removed_in_time

        with nullcontext() if self.dry_run else self.ctx.only_one("run-approved"):
            return removed_in_time(self.ctx, _all_jobs(self.ctx), dry_run=self.dry_run)

    def report(self) -> Report:
        """All steps as one report."""
        data: dict[str, Any] = {"check": {}, "runs": [], "handed": [], "messages": [], "removed": [], "run": self.ctx.run_id}
        for made in self.reports:
            if made.command == "check":
                data["check"] = _together(data["check"], made.data)
            for name in ("runs", "handed"):
                data[name] += made.data.get(name, ())
            data.update({name: made.data[name] for name in ("messages", "removed", "planned") if name in made.data})
        data["steps"] = self._steps()
        data["dry_run"] = self.dry_run
        lines = tuple(line for made in self.reports for line in made.lines)
        problems = tuple(dict.fromkeys(problem for made in self.reports for problem in made.problems))
        errors = tuple(dict.fromkeys(error for made in self.reports for error in made.errors))
        return Report("cycle", data, lines, problems, _worst(made.exit_code for made in self.reports), errors)

    def _steps(self) -> list[dict[str, Any]]:
        """Each step once, also one that was done in two parts."""
        names = dict.fromkeys(made.command for made in self.reports)
        parts = [(made.command, made.exit_code, took) for made, took in zip(self.reports, self.took, strict=True)]
        return [
            {
                "name": name,
                "exit_code": _worst(code for step, code, _ in parts if step == name),
                "took_s": round(sum(took for step, _, took in parts if step == name), 3),
            }
            for name in names
        ]

    def _runner(self) -> Runner:
        return runner_of(self.ctx, _options(self.ctx))

    def _add(self, made: Report, began: float) -> None:
        ended = time.time()
        self.reports.append(made)
        self.took.append(round(max(0.0, ended - began), 3))
        if self.dry_run:
            return
        self.ctx.journal.report(made, self.took[-1])
        if made.exit_code in (OK, ACTION_NEEDED):
            mark_ended(self.ctx.home, made.command, began, ended)


def _worst(codes: Iterable[int]) -> int:
    return min(codes, key=WORST_FIRST.index)


def _together(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """What two looks of one cycle say."""
    if not first or not second:
        return first or second
    return first | {name: [*first[name], *second[name]] for name in NEWS}


def _all_jobs(ctx: Context) -> dict[str, Record]:
    """Every job that is remembered, as the full look just before left it."""
    over = ((key, ctx.store.finished_record(key)) for key in ctx.store.finished_keys())
    return {**{key: record for key, record in over if record is not None}, **ctx.store.load().jobs}
