"""`CodeJob`: a job as the documented Python API shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from msgspec import convert

from scq.clean import line
from scq.errors import UsageError
from scq.formats import parse_time
from scq.library.progress import Progress, teller
from scq.library.verbs import HERE, Answer, Verbs, settle
from scq.model import FINISHED, Whereabouts
from scq.showing import where_words


class CodeJob:
    """One job as it was when it was looked at; `refresh` looks again, and so does everything that decides.

    Every call raises UsageError when the job is gone. Texts are what the submitter wrote: clean them before you show them. Only
    `repr` and what a notebook shows are cleaned already.
    """

    def __init__(self, facts: Mapping[str, Any], verbs: Verbs = HERE) -> None:
        self._facts = dict(facts)
        self._verbs = verbs

    @property
    def uid(self) -> str:
        """Full id."""
        return str(self._facts["id"])

    @property
    def short_id(self) -> str:
        """First eight characters of the id."""
        return str(self._facts["short_id"])

    @property
    def name(self) -> str:
        """Name given by the submitter."""
        return str(self._facts["name"])

    @property
    def status(self) -> str:
        """`pending`, `approved`, `running`, `completed`, `failed` or `rejected`."""
        return str(self._facts["status"])

    @property
    def requester_email(self) -> str:
        """Who submitted it; empty where the folders do not say."""
        return str(self._facts["submitter"])

    @property
    def target_email(self) -> str:
        """Whose data it wants to run beside."""
        return str(self._facts["owner"])

    @property
    def description(self) -> str:
        """What the submitter says about it."""
        return str(self._facts["description"])

    @property
    def tags(self) -> list[str]:
        """Tags given by the submitter."""
        return list(self._facts["tags"])

    @property
    def digest(self) -> str | None:
        """`sha256:…` of everything that can influence its execution; None while unknown or when it cannot be run."""
        found: str | None = self._facts["digest"]
        return found

    @property
    def reviewed(self) -> str | None:
        """The digest its owner last read here with a review; None when it was never read."""
        found: str | None = self._facts["reviewed"]
        return found

    @property
    def revision(self) -> str:
        """Twelve hex characters; others as soon as it is decided, run or answered again, or holds other content."""
        return str(self._facts["revision"])

    @property
    def created_at(self) -> datetime | None:
        """When it was submitted (UTC), else when it was first seen here."""
        return parse_time(self._facts["submitted_at"]) or parse_time(self._facts["first_seen_at"])

    @property
    def updated_at(self) -> datetime | None:
        """When it last changed (UTC)."""
        return parse_time(self._facts["updated_at"])

    @property
    def started_at(self) -> datetime | None:
        """When its last run began (UTC)."""
        return parse_time(self._run("started_at"))

    @property
    def completed_at(self) -> datetime | None:
        """When its last run ended (UTC)."""
        return parse_time(self._run("finished_at"))

    @property
    def duration(self) -> float | None:
        """Seconds its last run took."""
        found: float | None = self._run("duration_s")
        return found

    @property
    def exit_code(self) -> int | None:
        """Exit code of its last run; None when it was not run or was killed."""
        found: int | None = self._run("exit_code")
        return found

    @property
    def place(self) -> str:
        """Where its run waits or runs on a cluster, in words; empty when it was not handed to one, and when it is over."""
        found = self._place()
        return "" if found is None else where_words(found)

    @property
    def node(self) -> str:
        """Machine of a cluster it runs or ran on; empty for others, and while it waits."""
        found = self._place()
        return str(self._run("node") or "") if found is None else found.node

    @property
    def reason(self) -> str:
        """Why it was approved, rejected or failed; empty when nobody said."""
        approval = self._facts["approval"] or {}
        return str(approval.get("reason") or self._facts["reason"] or "")

    @property
    def is_terminal(self) -> bool:
        """True when nothing more will happen to it by itself."""
        return self.status in FINISHED

    def refresh(self) -> CodeJob:
        """Look again; this object then shows what is there now. Raises UsageError when the job is gone."""
        return self._showing(self._verbs.show(self.uid))

    def approve(
        self,
        reason: str = "",
        *,
        digest: str = "",
        by: str = "",
        expires: float | str = "",
        max_runs: int | None = None,
        timeout: float | str = "",
        memory: int | str = "",
        accept: str | Iterable[str] = (),
    ) -> CodeJob:
        """Allow exactly the content that is there now to run; `digest=job.digest` for the content that this object shows.

        The rest is as for `QueueClient.approve`. Raises IntegrityError when the content changed since `review`, or is not
        `digest`; UsageError when the job cannot be approved.
        """
        terms = {"digest": digest, "by": by, "expires": expires, "max_runs": max_runs, "timeout": timeout, "memory": memory}
        self._verbs.approve(self.uid, reason, accept=accept, **terms)
        return self.refresh()

    def reject(self, reason: str = "") -> CodeJob:
        """Refuse it, with a reason its submitter will read. Raises UsageError when it is not waiting or approved."""
        self._verbs.reject(self.uid, reason)
        return self.refresh()

    def cancel(self, reason: str = "") -> CodeJob:
        """Withdraw it before it has started, as its submitter or owner; its owner also ends it on a cluster.

        Raises UsageError when that is too late or it is not yours, BusyError when the cluster does not answer.
        """
        self._verbs.cancel(self.uid, reason)
        return self.refresh()

    def release(
        self, reason: str, *, only: str | Iterable[str] | None = None, outputs: bool = True, logs: bool = False
    ) -> CodeJob:
        """Let result files leave: those that fit the patterns `only`, else all; with `logs` the logs too.

        Raises UsageError without a reason, when the job is not over, when nothing fits, or when `only` is an empty list.
        """
        self._verbs.release(self.uid, reason, only=only, outputs=outputs, logs=logs)
        return self.refresh()

    def withhold(self, reason: str) -> CodeJob:
        """Answer it without its results; its submitter reads the reason. Raises UsageError without one or before it is over."""
        self._verbs.withhold(self.uid, reason)
        return self.refresh()

    def rerun(self) -> CodeJob:
        """Take its results away and let it run once more. Raises IntegrityError when it is no longer what was approved."""
        self._verbs.rerun(self.uid)
        return self.refresh()

    def review(self) -> Answer:
        """Everything that can execute, run.sh first: text for people, `files` for programs. Remembered as reviewed."""
        return self._verbs.review(self.uid)

    def inspect(self) -> Answer:
        """As `review`, but nothing is remembered."""
        return self._verbs.review(self.uid, remember=False)

    def diff(self, against: Uid = "") -> Answer:
        """What changed since the last approved job of this submitter and name, or against another job."""
        return self._verbs.diff(self.uid, word_of(against))

    def files(self) -> list[str]:
        """Paths of the files that can influence its execution, run.sh first."""
        return self._verbs.files(self.uid)

    def read_file(self, path: str) -> str:
        """The text of one of `files()`, as its submitter wrote it.

        Raises UsageError for a file that is not there, is binary, or is longer than 256 KiB.
        """
        return self._verbs.read_file(self.uid, path)

    def get_logs(self) -> str:
        """What it wrote while it ran, cleaned for a terminal. Raises UsageError when there are no logs."""
        return self._verbs.logs(self.uid)

    def get_output(self) -> Path | None:
        """The folder of its result files; None when there are none (yet)."""
        folder, files = self._verbs.output(self.uid)
        return folder if files else None

    def output_files(self) -> list[str]:
        """Its result files, relative to `get_output()`: plain files only."""
        return self._verbs.output(self.uid)[1]

    def wait(self, timeout: float = 600, interval: float = 2.0, progress: Progress = None) -> CodeJob:
        """Wait at most `timeout` seconds for its end, looking every `interval` seconds.

        `progress` is told at the start and at each change of status: a callable gets the job, True shows a line to the person
        at the screen. Raises JobFailedError when it failed or was rejected, BusyError when time ran out; this object is up to
        date then too. Ctrl+C, or what `progress` raises, ends the waiting and nothing else.
        """
        tell = teller(progress)
        hear = (lambda facts: tell(CodeJob(facts, self._verbs))) if tell is not None else None
        report = self._verbs.wait(self.uid, timeout, interval, hear)
        self._showing(report.data)
        settle(report)
        return self

    def as_dict(self) -> dict[str, Any]:
        """The job object of docs/json.md: a copy, which you may change."""
        found: dict[str, Any] = _copied(self._facts)
        return found

    def _showing(self, facts: Mapping[str, Any]) -> CodeJob:
        self._facts = dict(facts)
        return self

    def _run(self, field: str) -> Any:
        return (self._facts["run"] or {}).get(field)

    def _place(self) -> Whereabouts | None:
        return convert(self._facts.get("place"), Whereabouts | None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodeJob) and other.uid == self.uid

    def __hash__(self) -> int:
        return hash(self.uid)

    def __repr__(self) -> str:
        people = f"from {line(self.requester_email, 60) or '(unknown)'} to {line(self.target_email, 60)}"
        place = f", {self.place}" if self.place else ""
        return f"<CodeJob {self.short_id} {self.status} {line(self.name, 60)!r} {people}{place}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from scq.library.notebook import mime

        return mime.of_job(self)

    def _repr_html_(self) -> str:
        from scq.library.notebook import mime

        return mime.html_of_job(self)


Uid = str | UUID | CodeJob
"""A job: its full id, a unique beginning of that (four characters at least), an unambiguous name, or a `CodeJob`."""


def word_of(uid: Uid) -> str:
    """How the command line would name a job. Raises UsageError: the text of anything else may be the name of a stranger's job."""
    if isinstance(uid, CodeJob):
        return uid.uid
    if isinstance(uid, str | UUID):
        return str(uid)
    raise UsageError(f"{type(uid).__name__} where a job is meant", "Pass an id, a name or a CodeJob.")


def _copied(value: Any) -> Any:
    """A copy of JSON data, far quicker than `deepcopy`: a collection may hold thousands of jobs."""
    if isinstance(value, dict):
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value
