"""Every view says where a job waits or runs that was handed to a cluster, and asks that once."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from scq import checking, executors
from scq.commands.list import _placed
from scq.config_values import Config
from scq.context import Context
from scq.executors import rundir
from scq.model import Whereabouts
from scq.showing import when
from scq.state import State
from scq.store import Store
from scq.view import job_of
from tests.people import OWNER, World
from tests.unit.standin import Cluster

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
SINCE = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
WAITS = Whereabouts("waiting", "412", "main", why="Resources", position=3, starts_at=SOON)
RUNS = Whereabouts("running", "411", "main", "n1", since=SINCE)
SILENT = Whereabouts("unknown", why="the cluster does not answer")
NASTY = Whereabouts("waiting", "7\x1b[2J", "\u202emain\n", why="<b>Reso\x07urces</b>\r\nx" * 50)
CONFIG = """network: none
executor:
  name: slurm
  slurm: {shared_dir: /srv/scq, max_queued: %d}
"""


@pytest.fixture
def cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(world, monkeypatch)


def table(of: Cluster) -> str:
    return of.world.owner.scq("list").out


def test_the_list_says_where_each_is_and_asks_once(cluster: Cluster) -> None:
    waits, runs = cluster.handed("first", WAITS), cluster.handed("second", RUNS)
    cluster.handed("third", None)
    shown = table(cluster).splitlines()
    assert [text.split()[-1] for text in shown] == ["Resources)", "n1", "third"]
    assert shown[0].endswith("first   waits (3rd, Resources)")
    assert shown[1].endswith("second  on n1")
    assert len(cluster.executor.asked) == 1
    rows = {row["id"]: row for row in cluster.world.owner.json("list")["jobs"]}
    assert (rows[waits]["place"]["position"], rows[waits]["place"]["why"]) == (3, "Resources")
    assert (rows[runs]["place"]["state"], rows[runs]["place"]["node"]) == ("running", "n1")


def test_only_those_that_are_listed_are_asked_for(cluster: Cluster) -> None:
    cluster.handed("first", WAITS)
    last = cluster.handed("second", RUNS)
    cluster.world.owner.scq("list", "--limit", "1")
    assert cluster.executor.asked == [[f"{last}-1"]]
    cluster.world.owner.scq("list", "--status", "completed")
    assert len(cluster.executor.asked) == 1


def test_a_card_says_where_it_is(cluster: Cluster) -> None:
    uid = cluster.handed("count", WAITS)
    shown = cluster.world.owner.scq("show", uid).out
    where = f"waits on the cluster: job 412, partition main, 3rd in line (Resources), expected to start at {when(SOON)}"
    assert f"where  {where}\n" in shown
    assert cluster.world.owner.job(uid)["place"]["starts_at"] == SOON.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("verb", ["list", "show", "why", "status"])
def test_what_a_cluster_says_cannot_touch_the_terminal(cluster: Cluster, verb: str) -> None:
    uid = cluster.handed("count", NASTY)
    shown = cluster.world.owner.scq(verb, *([uid] if verb in ("show", "why") else [])).out
    assert "waits" in shown
    assert all(text.isprintable() for text in shown.splitlines())


def test_why_knows_the_reason_and_what_can_be_done(cluster: Cluster) -> None:
    uid = cluster.handed("count", WAITS)
    said = cluster.world.owner.json("why", uid)
    assert said["waits_for"] == "cluster"
    assert said["reasons"][1] == "The machines it could run on are busy (Resources)."
    assert said["job"]["place"]["id"] == "412"
    assert said["next"][-1] == f"To take it back from there: scq cancel {uid[:8]}"


def test_an_approved_one_behind_the_most_that_may_be_out_waits_for_room(cluster: Cluster) -> None:
    cluster.handed("first", RUNS)
    second = cluster.world.approved("second")
    cluster.world.owner.configure(CONFIG % 200)
    said = cluster.world.owner.json("why", second)
    assert (said["waits_for"], "hand it to the cluster" in said["next"][0]) == ("run", True)
    cluster.world.owner.configure(CONFIG % 1)
    said = cluster.world.owner.json("why", second)
    assert said["waits_for"] == "room"
    assert "1 job is on the cluster, and at most 1 may be (executor.slurm.max_queued)" in " ".join(said["reasons"])


def test_the_screen_counts_what_is_out_and_shows_the_first_of_many(cluster: Cluster) -> None:
    runs = cluster.handed("j0", RUNS)
    for number in range(1, 10):
        cluster.handed(f"j{number}", WAITS)
    cluster.handed("last", None)
    shown = cluster.world.owner.scq("status").out
    assert len(cluster.executor.asked) == 1
    words = " ".join(shown.split())
    assert (
        "cluster 11 jobs out (9 waiting, 1 running); at most 200 (executor.slurm.max_queued); 3 more: scq list --status" in words
    )
    told = re.search(rf"running {runs[:8]} j0 on n1, for (\d+) min", words)
    assert told is not None
    assert int(told[1]) >= 5
    assert "cut off" not in shown
    data = cluster.world.owner.json("status")
    assert data["cluster"] == {"out": 11, "most": 200, "waiting": 9, "running": 1, "ending": 0, "unknown": 0, "why": ""}
    first, *_, last = data["running"]
    assert (first["alive"], first["started_at"], first["place"]["node"]) == (True, SINCE.isoformat().replace("+00:00", "Z"), "n1")
    assert (last["alive"], last["place"]) == (None, None)


def test_of_many_the_screen_shows_what_runs_and_what_is_next(cluster: Cluster) -> None:
    for number in range(12, 0, -1):
        cluster.handed(f"w{number}", replace(WAITS, position=number))
    runs, over, lost = (cluster.handed(name, place) for name, place in (("r", RUNS), ("o", Whereabouts("ending")), ("l", SILENT)))
    shown = [row.split()[-3:] for row in cluster.world.owner.scq("status").out.splitlines() if " waits (" in row]
    assert [place for *_, place, _ in shown] == [f"({word}," for word in ("1st", "2nd", "3rd", "4th", "5th", "6th")]
    words = " ".join(cluster.world.owner.scq("status").out.split())
    assert words.index(runs[:8]) < words.index(over[:8]) < words.index("(1st,")
    assert lost[:8] not in words


def test_a_cluster_that_does_not_answer_is_one_thing_to_mend_and_nobody_is_dead(cluster: Cluster) -> None:
    one = cluster.handed("first", SILENT)
    cluster.handed("second", SILENT)
    data = cluster.world.owner.json("status")
    told = [notice for notice in data["notices"] if notice["level"] == "failure"]
    what = "where 2 jobs are on the cluster cannot be told now: the cluster does not answer"
    assert [(notice["what"], notice["advice"]) for notice in told] == [(what, "scq doctor")]
    assert {row["alive"] for row in data["running"]} == {None}
    said = cluster.world.owner.json("why", one)
    assert said["waits_for"] == "cluster"
    assert "Nothing is lost" in said["next"][0]
    assert "scq_runs_cut_off 0\n" in cluster.world.owner.scq("metrics").out


def test_machines_count_what_waits_and_runs(cluster: Cluster) -> None:
    assert "scq_cluster" not in cluster.world.owner.scq("metrics").out
    cluster.world.owner.configure(CONFIG % 200)
    assert "scq_cluster_runs_out 0\n" in cluster.world.owner.scq("metrics").out
    cluster.handed("first", WAITS)
    cluster.handed("second", RUNS)
    shown = cluster.world.owner.scq("metrics").out
    for text in ('runs{state="waiting"} 1', 'runs{state="running"} 1', 'runs{state="unknown"} 0', "runs_out 2", "runs_most 200"):
        assert f"scq_cluster_{text}\n" in shown


def test_the_page_of_the_owner_tells_where_and_that_of_a_submitter_does_not(cluster: Cluster) -> None:
    uid = cluster.handed("count", NASTY)
    owner, place = cluster.world.owner, cluster.world.folder / "page.html"
    owner.scq("report", "--html", str(place))
    page = place.read_text()
    assert "waits on the cluster: job 7" in page
    assert "<b>Reso" not in page
    assert len(cluster.executor.asked) == 1
    submitter = owner.job(uid)["submitter"]
    cluster.executor.asked.clear()
    owner.scq("report", "--html", str(place), "--public", "--for", submitter)
    assert "cluster" not in place.read_text()
    assert cluster.executor.asked == []


def test_a_run_of_this_machine_asks_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(world, monkeypatch)
    uid = cluster.handed("count", None)
    folder = world.owner.home / "runs" / f"{uid}-1"
    state = world.owner.home / "state.json"
    state.write_text(state.read_text().replace('"executor":"slurm",', ""))
    assert world.owner.job(uid)["run"]["executor"] == "local"
    rundir.write_started(str(folder), rundir.Started(SINCE.isoformat(), 1, 1, "", 0, ""))
    with monkeypatch.context() as patch:
        patch.setattr(executors, "get", _nobody)
        for words in (("list",), ("show", uid), ("why", uid), ("status",), ("metrics",), ("report",), ("pending",)):
            world.owner.scq(*words)
    data = world.owner.json("status")
    assert (data["cluster"], data["running"][0]["alive"], data["running"][0]["place"]) == (None, False, None)


def test_a_job_of_somebody_else_with_the_same_id_is_nowhere(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.handed("mine", WAITS)
    store = Store(str(cluster.world.owner.home))

    def copied(state: State) -> State:
        ((key, record),) = state.jobs.items()
        mine = replace(record, status="running")
        return replace(state, jobs={key: mine, "other": replace(mine, run=None)})

    store.update(copied)
    ctx = Context(Config(email=OWNER), str(cluster.world.owner.home))
    state = store.load()
    listed = [job_of(record) for record in state.jobs.values()]
    shown = SimpleNamespace(records=state.jobs)
    places = [job.place for job in _placed(ctx, shown, listed)]
    assert places == [WAITS, None]


def test_whether_a_call_is_busy_is_told_without_asking_the_cluster(cluster: Cluster) -> None:
    cluster.handed("count", WAITS)
    ctx = Context(Config(email=OWNER), str(cluster.world.owner.home))
    assert checking._is_busy(ctx) is False
    assert cluster.executor.asked == []


def _nobody(*_: Any) -> None:
    raise AssertionError("an executor was made")


def test_without_a_run_no_executor_is_even_loaded(world: World) -> None:
    world.approved("count")
    place = ["--home", str(world.owner.home), "--root", str(world.root), "--email", OWNER]
    code = (
        "import sys; from scq.cli.app import call\n"
        f"for verb in ('list', 'status', 'metrics', 'pending'): assert call([*{place!r}, verb]) == 0\n"
        "print('loaded:', *(name for name in sys.modules if name.startswith('scq.executors')))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1].strip() == "loaded:"
