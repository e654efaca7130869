"""What people read in the end: real calls, real jobs, and four real ways to tell them at once."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from tests.people import OWNER, SCIENTIST, SECOND, World
from tests.servers.google import Google, google_on_loopback
from tests.servers.http import Answer, HttpServer
from tests.servers.smtp import MailServer, mail_server, tls_context

HOST = "vault-4711"
STDERR = "patient 17 has a rare disease"
EVERY = "[mailbox, hook, relay, post]"
NAMES = {
    "line break": "two\r\nBcc: victim@x.org\r\n\r\nbody",
    "ANSI": "\x1b[2J\x1b]0;owned\x07red",
    "bidi": "\u202egnp.exe\u2066",
    "script": "<script>alert(1)</script>",
    "mention": "<!channel> @everyone",
    "long": "x" * 300,
    "list": "a,b@x",
    "shell": "$(touch pwned); `id` && scq approve 00000000",
}
COMMAND = re.compile(r'scq (review|reject|approve) [0-9a-f]{8}( --digest sha256:[0-9a-f]{64}| -r "…")?')


class Office:
    """An owner who is told over a mailbox, a webhook, a mail server and Gmail, and what arrived there."""

    def __init__(self, world: World, google: Google, hook: HttpServer, relay: MailServer, folder: Path) -> None:
        self.world, self.google, self.hook, self.relay = world, google, hook, relay
        self.box, self.token = folder / "box", folder / "token.json"
        google.token_file(self.token)
        world.owner.configure(
            f"""
sandbox: none
gmail_token_path: {self.token}
notify: {{max_per_run: 1000, max_per_hour_per_recipient: 1000}}
channels:
  mailbox: {{type: file, path: {self.box}, format: maildir}}
  hook: {{type: webhook, url: "{hook.url}/in"}}
  relay: {{type: smtp, host: localhost, port: {relay.port}, ca_file: {google.ca_file}}}
  post: {{type: gmail}}
routing:
  levels: {{info: {EVERY}, warning: {EVERY}, error: {EVERY}, critical: {EVERY}}}
"""
        )
        world.owner.scq("notify")

    def notify(self, code: int = 0) -> None:
        self.world.owner.scq("notify", code=code)

    def mails(self) -> dict[str, list[EmailMessage]]:
        """What every mail channel has taken so far, oldest first where the channel knows."""
        files = [path.read_bytes() for path in sorted((self.box / "new").iterdir())] if self.box.exists() else []
        raw = {"mailbox": files, "relay": self.relay.contents, "post": [row["mail"] for row in self.google.sent]}
        return {channel: [message_from_bytes(each, policy=default) for each in mails] for channel, mails in raw.items()}

    def documents(self) -> list[dict[str, Any]]:
        return [request.json() for request in self.hook.requests]

    def to(self, person: str, event: str, channel: str = "post", about: str = "") -> EmailMessage:
        """The one mail of an event to a person."""
        (found,) = (
            mail
            for mail in self.mails()[channel]
            if (mail["To"], mail["X-SCQ-Event"]) == (person, event) and about in text_of(mail)
        )
        return found


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    real = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((real[0], HOST, *real[2:])))
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)
    monkeypatch.setattr(socket, "getfqdn", lambda name="": f"{HOST}.example.org")
    with ExitStack() as stack:
        google = stack.enter_context(google_on_loopback(tmp_path, monkeypatch))
        hook = stack.enter_context(HttpServer(lambda request: Answer(204)))
        relay = stack.enter_context(mail_server("starttls", tls_context(google.authority)))
        yield Office(World(tmp_path / "world"), google, hook, relay, tmp_path)


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def html_of(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def everything(mail: EmailMessage) -> str:
    return "\n".join([*(f"{name}: {value}" for name, value in mail.items()), text_of(mail), html_of(mail)])


def commands(mail: EmailMessage) -> list[str]:
    return [row.strip() for row in text_of(mail).splitlines() if row.startswith("  scq ")]


def is_clean(text: str) -> bool:
    return all(char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs") for char in text)


def test_everybody_hears_what_concerns_him_and_the_submitter_nothing_of_the_owners_side(office: Office) -> None:
    world, owner = office.world, office.world.owner
    bad = world.submit("bad", f"echo '{STDERR}' >&2\necho $PWD >&2\nexit 3\n", a__py="import socket\n")
    good, third, fourth = (world.submit(name, "mkdir -p outputs\necho 1 > outputs/a.csv\n") for name in ("good", "held", "no"))
    office.notify()
    mail = office.to(OWNER, "job.received", about=f"scq review {bad[:8]}")
    digest = owner.job(bad)["digest"]
    told = text_of(mail)
    places = [told.index(word) for word in ("--- run.sh ---", "network", f"scq approve {bad[:8]}", "--- code/a.py ---")]
    assert places == sorted(places)
    assert digest in told
    assert digest in html_of(mail)
    assert commands(mail) == [
        f"scq review {bad[:8]}",
        f"scq approve {bad[:8]} --digest {digest}",
        f'scq reject {bad[:8]} -r "…"',
    ]
    owner.scq(*shlex.split(commands(mail)[1])[1:])
    for uid in (good, third):
        owner.scq("approve", uid)
    no = office.to(OWNER, "job.received", about=f"scq review {fourth[:8]}")
    owner.scq(*shlex.split(commands(no)[2].replace("…", "too broad"))[1:])
    office.notify()
    owner.scq("run-approved", code=None)
    office.notify()
    review = {uid: commands(office.to(OWNER, "outputs.withheld", about=f"scq release {uid[:8]}")) for uid in (good, third)}
    owner.scq(*shlex.split(review[good][1])[1:])
    owner.scq(*shlex.split(review[third][2].replace("…", "groups too small"))[1:])
    office.notify()
    rows = {row["key"]: row["state"] for row in owner.json("outbox", "list", "--all")["messages"]}
    assert set(rows.values()) == {"sent"}
    assert STDERR in text_of(office.to(OWNER, "job.failed"))
    assert "exit code" in text_of(office.to(SCIENTIST, "job.failed")).lower()
    assert "too broad" in text_of(office.to(SCIENTIST, "job.rejected"))
    assert "a.csv" in text_of(office.to(OWNER, "outputs.withheld", about=f"scq release {good[:8]}"))
    assert "a.csv" in text_of(office.to(SCIENTIST, "outputs.released"))
    assert "groups too small" in text_of(office.to(SCIENTIST, "results.withheld"))
    private = (STDERR, HOST, str(world.folder), str(world.folder.parent), "run-approved", SECOND, "Traceback")
    for channel, mails in office.mails().items():
        to_ds = [everything(mail) for mail in mails if mail["To"] == SCIENTIST]
        assert len(to_ds) == 4 + 3 + 1 + 3 + 2, channel
        assert [word for word in private for each in to_ds if word in each] == [], channel
    assert {document["role"] for document in office.documents()} == {"do"}, "a webhook is for the owner"
    assert {document["recipient"] for document in office.documents()} == {OWNER}


def test_later_mails_of_a_job_continue_its_conversation(office: Office) -> None:
    uid = office.world.ended("count", "exit 1\n")
    office.notify()
    other = office.world.ended("count 2", "exit 2\n")
    office.notify()
    mails = [(mail, sent["threadId"]) for mail, sent in zip(office.mails()["post"], office.google.sent, strict=True)]
    for job in (uid, other):
        mine = [(mail, thread) for mail, thread in mails if mail["To"] == OWNER and f"[scq {job[:8]}]" in mail["Subject"]]
        (first, began), *later = mine
        assert began == ""
        assert later
        number = next(index for index, (mail, _) in enumerate(mails, 1) if mail is first)
        for mail, thread in later:
            assert thread == f"thread-{number}"
            assert mail["In-Reply-To"] == mail["References"] == first["Message-ID"]
            assert mail["Subject"] == f"Re: {first['Subject']}"


def test_two_submitters_with_one_name_are_two_mails(office: Office) -> None:
    world = office.world
    uids = [world.submit("same"), world.submit("same", by=world.second)]
    office.notify()
    for mails in office.mails().values():
        found = {mail["Subject"]: text_of(mail) for mail in mails if mail["To"] == OWNER}
        assert len(found) == 2
        for uid, person in zip(uids, (SCIENTIST, SECOND), strict=True):
            (told,) = (text for text in found.values() if f"scq review {uid[:8]}" in text)
            assert person in told
        assert sorted(mail["To"] for mail in mails if mail["To"] != OWNER) == [SCIENTIST, SECOND]


def test_no_name_of_a_job_breaks_out_of_a_message(office: Office) -> None:
    world = office.world
    for number, name in enumerate(NAMES.values()):
        uid = world.submit(f"plain{number}", layout="a3")
        path = world.place(uid) / "metadata.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "name": name}))
    office.notify()
    usual = {"From", "To", "Date", "Message-ID", "Subject", "Auto-Submitted", "X-Auto-Response-Suppress", "MIME-Version"}
    usual |= {"X-SCQ-Event", "X-SCQ-Key", "X-SCQ-Run", "Content-Type", "Content-Transfer-Encoding", "In-Reply-To", "References"}
    for channel, mails in office.mails().items():
        assert len(mails) == 2 * len(NAMES), channel
        for mail in mails:
            assert set(mail.keys()) <= usual
            assert mail["To"] in (OWNER, SCIENTIST)
            assert len(mail["Subject"]) <= 150
            assert re.search(r"\[scq [0-9a-f]{8}\]$", mail["Subject"])
            assert is_clean(mail["Subject"] + text_of(mail) + html_of(mail))
            assert "<script>alert" not in html_of(mail)
            if mail["To"] == OWNER:
                assert [row for row in commands(mail) if not COMMAND.fullmatch(row)] == []
                assert len(commands(mail)) == 3
    assert {tuple(envelope.rcpt_tos) for envelope in office.relay.envelopes} == {(OWNER,), (SCIENTIST,)}
    assert len(office.documents()) == len(NAMES)
    for document in office.documents():
        assert is_clean(document["title"] + document["text"] + "".join(document["words"].values()))
        assert "\n" not in document["words"]["name"]
    assert not list(world.folder.rglob("pwned"))


def test_a_dead_sign_in_is_told_over_the_others_and_the_waiting_mail_follows_a_new_one(office: Office) -> None:
    world, google = office.world, office.google
    google.token_file(office.token, expiry="2001-01-01T00:00:00.000000Z", refresh_token="revoked")
    world.submit("count")
    office.notify(code=77)
    assert google.sent == []
    assert "job.received" in [document["event"] for document in office.documents()]
    (told,) = (document for document in office.documents() if document["event"] == "auth.failed")
    assert "scq auth google" in told["text"]
    assert "revoked" not in told["text"].replace("expired or revoked", "")
    status = world.owner.scq("status", code=None)
    assert "post" in status.out + status.err
    assert "sign" in (status.out + status.err).lower()
    google.token_file(office.token)
    office.notify()
    assert sorted((mail["To"], mail["X-SCQ-Event"]) for mail in office.mails()["post"]) == [
        (OWNER, "job.received"),
        (SCIENTIST, "job.received"),
    ]
    assert len(office.mails()["relay"]) == len({mail["X-SCQ-Key"] for mail in office.mails()["relay"]}) == 3
    after = world.owner.scq("status", code=None)
    assert "channel post" not in after.out + after.err
