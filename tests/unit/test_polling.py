"""A look at Drive with the settings of a call: when it is made, how much of it, and what becomes of a failure."""

from __future__ import annotations

import io
import json
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scq.config_values import Config, Drive
from scq.context import Context
from scq.drive.poll import Poll
from scq.errors import BusyError, ConfigError, SignInError
from scq.polling import is_due, poll
from scq.state import DriveMemory, State
from tests.drive_world import ALICE, CAROL, OWNER, change, job, message, pack
from tests.servers.drive import DriveServer
from tests.unit.drive.looking import numbered, peer_folder

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = 3600.0


@pytest.fixture
def server() -> Iterator[DriveServer]:
    with DriveServer() as running:
        box = running.add_folder(ALICE, peer_folder(), share={OWNER: "writer"})
        running.add_file(ALICE, numbered(1), box, pack(message(job("study"))))
        yield running


def context(home: Path, endpoint: str, *, email: str = OWNER, said: list[str] | None = None, **settings: Any) -> Context:
    config = Config(email=email, drive_token_path=str(home / "token.json"), drive=Drive(endpoint=endpoint, **settings))
    return Context(config, str(home), env={}, now=lambda: NOW, say=said.append if said is not None else None)


def looked(ctx: Context, memory: DriveMemory, *, full: bool = False) -> Poll:
    found = poll(ctx, State(drive=memory), full=full)
    assert found is not None
    return found


def assert_failed(found: Poll, kind: type[Exception], memory: DriveMemory) -> None:
    assert isinstance(found.failure, kind)
    assert (found.source.ok, found.source.complete, found.jobs, found.gone, found.memory) == (
        False,
        False,
        (),
        frozenset(),
        memory,
    )
    assert [(one.what, one.advice) for one in found.problems] == [(str(found.failure), found.failure.advice)]


def test_without_a_sign_in_drive_is_not_asked(server: DriveServer, tmp_path: Path) -> None:
    assert poll(context(tmp_path, server.endpoint), State(), full=True) is None
    server.token_file(tmp_path / "token.json", OWNER)
    assert poll(context(tmp_path, server.endpoint, use="never"), State(), full=True) is None
    assert server.calls == []


def test_a_sign_in_that_only_reads_is_enough(server: DriveServer, tmp_path: Path) -> None:
    server.token_file(tmp_path / "token.json", OWNER, read_only=True)
    found = looked(context(tmp_path, server.endpoint), DriveMemory())
    assert (found.failure, found.source.ok, found.full) == (None, True, True)
    assert [one.name for one in found.jobs] == ["study"]
    again = looked(context(tmp_path, server.endpoint), found.memory)
    assert (again.full, again.jobs, server.count("changes.list")) == (False, (), 1)
    assert looked(context(tmp_path, server.endpoint), found.memory, full=True).full


def test_everything_is_listed_again_when_it_is_time(server: DriveServer, tmp_path: Path) -> None:
    server.token_file(tmp_path / "token.json", OWNER)
    found = looked(context(tmp_path, server.endpoint), DriveMemory())
    assert found.memory.scanned_at == NOW
    assert looked(context(tmp_path, server.endpoint, full_scan_every=0.0), found.memory).full


@pytest.mark.parametrize(
    ("age", "due"), [(timedelta(0), False), (timedelta(minutes=59), False), (timedelta(hours=1), True), (-timedelta(1), True)]
)
def test_it_is_time_after_so_many_seconds_or_when_the_clock_jumped_back(age: timedelta, due: bool) -> None:
    assert is_due(DriveMemory(scanned_at=NOW - age), NOW, HOUR) is due
    assert is_due(DriveMemory(), NOW, HOUR)


def test_peers_only_reads_no_message(server: DriveServer, tmp_path: Path) -> None:
    server.token_file(tmp_path / "token.json", OWNER)
    found = poll(context(tmp_path, server.endpoint), State(), full=False, only="peers")
    assert found is not None
    assert ([folder.peer for folder in found.memory.folders.values()], found.jobs) == ([ALICE], ())
    assert server.count("files.get_media") == 0


def test_a_drive_out_of_reach_is_a_finding(tmp_path: Path, server: DriveServer) -> None:
    server.token_file(tmp_path / "token.json", OWNER)
    memory = DriveMemory(account=OWNER, token="7", states={ALICE: "accepted"})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        found = looked(context(tmp_path, nowhere, timeout=0.05), memory)
    assert_failed(found, BusyError, memory)


def test_a_dead_sign_in_is_a_finding(server: DriveServer, tmp_path: Path) -> None:
    server.token_file(tmp_path / "token.json", OWNER)
    server.revoke(OWNER)
    found = looked(context(tmp_path, server.endpoint), DriveMemory())
    assert_failed(found, SignInError, DriveMemory())
    assert "access-" not in str(found.problems)
    assert "refresh-" not in str(found.problems)


@pytest.mark.parametrize("content", ["", "{", json.dumps({"type": "authorized_user"})])
def test_a_sign_in_that_cannot_be_read_is_a_finding(server: DriveServer, tmp_path: Path, content: str) -> None:
    (tmp_path / "token.json").write_text(content)
    found = looked(context(tmp_path, server.endpoint), DriveMemory())
    assert_failed(found, ConfigError, DriveMemory())
    assert server.calls == []


def test_the_sign_in_of_somebody_else_is_a_finding(server: DriveServer, tmp_path: Path) -> None:
    server.token_file(tmp_path / "token.json", CAROL)
    assert_failed(looked(context(tmp_path, server.endpoint), DriveMemory()), ConfigError, DriveMemory())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("somebody", [True, False])
def test_progress_is_for_a_person_at_a_terminal(
    server: DriveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, somebody: bool
) -> None:
    box = server.find(peer_folder())[0].id
    for number in range(2, 103):
        server.add_file(ALICE, numbered(number), box, pack(message([change("notes.txt", "hello")])))
    server.token_file(tmp_path / "token.json", OWNER)
    monkeypatch.setattr(sys, "stderr", Terminal() if somebody else io.StringIO())
    said: list[str] = []
    assert looked(context(tmp_path, server.endpoint, said=said), DriveMemory()).failure is None
    assert said == (["Drive: 100 of 102 messages"] if somebody else [])
