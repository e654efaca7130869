"""One call as those who watch over it hear of it: the log of the services, and a service that is pinged."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from typing import IO, TYPE_CHECKING

from scq.errors import BUSY
from scq.lastcalls import SCHEDULED
from scq.report import Report

if TYPE_CHECKING:
    from scq.config_values import Config
    from scq.journal import Journal
    from scq.pinging import Pulse

JOURNALED = (*SCHEDULED, "cleanup")
"""Verbs whose calls are written into the log of the services (see journal)."""


class Watch:
    """The verb of one call and what it said, for the log and for its pings if it has any."""

    def __init__(self, verb: str, arguments: Collection[str]) -> None:
        self.verb = verb
        self.dry_run = "--dry-run" in arguments
        self.said: list[str] = []
        self.pulse: Pulse | None = None
        self.began = time.time()
        self.home = ""
        self.journal: Journal | None = None
        self.report: Report | None = None
        self.failure = ""

    def wants(self, config: Config) -> bool:
        """True when this call pings."""
        return self.verb in config.health.verbs and bool(config.health.secret) and not self.dry_run

    def begin(self, home: str) -> None:
        """The call knows where it belongs; with the settings to be read it may end any moment."""
        self.home = home

    def meet(self, journal: Journal, *, loud: bool) -> None:
        """The log of this call."""
        journal.is_loud, journal.is_silent = loud, self.dry_run
        self.journal = journal

    def fail(self, message: str, advice: str) -> None:
        """Note why the call could not do what it was asked."""
        self.said += [f"scq: {message}", advice] if advice else [f"scq: {message}"]
        self.failure = f"{message}. {advice}" if advice else message

    def is_at_work(self) -> bool:
        """Whether a scheduled call has begun and said nothing yet."""
        return self._is_journaled() and self.report is None

    def is_heard(self, fd: int) -> bool:
        """Whether what is shown on a descriptor would stand there twice, because the lines of the log go there too."""
        return self._is_journaled() and self._log().is_heard(fd, self.verb)

    def end(self, code: int, err: IO[str]) -> int:
        """Say how the call ended; the exit code."""
        try:
            if self._is_journaled():
                self._write_down(code)
            if self.pulse is not None:
                self.pulse.end(code, self.said, shared=code == BUSY and self._has_looked())
        except KeyboardInterrupt:
            err.write("interrupted\n")
        return code

    def _has_looked(self) -> bool:
        """Whether this is a cycle that could look: 75 then means that another call runs jobs or tells people just now."""
        steps = [] if self.report is None else self.report.data.get("steps", [])
        looks = [step["exit_code"] for step in steps if step["name"] == "check"]
        return bool(looks) and BUSY not in looks

    def _is_journaled(self) -> bool:
        return self.verb in JOURNALED and bool(self.home) and not self.dry_run

    def _log(self) -> Journal:
        """The log of this call; with the settings nobody could read it has the default ones."""
        if self.journal is None:
            from scq.config_values import Log
            from scq.context import new_run_id
            from scq.journal import Journal

            self.journal = Journal(self.home, Log(), new_run_id(), os.environ)
        return self.journal

    def _write_down(self, code: int) -> None:
        """One line per thing that was said, and one about the end. The steps of a cycle have written their own already."""
        log = self._log()
        if code == BUSY and self.report is None:
            log.note(self.verb, "info", f"{self.failure} (exit code {BUSY})", exit_code=BUSY)
            return
        if self.report is not None and self.verb != "cycle":
            log.said(self.report)
        if self.failure:
            log.note(self.verb, "error", self.failure)
        log.ended(self.verb, code, max(0.0, time.time() - self.began))
