"""What a sign-in is for, and which scopes of Google allow it (developers.google.com/identity/protocols/oauth2/scopes)."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

PREFIX = "https://www.googleapis.com/auth/"
GMAIL_SEND = f"{PREFIX}gmail.send"
DRIVE_READ = f"{PREFIX}drive.readonly"
DRIVE_WRITE = f"{PREFIX}drive"
WHOLE_MAILBOX = "https://mail.google.com/"
SENDING = frozenset({GMAIL_SEND, f"{PREFIX}gmail.compose", f"{PREFIX}gmail.modify", WHOLE_MAILBOX})
LISTING = frozenset({f"{PREFIX}gmail.metadata", f"{PREFIX}gmail.readonly", f"{PREFIX}gmail.modify", WHOLE_MAILBOX})
"""Scopes that allow to look for what was sent."""


class Purpose(Struct, frozen=True):
    """`asks` is the least scope for it, `allowed` are all that are enough, `command` gets a sign-in for it."""

    word: str
    title: str
    asks: str
    allowed: frozenset[str]
    command: str

    @property
    def advice(self) -> str:
        return f"Sign in with: {self.command}"


GMAIL = Purpose("gmail", "Gmail", GMAIL_SEND, SENDING, "scq auth google --send")
DRIVE = Purpose("drive", "Google Drive", DRIVE_READ, frozenset({DRIVE_READ, DRIVE_WRITE}), "scq auth google --drive")

DRIVE_CHANGES = Purpose(
    "drive", "changing Google Drive", DRIVE_WRITE, frozenset({DRIVE_WRITE}), "scq auth google --drive --write"
)


def is_allowed(scopes: Collection[str], enough: Collection[str]) -> bool:
    """Whether one of these scopes is enough. A sign-in that does not tell its scopes is believed: Google will say."""
    return not scopes or not set(enough).isdisjoint(scopes)


def short(scope: str) -> str:
    """`gmail.send` for its address."""
    return scope.removeprefix(PREFIX)
