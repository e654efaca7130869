"""Looking and remembering: events and messages come from one save, the past is never told, nothing is forgotten too early."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq.config_values import AutoRelease, Config, Notify
from scq.context import Context, utc_now
from scq.errors import InvalidFileError
from scq.looking import Observation, observe, view
from scq.model import DataFolder
from scq.safeguards import noted
from scq.state import State
from tests.making import NOW
from tests.people import OWNER, SCIENTIST, Person, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class Eye:
    """The owner's looks, with a clock that can be moved."""

    def __init__(self, world: World, **settings: object) -> None:
        self.config = Config(email=OWNER, root=str(world.root), sandbox="none", **settings)  # type: ignore[arg-type]
        self.home = str(world.owner.home)
        self.moved = timedelta()

    def context(self) -> Context:
        return Context(self.config, self.home, env={}, now=lambda: utc_now() + self.moved)

    def look(self, **options: bool) -> Observation:
        return observe(self.context(), **options)

    def kinds(self, **options: bool) -> list[str]:
        return [event.kind for event in self.look(**options).events]


def test_every_change_makes_its_event_once(world: World) -> None:
    eye = Eye(world)
    assert eye.kinds() == []
    world.submit(layout="a3")
    assert eye.kinds() == ["job.received"]
    assert eye.kinds() == []
    world.owner.scq("approve", "count")
    assert eye.kinds() == ["job.approved"]
    world.owner.scq("run-approved")
    assert eye.kinds() == ["job.completed", "outputs.withheld"]
    assert eye.kinds(full=True) == []


def test_released_outputs_are_an_event(world: World) -> None:
    eye = Eye(world)
    eye.look()
    world.ended()
    eye.look()
    world.owner.scq("share", "count")
    assert eye.kinds() == ["outputs.released"]


def test_a_message_is_queued_by_the_save_that_remembers_its_event(world: World) -> None:
    eye = Eye(world)
    eye.look()
    world.submit(script="echo secret-sauce\n", layout="a3")
    state = eye.look().state
    rows = list(state.outbox.values())
    assert {row.kind for row in rows} <= {"job.received"}
    assert all(row.event == f"{state.revision}-0" for row in rows)
    stored = eye.context().store.load()
    assert stored == state


def test_the_script_of_a_new_job_and_the_last_errors_of_a_failed_one_travel_with_the_event(world: World) -> None:
    eye = Eye(world)
    eye.look()
    world.submit(script="echo bad luck >&2\nexit 3\n", layout="a3")
    (received,) = eye.look().events
    assert received.detail.startswith("#!/bin/bash\nset -e\n")
    world.owner.scq("approve", "count")
    world.owner.scq("run-approved", code=4)
    (failed,) = eye.look().events[-1:]
    assert (failed.kind, failed.detail) == ("job.failed", "bad luck")


def test_a_script_that_cannot_be_read_any_more_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    eye = Eye(world)
    eye.look()
    world.submit()

    def gone(*_: object) -> bytes:
        raise InvalidFileError("run.sh: cannot be read (No such file or directory)")

    monkeypatch.setattr("scq.letters.read_file", gone)
    assert eye.look().events[0].detail == "(run.sh: cannot be read (No such file or directory))"


def test_a_failure_without_an_error_log_has_only_its_cause(world: World) -> None:
    eye = Eye(world)
    eye.look()
    uid = world.approved(script="exit 3\n")
    eye.look()
    world.owner.scq("run-approved", code=4)
    for path in (world.owner.home / "runs").rglob("stderr.txt"):
        path.unlink()
    (failed,) = eye.look().events[-1:]
    assert (failed.kind, failed.job_id, failed.detail) == ("job.failed", uid, "exit")


def test_looking_without_remembering_finds_the_same_again(world: World) -> None:
    eye = Eye(world)
    eye.look()
    world.submit()
    assert eye.kinds(dry_run=True) == eye.kinds(dry_run=True) == ["job.received"]
    assert eye.kinds() == ["job.received"]


def test_a_sweep_is_due_after_its_time_and_when_the_clock_went_back(world: World) -> None:
    eye = Eye(world, sweep_every=3_600.0)
    assert eye.look().full, "the first look sees everything"
    assert not eye.look().full
    eye.moved = timedelta(hours=2)
    assert eye.look().full
    eye.moved = timedelta(hours=-5)
    assert eye.look().full
    assert Eye(world, sweep_every=0.0).look().full


def test_a_job_that_is_over_leaves_the_live_document_and_changes_of_it_are_still_told(world: World) -> None:
    eye = Eye(world)
    eye.look()
    uid = world.ended()
    eye.look(full=True)
    assert eye.context().store.load().jobs == {}
    (key,) = eye.context().store.finished_keys()
    assert eye.kinds(full=True) == []
    world.owner.scq("rerun", uid)
    assert eye.context().store.load().jobs.keys() == {key}
    world.owner.scq("run-approved")
    eye.look(full=True)
    assert eye.context().store.load().jobs == {}


def test_a_vanished_job_is_remembered_for_a_week(world: World) -> None:
    eye = Eye(world, notify=Notify(remind_after=0.0))
    uid = world.submit("gone", layout="a3")
    world.submit("stays", layout="a3")
    eye.look()
    place, aside = world.place(uid), world.folder / "aside"
    place.rename(aside)
    assert eye.kinds() == ["job.vanished"]
    assert eye.kinds() == []
    assert len(eye.context().store.load().jobs) == 2
    eye.moved = timedelta(days=6)
    aside.rename(place)
    assert eye.kinds(full=True) == [], "what comes back in time is no news"
    place.rename(aside)
    eye.look()
    eye.moved = timedelta(days=14)
    eye.look()
    assert len(eye.context().store.load().jobs) == 1
    aside.rename(place)
    assert eye.kinds(full=True) == ["job.received"]


def test_a_source_that_cannot_be_read_changes_nothing_but_is_remembered_as_a_trouble(world: World) -> None:
    eye = Eye(world)
    world.submit()
    before = eye.look().state
    world.root.rename(world.folder / "aside")
    found = eye.look()
    assert (found.source.ok, found.events) == (False, ())
    assert found.state.troubles.keys() == {"source syftbox"}
    assert replace(found.state, troubles={}, revision=before.revision, audit=before.audit) == before
    assert eye.look().state == found.state == eye.context().store.load(), "a second failing look writes nothing"
    (world.folder / "aside").rename(world.root)
    assert eye.look().state.troubles == {}


def test_a_source_out_of_reach_for_long_is_told_once_and_again_when_it_was_there_meanwhile(world: World) -> None:
    eye = Eye(world, stale_after=3_600.0)
    eye.look()
    for _ in range(2):
        world.root.rename(world.folder / "aside")
        assert eye.kinds() == []
        eye.moved += timedelta(hours=1)
        assert eye.kinds() == ["source.stale"]
        assert eye.kinds() == []
        (world.folder / "aside").rename(world.root)
        eye.look()
    rows = eye.context().store.load().outbox.values()
    assert [(row.kind, row.recipient, row.level) for row in rows] == [("source.stale", OWNER, "warning")] * 2
    assert {row.context["source"] for row in rows} == {"syftbox"}


def test_a_source_nobody_wants_to_hear_about_is_not_told(world: World) -> None:
    eye = Eye(world, stale_after=1.0, notify=Notify(events={"source.stale": "off"}))
    world.root.rename(world.folder / "aside")
    eye.look()
    eye.moved += timedelta(days=1)
    assert eye.kinds() == []


def test_the_owner_is_reminded_daily_of_jobs_that_wait_too_long(world: World) -> None:
    eye = Eye(world, notify=Notify(remind_after=3_600.0))
    eye.look()
    world.submit("one")
    world.submit("two")
    eye.look()
    eye.moved = timedelta(hours=1)
    assert eye.kinds() == ["review.reminder"]
    assert eye.kinds() == []
    eye.moved = timedelta(hours=26)
    world.owner.scq("reject", "one", "-r", "no")
    assert eye.kinds() == ["job.rejected", "review.reminder"]
    (row,) = (
        row
        for row in eye.context().store.load().outbox.values()
        if row.kind == "review.reminder" and "one" not in row.context["waiting"]
    )
    assert row.context["count"] == "1"


def test_what_the_first_look_tells_of_is_not_reminded_of_at_once(world: World) -> None:
    world.submit()
    eye = Eye(world, notify=Notify(remind_after=3_600.0))
    eye.moved = timedelta(days=3)
    assert eye.kinds() == ["baseline"]
    eye.moved += timedelta(hours=1)
    assert eye.kinds() == []


def test_the_heartbeat_is_told_at_its_interval(world: World) -> None:
    eye = Eye(world, notify=Notify(heartbeat_enabled=True, heartbeat_interval=600.0))
    assert eye.kinds() == ["heartbeat"], "the first at once"
    assert eye.kinds() == []
    eye.moved = timedelta(minutes=10)
    assert eye.kinds() == ["heartbeat"]
    assert {row.context["interval_human"] for row in eye.context().store.load().outbox.values()} == {"10 minutes"}


def marked(eye: Eye, entity: str, word: str) -> None:
    store = eye.context().store
    store.update(lambda state: replace(state, notified={**state.notified, entity: (word,)}))


def test_what_other_software_with_this_state_has_told_is_not_told_again(world: World) -> None:
    eye = Eye(world)
    eye.look()
    marked(eye, "count", "new")
    world.submit("count")
    assert eye.kinds() == ["job.received"]
    assert eye.context().store.load().outbox == {}


def test_a_name_a_job_had_that_is_over_says_nothing_about_a_new_one(world: World) -> None:
    eye = Eye(world)
    eye.look()
    world.ended("count")
    eye.look(full=True)
    known = eye.context().store.load().outbox.keys()
    marked(eye, "count", "new")
    world.submit("count", by=world.second)
    eye.look()
    state = eye.context().store.load()
    assert {row.kind for key, row in state.outbox.items() if key not in known} == {"job.received"}


def test_an_approval_by_other_software_is_adopted_only_when_allowed_and_written_into_the_audit_log(
    world: World, tmp_path: Path
) -> None:
    uid = world.submit(layout="c0")
    world.owner.scq("check")
    other = Person(tmp_path / "other", world.root, OWNER)
    other.scq("approve", uid, "-r", "fine")
    assert Eye(world).look().state.jobs.popitem()[1].status == "pending"
    adopting = Eye(world, adopt=True)
    assert adopting.kinds() == ["job.approved"]
    assert adopting.kinds() == []
    rows = world.owner.json("audit", "show")["rows"]
    assert [(row["what"], row["job"]) for row in rows] == [("opt-out", ""), ("adopt", uid), ("config", "")]


def test_a_copied_id_does_not_take_the_id_of_an_own_job(world: World) -> None:
    eye = Eye(world)
    uid = world.submit(layout="a3")
    place = world.place(uid)
    foreign = world.root / "datasites" / SCIENTIST / place.relative_to(world.root / "datasites" / OWNER)
    foreign.parent.mkdir(parents=True)
    import shutil

    shutil.copytree(place, foreign)
    jobs = view(eye.context(), full=True).jobs()
    assert sorted(job.sighting.owner for job in jobs.values() if job.id == uid) == [OWNER]
    assert len({job.id for job in jobs.values()}) == 2


def test_a_view_of_everything_holds_the_jobs_that_are_over(world: World) -> None:
    eye = Eye(world)
    uid = world.ended()
    eye.look(full=True)
    assert view(eye.context(), full=False).jobs() == {}
    assert [job.id for job in view(eye.context(), full=True).jobs().values()] == [uid]


@pytest.mark.parametrize("settings", [{"quorum": 2}, {"reviewers": (OWNER,)}])
def test_an_approval_by_other_software_has_no_name_that_counts(world: World, tmp_path: Path, settings: dict[str, object]) -> None:
    world.submit(layout="c0")
    Person(tmp_path / "other", world.root, OWNER).scq("approve", "count")
    strict = Eye(world, adopt=True, **settings)
    assert strict.look().state.jobs.popitem()[1].status == "pending"


def told(state: State) -> list[tuple[str, str]]:
    return [(row.what, row.detail) for row in state.audit]


def test_safe_settings_are_remembered_in_silence() -> None:
    first = noted(State(), Config(email=OWNER), NOW)
    assert told(first) == []
    assert first.security["sandbox.type"] == "bwrap"
    assert noted(first, Config(email=OWNER), NOW) is first


def test_each_setting_that_matters_for_safety_is_a_row_when_it_changes() -> None:
    first = noted(State(), Config(email=OWNER), NOW)
    data = (DataFolder("/srv/cohort", "/data/cohort"),)
    changed = Config(email=OWNER, quorum=2, deny=("network",), data=data, limit_memory=1 << 20, retry_interrupted=True)
    found = noted(first, replace(changed, auto_release=AutoRelease(types=(".csv",)), hold_outputs="release"), NOW)
    assert sorted(told(found)) == [
        ("config", "approvals.quorum: 1 → 2"),
        ("config", 'auto_release.types: [] → [".csv"]'),
        ("config", 'data: [] → [{"path":"/srv/cohort","at":"/data/cohort","submitters":[],"tags":[]}]'),
        ("config", 'deny: [] → ["network"]'),
        ("config", "limits.memory: 4294967296 → 1048576"),
        ("config", "results.outputs: hold → release"),
        ("config", "run.retry_interrupted: false → true"),
    ]
    assert {row.by for row in found.audit} == {OWNER}
    assert told(noted(found, replace(changed, queue_name="other"), NOW))[7:] == [
        ("config", "results.outputs: release → hold"),
        ("config", 'auto_release.types: [".csv"] → []'),
    ], "what has nothing to do with safety is no row"


def test_what_takes_protection_away_is_a_row_at_once() -> None:
    bare = Config(email=OWNER, sandbox="none", network="full")
    assert told(noted(State(), bare, NOW)) == [("opt-out", "sandbox.type: none"), ("opt-out", "network: full")]
    later = noted(noted(State(), Config(email=OWNER), NOW), bare, NOW)
    assert sorted(told(later)) == [
        ("config", "network: prepare → full"),
        ("config", "sandbox.type: bwrap → none"),
        ("opt-out", "network: full"),
        ("opt-out", "sandbox.type: none"),
    ]
    assert noted(later, bare, NOW) is later


def test_a_key_that_an_older_scq_did_not_know_is_remembered_in_silence() -> None:
    first = noted(State(), Config(email=OWNER), NOW)
    older = replace(first, security={key: word for key, word in first.security.items() if key != "deny"})
    assert told(noted(older, Config(email=OWNER, deny=("eval",)), NOW)) == []


def test_a_long_setting_does_not_make_an_endless_row() -> None:
    first = noted(State(), Config(email=OWNER), NOW)
    data = tuple(DataFolder(f"/srv/{number}", f"/data/{number}") for number in range(100))
    assert len(told(noted(first, Config(email=OWNER, data=data), NOW))[0][1]) <= 500


def test_a_change_of_settings_is_saved_by_the_next_look_and_nothing_by_the_one_after(world: World) -> None:
    Eye(world).look()
    before = Eye(world, quorum=2).look().state
    assert told(before)[-1] == ("config", "approvals.quorum: 1 → 2")
    assert Eye(world, quorum=2).look().state.revision == before.revision
