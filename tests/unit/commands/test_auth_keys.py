"""`scq auth` where the key of a service account stands in place of a person's sign-in for Google Drive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.people import World
from tests.servers.google import Google, google_on_loopback
from tests.servers.http import Answer, HttpServer, Request

ROBOT = "robot@project.iam.gserviceaccount.com"
PRIVATE = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Service:
    """A token service whose answer can be changed."""

    def __init__(self) -> None:
        self.answer = Answer(body={"access_token": "access-secret", "expires_in": 3599})
        self.http = HttpServer(self._say)

    def _say(self, request: Request) -> Answer:
        return self.answer


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    with service.http:
        yield service


@pytest.fixture
def key(world: World, service: Service) -> Path:
    return write(world, service)


def write(world: World, service: Service, **changes: Any) -> Path:
    document = {
        "type": "service_account",
        "private_key": PRIVATE,
        "client_email": ROBOT,
        "token_uri": f"{service.http.url}/token",
    }
    path = world.owner.home / "token_do.json"
    path.write_text(json.dumps(document | changes))
    return path


def drive_row(world: World, *options: str, code: int = 0) -> dict[str, Any]:
    rows: list[dict[str, Any]] = world.owner.json("auth", "status", *options, code=code)["sign_ins"]
    return next(row for row in rows if row["purpose"] == "drive")


def test_status_shows_whose_key_it_is_and_asks_nobody(world: World, service: Service, key: Path) -> None:
    row = drive_row(world)
    assert (row["account"], row["usable"], row["needed"], row["expires_at"]) == (ROBOT, True, True, None)
    assert row["scopes"] == ["https://www.googleapis.com/auth/drive.readonly"]
    assert service.http.requests == []
    said = world.owner.scq("auth", "status")
    assert f"renews itself   {ROBOT}  drive.readonly" in said.out
    assert "PRIVATE" not in said.out + said.err


def test_status_online_proves_that_the_key_lives(world: World, service: Service, key: Path) -> None:
    before = key.read_bytes()
    row = drive_row(world, "--online")
    assert row["usable"]
    assert row["expires_at"]
    assert len(service.http.requests) == 1
    assert key.read_bytes() == before


@pytest.mark.parametrize(
    ("status", "word", "code"), [(400, "invalid_grant", 77), (401, "unauthorized_client", 77), (503, "", 75)]
)
def test_status_online_says_what_a_refused_key_needs(
    world: World, service: Service, key: Path, status: int, word: str, code: int
) -> None:
    service.answer = Answer(status, {"error": word})
    said = world.owner.scq("auth", "status", "--online", code=code).err
    assert code == 75 or "domain-wide delegation" in said


@pytest.mark.parametrize("changes", [{"client_email": "x"}, {"private_key": "x"}, {"token_uri": "http://elsewhere.example/"}])
def test_status_names_a_damaged_key(world: World, service: Service, changes: dict[str, str]) -> None:
    write(world, service, **changes)
    said = world.owner.scq("auth", "status", code=77)
    assert next(iter(changes)) in said.err
    assert "not usable" in said.out


def test_a_key_cannot_be_given_back_and_stays(world: World, key: Path) -> None:
    said = world.owner.scq("auth", "revoke", "--yes", code=78)
    assert "cannot be given back" in said.err
    assert key.exists()
    world.owner.scq("auth", "revoke", "--yes", "--force")
    assert not key.exists()


def test_signing_in_never_writes_over_a_key(world: World, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key.read_bytes()
    (tmp_path / "google").mkdir()
    with google_on_loopback(tmp_path / "google", monkeypatch) as google:
        said = signs_in(world, google, monkeypatch)
    assert "Move it away" in said
    assert google.consent == {}
    assert key.read_bytes() == before


def signs_in(world: World, google: Google, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", google.browser)
    return world.owner.scq("auth", "google", "--drive", "--credentials", str(google.client_file()), code=78).err
