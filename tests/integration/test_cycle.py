"""One `scq cycle` does everything with one look: real jobs, a real mail server, a Drive on loopback, files that are counted."""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from scq.scan import Snapshot, scan
from tests.people import OWNER, SCIENTIST, World
from tests.servers.drive import DriveServer, Fault
from tests.servers.smtp import mail_server

NEWEST = 10 * 10**9
"""Nanoseconds the clock of a look is ahead, so that files made a moment ago are old enough to be trusted."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks trust the time stamps of files that were made a moment ago, so that nobody has to wait."""
    now = time.time_ns

    def ahead(*arguments: Any, **options: Any) -> Snapshot:
        return scan(*arguments, **{**options, "now_ns": now() + NEWEST})

    monkeypatch.setattr("scq.looking.scan", ahead)


class Opened:
    """The files and folders that this process opens while `on`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        self.on = False
        for owner, name in ((builtins, "open"), (os, "open"), (os, "scandir"), (os, "listdir")):
            monkeypatch.setattr(owner, name, self._noting(getattr(owner, name)))

    def _noting(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any, **options: Any) -> Any:
            if self.on and arguments and isinstance(arguments[0], (str, os.PathLike)):
                self.paths.append(os.fspath(arguments[0]))
            return real(*arguments, **options)

        return noting

    def by(self, call: Callable[[], object], below: Path) -> Counter[str]:
        """How often each path below a folder is opened during a call."""
        self.paths.clear()
        self.on = True
        try:
            call()
        finally:
            self.on = False
        return Counter(path.removeprefix(str(below)) for path in self.paths if path.startswith(str(below)))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(monkeypatch)


def kinds(data: dict[str, Any]) -> set[str]:
    return {row["kind"] for row in data["messages"]}


def steps(data: dict[str, Any]) -> dict[str, int]:
    return {step["name"]: step["exit_code"] for step in data["steps"]}


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of every file below a folder, and which folders there are."""
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns * path.is_file())
        for path in folder.rglob("*")
    }


def test_what_was_submitted_and_approved_is_run_and_told_in_one_cycle(world: World) -> None:
    with mail_server("none") as relay:
        way = {"type": "smtp", "host": "127.0.0.1", "port": relay.port, "tls": "none", "insecure": True}
        world.owner.configure(json.dumps({"sandbox": "none", "results": "release", "channels": {"relay": way}}))
        world.owner.scq("cycle")
        uid = world.submit("count", 'echo 42 > "$OUTPUT_DIR/answer.txt" || true\n')
        world.owner.scq("cycle")
        told = len(relay.contents)
        assert told == 2, "the new job, to both"
        world.owner.scq("approve", uid)
        data = world.owner.json("cycle")
        assert [(row["id"], row["status"]) for row in data["runs"]] == [(uid, "completed")]
        assert steps(data) == {"check": 0, "run-approved": 0, "notify": 0}
        mails = [message_from_bytes(raw) for raw in relay.contents[told:]]
        assert {(mail["To"], mail["X-SCQ-Event"]) for mail in mails} >= {
            (OWNER, "job.completed"),
            (SCIENTIST, "job.completed"),
            (SCIENTIST, "job.approved"),
        }
        assert {row["state"] for row in data["messages"]} == {"sent"}
        assert world.owner.job(uid)["status"] == "completed"
        assert kinds(world.owner.json("cycle")) == set()
        assert len(relay.contents) == told + len(mails), "nothing is said twice"


@pytest.mark.usefixtures("settled")
def test_an_idle_cycle_looks_as_often_as_a_check(world: World, opened: Opened) -> None:
    for name in ("one", "two", "three"):
        world.submit(name)
    world.ended("done")
    os.utime(world.owner.home / "config.yaml", (1, 1))
    world.owner.scq("cycle")
    world.owner.scq("cycle")
    check = opened.by(lambda: world.owner.scq("check"), world.root)
    cycle = opened.by(lambda: world.owner.scq("cycle"), world.root)
    assert cycle == check
    assert sum(check.values()) > 0
    documents = opened.by(lambda: world.owner.scq("cycle"), world.owner.home)
    assert {Path(path).name for path in documents if not path.startswith("/locks/")} <= {
        "config.cache.json",
        "folders.json",
        "state.json",
        "syft-notify.log",
    }


@pytest.mark.usefixtures("settled")
def test_an_idle_cycle_writes_no_document(world: World) -> None:
    world.ended("done")
    world.owner.scq("cycle")
    world.owner.scq("cycle")
    before = contents(world.folder)
    world.owner.scq("cycle")
    after = contents(world.folder)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert {path for path in changed if not path.startswith("do/locks/")} <= {"do/syft-notify.log"}


@pytest.fixture
def drive(world: World) -> Iterator[DriveServer]:
    with DriveServer() as server:
        token = server.token_file(world.owner.home / "token_do.json", OWNER, read_only=True)
        settings = {"endpoint": server.endpoint, "timeout": 5}
        world.owner.configure(json.dumps({"sandbox": "none", "drive_token_path": str(token), "drive": settings}))
        yield server


def test_an_idle_cycle_asks_drive_once(world: World, drive: DriveServer) -> None:
    world.owner.scq("cycle")
    world.owner.scq("cycle")
    drive.forget_calls()
    world.owner.scq("cycle")
    assert [call.method for call in drive.calls] == ["changes.list"]


def test_a_drive_that_is_away_keeps_nothing_else_from_being_done(world: World, drive: DriveServer) -> None:
    world.owner.scq("cycle")
    uid = world.approved()
    drive.faults.append(Fault(status=500, times=1000))
    data = world.owner.json("cycle", code=75)
    assert steps(data) == {"check": 75, "run-approved": 0, "notify": 0}
    assert [row["id"] for row in data["runs"]] == [uid]
    assert "job.completed" in kinds(data)


def start(world: World, *words: str) -> subprocess.Popen[str]:
    place = ["--home", str(world.owner.home), "--root", str(world.root), "--email", OWNER]
    call = [sys.executable, "-m", "scq", *place, *words]
    return subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(condition: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.01)


def test_while_one_cycle_runs_a_long_job_the_next_tells_of_a_new_one(world: World) -> None:
    world.owner.scq("cycle")
    began, go_on = world.folder / "began", world.folder / "go-on"
    long = world.approved("long", f"touch {began}\nuntil [ -e {go_on} ]; do sleep 0.05; done\n")
    first = start(world, "cycle", "--json")
    until(began.exists, "the long job does not start")
    uid = world.submit("news")
    data = world.owner.json("cycle", code=75)
    assert steps(data) == {"run-approved": 75, "check": 0, "notify": 0}
    assert (uid, "job.received", OWNER) in {(row["job"], row["kind"], row["recipient"]) for row in data["messages"]}
    world.owner.scq("approve", uid)
    assert "job.approved" in kinds(world.owner.json("cycle", code=75))
    go_on.touch()
    out, err = first.communicate(timeout=60)
    assert (first.returncode, err) == (0, "")
    assert [row["id"] for row in json.loads(out)["data"]["runs"]] == [long]
    assert [row["id"] for row in world.owner.json("cycle")["runs"]] == [uid]


def test_each_step_fails_for_itself(world: World) -> None:
    """No sandbox, no mail server, an unreadable folder of results: three steps, three reasons, and the look goes on."""
    relay = {"type": "smtp", "host": "127.0.0.1", "port": 1, "tls": "none", "insecure": True}
    world.owner.configure(json.dumps({"sandbox": "none", "channels": {"relay": relay}}))
    world.owner.scq("cycle")
    world.approved()
    world.owner.configure(json.dumps({"sandbox": {"type": "bwrap", "user": "no-such-user"}, "channels": {"relay": relay}}))
    new = world.submit("news")
    answer = world.owner.scq("cycle", "--json", code=78)
    data = answer.json["data"]
    assert steps(data)["run-approved"] == 78
    assert new in {job["id"] for job in data["check"]["new_jobs"]}
    assert {row["state"] for row in data["messages"]} == {"deferred"}
    assert all("127.0.0.1" in row["outcome"] for row in data["messages"])


def test_jobs_are_removed_with_the_hourly_full_look_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {"sandbox": "none", "cleanup_completed_after": "1s"}
    uid = world.ended("old")
    world.owner.scq("release", uid, "-r", "fine", code=None)
    world.owner.configure(json.dumps(quick))
    world.owner.scq("cycle")
    until(lambda: time.time() - ended_at(world, uid) > 1, "the clock stands")
    data = world.owner.json("cycle")
    assert ("cleanup" in steps(data), data["removed"], data["check"]["full"]) == (False, [], False)
    world.owner.configure(json.dumps({**quick, "check": {"sweep_every": "0.5s"}}))
    data = world.owner.json("cycle")
    assert (data["check"]["full"], data["removed"]) == (True, []), "the first of them says so and waits as long again"
    began = time.time()
    until(lambda: time.time() - began > 1, "the clock stands")
    data = world.owner.json("cycle")
    assert data["check"]["full"] is True
    assert [row["id"] for row in data["removed"]] == [uid]


def ended_at(world: World, uid: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(world.owner.job(uid)["updated_at"]).timestamp()


def test_a_dry_run_changes_no_byte_and_asks_drive_for_nothing_but_reading(world: World, drive: DriveServer) -> None:
    world.owner.scq("cycle")
    uid = world.approved()
    world.submit("news")
    world.owner.scq("cycle", "--no-run")
    world.submit("more")
    world.owner.scq("cycle", "--dry-run")
    before, items = contents(world.folder), {item.id: item.version for item in drive.store.items.values()}
    drive.forget_calls()
    data = world.owner.json("cycle", "--dry-run")
    after = contents(world.folder)
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == set()
    assert {item.id: item.version for item in drive.store.items.values()} == items
    assert {call.method for call in drive.calls} <= {"changes.list"}
    assert [row["id"] for row in data["planned"]] == [uid]
    assert [job["name"] for job in data["check"]["new_jobs"]] == ["more"]
    assert {row["state"] for row in data["messages"]} == {"queued"}, "what would be sent, and was not"
