"""How an item of a loopback Drive looks to one account: the fields of `File` in the v3 API, made only when they are wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from tests.servers.drive_fields import Mask, only
from tests.servers.drive_store import Grant, Item, Store

WRITING = ("owner", "writer")


class View(NamedTuple):
    """`me` is a lower-case address."""

    item: Item
    me: str
    store: Store

    @property
    def role(self) -> str:
        return self.store.role(self.item, self.me)


def resource(view: View, mask: Mask) -> dict[str, Any]:
    """The wanted fields; what the account may not see, or what is empty, is left out as Drive does."""
    found = {}
    for key in mask or FIELDS:
        value = FIELDS[key](view) if key in FIELDS else None
        if value is not None:
            found[key] = only(value, mask.get(key, {}))
    return found


def user(address: str, me: str) -> dict[str, Any]:
    return {
        "kind": "drive#user",
        "displayName": address.partition("@")[0],
        "me": address == me,
        "permissionId": number(address),
        "emailAddress": address,
    }


def permission(grant: Grant) -> dict[str, Any]:
    return {
        "kind": "drive#permission",
        "id": number(grant.address),
        "type": "user",
        "role": grant.role,
        "emailAddress": grant.address,
        "displayName": grant.address.partition("@")[0],
        "deleted": False,
    }


@lru_cache(10_000)
def number(address: str) -> str:
    """The id that an address has in all permissions."""
    return str(int.from_bytes(hashlib.sha256(address.lower().encode()).digest()[:8], "big"))


def time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(20_000)
def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _parents(view: View) -> list[str] | None:
    store = view.store
    return [one for one in view.item.parents if one in store.items and store.role(store.items[one], view.me)] or None


def _permissions(view: View) -> list[dict[str, Any]] | None:
    if view.role not in WRITING:
        return None
    return [permission(grant) for grant in view.store.grants(view.item).values()]


def _permission_ids(view: View) -> list[str] | None:
    return [number(address) for address in view.store.grants(view.item)] if view.role in WRITING else None


def _shared_at(view: View) -> str | None:
    grant = view.item.permissions.get(view.me)
    return time_text(grant.since) if grant and view.item.owner != view.me else None


def _capabilities(view: View) -> dict[str, bool]:
    role, is_folder = view.role, view.item.is_folder
    writes, owns = role in WRITING, role == "owner"
    return {
        "canEdit": writes,
        "canShare": writes,
        "canRename": writes,
        "canAddChildren": writes and is_folder,
        "canDownload": not is_folder,
        "canTrash": owns,
        "canDelete": owns,
        "canModifyContent": writes,
        "canReadRevisions": writes and not is_folder,
    }


def _size(view: View) -> str | None:
    return None if view.item.content is None else str(len(view.item.content))


FIELDS: dict[str, Callable[[View], Any]] = {
    "kind": lambda view: "drive#file",
    "id": lambda view: view.item.id,
    "name": lambda view: view.item.name,
    "mimeType": lambda view: view.item.mime,
    "description": lambda view: view.item.description or None,
    "parents": _parents,
    "owners": lambda view: [user(view.item.owner, view.me)],
    "ownedByMe": lambda view: view.item.owner == view.me,
    "lastModifyingUser": lambda view: user(view.item.last_by, view.me) if view.item.last_by else None,
    "createdTime": lambda view: time_text(view.item.created),
    "modifiedTime": lambda view: time_text(view.item.modified),
    "sharedWithMeTime": _shared_at,
    "version": lambda view: str(view.item.version),
    "trashed": lambda view: view.store.is_trashed(view.item),
    "explicitlyTrashed": lambda view: view.item.trashed,
    "starred": lambda view: False,
    "shared": lambda view: len(view.store.grants(view.item)) > 1,
    "spaces": lambda view: ["drive"],
    "writersCanShare": lambda view: True,
    "capabilities": _capabilities,
    "permissions": _permissions,
    "permissionIds": _permission_ids,
    "appProperties": lambda view: view.item.app_properties or None,
    "size": _size,
    "quotaBytesUsed": _size,
    "md5Checksum": lambda view: None if view.item.content is None else _md5(view.item.content),
    "sha256Checksum": lambda view: None if view.item.content is None else hashlib.sha256(view.item.content).hexdigest(),
    "headRevisionId": lambda view: None if view.item.content is None else f"{view.item.id[-8:]}-{view.item.revision}",
    "originalFilename": lambda view: None if view.item.content is None else view.item.name,
}
