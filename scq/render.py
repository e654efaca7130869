"""Outbox rows become messages: templates, filters, subjects. Jinja2 is loaded when the first template is rendered.

Templates of the user stand before the shipped ones, file by file. A template that is missing or fails never loses a
message: its text is then the plain list of what is known, and a problem says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from scq import clean, resources
from scq.errors import ConfigError
from scq.model import Notification, Problem, Role
from scq.ports import Message

if TYPE_CHECKING:
    from jinja2 import Environment

SUBJECT_LIMIT = 150
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


class Mail(Struct, frozen=True):
    """How an event is told to one role: name of the template below `emails/`, and what stands before the job's name."""

    template: str
    subject: str


MAILS: Mapping[tuple[str, Role], Mail] = {
    ("baseline", "do"): Mail("jobs_waiting", "Jobs Waiting for Review"),
    ("job.received", "do"): Mail("new_job", "Job: "),
    ("job.received", "ds"): Mail("job_submitted_ds", "Job Submitted: "),
    ("job.invalid", "ds"): Mail("job_invalid_ds", "Job Cannot Be Run: "),
    ("job.approved", "do"): Mail("job_approved_do", "Re: Job: "),
    ("job.approved", "ds"): Mail("job_approved", "Job Approved: "),
    ("job.rejected", "ds"): Mail("job_rejected_ds", "Job Not Approved: "),
    ("job.completed", "do"): Mail("job_completed_do", "Re: Job: "),
    ("job.completed", "ds"): Mail("job_executed", "Job Completed: "),
    ("job.failed", "do"): Mail("job_failed_do", "Job Failed: "),
    ("job.failed", "ds"): Mail("job_failed_ds", "Job Failed: "),
    ("job.interrupted", "do"): Mail("job_interrupted", "Job Interrupted: "),
    ("job.integrity", "do"): Mail("job_integrity", "Job Content Changed: "),
    ("job.changed", "do"): Mail("job_integrity", "Job Content Changed: "),
    ("outputs.released", "ds"): Mail("outputs_released", "Job Results Released: "),
    ("results.withheld", "ds"): Mail("results_withheld", "Job Results Withheld: "),
}
"""The subjects `Job:`, `Re: Job:` and `Job …:` continue the mail threads of syft-bg 0.3."""

CAUSES: Mapping[str, str] = {
    "exit": "the script ended with an error",
    "timeout": "it ran longer than allowed",
    "killed": "it was stopped",
    "interrupted": "the run was interrupted",
    "integrity": "its content is not what was approved",
    "start": "it could not be started",
    "output": "its results could not be collected",
}
"""What a submitter is told about a failure: the kind of cause, never the owner's paths or logs."""


def datetime_text(value: object) -> str:
    """The `datetime` filter: `January 15, 2024 at 03:30 PM`, aware times in local time; a string stays as it is."""
    if not isinstance(value, datetime):
        return "unknown" if value is None else str(value)
    local = value if value.tzinfo is None else value.astimezone()
    hour = local.hour % 12 or 12
    half = "PM" if local.hour >= 12 else "AM"
    return f"{MONTHS[local.month - 1]} {local.day:02d}, {local.year} at {hour:02d}:{local.minute:02d} {half}"


def datetime_tz_text(value: object) -> str:
    """The `datetime_tz` filter: as `datetime`, followed by the abbreviation of the time zone when there is one."""
    zone = value.astimezone().tzname() if isinstance(value, datetime) and value.tzinfo is not None else None
    return f"{datetime_text(value)} {zone}" if zone else datetime_text(value)


def duration_text(value: object) -> str:
    """The `duration` filter: seconds as `2 hours 15 minutes 30 seconds`; no days, nothing negative; a string stays."""
    if isinstance(value, str):
        return value
    if not isinstance(value, int | float) or value != value or value in (float("inf"), float("-inf")):
        return "unknown"
    minutes, seconds = divmod(max(0, int(value)), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [_count(hours, "hour"), _count(minutes, "minute"), _count(seconds, "second")]
    return " ".join(part for part in parts if part) or "0 seconds"


def _count(number: int, unit: str) -> str:
    if number == 0:
        return ""
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


class Renderer:
    """Renders templates of `user_folder` (may be empty or missing) and, behind it, the shipped ones.

    `problems` collects what went wrong with a template without losing its message.
    """

    def __init__(self, user_folder: str = "") -> None:
        shipped = resources.folder("templates")
        self.folders: Sequence[str] = (user_folder, shipped) if user_folder else (shipped,)
        self.problems: list[Problem] = []
        self._environment: Environment | None = None

    def render(self, name: str, context: Mapping[str, Any]) -> str:
        """One template as text; values are escaped in `.html`. Raises ConfigError naming the template that cannot be used."""
        from jinja2 import TemplateError

        failures = (TemplateError, ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)
        try:
            return self._jinja().get_template(name).render(context)
        except failures as error:
            detail = clean.line(str(error) or type(error).__name__)
            raise ConfigError(
                f"template {name}: cannot be rendered ({detail})", f"Mend or remove it below {self.folders[0]}."
            ) from error

    def render_with_fallback(self, name: str, context: Mapping[str, Any], text: str) -> tuple[str, str]:
        """(html, plain) of `<name>.html` and its `.txt` sibling; `""` and `text` for what cannot be rendered.

        What went wrong is added to `problems`.
        """
        stem = name.removesuffix(".html")
        return self._or(f"{stem}.html", context, ""), self._or(f"{stem}.txt", context, text)

    def message(self, row: Notification, *, sender: str, email_format: str = "html") -> Message:
        """The message of one outbox row. `email_format` is `html`, `both` (the same) or `text`."""
        mail = MAILS.get((row.kind, row.role)) or Mail("other", f"{row.kind}: ")
        context = template_context(row)
        name, fallback = f"emails/{mail.template}", _fallback(row)
        if email_format == "text":
            html, text = "", self._or(f"{name}.txt", context, fallback)
        else:
            html, text = self.render_with_fallback(f"{name}.html", context, fallback)
        return Message(
            key=row.key,
            event=row.kind,
            sender=sender,
            recipient=row.recipient,
            subject=subject(mail.subject, row.context.get("name", ""), row.context.get("short_id", "")),
            text=text,
            html=html or None,
            at_iso=row.created_at.isoformat(),
        )

    def _or(self, name: str, context: Mapping[str, Any], instead: str) -> str:
        try:
            return self.render(name, context)
        except ConfigError as error:
            self.problems.append(Problem(name, f"{error}; the message was written without it", error.advice))
            return instead

    def _jinja(self) -> Environment:
        if self._environment is None:
            from jinja2 import Environment, FileSystemLoader, select_autoescape

            self._environment = Environment(
                loader=FileSystemLoader(self.folders),
                autoescape=select_autoescape(enabled_extensions=("html", "htm", "xml"), default=False),
                trim_blocks=True,
                lstrip_blocks=True,
                keep_trailing_newline=True,
            )
            self._environment.filters.update(datetime=datetime_text, datetime_tz=datetime_tz_text, duration=duration_text)
        return self._environment


def subject(before: str, name: str, short_id: str) -> str:
    """One clean line of at most 150 characters; only the job's name is shortened, never the tag at the end."""
    tag = f" [scq {short_id}]" if short_id else " [scq]"
    before = clean.line(before, 60) + " " if name else clean.line(before, 60)
    return before + clean.line(name, SUBJECT_LIMIT - len(before) - len(tag)) + tag


def template_context(row: Notification) -> dict[str, Any]:
    """The documented variables of every template (docs/notifications.md), from the words of a row."""
    words = row.context
    at = _time(words.get("at"))
    return {
        "event": row.kind,
        "role": row.role,
        "job": {**words, "id": row.job_id, "id8": words.get("short_id", ""), "digest12": words.get("digest", "")[:19]},
        "job_name": words.get("name", ""),
        "submitter": words.get("submitter", ""),
        "ds_email": words.get("submitter", ""),
        "do_email": words.get("owner", ""),
        "timestamp": _time(words.get("submitted_at")) or at,
        "event_at": at,
        "job_code": {"run.sh": words["run_sh"]} if "run_sh" in words else {},
        "duration": float(words["duration_s"]) if "duration_s" in words else None,
        "return_code": words.get("exit_code"),
        "cause": CAUSES.get(words.get("cause", ""), ""),
        "error_output": words.get("error_output"),
        "reason": words.get("reason", ""),
        "friendly_reason": words.get("reason", ""),
        "results_released": words.get("outputs") == "released",
        "results_withheld": words.get("outputs") == "withheld",
        "files": words.get("files", "").splitlines(),
        "count": words.get("count", ""),
        "waiting": words.get("waiting", "").splitlines(),
    }


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _fallback(row: Notification) -> str:
    lines = [f"{row.kind}: {row.context.get('name', '')}".rstrip(": "), ""]
    return "\n".join([*lines, *(f"{name}: {word}" for name, word in sorted(row.context.items()))]) + "\n"
