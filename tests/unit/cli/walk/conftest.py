"""The tests of the walk look the same wherever they run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.people import World


@pytest.fixture(autouse=True)
def colourful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLORTERM", raising=False)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
