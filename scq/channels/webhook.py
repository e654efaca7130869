"""Webhook: each message as one JSON document, posted to an address of the owner's own.

Body: scq/channels/document.py. Headers: `Idempotency-Key` is the same when a message is sent again; with a signing secret
`X-SCQ-Signature: sha256=<hex>` is the HMAC-SHA256 of the body (RFC 2104).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import urllib.error
import urllib.request
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.parse import urljoin, urlsplit

from scq.channels.document import document
from scq.channels.place import Place
from scq.channels.verdict import redacted
from scq.clean import line
from scq.config_channels import ChannelSetting
from scq.deadlines import within
from scq.errors import ChannelError, ConfigError, FailureKind
from scq.ports import Message, Receipt

WAIT_S = 30.0
"""How long to wait for a connection, and then for an answer; twice as long for everything together."""
HOPS = 3
"""Redirects that are followed, on the same host only."""
ANSWER_LIMIT = 2048
"""Bytes of an answer that are looked at."""
LONGEST_WAIT_S = 86_400.0
"""More than a day is not a pause but a refusal."""
_ADDRESS = re.compile(r"https?://[!-~]+")


class WebhookChannel:
    """Posts the message as JSON to the address of the setting."""

    def __init__(self, setting: ChannelSetting, place: Place) -> None:
        self.name = setting.name
        self.setting = setting
        self.place = place

    def usable(self) -> str:
        try:
            self._secrets()
        except ChannelError as error:
            return str(error)
        return ""

    def send(self, message: Message) -> Receipt:
        url, signing = self._secrets()
        body = json.dumps(document(message)).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.key, "User-Agent": "scq"}
        if signing:
            headers["X-SCQ-Signature"] = f"sha256={hmac.new(signing.encode(), body, hashlib.sha256).hexdigest()}"
        for _hop in range(HOPS + 1):
            answer = self._in_time(url, body, headers)
            if isinstance(answer, Receipt):
                return answer
            url = answer
        raise self._failure(url, "it redirects in a circle", "config")

    def _in_time(self, url: str, body: bytes, headers: dict[str, str]) -> Receipt | str:
        try:
            return within(2 * WAIT_S, lambda: self._post(url, body, headers))
        except TimeoutError:
            raise self._failure(url, "no answer came in time", "ambiguous") from None

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Receipt | str:
        """One request: what was answered, or the address on the same host to ask instead. Raises ChannelError."""
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310  _secrets lets http(s) pass only
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=WAIT_S) as response:
                return Receipt(f"{_where(url)} answered {response.status}")
        except urllib.error.HTTPError as error:
            with error:
                target = error.headers.get("Location", "")
                if not target or error.code not in (301, 302, 307, 308):
                    raise self._refused(url, error) from None
            return self._same_host(url, target)
        except urllib.error.URLError as error:
            # Not everything was handed over: the other side cannot have understood it.
            raise self._failure(url, f"cannot be reached ({line(str(error.reason), 100)})", "transient") from None
        except UnicodeError:
            raise self._failure(url, "is not the name of a server", "config") from None
        except (OSError, HTTPException) as error:
            raise self._failure(
                url, f"the connection broke before an answer came ({type(error).__name__})", "ambiguous"
            ) from None

    def _refused(self, url: str, error: urllib.error.HTTPError) -> ChannelError:
        kind: FailureKind = "permanent"
        if error.code in (408, 425, 429) or error.code >= 500:
            kind = "transient"
        elif error.code in (401, 403) or error.code < 400:
            kind = "config"
        retry_after = waiting_time(error.headers.get("Retry-After", ""), datetime.now(UTC)) if kind == "transient" else None
        said = line(redacted(_said(error), {"url": url}), 120)
        return self._failure(url, f"answered {error.code}: {said}" if said else f"answered {error.code}", kind, retry_after)

    def _same_host(self, url: str, location: str) -> str:
        try:
            target = urljoin(url, location)
            same = urlsplit(url)[:2] == urlsplit(target)[:2]
        except ValueError:
            raise self._failure(url, "redirects to something that is no address", "config") from None
        if not same or not _ADDRESS.fullmatch(target):
            raise self._failure(url, f"redirects to {_where(target)}; messages are not sent on to another host", "config")
        return target

    def _failure(self, url: str, why: str, kind: FailureKind, retry_after: float | None = None) -> ChannelError:
        where = f"channels.{self.name}"
        advice = f"Look at the url of {where} in config.yaml." if kind == "config" else ""
        return ChannelError(f"{where}: {_where(url)} {line(why)}", advice, kind=kind, retry_after=retry_after)

    def _secrets(self) -> tuple[str, str]:
        """The address and the signing secret (empty without one). Raises ChannelError of kind `config`."""
        try:
            url, signing = (self.setting.secret(name).read(self.place.env) for name in ("url", "signing"))
        except ConfigError as error:
            raise ChannelError(f"channels.{self.name}: {error}", error.advice, kind="config") from error
        if not _is_usable(url):
            raise ChannelError(
                f"channels.{self.name}: the url is not an address that messages can be posted to",
                "It begins with https:// or http://, holds no name, password or blanks, and other letters only as %XX.",
                kind="config",
            )
        return url, signing


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect as an answer of its own: a request that is sent on by itself loses its body."""

    def http_error_302(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> None:
        """Nothing: whoever asked gets the HTTPError."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def waiting_time(header: str, now: datetime) -> float | None:
    """Seconds asked for by a Retry-After header (RFC 9110 10.2.3: seconds or a date), None where it says nothing usable."""
    if re.fullmatch(r"[0-9]{1,9}", header.strip()):
        seconds = float(header)
    else:
        try:
            at = parsedate_to_datetime(header)
        except (ValueError, OverflowError):
            return None
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT_S)


def _is_usable(url: str) -> bool:
    if not _ADDRESS.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False


def _where(url: str) -> str:
    """Scheme and host: the rest of an address is often the secret."""
    try:
        parts = urlsplit(url)
        return line(f"{parts.scheme}://{parts.hostname or '?'}" + (f":{parts.port}" if parts.port else ""), 100)
    except ValueError:
        return "another address"


def _said(error: urllib.error.HTTPError) -> str:
    """The beginning of what a refusal says, on one line. What cannot be read does not matter."""
    try:
        text = error.read1(ANSWER_LIMIT).decode("utf-8", "replace")
    except (OSError, HTTPException):
        return ""
    return " ".join(text.split())
