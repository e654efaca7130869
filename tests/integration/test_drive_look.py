"""One look at a Drive that real clients filled: the reports are those of the golden data, over real requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scq import peers
from scq.config_values import Config, Drive
from scq.context import Context
from scq.drive.names import message_of
from scq.drive.poll import Poll
from scq.polling import poll
from scq.state import DriveMemory, State
from tests.golden import ROOT
from tests.servers.drive import DriveServer

OWNER = "owner@hospital.example"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LAYOUTS = {"v1": "c1", "v0": "c0", "by_submitter": "b2", "flat": "b1", "status_dir": "b0"}
SCENARIOS = sorted(path.parent.name for path in (ROOT / "drive").glob("*/expected.json"))


class Owner:
    """The owner's calls, one after the other, each with the memory that the one before left."""

    def __init__(self, server: DriveServer, home: Path, **settings: Any) -> None:
        token = server.token_file(home / "token_do.json", OWNER, read_only=True)
        drive = Drive(endpoint=server.endpoint, **settings)
        self.now = NOW
        self.memory = DriveMemory()
        self.ctx = Context(Config(email=OWNER, drive_token_path=str(token), drive=drive), str(home), env={}, now=lambda: self.now)

    def look(self, *, full: bool = False) -> Poll:
        found = poll(self.ctx, State(drive=self.memory), full=full)
        assert found is not None
        assert found.failure is None, (found.failure, found.failure.advice)
        self.memory = found.memory
        self.now += timedelta(minutes=1)
        return found


@pytest.fixture
def server() -> Iterator[DriveServer]:
    with DriveServer() as running:
        yield running


def reported(found: Poll) -> list[tuple[str, str, str, str, datetime | None]]:
    return sorted(
        (one.messages[0], one.name, one.submitter, one.layout, one.submitted_at) for one in found.jobs if one.where == "drive"
    )


def wanted(expected: dict[str, Any]) -> list[tuple[str, str, str, str, datetime | None]]:
    rows = []
    for job in expected["jobs"]:
        name = message_of(job["message"])
        assert name is not None
        sent = datetime.fromisoformat(job["submitted_at"]) if job["submitted_at"] else name.at
        rows.append((job["message_id"], job["job_name"], job["submitter"], LAYOUTS[job["layout"]], sent))
    return sorted(rows)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_golden_drive_is_read_as_a_correct_reader_must(scenario: str, server: DriveServer, tmp_path: Path) -> None:
    expected = json.loads((ROOT / "drive" / scenario / "expected.json").read_text("utf-8"))
    owner = Owner(server.load(ROOT / "drive" / scenario), tmp_path)
    first = owner.look()
    looks = [first, owner.look(), owner.look()]  # a damaged message is given up after three
    assert reported(first) == wanted(expected)
    assert not any(later.jobs for later in looks[1:]), "a job is read once"

    verdicts = {key: message.verdict for key, message in owner.memory.messages.items()}
    assert {key for key, word in verdicts.items() if word == "jobs"} == {job["message_id"] for job in expected["jobs"]}
    others = {owner.memory.messages[key].name for key, word in verdicts.items() if word == "other"}
    assert others == set(expected["non_job_messages"])
    assert {key for key, word in verdicts.items() if word in ("sealed", "damaged")} == {
        message["message_id"] for message in expected["unreadable_messages"]
    }
    assert sum(len(look.problems) for look in looks) == len(expected["unreadable_messages"]), "each is told once"
    assert all(look.source.ok and look.source.complete for look in looks)

    known = peers.now_known(owner.memory.folders, owner.memory.states, {}, NOW, complete=True)
    for state, key in (("pending", "peer_requests"), ("accepted", "peers_accepted"), ("rejected", "peers_rejected")):
        assert sorted(address for address, peer in known.items() if peer.state == state) == sorted(expected[key])
    asked = [address for address, peer in known.items() if peer.state in ("requested", "connected")]
    assert sorted(asked) == sorted(expected["peers_requested_by_reader"])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_an_idle_look_at_every_golden_drive_is_one_call(scenario: str, server: DriveServer, tmp_path: Path) -> None:
    owner = Owner(server.load(ROOT / "drive" / scenario), tmp_path)
    for _ in range(4):
        owner.look()
    server.forget_calls()
    before = owner.memory
    found = owner.look()
    assert [call.method for call in server.calls] == ["changes.list"]
    assert (found.memory, found.full, found.jobs, found.problems) == (before, False, (), ())


def test_a_thousand_idle_looks_are_a_thousand_calls(server: DriveServer, tmp_path: Path) -> None:
    box = server.add_folder("alice@uni.example", f"syft_datasite#0.10.0#{OWNER}#inbox#alice@uni.example", share={OWNER: "writer"})
    owner = Owner(server, tmp_path, full_scan_every=86_400.0 * 30)
    owner.look()
    server.forget_calls()
    for number in range(1000):
        if number == 500:
            server.expire(OWNER)
        owner.look()
    assert server.count("changes.list") == 1001  # one was refused, for the sake of its access token
    assert server.count() == 1001
    assert server.refreshes == 1
    assert box in owner.memory.folders
