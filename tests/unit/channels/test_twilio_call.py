"""Calls through Twilio, over real sockets: what is said, how often, and what its answers mean."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from scq import channels
from scq.channels.place import Place
from scq.channels.twilio_call import twiml
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Message
from tests.servers.http import Answer
from tests.servers.proxy import Internet

MESSAGE = Message(
    "ab" * 32, "job.integrity", "o@x.org", "o@x.org", "Job: s", "Changed.\n", None, "2026-03-02T10:30:00+00:00", "critical"
)
SETTING = ChannelSetting(
    "c", "twilio-call", sid="AC" + "a1" * 16, token="b2" * 16, sender="+1 555 123 0000", to=("+15551231111",)
)


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    with Internet(lambda _request: Answer(201, {"status": "queued"}), tmp_path, monkeypatch) as started:
        yield started


def said(document: str) -> list[str]:
    return [say.text or "" for say in ElementTree.fromstring(document).findall("Say")]


def test_the_message_is_said_twice_with_a_pause(net: Internet) -> None:
    made = channels.get(SETTING, Place(env={}))
    assert made.usable() == ""
    assert made.send(MESSAGE).text == "accepted by twilio-call"
    (request,) = net.requests
    assert (request.headers["host"], request.path) == ("api.twilio.com", f"/2010-04-01/Accounts/{SETTING.sid}/Calls.json")
    form = {name: value[0] for name, value in parse_qs(request.body.decode()).items()}
    assert (form["From"], form["To"]) == ("+15551230000", "+15551231111")
    assert form["Twiml"] == '<Response><Say>Job: s. Changed.</Say><Pause length="2"/><Say>Job: s. Changed.</Say></Response>'


@pytest.mark.parametrize(
    "name", ["</Say><Dial>+1900</Dial><Say>", "<!channel> & ]]> '\"", "a\x00\x1b[31m\n\u202eb", "\udcff", "", "x" * 9000]
)
def test_what_a_stranger_wrote_is_only_ever_said(name: str, net: Internet) -> None:
    channels.get(SETTING, Place(env={})).send(replace(MESSAGE, subject=name, text=name))
    (document,) = parse_qs(net.requests[0].body.decode())["Twiml"]
    root = ElementTree.fromstring(document)
    assert [part.tag for part in root] == ["Say", "Pause", "Say"]
    assert not list(root.iter("Dial"))
    assert len(document) <= 4000


def test_repeat_adds_to_how_often_it_is_said(net: Internet) -> None:
    channels.get(replace(SETTING, repeat=3), Place(env={})).send(MESSAGE)
    (document,) = parse_qs(net.requests[0].body.decode())["Twiml"]
    assert said(document) == ["Job: s. Changed."] * 4


@pytest.mark.parametrize("letter", ["x", "&", "<"])
def test_a_document_never_gets_longer_than_twilio_takes(letter: str) -> None:
    document = twiml(letter * 10_000, 1000)
    assert len(document) <= 4000
    assert said(document)[0] == letter * 399 + "…"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(401, {"code": 20003, "message": "Authenticate"}), "auth"),
        (Answer(429, {"code": 20429, "message": "Too Many Requests"}), "transient"),
        (Answer(400, {"code": 21211, "message": "Invalid 'To' Phone Number"}), "permanent"),
        (Answer(cut=0), "ambiguous"),
    ],
)
def test_an_answer_that_is_not_a_yes_is_a_failure(answer: Answer, kind: str, net: Internet) -> None:
    net.server.answer = lambda _request: answer
    with pytest.raises(ChannelError) as caught:
        channels.get(SETTING, Place(env={})).send(MESSAGE)
    assert caught.value.kind == kind
    assert SETTING.sid not in str(caught.value)
    assert SETTING.token not in str(caught.value)


def test_a_number_that_is_none_is_said_before_anybody_is_called(net: Internet) -> None:
    made = channels.get(replace(SETTING, to=("+15551231111", "whatsapp:+1")), Place(env={}))
    assert made.usable() == "channels.c: 'whatsapp:+1' is not a target twilio-call knows"
    with pytest.raises(ChannelError):
        made.send(MESSAGE)
    assert net.requests == []
