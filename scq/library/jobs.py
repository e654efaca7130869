"""`JobCollection`: many jobs, narrowed and decided together; `LiveJobs` looks anew each time it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

from scq.errors import ScqError, UsageError
from scq.library.given import count, text, words
from scq.library.job import CodeJob
from scq.library.verbs import HERE, Verbs, hearing, note, settle
from scq.model import STATUSES
from scq.report import Report
from scq.view import status_word

__all__ = ["SHOWN_JOBS", "CodeJob", "JobCollection", "LiveJobs", "RefusedJobsError"]

SHOWN_JOBS = 50
ORDERS: dict[str, Callable[[CodeJob], Any]] = {
    "name": lambda job: job.name.lower(),
    "status": lambda job: STATUSES.index(job.status),
    "requester_email": lambda job: job.requester_email.lower(),
    "target_email": lambda job: job.target_email.lower(),
    "created_at": lambda job: job.created_at,
    "updated_at": lambda job: job.updated_at,
    "started_at": lambda job: job.started_at,
    "completed_at": lambda job: job.completed_at,
    "duration": lambda job: job.duration,
}
"""What jobs can be sorted by."""


class RefusedJobsError(ScqError):
    """Some of many jobs could not be decided; the text has one line for each. The others were decided.

    `decided` is a collection of these others, `refused` says why by the id of each refused job. `exit_code` is the gravest one.
    """

    def __init__(self, head: str, decided: JobCollection, refused: Mapping[str, str], exit_code: int) -> None:
        super().__init__("\n".join([head, *refused.values()]))
        self.head = head
        self.decided = decided
        self.refused = dict(refused)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        """So that it can come back from another process."""
        return type(self), (self.head, self.decided, self.refused, self.exit_code), self.__dict__


class JobCollection(Sequence[CodeJob]):
    """Jobs as they were at one moment, with filters that give collections again. `refresh` looks again at these same jobs.

    It is a sequence: `len(jobs)`, `jobs[0]`, `jobs[-3:]`, `job in jobs`, and `jobs == [job]` work as with a list.
    """

    def __init__(self, jobs: Iterable[CodeJob] = (), verbs: Verbs | None = None) -> None:
        self._jobs = tuple(jobs)
        self._verbs = verbs or (self._jobs[0]._verbs if self._jobs else HERE)

    def jobs(self) -> tuple[CodeJob, ...]:
        """The jobs themselves. Everything else here is answered from one call of this."""
        return self._jobs

    def by_status(self, status: str) -> JobCollection:
        """Those with a status: `pending approved running completed failed rejected`. Raises UsageError for another word."""
        status_word(text("status", status))
        return self._those(lambda job: job.status == status or not status)

    def by_name(self, name: str) -> JobCollection:
        """Those whose name holds a text, in small or capital letters."""
        wanted = text("name", name).lower()
        return self._those(lambda job: wanted in job.name.lower())

    def by_tags(self, *tags: str) -> JobCollection:
        """Those with at least one of the tags."""
        wanted = set(words(tags))
        return self._those(lambda job: not wanted.isdisjoint(job.tags))

    def pending(self) -> JobCollection:
        """Those that wait for a decision."""
        return self.by_status("pending")

    def running(self) -> JobCollection:
        """Those that run now."""
        return self.by_status("running")

    def completed(self) -> JobCollection:
        """Those that ended well."""
        return self.by_status("completed")

    def failed(self) -> JobCollection:
        """Those that ended badly."""
        return self.by_status("failed")

    def rejected(self) -> JobCollection:
        """Those that were refused."""
        return self.by_status("rejected")

    def approved(self) -> JobCollection:
        """Those that were approved and have not run yet."""
        return self.by_status("approved")

    def sorted_by(self, field: str, *, reverse: bool = False) -> JobCollection:
        """The same jobs in another order; those without a value come last either way.

        `field` is `name status requester_email target_email created_at updated_at started_at completed_at` or `duration`. Raises
        UsageError for another one.
        """
        if text("field", field) not in ORDERS:
            raise UsageError(f"jobs cannot be sorted by {field[:80]!a}", f"They can by {', '.join(ORDERS)}.")
        rows = [(ORDERS[field](job), job) for job in self.jobs()]
        known = sorted((row for row in rows if row[0] is not None), key=lambda row: row[0], reverse=reverse)
        return self._of(job for _, job in [*known, *(row for row in rows if row[0] is None)])

    def summary(self) -> dict[str, int]:
        """How many there are: `total`, and one count for each status word."""
        found = [job.status for job in self.jobs()]
        return {"total": len(found), **{status: found.count(status) for status in STATUSES}}

    def refresh(self) -> JobCollection:
        """Look once, and bring each of these jobs up to date; those that are gone fall out. Gives this collection."""
        self._jobs = self._seen_again(self._jobs)
        return self

    def approve_all(self, reason: str = "", *, unread: bool = False) -> JobCollection:
        """Approve the pending jobs among these, each with exactly the content that this collection shows; gives those jobs.

        A job that was never reviewed here is refused unless `unread`, as is one that was changed or decided meanwhile. One
        refusal does not stop the others: afterwards RefusedJobsError names each job that was refused, and why. Raises BusyError
        when another call decides at this very moment: then nothing was decided here.
        """
        from scq.commands import approve

        return self._decide(approve.run, "approved", reason, confirm=None if unread else _nobody)

    def reject_all(self, reason: str) -> JobCollection:
        """Refuse the pending jobs among these, with a reason their submitters will read; gives those jobs.

        Raises RefusedJobsError, after the others were refused, when some were changed or decided meanwhile.
        """
        from scq.commands import reject

        return self._decide(reject.run, "rejected", reason)

    def _decide(self, verb: Callable[..., Report], done: str, reason: str, **options: Any) -> JobCollection:
        """Decide all that wait in one call. The jobs of this collection are up to date afterwards."""
        text("reason", reason)
        waiting = [job for job in self.jobs() if job.status == "pending"]
        seen = {job.uid: job.revision for job in waiting}
        if not seen:
            return self._of(())
        report = self._verbs.attempt(verb, list(seen), reason=reason, seen=seen, **options)
        made = {row["id"] for row in report.data["jobs"]}
        with hearing():  # what the deciding look found wrong is told below, once
            decided = self._of(job for job in self._seen_again(waiting) if job.uid in made)
        if report.errors:
            refused = dict(zip((uid for uid in seen if uid not in made), report.errors, strict=True))
            error = RefusedJobsError(_head(len(refused), len(seen), done), decided, refused, report.exit_code)
            note(error, report.problems)
            raise error
        settle(report)
        return decided

    def _seen_again(self, jobs: Sequence[CodeJob]) -> tuple[CodeJob, ...]:
        """These jobs brought up to date by one look, without those that are gone."""
        rows = {row["id"]: row for row in self._verbs.rows()}
        return tuple(job._showing(rows[job.uid]) for job in jobs if job.uid in rows)

    def _those(self, wanted: Callable[[CodeJob], bool]) -> JobCollection:
        return self._of(job for job in self.jobs() if wanted(job))

    def _of(self, jobs: Iterable[CodeJob]) -> JobCollection:
        return JobCollection(jobs, self._verbs)

    @overload
    def __getitem__(self, index: int) -> CodeJob: ...
    @overload
    def __getitem__(self, index: slice) -> JobCollection: ...
    def __getitem__(self, index: int | slice) -> CodeJob | JobCollection:
        found = self.jobs()
        return self._of(found[index]) if isinstance(index, slice) else found[index]

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
        head = f"{len(found)} {'job' if len(found) == 1 else 'jobs'}{self._note}"
        more = len(found) - SHOWN_JOBS
        return "\n".join([head, *(f"  {job!r}" for job in found[:SHOWN_JOBS]), *([f"  … and {more} more"] if more > 0 else [])])

    _note = ""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from scq.library.notebook import mime

        return mime.of_jobs(self)

    def _repr_html_(self) -> str:
        from scq.library.notebook import mime

        return mime.html_of_jobs(self)


class LiveJobs(JobCollection):
    """A collection that looks anew each time it is used; calling it gives one that stays as it is."""

    def __init__(
        self, look: Callable[..., Iterable[CodeJob]], meaning: str, verbs: Verbs | None = None, *, title: str = ""
    ) -> None:
        super().__init__((), verbs)
        self._look = look
        self.__doc__ = meaning
        self.title = title

    def jobs(self) -> tuple[CodeJob, ...]:
        """The jobs of this moment."""
        return tuple(self._look())

    def refresh(self) -> JobCollection:
        """Nothing to do: this collection looks anew each time it is used."""
        return self

    def __call__(self, status: str = "", limit: int | None = None) -> JobCollection:
        """The jobs of this moment: only those with a status, only the newest so many. Raises UsageError as `my_jobs` does."""
        count("limit", limit)
        found = self.by_status(status)
        return found if limit is None else found[max(0, len(found) - limit) :]

    _note = " at this moment (looks anew each time it is used)"


def _nobody(_question: str) -> bool:
    """The answer when a job was never reviewed and nobody is there to be asked."""
    return False


def _head(refused: int, asked: int, done: str) -> str:
    return f"{refused} of {asked} {'job was' if asked == 1 else 'jobs were'} not {done}:"
