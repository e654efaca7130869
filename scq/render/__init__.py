"""Outbox rows become messages: templates, filters, subjects. Jinja2 is loaded when the first template is rendered.

Templates of the user stand before the shipped ones, file by file. A template that is missing or fails never loses a
message: its text is then the plain list of what is known, and a problem says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any

from scq import clean, resources
from scq.errors import ConfigError
from scq.model import Notification, Problem, Thread
from scq.ports import Message
from scq.render.filters import datetime_text, datetime_tz_text, duration_text, wrap_text
from scq.render.mails import MAILS, OTHER, Mail, subject, subject_of, template_context

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["MAILS", "MAIL_LIMIT", "OTHER", "REPEAT", "Renderer", "subject"]

MAIL_LIMIT = 700 << 10
"""Bytes of text and HTML together: with the base64 of a mail and its headers that stays below 1 MiB."""
LONG: Mapping[str, str] = {
    "compared": "The comparison does",
    "job_files": "The list of files does",
    "findings": "The findings do",
    "error_output": "The error output does",
    "job_code": "The script does",
}
"""What is shortened when a mail is too long, in this order, and how the mail says so."""
REPEAT = "This may be a repeat: nobody knows whether an earlier copy of it arrived."


class Renderer:
    """Renders templates of `user_folder` (may be empty or missing) and, behind it, the shipped ones.

    `timezone` is an IANA name for the times in them, empty for that of the machine. `problems` collects what went wrong
    without losing a message.
    """

    def __init__(self, user_folder: str = "", timezone: str = "") -> None:
        shipped = resources.folder("templates")
        self.folders: Sequence[str] = (user_folder, shipped) if user_folder else (shipped,)
        self.timezone = timezone
        self.problems: list[Problem] = []
        self._environment: Environment | None = None

    def render(self, name: str, context: Mapping[str, Any]) -> str:
        """One template as text; values are escaped in `.html`. Raises ConfigError naming the template that cannot be used."""
        from jinja2 import TemplateError

        failures = (
            TemplateError,
            ArithmeticError,
            AttributeError,
            LookupError,
            MemoryError,
            OSError,
            RuntimeError,
            TypeError,
            ValueError,
        )
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

    def message(
        self,
        row: Notification,
        *,
        sender: str,
        email_format: str = "html",
        domain: str = "",
        thread: Thread | None = None,
        extra: Mapping[str, Any] | None = None,
        call_id: str = "",
    ) -> Message:
        """The message of one outbox row. `email_format` is `html`, `both` (the same) or `text`.

        `thread` is the conversation it continues, `extra` what else its template may show (see letters.extra), `call_id` the call
        that sends it. Of what is too long for a mail the end of `job_code` is left out first, with a note.
        """
        mail = MAILS.get((row.kind, row.role)) or Mail(OTHER, f"{row.kind}: ")
        html, text = self._fitting(
            f"emails/{mail.template}", row, {"call_id": call_id, **(extra or {})}, with_html=email_format != "text"
        )
        if row.repeat:
            html, text = _marked(html), f"{REPEAT}\n\n{text}"
        continued = thread is not None and row.role == "do"
        return Message(
            key=row.key,
            event=row.kind,
            sender=sender,
            recipient=row.recipient,
            subject=subject_of(mail, row, thread),
            text=text,
            html=html or None,
            at_iso=row.created_at.isoformat(),
            level=row.level,
            job_id=row.job_id,
            run_id=call_id,
            words=row.context,
            role=row.role,
            domain=domain,
            thread_id=thread.thread_id if thread is not None and continued else "",
            in_reply_to=thread.message_id if thread is not None else "",
        )

    def _fitting(self, name: str, row: Notification, extra: dict[str, Any], *, with_html: bool) -> tuple[str, str]:
        """(html, plain), with as much of the code as a mail can hold."""
        fallback = _fallback(row)
        while True:
            context = template_context(row) | extra
            html = self._or(f"{name}.html", context, "") if with_html else ""
            text = self._or(f"{name}.txt", context, fallback)
            if len(html.encode("utf-8", "replace")) + len(text.encode("utf-8", "replace")) <= MAIL_LIMIT:
                return html, text
            if not _shorten(extra, row.context.get("short_id", "")):
                return "", f"{text[: MAIL_LIMIT // 4]}\n[the rest does not fit into this message]\n"

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
            zone = self._zone()
            self._environment.filters.update(
                datetime=partial(datetime_text, zone=zone),
                datetime_tz=partial(datetime_tz_text, zone=zone),
                duration=duration_text,
                wrap=wrap_text,
            )
        return self._environment

    def _zone(self) -> tzinfo | None:
        if not self.timezone:
            return None
        from zoneinfo import ZoneInfo

        try:
            return ZoneInfo(self.timezone)
        except (LookupError, OSError, ValueError):
            what = f"{clean.line(self.timezone, 60)} is not a time zone of this machine; times are shown in its own"
            self.problems.append(Problem("notify.timezone", what, "Use a name such as Europe/Berlin, or leave it out."))
            return None


def _marked(html: str) -> str:
    """The HTML with the note about a repeat at its top, whoever wrote the template."""
    note = f'<p style="margin:0;padding:10px 16px;background:#fff3cd;color:#4d3800">{REPEAT}</p>'
    head, tag, rest = html.partition("<body")
    if not tag:
        return note + html if html else ""
    attributes, close, inside = rest.partition(">")
    return f"{head}<body{attributes}{close}\n{note}{inside}"


def _shorten(extra: dict[str, Any], short_id: str) -> bool:
    """Leave out the second half of the shown files, with a note, then of what else is long; False when nothing is left."""
    code = extra.get("job_code")
    if code and len(code) > 1:
        kept = list(code)[: len(code) // 2]
        extra["job_code"] = {name: code[name] for name in kept}
        _note(extra, f"Not all files fit into this message: scq review {short_id} shows them.")
        return True
    for name, what in LONG.items():
        long = extra.get(name)
        if long:
            extra[name] = long[: len(long) // 2] if isinstance(long, list) and len(long) > 1 else None
            _note(extra, f"{what} not fit whole into this message: scq review {short_id} shows more.")
            return True
    return False


def _note(extra: dict[str, Any], note: str) -> None:
    extra["unseen"] = [*(row for row in extra.get("unseen", []) if row != note), note]


def _fallback(row: Notification) -> str:
    lines = [f"{row.kind}: {row.context.get('name', '')}".rstrip(": "), ""]
    return "\n".join([*lines, *(f"{name}: {word}" for name, word in sorted(row.context.items()))]) + "\n"
