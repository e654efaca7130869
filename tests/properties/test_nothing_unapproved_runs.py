"""Whatever submitters, peers and crashes do to the folders: only content that the owner approved here is ever run.

Every content a job ever has says a word of its own when it runs. Which digest belongs to which word is known beforehand, so that
each word that was said can be held against the audit log.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from scq import layouts
from scq.audit import read_rows
from scq.digest import Caps, manifest
from scq.model import JobRef, Sighting
from scq.ports import Layout
from scq.store import Store
from scq.tree import DiskTree
from tests.people import OWNER
from tests.properties.place import MIXED, Place

MOST_JOBS = 5
NUMBERS = st.integers(0, MOST_JOBS - 1)
EVERY_LAYOUT = layouts.every("code-queue")


class Crashed(BaseException):
    """Nothing catches this."""


class Content(NamedTuple):
    """What a job consisted of at some time: the word it says, its reference, its digest."""

    word: str
    ref: str
    digest: str


class Owner(RuleBasedStateMachine):
    """An owner at work, beside others who write into the same folders."""

    ran_at_all = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.place = Place(Path(self.folder.name))
        self.refs: list[JobRef] = []
        self.contents: dict[str, Content] = {}

    def teardown(self) -> None:
        self.folder.cleanup()

    # the submitter

    @initialize(generations=st.lists(st.sampled_from(MIXED), min_size=2, max_size=2))
    def begin(self, generations: list[str]) -> None:
        for generation in generations:
            self.submit(generation)

    @precondition(lambda self: len(self.refs) < MOST_JOBS)
    @rule(generation=st.sampled_from(MIXED))
    def submit(self, generation: str) -> None:
        name = f"job-{len(self.refs)}"
        self.refs.append(self.place.submit(name, generation))
        self.note(self.refs[-1], name)

    @rule(number=NUMBERS)
    def change_content(self, number: int) -> None:
        ref, sighting = self.pick(number)
        if sighting is None:
            return
        word = f"job-{len(self.contents) + 100}"
        content = self.layout(ref).content(sighting)
        (self.place.root / content.base / content.run_sh).write_text(self.place.script(word))
        self.note(ref, word)

    @rule(number=NUMBERS)
    def claim_approval(self, number: int) -> None:
        """A submitter writes the approval himself, in the way of his generation."""
        _, sighting = self.pick(number)
        if sighting is None:
            return
        folder = self.place.root / sighting.path
        if sighting.layout.startswith("a") or sighting.layout == "b0":
            target = folder.parent.parent / "approved" / folder.name
            if not target.exists():
                target.parent.mkdir(exist_ok=True)
                folder.rename(target)
        elif sighting.layout.startswith("b"):
            (folder / "approved").touch()
        else:
            review = Path(str(folder).replace("/inbox/", "/review/"))
            review.mkdir(parents=True, exist_ok=True)
            (review / "state.yaml").write_text("status: approved\nreceived_at: 2026-11-21T12:00:00Z\n")

    @rule(number=NUMBERS)
    def take_the_end_away(self, number: int) -> None:
        """A finished job is made to look as if it waited for its run."""
        _, sighting = self.pick(number)
        if sighting is None:
            return
        folder = self.place.root / sighting.path
        (folder / "done").unlink(missing_ok=True)
        for path in self.place.root.rglob("state.yaml"):
            path.write_text(path.read_text().replace("status: done", "status: approved"))

    # the owner

    @rule(number=NUMBERS)
    def approve(self, number: int) -> None:
        self.decide(None, "approve", number)

    @rule()
    def run_approved(self) -> None:
        self.run(None)

    @rule(number=NUMBERS)
    def approve_and_run(self, number: int) -> None:
        self.approve(number)
        self.run(None)

    @rule(number=NUMBERS)
    def approve_new_content_and_run(self, number: int) -> None:
        self.change_content(number)
        self.approve_and_run(number)

    @rule(number=NUMBERS)
    def approve_what_changes_before_it_runs(self, number: int) -> None:
        self.approve(number)
        self.change_content(number)
        self.run(None)

    @rule(number=NUMBERS, changed=st.booleans())
    def run_once_more(self, number: int, changed: bool) -> None:
        self.decide(None, "rerun", number)
        if changed:
            self.change_content(number)
        self.run(None)

    @rule(number=NUMBERS)
    def reject(self, number: int) -> None:
        self.decide(None, "reject", number)

    @rule(full=st.booleans())
    def check(self, full: bool) -> None:
        self.call(None, "check", *(["--full"] if full else []))

    @rule(verb=st.sampled_from(["approve", "reject", "rerun"]), number=NUMBERS, crash=st.integers(1, 8))
    def decide_and_die(self, verb: str, number: int, crash: int) -> None:
        self.decide(crash, verb, number)

    @rule(crash=st.integers(1, 25))
    def run_and_die(self, crash: int) -> None:
        self.run(crash)

    def run(self, crash: int | None) -> None:
        before = self.place.ran()
        self.call(crash, "run-approved")
        records = {str(record.sighting.ref): record for record in self.records()}
        for word in self.place.ran() - before:
            type(self).ran_at_all += 1
            content = self.contents[word]
            record = records[content.ref]
            assert record.run is not None
            assert record.decision is not None
            assert (record.decision.verdict, record.decision.digest) == ("approve", content.digest)

    # what holds

    @invariant()
    def what_ran_was_approved(self) -> None:
        """Each word was said at most once for each approval or rerun of exactly that content."""
        allowed = {(row.ref, row.digest): 0 for row in self.audited()}
        for row in self.audited():
            allowed[row.ref, row.digest] += row.what in ("approve", "rerun")
        for word, times in self.place.ran().items():
            content = self.contents[word]
            assert times <= allowed.get((content.ref, content.digest), 0), f"{word} ran without having been approved"

    @invariant()
    def the_store_can_be_read(self) -> None:
        store = self.store()
        store.load()
        store.finished()
        assert store.problems == []

    # tools

    def store(self) -> Store:
        return Store(str(self.place.owner.home))

    def records(self) -> list[Any]:
        store = self.store()
        finished = {key: store.finished_record(key) for key in store.finished().jobs}
        return list((finished | dict(store.load().jobs)).values())

    def audited(self) -> list[Any]:
        """Every row of the log, and those that a killed call saved but did not come to append."""
        written = list(read_rows(self.store().audit_path))
        assert all(sealed for _, sealed in written)
        last = written[-1][0].n if written else 0
        return [*(row for row, _ in written), *(row for row in self.store().load().audit if row.n > last)]

    def layout(self, ref: JobRef) -> Layout:
        return EVERY_LAYOUT[ref.layout]

    def pick(self, number: int) -> tuple[JobRef, Sighting | None]:
        """One of the jobs, as its folders show it now; None when its submission is gone."""
        ref = self.refs[number % len(self.refs)]
        tree = DiskTree(str(self.place.root), OWNER)
        spot = self.layout(ref).locate(tree, ref)
        sighting = None if spot is None else self.layout(ref).read(tree, spot)
        return ref, None if sighting is None or not tree.is_dir(self.layout(ref).content(sighting).base) else sighting

    def note(self, ref: JobRef, word: str) -> None:
        """Remember which digest says this word."""
        _, sighting = self.pick(self.refs.index(ref))
        assert sighting is not None
        found = manifest(str(self.place.root), self.layout(ref).content(sighting), Caps())
        self.contents[word] = Content(word, str(ref), found.digest)

    def decide(self, crash: int | None, verb: str, number: int) -> None:
        self.call(crash, verb, f"job-{number % len(self.refs)}")

    def call(self, crash: int | None, *words: str) -> None:
        """One call; with `crash` it dies before the rename of that number. Refusals are fine, bugs are not."""
        with mock.patch.object(os, "fsync"), mock.patch.object(os, "replace", dying(os.replace, crash)):
            try:
                answer = self.place.owner.scq(*words, code=None)
            except Crashed:
                return
        assert answer.code in (0, 1, 2, 4, 5), answer


def dying(function: Callable[..., None], number: int | None) -> Callable[..., None]:
    """A function that raises instead of doing its work at the call of that number."""
    count = 0

    def perhaps(*arguments: Any, **options: Any) -> None:
        nonlocal count
        count += 1
        if count == number:
            raise Crashed
        function(*arguments, **options)

    return perhaps


def test_nothing_unapproved_ever_runs() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Owner,
        settings=settings(max_examples=20, stateful_step_count=20, derandomize=True, deadline=None, phases=[Phase.generate]),
    )
    assert Owner.ran_at_all > 20, "a test in which nothing runs proves nothing"
