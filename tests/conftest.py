"""What every test gets: a home of its own, and no way to touch a real one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_real_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the home directory and every variable scq reads at an empty folder, so that no test can touch a real one."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("SCQ_HOME", "SCQ_ROOT", "SCQ_EMAIL", "SCQ_CONFIG", "SYFTBOX_FOLDER", "SYFTBOX_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("SYFTBOX_CLIENT_CONFIG_PATH", "SYFT_DEFAULT_JOB_TIMEOUT_SECONDS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let children hear an interrupt, also where the tests themselves run in the background and ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
