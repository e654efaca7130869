"""Keys of service accounts: `service_account` JSON files from the Google Cloud console.

Format and use: developers.google.com/identity/protocols/oauth2/service-account.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from scq.clean import is_address
from scq.errors import ConfigError, InvalidFileError
from scq.files import read_bytes
from scq.signin.purposes import Purpose, short
from scq.signin.tokens import LIMIT, TEXT_LIMIT, TOKEN_URI, is_safe_address

if TYPE_CHECKING:
    from google.oauth2.service_account import Credentials

AGAIN = "Make a new key for the service account in the Google Cloud console and save it there."


class Key(Struct, frozen=True):
    """A private key of an account that is no person. `email` is its address."""

    email: str
    token_uri: str
    document: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Key({self.email!r})"


def read(path: str) -> Key | None:
    """The key in a file; None when there is no such file or it is something else. Raises ConfigError for a damaged key."""
    try:
        found = msgspec.json.decode(read_bytes(os.path.realpath(path), LIMIT))
    except (InvalidFileError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # Whoever reads it as the sign-in of a person says what is wrong.
    if not isinstance(found, dict) or found.get("type") != "service_account":
        return None
    email, private, uri = (found.get(key) for key in ("client_email", "private_key", "token_uri"))
    if not isinstance(email, str) or not is_address(email):
        raise ConfigError(f"{path}: client_email is not an address", AGAIN)
    if not isinstance(private, str) or not 0 < len(private) <= TEXT_LIMIT:
        raise ConfigError(f"{path}: private_key is not a key", AGAIN)
    uri = TOKEN_URI if uri is None else uri
    if not isinstance(uri, str) or not is_safe_address(uri):
        raise ConfigError(f"{path}: token_uri is neither https nor on this machine", AGAIN)
    return Key(email, uri, found)


def credentials(key: Key, path: str, subject: str, purpose: Purpose) -> Credentials:
    """The key in use for one purpose. `subject` is the person it stands for (domain-wide delegation); empty: itself.

    Raises ConfigError when the private key is damaged.
    """
    from google.oauth2.service_account import Credentials

    document = {
        "type": "service_account",
        "client_email": key.email,
        "private_key": key.document["private_key"],
        "private_key_id": str(key.document.get("private_key_id") or ""),
        "token_uri": key.token_uri,
    }
    try:
        return Credentials.from_service_account_info(  # type: ignore[no-untyped-call, no-any-return]
            document, scopes=[purpose.asks], subject=subject or None
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: private_key is not a key", AGAIN) from error


def advice(key: Key, subject: str, purpose: Purpose) -> str:
    """What a person can do when the token service refuses a key that looks right."""
    if not subject:
        return f"Check that the key of {key.email} was not deleted and that this machine's clock is right. {AGAIN}"
    return (
        f"The administrator of the domain of {subject} has to allow {key.email} to act for its people (domain-wide delegation) "
        f"with the scope {short(purpose.asks)}. Also check that the key was not deleted and that this machine's clock is right."
    )
