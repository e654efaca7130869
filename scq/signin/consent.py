"""Asking a person for a sign-in: the authorization code flow for installed apps, with `state` and PKCE (RFC 8252, RFC 7636)."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from scq.clean import line
from scq.deadlines import within
from scq.errors import BusyError, ConfigError, ScqError, SignInError, UsageError
from scq.signin import tokens, wire
from scq.signin.client import Client
from scq.signin.purposes import short
from scq.signin.tokens import Token

if TYPE_CHECKING:
    from requests import Response

AGAIN = "Run the same command again."
ADDRESS_LIMIT = 16_384


class Consent:
    """One question to a person. `url` is the page to open; the browser then goes to `redirect` with the answer in its address."""

    def __init__(self, client: Client, scopes: Collection[str], redirect: str, hint: str = "") -> None:
        from google_auth_oauthlib.flow import Flow

        self.client = client
        self.scopes = tuple(scopes)
        self.redirect = redirect
        self._flow = Flow.from_client_config(
            {
                "installed": {
                    "client_id": client.client_id,
                    "client_secret": client.client_secret,
                    "auth_uri": client.auth_uri,
                    "token_uri": client.token_uri,
                }
            },
            scopes=list(scopes),
            redirect_uri=redirect,
            autogenerate_code_verifier=True,
        )
        hints = {"login_hint": hint} if hint else {}
        self._flow.oauth2session.register_compliance_hook("access_token_response", _checked)
        url, state = self._flow.authorization_url(access_type="offline", prompt="consent", **hints)
        self.url: str = url
        self._state: str = state

    def is_answer(self, address: str) -> bool:
        """True for an address that answers this very question, with yes or no."""
        return hmac.compare_digest(_query(address).get("state", "").encode(), self._state.encode())

    def finish(self, address: str) -> Token:
        """The sign-in that the answer stands for; `address` is where the browser went.

        Raises UsageError when it does not answer this question, SignInError when the person or Google said no or less was
        granted than asked, ConfigError when the client is refused, BusyError when Google cannot be reached.
        """
        found = _query(address)
        if "code" not in found and "error" not in found:
            raise UsageError("this is not the address the browser ended at", "Paste the whole address, from http:// to its end.")
        if not self.is_answer(address):
            raise UsageError("this address belongs to another sign-in (its state differs)", AGAIN)
        if "error" in found:
            raise SignInError(f"the sign-in was refused ({line(found['error'], 60)})", AGAIN)
        return self._token(self._exchanged(found["code"]))

    def _exchanged(self, code: str) -> Mapping[str, Any]:
        import requests
        from oauthlib.oauth2 import OAuth2Error

        try:
            return within(wire.CONNECT_TIMEOUT + wire.TIMEOUT, lambda: self._fetched(code))
        except OAuth2Error as error:
            raise _refused(str(error.error)) from None
        except (requests.RequestException, TimeoutError) as error:
            raise BusyError(f"{urlsplit(self.client.token_uri).hostname}: {type(error).__name__}", AGAIN) from None
        except Warning as warning:
            # How oauthlib says that other scopes were granted than asked for; the answer comes with it.
            given: Mapping[str, Any] = getattr(warning, "token", {})
            return given
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError, OverflowError) as error:
            raise BusyError("the token service answered what nobody understands", AGAIN) from error

    def _fetched(self, code: str) -> Mapping[str, Any]:
        session = self._flow.oauth2session
        session.max_redirects = 0  # The secret of the client is for this address only.
        with session, _kept_private():
            answer: Mapping[str, Any] = self._flow.fetch_token(code=code, timeout=(wire.CONNECT_TIMEOUT, wire.TIMEOUT))
            return answer

    def _token(self, answer: Mapping[str, Any]) -> Token:
        granted = _granted(answer.get("scope")) or self.scopes
        missing = [short(scope) for scope in self.scopes if scope not in granted]
        if missing:
            raise SignInError(f"not granted: {', '.join(missing)}", f"{AGAIN} Leave every box of the consent page ticked.")
        if not answer.get("refresh_token"):
            raise SignInError("Google gave no lasting sign-in", f"Take the access of scq back in your Google account. {AGAIN}")
        document = {
            "token": answer.get("access_token"),
            "refresh_token": answer["refresh_token"],
            "token_uri": self.client.token_uri,
            "client_id": self.client.client_id,
            "client_secret": self.client.client_secret,
            "scopes": list(granted),
            "expiry": _ending(answer.get("expires_in")).isoformat(),
            "universe_domain": "googleapis.com",
        }
        if isinstance(answer.get("refresh_token_expires_in"), int | float):
            document[tokens.ENDS] = _ending(answer["refresh_token_expires_in"]).isoformat()
        return tokens.parsed(document, "the answer of the token service", AGAIN)


def pasted(ask: Callable[[], str], consent: Consent) -> Token:
    """The sign-in from an address that a person copies out of a browser elsewhere. Raises as `Consent.finish`."""
    address = ask().strip()
    if not address:
        raise UsageError("no address was given", AGAIN)
    if len(address) > ADDRESS_LIMIT:
        raise UsageError("this is too long for an address", AGAIN)
    return consent.finish(address)


@contextmanager
def _kept_private() -> Iterator[None]:
    """Keeps the libraries from writing the code, the secret of the client and the tokens into the logs of the program."""
    loggers = [logging.getLogger(name) for name in ("requests_oauthlib", "oauthlib")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _query(address: str) -> dict[str, str]:
    """The first value of each word behind the `?`; empty when it is no address."""
    try:
        found = parse_qs(urlsplit(address).query, max_num_fields=50)
    except ValueError:
        return {}
    return {key: values[0] for key, values in found.items()}


def _checked(answer: Response) -> Response:
    """Lets what may work later be no refusal."""
    if answer.status_code in (408, 429) or answer.status_code >= 500:
        raise BusyError(f"the token service answers {answer.status_code}", AGAIN)
    return answer


def _refused(word: str) -> ScqError:
    shown = line(word, 60)
    if word == "invalid_client":
        return ConfigError("Google does not know this client (invalid_client)", "Download credentials.json again.")
    if word in ("invalid_scope", "unauthorized_client"):
        return ConfigError(f"the client may not ask for these scopes ({shown})", "Enable the API in the project of the client.")
    return SignInError(f"Google refused the answer ({shown})", AGAIN)


def _granted(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _ending(seconds: object) -> datetime:
    span = seconds if isinstance(seconds, int | float) and 0 < seconds < 1e7 else 0
    return datetime.now(UTC) + timedelta(seconds=span)
