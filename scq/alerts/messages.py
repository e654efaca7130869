"""One message: over one channel, over several, or over the first that takes it."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from scq.context import Context
    from scq.model import Level
    from scq.telling import Outcome

Backend = str | Iterable[str] | None
PHONE, TEXT_MESSAGE = "twilio", "sms"
DOCUMENTED = (
    *("audio", "emacs", "matplotlib", "playwright", "desktop", "email"),
    *("slack", "webhook", "telegram", PHONE, TEXT_MESSAGE),
)
"""Backends that are listed whether they are set up or not."""
OPTIONS = {
    "to": "to",
    "to_number": "to",
    "recipient": "to",
    "recipient_email": "to",
    "email_to": "to",
    "cc": "cc",
    "attachments": "attachments",
    "attachment_paths": "attachments",
}
"""Further arguments, and what they mean."""


class Result(Struct, frozen=True):
    """What became of a message on one channel. `timestamp` is an ISO time in UTC; `details` has recipient, receipt, kind."""

    success: bool
    backend: str
    message: str
    timestamp: str
    error: str = ""
    details: dict[str, str] = {}


def send(message: str, backend: Backend = None, title: str | None = None, level: str = "info", **kwargs: Any) -> bool:
    """Send a message; `alert` with the order of arguments of `send`."""
    return alert(message, title, backend, level, **kwargs)


def alert(
    message: str,
    title: str | None = None,
    backend: Backend = None,
    level: str = "info",
    fallback: bool | None = None,
    **kwargs: Any,
) -> bool:
    """Send a message and say whether anybody was told.

    Without `backend` the first channel that works takes it. A name means exactly that channel: ValueError when it is not
    there or cannot be used, RuntimeError when it fails, unless `fallback`. A list means all of them; one is enough for True.
    `kwargs`: `to`, `cc`, `attachments`. ValueError for an unknown level. When nobody could be told a warning says why.
    """
    outcomes = _outcomes(message, title, backend, level, fallback, kwargs)
    if any(outcome.ok for outcome in outcomes):
        return True
    if isinstance(backend, str) and not fallback:
        raise_failure(outcomes)
    from scq.telling import failure

    warn("nobody could be told: " + ("; ".join(map(failure, outcomes)) or "there is no channel"))
    return False


async def alert_async(
    message: str,
    title: str | None = None,
    backend: Backend = None,
    level: str = "info",
    fallback: bool | None = None,
    **kwargs: Any,
) -> bool:
    """As `alert`, in a thread of its own."""
    import asyncio

    return await asyncio.to_thread(alert, message, title, backend, level, fallback, **kwargs)


def tell(
    message: str,
    title: str | None = None,
    backend: Backend = None,
    level: str = "info",
    fallback: bool | None = None,
    **kwargs: Any,
) -> list[Result]:
    """As `alert`, but what became of it on each channel that was tried comes back, and no failure of a channel is raised."""
    outcomes = _outcomes(message, title, backend, level, fallback, kwargs)
    from scq.context import utc_now

    at = utc_now().isoformat()
    return [
        Result(
            success=outcome.ok,
            backend=outcome.channel,
            message=message,
            timestamp=at,
            error="" if outcome.ok else outcome.text,
            details={"recipient": outcome.recipient, "receipt": outcome.text if outcome.ok else "", "kind": outcome.kind},
        )
        for outcome in outcomes
    ]


def call(message: str, title: str | None = None, level: str = "info", to_number: str | None = None, **kwargs: Any) -> bool:
    """Call a phone and read the message. Raises as `alert` does for a channel by name."""
    return alert(message, title, PHONE, level, to=to_number, **kwargs)


async def call_async(
    message: str, title: str | None = None, level: str = "info", to_number: str | None = None, **kwargs: Any
) -> bool:
    """As `call`, in a thread of its own."""
    return await alert_async(message, title, PHONE, level, to=to_number, **kwargs)


def sms(message: str, title: str | None = None, to_number: str | None = None, **kwargs: Any) -> bool:
    """Send a text message, the title before it. Raises as `alert` does for a channel by name."""
    return alert(message, title, TEXT_MESSAGE, to=to_number, **kwargs)


async def sms_async(message: str, title: str | None = None, to_number: str | None = None, **kwargs: Any) -> bool:
    """As `sms`, in a thread of its own."""
    return await alert_async(message, title, TEXT_MESSAGE, to=to_number, **kwargs)


def available_backends() -> list[str]:
    """Names of the channels that are set up and can be used from this process."""
    return [row["name"] for row in list_backends() if row["available"]]


def list_backends() -> list[dict[str, Any]]:
    """Every channel and every documented name: `name`, `available` (set up and usable here), `configured`, `why` not."""
    from scq.telling.directory import Directory

    directory = Directory(context())
    names = [setting.name for setting, _ in directory.settings()]
    rows = []
    for name in dict.fromkeys([*names, *DOCUMENTED]):
        setting = directory.find(name)
        why = directory.why_not(name) if setting is None else directory.unusable(setting)
        rows.append({"name": name, "available": not why, "configured": setting is not None, "why": why})
    return rows


def context() -> Context:
    """The parts of one call; what config.yaml has that cannot be used does not keep a message from being sent."""
    from scq import config
    from scq.context import Context

    home = os.path.abspath(os.path.expanduser(os.environ.get("SCQ_HOME") or "~/.syft-creds"))
    named = os.environ.get("SCQ_CONFIG")
    path = os.path.abspath(os.path.expanduser(named)) if named else os.path.join(home, config.FILE_NAME)
    loaded = config.load(path, os.environ, {}, home=home, strict=False)
    return Context(loaded.config, home, config_path=path, problems=loaded.problems)


def warn(text: str) -> None:
    """Warn as the first caller outside scq."""
    from scq import ProblemWarning

    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("scq."):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, ProblemWarning, stacklevel=level)


def warn_of_problems(ctx: Context) -> None:
    """Warn of what was wrong beside the message itself."""
    for problem in ctx.problems:
        warn(f"{problem.where}: {problem.what}. {problem.advice}".rstrip(". "))


def raise_failure(outcomes: Sequence[Outcome]) -> None:
    """ValueError when nothing could be tried, RuntimeError when what was tried failed."""
    from scq.telling import failure

    text = "; ".join(map(failure, outcomes))
    raise (RuntimeError if any(outcome.tried for outcome in outcomes) else ValueError)(text)


def _outcomes(
    message: str, title: str | None, backend: Backend, level: str, fallback: bool | None, options: dict[str, Any]
) -> list[Outcome]:
    from scq.telling import tell as told

    names = () if backend is None else (backend,) if isinstance(backend, str) else tuple(backend)
    if backend is not None and not all(isinstance(name, str) and name for name in names or ("",)):
        raise ValueError("backend: name a channel, or several; None means the usual order")
    known = level_of(level)
    words = _options(options)
    files = _attachments(words["attachments"])
    ctx = context()
    outcomes = told(
        ctx,
        str(message),
        title=title or "",
        to=words["to"],
        cc=words["cc"],
        channels=names,
        level=known,
        attachments=files,
        fallback=fallback,
    )
    warn_of_problems(ctx)
    return outcomes


def level_of(word: str) -> Level:
    """The level of this name. Raises ValueError."""
    from scq.config_kinds import LEVELS

    for level in LEVELS:
        if level == word:
            return level
    raise ValueError(f"{word!r} is not a level; use one of: {', '.join(LEVELS)}")


def _options(options: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The further arguments by their meaning. One nobody knows loses no message: it is only warned of."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(OPTIONS.values(), ())
    for name, value in options.items():
        if name not in OPTIONS:
            warn(f"{name}: is not an argument that scq knows, and is ignored")
        elif value is not None:
            found[OPTIONS[name]] = texts(value)
    return found


def texts(value: Any) -> tuple[str, ...]:
    """One text, a path, or several of them; nothing for None."""
    if value is None:
        return ()
    return (os.fspath(value),) if isinstance(value, str | os.PathLike) else tuple(os.fspath(item) for item in value)


def _attachments(paths: Sequence[str]) -> tuple[Any, ...]:
    if not paths:
        return ()
    from scq.telling.attaching import attachments

    return attachments(paths)
