"""Documents of the version before are read, and what is written says which version it is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from scq.audit import head_after, read_rows
from scq.errors import ConfigError
from scq.model import AuditRow, Notification
from scq.state import SCHEMA, State
from scq.store import Store

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)


def older(home: Path, *states: str, **fields: Any) -> Store:
    """A store whose live document was written by the version before: no schema in it, and its own words for states."""
    rows = {}
    for number, state in enumerate(states):
        row = Notification(str(number), "1-0", "job.received", "id", "m", "a@b.org", "do", NOW, {"name": "n"})
        full = json.loads(msgspec.json.encode(row))
        new = ("level", "in_digest", "repeat", "ended_at")
        rows[str(number)] = {name: value for name, value in full.items() if name not in new} | {"state": state}
    home.mkdir(parents=True, exist_ok=True)
    document = {"revision": 7, "outbox": rows, "baseline_at": NOW.isoformat()} | fields
    (home / "state.json").write_text(json.dumps(document))
    return Store(str(home))


def test_the_states_of_the_version_before_are_understood(tmp_path: Path) -> None:
    store = older(tmp_path, "queued", "sending", "sent", "failed", "dropped")
    assert [row.state for row in store.load().outbox.values()] == ["queued", "sending", "sent", "dead", "dead"]
    assert store.problems == []


def test_nothing_else_is_lost_and_the_next_save_says_its_schema(tmp_path: Path) -> None:
    store = older(tmp_path, "failed", values={"mine": {"deep": [1, 2]}}, notified={"survey": ["new"]})
    store.update(lambda state: replace(state, swept_at=NOW))
    written = json.loads((tmp_path / "state.json").read_text())
    assert written["schema"] == SCHEMA == 3
    assert (written["revision"], written["values"], written["notified"]) == (8, {"mine": {"deep": [1, 2]}}, {"survey": ["new"]})
    assert written["outbox"]["0"]["state"] == "dead"
    again = Store(str(tmp_path)).load()
    assert msgspec.json.decode(msgspec.json.encode(again), type=State) == again


def test_a_row_dropped_by_hand_stays_so(tmp_path: Path) -> None:
    store = older(tmp_path, "queued")
    store.update(lambda state: replace(state, outbox={key: replace(row, state="dropped") for key, row in state.outbox.items()}))
    assert [row.state for row in Store(str(tmp_path)).load().outbox.values()] == ["dropped"]


def test_a_document_of_the_version_before_without_messages_is_read(tmp_path: Path) -> None:
    store = older(tmp_path)
    (tmp_path / "state.json").write_text('{"revision": 3}')
    assert store.load() == State(revision=3)


def test_jobs_that_are_over_are_read_from_the_version_before(tmp_path: Path) -> None:
    (tmp_path / "finished.json").write_text('{"schema":1,"counts":{"failed":2},"jobs":{}}')
    assert Store(str(tmp_path)).finished().counts == {"failed": 2}


@pytest.mark.parametrize("name", ["state.json", "finished.json"])
@pytest.mark.parametrize("schema", [SCHEMA + 1, 0, -1])
def test_a_document_of_a_later_version_is_refused_by_name(tmp_path: Path, name: str, schema: int) -> None:
    (tmp_path / name).write_text(json.dumps({"schema": schema, "revision": 1, "outbox": {"x": {"state": "beamed"}}}))
    store = Store(str(tmp_path))
    with pytest.raises(ConfigError, match=rf"{name}: has schema {schema}, this scq reads 1 to {SCHEMA}"):
        store.load() if name == "state.json" else store.finished()


@pytest.mark.parametrize("outbox", [[], {"x": 1}, {"x": {"state": "beamed"}}])
def test_a_damaged_document_of_the_version_before_is_replaced_by_its_backup(tmp_path: Path, outbox: Any) -> None:
    store = older(tmp_path, "failed")
    (tmp_path / "state.json").rename(tmp_path / "state.json.bak")
    older(tmp_path, outbox=outbox)
    assert [row.state for row in store.load().outbox.values()] == ["dead"]
    assert len(store.problems) == 1


FORMS = Path(__file__).with_name("store_forms")


@pytest.fixture(params=sorted(path.name for path in FORMS.iterdir()))
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A home as an earlier version left it: one job over, one that waits, one approved."""
    home = tmp_path / "home"
    shutil.copytree(FORMS / request.param, home)
    return home


def test_what_each_earlier_version_wrote_is_read_whole(written: Path) -> None:
    store = Store(str(written))
    state = store.load()
    jobs = {record.sighting.name: record for record in state.jobs.values()}
    assert {name: record.status for name, record in jobs.items()} == {"waits": "pending", "allowed": "approved"}
    assert jobs["allowed"].decision is not None
    assert jobs["allowed"].decision.digest == jobs["allowed"].digest
    assert state.baseline_at is not None
    kinds = [(row.kind, row.state) for row in state.outbox.values()]
    assert {("job.received", "sent"), ("job.approved", "queued")} <= set(kinds)
    (key,) = store.finished_keys()
    over = store.finished_record(key)
    assert over is not None
    assert (over.sighting.name, over.status) == ("over", "completed")
    assert store.problems == []


def test_what_is_saved_after_it_has_one_schema_and_continues_the_audit_log(written: Path) -> None:
    store = Store(str(written))
    row = AuditRow(n=store.load().audited + 1, at=NOW, what="config", by="a@b.org")
    store.update(lambda state: with_row(state, row))
    text = (written / "state.json").read_text()
    assert text.count('"schema"') == 1
    assert json.loads(text)["schema"] == SCHEMA
    rows = list(read_rows(store.audit_path))
    assert all(sealed for _, sealed in rows)
    assert rows[-1][0].what == "config"
    assert Store(str(written)).load().outbox == store.load().outbox


def with_row(state: State, row: AuditRow) -> State:
    return replace(state, audit=(*state.audit, row), audited=row.n, audit_head=head_after((row,), state.audit_head))


def test_a_document_of_a_later_version_stays_as_it_is_and_its_backup_is_not_used_for_it(written: Path) -> None:
    content = json.dumps({"schema": SCHEMA + 1, "revision": 9})
    (written / "state.json").rename(written / "state.json.bak")
    (written / "state.json").write_text(content)
    with pytest.raises(ConfigError) as caught:
        Store(str(written)).update(lambda state: replace(state, swept_at=NOW))
    assert caught.value.exit_code == 78
    assert "A newer scq wrote it" in caught.value.advice
    assert (written / "state.json").read_text() == content
    assert not list(written.glob("*.corrupt-*"))


class Killed(BaseException):
    """Nothing after it is done, as after SIGKILL."""


def kill_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done from the given call on that makes or removes a name."""
    made = 0

    def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **rest: Any) -> Any:
            nonlocal made
            made += 1
            if made >= number:
                raise Killed
            return real(*arguments, **rest)

        return call

    for name in ("link", "replace", "unlink"):
        monkeypatch.setattr(os, name, wrapped(getattr(os, name)))


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_a_kill_during_the_first_save_leaves_the_version_before(
    written: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before = Store(str(written)).load()
    with monkeypatch.context() as patched:
        kill_at(number, patched)
        with pytest.raises(Killed):
            Store(str(written)).update(lambda state: replace(state, swept_at=NOW))
    store = Store(str(written))
    assert (store.load(), store.problems) == (before, [])
    store.update(lambda state: replace(state, swept_at=NOW))
    assert json.loads((written / "state.json").read_text())["schema"] == SCHEMA


def test_the_backup_of_an_earlier_version_is_used_when_the_first_document_of_this_one_is_damaged(written: Path) -> None:
    before = Store(str(written)).load()
    Store(str(written)).update(lambda state: replace(state, swept_at=NOW))
    text = (written / "state.json").read_text()
    (written / "state.json").write_text(text[: len(text) // 2])
    store = Store(str(written))
    assert store.load() == before
    assert len(store.problems) == 1
    store.update(lambda state: replace(state, swept_at=NOW))
    assert Store(str(written)).load().swept_at == NOW


def test_the_two_documents_may_be_of_different_versions(written: Path) -> None:
    state = written / "state.json"
    content = state.read_bytes()
    store = Store(str(written))
    (over,) = store.finished_keys()
    store.tidy(lambda record: record.sighting.name == "waits", {}, None)
    assert json.loads((written / "finished.json").read_text())["schema"] == SCHEMA
    state.write_bytes(content)  # as a kill between the two leaves them
    store = Store(str(written))
    assert store.finished_keys() > {over}
    assert {record.sighting.name for record in store.load().jobs.values()} == {"waits", "allowed"}
    shutil.copy(FORMS / "schema-1" / "finished.json", written)
    store.update(lambda state: replace(state, swept_at=NOW))
    record = Store(str(written)).finished_record(over)
    assert record is not None
    assert record.status == "completed"
