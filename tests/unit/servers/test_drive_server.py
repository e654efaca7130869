"""The loopback Drive, asked by Google's own client library over real sockets."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.error import HTTPError as UrlError

import httplib2
import pytest
import requests
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request as AuthRequest
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseDownload, MediaIoBaseUpload, build_http

from tests.servers.drive import DriveServer, Fault
from tests.servers.drive_accounts import READ_ONLY
from tests.servers.drive_fields import description
from tests.servers.http import Answer

OWNER, ALICE, BOB = "owner@hospital.example", "alice@uni.example", "bob_smith@lab.example"
FOLDER = "application/vnd.google-apps.folder"
INBOX = f"syft_datasite#0.10.0#{OWNER}#inbox#{ALICE}"
Client = Callable[..., Any]


@pytest.fixture
def server() -> Iterator[DriveServer]:
    with DriveServer() as made:
        yield made


@pytest.fixture
def client(server: DriveServer) -> Iterator[Client]:
    """The `drive` service of an account, as google-api-python-client makes it."""
    made = []

    def of(address: str, **how: Any) -> Any:
        document = deepcopy(description()) | {"rootUrl": server.endpoint}
        http = AuthorizedHttp(Credentials(server.token_of(address, **how)), http=build_http())
        made.append(build_from_document(document, http=http))
        return made[-1]

    yield of
    for service in made:
        service.close()


def names(service: Any, q: str, **how: Any) -> list[str]:
    return [found["name"] for found in service.files().list(q=q, **how).execute()["files"]]


def refused(request: Any) -> tuple[int, str]:
    with pytest.raises(HttpError) as caught:
        request.execute()
    return caught.value.status_code, json.loads(caught.value.content)["error"]["errors"][0]["reason"]


def upload(content: bytes, *, chunk: int = -1, resumable: bool = False) -> MediaIoBaseUpload:
    return MediaIoBaseUpload(io.BytesIO(content), "application/octet-stream", chunksize=chunk, resumable=resumable)


class TestWhoSeesWhat:
    def test_an_account_sees_its_own_and_what_lies_in_folders_shared_with_it(self, server: DriveServer, client: Client) -> None:
        top = server.add_folder(ALICE, "SyftBox")
        inbox = server.add_folder(ALICE, INBOX, top, share={OWNER: "writer"})
        message = server.add_file(ALICE, "msgv2_1", inbox, b"body")
        server.add_file(ALICE, "private", top, b"secret")
        found = client(OWNER).files().list(fields="files(id,name,parents,ownedByMe,owners(emailAddress))").execute()["files"]
        owners = [{"emailAddress": ALICE}]
        assert found == [
            {"id": inbox, "name": INBOX, "ownedByMe": False, "owners": owners},
            {"id": message, "name": "msgv2_1", "parents": [inbox], "ownedByMe": False, "owners": owners},
        ]
        assert sorted(names(client(ALICE), "")) == ["SyftBox", "msgv2_1", "private", INBOX]
        assert names(client(BOB), "") == []
        assert refused(client(BOB).files().get(fileId=message)) == (404, "notFound")

    def test_permissions_are_shown_only_to_those_who_can_share(self, server: DriveServer, client: Client) -> None:
        version = server.add_file(ALICE, "SYFT_version.json", share={OWNER: "reader", BOB: "writer"})
        fields = "permissions(emailAddress,role),capabilities(canShare)"
        assert client(OWNER).files().get(fileId=version, fields=fields).execute() == {"capabilities": {"canShare": False}}
        assert len(client(BOB).files().get(fileId=version, fields=fields).execute()["permissions"]) == 3
        assert refused(client(OWNER).permissions().list(fileId=version)) == (403, "insufficientFilePermissions")

    def test_a_file_put_in_a_shared_folder_belongs_to_whoever_put_it_there(self, server: DriveServer, client: Client) -> None:
        outbox = server.add_folder(ALICE, "outbox", share={OWNER: "writer", BOB: "reader"})
        body = {"name": "event", "parents": [outbox]}
        made = client(OWNER).files().create(body=body, media_body=upload(b"x"), fields="id,ownedByMe").execute()
        assert made["ownedByMe"] is True
        seen = client(ALICE).files().get(fileId=made["id"], fields="owners(emailAddress),parents,capabilities(canEdit,canDelete)")
        assert seen.execute() == {
            "owners": [{"emailAddress": OWNER}],
            "parents": [outbox],
            "capabilities": {"canEdit": True, "canDelete": False},
        }
        assert refused(client(BOB).files().create(body=body)) == (403, "insufficientFilePermissions")
        assert refused(client(ALICE).files().delete(fileId=made["id"])) == (403, "insufficientFilePermissions")

    def test_a_message_moved_to_ones_own_folder_stays_the_senders(self, server: DriveServer, client: Client) -> None:
        inbox = server.add_folder(ALICE, INBOX, share={OWNER: "writer"})
        archive = server.add_folder(OWNER, "archive")
        message = server.add_file(ALICE, "msgv2_1", inbox, b"body", created=1000.0)
        moved = (
            client(OWNER).files().update(fileId=message, addParents=archive, removeParents=inbox, fields="id,parents,createdTime")
        )
        assert moved.execute() == {"id": message, "parents": [archive], "createdTime": "1970-01-01T00:16:40.000Z"}
        assert client(ALICE).files().get(fileId=message, fields="ownedByMe,parents").execute() == {"ownedByMe": True}
        assert refused(client(OWNER).files().update(fileId=message, addParents=inbox)) == (403, "cannotAddParent")
        assert server.inside(inbox) == []

    def test_a_read_only_sign_in_may_look_but_not_change(self, server: DriveServer, client: Client) -> None:
        service = client(OWNER, read_only=True)
        assert service.about().get(fields="user(emailAddress)").execute() == {"user": {"emailAddress": OWNER}}
        assert refused(service.files().create(body={"name": "x"})) == (403, "insufficientPermissions")
        assert refused(service.about().get()) == (400, "required")


class TestSearching:
    @pytest.mark.parametrize(
        ("q", "found"),
        [
            ("name = 'SyftBox'", ["SyftBox"]),
            ("name='syftbox'", []),
            ("name != 'SyftBox' and 'root' in parents", ["it's a \\ file", "old", INBOX]),
            ("name contains 'SYFT_DATASITE'", [INBOX]),
            ("name contains 'syft_data'", [INBOX]),
            ("name contains 'datasite'", [INBOX]),
            ("name contains 'site'", []),
            ("name contains 'syft 0'", []),
            (f"name contains '#{OWNER}#inbox#ali'", [INBOX]),
            ("name = 'it\\'s a \\\\ file'", ["it's a \\ file"]),
            (f"mimeType = '{FOLDER}'", ["SyftBox", INBOX]),
            (f"mimeType != '{FOLDER}' and trashed = false", ["it's a \\ file", "msgv2_1"]),
            ("trashed = true", ["old"]),
            ("not trashed=false", ["old"]),
            ("'me' in owners and not name contains 'syft'", ["it's a \\ file", "msgv2_1", "old"]),
            (f"'{OWNER}' in owners", []),
            (f"'{OWNER}' in writers", [INBOX, "msgv2_1"]),
            (f"'{ALICE.upper()}' in owners and name = 'SyftBox'", ["SyftBox"]),
            ("name = 'a' or name = 'SyftBox' and trashed = true or name = 'msgv2_1'", ["msgv2_1"]),
            ("(name = 'a' or name = 'SyftBox') and trashed = false", ["SyftBox"]),
            ("createdTime < '2001-01-01T00:00:00' and modifiedTime >= '1999-01-01T00:00:00Z'", ["old"]),
        ],
    )
    def test_a_search_finds_what_google_documents(self, server: DriveServer, client: Client, q: str, found: list[str]) -> None:
        server.add_folder(ALICE, "SyftBox")
        inbox = server.add_folder(ALICE, INBOX, share={OWNER: "writer"})
        server.add_file(ALICE, "msgv2_1", inbox)
        server.add_file(ALICE, "it's a \\ file")
        server.trash(server.add_file(ALICE, "old", created=946_684_800.0))
        assert sorted(names(client(ALICE), q)) == sorted(found)

    def test_several_folders_are_searched_at_once(self, server: DriveServer, client: Client) -> None:
        folders = [server.add_folder(ALICE, f"inbox {number}") for number in range(4)]
        for folder in folders:
            server.add_file(ALICE, f"msgv2_{folder}", folder)
        either = " or ".join(f"'{folder}' in parents" for folder in folders[:3])
        found = names(client(ALICE), f"trashed=false and name contains 'msgv2_' and ({either})")
        assert sorted(found) == sorted(f"msgv2_{folder}" for folder in folders[:3])

    @pytest.mark.parametrize(
        "q",
        [
            "name",
            "name =",
            "name = SyftBox",
            "name like 'x'",
            "(name = 'x'",
            "name = 'x')",
            "name = 'x' and",
            "'x' of parents",
            "'x' in nothing",
            "size > 3",
            "trashed = maybe",
            "createdTime < 'soon'",
            "name = 'open",
            "{}",
            "not " * 200 + "trashed = false",
        ],
    )
    def test_what_is_not_in_the_language_is_refused(self, client: Client, q: str) -> None:
        assert refused(client(ALICE).files().list(q=q)) == (400, "invalid")

    def test_a_folder_that_is_not_there_or_out_of_sight_is_said_to_be_missing(self, server: DriveServer, client: Client) -> None:
        for folder in ("nothing", server.add_folder(BOB, "private")):
            assert refused(client(ALICE).files().list(q=f"'{folder}' in parents")) == (404, "notFound")

    def test_pages_follow_each_other_without_gap_or_repetition(self, server: DriveServer, client: Client) -> None:
        for number in range(7):
            server.add_file(ALICE, f"file {number}", created=100.0 + number)
        files, token, sizes, found = client(ALICE).files(), None, [], []
        while True:
            page = files.list(q="trashed=false", pageSize=3, pageToken=token, orderBy="createdTime desc").execute()
            sizes.append(len(page["files"]))
            found += [item["name"] for item in page["files"]]
            token = page.get("nextPageToken")
            if not token:
                break
            assert refused(files.list(q="trashed=true", pageToken=token)) == (400, "invalid")
        assert (sizes, found) == ([3, 3, 1], [f"file {number}" for number in reversed(range(7))])
        assert refused(files.list(pageToken="x")) == (400, "invalid")
        assert refused(files.list(pageSize=1001)) == (400, "invalidParameter")
        assert refused(files.list(orderBy="colour")) == (400, "invalid")
        server.api.page_limit = 2
        assert len(files.list(pageSize=1000).execute()["files"]) == 2

    def test_a_very_long_search_comes_as_a_form(self, server: DriveServer, client: Client) -> None:
        folders = [server.add_folder(ALICE, f"folder {number}") for number in range(60)]
        server.add_file(ALICE, "inside", folders[40])
        q = " or ".join(f"'{folder}' in parents" for folder in folders)
        assert names(client(ALICE), q, fields="files(name)") == ["inside"]
        assert server.calls[-1].q == q


class TestPartialAnswers:
    def test_only_the_wanted_fields_come(self, server: DriveServer, client: Client) -> None:
        server.add_file(ALICE, "a", content=b"12345")
        files = client(ALICE).files()
        assert files.list(fields="files(name, owners(emailAddress)), nextPageToken").execute() == {
            "files": [{"name": "a", "owners": [{"emailAddress": ALICE}]}]
        }
        assert files.list(fields="files/size").execute() == {"files": [{"size": "5"}]}
        assert files.list(fields="incompleteSearch").execute() == {"incompleteSearch": False}
        everything = files.list(fields="*").execute()["files"][0]
        assert {"md5Checksum", "headRevisionId", "permissions", "capabilities", "version"} <= everything.keys()
        assert files.list().execute()["files"][0].keys() == {"kind", "id", "name", "mimeType"}

    @pytest.mark.parametrize("fields", ["files(colour)", "files(", "files)", ",", "files(id", "file", "files/", "!"])
    def test_fields_that_do_not_exist_are_refused(self, client: Client, fields: str) -> None:
        assert refused(client(ALICE).files().list(fields=fields)) == (400, "invalidParameter")

    def test_unknown_parameters_and_paths_are_refused(self, server: DriveServer) -> None:
        headers = {"Authorization": f"Bearer {server.token_of(ALICE)}"}
        for path, status in (("files?colour=red", 400), ("nothing", 404)):
            with pytest.raises(UrlError) as caught:
                urllib.request.urlopen(urllib.request.Request(f"{server.endpoint}drive/v3/{path}", headers=headers))
            assert caught.value.code == status
            caught.value.close()


class TestContent:
    @pytest.mark.parametrize(
        ("size", "how"),
        [
            (0, {"resumable": True}),
            (1, {}),
            (70_000, {}),
            (700_000, {"resumable": True, "chunk": 256 << 10}),
            (512 << 10, {"resumable": True, "chunk": 256 << 10}),
            (9, {"resumable": True}),
        ],
    )
    def test_what_is_uploaded_is_downloaded_byte_for_byte(self, client: Client, size: int, how: dict[str, Any]) -> None:
        content = (b"\r\n--\n\n\x00\xff" * (size // 8 + 1))[:size]
        files = client(ALICE).files()
        made = files.create(body={"name": "a"}, media_body=upload(content, **how), fields="id,size,mimeType").execute()
        assert made | {"id": ""} == {"id": "", "size": str(size), "mimeType": "application/octet-stream"}
        assert files.get_media(fileId=made["id"]).execute() == content
        replaced = files.update(fileId=made["id"], media_body=upload(content + b"!", **how), fields="id,size").execute()
        assert replaced == {"id": made["id"], "size": str(size + 1)}

    def test_downloads_come_in_the_parts_that_are_asked_for(self, server: DriveServer, client: Client) -> None:
        content = bytes(range(256)) * 10
        service, held = client(ALICE), io.BytesIO()
        whole = service.files().get_media(fileId=server.add_file(ALICE, "a", "", content))
        download = MediaIoBaseDownload(held, whole, chunksize=1000)
        parts = 1
        while not download.next_chunk()[1]:
            parts += 1
        assert (parts, held.getvalue()) == (3, content)
        empty = MediaIoBaseDownload(held := io.BytesIO(), service.files().get_media(fileId=server.add_file(ALICE, "b")))
        assert empty.next_chunk()[1] is True
        assert held.getvalue() == b""
        assert refused(service.files().get_media(fileId=server.add_folder(ALICE, "c"))) == (403, "fileNotDownloadable")

    def test_new_content_is_a_new_revision_and_a_new_name_is_not(self, client: Client) -> None:
        files = client(ALICE).files()
        fields = "id,version,md5Checksum,headRevisionId,createdTime"
        first = files.create(body={"name": "a"}, media_body=upload(b"1"), fields=fields).execute()
        second = files.update(fileId=first["id"], body={"name": "b"}, fields=fields).execute()
        third = files.update(fileId=first["id"], media_body=upload(b"2"), fields=fields).execute()
        assert int(first["version"]) < int(second["version"]) < int(third["version"])
        assert first["headRevisionId"] == second["headRevisionId"] != third["headRevisionId"]
        assert first["md5Checksum"] == second["md5Checksum"] != third["md5Checksum"]
        assert first["createdTime"] == third["createdTime"]
        assert names(client(ALICE), "name = 'b'") == ["b"]
        assert names(client(ALICE), "name = 'a'") == []

    def test_a_file_made_twice_with_one_id_is_made_once(self, client: Client) -> None:
        files = client(ALICE).files()
        file_id = files.generateIds(count=1, space="drive", type="files").execute()["ids"][0]
        assert files.create(body={"id": file_id, "name": "a"}, media_body=upload(b"1")).execute()["id"] == file_id
        assert refused(files.create(body={"id": file_id, "name": "a"}, media_body=upload(b"1"))) == (409, "fileIdInUse")
        assert names(client(ALICE), "name = 'a'") == ["a"]

    def test_a_part_that_does_not_fit_is_refused(self, server: DriveServer, client: Client) -> None:
        request = (
            client(ALICE).files().create(body={"name": "a"}, media_body=upload(b"x" * 300_000, chunk=100_000, resumable=True))
        )
        with pytest.raises(HttpError) as caught:
            request.execute()
        assert caught.value.status_code == 400
        assert server.find("a") == []

    def test_deleting_takes_ones_own_along_and_leaves_what_others_own(self, server: DriveServer, client: Client) -> None:
        folder = server.add_folder(ALICE, "folder", share={OWNER: "writer"})
        mine, theirs = server.add_file(ALICE, "mine", folder), server.add_file(OWNER, "theirs", folder)
        client(ALICE).files().delete(fileId=folder).execute()
        assert refused(client(ALICE).files().get(fileId=mine)) == (404, "notFound")
        assert client(OWNER).files().get(fileId=theirs).execute()["name"] == "theirs"

    def test_a_batch_answers_each_of_its_requests(self, server: DriveServer, client: Client) -> None:
        service, told = client(ALICE), {}
        batch = service.new_batch_http_request(callback=lambda number, answer, error: told.update({number: error or answer}))
        batch.add(service.files().delete(fileId=server.add_file(ALICE, "a")), request_id="gone")
        batch.add(service.files().delete(fileId="nothing"), request_id="missing")
        batch.add(service.files().create(body={"name": "new"}, fields="name"), request_id="made")
        batch.execute()
        assert told["gone"] == ""
        assert told["missing"].status_code == 404
        assert told["made"] == {"name": "new"}
        assert server.count("files.delete") == 2

    def test_app_properties_are_kept_and_taken_away(self, client: Client) -> None:
        files = client(ALICE).files()
        made = files.create(body={"name": "a", "appProperties": {"one": "1", "two": "2"}}).execute()
        changed = files.update(fileId=made["id"], body={"appProperties": {"one": None}}, fields="appProperties").execute()
        assert changed == {"appProperties": {"two": "2"}}


class TestSharing:
    def test_sharing_a_folder_shows_it_and_sends_a_mail_unless_told_not_to(self, server: DriveServer, client: Client) -> None:
        inbox = server.add_folder(ALICE, INBOX)
        server.add_file(ALICE, "msgv2_1", inbox)
        body = {"type": "user", "role": "writer", "emailAddress": OWNER}
        client(ALICE).permissions().create(fileId=inbox, body=body, sendNotificationEmail=True).execute()
        client(ALICE).permissions().create(fileId=inbox, body=body | {"emailAddress": BOB}, sendNotificationEmail=False).execute()
        assert names(client(OWNER), "name contains 'msgv2'") == ["msgv2_1"]
        assert [(mail.to, mail.name, mail.role) for mail in server.mails] == [(OWNER, INBOX, "writer")]
        listed = (
            client(OWNER).permissions().list(fileId=inbox, fields="permissions(id,emailAddress,role)").execute()["permissions"]
        )
        assert [(one["emailAddress"], one["role"]) for one in listed] == [(ALICE, "owner"), (OWNER, "writer"), (BOB, "writer")]
        client(ALICE).permissions().delete(fileId=inbox, permissionId=listed[1]["id"]).execute()
        assert names(client(OWNER), "") == []

    def test_a_role_or_address_that_cannot_be_is_refused(self, server: DriveServer, client: Client) -> None:
        service, folder = client(ALICE), server.add_folder(ALICE, "a")
        for change in ({"role": "king"}, {"emailAddress": "nobody"}, {"type": "planet"}):
            body = {"type": "user", "role": "reader", "emailAddress": OWNER} | change
            assert refused(service.permissions().create(fileId=folder, body=body)) == (400, "badRequest")
        assert refused(service.permissions().delete(fileId=folder, permissionId="1")) == (404, "notFound")


class TestChanges:
    def start(self, service: Any) -> str:
        token: str = service.changes().getStartPageToken().execute()["startPageToken"]
        return token

    def since(self, service: Any, token: str, **how: Any) -> tuple[list[tuple[str, bool]], str]:
        """((name or id, removed) of each change, the next token)."""
        found = service.changes().list(pageToken=token, fields="*", **how).execute()
        shown = [(one.get("file", {}).get("name") or one["fileId"], one["removed"]) for one in found["changes"]]
        return shown, found.get("newStartPageToken", "")

    def test_each_account_is_told_only_of_what_it_sees(self, server: DriveServer, client: Client) -> None:
        inbox = server.add_folder(ALICE, INBOX, share={OWNER: "writer"})
        owner, bob = client(OWNER), client(BOB)
        at, beside = self.start(owner), self.start(bob)
        assert self.since(owner, at) == ([], at)
        server.add_file(ALICE, "msgv2_1", inbox)
        server.add_file(ALICE, "private")
        found, after = self.since(owner, at)
        assert found == [("msgv2_1", False)]
        assert self.since(owner, after)[0] == []
        assert self.since(bob, beside)[0] == []

    def test_what_goes_out_of_sight_is_removed_and_what_comes_in_sight_is_new(self, server: DriveServer, client: Client) -> None:
        inbox = server.add_folder(ALICE, INBOX, share={OWNER: "writer"})
        message, gone = server.add_file(ALICE, "msgv2_1", inbox), server.add_file(ALICE, "msgv2_2", inbox)
        owner = client(OWNER)
        at = self.start(owner)
        server.share(inbox, OWNER, "")
        server.remove(gone)
        assert self.since(owner, at)[0] == [(inbox, True), (message, True), (gone, True)]
        assert self.since(owner, at, includeRemoved=False)[0] == []
        at = self.start(owner)
        server.share(inbox, OWNER)
        assert self.since(owner, at)[0] == [(INBOX, False), ("msgv2_1", False)]

    def test_a_file_that_changed_often_is_told_of_once_as_it_is_now(self, server: DriveServer, client: Client) -> None:
        owner = client(OWNER)
        at = self.start(owner)
        first, second = server.add_file(OWNER, "a"), server.add_file(OWNER, "b")
        server.touch(first, b"new")
        server.touch(first, name="c")
        server.trash(second)
        found = owner.changes().list(pageToken=at, fields="changes(file(name,trashed,size))").execute()["changes"]
        assert [one["file"] for one in found] == [
            {"name": "c", "trashed": False, "size": "3"},
            {"name": "b", "trashed": True, "size": "0"},
        ]

    def test_changes_come_in_pages(self, server: DriveServer, client: Client) -> None:
        owner = client(OWNER)
        token: str | None = self.start(owner)
        for number in range(5):
            server.add_file(OWNER, f"file {number}")
        found = []
        while token:
            page = owner.changes().list(pageToken=token, pageSize=2).execute()
            found += [change["file"]["name"] for change in page["changes"]]
            token = page.get("nextPageToken")
            assert ("newStartPageToken" in page) == (token is None)
        assert found == [f"file {number}" for number in range(5)]

    def test_a_place_that_is_not_known_is_refused(self, server: DriveServer, client: Client) -> None:
        owner = client(OWNER)
        at = self.start(owner)
        for token in ("", "0", "x", "999999"):
            assert refused(owner.changes().list(pageToken=token)) == (400, "invalid")
        server.add_file(OWNER, "a")
        server.forget_changes()
        assert refused(owner.changes().list(pageToken=at)) == (400, "invalid")
        assert self.since(owner, self.start(owner))[0] == []


class TestWhatADriveDoesWrong:
    def test_scripted_refusals_come_in_the_place_of_the_next_answers(self, server: DriveServer, client: Client) -> None:
        files = client(ALICE).files()
        server.faults.append(Fault("files.list", status=429, reason="rateLimitExceeded", retry_after="7", times=2, skip=1))
        assert files.list().execute()["files"] == []
        assert refused(files.list()) == (429, "rateLimitExceeded")
        with pytest.raises(HttpError) as caught:
            files.list().execute()
        assert caught.value.resp["retry-after"] == "7"
        assert files.list().execute()["files"] == []

    def test_a_fault_concerns_only_what_it_names(self, server: DriveServer, client: Client) -> None:
        wanted, other = server.add_file(ALICE, "a", content=b"a"), server.add_file(ALICE, "b", content=b"b")
        server.faults.append(Fault("files.get_media", status=404, reason="notFound", where=wanted))
        server.faults.append(Fault("files.get", status=503, account=BOB))
        files = client(ALICE).files()
        assert files.get_media(fileId=other).execute() == b"b"
        assert files.get(fileId=wanted).execute()["name"] == "a"
        assert refused(files.get_media(fileId=wanted)) == (404, "notFound")

    def test_what_was_carried_out_is_carried_out_even_if_the_answer_says_no(self, server: DriveServer, client: Client) -> None:
        server.faults.append(Fault("files.create", status=503, carried_out=True))
        server.faults.append(Fault("files.create", status=503))
        for _ in range(2):
            refused(client(ALICE).files().create(body={"name": "a"}))
        assert len(server.find("a", ALICE)) == 1

    def test_answers_break_off_or_drip_or_are_no_answers(self, server: DriveServer, client: Client) -> None:
        file_id = server.add_file(ALICE, "a", content=b"0123456789")
        files = client(ALICE).files()
        server.faults += [
            Fault("files.get_media", cut=4),
            Fault("files.list", body=b"{not json"),
            Fault("files.get_media", drip=0.001),
        ]
        with pytest.raises(httplib2.http.client.IncompleteRead):
            files.get_media(fileId=file_id).execute()
        assert files.list().execute() == "{not json"
        assert files.get_media(fileId=file_id).execute() == b"0123456789"
        server.faults.append(Fault("files.list", edit=lambda answer: answer | {"files": 7}))
        assert files.list().execute()["files"] == 7

    def test_a_connection_may_close_without_a_word(self, server: DriveServer, client: Client) -> None:
        server.faults.append(Fault("files.create", cut=0, times=2))
        service = client(ALICE)
        with pytest.raises((ConnectionError, httplib2.http.client.HTTPException)):
            service.files().create(body={"name": "a"}).execute()
        assert len(server.find("a")) == 2  # httplib2 asks once more on its own, and both requests were carried out

    def test_a_body_that_drips_ends_with_the_server(self) -> None:
        with DriveServer() as server:
            file_id = server.add_file(ALICE, "a", content=b"0123456789")
            server.faults.append(Fault("files.get_media", drip=600.0))
            headers = {"Authorization": f"Bearer {server.token_of(ALICE)}"}
            address = f"{server.endpoint}drive/v3/files/{file_id}?alt=media"
            answer = urllib.request.urlopen(urllib.request.Request(address, headers=headers))
        with answer:
            assert answer.status == 200

    def test_lists_and_changes_may_lag_behind(self, server: DriveServer, client: Client) -> None:
        service = client(ALICE)
        kept = server.add_file(ALICE, "before")
        at = service.changes().getStartPageToken().execute()["startPageToken"]
        with server.lists_behind(), server.changes_behind():
            made = server.add_file(ALICE, "after")
            server.touch(kept, name="renamed")
            assert names(service, "") == ["before"]
            assert service.files().get(fileId=made).execute()["name"] == "after"
            assert service.changes().list(pageToken=at).execute()["changes"] == []
        assert sorted(names(service, "")) == ["after", "renamed"]
        assert len(service.changes().list(pageToken=at).execute()["changes"]) == 2

    def test_a_search_may_be_incomplete(self, server: DriveServer, client: Client) -> None:
        server.api.incomplete_search = True
        assert client(ALICE).files().list(fields="incompleteSearch").execute() == {"incompleteSearch": True}


class TestSignIns:
    def saved(self, server: DriveServer, folder: Path, **changes: Any) -> Credentials:
        """A saved sign-in in the hands of Google's library; only its own reader of files would not go to our token service."""
        found = json.loads(server.token_file(folder / "token.json", OWNER, **changes).read_text())
        kept = ("token", "refresh_token", "token_uri", "client_id", "client_secret", "scopes")
        return Credentials(**{key: found[key] for key in kept})

    def test_an_access_token_that_ended_is_renewed_and_counted(self, server: DriveServer, tmp_path: Path) -> None:
        http = AuthorizedHttp(self.saved(server, tmp_path), http=build_http())
        server.expire(OWNER)
        with build_from_document(deepcopy(description()) | {"rootUrl": server.endpoint}, http=http) as service:
            assert service.files().list().execute()["files"] == []
        assert (server.refreshes, server.count("files.list"), server.count("files.list", OWNER)) == (1, 2, 1)
        assert [call.account for call in server.calls] == ["", OWNER]
        server.forget_calls()
        assert server.count() == 0

    def test_consent_taken_back_cannot_be_renewed(self, server: DriveServer, tmp_path: Path) -> None:
        holder = self.saved(server, tmp_path)
        server.revoke(OWNER)
        self.cannot_be_renewed(holder, "invalid_grant")

    def test_scopes_outside_the_grant_and_other_clients_are_refused(self, server: DriveServer, tmp_path: Path) -> None:
        self.cannot_be_renewed(self.saved(server, tmp_path, scopes=[READ_ONLY]), "invalid_scope")
        self.cannot_be_renewed(self.saved(server, tmp_path, client_secret="wrong"), "invalid_client")
        assert (tmp_path / "token.json").stat().st_mode & 0o777 == 0o600

    def test_the_token_service_may_be_out_of_order(self, server: DriveServer, tmp_path: Path) -> None:
        server.token_faults.append(Answer(400, {"error": "admin_policy_enforced"}))
        self.cannot_be_renewed(self.saved(server, tmp_path), "admin_policy_enforced")
        assert server.refreshes == 0

    def cannot_be_renewed(self, holder: Credentials, word: str) -> None:
        with requests.Session() as session, pytest.raises(RefreshError, match=word):
            holder.refresh(AuthRequest(session))


def test_many_clients_at_once_do_not_disturb_each_other(server: DriveServer, client: Client) -> None:
    services = [client(f"sender{number}@uni.example") for number in range(6)]

    def work(service: Any) -> list[str]:
        for number in range(8):
            service.files().create(body={"name": f"file {number}"}, media_body=upload(b"x" * number)).execute()
        return names(service, "name contains 'file'", orderBy="name")

    with ThreadPoolExecutor(len(services)) as pool:
        assert list(pool.map(work, services)) == [[f"file {number}" for number in range(8)]] * len(services)
    assert (server.count("files.create"), server.count("files.list")) == (48, 6)


def test_golden_data_is_served_with_its_ids_times_and_bytes(server: DriveServer, client: Client, tmp_path: Path) -> None:
    item = {"id": "folder-id", "name": INBOX, "mimeType": FOLDER, "parents": [], "owners": [{"emailAddress": ALICE}]}
    item |= {"createdTime": "2026-11-21T08:13:55.469Z", "modifiedTime": "2026-11-21T08:13:56.469Z", "trashed": False}
    writer = {"type": "user", "role": "writer", "emailAddress": OWNER}
    item |= {"permissions": [{"type": "user", "role": "owner", "emailAddress": ALICE}, writer]}
    message = item | {"id": "message-id", "name": "msgv2_1", "mimeType": "text/plain", "parents": ["folder-id"]}
    message |= {"content": "content/01.bin", "permissions": []}
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "01.bin").write_bytes(b"\x1f\x8bbody")
    (tmp_path / "manifest.json").write_text(json.dumps({"files": [item, message]}))
    server.load(tmp_path)
    files = client(OWNER).files()
    assert files.list(fields="files(id,parents,createdTime,modifiedTime,mimeType)", orderBy="folder").execute()["files"] == [
        {"id": "folder-id", "createdTime": item["createdTime"], "modifiedTime": item["modifiedTime"], "mimeType": FOLDER},
        {
            "id": "message-id",
            "parents": ["folder-id"],
            "createdTime": item["createdTime"],
            "modifiedTime": item["modifiedTime"],
            "mimeType": "text/plain",
        },
    ]
    assert files.get_media(fileId="message-id").execute() == b"\x1f\x8bbody"
    assert server.item("message-id").owner == ALICE
