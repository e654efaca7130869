"""What the records of apprise say about a message that was not taken: which kind of failure, why, and when to try again."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from scq.clean import line
from scq.errors import FailureKind

_CODE = re.compile(r"error=([0-9]{3,5})\.?\s*$")
_WORD = re.compile(r'"error":\s*"([a-z_]{1,40})"')
_WAIT = re.compile(r'"retry_after":\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)')
_SENT_ANYWAY = re.compile(
    r"read timed out|connection aborted|connection broken|incompleteread|connection reset|remote end closed", re.IGNORECASE
)
_CAUSES = (
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted"),
    ("NameResolution", "its name cannot be resolved"),
    ("Read timed out", "no answer in time"),
    ("ConnectTimeout", "no connection in time"),
    ("refused", "the connection was refused"),
    ("Connection aborted", "the connection broke before an answer came"),
    ("Remote end closed", "the connection broke before an answer came"),
    ("ProxyError", "the proxy does not let it through"),
)
_TRANSIENT_WORDS = frozenset({"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"})
_AUTH_WORDS = frozenset({"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "invalid_token"})
_TRANSIENT_CODES = frozenset({408, 425, 429})
_PLAIN = frozenset({"services", "workflows", "triggers", "webhooks", "manual", "invoke", "discord", "twilio"})
"""Words of addresses that are no secret."""
_TELLING = ("Response Details", "Socket Exception", "I/O Exception")
"""Beginnings of the records that hold what a service answered. Others hold what was sent, which a stranger wrote."""
LONG = 4000
"""Shortened to what people read only after redaction: half a secret is not recognised."""

Entry = tuple[str, str]
"""A log record of apprise: name of the level, and text."""


def verdict(type_name: str, entries: list[Entry]) -> tuple[FailureKind, float | None]:
    """What kind of failure the records tell of, and how many seconds the service asked to wait."""
    details = _details(entries)
    wait = _WAIT.search(details)
    retry_after = float(wait[1]) if wait else None
    codes = [int(found[1]) for text in _complaints(entries) if (found := _CODE.search(text))]
    word = _WORD.search(details)
    if word and word[1] in _TRANSIENT_WORDS:
        return "transient", retry_after
    if word and word[1] in _AUTH_WORDS:
        return "auth", None
    if not codes:
        return ("ambiguous" if _SENT_ANYWAY.search(details) else "transient"), None
    return _of_status(type_name, _status(type_name, codes[-1]), known=bool(word)), retry_after


def reason(entries: list[Entry]) -> str:
    """The last complaint in the records, with the cause of a broken connection, as it comes: not yet redacted."""
    said = line((_complaints(entries) or ["the service did not take it"])[-1], LONG)
    details = _details(entries)
    word = _WORD.search(details)
    if word and word[1] not in said:
        return f"{said} ({word[1]})"
    cause = next((words for mark, words in _CAUSES if mark in details), "")
    return f"{said} ({cause})" if cause else said


def redacted(text: str, secrets: dict[str, str]) -> str:
    """The text without any secret or part of one."""
    parts = {part for secret in secrets.values() for part in (secret, *re.split(r"[/?&=@:#,;]+", secret)) if len(part) > 5}
    pieces = parts - _PLAIN
    for piece in sorted({*pieces, *map(quote, pieces), *map(unquote, pieces)}, key=len, reverse=True):
        text = re.sub(re.escape(piece), "…", text, flags=re.IGNORECASE)
    return text


def _complaints(entries: list[Entry]) -> list[str]:
    return [text for level, text in entries if level in ("WARNING", "ERROR", "CRITICAL")]


def _details(entries: list[Entry]) -> str:
    return "\n".join(text for _, text in entries if text.startswith(_TELLING))


def _status(type_name: str, code: int) -> int:
    """The HTTP status behind an error number: ntfy (40101) begins with it, general errors of Twilio (20429) end with it."""
    if code < 1000:
        return code
    if type_name == "ntfy":
        return code // 100
    return {20003: 401}.get(code, code - 20_000 if 20_400 <= code < 20_600 else 400)


def _of_status(type_name: str, status: int, *, known: bool) -> FailureKind:
    if status in _TRANSIENT_CODES or status >= 500:
        return "transient"
    if status == 401 or (status, type_name) == (404, "telegram"):
        return "auth"
    if status == 403:
        # Blocked by a person (Telegram) or by a rule of the workspace (Slack): signing in again changes nothing.
        return "permanent" if type_name in ("telegram", "slack") else "auth"
    if status == 200:
        # Not the answer of the service, unless it names an error: a gateway in between may answer like this.
        return "permanent" if known else "transient"
    return "permanent" if 400 <= status < 500 else "transient"
