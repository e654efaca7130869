"""What one look at a Drive finds, what it asks for, and what it never loses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq.drive import poll as look
from scq.drive.found import Found
from scq.drive.items import File, NotThereError
from scq.errors import BusyError, ConfigError, SignInError
from scq.state import DriveMemory, RemoteFolder
from tests.drive_world import ALICE, AT, CAROL, OWNER, change, file_name, job, message, pack
from tests.servers.drive import DriveServer, Fault
from tests.unit.drive.looking import NOW, Scene, incomplete, listed, names, numbered, peer_folder, said, without_parents

MALLORY = "mallory@example.net"
ARCHIVE = f"syft_{ALICE}_to_{OWNER}_archive"


@pytest.fixture
def server() -> Iterator[DriveServer]:
    with DriveServer() as running:
        yield running


@pytest.fixture
def scene(server: DriveServer, tmp_path: Path) -> Scene:
    return Scene(server, tmp_path)


# The first look, and idle ones.


def test_the_first_look_takes_its_place_in_the_changes_before_it_lists_anything(scene: Scene) -> None:
    key = scene.put()
    found = scene.look()
    assert scene.methods() == ["about.get", "changes.getStartPageToken", *["files.list"] * 3, "files.get_media"]
    assert (names(found), found.full, found.source.complete) == (["study"], True, True)
    assert found.jobs[0].messages == (key,)
    assert found.jobs[0].submitter == ALICE
    assert (scene.memory.account, scene.memory.scanned_at, scene.verdict(key)) == (OWNER, NOW, "jobs")


def test_an_idle_look_is_one_call_and_changes_nothing(scene: Scene) -> None:
    scene.put()
    scene.look()
    before = scene.memory
    found = scene.look()
    assert scene.methods() == ["changes.list"]
    assert (found.memory, found.jobs, found.gone, found.problems, found.full) == (before, (), frozenset(), (), False)


def test_what_else_happens_in_the_account_costs_nothing_more(scene: Scene) -> None:
    scene.look()
    scene.server.add_file(OWNER, "holiday.jpg", content=b"sun")
    scene.server.add_folder(OWNER, "syft_datasite_of_my_own")
    scene.server.add_folder(OWNER, f"syft_datasite#0.10.0#{ALICE}#inbox#{OWNER}", share={ALICE: "writer"})
    assert scene.look().problems == ()
    assert scene.methods() == ["changes.list"]


def test_a_full_look_with_a_known_place_asks_for_no_new_one(scene: Scene) -> None:
    scene.look()
    found = scene.look(full=True)
    assert scene.methods() == ["changes.list", "about.get", *["files.list"] * 3]
    assert found.full


# What changes tell.


def test_a_new_message_costs_one_download(scene: Scene) -> None:
    scene.look()
    key = scene.put()
    assert names(scene.look()) == ["study"]
    assert scene.methods() == ["changes.list", "files.get_media"]
    assert scene.verdict(key) == "jobs"


def test_a_new_inbox_is_listed_once(scene: Scene) -> None:
    scene.look()
    box = scene.server.add_folder(CAROL, peer_folder(peer=CAROL), share={OWNER: "writer"})
    scene.put("other", box=box, by=CAROL)
    found = scene.look()
    assert (names(found), found.jobs[0].submitter) == (["other"], CAROL)
    assert scene.methods() == ["changes.list", "files.list", "files.get_media"]
    scene.look()
    assert scene.methods() == ["changes.list"]


def test_a_new_outbox_is_remembered_and_not_listed(scene: Scene) -> None:
    scene.look()
    box = scene.server.add_folder(ALICE, peer_folder("outbox"), share={OWNER: "writer"})
    scene.put(box=box)
    assert scene.look().jobs == ()
    assert (scene.memory.folders[box].kind, scene.memory.messages) == ("outbox", {})


@pytest.mark.parametrize("how", ["trash", "remove", "archive", "rename"])
@pytest.mark.parametrize("full", [False, True])
def test_a_message_that_leaves_its_inbox_is_gone(scene: Scene, how: str, full: bool) -> None:
    key = scene.put()
    scene.look()
    if how == "archive":
        scene.server.move(key, scene.server.add_folder(OWNER, ARCHIVE))
    elif how == "rename":
        scene.server.touch(key, name="old.tar.gz")
    else:
        getattr(scene.server, how)(key)
    found = scene.look(full=full)
    assert (found.gone, scene.memory.messages, found.source.complete) == ({key}, {}, True)
    assert scene.look(full=full).gone == frozenset()


def test_a_message_that_was_archived_before_anybody_saw_it_is_no_job(scene: Scene) -> None:
    archive = scene.server.add_folder(OWNER, ARCHIVE)
    scene.look()
    for _ in range(3):
        scene.server.move(scene.put(), archive)
    found = scene.look()
    assert (found.jobs, found.gone, scene.memory.messages) == ((), frozenset(), {})
    assert scene.methods() == ["changes.list", "files.get"], "the folder is asked for once"


def test_an_inbox_that_goes_takes_its_messages_along(scene: Scene) -> None:
    keys = {scene.put("one"), scene.put("two")}
    scene.look()
    scene.server.share(scene.inbox, OWNER, "")
    assert scene.look().gone == keys
    assert (scene.memory.folders, scene.memory.messages) == ({}, {})


def test_an_inbox_that_is_renamed_is_no_inbox_any_more(scene: Scene) -> None:
    key = scene.put()
    scene.look()
    scene.server.touch(scene.inbox, name="old things")
    assert scene.look().gone == {key}
    assert scene.memory.folders == {}


def test_a_message_whose_content_is_another_one_is_read_again(scene: Scene) -> None:
    key = scene.put("before")
    scene.look()
    scene.server.touch(key, pack(message(job("after"))))
    found = scene.look()
    assert (names(found), found.gone) == (["after"], {key}), "what was in it before is over"
    assert scene.verdict(key) == "jobs"


def test_the_jobs_of_a_message_are_over_even_if_its_new_content_cannot_be_read(scene: Scene) -> None:
    key = scene.put("before")
    scene.look()
    scene.server.touch(key, b"no gzip")
    found = scene.look()
    assert (found.jobs, found.gone, scene.verdict(key)) == ((), {key}, "unread")


def test_a_message_that_was_written_again_and_cannot_be_had_now_takes_no_job_away(scene: Scene) -> None:
    scene.seconds = 1e6
    key = scene.put("before")
    scene.look()
    scene.server.touch(key, pack(message(job("after"))))
    scene.server.faults.append(Fault("files.get_media", status=500, where=key, times=5))
    found = scene.look()
    assert (found.jobs, found.gone, scene.verdict(key)) == ((), frozenset(), "unread")
    found = scene.look()
    assert (names(found), found.gone) == (["after"], {key})


def test_a_message_that_is_only_renamed_keeps_what_was_decided_about_its_content(scene: Scene) -> None:
    key = scene.put()
    scene.look()
    scene.memory.messages[key] = replace(scene.memory.messages[key], refused=True)
    scene.server.touch(key, name=numbered(77))
    found = scene.look()
    assert (names(found), found.gone, scene.memory.messages[key].refused) == (["study"], frozenset(), True)


def test_a_message_that_is_only_touched_is_not_read_again(scene: Scene) -> None:
    key = scene.put()
    scene.look()
    scene.server.touch(key)
    assert scene.look().jobs == ()
    assert scene.methods() == ["changes.list"]


def test_an_inbox_whose_folder_the_changes_did_not_name_is_found_by_its_message(scene: Scene) -> None:
    scene.look()
    box = scene.server.add_folder(CAROL, peer_folder(peer=CAROL), share={OWNER: "writer"})
    scene.look()
    scene.memory.folders.pop(box)
    scene.put("other", box=box, by=CAROL)
    assert names(scene.look()) == ["other"]
    assert scene.methods() == ["changes.list", "files.get", "files.list", "files.get_media"]


def test_a_message_that_was_shared_by_itself_lies_in_no_inbox(scene: Scene) -> None:
    scene.look()
    scene.server.share(scene.put(box=scene.server.add_folder(ALICE, "private things")), OWNER, "reader")
    found = scene.look()
    assert (found.jobs, found.problems, scene.memory.messages) == ((), (), {})


def test_a_place_that_drive_lost_means_that_everything_is_listed_in_the_same_look(scene: Scene) -> None:
    scene.look()
    scene.put()
    scene.server.forget_changes()
    found = scene.look()
    assert (names(found), found.full) == (["study"], True)
    assert scene.methods()[:3] == ["changes.list", "about.get", "changes.getStartPageToken"]


def test_event_files_of_the_account_are_told_as_work_of_somebody_else(scene: Scene) -> None:
    box = scene.server.add_folder(ALICE, peer_folder("outbox"), share={OWNER: "writer"})
    scene.look()
    name = numbered(1).replace("msgv2_", "syfteventsmessagev3_")
    scene.server.add_file(OWNER, name, box, b"events")
    scene.server.add_file(ALICE, name, scene.server.add_folder(ALICE, "mine"), b"events", share={OWNER: "reader"})
    assert scene.look().foreign == (name,)


def test_what_went_while_the_place_was_lost_is_gone(scene: Scene) -> None:
    key = scene.put()
    scene.look()
    scene.server.remove(key)
    scene.server.forget_changes()
    found = scene.look()
    assert (found.gone, scene.memory.messages, scene.methods().count("files.get")) == ({key}, {}, 0)


@pytest.mark.parametrize("there", [True, False])
def test_a_known_message_told_without_a_place_is_asked_for(scene: Scene, there: bool) -> None:
    key = scene.put()
    scene.look()
    scene.server.touch(key)
    if not there:
        scene.server.faults.append(Fault("files.get", status=404, reason="notFound", where=key))
    scene.server.faults.append(Fault("changes.list", edit=without_parents))
    found = scene.look()
    assert scene.methods() == ["changes.list", "files.get"]
    assert (found.gone, set(scene.memory.messages)) == ((set(), {key}) if there else ({key}, set()))


# Identity.


def test_a_folder_made_in_the_name_of_another_one_is_told_and_left_out(scene: Scene) -> None:
    box = scene.server.add_folder("mallory@evil.example", peer_folder(peer=CAROL), share={OWNER: "writer"})
    scene.put(box=box, by="mallory@evil.example")
    found = scene.look()
    assert (found.jobs, found.source.complete, set(scene.memory.folders)) == ((), True, {scene.inbox})
    assert "mallory@evil.example" in said(found)
    assert scene.look().problems == (), "an idle look does not repeat it"
    assert len(scene.look(full=True).problems) == 1


def test_a_folder_whose_address_is_written_in_capitals_is_that_of_its_owner(scene: Scene) -> None:
    box = scene.server.add_folder(CAROL, peer_folder(peer="Carol@Uni.Example"), share={OWNER: "writer"})
    scene.look()
    assert scene.memory.folders[box].peer == CAROL


def test_a_message_of_somebody_else_in_an_inbox_does_not_count(scene: Scene) -> None:
    scene.server.share(scene.inbox, CAROL, "writer")
    key = scene.put(by=CAROL)
    found = scene.look()
    assert (found.jobs, scene.verdict(key)) == ((), "damaged")
    assert CAROL in said(found)
    assert scene.methods().count("files.get_media") == 0
    assert scene.look(full=True).problems == ()


def test_several_inboxes_of_one_sender_are_all_read(scene: Scene) -> None:
    old = scene.server.add_folder(ALICE, f"syft_outbox_inbox_{ALICE}_to_{OWNER}", share={OWNER: "writer"})
    middle = scene.server.add_folder(ALICE, f"syft_datasite#{OWNER}#inbox#{ALICE}", share={OWNER: "writer"})
    for number, box in enumerate((scene.inbox, old, middle)):
        scene.put(f"job{number}", box=box)
    assert names(scene.look()) == ["job0", "job1", "job2"]
    assert sorted(folder.version for folder in scene.memory.folders.values()) == ["", "", "0.10.0"]


def test_any_number_of_forged_folders_makes_few_problems(scene: Scene) -> None:
    for number in range(look.SHOWN + 5):
        scene.server.add_folder(ALICE, peer_folder(peer=f"x{number}@uni.example"), share={OWNER: "writer"})
    found = scene.look()
    assert len(found.problems) == look.SHOWN + 1
    assert "5 more" in found.problems[-1].what


# Bodies.


def test_messages_are_read_by_their_number_and_not_by_the_text_of_it(scene: Scene) -> None:
    for name, seconds in (("third", "1795248841.7"), ("first", "1795248841.61"), ("second", "1795248841.619")):
        scene.put(name, name=f"msgv2_{seconds}_3c7db404-a886-4ac9-81f7-2bb2fea3249a.tar.gz")
    assert names(scene.look()) == ["first", "second", "third"]


def test_a_message_may_hold_several_jobs_or_none(scene: Scene) -> None:
    both = scene.put(pack(message([*job("one"), *job("two")])))
    none = scene.put(pack(message([change("notes.txt", "hello")])))
    assert names(scene.look()) == ["one", "two"]
    assert (scene.verdict(both), scene.verdict(none)) == ("jobs", "other")


def test_a_damaged_message_is_given_up_after_three_looks_and_told_once(scene: Scene) -> None:
    key = scene.put(b"no gzip")
    scene.put("fine")
    first = scene.look()
    assert (names(first), first.problems, scene.verdict(key)) == (["fine"], (), "unread")
    assert (scene.look().problems, scene.methods()) == ((), ["changes.list", "files.list", "files.get_media"])
    third = scene.look()
    assert (len(third.problems), scene.verdict(key)) == (1, "damaged")
    assert "2026-11-21 08:13 UTC" in said(third)
    assert ALICE in said(third)
    assert scene.look().problems == ()
    assert scene.methods() == ["changes.list"]


def test_a_message_that_was_half_written_is_read_when_it_is_whole(scene: Scene) -> None:
    key = scene.put(pack(message(job("study")))[:200])
    scene.look()
    scene.server.touch(key, pack(message(job("study"))))
    found = scene.look()
    assert (names(found), found.problems, scene.memory.messages[key].tries) == (["study"], (), 0)


def test_an_encrypted_message_is_told_once_with_sender_and_time(scene: Scene) -> None:
    key = scene.put(b"SYC2" + bytes(5000))
    found = scene.look()
    assert (scene.verdict(key), len(found.problems)) == ("sealed", 1)
    assert "encrypted" in said(found)
    assert ALICE in said(found)
    assert "on 2026-11-21 08:13 UTC" in said(found)
    assert scene.look(full=True).problems == ()


def test_a_message_that_is_too_large_is_not_even_fetched(scene: Scene) -> None:
    scene.message_bytes = 2000
    key = scene.put(b"SYC2" + bytes(5000))
    found = scene.look()
    assert (scene.verdict(key), scene.methods().count("files.get_media")) == ("damaged", 0)
    assert "drive.message_bytes" in said(found)


def test_a_message_that_was_too_large_is_read_once_that_much_is_allowed(scene: Scene) -> None:
    scene.message_bytes = 100
    key = scene.put()
    assert "scq check --full" in said(scene.look())
    assert (scene.look(full=True).problems, scene.verdict(key)) == ((), "damaged"), "told once"
    scene.message_bytes = 1 << 20
    assert (names(scene.look()), scene.methods()) == ([], ["changes.list"])
    assert names(scene.look(full=True)) == ["study"]


def test_a_message_with_a_name_no_client_gives_is_not_fetched(scene: Scene) -> None:
    key = scene.put(name="msgv2_yesterday_c2d3db52-0def-4d00-ad4c-4be9e9570985.tar.gz")
    folder = scene.server.add_folder(ALICE, numbered(9), parent=scene.inbox)
    found = scene.look()
    assert (scene.verdict(key), scene.verdict(folder), scene.methods().count("files.get_media")) == ("damaged", "damaged", 0)
    assert "name that no sync client gives" in said(found)
    assert "not a plain file" in said(found)


def test_hostile_names_reach_nobody_raw(scene: Scene) -> None:
    scene.put(name="msgv2_\x1b[2Jevil\r\nBcc: x@evil.example.tar.gz")
    scene.server.add_folder("mallory@evil.example", peer_folder(peer="a\x1b]0;b\x07@uni.example"), share={OWNER: "writer"})
    found = scene.look()
    assert len(found.problems) >= 1
    assert all((one.where + one.what + one.advice).isprintable() for one in found.problems)
    assert found.source.complete


def test_a_message_that_vanishes_while_it_is_read_stops_nothing(scene: Scene) -> None:
    key = scene.put("one")
    scene.put("two")
    scene.server.faults.append(Fault("files.get*", status=404, reason="notFound", where=key, times=9))
    found = scene.look()
    assert (names(found), found.source.complete, key in scene.memory.messages) == (["two"], True, False)


def test_a_message_that_is_there_and_may_not_be_downloaded_is_given_up(scene: Scene) -> None:
    key = scene.put()
    scene.server.faults.append(Fault("files.get_media", status=404, reason="notFound", where=key, times=9))
    looks = [scene.look(), scene.look(), scene.look()]
    assert [len(found.problems) for found in looks] == [0, 0, 1]
    assert ("may not be downloaded" in said(looks[2]), scene.verdict(key)) == (True, "damaged")


def test_a_message_that_cannot_be_had_now_is_read_by_the_next_look(scene: Scene) -> None:
    scene.seconds = 1e6
    key = scene.put("one")
    scene.put("two")
    scene.server.faults.append(Fault("files.get_media", status=500, where=key, times=5))
    found = scene.look()
    assert (names(found), found.source.ok, found.source.complete) == (["two"], True, False)
    assert "1 of 2 messages" in said(found)
    assert (scene.verdict(key), scene.memory.messages[key].tries) == ("unread", 0)
    again = scene.look()
    assert (names(again), again.full, again.source.complete) == (["one"], False, True)


def test_a_look_that_runs_out_of_time_goes_on_where_it_ended(scene: Scene) -> None:
    for number in range(6):
        scene.put(f"job{number}")
    seen: list[str] = []
    for round_ in range(3):
        scene.server.faults.append(Fault("files.get_media", status=503, retry_after="3600", skip=2))
        found = scene.look()
        scene.server.faults.clear()
        assert found.full is (round_ == 0)
        assert found.source.complete is (round_ == 2)
        seen += names(found)
    assert seen == [f"job{number}" for number in range(6)]
    assert scene.memory.scanned_at == NOW


def test_messages_that_take_all_the_time_there_is_keep_the_others_waiting_once(scene: Scene) -> None:
    slow = [scene.put(f"slow{number}") for number in range(2)]
    scene.put("quick")
    scene.seconds = 20.0
    for key in slow:
        scene.server.faults.append(Fault("files.get_media", status=503, retry_after="15", where=key, times=99))
    seen = [names(scene.look()) for _ in range(3)]
    assert ["quick"] in seen
    assert [scene.verdict(key) for key in slow] == ["unread", "unread"]
    scene.server.faults.clear()
    assert names(scene.look()) == ["slow0", "slow1"]


def test_the_flood_of_a_stranger_keeps_no_peer_waiting(scene: Scene) -> None:
    scene.answers(alice="accepted")
    boxes = {who: scene.server.add_folder(who, peer_folder(peer=who), share={OWNER: "writer"}) for who in (CAROL, MALLORY)}
    for number in range(5):
        body = pack(message(job(f"flood{number}", sender=MALLORY), sender=MALLORY))
        scene.server.add_file(MALLORY, file_name(1.0 + number), boxes[MALLORY], body, created=AT)
    scene.put("hers", box=boxes[CAROL], by=CAROL)
    scene.put("study")
    found = scene.look()
    assert names(found) == ["study", "flood0", "hers", "flood1", "flood2", "flood3", "flood4"]


def test_a_message_in_several_inboxes_lies_in_that_of_its_owner(scene: Scene) -> None:
    box = scene.server.add_folder(MALLORY, peer_folder(peer=MALLORY), share={OWNER: "writer"})
    folders = {box: RemoteFolder("one", "inbox", MALLORY), scene.inbox: RemoteFolder("other", "inbox", ALICE)}
    found = Found(OWNER, DriveMemory(folders=folders))
    found.take_message(File("x", numbered(1), (ALICE,), (box, scene.inbox), size=1))
    assert found.messages["x"].folder == scene.inbox


def test_an_unread_message_that_is_read_in_no_listing_stays_until_it_is_known_to_be_gone(scene: Scene) -> None:
    scene.look()
    with scene.server.lists_behind():
        key = scene.put(b"no gzip")
        scene.look()
        assert scene.look().gone == frozenset()
        assert scene.verdict(key) == "unread"
    scene.server.remove(key)
    assert scene.look().gone == {key}


def test_progress_is_told_every_hundred_messages(scene: Scene) -> None:
    body = pack(message([change("notes.txt", "hello")]))
    for _ in range(205):
        scene.put(body)
    scene.look()
    assert scene.lines == ["Drive: 100 of 205 messages", "Drive: 200 of 205 messages"]


# Nothing is lost.


@pytest.mark.parametrize("which", range(3))
def test_after_half_a_listing_nothing_is_forgotten_and_the_place_stays(scene: Scene, which: int) -> None:
    scene.put()
    scene.answers(alice="accepted")
    scene.look()
    before = scene.memory
    for place in (scene.memory.folders, scene.memory.messages):
        assert place
    lists = [Fault("files.list", edit=lambda _: {"files": [], "incompleteSearch": True}, skip=which)]
    scene.server.faults.extend(lists)
    scene.now += timedelta(hours=7)
    found = scene.look(full=True)
    assert (found.gone, found.source.ok, found.source.complete) == (frozenset(), True, False)
    assert scene.memory == before
    scene.server.faults.clear()
    assert scene.look(full=True).source.complete
    assert scene.memory.scanned_at == scene.now


def test_half_a_first_listing_is_followed_by_a_whole_one(scene: Scene) -> None:
    scene.put()
    scene.server.faults.append(Fault("files.list", edit=incomplete))
    found = scene.look()
    assert (names(found), scene.memory.token, found.source.complete) == (["study"], "", False)
    again = scene.look()
    assert (again.full, again.jobs, again.source.complete, scene.memory.token != "") == (True, (), True, True)


def test_listings_that_lag_behind_take_nothing_away(scene: Scene) -> None:
    scene.look()
    with scene.server.lists_behind():
        box = scene.server.add_folder(CAROL, peer_folder(peer=CAROL), share={OWNER: "writer"})
        answers = scene.answers(carol="accepted")
        key = scene.put("other", box=box, by=CAROL)
        assert names(scene.look()) == ["other"]
        found = scene.look(full=True)
        assert (found.gone, set(scene.memory.messages)) == (frozenset(), {key})
        assert (box in scene.memory.folders, scene.memory.peers_file) == (True, answers)
        assert scene.memory.states == {CAROL: "accepted"}


def test_a_listing_that_still_shows_what_is_gone_brings_nothing_back(scene: Scene) -> None:
    key = scene.put()
    scene.look()
    with scene.server.lists_behind():
        scene.server.trash(key)
        found = scene.look(full=True)
    assert (found.gone, found.jobs, scene.memory.messages) == ({key}, (), {})


def test_what_the_changes_did_not_tell_is_found_by_a_full_look_and_counted(scene: Scene) -> None:
    scene.look()
    with scene.server.changes_behind():
        scene.put("missed")
        scene.sent += 3595  # a few seconds old: the changes may still tell of it
        scene.put("young")
        assert scene.look().jobs == ()
        assert names(scene.look(full=True)) == ["missed", "young"]
    assert scene.memory.missed == 1
    assert scene.look().jobs == (), "the changes that come late tell nothing new"
    assert scene.memory.missed == 1


def test_nothing_counts_as_missed_on_the_first_look_or_in_a_new_inbox(scene: Scene) -> None:
    scene.put()
    scene.look()
    with scene.server.changes_behind():
        box = scene.server.add_folder(CAROL, peer_folder(peer=CAROL), share={OWNER: "writer"})
        scene.put("other", box=box, by=CAROL)
        assert names(scene.look(full=True)) == ["other"]
    assert scene.memory.missed == 0


@pytest.mark.parametrize("method", ["changes.list", "about.get", "files.list"])
def test_a_drive_out_of_reach_raises_and_the_memory_is_as_it_was(scene: Scene, method: str) -> None:
    scene.look()
    before = scene.memory
    scene.put()
    scene.server.faults.append(Fault(method, status=503, times=99))
    with pytest.raises(BusyError):
        scene.look(full=True)
    scene.server.faults.clear()
    assert scene.memory == before
    assert names(scene.look()) == ["study"]


def test_a_sign_in_that_ends_in_the_middle_raises(scene: Scene) -> None:
    scene.put()
    scene.server.revoke(OWNER)
    with pytest.raises(SignInError):
        scene.look()


def test_the_sign_in_of_another_account_is_refused_by_both_names(scene: Scene) -> None:
    with pytest.raises(ConfigError, match=f"{OWNER}, not to {CAROL}"):
        scene.look(me=CAROL)
    with scene.drive(60.0) as drive, pytest.raises(ConfigError):
        look.peers(drive, DriveMemory(), me=CAROL)


def test_what_was_remembered_of_another_account_is_left_behind(scene: Scene) -> None:
    key = scene.put()
    scene.look()
    scene.memory = DriveMemory(account=CAROL, token="7", messages={"old": scene.memory.messages[key]}, sent={"job": {"a": "b"}})
    found = scene.look()
    assert (found.gone, found.full, names(found), scene.memory.account) == ({"old"}, True, ["study"], OWNER)
    assert scene.memory.sent == {}


def test_what_others_remember_in_the_same_place_is_kept(scene: Scene) -> None:
    scene.memory = DriveMemory(answers={ALICE: "accepted"}, sent={"job": {"a": "b"}})
    scene.look()
    assert (scene.memory.answers, scene.memory.sent) == ({ALICE: "accepted"}, {"job": {"a": "b"}})


# The owner's list of answers.


def test_the_list_of_answers_is_read_once_and_again_when_it_is_another_one(scene: Scene) -> None:
    key = scene.answers(Alice="accepted", bob="requested_by_me")
    scene.look()
    assert scene.memory.states == {ALICE: "accepted", "bob@uni.example": "requested_by_me"}
    scene.look(full=True)
    assert "files.get_media" not in scene.methods()
    scene.server.touch(key, listed(alice="rejected"))
    scene.look()
    assert scene.methods() == ["changes.list", "files.get_media"]
    assert scene.memory.states == {ALICE: "rejected"}
    scene.server.touch(key)
    scene.look()
    assert scene.methods() == ["changes.list"]


def test_a_first_list_of_answers_is_found_by_the_changes(scene: Scene) -> None:
    scene.look()
    scene.answers(alice="accepted")
    scene.look()
    assert scene.memory.states == {ALICE: "accepted"}
    assert scene.methods() == ["changes.list", "files.list", "files.get_media"]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("how", ["trash", "remove"])
def test_a_list_of_answers_that_was_deleted_says_nothing_any_more(scene: Scene, full: bool, how: str) -> None:
    key = scene.answers(alice="accepted")
    scene.look()
    getattr(scene.server, how)(key)
    scene.look(full=full)
    assert (scene.memory.states, scene.memory.peers_file, scene.memory.peers_md5) == ({}, "", "")


def test_a_list_of_answers_that_was_renamed_is_none(scene: Scene) -> None:
    key = scene.answers(alice="accepted")
    scene.look()
    scene.server.touch(key, name="SYFT_peers (old).json")
    scene.look()
    assert scene.memory.states == {}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"[" * 200_000, b'{"a": NaN}', bytes(5 << 20)], ids=lambda body: repr(body[:9])
)
def test_a_damaged_list_of_answers_is_told_and_what_was_known_still_holds(scene: Scene, body: bytes) -> None:
    key = scene.answers(alice="accepted")
    scene.look()
    scene.server.touch(key, body)
    scene.put()
    found = scene.look()
    assert (scene.memory.states, found.source.complete, names(found)) == ({ALICE: "accepted"}, False, ["study"])
    assert "SYFT_peers.json" in said(found)
    assert scene.look().problems == (), "told again by a full look only"
    assert len(scene.look(full=True).problems) == 1
    scene.server.touch(key, listed(alice="rejected"))
    scene.look()
    assert scene.memory.states == {ALICE: "rejected"}


def test_entries_of_a_list_that_are_no_answers_are_left_out(scene: Scene) -> None:
    long = "x" * 400
    body = '\ufeff{"alice@uni.example": {"state": "accepted", "public_encryption_bundle": {}}, "b": [], "c": {},'
    body += f'"d": {{"state": 7}}, "e": {{"state": "{long}"}}, "{long}": {{"state": "accepted"}}, "\\u001b": {{"state": "x"}}}}'
    scene.server.touch(scene.answers(), body.encode())
    found = scene.look()
    assert (scene.memory.states, found.problems) == ({ALICE: "accepted"}, ())


def test_of_several_lists_the_one_in_the_syftbox_folder_counts(scene: Scene) -> None:
    scene.answers(alice="accepted")
    scene.server.add_file(OWNER, "SYFT_peers.json", "", listed(alice="rejected"), created=AT + 1e8)
    scene.server.add_file(CAROL, "SYFT_peers.json", "", listed(alice="rejected"), share={OWNER: "reader"})
    scene.look()
    assert scene.memory.states == {ALICE: "accepted"}


def test_of_several_lists_outside_the_syftbox_folder_the_newest_counts(scene: Scene) -> None:
    for number, word in enumerate(("rejected", "accepted", "requested_by_me")):
        scene.server.add_file(OWNER, "SYFT_peers.json", "", listed(alice=word), created=AT + (number, 9, 5)[number])
    scene.look()
    assert scene.memory.states == {ALICE: "accepted"}


def test_a_list_that_vanishes_while_it_is_read_is_looked_for_again(scene: Scene) -> None:
    scene.answers(alice="accepted")
    scene.server.faults.append(Fault("files.get_media", status=404, reason="notFound"))
    found = scene.look()
    assert (scene.memory.states, scene.memory.token, found.source.complete) == ({}, "", False)
    scene.look()
    assert scene.memory.states == {ALICE: "accepted"}


# Peers only.


def test_looking_for_peers_takes_two_calls_and_leaves_the_rest_as_it_was(scene: Scene) -> None:
    key = scene.put()
    scene.look()
    before = scene.memory
    scene.put("two")
    scene.server.add_folder(CAROL, peer_folder(peer=CAROL), share={OWNER: "writer"})
    scene.server.remove(scene.inbox)
    scene.server.forget_calls()
    with scene.drive(60.0) as drive:
        found = look.peers(drive, before, me=OWNER)
    assert scene.methods() == ["files.list", "files.get", "files.list"], "the folder that is gone is asked for once more"
    assert {folder.peer for folder in found.memory.folders.values()} == {CAROL}
    assert (found.jobs, found.gone, found.full) == ((), frozenset(), False)
    assert (found.memory.messages, found.memory.token) == ({key: before.messages[key]}, before.token)


def test_looking_for_peers_the_first_time_asks_whose_drive_it_is(scene: Scene) -> None:
    scene.answers(alice="accepted")
    with scene.drive(60.0) as drive:
        found = look.peers(drive, DriveMemory(), me=OWNER)
    assert scene.methods() == ["about.get", "files.list", "files.list", "files.get_media"]
    assert (found.memory.states, found.memory.token, found.memory.account) == ({ALICE: "accepted"}, "", "")


def test_not_there_is_a_failure_where_the_whole_drive_is_meant(scene: Scene) -> None:
    scene.server.faults.append(Fault("changes.getStartPageToken", status=404, reason="notFound", times=9))
    with pytest.raises(NotThereError):
        scene.look()
