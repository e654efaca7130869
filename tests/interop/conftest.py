"""A SyftBox folder shared by scq and one published peer, which is started as a process of its own for every step."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.interop.peers import HERE, PEERS, Peer, required
from tests.people import Person

OWNER = "owner@example.org"
SUBMITTER = "scientist@example.com"


class World:
    """One root, two people. Both programs see the same folder, as if everything had already travelled."""

    def __init__(self, peer: Peer, interpreter: Path, folder: Path) -> None:
        self.peer = peer
        self.interpreter = interpreter
        self.folder = folder
        self.root = folder / "SyftBox"
        self.root.mkdir()
        self.owner = OWNER
        self.submitter = SUBMITTER if peer.submits_to_others else OWNER
        self.people = {address: self.settle(address) for address in {self.owner, self.submitter}}

    def settle(self, address: str) -> Person:
        """Give one person the SyftBox client's own configuration file and a home for scq."""
        client = {
            "data_dir": str(self.root),
            "email": address,
            "server_url": "https://syftbox.net",
            "client_url": "http://localhost:1",
        }
        (self.folder / f"{address}.json").write_text(json.dumps(client))
        return Person(self.folder / f"scq-{address}", self.root, address)

    def ask_peer(self, address: str, do: str, **request: str) -> Any:
        """One call of the peer's public API in a fresh process."""
        request = {"do": do, "root": str(self.root), "me": address, **request}
        command = [str(self.interpreter), str(HERE / "drivers" / self.peer.driver), json.dumps(request)]
        variables = {"SYFTBOX_CLIENT_CONFIG_PATH": str(self.folder / f"{address}.json"), "SYFTBOX_FOLDER": str(self.root)}
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables}, timeout=120, check=False)
        assert done.returncode == 0, f"{self.peer.name} {do}:\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def scq(self, address: str, *arguments: str, expect: int = 0) -> str:
        """One call of our command line; what it printed."""
        return self.people[address].scq(*arguments, code=expect).out

    def scq_data(self, address: str, *arguments: str, expect: int = 0) -> Any:
        """The `data` of the JSON document of one call."""
        return json.loads(self.scq(address, *arguments, "--json", expect=expect))["data"]

    def scq_job(self, address: str, name: str) -> Any:
        """The only job of that name as `scq list --json` shows it."""
        jobs = [job for job in self.scq_data(address, "list")["jobs"] if job["name"] == name]
        assert len(jobs) == 1
        return jobs[0]

    def peer_statuses(self, address: str) -> dict[str, str]:
        """Name → status word of every job the peer lists."""
        return {job["name"]: job["status"] for job in self.ask_peer(address, "list")}


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published peers may keep what they compile, also where the tests do not: each step starts them anew."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


@pytest.fixture(scope="session", params=PEERS, ids=lambda peer: peer.name)
def installed(request: pytest.FixtureRequest) -> tuple[Peer, Path]:
    """Each published release in turn, with the interpreter of its environment."""
    return request.param, required(request.param)


@pytest.fixture
def world(installed: tuple[Peer, Path], tmp_path: Path) -> World:
    """A fresh SyftBox in which the owner has made room for the submitter with the peer's own software."""
    made = World(*installed, tmp_path)
    made.ask_peer(made.owner, "prepare", submitter=made.submitter)
    return made
