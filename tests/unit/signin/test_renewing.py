"""Access tokens end; new ones are fetched in time, saved whole, and a dead sign-in says so."""

from __future__ import annotations

import json
import os
import ssl
import stat
from pathlib import Path

import pytest
import requests
from urllib3.exceptions import SSLError

from scq.errors import BusyError, ConfigError, SignInError
from scq.signin import renewing, wire
from scq.signin.purposes import GMAIL
from scq.signin.renewing import LaterError, Saved
from tests.servers.drip import dripping
from tests.servers.google import CLIENT_SECRET, Google
from tests.servers.http import Answer, HttpServer

ENDED = "2020-01-01T00:00:00Z"


def saved(google: Google, tmp_path: Path, **changes: object) -> Saved:
    path = google.token_file(tmp_path / "gmail_token.json", **{"expiry": ENDED, **changes})
    return Saved(str(path), GMAIL, rewrite=True)


def test_a_fresh_one_is_used_as_it_is(google: Google, tmp_path: Path) -> None:
    made = saved(google, tmp_path, expiry="2999-01-01T00:00:00Z")
    assert made.bearer() == "access-0"
    assert google.http.requests == []


def test_an_ended_one_is_renewed_saved_and_kept(google: Google, tmp_path: Path) -> None:
    made = saved(google, tmp_path, note="of others")
    os.chmod(made.path, 0o644)
    assert made.bearer() == made.bearer() == "access-1"
    assert google.refreshes == 1
    document = json.loads(Path(made.path).read_text())
    assert (document["token"], document["refresh_token"], document["note"]) == ("access-1", "refresh-0", "of others")
    assert document["expiry"] > ENDED
    assert stat.S_IMODE(os.stat(made.path).st_mode) == 0o600
    assert Saved(made.path, GMAIL, rewrite=True).bearer() == "access-1"
    assert google.refreshes == 1


def test_one_that_cannot_be_saved_is_used_all_the_same(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = saved(google, tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", made.path)

    monkeypatch.setattr("scq.signin.tokens.write_atomic", full)
    assert made.bearer() == "access-1"
    assert "No space left" in made.unsaved


def test_another_refresh_token_is_kept_if_the_service_gives_one(google: Google, tmp_path: Path) -> None:
    google.next_tokens = [Answer(body={"access_token": "a", "expires_in": 10, "refresh_token": "newer"})]
    made = saved(google, tmp_path)
    made.renew()
    assert json.loads(Path(made.path).read_text())["refresh_token"] == "newer"


def test_one_without_a_refresh_token_ends(google: Google, tmp_path: Path) -> None:
    with pytest.raises(SignInError, match="cannot be renewed"):
        saved(google, tmp_path, refresh_token=None).bearer()


@pytest.mark.parametrize(
    ("answer", "kind", "named"),
    [
        (Answer(400, {"error": "invalid_grant", "error_description": "Bad"}), SignInError, "no longer accepts"),
        (Answer(401, {"error": "invalid_client"}), ConfigError, "invalid_client"),
        (Answer(400, {"error": "invalid_scope"}), ConfigError, "invalid_scope"),
        (Answer(400, {"error": "unauthorized_client"}), ConfigError, "unauthorized_client"),
        (Answer(400, {"error": "\x1b[2Jodd"}), ConfigError, "refused"),
        (Answer(400, {"error": {"a": 1}}), ConfigError, "refused"),
        (Answer(400, {"error": "temporarily_unavailable"}), BusyError, "answers 400"),
        (Answer(400, "plain"), ConfigError, "no reason given"),
        (Answer(403, "[]"), BusyError, "nobody understands"),
        (Answer(200, "[]"), BusyError, "nobody understands"),
        (Answer(200, "{}"), ConfigError, "refused"),
        (Answer(200, {"access_token": 5}), BusyError, "nobody understands"),
        (Answer(200, {"access_token": "a\r\nb"}), BusyError, "nobody understands"),
        (Answer(200, {"access_token": "a", "expires_in": "soon"}), BusyError, "nobody understands"),
        (Answer(200, {"access_token": "a", "expires_in": 1e300}), BusyError, "nobody understands"),
        (Answer(200, "[" * 100_000), BusyError, "nobody understands"),
        (Answer(200, {"access_token": "a"}, cut=3), BusyError, "broke off"),
        (Answer(408, ""), BusyError, "408"),
        (Answer(500, ""), BusyError, "500"),
        (Answer(302, "", {"Location": "http://x.invalid"}), BusyError, "302"),
    ],
)
def test_every_refusal_is_named_and_nothing_is_saved(
    google: Google, tmp_path: Path, answer: Answer, kind: type[Exception], named: str
) -> None:
    google.next_tokens = [answer]
    made = saved(google, tmp_path)
    before = Path(made.path).read_bytes()
    with pytest.raises(kind, match=named) as caught:
        made.bearer()
    assert Path(made.path).read_bytes() == before
    assert len(google.posts("/token")) == 1
    assert "\x1b" not in str(caught.value)
    assert CLIENT_SECRET not in str(caught.value)


def test_a_dead_sign_in_lists_what_usually_kills_one(google: Google, tmp_path: Path) -> None:
    made = saved(google, tmp_path)
    google.refresh = "another"
    with pytest.raises(SignInError) as caught:
        made.bearer()
    assert "scq auth google --send" in caught.value.advice
    assert "7 days" in caught.value.advice
    assert caught.value.exit_code == 77


def test_the_time_to_wait_is_passed_on(google: Google, tmp_path: Path) -> None:
    google.next_tokens = [Answer(429, "", {"Retry-After": "40"})]
    with pytest.raises(LaterError) as caught:
        saved(google, tmp_path).bearer()
    assert caught.value.retry_after == 40.0


def test_an_unreachable_service_is_tried_again_later(google: Google, tmp_path: Path) -> None:
    with pytest.raises(BusyError, match="cannot be reached"):
        saved(google, tmp_path, token_uri="https://127.0.0.1:1/token").bearer()


def test_a_netrc_does_not_take_the_place_of_the_token(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login stranger password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with wire.session() as session:
        wire.ask(session, "GET", f"{google.url}/x", None, {"authorization": "Bearer mine"})
    assert google.http.requests[0].headers["authorization"] == "Bearer mine"


def test_an_endless_answer_is_left(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LIMIT", 1_000)
    google.next_tokens = [Answer(body="x" * 2_000)]
    with pytest.raises(BusyError, match="broke off"):
        saved(google, tmp_path).bearer()


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-More: "])
def test_an_answer_that_drips_is_left(beginning: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "TIMEOUT", 0.2)
    monkeypatch.setattr(wire, "CONNECT_TIMEOUT", 0.1)
    with dripping(beginning) as port, wire.session() as session, pytest.raises(wire.BrokenError) as caught:
        wire.ask(session, "GET", f"http://127.0.0.1:{port}/", None, {})
    assert caught.value.sent


def test_what_goes_to_this_machine_goes_through_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with HttpServer(lambda _request: Answer(204)) as server, wire.session() as session:
        assert wire.ask(session, "POST", f"{server.url}/token", b"secret", {}).status == 204


def test_a_sign_in_that_a_person_made_meanwhile_stays(google: Google, tmp_path: Path) -> None:
    made = saved(google, tmp_path)
    assert made.token.refresh == "refresh-0"
    newer = google.token_file(tmp_path / "gmail_token.json", refresh_token="refresh-new").read_bytes()
    assert made.bearer() == "access-1"
    assert Path(made.path).read_bytes() == newer


def test_a_sign_in_that_was_taken_back_meanwhile_does_not_come_back(google: Google, tmp_path: Path) -> None:
    made = saved(google, tmp_path)
    assert made.token.refresh == "refresh-0"
    os.unlink(made.path)
    assert made.bearer() == "access-1"
    assert not os.path.lexists(made.path)


def test_an_address_that_cannot_be_asked_is_said_to_be_one() -> None:
    with wire.session() as session, pytest.raises(wire.BrokenError, match="cannot be asked"):
        wire.ask(session, "GET", "nonsense://x", None, {})


def test_the_credentials_of_google_auth_hold_the_same(google: Google, tmp_path: Path) -> None:
    made = renewing.credentials(saved(google, tmp_path, expiry="2999-01-01T00:00:00Z").token)
    assert (made.token, made.refresh_token, made.valid) == ("access-0", "refresh-0", True)


def test_tls_that_fails_before_anything_is_sent_is_told_from_later() -> None:
    def of(reason: str) -> wire.BrokenError:
        cause = ssl.SSLError(1, f"[SSL: {reason}] no")
        cause.reason = reason
        return wire.BrokenError("x", sent=wire._may_have_arrived(requests.exceptions.SSLError(SSLError(cause))))

    assert not of("CERTIFICATE_VERIFY_FAILED").sent
    assert of("DECRYPTION_FAILED_OR_BAD_RECORD_MAC").sent


def test_a_missing_file_of_certificates_is_named(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(BusyError, match=r"none\.pem"):
        saved(google, tmp_path).bearer()
    with wire.session() as session, pytest.raises(wire.BrokenError) as caught:
        wire.ask(session, "GET", f"{google.url}/", None, {})
    assert not caught.value.sent
