"""Secrets of channels: where one is kept, and reading it when it is needed."""

from __future__ import annotations

import os
from collections.abc import Mapping

from msgspec import Struct

from scq.errors import ConfigError, InvalidFileError
from scq.files import read_text

LIMIT = 1 << 16


class Secret(Struct, frozen=True):
    """Where a secret is: in config.yaml itself, an environment variable, a file, or the keyring (`service/name`)."""

    literal: str = ""
    env: str = ""
    file: str = ""
    keyring: str = ""

    def __bool__(self) -> bool:
        return bool(self.literal or self.env or self.file or self.keyring)

    def __repr__(self) -> str:
        shown = (
            "literal" if self.literal else f"env {self.env}" if self.env else f"file {self.file}" if self.file else self.keyring
        )
        return f"Secret({shown})"

    def read(self, env: Mapping[str, str]) -> str:
        """The secret itself, without blanks around it. Raises ConfigError naming the place when it is not there."""
        if self.literal:
            return self.literal
        if self.env:
            return _found(
                env.get(self.env, "").strip(), f"the environment variable {self.env} is not set", "Set it where scq runs."
            )
        if self.file:
            return _found(_from_file(self.file), f"{self.file} is empty", "Write the secret into it, and nothing else.")
        if self.keyring:
            service, _, name = self.keyring.partition("/")
            advice = f"Run: keyring set {service} {name}"
            return _found(_from_keyring(service, name), f"the keyring has no entry {self.keyring}", advice)
        return ""


def _found(value: str, what: str, advice: str) -> str:
    if not value:
        raise ConfigError(what, advice)
    return value


def _from_file(path: str) -> str:
    try:
        return read_text(os.path.realpath(path), LIMIT).strip()
    except InvalidFileError as error:
        raise ConfigError(str(error), "The secret is read from this file.") from error


def _from_keyring(service: str, name: str) -> str:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        raise ConfigError("the package keyring is not installed", "pip install 'scq[keyring]', or use another place.") from error
    try:
        return (keyring.get_password(service, name) or "").strip()
    except KeyringError as error:
        raise ConfigError(
            f"the keyring cannot be read ({error})", "From cron no keyring may be open: use a file instead."
        ) from error
