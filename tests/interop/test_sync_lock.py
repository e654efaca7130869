"""The published SyftBox client and scq take turns on the same lock, whoever comes first."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scq.errors import BusyError
from scq.sync_clients import LOCK_NAME, alone, running
from tests.interop.peers import DRIVE_PEER, required

pytestmark = pytest.mark.interop

CLIENT = """
import sys
from pathlib import Path
from types import SimpleNamespace
from syft.sync.syftbox_manager import SyftboxManager

with SyftboxManager.sync_file_lock(SimpleNamespace(syftbox_folder=Path(sys.argv[1]), email="owner@hospital.example")):
    print("at work", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def interpreter() -> Path:
    return required(DRIVE_PEER)


@pytest.fixture
def start(interpreter: Path, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a process that takes the client's own lock as soon as it can and keeps it until its input ends."""
    command, pipe = [str(interpreter), "-c", CLIENT, str(tmp_path)], subprocess.PIPE
    with ExitStack() as started:
        yield lambda: started.enter_context(
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        )


def said(client: subprocess.Popen[str]) -> str:
    """The next thing it tells about its lock; its libraries may say other things in between."""
    assert client.stdout is not None
    for line in client.stdout:
        for word in ("Waiting for sync lock", "at work"):
            if word in line:
                return word
    return "ended"


def test_scq_sees_the_client_at_work_and_stays_out(tmp_path: Path, start: Callable[[], subprocess.Popen[str]]) -> None:
    client = start()
    assert said(client) == "at work"
    assert LOCK_NAME in running(str(tmp_path), os.environ)
    with pytest.raises(BusyError), alone(str(tmp_path), os.environ):
        raise AssertionError("both at once")

    client.communicate(timeout=60)
    with alone(str(tmp_path), os.environ):
        pass


def test_the_client_waits_until_scq_is_done(tmp_path: Path, start: Callable[[], subprocess.Popen[str]]) -> None:
    with alone(str(tmp_path), os.environ):
        client = start()
        assert said(client) == "Waiting for sync lock"
    assert said(client) == "at work"
