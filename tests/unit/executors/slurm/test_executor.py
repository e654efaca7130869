from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq.errors import BusyError, ConfigError, ScqError, UsageError
from scq.executors import rundir
from scq.executors.rundir import Started
from scq.executors.slurm import SlurmExecutor, notes, submitting
from scq.executors.slurm.notes import read_note, write_note
from scq.files import remove_tree
from scq.model import Placement, Whereabouts
from scq.ports import Ending, Task, Traits
from tests.unit.executors.slurm.standins import TAG, Bin, make_run
from tests.unit.executors.tasks import REPOSITORY, wait_for

FAILED = "sbatch: error: Batch job submission failed: "
ENDING = Ending(0, "exit", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00", 3, 4)
STARTED = Started("2026-01-01T00:00:00+00:00", 1, 1, "boot", 1, "/nowhere")
DOWN = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"


class Site:
    """One run, the folders it lies in, and the stand-ins of a cluster."""

    def __init__(self, folder: Path) -> None:
        self.bin = Bin(folder / "bin")
        self.home, self.shared = folder / "home", folder / "shared"
        self.task = make_run(self.home, self.shared)
        self.directory = Path(self.task.directory)
        self.control = self.shared / f"{TAG}.run"

    def executor(self, **settings: object) -> SlurmExecutor:
        return SlurmExecutor(self.bin.setting(**settings))

    def submit(self, *tasks: Task, limit: int = 9) -> tuple[SlurmExecutor, list[tuple[str, ScqError]]]:
        said: list[tuple[str, ScqError]] = []

        def ended(task: Task, error: Ending | ScqError) -> None:
            assert isinstance(error, ScqError)
            said.append((task.directory, error))

        executor = self.executor()
        executor.run(iter(tasks or (self.task,)), limit, ended)
        return executor, said

    def outcome(self, **settings: object) -> Ending | bool | None:
        return self.executor(**settings).outcome(self.task.directory)

    def over(self, **settings: object) -> Ending:
        ending = self.outcome(**settings)
        assert isinstance(ending, Ending)
        return ending

    def row(self, state: str, node: str = "") -> None:
        self.bin.queue(f"17|{os.getuid()}|{state}|main|5|N/A|Resources|{node}|{TAG}\n")

    def begin(self) -> None:
        rundir.write_started(str(self.control), STARTED)
        (self.control / "node").write_text("n1\n")
        (self.control / "stdout.txt").write_bytes(b"a\xff\r\n")
        (self.control / "stderr.txt").write_bytes(b"x" * 1000)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_run_is_noted_before_it_is_submitted_and_its_number_after(site: Site) -> None:
    site.bin.set("sbatch", f"cp {site.directory}/submitted.json {site.home}/seen; cat > $0.script; echo '17;cluster'")
    executor, said = site.submit()
    assert (said, executor.trouble) == ([], "")
    seen = json.loads((site.home / "seen").read_text())
    assert (seen["tag"], seen["control"], seen["id"]) == (TAG, str(site.control), "")
    note = read_note(str(site.directory))
    assert note is not None
    assert note.id == "17"
    assert site.control.stat().st_mode & 0o777 == 0o700
    script = (site.bin.folder / "sbatch.script").read_text()
    assert script.splitlines()[0] == "#!/bin/sh"
    assert script.splitlines()[-1].startswith(f"exec {sys.executable} -I -m scq.node {site.control} ")
    assert f"--job-name={TAG}" in site.bin.calls("sbatch")


def test_an_answer_without_a_number_leaves_the_tag(site: Site) -> None:
    site.bin.set("sbatch", "echo hello")
    assert site.submit()[1] == []
    note = read_note(str(site.directory))
    assert note is not None
    assert note.id == ""


def test_a_directory_is_used_once_and_only_for_a_run_elsewhere(site: Site) -> None:
    site.submit()
    with pytest.raises(ValueError, match="used once"):
        site.submit()
    with pytest.raises(ValueError, match="not prepared"):
        site.submit(replace(make_run(site.home, site.shared, "scq-1"), entrance=None))


def test_no_more_than_the_limit_is_taken(site: Site) -> None:
    tasks = [make_run(site.home, site.shared, f"scq-{number:016x}") for number in range(4)]
    left = iter(tasks)
    site.executor().run(left, 2, lambda _task, _ending: None)
    site.executor().run(left, 0, lambda _task, _ending: None)
    assert list(left) == tasks[2:]


def test_without_a_controller_nothing_is_taken(site: Site) -> None:
    site.bin.set("scontrol", "echo 'Slurmctld(primary) at host is DOWN'")
    executor, said = site.submit()
    assert said == []
    assert executor.trouble == "the cluster does not answer (scontrol ping: no controller is up)"
    assert not site.control.exists()
    site.bin.set("scontrol", "sleep 1000")
    executor = site.executor(command_timeout=0.2)
    executor.run(iter([site.task]), 1, lambda _task, _ending: None)
    assert "no answer within" in executor.trouble
    assert site.bin.calls("sbatch") == []


def test_a_definite_refusal_leaves_nothing_that_could_run(site: Site) -> None:
    site.bin.set("sbatch", f"echo '{FAILED}Invalid partition name specified' >&2; exit 1")
    _, [(directory, error)] = site.submit()
    assert directory == site.task.directory
    assert isinstance(error, ConfigError)
    assert not site.control.exists()
    assert site.outcome() is False
    assert not site.executor().began(directory)


def test_a_refusal_that_is_not_about_single_jobs_leaves_the_rest(site: Site) -> None:
    tasks = [make_run(site.home, site.shared, f"scq-{number:016x}") for number in range(5)]
    site.bin.set("sbatch", f"echo '{FAILED}Job violates accounting/QOS policy' >&2; exit 1")
    executor, said = site.submit(*tasks)
    assert len(said) == 3
    assert "Job violates" in executor.trouble
    assert all(isinstance(error, BusyError) for _, error in said)


@pytest.mark.parametrize("script", [f"echo '{FAILED}Socket timed out' >&2; exit 1", "exit 9", "sleep 1000"])
def test_what_may_have_been_taken_is_not_reported_and_found_by_its_tag(site: Site, script: str) -> None:
    site.bin.set("sbatch", script)
    other = make_run(site.home, site.shared, "scq-00000000000000ff")
    executor, said = site.executor(command_timeout=3.0), []
    executor.run(iter([site.task, other]), 9, lambda task, _ending: said.append(task))
    assert said == []
    assert "cluster" in executor.trouble
    assert read_note(other.directory) is None
    give_up = time.monotonic() + 60
    while rundir.is_locked(site.task.directory) and time.monotonic() < give_up:
        time.sleep(0.01)  # what sbatch had started holds the lock until it is dead, a moment after its end was ordered
    site.row("PENDING")
    assert site.outcome() is None
    site.bin.queue("")
    assert site.outcome() is False


def test_no_room_in_the_shared_folder_is_no_submission(site: Site) -> None:
    site.control.write_text("in the way")
    _, [(_, error)] = site.submit()
    assert isinstance(error, BusyError)
    assert "File exists" in str(error)
    assert site.bin.calls("sbatch") == []
    assert site.outcome() is False


def test_an_order_too_large_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scq.executors.slurm.order.ORDER_LIMIT", 10)
    _, [(_, error)] = site.submit()
    assert "larger than" in str(error)


def test_commands_that_vanish_meanwhile_are_named(site: Site) -> None:
    (site.bin.folder / "sbatch").unlink()
    _, [(_, error)] = site.submit()
    assert isinstance(error, ConfigError)
    assert site.outcome() is False


def test_a_number_that_cannot_be_noted_is_found_by_the_tag(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.bin.set("sbatch", f"rm {site.directory}/submitted.json; mkdir {site.directory}/submitted.json; echo 17")
    executor, said = site.submit()
    assert said == []
    assert "Is a directory" in executor.trouble


def test_a_call_killed_during_sbatch_holds_the_run_until_sbatch_has_ended(site: Site) -> None:
    site.bin.set("sbatch", f"echo $$ > {site.home}/pid; while [ ! -e {site.home}/go ]; do sleep 0.01; done; echo 17")
    code = (
        "import sys; from pathlib import Path; from tests.unit.executors.slurm.test_executor import *\n"
        "site = Site.__new__(Site); site.bin = Bin.__new__(Bin); site.bin.folder = Path(sys.argv[1]) / 'bin'\n"
        "import shutil; home = Path(sys.argv[1]) / 'home2'\n"
        "site.submit(make_run(home, Path(sys.argv[1]) / 'shared2'))\n"
    )
    folder = site.home.parent
    call = subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=REPOSITORY)
    wait_for((site.home / "pid").exists, "sbatch being started")
    call.send_signal(signal.SIGKILL)
    call.wait()
    directory = str(folder / "home2" / TAG)
    assert site.executor().outcome(directory) is None
    assert site.executor().whereabouts([directory])[directory].state in ("waiting", "unknown")
    with pytest.raises(BusyError, match="being handed"):
        site.executor().stop(directory)
    (site.home / "go").touch()
    wait_for(lambda: not rundir.is_locked(directory), "the end of sbatch")
    ending = site.executor().outcome(directory)
    assert isinstance(ending, Ending)
    assert ending.cause == "cancelled"


def test_a_run_that_is_being_handed_over_is_alive(site: Site) -> None:
    lock = rundir.acquire_lock(site.task.directory)
    assert site.outcome() is None
    found = site.executor().whereabouts([site.task.directory])
    assert found == {site.task.directory: Whereabouts("waiting", why="being handed over")}
    os.close(lock)


def test_a_run_that_was_never_submitted_is_given_back(site: Site) -> None:
    assert site.outcome() is False
    assert not site.executor().began(site.task.directory)
    assert site.executor().logs(site.task.directory) == site.task.directory
    assert site.executor().whereabouts([site.task.directory]) == {}


def test_a_run_that_was_stopped_before_it_was_submitted_is_cancelled(site: Site) -> None:
    site.executor().stop(site.task.directory)
    assert site.over().cause == "cancelled"
    assert site.bin.calls("scancel") == []


def test_a_result_is_taken_home_with_its_logs_and_node(site: Site) -> None:
    site.submit()
    site.begin()
    executor = site.executor()
    assert executor.logs(site.task.directory) == str(site.control)
    rundir.write_result(str(site.control), ENDING)
    site.row("COMPLETING")
    assert executor.whereabouts([site.task.directory]) == {site.task.directory: Whereabouts("ending", "17", node="n1")}
    assert site.outcome() == replace(ENDING, node="n1")
    assert (site.directory / "stdout.txt").read_bytes() == b"a\xff\r\n"
    assert rundir.read_started(str(site.directory)) == STARTED
    assert executor.began(site.task.directory)
    assert executor.logs(site.task.directory) == site.task.directory
    assert executor.whereabouts([site.task.directory]) == {site.task.directory: Whereabouts("ending")}
    site.bin.set("squeue", "exit 1")
    assert site.outcome() == replace(ENDING, node="n1")
    executor.stop(site.task.directory)
    assert site.bin.calls("scancel") == []


def test_logs_larger_than_their_limit_are_cut(site: Site) -> None:
    site.submit()
    site.begin()
    (site.control / "stderr.txt").write_bytes(b"x" * 200_000)
    rundir.write_result(str(site.control), ENDING)
    site.over()
    assert (site.directory / "stderr.txt").stat().st_size == 1000 + notes.LOG_MARGIN


def test_an_interruption_waits_for_the_word_of_the_cluster(site: Site) -> None:
    site.submit()
    site.begin()
    rundir.write_result(str(site.control), replace(ENDING, cause="interrupted", exit_code=None))
    site.row("COMPLETING")
    assert site.outcome() is None
    site.row("PREEMPTED")
    assert site.over().cause == "preempted"


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ("NODE_FAIL", "node"),
        ("CANCELLED", "cancelled"),
        ("OUT_OF_MEMORY", "memory"),
        ("FAILED", "interrupted"),
        ("", "interrupted"),
    ],
)
def test_a_run_that_began_and_left_no_result_ends_by_the_word_of_the_cluster(site: Site, state: str, cause: str) -> None:
    site.submit()
    site.begin()
    assert site.executor().began(site.task.directory)
    if state:
        site.row(state)
    ending = site.over()
    assert (ending.cause, ending.started_at, ending.node) == (cause, STARTED.started_at, "n1")
    assert (site.directory / "stderr.txt").read_bytes() == b"x" * 1000
    site.bin.queue("")
    assert site.outcome() == ending


@pytest.mark.parametrize("state", ["FAILED", "COMPLETED", "TIMEOUT", "CANCELLED"])
def test_a_run_that_ended_before_it_began_can_never_begin(site: Site, state: str) -> None:
    site.submit()
    (site.control / "slurm.txt").write_bytes(b"first\nno such \x1bpython\n\n")
    site.row(state)
    ending = site.over()
    if state == "CANCELLED":
        assert (ending.cause, ending.detail) == ("cancelled", "it was cancelled on the cluster")
    else:
        assert (ending.cause, ending.detail) == ("start", "no such \ufffdpython")
    with pytest.raises(FileExistsError):
        rundir.write_started(str(site.control), STARTED)
    assert not site.executor().began(site.task.directory)
    # A call that was killed after it decided so finds the same, whatever the cluster says by then.
    (site.directory / "result.json").unlink()
    site.bin.queue("")
    assert site.outcome() == ending


@pytest.mark.parametrize("state", ["", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL"])
def test_a_run_that_was_lost_before_it_began_is_revoked_and_given_back(site: Site, state: str) -> None:
    site.submit()
    if state:
        site.row(state)
    assert site.outcome() is False
    with pytest.raises(FileExistsError):
        rundir.write_started(str(site.control), STARTED)
    assert site.outcome() is False
    # A call that is killed while it removes the run finds the same.
    remove_tree(str(site.control))
    assert site.outcome() is False
    assert not site.executor().began(site.task.directory)


def test_a_run_that_begins_while_it_is_given_up_is_alive(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.submit()
    real = notes.revoke

    def late(control: str, ending: Ending | None) -> bool:
        site.begin()
        return real(control, ending)

    monkeypatch.setattr(notes, "revoke", late)
    assert site.outcome() is None
    assert site.over().cause == "interrupted"


def test_a_control_folder_that_was_taken_away_names_the_run_as_interrupted(site: Site) -> None:
    site.submit()
    site.control.rename(site.shared / "away")
    assert site.executor().began(site.task.directory)
    assert site.over().cause == "interrupted"


@pytest.mark.parametrize("left", ["an empty folder", "nothing"])
def test_a_shared_folder_that_is_not_mounted_decides_nothing(site: Site, left: str) -> None:
    site.submit()
    site.begin()
    rundir.write_result(str(site.control), ENDING)
    site.shared.rename(site.home / "away")
    if left != "nothing":
        site.shared.mkdir()
    with pytest.raises(BusyError, match="is not there, or not the one"):
        site.outcome()
    if left != "nothing":
        site.shared.rmdir()
    (site.home / "away").rename(site.shared)
    assert site.outcome() == replace(ENDING, node="n1")


def test_a_file_of_a_node_gets_its_time_to_be_seen(site: Site) -> None:
    site.submit()
    assert site.outcome(file_delay=1000.0) is None
    (site.directory / "missing").write_text(repr(time.time() - 999.0))
    assert site.outcome(file_delay=1000.0) is None
    site.row("RUNNING")
    assert site.outcome(file_delay=1000.0) is None
    assert not (site.directory / "missing").exists()
    site.bin.queue("")
    for odd in ("x", repr(time.time() + 5000.0), "nan"):
        (site.directory / "missing").write_text(odd)
        assert site.outcome(file_delay=1000.0) is None
    (site.directory / "missing").write_text(repr(time.time() - 1001.0))
    assert site.outcome(file_delay=1000.0) is False


def test_a_run_submitted_after_the_queue_was_asked_for_is_alive(site: Site) -> None:
    executor = site.executor()
    other = make_run(site.home, site.shared, "scq-00000000000000ff")
    executor.run(iter([other]), 1, lambda _task, _ending: None)
    assert executor.outcome(other.directory) is False
    site.submit()
    assert executor.outcome(site.task.directory) is None
    assert executor.whereabouts([site.task.directory])[site.task.directory].state == "waiting"


def test_the_queue_is_asked_for_once_however_many_runs_are_out(site: Site) -> None:
    site.submit()
    site.row("RUNNING", "n2")
    executor = site.executor()
    for _ in range(3):
        assert executor.outcome(site.task.directory) is None
    found = executor.whereabouts([site.task.directory, "/nowhere"])
    assert found == {site.task.directory: Whereabouts("running", "17", "main", "n2")}
    assert site.bin.calls("squeue").count("--states=all") == 1


def test_a_cluster_that_does_not_answer_is_asked_once_and_nothing_is_decided(site: Site) -> None:
    site.submit()
    site.bin.set("squeue", DOWN)
    executor = site.executor()
    for _ in range(2):
        with pytest.raises(BusyError, match="Unable to contact"):
            executor.outcome(site.task.directory)
    found = executor.whereabouts([site.task.directory])[site.task.directory]
    assert (found.state, found.id) == ("unknown", "17")
    assert "does not answer" in found.why
    assert site.bin.calls("squeue").count("--states=all") == 1
    rundir.write_result(str(site.control), ENDING)
    assert executor.whereabouts([site.task.directory])[site.task.directory].state == "ending"


def test_a_run_the_cluster_does_not_know_is_nowhere_for_certain(site: Site) -> None:
    site.submit()
    found = site.executor().whereabouts([site.task.directory])[site.task.directory]
    assert found == Whereabouts("unknown", "17", why="the cluster does not know it")


def test_a_wish_to_stop_is_kept_until_it_came_through(site: Site) -> None:
    site.submit()
    site.bin.set("scancel", "echo 'scancel: error: Unable to contact' >&2; exit 1")
    with pytest.raises(BusyError, match="Unable to contact") as raised:
        site.executor().stop(site.task.directory)
    assert "noted" in raised.value.advice
    site.row("PENDING")
    with pytest.raises(BusyError):
        site.outcome()
    site.bin.set("scancel", "echo 'scancel: error: Kill job error: Job/step already completing or completed' >&2; exit 1")
    executor = site.executor()
    assert [executor.outcome(site.task.directory) for _ in range(2)] == [None, None]
    assert site.bin.calls("scancel").count(f"--name={TAG}") == 3
    assert f"--user={os.getuid()}" in site.bin.calls("scancel")
    site.row("CANCELLED")
    ending = site.over()
    assert (ending.cause, ending.detail) == ("cancelled", "it was ended with scq cancel")


def test_a_run_that_ended_by_itself_is_not_called_cancelled_by_a_wish_that_comes_too_late(site: Site) -> None:
    site.submit()
    site.begin()
    rundir.write_result(str(site.control), ENDING)
    site.executor().stop(site.task.directory)
    site.row("COMPLETED")
    assert site.over().cause == ENDING.cause


def test_a_run_that_is_not_there_cannot_be_stopped(site: Site) -> None:
    with pytest.raises(UsageError, match="no such run"):
        site.executor().stop(str(site.home / "none"))


def test_no_room_for_what_a_run_left_loses_nothing(site: Site) -> None:
    site.submit()
    site.begin()
    rundir.write_result(str(site.control), ENDING)
    (site.directory / "stdout.txt").mkdir()
    with pytest.raises(BusyError, match="Is a directory"):
        site.outcome()
    (site.directory / "stdout.txt").rmdir()
    assert site.outcome() == replace(ENDING, node="n1")


def test_no_room_for_a_revocation_leaves_the_run_as_it_was(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.submit()

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            notes.revoke(str(site.control), None)
    assert not (site.control / "started").exists()
    assert not site.executor().began(site.task.directory)


def test_no_room_for_a_wish_to_stop_is_said(site: Site) -> None:
    (site.directory / "stop").mkdir()
    with pytest.raises(BusyError, match="Is a directory"):
        site.executor().stop(site.task.directory)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"tag": 1}', b'{"tag": "\xff"}', b"\xff", b" " * 100_000])
def test_a_damaged_note_is_none(site: Site, content: bytes) -> None:
    (site.directory / "submitted.json").write_bytes(content)
    assert read_note(str(site.directory)) is None


def test_an_account_without_a_name_cancels_by_the_tag_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.submit()
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    site.executor().stop(site.task.directory)
    assert site.bin.calls("scancel") == [f"--name={TAG}"]


def test_the_lock_is_free_after_a_submission(site: Site) -> None:
    site.submit()
    assert not rundir.is_locked(site.task.directory)
    assert submitting.Submitted() == submitting.Submitted("")
    note = read_note(str(site.directory))
    assert note is not None
    write_note(str(site.directory), note)
    assert read_note(str(site.directory)) == note


def test_a_note_that_cannot_be_read_is_no_run_that_was_never_submitted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.submit()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing(os.open, "submitted.json", errno.EMFILE))
        with pytest.raises(BusyError, match="Too many open files"):
            site.outcome()
    (site.directory / "submitted.json").write_bytes(b"\0" * 100)
    with pytest.raises(BusyError, match="cannot be understood"):
        site.outcome()
    assert not (site.control / "started").exists()


@pytest.mark.parametrize("name", ["result.json", "started", f"{TAG}.run"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_shared_disk_that_does_not_answer_decides_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    site.submit()
    site.begin()
    if name == "result.json":
        rundir.write_result(str(site.control), ENDING)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing(os.open, name, number))
        with pytest.raises(BusyError, match="cannot be taken over"):
            site.outcome()
    assert site.over().cause == ("exit" if name == "result.json" else "interrupted")


def failing(real: Callable[..., int], name: str, number: int) -> Callable[..., int]:
    """`os.open` on a disk where one name cannot be opened."""

    def opened(path: str, *rest: Any, **more: Any) -> int:
        if os.path.basename(path) == name:
            raise OSError(number, os.strerror(number), path)
        return real(path, *rest, **more)

    return opened


def test_what_lies_in_the_place_of_the_shared_folder_is_not_taken_for_it(site: Site) -> None:
    site.submit()
    site.begin()
    rundir.write_result(str(site.control), ENDING)
    site.shared.rename(site.home / "away")
    other = make_run(site.home, site.shared, "scq-00000000000000ff")
    executor = site.executor(shared_dir=str(site.shared))
    with pytest.raises(BusyError, match="not the one it was"):
        executor.outcome(site.task.directory)
    executor.run(iter([other]), 1, lambda _task, _ending: None)
    assert "not the one it was" in executor.trouble
    assert read_note(other.directory) is None
    remove_tree(str(site.shared))
    (site.home / "away").rename(site.shared)
    assert site.over().cause == "exit"
    # What it made still lies there, so its ending alone is of no use.
    site.shared.rename(site.home / "away")
    with pytest.raises(BusyError, match="is not there"):
        site.outcome()
    (site.home / "away").rename(site.shared)
    assert site.over().cause == "exit"


def test_a_shared_folder_that_was_emptied_by_hand_names_the_run_as_interrupted(site: Site) -> None:
    site.submit()
    remove_tree(str(site.control))
    remove_tree(str(site.shared / TAG))
    assert os.listdir(site.shared) == []
    assert site.over().cause == "interrupted"


def test_another_cluster_that_does_not_know_a_run_decides_nothing(site: Site) -> None:
    conf, other = site.home / "one.conf", site.home / "other.conf"
    conf.touch()
    site.executor(conf=str(conf)).run(iter([site.task]), 1, lambda _task, _ending: None)
    site.begin()
    with pytest.raises(BusyError, match=f"cluster of {other}.*that of {conf}"):
        site.outcome(conf=str(other))
    site.row("RUNNING")
    assert site.outcome(conf=str(other)) is None
    site.bin.queue("")
    conf.rename(other)  # the file was moved
    assert site.over(conf=str(other)).cause == "interrupted"


def test_a_run_that_was_stopped_before_it_is_submitted_is_not(site: Site) -> None:
    site.executor().stop(site.task.directory)
    endings: list[Ending | ScqError] = []
    site.executor().run(iter([site.task]), 1, lambda _task, ending: endings.append(ending))
    (ending,) = endings
    assert isinstance(ending, Ending)
    assert ending.cause == "cancelled"
    assert site.outcome() == ending
    assert site.bin.calls("sbatch") == []
    assert not site.control.exists()


def test_a_start_that_failed_is_told_although_the_cluster_has_forgotten_it(site: Site) -> None:
    site.submit()
    (site.control / "slurm.txt").write_text("/bin/sh: 1: exec: python: not found\n")
    ending = site.over()
    assert (ending.cause, ending.detail) == ("start", "/bin/sh: 1: exec: python: not found")


def test_a_job_that_was_cancelled_on_its_node_is_not_run_again_although_the_cluster_has_forgotten_it(site: Site) -> None:
    site.submit()
    site.begin()
    rundir.write_result(str(site.control), replace(ENDING, cause="interrupted", exit_code=None))
    (site.control / "slurm.txt").write_text("slurmstepd: error: *** JOB 17 ON n1 CANCELLED AT 2026-01-01T00:00:00 ***\n")
    ending = site.over()
    assert (ending.cause, ending.detail) == ("cancelled", "it was cancelled on the cluster")


@pytest.mark.parametrize("why", ["NODE FAILURE", "PREEMPTION", "JOB REQUEUE"])
def test_a_node_that_failed_before_a_run_began_gives_it_back_although_the_cluster_has_forgotten_it(site: Site, why: str) -> None:
    site.submit()
    (site.control / "slurm.txt").write_text(f"slurmstepd: error: *** JOB 17 ON n1 CANCELLED AT 2026-01-01 DUE TO {why} ***\n")
    assert site.outcome() is False


def test_what_sbatch_handed_over_after_its_call_was_killed_is_asked_for_again(site: Site) -> None:
    """The queue was asked for, for another run, before sbatch had ended."""
    executor = site.executor()
    other = make_run(site.home, site.shared, "scq-00000000000000ff")
    site.executor().run(iter([other]), 1, lambda _task, _ending: None)
    site.bin.set("sbatch", "exit 9")
    site.submit()
    note = read_note(str(site.directory))
    assert note is not None
    write_note(str(site.directory), replace(note, at=note.at - 100.0))  # sbatch was begun before
    assert executor.outcome(other.directory) is False
    site.begin()
    site.row("RUNNING")
    assert executor.outcome(site.task.directory) is None


def test_a_scancel_that_does_not_answer_is_waited_for_once(site: Site) -> None:
    tasks = [make_run(site.home, site.shared, f"scq-{number:016x}") for number in range(3)]
    site.submit(*tasks)
    rows = (f"17|{os.getuid()}|RUNNING|main|5|N/A|x|n1|scq-{number:016x}\n" for number in range(3))
    site.bin.queue("".join(rows))
    for task in tasks:
        notes.remember(task.directory, notes.STOP)
    site.bin.set("scancel", "sleep 1000")
    executor = site.executor(command_timeout=3.0)
    for task in tasks:
        with pytest.raises(BusyError, match="no answer"):
            executor.outcome(task.directory)
    assert len([word for word in site.bin.calls("scancel") if word.startswith("--name")]) == 1


def test_many_runs_are_stopped_without_waiting_for_each(site: Site) -> None:
    tasks = [make_run(site.home, site.shared, f"scq-{number:016x}") for number in range(5)]
    site.submit(*tasks)
    site.bin.set("scancel", "sleep 1000")
    executor = site.executor(command_timeout=3.0)
    for task in tasks:
        with pytest.raises(BusyError, match="no answer"):
            executor.stop(task.directory)
        assert notes.is_noted(task.directory, notes.STOP)
    assert len([word for word in site.bin.calls("scancel") if word.startswith("--name")]) == 1


def test_the_devices_of_a_place_travel_with_the_order(site: Site) -> None:
    executor = site.executor(devices=("/dev/null",), rules=(Placement(tags=("gpu",), devices=("/dev/zero",)),))
    executor.run(iter([replace(site.task, traits=Traits(tags=("gpu",)))]), 1, lambda _task, _ending: None)
    order = json.loads((site.control / "order.json").read_text())
    assert order["task"]["entrance"]["devices"] == ["/dev/zero"]
