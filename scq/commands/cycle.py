"""`scq cycle`: one look, then everything that follows from it: run what is approved, tell people, clean up."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import Any

from scq.context import Context
from scq.errors import ACTION_NEEDED, BUSY, CONFIG, FAILED, INTEGRITY, JOB_FAILED, OK, SIGN_IN, BusyError, ScqError
from scq.lastcalls import mark_ended
from scq.looking import observe
from scq.machine import advice_on, words_of
from scq.model import Problem
from scq.report import Report
from scq.running import Options, Runner
from scq.state import Record, State
from scq.steps.delivery import delivered
from scq.steps.look import Look, look, report
from scq.steps.removal import removed
from scq.steps.runs import Choice, planned_jobs, recovered, run_jobs, runner_of

WORST_FIRST = (INTEGRITY, CONFIG, SIGN_IN, FAILED, JOB_FAILED, BUSY, ACTION_NEEDED, OK)
"""Which exit code of its steps a cycle ends with."""


def run(ctx: Context, *, no_run: bool = False, dry_run: bool = False) -> Report:
    """Look once, run approved jobs (unless `no_run`), deliver what is due, and after a full look remove what ended long ago.

    A step that fails does not stop the others, and a step another call is doing right now is left to it: while one cycle runs a
    long job, the next ones look and tell. The exit code is the worst of the steps: 5, 78, 77, 1, 4, then 75. Raises BusyError
    while another call is looking.
    """
    cycle = _Cycle(ctx, dry_run)
    options = Options(ctx.config.job_timeout, stream=False, share_outputs=False, share_logs=False)
    with ExitStack() as running:
        runner = None if no_run or dry_run else cycle.take_up(running, options)
        with ctx.only_one("check"):
            ctx.begun("cycle")
            made = cycle.look()
        state = made.seen.state
        if runner is not None and cycle.run_jobs(runner, made):
            state = observe(ctx).state
    if dry_run and not no_run:
        cycle.step("run-approved", lambda: planned_jobs(ctx, ctx.sandbox(), options, made.seen, Choice()))
    cycle.step("notify", lambda: cycle.deliver(state))
    if made.seen.full:
        cycle.step("cleanup", cycle.clean_up)
    return cycle.report()


class _Cycle:
    """The steps of one cycle, and what each of them said."""

    def __init__(self, ctx: Context, dry_run: bool) -> None:
        self.ctx = ctx
        self.dry_run = dry_run
        self.reports: list[Report] = []
        self.took: list[float] = []
        self._early: list[Problem] = []

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

    def take_up(self, running: ExitStack, options: Options) -> Runner | None:
        """Hold the lock of the runs and finish what earlier calls left; None when another call runs jobs, or nothing can."""
        found: list[Runner] = []

        def begin() -> Report:
            running.enter_context(self.ctx.only_one("run-approved"))
            found.append(runner_of(self.ctx, options))
            self._early = recovered(self.ctx, found[0])
            return Report("run-approved")

        began = time.time()
        made = self._attempt("run-approved", begin)
        if made.exit_code == OK:  # what it did is said together with the runs
            return found[0]
        self._add(made, began)
        return None

    def look(self) -> Look:
        """The look everything else follows from; without it there is nothing to do, so its failures end the cycle."""
        began = time.time()
        made = look(self.ctx, dry_run=self.dry_run)
        self._add(report(self.ctx, made, dry_run=self.dry_run), began)
        return made

    def run_jobs(self, runner: Runner, made: Look) -> bool:
        """Run what was approved; whether anything was run."""
        self.step("run-approved", lambda: run_jobs(self.ctx, runner, made.seen, self._early, Choice()))
        return bool(runner.outcomes)

    def deliver(self, state: State) -> Report:
        """Send what is due."""
        with self.ctx.only_one("notify"):
            return delivered(self.ctx, state, (), OK, dry_run=self.dry_run)

    def clean_up(self) -> Report:
        """Remove what ended long ago."""
        with nullcontext() if self.dry_run else self.ctx.only_one("run-approved"):
            return removed(self.ctx, _all_jobs(self.ctx), (), dry_run=self.dry_run)

    def report(self) -> Report:
        """All steps as one report."""
        data: dict[str, Any] = {"check": {}, "runs": [], "messages": [], "removed": [], "run": self.ctx.run_id}
        for made in self.reports:
            if made.command == "check":
                data["check"] = made.data
            data.update({name: made.data[name] for name in ("runs", "messages", "removed", "planned") if name in made.data})
        data["steps"] = [
            {"name": made.command, "exit_code": made.exit_code, "took_s": took}
            for made, took in zip(self.reports, self.took, strict=True)
        ]
        data["dry_run"] = self.dry_run
        lines = tuple(line for made in self.reports for line in made.lines)
        problems = tuple(dict.fromkeys(problem for made in self.reports for problem in made.problems))
        errors = tuple(dict.fromkeys(error for made in self.reports for error in made.errors))
        code = next(code for code in WORST_FIRST if any(made.exit_code == code for made in self.reports))
        return Report("cycle", data, lines, problems, code, errors)

    def _add(self, made: Report, began: float) -> None:
        ended = time.time()
        self.reports.append(made)
        self.took.append(round(max(0.0, ended - began), 3))
        if self.dry_run:
            return
        self.ctx.journal.report(made, self.took[-1])
        if made.exit_code in (OK, ACTION_NEEDED):
            mark_ended(self.ctx.home, made.command, began, ended)


def _all_jobs(ctx: Context) -> dict[str, Record]:
    """Every job that is remembered, as the full look just before left it."""
    over = ((key, ctx.store.finished_record(key)) for key in ctx.store.finished_keys())
    return {**{key: record for key, record in over if record is not None}, **ctx.store.load().jobs}
