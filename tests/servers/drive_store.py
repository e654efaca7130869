"""The files of all accounts of a loopback Drive: who may see and do what, and what changed when."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

FOLDER = "application/vnd.google-apps.folder"
ROLES = ("", "reader", "commenter", "writer", "owner")
"""From least to most."""
FIRST_TOKEN = 1000
"""Places in the list of changes start here, so that 0 is none of them."""


class Grant(NamedTuple):
    """`address` as it was typed; `since` is Unix seconds."""

    address: str
    role: str
    since: float


@dataclass
class Item:
    """A file, or a folder, which has no content. Times in Unix seconds.

    `owner` and the keys of `permissions` are lower-case addresses.
    """

    id: str
    name: str
    mime: str
    owner: str
    parents: list[str]
    created: float
    modified: float
    content: bytes | None = None
    permissions: dict[str, Grant] = field(default_factory=dict)
    """Granted on the item itself, its owner included."""
    trashed: bool = False
    app_properties: dict[str, str] = field(default_factory=dict)
    description: str = ""
    version: int = 1
    revision: int = 1
    """Of the content."""
    is_root: bool = False
    last_by: str = ""

    @property
    def is_folder(self) -> bool:
        return self.mime == FOLDER


class Entry(NamedTuple):
    """Something became of an item; `viewers` could see it before or after."""

    id: str
    viewers: frozenset[str]
    at: float


@lru_cache(100_000)
def words(text: str) -> tuple[str, ...]:
    """As the search takes a text apart: at everything that is neither letter nor digit, without case."""
    return tuple(re.findall(r"[^\W_]+", text.casefold()))


def at_of(text: str) -> float | None:
    """Unix seconds of an RFC 3339 time (UTC where it does not say), None when it is not one."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


class Store:
    """Not thread safe: its server lets one request in at a time."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.items: dict[str, Item] = {}
        self.log: list[Entry] = []
        self.oldest = 0
        """Places in the log before this one are no longer known."""
        self._children: dict[str, set[str]] = {}
        self._names: dict[str, set[str]] = {}
        self._folders: set[str] = set()
        self._roots: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def snapshot(self) -> Store:
        """As everything is now, for lists that lag behind."""
        other = Store(self.clock)
        other._roots = dict(self._roots)
        for item in self.items.values():
            kept = copy(item)
            kept.parents, kept.permissions = list(item.parents), dict(item.permissions)
            other._index(kept)
        return other

    def root(self, address: str) -> Item:
        """The top folder of an account."""
        address = address.lower()
        if address not in self._roots:
            now = self.clock()
            item = Item(self.new_id(), "My Drive", FOLDER, address, [], now, now, is_root=True)
            item.permissions[address] = Grant(address, "owner", now)
            self._roots[address] = item.id
            self._index(item)
        return self.items[self._roots[address]]

    def new_id(self) -> str:
        """Opaque, 33 characters, the same in every run."""
        number = hashlib.sha256(f"item {next(self._numbers)}".encode()).digest()
        return "1" + base64.urlsafe_b64encode(number).decode()[:32]

    def children(self, parent: str) -> set[str]:
        return self._children.get(parent, set())

    def inside(self, parent: str) -> list[Item]:
        """What lies in a folder, oldest first."""
        return sorted((self.items[one] for one in self.children(parent)), key=lambda item: (item.created, item.id))

    def named(self, name: str) -> set[str]:
        return self._names.get(name, set())

    def folders(self) -> set[str]:
        return self._folders

    def ancestors(self, item: Item) -> Iterator[Item]:
        """The folders above, closest first."""
        while item.parents and item.parents[0] in self.items:
            item = self.items[item.parents[0]]
            yield item

    def below(self, item: Item) -> Iterator[Item]:
        """The item and everything in it."""
        yield item
        for child in self.inside(item.id):
            yield from self.below(child)

    def grants(self, item: Item) -> dict[str, Grant]:
        """All permissions, inherited ones included; the owner of a folder may write what others put in it."""
        found = dict(item.permissions)
        for folder in self.ancestors(item):
            for address, grant in folder.permissions.items():
                passed = grant._replace(role="writer") if grant.role == "owner" else grant
                if address not in found or ROLES.index(found[address].role) < ROLES.index(passed.role):
                    found[address] = passed
        return found

    def role(self, item: Item, address: str) -> str:
        """What an address may do with an item; empty: it does not see it."""
        grant = item.permissions.get(address)
        best = ROLES.index(grant.role) if grant else 0
        for folder in self.ancestors(item):
            grant = folder.permissions.get(address)
            best = max(best, min(3, ROLES.index(grant.role)) if grant else 0)
        return ROLES[best]

    def is_trashed(self, item: Item) -> bool:
        return item.trashed or any(folder.trashed for folder in self.ancestors(item))

    def add(self, item: Item) -> Item:
        """Take a new item in."""
        owner = item.owner.lower()
        item.permissions.setdefault(owner, Grant(item.owner, "owner", item.created))
        item.owner = owner
        if not item.parents:
            item.parents = [self.root(owner).id]
        self._index(item)
        self._note(item, frozenset())
        return item

    def remove(self, item: Item) -> None:
        """Take an item away for good; what others own in it goes to their own top folder."""
        viewers = frozenset(self.grants(item))
        for child in self.inside(item.id):
            if child.owner == item.owner:
                self.remove(child)
            else:
                with self.changing(child, deep=True):
                    self.move(child, [self.root(child.owner).id])
        self._unindex(item)
        del self.items[item.id]
        self.log.append(Entry(item.id, viewers, self.clock()))

    @contextmanager
    def changing(self, item: Item, *, deep: bool = False) -> Iterator[None]:
        """Notes a change of an item, and of all below it when that changes who sees them."""
        concerned = list(self.below(item)) if deep else [item]
        before = [frozenset(self.grants(one)) for one in concerned]
        name = item.name
        yield
        if item.name != name:
            self._names[name].discard(item.id)
            self._names.setdefault(item.name, set()).add(item.id)
        for one, viewers in zip(concerned, before, strict=True):
            self._note(one, viewers)

    def move(self, item: Item, parents: list[str]) -> None:
        """Only within `changing`."""
        for parent in item.parents:
            self._children[parent].discard(item.id)
        item.parents = parents
        for parent in parents:
            self._children.setdefault(parent, set()).add(item.id)

    def changes(self, address: str, place: int, until: int | None = None) -> list[tuple[int, Entry]]:
        """What became of items that an account sees or saw, each once, with the place in the log."""
        latest: dict[str, tuple[int, Entry]] = {}
        for number in range(place, len(self.log) if until is None else until):
            entry = self.log[number]
            if address in entry.viewers:
                latest.pop(entry.id, None)
                latest[entry.id] = (number, entry)
        return list(latest.values())

    def _note(self, item: Item, before: frozenset[str]) -> None:
        item.version += 1
        self.log.append(Entry(item.id, before | frozenset(self.grants(item)), self.clock()))

    def _index(self, item: Item) -> None:
        self.items[item.id] = item
        self._names.setdefault(item.name, set()).add(item.id)
        for parent in item.parents:
            self._children.setdefault(parent, set()).add(item.id)
        if item.is_folder:
            self._folders.add(item.id)

    def _unindex(self, item: Item) -> None:
        self._names[item.name].discard(item.id)
        for parent in item.parents:
            self._children[parent].discard(item.id)
        self._folders.discard(item.id)
