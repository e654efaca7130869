"""scq submits; the owner works with a published peer alone; scq sees the answer."""

from __future__ import annotations

import pytest

from tests.interop.conftest import World

pytestmark = pytest.mark.interop
NAME = "count rows"


def submit(world: World, *options: str) -> None:
    script = world.folder / "count_rows.sh"
    script.write_text(world.peer.script())
    world.scq(world.submitter, "submit", world.owner, str(script), "--name", NAME, *options)


def work_through_it(world: World) -> None:
    """The owner's side, with the peer only."""
    assert world.peer_statuses(world.owner) == {NAME: world.peer.words["pending"]}
    assert world.ask_peer(world.owner, "approve", name=NAME) == world.peer.words["approved"]
    world.ask_peer(world.owner, "run")


def assert_the_answer_arrived(world: World) -> None:
    job = world.scq_job(world.submitter, NAME)
    assert (job["status"], job["submitter"], job["owner"]) == ("completed", world.submitter, world.owner)
    copied = world.folder / "copied"
    world.scq(world.submitter, "output", NAME, "--copy-to", str(copied))
    assert {path.name: path.read_text() for path in copied.rglob("*") if path.is_file()} == {"answer.txt": "42\n"}
    assert "hello" in world.scq(world.submitter, "logs", NAME)


def test_a_job_of_scq_in_the_layout_of_the_peer_is_run_by_it_and_read_back(world: World) -> None:
    submit(world, "--layout", world.peer.layout)
    work_through_it(world)
    assert_the_answer_arrived(world)


def test_without_being_told_scq_writes_what_the_peer_understands(world: World) -> None:
    """The target already holds a job of the peer, so its generation can be recognised."""
    world.ask_peer(world.submitter, "submit", owner=world.owner, name="earlier", script=world.peer.script())

    submit(world)

    assert world.peer_statuses(world.owner) == {"earlier": world.peer.words["pending"], NAME: world.peer.words["pending"]}
