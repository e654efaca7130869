"""Saved sign-ins: the `authorized_user` JSON files that Google's libraries and the peers write.

Keys: `token, refresh_token, token_uri, client_id, client_secret, scopes, expiry` (UTC, with or without `Z`), perhaps `account`
and `universe_domain`. Keys nobody here knows are kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from scq.clean import line
from scq.errors import ConfigError, InvalidFileError, SignInError
from scq.files import make_folder, read_bytes, write_atomic
from scq.secrets import remember
from scq.signin.purposes import Purpose

TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
LIMIT = 1 << 18
TEXT_LIMIT = 16_384
MARGIN = timedelta(minutes=5)
"""A sign-in that ends sooner is renewed before it is used."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ENDS = "refresh_token_expires_at"
"""Our own key of the document: ISO time at which the sign-in ends, where Google said so when it was given."""


class Token(Struct, frozen=True):
    """One saved sign-in. `access` ends at `expiry` and is renewed with `refresh`, which lasts."""

    access: str = ""
    refresh: str = ""
    token_uri: str = TOKEN_URI
    client_id: str = ""
    client_secret: str = ""
    expiry: datetime | None = None
    """Aware UTC; None: nobody knows."""
    ends: datetime | None = None
    """When the sign-in as a whole ends, aware UTC; None: nobody knows."""
    scopes: tuple[str, ...] = ()
    account: str = ""
    others: Mapping[str, Any] = {}
    """The whole file as it was read."""

    def __post_init__(self) -> None:
        remember(self.access, self.refresh, self.client_secret)

    def __repr__(self) -> str:
        return f"Token(account={self.account!r}, scopes={self.scopes!r}, expiry={self.expiry})"

    @property
    def is_renewable(self) -> bool:
        return bool(self.refresh and self.client_id and self.client_secret)

    def is_fresh(self, now: datetime) -> bool:
        """True while the access token can be used for some minutes more."""
        if not self.access:
            return False
        return not self.is_renewable if self.expiry is None else self.expiry - now > MARGIN


def read(path: str, purpose: Purpose) -> Token:
    """The saved sign-in at an absolute path, which may be a link.

    Raises SignInError when there is none, ConfigError when the file is not one.
    """
    real = os.path.realpath(path)
    if not os.path.lexists(real):
        raise SignInError(f"{path}: there is no sign-in for {purpose.title}", purpose.advice)
    try:
        found = msgspec.json.decode(read_bytes(real, LIMIT))
    except InvalidFileError as error:
        raise ConfigError(f"{error}; it should be a sign-in for {purpose.title}", purpose.advice) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(path, "is not JSON", purpose.advice) from error
    return parsed(found, path, purpose.advice)


def parsed(found: object, where: str, advice: str) -> Token:
    """The token of a decoded `authorized_user` document. Raises ConfigError naming what is wrong with it."""
    if not isinstance(found, dict):
        raise _damaged(where, "is not a JSON object", advice)
    if "installed" in found or "web" in found:
        raise _damaged(where, "is a client file (credentials.json), not a saved sign-in", advice)
    if found.get("type") == "service_account":
        raise _damaged(where, "is the key of a service account, not the sign-in of a person", advice)
    texts = {key: _text(found, key, where, advice) for key in ("token", "refresh_token", "client_id", "client_secret", "account")}
    token = Token(
        access=texts["token"],
        refresh=texts["refresh_token"],
        token_uri=_text(found, "token_uri", where, advice) or TOKEN_URI,
        client_id=texts["client_id"],
        client_secret=texts["client_secret"],
        expiry=_expiry(_text(found, "expiry", where, advice), where, advice),
        ends=_expiry(_text(found, ENDS, where, advice), where, advice),
        scopes=_scopes(found.get("scopes"), where, advice),
        account=texts["account"],
        others=found,
    )
    if not is_safe_address(token.token_uri):
        raise _damaged(where, "token_uri is neither https nor on this machine", advice)
    if not token.access and not token.is_renewable:
        raise _damaged(where, "has neither a token nor refresh_token with client_id and client_secret", advice)
    return token


def as_document(token: Token) -> dict[str, Any]:
    """The `authorized_user` document of a token, keys of others included."""
    known: dict[str, Any] = {
        "token": token.access,
        "refresh_token": token.refresh,
        "token_uri": token.token_uri,
        "client_id": token.client_id,
        "client_secret": token.client_secret,
        "scopes": list(token.scopes),
    }
    if token.expiry is not None:
        known["expiry"] = token.expiry.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    if token.account:
        known["account"] = token.account
    return {**token.others, **known}


def write(path: str, token: Token) -> None:
    """Save a sign-in, whole or not at all, for its owner only; a link stays a link. Raises OSError."""
    real = os.path.realpath(path)
    make_folder(os.path.dirname(real), 0o700)
    write_atomic(real, msgspec.json.encode(as_document(token)) + b"\n", mode=0o600)


def is_own(path: str, home: str) -> bool:
    """Whether a saved sign-in lies below scq's own folder; those of other programs are used, but never written to."""
    return bool(home) and os.path.realpath(path).startswith(os.path.join(os.path.realpath(home), ""))


def is_safe_address(address: str) -> bool:
    """True for https, and for http that does not leave this machine: secrets are sent there."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))
    except ValueError:
        return False


def _text(found: Mapping[str, Any], key: str, where: str, advice: str) -> str:
    """A value that goes into headers and forms: printable ASCII, so that it cannot bring lines of its own."""
    value = found.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > TEXT_LIMIT or not value.isascii() or not (value + "x").isprintable():
        raise _damaged(where, f"{key} is not a short plain text", advice)
    return value.strip()


def _scopes(value: object, where: str, advice: str) -> tuple[str, ...]:
    items = value.split() if isinstance(value, str) else [] if value is None else value
    if not isinstance(items, list) or len(items) > 100:
        raise _damaged(where, "scopes is not a list of texts", advice)
    return tuple(_text({"scopes": item}, "scopes", where, advice) for item in items if item is not None)


def _expiry(text: str, where: str, advice: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _damaged(where, f"expiry {line(text, 60)!r} is not a time", advice) from error


def _damaged(where: str, what: str, advice: str) -> ConfigError:
    return ConfigError(f"{where}: {what}", advice)
