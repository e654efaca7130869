"""Requests to Google over HTTPS: each goes out once, ends in time, and a broken one says whether it could have arrived.

Proxies and certificates are those that `requests` takes from the environment.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from scq.clean import line
from scq.deadlines import within
from scq.errors import BusyError

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

CONNECT_TIMEOUT = 10.0
TIMEOUT = 120.0
"""Seconds for a whole request."""
LIMIT = 16 << 20
"""Bytes of an answer."""
HANDSHAKE = frozenset({"CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE"})
"""Reasons of OpenSSL."""
RESUME = 308
"""How an upload in parts is told to go on."""
LONGEST_WAIT = 86_400.0
LATER = "It is tried again later."


class BrokenError(BusyError):
    """No whole answer came. `sent`: everything was handed over before, so that the request may have been carried out."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message, LATER)
        self.sent = sent


class Answer(Struct, frozen=True):
    """Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def retry_after(self, now: datetime) -> float | None:
        """Seconds that the service asks to wait (RFC 9110, seconds or a date), None when it does not."""
        text = self.headers.get("retry-after", "").strip()
        if not text:
            return None
        if text.isascii() and text.isdigit():
            return min(float(text[:12]), LONGEST_WAIT)
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        return min(max(0.0, (at - now).total_seconds()), LONGEST_WAIT)


class RefusedError(Exception):
    """A Google API answered that it did not do what it was asked."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"status {answer.status}")
        self.answer = answer


class Access(Protocol):
    """Whoever can say which access token to use."""

    def bearer(self) -> str:
        """An access token for now."""

    def renew(self) -> str:
        """Another one, after Google refused the first."""


class Carrier:
    """Carries the requests of google-api-python-client (the `http` of `build` and `execute`). It never repeats a request on its
    own; only when the access token is refused, and so nothing was done, the request goes out once more with a new one.
    """

    def __init__(self, session: Session, access: Access) -> None:
        self._session = session
        self._access = access

    def request(
        self, uri: str, method: str = "GET", body: bytes | str | None = None, headers: Mapping[str, str] | None = None, **_: Any
    ) -> tuple[Any, bytes]:
        """(httplib2.Response, content). Raises BrokenError, RefusedError, and what `access` raises."""
        import httplib2

        wanted = {name: value for name, value in (headers or {}).items() if name.lower() not in ("content-length", "user-agent")}
        content = body.encode() if isinstance(body, str) else body
        answer = self._ask(method, uri, content, wanted, self._access.bearer())
        if answer.status == 401:
            answer = self._ask(method, uri, content, wanted, self._access.renew())
        if answer.status >= 300 and answer.status != RESUME:
            raise RefusedError(answer)
        return httplib2.Response({**answer.headers, "status": str(answer.status)}), answer.content

    def _ask(self, method: str, uri: str, body: bytes | None, headers: Mapping[str, str], bearer: str) -> Answer:
        return ask(self._session, method, uri, body, {**headers, "authorization": f"Bearer {bearer}"})

    def close(self) -> None:
        """Nothing: the session ends with its block."""


@contextmanager
def session() -> Iterator[Session]:
    """Connections for one piece of work. A kept one may have died unseen, and then nobody knew what became of a request."""
    import requests

    with requests.Session() as made:
        yield made


def ask(session: Session, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
    """One request, one answer; redirections are answers too. Raises BrokenError."""
    host = url.split("/")[2] if url.count("/") > 1 else url
    try:
        return within(CONNECT_TIMEOUT + TIMEOUT, lambda: _asked(session, method, url, host, body, headers))
    except TimeoutError:
        raise BrokenError(f"{host}: no answer in time", sent=True) from None


def _asked(session: Session, method: str, url: str, host: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
    from urllib3.exceptions import HTTPError

    deadline = time.monotonic() + TIMEOUT
    try:
        response = session.request(
            method,
            url,
            data=body,
            headers={**headers},
            timeout=(CONNECT_TIMEOUT, TIMEOUT),
            allow_redirects=False,
            stream=True,
            auth=_as_it_is,
            proxies={"http": ""},  # Only this machine is asked without TLS, and never through another one.
        )
    except (OSError, HTTPError) as error:  # Errors of requests are OSErrors; some that it does not wrap are plain ones.
        raise BrokenError(f"{host}: {_why(error)}", sent=_may_have_arrived(error)) from None
    with response:
        found = {name.lower(): value for name, value in response.headers.items()}
        try:
            content = _content(response, deadline)
        except (HTTPError, OSError) as error:
            if response.status_code < 400:
                raise BrokenError(f"{host}: the answer broke off ({type(error).__name__})", sent=True) from None
            content = b""  # The status alone says what went wrong.
    return Answer(response.status_code, found, content)


def _content(response: Response, deadline: float) -> bytes:
    content = bytearray()
    while chunk := response.raw.read1(1 << 16, decode_content=True):
        content += chunk
        if len(content) > LIMIT:
            raise OSError("too long")
        if time.monotonic() > deadline:
            raise TimeoutError("too slow")
    wanted = response.headers.get("content-length", "")
    if wanted.isdigit() and not response.headers.get("content-encoding") and len(content) < int(wanted):
        raise OSError("too short")
    return bytes(content)


def _as_it_is(request: PreparedRequest) -> PreparedRequest:
    """Keeps a .netrc from putting another authorization in."""
    return request


def _may_have_arrived(error: Exception) -> bool:
    """False when the connection never stood."""
    import requests
    from urllib3.exceptions import MaxRetryError, NewConnectionError, SSLError

    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return False
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(reason, SSLError):
        return not _is_before_trust(reason)
    return isinstance(error, requests.ConnectionError | requests.Timeout) and not isinstance(reason, NewConnectionError)


def _is_before_trust(error: Exception) -> bool:
    """True for what TLS only says before anything is sent: no common version, a certificate that is not trusted."""
    cause = error.args[0] if error.args else None
    return getattr(cause, "reason", "") in HANDSHAKE


def _why(error: Exception) -> str:
    """What happened, without the address: errors of the library repeat it with everything in it."""
    import requests

    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy cannot be used"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be trusted, or TLS failed"
    if isinstance(error, requests.ConnectionError):
        return "the connection broke" if _may_have_arrived(error) else "cannot be reached"
    if isinstance(error, requests.RequestException) or not isinstance(error, OSError):
        return f"cannot be asked ({type(error).__name__})"
    return line(str(error))  # Such as the file of certificates that is not there.
