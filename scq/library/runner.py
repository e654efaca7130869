"""`create_runner` and `SyftJobRunner`: the documented job runner, over `check`, `run-approved`, `share` and `reset`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from scq import __version__
from scq.clean import line
from scq.config_kinds import ADDRESS, DURATION
from scq.errors import JOB_FAILED, ConfigError, ScqError, UsageError
from scq.formats import same_address
from scq.library.given import words
from scq.library.jobs import CodeJob, JobCollection
from scq.library.verbs import Verbs, settle
from scq.syftbox import identity_of

RULE = "-" * 50


class SyftJobConfig(Struct, frozen=True):
    """Whose jobs are run, in which SyftBox folder (absolute). `home` is that person's `SCQ_HOME`; empty: the usual one."""

    syftbox_folder: str
    email: str
    home: str = ""

    @classmethod
    def from_syftbox_folder(
        cls, syftbox_folder_path: str | os.PathLike[str], email: str | None = None, *, home: str | os.PathLike[str] = ""
    ) -> SyftJobConfig:
        """For a folder and an address; without one, the name of the folder (`SyftBox_<email>`) or the only person in it tells.

        Raises ConfigError when the folder is not there or nobody's address can be told.
        """
        folder = os.path.abspath(os.path.expanduser(os.fsdecode(syftbox_folder_path)))
        if not os.path.isdir(folder):
            raise ConfigError(f"{folder}: no such folder", "Name the SyftBox folder.")
        if email and ADDRESS.parse(email) is None:
            raise ConfigError(f"email: {email[:80]!a} is not allowed: {ADDRESS.allowed}")
        found = ADDRESS.parse(email) if email else identity_of(folder)
        if not found:
            raise ConfigError(f"{folder}: does not tell whose it is", "Pass email=.")
        return cls(folder, found, os.path.abspath(os.path.expanduser(os.fsdecode(home))) if home else "")


def create_runner(
    syftbox_folder_path: str | os.PathLike[str], email: str, poll_interval: float = 5, *, home: str | os.PathLike[str] = ""
) -> SyftJobRunner:
    """A runner for the jobs sent to `email` in a SyftBox folder. Nothing is read or written before it is used.

    `poll_interval` is the seconds `run` waits between two looks. Raises ConfigError.
    """
    return SyftJobRunner(SyftJobConfig.from_syftbox_folder(syftbox_folder_path, email, home=home), poll_interval)


class SyftJobRunner:
    """Looks for new jobs and runs approved ones. Each method is one call of a verb, and prints what the verb says."""

    def __init__(self, config: SyftJobConfig, poll_interval: float = 5) -> None:
        self.config = config
        self.poll_interval = _duration("poll_interval", poll_interval)
        self._verbs = Verbs(home=config.home, root=config.syftbox_folder, email=config.email)

    def run(self) -> None:
        """Look for new jobs and run approved ones again and again, until Ctrl+C.

        A look that fails is told once and tried again; it does not end the loop.
        """
        _write(
            f"scq {__version__}: job runner",
            f"jobs for       {self.config.email}",
            f"in             {self._folder()}",
            f"looking every  {self.poll_interval:g} s; Ctrl+C ends it",
            RULE,
        )
        try:
            said = self._round([self._list_waiting, self.process_approved_jobs], frozenset())
            while True:
                time.sleep(self.poll_interval)
                said = self._round([self.check_for_new_jobs, self.process_approved_jobs], said)
        except KeyboardInterrupt:
            _write("runner ended")

    def check_for_new_jobs(self) -> JobCollection:
        """Look once and print every job that was not there at the last look, whichever call that was; the new ones come back.

        Raises BusyError when the folder cannot be read or another `scq check` is at work.
        """
        from scq.commands import check

        report = self._verbs.call(check.run)
        _write(*report.lines)
        return self._collection(report.data["new_jobs"])

    def process_approved_jobs(
        self,
        stream_output: bool = True,
        timeout: float | None = None,
        skip_job_names: Iterable[str] | None = None,
        share_outputs_with_submitter: bool = False,
        share_logs_with_submitter: bool = False,
    ) -> list[dict[str, Any]]:
        """Run every approved job, oldest first, and print how each one ended; `data.runs[]` of docs/json.md come back.

        `timeout` is seconds per job (default: the configured one); `stream_output` shows what the jobs print while they run.
        That a job failed is a result, not an error. Raises IntegrityError when content was not what was approved (the other
        jobs were run), ConfigError when the sandbox cannot be had, BusyError when another call is running jobs.
        """
        from scq.commands import run_approved

        report = self._verbs.attempt(
            run_approved.run,
            skip=words(skip_job_names),
            timeout=None if timeout is None else _duration("timeout", timeout),
            stream=stream_output,
            share_outputs=share_outputs_with_submitter,
            share_logs=share_logs_with_submitter,
        )
        rows: list[dict[str, Any]] = report.data["runs"]
        _write(*report.lines, *([f"{len(rows)} approved {'job' if len(rows) == 1 else 'jobs'} processed"] if rows else []))
        settle(report, also_fine=JOB_FAILED)
        return rows

    def share_job_results(self, job_name: str, share_outputs: bool, share_logs: bool, user: str | None = None) -> None:
        """Let the submitter of a finished job read its outputs, its logs, or both; neither does nothing.

        `user` is the submitter's address. Raises UsageError when no job or more than one has that name, or it is not over.
        """
        from scq.commands import list as list_verb
        from scq.commands import share

        if not share_outputs and not share_logs:
            return
        rows = self._verbs.call(list_verb.run, for_me=True).data["jobs"]
        # By name only: the command line would also take the beginning of an id, and share the results of another job.
        named = [row for row in rows if row["name"] == job_name and (user is None or same_address(row["submitter"], user))]
        if len(named) != 1:
            raise UsageError(_which(job_name, named), "Name the submitter with user=, or use `scq share ID`.")
        report = self._verbs.call(share.run, named[0]["id"], outputs=share_outputs, logs=share_logs)
        _write(*report.lines)

    def reset_all_jobs(self) -> int:
        """Delete every job sent to this owner, print which, and tell how many. Nobody is asked, and it cannot be undone.

        Raises UsageError while a job runs.
        """
        from scq.commands import reset

        _write(f"resetting all jobs of {self.config.email} in {line(self.config.syftbox_folder, 500)}")
        report = self._verbs.attempt(reset.run, yes=True)
        _write(*report.lines)
        settle(report)
        count: int = report.data["deleted"]
        return count

    def _list_waiting(self) -> None:
        """What waits already when the runner starts is listed, not announced as new."""
        from scq.commands import check, pending

        self._verbs.call(check.run)
        lines = self._verbs.call(pending.run).lines
        _write(*(["waiting for a decision:", *(f"  {text}" for text in lines)] if lines else ["no job waits for a decision"]))

    def _round(self, steps: Iterable[Callable[[], object]], said: frozenset[str]) -> frozenset[str]:
        """Do the steps; what failed is printed unless it was `said` by the round before. Gives what failed."""
        failed = set()
        for step in steps:
            try:
                step()
            except (ScqError, OSError) as error:
                failed.add(_told(error))
        _write(*sorted(failed - said))
        return frozenset(failed)

    def _collection(self, rows: Iterable[dict[str, Any]]) -> JobCollection:
        return JobCollection(CodeJob(row, self._verbs) for row in rows)

    def _folder(self) -> str:
        """Where the jobs of this owner lie, in the form of root that is there."""
        root, email = self.config.syftbox_folder, self.config.email
        base = os.path.join(root, "datasites") if os.path.isdir(os.path.join(root, "datasites", email)) else root
        return line(os.path.join(base, email, "app_data"), 500)


def _duration(name: str, value: object) -> float:
    seconds: float | None = DURATION.parse(value)
    if seconds is None:
        raise ConfigError(f"{name}: {ascii(value)[:80]} is not allowed: {DURATION.allowed}")
    return seconds


def _which(name: str, rows: list[dict[str, Any]]) -> str:
    if not rows:
        return f"no job {name!a} was sent to you"
    return f"{name!a} fits {len(rows)} jobs: {', '.join(row['id'] for row in rows[:5])}"


def _told(error: ScqError | OSError) -> str:
    advice = error.advice if isinstance(error, ScqError) else ""
    text = f"{error}. {advice}" if advice else str(error)
    return "! " + line("; ".join(text.splitlines()), 1_000)


def _write(*lines: str) -> None:
    """Print at once, so that the lines of a pipe appear when they are said."""
    if lines:
        sys.stdout.write("".join(f"{text}\n" for text in lines))
        sys.stdout.flush()
