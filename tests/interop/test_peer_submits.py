"""A published peer submits; the owner works with scq alone; the peer reads the answer in a fresh process."""

from __future__ import annotations

import pytest

from tests.interop.conftest import World

pytestmark = pytest.mark.interop
NAME = "count rows"


def submit(world: World, exit_code: int = 0) -> dict[str, str]:
    handle: dict[str, str] = world.ask_peer(
        world.submitter, "submit", owner=world.owner, name=NAME, script=world.peer.script(exit_code)
    )
    return handle


def test_a_job_of_the_peer_is_reviewed_run_and_answered(world: World) -> None:
    handle = submit(world)

    new = world.scq_data(world.owner, "check")["new_jobs"]
    assert [(job["name"], job["submitter"], job["owner"]) for job in new] == [(NAME, world.submitter, world.owner)]
    assert "answer.txt" in world.scq(world.owner, "review", NAME)
    world.scq(world.owner, "approve", NAME, "--yes")
    runs = world.scq_data(world.owner, "run-approved", "--share-outputs", "--share-logs")["runs"]
    assert [(run["name"], run["status"], run["exit_code"]) for run in runs] == [(NAME, "completed", 0)]

    answer = world.ask_peer(world.submitter, "read", **handle)
    assert answer["status"] == world.peer.words["completed"]
    assert "hello" in answer["stdout"].splitlines()
    assert answer["outputs"] == {"answer.txt": "42\n"}
    assert world.peer_statuses(world.owner) == {NAME: world.peer.words["completed"]}


def test_the_peer_sees_that_a_job_failed(world: World) -> None:
    handle = submit(world, exit_code=3)

    world.scq(world.owner, "review", NAME)
    world.scq(world.owner, "approve", NAME, "--yes")
    runs = world.scq_data(world.owner, "run-approved", "--share-outputs", "--share-logs", expect=4)["runs"]
    assert [(run["status"], run["exit_code"]) for run in runs] == [("failed", 3)]

    assert world.ask_peer(world.submitter, "read", **handle)["status"] == world.peer.words["failed"]


def test_the_peer_sees_that_a_job_was_rejected(world: World) -> None:
    if "rejected" not in world.peer.words:
        pytest.skip("this generation has no way to say rejected")
    submit(world)

    world.scq(world.owner, "reject", NAME, "--reason", "reads too much")

    assert world.peer_statuses(world.owner) == {NAME: "rejected"}
    shown = world.scq_job(world.owner, NAME)
    assert (shown["status"], shown["approval"]["reason"]) == ("rejected", "reads too much")


def test_the_peer_can_run_what_scq_approved(world: World) -> None:
    submit(world)

    world.scq(world.owner, "review", NAME)
    world.scq(world.owner, "approve", NAME, "--yes")
    assert world.peer_statuses(world.owner) == {NAME: world.peer.words["approved"]}
    world.ask_peer(world.owner, "run")

    world.scq(world.owner, "check")
    assert world.scq_job(world.owner, NAME)["status"] == "completed"
