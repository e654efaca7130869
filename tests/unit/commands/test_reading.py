"""scq list, pending, show, status: reading shows everything and writes nothing."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq.commands import status
from scq.config_values import Config
from scq.context import Context
from scq.model import Notification, OutboxState, Trouble
from scq.report import Report
from scq.showing import when
from scq.store import Store
from tests.making import NOW
from tests.people import OWNER, SCIENTIST, World


@pytest.fixture
def three(world: World) -> dict[str, str]:
    """A waiting, an approved and a completed job, in this order of submission."""
    return {
        "alpha": world.ended("alpha", by=world.second),
        "beta": world.approved("beta"),
        "gamma": world.submit("gamma", "echo\n", "--tag", "urgent", "--description", "Ages of patients", layout="a3"),
    }


def names(answer: object) -> list[str]:
    return [job["name"] for job in answer["jobs"]]  # type: ignore[index]


@pytest.mark.usefixtures("three")
class TestList:
    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            ((), ["alpha", "beta", "gamma"]),
            (("--status", "completed"), ["alpha"]),
            (("--submitter", "SECOND@example.net"), ["alpha"]),
            (("--tag", "urgent"), ["gamma"]),
            (("--text", "AGES"), ["gamma"]),
            (("--text", "beta"), ["beta"]),
            (("--for-me",), ["alpha", "beta", "gamma"]),
            (("--mine",), []),
            (("--limit", "2"), ["beta", "gamma"]),
            (("--limit", "9"), ["alpha", "beta", "gamma"]),
            (("--submitter", SCIENTIST, "--limit", "1"), ["gamma"]),
        ],
    )
    def test_filters_narrow_together_and_the_limit_keeps_the_newest(
        self, world: World, filters: tuple[str, ...], found: list[str]
    ) -> None:
        assert names(world.owner.json("list", *filters)) == found

    def test_a_word_that_is_no_status_is_refused_since_it_would_hide_every_job(self, world: World) -> None:
        assert "'done' is not a status\n     They are pending," in world.owner.scq("list", "--status", "done", code=2).err

    def test_total_counts_what_the_limit_cut(self, world: World) -> None:
        assert world.owner.json("list", "--limit", "1")["total"] == 3

    def test_a_submitter_sees_what_they_sent_and_nothing_of_others(self, world: World) -> None:
        assert names(world.scientist.json("list", "--mine")) == ["beta", "gamma"]
        assert names(world.second.json("list")) == ["alpha"]
        assert names(world.second.json("list", "--for-me")) == []

    def test_people_read_a_table(self, world: World) -> None:
        lines = world.owner.scq("list").out.splitlines()
        assert [line.split()[1] for line in lines] == ["completed", "approved", "pending"]
        assert f"to {OWNER}" in world.scientist.scq("list").out

    def test_both_sides_together_mean_both(self, world: World) -> None:
        assert names(world.owner.json("list", "--for-me", "--mine")) == ["alpha", "beta", "gamma"]


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize(
    "call", [("list",), ("pending",), ("show", "gamma"), ("status",), ("output", "alpha"), ("diff", "gamma")]
)
def test_reading_writes_nothing(world: World, three: dict[str, str], call: tuple[str, ...]) -> None:
    world.owner.scq("check", "--full")
    before = snapshot(world.folder)
    world.owner.scq(*call)
    assert snapshot(world.folder) == before
    assert three


def test_pending_shows_what_waits_and_says_so_by_its_exit_code(world: World) -> None:
    assert world.owner.scq("pending", "--exit-code").out == ""
    one, two = world.submit("one"), world.submit("two")
    world.owner.scq("approve", two)
    answer = world.owner.scq("pending", "--json", "--exit-code", code=3).json
    assert (answer["ok"], names(answer["data"]), answer["data"]["total"]) == (True, ["one"], 1)
    assert world.owner.scq("pending").out.startswith(one[:8])
    assert world.scientist.json("pending")["jobs"] == [], "what waits for somebody else does not wait for me"


def test_show_has_the_files_that_can_influence_execution(world: World) -> None:
    uid = world.submit(data__csv="1,2\n")
    shown = world.owner.json("show", uid[:8])
    assert {file["path"] for file in shown["files"]} == {"config.yaml", "run.sh", "code/run.sh", "code/data.csv"}
    text = world.owner.scq("show", "count").out
    assert f"id  {uid}" in text
    assert "4 B  code/data.csv" in text


def test_show_tells_why_a_job_cannot_be_run(world: World) -> None:
    uid = world.submit()
    os.mkfifo(world.place(uid) / "code/pipe")
    shown = world.owner.json("show", uid)
    assert shown["invalid"] == ["code/pipe: is a FIFO"]
    assert shown["files"] == []


def test_a_job_that_is_over_is_found_by_a_second_wider_look(world: World) -> None:
    uid = world.ended()
    world.owner.scq("check", "--full")
    assert not world.owner.state().get("jobs"), "it left the live document"
    assert world.owner.job(uid[:6])["status"] == "completed"
    assert "no job 'nothing'" in world.owner.scq("show", "nothing", code=2).err


class TestStatus:
    def test_a_new_home_has_nothing_to_tell(self, world: World) -> None:
        data = world.owner.json("status")
        assert set(data["counts"].values()) == {0}
        assert (data["oldest_pending"], data["oldest_wait_s"], data["looked_at"]) == (None, None, None)
        words = ("queued", "deferred", "ambiguous", "sent", "dead", "dropped", "bundled")
        assert data["outbox"] == dict.fromkeys(words, 0)
        assert (data["outbox_wait_s"], data["troubles"], data["last_ok"]) == (None, [], {})
        assert (data["email"], data["root"], data["sandbox"]) == (OWNER, str(world.root), "none")

    def test_jobs_are_counted_whether_they_are_over_or_not(self, world: World, three: dict[str, str]) -> None:
        world.owner.scq("check", "--full")
        data = world.owner.json("status", "--exit-code", code=3)
        expected = {"pending": 1, "approved": 1, "running": 0, "completed": 1, "failed": 0, "rejected": 0}
        assert data["counts"] == expected
        assert data["oldest_pending"] == three["gamma"]
        assert data["oldest_wait_s"] >= 0
        assert data["looked_at"].endswith("Z")
        text = world.owner.scq("status").out
        assert f"waiting longest: {three['gamma'][:8]} gamma" in text
        assert "1 pending  1 approved  0 running  1 completed" in text
        assert "sandbox   NONE" in text

    @pytest.mark.parametrize(("verb", "word"), [("rerun", "approved"), ("share", "completed")])
    def test_a_job_that_came_back_to_life_is_counted_once(self, world: World, verb: str, word: str) -> None:
        uid = world.ended()
        world.owner.scq("check", "--full")
        world.owner.scq(verb, uid)
        counts = world.owner.json("status")["counts"]
        assert {status: number for status, number in counts.items() if number} == {word: 1}

    def test_the_sandbox_is_named(self, world: World) -> None:
        world.owner.configure("sandbox: bwrap\n")
        assert "sandbox   bwrap" in world.owner.scq("status").out.splitlines()

    def test_a_missing_root_is_a_problem_of_the_answer(self, world: World) -> None:
        shutil.rmtree(world.root)
        data = world.owner.json("status")
        assert data["source"] == {"name": "local", "ok": False}

    def test_no_address_is_said(self, world: World) -> None:
        world.owner.email = ""
        assert "(no email configured: scq init --email YOU)" in world.owner.scq("status").out

    def test_messages_are_counted_by_what_became_of_them(self, tmp_path: Path) -> None:
        def row(key: str, state: OutboxState) -> Notification:
            return Notification(key, "1-0", "job.received", "j", "file", OWNER, "do", NOW, state=state)

        def shown(*states: OutboxState) -> Report:
            rows = {str(number): row(str(number), state) for number, state in enumerate(states)}
            Store(str(tmp_path)).update(lambda state: replace(state, outbox=rows))
            config = Config(email=OWNER, root=str(tmp_path))
            return status.run(Context(config, str(tmp_path), env={}, now=lambda: NOW + timedelta(minutes=3)))

        report = shown("queued", "sending", "deferred", "ambiguous", "sent", "sent", "dead", "dropped", "bundled")
        expected = {"queued": 2, "deferred": 1, "ambiguous": 1, "sent": 2, "dead": 1, "dropped": 1, "bundled": 1}
        assert (report.data["outbox"], report.data["outbox_wait_s"]) == (expected, 180.0)
        told = "messages 2 to send, 1 tried again later, 1 uncertain, 2 sent, 1 given up (scq outbox list)"
        assert f"{told}; waiting longest: 3 min 0 s" in " ".join(" ".join(report.lines).split())
        assert "messages  0 to send, 1 sent" in shown("sent").lines

    def test_what_does_not_work_is_told_until_it_works(self, tmp_path: Path) -> None:
        troubles = {"channel relay": Trouble("sign-in needed", NOW, "Run: scq auth google --send"), "x\x1b[0m": Trouble("y", NOW)}
        Store(str(tmp_path)).update(lambda state: replace(state, troubles=troubles))
        report = status.run(Context(Config(email=OWNER, root=str(tmp_path)), str(tmp_path), env={}))
        assert f"  channel relay: sign-in needed since {when(NOW)}" in report.lines
        assert "    -> Run: scq auth google --send" in report.lines
        assert f"  x�[0m: y since {when(NOW)}" in report.lines
        since = NOW.isoformat().replace("+00:00", "Z")
        advice = "Run: scq auth google --send"
        assert report.data["troubles"][0] == {
            "where": "channel relay",
            "what": "sign-in needed",
            "since": since,
            "advice": advice,
        }

    def test_when_scheduled_calls_last_went_well_is_told_to_programs(self, world: World) -> None:
        world.owner.scq("check")
        assert set(world.owner.json("status")["last_ok"]) == {"check"}
        assert world.owner.json("status")["last_ok"]["check"].endswith("Z")


def test_an_age_is_never_negative(world: World) -> None:
    uid = world.submit()
    ctx = Context(Config(email=OWNER, root=str(world.root)), str(world.owner.home), env={}, now=lambda: NOW.replace(year=2001))
    data = status.run(ctx).data
    assert (data["oldest_pending"], data["oldest_wait_s"]) == (uid, 0.0)
