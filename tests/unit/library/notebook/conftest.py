"""An owner and scientists on one SyftBox, and desks that answer for them as for a page in a notebook."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from scq.clean import block
from scq.commands import list as list_verb
from scq.commands import show
from scq.library.jobs import CodeJob
from scq.library.notebook.desk import Desk
from scq.library.verbs import Verbs
from scq.report import Report
from tests.people import Person, World


def verbs_of(person: Person) -> Verbs:
    return Verbs(home=str(person.home), root=str(person.root), email=person.email)


def texts(value: object) -> Iterator[str]:
    """Every text within a reply."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from (name, *texts(each))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)


class CountingVerbs(Verbs, frozen=True):
    """Counts the verbs that are called."""

    seen: Counter[str] = Counter()

    def attempt(self, verb: Callable[..., Report], *arguments: Any, **options: Any) -> Report:
        self.seen[verb.__module__.rpartition(".")[2]] += 1
        return super().attempt(verb, *arguments, **options)


class Page:
    """What a page would ask a desk, for everything one person may see."""

    def __init__(self, person: Person, known: Iterable[str] = ()) -> None:
        self.verbs = CountingVerbs(home=str(person.home), root=str(person.root), email=person.email, seen=Counter())
        self.desk = Desk(self.verbs, self._jobs, known)
        self._numbers = count()
        self.problems: list[dict[str, str]] = []

    @property
    def calls(self) -> Counter[str]:
        return self.verbs.seen

    def _jobs(self) -> list[CodeJob]:
        return [CodeJob(facts, self.verbs) for facts in self.verbs.call(list_verb.run).data["jobs"]]

    def reply(self, ask: object, **fields: object) -> dict[str, Any]:
        number = next(self._numbers)
        found = self.desk.answer({"id": number, "ask": ask, **fields})
        assert found["id"] == number
        assert json.loads(json.dumps(found, ensure_ascii=False, allow_nan=False).encode("utf-8"))
        assert all(block(text) == text for text in texts(found)), "a text of a stranger as it was"
        return found

    def ask(self, ask: str, **fields: object) -> Any:
        """`data` of a good reply."""
        found = self.reply(ask, **fields)
        assert found["ok"], found
        self.problems = found["problems"]
        return found["data"]

    def refused(self, ask: object, **fields: object) -> dict[str, str]:
        """`error` of a bad reply."""
        found = self.reply(ask, **fields)
        assert not found["ok"], found
        error: dict[str, str] = found["error"]
        return error

    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows by id, by field."""
        found = self.ask("rows")
        rows = [dict(zip(found["fields"], row, strict=True)) for row in found["rows"]]
        return {row["id"]: row for row in rows}

    def named(self, *ids: str) -> list[dict[str, str]]:
        """Jobs as a page names them: with what they were when it looked last."""
        return [{"id": uid, "revision": self.revision(uid)} for uid in ids]

    def revision(self, uid: str) -> str:
        found: str = self.verbs.call(show.run, uid).data["revision"]
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def owner(world: World) -> Page:
    return Page(world.owner)
