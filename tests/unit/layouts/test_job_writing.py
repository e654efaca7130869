"""Writing the folder and the marker generations of syft-job: decisions, results, sharing, removing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from scq.errors import IntegrityError, UsageError
from scq.layouts import job_results
from scq.layouts.job_folders import JobFolders
from scq.layouts.job_markers import JobMarkers
from scq.model import Run, Sighting
from tests.unit.layouts.job_trees import (
    B0,
    B2,
    CONFIG,
    NOW,
    OWNER,
    PLACE,
    SENDER,
    again,
    decision,
    ended,
    job,
    layout_of,
    look,
    made_outputs,
    only,
    see,
    snapshot,
)

GENERATIONS = ["b0", "b1", "b2"]


def rules(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Access by pattern of a folder's own permission file."""
    document = yaml.safe_load((folder / "syft.pub.yaml").read_text())
    assert document["terminal"] is False
    return {item["pattern"]: item["access"] for item in document["rules"]}


def readable(folder: Path) -> set[str]:
    """Patterns the submitter may read; nobody may do anything else."""
    found = rules(folder)
    assert {name for access in found.values() for name in access["write"] + access["admin"]} == set()
    assert {name for access in found.values() for name in access["read"]} <= {SENDER}
    return {pattern for pattern, access in found.items() if access["read"]}


def approved(root: Path, generation: str, **files: str) -> Sighting:
    job(root, PLACE[generation], **files)
    layout = layout_of(generation)
    layout.decide(str(root), only(root, layout), decision())
    return only(root, layout)


# --- deciding ---


@pytest.mark.parametrize("generation", GENERATIONS)
def test_approving_shows_and_repeating_changes_nothing(generation: str, tmp_path: Path) -> None:
    job(tmp_path, PLACE[generation])
    layout = layout_of(generation)
    pending = only(tmp_path, layout)
    layout.decide(str(tmp_path), pending, decision())
    once = snapshot(tmp_path)
    layout.decide(str(tmp_path), pending, decision())
    layout.decide(str(tmp_path), only(tmp_path, layout), decision())
    assert snapshot(tmp_path) == once
    assert only(tmp_path, layout).observed == "approved"


def test_the_approval_marker_is_an_empty_file_all_may_read(tmp_path: Path) -> None:
    seen = approved(tmp_path, "b2")
    found = (tmp_path / seen.path / "approved").stat()
    assert (found.st_size, stat.S_IMODE(found.st_mode)) == (0, 0o644)


def test_approving_a_folder_job_that_was_already_moved_changes_nothing(tmp_path: Path) -> None:
    folder = job(tmp_path, PLACE["b0"])
    pending = only(tmp_path, JobFolders())
    (tmp_path / B0 / "approved").mkdir()
    folder.rename(tmp_path / B0 / "approved" / "count")
    before = snapshot(tmp_path)
    JobFolders().decide(str(tmp_path), pending, decision())
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("generation", GENERATIONS)
def test_rejecting_a_pending_job_leaves_no_trace(generation: str, tmp_path: Path) -> None:
    job(tmp_path, PLACE[generation])
    before = snapshot(tmp_path)
    layout_of(generation).decide(str(tmp_path), only(tmp_path, layout_of(generation)), decision("reject"))
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("generation", GENERATIONS)
def test_rejecting_an_approved_job_takes_the_approval_back_from_peers(generation: str, tmp_path: Path) -> None:
    seen = approved(tmp_path, generation)
    layout_of(generation).decide(str(tmp_path), seen, decision("reject"))
    layout_of(generation).decide(str(tmp_path), seen, decision("reject"))
    assert only(tmp_path, layout_of(generation)).observed == "pending"


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
def test_approving_replaces_what_is_no_marker(kind: str, tmp_path: Path) -> None:
    path = job(tmp_path, PLACE["b2"]) / "approved"
    secret = tmp_path / "secret"
    secret.write_text("secret")
    make: dict[str, Callable[[], object]] = {
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(secret),
        "fifo": lambda: os.mkfifo(path),
    }
    make[kind]()
    JobMarkers().decide(str(tmp_path), only(tmp_path, JobMarkers()), decision())
    assert path.is_file()
    assert not path.is_symlink()
    assert path.stat().st_size == 0
    assert secret.read_text() == "secret"


@pytest.mark.parametrize("generation", GENERATIONS)
def test_nothing_is_written_through_a_linked_job_folder(generation: str, tmp_path: Path) -> None:
    folder = job(tmp_path / "box", PLACE[generation])
    layout = layout_of(generation)
    seen = only(tmp_path / "box", layout)
    folder.rename(tmp_path / "private")
    folder.symlink_to(tmp_path / "private")
    before = snapshot(tmp_path / "private")
    root = str(tmp_path / "box")
    writes: list[Callable[[], None]] = [
        lambda: layout.decide(root, seen, decision()),
        lambda: layout.finish(root, seen, ended(None)),
        lambda: layout.reopen(root, seen),
        lambda: layout.share(root, seen, None, outputs=True, logs=True),
    ]
    for write in writes:
        with pytest.raises(IntegrityError):
            write()
    assert snapshot(tmp_path / "private") == before


def test_a_rejection_leaves_a_finished_job_as_it_is(tmp_path: Path) -> None:
    folder = job(tmp_path, PLACE["b2"], approved="", done="")
    JobMarkers().decide(str(tmp_path), only(tmp_path, JobMarkers()), decision("reject"))
    assert (folder / "approved").exists()


# --- running and results ---


@pytest.mark.parametrize("generation", GENERATIONS)
def test_beginning_a_run_cannot_be_told(generation: str, tmp_path: Path) -> None:
    seen = approved(tmp_path, generation)
    before = snapshot(tmp_path)
    run = Run(attempt=1, digest="sha256:0", directory="r", phase="started", claimed_at=NOW)
    layout_of(generation).begin(str(tmp_path), seen, run)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("generation", GENERATIONS)
def test_finishing_publishes_private_results_and_repeating_changes_nothing(generation: str, tmp_path: Path) -> None:
    seen = approved(tmp_path, generation)
    layout = layout_of(generation)
    outputs = made_outputs(tmp_path / "run" / "outputs")
    layout.finish(str(tmp_path), seen, ended(outputs))
    done = only(tmp_path, layout)
    once = snapshot(tmp_path)
    for sighting in (seen, done):
        layout.finish(str(tmp_path), sighting, ended(outputs))
    assert snapshot(tmp_path) == once

    assert (done.observed, done.exit_code, done.flags, done.ghosts) == ("completed", 0, (), ())
    folder = tmp_path / done.path
    logs = folder / "logs" if generation == "b0" else folder
    assert ((logs / "stdout.txt").read_bytes(), (logs / "stderr.txt").read_bytes()) == (b"out\n", b"err\n")
    assert (logs / "returncode.txt").read_bytes() == b"0"
    results = layout.results(look(tmp_path), done)
    assert results.outputs == ("a.txt", "deep/b.txt")
    assert [path.rpartition("/")[2] for path in results.logs] == ["stdout.txt", "stderr.txt", "returncode.txt"]
    assert readable(folder) == {"approved", "done", "config.yaml", "run.sh"}
    assert rules(folder)["**"]["read"] == []
    assert list(tmp_path.rglob("*.tmp")) == []


@pytest.mark.parametrize(
    ("exit_code", "cause", "code"),
    [
        (0, "exit", "0"),
        (3, "exit", "3"),
        (None, "timeout", "-1"),
        (None, "interrupted", "-1"),
        (0, "output", "-1"),
        (-9, "killed", "-9"),
    ],
)
def test_the_return_code_never_calls_a_broken_run_good(exit_code: int | None, cause: str, code: str, tmp_path: Path) -> None:
    seen = approved(tmp_path, "b2")
    JobMarkers().finish(str(tmp_path), seen, ended(None, exit_code=exit_code, cause=cause))
    assert (tmp_path / seen.path / "returncode.txt").read_text() == code
    assert only(tmp_path, JobMarkers()).observed == ("completed" if code == "0" else "failed")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_final_state_comes_last_and_permissions_before_results(
    generation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = approved(tmp_path, generation)
    layout = layout_of(generation)
    order: list[str] = []

    def note(name: str) -> None:
        real = getattr(job_results, name)

        def noted(path: str, *rest: Any, **options: Any) -> Any:
            order.append(os.path.basename(rest[-1] if name == "copy_results" else path))
            assert layout.locate(look(tmp_path), seen.ref) is not None
            assert again(tmp_path, layout, seen.ref).observed == "approved"
            return real(path, *rest, **options)

        monkeypatch.setattr(job_results, name, noted)

    note("write_atomic")
    note("copy_results")
    layout.finish(str(tmp_path), seen, ended(made_outputs(tmp_path / "o")))
    assert order == ["syft.pub.yaml", "stdout.txt", "stderr.txt", "outputs", "returncode.txt"]
    assert only(tmp_path, layout).observed == "completed"


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("step", range(1, 12))
def test_a_finish_that_was_killed_at_any_rename_is_completed_by_the_next_one(
    generation: str, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    if generation == "b0":
        job(tmp_path, f"{B0}/done/count", returncode_txt="7")
    job(tmp_path, PLACE[generation], CONFIG.replace("T08", "T09"))
    layout = layout_of(generation)
    layout.decide(str(tmp_path), only(tmp_path, layout), decision())
    seen = only(tmp_path, layout)
    outputs = made_outputs(tmp_path / "run")
    left = step
    with monkeypatch.context() as killing:
        for name in ("rename", "replace", "unlink"):
            real = getattr(os, name)

            def counted(*args: Any, real: Any = real, **options: Any) -> None:
                nonlocal left
                left -= 1
                if left <= 0:
                    raise KilledError
                real(*args, **options)

            killing.setattr(os, name, counted)
        try:
            layout.finish(str(tmp_path), seen, ended(outputs))
        except KilledError:
            assert left <= 0
    layout.finish(str(tmp_path), seen, ended(outputs))
    done = only(tmp_path, layout)
    assert (done.observed, done.exit_code, done.ghosts) == ("completed", 0, ())
    assert layout.results(look(tmp_path), done).outputs == ("a.txt", "deep/b.txt")
    temporary = [path for path in (tmp_path / done.path).rglob("*") if path.name.endswith(".tmp")]
    assert temporary == []


def test_results_replace_whatever_the_submitter_put_in_their_place(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("key")
    seen = approved(tmp_path, "b2")
    folder = tmp_path / seen.path
    (folder / "stdout.txt").symlink_to(secret / "key")
    (folder / "stderr.txt").mkdir()
    os.mkfifo(folder / "returncode.txt")
    (folder / "outputs").symlink_to(secret)
    (folder / "done").mkdir()
    (folder / "syft.pub.yaml").write_text("rules:\n- pattern: '**'\n  access:\n    read: ['*']\nterminal: true\n")
    (folder / ".stdout.txt.999.tmp").write_text("left by a killed call")
    JobMarkers().finish(str(tmp_path), seen, ended(made_outputs(tmp_path / "o")))
    done = only(tmp_path, JobMarkers())
    assert (done.observed, done.exit_code, done.flags) == ("completed", 0, ())
    assert JobMarkers().results(look(tmp_path), done).outputs == ("a.txt", "deep/b.txt")
    assert (secret / "key").read_text() == "key"
    assert [path.name for path in secret.iterdir()] == ["key"]
    assert not (folder / ".stdout.txt.999.tmp").exists()
    assert readable(folder) == {"approved", "done", "config.yaml", "run.sh"}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_planted_outputs_are_not_results_of_a_run_without_any(generation: str, tmp_path: Path) -> None:
    seen = approved(tmp_path, generation)
    (tmp_path / seen.path / "outputs").mkdir()
    (tmp_path / seen.path / "outputs" / "fake.csv").write_text("1")
    layout_of(generation).finish(str(tmp_path), seen, ended(None))
    done = only(tmp_path, layout_of(generation))
    assert layout_of(generation).results(look(tmp_path), done).outputs == ()


def test_an_older_done_job_of_the_same_name_is_replaced(tmp_path: Path) -> None:
    job(tmp_path, f"{B0}/done/count", returncode_txt="7", old_txt="old")
    job(tmp_path, f"{B0}/inbox/count", CONFIG.replace("T08", "T09"))
    JobFolders().decide(str(tmp_path), only(tmp_path, JobFolders()), decision())
    JobFolders().finish(str(tmp_path), only(tmp_path, JobFolders()), ended(None))
    done = only(tmp_path, JobFolders())
    assert (done.observed, done.exit_code, done.ghosts) == ("completed", 0, ())
    assert not (tmp_path / done.path / "old.txt").exists()
    assert list(tmp_path.rglob("*.tmp")) == []


@pytest.mark.parametrize("generation", GENERATIONS)
def test_finishing_a_job_that_is_gone_says_so(generation: str, tmp_path: Path) -> None:
    seen = approved(tmp_path, generation)
    (tmp_path / seen.path).rename(tmp_path / "gone")
    with pytest.raises(IntegrityError, match="gone"):
        layout_of(generation).finish(str(tmp_path), seen, ended(None))


# --- sharing ---


@pytest.mark.parametrize("generation", GENERATIONS)
def test_sharing_opens_what_was_asked_for_and_keeps_what_was_open(generation: str, tmp_path: Path) -> None:
    seen = approved(tmp_path, generation)
    layout = layout_of(generation)
    layout.finish(str(tmp_path), seen, ended(made_outputs(tmp_path / "o")))
    done = only(tmp_path, layout)
    folder = tmp_path / done.path
    private = readable(folder)
    logs = {f"{'logs/' if generation == 'b0' else ''}{name}" for name in ("stdout.txt", "stderr.txt", "returncode.txt")}
    layout.share(str(tmp_path), done, None, outputs=True, logs=False)
    assert readable(folder) == private | {"outputs/**"}
    layout.share(str(tmp_path), done, None, outputs=False, logs=True)
    assert readable(folder) == private | logs | {"outputs/**"}
    once = snapshot(tmp_path)
    layout.share(str(tmp_path), done, None, outputs=True, logs=True)
    assert snapshot(tmp_path) == once
    assert only(tmp_path, layout) == done


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_run_that_shares_at_once_is_open_at_once(generation: str, tmp_path: Path) -> None:
    seen = approved(tmp_path, generation)
    layout_of(generation).finish(str(tmp_path), seen, ended(made_outputs(tmp_path / "o"), share_outputs=True))
    shared = readable(tmp_path / only(tmp_path, layout_of(generation)).path)
    assert "outputs/**" in shared
    assert not any(path.endswith("stdout.txt") for path in shared)


def test_code_stays_readable_by_its_submitter_but_never_by_pattern(tmp_path: Path) -> None:
    seen = approved(tmp_path, "b2")
    folder = tmp_path / seen.path
    (folder / "project").mkdir()
    for name in ("analysis.py", "*", "**", "std*.txt", "[o]utputs", "a\nb"):
        (folder / name).write_text("x")
    JobMarkers().finish(str(tmp_path), seen, ended(None))
    assert readable(folder) == {"approved", "done", "config.yaml", "run.sh", "analysis.py", "project/**"}


def test_results_of_a_peer_can_be_shared_without_opening_the_rest(tmp_path: Path) -> None:
    folder = job(tmp_path, PLACE["b2"], approved="", done="", returncode_txt="0", stdout_txt="x")
    (folder / "syft.pub.yaml").write_text("rules:\n- pattern: '**'\n  access:\n    write: ['*']\n")
    JobMarkers().share(str(tmp_path), only(tmp_path, JobMarkers()), None, outputs=True, logs=False)
    assert readable(folder) == {"approved", "done", "config.yaml", "run.sh", "outputs/**"}


@pytest.mark.parametrize("address", ["'*'", "'*@example.org'", "USER", "'{{.UserEmail}}'", "5", "a@b c@d"])
def test_a_wildcard_as_submitter_shares_with_nobody(address: str, tmp_path: Path) -> None:
    job(tmp_path, PLACE["b1"], CONFIG.replace(SENDER, address))
    seen = only(tmp_path, JobMarkers())
    assert seen.submitter == ""
    JobMarkers().finish(str(tmp_path), seen, ended(made_outputs(tmp_path / "o"), share_outputs=True))
    assert readable(tmp_path / seen.path) == set()
    with pytest.raises(UsageError, match="whose job"):
        JobMarkers().share(str(tmp_path), seen, None, outputs=True, logs=True)


# --- reopening and removing ---


@pytest.mark.parametrize("generation", GENERATIONS)
def test_reopening_takes_results_away_and_shows_the_job_as_approved(generation: str, tmp_path: Path) -> None:
    seen = approved(tmp_path, generation)
    layout = layout_of(generation)
    layout.finish(str(tmp_path), seen, ended(made_outputs(tmp_path / "o")))
    done = only(tmp_path, layout)
    for sighting in (done, done):
        layout.reopen(str(tmp_path), sighting)
        opened = only(tmp_path, layout)
        assert (opened.observed, opened.path, opened.exit_code, opened.ghosts) == ("approved", seen.path, None, ())
        results = layout.results(look(tmp_path), opened)
        assert (results.outputs, results.logs) == ((), ())
    layout.finish(str(tmp_path), only(tmp_path, layout), ended(None, exit_code=4))
    assert only(tmp_path, layout).observed == "failed"


@pytest.mark.parametrize("generation", GENERATIONS)
def test_removing_deletes_the_job_and_nothing_else(generation: str, tmp_path: Path) -> None:
    layout = layout_of(generation)
    other = job(tmp_path, PLACE[generation].replace("count", "other"))
    job(tmp_path, PLACE[generation])
    (tmp_path / "kept").write_text("kept")
    (tmp_path / PLACE[generation] / "link").symlink_to(tmp_path / "kept")
    (seen,) = (found for found in see(tmp_path, layout) if found.name == "count")
    layout.remove(str(tmp_path), seen)
    layout.remove(str(tmp_path), seen)
    assert [found.name for found in see(tmp_path, layout)] == ["other"]
    assert (tmp_path / "kept").read_text() == "kept"
    assert sorted(path.name for path in other.iterdir()) == ["config.yaml", "run.sh"]
    assert list(tmp_path.rglob("*.tmp")) == []


def test_removing_a_folder_job_takes_its_ghosts_along(tmp_path: Path) -> None:
    job(tmp_path, f"{B0}/inbox/count")
    job(tmp_path, f"{B0}/approved/count")
    JobFolders().remove(str(tmp_path), only(tmp_path, JobFolders()))
    assert see(tmp_path, JobFolders()) == []


def test_removing_one_submitters_job_leaves_the_other_of_the_same_name(tmp_path: Path) -> None:
    job(tmp_path, PLACE["b2"])
    job(tmp_path, f"{OWNER}/app_data/job/second@example.net/count")
    (seen,) = (found for found in see(tmp_path, JobMarkers()) if found.submitter == SENDER)
    JobMarkers().remove(str(tmp_path), seen)
    assert [found.submitter for found in see(tmp_path, JobMarkers())] == ["second@example.net"]
    assert (tmp_path / B2).is_dir()
