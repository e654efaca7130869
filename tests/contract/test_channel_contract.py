"""What every channel promises, whatever it writes to."""

from __future__ import annotations

import html
import json
import mailbox
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.message import Message as AnyMail
from email.parser import BytesParser
from pathlib import Path

import pytest
from msgspec.structs import replace
from trustme import CA

from scq import channels
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Attachment, Channel, Message
from tests.servers.desktop import desktop as real_desktop
from tests.servers.smtp import mail_server, tls_context

HOSTILE = [
    "a\r\nBcc: victim@x.org\r\n\r\nbody",
    "\x1b[2J\x1b]0;t\x07red\u202egnp.exe",
    "<script>alert(1)</script>",
    "<!channel> @here",
    "x" * 300,
    "日本語" * 60,
    "a,b@x",
    "From me",
    "\udcff\x00",
    "=?utf-8?q?=0D=0ABcc:_victim@x.org?=",
    "=?utf-8?b?DQpCY2M6IHZpY3RpbUB4Lm9yZw==?=",
    "==??=?utf-8?q?=0ABcc:_victim@x.org?=",
    "",
]


def message(**changes: str) -> Message:
    made = Message(
        key="ab" * 32,
        event="job.received",
        sender="owner@example.org",
        recipient="ana@uni.example",
        subject="Job: survey [scq 01234567]",
        text="Hello\nFrom the queue\n>From before\n.\nGrüße\n",
        html="<p>Hello</p>",
        at_iso="2026-03-02T10:30:00+00:00",
    )
    return replace(made, **changes)


class Target:
    """A channel and a way to read everything that arrived there."""

    def __init__(self, channel: Channel, arrived: Callable[[], list[AnyMail]]) -> None:
        self.channel = channel
        self._arrived = arrived

    def mails(self) -> list[EmailMessage]:
        found = (BytesParser(policy=policy.default).parsebytes(mail.as_bytes()) for mail in self._arrived())
        return [mail for mail in found if isinstance(mail, EmailMessage)]


Made = AbstractContextManager[Target]


@contextmanager
def maildir(tmp_path: Path) -> Iterator[Target]:
    path = tmp_path / "box"
    channel = channels.get(ChannelSetting("post", "file", str(path), "maildir"), Place(env={}))
    yield Target(channel, lambda: list(mailbox.Maildir(path, create=False)))


@contextmanager
def mbox(tmp_path: Path) -> Iterator[Target]:
    path = tmp_path / "box.mbox"
    channel = channels.get(ChannelSetting("post", "file", str(path), "mbox"), Place(env={}))

    def arrived() -> list[AnyMail]:
        with closing(mailbox.mbox(path, create=False)) as box:
            return list(box)

    yield Target(channel, arrived)


@contextmanager
def smtp(tmp_path: Path) -> Iterator[Target]:
    ca = CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with mail_server("starttls", tls_context(ca)) as server:
        setting = ChannelSetting("post", "smtp", host="localhost", port=server.port, ca_file=str(tmp_path / "ca.pem"))
        yield Target(
            channels.get(setting, Place(env={})),
            lambda: [message_from_bytes(content.replace(b"\r\n", b"\n")) for content in server.contents],
        )


@pytest.fixture(params=[maildir, mbox, smtp])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    made: Callable[[Path], Made] = request.param
    with made(tmp_path) as opened:
        yield opened


@pytest.fixture(params=[maildir, mbox])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    """A mailbox that can be looked into before anything is written."""
    made: Callable[[Path], Made] = request.param
    with made(tmp_path) as opened:
        yield opened


def test_a_channel_that_is_set_up_is_usable_and_its_receipt_names_the_mail(target: Target) -> None:
    assert target.channel.usable() == ""
    receipt = target.channel.send(message())
    (mail,) = target.mails()
    assert receipt.text
    assert receipt.message_id == mail["Message-ID"]


def test_a_mail_continues_a_conversation_under_its_own_domain(target: Target) -> None:
    target.channel.send(message(in_reply_to="<first@example.org>", domain="queue.example", run_id="r1"))
    (mail,) = target.mails()
    assert (mail["In-Reply-To"], mail["References"]) == ("<first@example.org>", "<first@example.org>")
    assert mail["Message-ID"] == f"<{'ab' * 16}@queue.example>"
    assert mail["X-SCQ-Run"] == "r1"


def test_copies_and_attachments_go_with_a_mail(target: Target) -> None:
    attached = (Attachment("a\r\nb.log", b"From x\n.\n\xff", "text/plain"), Attachment("c.png", b"\x89PNG", "image/png"))
    target.channel.send(replace(message(), cc=("bo@x.org", "cy@x.org"), attachments=attached))
    (mail,) = target.mails()
    assert [address.addr_spec for address in mail["Cc"].addresses] == ["bo@x.org", "cy@x.org"]
    assert [part.get_payload(decode=True) for part in mail.iter_attachments()] == [b"From x\n.\n\xff", b"\x89PNG"]
    assert [part.get_filename() for part in mail.iter_attachments()] == ["a��b.log", "c.png"]
    html = mail.get_body(("html",))
    assert html is not None


def test_a_message_arrives_with_its_headers_and_both_texts(target: Target) -> None:
    assert target.channel.name == "post"
    assert target.channel.send(message())
    (mail,) = target.mails()
    assert dict(mail.items()) | {"Content-Type": "", "MIME-Version": ""} == {
        "From": "owner@example.org",
        "To": "ana@uni.example",
        "Subject": "Job: survey [scq 01234567]",
        "Date": "Mon, 02 Mar 2026 10:30:00 +0000",
        "Message-ID": f"<{'ab' * 16}@example.org>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "X-SCQ-Event": "job.received",
        "X-SCQ-Key": "ab" * 32,
        "Content-Type": "",
        "MIME-Version": "",
    }
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    html = mail.get_body(("html",))
    assert html is not None
    assert html.get_content() == "<p>Hello</p>\n"


def test_a_text_that_looks_like_a_mailbox_separator_stays_one_message(target: Target) -> None:
    target.channel.send(replace(message(), html=None, text="one\n\nFrom x@y Mon Mar  2 10:30:00 2026\nX-SCQ-Key: z\n"))
    (mail,) = target.mails()
    assert "Mar  2 10:30:00 2026" in mail.get_content()


def test_text_without_html_is_a_plain_mail(target: Target) -> None:
    target.channel.send(replace(message(), html=None))
    (mail,) = target.mails()
    assert mail.get_content_type() == "text/plain"
    assert "Grüße" in mail.get_content()


def test_the_same_message_twice_can_be_recognised(target: Target) -> None:
    target.channel.send(message())
    target.channel.send(message(text="Possibly a repeat.\n"))
    assert {(mail["Message-ID"], mail["X-SCQ-Key"]) for mail in target.mails()} == {(f"<{'ab' * 16}@example.org>", "ab" * 32)}


def test_the_same_message_twice_is_there_once(box: Target) -> None:
    box.channel.send(message())
    box.channel.send(message())
    assert len(box.mails()) == 1


def test_different_messages_are_all_there(target: Target) -> None:
    for number in range(3):
        target.channel.send(message(key=f"{number:064x}", subject=f"Job {number}"))
    assert sorted(mail["Subject"] for mail in target.mails()) == ["Job 0", "Job 1", "Job 2"]


@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_strangers_never_become_headers_or_lines_of_their_own(target: Target, words: str) -> None:
    target.channel.send(message(subject=f"Job: {words}", event=words, text=words, html=words, sender="o@x.org"))
    (mail,) = target.mails()
    assert {name.lower() for name in mail} == {
        *("from", "to", "subject", "date", "message-id", "auto-submitted", "x-auto-response-suppress"),
        *("x-scq-event", "x-scq-key", "mime-version", "content-type"),
    }
    assert str(mail["To"]) == "ana@uni.example"
    assert str(mail["Subject"]).isprintable()
    assert str(mail["X-SCQ-Event"]).isprintable()


@pytest.mark.parametrize(
    "address", ["", "nobody", "a@b.org, c@d.org", "a@b.org\r\nBcc: c@d.org", "Ana <a@b.org>", "group:a@b.org;"]
)
def test_a_recipient_that_is_not_one_plain_address_fails_for_good(target: Target, address: str) -> None:
    with pytest.raises(ChannelError, match="not one plain e-mail address") as caught:
        target.channel.send(message(recipient=address))
    assert caught.value.kind == "permanent"


def test_an_owner_without_a_usable_address_can_still_write(target: Target) -> None:
    target.channel.send(message(sender="the owner\r\nX: y"))
    (mail,) = target.mails()
    assert str(mail["From"]) == "scq@localhost"


class Screen:
    """A channel that writes no mail, and a way to read the title and the text that arrived there."""

    def __init__(self, channel: Channel, arrived: Callable[[], tuple[str, str]]) -> None:
        self.channel = channel
        self.arrived = arrived


@pytest.fixture
def stdout(capsys: pytest.CaptureFixture[str]) -> Screen:
    def arrived() -> tuple[str, str]:
        title, blank, *text = capsys.readouterr().out.split("\n")
        assert blank == ""
        return title, "\n".join(text)

    return Screen(channels.get(ChannelSetting("screen", "stdout"), Place(env={})), arrived)


@pytest.fixture
def program(tmp_path: Path) -> Screen:
    """A program that keeps the document it is given; what stands in its environment has to be the same."""
    script = tmp_path / "keep"
    script.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        f"open({str(tmp_path / 'got')!r}, 'wb').write(sys.stdin.buffer.read())\n"
        f"open({str(tmp_path / 'title')!r}, 'wb').write(os.environb[b'SCQ_TITLE'])\n"
    )
    script.chmod(0o755)

    def arrived() -> tuple[str, str]:
        found = json.loads((tmp_path / "got").read_bytes())
        assert found["title"] == (tmp_path / "title").read_text("utf-8")
        assert found["event"].isprintable()
        assert not [char for char in found["html"] if not (char.isprintable() or char in "\n\t")]
        return found["title"], found["text"]

    return Screen(channels.get(ChannelSetting("screen", "exec", command=(str(script),)), Place(env=os.environ)), arrived)


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[Screen]:
    with real_desktop(tmp_path) as shown:
        place = Place(env={"PATH": os.environ["PATH"], "DBUS_SESSION_BUS_ADDRESS": shown.address})

        def arrived() -> tuple[str, str]:
            (found,) = shown.shown
            assert "<" not in found.body
            return found.title, html.unescape(found.body)

        yield Screen(channels.get(ChannelSetting("screen", "desktop"), place), arrived)


@pytest.mark.parametrize("screen", ["stdout", "program", "desktop"])
@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_strangers_stay_one_title_and_visible_text(screen: str, words: str, request: pytest.FixtureRequest) -> None:
    target: Screen = request.getfixturevalue(screen)
    assert target.channel.usable() == ""
    target.channel.send(message(subject=f"Job: {words}", event=words, text=f"{words}\nend", html=words, recipient=words))
    title, text = target.arrived()
    assert title.startswith("Job:")
    assert title.isprintable()
    assert len(title) <= 200
    assert text.rstrip().endswith("end")
    assert not [char for char in text if not (char.isprintable() or char in "\n\t")]
