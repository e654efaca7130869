"""Secrets: where one is kept, reading it when it is needed, and keeping what was read out of texts.

What was read is remembered in memory, by this process only.
"""

from __future__ import annotations

import os
import re
from binascii import b2a_base64
from collections.abc import Mapping
from functools import cache

from msgspec import Struct

from scq.errors import ConfigError, InvalidFileError
from scq.files import read_text

LIMIT = 1 << 16
HIDDEN = "(hidden)"
MARK = "\ue000"
"""Stands for what is hidden until the end: a shape ends at a bracket, and would leave the rest of an address behind one."""
SHORTEST = 4
"""Characters below which a secret is not looked for: it would be found everywhere."""
CUT = 512
"""Characters of a secret that are looked for at the end of a text that was cut."""
LONG = 8
"""Characters from which on a secret is hidden inside of words, too."""
HINTS = ("://", "bearer", "authorization", "ya29.", "1//", "gocspx-", "aiza", "eyj", "xox", "xapp-", "=", "private key", "bot")
"""One of these, in small letters, is in every text that SHAPES change. Compiling those takes longer than an idle line may."""
SHAPES = (
    (r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", MARK),
    (r"(?i)\b(authorization\W{1,4}(?:basic|bearer|token)\s+)[^\s\"',;]+", rf"\1{MARK}"),
    (r"(?i)\b(bearer\s+)(?=[\w.~+/=-]*\d|[\w.~+/=-]{20})[\w.~+/=-]{6,}", rf"\1{MARK}"),
    (r"\bya29\.[\w.-]+|(?<![\w:/])1//[\w-]{8,}|\bGOCSPX-[\w-]+|\bAIza[\w-]{20,}", MARK),
    (r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*|\bxox[a-z]-[\w-]{6,}|\bxapp-[\w-]{6,}|\bbot\d{6,}:[\w-]{20,}", MARK),
    (r"(://)[^/\s@?#]+@", rf"\1{MARK}@"),
    (r"(?i)(://(?:[\w-]+\.)*hooks\.slack(?:-gov)?\.com/)[^\s\"'<>)]+", rf"\1{MARK}"),
    (r"(?i)(://(?:[\w-]+\.)*discord(?:app)?\.com/api/(?:v\d+/)?webhooks/)[^\s\"'<>)]+", rf"\1{MARK}"),
    (r"(?i)(://(?:[\w-]+\.)*(?:webhook\.office\.com|hc-ping\.com)/)[^\s\"'<>)]+", rf"\1{MARK}"),
    (
        r"(?i)([?&;][\w-]{0,40}(?:token|key|secret|passw|pwd|sig|auth|code|credential)[\w-]{0,40}=)[^&;\s\"'<>#)]+",
        rf"\1{MARK}",
    ),
    (r"(?i)(?<![\w-])([\w-]{0,40}(?:password|passwd|secret|token|api[_-]?key)=)[^&;,\s\"'<>]+", rf"\1{MARK}"),
)
"""Secrets of others that show what they are: (pattern, what stands for it)."""


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
        found = self._read(env)
        remember(found)
        return found

    def _read(self, env: Mapping[str, str]) -> str:
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


_READ: set[str] = set()


def remember(*secrets: str) -> None:
    """Let `redacted` hide these from now on, also as they stand in addresses, in quotes and in base64."""
    for secret in secrets:
        if secret in _READ or len(secret) < SHORTEST:
            continue
        _READ.add(secret)
        _READ.add(b2a_base64(secret.encode("utf-8", "surrogatepass"), newline=False).decode().rstrip("="))
        if not secret.isalnum():
            from urllib.parse import quote, quote_plus

            shown = (quote(secret), quote(secret, safe=""), quote_plus(secret), quote_plus(secret, safe="/"))
            small = (re.sub("%..", lambda found: found[0].lower(), text) for text in shown)
            _READ.update((*shown, *small, repr(secret)[1:-1]))


def redacted(text: str) -> str:
    """A text without the secrets that were read in this process, and without what looks like one of somebody else."""
    for secret in sorted(_READ, key=len, reverse=True):
        if len(secret) >= LONG:
            text = text.replace(secret, MARK)
        elif secret in text:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MARK, text)
    text = _without_beginning(text)
    small = text.lower()
    if any(hint in small for hint in HINTS):
        for shape, instead in _shapes():
            text = shape.sub(instead, text)
    return text.replace(MARK, HIDDEN)


def _without_beginning(text: str) -> str:
    """A text that was cut, without the part of a secret in which it was."""
    if not text.endswith("…"):
        return text
    beginnings = (secret[:length] for secret in _READ for length in range(SHORTEST, min(len(secret), CUT)))
    found = max((len(beginning) for beginning in beginnings if text.endswith(beginning + "…")), default=0)
    return f"{text[: -1 - found]}{MARK}…" if found else text


@cache
def _shapes() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), instead) for pattern, instead in SHAPES)


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
