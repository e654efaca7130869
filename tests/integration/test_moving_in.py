"""An owner moves from older software to scq: what was told there is not told again, what is new is, nothing is approved by it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.people import OWNER, SCIENTIST, World
from tests.servers.drive import DriveServer
from tests.unit.library.test_state_manager import older

KNOWN, ACCEPTED, NEW = "known@uni.example", "accepted@uni.example", "new@uni.example"


class Move:
    """A machine on which syft-bg told of two jobs and two peers, and scq comes next."""

    def __init__(self, folder: Path, server: DriveServer) -> None:
        self.world = World(folder)
        self.server = server
        self.box = folder / "box"
        shutil.rmtree(self.world.owner.home)
        self.waiting = self.world.submit("waiting")
        self.over = self.world.submit("over")
        for peer in (KNOWN, ACCEPTED):
            self.ask(peer)
        self.answer(ACCEPTED)
        place = folder / "home" / ".syft-bg"
        (place / "notify").mkdir(parents=True)
        server.token_file(place / "token.json", OWNER, read_only=True)
        (place / "config.yaml").write_text(
            f"do_email: {OWNER}\nsyftbox_root: {self.world.root}\ndrive_token_path: token.json\n"
            "notify: {interval: 5, monitor_jobs: true, monitor_peers: true}\n"
            "approve: {auto_approvals: {enabled: true, objects: {every: {peers: [], file_contents: []}}}}\n"
        )
        marks = {"waiting": ["new"], "over": ["new", "approved", "executed"], f"peer_granted_{ACCEPTED}": ["peer_granted"]}
        state = older(notified_jobs=marks, peer_snapshot=[KNOWN, ACCEPTED], thread_ids={"waiting": "18c2f"})
        (place / "notify" / "state.json").write_text(json.dumps(state))
        self.env = {"HOME": str(folder / "home")}

    def ask(self, peer: str) -> None:
        for kind in ("inbox", "outbox"):
            self.server.add_folder(peer, f"syft_datasite#0.10.0#{OWNER}#{kind}#{peer}", share={OWNER: "writer"})

    def answer(self, *peers: str) -> None:
        content = json.dumps({peer: {"state": "accepted"} for peer in peers}).encode()
        known = self.server.find("SYFT_peers.json", OWNER)
        if known:
            self.server.touch(known[0].id, content)
        else:
            self.server.add_file(OWNER, "SYFT_peers.json", self.server.add_folder(OWNER, "SyftBox"), content)

    def moved(self) -> dict[str, Any]:
        report: dict[str, Any] = self.world.owner.json("init", "--import", "auto")
        rest = {
            "sandbox": "none",
            "drive": {"endpoint": self.server.endpoint, "timeout": 20},
            "channels": {"post": {"type": "file", "path": str(self.box)}},
        }
        with (self.world.owner.home / "config.yaml").open("a") as file:
            file.write("\n".join(f"{name}: {json.dumps(value)}" for name, value in rest.items()) + "\n")
        return report

    def told(self) -> set[tuple[str, str, str]]:
        """(event, job or peer, recipient) of what a cycle tells."""
        rows = self.world.owner.json("cycle")["messages"]
        return {(row["kind"], row["job"], row["recipient"]) for row in rows}


@pytest.fixture
def move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Move]:
    with DriveServer() as server:
        found = Move(tmp_path, server)
        monkeypatch.setenv("HOME", found.env["HOME"])
        yield found


def test_nothing_of_the_past_is_told_and_what_is_new_is(move: Move) -> None:
    move.moved()
    assert move.told() == set()
    fresh = move.world.submit("fresh")
    move.ask(NEW)
    assert move.told() == {
        ("job.received", fresh, OWNER),
        ("job.received", fresh, SCIENTIST),
        ("peer.requested", "", OWNER),
    }
    assert move.told() == set()


def test_what_happens_to_an_old_job_is_told(move: Move) -> None:
    move.moved()
    move.world.owner.scq("cycle")
    move.world.owner.scq("reject", move.waiting, "-r", "no")
    assert ("job.rejected", move.waiting, SCIENTIST) in move.told()


def test_rules_and_approvals_stay_behind_and_this_is_said(move: Move) -> None:
    report = move.moved()["imported"]
    assert report["from"].endswith(".syft-bg/config.yaml")
    left = {entry["where"]: entry["what"] for entry in report["left"]}
    assert "1 rule for automatic approval" in left["approve"]
    assert any("approvals were not taken over" in what for what in left.values())
    move.world.owner.scq("cycle")
    assert {job["name"]: job["status"] for job in move.world.owner.json("list")["jobs"]} == {
        "waiting": "pending",
        "over": "pending",
    }


def test_a_later_job_under_a_name_that_was_told_there_is_news(move: Move) -> None:
    shutil.rmtree(move.world.place(move.over))
    move.moved()
    assert move.told() == set()
    again = move.world.submit("over")
    assert ("job.received", again, OWNER) in move.told()
