"""What each method of the Drive API does with the files of a loopback Drive, and how items look from outside."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from tests.servers.drive_fields import BadFieldsError, Mask, only, parsed
from tests.servers.drive_query import BadQueryError, NoSuchParentError, compiled
from tests.servers.drive_store import FIRST_TOKEN, FOLDER, ROLES, Entry, Grant, Item, Store
from tests.servers.drive_view import View, number, permission, resource, time_text, user

DEFAULT_FIELDS = {
    "File": "kind,id,name,mimeType",
    "FileList": "kind,incompleteSearch,nextPageToken,files(kind,id,name,mimeType)",
    "ChangeList": "kind,nextPageToken,newStartPageToken,"
    "changes(kind,type,changeType,time,removed,fileId,file(kind,id,name,mimeType))",
    "Permission": "kind,id,type,role",
    "PermissionList": "kind,nextPageToken,permissions(kind,id,type,role)",
    "StartPageToken": "*",
}
ORDERS = {
    "createdTime": lambda item: item.created,
    "modifiedTime": lambda item: item.modified,
    "name": lambda item: item.name.casefold(),
    "name_natural": lambda item: item.name.casefold(),
    "folder": lambda item: not item.is_folder,
    "recency": lambda item: item.modified,
}


class ApiError(Exception):
    """A refusal, as Google's APIs word it."""

    def __init__(self, status: int, reason: str, message: str, location: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.location = location

    def document(self) -> dict[str, Any]:
        entry = {"message": str(self), "domain": "global", "reason": self.reason}
        if self.location:
            entry |= {"location": self.location, "locationType": "parameter"}
        return {"error": {"code": self.status, "message": str(self), "errors": [entry]}}


@dataclass(frozen=True)
class Upload:
    """Content that came with a request."""

    mime: str
    content: bytes


@dataclass(frozen=True)
class Mail:
    """A mail that Drive sent because something was shared."""

    by: str
    to: str
    file_id: str
    name: str
    role: str
    message: str


@dataclass
class Api:
    """The methods. `me` is a lower-case address; answers are JSON values with the wanted fields only. All raise ApiError."""

    store: Store
    mails: list[Mail] = field(default_factory=list)
    incomplete_search: bool = False
    """Whether lists say that not everything was searched."""
    page_limit: int = 1000
    """Pages are never longer than this, whatever was asked for: Drive may do so at any time."""
    lists_from: Store | None = None
    """What lists show, when they lag behind."""
    changes_until: int | None = None
    """Where the list of changes ends, when it lags behind."""

    def __post_init__(self) -> None:
        self._pages: dict[str, tuple[str, str, list[str]]] = {}
        self._numbers = itertools.count(1)

    def about(self, me: str, params: dict[str, str]) -> Any:
        if "fields" not in params:
            raise ApiError(400, "required", "The 'fields' parameter is required for this method.", "fields")
        return only({"kind": "drive#about", "user": user(me, me), "storageQuota": {"usage": "0"}}, _mask(params, "About"))

    def list(self, me: str, params: dict[str, str]) -> Any:
        store = self.lists_from or self.store
        size = _page_size(params, self.page_limit)
        if params.get("spaces", "drive") != "drive":
            raise ApiError(400, "invalid", "Invalid Value", "spaces")
        q = params.get("q", "")
        if token := params.get("pageToken"):
            owner, asked, ids = self._pages.get(token, ("", "", []))
            if owner != me or asked != q:
                raise ApiError(400, "invalid", "Invalid Value", "pageToken")
        else:
            ids = self._found(store, me, q, params.get("orderBy", ""))
        mask = _mask(params, "FileList")
        below = mask.get("files", {})
        shown = [store.items[one] for one in ids[:size] if one in store.items]
        answer = {
            "kind": "drive#fileList",
            "incompleteSearch": self.incomplete_search,
            "files": [resource(View(item, me, store), below) for item in shown],
        }
        if len(ids) > size:
            answer["nextPageToken"] = token = f"~!!~page-{next(self._numbers)}"
            self._pages[token] = (me, q, ids[size:])
        return only(answer, mask)

    def _found(self, store: Store, me: str, q: str, order: str) -> list[str]:
        try:
            term = compiled(q, store, me)
        except BadQueryError as error:
            raise ApiError(400, "invalid", "Invalid Value", "q") from error
        except NoSuchParentError as error:
            raise ApiError(404, "notFound", "File not found: .", "fileId") from error
        hint = term.hint()
        where = store.items.values() if hint is None else (store.items[one] for one in sorted(hint))
        found = [item for item in where if not item.is_root and term.test(item) and store.role(item, me)]
        for word in reversed([word.split() for word in order.split(",") if word.strip()]):
            if word[0] not in ORDERS or word[1:] not in ([], ["desc"]):
                raise ApiError(400, "invalid", "Invalid Value", "orderBy")
            found.sort(key=ORDERS[word[0]], reverse=len(word) > 1)
        return [item.id for item in found]

    def get(self, me: str, file_id: str, params: dict[str, str]) -> Any:
        return self._view(self._seen(me, file_id), me, params)

    def content(self, me: str, file_id: str) -> tuple[str, bytes]:
        """(mime type, bytes) of a file."""
        item = self._seen(me, file_id)
        if item.content is None:
            raise ApiError(403, "fileNotDownloadable", "Only files with binary content can be downloaded.", "alt")
        return item.mime, item.content

    def create(self, me: str, params: dict[str, str], body: dict[str, Any], upload: Upload | None) -> Any:
        parents = body.get("parents") or [self.store.root(me).id]
        if len(parents) > 1:
            raise ApiError(403, "teamDrivesParentLimit", "A file may have one parent only.")
        parent = self._changeable(me, parents[0])
        mime = body.get("mimeType") or (upload.mime if upload else "application/octet-stream")
        if not parent.is_folder or (mime == FOLDER and upload):
            raise ApiError(403, "invalid", "The specified parent is not a folder.")
        file_id = body.get("id") or self.store.new_id()
        if file_id in self.store.items:
            raise ApiError(409, "fileIdInUse", "A file already exists with the provided ID.")
        now = self.store.clock()
        content = None if mime == FOLDER else upload.content if upload else b""
        item = Item(file_id, body.get("name", "Untitled"), mime, me, [parent.id], now, now, content, last_by=me)
        self._describe(item, body)
        self.store.add(item)
        return self._view(item, me, params)

    def update(self, me: str, file_id: str, params: dict[str, str], body: dict[str, Any], upload: Upload | None) -> Any:
        item = self._changeable(me, file_id)
        parents = self._new_parents(me, item, params)
        if "trashed" in body and item.owner != me:
            raise _forbidden()
        now = self.store.clock()
        with self.store.changing(item, deep=parents != item.parents or "trashed" in body):
            if parents != item.parents:
                self.store.move(item, parents)
            if upload or {"name", "description", "appProperties"} & body.keys():
                item.modified, item.last_by = now, me
            item.name = body.get("name", item.name)
            item.trashed = bool(body.get("trashed", item.trashed))
            self._describe(item, body)
            if upload:
                item.content, item.mime = upload.content, body.get("mimeType", upload.mime)
                item.revision += 1
        return self._view(item, me, params)

    def new_ids(self, params: dict[str, str]) -> Any:
        ids = [self.store.new_id() for _ in range(_page_size({"pageSize": params.get("count", "10")}, 1000))]
        return only({"kind": "drive#generatedIds", "space": "drive", "ids": ids}, _mask(params, "GeneratedIds"))

    def _describe(self, item: Item, body: dict[str, Any]) -> None:
        item.description = body.get("description", item.description)
        kept = {**item.app_properties, **body.get("appProperties", {})}
        item.app_properties = {key: value for key, value in kept.items() if value is not None}

    def _new_parents(self, me: str, item: Item, params: dict[str, str]) -> list[str]:
        out = [self._root(me, one) for one in params.get("removeParents", "").split(",") if one]
        to = [self._changeable(me, self._root(me, one)) for one in params.get("addParents", "").split(",") if one]
        parents = [one for one in item.parents if one not in out] + [one.id for one in to if one.id not in item.parents]
        if len(parents) > 1:
            raise ApiError(403, "cannotAddParent", "Increasing the number of parents is not allowed")
        if any(not one.is_folder or item in (one, *self.store.ancestors(one)) for one in to):
            raise ApiError(403, "invalid", "The new parent cannot take this item.")
        return parents or [self.store.root(item.owner).id]

    def _root(self, me: str, file_id: str) -> str:
        return self.store.root(me).id if file_id == "root" else file_id

    def delete(self, me: str, file_id: str) -> None:
        item = self._seen(me, file_id)
        if item.owner != me or item.is_root:
            raise _forbidden()
        self.store.remove(item)

    def permissions(self, me: str, file_id: str, params: dict[str, str]) -> Any:
        grants = self.store.grants(self._shareable(me, file_id)).values()
        answer = {"kind": "drive#permissionList", "permissions": [permission(grant) for grant in grants]}
        return only(answer, _mask(params, "PermissionList"))

    def share(self, me: str, file_id: str, params: dict[str, str], body: dict[str, Any]) -> Any:
        item = self._shareable(me, file_id)
        address, role = body.get("emailAddress", ""), body.get("role")
        if body.get("type") != "user" or role not in ROLES[1:4] or "@" not in address:
            raise ApiError(400, "badRequest", "The permission type, role or address is not valid.", "permission")
        grant = Grant(address, role, self.store.clock())
        with self.store.changing(item, deep=True):
            item.permissions[address.lower()] = grant
        if params.get("sendNotificationEmail", "true") == "true":
            self.mails.append(Mail(me, address, item.id, item.name, role, params.get("emailMessage", "")))
        return only(permission(grant), _mask(params, "Permission"))

    def unshare(self, me: str, file_id: str, permission_id: str) -> None:
        item = self._shareable(me, file_id)
        for address, grant in item.permissions.items():
            if number(address) == permission_id and grant.role != "owner":
                with self.store.changing(item, deep=True):
                    del item.permissions[address]
                return
        raise ApiError(404, "notFound", f"Permission not found: {permission_id}.", "permissionId")

    def start_token(self, me: str, params: dict[str, str]) -> Any:
        token = {"kind": "drive#startPageToken", "startPageToken": str(FIRST_TOKEN + self._end())}
        return only(token, _mask(params, "StartPageToken"))

    def changes(self, me: str, params: dict[str, str]) -> Any:
        token, size, end = params.get("pageToken", ""), _page_size(params, self.page_limit), self._end()
        place = int(token) - FIRST_TOKEN if token.isascii() and token.isdigit() else -1
        if not self.store.oldest <= place <= len(self.store.log):
            raise ApiError(400, "invalid", "Invalid Value", "pageToken")
        found = self.store.changes(me, place, end)
        mask = _mask(params, "ChangeList")
        below = mask.get("changes", {}).get("file", {})
        changes = [self._change(me, entry, below) for _, entry in found[:size]]
        if params.get("includeRemoved", "true") != "true":
            changes = [change for change in changes if not change["removed"]]
        answer: dict[str, Any] = {"kind": "drive#changeList", "changes": changes}
        if len(found) > size:
            answer["nextPageToken"] = str(FIRST_TOKEN + found[size - 1][0] + 1)
        else:
            answer["newStartPageToken"] = str(FIRST_TOKEN + max(end, place))
        return only(answer, mask)

    def _end(self) -> int:
        return len(self.store.log) if self.changes_until is None else self.changes_until

    def _change(self, me: str, entry: Entry, mask: Mask) -> dict[str, Any]:
        item = self.store.items.get(entry.id)
        change = {"kind": "drive#change", "type": "file", "changeType": "file", "time": time_text(entry.at), "fileId": entry.id}
        if item is None or not self.store.role(item, me):
            return change | {"removed": True}
        return change | {"removed": False, "file": resource(View(item, me, self.store), mask)}

    def _view(self, item: Item, me: str, params: dict[str, str]) -> Any:
        return resource(View(item, me, self.store), _mask(params, "File"))

    def _seen(self, me: str, file_id: str) -> Item:
        item = self.store.items.get(self._root(me, file_id))
        if item is None or not self.store.role(item, me):
            raise ApiError(404, "notFound", f"File not found: {file_id}.", "fileId")
        return item

    def _changeable(self, me: str, file_id: str) -> Item:
        item = self._seen(me, file_id)
        if self.store.role(item, me) not in ("owner", "writer"):
            raise _forbidden()
        return item

    def _shareable(self, me: str, file_id: str) -> Item:
        return self._changeable(me, file_id)


def _forbidden() -> ApiError:
    return ApiError(403, "insufficientFilePermissions", "The user does not have sufficient permissions for this file.")


def _mask(params: dict[str, str], schema: str) -> Mask:
    try:
        return parsed(params.get("fields") or DEFAULT_FIELDS.get(schema, "*"), schema)
    except BadFieldsError as error:
        raise ApiError(400, "invalidParameter", f"Invalid field selection {error}", "fields") from error


def _page_size(params: dict[str, str], limit: int) -> int:
    text = params.get("pageSize", "100")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1000):
        raise ApiError(400, "invalidParameter", f"Invalid value '{text}'. Values must be within the range: [1, 1000]", "pageSize")
    return min(int(text), limit)
