"""What the documented state manager knows of scq's own messages, and what newer callers keep in it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq.errors import ConfigError, UsageError
from scq.formats import parse_time
from scq.library.notifications import JsonStateManager
from scq.model import Notification
from scq.store import Store

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ONE, TWO = "11111111" + "a" * 24, "22222222" + "b" * 24
ANA = "ana@uni.example"


def older(**fields: Any) -> dict[str, Any]:
    """A state file as syft-bg 0.3 writes it."""
    return {
        "notified_jobs": {"income": ["new", "approved", "executed"], "peer_granted_x@y.org": ["peer_granted"]},
        "approved_jobs": {
            "income": {"approved_at": "2026-01-01T00:00:00+00:00", "submitted_by": ANA},
            "peer_old@uni.example": {"approved_at": "2026-01-01T00:00:00+00:00", "domain": "uni.example"},
        },
        "approved_peers": {f"peer_{ANA}": {"approved_at": "2026-01-01T00:00:00+00:00", "domain": "uni.example"}},
        "thread_ids": {"income": "18c2f"},
        "peer_snapshot": [ANA],
        "snapshot": {"sync_time": 0.0, "job_names": [], "peer_emails": [], "approved_peer_emails": []},
        "email_approve_last_history_id": "991",
        **fields,
    }


def row(key: str, kind: str, job: str, name: str, state: Any = "sent", **more: Any) -> Notification:
    return Notification(
        key=key,
        event=key,
        kind=kind,
        job_id=job,
        channel="post",
        recipient=ANA,
        role="do",
        created_at=NOW,
        state=state,
        context={"name": name},
        **more,
    )


@pytest.fixture
def manager(tmp_path: Path) -> JsonStateManager:
    return JsonStateManager(tmp_path / "state.json")


def put(manager: JsonStateManager, *rows: Notification) -> None:
    Store(os.path.dirname(manager.state_file)).update(
        lambda state: replace(state, outbox={**state.outbox, **{each.key: each for each in rows}})
    )


@pytest.mark.parametrize("word", [ONE, ONE[:8], "income"])
@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("job.received", "new"),
        ("job.approved", "approved"),
        ("job.completed", "executed"),
        ("job.failed", "failed"),
        ("job.rejected", "rejected"),
    ],
)
def test_what_scq_has_sent_was_notified(manager: JsonStateManager, word: str, kind: str, event: str) -> None:
    put(manager, row("a", kind, ONE, "income"))
    assert manager.was_notified(word, event)
    assert not manager.was_notified(word, "heard")
    assert not manager.was_notified("incom", event)
    assert not manager.was_notified("", event)


@pytest.mark.parametrize("state", ["queued", "sending", "ambiguous", "deferred", "dead", "dropped"])
def test_what_was_not_sent_was_not_notified(manager: JsonStateManager, state: str) -> None:
    put(manager, row("a", "job.received", ONE, "income", state))
    assert not manager.was_notified("income", "new")


def test_what_was_told_in_a_digest_was_notified(manager: JsonStateManager) -> None:
    put(manager, row("a", "job.received", ONE, "income", "bundled"))
    assert manager.was_notified(ONE, "new")


def test_a_name_two_jobs_have_means_neither(manager: JsonStateManager) -> None:
    put(manager, row("a", "job.received", ONE, "income"), row("b", "job.received", TWO, "income", "queued"))
    assert not manager.was_notified("income", "new")
    assert manager.was_notified(ONE, "new")
    assert not manager.was_notified(TWO, "new")


def test_marks_of_one_job_are_found_by_all_its_words(manager: JsonStateManager) -> None:
    put(manager, row("a", "job.started", ONE, "income"))
    manager.mark_notified("income", "new")
    manager.mark_notified(ONE, "approved")
    manager.mark_notified(ONE[:8], "executed")
    for word in (ONE, ONE[:8], "income"):
        assert [manager.was_notified(word, event) for event in ("new", "approved", "executed", "failed")] == [True] * 3 + [False]


def test_a_mark_by_name_counts_for_no_job_when_two_have_it(manager: JsonStateManager) -> None:
    put(manager, row("a", "job.started", ONE, "income"), row("b", "job.started", TWO, "income"))
    manager.mark_notified("income", "new")
    assert manager.was_notified("income", "new")
    assert not manager.was_notified(ONE, "new")


def test_a_granted_peer_was_notified_when_the_mail_was_sent(manager: JsonStateManager) -> None:
    sent = row("a", "peer.granted", "", "")
    put(manager, replace(sent, context={"ds_email": ANA, "owner": "o@x.org"}))
    assert manager.was_notified(f"peer_granted_{ANA}", "peer_granted")
    assert not manager.was_notified("peer_granted_other@x.org", "peer_granted")
    put(manager, replace(sent, state="queued"))
    assert not manager.was_notified(f"peer_granted_{ANA}", "peer_granted")


def test_a_thread_is_found_both_ways(manager: JsonStateManager) -> None:
    assert manager.get_thread_id("income") is None
    assert manager.get_job_name_by_thread_id("18c2f") is None
    manager.store_thread_id("income", "18c2f")
    manager.store_thread_id("income", "99")
    again = JsonStateManager(manager.state_file)
    assert again.get_thread_id("income") == "99"
    assert again.get_job_name_by_thread_id("99") == "income"
    assert again.get_job_name_by_thread_id("18c2f") is None


def test_approvals_are_notes_with_a_time(manager: JsonStateManager) -> None:
    assert not manager.was_approved("income")
    manager.mark_approved("income", ANA)
    before = manager.get_approved_jobs()
    manager.mark_approved("income", "other@x.org")
    assert manager.was_approved("income")
    assert manager.get_approved_jobs() == before
    assert before["income"]["submitted_by"] == ANA
    assert parse_time(before["income"]["approved_at"]) is not None


def test_peers_are_approved_whatever_the_case_of_their_address(manager: JsonStateManager) -> None:
    manager.mark_peer_approved("Ana@Uni.Example")
    assert manager.was_peer_approved(ANA)
    assert not manager.was_peer_approved("other@uni.example")
    assert manager.get_approved_peers()[f"peer_{ANA}"]["domain"] == "uni.example"
    assert manager.get_approved_jobs() == {}


def test_it_is_empty_until_something_was_told_or_approved(tmp_path: Path) -> None:
    acts: list[Callable[[JsonStateManager], object]] = [
        lambda manager: manager.mark_notified("a", "new"),
        lambda manager: manager.mark_approved("a"),
        lambda manager: manager.mark_peer_approved(ANA),
        lambda manager: put(manager, row("a", "job.received", ONE, "income", "queued")),
    ]
    for number, act in enumerate(acts):
        manager = JsonStateManager(tmp_path / str(number) / "state.json")
        manager.set_data("key", 1)
        manager.store_thread_id("a", "t")
        assert manager.is_empty()
        act(manager)
        assert not manager.is_empty()


def test_free_values_cannot_reach_what_scq_keeps(manager: JsonStateManager) -> None:
    manager.store_thread_id("income", "18c2f")
    manager.set_data("thread_ids", {"income": "free"})
    assert manager.get_thread_id("income") == "18c2f"
    with pytest.raises(UsageError, match="kept for scq"):
        manager.set_data("scq.thread_ids", {})


@pytest.mark.parametrize(
    "act",
    [
        lambda manager: manager.store_thread_id("a", None),
        lambda manager: manager.store_thread_id(3, "t"),
        lambda manager: manager.mark_approved(None),
        lambda manager: manager.mark_approved("a", b"x"),
        lambda manager: manager.mark_peer_approved(None),
        lambda manager: manager.mark_peer_approved("\udcff"),
    ],
)
def test_what_cannot_be_stored_is_refused(manager: JsonStateManager, act: Callable[[JsonStateManager], None]) -> None:
    with pytest.raises(UsageError):
        act(manager)
    assert not os.path.exists(manager.state_file)


def test_an_older_file_answers_everything_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps(older()))
    manager = JsonStateManager(path)
    assert not manager.is_empty()
    assert manager.was_notified("income", "executed")
    assert manager.was_notified("peer_granted_x@y.org", "peer_granted")
    assert manager.get_thread_id("income") == "18c2f"
    assert manager.get_job_name_by_thread_id("18c2f") == "income"
    assert list(manager.get_approved_jobs()) == ["income"]
    assert set(manager.get_approved_peers()) == {"peer_old@uni.example", f"peer_{ANA}"}
    assert manager.was_peer_approved("old@uni.example")
    assert manager.get_data("email_approve_last_history_id") == "991"
    assert json.loads(path.read_text()) == older()


def test_an_older_file_goes_on_after_a_change(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps(older()))
    manager = JsonStateManager(path)
    manager.mark_approved("second", ANA)
    manager.store_thread_id("second", "77")
    again = JsonStateManager(path)
    assert set(again.get_approved_jobs()) == {"income", "second"}
    assert [again.get_thread_id(name) for name in ("income", "second")] == ["18c2f", "77"]
    assert again.was_notified("income", "new")
    assert json.loads((tmp_path / "state.json.legacy").read_text()) == older()


@pytest.mark.parametrize("value", [None, 3, "text", [1], {"income": 5}, {"income": None}])
def test_odd_values_in_an_older_file_are_nobodys_threads(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps(older(thread_ids=value, approved_jobs=value, approved_peers=value)))
    manager = JsonStateManager(path)
    assert manager.get_thread_id("income") is None
    assert not manager.was_approved("other")
    assert not manager.was_peer_approved(ANA)
    manager.store_thread_id("other", "1")
    assert manager.get_thread_id("other") == "1"
    assert manager.get_data("thread_ids") == value


@pytest.mark.parametrize("marks", ["3", "[]", '"x"', '{}, "thread_ids": ' + "[" * 5_000 + "]" * 5_000])
def test_an_older_file_whose_marks_are_damaged_stops_instead_of_forgetting(tmp_path: Path, marks: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(f'{{"notified_jobs": {marks}}}')
    manager = JsonStateManager(path)
    for act in (lambda: manager.is_empty(), lambda: manager.mark_approved("a")):
        with pytest.raises(ConfigError):
            act()
