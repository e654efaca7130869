"""A SyftBox with one owner and jobs in every generation that can be written, which tell when they run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from scq.audit import read_rows
from scq.layouts import GENERATIONS, get
from scq.model import JobRef
from scq.ports import Submission
from scq.store import Store
from tests.people import OWNER, SCIENTIST, Person, syftbox

MIXED = ("a3", "b0", "b1", "b2", "c0", "c1")


class Place:
    """A SyftBox with an owner, and jobs that tell in a file outside of it that they run."""

    def __init__(self, folder: Path) -> None:
        self.root = syftbox(folder, OWNER, SCIENTIST)
        self.owner = Person(folder / "do", self.root, OWNER)
        self.counter = folder / "counter"

    def script(self, word: str, seconds: float = 0.0) -> str:
        """What a job executes: it says that it runs, by a word that it alone uses."""
        return f'#!/bin/bash\necho {word} >> "{self.counter}"\nsleep {seconds}\n'

    def submit(self, name: str, generation: str, *, seconds: float = 0.0) -> JobRef:
        """A new job of the scientist's, written as peers of that generation write it."""
        script = self.script(name, seconds)
        submission = Submission(
            owner=OWNER,
            submitter=SCIENTIST,
            name=name,
            files={"run.sh": script.encode()} if generation[0] == "c" else {"note.txt": b"for reading\n"},
            executable=frozenset({"run.sh"}) if generation[0] == "c" else frozenset(),
            run_sh=script,
            kind="bash",
            entrypoint=None,
            dependencies=(),
            description="",
            tags=(),
            timeout_s=None,
            is_folder=True,
            source_path=None,
            submitted_at_iso="2026-11-21T12:00:00+00:00",
        )
        return get(GENERATIONS[generation]).submit(str(self.root), generation, submission)

    def submit_many(self, count: int, *, seconds: float = 0.0) -> list[str]:
        names = [f"job-{number:02}" for number in range(count)]
        for number, name in enumerate(names):
            self.submit(name, MIXED[number % len(MIXED)], seconds=seconds)
        return names

    def ran(self) -> Counter[str]:
        return Counter(self.counter.read_text().split()) if self.counter.exists() else Counter()

    def statuses(self) -> dict[str, str]:
        return {job["name"]: job["status"] for job in self.owner.json("list")["jobs"]}

    def rows(self, kind: str) -> Counter[str]:
        """How often each job is in the outbox with this kind of message for the owner."""
        outbox = Store(str(self.owner.home)).load().outbox.values()
        return Counter(row.job_id for row in outbox if row.kind == kind and row.role == "do")

    def audited(self, what: str) -> int:
        """Rows of one kind in the audit log, whose seals must hold."""
        rows = list(read_rows(Store(str(self.owner.home)).audit_path))
        assert all(sealed for _, sealed in rows)
        assert [row.n for row, _ in rows] == list(range(1, len(rows) + 1))
        return sum(row.what == what for row, _ in rows)
