"""The functions of the documented Python API: `import scq as q`, then `q.submit_job(…)`, `q.pending_for_me()`, `q.approve(…)`.

Every call reads `SCQ_HOME`, `SCQ_ROOT`, `SCQ_EMAIL`, `SCQ_CONFIG` and config.yaml as the command line does. What fails raises
the ScqError of the command line (`scq.errors`); what was wrong but did not stop the call is a `ProblemWarning`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from uuid import UUID

from scq.errors import UsageError
from scq.library.jobs import CodeJob, JobCollection, LiveJobs
from scq.library.verbs import HERE, Answer, words

Uid = str | UUID
"""A full id, a unique beginning of one (four characters at least), or an unambiguous name."""


class Text(str):
    """Text that a prompt or notebook shows as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def submit_job(
    target_email: str,
    code_folder: str | os.PathLike[str],
    name: str | None = None,
    description: str = "",
    tags: Iterable[str] | None = None,
) -> CodeJob:
    """Send a folder with run.sh, a Python file or folder, or a bash script to a data owner.

    Raises UsageError saying what is missing, or that the name is taken.
    """
    from scq.commands import submit

    source = os.path.abspath(os.path.expanduser(os.fsdecode(code_folder)))
    options = {"name": name or "", "description": description, "tags": words(tags)}
    return get_job(HERE.call(submit.run, target_email, source, **options).data["id"])


def submit_script(
    target_email: str,
    script_content: str,
    name: str | None = None,
    description: str = "",
    requirements: Iterable[str] | None = None,
    tags: Iterable[str] | None = None,
) -> CodeJob:
    """Send the text of a Python script (or of a bash script: its first line is `#!/bin/bash`) to a data owner.

    `requirements` are Python packages it needs. Raises UsageError.
    """
    from scq.commands import submit

    try:
        text = script_content.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the script cannot be stored as UTF-8 text ({error.reason})", "Read it with encoding='utf-8'."
        ) from error
    options = {"name": name or "", "description": description, "tags": words(tags), "requirements": words(requirements)}
    return get_job(HERE.call(submit.run, target_email, "-", stdin=text, **options).data["id"])


def my_jobs(status: str = "", limit: int | None = None) -> JobCollection:
    """The jobs you submitted, oldest first; `limit` keeps the newest so many."""
    from scq.commands import list as verb

    return _collection(HERE.call(verb.run, mine=True, status=status, limit=limit).data["jobs"])


def get_job(uid: Uid) -> CodeJob:
    """One job. Raises UsageError when no job, or more than one, is meant."""
    return CodeJob(HERE.show(str(uid)))


def get_job_output(uid: Uid) -> Path | None:
    """The folder of a job's result files; None when there are none (yet)."""
    folder, files = HERE.output(str(uid))
    return folder if files else None


def get_job_logs(uid: Uid) -> str:
    """What a job wrote while it ran, cleaned for a terminal. Raises UsageError when there are no logs."""
    return HERE.logs(str(uid))


def wait_for_completion(uid: Uid, timeout: float = 600, interval: float = 2.0) -> CodeJob:
    """Wait at most `timeout` seconds until a job is completed, looking every `interval` seconds.

    Raises JobFailedError when it failed or was rejected, BusyError when time ran out.
    """
    HERE.wait(str(uid), timeout, interval)
    return get_job(uid)


def all_jobs_for_me(status: str = "", limit: int | None = None) -> JobCollection:
    """The jobs sent to you, oldest first; `limit` keeps the newest so many."""
    from scq.commands import list as verb

    return _collection(HERE.call(verb.run, for_me=True, status=status, limit=limit).data["jobs"])


def review_job(uid: Uid) -> Answer:
    """Everything of a job that can execute, run.sh first: text for people, `files` for programs. Remembered as reviewed."""
    return HERE.review(str(uid))


def approve(uid: Uid, reason: str = "", *, digest: str = "") -> CodeJob:
    """Allow exactly the content of a job that is there now to run.

    Raises IntegrityError when it changed since it was reviewed, or is not `digest` (`sha256:…`); UsageError when it cannot be
    approved.
    """
    return get_job(HERE.approve(str(uid), reason, digest))


def reject(uid: Uid, reason: str = "") -> CodeJob:
    """Refuse a job, with a reason its submitter will read. Raises UsageError when it is not waiting or approved."""
    return get_job(HERE.reject(str(uid), reason))


def status() -> Answer:
    """How the queue is doing: counts by status, the oldest wait, messages, sandbox."""
    from scq.commands import status as verb

    return Answer(HERE.call(verb.run))


def help() -> Text:
    """What this library can do, one line each."""
    import scq

    lines = [f"{name:<22} {_meaning(name)}" for name in scq.PUBLIC]
    return Text("\n".join(["import scq as q", "", *lines, "", "More: docs/library.md. The same at the prompt: scq --help"]))


def _meaning(name: str) -> str:
    import scq

    found = getattr(import_module(f"scq.library.{scq.PUBLIC[name]}"), name)
    return str(found.__doc__).strip().partition("\n")[0]


def _pending() -> JobCollection:
    from scq.commands import pending

    return _collection(HERE.call(pending.run).data["jobs"])


def _collection(rows: Iterable[dict[str, object]]) -> JobCollection:
    return JobCollection(CodeJob(row) for row in rows)


pending_for_me = LiveJobs(_pending, "The jobs that wait for your decision, oldest first; looks anew at each use.")
jobs_for_me = LiveJobs(all_jobs_for_me, "The jobs sent to you, oldest first; looks anew at each use.")
jobs_for_others = LiveJobs(my_jobs, "The jobs you submitted, oldest first; looks anew at each use.")
