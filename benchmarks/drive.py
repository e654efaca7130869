"""Looks at Google Drive: what many senders with many messages cost, against the same requests without scq.

Drive is the loopback one of the tests, in this process; what it costs is in the wall clock of both sides, and in nothing else.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from msgspec import Struct

from benchmarks.measuring import SCQ, Cost, measure
from tests import drive_world
from tests.servers.drive import DriveServer
from tests.servers.http import Request

OWNER = "owner@example.org"
FIRST = 1_795_248_828
"""Unix seconds of the first message."""
CONFIG = """sandbox: none
check.sweep_every: 1d
drive.use: {use}
drive.timeout: 1h
drive.endpoint: {endpoint}
drive_token_path: {token}
"""
REPLAY = """
import http.client, json, sys
with open(sys.argv[1]) as file:
    port, requests = json.load(file)
connection = http.client.HTTPConnection("127.0.0.1", port)
for method, path, headers, body in requests:
    connection.request(method, path, body, headers)
    connection.getresponse().read()
"""
KEPT = ("authorization", "content-type", "x-http-method-override")


class Look(Struct, frozen=True):
    """One kind of look. `lists` counts everything but the downloads; `floor`: the same requests over one plain connection."""

    name: str
    cost: Cost
    lists: int
    downloads: int
    floor: Cost

    @property
    def calls(self) -> int:
        return self.lists + self.downloads


class Result(Struct, frozen=True):
    """What was measured for one number of senders and messages. `local` is an idle check that leaves Drive alone."""

    senders: int
    messages: int
    first: Look
    again: Look
    idle: Look
    local: Cost


class RemoteWorld:
    """An owner with an empty SyftBox, to whom many people have sent jobs over Drive."""

    def __init__(self, folder: Path, server: DriveServer) -> None:
        self.server = server
        self.folder = folder
        self.home = folder / "home"
        self.root = folder / "SyftBox"
        (self.root / OWNER).mkdir(parents=True)
        (self.root / "datasites" / OWNER).mkdir(parents=True)
        self.home.mkdir(mode=0o700)
        self.token = server.token_file(folder / "token.json", OWNER)
        self.use("always")

    def use(self, word: str) -> None:
        """Set `drive.use`."""
        text = CONFIG.format(use=word, endpoint=self.server.endpoint, token=self.token)
        (self.home / "config.yaml").write_text(text)

    def add_sender(self, number: int, messages: int) -> None:
        """Both folders of one more sender, with so many messages of one job each."""
        sender = f"sender{number}@example.com"
        top = self.server.add_folder(sender, "SyftBox")
        inbox, _ = (
            self.server.add_folder(sender, f"syft_datasite#0.10.0#{OWNER}#{kind}#{sender}", top, share={OWNER: "writer"})
            for kind in ("inbox", "outbox")
        )
        for message in range(messages):
            uid = f"3c7db404-a886-4ac9-81f7-{number * 1_000 + message:012d}"
            job = drive_world.job(f"study {message}", sender=sender)
            body = drive_world.pack(drive_world.message(job, sender=sender))
            self.server.add_file(sender, drive_world.file_name(FIRST + message + 0.5, uid), inbox, body)

    def command(self, *arguments: str) -> list[str]:
        return [*SCQ, "--home", str(self.home), "--root", str(self.root), "--email", OWNER, *arguments]

    def look(self, name: str, repeat: int, *arguments: str) -> Look:
        """Measure a check, and then the requests of its last repetition on their own."""
        cost = measure(self.command("check", *arguments), repeat, self.server.forget_calls)
        calls, downloads = self.server.count(), self.server.count("files.get_media")
        requests = [_plain(request) for request in self.server.http.requests]
        file = self.folder / "requests.json"
        file.write_text(json.dumps([self.server.http.port, requests]))
        floor = measure((sys.executable, "-c", REPLAY, str(file)), repeat)
        return Look(name, cost, calls - downloads, downloads, floor)


def _plain(request: Request) -> tuple[str, str, dict[str, str], str]:
    headers = {name: request.headers[name] for name in KEPT if name in request.headers}
    return request.method, request.path, headers, request.body.decode()


def looks(folder: Path, senders: int, messages: int, repeat: int) -> Result:
    """The first look at everything, another one at everything, and one when nothing is new."""
    with DriveServer() as server:
        world = RemoteWorld(folder, server)
        for number in range(senders):
            world.add_sender(number, messages)
        first = world.look("first look", 1, "--full")
        again = world.look("check --full", max(1, repeat // 2), "--full")
        idle = world.look("check", repeat)
        world.use("never")
        return Result(senders, messages, first, again, idle, measure(world.command("check"), repeat))
