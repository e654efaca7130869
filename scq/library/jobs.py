"""`CodeJob` and `JobCollection`: jobs as the documented Python API shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, overload

from scq.clean import line
from scq.formats import parse_time
from scq.library.verbs import HERE, Answer, Verbs
from scq.model import FINISHED

SHOWN_JOBS = 50
STATUSES = ("pending", "approved", "running", "completed", "failed", "rejected")


class CodeJob:
    """One job as it was when it was looked at; `refresh` looks again.

    Texts are what the submitter wrote: clean them before you show them. Only `repr` is cleaned already.
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
        self._facts = dict(self._verbs.show(self.uid))
        return self

    def approve(self, reason: str = "", *, digest: str = "") -> CodeJob:
        """Allow exactly the content that is there now to run.

        Raises IntegrityError when it changed since `review`, or is not `digest`; UsageError when it cannot be approved.
        """
        self._verbs.approve(self.uid, reason, digest)
        return self.refresh()

    def reject(self, reason: str = "") -> CodeJob:
        """Refuse it, with a reason its submitter will read. Raises UsageError when it is not waiting or approved."""
        self._verbs.reject(self.uid, reason)
        return self.refresh()

    def review(self) -> Answer:
        """Everything that can execute, run.sh first: text for people, `files` for programs. Remembered as reviewed."""
        return self._verbs.review(self.uid)

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

    def wait(self, timeout: float = 600, interval: float = 2.0) -> CodeJob:
        """Wait at most `timeout` seconds for its end, looking every `interval` seconds.

        Raises JobFailedError when it failed or was rejected, BusyError when time ran out; this object is up to date then too.
        """
        try:
            self._verbs.wait(self.uid, timeout, interval)
        finally:
            self.refresh()
        return self

    def as_dict(self) -> dict[str, Any]:
        """The job object of docs/json.md."""
        return dict(self._facts)

    def _run(self, field: str) -> Any:
        return (self._facts["run"] or {}).get(field)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodeJob) and other.uid == self.uid

    def __hash__(self) -> int:
        return hash(self.uid)

    def __repr__(self) -> str:
        people = f"from {line(self.requester_email, 60) or '(unknown)'} to {line(self.target_email, 60)}"
        return f"<CodeJob {self.short_id} {self.status} {line(self.name, 60)!r} {people}>"


class JobCollection(Sequence[CodeJob]):
    """Jobs, oldest first, with filters that give collections again. It does not change; `jobs()` of it are what it holds."""

    def __init__(self, jobs: Iterable[CodeJob] = ()) -> None:
        self._jobs = tuple(jobs)

    def jobs(self) -> tuple[CodeJob, ...]:
        """The jobs themselves. Everything else here is answered from one call of this."""
        return self._jobs

    def by_status(self, status: str) -> JobCollection:
        """Those with a status."""
        return self._those(lambda job: job.status == status)

    def by_name(self, name: str) -> JobCollection:
        """Those whose name holds a text, in small or capital letters."""
        return self._those(lambda job: name.lower() in job.name.lower())

    def by_tags(self, *tags: str) -> JobCollection:
        """Those with at least one of the tags."""
        return self._those(lambda job: not set(tags).isdisjoint(job.tags))

    def pending(self) -> JobCollection:
        """Those that wait for a decision."""
        return self.by_status("pending")

    def running(self) -> JobCollection:
        """Those that run now."""
        return self.by_status("running")

    def completed(self) -> JobCollection:
        """Those that ended well."""
        return self.by_status("completed")

    def summary(self) -> dict[str, int]:
        """How many there are: `total`, and one count for each status word."""
        found = [job.status for job in self.jobs()]
        return {"total": len(found), **{status: found.count(status) for status in STATUSES}}

    def _those(self, wanted: Callable[[CodeJob], bool]) -> JobCollection:
        return JobCollection(job for job in self.jobs() if wanted(job))

    @overload
    def __getitem__(self, index: int) -> CodeJob: ...
    @overload
    def __getitem__(self, index: slice) -> JobCollection: ...
    def __getitem__(self, index: int | slice) -> CodeJob | JobCollection:
        found = self.jobs()
        return JobCollection(found[index]) if isinstance(index, slice) else found[index]

    def __len__(self) -> int:
        return len(self.jobs())

    def __iter__(self) -> Iterator[CodeJob]:
        return iter(self.jobs())

    def __reversed__(self) -> Iterator[CodeJob]:
        return reversed(self.jobs())

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Position of a job. Raises ValueError when it is not there."""
        found = self.jobs()
        return found.index(value, start, len(found) if stop is None else stop)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JobCollection | list | tuple):
            return NotImplemented
        return self.jobs() == tuple(other)

    __hash__ = None  # type: ignore[assignment] # compared by content

    def __repr__(self) -> str:
        found = self.jobs()
        lines = [f"{len(found)} {'job' if len(found) == 1 else 'jobs'}", *(f"  {job!r}" for job in found[:SHOWN_JOBS])]
        more = len(found) - SHOWN_JOBS
        return "\n".join([*lines, *([f"  … and {more} more"] if more > 0 else [])])


class LiveJobs(JobCollection):
    """A collection that looks anew each time it is used; calling it gives one that stays as it is."""

    def __init__(self, look: Callable[..., Iterable[CodeJob]], meaning: str) -> None:
        super().__init__()
        self._look = look
        self.__doc__ = meaning

    def jobs(self) -> tuple[CodeJob, ...]:
        return tuple(self._look())

    def __call__(self, status: str = "", limit: int | None = None) -> JobCollection:
        """The jobs of this moment: only those with a status, only the newest so many."""
        found = [job for job in self._look() if not status or job.status == status]
        return JobCollection(found if limit is None else found[max(0, len(found) - limit) :])
