"""The calls of the Drive API, over the real client library to a Drive on loopback."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scq.drive.connection import FOLDERS, Drive
from scq.drive.items import NotThereError, StaleTokenError
from scq.drive.lists import PROBLEMS
from scq.drive.media import PART
from scq.errors import BusyError, ConfigError, InvalidFileError, SignInError, UsageError
from scq.signin.purposes import DRIVE, DRIVE_CHANGES
from scq.signin.renewing import Saved
from tests.servers.drive import DriveServer, Fault
from tests.servers.http import Answer, HttpServer, Request

OWNER, ALICE = "owner@hospital.example", "alice@uni.example"
INBOX = f"syft_datasite#0.10.0#{OWNER}#inbox#{ALICE}"
MESSAGE = "msgv2_1795248828.2938476_3c7db404-a886-4ac9-81f7-2bb2fea3249a.tar.gz"


class Bearer:
    """An access that needs no renewing."""

    def bearer(self) -> str:
        return "access"

    def renew(self) -> str:
        return "access-2"


@pytest.fixture
def server() -> Iterator[DriveServer]:
    with DriveServer() as server:
        yield server


@pytest.fixture
def drive(server: DriveServer, tmp_path: Path) -> Iterator[Drive]:
    with opened(server, tmp_path) as drive:
        yield drive


def opened(server: DriveServer, tmp_path: Path, *, read_only: bool = False, **how: Any) -> Drive:
    path = server.token_file(tmp_path / "token.json", OWNER, read_only=read_only)
    saved = Saved(str(path), DRIVE if read_only else DRIVE_CHANGES, rewrite=False)
    return Drive(saved, endpoint=server.endpoint, budget=30.0, sleep=lambda seconds: None, **how)


def scripted(answer: Callable[[Request], Answer], asks: Callable[[Drive], Any]) -> Any:
    """What `asks` gets from a service that answers everything in this way."""
    with HttpServer(answer) as server, Drive(Bearer(), endpoint=server.url, budget=30.0, sleep=lambda seconds: None) as drive:
        return asks(drive)


def always(body: Any) -> Callable[[Request], Answer]:
    return lambda request: Answer(body=json.dumps(body))


# What is there.


def test_the_account_is_told_in_lower_case(drive: Drive, server: DriveServer) -> None:
    assert drive.account() == OWNER
    assert (drive.calls, server.count("about.get")) == (1, 1)
    assert scripted(always({"user": {"emailAddress": "Owner@Hospital.Example"}}), Drive.account) == OWNER


def test_folders_of_peers_are_found_and_none_of_the_own_ones(drive: Drive, server: DriveServer) -> None:
    inbox = server.add_folder(ALICE, INBOX, share={OWNER: "writer"}, created=1795248828.5)
    old = server.add_folder(ALICE, f"syft_outbox_inbox_{ALICE}_to_{OWNER}", share={OWNER: "writer"})
    server.add_folder(OWNER, f"syft_datasite#0.10.0#{ALICE}#inbox#{OWNER}", share={ALICE: "writer"})
    server.add_folder(ALICE, "holiday", share={OWNER: "writer"})
    found = drive.peer_folders()
    assert found.complete
    assert {file.id for file in found.files} == {inbox, old}
    file = next(file for file in found.files if file.id == inbox)
    assert (file.name, file.owner, file.is_folder, file.trashed, file.size) == (INBOX, ALICE, True, False, None)
    assert file.created_at == datetime(2026, 11, 21, 8, 13, 48, 500_000, tzinfo=UTC)


def test_every_page_is_read(drive: Drive, server: DriveServer) -> None:
    wanted = {server.add_folder(ALICE, f"{INBOX}{number}", share={OWNER: "writer"}) for number in range(2001)}
    assert {file.id for file in drive.peer_folders().files} == wanted
    assert server.count("files.list") == 3


def test_messages_of_many_folders_are_asked_for_together(drive: Drive, server: DriveServer) -> None:
    folders = [server.add_folder(ALICE, INBOX, share={OWNER: "writer"}) for _ in range(2 * FOLDERS + 1)]
    content = b"\x1f\x8b body"
    sent = [server.add_file(ALICE, MESSAGE, folder, content) for folder in folders]
    server.add_file(ALICE, "notes.txt", folders[0])
    found = drive.messages([*folders, folders[0]])
    assert {file.id for file in found.files} == set(sent)
    assert server.count("files.list") == 3
    assert all(request.method == "GET" for request in server.http.requests)
    file = next(file for file in found.files if file.id == sent[0])
    assert (file.size, file.md5, file.parents) == (len(content), hashlib.md5(content).hexdigest(), (folders[0],))
    assert drive.messages([]).files == ()
    assert server.count("files.list") == 3


def test_a_folder_that_is_gone_hides_no_message_of_the_others(drive: Drive, server: DriveServer) -> None:
    folders = [server.add_folder(ALICE, INBOX, share={OWNER: "writer"}) for _ in range(5)]
    sent = {server.add_file(ALICE, MESSAGE, folder) for folder in folders}
    server.faults.append(Fault("files.list", status=404, reason="notFound", where=folders[3], times=9))
    found = drive.messages(folders)
    assert found.complete
    assert {file.id for file in found.files} == sent - {server.inside(folders[3])[0].id}


def test_own_files_are_found_by_their_name_only(drive: Drive, server: DriveServer) -> None:
    mine = server.add_file(OWNER, "SYFT_peers.json", content=b"{}")
    server.add_file(ALICE, "SYFT_peers.json", share={OWNER: "reader"})
    server.add_file(OWNER, "SYFT_peers.json.bak")
    assert [file.id for file in drive.own_files("SYFT_peers.json").files] == [mine]


@pytest.mark.parametrize("name", ["o'brien", "back\\slash", "both \\' of them", "a' or name contains 'b"])
def test_a_name_stays_a_name_inside_a_question(drive: Drive, server: DriveServer, name: str) -> None:
    wanted = server.add_file(OWNER, name)
    server.add_file(OWNER, "b")
    assert [file.id for file in drive.own_files(name).files] == [wanted]


def test_what_is_looked_for_can_be_narrowed(drive: Drive, server: DriveServer) -> None:
    box = server.add_folder(OWNER, "SyftBox")
    folder, file = server.add_folder(OWNER, "x", box), server.add_file(OWNER, "x", box)
    elsewhere, foreign = server.add_file(OWNER, "x"), server.add_file(ALICE, "x", share={OWNER: "reader"})

    def ids(*args: Any, **how: Any) -> set[str]:
        return {found.id for found in drive.find("x", *args, **how).files}

    assert ids(box) == {folder, file}
    assert ids(None) == {folder, file, elsewhere}
    assert ids(None, mine=False) == {folder, file, elsewhere, foreign}
    assert (ids(box, folder=True), ids(box, folder=False)) == ({folder}, {file})
    assert [found.id for found in drive.folders(box).files] == [folder]


def test_one_file_is_looked_at(drive: Drive, server: DriveServer) -> None:
    file = server.add_file(OWNER, "x", content=b"abc")
    assert (drive.file(file).name, drive.file(file).size) == ("x", 3)
    with pytest.raises(NotThereError, match="404"):
        drive.file("gone")


@pytest.mark.parametrize("id", ["", "a' or 'b", "../x", "a b", "ü", "x" * 201, "a\n"])
def test_what_is_no_id_is_never_sent(drive: Drive, id: str) -> None:
    for call in (drive.file, drive.permissions, drive.folders, lambda id: drive.messages([id]), lambda id: drive.download(id, 9)):
        with pytest.raises(ConfigError, match="no id"):
            call(id)
    assert drive.calls == 0


# Changes.


def test_what_changed_is_told_once(drive: Drive, server: DriveServer) -> None:
    old = server.add_file(OWNER, "old")
    token = drive.start_token()
    assert drive.changes(token)[0] == ()
    new = server.add_file(OWNER, "new", content=b"abc")
    server.remove(old)
    changes, following = drive.changes(token)
    assert {change.id: change.file and change.file.name for change in changes} == {new: "new", old: None}
    assert drive.changes(following)[0] == ()
    assert server.count("changes.list") == 3


def test_changes_are_read_to_their_last_page(drive: Drive, server: DriveServer) -> None:
    token = drive.start_token()
    wanted = {server.add_file(OWNER, f"n{number}") for number in range(1001)}
    assert {change.id for change in drive.changes(token)[0]} == wanted
    assert server.count("changes.list") == 2


def test_a_token_that_drive_does_not_know_is_stale(drive: Drive, server: DriveServer) -> None:
    token = drive.start_token()
    server.add_file(OWNER, "x")
    server.forget_changes()
    for stale in (token, "nonsense"):
        with pytest.raises(StaleTokenError):
            drive.changes(stale)
    server.faults.append(Fault("changes.list", status=410, reason="gone"))
    with pytest.raises(StaleTokenError, match="410"):
        drive.changes(drive.start_token())


def test_a_refusal_for_another_reason_does_not_make_the_token_stale(drive: Drive, server: DriveServer) -> None:
    token = drive.start_token()
    server.faults.append(Fault("changes.list", status=403, reason="userRateLimitExceeded"))
    assert drive.changes(token)[0] == ()
    server.faults.append(Fault("changes.list", status=403, reason="insufficientPermissions"))
    with pytest.raises(SignInError, match="insufficientPermissions"):
        drive.changes(token)


@pytest.mark.parametrize(
    "answer",
    [
        {"changes": 5, "newStartPageToken": "2"},
        {"changes": [5], "newStartPageToken": "2"},
        {"changes": [{"fileId": "../x", "removed": True}], "newStartPageToken": "2"},
        {"changes": [{"fileId": "a", "removed": "no"}], "newStartPageToken": "2"},
        {"changes": [{"fileId": "a", "file": {"id": "b", "name": "x"}}], "newStartPageToken": "2"},
        {"changes": [{"fileId": "a", "file": {"id": "a"}}], "newStartPageToken": "2"},
        {"changes": [], "newStartPageToken": 2},
        {"changes": []},
        {"changes": [], "nextPageToken": "1"},
        {"changes": [], "nextPageToken": "two words"},
    ],
)
def test_changes_that_cannot_be_understood_are_never_taken_for_all_of_them(answer: dict[str, Any]) -> None:
    with pytest.raises(StaleTokenError):
        scripted(always(answer), lambda drive: drive.changes("1"))


def test_changes_of_shared_drives_are_none_of_ours() -> None:
    answer = {"changes": [{"removed": False, "time": "x"}, {"fileId": "a", "removed": True}], "newStartPageToken": "2"}
    changes, token = scripted(always(answer), lambda drive: drive.changes("1"))
    assert ([(change.id, change.file) for change in changes], token) == ([("a", None)], "2")


# Hostile answers.


@pytest.mark.parametrize(
    "row",
    [
        5,
        None,
        {},
        {"id": "a"},
        {"id": 5, "name": "x"},
        {"id": "a b", "name": "x"},
        {"id": "a' or 'b", "name": "x"},
        {"id": "a", "name": 5},
        {"id": "a", "name": "x", "mimeType": []},
        {"id": "a", "name": "x", "parents": "p"},
        {"id": "a", "name": "x", "parents": ["../p"]},
        {"id": "a", "name": "x", "trashed": "no"},
        {"id": "a", "name": "x", "size": -1},
        {"id": "a", "name": "x", "size": "1e9"},
        {"id": "a", "name": "x", "size": "9" * 30},
        {"id": "a", "name": "x", "size": True},
        {"id": "a", "name": "x", "createdTime": 5},
    ],
)
def test_a_part_that_is_not_usable_is_left_out_and_told(row: Any) -> None:
    def asks(drive: Drive) -> None:
        found = drive.peer_folders()
        assert ([file.id for file in found.files], found.complete) == (["good"], False)
        assert "left out" in drive.problems[0].what
        assert drive.problems[0].what.isprintable()

    scripted(always({"files": [row, {"id": "good", "name": "x"}]}), asks)


def test_only_some_of_many_problems_are_told_but_no_listing_is_called_complete() -> None:
    def asks(drive: Drive) -> None:
        assert not drive.peer_folders().complete
        assert not drive.peer_folders().complete
        assert len(drive.problems) == PROBLEMS

    scripted(always({"files": [{}] * 50}), asks)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2Jx", "syft_\u202eevil", "x" * 40_000])
def test_a_name_that_a_stranger_chose_makes_no_listing_incomplete(name: str) -> None:
    found = scripted(always({"files": [{"id": "a", "name": name}]}), Drive.peer_folders)
    assert found.complete
    assert found.files[0].name.isprintable()
    assert len(found.files[0].name) <= 1001
    assert found.files[0].name != name


def test_a_blank_at_the_end_of_a_name_stays_there() -> None:
    assert scripted(always({"files": [{"id": "a", "name": f"{INBOX} "}]}), Drive.peer_folders).files[0].name == f"{INBOX} "


@pytest.mark.parametrize(
    "owners",
    [[], None, "alice@uni.example", [{"emailAddress": "a b"}], [{"emailAddress": ALICE}, {}], [{"emailAddress": ALICE}, 5]],
)
def test_an_owner_that_is_not_clear_is_nobody(owners: Any) -> None:
    found = scripted(always({"files": [{"id": "a", "name": "x", "owners": owners}]}), Drive.peer_folders)
    assert (found.files[0].owners, found.files[0].owner, found.complete) == ((), "", True)


def test_times_and_checksums_are_read_only_where_they_are_some() -> None:
    rows = [
        {"id": "a", "name": "x", "createdTime": "2026-11-21T10:00:00.123Z", "md5Checksum": "AB" * 16, "size": 7},
        {"id": "b", "name": "x", "createdTime": "yesterday", "md5Checksum": "no"},
        {"id": "c", "name": "x", "createdTime": "2026-13-45T10:00:00Z"},
        {"id": "d", "name": "x", "createdTime": "0001-01-01T00:00:00+23:59"},
    ]
    first, *others = scripted(always({"files": rows}), Drive.peer_folders).files
    assert (first.created_at, first.md5, first.size) == (datetime(2026, 11, 21, 10, 0, 0, 123_000, tzinfo=UTC), "ab" * 16, 7)
    assert [(file.created_at, file.md5) for file in others] == [(None, "")] * 3


def test_a_search_that_did_not_look_everywhere_is_incomplete() -> None:
    assert not scripted(always({"files": [], "incompleteSearch": True}), Drive.peer_folders).complete
    assert not scripted(always({"files": [], "incompleteSearch": "?"}), Drive.peer_folders).complete
    assert scripted(always({"files": [], "incompleteSearch": False}), Drive.peer_folders).complete


def test_a_list_that_has_no_end_is_broken_off() -> None:
    def asks(drive: Drive) -> None:
        found = drive.peer_folders()
        assert (len(found.files), found.complete, drive.calls) == (2, False, 2)
        assert "no end" in drive.problems[0].what

    scripted(always({"files": [{"id": "a", "name": "x"}], "nextPageToken": "again"}), asks)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, {"files": 5}, {"nextPageToken": 5}])
def test_an_answer_that_is_none_is_asked_for_again_and_then_given_up(body: Any) -> None:
    def asks(drive: Drive) -> None:
        with pytest.raises(BusyError, match="nobody understands"):
            drive.peer_folders()
        assert drive.calls == 5

    scripted(lambda request: Answer(body=body), asks)


@pytest.mark.parametrize("answer", [{}, {"user": 5}, {"user": {"emailAddress": "no address"}}])
def test_an_account_without_an_address_is_no_answer(answer: Any) -> None:
    with pytest.raises(BusyError, match="whose Drive"):
        scripted(always(answer), Drive.account)


def test_a_place_in_the_changes_that_is_missing_is_no_answer() -> None:
    with pytest.raises(BusyError):
        scripted(always({}), Drive.start_token)


def test_another_file_than_asked_for_is_no_answer() -> None:
    with pytest.raises(BusyError, match="another id"):
        scripted(always({"id": "b", "name": "x"}), lambda drive: drive.file("a"))


# Contents.


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1])
def test_a_content_is_fetched_whole(drive: Drive, server: DriveServer, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    file = server.add_file(OWNER, "x", content=content)
    assert drive.download(file, size) == content
    assert drive.calls == max(1, -(-size // PART))


def test_no_more_of_a_large_content_is_fetched_than_shows_that_it_is_one(drive: Drive, server: DriveServer) -> None:
    file = server.add_file(OWNER, "x", content=b"x" * 1000)
    with pytest.raises(InvalidFileError, match="1000 bytes"):
        drive.download(file, 999)
    assert server.http.requests[-1].headers["range"] == "bytes=0-999"
    with pytest.raises(NotThereError):
        drive.download("gone", 10)


def test_a_service_that_knows_no_ranges_is_understood() -> None:
    assert scripted(lambda request: Answer(body=b"all of it"), lambda drive: drive.download("a", 9)) == b"all of it"
    with pytest.raises(InvalidFileError):
        scripted(lambda request: Answer(body=b"all of it"), lambda drive: drive.download("a", 8))


@pytest.mark.parametrize(
    "span", ["", "bytes 0-8/*", "bytes 1-9/20", "bytes 0-7/9", "bytes 0-8/8", "bytes 8-0/9", "bytes 0-8/" + "9" * 40]
)
def test_parts_that_do_not_fit_are_no_content(span: str) -> None:
    with pytest.raises(BusyError, match="nobody understands"):
        scripted(lambda request: Answer(206, b"123456789", {"Content-Range": span}), lambda drive: drive.download("a", 100))


def test_a_content_that_changes_under_the_reading_is_read_anew() -> None:
    contents = [b"old" * PART, b"new" * PART, b"newer" * PART]

    def answer(request: Request) -> Answer:
        content = contents.pop(0) if len(contents) > 1 else contents[0]
        start, end = (int(text) for text in request.headers["range"].removeprefix("bytes=").split("-"))
        part = content[start : end + 1]
        return Answer(206, part, {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(content)}"})

    assert scripted(answer, lambda drive: drive.download("a", 9 * PART)) == b"newer" * PART


# Changing what is there.


def test_a_folder_and_a_file_in_it_are_made(drive: Drive, server: DriveServer) -> None:
    box = drive.create_folder("SyftBox", None)
    inner = drive.create_folder("o'brien", box)
    file = drive.upload("x.json", inner, b"{}", "text/plain")
    assert drive.file(box).is_folder
    assert drive.file(inner).parents == (box,)
    assert (server.item(file).content, server.item(file).mime, server.item(file).owner) == (b"{}", "text/plain", OWNER)
    replaced = drive.replace(file, b"[]", "text/plain")
    assert (replaced.id, replaced.md5) == (file, hashlib.md5(b"[]").hexdigest())
    assert server.item(file).content == b"[]"


def test_a_large_content_goes_out_in_parts(drive: Drive, server: DriveServer) -> None:
    box = drive.create_folder("box", None)
    content = b"0123456789" * 1_000_000
    file = drive.upload("large", box, content, "application/octet-stream")
    assert server.item(file).content == content
    assert server.count("upload.put") == 2


@pytest.mark.parametrize(
    "fault", [Fault(status=503, carried_out=True), Fault(cut=0, carried_out=True), Fault(cut=3), Fault(body=b"{")]
)
def test_a_file_whose_answer_got_lost_is_not_made_twice(drive: Drive, server: DriveServer, fault: Fault) -> None:
    fault.on = "files.create"
    server.faults.append(fault)
    box = drive.create_folder("box", None)
    fault.times = 1
    file = drive.upload("x", box, b"abc", "text/plain")
    assert [item.id for item in server.find("box")] == [box]
    assert [item.id for item in server.find("x")] == [file]
    assert server.item(file).content == b"abc"


def test_a_file_is_moved(drive: Drive, server: DriveServer) -> None:
    inbox = server.add_folder(ALICE, INBOX, share={OWNER: "writer"})
    archive = drive.create_folder("archive", None)
    message = server.add_file(ALICE, MESSAGE, inbox)
    drive.move(message, to=archive, out_of=(inbox,))
    assert ([item.id for item in server.inside(archive)], server.inside(inbox)) == ([message], [])
    with pytest.raises(NotThereError):
        drive.move("gone", to=archive, out_of=())


def test_sharing_tells_who_may_do_what_and_mails_only_when_asked(drive: Drive, server: DriveServer) -> None:
    box = drive.create_folder("box", None)
    drive.share(box, ALICE, "writer", mail=False)
    assert server.mails == []
    drive.share(box, "bob@lab.example", "reader", mail=True)
    assert len(server.mails) == 1
    assert set(drive.permissions(box)) == {(OWNER, "owner"), (ALICE, "writer"), ("bob@lab.example", "reader")}


def test_a_mail_that_may_have_gone_out_is_not_sent_twice(drive: Drive, server: DriveServer) -> None:
    box = drive.create_folder("box", None)
    server.faults.append(Fault("permissions.create", status=502, carried_out=True))
    with pytest.raises(BusyError) as caught:
        drive.share(box, ALICE, "writer", mail=True)
    assert "may have been done" in caught.value.advice
    assert (len(server.mails), server.count("permissions.create")) == (1, 1)
    assert (ALICE, "writer") in drive.permissions(box)


def test_what_surely_was_not_done_is_repeated_even_if_it_sends_a_mail(drive: Drive, server: DriveServer) -> None:
    box = drive.create_folder("box", None)
    server.faults += [
        Fault("permissions.create", status=429),
        Fault("permissions.create", status=403, reason="rateLimitExceeded"),
    ]
    drive.share(box, ALICE, "writer", mail=True)
    assert (len(server.mails), server.count("permissions.create")) == (1, 3)


@pytest.mark.parametrize(("address", "role"), [("nobody", "writer"), (ALICE, "owner"), ("a@x.org\nb@x.org", "reader")])
def test_sharing_with_nobody_or_as_an_owner_is_refused_here(drive: Drive, address: str, role: str) -> None:
    with pytest.raises(UsageError):
        drive.share("a", address, role, mail=False)
    assert drive.calls == 0


def test_permissions_without_an_address_are_left_out() -> None:
    rows = [{"role": "reader"}, {"role": "writer", "emailAddress": "A@X.org"}, {"emailAddress": "b@x.org"}, 5]

    def asks(drive: Drive) -> None:
        assert drive.permissions("a") == (("a@x.org", "writer"),)
        assert len(drive.problems) == 2

    scripted(always({"permissions": rows}), asks)


def test_a_sign_in_for_reading_cannot_change_anything_and_says_what_would_help(server: DriveServer, tmp_path: Path) -> None:
    drive = opened(server, tmp_path, read_only=True)
    assert drive.peer_folders().complete
    file = server.add_file(OWNER, "x", content=b"abc")
    assert drive.download(file, 3) == b"abc"
    with pytest.raises(SignInError) as caught:
        drive.replace(file, b"x", "text/plain")
    assert "--write" in caught.value.advice
    drive.close()


# Connections.


def test_a_closed_drive_opens_again_and_a_forgotten_one_closes_itself(server: DriveServer, tmp_path: Path) -> None:
    with opened(server, tmp_path) as drive:
        drive.account()
    assert drive.account() == OWNER
    assert drive._asking._carrier is not None
    pools = drive._asking._carrier._session.get_adapter(server.url).poolmanager.pools  # type: ignore[union-attr]
    assert len(pools) == 1
    del drive
    gc.collect()
    assert len(pools) == 0


def test_lists_with_ever_new_pages_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scq.drive.lists.PAGES", 3)
    monkeypatch.setattr("scq.drive.connection.PAGES", 3)

    def answer(request: Request) -> Answer:
        return Answer(body={"files": [], "changes": [], "nextPageToken": request.path.rpartition("pageToken=")[2][-50:] + "x"})

    assert not scripted(answer, Drive.peer_folders).complete
    with pytest.raises(StaleTokenError, match="no end"):
        scripted(answer, lambda drive: drive.changes("1"))
