"""Dead-man pings over real sockets: what is said, to whom, and that nothing that goes wrong matters to the call."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from scq import pinging
from scq.config_channels import ChannelSetting
from scq.config_values import Config, Health
from scq.errors import ConfigError
from scq.pinging import Pulse, address_of, body_of, hidden, place_of, post, suffix_of
from scq.store import exclusive
from tests.people import World
from tests.servers.http import Answer, HttpServer, Request

KEY = "0000-secret-key"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(lambda request: Answer(200, "OK")) as started:
        yield started


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def paths(server: HttpServer) -> list[str]:
    return [urlsplit(request.path).path for request in server.requests]


def rids(server: HttpServer) -> set[str]:
    return {parse_qs(urlsplit(request.path).query)["rid"][0] for request in server.requests}


def watch(world: World, url: str, *verbs: str, more: str = "") -> None:
    chosen = f", verbs: [{', '.join(verbs)}]" if verbs else ""
    world.owner.configure(f"sandbox: none\nhealth: {{url: {url}/{KEY}{chosen}}}\n{more}")


# The whole call


def test_a_call_says_that_it_began_and_that_it_ended_well(world: World, server: HttpServer) -> None:
    watch(world, server.url)
    world.submit("count")
    world.owner.scq("notify")
    assert paths(server) == [f"/{KEY}/start", f"/{KEY}"]
    assert len(rids(server)) == 1
    assert [request.method for request in server.requests] == ["POST", "POST"]
    begin, end = (request.body.decode() for request in server.requests)
    assert begin == ""
    assert end.splitlines()[0].endswith("notify: exit code 0")
    assert "(mailbox)" in end


def test_every_call_has_a_number_of_its_own(world: World, server: HttpServer) -> None:
    watch(world, server.url)
    world.owner.scq("notify")
    world.owner.scq("notify", "--json")
    assert len(rids(server)) == 2


def test_only_the_verbs_that_are_named_ping(world: World, server: HttpServer) -> None:
    watch(world, server.url, "check", "run-approved")
    for call in (["notify"], ["status"], ["list"], ["cleanup"]):
        world.owner.scq(*call)
    assert server.requests == []
    world.owner.scq("check")
    world.owner.scq("run-approved")
    assert paths(server) == [f"/{KEY}/start", f"/{KEY}"] * 2


def test_a_dry_run_and_a_question_for_help_do_not_ping(world: World, server: HttpServer) -> None:
    watch(world, server.url)
    world.owner.scq("notify", "--dry-run")
    world.owner.scq("notify", "--help")
    world.owner.scq("notify", "--no-such-option", code=2)
    assert server.requests == []


def test_a_call_that_meets_another_says_nothing_at_all(world: World, server: HttpServer) -> None:
    watch(world, server.url)
    with exclusive(str(world.owner.home / "locks" / "notify.lock"), 0):
        world.owner.scq("notify", code=75)
    assert server.requests == []


def test_a_source_that_cannot_be_read_is_told_with_its_exit_code(world: World, server: HttpServer) -> None:
    watch(world, server.url)
    world.root.rename(world.folder / "gone")
    world.owner.scq("notify", code=75)
    assert paths(server) == [f"/{KEY}/start", f"/{KEY}/75"]
    assert "SyftBox" in server.requests[1].body.decode()


def test_a_failure_before_the_work_is_told_with_its_exit_code(world: World, server: HttpServer) -> None:
    watch(world, server.url)
    (world.owner.home / "locks").write_text("")
    world.owner.scq("notify", code=1)
    assert paths(server) == [f"/{KEY}/1"]
    assert "locks" in server.requests[0].body.decode()


def test_a_damaged_state_is_told_with_its_exit_code_and_advice(world: World, server: HttpServer) -> None:
    watch(world, server.url)
    (world.owner.home / "state.json").write_text("{")
    answer = world.owner.scq("notify", code=78)
    assert paths(server) == [f"/{KEY}/start", f"/{KEY}/78"]
    assert "state.json" in server.requests[1].body.decode()
    assert "Put a good copy" in server.requests[1].body.decode()
    assert "state.json" in answer.err


def test_a_crash_is_a_failure_and_its_text_stays_here(
    world: World, server: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*arguments: object, **options: object) -> None:
        raise ValueError("word of a stranger")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("scq.steps.look.observe", crash)
    watch(world, server.url, "check")
    world.owner.scq("check", code=70)
    assert paths(server) == [f"/{KEY}/start", f"/{KEY}/fail"]
    assert "this is a bug (ValueError)" in server.requests[1].body.decode()
    assert "stranger" not in server.requests[1].body.decode()


def test_the_command_line_without_the_short_way_pings_too(world: World, server: HttpServer) -> None:
    from scq.cli import shortcut

    watch(world, server.url)
    place = ["--home", str(world.owner.home), "--root", str(world.root), "--email", world.owner.email]
    assert shortcut.call([*place, "notify"]) == 0
    assert paths(server) == [f"/{KEY}/start", f"/{KEY}"]


def test_secrets_of_the_settings_are_not_said(world: World, server: HttpServer) -> None:
    file = world.owner.home / "word"
    file.write_text("hush-in-a-file\n")
    more = f"channels: {{box: {{type: file}}, a: {{type: webhook, url: 'https://x/hush-a', signing_file: {file}}}}}\n"
    watch(world, server.url, "check", more=more)
    world.submit("hush-in-a-file")
    world.owner.scq("check")
    body = server.requests[1].body.decode()
    assert "NEW JOB" in body
    assert "(hidden)" in body
    assert "hush" not in body


def test_nothing_is_loaded_where_nobody_is_to_be_told(world: World) -> None:
    script = (
        "import sys; from scq.cli.shortcut import call; code = call(sys.argv[1:])\n"
        "slow = {'scq.pinging', 'urllib.request', 'http.client', 'ssl'} & set(sys.modules)\n"
        "sys.exit(repr(slow) if slow else code)"
    )

    place = ["--home", str(world.owner.home), "--root", str(world.root), "--email", world.owner.email]
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    ended = subprocess.run([sys.executable, "-c", script, *place, "check"], capture_output=True, text=True, check=False, env=env)
    assert ended.returncode == 0, ended.stderr


# What goes wrong


def unreachable() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(500, "boom"), "it answered 500"),
        (Answer(404), "it answered 404"),
        (Answer(301, headers={"Location": "http://127.0.0.1:9/elsewhere"}), "it answered 301"),
        (Answer(307, headers={"Location": "http://127.0.0.1:9/elsewhere"}), "it answered 307"),
        (Answer(200, "OK", cut=0), "it cannot be reached"),
    ],
)
def test_an_answer_that_is_none_is_a_line_for_those_who_ask_and_no_failure(world: World, answer: Answer, why: str) -> None:
    with HttpServer(lambda request: answer) as server:
        watch(world, server.url)
        assert world.owner.scq("notify").err == ""
        said = world.owner.scq("notify", "-v").err
        assert len(server.requests) == 4
    assert f"was not told that notify began: {why}" in said or "connection broke" in said
    assert "was not told that notify ended: " in said
    assert KEY not in said


def test_an_answer_whose_end_is_missing_counts_as_one(server: HttpServer) -> None:
    server.answer = lambda request: Answer(200, "x" * 1000, cut=10)
    assert post(server.url, b"") == ""


def test_a_redirect_is_never_followed(server: HttpServer) -> None:
    def elsewhere(request: Request) -> Answer:
        return Answer(200) if "other" in request.path else Answer(302, headers={"Location": f"{server.url}/other"})

    server.answer = elsewhere
    assert post(f"{server.url}/{KEY}", b"") == "it answered 302"
    assert paths(server) == [f"/{KEY}"]


def test_only_a_certificate_that_this_machine_trusts_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with HttpServer(lambda request: Answer(200), tls=context) as server:
        assert "certificate" in post(f"{server.url}/{KEY}", b"")
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert post(f"{server.url}/{KEY}", b"") == ""
        assert paths(server) == [f"/{KEY}"]


def test_nobody_who_answers_is_a_line_and_no_failure(world: World) -> None:
    watch(world, unreachable())
    said = world.owner.scq("notify", "-v").err
    assert "it cannot be reached" in said
    assert KEY not in said


def test_a_server_that_never_answers_is_left_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinging, "TIMEOUT", 0.2)
    go_on = threading.Event()

    def wait(request: Request) -> Answer:
        go_on.wait(30)
        return Answer(200)

    with HttpServer(wait) as server:
        assert post(server.url, b"") in ("no answer within 0.2 s", "the connection broke (TimeoutError)")
        go_on.set()


def test_a_server_that_trickles_is_left_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinging, "TIMEOUT", 0.3)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def trickle() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.05):
                    connection.sendall(b"X-More: 1\r\n")

        served = threading.Thread(target=trickle)
        served.start()
        assert post(f"http://127.0.0.1:{listening.getsockname()[1]}/", b"") == "no answer within 0.3 s"
        stop.set()
        served.join()
    for thread in threading.enumerate():
        if thread.name == "within":
            thread.join()


@pytest.mark.parametrize("text", ["not http at all\r\n\r\n", "HTTP/1.1 nonsense\r\n\r\n", "\x00\x01\x02\r\n\r\n"])
def test_a_server_that_speaks_something_else_is_no_failure(text: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def speak() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(text.encode())

        served = threading.Thread(target=speak)
        served.start()
        answer = post(f"http://127.0.0.1:{listening.getsockname()[1]}/", b"")
        served.join()
    assert answer.startswith("the connection broke (")


def test_a_name_that_is_none_is_no_failure() -> None:
    assert post(f"http://{'a' * 70}.invalid/x", b"")


def test_an_address_that_cannot_be_read_is_told_and_the_call_goes_on(world: World) -> None:
    world.owner.configure("sandbox: none\nhealth: {url_env: SCQ_TEST_PING_URL}\n")
    said = world.owner.scq("notify", "-v").err
    assert "! health.url: the environment variable SCQ_TEST_PING_URL is not set" in said


def test_an_address_may_stand_in_a_file(world: World, server: HttpServer) -> None:
    (world.owner.home / "ping.url").write_text(f"{server.url}/{KEY}\n")
    world.owner.configure("sandbox: none\nhealth: {url_file: $SCQ_HOME/ping.url}\n")
    world.owner.scq("notify")
    assert paths(server) == [f"/{KEY}/start", f"/{KEY}"]


def test_an_interrupt_while_the_end_is_told_is_not_a_crash(
    world: World, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Pulse, code: int, said: object, **how: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Pulse, "end", interrupt)
    watch(world, server.url)
    assert world.owner.scq("notify").err == "interrupted\n"


def test_a_cycle_that_leaves_a_step_to_another_call_went_well(world: World, server: HttpServer) -> None:
    """While a long job runs, each cycle beside it ends with 75: nobody is to be woken because of that."""
    watch(world, server.url)
    with exclusive(str(world.owner.home / "locks" / "run-approved.lock"), 0):
        world.owner.scq("cycle", code=75)
    assert paths(server) == [f"/{KEY}/start", f"/{KEY}"]
    assert b"cycle: exit code 75" in server.requests[-1].body


def test_a_cycle_that_cannot_look_did_not_go_well(world: World, server: HttpServer) -> None:
    watch(world, server.url)
    world.owner.scq("cycle")
    world.root.rename(world.folder / "away")
    world.owner.scq("cycle", code=75)
    assert paths(server)[2:] == [f"/{KEY}/start", f"/{KEY}/75"]


def test_a_cycle_that_finds_another_looking_says_nothing(world: World, server: HttpServer) -> None:
    watch(world, server.url)
    with exclusive(str(world.owner.home / "locks" / "check.lock"), 0):
        world.owner.scq("cycle", code=75)
    assert paths(server) == []


# The parts


@pytest.mark.parametrize(
    ("code", "suffix"),
    [(0, ""), (3, ""), (1, "/1"), (4, "/4"), (5, "/5"), (70, "/fail"), (75, "/75"), (77, "/77"), (130, "/130")],
)
def test_an_exit_code_stands_behind_the_address(code: int, suffix: str) -> None:
    assert suffix_of(code) == suffix


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://hc.example.org/key", "https://hc.example.org/key/start?rid=7"),
        ("https://hc.example.org/key/", "https://hc.example.org/key/start?rid=7"),
        ("http://[::1]:8000/ping/key?create=1#x", "http://[::1]:8000/ping/key/start?create=1&rid=7"),
    ],
)
def test_the_path_grows_and_the_rest_stays(url: str, address: str) -> None:
    assert address_of(url, "/start", "7") == address


@pytest.mark.parametrize(("url", "place"), [("https://hc.example.org/key", "hc.example.org"), ("http://[::1]:80/k", "[::1]:80")])
def test_of_an_address_only_its_place_is_shown(url: str, place: str) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/hush",
        "file:///etc/hush",
        "hush",
        "https:///hush",
        "https://example.org:99999/hush",
        "https://example.org:x/hush",
        "https://example.org:0/hush",
        "https://[::1/hush",
        "https://example.org/hush key",
        "https://example.org/hush\r\nX: y",
        "https://exämple.org/hush",
        "https://me:hush@example.org/",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place_of(url)
    assert "hush" not in str(caught.value) + caught.value.advice
    assert caught.value.advice


def test_what_was_said_is_clean_and_without_secrets() -> None:
    body = body_of(["one\x1b[2J\u202e", "a hush, hush-hush\nb", "x" * 5000], {"hush", "hush-hush"}).decode()
    lines = body.splitlines()
    assert lines[:3] == ["one�[2J�", "a (hidden), (hidden)", "b"]
    assert len(lines[3]) == 1000


def test_a_secret_is_not_cut_in_two_where_a_line_is_cut() -> None:
    assert b"hush" not in body_of(["x" * 995 + "hush-and-more"], {"hush-and-more"})


def test_only_the_end_of_much_is_kept() -> None:
    body = body_of((f"{number} ä{'ö' * 400}" for number in range(1000)), ())
    assert len(body) <= pinging.BODY_LIMIT
    assert body.decode().splitlines()[-1].startswith("999 ä")


def test_every_secret_that_can_be_read_is_known(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    channels: Any = (
        ChannelSetting("a", "smtp", password_env="WORD"),
        ChannelSetting("b", "telegram", token_file=str(tmp_path / "token")),
        ChannelSetting("c", "slack", url="literal", signing_file=str(tmp_path / "gone")),
    )
    config = Config(channels=channels, health=Health(url="https://x/y"))
    assert hidden(config, {"WORD": "from-env"}) == {"from-env", "from-file", "literal", "https://x/y"}
