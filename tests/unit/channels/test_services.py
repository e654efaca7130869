"""Messaging services through apprise, unmodified, over real sockets: every host name leads to a server of the test."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from msgspec.structs import replace

from scq import channels
from scq.channels import services
from scq.channels.inert import GAP, cut, inert_for, octets, utf16
from scq.channels.place import Place
from scq.channels.services import LIMITS, ServiceChannel
from scq.channels.verdict import redacted, verdict
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Message
from tests.servers.drip import dripping
from tests.servers.http import Answer, HttpServer, Request
from tests.servers.proxy import Internet

MESSAGE = Message(
    "ab" * 32,
    "job.failed",
    "o@x.org",
    "o@x.org",
    "Job: s",
    "It failed.\n",
    None,
    "2026-03-02T10:30:00+00:00",
    "error",
    "abcdef0123",
)
SETTINGS = {
    setting.type: setting
    for setting in (
        ChannelSetting("c", "slack", url="https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7"),
        ChannelSetting("c", "slack-bot", token="xoxb-1234-1234-4ddbc191d40ee098", to=("#jobs",)),
        ChannelSetting("c", "discord", url="https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"),
        ChannelSetting(
            "c",
            "teams",
            url="https://prod-01.westus.logic.azure.com:443/workflows/643e69f83c8944438d68119179a10a64/triggers/manual/paths/invoke"
            "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODuebWbDGYFr0z0eu-6Rj8aUKz7108W3wrNJZxFE5A",
        ),
        ChannelSetting("c", "telegram", token="123456789:alphanumeric_secret", to=("12315544",)),
        ChannelSetting("c", "ntfy", url="https://ntfy.example.org/topic-secret", token="tk_secretsecret"),
        ChannelSetting("c", "twilio-sms", sid="AC" + "a1" * 16, token="b2" * 16, sender="+15551230000", to=("+15551231111",)),
    )
}
TAKEN: dict[str, Answer] = {
    "slack": Answer(200, "ok"),
    "slack-bot": Answer(200, {"ok": True}),
    "discord": Answer(204),
    "teams": Answer(202),
    "telegram": Answer(200, {"ok": True}),
    "ntfy": Answer(200, {"id": "x"}),
    "twilio-sms": Answer(201, {"status": "queued"}),
}
TYPES = list(SETTINGS)
Net = Callable[[Answer | Callable[[Request], Answer]], Internet]


@pytest.fixture(scope="module")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    folder = tmp_path_factory.mktemp("net")
    with pytest.MonkeyPatch.context() as patch, Internet(lambda _request: Answer(500), folder, patch) as started:
        yield started


@pytest.fixture
def net(internet: Internet) -> Net:
    """Gives the net one answer for everything, or changes the answer."""
    internet.requests.clear()

    def start(answer: Answer | Callable[[Request], Answer]) -> Internet:
        internet.server.answer = (lambda _request: answer) if isinstance(answer, Answer) else answer
        return internet

    return start


def channel(setting: ChannelSetting) -> ServiceChannel:
    made = channels.get(setting, Place(env={}))
    assert isinstance(made, ServiceChannel)
    return made


def told(type_name: str, request: Request) -> str:
    """The text in a request, as the service will read it: where it escapes, unescaped."""
    if type_name == "twilio-sms":
        return parse_qs(request.body.decode())["Body"][0]
    body: Any = request.json()
    match type_name:
        case "slack" | "slack-bot":
            return f"{body['attachments'][0]['title']}\n{body['attachments'][0]['text']}"
        case "discord":
            return str(body["content"])
        case "teams":
            return str(body["attachments"][0]["content"]["body"][0]["text"])
        case "telegram":
            return str(body["text"])
    return f"{body.get('title')}\n{body['message']}"


def failure(setting: ChannelSetting, message: Message = MESSAGE) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        channel(setting).send(message)
    return caught.value


@pytest.mark.parametrize("type_name", TYPES)
def test_a_message_arrives_with_subject_and_text_and_without_any_picture(type_name: str, net: Net) -> None:
    where = net(TAKEN[type_name])
    receipt = channel(SETTINGS[type_name]).send(MESSAGE)
    assert receipt.text == f"accepted by {type_name}"
    (request,) = where.requests
    assert "Job: s" in told(type_name, request).replace("\\", "")
    assert "It failed" in told(type_name, request)
    assert b"github" not in request.body
    assert "x-icon" not in request.headers
    assert request.headers["user-agent"] == "scq"


def test_each_service_is_asked_as_it_wants_to_be_asked(net: Net) -> None:
    where = net(lambda request: TAKEN["twilio-sms"] if "twilio" in request.headers["host"] else Answer(200, b"ok"))
    for type_name in ("slack", "discord", "telegram", "ntfy", "twilio-sms"):
        channel(SETTINGS[type_name]).send(MESSAGE)
    net(TAKEN["slack-bot"])
    channel(SETTINGS["slack-bot"]).send(MESSAGE)
    slack, discord, telegram, ntfy, sms, bot = where.requests
    assert (slack.headers["host"], slack.path) == ("hooks.slack.com", "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7")
    assert discord.path == "/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
    assert telegram.path == "/bot123456789:alphanumeric_secret/sendMessage"
    assert telegram.json()["chat_id"] == 12315544
    assert (ntfy.headers["host"], ntfy.json()["topic"]) == ("ntfy.example.org", "topic-secret")
    assert ntfy.headers["authorization"] == "Bearer tk_secretsecret"
    assert sms.path == f"/2010-04-01/Accounts/{'AC' + 'a1' * 16}/Messages.json"
    form = parse_qs(sms.body.decode())
    assert (form["From"], form["To"]) == (["+15551230000"], ["+15551231111"])
    assert (bot.path, bot.json()["channel"]) == ("/api/chat.postMessage", "#jobs")
    assert bot.headers["authorization"] == "Bearer xoxb-1234-1234-4ddbc191d40ee098"


HOSTILE = [
    "<!channel> @here",
    "@everyone <@U123> <@&55> <#C1> <!subteam^S1>",
    "user@everyone x@HERE.com",
    "[click](https://evil.example) <https://evil.example|text> <at>Bob</at>",
    "<script>alert(1)</script>",
    "two\nlines\r\nand\u2028more",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe \u200bzero",
    "n" * 300,
    "a,b@x and joe.doe@example.org",
    "lone \udcff surrogate",
    "",
    "{{7*7}} ${HOME} `x` *b* _i_ ||s|| ~~d~~ :smile: & &amp; \\",
]


@pytest.mark.parametrize("type_name", TYPES)
def test_what_a_stranger_wrote_mentions_nobody_and_formats_nothing(type_name: str, net: Net) -> None:
    where = net(TAKEN[type_name])
    for name in HOSTILE:
        channel(SETTINGS[type_name]).send(replace(MESSAGE, subject=name, text=name))
        assert_inert(type_name, name, where.requests.pop())
    assert where.requests == []


def assert_inert(type_name: str, name: str, request: Request) -> None:
    text = told(type_name, request)
    assert not {char for char in text if char in "\x1b\x07\u202e\u2028\udcff"}
    if type_name == "twilio-sms":
        return
    low = text.lower().replace("&lt;", "<").replace("\\", "")
    for mark in ("@everyone", "@here", "@channel", "<!", "<@", "<#", "](", "<http", "<at", "<script"):
        assert mark not in low, mark
    assert "<" not in text or type_name in ("ntfy", "discord", "teams")
    if "joe.doe" in name:
        assert "joe.doe@example.org" in text.replace("\\", "")
    if "||s||" in name and type_name in ("discord", "teams"):
        assert r"\|\|s\|\|" in text
        assert r"\*b\*" in text
        assert r"\`x\`" in text
    entities = json.dumps(request.json().get("attachments", ""))
    assert "mentioned" not in entities
    assert "allow_mentions" not in request.json()


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("letter", ["é", "😀", "*", "\n@here "])
def test_a_long_text_is_cut_to_what_the_service_takes_and_says_where_the_rest_is(type_name: str, letter: str, net: Net) -> None:
    where = net(TAKEN[type_name])
    channel(SETTINGS[type_name]).send(replace(MESSAGE, text=(letter * 30_000)[:30_000]))
    text = told(type_name, where.requests[0]).replace("&lt;", "<")
    assert text.replace(GAP, "").endswith("… scq show abcdef01")
    if type_name == "ntfy":
        assert len(text.encode()) <= LIMITS["ntfy"] + 1
    elif type_name == "teams":
        assert len(where.requests[0].body) < 28_000
    else:
        assert len(text.encode("utf-16-le")) // 2 <= LIMITS[type_name] + 1


def test_empty_lines_and_indents_stay_for_telegram(net: Net) -> None:
    where = net(TAKEN["telegram"])
    channel(SETTINGS["telegram"]).send(replace(MESSAGE, text="one\n\n  two"))
    lines = where.requests[0].json()["text"].replace(GAP, "").replace("\xa0", " ").splitlines()
    assert lines == ["Job: s", "", "one", "", "  two"]


def test_a_message_without_any_words_still_says_what_happened(net: Net) -> None:
    where = net(TAKEN["ntfy"])
    channel(SETTINGS["ntfy"]).send(replace(MESSAGE, subject="", text=""))
    assert where.requests[0].json() == {"topic": "topic-secret", "message": "job.failed"}


ANSWERS = [
    ("slack", Answer(200, "invalid"), "transient", None),
    ("slack", Answer(400, "invalid_payload"), "permanent", None),
    ("slack", Answer(403, "action_prohibited"), "permanent", None),
    ("slack", Answer(404, "no_service"), "permanent", None),
    ("slack", Answer(410, "channel_is_archived"), "permanent", None),
    ("slack", Answer(429, "slow down"), "transient", None),
    ("slack", Answer(503, ""), "transient", None),
    ("slack-bot", Answer(200, {"ok": False, "error": "ratelimited"}), "transient", None),
    ("slack-bot", Answer(200, {"ok": False, "error": "invalid_auth"}), "auth", None),
    ("slack-bot", Answer(200, {"ok": False, "error": "token_revoked"}), "auth", None),
    ("slack-bot", Answer(200, {"ok": False, "error": "channel_not_found"}), "permanent", None),
    ("slack-bot", Answer(200, "<html>sign in to the wifi</html>"), "transient", None),
    ("discord", Answer(401, ""), "auth", None),
    ("discord", Answer(404, {"message": "Unknown Webhook"}), "permanent", None),
    (
        "discord",
        Answer(429, {"retry_after": 64.57}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}),
        "transient",
        64.57,
    ),
    ("teams", Answer(401, ""), "auth", None),
    ("teams", Answer(429, ""), "transient", None),
    ("telegram", Answer(401, {"ok": False, "description": "Unauthorized"}), "auth", None),
    ("telegram", Answer(403, {"ok": False, "description": "bot was blocked by the user"}), "permanent", None),
    ("telegram", Answer(404, {"ok": False, "description": "Not Found"}), "auth", None),
    ("telegram", Answer(429, {"ok": False, "description": "Too Many", "parameters": {"retry_after": 35}}), "transient", 35.0),
    ("ntfy", Answer(401, {"code": 40101, "error": "unauthorized"}), "auth", None),
    ("ntfy", Answer(403, {"code": 40301, "error": "forbidden"}), "auth", None),
    ("ntfy", Answer(429, {"code": 42901, "error": "limit reached"}), "transient", None),
    ("ntfy", Answer(413, {"code": 41301, "error": "too large"}), "permanent", None),
    ("ntfy", Answer(307, "", {"Location": "https://evil.example/"}), "transient", None),
    ("twilio-sms", Answer(401, {"code": 20003, "message": "Authenticate"}), "auth", None),
    ("twilio-sms", Answer(429, {"code": 20429, "message": "Too Many Requests"}), "transient", None),
    ("twilio-sms", Answer(400, {"code": 21211, "message": "Invalid 'To' Phone Number"}), "permanent", None),
    ("twilio-sms", Answer(503, "busy"), "transient", None),
]


@pytest.mark.parametrize(("type_name", "answer", "kind", "wait"), ANSWERS)
def test_an_answer_that_is_not_a_yes_is_a_failure_of_the_right_kind(
    type_name: str, answer: Answer, kind: str, wait: float | None, net: Net
) -> None:
    where = net(answer)
    error = failure(SETTINGS[type_name])
    assert (error.kind, error.retry_after) == (kind, wait)
    assert str(error).startswith("channels.c: ")
    assert "\n" not in str(error)
    assert {request.headers["host"].split(":")[0] for request in where.requests} != {"evil.example"}
    assert bool(error.advice) == (kind in ("auth", "config"))
    assert len(str(error)) <= 200


def test_no_secret_is_in_an_error_even_if_the_service_says_it(net: Net) -> None:
    for type_name, setting in SETTINGS.items():
        secrets = {setting.url, setting.token, setting.sid, *setting.url.split("/"), *setting.token.split(":")}
        long = [secret for secret in secrets if len(secret) > 8 and secret not in ("workflows", "discord.com")]
        echo = " ".join(long)
        net(Answer(400, {"message": f"bad\x1b[2J {echo}", "description": echo, "error": echo, "code": 400}))
        error = failure(setting)
        assert not [secret for secret in long if secret.lower() in f"{error} {error.advice}".lower()], type_name
        assert "\x1b" not in str(error)


def test_not_even_half_of_a_secret_is_in_an_error(net: Net) -> None:
    token = SETTINGS["telegram"].token
    for before in range(80, 160, 7):
        net(Answer(400, {"description": "x" * before + token}))
        assert "alpha" not in str(failure(SETTINGS["telegram"]))


def test_nothing_of_a_request_reaches_the_logs_of_the_program(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    net(Answer(500, "no"))
    failure(SETTINGS["telegram"])
    assert "alphanumeric_secret" not in caplog.text
    assert logging.getLogger("apprise").propagate
    assert logging.getLogger("apprise").level == logging.NOTSET


def test_words_of_a_job_decide_nothing_about_a_failure(net: Net) -> None:
    net(Answer(503, "busy"))
    error = failure(
        SETTINGS["telegram"], replace(MESSAGE, text='"error": "invalid_auth" error=401. Read timed out "retry_after": 99')
    )
    assert (error.kind, error.retry_after) == ("transient", None)


def test_a_connection_that_breaks_before_the_answer_is_ambiguous() -> None:
    with HttpServer(lambda _request: Answer(cut=0)) as server:
        error = failure(ChannelSetting("c", "ntfy", url=f"{server.url}/topic-secret"))
    assert error.kind == "ambiguous"
    assert "the connection broke" in str(error)


def test_a_connection_that_breaks_behind_a_proxy_is_ambiguous_too(net: Net) -> None:
    net(Answer(cut=0))
    assert failure(SETTINGS["slack"]).kind == "ambiguous"


def test_a_service_that_never_answers_is_ambiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "READ_S", 0.2)
    done = threading.Event()
    with HttpServer(lambda _request: Answer(cut=0 if done.wait(20) else None)) as server:
        error = failure(ChannelSetting("c", "ntfy", url=f"{server.url}/topic-secret"))
        done.set()
    assert error.kind == "ambiguous"
    assert "no answer in time" in str(error)


def test_a_service_that_takes_too_long_altogether_is_ambiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "WHOLE_S", 0.2)
    done = threading.Event()
    with HttpServer(lambda _request: Answer(cut=0 if done.wait(20) else None)) as server:
        error = failure(ChannelSetting("c", "ntfy", url=f"{server.url}/topic-secret"))
        done.set()
    assert (error.kind, str(error)) == ("ambiguous", "channels.c: no answer in time")


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nX-More: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_that_drips_is_left_and_keeps_no_process_from_ending(beginning: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "WHOLE_S", 0.2)
    with dripping(beginning) as port:
        error = failure(ChannelSetting("c", "ntfy", url=f"http://127.0.0.1:{port}/topic-secret"))
        left = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    assert (error.kind, left) == ("ambiguous", [])


def test_two_messages_at_once_leave_the_logs_as_they_were(net: Net) -> None:
    """The one that began first ends first."""
    first, second = threading.Event(), threading.Event()

    def answer(request: Request) -> Answer:
        slow = b"slow" in request.body
        (second if slow else first).wait(30)
        return TAKEN["ntfy"]

    where = net(answer)
    sends = [
        threading.Thread(target=channel(SETTINGS["ntfy"]).send, args=(replace(MESSAGE, subject=word),))
        for word in ("quick", "slow")
    ]
    for sent, thread in enumerate(sends, start=1):
        thread.start()
        while len(where.requests) < sent:
            thread.join(0.01)
    first.set()
    sends[0].join()
    assert not logging.getLogger("apprise").propagate, "the other one still has secrets to keep"
    second.set()
    sends[1].join()
    assert logging.getLogger("apprise").propagate
    assert logging.getLogger("apprise").level == logging.NOTSET


def test_a_service_that_cannot_be_reached_is_transient() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = failure(ChannelSetting("c", "ntfy", url=f"http://127.0.0.1:{taken.getsockname()[1]}/topic-secret"))
    assert error.kind == "transient"
    assert "refused" in str(error)


def test_a_certificate_nobody_knows_is_said(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    net(Answer(200, "ok"))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    error = failure(SETTINGS["slack"])
    assert error.kind == "transient"
    assert "certificate is not trusted" in str(error)


TWO = replace(SETTINGS["telegram"], to=("111", "222"))


def test_every_target_gets_the_message_once(net: Net) -> None:
    where = net(TAKEN["telegram"])
    assert channel(TWO).send(MESSAGE).text == "accepted by telegram for 2 targets"
    assert [request.json()["chat_id"] for request in where.requests] == [111, 222]


@pytest.mark.parametrize(("status", "kind"), [(503, "ambiguous"), (403, "")])
def test_when_only_some_targets_have_it_the_next_attempt_is_marked_as_a_repeat(status: int, kind: str, net: Net) -> None:
    net(lambda request: Answer(200, {"ok": True}) if request.json()["chat_id"] == 111 else Answer(status, {"description": "no"}))
    if kind:
        error = failure(TWO)
        assert error.kind == kind
        assert "accepted for 1 of 2 targets" in str(error)
    else:  # asking again would only bother the one who has it
        assert channel(TWO).send(MESSAGE).text.startswith("accepted for 1 of 2 targets; channels.c: Failed")


def test_when_one_target_never_will_have_it_the_others_are_still_tried_again(net: Net) -> None:
    net(lambda request: Answer(403 if request.json()["chat_id"] == 111 else 503, {"description": "no"}))
    assert failure(TWO).kind == "transient"


def test_any_address_of_apprise_works(monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpServer(lambda _request: Answer(200)) as server:
        setting = ChannelSetting("c", "apprise", url_env="URL")
        made = ServiceChannel(setting, Place(env={"URL": f"json://127.0.0.1:{server.port}/secret-path"}))
        assert made.usable() == ""
        made.send(replace(MESSAGE, text="@everyone " * 10_000))
        (request,) = server.requests
        assert request.json()["type"] == "failure"
        assert request.json()["message"].endswith("… scq show abcdef01")
        assert "@everyone" not in request.json()["message"]


@pytest.mark.parametrize(("level", "type_name"), [("info", "info"), ("warning", "warning"), ("critical", "failure")])
def test_the_level_goes_with_the_message(level: Any, type_name: str) -> None:
    with HttpServer(lambda _request: Answer(200)) as server:
        channel(ChannelSetting("c", "apprise", url=f"json://127.0.0.1:{server.port}/")).send(
            replace(MESSAGE, level=level, job_id="")
        )
        assert server.requests[0].json()["type"] == type_name


BAD = [
    ChannelSetting("c", "slack", url="https://example.org/services/TOPSECRET"),
    ChannelSetting("c", "slack", url="json://example.org/TOPSECRET"),
    ChannelSetting("c", "slack-bot", token="TOPSECRET", to=("#jobs",)),
    ChannelSetting("c", "slack-bot", token="xoxb-1234-1234-4ddbc191d40ee098", to=("a b",)),
    ChannelSetting("c", "discord", url="https://example.org/TOPSECRET"),
    ChannelSetting("c", "teams", url="https://example.org/TOPSECRET"),
    ChannelSetting("c", "telegram", token="TOPSECRET", to=("1",)),
    ChannelSetting("c", "telegram", token="123456789:alphanumeric_secret", to=("not a chat",)),
    ChannelSetting("c", "telegram", token="123456789:alphanumeric_secret"),
    ChannelSetting("c", "ntfy", url="ftp://TOPSECRET"),
    ChannelSetting("c", "ntfy", url="https://h:99999/TOPSECRET"),
    ChannelSetting("c", "ntfy", url="https://example.org/"),
    ChannelSetting("c", "twilio-sms", sid="TOPSECRET", token="b2", sender="+15551230000", to=("+15551231111",)),
    ChannelSetting("c", "twilio-sms", sid="ACa1", token="b2", sender="+15551230000", to=("TOPSECRET",)),
    ChannelSetting("c", "apprise", url="nosuch://TOPSECRET"),
    ChannelSetting("c", "apprise", url="TOPSECRET"),
    ChannelSetting("c", "apprise", url_env="MISSING"),
    ChannelSetting("c", "apprise"),
]


@pytest.mark.parametrize("setting", BAD, ids=range(len(BAD)))
def test_a_setting_that_cannot_work_is_said_before_anything_is_sent(
    setting: ChannelSetting, capfd: pytest.CaptureFixture[str]
) -> None:
    error = failure(setting)
    assert error.kind == "config"
    assert channel(setting).usable() == str(error)
    assert error.advice
    assert str(error).startswith("channels.c: ")
    assert "TOPSECRET" not in str(error) or setting.to == ("TOPSECRET",)
    assert capfd.readouterr() == ("", "")


def test_without_apprise_the_channel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert channel(SETTINGS["slack"]).usable() == "the package apprise is not installed"


def test_ntfy_signs_in_with_a_name_and_a_password_of_its_address() -> None:
    with HttpServer(lambda _request: Answer(200, {})) as server:
        url = server.url.replace("http://", "http://joe:p%40ss@")
        channel(ChannelSetting("c", "ntfy", url=f"{url}/topic")).send(MESSAGE)
        assert server.requests[0].headers["authorization"] == "Basic am9lOnBAc3M="


def test_cutting_keeps_what_fits() -> None:
    assert cut("short", 10, len, "…") == "short"
    assert cut("x" * 20, 10, len, "…") == "x" * 8 + "\n…"
    assert cut("xé" * 20, 10, octets, "…") == "xéx\n…"  # in JSON é takes six bytes
    assert cut("x" * 20, 0, len, "…") == "\n…"
    assert utf16("😀a\n") == 5
    assert inert_for("twilio-sms")("@here") == "@here"


def test_what_a_service_said_is_not_said_twice(net: Net) -> None:
    net(Answer(401, {"code": 40101, "error": "unauthorized"}))
    assert str(failure(SETTINGS["ntfy"])).count("unauthorized") == 1


def test_a_broken_record_is_a_failure_to_be_tried_again() -> None:
    assert verdict("slack", []) == ("transient", None)
    assert redacted("nothing", {}) == "nothing"
