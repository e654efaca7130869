"""Writing the code queue: every step, every step again, and every step that stops in the middle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from scq.errors import IntegrityError, InvalidFileError, UsageError
from scq.files import SMALL
from scq.layouts.code_queue import CodeQueue
from scq.layouts.code_queue_flat import CodeQueueFlat
from scq.layouts.code_queue_metadata import LIMIT
from scq.model import Cause, Decision, Run, Sighting
from scq.ports import Layout, ResultSet, Submission
from tests.unit.layouts.test_code_queue import JOBS, OWNER, SUBMITTER, UID, look, make_flat, make_job, metadata, only

NOW = datetime(2026, 11, 21, 9, 0, 0, 123456, tzinfo=UTC)
QUEUE = CodeQueue()
PRIVATE = {"pattern": "metadata.json", "access": {"admin": [], "read": [OWNER, SUBMITTER], "write": [OWNER]}}
SHARED = {"pattern": "output/**", "access": {"admin": [], "read": [SUBMITTER], "write": []}}


def decision(verdict: str = "approve", **changes: Any) -> Decision:
    fields = {"verdict": verdict, "digest": "sha256:0", "by": OWNER, "at": NOW, **changes}
    return Decision(**fields)


def run(code: int | None = 0, cause: Cause = "exit", **changes: Any) -> Run:
    fields = {"attempt": 1, "digest": "sha256:0", "directory": "r", "phase": "ended", "claimed_at": NOW}
    times = {"started_at": NOW, "finished_at": NOW + timedelta(seconds=2)}
    return Run(**{**fields, **times, "exit_code": code, "cause": cause, **changes})


def results(folder: Path, ended: Run | None = None, out: bytes = b"hello\n", err: bytes = b"note\n") -> ResultSet:
    outputs = folder / "run-outputs"
    (outputs / "tables").mkdir(parents=True, exist_ok=True)
    (outputs / "rows.txt").write_text("3")
    (outputs / "tables/rows.csv").write_text("a,b")
    return ResultSet(run=ended or run(), outputs_dir=str(outputs), stdout=out, stderr=err)


def local(moment: datetime) -> str:
    return moment.astimezone().replace(tzinfo=None).isoformat()


def fields(job: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((job / "metadata.json").read_text())
    return value


def rules(folder: Path) -> list[dict[str, Any]]:
    value = yaml.safe_load((folder / "syft.pub.yaml").read_text())
    assert value["terminal"] is False
    found: list[dict[str, Any]] = value["rules"]
    return found


def folders_of(root: Path, uid: str = UID) -> list[str]:
    return sorted(path.parent.name for path in (root / JOBS).glob(f"*/{uid}"))


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture
def box(tmp_path: Path) -> Path:
    root = tmp_path / "box"
    root.mkdir()
    return root


# decisions


def test_approving_moves_the_folder_and_keeps_every_other_field_in_its_place(box: Path) -> None:
    make_job(box, own_field={"kept": [1, 2.5]}, created_at="2026-11-21T08:35:18.772414")
    before = fields(box / JOBS / "pending" / UID)
    QUEUE.decide(str(box), only(box), decision())
    after = fields(box / JOBS / "approved" / UID)
    assert folders_of(box) == ["approved"]
    assert after["updated_at"] == local(NOW)
    assert [key for key in after if key in before] == list(before)
    assert {**after, "status": "pending", "updated_at": before["updated_at"]} == {
        **before,
        "completed_at": None,
        "error_message": None,
    }
    sighting = only(box)
    assert (sighting.observed, sighting.flags, sighting.problems, sighting.owner_only) == ("approved", (), (), True)


def test_metadata_is_written_in_the_form_of_the_peers(box: Path) -> None:
    make_job(box, name="Zählung ✓")
    QUEUE.decide(str(box), only(box), decision())
    path = box / JOBS / "approved" / UID / "metadata.json"
    text = path.read_text("ascii")
    assert text.startswith('{\n  "uid": "')
    assert text.endswith("}")
    assert "Z\\u00e4hlung" in text
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_time_with_an_offset_is_made_local_because_it_would_break_the_peers_list(box: Path) -> None:
    make_job(box, created_at="2026-11-21T08:00:00+00:00", started_at="2026-11-21T08:00:00Z")
    QUEUE.decide(str(box), only(box), decision())
    after = fields(box / JOBS / "approved" / UID)
    assert after["created_at"] == after["started_at"] == local(datetime(2026, 11, 21, 8, tzinfo=UTC))


@pytest.mark.parametrize(
    ("changes", "text"), [({"reason": "Too broad"}, "Too broad"), ({}, None), ({"method": "cancel"}, "Cancelled by requester")]
)
def test_rejecting_keeps_the_reason_where_peers_look_for_it(box: Path, changes: dict[str, Any], text: str | None) -> None:
    make_job(box)
    QUEUE.decide(str(box), only(box), decision("reject", **changes))
    after = fields(box / JOBS / "rejected" / UID)
    assert (after["status"], after["error_message"], after["completed_at"]) == ("rejected", text, local(NOW))
    assert only(box).reason == text


def test_a_repeated_decision_writes_nothing(box: Path) -> None:
    make_job(box)
    seen = only(box)
    QUEUE.decide(str(box), seen, decision())
    path = box / JOBS / "approved" / UID / "metadata.json"
    stamp = path.stat().st_ino
    QUEUE.decide(str(box), seen, decision(at=NOW + timedelta(hours=1)))
    QUEUE.decide(str(box), only(box), decision(at=NOW + timedelta(hours=1)))
    assert path.stat().st_ino == stamp
    assert folders_of(box) == ["approved"]


def test_a_move_whose_metadata_was_never_written_is_repaired(box: Path) -> None:
    make_job(box)
    seen = only(box)
    (box / JOBS / "approved").mkdir()
    (box / JOBS / "pending" / UID).rename(box / JOBS / "approved" / UID)
    assert only(box).flags == ("inconsistent",)
    for sighting in (seen, only(box)):
        QUEUE.decide(str(box), sighting, decision())
    assert only(box).flags == ()


def test_metadata_that_a_peer_left_torn_is_made_anew(box: Path) -> None:
    job = make_job(box, "approved")
    (job / "metadata.json").write_text("")
    QUEUE.decide(str(box), only(box), decision("reject", reason="broken"))
    after = fields(box / JOBS / "rejected" / UID)
    assert list(after)[:4] == ["uid", "name", "requester_email", "target_email"]
    assert (after["uid"], after["name"], after["target_email"], after["created_at"]) == (UID, UID, OWNER, local(NOW))
    assert (after["status"], after["error_message"]) == ("rejected", "broken")


@pytest.mark.parametrize("value", ["folder", "link", "fifo"])
def test_metadata_that_is_no_file_is_replaced_and_nothing_behind_it_is_touched(box: Path, value: str) -> None:
    path = make_job(box) / "metadata.json"
    path.unlink()
    outside = box.parent / "outside.json"
    outside.write_text("{}")
    if value == "folder":
        path.mkdir()
    elif value == "link":
        path.symlink_to(outside)
    else:
        os.mkfifo(path)
    QUEUE.decide(str(box), only(box), decision("reject"))
    assert fields(box / JOBS / "rejected" / UID)["status"] == "rejected"
    assert outside.read_text() == "{}"


def test_a_field_nested_too_deeply_to_be_written_is_dropped(box: Path) -> None:
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    make_job(box, deep=deep, flat={"a": [1]})
    QUEUE.decide(str(box), only(box), decision())
    after = fields(box / JOBS / "approved" / UID)
    assert "deep" not in after
    assert after["flat"] == {"a": [1]}


def test_deciding_a_job_that_is_gone_says_so(box: Path) -> None:
    job = make_job(box)
    seen = only(box)
    job.rename(box / "away")
    with pytest.raises(IntegrityError, match="no longer there"):
        QUEUE.decide(str(box), seen, decision())
    assert folders_of(box) == []


def test_a_stale_view_never_moves_a_job_backwards(box: Path) -> None:
    make_job(box)
    seen = only(box)
    QUEUE.decide(str(box), seen, decision("reject"))
    with pytest.raises(IntegrityError):
        QUEUE.begin(str(box), seen, run())
    assert folders_of(box) == ["rejected"]


# twins


def test_twins_of_a_job_are_gone_after_a_step(box: Path) -> None:
    make_job(box, "approved")
    make_job(box, "pending")
    ghost = box / JOBS / "running" / UID
    ghost.mkdir(parents=True)
    (ghost / "metadata.json").write_text(json.dumps(metadata(status="running")))
    QUEUE.begin(str(box), only(box), run())
    assert folders_of(box) == ["running"]
    assert (box / JOBS / "running" / UID / "code/run.sh").is_file()


def test_a_second_folder_with_code_that_nobody_has_seen_stops_the_step(box: Path) -> None:
    make_job(box, "pending")
    seen = only(box)
    make_job(box, "approved")
    with pytest.raises(IntegrityError, match="a second time"):
        QUEUE.decide(str(box), seen, decision())
    assert folders_of(box) == ["approved", "pending"]


# links


@pytest.mark.parametrize(
    "where", ["app_data", "app_data/code-queue", "app_data/code-queue/jobs", "app_data/code-queue/jobs/approved"]
)
def test_nothing_is_moved_through_a_link(box: Path, where: str) -> None:
    make_job(box)
    seen = only(box)
    place, outside = box / f"datasites/{OWNER}" / where, box.parent / "outside"
    if place.exists():
        place.rename(outside)
    else:
        outside.mkdir()
    place.symlink_to(outside)
    before = content(outside)
    with pytest.raises(IntegrityError):
        QUEUE.decide(str(box), seen, decision())
    assert content(outside) == before


def test_a_link_in_place_of_the_job_is_never_entered(box: Path) -> None:
    make_job(box, "approved")
    seen = only(box)
    outside = box.parent / "outside"
    (box / JOBS / "approved" / UID).rename(outside)
    (box / JOBS / "approved" / UID).symlink_to(outside)
    with pytest.raises(IntegrityError):
        QUEUE.begin(str(box), seen, run())
    with pytest.raises(IntegrityError):
        QUEUE.finish(str(box), seen, results(box.parent))
    QUEUE.remove(str(box), seen)
    assert folders_of(box) == []
    assert (outside / "code/run.sh").is_file()


# running


def test_a_job_that_starts_is_shown_as_running(box: Path) -> None:
    make_job(box, "approved")
    QUEUE.begin(str(box), only(box), run(None, started_at=NOW))
    sighting = only(box)
    assert (sighting.observed, sighting.peer_status, sighting.started_at) == ("running", "running", NOW)
    assert folders_of(box) == ["running"]


def finished(box: Path, ended: Run | None = None, **changes: Any) -> Path:
    make_job(box, "running")
    QUEUE.finish(str(box), only(box), results(box.parent, ended, **changes))
    [stage] = folders_of(box)
    return box / JOBS / stage / UID


def test_a_finished_job_holds_its_results_and_keeps_them_private(box: Path) -> None:
    job = finished(box)
    after = fields(job)
    end = local(NOW + timedelta(seconds=2))
    assert job.parent.name == after["status"] == "completed"
    assert (after["exit_code"], after["error_message"], after["completed_at"]) == (0, None, end)
    assert after["output_folder"] == str(job / "output")
    assert after["logs"] == f"Exit Code: 0\nCompleted: {end}"
    assert rules(job) == [PRIVATE]
    sighting = only(box)
    assert (sighting.observed, sighting.exit_code, sighting.finished_at) == ("completed", 0, NOW + timedelta(seconds=2))
    from scq.tree import DiskTree

    found = QUEUE.results(DiskTree(str(box), OWNER), sighting)
    assert found.outputs == ("rows.txt", "tables/rows.csv")
    assert found.logs == (f"{JOBS}/completed/{UID}/execution.log",)


def test_the_log_file_has_the_form_of_the_peers(box: Path) -> None:
    job = finished(box)
    end = local(NOW + timedelta(seconds=2))
    assert (job / "execution.log").read_text() == (
        f"Job: Row count ({UID})\nStarted: {local(NOW)}\nWorking Directory: {job}/code\nOutput Directory: {job}/output\n"
        f"{'-' * 80}\n\nSTDOUT:\nhello\n\n\nSTDERR:\nnote\n\n\nExit Code: 0\nCompleted: {end}"
    )


@pytest.mark.parametrize(
    ("code", "cause", "text", "written"),
    [
        (3, "exit", "Execution failed", 3),
        (None, "timeout", "Execution failed: time limit reached", -1),
        (-9, "killed", "Execution failed: killed", -9),
        (None, "interrupted", "Execution failed: the runner stopped before the job ended", -1),
        (None, "node", "Execution failed: the machine it ran on failed", -1),
        (None, "preempted", "Execution failed: it had to make room for other jobs", -1),
        (None, "cancelled", "Execution failed: it was ended on request", -1),
        (0, "timeout", "Execution failed: time limit reached", 0),
    ],
)
def test_a_job_that_did_not_end_well_is_failed(box: Path, code: int | None, cause: Cause, text: str, written: int) -> None:
    job = finished(box, run(code, cause))
    after = fields(job)
    assert (job.parent.name, after["status"], after["error_message"], after["exit_code"]) == ("failed", "failed", text, written)
    assert only(box).exit_code == written


def test_logs_reach_the_metadata_only_when_they_are_shared(box: Path) -> None:
    job = finished(box, run(share_logs=True))
    assert fields(job)["logs"].startswith("STDOUT:\nhello\n\n\nSTDERR:\nnote\n\n\nExit Code: 0\nCompleted: ")
    assert rules(job) == [PRIVATE]


def test_outputs_that_are_shared_at_once_get_their_rule(box: Path) -> None:
    assert rules(finished(box, run(share_outputs=True))) == [PRIVATE, SHARED]


def test_what_the_submitter_planted_never_opens_the_results(box: Path) -> None:
    job = make_job(box, "running")
    everybody = "rules:\n- pattern: '**'\n  access:\n    read: ['*']\n    admin: ['*']\n"
    (job / "syft.pub.yaml").write_text(everybody)
    (job / "output").mkdir()
    (job / "output/syft.pub.yaml").write_text(everybody)
    (job / "output/planted.txt").write_text("x")
    (job / "execution.log").mkdir()
    given = results(box.parent)
    for place in ("", "tables/"):
        Path(f"{given.outputs_dir}/{place}syft.pub.yaml").write_text(everybody)
    QUEUE.finish(str(box), only(box), given)
    job = box / JOBS / "completed" / UID
    assert rules(job) == [PRIVATE]
    assert sorted(path.name for path in (job / "output").rglob("*")) == ["rows.csv", "rows.txt", "tables"]


def test_a_planted_link_in_place_of_the_outputs_is_not_followed(box: Path) -> None:
    job = make_job(box, "running")
    outside = box.parent / "outside"
    outside.mkdir()
    (job / "output").symlink_to(outside)
    (job / "execution.log").symlink_to(outside / "log")
    (job / "syft.pub.yaml").symlink_to(outside / "rules")
    QUEUE.finish(str(box), only(box), results(box.parent))
    assert content(outside) == {}
    assert (box / JOBS / "completed" / UID / "output/rows.txt").read_text() == "3"


def test_approving_already_closes_the_job_to_the_submitter(box: Path) -> None:
    (make_job(box) / "syft.pub.yaml").write_text("rules:\n- pattern: '**'\n  access:\n    admin: ['*']\n")
    QUEUE.decide(str(box), only(box), decision())
    assert rules(box / JOBS / "approved" / UID) == [PRIVATE]


def test_what_a_killed_call_left_half_written_is_swept_away(box: Path) -> None:
    job = make_job(box, "running")
    (job / ".output.1.tmp").mkdir()
    (job / ".output.1.tmp/secret.txt").write_text("x")
    (job / ".metadata.json.1.tmp").write_text("{")
    QUEUE.finish(str(box), only(box), results(box.parent))
    left = {path.name for path in (box / JOBS / "completed" / UID).iterdir()}
    assert left == {"code", "execution.log", "metadata.json", "output", "syft.pub.yaml"}


def test_a_run_without_outputs_leaves_an_empty_folder(box: Path) -> None:
    (make_job(box, "running") / "output").mkdir()
    (box / JOBS / "running" / UID / "output/planted").write_text("x")
    ended = ResultSet(run=run(), outputs_dir=None, stdout=b"", stderr=b"")
    QUEUE.finish(str(box), only(box), ended)
    assert list((box / JOBS / "completed" / UID / "output").iterdir()) == []


def test_output_that_is_no_text_is_kept_readable(box: Path) -> None:
    job = finished(box, run(share_logs=True), out=b"\xff\x00\x1b[31m", err=b"\xf0\x9f")
    assert "\ufffd" in fields(job)["logs"]
    assert "\ufffd" in (job / "execution.log").read_text("utf-8")


def test_a_large_shared_log_is_cut_in_the_middle_so_that_the_metadata_stays_readable(box: Path) -> None:
    wide = ("first" + "\U0001f600" * SMALL + "last").encode()
    job = finished(box, run(share_logs=True), out=wide, err=wide)
    assert (job / "metadata.json").stat().st_size < LIMIT
    logs = fields(job)["logs"]
    assert "characters left out" in logs
    assert logs.startswith("STDOUT:\nfirst")
    assert "last\n\nExit Code: 0\n" in logs
    assert only(box).flags == ()
    assert (job / "execution.log").stat().st_size > 8 * SMALL


def test_a_name_with_line_breaks_cannot_forge_the_log_header(box: Path) -> None:
    make_job(box, "running", name="a\nExit Code: 0\nb")
    QUEUE.finish(str(box), only(box), results(box.parent, run(3)))
    lines = (box / JOBS / "failed" / UID / "execution.log").read_text().splitlines()
    assert lines[0] == f"Job: a Exit Code: 0 b ({UID})"
    assert only(box).exit_code == 3


def test_a_job_that_a_peer_expired_meanwhile_is_still_finished(box: Path) -> None:
    make_job(box, "running")
    seen = only(box)
    (box / JOBS / "failed").mkdir()
    (box / JOBS / "running" / UID).rename(box / JOBS / "failed" / UID)
    ghost = box / JOBS / "approved" / UID
    ghost.mkdir(parents=True)
    (ghost / "metadata.json").write_text(json.dumps(metadata(status="running")))
    QUEUE.finish(str(box), seen, results(box.parent))
    assert folders_of(box) == ["completed"]
    assert only(box).observed == "completed"


def test_a_twin_at_the_remembered_place_is_not_taken_for_the_job(box: Path) -> None:
    job = make_job(box, "approved")
    seen = only(box)
    QUEUE.begin(str(box), seen, run())
    job.mkdir()
    (job / "metadata.json").write_text(json.dumps(metadata(status="running")))
    QUEUE.finish(str(box), seen, results(box.parent))
    assert folders_of(box) == ["completed"]
    assert (box / JOBS / "completed" / UID / "code/run.sh").is_file()


# sharing


def test_sharing_opens_the_outputs_and_puts_the_log_where_the_submitter_sees_it(box: Path) -> None:
    job = finished(box)
    for _ in range(2):
        QUEUE.share(str(box), only(box), results(box.parent), outputs=True, logs=False)
        assert rules(job) == [PRIVATE, SHARED]
        assert fields(job)["logs"].startswith("Exit Code: 0")
    for _ in range(2):
        QUEUE.share(str(box), only(box), results(box.parent), outputs=False, logs=True)
        assert fields(job)["logs"].startswith("STDOUT:\nhello\n")
        assert rules(job) == [PRIVATE, SHARED]
    assert (fields(job)["status"], only(box).flags) == ("completed", ())


def test_logs_can_be_shared_from_the_log_file_alone(box: Path) -> None:
    job = finished(box)
    QUEUE.share(str(box), only(box), None, outputs=False, logs=True)
    assert fields(job)["logs"].startswith("STDOUT:\nhello\n\n\nSTDERR:\nnote\n\n\nExit Code: 0\n")


def test_logs_that_are_nowhere_cannot_be_shared(box: Path) -> None:
    make_job(box, "completed")
    with pytest.raises(InvalidFileError, match=r"execution\.log"):
        QUEUE.share(str(box), only(box), None, outputs=False, logs=True)


def test_sharing_replaces_rules_that_are_not_ours(box: Path) -> None:
    job = make_job(box, "completed")
    (job / "syft.pub.yaml").write_text(
        "rules:\n- {pattern: 'output/**', access: everybody}\n- {pattern: '**', access: {read: ['*']}}\n"
    )
    QUEUE.share(str(box), only(box), None, outputs=True, logs=False)
    assert rules(job) == [PRIVATE, SHARED]


def test_a_job_that_names_no_submitter_cannot_be_shared(box: Path) -> None:
    job = make_job(box, "running", requester_email="*")
    sighting = only(box)
    QUEUE.finish(str(box), sighting, results(box.parent, run(share_outputs=True)))
    job = box / JOBS / "completed" / UID
    with pytest.raises(UsageError, match="names no submitter"):
        QUEUE.share(str(box), only(box), None, outputs=True, logs=False)
    assert rules(job) == [{"pattern": "metadata.json", "access": {"admin": [], "read": [OWNER], "write": [OWNER]}}]


def test_results_stay_out_of_the_submitters_own_datasite_until_they_are_shared(box: Path) -> None:
    make_job(box, "running", person=SUBMITTER)
    given = results(box.parent)
    QUEUE.finish(str(box), only(box), given)
    job = box / f"datasites/{SUBMITTER}/app_data/code-queue/jobs/completed/{UID}"
    assert sorted(path.name for path in job.iterdir()) == ["code", "metadata.json", "output"]
    assert list((job / "output").iterdir()) == []
    assert "hello" not in (job / "metadata.json").read_text()
    QUEUE.share(str(box), only(box), given, outputs=True, logs=True)
    assert (job / "output/rows.txt").read_text() == "3"
    assert "hello" in fields(job)["logs"]


# again, and away


def test_reopening_takes_every_result_away_and_shows_the_job_as_approved(box: Path) -> None:
    finished(box, run(3, share_logs=True, share_outputs=True))
    for _ in range(2):
        QUEUE.reopen(str(box), only(box))
        job = box / JOBS / "approved" / UID
        assert sorted(path.name for path in job.iterdir()) == ["code", "metadata.json", "syft.pub.yaml"]
        after = fields(job)
        assert after["status"] == "approved"
        empty = ("started_at", "completed_at", "output_folder", "error_message", "exit_code", "logs")
        assert [after[key] for key in empty] == [None] * 6
        assert rules(job) == [PRIVATE]
    assert only(box).flags == ()


def test_removing_takes_the_job_with_all_its_twins(box: Path) -> None:
    other = "99999999-2222-4333-8444-555555555555"
    make_job(box, "approved")
    make_job(box, "pending")
    make_job(box, "pending", other)
    sighting = next(job for job in look(box) if job.ref.key == UID)
    for _ in range(2):
        QUEUE.remove(str(box), sighting)
        assert folders_of(box) == []
    assert only(box).ref.key == other
    assert sorted(path.name for path in (box / JOBS).iterdir()) == ["approved", "pending"]


# stopped in the middle


class Stopped(BaseException):
    """The process ends here."""


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int | None], None]]:
    """Let the n-th effect on the disk, counted from now, end the call before it happens; None switches that off."""
    left: list[int | None] = [None]

    def counted(effect: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **named: Any) -> Any:
            if left[0] is not None:
                left[0] -= 1
                if left[0] < 0:
                    raise Stopped
            return effect(*arguments, **named)

        return act

    for module, name in [(os, "rename"), (os, "replace"), (os, "mkdir"), (shutil, "rmtree"), (os, "unlink"), (os, "fsync")]:
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    yield lambda number: left.__setitem__(0, number)
    left[0] = None


def steps(box: Path) -> dict[str, tuple[str, Callable[[Sighting], None]]]:
    given = results(box.parent)
    return {
        "approve": ("pending", lambda seen: QUEUE.decide(str(box), seen, decision())),
        "reject": ("pending", lambda seen: QUEUE.decide(str(box), seen, decision("reject", reason="no"))),
        "begin": ("approved", lambda seen: QUEUE.begin(str(box), seen, run())),
        "finish": ("running", lambda seen: QUEUE.finish(str(box), seen, given)),
        "reopen": ("failed", lambda seen: QUEUE.reopen(str(box), seen)),
        "share": ("completed", lambda seen: QUEUE.share(str(box), seen, given, outputs=True, logs=True)),
        "remove": ("completed", lambda seen: QUEUE.remove(str(box), seen)),
    }


def without_times(box: Path) -> dict[str, object]:
    found: dict[str, object] = dict(content(box))
    for name in found:
        if name.endswith("metadata.json"):
            found[name] = {**json.loads((box / name).read_text()), "updated_at": ""}
    return found


@pytest.mark.parametrize("fresh_look", [True, False], ids=["after a new look", "from the old view"])
@pytest.mark.parametrize("step", ["approve", "reject", "begin", "finish", "reopen", "share", "remove"])
def test_a_step_stopped_at_any_effect_is_completed_by_the_next_call(
    tmp_path: Path, step: str, fresh_look: bool, stop_at: Callable[[int | None], None]
) -> None:
    def prepare(box: Path) -> Callable[[Sighting], None]:
        stage, act = steps(box)[step]
        job = make_job(box, stage, created_at="2026-11-21T08:00:00")
        (job / "output").mkdir()
        (job / "output/old.txt").write_text("x")
        ghost = box / JOBS / ("completed" if stage == "pending" else "pending") / UID
        ghost.mkdir(parents=True)
        return act

    reference = tmp_path / "reference/box"
    prepare(reference)(only(reference))
    want = {str(key): value for key, value in without_times(reference).items()}
    number, stopped = 0, True
    while stopped:
        box = tmp_path / f"{number}/box"
        act = prepare(box)
        seen = only(box)
        stop_at(number)
        try:
            act(seen)
            stopped = False
        except Stopped:
            pass
        stop_at(None)
        found = look(box)
        assert len(found) <= 1
        if stopped and (found or step == "remove"):
            act(found[0] if fresh_look and found else seen)
        got = without_times(box)
        assert str(got).replace(str(box), "BOX") == str(want).replace(str(reference), "BOX")
        number += 1
    assert number > 2


# submitting


def submission(**changes: Any) -> Submission:
    plain: dict[str, Any] = {
        "owner": OWNER,
        "submitter": SUBMITTER,
        "name": "Row count ✓",
        "files": {"script.py": b"print(1)", "data/rows.csv": b"a", "data/tool": b"#!", "syft.pub.yaml": b"rules: []"},
        "executable": frozenset({"data/tool"}),
        "run_sh": "#!/bin/bash\nset -e\npython script.py\n",
        "kind": "python",
        "entrypoint": "script.py",
        "dependencies": (),
        "description": "counts",
        "tags": ("stats",),
        "timeout_s": None,
        "is_folder": True,
        "source_path": None,
        "submitted_at_iso": "2026-11-21T08:00:00.5+00:00",
    }
    return Submission(**{**plain, **changes})


def test_a_submitted_job_looks_like_one_of_the_peers(box: Path) -> None:
    ref = QUEUE.submit(str(box), "a3", submission())
    job = box / JOBS / "pending" / ref.key
    sighting = only(box)
    assert sighting.ref == ref
    assert (sighting.layout, sighting.observed, sighting.name, sighting.submitter) == ("a3", "pending", "Row count ✓", SUBMITTER)
    assert (sighting.flags, sighting.problems, sighting.tags, sighting.timeout_s) == ((), (), ("stats",), 86400)
    created = local(datetime(2026, 11, 21, 8, 0, 0, 500000, tzinfo=UTC))
    assert list(fields(job).items()) == [
        ("uid", ref.key),
        ("name", "Row count ✓"),
        ("requester_email", SUBMITTER),
        ("target_email", OWNER),
        ("code_folder", str(job / "code")),
        ("description", "counts"),
        ("created_at", created),
        ("timeout_seconds", 86400),
        ("tags", ["stats"]),
        ("status", "pending"),
        ("updated_at", created),
        *((key, None) for key in ("started_at", "completed_at", "output_folder", "error_message", "exit_code", "logs")),
    ]
    modes = {path.name: path.stat().st_mode & 0o777 for path in (job / "code").rglob("*") if path.is_file()}
    assert modes == {"script.py": 0o644, "rows.csv": 0o644, "tool": 0o755, "run.sh": 0o755, "syft.pub.yaml": 0o644}
    assert (job / "code/run.sh").read_text() == "#!/bin/bash\nset -e\npython script.py\n"
    assert sorted(path.name for path in (box / JOBS).iterdir()) == ["pending"]


def test_a_submitted_job_carries_the_permission_files_of_the_peers(box: Path) -> None:
    ref = QUEUE.submit(str(box), "a3", submission())
    pending = box / JOBS / "pending"
    people = [OWNER, SUBMITTER]
    assert rules(pending) == [{"pattern": "**", "access": {"admin": [], "read": ["*"], "write": ["*"]}}]
    own = {"admin": [SUBMITTER], "read": people, "write": people}
    assert rules(pending / ref.key) == [{"pattern": "metadata.json", "access": own}]
    code = {"admin": [SUBMITTER], "read": people, "write": [SUBMITTER]}
    assert rules(pending / ref.key / "code") == [{"pattern": name, "access": code} for name in ("run.sh", "script.py")]
    assert rules(pending / ref.key / "code/data") == [{"pattern": name, "access": code} for name in ("rows.csv", "tool")]


def test_an_existing_permission_file_of_the_status_folder_is_left_alone(box: Path) -> None:
    (box / JOBS / "pending").mkdir(parents=True)
    (box / JOBS / "pending/syft.pub.yaml").write_text("rules: []\n")
    QUEUE.submit(str(box), "a3", submission())
    assert (box / JOBS / "pending/syft.pub.yaml").read_text() == "rules: []\n"


def test_a_run_sh_among_the_files_is_kept_byte_for_byte(box: Path) -> None:
    ref = QUEUE.submit(str(box), "a3", submission(files={"run.sh": b"#!/bin/sh\n\xff"}))
    assert (box / JOBS / "pending" / ref.key / "code/run.sh").read_bytes() == b"#!/bin/sh\n\xff"


def test_the_datasite_is_found_without_regard_to_case(box: Path) -> None:
    (box / f"datasites/{OWNER.upper()}").mkdir(parents=True)
    assert QUEUE.submit(str(box), "a3", submission()).owner == OWNER.upper()


@pytest.mark.parametrize(
    "changes",
    [
        {"name": " "},
        {"name": "two\nlines"},
        {"name": "x" * 2_000},
        {"owner": "nobody"},
        {"owner": "../../x@y"},
        {"submitter": "*"},
        {"files": {"../up": b""}},
        {"files": {"/etc/x@y": b""}},
        {"files": {"a//b": b""}},
        {"submitted_at_iso": "soon"},
    ],
)
def test_a_submission_that_cannot_be_written_is_refused_and_leaves_nothing(box: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        QUEUE.submit(str(box), "a3", submission(**changes))
    assert look(box) == []
    assert list(box.rglob("*.tmp")) == []


@pytest.mark.parametrize(("queue", "word"), [(QUEUE, "a1"), (QUEUE, "a2"), (CodeQueueFlat(), "a0")])
def test_older_forms_cannot_be_submitted_to(box: Path, queue: Layout, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        queue.submit(str(box), word, submission())
    assert list(box.iterdir()) == []


def test_a_submission_stopped_in_the_middle_leaves_no_job(tmp_path: Path, stop_at: Callable[[int | None], None]) -> None:
    number, stopped = 0, True
    while stopped:
        box = tmp_path / str(number)
        box.mkdir()
        stop_at(number)
        try:
            QUEUE.submit(str(box), "a3", submission())
            stopped = False
        except Stopped:
            pass
        stop_at(None)
        assert [(job.observed, job.flags) for job in look(box)] in ([], [("pending", ())])
        number += 1
    assert number > 10


def test_a_datasite_with_status_folders_can_be_written_to(box: Path) -> None:
    assert QUEUE.target(str(box), OWNER) is None
    (box / JOBS / "pending").mkdir(parents=True)
    assert QUEUE.target(str(box), OWNER.upper()) == "a3"
    assert QUEUE.target(str(box), SUBMITTER) is None
    assert CodeQueueFlat().target(str(box), OWNER) is None


# the flat form


FLAT = CodeQueueFlat()


def flat_fields(job: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(job.with_suffix(".json").read_text())
    return value


def test_a_flat_job_goes_its_whole_way_in_place(box: Path) -> None:
    job = make_flat(box, logs=None)
    FLAT.decide(str(box), only(box, layout=FLAT), decision(reason="Looks safe"))
    assert flat_fields(job)["error_message"] == f"Approved by {OWNER}: Looks safe"
    assert only(box, layout=FLAT).decided_by == OWNER
    FLAT.begin(str(box), only(box, layout=FLAT), run(None))
    assert only(box, layout=FLAT).observed == "running"
    for _ in range(2):
        FLAT.finish(str(box), only(box, layout=FLAT), results(box.parent, run(3)))
    sighting = only(box, layout=FLAT)
    assert (sighting.observed, sighting.exit_code, sighting.error) == ("failed", 3, "Execution failed")
    own = {"pattern": "metadata.json", "access": {"admin": [], "read": [OWNER], "write": [OWNER]}}
    assert rules(job) == [own]
    FLAT.share(str(box), sighting, None, outputs=True, logs=True)
    assert [rule["pattern"] for rule in rules(job)] == ["metadata.json", "output/**", "execution.log"]
    assert flat_fields(job)["logs"] is None
    FLAT.reopen(str(box), sighting)
    assert only(box, layout=FLAT).observed == "approved"
    assert sorted(path.name for path in job.iterdir()) == ["code", "syft.pub.yaml"]
    for _ in range(2):
        FLAT.remove(str(box), sighting)
    assert list((box / JOBS).iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"reason": "Too broad"}, f"Rejected by {OWNER}: Too broad"),
        ({}, f"Rejected by {OWNER}"),
        ({"method": "cancel"}, "Cancelled by requester"),
    ],
)
def test_rejecting_a_flat_job_says_who_and_why_as_its_peer_does(box: Path, changes: dict[str, Any], text: str) -> None:
    job = make_flat(box)
    FLAT.decide(str(box), only(box, layout=FLAT), decision("reject", **changes))
    assert flat_fields(job)["error_message"] == text


def test_a_flat_job_that_is_gone_is_not_made_anew(box: Path) -> None:
    job = make_flat(box)
    sighting = only(box, layout=FLAT)
    shutil.rmtree(job)
    job.with_suffix(".json").unlink()
    with pytest.raises(IntegrityError, match="no longer there"):
        FLAT.decide(str(box), sighting, decision())
    assert list((box / JOBS).iterdir()) == []
