"""An owner who looks at a loopback Drive again and again, and a sender who puts messages there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from scq.drive import poll as look
from scq.drive.connection import Drive
from scq.drive.poll import Poll
from scq.signin.accounts import drive_access
from scq.state import DriveMemory
from tests.drive_world import ALICE, AT, NAMES, OWNER, file_name, job, message, pack
from tests.servers.drive import DriveServer

NOW = datetime.fromtimestamp(AT, UTC) + timedelta(hours=1)


def peer_folder(kind: str = "inbox", peer: str = ALICE, version: str = "0.10.0") -> str:
    return f"syft_datasite#{version}#{OWNER}#{kind}#{peer}"


def numbered(number: float) -> str:
    """Name of the message that was sent so many seconds after the first."""
    return file_name(AT + number, str(UUID(int=uuid5(NAMES, str(number)).int)))


class Scene:
    """`memory` is what the last look left. The waits of a Drive that is asked again take no time."""

    def __init__(self, server: DriveServer, home: Path) -> None:
        self.server = server
        self.memory = DriveMemory()
        self.now = NOW
        self.lines: list[str] = []
        self.sent = 0
        self.seconds = 60.0
        self.clock = 0.0
        self.message_bytes = 1 << 20
        token = server.token_file(home / "token.json", OWNER, read_only=True)
        self.access = drive_access(str(token), str(home), OWNER, {}, changes=False)
        self.inbox = server.add_folder(ALICE, peer_folder(), share={OWNER: "writer"}, created=AT)

    @contextmanager
    def drive(self, budget: float) -> Iterator[Drive]:
        def wait(seconds: float) -> None:
            self.clock += seconds

        with Drive(self.access, endpoint=self.server.endpoint, budget=budget, clock=lambda: self.clock, sleep=wait) as drive:
            yield drive

    def look(self, *, full: bool = False, me: str = OWNER) -> Poll:
        """Look and remember; the calls of this look are counted from nothing."""
        self.server.forget_calls()
        with self.drive(self.seconds) as drive:
            found = look.poll(
                drive,
                self.memory,
                me=me,
                now=self.now,
                full=full,
                message_bytes=self.message_bytes,
                unpacked_bytes=1 << 20,
                progress=self.lines.append,
            )
        self.memory = found.memory
        return found

    def methods(self) -> list[str]:
        return [call.method for call in self.server.calls]

    def put(self, content: bytes | str = "study", *, name: str = "", box: str = "", by: str = ALICE) -> str:
        """The id of a new message: of a job with this name, or with this body."""
        self.sent += 1
        body = content if isinstance(content, bytes) else pack(message(job(content, sender=by), sender=by))
        return self.server.add_file(by, name or numbered(self.sent), box or self.inbox, body, created=AT + self.sent)

    def answers(self, **words: str) -> str:
        """The id of the owner's list of answers, in a SyftBox folder of its own."""
        box = self.server.add_folder(OWNER, "SyftBox")
        return self.server.add_file(OWNER, "SYFT_peers.json", box, listed(**words), mime="text/plain")

    def verdict(self, key: str) -> str:
        return self.memory.messages[key].verdict


def listed(**words: str) -> bytes:
    """A list of answers; names stand for addresses at uni.example."""
    return json.dumps({f"{name}@uni.example": {"state": word} for name, word in words.items()}).encode()


def names(found: Poll) -> list[str]:
    return [one.name for one in found.jobs]


def said(found: Poll) -> str:
    return "\n".join(f"{one.where}: {one.what} [{one.advice}]" for one in found.problems)


def incomplete(answer: Any) -> Any:
    return {**answer, "incompleteSearch": True}


def without_parents(answer: Any) -> Any:
    """A list of changes that does not say where anything lies."""
    for change in answer["changes"]:
        change.get("file", {}).pop("parents", None)
    return answer
