"""`credentials.json`: the client that Google knows scq by. Its owner makes it once in the Google Cloud console."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from msgspec import Struct

from scq.errors import ConfigError, InvalidFileError
from scq.files import read_bytes
from scq.signin.tokens import LIMIT, TEXT_LIMIT

STEPS = """\
1. Open https://console.cloud.google.com and make a project.
2. Enable the Gmail API there (for Google Drive: the Drive API).
3. Make an OAuth client ID of the type Desktop app.
4. Download it and save it as credentials.json, or name it with --credentials."""


class Client(Struct, frozen=True):
    """An OAuth client of the type Desktop app."""

    client_id: str
    client_secret: str
    auth_uri: str
    token_uri: str

    def __repr__(self) -> str:
        return f"Client({self.client_id!r})"


def read(path: str) -> Client:
    """The client in a file of the console. Raises ConfigError that says what the file is instead, and how to get one."""
    real = os.path.realpath(path)
    if not os.path.lexists(real):
        raise ConfigError(f"{path}: there is no such file", STEPS)
    try:
        found = msgspec.json.decode(read_bytes(real, LIMIT))
    except InvalidFileError as error:
        raise ConfigError(str(error), STEPS) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not JSON", STEPS) from error
    return _checked(path, found)


def _checked(path: str, found: object) -> Client:
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: is not the file of an OAuth client", STEPS)
    if found.get("type") == "service_account":
        raise ConfigError(f"{path}: is the key of a service account; scq signs in as a person", STEPS)
    if "web" in found:
        raise ConfigError(f"{path}: is a client of the type Web application", f"scq needs the type Desktop app.\n{STEPS}")
    if "refresh_token" in found:
        raise ConfigError(f"{path}: is a saved sign-in, not the file of an OAuth client", STEPS)
    inner = found.get("installed")
    if not isinstance(inner, dict):
        raise ConfigError(f"{path}: is not the file of an OAuth client", STEPS)
    return Client(**{key: _text(path, inner, key) for key in ("client_id", "client_secret", "auth_uri", "token_uri")})


def _text(path: str, inner: dict[str, Any], key: str) -> str:
    value = inner.get(key)
    if not isinstance(value, str) or not value or len(value) > TEXT_LIMIT or not value.isascii() or not value.isprintable():
        raise ConfigError(f"{path}: has no proper {key}", "Download it again.")
    if key.endswith("_uri") and not value.startswith("https://"):
        raise ConfigError(f"{path}: {key} does not begin with https://", "Download it again.")
    return value
