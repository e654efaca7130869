"""Peers on a Drive on loopback, by the command line: who asks, accepting as the clients do it, and every way it can go wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import golden
from tests.people import Person
from tests.servers.drive import DriveServer, Fault
from tests.servers.drive_store import Item

ME = "owner@hospital.example"
ALICE = "alice@uni.example"
BOB = "bob_smith@lab.example"
CAROL = "carol@uni.example"
DAVE = "dave@inst.example"
PEERS, VERSION = "SYFT_peers.json", "SYFT_version.json"
STATES = golden.ROOT / "drive"
needs_golden = pytest.mark.skipif(not STATES.is_dir(), reason="needs the golden states of Drive")


class Owner(Person):
    """A data owner with a Drive."""

    def __init__(self, folder: Path, server: DriveServer) -> None:
        root = folder / "SyftBox"
        (root / ME).mkdir(parents=True)
        super().__init__(folder / "home", root, ME)
        self.server = server
        self.use()
        self.sign_in()

    def use(self, **drive: Any) -> None:
        """Other settings of the `drive` group."""
        self.configure("sandbox: none\ndrive: " + json.dumps({"endpoint": self.server.endpoint, "timeout": 20} | drive))

    def sign_in(self, **how: Any) -> None:
        self.server.token_file(self.home / "token_do.json", ME, **how)

    def peers(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """The peer objects by address."""
        return {peer["address"]: peer for peer in self.json("peers", "list", *arguments)["peers"]}

    def states(self, *arguments: str) -> dict[str, str]:
        return {address: peer["state"] for address, peer in self.peers(*arguments).items()}

    def told(self, kind: str = "peer.granted") -> list[str]:
        """Who is or was told of such an event."""
        return sorted(row["recipient"] for row in self.state().get("outbox", {}).values() if row["kind"] == kind)

    def answers(self) -> dict[str, str]:
        """What is written down and not done."""
        found: dict[str, str] = self.state().get("drive", {}).get("answers", {})
        return found

    def file(self, name: str = PEERS) -> Any:
        """One of the owner's JSON files on Drive."""
        (item,) = self.server.find(name, ME)
        assert item.content is not None
        return json.loads(item.content)

    def made(self) -> dict[str, dict[str, str]]:
        """What the owner has on Drive: by name, who else may do what with it."""
        return {item.name: roles(self.server, item.name) for item in everything_of(self.server, ME)}

    def audited(self) -> list[tuple[str, str]]:
        path = self.home / "audit.jsonl"
        rows = [json.loads(text)["row"] for text in path.read_text().splitlines()] if path.exists() else []
        return [(row["what"], row["detail"]) for row in rows if row["what"].startswith("peer-")]


def everything_of(server: DriveServer, address: str) -> list[Item]:
    """All files and folders of an account, but for the top of its Drive."""
    return [item for item in server.store.items.values() if item.owner == address and not item.is_root]


@pytest.fixture
def server() -> Iterator[DriveServer]:
    with DriveServer() as running:
        yield running


@pytest.fixture
def owner(tmp_path: Path, server: DriveServer) -> Owner:
    return Owner(tmp_path, server)


def name_of(version: str, datasite: str, kind: str, peer: str) -> str:
    return "#".join(("syft_datasite", *([version] if version else []), datasite, kind, peer))


def asked(server: DriveServer, peer: str, version: str = "0.10.0", me: str = ME, created: float = 1795248800.0) -> list[str]:
    """The two folders a client makes to ask."""
    names = [name_of(version, me, kind, peer) for kind in ("inbox", "outbox")]
    return [server.add_folder(peer.lower(), name, share={ME: "writer"}, created=created) for name in names]


def asked_of_old(server: DriveServer, peer: str) -> None:
    """The same by a client before 0.1.102."""
    for one, other in ((peer, ME), (ME, peer)):
        server.add_folder(peer, f"syft_outbox_inbox_{one}_to_{other}", share={ME: "writer"})


def box(server: DriveServer) -> str:
    """Id of the owner's SyftBox folder."""
    found = server.find("SyftBox", ME)
    return found[0].id if found else server.add_folder(ME, "SyftBox")


def answered(server: DriveServer, text: str | dict[str, Any]) -> str:
    """The owner's list of answers as a client left it."""
    content = text if isinstance(text, str) else json.dumps(text, indent=2)
    return server.add_file(ME, PEERS, box(server), content.encode(), mime="text/plain")


def roles(server: DriveServer, name: str) -> dict[str, str]:
    """Who may do what with the one item of the owner that is called so, but for the owner."""
    (item,) = server.find(name, ME)
    return {address: grant.role for address, grant in item.permissions.items() if grant.role != "owner"}


@pytest.fixture
def five(server: DriveServer) -> DriveServer:
    """A peer in each state."""
    answered(server, {ALICE: {"state": "accepted"}, BOB: {"state": "rejected"}, DAVE: {"state": "requested_by_me"}})
    for peer in (ALICE, BOB, CAROL):
        asked(server, peer)
    return server


class TestLooking:
    def test_a_request_is_listed(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        assert owner.states() == {ALICE: "pending"}
        answer = owner.scq("peers")
        assert [word in answer.out for word in (ALICE, "pending", "0.10.0")] == [True, True, True]

    def test_every_state_is_listed_and_can_be_chosen(self, owner: Owner, five: DriveServer) -> None:
        assert owner.states() == {ALICE: "accepted", BOB: "rejected", CAROL: "pending", DAVE: "requested"}
        assert next(iter(owner.peers())) == CAROL
        assert owner.states("--state", "pending") == {CAROL: "pending"}
        assert owner.states("--state", "accepted", "--state", "rejected") == {ALICE: "accepted", BOB: "rejected"}
        assert "not a state of a peer" in owner.scq("peers", "--state", "friend", code=2).err

    def test_the_list_is_what_the_last_look_saw(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        assert list(owner.states()) == [ALICE]
        asked(server, CAROL)
        server.forget_calls()
        assert list(owner.states()) == [ALICE]
        assert server.count() == 0
        assert list(owner.states("--refresh")) == [ALICE, CAROL]

    def test_who_is_new_is_told_once(self, owner: Owner, server: DriveServer) -> None:
        owner.scq("peers", "--refresh")
        asked(server, ALICE)
        owner.scq("peers", "--refresh")
        owner.scq("peers", "--refresh")
        assert owner.told("peer.requested") == [ME]

    def test_nobody_is_said(self, owner: Owner) -> None:
        assert owner.scq("peers").out == "nobody\n"

    @needs_golden
    def test_one_peer_is_shown_with_folders_and_jobs(self, owner: Owner, server: DriveServer) -> None:
        server.load(STATES / "05_peer_states")
        owner.scq("check", code=None)
        answer = owner.scq("peers", "show", CAROL.upper())
        assert name_of("0.10.0", ME, "inbox", CAROL) in answer.out
        assert "too_early" in answer.out
        data = owner.json("peers", "show", CAROL, "--refresh")
        assert [folder["kind"] for folder in data["folders"]] == ["inbox", "outbox"]
        assert (data["state"], data["versions"], data["answer"]) == ("pending", ["0.10.0"], None)
        assert [job["name"] for job in data["jobs"]] == ["too_early"]

    def test_folders_are_asked_for_where_they_are_not_remembered(self, owner: Owner, server: DriveServer) -> None:
        owner.use(timeout=1)
        asked(server, ALICE)
        owner.scq("peers")
        assert len(owner.json("peers", "show", ALICE)["folders"]) == 2
        server.faults.append(Fault(status=503, times=1000))
        answer = owner.scq("peers", "show", ALICE)
        assert "pending" in answer.out
        assert "Google Drive" in answer.err

    def test_an_address_nobody_knows_is_wrong_usage(self, owner: Owner) -> None:
        for verb in ("show", "accept", "reject", "notify-granted"):
            assert "has not asked" in owner.scq("peers", verb, "who@is.it", code=2).err

    def test_without_a_sign_in_it_is_said(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        token = owner.home / "token_do.json"
        content = token.read_text()
        token.unlink()
        for arguments in (["peers"], ["peers", "accept", ALICE]):
            answer = owner.scq(*arguments, code=77)
            assert "no sign-in for Google Drive" in answer.err
            assert "scq auth google --drive" in answer.err
        token.write_text(content)
        owner.scq("peers")
        token.unlink()
        answer = owner.scq("peers")
        assert ALICE in answer.out
        assert "what was remembered" in answer.err

    def test_a_drive_that_is_not_to_be_used_is_said(self, owner: Owner) -> None:
        owner.use(use="never")
        assert "drive.use" in owner.scq("peers", code=78).err

    @pytest.mark.parametrize(("status", "code"), [(503, 75), (401, 77)])
    def test_a_drive_out_of_reach_is_an_exit_code(self, owner: Owner, server: DriveServer, status: int, code: int) -> None:
        owner.use(timeout=1)
        owner.scq("peers")
        server.faults.append(Fault(status=status, times=1000))
        owner.scq("peers", "--refresh", code=code)


class TestAccepting:
    def test_everything_a_client_needs_is_there_and_shared(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        answer = owner.scq("peers", "accept", ALICE)
        assert answer.out == f"accepted {ALICE}  (client 0.10.0)\n"
        assert owner.made() == {
            "SyftBox": {},
            name_of("0.10.0", ALICE, "inbox", ME): {ALICE: "writer"},
            name_of("0.10.0", ALICE, "outbox", ME): {ALICE: "writer"},
            VERSION: {ALICE: "reader"},
            PEERS: {},
        }
        assert {item.name for item in server.inside(box(server))} == set(owner.made()) - {"SyftBox"}
        assert owner.file() == {ALICE: {"state": "accepted"}}
        said = owner.file(VERSION)
        assert (said.pop("updated_at")[-1:], said) == (
            "Z",
            {
                "syft_client_version": "0.10.0",
                "min_supported_syft_client_version": "0.10.0",
                "protocol_version": "1.0.0",
                "min_supported_protocol_version": "1.0.0",
                "syft_client_install_source": "syft==0.10.0",
                "attestation_token": None,
            },
        )
        assert (owner.root / ME / "app_data" / "job" / "inbox" / ALICE).is_dir()
        assert len(server.mails) == 3

    @needs_golden
    def test_the_drive_is_as_the_real_client_leaves_it(self, owner: Owner, server: DriveServer) -> None:
        server.load(STATES / "04_peer_request")
        owner.scq("peers", "accept", ALICE)
        with DriveServer() as theirs:
            theirs.load(STATES / "01_one_job")
            assert owner.made() == {item.name: roles(theirs, item.name) for item in everything_of(theirs, ME)}
            (mine,), (real,) = server.find(PEERS, ME), theirs.find(PEERS, ME)
            assert (mine.content, mine.mime) == (real.content, real.mime)

    def test_it_is_remembered_told_and_audited_once(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        owner.scq("peers", "accept", ALICE)
        assert owner.states() == {ALICE: "accepted"}
        assert owner.told() == [ALICE]
        assert owner.answers() == {}
        assert owner.audited() == [("peer-accepted", ALICE)]
        owner.scq("peers", "--refresh")
        owner.scq("check", code=None)
        owner.scq("peers", "notify-granted", ALICE)
        assert owner.told() == [ALICE]

    def test_accepting_again_changes_nothing_and_mends_what_is_missing(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        owner.scq("peers", "accept", ALICE)
        before = owner.made()
        server.forget_calls()
        owner.scq("peers", "accept", ALICE)
        assert [server.count(method) for method in ("files.create", "files.update", "permissions.create")] == [0, 0, 0]
        (folder,) = server.find(name_of("0.10.0", ALICE, "outbox", ME), ME)
        server.share(folder.id, ALICE, "")
        owner.scq("peers", "accept", ALICE)
        assert owner.made() == before
        assert owner.told() == [ALICE]

    def test_what_others_wrote_into_the_file_stays(self, owner: Owner, server: DriveServer) -> None:
        before = {
            "zoe@x.example": {"state": "accepted", "public_encryption_bundle": {"id": "did:x", "n": [1.5, None, "ü"]}},
            ALICE: {"state": "rejected", "note": {"a": 1}},
            "something": "else",
        }
        answered(server, before)
        asked(server, ALICE)
        owner.scq("peers", "accept", ALICE)
        after = owner.file()
        assert after == before | {ALICE: {"state": "accepted", "note": {"a": 1}}}
        assert list(after) == list(before)
        (item,) = server.find(PEERS, ME)
        assert item.content == json.dumps(after, indent=2).encode()
        assert item.mime == "text/plain"

    def test_several_are_accepted_with_one_write(self, owner: Owner, server: DriveServer) -> None:
        for peer in (ALICE, BOB, CAROL):
            asked(server, peer)
        owner.scq("peers")
        server.forget_calls()
        answer = owner.scq("peers", "accept", ALICE, "nobody@knows.it", CAROL, code=2)
        assert f"accepted {ALICE}" in answer.out
        assert "nobody@knows.it has not asked" in answer.err
        assert owner.file() == {ALICE: {"state": "accepted"}, CAROL: {"state": "accepted"}}
        assert owner.states() == {BOB: "pending", ALICE: "accepted", CAROL: "accepted"}
        assert [call.method for call in server.calls if call.method in ("files.create", "files.update")].count(
            "files.update"
        ) == 0

    def test_a_dry_run_changes_nothing(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        owner.sign_in(read_only=True)
        answer = owner.scq("peers", "accept", ALICE, "--dry-run")
        assert answer.out == f"would be accepted {ALICE}  (client 0.10.0)\n"
        assert owner.made() == {}
        assert not (owner.home / "state.json").exists()

    def test_a_sign_in_for_reading_is_not_enough_and_nothing_is_written_down(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        owner.sign_in(read_only=True)
        assert "--write" in owner.scq("peers", "accept", ALICE, code=77).err
        assert owner.made() == {}
        assert not (owner.home / "state.json").exists()

    def test_the_drive_of_somebody_else_is_not_touched(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        owner.scq("peers")
        owner.server.token_file(owner.home / "token_do.json", DAVE)
        assert DAVE in owner.scq("peers", "accept", ALICE, code=78).err
        assert everything_of(server, DAVE) == []

    @pytest.mark.parametrize(
        ("peer", "verb", "what"),
        [
            (DAVE, "accept", "has not answered yet"),
            (DAVE, "reject", "has not answered yet"),
            ("erin@x.example", "accept", "no folder"),
            ("frank@x.example", "accept", "no folder"),
            ("frank@x.example", "reject", "took the request back"),
        ],
    )
    def test_only_who_asked_can_be_answered(self, owner: Owner, five: DriveServer, peer: str, verb: str, what: str) -> None:
        five.touch(five.find(PEERS, ME)[0].id, json.dumps(owner.file() | {"erin@x.example": {"state": "rejected"}}).encode())
        folders = asked(five, "frank@x.example")
        owner.scq("peers")
        for folder in folders:
            five.remove(folder)
        assert what in owner.scq("peers", verb, peer, code=2).err
        assert owner.answers() == {}

    def test_a_rejected_peer_who_still_asks_can_be_accepted(self, owner: Owner, five: DriveServer) -> None:
        owner.scq("peers", "accept", BOB)
        assert owner.file()[BOB] == {"state": "accepted"}
        assert owner.told() == [BOB]

    def test_who_was_asked_and_answered_can_be_accepted(self, owner: Owner, five: DriveServer) -> None:
        asked(five, DAVE)
        assert owner.states()[DAVE] == "connected"
        owner.scq("peers", "accept", DAVE)
        assert owner.file()[DAVE] == {"state": "accepted"}


class TestGenerations:
    """The form of the answer is that of the peer's own client."""

    def test_the_oldest_needs_no_folders_of_mine(self, owner: Owner, server: DriveServer) -> None:
        asked_of_old(server, BOB)
        owner.scq("peers", "accept", BOB)
        assert owner.made() == {"SyftBox": {}, VERSION: {BOB: "reader"}, PEERS: {}}
        assert owner.file() == {BOB: {"state": "accepted"}}
        assert owner.file(VERSION)["syft_client_version"] == "0.1.101"
        assert list(owner.file(VERSION))[-1] == "updated_at"

    def test_names_without_a_version_are_answered_so(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE, version="")
        owner.scq("peers", "accept", ALICE)
        assert roles(server, name_of("", ALICE, "inbox", ME)) == {ALICE: "writer"}
        assert roles(server, name_of("", ALICE, "outbox", ME)) == {ALICE: "writer"}
        assert owner.file(VERSION)["syft_client_version"] == "0.1.112"

    def test_the_newest_folder_of_a_peer_counts(self, owner: Owner, server: DriveServer) -> None:
        asked_of_old(server, ALICE)
        asked(server, ALICE, "0.10.0", created=4_000_000_000.0)
        asked(server, ALICE, "0.1.117")
        owner.scq("peers", "accept", ALICE)
        assert roles(server, name_of("0.10.0", ALICE, "inbox", ME)) == {ALICE: "writer"}
        assert server.find(name_of("0.1.117", ALICE, "inbox", ME)) == []

    def test_a_pair_of_the_same_line_is_used_again(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE, "0.10.3")
        own = [server.add_folder(ME, name_of("0.10.0", ALICE, kind, ME), box(server)) for kind in ("inbox", "outbox")]
        server.add_folder(ME, name_of("0.1.117", ALICE, "inbox", ME), box(server))
        server.add_folder(ME, name_of("0.10.0", CAROL, "inbox", ME), box(server))
        owner.scq("peers", "accept", ALICE)
        assert server.find(name_of("0.10.3", ALICE, "inbox", ME)) == []
        assert [roles(server, server.item(folder).name) for folder in own] == [{ALICE: "writer"}, {ALICE: "writer"}]
        assert owner.file(VERSION)["syft_client_version"] == "0.10.3"

    def test_addresses_are_written_as_the_peers_client_spells_them(self, owner: Owner, server: DriveServer) -> None:
        answered(server, {ALICE: {"state": "rejected"}})
        asked(server, "Alice@Uni.example", me="Owner@Hospital.example")
        owner.scq("peers", "accept", ALICE)
        assert owner.file() == {ALICE: {"state": "accepted"}, "Alice@Uni.example": {"state": "accepted"}}
        assert roles(server, name_of("0.10.0", "Alice@Uni.example", "inbox", "Owner@Hospital.example")) == {ALICE: "writer"}
        assert owner.states() == {ALICE: "accepted"}

    def test_a_version_nobody_knows_is_not_declared(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE, "66.6.6")
        answer = owner.scq("peers", "accept", ALICE)
        assert owner.file(VERSION)["syft_client_version"] == "0.10.0"
        assert "66.6.6" in answer.err

    def test_a_version_that_keeps_two_apart_is_said(self, owner: Owner, server: DriveServer) -> None:
        server.add_file(ME, VERSION, box(server), b'{"syft_client_version": "0.1.117"}')
        asked(server, ALICE)
        answer = owner.scq("peers", "accept", ALICE)
        assert "you have client 0.1.117" in answer.err
        assert owner.file(VERSION) == {"syft_client_version": "0.1.117"}
        assert roles(server, VERSION) == {ALICE: "reader"}


class TestRejecting:
    def test_it_stands_in_the_file_and_nowhere_else(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        answer = owner.scq("peers", "reject", ALICE)
        assert answer.out == f"rejected {ALICE}  (client 0.10.0)\n"
        assert owner.made() == {"SyftBox": {}, PEERS: {}}
        assert owner.file() == {ALICE: {"state": "rejected"}}
        assert owner.states() == {ALICE: "rejected"}
        assert owner.told() == []
        assert server.mails == []
        assert owner.audited() == [("peer-rejected", ALICE)]
        assert not (owner.root / ME / "app_data").exists()

    def test_of_an_accepted_peer_it_says_what_stays_shared(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        owner.scq("peers", "accept", ALICE)
        answer = owner.scq("peers", "reject", ALICE)
        assert "stay shared" in answer.out
        assert owner.file() == {ALICE: {"state": "rejected"}}
        assert roles(server, name_of("0.10.0", ALICE, "inbox", ME)) == {ALICE: "writer"}

    def test_a_later_grant_is_told_again(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        for verb in ("accept", "reject", "accept"):
            owner.scq("peers", verb, ALICE)
        assert owner.told() == [ALICE, ALICE]
        assert owner.audited() == [("peer-accepted", ALICE), ("peer-rejected", ALICE), ("peer-accepted", ALICE)]


class TestTellingAgain:
    def test_a_peer_another_client_accepted_is_told_once(self, owner: Owner, server: DriveServer) -> None:
        answered(server, {ALICE: {"state": "accepted"}})
        asked(server, ALICE)
        owner.scq("peers")
        assert owner.told() == []
        assert owner.json("peers", "notify-granted", ALICE, "--dry-run")["peers"] == [{"address": ALICE, "queued": True}]
        assert owner.told() == []
        assert owner.json("peers", "notify-granted", ALICE)["peers"] == [{"address": ALICE, "queued": True}]
        assert owner.json("peers", "notify-granted", ALICE)["peers"] == [{"address": ALICE, "queued": False}]
        assert owner.told() == [ALICE]

    def test_who_was_not_accepted_is_not_told(self, owner: Owner, five: DriveServer) -> None:
        owner.scq("peers")
        answer = owner.scq("peers", "notify-granted", CAROL, ALICE, code=2)
        assert f"{CAROL} is pending, not accepted" in answer.err
        assert owner.told() == [ALICE]
        owner.configure((owner.home / "config.yaml").read_text() + "\nnotify_on_peer_granted: false\n")


class TestTheFile:
    """`SYFT_peers.json` belongs to several programs and is never overwritten blindly."""

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", "null", '"x"', '{"alice@uni.example": "accepted"}', "[" * 5000, '{"a": 1}\x00', "{}" + " " * (5 << 20)],
        ids=lambda text: text[:12],
    )
    def test_a_damaged_one_is_left_alone(self, owner: Owner, server: DriveServer, text: str) -> None:
        file = answered(server, text)
        asked(server, ALICE)
        owner.scq("peers")
        answer = owner.scq("peers", "accept", ALICE, code=None)
        assert answer.code not in (0, 70)
        assert PEERS in answer.err
        assert server.item(file).content == text.encode()
        assert owner.answers() == {ALICE: "accepted"}
        assert owner.told() == []
        server.touch(file, b"{}")
        owner.scq("peers", "accept", ALICE)
        assert owner.file() == {ALICE: {"state": "accepted"}}

    @pytest.mark.parametrize(
        ("call", "skip"), [("files.get", 0), ("files.get_media", 1)], ids=["before it is read", "after it was read"]
    )
    def test_what_is_written_in_between_is_kept(self, owner: Owner, server: DriveServer, call: str, skip: int) -> None:
        file = answered(server, json.dumps({BOB: {"state": "accepted"}}))
        asked(server, ALICE)
        owner.scq("peers")
        happened: list[str] = []

        def meanwhile(found: Any) -> Any:
            happened.append(call)
            server.touch(file, json.dumps({BOB: {"state": "accepted"}, CAROL: {"state": "rejected"}}).encode())
            return found

        server.faults.append(Fault(on=call, edit=meanwhile, skip=skip))
        owner.scq("peers", "accept", ALICE)
        assert owner.file() == {BOB: {"state": "accepted"}, CAROL: {"state": "rejected"}, ALICE: {"state": "accepted"}}
        assert happened == [call]
        assert server.count("files.update") == 1

    def test_what_is_written_right_after_is_read_and_joined(self, owner: Owner, server: DriveServer) -> None:
        file = answered(server, {BOB: {"state": "accepted"}})
        asked(server, ALICE)

        def meanwhile(found: Any) -> Any:
            server.touch(file, json.dumps({BOB: {"state": "rejected"}}).encode())
            return found

        server.faults.append(Fault(on="files.update", edit=meanwhile))
        owner.scq("peers", "accept", ALICE)
        assert owner.file() == {BOB: {"state": "rejected"}, ALICE: {"state": "accepted"}}

    def test_somebody_who_never_stops_writing_makes_it_busy(self, owner: Owner, server: DriveServer) -> None:
        file = answered(server, {})
        asked(server, ALICE)
        count = iter(range(1000))

        def meanwhile(found: Any) -> Any:
            server.touch(file, json.dumps({BOB: {"state": f"turn {next(count)}"}}).encode())
            return found

        server.faults.append(Fault(on="files.update", edit=meanwhile, times=100))
        answer = owner.scq("peers", "accept", ALICE, code=75)
        assert "somebody else is writing" in answer.err
        assert ALICE not in owner.file()
        assert owner.answers() == {ALICE: "accepted"}

    def test_two_of_them_are_for_a_person_to_sort_out(self, owner: Owner, server: DriveServer) -> None:
        files = [answered(server, {}), answered(server, {BOB: {"state": "accepted"}})]
        asked(server, ALICE)
        assert "2 files SYFT_peers.json" in owner.scq("peers", "accept", ALICE, code=78).err
        server.trash(files[0])
        owner.scq("peers", "accept", ALICE)
        assert json.loads(server.item(files[1]).content or b"") == {BOB: {"state": "accepted"}, ALICE: {"state": "accepted"}}

    def test_one_outside_the_syftbox_is_read_and_left(self, owner: Owner, server: DriveServer) -> None:
        stray = server.add_file(ME, PEERS, "", json.dumps({BOB: {"state": "accepted"}}).encode())
        asked(server, ALICE)
        owner.scq("peers", "accept", ALICE)
        (inside,) = [item for item in server.inside(box(server)) if item.name == PEERS]
        assert json.loads(inside.content or b"") == {BOB: {"state": "accepted"}, ALICE: {"state": "accepted"}}
        assert json.loads(server.item(stray).content or b"") == {BOB: {"state": "accepted"}}

    def test_two_syftbox_folders_are_for_a_person_to_sort_out(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        for _ in range(2):
            server.add_folder(ME, "SyftBox")
        assert "2 folders SyftBox" in owner.scq("peers", "accept", ALICE, code=78).err

    def test_half_a_search_makes_nothing_twice(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        owner.scq("peers")
        server.faults.append(
            Fault(on="files.list", where="'SyftBox'", edit=lambda found: found | {"incompleteSearch": True, "files": []})
        )
        assert "has not searched everything" in owner.scq("peers", "accept", ALICE, code=75).err
        assert owner.made() == {}


STOPPED = [
    *(("files.list", skip, False) for skip in (2, 4)),
    *((step, skip, False) for step, skip in (("permissions.list", 0), ("permissions.list", 1), ("files.get", 0))),
    *(("files.create", skip, carried_out) for skip in (0, 1, 4) for carried_out in (False, True)),
    *(("permissions.create", skip, carried_out) for skip in (0, 2) for carried_out in (False, True)),
]
"""(call, how many of them go well before, whether it was done although the answer says no)."""


class TestGoingOn:
    """What was decided is done by the next call, whatever stopped the first one."""

    @pytest.mark.parametrize(("step", "skip", "carried_out"), STOPPED)
    def test_a_call_that_is_stopped_anywhere_is_finished_by_a_check(
        self, owner: Owner, server: DriveServer, step: str, skip: int, carried_out: bool
    ) -> None:
        asked(server, ALICE)
        owner.scq("peers")
        server.faults.append(Fault(on=step, status=403, reason="forbidden", skip=skip, carried_out=carried_out))
        answer = owner.scq("peers", "accept", ALICE, code=None)
        assert answer.code not in (0, 70)
        assert "written down" in answer.err
        assert owner.peers()[ALICE]["answer"] == "accepted"
        assert owner.told() == []
        owner.scq("check", code=None)
        assert owner.answers() == {}
        assert owner.states() == {ALICE: "accepted"}
        assert owner.told() == [ALICE]
        assert owner.audited() == [("peer-accepted", ALICE)]
        assert len(everything_of(server, ME)) == 5
        assert owner.made()[name_of("0.10.0", ALICE, "outbox", ME)] == {ALICE: "writer"}

    @pytest.mark.parametrize("how", [{"status": 403, "reason": "forbidden"}, {"cut": 0}], ids=["refused", "answer lost"])
    def test_every_call_of_an_answer_may_fail_once_and_nothing_is_doubled(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]
    ) -> None:
        monkeypatch.setattr("scq.drive.asking.FIRST_WAIT", 0.01)  # how long is waited between tries is not the question
        begin = 0 if "cut" in how else 1  # both ways together try every call
        for skip in range(begin, 60, 2):
            with DriveServer() as server:
                owner = Owner(tmp_path / str(skip), server)
                asked(server, ALICE)
                answered(server, {BOB: {"state": "accepted"}})
                owner.scq("peers")
                server.mails.clear()
                fault = Fault(**how, skip=skip)
                server.faults.append(fault)
                first = owner.scq("peers", "accept", ALICE, code=None)
                is_over = fault.times > 0
                server.faults.clear()
                second = owner.scq("peers", "accept", ALICE)
                assert 70 not in (first.code, second.code)
                assert (owner.answers(), owner.states()) == ({}, {ALICE: "accepted", BOB: "accepted"}), skip
                assert owner.file() == {BOB: {"state": "accepted"}, ALICE: {"state": "accepted"}}
                assert len(everything_of(server, ME)) == 5, skip
                assert sorted(mail.name for mail in server.mails) == sorted(
                    [VERSION, *(name_of("0.10.0", ALICE, kind, ME) for kind in ("inbox", "outbox"))]
                ), skip
                assert owner.told() == [ALICE], skip
            if is_over:
                break
        assert 15 < skip < 60

    @pytest.mark.parametrize("call", ["files.create", "permissions.create", "files.update"])
    def test_a_call_that_is_killed_is_finished_by_a_check(self, owner: Owner, server: DriveServer, call: str) -> None:
        answered(server, {BOB: {"state": "accepted"}})
        asked(server, ALICE)
        killed: list[subprocess.Popen[bytes]] = []

        def kill(found: Any) -> Any:
            killed[0].kill()
            return found

        server.faults.append(Fault(on=call, edit=kill))
        place = ["--home", str(owner.home), "--root", str(owner.root), "--email", ME]
        killed.append(subprocess.Popen([sys.executable, "-m", "scq", *place, "peers", "accept", ALICE]))
        assert killed[0].wait(60) == -signal.SIGKILL
        assert owner.answers() == {ALICE: "accepted"}
        owner.scq("check", code=None)
        assert owner.answers() == {}
        assert owner.file() == {BOB: {"state": "accepted"}, ALICE: {"state": "accepted"}}
        assert owner.told() == [ALICE]
        assert len(everything_of(server, ME)) == 5
        owner.scq("check", code=None)
        assert owner.told() == [ALICE]

    def test_a_check_without_drive_says_that_answers_wait(self, owner: Owner, server: DriveServer) -> None:
        owner.use(timeout=1)
        asked(server, ALICE)
        server.faults.append(Fault(on="permissions.create", status=503, times=1))
        answer = owner.scq("peers", "accept", ALICE, code=75)
        assert "written down" in answer.err
        server.faults.append(Fault(status=503, times=1000))
        assert "answers to 1 peer are not there yet" in owner.scq("check", code=75).err
        server.faults.clear()
        owner.scq("check", code=None)
        assert owner.file() == {ALICE: {"state": "accepted"}}

    def test_one_who_cannot_be_reached_does_not_stop_the_others(self, owner: Owner, server: DriveServer) -> None:
        for peer in (ALICE, CAROL):
            asked(server, peer)
        server.faults.append(Fault(on="permissions.create", status=403, reason="invalidSharingRequest"))
        answer = owner.scq("peers", "accept", ALICE, CAROL, code=None)
        assert answer.code not in (0, 70)
        assert owner.file() == {CAROL: {"state": "accepted"}}
        assert owner.answers() == {ALICE: "accepted"}
        assert owner.told() == [CAROL]

    def test_the_other_answer_takes_the_first_one_back(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        server.faults.append(Fault(on="permissions.create", status=403, reason="forbidden"))
        owner.scq("peers", "accept", ALICE, code=None)
        owner.scq("peers", "reject", ALICE)
        assert owner.answers() == {}
        assert owner.file() == {ALICE: {"state": "rejected"}}

    def test_a_peer_who_left_meanwhile_can_be_rejected(self, owner: Owner, server: DriveServer) -> None:
        folders = asked(server, ALICE)
        server.faults.append(Fault(on="permissions.create", status=403, reason="forbidden"))
        owner.scq("peers", "accept", ALICE, code=None)
        for folder in folders:
            server.remove(folder)
        answer = owner.scq("check", code=None)
        assert f"scq peers reject {ALICE}" in answer.err
        owner.scq("peers", "reject", ALICE)
        assert owner.answers() == {}

    def test_a_look_that_saw_the_answer_first_has_told_it(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        server.faults.append(Fault(on="permissions.create", status=403, reason="forbidden"))
        owner.scq("peers", "accept", ALICE, code=None)
        answered(server, {ALICE: {"state": "accepted"}})
        owner.scq("peers", "--refresh")
        assert owner.told() == [ALICE]
        owner.scq("peers", "accept", ALICE)
        assert owner.told() == [ALICE]
        assert owner.answers() == {}

    def test_a_syftbox_folder_that_is_not_there_stops_nothing(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        owner.root = owner.root.parent / "nowhere"
        answer = owner.scq("peers", "accept", ALICE)
        assert "the folders for jobs were not made" in answer.err
        assert owner.file() == {ALICE: {"state": "accepted"}}

    def test_a_syftbox_folder_that_cannot_be_written_is_said(self, owner: Owner, server: DriveServer) -> None:
        asked(server, ALICE)
        (owner.root / ME / "app_data").write_text("in the way")
        answer = owner.scq("peers", "accept", ALICE, code=None)
        assert answer.code not in (0, 70)
        assert owner.answers() == {ALICE: "accepted"}
        (owner.root / ME / "app_data").unlink()
        owner.scq("check", code=None)
        assert owner.file() == {ALICE: {"state": "accepted"}}
