"""The sign-ins of a loopback Drive: access tokens, and the token service that renews them (RFC 6749, section 6)."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.servers.http import Answer, Request

CLIENT_ID, CLIENT_SECRET = "client.apps.example.com", "client-secret-text"
FULL, READ_ONLY = "https://www.googleapis.com/auth/drive", "https://www.googleapis.com/auth/drive.readonly"


class Accounts:
    """Whose token is whose: (lower-case address, scope) of each. Not thread safe."""

    def __init__(self) -> None:
        self.refreshes = 0
        self._access: dict[str, tuple[str, str]] = {}
        self._refresh: dict[str, tuple[str, str]] = {}
        self._numbers = itertools.count(1)

    def whose(self, request: Request) -> tuple[str, str] | None:
        """(address, scope) of the bearer of a request; None when its token is not accepted."""
        return self._access.get(request.headers.get("authorization", "").removeprefix("Bearer "))

    def new_token(self, address: str, scope: str) -> str:
        token = f"access-{next(self._numbers)}-secret"
        self._access[token] = (address.lower(), scope)
        return token

    def document(self, token_uri: str, address: str, scope: str, **changes: Any) -> dict[str, Any]:
        """A saved sign-in that has a while to go."""
        refresh = f"refresh-{'all' if scope == FULL else 'read'}-{address.lower()}"
        self._refresh[refresh] = (address.lower(), scope)
        return {
            "token": self.new_token(address, scope),
            "refresh_token": refresh,
            "token_uri": token_uri,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scopes": [scope],
            "universe_domain": "googleapis.com",
            "account": "",
            "expiry": "2999-01-01T00:00:00Z",
            **changes,
        }

    def expire(self, address: str) -> None:
        self._access = {token: whose for token, whose in self._access.items() if whose[0] != address.lower()}

    def revoke(self, address: str) -> None:
        self.expire(address)
        self._refresh = {token: whose for token, whose in self._refresh.items() if whose[0] != address.lower()}

    def renewed(self, request: Request) -> Answer:
        """What the token service says."""
        form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
        whose = self._refresh.get(form.get("refresh_token", ""))
        if form.get("client_id") != CLIENT_ID or form.get("client_secret") != CLIENT_SECRET:
            return Answer(401, {"error": "invalid_client", "error_description": "The OAuth client was not found."})
        if whose is None or form.get("grant_type") != "refresh_token":
            return Answer(400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
        if not set(form.get("scope", whose[1]).split()) <= {whose[1]}:
            return Answer(400, {"error": "invalid_scope", "error_description": "Bad Request"})
        self.refreshes += 1
        token = self.new_token(*whose)
        return Answer(body={"access_token": token, "expires_in": 3599, "scope": whose[1], "token_type": "Bearer"})


def write(path: Path, document: dict[str, Any]) -> Path:
    """Save a sign-in as the peers do, for its owner only."""
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path
