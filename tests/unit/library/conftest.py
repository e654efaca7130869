"""Two people on one SyftBox, each with a home of their own; the library is whoever the environment says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.people import OWNER, SCIENTIST, syftbox

COUNTING = "mkdir -p outputs\necho 3 > outputs/count.txt\necho counted\n"


class Desk:
    """Whose turn it is decides the environment, as it would for two people at two machines."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.root = syftbox(folder, OWNER, SCIENTIST)
        self._monkeypatch = monkeypatch
        for person in (OWNER, SCIENTIST):
            self.home(person).mkdir(mode=0o700)
            self.configure(person, "sandbox: none\n")
        self.turn(SCIENTIST)

    def home(self, person: str) -> Path:
        return self.folder / f"home-{person.partition('@')[0]}"

    def configure(self, person: str, text: str) -> None:
        (self.home(person) / "config.yaml").write_text(text)

    def turn(self, person: str) -> None:
        """From now on the library is this person."""
        self._monkeypatch.setenv("SCQ_HOME", str(self.home(person)))
        self._monkeypatch.setenv("SCQ_ROOT", str(self.root))
        self._monkeypatch.setenv("SCQ_EMAIL", person)

    def folder_of(self, job_path: str) -> Path:
        return self.root / job_path


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)
