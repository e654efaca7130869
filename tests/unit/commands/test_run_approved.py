"""scq run-approved: what is run, what is refused, and the exit codes."""

from __future__ import annotations

import pytest

from scq.model import Problem
from scq.sandbox.none import NoSandbox
from scq.store import exclusive
from tests.people import World


def ran(world: World, *options: str, code: int | None = 0) -> list[str]:
    return [row["name"] for row in world.owner.json("run-approved", *options, code=code)["runs"]]


def test_oldest_first_and_only_what_is_asked_for(world: World) -> None:
    ids = {name: world.approved(name) for name in ("one", "two", "three", "four")}
    assert ran(world, "--job", "two", "--job", ids["three"][:8], "--skip", "two") == ["three"]
    assert ran(world, "--max-jobs", "1") == ["one"]
    assert ran(world, "--skip", "two") == ["four"]
    assert ran(world) == ["two"]
    assert ran(world) == []


def test_a_dry_run_names_what_would_run(world: World) -> None:
    uid = world.approved()
    digest = world.owner.job(uid)["digest"]
    answer = world.owner.scq("run-approved", "--dry-run")
    head, *plan = answer.out.splitlines()
    assert head == f"would run {uid[:8]}  count  {digest}  (sandbox: none)"
    assert "command  bash ./run.sh" in [shown.strip() for shown in plan]
    assert "limits  memory 4.3 GB" in [shown.strip() for shown in plan]
    given = world.owner.json("run-approved", "--dry-run")["planned"][0]["plan"]
    assert (given["command"], given["limits"]["memory"], given["network"]) == (["bash", "./run.sh"], 4 << 30, True)
    data = world.owner.json("run-approved", "--dry-run")
    (planned,) = data["planned"]
    assert (planned["id"], planned["short_id"], planned["name"], planned["digest"]) == (uid, uid[:8], "count", digest)
    assert world.owner.job(uid)["status"] == "approved"


def test_people_read_how_it_ended(world: World) -> None:
    world.approved("good")
    out = world.owner.scq("run-approved").out
    assert "completed  good  (exit, exit code 0, " in out
    assert out.endswith("(without a sandbox: `sandbox: none` is configured)\n")
    world.approved("bad", "exit 3\n")
    assert "failed  bad  (exit, exit code 3, " in world.owner.scq("run-approved", code=4).out
    world.approved("slow", "sleep 60\n")
    assert "failed  slow  (timeout, " in world.owner.scq("run-approved", "--timeout", "0.2", code=4).out


def test_what_was_left_out_of_the_results_is_said(world: World) -> None:
    world.approved(script="mkdir -p outputs\nln -s /etc/passwd outputs/link\n")
    assert "1 result files left out: link: is not a regular file" in world.owner.scq("run-approved").out


def test_results_are_shared_when_asked(world: World) -> None:
    uid = world.approved()
    world.owner.scq("run-approved", "--share-outputs", "--share-logs")
    assert world.owner.job(uid)["results"] == {"outputs": "released", "logs": "released"}


def test_a_sandbox_that_does_not_hold_runs_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = world.approved()
    monkeypatch.setattr(NoSandbox, "check", lambda self: [Problem("sandbox", "leaks", "mend it")])
    answer = world.owner.scq("run-approved", code=78)
    assert "sandbox: leaks" in answer.err
    assert "no job was run" in answer.err
    assert world.owner.job(uid)["status"] == "approved"


def test_changed_content_is_refused_until_it_is_decided_again_and_told_once(world: World) -> None:
    uid = world.approved(note__txt="one")
    world.owner.scq("check")
    (note,) = world.root.rglob("note.txt")
    note.write_text("two")
    answer = world.owner.scq("run-approved", code=5)
    assert f"{uid[:8]}  refused  count: the content is no longer what was approved" in answer.out
    again = world.owner.scq("run-approved", code=5)
    assert again.out == ""
    assert world.owner.json("run-approved", code=5)["runs"][0]["cause"] == "integrity"
    assert ran(world, "--skip", "count") == []


def test_a_root_that_cannot_be_read_is_busy(world: World) -> None:
    world.approved()
    world.root.rename(world.root.with_name("away"))
    assert ran(world, code=75) == []


def test_two_calls_at_once_do_not_mix(world: World) -> None:
    world.approved()
    with exclusive(str(world.owner.home / "locks" / "run-approved.lock"), 0):
        assert world.owner.scq("run-approved", code=75).out == ""
