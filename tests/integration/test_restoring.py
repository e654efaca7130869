"""A backup from before a lot happened is put back: nothing is run twice, nobody is mailed about the past."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from scq.audit import read_rows
from scq.cli.session import Session
from scq.commands import init
from scq.store import Store
from tests.people import OWNER, SCIENTIST, World

LAYOUTS = ("a3", "b0", "b1", "b2", "c0", "c1")


class Machine:
    """An owner whose home is copied and put back."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.owner = self.world.owner
        self.backup = folder / "backup.tar"
        self.plug()
        self.owner.scq("cycle")

    def plug(self, **rest: Any) -> None:
        place = self.world.folder / "box"
        self.owner.configure(json.dumps({"sandbox": "none", "channels": {"post": {"type": "file", "path": str(place)}}, **rest}))

    def copy(self) -> None:
        """As docs/upgrades.md has it."""
        home = self.owner.home
        words = [
            "flock",
            str(home / "locks" / "store.lock"),
            "tar",
            "-C",
            str(home),
            "--exclude=./locks",
            "-cf",
            str(self.backup),
            ".",
        ]
        subprocess.run(words, check=True)

    def put_back(self) -> None:
        shutil.rmtree(self.owner.home)
        self.owner.home.mkdir(mode=0o700)
        subprocess.run(["tar", "-C", str(self.owner.home), "-xf", str(self.backup)], check=True)
        report = init.run(Session(str(self.owner.home), str(self.world.root), OWNER, "", -1.0).context(), restored=True)
        assert report.ok

    def cycle(self) -> tuple[list[str], list[tuple[str, str, str]]]:
        """(what was run, what was told to whom about which job)."""
        data: dict[str, Any] = self.owner.json("cycle", code=None)
        rows = data["messages"]
        return [row["name"] for row in data["runs"]], [(row["kind"], row["job"], row["recipient"]) for row in rows]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    if shutil.which("flock") is None:
        pytest.skip("flock is not installed")
    return Machine(tmp_path)


def test_after_an_older_backup_nothing_is_run_twice_and_nothing_of_the_past_is_told(machine: Machine) -> None:
    world, owner = machine.world, machine.owner
    for layout in LAYOUTS:
        world.approved(f"allowed-{layout}", layout=layout)
    owner.scq("cycle", "--no-run")
    later = [world.submit(f"later-{layout}", layout=layout) for layout in LAYOUTS]
    refused = world.submit("refused")
    machine.copy()
    owner.scq("approve", *later)
    owner.scq("reject", refused, "-r", "no")
    ran, _ = machine.cycle()
    assert len(ran) == 2 * len(LAYOUTS)
    before = {job["id"]: job["status"] for job in owner.json("list")["jobs"]}
    machine.put_back()
    assert machine.cycle() == ([], [])
    assert machine.cycle() == ([], [])
    assert {job["id"]: job["status"] for job in owner.json("list")["jobs"]} == before
    fresh = world.submit("fresh")
    _, told = machine.cycle()
    assert {("job.received", fresh, OWNER), ("job.received", fresh, SCIENTIST)} == set(told)
    rows = list(read_rows(Store(str(owner.home)).audit_path))
    assert all(sealed for _, sealed in rows)
    assert [row.what for row, _ in rows].count("restored") == 1


def test_a_decision_in_the_backup_still_counts_and_one_after_it_has_to_be_made_again(machine: Machine) -> None:
    world = machine.world
    allowed, other = world.approved("allowed"), world.submit("other")
    machine.copy()
    world.owner.scq("approve", other)
    machine.put_back()
    ran, told = machine.cycle()
    assert ran == ["allowed"]
    assert ("job.completed", allowed, SCIENTIST) in told
    assert world.owner.job(other)["status"] == "pending", "what the folder says is no decision of the owner's"


def test_a_copy_made_while_jobs_ran_makes_none_of_them_run_again(machine: Machine, tmp_path: Path) -> None:
    """One was at work, one was to be next: neither is in the copy as over, and both ended after it."""
    world, go = machine.world, tmp_path / "go"
    machine.plug(max_concurrent_jobs=1, run={"retry_interrupted": True})
    wait = f"while [ ! -e {go} ]; do sleep 0.05; done\n"
    uids = [world.approved(name, f"echo x >>{tmp_path}/{name}\n{wait}") for name in ("one", "two")]
    place = ["--home", str(machine.owner.home), "--root", str(world.root), "--email", OWNER]
    with subprocess.Popen([sys.executable, "-m", "scq", *place, "run-approved"], stdout=subprocess.DEVNULL) as running:
        while not (tmp_path / "one").exists():
            assert running.poll() is None
            time.sleep(0.02)
        machine.copy()
        go.touch()
    assert running.returncode == 0
    machine.put_back()
    for _ in range(2):
        assert machine.cycle()[0] == []
    assert [machine.owner.job(uid)["status"] for uid in uids] == ["completed", "completed"]
    assert [(tmp_path / name).read_text() for name in ("one", "two")] == ["x\n", "x\n"]


def test_an_older_state_beside_the_newer_log_loses_the_approval_and_not_the_log(machine: Machine) -> None:
    world, home = machine.world, machine.owner.home
    uid = world.submit("later")
    machine.owner.scq("check")
    machine.copy()
    world.owner.scq("approve", uid)
    log = (home / "audit.jsonl").read_bytes()
    machine.put_back()
    (home / "audit.jsonl").write_bytes(log)
    ran, told = machine.cycle()
    assert (ran, machine.owner.job(uid)["status"]) == ([], "pending")
    assert ("baseline", "", OWNER) in told
    machine.owner.scq("reject", uid, "-r", "no")
    assert (home / "audit.jsonl").read_bytes().startswith(log)


def test_a_job_that_came_after_the_backup_is_told_in_one_message(machine: Machine) -> None:
    machine.copy()
    machine.world.submit("missed")
    machine.cycle()
    machine.put_back()
    shutil.rmtree(machine.world.folder / "box")
    assert machine.cycle()[1] == [("baseline", "", OWNER)]
    (letter,) = (path for path in (machine.world.folder / "box").rglob("*") if path.is_file())
    assert "missed" in letter.read_text()


def test_messages_that_waited_in_the_backup_say_that_they_may_be_a_repeat(machine: Machine) -> None:
    machine.world.submit("news")
    machine.owner.scq("check")
    machine.copy()
    machine.owner.scq("notify")
    machine.put_back()
    rows = machine.owner.json("notify")["messages"]
    assert [(row["kind"], row["state"]) for row in rows if row["kind"] == "job.received"] == [("job.received", "sent")] * 2
    texts = [path.read_text() for path in (machine.world.folder / "box").rglob("*") if path.is_file()]
    assert sum("repeat" in text for text in texts) == 2


def test_said_twice_it_changes_nothing_more(machine: Machine) -> None:
    machine.copy()
    machine.put_back()
    before = (machine.owner.home / "state.json").read_bytes()
    init.run(Session(str(machine.owner.home), str(machine.world.root), OWNER, "", -1.0).context(), restored=True)
    assert (machine.owner.home / "state.json").read_bytes() == before


def test_without_any_state_the_past_is_silent_and_approvals_have_to_be_given_again(machine: Machine) -> None:
    world = machine.world
    world.ended("over")
    waiting, allowed = world.submit("waiting"), world.approved("allowed")
    machine.cycle()
    second = world.approved("second")
    shutil.rmtree(machine.owner.home)
    machine.owner.home.mkdir(mode=0o700)
    machine.plug()
    ran, told = machine.cycle()
    assert (ran, [kind for kind, _, _ in told]) == ([], ["baseline"])
    status = {job["id"]: job["status"] for job in machine.owner.json("list")["jobs"]}
    assert (status[waiting], status[allowed], status[second]) == ("pending", "completed", "pending")
    machine.owner.scq("approve", second)
    assert machine.cycle()[0] == ["second"]
