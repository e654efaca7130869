"""The lists of jobs that a `QueueClient` gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from scq.library.given import count
from scq.library.job import CodeJob
from scq.library.jobs import JobCollection, LiveJobs
from scq.library.verbs import Verbs


class Listings:
    """What there is, by who sent it and how it stands.

    A live collection looks anew at each use; called, it gives one that stays as it is.
    """

    def __init__(self, verbs: Verbs | None = None) -> None:
        self._verbs = verbs or Verbs()

    def my_jobs(self, status: str = "", limit: int | None = None) -> JobCollection:
        """The jobs you submitted, oldest first: only those with a status, only the newest `limit`.

        Raises UsageError for a word that is no status, and for a limit that is no whole number from 0.
        """
        return self._jobs(mine=True, status=status, limit=limit)

    def all_jobs_for_me(self, status: str = "", limit: int | None = None) -> JobCollection:
        """The jobs sent to you, oldest first: only those with a status, only the newest `limit`.

        Raises UsageError for a word that is no status, and for a limit that is no whole number from 0.
        """
        return self._jobs(for_me=True, status=status, limit=limit)

    @property
    def pending_for_me(self) -> LiveJobs:
        """The jobs that wait for your decision, oldest first; looks anew at each use."""
        return self._live("pending_for_me", "Waiting for you", self._pending)

    @property
    def jobs_for_me(self) -> LiveJobs:
        """The jobs sent to you, oldest first; looks anew at each use."""
        return self._live("jobs_for_me", "Sent to you", self.all_jobs_for_me)

    @property
    def approved_by_me(self) -> LiveJobs:
        """The jobs sent to you that you approved, whatever became of them; looks anew at each use."""
        return self._live("approved_by_me", "Approved by you", self._approved)

    @property
    def jobs_for_others(self) -> LiveJobs:
        """The jobs you submitted, oldest first; looks anew at each use."""
        return self._live("jobs_for_others", "Your jobs", self.my_jobs)

    @property
    def my_pending(self) -> LiveJobs:
        """The jobs you submitted that wait for a decision; looks anew at each use."""
        return self._live("my_pending", "Your jobs that wait", partial(self.my_jobs, "pending"))

    @property
    def my_running(self) -> LiveJobs:
        """The jobs you submitted that run now; looks anew at each use."""
        return self._live("my_running", "Your jobs that run", partial(self.my_jobs, "running"))

    @property
    def my_completed(self) -> LiveJobs:
        """The jobs you submitted that ended well; looks anew at each use."""
        return self._live("my_completed", "Your jobs that are completed", partial(self.my_jobs, "completed"))

    def _jobs(self, *, limit: int | None, **options: Any) -> JobCollection:
        return self._collection(self._verbs.rows(limit=count("limit", limit), **options))

    def _pending(self) -> JobCollection:
        from scq.commands import pending

        return self._collection(self._verbs.call(pending.run).data["jobs"])

    def _approved(self) -> list[CodeJob]:
        return [job for job in self.all_jobs_for_me() if (job._facts["approval"] or {}).get("verdict") == "approve"]

    def _collection(self, rows: Iterable[dict[str, Any]]) -> JobCollection:
        return JobCollection((CodeJob(row, self._verbs) for row in rows), self._verbs)

    def _live(self, name: str, title: str, look: Callable[..., Iterable[CodeJob]]) -> LiveJobs:
        return LiveJobs(look, getattr(type(self), name).__doc__, self._verbs, title=title)
