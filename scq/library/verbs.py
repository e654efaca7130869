"""The verbs as plain calls: data comes back, a failure is the exception of the command line, a problem is a warning."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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
from scq.library.given import bound, seconds, text, words
from scq.machine import advice_on, words_of
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
TEXTS = frozenset({"reason", "digest", "by", "name", "description", "entrypoint", "status", "against", "file"})
"""Options of verbs that are text. The command line has nothing else; a program may have."""
SHOWN_PROBLEMS = 20
"""A stranger can make any number of unreadable jobs: the others are counted, not shown."""


_HEARD: ContextVar[list[Problem] | None] = ContextVar("_HEARD", default=None)
"""Where the problems of this thread's calls are collected instead."""


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
    """Who calls, and where: empty fields mean what environment and config.yaml say when the call is made.

    `chosen` are settings (attribute of `Config`, value) that win over those of config.yaml and of `configure`.
    """

    home: str = ""
    root: str = ""
    email: str = ""
    chosen: tuple[tuple[str, Any], ...] = ()

    def context(self) -> Context:
        """The parts of one call, as the command line builds them. Raises ConfigError."""
        from scq import config
        from scq.context import Context

        home = os.path.abspath(os.path.expanduser(self.home or os.environ.get("SCQ_HOME") or "~/.syft-creds"))
        named = os.environ.get("SCQ_CONFIG")
        path = os.path.abspath(os.path.expanduser(named)) if named else os.path.join(home, config.FILE_NAME)
        loaded = config.load(path, os.environ, {"email": self.email or None, "root": self.root or None}, home=home)
        return Context(settings.in_force(loaded.config, dict(self.chosen)), home, config_path=path, problems=loaded.problems)

    def call(self, verb: Callable[..., Report], *arguments: Any, **options: Any) -> Report:
        """What a verb reports. Raises ScqError when the command line would have failed."""
        report = self.attempt(verb, *arguments, **options)
        settle(report)
        return report

    def attempt(self, verb: Callable[..., Report], *arguments: Any, **options: Any) -> Report:
        """As `call`, but a report that tells of a failure comes back like any other, for `settle`."""
        with advice_as_note():
            for name in TEXTS.intersection(options):
                text(name, options[name])
            return verb(self.context(), *arguments, **options)

    def show(self, word: str) -> dict[str, Any]:
        """The job object of one job. Nothing of it is opened: what `scq show` tells of its files is left out."""
        from scq.commands import show

        return self.call(show.run, word, files=False).data

    def rows(self, **options: Any) -> list[dict[str, Any]]:
        """The job objects that `scq list` gives, oldest first."""
        from scq.commands import list as verb

        found: list[dict[str, Any]] = self.call(verb.run, **options).data["jobs"]
        return found

    def approve(self, word: str, reason: str, **terms: Any) -> str:
        """Approve one job; its full id. `terms` are the further options of the verb, numbers where it takes words."""
        from scq.commands import approve

        bounds = {name: bound(terms.pop(name, "")) for name in ("expires", "timeout", "memory")}
        accept = words(terms.pop("accept", ()))
        return _decided(self.call(approve.run, [word], reason=reason, accept=accept, **bounds, **terms))

    def reject(self, word: str, reason: str) -> str:
        """Reject one job; its full id."""
        from scq.commands import reject

        return _decided(self.call(reject.run, [word], reason=reason))

    def cancel(self, word: str, reason: str) -> str:
        """Withdraw one job; its full id."""
        from scq.commands import cancel

        return _decided(self.call(cancel.run, [word], reason=reason))

    def review(self, word: str, *, remember: bool = True) -> Answer:
        """Everything of one job that can execute; to `remember` is to note what was shown as reviewed."""
        from scq.commands import review

        return Answer(self.call(review.run, word, remember=remember))

    def files(self, word: str) -> list[str]:
        """Paths of the files of one job that can influence its execution, run.sh first."""
        return [row["path"] for row in self.review(word, remember=False)["files"]]

    def read_file(self, word: str, path: str) -> str:
        """The text of one such file. Raises UsageError when there is none of that name, or it cannot be given whole."""
        from scq.commands import review

        if not path:
            raise UsageError("no file is named", "list_job_files gives their names.")
        row = self.call(review.run, word, file=path, remember=False).data["files"][0]
        if row["text"] is None:
            raise UsageError(f"{line(path, 300)} is a binary file", f"Its digest is sha256 {row['sha256']}.")
        if not row["whole"]:
            raise UsageError(f"{line(path, 300)} is too long: {row['size']} bytes", "inspect_job gives its beginning.")
        found: str = row["text"]
        return found

    def diff(self, word: str, against: str) -> Answer:
        """What changed in one job since the last approved one, or against another."""
        from scq.commands import diff

        return Answer(self.call(diff.run, word, against=against))

    def release(self, word: str, reason: str, *, only: str | Iterable[str] | None, outputs: bool, logs: bool) -> str:
        """Let results of one job leave; its full id."""
        from scq.commands import release

        patterns = words(only)
        if only is not None and not patterns:  # the verb would take that for all of them
            raise UsageError("only: names no file", "Leave it out for all files, or withhold the results.")
        return _id(self.call(release.run, word, only=patterns, outputs=outputs, logs=logs, reason=reason))

    def withhold(self, word: str, reason: str) -> str:
        """Answer one job without its results; its full id."""
        from scq.commands import withhold

        return _id(self.call(withhold.run, word, reason=reason))

    def rerun(self, word: str) -> str:
        """Let one job run once more; its full id."""
        from scq.commands import rerun

        return _id(self.call(rerun.run, word))

    def logs(self, word: str) -> str:
        """What one job wrote, cleaned for a terminal."""
        from scq.commands import logs

        return "\n".join(self.call(logs.run, word).lines)

    def output(self, word: str) -> tuple[Path, list[str]]:
        """(result folder, result files relative to it) of one job."""
        from scq.commands import output

        data = self.call(output.run, word).data
        return Path(self.context().config.root, data["folder"]), [row["path"] for row in data["outputs"]]

    def wait(self, word: str, timeout: float, interval: float, tell: Callable[[dict[str, Any]], object] | None = None) -> Report:
        """Wait until one job is over or time has run out; the report, for `settle`, whose data are the job object.

        `tell` gets the job object at the start and whenever its status is another one.
        """
        from scq.commands import wait
        from scq.view import as_dict

        limits = {"timeout": seconds("timeout", timeout), "interval": seconds("interval", interval)}
        known = ""

        def heard(facts: dict[str, Any]) -> bool:
            nonlocal known
            if tell is None or facts["status"] == known:
                return False
            known = facts["status"]
            tell(facts)
            return True

        while tell is not None and heard(self.show(word)):
            pass  # who was told may have taken long, or have decided about the job
        report = self.attempt(wait.run, word, **limits, progress=lambda job: heard(as_dict(job)))
        heard(report.data)
        return report


HERE = Verbs()


def shown(problem: Problem) -> str:
    """A problem as one line for people."""
    said = f"{line(problem.where, 300)}: {line(problem.what, 500)}"
    return f"{said}. {line(problem.advice, 500)}" if problem.advice else said


def settle(report: Report, also_fine: int = OK) -> None:
    """Raise the exception a report stands for, its problems as notes; warn of its problems when the verb did what it was asked.

    `also_fine` is an exit code that is not a failure for this caller.
    """
    if report.errors or report.exit_code not in (OK, ACTION_NEEDED, also_fine):
        raise _failure(report)
    heard = _HEARD.get()
    if heard is not None:
        heard.extend(report.problems)
        return
    for said in _few(report.problems):
        warnings.warn(said, ProblemWarning, stacklevel=_level_of_caller())


@contextmanager
def hearing() -> Iterator[list[Problem]]:
    """Collect the problems of calls in a list instead of warning of them, for who shows them in another way."""
    found: list[Problem] = []
    token = _HEARD.set(found)
    try:
        yield found
    finally:
        _HEARD.reset(token)


def _failure(report: Report) -> ScqError:
    kind = FAILURES.get(report.exit_code, ScqError)
    if report.errors:
        error = kind("\n".join(report.errors))
    elif report.problems:
        # The last one is what stopped the verb: those of the look come first.
        error = kind(shown(report.problems[-1]), report.problems[-1].advice)
    else:
        error = kind("; ".join(line(said) for said in report.lines) or f"{report.command} failed")
    note(error, report.problems if report.errors else report.problems[:-1])
    return error


def note(error: ScqError, problems: tuple[Problem, ...]) -> None:
    """Let a traceback show what else was wrong."""
    for said in _few(problems):
        error.add_note(said)


@contextmanager
def advice_as_note() -> Iterator[None]:
    """Let a traceback show what to do next as well; an error of the machine, such as a full disk, is an ScqError, too."""
    try:
        yield
    except ScqError as error:
        if error.advice and error.advice not in getattr(error, "__notes__", ()):
            error.add_note(error.advice)
        raise
    except OSError as error:
        advice = advice_on(error)
        if advice is None:  # a bug of scq
            raise
        failure = ScqError(words_of(error), advice)
        failure.add_note(advice)
        raise failure from error


def _decided(report: Report) -> str:
    identity: str = report.data["jobs"][0]["id"]
    return identity


def _id(report: Report) -> str:
    identity: str = report.data["id"]
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
