"""Whatever happens on a Drive, and whatever goes wrong in between: following the changes leads to what a full look shows."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scq.drive.poll import Poll
from scq.errors import BusyError
from scq.state import DriveMemory
from tests.drive_world import ALICE, CAROL, OWNER, change, job, message, pack
from tests.servers.drive import DriveServer, Fault
from tests.unit.drive.looking import Scene, listed, numbered, peer_folder

BODIES = {
    "job": pack(message(job("study"))),
    "other job": pack(message(job("other"))),
    "two jobs": pack(message([*job("one"), *job("two")])),
    "no job": pack(message([change("notes.txt", "hello")])),
    "sealed": b"SYC2" + bytes(99),
    "damaged": b"no gzip",
}
PLACES = ("inbox", "second inbox", "outbox", "archive", "elsewhere", "carol")


class Life:
    """Everything that may happen on a Drive, by words that Hypothesis chooses."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.server = scene.server
        self.messages: list[str] = []
        self.answers = ""
        self.jobs: dict[str, set[str]] = {}
        """Names of the jobs that were told and are not over, by message."""
        shared = {OWNER: "writer"}
        self.places = {
            "inbox": scene.inbox,
            "second inbox": self.server.add_folder(ALICE, peer_folder(version="0.9.9"), share=shared),
            "outbox": self.server.add_folder(ALICE, peer_folder("outbox"), share=shared),
            "archive": self.server.add_folder(OWNER, f"syft_{ALICE}_to_{OWNER}_archive"),
            "elsewhere": self.server.add_folder(ALICE, "private things"),
            "carol": self.server.add_folder(CAROL, peer_folder(peer=CAROL), share=shared),
        }

    def put(self, place: str, body: str) -> None:
        by = CAROL if place == "carol" else ALICE
        self.messages.append(self.scene.put(BODIES[body], box=self.places[place], by=by))

    def change(self, number: int, how: str, place: str, body: str) -> None:
        if not self.messages:
            return
        key = self.messages[number % len(self.messages)]
        match how:
            case "trash" | "untrash":
                self.server.trash(key, how == "trash")
            case "move":
                self.server.move(key, self.places[place])
            case "rename":
                self.server.touch(key, name=numbered(500 + number))
            case "spoil":
                self.server.touch(key, name="msgv2_some_day.tar.gz")
            case "touch":
                self.server.touch(key)
            case "rewrite":
                self.server.touch(key, BODIES[body])
            case "remove":
                self.server.remove(key)
                self.messages.remove(key)

    def folder(self, place: str, how: str) -> None:
        key = self.places[place]
        match how:
            case "trash" | "untrash":
                self.server.trash(key, how == "trash")
            case "unshare" | "share":
                self.server.share(key, OWNER, "writer" if how == "share" else "")
            case "rename":
                self.server.touch(key, name=f"was {place}")
            case "name":
                self.server.touch(key, name=peer_folder(peer=CAROL if place == "carol" else ALICE))

    def answer(self, how: str, word: str) -> None:
        if how == "new" or not self.answers:
            self.answers = self.scene.answers(alice=word)
        elif how == "write":
            self.server.touch(self.answers, listed(alice=word, carol="rejected"))
        else:
            self.server.trash(self.answers, how == "trash")

    def trouble(self, method: str, skip: int, kind: str) -> None:
        faults = {
            "half": Fault("files.list", edit=lambda answer: {**answer, "files": answer["files"][:1], "incompleteSearch": True}),
            "late": Fault(method, status=503, retry_after="3600", skip=skip),
            "lost": Fault("files.get_media", status=500, times=5, skip=skip),
        }
        self.server.faults.append(faults[kind])
        with suppress(BusyError):  # the memory is as it was, and the next look begins where this one began
            self.look(kind == "half")
        self.server.faults.clear()

    def look(self, full: bool) -> Poll:
        found = self.scene.look(full=full)
        for key in found.gone:
            self.jobs.pop(key, None)
        for one in found.jobs:
            assert one.submitter == self.server.item(one.messages[0]).owner
            self.jobs.setdefault(one.messages[0], set()).add(one.name)
        return found


WHERE, BODY = st.sampled_from(PLACES), st.sampled_from(sorted(BODIES))
HOW = st.sampled_from(["trash", "untrash", "move", "move", "rename", "spoil", "touch", "rewrite", "remove"])
STEPS = st.one_of(
    st.tuples(st.just("put"), WHERE, BODY),
    st.tuples(st.just("change"), st.integers(0, 9), HOW, WHERE, BODY),
    st.tuples(st.just("folder"), WHERE, st.sampled_from(["trash", "untrash", "unshare", "share", "rename", "name"])),
    st.tuples(
        st.just("answer"), st.sampled_from(["new", "write", "trash", "untrash"]), st.sampled_from(["accepted", "rejected"])
    ),
    st.tuples(
        st.just("trouble"),
        st.sampled_from(["changes.list", "files.*"]),
        st.integers(0, 3),
        st.sampled_from(["half", "late", "lost"]),
    ),
    st.tuples(st.just("look"), st.booleans()),
)


def known(memory: DriveMemory) -> tuple[object, ...]:
    messages = {key: (one.folder, one.name, one.md5, one.verdict) for key, one in memory.messages.items()}
    return memory.folders, messages, memory.states, memory.peers_file


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(STEPS, max_size=25))
def test_following_the_changes_leads_to_what_a_full_look_shows(steps: list[tuple[Any, ...]]) -> None:
    with DriveServer() as server, TemporaryDirectory() as home:
        life = Life(Scene(server, Path(home)))
        for step in steps:
            getattr(life, step[0])(*step[1:])
        for _ in range(3):  # a damaged message is given up after three looks
            assert life.look(False).source.ok
        followed, told = life.scene.memory, life.jobs

        life.scene.memory, life.jobs = DriveMemory(), {}
        for _ in range(3):
            life.look(False)
        assert known(followed) == known(life.scene.memory)
        assert told == life.jobs
