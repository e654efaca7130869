"""Many calls at once, each a process of its own: nothing runs twice, nothing is announced twice, no decision is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq.acting import carry_out
from scq.config_values import Config
from scq.context import Context
from scq.executors import rundir
from scq.layouts.inbox_review import InboxReview
from scq.model import Decision, Sighting
from scq.state import Record
from scq.store import Store, exclusive
from tests.people import OWNER, SCIENTIST, Person
from tests.properties.place import Place

REPOSITORY = Path(__file__).resolve().parents[2]
FORTY = 40
BUSY = 75


class Many(Place):
    """A place on which many processes are let loose."""

    def start(self, *words: str) -> subprocess.Popen[str]:
        place = ["--home", str(self.owner.home), "--root", str(self.root), "--email", OWNER]
        return subprocess.Popen(
            [sys.executable, "-m", "scq", *place, *words],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def at_once(self, *calls: tuple[str, ...]) -> list[tuple[int, str, str]]:
        """(exit code, stdout, stderr) of calls that run at the same time."""
        started = [self.start(*words) for words in calls]
        ended = [process.communicate(timeout=120) for process in started]
        return [(process.returncode, out, err) for process, (out, err) in zip(started, ended, strict=True)]


@pytest.fixture
def place(tmp_path: Path) -> Many:
    return Many(tmp_path)


def until(condition: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.005)


@pytest.mark.parametrize("calls", [2, 8])
def test_each_of_forty_approved_jobs_runs_exactly_once_however_many_calls_run_them(place: Many, calls: int) -> None:
    names = place.submit_many(FORTY)
    place.owner.scq("approve", *names)
    answers = place.at_once(*[("run-approved", "--json")] * calls)
    turned_away = [answer for answer in answers if answer[0] == BUSY]
    assert {code for code, _, _ in answers} <= {0, BUSY}
    assert len(turned_away) < calls, "somebody has to run them"
    place.owner.scq("run-approved")
    assert place.ran() == Counter(names)
    assert place.statuses() == dict.fromkeys(names, "completed")
    assert place.audited("end") == FORTY


def test_an_overlapping_call_says_nothing_and_exits_75(place: Many) -> None:
    place.submit("long", "c0", seconds=30)
    place.owner.scq("approve", "long")
    first = place.start("run-approved")
    until(lambda: place.ran()["long"] == 1, "the job does not start")
    answers = place.at_once(*[("run-approved",)] * 3)
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=60)
    assert answers == [(BUSY, "", "")] * 3
    assert place.ran() == Counter({"long": 1})


def test_eight_checks_at_once_announce_each_new_job_once(place: Many) -> None:
    place.owner.scq("check")
    names = place.submit_many(12)
    answers = place.at_once(*[("check", "--json")] * 8)
    assert {code for code, _, _ in answers} <= {0, BUSY}
    place.owner.scq("check")
    ids = [job["id"] for job in place.owner.json("list")["jobs"]]
    assert len(ids) == len(names)
    assert place.rows("job.received") == Counter(ids)
    told = [job["id"] for code, out, _ in answers if code == 0 for job in json.loads(out)["data"]["new_jobs"]]
    assert len(told) == len(set(told)), "two calls said that the same job is new"


def test_different_verbs_that_look_at_once_announce_each_new_job_once(place: Many) -> None:
    place.owner.scq("check")
    names = place.submit_many(12)
    answers = place.at_once(*[("check",), ("run-approved",), ("notify",)] * 3)
    assert {code for code, _, _ in answers} <= {0, BUSY}, answers
    place.owner.scq("check")
    ids = [job["id"] for job in place.owner.json("list")["jobs"]]
    assert len(ids) == len(names)
    assert place.rows("job.received") == Counter(ids)


def test_approvals_of_different_jobs_at_once_are_all_kept(place: Many) -> None:
    names = place.submit_many(8)
    answers = place.at_once(*[("approve", name, "-r", f"fine: {name}") for name in names], ("check",), ("check",))
    assert {code for code, _, _ in answers[: len(names)]} == {0}, answers
    jobs = {job["name"]: job for job in place.owner.json("list")["jobs"]}
    assert {name: job["approval"]["reason"] for name, job in jobs.items()} == {name: f"fine: {name}" for name in names}
    assert {job["status"] for job in jobs.values()} == {"approved"}
    assert {name: shown_to_peers(place, name) for name in names} == dict.fromkeys(names, "approved")
    assert place.audited("approve") == len(names)


def shown_to_peers(place: Many, name: str) -> str:
    scientist = Person(place.owner.home.parent / "ds", place.root, SCIENTIST)
    return str({job["name"]: job["status"] for job in scientist.json("list", "--mine")["jobs"]}[name])


def test_deciding_running_and_looking_at_once_ends_with_every_job_run_once(place: Many) -> None:
    names = place.submit_many(12)
    running = ("run-approved", "--json")
    answers = place.at_once(
        *[call for name in names for call in (("approve", name), running if name[-1] in "147" else ("check",))]
    )
    assert {code for code, _, _ in answers} <= {0, BUSY}, [answer for answer in answers if answer[0] not in (0, BUSY)]
    place.owner.scq("run-approved")
    place.owner.scq("check")
    assert place.ran() == Counter(names)
    assert place.statuses() == dict.fromkeys(names, "completed")
    assert {name: shown_to_peers(place, name) for name in names} == dict.fromkeys(names, "completed")


def test_a_runner_killed_in_the_middle_of_many_jobs_runs_none_of_them_twice(place: Many) -> None:
    names = place.submit_many(12, seconds=0.05)
    place.owner.scq("approve", *names)
    for reached in (2, 5, 8):
        kill_when_ran(place, reached)
    # The next call comes at once, while what the dead one started may still be ending.
    answers = place.at_once(("run-approved",), ("run-approved",))
    assert {code for code, _, _ in answers} <= {0, 4, BUSY}, answers
    until(lambda: not any(map(rundir.is_locked, run_folders(place))), "a job of a killed call does not end")
    place.owner.scq("run-approved", code=None)
    assert set(place.ran().values()) == {1}
    for job in place.owner.json("list")["jobs"]:
        cut_off = job["run"]["cause"] == "interrupted"
        assert (job["status"], cut_off) in (("completed", False), ("failed", True)), job
        assert cut_off or place.ran()[job["name"]] == 1


def kill_when_ran(place: Many, count: int) -> None:
    """Start a run and kill it as soon as so many jobs have begun, whoever began them."""
    process = place.start("run-approved")
    until(lambda: place.ran().total() >= count or process.poll() is not None, "no job starts")
    process.send_signal(signal.SIGKILL)
    process.communicate()


def run_folders(place: Many) -> Iterator[str]:
    runs = place.owner.home / "runs"
    return (str(folder) for folder in runs.iterdir()) if runs.exists() else iter(())


def test_a_save_is_never_lost_among_many_writers(place: Many) -> None:
    place.submit("one", "c0")
    place.owner.scq("check")
    answers: list[Any] = place.at_once(*[("review", "one", "--json")] * 4, *[("check",)] * 2, ("approve", "one"))
    assert {code for code, _, _ in answers} <= {0, BUSY}, answers
    store = Store(str(place.owner.home))
    (record,) = store.load().jobs.values()
    assert store.problems == []
    assert record.decision is not None
    assert record.reviewed == record.digest


def test_a_decision_changed_while_the_one_before_is_shown_is_shown_after_it(place: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    place.submit("one", "c0")
    show = InboxReview.decide

    def and_reject_meanwhile(self: InboxReview, root: str, sighting: Sighting, decision: Decision) -> None:
        if decision.verdict == "approve":
            # The other call waits for the folders and gives up: what it decided is written down.
            answer = place.owner.scq("--lock-timeout", "0", "reject", "one", code=None)
            assert "written down" in answer.err
        show(self, root, sighting, decision)

    monkeypatch.setattr(InboxReview, "decide", and_reject_meanwhile)
    place.owner.scq("approve", "one")
    place.owner.scq("check")
    assert place.statuses() == {"one": "rejected"}
    assert shown_to_peers(place, "one") == "rejected"


def test_a_job_is_not_started_while_its_decision_is_being_shown(place: Many) -> None:
    place.submit("one", "a3")
    locks = place.owner.home / "locks"
    with exclusive(str(locks / "folders.lock"), 1):
        place.owner.scq("--lock-timeout", "0", "approve", "one", code=1)
        place.owner.scq("--lock-timeout", "0", "run-approved", code=None)
        assert place.ran() == Counter()
    place.owner.scq("run-approved")
    assert place.statuses() == {"one": "completed"}
    assert place.ran() == Counter({"one": 1})


def test_removing_one_job_forgets_no_other_that_ended_meanwhile(place: Many) -> None:
    for name in ("old", "new"):
        place.submit(name, "c0")
        place.owner.scq("approve", name)
    place.owner.scq("run-approved", "--job", "old")
    ((key, old),) = ((key, job) for key, job in Store(str(place.owner.home)).load().jobs.items() if job.run is not None)
    context = Context(Config(email=OWNER, root=str(place.root), sandbox="none"), str(place.owner.home), env={})
    context.store.finished_keys()
    # Another call puts a job among those that are over, after this one has read which they are.
    place.owner.scq("run-approved", "--job", "new")
    place.owner.scq("check", "--full")
    context.store.update(lambda state: replace(state, jobs={**state.jobs, key: replace(old, intents=("remove",))}))
    assert carry_out(context) == []
    assert [record.sighting.name for record in remembered(place)] == ["new"]


def remembered(place: Many) -> list[Record]:
    store = Store(str(place.owner.home))
    over = (store.finished_record(key) for key in store.finished().jobs)
    return [*store.load().jobs.values(), *(record for record in over if record is not None)]
