"""The verbs as plain calls: data comes back, a failure is the exception of the command line, a problem is a warning."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from scq.clean import line
from scq.errors import (
    ACTION_NEEDED,
    BUSY,
    CONFIG,
    INTEGRITY,
    JOB_FAILED,
    OK,
    SIGN_IN,
    USAGE,
    BusyError,
    ConfigError,
    IntegrityError,
    JobFailedError,
    ScqError,
    SignInError,
    UsageError,
)
from scq.library import settings
from scq.model import Problem
from scq.report import Report

if TYPE_CHECKING:
    from scq.context import Context

FAILURES: dict[int, type[ScqError]] = {
    USAGE: UsageError,
    JOB_FAILED: JobFailedError,
    INTEGRITY: IntegrityError,
    BUSY: BusyError,
    SIGN_IN: SignInError,
    CONFIG: ConfigError,
}
SHOWN_PROBLEMS = 20
"""A stranger can make any number of unreadable jobs: the others are counted, not shown."""


class ProblemWarning(UserWarning):
    """Something was wrong that did not stop the call: an unreadable job, a key nobody knows in config.yaml."""


class Answer(dict[str, Any]):
    """`data` of a verb as docs/json.md describes it. Shown at a prompt or in a notebook it is the text of the command line."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.data)
        self.text = "\n".join(report.lines)

    def __repr__(self) -> str:
        return self.text


class Verbs(Struct, frozen=True):
    """Who calls, and where: empty fields mean what environment and config.yaml say when the call is made."""

    home: str = ""
    root: str = ""
    email: str = ""

    def context(self) -> Context:
        """The parts of one call, as the command line builds them. Raises ConfigError."""
        from scq import config
        from scq.context import Context

        home = os.path.abspath(os.path.expanduser(self.home or os.environ.get("SCQ_HOME") or "~/.syft-creds"))
        named = os.environ.get("SCQ_CONFIG")
        path = os.path.abspath(os.path.expanduser(named)) if named else os.path.join(home, config.FILE_NAME)
        loaded = config.load(path, os.environ, {"email": self.email or None, "root": self.root or None}, home=home)
        return Context(settings.in_force(loaded.config), home, config_path=path, problems=loaded.problems)

    def call(self, verb: Callable[..., Report], *arguments: Any, **options: Any) -> Report:
        """What a verb reports. Raises ScqError when the command line would have failed."""
        report = self.attempt(verb, *arguments, **options)
        settle(report)
        return report

    def attempt(self, verb: Callable[..., Report], *arguments: Any, **options: Any) -> Report:
        """As `call`, but a report that tells of a failure comes back like any other, for `settle`."""
        with advice_as_note():
            return verb(self.context(), *arguments, **options)

    def show(self, word: str) -> dict[str, Any]:
        """The job object of one job."""
        from scq.commands import show

        return self.call(show.run, word).data

    def approve(self, word: str, reason: str, digest: str) -> str:
        """Approve one job; its full id."""
        from scq.commands import approve

        return _decided(self.call(approve.run, [word], reason=reason, digest=digest))

    def reject(self, word: str, reason: str) -> str:
        """Reject one job; its full id."""
        from scq.commands import reject

        return _decided(self.call(reject.run, [word], reason=reason))

    def review(self, word: str) -> Answer:
        """Everything of one job that can execute; what was shown is remembered as reviewed."""
        from scq.commands import review

        return Answer(self.call(review.run, word))

    def logs(self, word: str) -> str:
        """What one job wrote, cleaned for a terminal."""
        from scq.commands import logs

        return "\n".join(self.call(logs.run, word).lines)

    def output(self, word: str) -> tuple[Path, list[str]]:
        """(result folder, result files relative to it) of one job."""
        from scq.commands import output

        data = self.call(output.run, word).data
        return Path(self.context().config.root, data["folder"]), [row["path"] for row in data["outputs"]]

    def wait(self, word: str, timeout: float, interval: float) -> None:
        """Wait until one job is over. Raises JobFailedError when it did not complete, BusyError when time ran out."""
        from scq.commands import wait

        self.call(wait.run, word, timeout=timeout, interval=interval)


HERE = Verbs()


def words(value: str | Iterable[str] | None) -> tuple[str, ...]:
    """A list of texts as callers give it: one text alone is one text, not its letters."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def shown(problem: Problem) -> str:
    """A problem as one line for people."""
    text = f"{line(problem.where, 300)}: {line(problem.what, 500)}"
    return f"{text}. {line(problem.advice, 500)}" if problem.advice else text


def settle(report: Report, also_fine: int = OK) -> None:
    """Raise the exception a report stands for, its problems as notes; warn of its problems when the verb did what it was asked.

    `also_fine` is an exit code that is not a failure for this caller.
    """
    if report.errors or report.exit_code not in (OK, ACTION_NEEDED, also_fine):
        raise _failure(report)
    for text in _few(report.problems):
        warnings.warn(text, ProblemWarning, stacklevel=_level_of_caller())


def _failure(report: Report) -> ScqError:
    kind = FAILURES.get(report.exit_code, ScqError)
    if report.errors:
        error = kind("\n".join(report.errors))
    elif report.problems:
        # The last one is what stopped the verb: those of the look come first.
        error = kind(shown(report.problems[-1]), report.problems[-1].advice)
    else:
        error = kind("; ".join(line(text) for text in report.lines) or f"{report.command} failed")
    for text in _few(report.problems if report.errors else report.problems[:-1]):
        error.add_note(text)
    return error


@contextmanager
def advice_as_note() -> Iterator[None]:
    """Let a traceback show what to do next as well."""
    try:
        yield
    except ScqError as error:
        if error.advice:
            error.add_note(error.advice)
        raise


def _decided(report: Report) -> str:
    identity: str = report.data["jobs"][0]["id"]
    return identity


def _few(problems: tuple[Problem, ...]) -> list[str]:
    more = len(problems) - SHOWN_PROBLEMS
    return [*(shown(problem) for problem in problems[:SHOWN_PROBLEMS]), *([f"and {more} more problems"] if more > 0 else [])]


def _level_of_caller() -> int:
    """How far up the first frame outside scq is, counted from the caller of this function."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("scq."):
        level, frame = level + 1, frame.f_back
    return level
