"""Two or more accounts on one loopback Drive: the owner works with scq, the others with the published client.

Nobody shares a folder here. Each account has a home directory of its own, and all that passes between them passes
through Drive. Every step of the client is a process of its own, as on the machines of real people.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from tests.interop.peers import HERE, Peer
from tests.people import Person
from tests.servers.drive import DriveServer

OWNER = "owner@hospital.example"
SENDER = "alice@uni.example"
STRANGER = "carol@inst.example"
VERSION = "0.10.0"
"""Of the client, as it stands in names on Drive."""
UV = """#!/bin/sh
# Stands in for uv: nothing is fetched, and `python` is the one beside this file.
[ "$1" = venv ] && mkdir -p .venv/bin && : > .venv/bin/activate
exit 0
"""


class DriveWorld:
    """`server` is everybody's Drive, `folder` holds one home for each account."""

    def __init__(self, peer: Peer, interpreter: Path, server: DriveServer, folder: Path) -> None:
        self.peer = peer
        self.interpreter = interpreter
        self.server = server
        self.folder = folder
        for address in (OWNER, SENDER, STRANGER):
            self.home(address).mkdir()
            server.token_file(self.token(address), address)
        self.settle()

    def settle(self) -> None:
        """The owner's scq: its home and configuration, and the programs that Python jobs of the client call."""
        tools = self.folder / "tools"
        tools.mkdir()
        (tools / "uv").write_text(UV)
        (tools / "uv").chmod(0o755)
        (tools / "python").symlink_to(sys.executable)
        self.root(OWNER).mkdir()
        config = {
            "sandbox": "none",
            "run": {"path": f"{tools}:/usr/bin:/bin"},
            "drive_token_path": str(self.token(OWNER)),
            "drive": {"endpoint": self.server.endpoint},
        }
        self.owner = Person(self.home(OWNER) / "scq", self.root(OWNER), OWNER, json.dumps(config))

    def home(self, address: str) -> Path:
        return self.folder / address

    def token(self, address: str) -> Path:
        return self.home(address) / "token.json"

    def root(self, address: str) -> Path:
        """The SyftBox folder where the client puts it."""
        return self.home(address) / f"SyftBox_{address}"

    def client(self, address: str, *steps: dict[str, str], role: str = "ds") -> list[Any]:
        """One login of the published client in a fresh process, and its answer to each step."""
        request = {"server": self.server.url, "me": address, "role": role, "token": str(self.token(address)), "steps": steps}
        command = [str(self.interpreter), str(HERE / "drivers" / self.peer.driver), json.dumps(request)]
        variables = {"HOME": str(self.home(address)), "PATH": os.environ["PATH"], "PRE_SYNC": "false"}
        done = subprocess.run(
            command, capture_output=True, text=True, env=variables, stdin=subprocess.DEVNULL, timeout=120, check=False
        )
        assert done.returncode == 0, f"{self.peer.name} {steps}:\n{done.stdout}\n{done.stderr}"
        answers: list[Any] = json.loads(done.stdout)
        return answers

    def scq(self, *arguments: str, expect: int = 0) -> str:
        """One call of the owner's command line; what it printed."""
        return self.owner.scq(*arguments, code=expect).out

    def scq_data(self, *arguments: str, expect: int = 0) -> Any:
        """The `data` of the JSON document of one call."""
        return json.loads(self.scq(*arguments, "--json", expect=expect))["data"]

    def has_job(self, name: str, sender: str = SENDER) -> bool:
        """Whether a job lies in the owner's SyftBox folder."""
        return (self.root(OWNER) / OWNER / "app_data" / "job" / "inbox" / sender / "v1" / name / "config.yaml").is_file()

    def waiting_messages(self, sender: str) -> list[str]:
        """Names of the messages that lie in the sender's inbox folder for the owner."""
        folders = self.server.find(f"syft_datasite#{VERSION}#{OWNER}#inbox#{sender}", sender)
        return [item.name for folder in folders for item in self.server.inside(folder.id)]

    def sent_paths(self, receiver: str) -> set[str]:
        """Every path of the owner's datasite that ever went into an outbox."""
        folders = self.server.find(f"syft_datasite#{VERSION}#{OWNER}#outbox#{receiver}", receiver)
        packed = [item.content or b"" for folder in folders for item in self.server.inside(folder.id)]
        return {event["path_in_datasite"] for content in packed for event in _events(content)}

    def shared_by(self, address: str) -> set[tuple[str, str, str]]:
        """(name, with whom, role) of everything that a person has shared."""
        return {
            (item.name, grant.address, grant.role)
            for item in list(self.server.store.items.values())
            if item.owner == address
            for grant in item.permissions.values()
            if grant.address != address
        }

    def on_disk(self, address: str) -> dict[str, bytes]:
        """Every file below a person's home directory, by its path there; packed ones unpacked."""
        home = self.home(address)
        return {str(path.relative_to(home)): _unpacked(path.read_bytes()) for path in home.rglob("*") if path.is_file()}


def _events(packed: bytes) -> list[dict[str, Any]]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        member = archive.extractfile("proposed_file_changes.json")
        assert member is not None
        events: list[dict[str, Any]] = json.load(member)["events"]
        return events


def _unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
