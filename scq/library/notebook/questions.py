"""One question of a notebook, read with the distrust that anything from a browser page deserves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from scq.errors import UsageError
from scq.library.jobs import CodeJob
from scq.library.verbs import Verbs
from scq.model import Problem

if TYPE_CHECKING:
    from scq.config_values import Slurm
    from scq.context import Context
    from scq.ports import Executor
    from scq.report import Report

ASK_EVERY_S = 30.0
"""Seconds for which all open cards are content with what a cluster said last."""
LONGEST_ID = 200
LONGEST_REASON = 10_000
LONGEST_NAME = 4096
MOST_JOBS = 20_000
MOST_FILES = 1_000


class Asked:
    """A question, and what it takes to answer it. What is read of it raises UsageError when it is not what it should be.

    `problems` collects what was wrong but stopped nothing, `look` gives the jobs of the view as they are now, `check` raises
    UsageError for a job that is not in it.
    """

    def __init__(
        self,
        verbs: Verbs,
        question: Mapping[str, Any],
        problems: list[Problem],
        look: Callable[[], Sequence[CodeJob]],
        check: Callable[[str], None],
    ) -> None:
        self.verbs = verbs
        self.problems = problems
        self.look = look
        self._question = question
        self._check = check

    def me(self) -> str:
        """The address of the person whose notebook it is."""
        return self.verbs.context().config.email

    def text(self, name: str, longest: int) -> str:
        """A text that can be stored as UTF-8."""
        return _text(name, self._question.get(name), longest)

    def reason(self) -> str:
        """Why something is decided; may be empty."""
        return self.text("reason", LONGEST_REASON)

    def flag(self, name: str) -> bool:
        """True or false, and nothing else."""
        found = self._question.get(name)
        if not isinstance(found, bool):
            raise UsageError(f"{name} is neither true nor false", "Run the cell again.")
        return found

    def job(self) -> str:
        """The id of the job that is meant."""
        found = self.text("job", LONGEST_ID)
        self._check(found)
        return found

    def facts(self) -> dict[str, Any]:
        """The job object of that job; none of its files is opened, as open cards ask every few seconds."""
        return self.verbs.call(_shown, self.job()).data

    def revision(self) -> str:
        """What the job was when it was shown."""
        return _revision(self._question.get("revision"))

    def jobs(self) -> dict[str, str]:
        """The revisions, by id, of the jobs that are meant, in their order."""
        found: dict[str, str] = {}
        for each in _list("jobs", self._question.get("jobs"), MOST_JOBS):
            if not isinstance(each, dict):
                raise UsageError("jobs: one of them is no job", "Run the cell again.")
            identity = _text("id", each.get("id"), LONGEST_ID)
            self._check(identity)
            if identity in found:
                raise UsageError("jobs: one of them is named twice", "Run the cell again.")
            found[identity] = _revision(each.get("revision"))
        if not found:
            raise UsageError("no job is chosen", "Choose at least one.")
        return found

    def files(self) -> list[str] | None:
        """The result files that are chosen, as they were shown; None, which has to be said, for all of them."""
        found = self._question.get("only", ())
        if found is None:
            return None
        names = [_text("only", each, LONGEST_NAME) for each in _list("only", found, MOST_FILES)]
        if not names:
            raise UsageError("no result file is chosen", "Choose at least one.")
        return names


class _Lately:
    """The executors that cards have used lately. Each asks its cluster once."""

    def __init__(self) -> None:
        self._setting: Slurm | None = None
        self._until = 0.0
        self._executors: dict[str, Executor] = {}

    def executors(self, setting: Slurm) -> dict[str, Executor]:
        if setting != self._setting or monotonic() >= self._until:
            self._setting, self._until, self._executors = setting, monotonic() + ASK_EVERY_S, {}
        return self._executors


_LATELY = _Lately()


def _shown(ctx: Context, word: str) -> Report:
    from scq.commands import show

    ctx.share_executors(_LATELY.executors(ctx.config.slurm))
    return show.run(ctx, word, files=False)


def _text(name: str, found: object, longest: int) -> str:
    if not isinstance(found, str):
        raise UsageError(f"{name} is not a text", "Run the cell again.")
    if len(found) > longest:
        raise UsageError(f"{name} is longer than {longest} characters", "Make it shorter.")
    try:
        found.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(f"{name} cannot be stored as UTF-8 text", "Write it again.") from error
    return found


def _revision(found: object) -> str:
    """An empty one would stand for any state of a job, which is never what a person saw."""
    revision = _text("revision", found, LONGEST_ID)
    if not revision:
        raise UsageError("revision is empty", "Run the cell again.")
    return revision


def _list(name: str, found: object, most: int) -> list[Any]:
    if not isinstance(found, list):
        raise UsageError(f"{name} is not a list", "Run the cell again.")
    if len(found) > most:
        raise UsageError(f"{name} has more than {most} entries", "Choose fewer.")
    return found
