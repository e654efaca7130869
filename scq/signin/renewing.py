"""New access tokens for saved sign-ins (RFC 6749, section 6), through google-auth."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from scq.clean import line
from scq.errors import BusyError, ConfigError, ScqError, SignInError
from scq.secrets import remember
from scq.signin import tokens, wire
from scq.signin.purposes import Purpose
from scq.signin.tokens import Token

if TYPE_CHECKING:
    from google.oauth2.credentials import Credentials
    from requests import Session

CAUSES = (
    "Usual causes: the consent screen of the client is still in Testing, where a sign-in ends after 7 days; access was taken "
    "back; the password was changed; half a year without use; the organisation limits sessions; this machine's clock is wrong."
)
LATER_WORDS = (b'"temporarily_unavailable"', b'"server_error"', b'"internal_failure"')
"""Errors of the token service that are no refusal, although they come with the status of one. google-auth would wait for them."""
NOT_UNDERSTOOD = "the token service answered what nobody understands"


class Saved:
    """A saved sign-in in use: read when first needed, renewed when it is about to end.

    With `rewrite` a renewed one is saved; a file of somebody else is used as it is and never written to.
    """

    def __init__(self, path: str, purpose: Purpose, *, rewrite: bool) -> None:
        self.path = path
        self.purpose = purpose
        self.rewrite = rewrite
        self.unsaved = ""
        """Why a renewed sign-in could not be saved; it is then renewed again by the next call."""
        self._token: Token | None = None

    @property
    def token(self) -> Token:
        """As it is, perhaps ended. Raises SignInError, ConfigError."""
        if self._token is None:
            self._token = tokens.read(self.path, self.purpose)
        return self._token

    def bearer(self) -> str:
        """An access token for now. Raises SignInError, ConfigError, BusyError."""
        return self.token.access if self.token.is_fresh(datetime.now(UTC)) else self.renew()

    def renew(self) -> str:
        """Another access token. Raises SignInError, ConfigError, BusyError."""
        before = self.token
        self._token = renewed(before, self.path, self.purpose)
        if self.rewrite and self._is_there(before):
            try:
                tokens.write(self.path, self._token)
            except OSError as error:
                self.unsaved = f"{self.path}: cannot be written ({error.strerror})"
        return self._token.access

    def _is_there(self, token: Token) -> bool:
        """False when a person has signed in anew or taken the sign-in back meanwhile: that stays."""
        try:
            return tokens.read(self.path, self.purpose).refresh == token.refresh
        except (SignInError, ConfigError):
            return False


def renewed(token: Token, where: str, purpose: Purpose) -> Token:
    """The sign-in with a new access token. Raises SignInError when it is dead, ConfigError, BusyError."""
    if not token.is_renewable:
        raise SignInError(f"{where}: the sign-in for {purpose.title} has ended and cannot be renewed", purpose.advice)
    holder = credentials(token)
    refresh(holder, where, purpose)
    return replace(
        token,
        access=holder.token,
        refresh=holder.refresh_token or token.refresh,
        expiry=None if holder.expiry is None else holder.expiry.replace(tzinfo=UTC),
    )


def refresh(holder: Credentials, where: str, purpose: Purpose) -> None:
    """Let credentials of google-auth get a new access token. Raises SignInError, ConfigError, BusyError."""
    from google.auth.exceptions import GoogleAuthError, RefreshError

    try:
        with wire.session() as session:
            holder.refresh(_Asking(session))  # type: ignore[no-untyped-call]
    except RefreshError as error:
        raise refused(error, where, purpose) from None
    except (GoogleAuthError, TypeError, AttributeError, ValueError, LookupError, OverflowError, RecursionError) as error:
        # What an answer holds that is no answer of a token service surfaces as any of these.
        raise BusyError(f"{where}: {NOT_UNDERSTOOD}", wire.LATER) from error
    if not _is_plain(holder.token):
        raise BusyError(f"{where}: {NOT_UNDERSTOOD}", wire.LATER)
    remember(holder.token or "")


def credentials(token: Token) -> Credentials:
    """The token as google-auth holds it."""
    from google.oauth2.credentials import Credentials

    return Credentials(  # type: ignore[no-untyped-call]
        token=token.access or None,
        refresh_token=token.refresh or None,
        token_uri=token.token_uri,
        client_id=token.client_id or None,
        client_secret=token.client_secret or None,
        scopes=list(token.scopes) or None,
        expiry=None if token.expiry is None else token.expiry.astimezone(UTC).replace(tzinfo=None),
        account=token.account,
    )


def refused(error: Exception, where: str, purpose: Purpose) -> ScqError:
    """What a refusal of the token service means for a person (RFC 6749, section 5.2)."""
    answer = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], dict) else {}
    word = line(str(answer.get("error", "")), 60)
    if word == "invalid_grant":
        return SignInError(f"{where}: Google no longer accepts the sign-in for {purpose.title}", f"{purpose.advice}\n{CAUSES}")
    if word == "invalid_client":
        advice = f"The client it was made with was deleted, or its secret was changed. {purpose.advice}"
        return ConfigError(f"{where}: Google does not know the client of this sign-in (invalid_client)", advice)
    if word in ("invalid_scope", "unauthorized_client"):
        return ConfigError(f"{where}: the client may not ask for these scopes ({word})", purpose.advice)
    return ConfigError(f"{where}: the token service refused the sign-in ({word or 'no reason given'})", purpose.advice)


class _Asking:
    """The `google.auth.transport.Request` of one refresh. What may work later is an error at once: nothing waits here."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __call__(
        self, url: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None, **_: Any
    ) -> _Told:
        try:
            answer = wire.ask(self._session, method, url, body, headers or {})
        except wire.BrokenError as error:
            # A token that was made and got lost does no harm: whatever needed it has not been asked yet.
            raise LaterError(str(error), None) from None
        is_later = answer.status == 400 and any(word in answer.content for word in LATER_WORDS)
        if is_later or answer.status in (408, 429) or answer.status >= 500 or 300 <= answer.status < 400:
            raise LaterError(f"the token service answers {answer.status}", answer.retry_after(datetime.now(UTC)))
        return _Told(answer)


class LaterError(BusyError):
    """A service asked to come back later; `retry_after` is in seconds, None when it did not say."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message, wire.LATER)
        self.retry_after = retry_after


class _Told:
    """An answer as google-auth wants it."""

    def __init__(self, answer: wire.Answer) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.data = answer.content.decode("utf-8", "replace")


def _is_plain(token: object) -> bool:
    return isinstance(token, str) and 0 < len(token) <= tokens.TEXT_LIMIT and token.isascii() and token.isprintable()
