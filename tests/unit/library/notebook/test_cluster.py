"""Open cards ask every few seconds where their jobs are; a cluster is asked less often."""

from __future__ import annotations

import pytest

from scq import executors
from scq.library.notebook import questions
from scq.model import Whereabouts
from tests.people import World
from tests.unit.library.notebook.conftest import Page
from tests.unit.standin import Cluster, StandIn

WAITS = Whereabouts("waiting", "412", "main", why="Resources")


@pytest.fixture
def made(world: World, monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    """The executors that were made for two jobs that are out. Each asks its cluster once."""
    found: list[StandIn] = []
    cluster = Cluster(world, monkeypatch)
    cluster.handed("first", WAITS)
    cluster.handed("second", WAITS)

    def get(name: str, setting: object = None) -> StandIn:
        found.append(StandIn())
        found[-1].places = cluster.executor.places
        return found[-1]

    monkeypatch.setattr(executors, "get", get)
    monkeypatch.setattr(questions, "_LATELY", questions._Lately())
    return found


def test_all_open_cards_share_one_answer_of_the_cluster(world: World, made: list[StandIn]) -> None:
    page = Page(world.owner)
    rows = page.ask("rows")["rows"]
    made.clear()
    for _ in range(3):
        for row in rows:
            assert "waits on the cluster" in page.ask("look", job=row[0])["place"]
    assert len(made) == 1


def test_after_a_while_the_cluster_is_asked_again(world: World, made: list[StandIn], monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page(world.owner)
    (row, _) = page.ask("rows")["rows"]
    made.clear()
    monkeypatch.setattr(questions, "ASK_EVERY_S", 0.0)
    page.ask("look", job=row[0])
    page.ask("look", job=row[0])
    assert len(made) == 2
