"""Webhooks over real sockets: what is posted, what each answer means, and what is never shown."""

from __future__ import annotations

import hashlib
import hmac
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq import channels
from scq.channels import webhook
from scq.channels.document import document
from scq.channels.place import Place
from scq.channels.webhook import waiting_time
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Channel, Message
from tests.servers.drip import dripping
from tests.servers.http import Answer, HttpServer, Request
from tests.servers.proxy import Internet

MESSAGE = Message(
    "ab" * 32, "job.failed", "o@x.org", "o@x.org", "Job: s", "It failed.\n", None, "2026-03-02T10:30:00+00:00", "error"
)
NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(lambda _request: Answer(202)) as started:
        yield started


def channel(url: str, signing: str = "") -> Channel:
    return channels.get(ChannelSetting("c", "webhook", url_env="URL", signing=signing), Place(env={"URL": url}))


def failure(url: str) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        channel(url).send(MESSAGE)
    return caught.value


def test_the_document_is_posted_with_its_key(server: HttpServer) -> None:
    made = channel(f"{server.url}/hook/secret-path?token=secret-word")
    assert made.usable() == ""
    assert made.send(MESSAGE).text == f"{server.url} answered 202"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/hook/secret-path?token=secret-word")
    assert request.json() == document(MESSAGE)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == "ab" * 32
    assert "x-scq-signature" not in request.headers


def test_with_a_signing_secret_the_body_is_signed(server: HttpServer) -> None:
    channel(server.url, signing="s3cret é").send(MESSAGE)
    (request,) = server.requests
    expected = hmac.new("s3cret é".encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-scq-signature"] == f"sha256={expected}"


@pytest.mark.parametrize(
    "name", ["two\nlines", "\x1b[31m", "\u202eevil", "<script>", "<!channel>", "n" * 300, "a,b@x", "\udcff", ""]
)
def test_a_hostile_name_stays_one_string_of_the_document(name: str, server: HttpServer) -> None:
    message = replace(MESSAGE, subject=name, text=name)
    channel(server.url).send(message)
    (request,) = server.requests
    assert request.json() == document(message)
    assert request.json()["title"].isprintable()
    assert request.body.isascii()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, "transient") for status in (408, 425, 429, 500, 502, 503, 599)),
        *((status, "permanent") for status in (400, 404, 405, 410, 413, 422)),
        *((status, "config") for status in (401, 403, 304, 303)),
    ],
)
def test_an_answer_that_is_not_a_yes_is_a_failure_of_the_right_kind(status: int, kind: str, server: HttpServer) -> None:
    server.answer = lambda _request: Answer(status, "" if status == 304 else "no\x1b[31m\nreally not")
    error = failure(f"{server.url}/hook/secret-path")
    assert error.kind == kind
    assert f"{server.url} answered {status}" in str(error)
    assert bool(error.advice) == (kind == "config")
    if status != 304:
        assert str(error).endswith(": no�[31m really not")
    assert "secret-path" not in str(error)


def test_an_answer_may_say_when_to_come_back(server: HttpServer) -> None:
    server.answer = lambda _request: Answer(429, "", {"Retry-After": "17"})
    assert failure(server.url).retry_after == 17.0
    server.answer = lambda _request: Answer(400, "", {"Retry-After": "17"})
    assert failure(server.url).retry_after is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        (format_datetime(NOW.replace(minute=32), usegmt=True), 120.0),
        ("Mon, 02 Mar 2026 10:32:00 -0000", 120.0),
        (format_datetime(NOW.replace(minute=2), usegmt=True), 0.0),
        ("999999999", 86_400.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("9" * 5000, None),
        ("Mon, 02 Mar 99999999999999999999 10:32:00 GMT", None),
        ("Mon, 02 Mar 2026 10:32:00 +9999999999999999999999", None),
    ],
)
def test_a_pause_is_read_as_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert waiting_time(header, NOW) == seconds


def test_the_answer_may_repeat_the_address_but_the_error_does_not(server: HttpServer) -> None:
    server.answer = lambda request: Answer(404, f"no such page: {request.path} " + "x" * 100_000)
    error = failure(f"{server.url}/hook/secret-path")
    assert "secret-path" not in str(error)
    assert "no such page" in str(error)
    assert len(str(error)) < 300


def test_not_even_half_of_an_address_is_in_an_error(server: HttpServer) -> None:
    server.answer = lambda _request: Answer(404, "x" * 100 + "secret-path" * 3)
    assert "secret" not in str(failure(f"{server.url}/hook/{'secret-path' * 3}"))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_on_the_same_host_is_followed_with_the_whole_message(status: int, server: HttpServer) -> None:
    def answer(request: Request) -> Answer:
        return Answer(status, "", {"Location": "/new"}) if request.path == "/old" else Answer(200)

    server.answer = answer
    channel(f"{server.url}/old").send(MESSAGE)
    old, new = server.requests
    assert (new.method, new.path, new.body) == ("POST", "/new", old.body)


def test_a_redirect_to_another_host_is_not_followed(server: HttpServer) -> None:
    with HttpServer(lambda _request: Answer(200)) as other:
        server.answer = lambda _request: Answer(307, "", {"Location": f"{other.url}/secret-other"})
        error = failure(server.url)
        assert other.requests == []
    assert error.kind == "config"
    assert other.url in str(error)
    assert "secret-other" not in str(error)


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "http://[", "http://a:b/", "ftp://127.0.0.1/", "/a b", "http://127.0.0.1:99999/"]
)
def test_a_redirect_to_nowhere_is_not_followed(target: str, server: HttpServer) -> None:
    server.answer = lambda _request: Answer(307, "", {"Location": target})
    assert failure(server.url).kind == "config"
    assert len(server.requests) == 1


def test_redirects_in_a_circle_end(server: HttpServer) -> None:
    server.answer = lambda _request: Answer(307, "", {"Location": "/again"})
    error = failure(server.url)
    assert (error.kind, len(server.requests)) == ("config", 4)
    assert "in a circle" in str(error)


def test_a_connection_that_breaks_before_the_answer_is_ambiguous(server: HttpServer) -> None:
    server.answer = lambda _request: Answer(cut=0)
    error = failure(server.url)
    assert error.kind == "ambiguous"
    assert "RemoteDisconnected" in str(error)


def test_an_answer_that_never_comes_is_ambiguous(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "WAIT_S", 0.2)
    done = threading.Event()
    server.answer = lambda _request: Answer(cut=0 if done.wait(20) else None)
    error = failure(server.url)
    done.set()
    assert error.kind == "ambiguous"


def test_an_answer_that_drips_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "WAIT_S", 0.15)
    with dripping(b"HTTP/1.1 200 OK\r\nX-More: ") as port:
        error = failure(f"http://127.0.0.1:{port}/secret-path")
    assert (error.kind, "secret-path" in str(error)) == ("ambiguous", False)


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".org", "%FF.org"])
def test_what_cannot_be_the_name_of_a_host_is_a_matter_of_configuration(host: str) -> None:
    error = failure(f"http://{host}/secret-path")
    assert (error.kind, "secret-path" in str(error)) == ("config", False)


def test_an_answer_that_is_not_http_is_ambiguous() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def talk() -> None:
            connection, _address = listening.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        talking = threading.Thread(target=talk)
        talking.start()
        error = failure(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        talking.join()
    assert error.kind == "ambiguous"


def test_a_refusal_whose_text_breaks_off_is_still_a_refusal(server: HttpServer) -> None:
    server.answer = lambda _request: Answer(422, "the whole story", cut=3)
    assert failure(server.url).kind == "permanent"


def test_a_refusal_whose_text_never_comes_is_still_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "WAIT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = threading.Event()

        def talk() -> None:
            connection, _address = listening.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 422 No\r\nContent-Length: 99\r\n\r\n")
                done.wait(20)

        talking = threading.Thread(target=talk)
        talking.start()
        error = failure(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        done.set()
        talking.join()
    assert error.kind == "permanent"
    assert str(error).endswith("answered 422")


def test_a_host_that_cannot_be_reached_is_transient() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = failure(f"http://127.0.0.1:{taken.getsockname()[1]}/secret-path")
    assert error.kind == "transient"
    assert "refused" in str(error)
    assert "secret-path" not in str(error)


def test_a_certificate_nobody_knows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Internet(lambda _request: Answer(200), tmp_path, monkeypatch) as net:
        channel("https://hooks.example.org/secret").send(MESSAGE)
        monkeypatch.delenv("SSL_CERT_FILE")
        error = failure("https://hooks.example.org/secret")
        assert len(net.requests) == 1
    assert error.kind == "transient"
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/TOPSECRET",
        "file:///TOPSECRET",
        "example.org/TOPSECRET",
        "https://",
        "https:///TOPSECRET",
        "https://user:TOPSECRET@example.org/",
        "https://exämple.org/TOPSECRET",
        "https://example.org/TOP SECRET",
        "https://example.org/\r\nX-Evil: TOPSECRET",
        "https://[/TOPSECRET",
        "https://example.org:99999/TOPSECRET",
        "",
    ],
)
def test_an_address_that_cannot_work_is_said_before_anything_is_sent(url: str) -> None:
    error = failure(url)
    assert error.kind == "config"
    assert channel(url).usable() == str(error)
    assert "TOPSECRET" not in f"{error}{error.advice}"
    assert error.advice
