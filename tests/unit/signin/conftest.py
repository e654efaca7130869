"""A Google on loopback for the tests of signing in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.google import Google, google_on_loopback


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    with google_on_loopback(tmp_path, monkeypatch) as server:
        yield server
