"""A Google Drive of many accounts on loopback: the part of its v3 API that scq and the SyftBox clients use.

Each account sees what it owns, what is shared with it and what lies below a folder shared with it. Searches, partial answers,
pages, uploads and the list of changes work as Google documents them; what a Drive may do wrong is scripted with `faults`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.servers.drive_accounts import FULL, READ_ONLY, Accounts, write
from tests.servers.drive_api import Api, ApiError, Mail
from tests.servers.drive_requests import READING, Call, Methods, call_of, in_url
from tests.servers.drive_store import FOLDER, Grant, Item, Store, at_of
from tests.servers.drive_uploads import batch_answer, inner_request, parts_of
from tests.servers.http import Answer, HttpServer, Request

BATCH = ("/batch", "/batch/drive/v3")


@dataclass
class Fault:
    """What happens instead of the next answers to matching calls, `times` times after `skip` right ones.

    `on`: pattern of the method (`files.*`); `where`: a text in the decoded path with its query; `account`: whose call. With a
    `status` the call is refused; `carried_out`: only after it did its work. Otherwise the right answer is spoilt: `body` in its
    place, `edit` changes its JSON, `cut` closes after so many bytes, `drip` waits so many seconds before each byte.
    """

    on: str = "*"
    status: int = 0
    reason: str = ""
    retry_after: str = ""
    body: bytes | None = None
    edit: Callable[[Any], Any] | None = None
    cut: int | None = None
    drip: float = 0.0
    carried_out: bool = False
    times: int = 1
    skip: int = 0
    where: str = ""
    account: str = ""

    def concerns(self, call: Call) -> bool:
        matches = fnmatchcase(call.method, self.on) and self.where in call.path and self.account in ("", call.account)
        if matches and self.skip:
            self.skip -= 1
            return False
        return matches and self.times > 0

    def spoilt(self, answer: Answer) -> Answer:
        """What is said in the place of the right answer."""
        if self.status:
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            answer = Answer(self.status, ApiError(self.status, self.reason or "fault", "A fault.").document(), headers)
        if self.edit is not None:
            answer = Answer(answer.status, json.dumps(self.edit(json.loads(answer.content()))), answer.headers)
        body = answer.body if self.body is None else self.body
        return Answer(answer.status, body, answer.headers, self.cut, self.drip)


class DriveServer:
    """`with DriveServer() as server:` serves on `server.url`; `drive.endpoint` is `server.endpoint`.

    Ids of files are texts as on Drive; addresses are compared without case. All methods may be called while it serves.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.store = Store(clock)
        self.api = Api(self.store)
        self.http = HttpServer(self._answer)
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.token_faults: list[Answer] = []
        """What the token service says next instead of giving a token."""
        self.accounts = Accounts()
        self._methods = Methods(self.api, self.http.url)
        self._lock = threading.RLock()

    @property
    def refreshes(self) -> int:
        """How often the token service renewed a sign-in."""
        return self.accounts.refreshes

    @property
    def url(self) -> str:
        return self.http.url

    @property
    def endpoint(self) -> str:
        """The address in the place of `https://www.googleapis.com/`."""
        return f"{self.url}/"

    @property
    def mails(self) -> list[Mail]:
        """The mails sent because something was shared."""
        return self.api.mails

    def __enter__(self) -> DriveServer:
        self.http.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.http.__exit__(kind, error, trace)

    # What is on it.

    def load(self, folder: Path | str) -> DriveServer:
        """Put the items of a folder of golden data on it (`manifest.json`, `content/`), with their ids and times."""
        base = Path(folder)
        files = json.loads((base / "manifest.json").read_text(encoding="utf-8"))["files"]
        with self._lock:
            for found in files:
                self.store.add(_loaded(found, base))
        return self

    def add_folder(self, owner: str, name: str, parent: str = "", share: dict[str, str] | None = None, **how: Any) -> str:
        """The id of a new folder, in the top folder of its owner unless it has a parent; `share`: role of each address."""
        return self._add(owner, name, FOLDER, parent, None, share, **how)

    def add_file(
        self,
        owner: str,
        name: str,
        parent: str = "",
        content: bytes = b"",
        share: dict[str, str] | None = None,
        *,
        mime: str = "application/octet-stream",
        **how: Any,
    ) -> str:
        """The id of a new file; `created` in Unix seconds, now by default."""
        return self._add(owner, name, mime, parent, content, share, **how)

    def _add(
        self,
        owner: str,
        name: str,
        mime: str,
        parent: str,
        content: bytes | None,
        share: dict[str, str] | None,
        created: float | None = None,
    ) -> str:
        with self._lock:
            at = self.store.clock() if created is None else created
            parents = [parent] if parent else []
            item = Item(self.store.new_id(), name, mime, owner, parents, at, at, content, last_by=owner.lower())
            for address, role in (share or {}).items():
                item.permissions[address.lower()] = Grant(address, role, at)
            return self.store.add(item).id

    def touch(self, file_id: str, content: bytes | None = None, *, name: str | None = None) -> None:
        """Change a file: its content, its name, or only its time."""
        with self._lock:
            item = self.store.items[file_id]
            with self.store.changing(item):
                item.modified = self.store.clock()
                item.name = item.name if name is None else name
                if content is not None:
                    item.content = content
                    item.revision += 1

    def trash(self, file_id: str, trashed: bool = True) -> None:
        with self._lock:
            item = self.store.items[file_id]
            with self.store.changing(item, deep=True):
                item.trashed = trashed

    def remove(self, file_id: str) -> None:
        """Delete for good, with what the same owner has in it."""
        with self._lock:
            self.store.remove(self.store.items[file_id])

    def share(self, file_id: str, address: str, role: str = "writer") -> None:
        """Give a role; an empty one takes it back. No mail is sent."""
        with self._lock:
            item = self.store.items[file_id]
            with self.store.changing(item, deep=True):
                item.permissions.pop(address.lower(), None)
                if role:
                    item.permissions[address.lower()] = Grant(address, role, self.store.clock())

    def move(self, file_id: str, parent: str) -> None:
        with self._lock:
            item = self.store.items[file_id]
            with self.store.changing(item, deep=True):
                self.store.move(item, [parent])

    def item(self, file_id: str) -> Item:
        return self.store.items[file_id]

    def find(self, name: str, owner: str = "") -> list[Item]:
        """The items of a name, oldest first, perhaps of one owner only."""
        with self._lock:
            found = [self.store.items[one] for one in self.store.named(name)]
        return sorted((item for item in found if owner.lower() in ("", item.owner)), key=lambda item: item.created)

    def inside(self, parent: str) -> list[Item]:
        """What lies in a folder, oldest first."""
        with self._lock:
            return self.store.inside(parent)

    # Who may come in.

    def token_of(self, address: str, *, read_only: bool = False) -> str:
        """An access token that is accepted."""
        with self._lock:
            return self.accounts.new_token(address, READ_ONLY if read_only else FULL)

    def token_file(self, path: Path, address: str, *, read_only: bool = False, **changes: Any) -> Path:
        """Write a saved sign-in of an account (`authorized_user`); it has a while to go, and can be renewed here."""
        with self._lock:
            scope = READ_ONLY if read_only else FULL
            return write(path, self.accounts.document(f"{self.url}/token", address, scope, **changes))

    def expire(self, address: str) -> None:
        """From now on the access tokens of an account are refused; they can be renewed."""
        with self._lock:
            self.accounts.expire(address)

    def revoke(self, address: str) -> None:
        """The account took its consent back: nothing is accepted or renewed."""
        with self._lock:
            self.accounts.revoke(address)

    # What it was asked, and what it does wrong.

    def count(self, method: str = "*", account: str = "") -> int:
        """How many calls of a method (a pattern) came."""
        return sum(fnmatchcase(call.method, method) and account.lower() in ("", call.account) for call in list(self.calls))

    def forget_calls(self) -> None:
        """Count anew."""
        self.calls.clear()
        self.http.requests.clear()

    def forget_changes(self) -> None:
        """No place in the list of changes that was given so far is known any more."""
        with self._lock:
            self.store.log.append(self.store.log[-1])
            self.store.oldest = len(self.store.log)

    @contextmanager
    def lists_behind(self) -> Iterator[None]:
        """Within the block lists and searches show everything as it was at its beginning; single files are as they are."""
        with self._lock:
            self.api.lists_from = self.store.snapshot()
        yield
        self.api.lists_from = None

    @contextmanager
    def changes_behind(self) -> Iterator[None]:
        """Within the block the list of changes ends where it ended at its beginning."""
        self.api.changes_until = len(self.store.log)
        yield
        self.api.changes_until = None

    # The API.

    def _answer(self, request: Request) -> Answer:
        path = request.path.partition("?")[0]
        with self._lock:
            if path == "/token":
                return self.token_faults.pop(0) if self.token_faults else self.accounts.renewed(request)
            try:
                if path in BATCH:
                    inner = [(part[0].get("content-id", ""), inner_request(part, request)) for part in parts_of(request)]
                    return batch_answer([(content_id, self._answer(one)) for content_id, one in inner])
                return self._single(in_url(request))
            except ApiError as error:
                return Answer(error.status, error.document())

    def _single(self, request: Request) -> Answer:
        whose = self.accounts.whose(request)
        call = call_of(request, whose[0] if whose else "")
        self.calls.append(call)
        fault = next((fault for fault in self.faults if fault.concerns(call)), None)
        if fault is not None:
            fault.times -= 1
            if fault.status and not fault.carried_out:
                return fault.spoilt(Answer())
        try:
            if whose is None:
                raise ApiError(401, "authError", "Invalid Credentials")
            if whose[1] == READ_ONLY and call.method not in READING:
                raise ApiError(403, "insufficientPermissions", "Request had insufficient authentication scopes.")
            answer = self._methods.answer(request, call)
        except ApiError as error:
            answer = Answer(error.status, error.document())
        return answer if fault is None else fault.spoilt(answer)


def _loaded(found: dict[str, Any], base: Path) -> Item:
    """An item as a manifest of golden data describes it."""
    created, modified = at_of(found["createdTime"]), at_of(found["modifiedTime"])
    now = time.time()
    owner = found["owners"][0]["emailAddress"]
    grants = {
        grant["emailAddress"].lower(): Grant(grant["emailAddress"], grant["role"], created or now)
        for grant in found.get("permissions", ())
        if grant.get("type") == "user"
    }
    return Item(
        id=found["id"],
        name=found["name"],
        mime=found["mimeType"],
        owner=owner,
        parents=list(found["parents"]),
        created=created or now,
        modified=modified or now,
        content=(base / found["content"]).read_bytes() if "content" in found else None,
        permissions=grants,
        trashed=found["trashed"],
        app_properties=found.get("appProperties") or {},
        last_by=owner.lower(),
    )
