"""Which sign-in Google Drive is used with: that of a person, the key of a service account, that of a notebook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from google.auth import jwt

from scq.drive.connection import Drive
from scq.errors import BusyError, ConfigError, SignInError
from scq.signin import service_account
from scq.signin.accounts import drive_access, identity, is_colab
from scq.signin.wire import Access
from tests.servers.drive import DriveServer
from tests.servers.http import Answer, HttpServer, Request

OWNER, ROBOT = "owner@hospital.example", "robot@project.iam.gserviceaccount.com"
AUDIENCE = "https://oauth2.googleapis.com/token"
READ, WRITE = "https://www.googleapis.com/auth/drive.readonly", "https://www.googleapis.com/auth/drive"


class TokenService:
    """Gives access tokens for assertions that the key of the robot signed. `next` is said instead, once each."""

    def __init__(self) -> None:
        self.http = HttpServer(self._answer)
        self.claims: list[dict[str, Any]] = []
        self.next: list[Answer] = []

    def _answer(self, request: Request) -> Answer:
        if self.next:
            return self.next.pop(0)
        form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        found = jwt.decode(form["assertion"], _key()[1], audience=AUDIENCE)  # type: ignore[no-untyped-call]
        self.claims.append(dict(found))
        return Answer(body={"access_token": f"access-{len(self.claims)}", "expires_in": 3599, "token_type": "Bearer"})


@cache
def _key() -> tuple[str, bytes]:
    """(private, public) of a pair made for these tests, PEM."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def service() -> Iterator[TokenService]:
    service = TokenService()
    with service.http:
        yield service


@pytest.fixture
def key_file(tmp_path: Path, service: TokenService) -> Callable[..., Path]:
    def write(**changes: Any) -> Path:
        document = {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": _key()[0],
            "client_email": ROBOT,
            "token_uri": f"{service.http.url}/token",
        }
        path = tmp_path / "token_do.json"
        path.write_text(json.dumps({name: value for name, value in (document | changes).items() if value is not ...}))
        return path

    return write


def access(path: Path, *, email: str = OWNER, changes: bool = False, env: dict[str, str] | None = None) -> Access:
    return drive_access(str(path), str(path.parent / "home"), email, env or {}, changes=changes)


# Keys of service accounts.


def test_a_key_acts_for_the_owner_with_the_least_scope(key_file: Callable[..., Path], service: TokenService) -> None:
    reading, changing = access(key_file()), access(key_file(), changes=True)
    assert service.http.requests == []
    assert (reading.bearer(), changing.bearer()) == ("access-1", "access-2")
    assert [(claim["iss"], claim["sub"], claim["scope"]) for claim in service.claims] == [
        (ROBOT, OWNER, READ),
        (ROBOT, OWNER, WRITE),
    ]


def test_a_key_whose_own_drive_it_is_acts_for_nobody_else(key_file: Callable[..., Path], service: TokenService) -> None:
    for email in ("", ROBOT.upper()):
        access(key_file(), email=email).bearer()
    assert ["sub" in claim for claim in service.claims] == [False, False]


def test_an_access_token_of_a_key_is_used_until_it_ends_and_never_saved(
    key_file: Callable[..., Path], service: TokenService
) -> None:
    path = key_file()
    before = path.read_bytes()
    held = access(path)
    assert held.bearer() == held.bearer() == "access-1"
    assert held.renew() == "access-2" == held.bearer()
    service.next.append(Answer(body={"access_token": "short", "expires_in": 60}))
    assert (held.renew(), held.bearer()) == ("short", "access-3")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(400, {"error": "invalid_grant", "error_description": "Invalid email or User ID"}), SignInError),
        (Answer(401, {"error": "unauthorized_client"}), ConfigError),
        (Answer(400, {"error": "invalid_scope"}), ConfigError),
        (Answer(503, b""), BusyError),
        (Answer(200, b"nonsense"), BusyError),
        (Answer(200, {"access_token": 5}), BusyError),
    ],
)
def test_a_refused_key_says_what_an_administrator_has_to_do(
    key_file: Callable[..., Path], service: TokenService, answer: Answer, kind: type[Exception]
) -> None:
    service.next.append(answer)
    with pytest.raises(kind) as caught:
        access(key_file()).bearer()
    told = f"{caught.value} {caught.value.advice}"  # type: ignore[attr-defined]
    assert "PRIVATE KEY" not in told
    assert kind is BusyError or ("domain-wide delegation" in told and ROBOT in told and "drive.readonly" in told)


def test_a_refused_key_of_its_own_drive_needs_no_delegation(key_file: Callable[..., Path], service: TokenService) -> None:
    service.next.append(Answer(400, {"error": "invalid_grant"}))
    with pytest.raises(SignInError) as caught:
        access(key_file(), email=ROBOT).bearer()
    assert "delegation" not in caught.value.advice
    assert "deleted" in caught.value.advice


@pytest.mark.parametrize(
    "changes",
    [
        {"client_email": 5},
        {"client_email": "nobody"},
        {"client_email": ...},
        {"private_key": ...},
        {"private_key": ""},
        {"private_key": "x" * 20_000},
        {"private_key": "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n"},
        {"private_key": ["x"]},
        {"token_uri": "http://elsewhere.example/token"},
        {"token_uri": 5},
    ],
)
def test_a_damaged_key_is_named_and_nothing_is_sent(
    key_file: Callable[..., Path], service: TokenService, changes: dict[str, Any]
) -> None:
    path = key_file(**changes)
    with pytest.raises(ConfigError, match="token_do.json") as caught:
        access(path)
    assert "nonsense" not in str(caught.value)
    assert service.http.requests == []


def test_a_key_without_an_address_of_the_token_service_uses_that_of_google(key_file: Callable[..., Path]) -> None:
    key = service_account.read(str(key_file(token_uri=...)))
    assert key is not None
    assert key.token_uri == "https://oauth2.googleapis.com/token"
    assert "PRIVATE" not in repr(key)


# Sign-ins of persons.


def test_a_saved_sign_in_is_used_as_it_is_and_asks_for_no_other_scope(tmp_path: Path) -> None:
    with DriveServer() as server:
        path = server.token_file(tmp_path / "token_do.json", OWNER, expiry="2020-01-01T00:00:00Z")
        before = path.read_bytes()
        with Drive(access(path), endpoint=server.endpoint, budget=30.0) as drive:
            assert drive.account() == OWNER
        form = parse_qs(next(request for request in server.http.requests if request.path == "/token").body.decode())
        assert form.get("scope", [WRITE]) == [WRITE]
        assert path.read_bytes() == before


def test_only_a_sign_in_of_our_own_is_renewed_on_disk(tmp_path: Path) -> None:
    with DriveServer() as server:
        (tmp_path / "home").mkdir()
        path = server.token_file(tmp_path / "home" / "token_do.json", OWNER, expiry="2020-01-01T00:00:00Z")
        before = path.read_bytes()
        drive_access(str(path), str(tmp_path / "home"), OWNER, {}, changes=False).bearer()
        assert path.read_bytes() != before


def test_a_sign_in_that_does_not_allow_it_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with DriveServer() as server:
        path = server.token_file(tmp_path / "token_do.json", OWNER, read_only=True)
        access(path)
        with pytest.raises(SignInError, match="lacks the scope drive") as caught:
            access(path, changes=True)
        assert "--write" in caught.value.advice
        server.token_file(path, OWNER, scopes=["https://www.googleapis.com/auth/gmail.send"])
        with pytest.raises(SignInError, match=r"drive\.readonly"):
            access(path)
        assert server.http.requests == []


def test_no_sign_in_at_all_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SignInError) as caught:
        access(tmp_path / "token_do.json")
    assert "scq auth google --drive" in caught.value.advice


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"service_account"', b"\xff", b"[" * 100_000, b'{"type": "other"}'])
def test_a_file_that_is_no_sign_in_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token_do.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="token_do.json"):
        access(path)


# Notebooks.

COLAB = """
import sys
def authenticate_user():
    print("asked")
    {then}
"""
PROGRAM = """
import json, sys
from scq.errors import ScqError
from scq.signin.accounts import drive_access, identity, is_colab
print(is_colab({}), "google.colab" in sys.modules)
try:
    access = drive_access(sys.argv[1], sys.argv[2], "owner@hospital.example", {}, changes=False)
    print(access.bearer())
except ScqError as error:
    print(type(error).__name__, error, error.advice)
"""


def in_a_notebook(tmp_path: Path, credentials: Path, then: str = "pass") -> list[str]:
    """What a program says that runs where `google.colab` is."""
    package = tmp_path / "notebook" / "google" / "colab"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "auth.py").write_text(COLAB.format(then=then))
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "notebook"), "GOOGLE_APPLICATION_CREDENTIALS": str(credentials)}
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "token_do.json"), str(tmp_path / "home")]
    done = subprocess.run(program, capture_output=True, text=True, env=env, timeout=60, check=True)
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


def test_a_notebook_uses_the_sign_in_of_its_person(tmp_path: Path, key_file: Callable[..., Path], service: TokenService) -> None:
    credentials = key_file().rename(tmp_path / "adc.json")
    assert in_a_notebook(tmp_path, credentials) == ["True False", "asked", "access-1"]
    assert service.claims[0]["scope"] == READ


def test_what_a_notebook_starts_uses_what_was_agreed_to_in_it(
    tmp_path: Path, key_file: Callable[..., Path], service: TokenService
) -> None:
    credentials = key_file().rename(tmp_path / "adc.json")
    then = "None.kernel"  # how it fails outside the process of the notebook
    assert in_a_notebook(tmp_path, credentials, then)[-1] == "access-1"


def test_a_saved_sign_in_stands_before_that_of_a_notebook(tmp_path: Path) -> None:
    with DriveServer() as server:
        server.token_file(tmp_path / "token_do.json", OWNER, token="of-the-file")
        assert in_a_notebook(tmp_path, tmp_path / "none.json") == ["True False", "of-the-file"]


@pytest.mark.parametrize("then", ["raise RuntimeError('credentials secret')", "raise OSError()", "pass"])
def test_a_notebook_whose_person_says_no_is_told_so(tmp_path: Path, then: str) -> None:
    said = in_a_notebook(tmp_path, tmp_path / "none.json", then)[2]
    assert said.startswith("SignInError the sign-in of the notebook cannot be used")
    assert "secret" not in said


def test_a_machine_is_no_notebook_unless_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_colab({})
    assert not is_colab({"COLAB_RELEASE_TAG": ""})
    assert is_colab({"COLAB_RELEASE_TAG": "release-colab_2026"})
    with pytest.raises(SignInError, match=r"google\.colab is not there"):
        access(tmp_path / "token_do.json", env={"COLAB_RELEASE_TAG": "x"})
    monkeypatch.setitem(sys.modules, "google.colab", type(sys)("google.colab"))
    assert not is_colab({})


def test_a_sign_in_is_told_from_another_one_and_stays_the_same_when_renewed(
    tmp_path: Path, key_file: Callable[..., Path]
) -> None:
    path = tmp_path / "token.json"
    given = {"client_id": "c", "client_secret": "s", "scopes": [READ]}
    seen = []
    for words in (
        {"token": "a", "refresh_token": "r"},
        {"token": "b", "refresh_token": "r"},
        {"token": "b", "refresh_token": "q"},
    ):
        path.write_text(json.dumps(given | words))
        seen.append(identity(str(path), OWNER))
    assert seen[0] == seen[1] != seen[2]
    robot = str(key_file())
    assert identity(robot, OWNER) == identity(robot, OWNER) != identity(robot, "other@hospital.example")
    assert identity(str(tmp_path / "none"), OWNER) == "notebook"
    assert all("r" not in word.split() and len(word) == 32 for word in seen)
