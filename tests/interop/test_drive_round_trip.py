"""The published client and scq on one Drive: a job goes from one to the other and its answer comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.drive_world import OWNER, SENDER, STRANGER, VERSION, DriveWorld
from tests.interop.peers import DRIVE_PEER, Peer
from tests.servers.drive import DriveServer

pytestmark = [
    pytest.mark.interop,
    pytest.mark.parametrize("installed", [DRIVE_PEER], indirect=True, ids=[DRIVE_PEER.name]),
]
BUSY = 75
BASH = "count rows"
PYTHON = "mean age"
SCRIPT = """#!/bin/bash
set -e
echo hello
mkdir -p code/outputs/by_age
echo $((40 * 1000 + 2)) > code/outputs/answer.txt
echo "é" > "code/outputs/by_age/über 60.csv"
printf '\\211PNG\\000\\377' > code/outputs/figure.png
: > code/outputs/empty.txt
"""
RESULT = "40002\n"
OUTPUTS = {"answer.txt": RESULT, "by_age/über 60.csv": "é\n", "empty.txt": ""}
FIGURE = {"figure.png": b"\x89PNG\x00\xff".hex()}
"""A file that is not text, as the driver answers it."""
CODE = """import os

os.makedirs("outputs", exist_ok=True)
with open("outputs/mean.txt", "w") as file:
    file.write(str(50 * 1000 + 7))
"""
MEAN = "50007"
REVIEWS = f"app_data/job/review/{SENDER}/v1"
"""Where the answers to jobs lie in the owner's datasite."""


@pytest.fixture
def world(installed: tuple[Peer, Path], tmp_path: Path) -> Iterator[DriveWorld]:
    """An empty Drive and people who do not know each other yet."""
    with DriveServer() as server:
        yield DriveWorld(*installed, server, tmp_path)


def bash_job(name: str) -> dict[str, str]:
    return {"do": "submit_bash", "owner": OWNER, "name": name, "script": SCRIPT}


def python_job(world: DriveWorld, name: str) -> dict[str, str]:
    path = world.home(SENDER) / "main.py"
    path.write_text(CODE)
    return {"do": "submit_python", "owner": OWNER, "name": name, "path": str(path)}


def read(name: str) -> dict[str, str]:
    return {"do": "read", "name": name}


def addresses(peers: list[dict[str, Any]]) -> list[str]:
    return [peer["address"] for peer in peers]


def places(jobs: list[dict[str, Any]]) -> dict[str, str]:
    return {job["name"]: job["where"] for job in jobs}


def ids(jobs: list[dict[str, Any]]) -> dict[str, str]:
    return {job["name"]: job["id"] for job in jobs}


def granted_by_the_owner() -> set[tuple[str, str, str]]:
    """What the client shares with a peer that is accepted."""
    folders = {(f"syft_datasite#{VERSION}#{SENDER}#{kind}#{OWNER}", SENDER, "writer") for kind in ("inbox", "outbox")}
    return folders | {("SYFT_version.json", SENDER, "reader")}


def knows(world: DriveWorld, address: str, text: str) -> list[str]:
    """Files of a person in which `text` stands."""
    return [name for name, content in world.on_disk(address).items() if text.strip().encode() in content]


def befriended(world: DriveWorld, *steps: dict[str, str]) -> list[Any]:
    """The sender asked, scq accepted, and the sender goes on with `steps` in a new login."""
    world.client(SENDER, {"do": "add_peer", "address": OWNER})
    world.scq("check")
    world.scq("peers", "accept", SENDER)
    return world.client(SENDER, *steps)


def test_scq_tells_what_happens_while_two_published_clients_do_all_the_work(world: DriveWorld) -> None:
    """The sign-in of scq may only read. The other tests build on it that the clients get on with each other on this Drive."""
    world.server.token_file(world.home(OWNER) / "reader.json", OWNER, read_only=True)
    world.scq("config", "set", "drive_token_path", str(world.home(OWNER) / "reader.json"))
    world.scq("check")

    world.client(SENDER, {"do": "add_peer", "address": OWNER})
    assert addresses(world.scq_data("check")["new_peers"]) == [SENDER]
    world.client(OWNER, {"do": "approve_peer", "address": SENDER}, role="do")
    assert world.shared_by(OWNER) == granted_by_the_owner()
    assert addresses(world.scq_data("check")["granted_peers"]) == [SENDER]

    peers, _ = world.client(SENDER, {"do": "peers"}, bash_job(BASH))
    assert peers == {OWNER: "accepted"}
    seen = world.scq_data("check")["new_jobs"]
    assert places(seen) == {BASH: "drive"}

    steps = ({"do": "sync"}, {"do": "jobs"}, {"do": "approve", "name": BASH}, {"do": "run"}, {"do": "sync"}, {"do": "jobs"})
    _, before, _, _, _, after = world.client(OWNER, *steps, role="do")
    assert (before, after) == ({BASH: "pending"}, {BASH: "done"})
    news = world.scq_data("check")
    assert (news["new_jobs"], ids(news["changed_jobs"])) == ([], ids(seen))
    assert [(job["where"], job["status"]) for job in news["changed_jobs"]] == [("local", "completed")]

    _, answer = world.client(SENDER, {"do": "sync"}, read(BASH))
    assert (answer["status"], answer["outputs"]) == ("done", OUTPUTS | FIGURE)
    assert "hello" in answer["stdout"]


def test_a_job_of_the_client_is_fetched_run_released_and_read_by_the_client(world: DriveWorld) -> None:
    world.scq("check")
    world.client(SENDER, {"do": "add_peer", "address": OWNER})
    assert addresses(world.scq_data("check")["new_peers"]) == [SENDER]
    assert world.scq_data("check")["new_peers"] == []
    world.scq("peers", "accept", SENDER)
    assert world.shared_by(OWNER) == granted_by_the_owner()
    assert {(mail.name, mail.to, mail.role) for mail in world.server.mails if mail.by == OWNER} == granted_by_the_owner()

    peers, _, _ = world.client(SENDER, {"do": "peers"}, bash_job(BASH), python_job(world, PYTHON))
    assert peers == {OWNER: "accepted"}
    seen = world.scq_data("check")["new_jobs"]
    assert places(seen) == {BASH: "drive", PYTHON: "drive"}
    assert not world.has_job(BASH)
    assert "answer.txt" in world.scq("review", BASH)
    world.scq("approve", BASH, "--yes", expect=BUSY)

    world.scq("config", "set", "drive.fetch", "true")
    assert world.scq_data("check", "--fetch")["new_jobs"] == []
    listed = world.scq_data("list")["jobs"]
    assert (places(listed), ids(listed)) == ({BASH: "local", PYTHON: "local"}, ids(seen))
    assert world.has_job(BASH)
    assert world.waiting_messages(SENDER) == []

    for name in (BASH, PYTHON):
        world.scq("review", name)
        world.scq("approve", name, "--yes")
    assert {run["status"] for run in world.scq_data("run-approved")["runs"]} == {"completed"}
    _, held = world.client(SENDER, {"do": "sync"}, read(BASH))
    assert held["outputs"] == {}
    assert knows(world, SENDER, RESULT) == []

    world.scq("release", BASH, "--logs", "--reason", "a count of rows")
    world.scq("release", PYTHON, "--reason", "a mean")
    logs = {f"{BASH}/{name}" for name in ("stdout.txt", "stderr.txt", "returncode.txt")}
    results = {f"{BASH}/outputs/{name}" for name in OUTPUTS | FIGURE} | {f"{PYTHON}/outputs/mean.txt"}
    left = {f"{BASH}/state.yaml", f"{PYTHON}/state.yaml"} | logs | results
    assert world.sent_paths(SENDER) == {f"{REVIEWS}/{path}" for path in left}
    _, counted, mean = world.client(SENDER, {"do": "sync"}, read(BASH), read(PYTHON))
    assert (counted["status"], counted["outputs"]) == ("done", OUTPUTS | FIGURE)
    assert "hello" in counted["stdout"]
    assert (mean["status"], mean["outputs"]) == ("done", {"mean.txt": MEAN})
    assert knows(world, SENDER, RESULT)

    _, peers, jobs = world.client(OWNER, {"do": "sync"}, {"do": "peers"}, {"do": "jobs"}, role="do")
    assert (peers, jobs) == ({SENDER: "accepted"}, {BASH: "done", PYTHON: "done"})


def test_what_is_kept_back_never_reaches_the_client_and_a_reason_does(world: DriveWorld) -> None:
    befriended(world, bash_job("kept"), bash_job("refused"))
    world.scq("config", "set", "drive.fetch", "true")
    assert places(world.scq_data("check")["new_jobs"]) == {"kept": "local", "refused": "local"}

    world.scq("reject", "refused", "--reason", "reads too much")
    world.scq("review", "kept")
    world.scq("approve", "kept", "--yes")
    world.scq("run-approved")
    world.scq("withhold", "kept", "--reason", "too few rows")
    world.scq("check")

    assert world.sent_paths(SENDER) == {f"{REVIEWS}/{name}/state.yaml" for name in ("kept", "refused")}
    _, kept, refused = world.client(SENDER, {"do": "sync"}, read("kept"), read("refused"))
    assert (refused["status"], refused["reason"]) == ("rejected", "reads too much")
    assert (kept["status"], kept["outputs"]) == ("done", {})
    assert knows(world, OWNER, RESULT)
    assert knows(world, SENDER, RESULT) == []


def test_a_job_of_somebody_who_was_not_accepted_stays_on_drive(world: DriveWorld) -> None:
    world.client(STRANGER, {"do": "add_peer", "address": OWNER}, {**bash_job("too early"), "force": "yes"})

    found = world.scq_data("check", "--fetch")

    assert addresses(found["new_peers"]) == [STRANGER]
    assert places(found["new_jobs"]) == {"too early": "drive"}
    assert "not an accepted peer" in world.scq("review", "too early")
    assert not world.has_job("too early", STRANGER)
    assert len(world.waiting_messages(STRANGER)) == 1

    world.scq("peers", "reject", STRANGER)
    assert world.client(OWNER, {"do": "peers"}, role="do") == [{}]
