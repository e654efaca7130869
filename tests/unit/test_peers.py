"""Who is a peer, and what is told of it once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from scq.model import Peer, PeerState
from scq.peers import events, now_known
from scq.state import RemoteFolder

ME = "owner@hospital.example"
ALICE = "alice@uni.example"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EARLIER = NOW - timedelta(days=2)


def folder(
    peer: str = ALICE, kind: Literal["inbox", "outbox"] = "inbox", version: str = "0.10.0", at: datetime | None = EARLIER
) -> RemoteFolder:
    return RemoteFolder(name="any", kind=kind, peer=peer, version=version, created_at=at)


def known(
    folders: list[RemoteFolder],
    states: dict[str, str] | None = None,
    before: dict[str, Peer] | None = None,
    *,
    complete: bool = True,
    now: datetime = NOW,
) -> dict[str, Peer]:
    by_id = {f"id{number}": one for number, one in enumerate(folders)}
    return now_known(by_id, states or {}, before or {}, now, complete=complete)


def told(before: dict[str, Peer], after: dict[str, Peer], *, first: bool = False) -> list[tuple[str, str]]:
    found = events(before, after, me=ME, first=first, revision=7, number=3, at=NOW)
    assert [event.id for event in found] == [f"7-{3 + number}" for number in range(len(found))]
    return [(event.kind, event.detail) for event in found]


def peer(state: PeerState, *, since: datetime = EARLIER) -> dict[str, Peer]:
    return {ALICE: Peer(ALICE, state, since)}


@pytest.mark.parametrize(
    ("word", "has_folder", "state"),
    [
        ("", True, "pending"),
        ("something new", True, "pending"),
        ("accepted", True, "accepted"),
        ("accepted", False, "accepted"),
        ("rejected", True, "rejected"),
        ("rejected", False, "rejected"),
        ("requested_by_me", False, "requested"),
        ("requested_by_me", True, "connected"),
    ],
)
def test_the_state_comes_from_folders_and_the_list_of_answers(word: str, has_folder: bool, state: str) -> None:
    found = known([folder()] if has_folder else [], {ALICE: word} if word else {})
    assert found[ALICE].state == state


def test_a_word_nobody_knows_without_a_folder_makes_no_peer() -> None:
    assert known([], {ALICE: "something new"}) == {}


def test_two_folders_are_one_request_as_old_as_the_older_one() -> None:
    folders = [folder(at=NOW), folder(kind="outbox", version=""), folder(at=None, version="0.9.1")]
    assert known(folders) == {ALICE: Peer(ALICE, "pending", NOW, EARLIER, ("", "0.10.0", "0.9.1"))}


def test_a_state_that_stays_keeps_its_time_and_a_new_one_begins_now() -> None:
    assert known([folder()], {}, peer("pending"))[ALICE].since == EARLIER
    assert known([folder()], {ALICE: "accepted"}, peer("pending"))[ALICE].since == NOW


def test_the_time_of_the_request_outlives_the_folders() -> None:
    asked = {ALICE: Peer(ALICE, "pending", EARLIER, requested_at=EARLIER)}
    assert known([], {ALICE: "rejected"}, asked)[ALICE].requested_at == EARLIER


def test_a_request_without_its_folders_is_withdrawn_and_forgotten_after_a_while() -> None:
    withdrawn = known([], {}, peer("pending"))
    assert withdrawn == {ALICE: Peer(ALICE, "withdrawn", NOW)}
    assert known([], {}, withdrawn, now=NOW + timedelta(days=30)) == withdrawn
    assert known([], {}, withdrawn, now=NOW + timedelta(days=31)) == {}


@pytest.mark.parametrize("state", ["accepted", "rejected", "requested", "connected"])
def test_a_peer_that_left_no_trace_is_forgotten(state: PeerState) -> None:
    assert known([], {}, peer(state)) == {}


@pytest.mark.parametrize("state", ["pending", "accepted", "withdrawn"])
def test_nobody_is_withdrawn_or_forgotten_after_half_a_look(state: PeerState) -> None:
    assert known([], {}, peer(state), complete=False, now=NOW + timedelta(days=99)) == peer(state)


def test_a_request_is_told_once_however_often_it_is_seen() -> None:
    asked = known([folder(), folder(kind="outbox")])
    assert told({}, asked) == [("peer.requested", ALICE), ("peer.request_seen", ALICE)]
    again = known([folder(), folder(kind="outbox")], {}, asked, now=NOW + timedelta(hours=1))
    assert told(asked, again) == []


def test_requests_that_wait_are_told_on_the_first_look_and_old_grants_are_not() -> None:
    found = known([folder(), folder("bob@uni.example")], {"bob@uni.example": "accepted"})
    assert [kind for kind, _ in told({}, found, first=True)] == ["peer.requested", "peer.request_seen"]


def test_a_grant_is_told_once_and_also_when_the_request_was_never_seen() -> None:
    granted = known([folder()], {ALICE: "accepted"}, peer("pending"))
    assert told(peer("pending"), granted) == [("peer.granted", ALICE)]
    assert told(granted, granted) == []
    assert told({}, granted) == [("peer.granted", ALICE)]


def test_a_rejection_is_told_nobody_and_a_grant_after_it_is() -> None:
    assert told(peer("pending"), peer("rejected")) == []
    assert told(peer("rejected"), peer("accepted")) == [("peer.granted", ALICE)]


def test_a_request_that_was_withdrawn_and_comes_back_is_told_again() -> None:
    assert [kind for kind, _ in told(peer("withdrawn"), peer("pending"))] == ["peer.requested", "peer.request_seen"]


@pytest.mark.parametrize("state", ["accepted", "rejected", "connected"])
def test_an_old_peer_whose_answer_was_lost_is_no_new_request(state: PeerState) -> None:
    assert told(peer(state), peer("pending")) == []


def test_one_who_only_answers_what_the_owner_asked_is_no_request() -> None:
    assert told(peer("requested"), peer("connected")) == []


def test_events_name_the_peer_and_both_states_and_come_oldest_request_first() -> None:
    late = folder("bob@uni.example", at=NOW)
    found = events({}, known([late, folder()]), me=ME, first=False, revision=1, number=0, at=NOW)
    assert [event.ref for event in found] == [f"peer/{ME}/{ALICE}"] * 2 + [f"peer/{ME}/bob@uni.example"] * 2
    assert {(event.before, event.after, event.job_id, event.at) for event in found} == {(None, "pending", "", NOW)}
    (granted,) = events(peer("pending"), peer("accepted"), me=ME, first=False, revision=1, number=0, at=NOW)
    assert (granted.before, granted.after) == ("pending", "accepted")
