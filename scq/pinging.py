"""Dead-man pings: a service that watches hears that a scheduled call began and how it ended, and tells somebody when it hears
nothing any more.

The requests are those of Healthchecks and services that understand the same: POST to the address with `/start` behind it,
then the address itself after success, `/EXIT-CODE` after anything else and `/fail` after a crash, with what the call said as body
and one `rid` for both. Whatever goes wrong here changes nothing of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from scq import __version__
from scq.clean import line
from scq.config_channels import ENDINGS, SECRETS
from scq.config_values import Config
from scq.context import Context
from scq.errors import ACTION_NEEDED, BUG, BUSY, OK, ConfigError
from scq.secrets import Secret, redacted, remember

TIMEOUT = 10.0
"""Seconds that one ping may take, name lookup and all."""
BODY_LIMIT = 100_000
"""Bytes of a body that such services keep."""
LINE_LIMIT = 1_000


class Pulse:
    """The pings of one call. `tell` gets one line about each that failed."""

    def __init__(self, config: Config, env: Mapping[str, str], verb: str, tell: Callable[[str], None]) -> None:
        from uuid import uuid4

        self.config = config
        self.env = env
        self.verb = verb
        self.tell = tell
        self.rid = str(uuid4())
        self.began = False

    def begin(self) -> None:
        """Say that the call is at work."""
        self.began = True
        self._post("/start", b"")

    def end(self, code: int, said: Iterable[str], *, shared: bool = False) -> None:
        """Say how the call ended. Nothing is said when another call is at work: that one says it.

        `shared`: this one did its part, and only left to another what that was doing; that is no failure.
        """
        if code != BUSY or self.began:
            first = f"scq {__version__} {self.verb}: exit code {code}"
            self._post(suffix_of(OK if shared else code), body_of([first, *said], hidden(self.config, self.env)))

    def _post(self, suffix: str, body: bytes) -> None:
        try:
            url = self.config.health.secret.read(self.env)
            place = place_of(url)
        except ConfigError as error:
            self.tell(f"! health.url: {line(str(error), 300)}")
            return
        trouble = post(address_of(url, suffix, self.rid), body)
        if trouble:
            what = "began" if suffix == "/start" else "ended"
            self.tell(f"! health.url: {line(place)} was not told that {self.verb} {what}: {trouble}")


class WatchedContext(Context):
    """A context whose call says that it is at work once no other call of its verb can be."""

    def __init__(self, *arguments: Any, pulse: Pulse, **rest: Any) -> None:
        super().__init__(*arguments, **rest)
        self.pulse = pulse

    def begun(self, verb: str) -> None:
        super().begun(verb)
        if verb == self.pulse.verb:
            self.pulse.begin()


def suffix_of(code: int) -> str:
    """What stands behind the address for an exit code. Jobs that wait (3) are no failure; a crash has no code of its own."""
    if code in (OK, ACTION_NEEDED):
        return ""
    return "/fail" if code == BUG else f"/{code}"


def place_of(url: str) -> str:
    """Host and port of an address, which may be shown; the rest is a secret. Raises ConfigError when it cannot be pinged."""
    from urllib.parse import urlsplit

    advice = "Write it as https://hc-ping.com/YOUR-KEY."
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise ConfigError("health.url is not an address", advice) from error
    if not known or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError("health.url is not an address that begins with https:// or http://", advice)
    if "@" in parts.netloc:
        raise ConfigError("health.url holds a name or a password before the host", advice)
    return parts.netloc


def address_of(url: str, suffix: str, rid: str) -> str:
    """The address of one ping; the path grows, whatever else the address holds."""
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(url)
    query = f"{parts.query}&rid={rid}" if parts.query else f"rid={rid}"
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + suffix, query, ""))


def hidden(config: Config, env: Mapping[str, str]) -> set[str]:
    """Every secret of the settings that can be read."""
    places = [Secret(*(getattr(setting, name + end) for end in ENDINGS)) for setting in config.channels for name in SECRETS]
    found = set()
    for secret in [*places, config.health.secret]:
        try:
            found.add(secret.read(env))
        except ConfigError:
            # What cannot be read cannot have been said either; whoever needs it says that it is missing.
            continue
    return found - {""}


def body_of(said: Iterable[str], secrets: Iterable[str]) -> bytes:
    """The end of what a call said, one clean line each, without secrets."""
    remember(*secrets)
    shown = [line(part, LINE_LIMIT) for text in said for part in redacted(text).splitlines()]
    content = "".join(part + "\n" for part in shown).encode("utf-8", "replace")
    return content[-BODY_LIMIT:].decode("utf-8", "ignore").encode()


def post(address: str, body: bytes) -> str:
    """Send one ping and wait for its answer. Empty when it was taken, else why not, in a few words without the address."""
    from scq.deadlines import within

    try:
        return within(TIMEOUT, lambda: _posted(address, body))
    except TimeoutError:
        return f"no answer within {TIMEOUT:g} s"


def _posted(address: str, body: bytes) -> str:
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class NoRedirects(HTTPRedirectHandler):
        """An answer that points elsewhere is a failure: the secret in the address is for this host only."""

        def redirect_request(self, *arguments: Any) -> None:
            return None

    headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": f"scq/{__version__}"}
    request = Request(address, data=body, headers=headers, method="POST")  # noqa: S310 - only http and https come here
    try:
        with build_opener(NoRedirects).open(request, timeout=TIMEOUT):
            return ""
    except HTTPError as error:
        with error:
            return f"it answered {error.code}"
    except URLError as error:
        return f"it cannot be reached ({line(str(error.reason), 200)})"
    except (OSError, HTTPException, ValueError) as error:
        return f"the connection broke ({type(error).__name__})"
