"""The parts of Google that scq talks to, on loopback over real TLS: consent page, token service, revocation, Gmail."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

import pytest
import trustme

from tests.servers.http import Answer, HttpServer, Request

CLIENT_ID, CLIENT_SECRET = "client.apps.example.com", "client-secret-text"
SEND = "https://www.googleapis.com/auth/gmail.send"
READ = "https://www.googleapis.com/auth/gmail.readonly"
DRIVE_READ = "https://www.googleapis.com/auth/drive.readonly"
SENDING = "/gmail/v1/users/me/messages/send"


@cache
def _authority() -> tuple[trustme.CA, ssl.SSLContext]:
    """One for all tests of a process, and a server's context with its certificate for localhost."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return authority, context


class Google:
    """A Google of one person. What it does next can be scripted with `next_sends`, `next_tokens`, `next_revocations`."""

    def __init__(self, folder: Path) -> None:
        self.authority, context = _authority()
        self.ca_file = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca_file))
        self.http = HttpServer(self._answer, context)
        self.folder = folder
        self.access = "access-0"
        """The access token that is accepted now."""
        self.refresh = "refresh-0"
        self.refreshes = 0
        self.revoked: list[str] = []
        self.granted: str | None = None
        """What the person grants; None: all that is asked for."""
        self.consent: dict[str, str] = {}
        self.sent: list[dict[str, Any]] = []
        """Each mail Gmail took: mail (bytes), threadId, id."""
        self.next_sends: list[Answer] = []
        self.next_tokens: list[Answer] = []
        self.next_revocations: list[Answer] = []

    @property
    def url(self) -> str:
        return self.http.url

    def posts(self, path: str = SENDING) -> list[Request]:
        """The requests that reached a path, uploads with `/upload` before it included."""
        return [request for request in self.http.requests if request.path.partition("?")[0].removeprefix("/upload") == path]

    def mail(self, number: int = -1) -> Message:
        parsed: EmailMessage = message_from_bytes(self.sent[number]["mail"], policy=default)
        return parsed

    def client_file(self, name: str = "credentials.json") -> Path:
        path = self.folder / name
        inner = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        path.write_text(json.dumps({"installed": inner | {"auth_uri": f"{self.url}/auth", "token_uri": f"{self.url}/token"}}))
        return path

    def document(self, **changes: Any) -> dict[str, Any]:
        """A saved sign-in that has a while to go."""
        return {
            "token": self.access,
            "refresh_token": self.refresh,
            "token_uri": f"{self.url}/token",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scopes": [SEND],
            "universe_domain": "googleapis.com",
            "account": "owner@example.org",
            "expiry": "2999-01-01T00:00:00.000000Z",
            **changes,
        }

    def token_file(self, path: Path, **changes: Any) -> Path:
        path.write_text(json.dumps(self.document(**changes)))
        return path

    def agree(self, url: str) -> str:
        """What a person does in a browser at the consent page: the address it ends at."""
        asked = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        self.consent = asked
        code = {"code": "code-1", "scope": self.granted or asked["scope"], "state": asked["state"]}
        return f"{asked['redirect_uri']}?{urlencode(code)}"

    def browser(self, url: str) -> bool:
        """A browser whose person agrees; it comes back on its own."""
        address = self.agree(url)
        self._visit = threading.Thread(target=_open, args=(address,), daemon=True)
        self._visit.start()
        return True

    def _answer(self, request: Request) -> Answer:
        path = request.path.partition("?")[0]
        if path == "/auth":
            return Answer(302, "", {"Location": self.agree(self.url + request.path)})
        if path == "/token":
            return self.next_tokens.pop(0) if self.next_tokens else self._token(_form(request))
        if path == "/revoke":
            if self.next_revocations:
                return self.next_revocations.pop(0)
            self.revoked.append(_form(request)["token"])
            return Answer(body={})
        if request.headers.get("authorization") != f"Bearer {self.access}":
            return refusal(401, "authError", "UNAUTHENTICATED")
        if path.removeprefix("/upload") == SENDING and request.method == "POST":
            return self._send(request)
        return self._look(path)

    def _token(self, form: dict[str, str]) -> Answer:
        if form["grant_type"] == "authorization_code":
            proof = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
            if proof != self.consent["code_challenge"] or form["redirect_uri"] != self.consent["redirect_uri"]:
                return Answer(400, {"error": "invalid_grant"})
            return Answer(body=self._granted(self.granted or self.consent["scope"]) | {"refresh_token": self.refresh})
        if form["refresh_token"] != self.refresh or form["client_secret"] != CLIENT_SECRET:
            return Answer(400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
        self.refreshes += 1
        self.access = f"access-{self.refreshes}"
        return Answer(body=self._granted(SEND))

    def _granted(self, scope: str) -> dict[str, Any]:
        return {"access_token": self.access, "expires_in": 3599, "scope": scope, "token_type": "Bearer"}

    def _send(self, request: Request) -> Answer:
        answer = self.next_sends.pop(0) if self.next_sends else None
        if answer is not None and answer.status != 200:
            return answer
        number = len(self.sent) + 1
        mail, thread = _mail_of(request)
        self.sent.append({"mail": mail, "threadId": thread, "id": f"id-{number}"})
        whole = {"id": f"id-{number}", "threadId": thread or f"thread-{number}", "labelIds": ["SENT"]}
        return answer or Answer(body=whole)

    def _look(self, path: str) -> Answer:
        parts = path.split("/")
        if parts[-1] == "messages":
            return Answer(body={"messages": [{"id": row["id"]} for row in self.sent], "resultSizeEstimate": len(self.sent)})
        found = next(row for row in self.sent if row["id"] == parts[-1])
        headers = [{"name": name, "value": value} for name, value in message_from_bytes(found["mail"]).items()]
        return Answer(body={"id": found["id"], "payload": {"headers": headers}})


def refusal(status: int, reason: str, word: str = "", headers: dict[str, str] | None = None, message: str = "no") -> Answer:
    """An error document of Google's APIs."""
    body = {"error": {"code": status, "message": message, "status": word, "errors": [{"reason": reason, "domain": "global"}]}}
    return Answer(status, body, headers or {})


@contextmanager
def google_on_loopback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """A Google that scq takes for the real one."""
    from scq.channels import gmail
    from scq.signin import revoking

    google = Google(folder)
    with google.http:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(google.ca_file))
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        monkeypatch.setattr(gmail, "ENDPOINT", google.url + "/")
        monkeypatch.setattr(revoking, "REVOKE_URI", google.url + "/revoke")
        yield google


def _open(address: str) -> None:
    with urlopen(address) as page:
        assert page.status == 200


def _form(request: Request) -> dict[str, str]:
    form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
    basic = request.headers.get("authorization", "").partition("Basic ")[2]
    if basic:
        form["client_id"], _, form["client_secret"] = base64.b64decode(basic).decode().partition(":")
    return form


def _mail_of(request: Request) -> tuple[bytes, str]:
    """(mail, thread id) of a plain, a media or a multipart request."""
    kind = request.headers.get("content-type", "")
    if not request.path.startswith("/upload"):
        body = request.json()
        return base64.urlsafe_b64decode(body["raw"]), body.get("threadId", "")
    if not kind.startswith("multipart/"):
        return request.body, ""
    boundary = b"--" + kind.partition('boundary="')[2].rstrip('"').encode()
    parts = [part.strip(b"\r\n").partition(b"\n\n") for part in request.body.split(boundary)[1:-1]]
    meta = json.loads(parts[0][2])
    return parts[1][2], meta.get("threadId", "")
