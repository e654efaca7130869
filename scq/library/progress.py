"""Telling how a job gets on while it is waited for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from scq.clean import line
from scq.errors import UsageError
from scq.library.shell import is_notebook

if TYPE_CHECKING:
    from scq.library.job import CodeJob

Tell = Callable[["CodeJob"], object]
Progress = Tell | bool | None
"""Who is told: a callable that gets the job, `True` for the person at the screen, or nobody."""


def teller(progress: object) -> Tell | None:
    """How to tell what was asked for as `progress`. Raises UsageError for something that cannot be called."""
    if progress is None or progress is False:
        return None
    if progress is True:
        return _Display() if is_notebook() else _on_stderr
    if not callable(progress):
        what = f"progress: {type(progress).__name__} cannot be called"
        raise UsageError(what, "Pass True, or a function that takes a CodeJob.")
    return cast("Tell", progress)


class _Display:
    """One place in the output of a notebook's cell, written anew at each call."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, job: CodeJob) -> None:
        from IPython.display import display

        shown = {"text/plain": _said(job)}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)  # type: ignore[no-untyped-call] # so in IPython
        else:
            self._handle.update(shown, raw=True)


def _on_stderr(job: CodeJob) -> None:
    sys.stderr.write(_said(job) + "\n")
    sys.stderr.flush()


def _said(job: CodeJob) -> str:
    return f"{job.short_id}  {job.status}  {line(job.name, 200)}"
