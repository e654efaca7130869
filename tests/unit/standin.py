"""A cluster that says what a test wants, for what only shows where jobs are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from scq import executors
from scq.model import Whereabouts
from scq.state import State
from scq.store import Store
from tests.making import run
from tests.people import World


class StandIn:
    """Answers `whereabouts` and remembers what it was asked."""

    name = "slurm"
    remote = True

    def __init__(self) -> None:
        self.places: dict[str, Whereabouts] = {}
        """By the name of the run folder."""
        self.asked: list[list[str]] = []

    def whereabouts(self, directories: Sequence[str]) -> Mapping[str, Whereabouts]:
        names = {os.path.basename(path): path for path in directories}
        self.asked.append(sorted(names))
        return {path: self.places[name] for name, path in names.items() if name in self.places}


class Cluster:
    """A world whose jobs are handed to a stand-in."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.executor = StandIn()
        monkeypatch.setattr(executors, "get", lambda name, setting=None: self.executor)

    def handed(self, name: str, place: Whereabouts | None, **fields: Any) -> str:
        """An approved job whose run was handed over, as the memory of a call holds it; its id."""
        uid = self.world.approved(name)
        folder = f"{uid}-1"
        (self.world.owner.home / "runs" / folder).mkdir(parents=True)
        if place is not None:
            self.executor.places[folder] = place
        made = run("claimed", directory=folder, cause=None, exit_code=None, executor="slurm", sandbox="bwrap", **fields)

        def claimed(state: State) -> State:
            key = next(key for key, record in state.jobs.items() if record.id == uid)
            return replace(state, jobs={**state.jobs, key: replace(state.jobs[key], run=made)})

        Store(str(self.world.owner.home)).update(claimed)
        return uid
