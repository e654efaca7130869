"""`create_runner` and `SyftJobRunner`: the documented job runner, over the one-shot verbs `check`, `run-approved`, `share`, `reset`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from scq import __version__
from scq.clean import line
from scq.config_keys import ADDRESS, DURATION
from scq.errors import BUSY, JOB_FAILED, ConfigError, ScqError, UsageError
from scq.formats import same_address
from scq.library.jobs import CodeJob, JobCollection
from scq.library.verbs import ProblemWarning, Verbs, failure, words
from scq.syftbox import identity_of

RULE = "-" * 50


class SyftJobConfig(Struct, frozen=True):
    """Whose jobs are run, in which SyftBox folder (absolute). `home` is that person's `SCQ_HOME` where it is not the usual one."""

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
    """Looks for new jobs and runs approved ones. Each method is one call of the verb of the command line, and prints what it says."""

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
        steps = (self._list_waiting, self.process_approved_jobs), (self.check_for_new_jobs, self.process_approved_jobs)
        said = ""
        try:
            said = self._round(steps[0], said)
            while True:
                time.sleep(self.poll_interval)
                said = self._round(steps[1], said)
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
        error = None if report.exit_code == JOB_FAILED and not report.errors else failure(report)
        if error is not None:
            raise error
        return rows
