"""What `q.help()` says: every public name with its meaning, in groups, or one of them in full."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from scq.clean import line
from scq.errors import UsageError
from scq.library.given import text

GROUPS = {
    "Send code, and follow it": "submit_job submit_script submit_python submit_bash my_jobs my_pending my_running my_completed "
    "jobs_for_others get_job wait_for_completion get_job_logs get_job_output cancel",
    "Decide about what was sent to you": "pending_for_me jobs_for_me all_jobs_for_me approved_by_me review_job inspect_job "
    "list_job_files read_job_file diff_job approve reject",
    "Run, and answer": "check run_approved rerun release withhold status",
    "Objects and settings": "CodeJob JobCollection QueueClient create_client QueueConfig configure ProblemWarning "
    "RefusedJobsError help",
    "A runner": "create_runner SyftJobRunner SyftJobConfig",
    "Services, monitors and messages": "DaemonManager ServiceManager Monitor JobMonitor PeerMonitor JsonStateManager "
    "TemplateRenderer GmailAuth GmailSender GOOGLE_API_TIMEOUT",
}
"""Every name of `scq.PUBLIC`, once."""
VALUES = {"GOOGLE_API_TIMEOUT": "Seconds that one request to Google may take."}
"""Names that hold a plain value: nothing there says what it means."""


class Text(str):
    """Text that a prompt or notebook shows as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def handbook(name: str = "") -> Text:
    """Everything in one line each, or one name in full. Raises UsageError for a name that is not there."""
    import scq

    text("name", name)
    if not name:
        return Text(
            "\n".join(["import scq as q", *_overview(), "", 'More of one: q.help("approve"). All of it: docs/library.md.'])
        )
    if name not in scq.PUBLIC:
        close = get_close_matches(name, scq.PUBLIC, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"there is no {line(name, 80)!r} here", f"{hint}q.help() lists every name.")
    return Text("\n".join(_in_full(name)))


def _overview() -> list[str]:
    lines: list[str] = []
    for title, names in GROUPS.items():
        lines.extend(["", title, *(f"{name:<22} {_documentation(name).partition(chr(10))[0]}" for name in names.split())])
    return lines


def _in_full(name: str) -> list[str]:
    found = _object(name)
    lines = [f"q.{name}{_parameters(found)}", "", *_documentation(name).splitlines()]
    if inspect.isclass(found):
        members = [(word, member) for word, member in inspect.getmembers(found) if not word.startswith("_") and member.__doc__]
        lines.extend(["", *(f"  {_member(found, word)}" for word, _ in members)] if members else [])
    return lines


def _member(kind: type, word: str) -> str:
    found = inspect.getattr_static(kind, word)
    meaning = (inspect.getdoc(found) or "").partition("\n")[0]
    return f"{word + ('' if isinstance(found, property) else _parameters(getattr(kind, word)))}  {meaning}"


def _parameters(found: Any) -> str:
    """How something is called, without types: those are in the reference."""
    if not callable(found):
        return ""
    try:
        given = inspect.signature(found)
    except ValueError:
        return "(…)"
    shown = [each.replace(annotation=each.empty) for each in given.parameters.values() if each.name != "self"]
    return str(given.replace(parameters=shown, return_annotation=given.empty))


def _documentation(name: str) -> str:
    return VALUES.get(name) or inspect.getdoc(_object(name)) or ""


def _object(name: str) -> Any:
    import scq

    return getattr(import_module(f"scq.library.{scq.PUBLIC[name]}"), name)
