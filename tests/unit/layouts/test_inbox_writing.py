"""Generation C: verdicts, runs and results as the peers read them, repeatable, and through no link."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from scq.errors import IntegrityError
from scq.model import Sighting
from scq.permissions import rule
from tests import golden
from tests.unit.layouts.inbox_trees import (
    DS,
    KEYS,
    LOGS,
    NOW,
    OWNER,
    QUEUE,
    PowerCut,
    a_run,
    approval,
    disk,
    layout,
    only,
    put_job,
    put_state,
    rejection,
    results_of,
    review_of,
    rules_of,
    sightings,
    snapshot,
    spoil,
    state_of,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "SyftBox"
    (folder / QUEUE).mkdir(parents=True)
    return folder


FLAT_STATE = """\
approval_method: manual
approved_at: '2026-11-21T09:00:00.123456Z'
approved_by: owner@example.org
completed_at: null
received_at: '2026-11-21T09:00:00.123456Z'
rejected_at: null
rejected_by: null
rejection_reason: null
return_code: null
review_reason: Looks safe
status: approved
"""
V1_STATE = """\
approval_method: manual
approved_at: '2026-11-21T09:00:00.123456Z'
approved_by: owner@example.org
canonical_name: JobState
completed_at: null
received_at: '2026-11-21T09:00:00.123456Z'
rejected_at: null
rejected_by: null
return_code: null
review_reason: Looks safe
status: approved
version: '1'
"""


@pytest.mark.parametrize(("key", "text"), [(KEYS[0], FLAT_STATE), (KEYS[1], V1_STATE)])
def test_an_approval_is_byte_for_byte_what_the_peers_write(root: Path, key: str, text: str) -> None:
    put_job(root, key)
    layout.decide(str(root), only(root), approval())
    path = review_of(root, key) / "state.yaml"
    assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o644
    sighting = only(root)
    assert (sighting.observed, sighting.decided_by, sighting.decided_at, sighting.reason) == (
        "approved",
        OWNER,
        NOW,
        "Looks safe",
    )


def test_whole_seconds_are_written_without_microseconds(root: Path) -> None:
    put_job(root)
    layout.decide(str(root), only(root), approval(at=NOW.replace(microsecond=0)))
    assert state_of(root)["approved_at"] == "2026-11-21T09:00:00Z"


@pytest.mark.parametrize("key", KEYS)
def test_a_rejection_keeps_its_reason_where_each_release_looks(root: Path, key: str) -> None:
    put_job(root, key)
    put_state(root, key, status="pending", received_at="2026-11-21T08:00:00Z")
    layout.decide(str(root), only(root), rejection())
    state = state_of(root, key)
    assert (state["status"], state["review_reason"], state["rejected_by"]) == ("rejected", "Too broad", OWNER)
    assert state["rejected_at"] == "2026-11-21T09:00:00.123456Z"
    assert state["received_at"] == "2026-11-21T08:00:00Z"
    assert state.get("rejection_reason") == (None if key.startswith("v1/") else "Too broad")
    assert ("rejection_reason" in state) != key.startswith("v1/")
    assert only(root).reason == "Too broad"


def test_no_reason_is_null(root: Path) -> None:
    put_job(root)
    layout.decide(str(root), only(root), approval(reason=""))
    assert state_of(root)["review_reason"] is None


def test_unknown_keys_and_unquoted_times_of_a_peer_survive(root: Path) -> None:
    put_job(root)
    review = put_state(root, status="pending")
    (review / "state.yaml").write_text("status: pending\nreceived_at: 2026-11-21T08:00:00Z\nfuture_key: {a: [1, 2]}\n")
    layout.decide(str(root), only(root), approval())
    state = state_of(root)
    assert (state["future_key"], state["received_at"]) == ({"a": [1, 2]}, "2026-11-21T08:00:00Z")


def test_values_the_peers_would_choke_on_are_not_written_back(root: Path) -> None:
    put_job(root)
    put_state(root, status="pending", received_at=5, return_code="x", rejected_by=[1], completed_at="soon")
    layout.decide(str(root), only(root), approval())
    state = state_of(root)
    assert [state[key] for key in ("received_at", "return_code", "rejected_by", "completed_at")] == [None] * 4


def test_a_decision_looks_at_the_file_and_not_at_what_was_seen_before(root: Path) -> None:
    put_job(root)
    seen = only(root)
    put_state(root, status="done", return_code=0, completed_at="2026-11-21T08:00:00Z")
    before = (review_of(root) / "state.yaml").read_bytes()
    layout.decide(str(root), seen, approval())
    layout.decide(str(root), seen, rejection())
    assert (review_of(root) / "state.yaml").read_bytes() == before


def test_a_running_job_can_be_rejected_but_not_approved(root: Path) -> None:
    put_job(root)
    put_state(root, status="running")
    layout.decide(str(root), only(root), approval())
    assert state_of(root)["status"] == "running"
    layout.decide(str(root), only(root), rejection())
    assert state_of(root)["status"] == "rejected"


def test_approving_after_a_rejection_leaves_no_trace_of_it(root: Path) -> None:
    put_job(root)
    layout.decide(str(root), only(root), rejection())
    layout.decide(str(root), only(root), approval())
    state = state_of(root)
    assert (state["status"], state["rejected_by"], state["rejected_at"], state["rejection_reason"]) == (
        "approved",
        None,
        None,
        None,
    )


def test_an_adopted_approval_stays_as_the_peer_wrote_it(root: Path) -> None:
    put_job(root)
    put_state(root, status="approved", approved_by="peer", approval_method="auto")
    before = (review_of(root) / "state.yaml").read_bytes()
    layout.decide(str(root), only(root), approval(method="adopted"))
    assert (review_of(root) / "state.yaml").read_bytes() == before


@pytest.mark.parametrize("how", ["empty", "list", "fifo", "link", "huge", "torn"])
def test_a_damaged_state_cannot_be_approved_begun_or_reopened_but_rejected(root: Path, how: str) -> None:
    put_job(root)
    review = put_state(root, status="approved")
    spoil(review / "state.yaml", how)
    sighting = only(root)
    for write in (
        lambda: layout.decide(str(root), sighting, approval()),
        lambda: layout.begin(str(root), sighting, a_run()),
        lambda: layout.reopen(str(root), sighting),
    ):
        with pytest.raises(IntegrityError, match=r"state\.yaml"):
            write()
    layout.decide(str(root), sighting, rejection())
    assert only(root).observed == "rejected"
    assert not (review / "state.yaml").is_symlink()


def test_a_word_nobody_knows_cannot_be_approved(root: Path) -> None:
    put_job(root)
    put_state(root, status="timedout")
    with pytest.raises(IntegrityError, match="'timedout' is unknown"):
        layout.decide(str(root), only(root), approval())
    assert state_of(root)["status"] == "timedout"


def test_a_folder_in_place_of_the_state_is_named(root: Path) -> None:
    put_job(root)
    (review_of(root) / "state.yaml").mkdir(parents=True)
    with pytest.raises(IntegrityError, match="is a folder"):
        layout.decide(str(root), only(root), rejection())


@pytest.mark.parametrize("key", KEYS)
def test_a_whole_run_is_shown_step_by_step_and_each_step_can_be_repeated(root: Path, tmp_path: Path, key: str) -> None:
    put_job(root, key)
    first = only(root)
    collected = results_of(tmp_path)
    steps: list[tuple[Callable[[Sighting], None], str]] = [
        (lambda seen: layout.decide(str(root), seen, approval()), "approved"),
        (lambda seen: layout.begin(str(root), seen, a_run()), "running"),
        (lambda seen: layout.finish(str(root), seen, collected), "completed"),
    ]
    for step, observed in steps:
        step(first)
        assert only(root).observed == observed
        once = snapshot(root)
        step(only(root) if observed != "running" else first)
        assert snapshot(root) == once
    done = only(root)
    assert (done.exit_code, done.finished_at, done.decided_by) == (0, NOW + timedelta(seconds=2), OWNER)
    assert done.flags == ()
    result = layout.results(disk(root), done)
    assert result.outputs == ("deep/table.csv", "rows.txt")
    assert [path.rpartition("/")[2] for path in result.logs] == LOGS
    review = review_of(root, key)
    assert (review / "stdout.txt").read_bytes() == b"hello\xff\n"
    assert (review / "stderr.txt").read_bytes() == b""
    assert (review / "returncode.txt").read_bytes() == b"0"
    assert rules_of(review) == [rule("state.yaml", read=(DS,))]


@pytest.mark.parametrize(
    ("cause", "exit_code", "code", "observed"),
    [
        ("exit", 0, 0, "completed"),
        ("exit", 3, 3, "failed"),
        ("exit", -9, -9, "failed"),
        ("exit", None, -1, "failed"),
        ("timeout", None, -1, "failed"),
        ("timeout", 124, 124, "failed"),
        ("timeout", 0, -1, "failed"),
        ("interrupted", None, -1, "failed"),
        ("integrity", None, -1, "failed"),
        ("output", 0, -1, "failed"),
        (None, 0, -1, "failed"),
    ],
)
def test_only_a_script_that_ended_well_is_done(
    root: Path, tmp_path: Path, cause: str | None, exit_code: int | None, code: int, observed: str
) -> None:
    put_job(root)
    layout.finish(str(root), only(root), results_of(tmp_path, a_run(cause=cause, exit_code=exit_code)))
    sighting = only(root)
    assert (sighting.observed, sighting.exit_code, sighting.flags) == (observed, code, ())
    assert (review_of(root) / "returncode.txt").read_text() == str(code)


def test_a_run_without_outputs_shows_an_empty_folder(root: Path, tmp_path: Path) -> None:
    put_job(root)
    old = review_of(root) / "outputs/old.txt"
    old.parent.mkdir(parents=True)
    old.write_text("x")
    for _ in range(2):
        layout.finish(str(root), only(root), results_of(tmp_path, outputs_dir=None))
        assert list((review_of(root) / "outputs").iterdir()) == []


def test_a_run_that_ended_unseen_is_dated_by_what_is_known(root: Path, tmp_path: Path) -> None:
    put_job(root)
    layout.finish(str(root), only(root), results_of(tmp_path, a_run(started_at=None, finished_at=None)))
    assert only(root).finished_at == NOW


def test_a_run_is_recorded_even_when_the_state_was_torn_meanwhile(root: Path, tmp_path: Path) -> None:
    put_job(root)
    sighting = only(root)
    review = put_state(root, status="running")
    (review / "state.yaml").write_text("")
    layout.finish(str(root), sighting, results_of(tmp_path))
    assert only(root).observed == "completed"


def test_a_run_can_be_shared_from_the_start(root: Path, tmp_path: Path) -> None:
    put_job(root)
    layout.finish(str(root), only(root), results_of(tmp_path, a_run(share_outputs=True, share_logs=True)))
    expected = [rule(name, read=(DS,)) for name in ("state.yaml", "outputs/**", *LOGS)]
    assert rules_of(review_of(root)) == expected
    assert not (review_of(root).parent / "syft.pub.yaml").exists()


def test_what_may_be_read_is_settled_before_anything_is_published(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_job(root)
    order: list[str] = []
    plain = os.replace

    def replace(source: str, target: str) -> None:
        order.append(os.path.basename(target))
        plain(source, target)

    monkeypatch.setattr(os, "replace", replace)
    layout.finish(str(root), only(root), results_of(tmp_path))
    assert order == ["syft.pub.yaml", "stdout.txt", "stderr.txt", "returncode.txt", "state.yaml"]


def test_a_second_run_is_private_again(root: Path, tmp_path: Path) -> None:
    put_job(root)
    layout.finish(str(root), only(root), results_of(tmp_path, a_run(share_outputs=True, share_logs=True)))
    layout.reopen(str(root), only(root))
    layout.finish(str(root), only(root), results_of(tmp_path))
    assert rules_of(review_of(root)) == [rule("state.yaml", read=(DS,))]


def test_outputs_cannot_make_themselves_readable(root: Path, tmp_path: Path) -> None:
    put_job(root)
    collected = results_of(tmp_path)
    (tmp_path / "collected/syft.pub.yaml").write_text("rules: [{pattern: '**', access: {read: ['*']}}]\n")
    layout.finish(str(root), only(root), collected)
    assert not (review_of(root) / "outputs/syft.pub.yaml").exists()


@pytest.mark.parametrize("status", ["rejected", "done", "failed"])
def test_a_job_that_was_settled_meanwhile_is_not_begun(root: Path, status: str) -> None:
    put_job(root)
    seen = only(root)
    put_state(root, status=status)
    with pytest.raises(IntegrityError, match=f"is {status} by now"):
        layout.begin(str(root), seen, a_run())
    assert state_of(root)["status"] == status


def test_reopening_takes_everything_back_and_can_be_repeated(root: Path, tmp_path: Path) -> None:
    put_job(root)
    layout.decide(str(root), only(root), approval())
    layout.finish(str(root), only(root), results_of(tmp_path, a_run(exit_code=3, share_outputs=True)))
    done = only(root)
    (review_of(root) / ".outputs.4711.tmp").mkdir()
    for _ in range(2):
        layout.reopen(str(root), done)
        assert sorted(os.listdir(review_of(root))) == ["state.yaml", "syft.pub.yaml"]
        assert (review_of(root) / "state.yaml").read_text() == FLAT_STATE
        assert rules_of(review_of(root)) == [rule("state.yaml", read=(DS,))]


def test_a_rejected_job_is_not_reopened(root: Path) -> None:
    put_job(root)
    layout.decide(str(root), only(root), rejection())
    with pytest.raises(IntegrityError, match="is rejected"):
        layout.reopen(str(root), only(root))
    assert only(root).observed == "rejected"


@pytest.mark.parametrize(("outputs", "logs"), [(True, False), (False, True), (True, True), (False, False)])
def test_sharing_adds_exactly_what_was_asked_for(root: Path, tmp_path: Path, outputs: bool, logs: bool) -> None:
    put_job(root)
    layout.finish(str(root), only(root), results_of(tmp_path))
    for _ in range(2):
        layout.share(str(root), only(root), None, outputs=outputs, logs=logs)
        patterns = ["state.yaml", *(["outputs/**"] if outputs else []), *(LOGS if logs else [])]
        assert rules_of(review_of(root)) == [rule(pattern, read=(DS,)) for pattern in patterns]


def test_sharing_reaches_outputs_that_a_peer_locked_with_a_file_of_their_own(root: Path) -> None:
    put_job(root)
    review = put_state(root, status="done")
    (review / "outputs").mkdir()
    (review / "outputs/syft.pub.yaml").write_text(yaml.safe_dump({"rules": [rule("**", read=(OWNER,))], "terminal": False}))
    layout.share(str(root), only(root), None, outputs=False, logs=True)
    assert rules_of(review / "outputs") == [rule("**", read=(OWNER,))]
    layout.share(str(root), only(root), None, outputs=True, logs=False)
    assert rules_of(review / "outputs") == [rule("**", read=(OWNER, DS))]


def writes(root: Path, sighting: Sighting, tmp_path: Path) -> list[Callable[[], None]]:
    box = str(root)
    return [
        lambda: layout.decide(box, sighting, approval()),
        lambda: layout.decide(box, sighting, rejection()),
        lambda: layout.begin(box, sighting, a_run()),
        lambda: layout.finish(box, sighting, results_of(tmp_path)),
        lambda: layout.reopen(box, sighting),
        lambda: layout.share(box, sighting, None, outputs=True, logs=True),
    ]


@pytest.mark.parametrize("part", ["", DS, f"{DS}/v1", f"{DS}/v1/job"])
def test_no_write_goes_through_a_link(root: Path, tmp_path: Path, part: str) -> None:
    put_job(root, "v1/job")
    sighting = only(root)
    victim = tmp_path / "victim"
    (victim / DS / "v1/job").mkdir(parents=True)
    place = root / QUEUE / "review" / part
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(victim)
    before = snapshot(victim)
    for write in writes(root, sighting, tmp_path):
        with pytest.raises(IntegrityError, match=f"{place}: is a symbolic link"):
            write()
    assert snapshot(victim) == before


def test_results_do_not_go_through_a_linked_outputs_folder(root: Path, tmp_path: Path) -> None:
    put_job(root)
    review = put_state(root, status="running")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "syft.pub.yaml").write_text("rules: []\n")
    (review / "outputs").symlink_to(victim)
    with pytest.raises(IntegrityError, match="symbolic link"):
        layout.finish(str(root), only(root), results_of(tmp_path))
    layout.share(str(root), only(root), None, outputs=True, logs=False)
    assert snapshot(victim) == {"syft.pub.yaml": b"rules: []\n"}
    assert state_of(root)["status"] == "running"
    layout.reopen(str(root), only(root))
    assert snapshot(victim) == {"syft.pub.yaml": b"rules: []\n"}
    assert not (review / "outputs").exists()


def test_links_in_place_of_the_written_files_are_replaced_and_not_followed(root: Path, tmp_path: Path) -> None:
    put_job(root)
    review = put_state(root, status="running")
    victim = tmp_path / "victim"
    victim.write_text("keep")
    for name in (*LOGS, "syft.pub.yaml"):
        (review / name).symlink_to(victim)
    layout.finish(str(root), only(root), results_of(tmp_path))
    assert victim.read_text() == "keep"
    assert not any((review / name).is_symlink() for name in LOGS)


@pytest.mark.parametrize("key", KEYS)
def test_dying_between_any_two_writes_leaves_a_readable_job_that_the_next_call_completes(
    root: Path, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_job(root, key)
    layout.decide(str(root), only(root), approval())
    layout.begin(str(root), only(root), a_run())
    start = snapshot(root)
    running = only(root)
    calls = [(os, "replace"), (os, "rename"), (os, "mkdir"), (os, "unlink"), (os, "rmdir")]
    cut = 0
    while True:
        restore(root, start)
        with monkeypatch.context() as patch:
            counter = iter(range(10_000))
            for module, name in calls:
                patch.setattr(module, name, dying(getattr(module, name), counter, cut))
            try:
                layout.finish(str(root), running, results_of(tmp_path))
            except PowerCut:
                died = True
            else:
                died = False
        sighting = only(root)
        assert sighting.observed == ("running" if died else "completed")
        assert "damaged" not in sighting.flags
        if not died:
            break
        layout.finish(str(root), running, results_of(tmp_path))
        assert only(root).observed == "completed"
        assert sorted(name for name in os.listdir(review_of(root, key)) if not name.startswith(".")) == sorted(
            [*LOGS, "outputs", "state.yaml", "syft.pub.yaml"]
        )
        cut += 1
    assert cut == 12


def dying(call: Callable[..., Any], counter: Any, cut: int) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if next(counter) == cut:
            raise PowerCut
        return call(*args, **kwargs)

    return wrapped


def restore(root: Path, content: dict[str, bytes | None]) -> None:
    shutil.rmtree(root)
    for path, data in content.items():
        if data is None:
            (root / path).mkdir(parents=True, exist_ok=True)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)


@pytest.mark.skipif(not golden.AVAILABLE, reason="golden trees are not at hand")
def test_an_approval_written_over_a_peers_state_differs_only_in_its_fields(tmp_path: Path) -> None:
    for scenario, extra in (("c0b-syft-job-0.1.38/pending", {"rejection_reason": None}), ("c1-syft-job-0.1.40/pending", {})):
        root = golden.materialise(scenario, tmp_path / scenario[:2] / scenario[2:4])
        for sighting in sightings(root):
            path = root / str(sighting.review_path) / "state.yaml"
            before = yaml.safe_load(path.read_text())
            layout.decide(str(root), sighting, approval())
            changed = {"approved_by": OWNER, "approval_method": "manual", "review_reason": "Looks safe", "status": "approved"}
            expected = {**before, **extra, **changed, "approved_at": "2026-11-21T09:00:00.123456Z"}
            assert yaml.safe_load(path.read_text()) == expected
            assert path.read_bytes() == yaml.safe_dump(expected).encode()
