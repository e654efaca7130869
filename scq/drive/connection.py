"""The calls of the Drive API that scq makes, version 3 (developers.google.com/workspace/drive/api/reference/rest/v3).

Which calls are enough for a look: docs/drive.md. The scope drive.readonly allows all of them but the changing ones.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Any

from scq.clean import is_address, line
from scq.drive import reading
from scq.drive.asking import CHANGING, Api, Asking
from scq.drive.items import FOLDER, Change, File, Listing, NotThereError, StaleTokenError
from scq.drive.lists import FIELDS, PAGE, PAGES, Lists, answered, joined, quoted
from scq.drive.media import fetched, upload_of
from scq.errors import ConfigError, UsageError
from scq.model import Problem
from scq.signin.wire import Access, RefusedError

FOLDERS = 30
"""Folders of one question: its address stays below 2048 characters, where the library would send it in another form."""
PEER_FOLDERS = (
    f"mimeType='{FOLDER}' and trashed=false and not 'me' in owners"
    " and (name contains 'syft_datasite' or name contains 'syft_outbox_inbox')"
)
ROLES = ("reader", "writer")


class Drive:
    """Google Drive of one account.

    `access` says which access token to use, `endpoint` is the address of the service up to its first path, `budget` is the
    number of seconds that all calls together may take. All calls raise SignInError, ConfigError, BusyError (OutOfTimeError
    when the budget is used up) and NotThereError. A part of an answer that is not usable is left out and told in `problems`.
    """

    def __init__(
        self,
        access: Access,
        *,
        endpoint: str,
        budget: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._asking = Asking(access, endpoint, budget, clock=clock, sleep=sleep, chance=chance)
        self._lists = Lists(self._asking)

    def __enter__(self) -> Drive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connections now; else they end when nobody uses this any more. Another call opens new ones."""
        self._asking.close()

    @property
    def calls(self) -> int:
        """Requests that went out so far."""
        return self._asking.calls

    @property
    def problems(self) -> list[Problem]:
        """Parts of answers that were left out so far."""
        return self._lists.problems

    def account(self) -> str:
        """The address this sign-in belongs to, in lower case."""

        def work(api: Api) -> str:
            user = answered(api.about.get(fields="user(emailAddress)")).get("user")
            address = user.get("emailAddress") if isinstance(user, dict) else None
            if not isinstance(address, str) or not is_address(address):
                raise ValueError("no address")
            return address.lower()

        return self._asking.ask("asking whose Drive this is", work)

    def start_token(self) -> str:
        """The place in the list of changes that everything after now comes behind."""

        def work(api: Api) -> str:
            answer = answered(api.changes.getStartPageToken(fields="startPageToken"))
            return reading.needed(reading.token_of(answer, "startPageToken"))

        return self._asking.ask("asking for the place in the changes", work)

    def changes(self, token: str) -> tuple[tuple[Change, ...], str]:
        """(what changed since `token`, oldest first, the token for next time).

        Raises StaleTokenError when Drive does not know the token any more, or when a change cannot be understood.
        """
        found: list[Change] = []
        seen: set[str] = set()
        for _ in range(PAGES):
            if token in seen:
                break
            seen.add(token)
            answer = self._changes_page(token)
            try:
                found += [change for row in reading.rows_of(answer, "changes") if (change := reading.change_of(row))]
                token, last = reading.token_of(answer, "nextPageToken"), reading.token_of(answer, "newStartPageToken")
            except ValueError as error:
                raise StaleTokenError(f"a change on Google Drive cannot be understood: {error}") from error
            if not token and last:
                return tuple(found), last
            if not token:
                break
        raise StaleTokenError("the list of changes on Google Drive has no end")

    def _changes_page(self, token: str) -> dict[str, Any]:
        def work(api: Api) -> dict[str, Any]:
            return answered(
                api.changes.list(
                    pageToken=token,
                    pageSize=PAGE,
                    spaces="drive",
                    includeRemoved=True,
                    fields=f"nextPageToken,newStartPageToken,changes(fileId,removed,time,file({FIELDS}))",
                )
            )

        try:
            return self._asking.ask("asking for changes", work)
        except NotThereError as error:
            raise StaleTokenError(str(error), "Everything is listed again.") from error

    def peer_folders(self) -> Listing:
        """Folders of others that may be peer folders, of any datasite and any age."""
        return self._lists.ask("listing the folders of peers", PEER_FOLDERS)

    def own_files(self, name: str) -> Listing:
        """Files and folders of this account with exactly this name, wherever they lie."""
        return self._lists.ask(f"looking for {line(name, 80)}", f"name={quoted(name)} and 'me' in owners and trashed=false")

    def messages(self, folder_ids: Collection[str]) -> Listing:
        """What lies in these folders and may be a message. A folder that is not there any more holds none."""
        wanted = sorted(set(folder_ids))
        batches = [wanted[start : start + FOLDERS] for start in range(0, len(wanted), FOLDERS)]
        return joined([self._messages(batch) for batch in batches])

    def _messages(self, batch: Sequence[str]) -> Listing:
        """Drive may refuse a question for the sake of one folder: the others are asked for without it."""
        places = " or ".join(f"{quoted(_identity(folder))} in parents" for folder in batch)
        try:
            return self._lists.ask("listing messages", f"trashed=false and name contains 'msgv2_' and ({places})")
        except NotThereError:
            if len(batch) == 1:
                return Listing(())
        half = len(batch) // 2
        return joined([self._messages(batch[:half]), self._messages(batch[half:])])

    def file(self, id: str) -> File:
        """One file or folder as it is now."""

        def work(api: Api) -> File:
            return reading.same(id, answered(api.files.get(fileId=_identity(id), fields=FIELDS)))

        return self._asking.ask(f"looking at file {_identity(id)}", work)

    def download(self, id: str, limit: int) -> bytes:
        """The content of a file. Raises InvalidFileError when it has more than `limit` bytes; no more than that is fetched."""
        asking = self._asking
        return asking.ask(
            f"reading file {_identity(id)}",
            lambda api: fetched(api.files.get_media(fileId=id).uri, limit, asking.request),
        )

    def find(self, name: str, parent: str | None, *, mine: bool = True, folder: bool | None = None) -> Listing:
        """What is named exactly so, in a folder or (None) anywhere. `folder`: only folders, only files, or (None) both."""
        terms = [f"name={quoted(name)}", "trashed=false"]
        terms += [] if parent is None else [f"{quoted(_identity(parent))} in parents"]
        terms += ["'me' in owners"] if mine else []
        terms += [] if folder is None else [f"mimeType{'=' if folder else '!='}'{FOLDER}'"]
        return self._lists.ask(f"looking for {line(name, 80)}", " and ".join(terms))

    def folders(self, parent: str) -> Listing:
        """This account's own folders that lie directly in a folder."""
        terms = f"mimeType='{FOLDER}' and {quoted(_identity(parent))} in parents and 'me' in owners and trashed=false"
        return self._lists.ask(f"listing the folders in {parent}", terms)

    def create_folder(self, name: str, parent: str | None) -> str:
        """The id of a new folder, at the top of this account's Drive where `parent` is None.

        Its id is asked for first, so that a request whose answer got lost can be repeated without a second folder.
        """
        body = self._new_body(name, parent) | {"mimeType": FOLDER}
        return self._created(f"making folder {line(name, 80)}", body, {})

    def upload(self, name: str, parent: str, content: bytes, mime: str) -> str:
        """The id of a new file. Repeated as `create_folder`, never twice there."""
        return self._created(f"writing {line(name, 80)}", self._new_body(name, parent), {"media_body": (content, mime)})

    def replace(self, id: str, content: bytes, mime: str) -> File:
        """The file with other content."""

        def work(api: Api) -> File:
            request = api.files.update(fileId=id, body={}, media_body=upload_of(content, mime), fields=FIELDS)
            return reading.same(id, answered(request))

        return self._asking.ask(f"writing file {_identity(id)}", work, purpose=CHANGING)

    def move(self, id: str, *, to: str, out_of: tuple[str, ...]) -> None:
        """Put a file into another folder. What it must be taken out of is named: Drive does not show every parent."""
        out = {"removeParents": ",".join(_identity(parent) for parent in out_of)} if out_of else {}

        def work(api: Api) -> None:
            request = api.files.update(
                fileId=_identity(id), body={}, addParents=_identity(to), **out, supportsAllDrives=True, fields="id,parents"
            )
            answered(request)

        self._asking.ask(f"moving file {_identity(id)}", work, purpose=CHANGING)

    def permissions(self, id: str) -> tuple[tuple[str, str], ...]:
        """(address in lower case, role) of each person who may use it. Only who may share it can ask."""
        found: list[tuple[str, str]] = []
        what = f"asking who may use file {_identity(id)}"
        fields = "nextPageToken,permissions(emailAddress,role)"

        def request(api: Api, token: str | None) -> Any:
            return api.permissions.list(fileId=id, pageSize=100, pageToken=token, fields=fields)

        for answer in self._lists.pages(what, request):
            for row in self._lists.read(what, answer, "permissions", reading.permission_of):
                found += [] if row is None else [row]
        return tuple(found)

    def share(self, id: str, address: str, role: str, *, mail: bool) -> None:
        """Let one person use it. With `mail` Google writes to that person, so it is not repeated in doubt: BusyError."""
        if role not in ROLES or not is_address(address):
            raise UsageError(f"cannot share with {line(address, 254)} as {line(role, 40)}")
        body = {"type": "user", "role": role, "emailAddress": address}

        def work(api: Api) -> None:
            answered(api.permissions.create(fileId=id, body=body, sendNotificationEmail=mail, fields="id"))

        self._asking.ask(f"sharing file {_identity(id)} with {address}", work, purpose=CHANGING, harmless=not mail)

    def _new_body(self, name: str, parent: str | None) -> dict[str, Any]:
        def work(api: Api) -> str:
            answer = answered(api.files.generateIds(count=1, space="drive", type="files", fields="ids"))
            return reading.identity_of(reading.rows_of(answer, "ids")[0])

        body = {"id": self._asking.ask("asking for a new id", work, purpose=CHANGING), "name": name}
        return body if parent is None else body | {"parents": [_identity(parent)]}

    def _created(self, what: str, body: dict[str, Any], content: dict[str, tuple[bytes, str]]) -> str:
        def work(api: Api) -> str:
            media = {key: upload_of(*value) for key, value in content.items()}
            try:
                return reading.same_id(body["id"], answered(api.files.create(body=body, fields="id", **media)))
            except RefusedError as error:
                if error.answer.status != 409:
                    raise
                return str(body["id"])  # Nobody else knows this id: an earlier try arrived.

        return self._asking.ask(what, work, purpose=CHANGING)


def _identity(id: str) -> str:
    """An id from our own notes; one that is none would become a part of the question."""
    if not reading.is_identity(id):
        raise ConfigError(f"{line(str(id), 80)}: is no id of Google Drive", "Look at everything again: scq check --full.")
    return id
