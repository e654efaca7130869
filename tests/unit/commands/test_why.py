"""`scq why`: what is found out about a job on real folders; the sentences themselves are tested in tests/unit/test_reasons.py."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from scq import installed
from scq.executors import rundir
from scq.model import Notification
from scq.store import Store
from tests.making import run
from tests.people import OWNER, SCIENTIST, World

PLAN = '{"sandbox": "none", "limits": {"wall_s": 600.0}}'


def why(world: World, uid: str) -> dict[str, Any]:
    data: dict[str, Any] = world.owner.json("why", uid)
    assert data["job"]["id"] == uid
    assert data["status"] == data["job"]["status"]
    return data


def arrived(world: World) -> str:
    """A job that was noticed after the first look, so that people are told of it."""
    world.owner.scq("check")
    uid = world.submit("count")
    world.owner.scq("check")
    return uid


def claim(world: World, uid: str) -> str:
    """As if a call were running the job: the folder of its run."""
    folder = world.owner.home / "runs" / f"{uid}-1"
    folder.mkdir(parents=True)

    def claimed(state: Any) -> Any:
        key = next(key for key, record in state.jobs.items() if record.id == uid)
        at_work = run("claimed", directory=folder.name, cause=None, exit_code=None, sandbox="none")
        return replace(state, jobs={**state.jobs, key: replace(state.jobs[key], run=at_work)})

    Store(str(world.owner.home)).update(claimed)
    return str(folder)


def test_every_state_a_job_passes_through_is_explained(world: World) -> None:
    uid = world.submit("count", "mkdir -p outputs; echo 42 > outputs/answer.txt\n")
    assert why(world, uid)["waits_for"] == "review"
    world.owner.scq("review", uid)
    assert not any("scq review" in text for text in why(world, uid)["next"])
    world.owner.scq("approve", uid, "-r", "as agreed")
    assert why(world, uid)["waits_for"] == "run"
    world.owner.scq("run-approved")
    assert why(world, uid)["waits_for"] == "answer"
    world.owner.scq("release", uid, "-r", "agreed")
    ended = why(world, uid)
    assert (ended["waits_for"], ended["status"]) == ("nothing", "completed")
    assert "1 file was released by" in ended["reasons"][-1]
    world.owner.scq("check", "--full")
    assert why(world, uid)["waits_for"] == "nothing", "also when it has left the live document"


def test_people_read_who_what_why_and_then_what_is_next(world: World) -> None:
    uid = arrived(world)
    said = world.owner.scq("why", "count").out
    assert said.startswith(f"{uid[:8]}  pending  count  (from {SCIENTIST})\n  Nobody has decided")
    assert "\nnext\n  Read it: scq review" in said
    assert f"\nmessages\n  job.received to {OWNER} (mailbox): waits for the next scq notify or cycle.\n" in said.replace(
        SCIENTIST, OWNER
    )


def test_a_job_that_was_rejected_and_one_that_failed_say_why(world: World) -> None:
    rejected, failed = world.submit("first"), world.ended("second", "exit 3\n")
    world.owner.scq("reject", rejected, "-r", "reads too much")
    assert why(world, rejected)["reasons"][0].endswith(": reads too much")
    assert "failed by itself with exit code 3" in why(world, failed)["reasons"][0]


def test_an_approved_job_knows_who_runs_it_and_what_would_stop_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = world.approved("count")
    assert "Nothing calls scq by itself" in why(world, uid)["next"][0]
    at = datetime.now(UTC) - timedelta(seconds=5)
    home = str(world.owner.home)
    installed.write(home, installed.Record("systemd", (("notify", 30.0), ("run", 60.0)), at))
    assert "The next call by systemd runs it, at about" in why(world, uid)["next"][0]
    installed.write(home, installed.Record("cron", (("notify", 30.0),), at - timedelta(days=1)))
    assert "overdue" in why(world, uid)["next"][0]
    (world.owner.home / "schedule.json").write_text("{")
    answer = world.owner.scq("why", uid)
    assert "schedule" in answer.err
    assert "Nothing calls scq by itself" in answer.out
    world.owner.configure("sandbox: bwrap\n")
    monkeypatch.setenv("PATH", str(world.folder))
    assert why(world, uid)["waits_for"] == "mending"


def test_a_job_behind_another_one_waits_for_its_runner(world: World) -> None:
    first, second = world.approved("first"), world.approved("second")
    lock = rundir.acquire_lock(claim(world, first))
    try:
        waits = why(world, second)
    finally:
        os.close(lock)
    assert waits["waits_for"] == "runner"
    assert any(first[:8] in text for text in waits["reasons"])


def test_a_job_at_work_knows_its_time_and_one_cut_off_its_end(world: World) -> None:
    uid = world.approved("count")
    folder = claim(world, uid)
    lock = rundir.acquire_lock(folder)
    try:
        assert "is being prepared" in why(world, uid)["reasons"][0]
        began = datetime.now(UTC) - timedelta(minutes=1)
        rundir.write_started(folder, rundir.Started(began.isoformat(), os.getpid(), os.getpid(), "", 0, ""))
        assert why(world, uid)["next"][0] == "It is ended when it reaches its time limit."
        with open(os.path.join(folder, "plan.json"), "w", encoding="utf-8") as file:
            file.write(PLAN)
        assert why(world, uid)["next"][0].startswith("It may run for 10 min 0 s; 8 min ")
    finally:
        os.close(lock)
    assert why(world, uid)["waits_for"] == "recovery"


@pytest.mark.parametrize(
    ("started", "promise", "comes"), [(False, "gives it back and runs it", "completed"), (True, "as failed", "failed")]
)
def test_what_is_said_of_one_cut_off_comes_true(world: World, started: bool, promise: str, comes: str) -> None:
    """Also where a power cut came right after its start was to be written down, and left an empty record."""
    uid = world.approved("count")
    folder = claim(world, uid)
    if started:
        os.mknod(os.path.join(folder, rundir.STARTED))
    assert promise in why(world, uid)["next"][0]
    world.owner.scq("run-approved", code=None)
    assert why(world, uid)["status"] == comes


def test_findings_that_are_denied_are_named_before_anybody_approves(world: World) -> None:
    uid = world.submit("count", "curl https://example.org\n")
    world.owner.configure("sandbox: none\ndeny: [network]\n")
    waits = why(world, uid)
    assert "network in code/run.sh:" in " ".join(waits["reasons"])
    assert f"To let it run: scq approve {uid[:8]} --accept-finding network" in waits["next"]


def test_a_job_whose_code_cannot_be_looked_into_is_explained_with_a_problem(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scq.errors import InvalidFileError

    def vanished(*_: object) -> None:
        raise InvalidFileError("run.sh: changed while it was read", "Look at the job again.")

    uid = world.submit("count")
    world.owner.configure("sandbox: none\ndeny: [network]\n")
    monkeypatch.setattr("scq.reviewing.code_findings", vanished)
    answer = world.owner.scq("why", uid)
    assert "changed while it was read" in answer.err
    assert "Nobody has decided" in answer.out


def test_a_job_that_vanished_is_found_and_explained(world: World) -> None:
    uid = world.submit("count")
    world.owner.scq("check")
    shutil.rmtree(world.place(uid))
    world.owner.scq("check", "--full")
    answer = world.owner.scq("why", uid[:8])
    assert answer.out.startswith(f"{uid[:8]}  gone  count")
    assert world.owner.json("why", "count")["waits_for"] == "return"


def test_no_such_job_is_a_wrong_call(world: World) -> None:
    assert "no job 'nothing'" in world.owner.scq("why", "nothing", code=2).err


def test_a_scientist_hears_what_can_be_known_of_a_job_elsewhere(world: World) -> None:
    uid = world.submit("count")
    data = world.scientist.json("why", uid)
    assert (data["waits_for"], data["status"]) == ("owner", "pending")
    world.owner.scq("approve", uid)
    world.owner.scq("run-approved")
    over = world.scientist.json("why", uid)
    assert (over["waits_for"], over["status"]) == ("nothing", "completed")
    assert OWNER in " ".join(over["next"])


def test_its_messages_are_there_oldest_first_with_what_became_of_them(world: World) -> None:
    uid = arrived(world)
    at = datetime.now(UTC) - timedelta(days=3)
    lost = Notification("old", "1-0", "job.changed", uid, "post", OWNER, "do", at, state="dead", outcome="no answer")
    other = replace(lost, key="other", job_id="another-job")
    Store(str(world.owner.home)).update(lambda state: replace(state, outbox={**state.outbox, "old": lost, "other": other}))
    rows = why(world, uid)["messages"]
    assert [row["kind"] for row in rows] == ["job.changed", "job.received", "job.received"]
    assert rows[0]["said"].endswith(": no answer. To try again: scq outbox retry old")
    assert rows[0]["state"] == "dead"


def test_quiet_hours_are_why_a_message_waits(world: World) -> None:
    uid = arrived(world)

    def waits_for(quiet_hours: str) -> set[str]:
        world.owner.configure(f"sandbox: none\nnotify: {{quiet_hours: '{quiet_hours}'}}\n")
        return {row["said"].split(": ", 1)[1] for row in why(world, uid)["messages"]}

    # One half of the day is quiet, the other is not, whatever the clock says now.
    assert waits_for("00:00-12:00") | waits_for("12:00-00:00") == {
        "waits for the end of the quiet hours.",
        "waits for the next scq notify or cycle.",
    }


def test_nothing_is_changed_by_asking(world: World) -> None:
    uid = world.submit("count")
    world.owner.scq("check")
    before = world.owner.state()
    world.owner.scq("why", uid)
    assert world.owner.state() == before
