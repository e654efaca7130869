"""Giving a sign-in back to Google (RFC 7009)."""

from __future__ import annotations

from urllib.parse import urlencode

from scq.errors import BusyError
from scq.signin import wire
from scq.signin.tokens import Token

REVOKE_URI = "https://oauth2.googleapis.com/revoke"


def revoke(token: Token) -> bool:
    """True when Google took it back now, False when it was dead already. Raises BusyError when nobody can say."""
    form = urlencode({"token": token.refresh or token.access}).encode()
    with wire.session() as session:
        answer = wire.ask(session, "POST", REVOKE_URI, form, {"content-type": "application/x-www-form-urlencoded"})
    if answer.status == 200:
        return True
    if answer.status == 400 and b"invalid_token" in answer.content:
        return False
    raise BusyError(f"Google did not take the sign-in back (it answers {answer.status})", wire.LATER)
