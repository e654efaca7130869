"""A sender of a program's own, with the methods of the documented `GmailSender`, as a channel of `scq notify`."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from scq.clean import line
from scq.errors import ChannelError, ConfigError, ScqError, SignInError
from scq.formats import parse_time
from scq.library.verbs import ProblemWarning
from scq.ports import Message, Receipt
from scq.routing import MARKS, PEER_MARKS

NAME = "sender"
"""Name of the channel."""
CALLS: Mapping[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("job.received", "do"): ("notify_new_job", ("name", "submitter")),
    ("job.approved", "ds"): ("notify_job_approved", ("name",)),
    ("job.completed", "ds"): ("notify_job_executed", ("name",)),
    ("peer.requested", "do"): ("notify_new_peer_request_to_do", ("ds_email",)),
    ("peer.request_seen", "ds"): ("notify_peer_request_sent", ("owner",)),
    ("peer.granted", "ds"): ("notify_peer_request_granted", ("owner",)),
}
"""By event and role: the documented method, and the words it gets after the address. Everything else is `send_email`."""
MAIN_ROLE: Mapping[str, str] = {
    "job.received": "do",
    "job.approved": "ds",
    "job.completed": "ds",
    "job.failed": "do",
    "job.rejected": "ds",
}
"""Whose message the documented word of an event (`new`, `approved`, …) stands for; that of the other gets the role behind it."""

_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)(?:[^\s/@]*@)?([^\s/?#]*)[^\s]*")
_NAMED = re.compile(r"(?i)\b((?:[\w-]*(?:token|password|passwd|secret|api_?key)|bearer)\b[\"']?\s*[:=]?\s*)[\"']?[^\s\"',;&]+")


class SenderChannel:
    """Hands messages to `sender`. A `memory` that is no store of scq (`was_notified`, `mark_notified`) is asked before and told
    after; `is_only` says whether just one job has a name, because others remember jobs by their names."""

    def __init__(self, sender: Any, memory: Any = None, is_only: Callable[[str], bool] = lambda name: True) -> None:
        self.name = NAME
        self._sender = sender
        self._memory = memory
        self._is_only = is_only

    def usable(self) -> str:
        """Empty when the sender can send mail."""
        return "" if callable(getattr(self._sender, "send_email", None)) else "the sender has no method send_email"

    def send(self, message: Message) -> Receipt:
        """Call the method of the sender that fits. Raises ChannelError when it fails or says that it did not send."""
        marks = _marks(message)
        if self._was_told(message, marks):
            return Receipt("told before, as the state manager remembers")
        receipt = _whole(self._sender, message) or self._in_parts(message)
        self._remember(message, marks)
        return receipt

    def _in_parts(self, message: Message) -> Receipt:
        """Call the documented method that fits, with what it takes of the message."""
        method, arguments, options = self._call(message)
        try:
            taken = _is_taken(method(*arguments, **options))
        except (ChannelError, ConfigError, SignInError):
            raise
        except Exception as error:  # code of somebody else: whatever it raises is one message not sent
            raise ChannelError(f"the sender failed: {told(error)}", "It is tried again later.") from error
        if not taken:
            raise ChannelError("the sender says that it did not send the message", "It is tried again later.")
        return Receipt("the sender took it")

    def _call(self, message: Message) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        from scq.render import REPEAT

        name, words = CALLS.get((message.event, message.role), ("send_email", ()))
        if message.text.startswith(REPEAT):
            name = "send_email"  # the other methods write a mail of their own, which could not say so
        method = getattr(self._sender, name, None)
        if name != "send_email" and callable(method) and all(message.words.get(word) for word in words):
            arguments = (message.recipient, *(message.words[word] for word in words))
            return method, arguments, _options(message)
        method = getattr(self._sender, "send_email", None)
        if not callable(method):
            raise ChannelError(self.usable(), "Give it the methods of GmailSender.", kind="config")
        return method, (message.recipient, message.subject, message.text, message.html), {}

    def _was_told(self, message: Message, marks: Mapping[str, str]) -> bool:
        if self._memory is None:
            return False
        name = message.words.get("name", "")
        asked = [*marks.items()]
        if name and message.event in MARKS and self._is_only(name):
            # Older programs remember a job by its name, and then both of its messages were sent.
            asked.append((name, MARKS[message.event]))
        try:
            return any(bool(self._memory.was_notified(entity, word)) for entity, word in asked)
        except Exception as error:  # code of somebody else: the message waits until it answers
            raise ChannelError(f"the state manager failed: {told(error)}", "It is tried again later.") from error

    def _remember(self, message: Message, marks: Mapping[str, str]) -> None:
        if self._memory is None:
            return
        for entity, word in marks.items():
            try:
                self._memory.mark_notified(entity, word)
            except Exception as error:  # noqa: BLE001 - it was sent: telling so must not send it again
                warnings.warn(f"the state manager did not remember {line(word)}: {told(error)}", ProblemWarning, stacklevel=2)


def told(error: BaseException) -> str:
    """What an exception of somebody else's code says, on one line and without what looks like a secret."""
    said = f"{error}. {error.advice}" if isinstance(error, ScqError) and error.advice else str(error)
    text = _NAMED.sub(r"\1…", _URL.sub(r"\1\2/…", said[:10_000]))
    if isinstance(error, ScqError):
        return line(text, 600)
    return line(f"{type(error).__name__}: {text}" if text.strip() else type(error).__name__, 300)


def _whole(sender: Any, message: Message) -> Receipt | None:
    """The receipt when `sender` is the `GmailSender` of scq: it gets the message as it is, so that the mail has everything in it
    and its conversation, and a failure keeps its reason. None for any other one, those made from it among them."""
    gmail = sys.modules.get("scq.library.gmail")
    if gmail is None or type(sender) is not gmail.GmailSender:
        return None
    from scq.channels.gmail import deliver

    shown = message if sender.use_html else replace(message, html=None)
    return deliver(shown, gmail._Held(sender.credentials))


def _marks(message: Message) -> dict[str, str]:
    """The entry and the word under which a message is remembered; empty for one that has none."""
    if message.event in PEER_MARKS:
        entity, word = PEER_MARKS[message.event]
        words = message.words
        return {entity.format(ds=words.get("ds_email", message.recipient), do=words.get("owner", "")): word}
    if message.event not in MARKS or not message.job_id:
        return {}
    word = MARKS[message.event]
    return {message.job_id: word if MAIN_ROLE.get(message.event, message.role) == message.role else f"{word}_{message.role}"}


def _options(message: Message) -> dict[str, Any]:
    """What the documented methods may also be told."""
    if message.event == "job.received":
        return {"timestamp": parse_time(message.words.get("submitted_at")) or parse_time(message.at_iso)}
    if message.event == "job.completed":
        seconds = message.words.get("duration_s", "")
        return {"duration": int(float(seconds)) if seconds.replace(".", "", 1).isdecimal() else None}
    return {}


def _is_taken(result: Any) -> bool:
    """The documented answer is True or False; no answer is no complaint, and an object tells by `success` or `ok`."""
    if result is None or isinstance(result, bool):
        return result is not False
    return bool(getattr(result, "success", getattr(result, "ok", result)))
