"""Asking a person: state and PKCE are checked, and less than asked for is not taken."""

from __future__ import annotations

import json
import logging
import socket
import struct
import threading
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from scq.errors import BusyError, ConfigError, SignInError, UsageError
from scq.signin import client, revoking, tokens
from scq.signin.asking import Desk, asked, browser
from scq.signin.consent import Consent, pasted
from scq.signin.listener import Listener
from scq.signin.purposes import DRIVE_READ, GMAIL, GMAIL_SEND
from scq.signin.tokens import Token
from tests.servers.google import CLIENT_ID, CLIENT_SECRET, Google
from tests.servers.http import Answer

BACK = "http://localhost:1/"


def consent(google: Google, *scopes: str) -> Consent:
    return Consent(client.read(str(google.client_file())), scopes or (GMAIL_SEND,), BACK, "o@x.org")


def test_the_page_is_asked_for_no_more_than_needed(google: Google) -> None:
    asked_for = {key: values[0] for key, values in parse_qs(urlsplit(consent(google).url).query).items()}
    assert asked_for["scope"] == GMAIL_SEND
    assert (asked_for["access_type"], asked_for["prompt"], asked_for["code_challenge_method"]) == ("offline", "consent", "S256")
    assert (asked_for["redirect_uri"], asked_for["login_hint"], asked_for["client_id"]) == (BACK, "o@x.org", CLIENT_ID)
    assert CLIENT_SECRET not in consent(google).url
    assert consent(google).url != consent(google).url


def test_the_answer_becomes_a_sign_in(google: Google) -> None:
    question = consent(google, GMAIL_SEND, DRIVE_READ)
    token = question.finish(google.agree(question.url))
    assert (token.access, token.refresh) == ("access-0", "refresh-0")
    assert set(token.scopes) == {GMAIL_SEND, DRIVE_READ}
    assert token.is_renewable
    (exchange,) = google.posts("/token")
    assert b"code_verifier=" in exchange.body


def test_no_secret_of_the_exchange_reaches_the_logs_of_the_program(google: Google, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    question = consent(google)
    question.finish(google.agree(question.url))
    assert not [word for word in (CLIENT_SECRET, "refresh-0", "access-0", "code-1") if word in caplog.text]


def test_the_code_and_the_secret_go_to_no_other_address(google: Google) -> None:
    google.next_tokens = [Answer(307, "", {"Location": f"{google.url}/elsewhere"})]
    question = consent(google)
    with pytest.raises(BusyError):
        question.finish(google.agree(question.url))
    assert not google.posts("/elsewhere")


def test_an_answer_to_another_question_is_refused(google: Google) -> None:
    theirs, ours = consent(google), consent(google)
    with pytest.raises(UsageError, match="another sign-in"):
        ours.finish(google.agree(theirs.url))
    assert google.posts("/token") == []


def test_a_code_that_was_got_elsewhere_fails_the_proof(google: Google) -> None:
    theirs, ours = consent(google), consent(google)
    stolen = google.agree(ours.url)
    google.agree(theirs.url)
    with pytest.raises(SignInError, match="invalid_grant"):
        ours.finish(stolen)


@pytest.mark.parametrize("address", ["code-1", "http://localhost:1/", "http://[", "", f"{BACK}?state=x", "\x1b[2J"])
def test_what_is_no_answer_is_refused(google: Google, address: str) -> None:
    with pytest.raises(UsageError, match="address"):
        pasted(lambda: address, consent(google))
    assert google.posts("/token") == []


def test_a_flood_is_no_address(google: Google) -> None:
    with pytest.raises(UsageError, match="too long"):
        pasted(lambda: BACK + "x" * 50_000, consent(google))


def test_a_person_may_say_no(google: Google) -> None:
    question = consent(google)
    state = parse_qs(urlsplit(question.url).query)["state"][0]
    with pytest.raises(SignInError, match="access_denied"):
        question.finish(f"{BACK}?error=access_denied&state={state}")


def test_a_box_that_was_unticked_is_named(google: Google) -> None:
    google.granted = GMAIL_SEND
    question = consent(google, GMAIL_SEND, DRIVE_READ)
    with pytest.raises(SignInError, match=r"not granted: drive\.readonly"):
        question.finish(google.agree(question.url))


def test_more_than_asked_for_is_fine_and_remembered(google: Google) -> None:
    google.granted = f"{DRIVE_READ} {GMAIL_SEND}"
    question = consent(google)
    assert set(question.finish(google.agree(question.url)).scopes) == {DRIVE_READ, GMAIL_SEND}


@pytest.mark.parametrize(
    ("answer", "kind", "named"),
    [
        (Answer(401, {"error": "invalid_client"}), ConfigError, "invalid_client"),
        (Answer(400, {"error": "unauthorized_client"}), ConfigError, "unauthorized_client"),
        (Answer(400, {"error": "\x1b[2J"}), SignInError, "refused"),
        (Answer(200, {"access_token": "a", "expires_in": 5, "scope": GMAIL_SEND}), SignInError, "no lasting"),
        (Answer(200, {"access_token": ["a"], "refresh_token": "r", "scope": GMAIL_SEND}), ConfigError, "token"),
        (Answer(200, {"refresh_token": "r"}), SignInError, "missing_token"),
        (Answer(200, "[" * 100_000), BusyError, "nobody understands"),
        (Answer(200, "[]"), BusyError, "nobody understands"),
        (Answer(503, "<html>"), BusyError, "503"),
        (Answer(429, {"error": "slow_down"}), BusyError, "429"),
        (Answer(200, {}, cut=0), BusyError, "localhost"),
    ],
)
def test_every_failure_of_the_exchange_is_named(google: Google, answer: Answer, kind: type[Exception], named: str) -> None:
    question = consent(google)
    address = google.agree(question.url)
    google.next_tokens = [answer]
    with pytest.raises(kind, match=named) as caught:
        question.finish(address)
    assert CLIENT_SECRET not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_an_answer_without_scopes_or_end_stands_for_what_was_asked(google: Google) -> None:
    question = consent(google)
    address = google.agree(question.url)
    google.next_tokens = [Answer(body={"access_token": "a", "refresh_token": "r"})]
    token = question.finish(address)
    assert token.scopes == (GMAIL_SEND,)
    assert token.expiry is not None


def test_a_browser_comes_back_to_this_machine(google: Google) -> None:
    told: list[str] = []
    desk = Desk(told.append, lambda: "", google.browser)
    token = asked(client.read(str(google.client_file())), (GMAIL_SEND,), desk, timeout=30)
    google._visit.join()
    assert token.access == "access-0"
    assert "code_challenge" in told[0]


def test_without_a_browser_the_address_is_pasted(google: Google) -> None:
    told: list[str] = []

    def paste() -> str:
        url = next(line for line in told[0].splitlines() if line.startswith("https://"))
        return google.agree(url) + "\n"

    token = asked(client.read(str(google.client_file())), (GMAIL_SEND,), Desk(told.append, paste), port=8123)
    assert token.access == "access-0"
    assert google.consent["redirect_uri"] == "http://localhost:8123/"


def test_nobody_there_ends_the_wait(google: Google) -> None:
    told: list[str] = []
    desk = Desk(told.append, lambda: "", lambda url: False)
    with pytest.raises(BusyError, match="nobody answered"):
        asked(client.read(str(google.client_file())), (GMAIL_SEND,), desk, timeout=0.05)
    assert "--no-browser" in told[1]


def test_the_listener_turns_strangers_away_and_waits_on() -> None:
    seen: list[tuple[int, bytes]] = []

    def visits(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)):
            pass
        for path in ("/favicon.ico", "/?state=wrong&code=1", "/?state=right&code=2"):
            connection = HTTPConnection("127.0.0.1", port)
            connection.request("GET", path)
            answer = connection.getresponse()
            seen.append((answer.status, answer.read()))
            connection.close()

    with Listener() as listener:
        thread = threading.Thread(target=visits, args=(urlsplit(listener.address).port,), daemon=True)
        thread.start()
        address = listener.wait(lambda address: "state=right" in address, 30)
        thread.join()
    assert address.endswith("/?state=right&code=2")
    assert [status for status, _ in seen] == [404, 400, 200]
    assert all(b"code" not in page and b"<script" not in page for _, page in seen)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UsageError, match="--port|cannot be used"):
        Listener(taken.getsockname()[1])


def test_a_machine_without_a_screen_has_no_browser() -> None:
    assert browser({}, "linux") is None
    assert browser({"DISPLAY": ":0"}, "linux") is not None
    assert browser({}, "darwin") is not None


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"type": "service_account", "private_key": "k"}, "service account"),
        ({"web": {}}, "Web application"),
        ({"refresh_token": "r"}, "saved sign-in"),
        ({"installed": []}, "not the file of an OAuth client"),
        ([], "not the file of an OAuth client"),
        ({"installed": {"client_id": "a"}}, "client_secret"),
        ({"installed": {"client_id": "a\nb", "client_secret": "s"}}, "client_id"),
        ({"installed": {"client_id": "a", "client_secret": "s", "auth_uri": "http://x", "token_uri": "https://x"}}, "auth_uri"),
    ],
)
def test_a_file_that_is_no_client_is_named_and_the_steps_are_told(tmp_path: Path, document: object, named: str) -> None:
    (tmp_path / "c.json").write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=named) as caught:
        client.read(str(tmp_path / "c.json"))
    assert "Download" in caught.value.advice


@pytest.mark.parametrize("content", [None, b"{", b"\xff", b" " * 300_000])
def test_a_missing_or_damaged_client_tells_the_steps(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        client.read(str(tmp_path / "c.json"))
    assert "Desktop app" in caught.value.advice


def test_a_client_shows_no_secret(google: Google) -> None:
    assert CLIENT_SECRET not in repr(client.read(str(google.client_file())))


def test_a_sign_in_is_given_back(google: Google) -> None:
    assert revoking.revoke(Token(access="a", refresh="r")) is True
    assert revoking.revoke(Token(access="a")) is True
    assert google.revoked == ["r", "a"]


def test_a_dead_sign_in_is_given_back_already(google: Google) -> None:
    google.next_revocations = [Answer(400, {"error": "invalid_token"})]
    assert revoking.revoke(Token(access="a")) is False


def test_a_sign_in_that_is_not_taken_back_is_still_there(google: Google) -> None:
    google.next_revocations = [Answer(503, "")]
    with pytest.raises(BusyError, match="503"):
        revoking.revoke(Token(access="a"))


def test_a_fault_in_the_listener_is_not_hidden() -> None:
    def fault(address: str) -> bool:
        raise ZeroDivisionError

    def visit(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /?state=x HTTP/1.0\r\n\r\n")
            connection.recv(10)

    with Listener() as waiting:
        thread = threading.Thread(target=visit, args=(urlsplit(waiting.address).port,), daemon=True)
        thread.start()
        with pytest.raises(ZeroDivisionError):
            waiting.wait(fault, 30)
    thread.join()


def test_a_browser_that_breaks_off_does_not_end_the_wait() -> None:
    def visits(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(b"GET /")
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /?state=x HTTP/1.0\r\n\r\n")
            connection.recv(10)

    with Listener() as waiting:
        thread = threading.Thread(target=visits, args=(urlsplit(waiting.address).port,), daemon=True)
        thread.start()
        assert waiting.wait(lambda address: True, 30).endswith("?state=x")
        thread.join()


def test_a_sign_in_that_google_ends_by_itself_knows_when(google: Google, tmp_path: Path) -> None:
    question = consent(google)
    address = google.agree(question.url)
    granted = {"access_token": "a", "refresh_token": "r", "scope": GMAIL_SEND, "expires_in": 3599}
    google.next_tokens = [Answer(200, {**granted, "refresh_token_expires_in": 604_799})]
    token = question.finish(address)
    assert token.ends is not None
    assert abs(token.ends - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=5)
    tokens.write(str(tmp_path / "token.json"), token)
    assert tokens.read(str(tmp_path / "token.json"), GMAIL).ends == token.ends
