"""What an answer of a Google API other than success means. One table for Gmail and Drive.

Format of errors: developers.google.com/workspace/gmail/api/guides/handle-errors and google.aip.dev/193.
"""

from __future__ import annotations

import msgspec

from scq.clean import line
from scq.errors import ChannelError, FailureKind
from scq.signin.purposes import Purpose, short

HOUR = 3_600.0
SLOW_DOWN = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
)
DAILY = frozenset({"dailyLimitExceeded", "dailyLimitExceededUnreg"})
SCOPE = frozenset({"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"})
SWITCHED_OFF = frozenset({"accessNotConfigured", "SERVICE_DISABLED"})
PRECONDITION = frozenset({"failedPrecondition", "FAILED_PRECONDITION"})


def judge(status: int, content: bytes, purpose: Purpose, retry_after: float | None = None) -> ChannelError:
    """The failure that a status and its body stand for. `retry_after` is what the answer asked for, in seconds."""
    reasons, said = _details(content)
    kind, advice, least = _meaning(status, reasons, purpose)
    shown = ", ".join(dict.fromkeys(part for part in (*sorted(reasons), said) if part))
    wait = retry_after if least is None else max(least, retry_after or 0.0)
    what = f"{purpose.title} answers {status}" + (f" ({line(shown, 300)})" if shown else "")
    return ChannelError(what, advice, kind=kind, retry_after=wait if kind == "transient" else None)


def _meaning(status: int, reasons: frozenset[str], purpose: Purpose) -> tuple[FailureKind, str, float | None]:
    """(kind, advice, least seconds to wait)."""
    if reasons & DAILY:
        return "transient", "The limit of this day is reached; it is tried again later.", HOUR
    if reasons & SCOPE:
        return "auth", f"The sign-in lacks the scope {short(purpose.asks)}. {purpose.advice}", None
    if reasons & SWITCHED_OFF:
        return "config", f"Enable the API for {purpose.title} in the project of the client, in the Google Cloud console.", None
    if "domainPolicy" in reasons:
        return "config", "The administrator of the domain does not allow it: ask there.", None
    if status == 400 and reasons & PRECONDITION:
        return "config", f"{purpose.title} is not enabled for this account.", None
    if status == 401:
        return "auth", purpose.advice, None
    if status in (408, 429) or status >= 500 or status < 400 or reasons & SLOW_DOWN:
        return "transient", "It is tried again later.", None
    return "permanent", "It would be refused again.", None


def _details(content: bytes) -> tuple[frozenset[str], str]:
    """Every reason an error document names, and its sentence. An answer that is no such document names none."""
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frozenset(), ""
    error = found.get("error") if isinstance(found, dict) else None
    if not isinstance(error, dict):
        return frozenset(), ""
    rows = [row for key in ("errors", "details") for row in _rows(error.get(key)) if isinstance(row, dict)]
    words = [*(row.get("reason") for row in rows), error.get("status")]
    message = error.get("message")
    return (
        frozenset(line(word, 60) for word in words if isinstance(word, str) and word),
        line(message, 200) if isinstance(message, str) else "",
    )


def _rows(value: object) -> list[object]:
    return value[:20] if isinstance(value, list) else []
