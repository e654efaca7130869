"""`scq peers` from what is remembered: what is shown, who can be answered, and what is said where Drive is not used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from scq.commands import peers as verb
from scq.context import Context
from scq.errors import ConfigError, SignInError
from scq.model import Peer, PeerState
from scq.peering import Carried, Look, carry_out, carry_out_answers, settled, tell_granted, write_down
from scq.state import DriveMemory, RemoteFolder, State
from tests.people import OWNER, World

SINCE = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
ANA, BEN, CAT = "ana@uni.example", "ben@uni.example", "cat@uni.example"


def peer(address: str, state: PeerState, *versions: str) -> Peer:
    return Peer(address=address, state=state, since=SINCE, requested_at=SINCE - timedelta(days=1), versions=versions)


def folder(address: str, kind: Any = "inbox", version: str = "0.10.0") -> RemoteFolder:
    return RemoteFolder(name=f"syft_datasite#{version}#{OWNER}#{kind}#{address}", kind=kind, peer=address, version=version)


@pytest.fixture
def ctx(world: World) -> Context:
    """An owner who remembers three peers."""
    from scq import config

    given = {"email": OWNER, "root": str(world.root)}
    loaded = config.load(str(world.owner.home / "config.yaml"), {}, given, home=str(world.owner.home))
    made = Context(loaded.config, str(world.owner.home), env={})
    known = {
        ANA: peer(ANA, "accepted", "0.10.0"),
        BEN: peer(BEN, "pending", "", "0.1.117"),
        CAT: peer(CAT, "withdrawn"),
    }
    memory = DriveMemory(folders={"1": folder(BEN, "outbox"), "2": folder(BEN), "3": folder(ANA)}, answers={BEN: "rejected"})
    made.store.update(lambda state: replace(state, peers=known, peers_at=SINCE, drive=memory))
    return made


def test_who_waits_comes_first_and_what_is_not_done_yet_is_said(ctx: Context) -> None:
    report = verb.listing(ctx)
    assert [row["address"] for row in report.data["peers"]] == [BEN, ANA, CAT]
    assert report.lines[0].startswith(f"{BEN}  pending    since ")
    assert report.lines[0].endswith("before 0.1.113, 0.1.117  to be rejected (not on Google Drive yet)")
    assert [row["answer"] for row in report.data["peers"]] == ["rejected", None, None]
    assert len({text.find("since") for text in report.lines}) == 1


def test_states_choose(ctx: Context) -> None:
    assert [row["address"] for row in verb.listing(ctx, states=["accepted", "withdrawn"]).data["peers"]] == [ANA, CAT]
    assert verb.listing(ctx, states=["connected"]).lines == ("nobody",)


def test_where_drive_is_not_used_what_was_remembered_is_shown_with_advice(ctx: Context) -> None:
    (problem,) = verb.listing(ctx).problems
    assert "no sign-in for Google Drive" in problem.what
    assert problem.advice.startswith("Sign in with: scq auth google --drive")
    with pytest.raises(SignInError):
        verb.listing(ctx, refresh=True)
    ctx.config = replace(ctx.config, drive=replace(ctx.config.drive, use="never"))
    with pytest.raises(ConfigError, match=r"drive\.use"):
        verb.listing(ctx, refresh=True)


def test_a_card_holds_everything(ctx: Context) -> None:
    report = verb.show(ctx, BEN)
    facts = dict(text.split("  ", 1) for text in (text.strip() for text in report.lines))
    assert (facts["peer"], facts["state"], facts["answer"]) == (BEN, "pending", "to be rejected (not on Google Drive yet)")
    assert [found["kind"] for found in report.data["folders"]] == ["inbox", "outbox"]
    assert report.data["jobs"] == []


def test_names_of_strangers_cannot_move_the_cursor(ctx: Context) -> None:
    hostile = replace(folder(BEN), name="syft_datasite#\x1b[2J\n#x", version="\x1b[31m")
    memory = DriveMemory(folders={"1": hostile})
    known = {BEN: replace(peer(BEN, "pending"), versions=("\x1b[31m\r",))}
    ctx.store.update(lambda state: replace(state, drive=memory, peers=known))
    for report in (verb.show(ctx, BEN), verb.listing(ctx)):
        assert all(text.isprintable() for text in report.lines)


def test_what_is_no_address_is_wrong_usage(world: World) -> None:
    assert "is not an e-mail address" in world.owner.scq("peers", "show", "nothing", code=2).err


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--state", "pending"], ["--refresh"], ["list"]])
def test_alone_it_lists(world: World, arguments: list[str]) -> None:
    answer = world.owner.scq("peers", *arguments, code=77)
    assert "no sign-in for Google Drive" in answer.err + answer.out


def test_help_names_every_verb(world: World) -> None:
    for word in ("-h", "--help"):
        out = world.owner.scq("peers", word).out
        assert all(name in out for name in ("list", "show", "accept", "reject", "notify-granted"))
    assert "ADDRESS..." in world.owner.scq("peers", "accept", "--help").out
    world.owner.scq("peers", "accept", code=2)


def test_a_look_sorts_the_folders_of_a_peer() -> None:
    look = Look(State(), {"1": folder(BEN, "outbox"), "2": folder(BEN), "3": folder(ANA)}, ())
    assert [found.kind for found in look.made_by(BEN)] == ["inbox", "outbox"]
    assert look.made_by(CAT) == ()


def test_what_is_decided_twice_is_one_audit_row(ctx: Context) -> None:
    write_down(ctx, {ANA: "rejected"})
    state = write_down(ctx, {ANA: "rejected", BEN: "accepted"})
    assert state.drive.answers == {ANA: "rejected", BEN: "accepted"}
    assert state.audited == 2


def test_without_an_answer_there_is_nothing_to_carry_out(ctx: Context) -> None:
    assert carry_out(ctx, {}, [ANA]) == Carried({}, {}, ())
    ctx.store.update(lambda state: replace(state, drive=DriveMemory()))
    assert carry_out_answers(ctx) == ()


def test_without_a_sign_in_answers_wait_and_that_is_said(ctx: Context) -> None:
    (problem,) = carry_out_answers(ctx)
    assert "answers to 1 peer are not there yet" in problem.what
    assert ctx.store.load().drive.answers == {BEN: "rejected"}


def test_an_answer_that_was_changed_meanwhile_stays_written_down(ctx: Context) -> None:
    state = write_down(ctx, {BEN: "rejected"})
    after = settled(ctx, state, {BEN: "accepted"})
    assert after.drive.answers == {BEN: "rejected"}
    assert after.peers[BEN].state == "accepted"


def test_an_answer_to_somebody_forgotten_meanwhile_is_remembered(ctx: Context) -> None:
    after = settled(ctx, State(), {BEN: "accepted"})
    assert after.peers[BEN].state == "accepted"
    assert [row.recipient for row in after.outbox.values()] == [BEN]


def test_rejecting_leaves_other_marks_alone(ctx: Context) -> None:
    marks = {f"peer_granted_{BEN}": ("peer_granted", "other"), f"peer_granted_{ANA}": ("peer_granted",)}
    before = State(notified=marks)
    after = settled(ctx, before, {BEN: "rejected", ANA: "rejected", CAT: "rejected"})
    assert after.notified == {f"peer_granted_{BEN}": ("other",)}


def test_what_nobody_wants_to_hear_is_not_queued(ctx: Context) -> None:
    ctx.config = replace(ctx.config, notify_on_peer_granted=False)
    assert not tell_granted(ctx, ANA)
    assert verb.notify_granted(ctx, [ANA]).lines == (f"{ANA}: told before, or nobody is to be told",)
    ctx.config = replace(ctx.config, notify_on_peer_granted=True)
    assert verb.notify_granted(ctx, [ANA, ANA]).lines == (f"{ANA} will be told by the next scq notify",)
    assert not tell_granted(ctx, ANA)
