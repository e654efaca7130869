"""The log of what scheduled calls do: one line per step, in files that are rotated, and on stderr where that is wanted.

Decisions stand in the audit log; this is for finding out what happened when. A log that cannot be written never stops a call.

`logging` is not used: its files are not safe with several processes, and importing it takes longer than the lines of an idle
call. The text form is the one its users know.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

import msgspec

from scq.clean import CAP, line
from scq.config_values import Log
from scq.errors import ACTION_NEEDED, BUG, BUSY, CONFIG, FAILED, INTEGRITY, JOB_FAILED, OK, SIGN_IN, USAGE
from scq.journal import appending
from scq.report import Report
from scq.secrets import redacted

Severity = Literal["debug", "info", "warning", "error"]
RUN: ContextVar[str] = ContextVar("RUN", default="")
"""The run id of the call at work."""

RANKS = {"debug": 0, "info": 1, "warning": 2, "error": 3}
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""Of syslog, as `sd-daemon(3)` wants them before a line."""
INTERRUPTED = 130
ENDINGS = {
    OK: "done",
    ACTION_NEEDED: "done, jobs wait for a decision",
    FAILED: "failed",
    USAGE: "not called rightly",
    JOB_FAILED: "done, a job failed",
    INTEGRITY: "content is not what was approved",
    BUG: "ended by a bug",
    BUSY: "not now, the next call tries again",
    SIGN_IN: "a sign-in is needed",
    CONFIG: "the configuration or this machine has to be mended",
    INTERRUPTED: "interrupted",
}
MESSAGE_LIMIT = 2_000


def log_file(home: str, service: str) -> str:
    """The log of a service, `notify` or `approve`."""
    return os.path.join(home, f"syft-{service}.log")


def error_log_file(home: str, service: str) -> str:
    """The log that repeats the warnings and errors of a service."""
    return os.path.join(home, f"syft-{service}.error.log")


def service_of(step: str) -> str:
    """Whose log a step is written to."""
    return "approve" if step == "automate" else "notify"


class Journal:
    """The log of one call. `run` is its id, `settings` say how much is written, where, and in which form.

    `is_loud`: the lines are shown on stderr, too (`-v`). `is_silent`: nothing is written at all (`--dry-run`).
    """

    def __init__(self, home: str, settings: Log, run: str, env: Mapping[str, str]) -> None:
        self.home = home
        self.settings = settings
        self.run = run
        self.env = env
        self.is_loud = False
        self.is_silent = False
        self._patience = appending.PATIENCE
        self._has_complained = False

    def note(self, step: str, severity: Severity, message: str, **fields: object) -> None:
        """Write one line about a step (`check`, `run-approved`, `notify`, `cleanup`, `automate`, `cycle`).

        `fields` are facts for programs (numbers, words), shown by the JSON form only. Times are those of the machine's own time
        zone, as in its other logs, and UTC in the JSON form. Secrets are left out.
        """
        to_file, on_journal = self.settings.to in ("file", "both"), self.is_on_journal(2)
        to_stderr = self.is_loud or on_journal or self.settings.to in ("stderr", "both")
        if self.is_silent or RANKS[severity] < RANKS[self.settings.level] or not (to_file or to_stderr):
            return
        text = self._text(step, severity, message, fields)
        if to_stderr:
            _show(f"<{PRIORITIES[severity]}>{text}" if on_journal else text)
        if to_file:
            service = service_of(step)
            self._store(log_file(self.home, service), text)
            if RANKS[severity] >= RANKS["warning"]:
                self._store(error_log_file(self.home, service), text)

    def report(self, report: Report, took_s: float) -> None:
        """Write what a step said: its lines, problems and errors, and last how it ended and how long it took.

        Of a dry run nothing is written.
        """
        if report.data.get("dry_run"):
            return
        self.said(report)
        self.ended(report.command, report.exit_code, took_s)

    def said(self, report: Report) -> None:
        """Write the lines, problems and errors of a step."""
        for text in (part for lines in report.lines for part in lines.splitlines() if part.strip()):
            self.note(report.command, "info", text)
        problems = (f"{problem.where}: {problem.what}. {problem.advice}".strip() for problem in report.problems)
        for text in problems:
            if text not in report.errors:
                self.note(report.command, "warning", text)
        for text in report.errors:
            self.note(report.command, "error", text)

    def ended(self, step: str, exit_code: int, took_s: float) -> None:
        """Write how a step ended and how long it took."""
        calm = exit_code in (OK, ACTION_NEEDED, BUSY)
        severity: Severity = "info" if calm else "warning" if exit_code in (JOB_FAILED, INTERRUPTED) else "error"
        message = f"{ENDINGS.get(exit_code, 'ended')} (exit code {exit_code}, {took_s:.3f} s)"
        self.note(step, severity, message, exit_code=exit_code, took_s=round(took_s, 3))

    def is_on_journal(self, fd: int) -> bool:
        """Whether a descriptor is connected to the journal of systemd (`JOURNAL_STREAM`, systemd.exec(5))."""
        stream = self.env.get("JOURNAL_STREAM")
        if not stream or self.settings.to == "none":
            return False
        try:
            there = os.fstat(fd)
        except OSError:  # it is closed
            return False
        return stream == f"{there.st_dev}:{there.st_ino}"

    def is_heard(self, fd: int, step: str) -> bool:
        """Whether a descriptor ends where the lines of this log stand anyway: in the journal, or in the log of errors itself."""
        if self.is_on_journal(fd):
            return True
        try:
            return self.settings.to in ("file", "both") and appending.is_at(fd, error_log_file(self.home, service_of(step)))
        except OSError:
            return False

    def _text(self, step: str, severity: Severity, message: str, fields: Mapping[str, object]) -> str:
        now = time.time()
        shown = _plain(message)
        if self.settings.format != "json":
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
            return f"{at} - scq.{step} - {severity.upper()} - {shown} [{self.run}]"
        document = {
            "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "logger": f"scq.{step}",
            "level": severity.upper(),
            "message": shown,
            "run": self.run,
            "step": step,
        }
        facts = {name: _fact(value) for name, value in fields.items() if name not in document}
        return msgspec.json.encode(document | facts).decode()

    def _store(self, path: str, text: str) -> None:
        try:
            self._append(path, text.encode("utf-8", "replace") + b"\n")
        except FileNotFoundError:  # a home that is not there has no log either
            return
        except OSError as error:
            self._complain(path, error)

    def _append(self, path: str, data: bytes) -> None:
        """Add a line to a log, or to a new one when it would grow too long."""
        while True:
            fd = appending.opened_for_writing(path)
            try:
                is_mine = appending.lock(fd, fcntl.LOCK_EX, self._patience)
                self._patience = self._patience if is_mine else 0.0
                if not appending.is_at(fd, path):
                    continue
                size = os.fstat(fd).st_size
                if is_mine and size and size + len(data) > self.settings.max_bytes and self._rotated(path):
                    continue
                appending.write(fd, data, size, is_mine)
                return
            finally:
                os.close(fd)

    def _rotated(self, path: str) -> bool:
        """Put a full log aside; False when that cannot be done: it then grows further."""
        try:
            appending.rotate(path, self.settings.backups)
        except OSError as error:
            self._complain(path, error)
            return False
        return True

    def _complain(self, path: str, error: OSError) -> None:
        """Say once per call that the log cannot be kept."""
        if not self._has_complained:
            self._has_complained = True
            _show(f"! {line(path, 300)}: the log cannot be written ({error.strerror}); the call goes on without it")


def _plain(text: str) -> str:
    """One line without secrets."""
    return line(" ".join(redacted(text[:CAP]).splitlines()), MESSAGE_LIMIT)


def _fact(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float) else _plain(str(value))


def _show(text: str) -> None:
    """Write a line to stderr. A call whose stderr is closed or full has nowhere to say so."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return
