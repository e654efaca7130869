"""Mails about what is on Google Drive only say where it is, and offer nothing that cannot be done or must not be pasted."""

from __future__ import annotations

import email
import json
from collections.abc import Iterator
from email.policy import default
from pathlib import Path

import pytest

from tests import drive_world
from tests.drive_world import ALICE, OWNER
from tests.people import Person, syftbox
from tests.servers.drive import DriveServer

STRANGE = "`reboot`@evil.example"


@pytest.fixture
def server() -> Iterator[DriveServer]:
    with DriveServer() as server:
        yield server


@pytest.fixture
def owner(tmp_path: Path, server: DriveServer) -> Person:
    """The owner, who has looked before Alice made an inbox and put a job in it."""
    token = server.token_file(tmp_path / "token.json", OWNER, read_only=True)
    config = f"sandbox: none\ndrive_token_path: {token}\ndrive: {{endpoint: '{server.endpoint}'}}\n"
    owner = Person(tmp_path / "home", syftbox(tmp_path, OWNER), OWNER, config)
    owner.scq("check")
    inbox(server, ALICE, drive_world.pack(drive_world.message(drive_world.job("study"))))
    return owner


def inbox(server: DriveServer, sender: str, body: bytes = b"") -> None:
    folder = server.add_folder(sender, f"syft_datasite#0.10.0#{OWNER}#inbox#{sender}", share={OWNER: "writer"})
    if body:
        server.add_file(sender, drive_world.file_name(), folder, body)


def accept(server: DriveServer) -> None:
    """The owner accepts Alice with another client: nobody gets mails about jobs of strangers."""
    box = server.add_folder(OWNER, "SyftBox")
    server.add_file(OWNER, "SYFT_peers.json", box, json.dumps({ALICE: {"state": "accepted"}}).encode())


def mails(owner: Person, words: str) -> list[dict[str, str]]:
    """Text and HTML of the mails to the owner with these words in their subject."""
    read = [email.message_from_bytes(path.read_bytes(), policy=default) for path in (owner.home / "mailbox" / "new").iterdir()]
    return [
        {part.get_content_type(): str(part.get_content()) for part in mail.walk() if not part.is_multipart()}
        for mail in read
        if mail["to"] == OWNER and words in mail["subject"]
    ]


def test_a_mail_about_a_job_on_drive_says_where_it_is_and_does_not_offer_to_approve(owner: Person, server: DriveServer) -> None:
    accept(server)
    owner.scq("notify")
    (mail,) = mails(owner, "study")
    for text in (" ".join(part.split()) for part in mail.values()):
        assert "It is on Google Drive, not in the SyftBox folder yet: scq review" in text
        assert "scq approve" not in text
        assert "scq reject" not in text


def test_a_mail_that_is_sent_after_the_copy_came_says_so(owner: Person, server: DriveServer) -> None:
    accept(server)
    owner.scq("check")
    for change in drive_world.job("study"):
        place = owner.root / OWNER / change["path_in_datasite"]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(change["content"])
    owner.scq("notify")
    (mail,) = mails(owner, "study")
    for text in (" ".join(part.split()) for part in mail.values()):
        assert "It was on Google Drive when it was found: scq review" in text
        assert "scq approve" not in text


def test_a_mail_about_a_peer_says_how_to_answer(owner: Person) -> None:
    owner.scq("notify")
    (mail,) = mails(owner, "Peer Request")
    for text in mail.values():
        assert f"scq peers accept {ALICE}\n" in text
        assert f"scq peers reject {ALICE}" in text


def test_an_address_that_a_shell_would_run_is_in_no_command(owner: Person, server: DriveServer) -> None:
    inbox(server, STRANGE)
    owner.scq("notify")
    (mail,) = mails(owner, "evil.example")
    for text in mail.values():
        assert STRANGE in text
        assert "scq peers\n" in text or "scq peers</pre>" in text
        assert "scq peers accept" not in text
