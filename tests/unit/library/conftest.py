"""Two people on one SyftBox, each with a home of their own: as the environment says (`Desk`), or with a client each (`Two`)."""

from __future__ import annotations

from pathlib import Path

import pytest

import scq as q
from tests.people import OWNER, SCIENTIST, Person, syftbox

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


class Two:
    """An owner and a scientist, each with a client of their own: the environment says nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = syftbox(folder, OWNER, SCIENTIST)
        self.owner = self.client(OWNER)
        self.scientist = self.client(SCIENTIST)

    def client(self, email: str, config: q.QueueConfig | None = None) -> q.QueueClient:
        home = self.folder / email.partition("@")[0]
        Person(home, self.root, email)
        return q.create_client(config, home=home, root=self.root, email=email)

    def submit(self, script: str = COUNTING, name: str = "survey") -> q.CodeJob:
        """A job as its owner sees it."""
        sent = self.scientist.submit_bash(OWNER, script, name, "how many", ["count"])
        return self.owner.get_job(sent.uid)

    def ended(self, script: str = COUNTING, name: str = "survey") -> q.CodeJob:
        job = self.submit(script, name)
        self.owner.approve(job)
        self.owner.run_approved()
        return job.refresh()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)
