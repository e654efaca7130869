"""Running approved jobs: claim, private copy, start, collect, publish, settle; and repairing runs that were cut short.

A claim is on disk before anything is started, the ending of a run is a file of its own, publishing is idempotent, and the
settling save comes last. A call killed anywhere is finished by the next one, and no job is started twice.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, get_args

from msgspec import Struct
from msgspec.structs import replace

from scq.acting import current, released_results, unchanged
from scq.authority import runnable
from scq.collecting import take_over
from scq.context import Context, audited
from scq.errors import (
    BUSY,
    FAILED,
    BusyError,
    ConfigError,
    DependencyError,
    IntegrityError,
    ScqError,
)
from scq.executors.rundir import STDERR, write_result
from scq.files import write_atomic
from scq.formats import parse_time
from scq.model import FINISHED, INTERRUPTIONS, Answer, Cause, Problem, Run, Sighting
from scq.ports import Ending, Executor, Sandbox, Task
from scq.releasing import Leaving, at_end, audit_answer, ended
from scq.sandbox.scratch import remove_run
from scq.state import Record, State
from scq.tasks import make_task

if TYPE_CHECKING:
    pass

DETAIL_LIMIT = 500
NODE_LIMIT = 200
MOST_ATTEMPTS = 3
"""Of one job, where `run.retry_interrupted` is on: it may be the job that ends its runner."""
SHOW_PROGRESS, STEP = 20, 25
"""From how many jobs on it is said how far handing over is, and how often."""
SETTLE_EVERY_S = 1.0
"""Endings are saved in batches of this many seconds at most; until then the run folder carries the truth."""


class Options(Struct, frozen=True):
    """What the caller asked of one call of `run-approved`. `timeout_s` replaces the configured limit."""

    timeout_s: float
    stream: bool
    share_outputs: bool
    share_logs: bool


class Outcome(Struct, frozen=True):
    """A run that ended (or was refused) in this call."""

    key: str
    record: Record
    left: tuple[str, ...] = ()
    refused: str = ""
    """Why it was not started, if so; `integrity` when that is because of its content."""
    integrity: bool = False
    waits: str = ""
    """Why results did not leave by themselves although that is configured."""


class Runner:
    """One call's worth of running. `outcomes` and `problems` fill up as jobs end, `handed` when all were handed over.

    `lost` are those that a cluster was given and that never began there: they are approved again.
    """

    def __init__(self, ctx: Context, sandbox: Sandbox, executor: Executor, options: Options) -> None:
        self.ctx = ctx
        self.sandbox = sandbox
        self.executor = executor
        self.options = options
        self.outcomes: list[Outcome] = []
        self.problems: list[Problem] = []
        self.handed: list[Record] = []
        self.lost: list[Record] = []
        self._passing = 0
        self._started: dict[str, tuple[str, Record]] = {}
        self._refused: dict[str, tuple[Run, bool]] = {}
        self._unsaved: dict[str, tuple[Run, Leaving]] = {}
        self._saved_at = time.monotonic()

    def recover(self) -> None:
        """Finish what earlier calls began: publish ended runs, give unstarted claims back, mark cut-off runs as failed."""
        said: set[str] = set()
        for key, record in self.ctx.store.load().jobs.items():
            run = record.run
            if run is None or run.phase == "settled":
                continue
            try:
                self._recover(key, record, run)
            except (BusyError, ConfigError) as error:  # it stays out; the others may be taken over all the same
                if str(error) not in said:
                    said.add(str(error))
                    self._trouble(run.executor, error)
            if time.monotonic() - self._saved_at > SETTLE_EVERY_S:
                self._settle()
        self._settle()

    def _recover(self, key: str, record: Record, run: Run) -> None:
        folder = self._folder(run)
        executor = self.executor if run.executor == self.executor.name else self.ctx.executor(run.executor)
        ending = executor.outcome(folder)
        if ending is None:
            return
        if ending is False and executor.began(folder):
            now = self.ctx.now().isoformat()
            started = (run.started_at or run.claimed_at).isoformat()
            ending = Ending(None, "interrupted", started, now)
        if isinstance(ending, Ending) and not (ending.cause in INTERRUPTIONS and self._shown(record) == "completed"):
            self._finish(key, record, ending)
        else:
            self._refused[key] = run, self._shown(record) not in FINISHED
            if executor.remote:
                self.lost.append(record)

    def _trouble(self, where: str, error: ScqError) -> None:
        self._passing += error.exit_code == BUSY
        self.problems.append(Problem(where, str(error), error.advice))

    @property
    def exit_code(self) -> int:
        """Of the problems: 75 when all of them may be over by the next call."""
        return BUSY if self._passing == len(self.problems) else FAILED

    def _shown(self, record: Record) -> str:
        """The status that the folders of a job at work show. That it is over means that an older state was put back."""
        sighting = current(self.ctx, record)
        return "" if sighting is None else sighting.observed

    def run(self, keys: list[str]) -> None:
        """Run the given jobs, oldest first, at most `max_concurrent_jobs` at once; or hand over as many as a cluster may have."""
        limit = self.ctx.config.max_concurrent_jobs
        if self.executor.remote:
            limit = self._room()
            keys = keys[:limit]
        claimed = self._claim(keys)
        try:
            self.executor.run(self._tasks(claimed), limit, self._ended)
            if self.executor.remote:
                self._handed_over(claimed)
        finally:
            self._settle()

    def _room(self) -> int:
        """How many more jobs may be on the cluster."""
        records = self.ctx.store.load().jobs.values()
        out = sum(one.run is not None and one.run.is_out for one in records)
        return max(0, self.ctx.config.slurm.max_queued - out)

    def _handed_over(self, claimed: list[str]) -> None:
        """Say which jobs are out now, and give back the claims of those that nothing was done for yet."""
        jobs = self.ctx.store.load().jobs
        begun = {key for key, _ in self._started.values()}
        ended = {outcome.key for outcome in self.outcomes}
        self.handed = [jobs[key] for key in claimed if key in begun - ended]
        for key in claimed:
            run = jobs[key].run
            if key not in begun | ended and run is not None:
                self._refused[key] = run, False
        if self.executor.trouble:
            self._trouble(self.executor.name, BusyError(self.executor.trouble, "The next run-approved or cycle goes on."))

    def _claim(self, keys: list[str]) -> list[str]:
        """Write down which jobs are about to run; only those the ledger still allows."""
        ctx, now = self.ctx, self.ctx.now()
        claimed: list[str] = []

        def change(state: State) -> State:
            claimed.clear()
            jobs = dict(state.jobs)
            for key in keys:
                record = jobs.get(key)
                if record is None or not runnable(record, ctx.config.email) or record.decision is None:
                    continue
                if record.intents:  # another call is writing into its folders right now
                    continue
                attempt = record.attempts + 1
                run = Run(
                    attempt=attempt,
                    digest=record.decision.digest,
                    directory=f"{record.id[:36]}-{attempt}",
                    phase="claimed",
                    claimed_at=now,
                    executor=self.executor.name,
                    sandbox=self.sandbox.name,
                    share_outputs=self.options.share_outputs or ctx.config.hold_outputs == "release",
                    share_logs=self.options.share_logs or ctx.config.hold_logs == "release",
                    network=ctx.config.network,
                )
                jobs[key] = replace(record, run=run, attempts=attempt, runs=record.runs + 1, answer=None)
                claimed.append(key)
                state = audited(
                    state,
                    now,
                    ctx.config.email,
                    "run",
                    ref=key,
                    job=record.id,
                    digest=run.digest,
                    detail=f"sandbox {run.sandbox}, network {run.network}"
                    + (f", executor {run.executor}" if self.executor.remote else ""),
                )
            return replace(state, jobs=jobs)

        ctx.store.update(change)
        return claimed

    def _tasks(self, keys: list[str]) -> Iterator[Task]:
        jobs = self.ctx.store.load().jobs
        shows = self.executor.remote and len(keys) > SHOW_PROGRESS and sys.stderr.isatty()
        for number, key in enumerate(keys):
            record = jobs[key]
            if shows and number % STEP == 0:
                self.ctx.say(f"{number} of {len(keys)} jobs handed over")
            try:
                task = make_task(
                    self.ctx,
                    self.sandbox,
                    record,
                    timeout_s=self.options.timeout_s,
                    stream=self.options.stream,
                    remote=self.executor.remote,
                )
            except IntegrityError as error:
                self._refuse(key, record, str(error), error.advice, integrity=True)
            except DependencyError as error:
                self._cannot_be_supplied(key, record, error)
            except ScqError as error:
                self._refuse(key, record, str(error), error.advice, reshow=True)
            except OSError as error:
                self._refuse(
                    key, record, f"{error.filename}: {error.strerror}", "Check disk space and access rights.", reshow=True
                )
            else:
                self._started[task.directory] = key, record
                self.ctx.journal.note("run-approved", "info", f"starting {record.id[:8]}  {record.sighting.name}", job=record.id)
                yield task

    def _cannot_be_supplied(self, key: str, record: Record, error: DependencyError) -> None:
        """The job ends before it began: its submitter has to mend it."""
        if record.run is None:
            return
        folder, now = self._folder(record.run), self.ctx.now().isoformat()
        said = f"scq: {error}\n{error.advice}\n".encode("utf-8", "replace")
        write_atomic(os.path.join(folder, STDERR), said, sync=False)
        ending = Ending(None, "dependencies", now, now, 0, len(said), detail=str(error))
        write_result(folder, ending)
        self._finish(key, record, ending)

    def _ended(self, task: Task, ending: Ending | ScqError) -> None:
        key, record = self._started[task.directory]
        if isinstance(ending, ScqError):
            self._passing += ending.exit_code == BUSY
            self._refuse(key, record, str(ending), ending.advice, reshow=True)
        elif ending.cause == "interrupted" and not self.executor.began(task.directory):
            advice = "The next run-approved starts it."
            self._refuse(key, record, "its supervisor was stopped before it began", advice, reshow=True)
        else:
            self._finish(key, record, ending)
        if time.monotonic() - self._saved_at > SETTLE_EVERY_S:
            self._settle()

    def _finish(self, key: str, record: Record, ending: Ending) -> None:
        """Collect and publish the results of one ended run; it is settled with the next save."""
        run = record.run
        if run is None:
            return
        run = replace(
            run,
            phase="ended",
            started_at=_aware(ending.started_at, run.claimed_at),
            finished_at=_aware(ending.finished_at, run.claimed_at),
            exit_code=ending.exit_code,
            cause=_cause(ending.cause),
            detail=ending.detail[:DETAIL_LIMIT],
            usage=ending.usage,
            node=ending.node[:NODE_LIMIT],
        )
        try:
            collected = take_over(self.ctx, record.sighting, self._folder(run))
            if collected.exceeded and run.cause == "exit":
                run = replace(run, cause="output", detail=f"{collected.exceeded} of results")
            sighting = current(self.ctx, record)
            run = self._still_for_its_submitter(record, run, sighting)
            leaving = self._leaving(key, record, run, sighting)
            self._publish(record, run, sighting, leaving)
        except ScqError as error:
            self._unpublished(key, record, run, str(error), error.advice)
            return
        except OSError as error:
            self._unpublished(key, record, run, f"{error.filename}: {error.strerror}", "")
            return
        settled = replace(run, phase="settled")
        self._unsaved[key] = settled, leaving
        self.outcomes.append(Outcome(key, ended(record, settled, leaving), collected.left, waits=leaving.waits))

    def _leaving(self, key: str, record: Record, run: Run, sighting: Sighting | None) -> Leaving:
        """What leaves of the results, decided once and written down before anything does."""
        if self._to_be_retried(record, run) is not None:
            return Leaving()
        if record.answer is None:
            leaving = at_end(self.ctx, record, run, sighting)
        elif record.run is not None and (run.share_outputs, run.share_logs) == (record.run.share_outputs, record.run.share_logs):
            return Leaving(record.answer, run.share_outputs, run.share_logs, kept=True)
        else:
            reason = "the submission was changed while it ran"
            leaving = Leaving(Answer("withheld", self.ctx.config.email, self.ctx.now(), reason), kept=True)
        if leaving.answer is not None:
            self._answer(key, run, leaving)
        return leaving

    def _answer(self, key: str, run: Run, leaving: Leaving) -> None:
        def change(state: State) -> State:
            record = state.jobs.get(key)
            if record is None or record.run is None or record.run.directory != run.directory:
                return state
            shared = replace(record.run, share_outputs=leaving.outputs, share_logs=leaving.logs)
            record = replace(record, run=shared, answer=leaving.answer)
            return audit_answer(self.ctx, state, key, record)

        self.ctx.store.update(change)

    def _publish(self, record: Record, run: Run, sighting: Sighting | None, leaving: Leaving) -> None:
        """Show the job as over, with what leaves of its results and nothing else."""
        ctx = self.ctx
        if sighting is not None:
            after = ended(record, run, leaving)
            ctx.layout(sighting.ref.layout).finish(ctx.config.root, sighting, released_results(ctx, after))
        else:
            advice = f"The results are kept in {self._folder(run)}."
            self.problems.append(Problem(record.sighting.path, f"{record.id[:8]} vanished while it ran", advice))

    def _still_for_its_submitter(self, record: Record, run: Run, sighting: Sighting | None) -> Run:
        """Nothing is shared by itself when a file that names the submitter may have been edited during the run."""
        if sighting is None or not (run.share_outputs or run.share_logs):
            return run
        try:
            unchanged(self.ctx, sighting, run)
        except IntegrityError:
            advice = f"Copy them with scq output {record.id[:8]} --copy-to FOLDER and send them yourself."
            self.problems.append(Problem(sighting.path, "was changed while it ran: its results are not shared", advice))
            return replace(run, share_outputs=False, share_logs=False)
        return run

    def _unpublished(self, key: str, record: Record, run: Run, what: str, advice: str) -> None:
        """The run ended but its results could not be written: it stays claimed, and the next call publishes it."""
        advice = advice or "The results are kept; the next run-approved writes them."
        self.problems.append(Problem(record.sighting.path, f"the results cannot be written: {what}", advice))
        self.outcomes.append(Outcome(key, replace(record, run=run)))

    def _refuse(self, key: str, record: Record, why: str, advice: str, *, integrity: bool = False, reshow: bool = False) -> None:
        if record.run is not None:
            self._refused[key] = record.run, reshow
        self.problems.append(Problem(record.sighting.path, f"was not run: {why}", advice))
        self.outcomes.append(Outcome(key, record, refused=why, integrity=integrity))

    def _give_back(self) -> None:
        """Claims whose jobs never started are taken back; where they were shown as running they are shown as approved again."""
        refused, self._refused = self._refused, {}
        for key, (run, _) in list(refused.items()):
            try:
                remove_run(self._folder(run))
            except OSError as error:  # it stays claimed, and the next call gives it back
                del refused[key]
                what = f"{error.filename or run.directory}: cannot be removed ({error.strerror})"
                self._trouble(run.executor, BusyError(what, "The next run-approved tries again."))

        def change(state: State) -> State:
            jobs = dict(state.jobs)
            for key, (run, reshow) in refused.items():
                record = jobs.get(key)
                if record is None or record.run is None or record.run.directory != run.directory:
                    continue
                # Without a content stamp the next look hashes everything again, whatever the time stamps say.
                reset = replace(record, run=None, attempts=record.attempts - 1, runs=max(record.runs - 1, 0), content_stamp="")
                jobs[key] = replace(reset, intents=("reopen",)) if reshow else reset
            return replace(state, jobs=jobs)

        if refused:
            self.ctx.store.update(change)

    def _settle(self) -> None:
        """Save the endings that were published, and give back the claims of what was refused."""
        unsaved, self._unsaved = self._unsaved, {}
        self._saved_at = time.monotonic()
        self._give_back()
        if not unsaved:
            return
        ctx, now, by = self.ctx, self.ctx.now(), self.ctx.config.email

        def change(state: State) -> State:
            jobs = dict(state.jobs)
            for key, (run, leaving) in unsaved.items():
                record = jobs.get(key)
                if record is None:
                    continue
                after = replace(ended(record, run, leaving), answer=record.answer)
                jobs[key] = self._to_be_retried(record, run) or after
                detail = f"{run.cause} {run.exit_code}"
                state = audited(state, now, by, "end", ref=key, job=record.id, digest=run.digest, detail=detail)
            return replace(state, jobs=jobs)

        ctx.store.update(change)

    def _to_be_retried(self, record: Record, run: Run) -> Record | None:
        """An interrupted job is started again only where the owner configured it, and not for ever."""
        if run.cause not in INTERRUPTIONS or not self.ctx.config.retry_interrupted or run.attempt >= MOST_ATTEMPTS:
            return None
        return replace(record, run=None, intents=("reopen",), stamp="", content_stamp="")

    def _folder(self, run: Run) -> str:
        return os.path.join(self.ctx.runs_folder(), run.directory)


def _aware(text: str, otherwise: datetime) -> datetime:
    return parse_time(text) or otherwise


def _cause(word: str) -> Cause:
    known: tuple[Cause, ...] = get_args(Cause)
    return next((cause for cause in known if cause == word), "interrupted")
