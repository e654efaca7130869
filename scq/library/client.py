"""`QueueClient`: everything that can be done with a queue from Python. `import scq as q` has the same calls as functions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from scq.config_kinds import ADDRESS, DURATION
from scq.errors import JOB_FAILED, ConfigError, UsageError
from scq.library import submission
from scq.library.given import absolute, count, text, words
from scq.library.handbook import Text, handbook
from scq.library.job import CodeJob, Uid, word_of
from scq.library.listings import Listings
from scq.library.progress import Progress
from scq.library.settings import QueueConfig, chosen_by
from scq.library.verbs import Answer, Verbs, settle

Names = str | Iterable[str] | None
"""Several texts, or one."""
Jobs = Uid | Iterable[Uid] | None
"""Several jobs, or one."""


def create_client(
    config: QueueConfig | None = None,
    *,
    home: str | os.PathLike[str] = "",
    root: str | os.PathLike[str] = "",
    email: str = "",
) -> QueueClient:
    """A client with settings of its own, for one person on one SyftBox. Nothing is read or written before it is used.

    `config` counts for every call of this client, in every thread, before `configure`, config.yaml and the environment. `home`
    is the folder of configuration and state, `root` the SyftBox folder, `email` who calls; what is left out is what the
    environment and config.yaml say at each call. Raises ConfigError, or UsageError for a folder that is no path.
    """
    return QueueClient(config, home=home, root=root, email=email)


class QueueClient(Listings):
    """The calls of one person, made as `create_client` says; each call is also `q.<name>` for the usual home.

    Every call looks once, does what it was asked, writes it down, and comes back; none keeps a file open or a thread alive, so
    that one client serves any number of threads. They block: within asyncio use `await asyncio.to_thread(client.status)`.

    A job is named by its id, a unique beginning of it (four characters at least), an unambiguous name, or a `CodeJob`; every call
    that takes one raises UsageError when no job or more than one is meant. Every call raises ConfigError when config.yaml or the
    stored state cannot be used, and BusyError when another call does not let go of the state in time. What was wrong but did
    not stop a call is a `ProblemWarning`.
    """

    def __init__(
        self,
        config: QueueConfig | None = None,
        *,
        home: str | os.PathLike[str] = "",
        root: str | os.PathLike[str] = "",
        email: str = "",
    ) -> None:
        if email not in ("", None) and ADDRESS.parse(email) is None:
            raise ConfigError(f"email: {ascii(email)[:80]} is not allowed: {ADDRESS.allowed}", "Write it like owner@example.org.")
        super().__init__(Verbs(_folder(home), _folder(root), email or "", tuple(chosen_by(config).items())))

    def submit_job(
        self,
        target_email: str,
        code_folder: str | os.PathLike[str],
        name: str | None = None,
        description: str = "",
        tags: Names = None,
    ) -> CodeJob:
        """Send a folder with run.sh, a Python file or folder, or a bash script to a data owner.

        `~` in `code_folder` is expanded; `name` is made from its last part and the time unless it is given. Raises UsageError
        saying what is missing, or that the name is taken.
        """
        return self._submit(target_email, absolute(code_folder), name, description, tags)

    def submit_script(
        self,
        target_email: str,
        script_content: str,
        name: str | None = None,
        description: str = "",
        requirements: Names = None,
        tags: Names = None,
    ) -> CodeJob:
        """Send the text of a Python script (or of a bash script: its first line is `#!/bin/bash`) to a data owner.

        `requirements` are Python packages it needs, as pip names them. Raises UsageError.

        >>> q.submit_script("owner@example.org", "print('hello')", name="Hello").status
        'pending'
        """
        stdin = submission.encoded(script_content)
        return self._submit(target_email, "-", name, description, tags, requirements=words(requirements), stdin=stdin)

    def submit_python(
        self,
        target_email: str,
        script_content: str = "",
        name: str | None = None,
        description: str = "",
        requirements: Names = None,
        tags: Names = None,
        *,
        path: str | os.PathLike[str] | None = None,
        entrypoint: str = "",
    ) -> CodeJob:
        """Send Python code to a data owner: its text, or as `path` a file or a folder.

        `entrypoint` names the script of a folder that is to be started; without it that is main.py, or the only one. Raises
        UsageError, also when it is not Python.
        """
        source, stdin = submission.source("python", script_content, path)
        options: dict[str, Any] = {"requirements": words(requirements), "stdin": stdin, "entrypoint": entrypoint}
        return self._submit(target_email, source, name, description, tags, **options)

    def submit_bash(
        self,
        target_email: str,
        script_content: str = "",
        name: str | None = None,
        description: str = "",
        tags: Names = None,
        *,
        path: str | os.PathLike[str] | None = None,
    ) -> CodeJob:
        """Send a bash script to a data owner: its text, or as `path` a file.

        A first line `#!/bin/bash` is added where there is none. Raises UsageError, also when it is not a shell script.
        """
        source, stdin = submission.source("bash", script_content, path)
        return self._submit(target_email, source, name, description, tags, stdin=stdin)

    def get_job(self, uid: Uid) -> CodeJob:
        """One job, as it is now.

        >>> q.get_job("Age groups").requester_email
        'scientist@example.com'
        """
        return CodeJob(self._verbs.show(word_of(uid)), self._verbs)

    def get_job_output(self, uid: Uid) -> Path | None:
        """The folder of a job's result files; None when there are none (yet)."""
        folder, files = self._verbs.output(word_of(uid))
        return folder if files else None

    def get_job_logs(self, uid: Uid) -> str:
        """What a job wrote while it ran, cleaned for a terminal. Raises UsageError when there are no logs."""
        return self._verbs.logs(word_of(uid))

    def wait_for_completion(self, uid: Uid, timeout: float = 600, interval: float = 2.0, progress: Progress = None) -> CodeJob:
        """Wait at most `timeout` seconds until a job is completed, looking every `interval` seconds.

        `progress` is told at the start and at each change of status: a callable gets the `CodeJob`; `True` shows the person at
        the screen a line (in a notebook always in the same place, else on standard error). Raises JobFailedError when the job
        failed or was rejected, BusyError when time ran out.
        """
        return self.get_job(uid).wait(timeout, interval, progress)

    def inspect_job(self, uid: Uid) -> Answer:
        """What a job would run with: `files` (run.sh first), `findings` in its code and `limits`, as `review` in docs/json.md.

        Nothing is remembered: it is not reviewed by this.
        """
        return self._verbs.review(word_of(uid), remember=False)

    def review_job(self, uid: Uid) -> Answer:
        """As `inspect_job`, and remembered as reviewed: `approve` refuses when the content is another one by then.

        Shown, it is the text of the command line; for programs it is a dictionary.

        >>> [file["path"] for file in q.review_job("Age groups")["files"]][0]
        'run.sh'
        """
        return self._verbs.review(word_of(uid))

    def list_job_files(self, uid: Uid) -> list[str]:
        """Paths of the files of a job that can influence its execution, run.sh first."""
        return self._verbs.files(word_of(uid))

    def read_job_file(self, uid: Uid, path: str) -> str:
        """The text of one of `list_job_files`, as its submitter wrote it: clean it before you show it.

        Raises UsageError for a file that is not there, is binary, or is longer than 256 KiB.
        """
        return self._verbs.read_file(word_of(uid), path)

    def diff_job(self, uid: Uid, against: Uid = "") -> Answer:
        """What changed since the last approved job of the same submitter and name, or against another job.

        It is `diff` in docs/json.md; `against` is None when there is nothing to compare with.
        """
        return self._verbs.diff(word_of(uid), word_of(against))

    def approve(
        self,
        uid: Uid,
        reason: str = "",
        *,
        digest: str = "",
        by: str = "",
        expires: float | str = "",
        max_runs: int | None = None,
        timeout: float | str = "",
        memory: int | str = "",
        accept: Names = (),
    ) -> CodeJob:
        """Allow exactly the content of a job that is there now to run.

        `digest` (`sha256:…`) says which content is meant. `by` is the address of the reviewer (default: you). The approval can
        be bounded: `expires` (seconds, or text such as "7d") says how long it lasts, `max_runs` how often the job may run,
        `timeout` (seconds, or "30m") and `memory` (bytes, or "2GiB") limit each run. `accept` names rules of findings that are
        all right although `deny` blocks them.

        Raises IntegrityError when the content changed since it was reviewed, or is not `digest`; UsageError when the job cannot
        be approved, or a bound is not allowed.

        >>> q.approve("Age groups", "counts only", max_runs=1).status
        'approved'
        """
        terms = {"digest": digest, "by": by, "expires": expires, "max_runs": max_runs, "timeout": timeout, "memory": memory}
        return self.get_job(self._verbs.approve(word_of(uid), reason, accept=accept, **terms))

    def reject(self, uid: Uid, reason: str = "") -> CodeJob:
        """Refuse a job, with a reason its submitter will read. Raises UsageError when it is not waiting or approved."""
        return self.get_job(self._verbs.reject(word_of(uid), reason))

    def cancel(self, uid: Uid, reason: str = "") -> CodeJob:
        """Withdraw a job before it has started, or have one of your own ended on a cluster. Raises UsageError, BusyError."""
        return self.get_job(self._verbs.cancel(word_of(uid), reason))

    def check(self, fetch: bool = False) -> Answer:
        """Look once at every source and remember what is there: `check` in docs/json.md, with `new_jobs` and `changed_jobs`.

        `fetch` brings jobs of accepted peers from Google Drive. Raises BusyError when a source cannot be read or another look
        is being made, SignInError when Google Drive needs a sign-in.
        """
        from scq.commands import check

        return Answer(self._verbs.call(check.run, fetch=fetch))

    def run_approved(
        self,
        *,
        jobs: Jobs = None,
        skip: Jobs = None,
        timeout: float | str | None = None,
        max_jobs: int | None = None,
        stream: bool = False,
        share_outputs: bool = False,
        share_logs: bool = False,
    ) -> list[dict[str, Any]]:
        """Run every approved job, oldest first, and wait for their ends: `runs[]` of `run-approved` in docs/json.md.

        `jobs` and `skip` name jobs: an empty list names none, None means all. `timeout` is seconds per job (or "30m"), `stream`
        shows what they print. That a job failed is a result, not an error. Raises UsageError for a timeout that is not allowed,
        IntegrityError when content was not what was approved (the other jobs were run), ConfigError when the sandbox cannot be
        had, BusyError when another call is running jobs.
        """
        from scq.commands import run_approved

        only = _words_of(jobs)
        if jobs is not None and not only:  # the verb would take that for all of them
            return []
        wall = None if timeout is None else DURATION.parse(timeout)
        if timeout is not None and wall is None:
            raise UsageError(f"timeout: {ascii(timeout)[:80]} is not allowed", f"It is {DURATION.allowed}.")
        report = self._verbs.attempt(
            run_approved.run,
            jobs=only,
            skip=_words_of(skip),
            timeout=wall,
            max_jobs=count("max_jobs", max_jobs),
            stream=stream,
            share_outputs=share_outputs,
            share_logs=share_logs,
        )
        settle(report, also_fine=JOB_FAILED)
        rows: list[dict[str, Any]] = report.data["runs"]
        return rows

    def rerun(self, uid: Uid) -> CodeJob:
        """Take the results of a job away and let it run once more, if it is still what was approved.

        Raises IntegrityError when it is not, UsageError when it is not over.
        """
        return self.get_job(self._verbs.rerun(word_of(uid)))

    def release(self, uid: Uid, reason: str, *, only: Names = None, outputs: bool = True, logs: bool = False) -> CodeJob:
        """Let results of a job leave: the files that fit the patterns `only` (`*.csv`, `tables/**`), else all; logs if asked.

        Raises UsageError without a reason, when the job is not over, when nothing fits, or when `only` is an empty list.
        """
        return self.get_job(self._verbs.release(word_of(uid), reason, only=only, outputs=outputs, logs=logs))

    def withhold(self, uid: Uid, reason: str) -> CodeJob:
        """Answer a job without its results; its submitter reads the reason.

        Raises UsageError without a reason, or before the job is over.
        """
        return self.get_job(self._verbs.withhold(word_of(uid), reason))

    def status(self) -> Answer:
        """How the queue is doing: counts by status, the oldest wait, messages, sandbox; `status` in docs/json.md.

        >>> q.status()["counts"]["pending"]
        1
        """
        from scq.commands import status as verb

        return Answer(self._verbs.call(verb.run))

    def help(self, name: str = "") -> Text:
        """What this library can do, one line each; or everything about one name, such as `help("approve")`.

        Raises UsageError for a name that is not there.
        """
        return handbook(name)

    def _submit(self, target: str, source: str, name: str | None, description: str, tags: Names, **options: Any) -> CodeJob:
        from scq.commands import submit

        wishes = {"name": name or "", "description": description, "tags": words(tags)}
        return self.get_job(self._verbs.call(submit.run, text("target_email", target), source, **wishes, **options).data["id"])

    def __repr__(self) -> str:
        verbs = self._verbs
        return f"QueueClient(home={verbs.home!r}, root={verbs.root!r}, email={verbs.email!r})"


def _folder(path: str | os.PathLike[str]) -> str:
    """A folder of a client, empty where it is left out."""
    return "" if path in ("", None) else absolute(path)


def _words_of(jobs: Jobs) -> tuple[str, ...]:
    """How the command line would name these jobs. Raises UsageError."""
    if isinstance(jobs, CodeJob | UUID):
        return (word_of(jobs),)
    if isinstance(jobs, Iterable) and not isinstance(jobs, str):
        return tuple(word_of(job) for job in jobs)
    return words(jobs)
