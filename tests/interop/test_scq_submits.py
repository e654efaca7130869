"""scq submits; the owner works with a published peer alone; scq sees the answer."""

from __future__ import annotations

import pytest

from tests.interop.conftest import World

pytestmark = pytest.mark.interop


def submit(world: World, name: str, *options: str) -> None:
    script = world.folder / "count_rows.sh"
    script.write_text(world.peer.script())
    world.scq(world.submitter, "submit", world.owner, str(script), "--name", name, *options)


def assert_the_answer_arrived(world: World, name: str) -> None:
    job = world.scq_job(world.submitter, name)
    assert (job["status"], job["submitter"], job["owner"]) == ("completed", world.submitter, world.owner)
    copied = world.folder / f"results of {name}"
    world.scq(world.submitter, "output", name, "--copy-to", str(copied))
    assert {path.name: path.read_text() for path in copied.rglob("*") if path.is_file()} == {"answer.txt": "42\n"}
    assert "hello" in world.scq(world.submitter, "logs", name)


def test_a_job_of_scq_is_listed_approved_and_run_by_the_peer_and_read_back(world: World) -> None:
    names = {f"in {layout}": layout for layout in world.peer.layouts}
    for name, layout in names.items():
        submit(world, name, "--layout", layout)

    assert world.peer_statuses(world.owner) == dict.fromkeys(names, world.peer.words["pending"])
    for name in names:
        assert world.ask_peer(world.owner, "approve", name=name) == world.peer.words["approved"]
    world.ask_peer(world.owner, "run")

    for name in names:
        assert_the_answer_arrived(world, name)


def test_without_being_told_scq_writes_what_the_peer_understands(world: World) -> None:
    """The target already holds a job of the peer, so its generation can be recognised."""
    world.ask_peer(world.submitter, "submit", owner=world.owner, name="earlier", script=world.peer.script())

    submit(world, "later")

    assert world.peer_statuses(world.owner) == dict.fromkeys(("earlier", "later"), world.peer.words["pending"])
