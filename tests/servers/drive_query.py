"""The search language of Drive (`q` of files.list): what it means for one item, and where to look for items at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from tests.servers.drive_store import FOLDER, Item, Store, at_of, words

TOKEN = re.compile(r"\s*(?:'((?:[^'\\]|\\.)*)'|(!=|<=|>=|=|<|>|\(|\))|([A-Za-z]+))")
DEEPEST = 100


class BadQueryError(ValueError):
    """Not in the search language."""


class NoSuchParentError(ValueError):
    """A search in a folder that is not there, or that the account does not see."""


@dataclass(frozen=True)
class Term:
    """`test` says whether an item is meant; `hint` gives ids among which all meant ones are, None when it knows nothing."""

    test: Callable[[Item], bool]
    hint: Callable[[], set[str] | None] = lambda: None
    parents: frozenset[str] = frozenset()
    """When this is all it asks for: in one of these folders."""


def compiled(q: str, store: Store, me: str) -> Term:
    """The meaning of a query for one account. Raises BadQueryError, NoSuchParentError."""
    if not q.strip():
        return Term(lambda item: True)
    reader = _Reader(_tokens(q), store, me)
    term = reader.either(0)
    if reader.rest:
        raise BadQueryError(q)
    return term


@lru_cache(4096)
def _tokens(q: str) -> tuple[tuple[str, str], ...]:
    """(kind, text) of each token; kind is `text`, `sign` or `word`."""
    found = []
    at = 0
    while q[at:].strip():
        match = TOKEN.match(q, at)
        if match is None:
            raise BadQueryError(q)
        if match[1] is not None:
            found.append(("text", re.sub(r"\\(.)", r"\1", match[1])))
        else:
            found.append(("sign", match[2]) if match[2] else ("word", match[3]))
        at = match.end()
    return tuple(found)


def contains(name: str, literal: str) -> bool:
    """Whether the words of a literal stand in a name, in order and side by side; the last may be the beginning of one."""
    have, want = words(name), words(literal)
    if not want:
        return True
    *whole, last = want
    return any(
        have[at : at + len(whole)] == tuple(whole) and have[at + len(whole)].startswith(last)
        for at in range(len(have) - len(whole))
    )


class _Reader:
    """Recursive descent; `not` binds closest, then `and`, then `or`."""

    def __init__(self, tokens: tuple[tuple[str, str], ...], store: Store, me: str) -> None:
        self.rest = list(reversed(tokens))
        self.store = store
        self.me = me

    def either(self, depth: int) -> Term:
        terms = [self.both(depth)]
        while self._next_is("or"):
            terms.append(self.both(depth))
        if len(terms) == 1:
            return terms[0]
        if all(term.parents for term in terms):
            return self._inside(frozenset().union(*(term.parents for term in terms)))

        def hint() -> set[str] | None:
            hints = [term.hint() for term in terms]
            return None if None in hints else set().union(*(found for found in hints if found is not None))

        return Term(lambda item: any(term.test(item) for term in terms), hint)

    def both(self, depth: int) -> Term:
        terms = [self.single(depth)]
        while self._next_is("and"):
            terms.append(self.single(depth))
        if len(terms) == 1:
            return terms[0]

        def hint() -> set[str] | None:
            hints = [found for term in terms if (found := term.hint()) is not None]
            return min(hints, key=len) if hints else None

        return Term(lambda item: all(term.test(item) for term in terms), hint)

    def single(self, depth: int) -> Term:
        if depth > DEEPEST:
            raise BadQueryError("too deep")
        if self._next_is("not"):
            inner = self.single(depth + 1)
            return Term(lambda item: not inner.test(item))
        if self._next_is("("):
            inner = self.either(depth + 1)
            if not self._next_is(")"):
                raise BadQueryError("a parenthesis is open")
            return inner
        kind, text = self._take()
        if kind == "text":
            return self._membership(text)
        if kind == "word" and text == "sharedWithMe":
            return Term(lambda item: item.owner != self.me and self.me in item.permissions)
        return self._comparison(text)

    def _membership(self, text: str) -> Term:
        """`'id' in parents`, `'address' in owners|writers|readers`."""
        if self._take() != ("word", "in"):
            raise BadQueryError("in is missing")
        _, group = self._take()
        store, address = self.store, self.me if text == "me" else text.lower()
        if group == "parents":
            parent = store.root(self.me).id if text == "root" else text
            if parent not in store.items or not store.role(store.items[parent], self.me):
                raise NoSuchParentError(text)
            return self._inside(frozenset([parent]))
        if group == "owners":
            return Term(lambda item: item.owner == address)
        if group in ("writers", "readers"):
            enough = ("owner", "writer") if group == "writers" else ("owner", "writer", "commenter", "reader")
            return Term(lambda item: store.role(item, address) in enough)
        raise BadQueryError(group)

    def _inside(self, parents: frozenset[str]) -> Term:
        store = self.store
        return Term(
            lambda item: not parents.isdisjoint(item.parents),
            lambda: set().union(*(store.children(parent) for parent in parents)),
            parents,
        )

    def _comparison(self, field: str) -> Term:
        (_, sign), (kind, value) = self._take(), self._take()
        store = self.store
        if field == "name" and kind == "text" and sign in ("=", "!=", "contains"):
            if sign == "contains":
                return Term(lambda item: contains(item.name, value))
            return _maybe_not(sign, Term(lambda item: item.name == value, lambda: store.named(value)))
        if field == "mimeType" and kind == "text" and sign in ("=", "!=", "contains"):
            if sign == "contains":
                return Term(lambda item: item.mime.startswith(value))
            is_folder = value == FOLDER
            return _maybe_not(sign, Term(lambda item: item.mime == value, lambda: store.folders() if is_folder else None))
        if field in ("trashed", "starred") and value in ("true", "false") and sign in ("=", "!="):
            wanted = (value == "true") == (sign == "=")
            return Term(lambda item: (field == "trashed" and store.is_trashed(item)) == wanted)
        if field in ("createdTime", "modifiedTime") and kind == "text" and sign != "contains":
            return _time(field, sign, value)
        raise BadQueryError(field)

    def _next_is(self, word: str) -> bool:
        if self.rest and self.rest[-1] in (("word", word), ("sign", word)):
            self.rest.pop()
            return True
        return False

    def _take(self) -> tuple[str, str]:
        if not self.rest:
            raise BadQueryError("it breaks off")
        return self.rest.pop()


def _maybe_not(sign: str, term: Term) -> Term:
    return term if sign == "=" else Term(lambda item: not term.test(item))


def _time(field: str, sign: str, value: str) -> Term:
    at = at_of(value)
    tests: dict[str, Callable[[float], bool]] = {
        "=": lambda seconds: seconds == at,
        "!=": lambda seconds: seconds != at,
        "<": lambda seconds: seconds < at,
        "<=": lambda seconds: seconds <= at,
        ">": lambda seconds: seconds > at,
        ">=": lambda seconds: seconds >= at,
    }
    if at is None or sign not in tests:
        raise BadQueryError(value)
    test = tests[sign]
    return Term(lambda item: test(item.created if field == "createdTime" else item.modified))
