"""`JobMonitor` and `PeerMonitor` with Google Drive: each tells its half, and neither swallows what the other has to tell."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import scq as q
from scq.library.verbs import ProblemWarning
from tests.drive_world import job, message, pack
from tests.servers.drive import DriveServer
from tests.unit.drive.looking import numbered
from tests.unit.library.test_senders import Recording

ME = "owner@hospital.example"
ALICE = "alice@uni.example"
BOB = "bob_smith@lab.example"


class Desk:
    """An owner with a SyftBox folder, a Drive and one sender for all messages."""

    def __init__(self, folder: Path, server: DriveServer) -> None:
        self.server = server
        self.root = folder / "SyftBox"
        (self.root / ME).mkdir(parents=True)
        self.home = folder / "home"
        self.home.mkdir()
        self.token = server.token_file(self.home / "token_do.json", ME, read_only=True)
        self.config = {"sandbox": "none", "drive": {"endpoint": server.endpoint, "timeout": 20}}
        (self.home / "config.yaml").write_text(json.dumps(self.config))
        self.sender = Recording()
        self.sent = 0

    @property
    def state(self) -> q.JsonStateManager:
        return q.JsonStateManager(self.home / "state.json")

    def jobs(self, **options: Any) -> q.JobMonitor:
        return q.JobMonitor(self.root, ME, self.sender, self.state, **options)

    def peers(self, **options: Any) -> q.PeerMonitor:
        return q.PeerMonitor(ME, None, self.sender, self.state, **options)

    def ask(self, peer: str) -> str:
        """A request as a client makes it: the id of the inbox."""
        inbox, _ = [
            self.server.add_folder(peer, f"syft_datasite#0.10.0#{ME}#{kind}#{peer}", share={ME: "writer"})
            for kind in ("inbox", "outbox")
        ]
        return inbox

    def submit(self, name: str, inbox: str, peer: str = ALICE) -> None:
        self.sent += 1
        self.server.add_file(peer, numbered(self.sent), inbox, pack(message(job(name, sender=peer), sender=peer)))

    def answer(self, **states: str) -> None:
        """What another client of the owner wrote; the part of an address before the `@` stands for it."""
        words = {address: {"state": states[key]} for key, address in (("alice", ALICE), ("bob", BOB)) if key in states}
        box = self.server.find("SyftBox", ME)
        place = box[0].id if box else self.server.add_folder(ME, "SyftBox")
        known = self.server.find("SYFT_peers.json", ME)
        content = json.dumps(words, indent=2).encode()
        if known:
            self.server.touch(known[0].id, content)
        else:
            self.server.add_file(ME, "SYFT_peers.json", place, content)

    def told(self) -> list[tuple[str, str]]:
        """(method, recipient) of what was sent since the last call."""
        found = [(name, arguments[0]) for name, arguments, _ in self.sender.calls]
        self.sender.calls.clear()
        return sorted(found)


@pytest.fixture
def server() -> Iterator[DriveServer]:
    with DriveServer() as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, server: DriveServer) -> Desk:
    return Desk(tmp_path, server)


NEW_JOB = ("notify_new_job", ME)
RECEIVED = ("send_email", ALICE)
REQUEST = ("notify_new_peer_request_to_do", ME)


def test_a_request_and_a_grant_are_told_once(desk: Desk) -> None:
    monitor = desk.peers()
    monitor.check()
    assert desk.told() == []
    desk.ask(ALICE)
    monitor.check()
    assert desk.told() == [REQUEST]
    monitor.check()
    desk.answer(alice="accepted")
    monitor.check()
    assert desk.told() == [("notify_peer_request_granted", ALICE)]
    monitor.check()
    monitor.notify_peer_granted(ALICE)
    assert desk.told() == []
    assert desk.state.was_notified(f"peer_granted_{ALICE}", "peer_granted")


def test_the_submitter_hears_of_the_request_where_that_is_wanted(desk: Desk) -> None:
    monitor = desk.peers(config={"notify": {"events": {"peer.request_seen": "ds"}}})
    monitor.check()
    desk.ask(ALICE)
    monitor.check()
    assert desk.told() == [REQUEST, ("notify_peer_request_sent", ALICE)]


def test_a_job_on_drive_is_told_before_it_is_in_the_folder(desk: Desk) -> None:
    inbox = desk.ask(ALICE)
    desk.answer(alice="accepted")
    monitor = desk.jobs()
    monitor.check()
    assert desk.told() == []
    desk.submit("income", inbox)
    monitor.check()
    assert desk.told() == [NEW_JOB, RECEIVED]
    monitor.check()
    assert desk.told() == []


@pytest.mark.parametrize("jobs_first", [True, False])
def test_neither_swallows_what_the_other_has_to_tell(desk: Desk, jobs_first: bool) -> None:
    jobs, peers = desk.jobs(), desk.peers()
    for monitor in (jobs, peers):
        monitor.check()
    inbox = desk.ask(ALICE)
    desk.submit("income", inbox)
    order = [(jobs, []), (peers, [REQUEST])]
    for monitor, news in order if jobs_first else reversed(order):
        monitor.check()
        assert desk.told() == news
    desk.answer(alice="accepted")
    desk.submit("second", inbox)
    order = [(jobs, [NEW_JOB, NEW_JOB, RECEIVED, RECEIVED]), (peers, [("notify_peer_request_granted", ALICE)])]
    for monitor, news in order if jobs_first else reversed(order):
        monitor.check()
        assert desk.told() == news
    for monitor in (jobs, peers):
        monitor.check()
    assert desk.told() == []


def test_both_at_work_at_once_tell_everything_once(desk: Desk) -> None:
    monitors = (desk.jobs(), desk.peers())
    for monitor in monitors:
        monitor.check()
    desk.answer(alice="accepted")
    inboxes = {peer: desk.ask(peer) for peer in (ALICE, BOB)}
    desk.submit("income", inboxes[ALICE])
    desk.submit("prices", inboxes[ALICE])
    state, waiting = desk.state, threading.Event()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for monitor in monitors:
            monitor.start(0.01)
        for _ in range(3000):
            peers = [state.was_notified(f"peer_new_{BOB}_to_do", "new_peer_request")]
            if all((*peers, *(state.was_notified(name, "new") for name in ("income", "prices")))):
                break
            waiting.wait(0.01)
        for monitor in monitors:
            monitor.stop()
    assert desk.told() == sorted([NEW_JOB, NEW_JOB, RECEIVED, RECEIVED, REQUEST, ("notify_peer_request_granted", ALICE)])


def test_the_documented_switches_of_peers_are_obeyed(desk: Desk) -> None:
    monitor = desk.peers(config={"notify_on_new_peer": False, "notify_on_peer_granted": False})
    monitor.check()
    desk.ask(ALICE)
    monitor.check()
    desk.answer(alice="accepted")
    monitor.check()
    assert desk.told() == []


def test_without_notifications_peers_are_looked_at_and_remembered_only(desk: Desk) -> None:
    desk.ask(ALICE)
    desk.peers(notifications=False).check()
    known = json.loads((desk.home / "state.json").read_text())
    assert known["peers"][ALICE]["state"] == "pending"
    assert "outbox" not in known


def test_a_sign_in_is_found_in_the_folder_of_credentials(desk: Desk, no_real_home: Path) -> None:
    desk.token.unlink()
    usual = no_real_home / ".syft-creds"
    usual.mkdir()
    desk.server.token_file(usual / "token_do.json", ME, read_only=True)
    monitor = desk.peers()
    monitor.check()
    desk.ask(ALICE)
    monitor.check()
    assert desk.told() == [REQUEST]


def test_a_sign_in_that_is_named_is_used_and_never_changed(desk: Desk, tmp_path: Path) -> None:
    desk.token.unlink()
    token = desk.server.token_file(tmp_path / "theirs.json", ME)
    before = token.read_bytes()
    monitor = q.PeerMonitor(ME, token, desk.sender, desk.state)
    monitor.check()
    desk.ask(ALICE)
    desk.server.expire(ME)
    monitor.check()
    assert desk.told() == [REQUEST]
    assert token.read_bytes() == before


def test_a_sign_in_that_is_named_and_not_there_is_told(desk: Desk, tmp_path: Path) -> None:
    with pytest.warns(ProblemWarning, match=r"nothing.json: no such file, so Google Drive is not looked at"):
        desk.jobs(drive_token_path=tmp_path / "nothing.json").check()


def test_peers_cannot_be_looked_for_without_a_sign_in(desk: Desk) -> None:
    desk.token.unlink()
    monitor = desk.peers()
    with pytest.warns(ProblemWarning, match="no sign-in for Google Drive"):
        monitor.check()
    monitor.notify_peer_granted(ALICE)
    assert desk.told() == [("notify_peer_request_granted", ALICE)]


def test_a_sign_in_that_was_taken_back_does_not_end_the_watch(desk: Desk) -> None:
    monitor = desk.peers()
    monitor.check()
    desk.server.revoke(ME)
    with pytest.warns(ProblemWarning, match="PeerMonitor: "):
        monitor.check()
    desk.ask(ALICE)
    desk.server.token_file(desk.token, ME)
    monitor.check()
    assert REQUEST in desk.told()
