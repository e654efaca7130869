"""A world of one owner, one scientist and one job that can be put back, and everything that can be said about it afterwards.

A crashed call must leave the world as if it had been made or had not been made, once the next calls have passed over it.
"""

from __future__ import annotations

import re
import shutil
import stat
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from scq.audit import read_rows
from scq.commands import check, run_approved
from scq.commands import list as listing
from scq.config_values import Config
from scq.context import Context
from scq.executors import rundir
from scq.report import Report
from scq.state import Record, State
from scq.store import Store
from tests.people import OWNER, SCIENTIST, Person, code_folder, syftbox

SCRIPT = """\
echo ran >> {counter}
mkdir -p "${{OUTPUT_DIR:-outputs}}/deep"
echo 42 > "${{OUTPUT_DIR:-outputs}}/answer.txt"
echo 43 > "${{OUTPUT_DIR:-outputs}}/deep/more.txt"
echo hello
"""
STAGES = ("empty", "unseen", "expected", "seen", "approved", "finished")
"""How far the job has come: not there, submitted to an owner who never looked, to one who has, looked at, approved, run."""
CUT_OFF = ("interrupted", "killed")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID_IN_TEXT = re.compile(_UUID.pattern.encode())
_TIME = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?")
_UNSYNCED = re.compile(r"\..+\.tmp")


class Outcome(NamedTuple):
    """What a world shows in the end: times left out, everything else exact."""

    status: str
    verdict: str
    ran: int
    sharing: tuple[str, str]
    messages: dict[tuple[str, str], int]
    audited: dict[str, int]
    folders: dict[str, tuple[int, bytes]]


class World:
    """The folders of one world below `folder/now`, and a copy of them that `restore` puts back."""

    def __init__(self, folder: Path, generation: str, stage: str) -> None:
        self.now, self.saved = folder / "now", folder / "saved"
        self.counter = self.now / "counter"
        self.root = root = syftbox(self.now, OWNER, SCIENTIST)
        self.owner = Person(self.now / "do", root, OWNER)
        self.scientist = Person(self.now / "ds", root, SCIENTIST)
        self.uid = self._prepare(generation, STAGES.index(stage))
        shutil.copytree(self.now, self.saved, symlinks=True)

    def _prepare(self, generation: str, stage: int) -> str:
        source = code_folder(self.now / "code", SCRIPT.format(counter=self.counter))
        self.submission = ["submit", OWNER, str(source), "--name", "count", "--layout", generation]
        if stage != STAGES.index("unseen"):
            self.owner.scq("check")
        if stage == STAGES.index("empty"):
            # The folders that hold jobs are there already: making them is not what a call is judged by.
            self.scientist.scq(*self.submission)
            self.owner.scq("reset", "--yes")
            self.owner.scq("check")
            return ""
        uid = str(self.scientist.json(*self.submission)["id"])
        if stage >= STAGES.index("seen"):
            self.owner.scq("check")
        if stage >= STAGES.index("approved"):
            self.owner.scq("approve", uid)
            self.owner.scq("check")
        if stage >= STAGES.index("finished"):
            self.owner.scq("run-approved")
            self.owner.scq("check")
        return uid

    def restore(self) -> None:
        """Put everything back to how it was when the world was made."""
        shutil.rmtree(self.now)
        shutil.copytree(self.saved, self.now, symlinks=True)

    # what can be seen

    def store(self) -> Store:
        return Store(str(self.owner.home))

    def state(self) -> State:
        """The live document, which must be readable without having been mended."""
        store = self.store()
        state = store.load()
        assert store.problems == []
        return state

    def record(self) -> Record | None:
        """What is remembered of the job, which is never remembered twice under different names."""
        store = self.store()
        state = store.load()
        found = {key: record for key in store.finished().jobs if (record := store.finished_record(key)) is not None}
        found |= state.jobs
        assert len(found) <= 1
        return next(iter(found.values()), None)

    def ran(self) -> int:
        """How often the job has run, as the job itself tells."""
        return len(self.counter.read_text().splitlines()) if self.counter.exists() else 0

    def run_folders(self) -> list[Path]:
        runs = self.owner.home / "runs"
        return list(runs.iterdir()) if runs.exists() else []

    def ever_started(self) -> bool:
        """True when a run came as far as starting the job (an earlier, finished one does not count)."""
        return any(rundir.was_started(str(folder)) for folder in self.run_folders() if not self._is_old(folder))

    def _is_old(self, folder: Path) -> bool:
        return (self.saved / "do" / "runs" / folder.name).exists()

    def seen_by_submitter(self) -> str:
        """The status the folders show to a peer; empty when the job is not there."""
        return self._listed(self.scientist)[0]

    def _listed(self, person: Person) -> tuple[str, tuple[str, str]]:
        """(status, sharing) of the one job somebody sees."""
        jobs = listing.run(self.context(person)).data["jobs"]
        assert len(jobs) <= 1
        for job in jobs:
            assert not self.uid or job["id"] == self.uid
            return job["status"], (job["results"]["outputs"], job["results"]["logs"])
        return "", ("none", "none")

    def messages(self) -> Counter[tuple[str, str]]:
        return Counter((row.kind, row.role) for row in self.state().outbox.values())

    def audited(self) -> Counter[str]:
        """What the audit log says happened; its numbers have no gap, its seals hold, and the state knows all of it."""
        rows = list(read_rows(self.store().audit_path))
        assert all(sealed for _, sealed in rows)
        assert [row.n for row, _ in rows] == list(range(1, len(rows) + 1))
        assert self.state().audited == len(rows)
        return Counter(row.what for row, _ in rows)

    def folders(self) -> dict[str, tuple[int, bytes]]:
        """Mode and content of everything in the SyftBox but temporary files, which the network never carries."""
        found: dict[str, tuple[int, bytes]] = {}
        for path in sorted(self.owner.root.rglob("*")):
            relative = path.relative_to(self.owner.root)
            if any(_UNSYNCED.fullmatch(part) for part in relative.parts):
                continue
            content = _UUID_IN_TEXT.sub(b"UUID", _TIME.sub(b"TIME", path.read_bytes())) if path.is_file() else b"(folder)"
            found[_UUID.sub("UUID", str(relative))] = (stat.S_IMODE(path.lstat().st_mode), content)
        return found

    def left_over(self) -> list[str]:
        """Temporary files and folders that still lie in the SyftBox."""
        return [str(path) for path in self.owner.root.rglob("*") if _UNSYNCED.fullmatch(path.name)]

    def outcome(self) -> Outcome:
        status, sharing = self._listed(self.owner)
        record = self.record()
        audited = self.audited()
        # A claim that was given back and made again has two lines, as it should.
        audited["run"] = min(audited["run"], audited["end"])
        return Outcome(
            status=status,
            verdict=record.decision.verdict if record is not None and record.decision is not None else "",
            ran=self.ran(),
            sharing=sharing,
            messages=dict(self.messages()),
            audited={what: count for what, count in audited.items() if count},
            folders=self.folders(),
        )

    # what happens next

    def go_on(self, *, run_first: bool) -> None:
        """The calls a crontab makes next, in either order, until nothing is left to be done."""
        self.wait_for_runs()
        if not run_first:
            self.check()
        self.run_approved()
        self.check()

    def context(self, person: Person) -> Context:
        """The parts of a call that need not go through the command line."""
        return Context(Config(email=person.email, root=str(self.root), sandbox="none"), str(person.home), env={})

    def check(self) -> Report:
        report = check.run(self.context(self.owner))
        assert report.exit_code == 0, report
        return report

    def run_approved(self) -> Report:
        report = run_approved.run(self.context(self.owner))
        assert report.exit_code in (0, 4), report
        return report

    def wait_for_runs(self) -> None:
        """Until no run of a killed call is alive any more."""
        give_up = time.monotonic() + 20
        while any(rundir.is_locked(str(folder)) for folder in self.run_folders()):
            assert time.monotonic() < give_up, "a run of a killed call does not end"
            time.sleep(0.002)


class Expected(NamedTuple):
    """The two ways a world may end."""

    made: Outcome
    not_made: Outcome


def expected(world: World, call: Callable[[], object]) -> Expected:
    """How a world ends when the call is made, and when it is not. Leaves the world as it was."""
    world.go_on(run_first=False)
    not_made = world.outcome()
    world.restore()
    call()
    world.go_on(run_first=False)
    made = world.outcome()
    world.restore()
    return Expected(made, not_made)


def nothing_half_visible(world: World) -> None:
    """Right after a crash: the folders show no decision and no result that is not on record."""
    record, shown = world.record(), world.seen_by_submitter()
    decision = record.decision if record is not None else None
    if shown in ("approved", "rejected"):
        assert decision is not None
        assert decision.verdict == {"approved": "approve", "rejected": "reject"}[shown]
    if shown in ("running", "completed", "failed"):
        assert record is not None
        assert decision is not None
        assert decision.verdict == "approve"
        assert record.run is not None or "reopen" in record.intents


def holds(world: World, wanted: Expected) -> Outcome:
    """After the next calls: as if the crashed call had been made or not made; a run that was cut off has failed, once."""
    started = world.ever_started()
    outcome = world.outcome()
    again = world.check()
    assert (again.data["events"], again.data["new_jobs"], again.lines, again.problems) == ([], [], (), ())
    record = world.record()
    if started and record is not None and record.run is not None and record.run.cause in CUT_OFF:
        _is_cut_off(world, outcome, wanted)
    else:
        assert outcome in (wanted.made, wanted.not_made), _differences(outcome, wanted)
    return outcome


def _differences(outcome: Outcome, wanted: Expected) -> str:
    """Where an outcome differs from the nearer one of the two that are right."""
    different = ([name for name in Outcome._fields if getattr(outcome, name) != getattr(other, name)] for other in wanted)
    (fields, other) = min(zip(different, wanted, strict=True), key=lambda pair: len(pair[0]))
    lines = [f"{name}: {getattr(outcome, name)!r}, not {getattr(other, name)!r}" for name in fields if name != "folders"]
    if "folders" in fields:
        paths = sorted(outcome.folders.keys() | other.folders.keys())
        lines += [
            f"{path}: {outcome.folders.get(path)!r}, not {other.folders.get(path)!r}"
            for path in paths
            if outcome.folders.get(path) != other.folders.get(path)
        ]
    return "\n".join(lines)


def _is_cut_off(world: World, outcome: Outcome, wanted: Expected) -> None:
    assert outcome.status == world.seen_by_submitter() == "failed"
    assert outcome.ran <= wanted.made.ran
    assert outcome.audited["end"] == wanted.made.audited["end"]
    told = dict(outcome.messages)
    assert {kind: count for kind, count in told.items() if count > 1} == {
        kind: count for kind, count in wanted.made.messages.items() if count > 1 and kind[0] != "job.completed"
    }
    assert sum(count for (kind, _), count in told.items() if kind in ("job.failed", "job.interrupted")) in (1, 2)
