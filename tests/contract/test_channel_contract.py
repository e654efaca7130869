"""What every channel promises, whatever it writes to."""

from __future__ import annotations

import mailbox
from collections.abc import Callable
from contextlib import closing
from email import policy
from email.message import EmailMessage
from email.message import Message as AnyMail
from email.parser import BytesParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq import channels
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Channel, Message

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


def maildir(tmp_path: Path) -> Target:
    path = tmp_path / "box"
    channel = channels.get(ChannelSetting("post", "file", str(path), "maildir"), Place(env={}))
    return Target(channel, lambda: list(mailbox.Maildir(path, create=False)))


def mbox(tmp_path: Path) -> Target:
    path = tmp_path / "box.mbox"
    channel = channels.get(ChannelSetting("post", "file", str(path), "mbox"), Place(env={}))

    def arrived() -> list[AnyMail]:
        with closing(mailbox.mbox(path, create=False)) as box:
            return list(box)

    return Target(channel, arrived)


@pytest.fixture(params=[maildir, mbox])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    made: Target = request.param(tmp_path)
    return made


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


def test_the_same_message_twice_is_there_once(target: Target) -> None:
    target.channel.send(message())
    target.channel.send(message())
    assert len(target.mails()) == 1


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
    assert caught.value.permanent


def test_an_owner_without_a_usable_address_can_still_write(target: Target) -> None:
    target.channel.send(message(sender="the owner\r\nX: y"))
    (mail,) = target.mails()
    assert str(mail["From"]) == "scq@localhost"
