from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scq.sandbox.scratch import remove_scratch
from tests.unit.sandbox.boxes import ORDINARY, Box

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be dropped")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A folder that another user can reach, unlike tmp_path."""
    with tempfile.TemporaryDirectory(prefix="scq-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture(params=["caller", pytest.param("ordinary", marks=needs_root)])
def box(request: pytest.FixtureRequest, open_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    """Of the caller (root drops), and of an ordinary user."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    if request.param == "ordinary":
        monkeypatch.setattr("os.getuid", lambda: ORDINARY)
        monkeypatch.setattr("os.geteuid", lambda: ORDINARY)
    yield Box(open_directory, ORDINARY if request.param == "ordinary" else None)
    monkeypatch.undo()
    remove_scratch(str(open_directory))
