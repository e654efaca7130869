"""What happens on the node of a cluster, started as a batch system would: an empty environment, nothing to read, no terminal."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest
from msgspec.structs import replace

from scq import node, sandbox
from scq.digest import Caps, manifest
from scq.errors import FAILED, IntegrityError
from scq.executors import rundir
from scq.executors.processes import descendants
from scq.executors.slurm.order import ANSWER, NODE, ORDER, ORDER_LIMIT, Answer, Probe, write_order
from scq.model import Content
from scq.ports import Ending, Entrance, Invocation, Mount, Task
from tests.unit.executors.tasks import all_pids, command_line, is_alive, kill_if_alive, wait_for
from tests.unit.sandbox.boxes import ORDINARY, made_device

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root can do this")
WAITS = "trap 'echo asked; exit 3' TERM; echo ready > ready; while :; do sleep 0.02; done"

DROPPED = f"""
import ctypes.util, os, shutil, sys
import scq.node, scq.sandbox.bwrap, scq.sandbox.selftest
os.setgroups([])
os.setgid({ORDINARY})
os.setuid({ORDINARY})
sys.exit(scq.node.main(sys.argv[1:]))
"""
"""The same as an ordinary user, who may not be able to read this Python."""

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


class Shared:
    """The folder that a cluster shares, with one run in it."""

    def __init__(self, root: Path, user: int) -> None:
        """`user` starts the run; a run of root belongs to an ordinary user all the same."""
        self.root, self.user = root, user
        self.scratch = root / f"scq-{secrets.token_hex(8)}"
        self.work, self.code = self.scratch / "work", self.scratch / "work/code"
        self.control = Path(f"{self.scratch}.run")
        self.code.mkdir(parents=True)
        self.control.mkdir(mode=0o700)
        self.processes: list[subprocess.Popen[bytes]] = []

    def task(self, script: str, **changes: Any) -> Task:
        """A run of that script. Changes are fields of the entrance, or `timeout_s`."""
        (self.code / "run.sh").write_text(script)
        (self.code / "run.sh").chmod(0o755)
        (self.code / "lib").mkdir(exist_ok=True)
        (self.code / "lib/part.sh").write_text("true\n")
        (self.code / "prepared").mkdir(exist_ok=True)
        (self.code / "prepared/wheel").write_text("not of the submission\n")
        found = manifest(str(self.work), Content("code", exclude=("prepared",), ignore=()), Caps())
        settings = {"scratch_root": str(self.root), "apart": True, "temporary_bytes": 1 << 20}
        entrance = Entrance(
            sandbox="bwrap",
            settings=settings,
            command=("/bin/sh", "code/run.sh"),
            work=str(self.work),
            cwd=".",
            env={"TOP": str(self.work)},
            mounts=(),
            network=False,
            code=str(self.code),
            run_sh="run.sh",
            fields=(),
            digest=found.digest,
            extra=("prepared",),
        )
        timeout_s = changes.pop("timeout_s", 30.0)
        return Task(
            label="job",
            directory=str(self.control),
            invocation=Invocation((), {}, ""),
            timeout_s=timeout_s,
            log_limit=1 << 16,
            stream=True,
            work=str(self.work),
            entrance=replace(entrance, **changes),
        )

    def order(self, script: str, **changes: Any) -> str:
        """Order a run of that script; the sha256 of the order."""
        sha256 = write_order(str(self.control), self.task(script, **changes))
        if ROOT:
            give(self.scratch, ORDINARY)
        if self.user != os.geteuid():
            give(self.root, self.user)
        return sha256

    def start(self, sha256: str, *before: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """What the batch script becomes."""
        module = ("-m", "scq.node") if self.user == os.geteuid() else ("-c", DROPPED)
        process = subprocess.Popen(
            [*before, sys.executable, "-I", *module, str(self.control), sha256],
            env={"SLURMD_NODENAME": "n1", "SLURM_JOB_ID": "7", "SECRET": "canary"} | (env or {}),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.processes.append(process)
        return process

    def end(self) -> None:
        """What a test that failed left behind."""
        for process in self.processes:
            if process.returncode is None:
                process.kill()
                process.communicate()

    def begin(self, sha256: str) -> int:
        """The same in a fork of this process, to its end: its exit code."""
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                code = node.main([str(self.control), sha256])
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def result(self) -> Ending:
        found = rundir.read_result(str(self.control))
        assert found is not None
        return found

    def said(self, name: str) -> str:
        return (self.control / f"{name}.txt").read_text()


def give(top: Path, user: int) -> None:
    for path in (top, *top.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that another user can reach, unlike tmp_path."""
    with tempfile.TemporaryDirectory(prefix="scq-test-") as name:
        os.chmod(name, 0o711)
        yield Path(name)


@pytest.fixture
def shared(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shared]:
    """Of the caller. What a call in this process changes is changed back."""
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    before = signal.getsignal(signal.SIGTERM)
    found = Shared(root, os.geteuid())
    yield found
    found.end()
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(params=["caller", pytest.param("ordinary", marks=needs_root)])
def anybodys(request: pytest.FixtureRequest, root: Path) -> Iterator[Shared]:
    """Of the caller (a box made by root drops), and of an ordinary user."""
    found = Shared(root, ORDINARY if request.param == "ordinary" else os.geteuid())
    yield found
    found.end()


@pytest.fixture
def mark() -> Iterator[str]:
    """An argument of `sleep` by which the processes of a test are known; ended afterwards if they still live."""
    word = f"97.{secrets.randbelow(10**9)}"
    yield word
    for pid in sleepers(word):
        kill_if_alive(pid)


def sleepers(mark: str) -> list[int]:
    return [pid for pid in all_pids() if command_line(pid) == f"sleep\0{mark}\0".encode()]


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Exit code and what it had to say."""
    _, said = process.communicate(timeout=30)
    return process.returncode, said.decode()


class TestRuns:
    def test_a_job_runs_in_its_box_and_how_it_ended_is_written_down(self, anybodys: Shared) -> None:
        sha256 = anybodys.order('env; echo warned >&2; echo made > file; cat code/prepared/wheel; test "$TOP" = /job && exit 7')
        assert ended(anybodys.start(sha256)) == (0, "")
        ending = anybodys.result()
        assert (ending.exit_code, ending.cause, ending.node, ending.detail) == (7, "exit", "n1", "")
        assert ending.started_at < ending.finished_at
        assert (ending.stdout_bytes, ending.stderr_bytes) == (len(anybodys.said("stdout")), 7)
        assert anybodys.said("stderr") == "warned\n"
        *variables, last = anybodys.said("stdout").splitlines()
        assert last == "not of the submission"
        assert {line.partition("=")[0] for line in variables} == {"PATH", "HOME", "LANG", "TOP", "PWD"}
        assert (anybodys.work / "file").read_text() == "made\n"
        assert (anybodys.work / "file").stat().st_uid != 0
        assert (anybodys.control / NODE).read_text() == "n1"
        assert rundir.was_started(str(anybodys.control))
        assert not [name for name in os.listdir(anybodys.root) if name.startswith("trial")]

    def test_limits_hold_there_too(self, shared: Shared) -> None:
        assert shared.begin(shared.order("echo begun; exec sleep 60", timeout_s=0.3)) == 0
        assert shared.result().cause == "timeout"
        assert shared.said("stdout") == "begun\n--- PROCESS TIMED OUT ---\n"
        assert "wall 0.3 s: supervisor" in shared.result().enforced

    def test_without_a_name_from_the_cluster_the_node_is_the_machine(
        self, shared: Shared, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SLURMD_NODENAME")
        assert shared.begin(shared.order("true")) == 0
        assert shared.result().node == os.uname().nodename == (shared.control / NODE).read_text()

    def test_a_name_that_is_no_text_is_made_one(self, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLURMD_NODENAME", "n\udcff\n\x1b[1m" + "x" * 300)
        assert shared.begin(shared.order("true")) == 0
        assert shared.result().node == ("n? [1m" + "x" * 300)[:255]

    def test_wrong_arguments_are_wrong_usage(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert node.main(["one"]) == 2
        assert "usage" in capsys.readouterr().err


class TestEndedFromOutside:
    @pytest.mark.parametrize("whom", ["node", "everybody"])
    def test_a_request_to_stop_ends_the_job_and_is_written_down(self, anybodys: Shared, whom: str, mark: str) -> None:
        process = anybodys.start(anybodys.order(f"setsid sleep {mark} & {WAITS}"))
        wait_for((anybodys.work / "ready").exists, "the start of the job")
        if whom == "everybody":
            # A cluster may signal every process it can find, the job before the one that watches it.
            found = list(descendants(process.pid))
            process.send_signal(signal.SIGSTOP)
            for pid in reversed(found):
                os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not any(map(is_alive, found)), "the end of the job")
            process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        assert ended(process) == (0, "")
        assert (anybodys.result().exit_code, anybodys.result().cause) == (None, "interrupted")
        if whom == "node":
            assert anybodys.said("stdout") == "asked\n"
        assert sleepers(mark) == []

    def test_killed_outright_it_leaves_no_process_and_the_job_never_runs_again(self, anybodys: Shared, mark: str) -> None:
        sha256 = anybodys.order(f"echo run >> runs; setsid sleep {mark} & {WAITS}")
        process = anybodys.start(sha256)
        wait_for(lambda: (anybodys.work / "ready").exists() and bool(sleepers(mark)), "the start of the job")
        process.kill()
        assert ended(process)[0] == -signal.SIGKILL
        wait_for(lambda: not sleepers(mark), "the end of the box")
        code, said = ended(anybodys.start(sha256))
        assert code == 0
        assert "nothing is done" in said
        assert (anybodys.work / "runs").read_text() == "run\n"
        assert not (anybodys.control / rundir.RESULT).exists()

    def test_the_end_of_what_started_it_ends_the_job(self, shared: Shared, mark: str) -> None:
        sha256 = shared.order(f"setsid sleep {mark} & {WAITS}")
        keeper = shared.start(sha256, "/bin/sh", "-c", '"$@" & wait', "sh")
        wait_for((shared.work / "ready").exists, "the start of the job")
        keeper.kill()
        keeper.communicate()
        wait_for((shared.control / rundir.RESULT).exists, "the result")
        assert shared.result().cause == "interrupted"
        assert sleepers(mark) == []

    def test_whose_keeper_ended_while_it_was_prepared_does_not_begin(
        self, shared: Shared, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prove, keepers = node._prove, [os.getpid()]

        def slowly(entrance: Entrance, order: str) -> None:
            prove(entrance, order)
            keepers.append(1)

        monkeypatch.setattr(node, "_prove", slowly)
        monkeypatch.setattr(os, "getppid", lambda: keepers[-1])
        assert shared.begin(shared.order("echo run >> runs")) == FAILED
        assert not (shared.work / "runs").exists()
        assert not (shared.control / rundir.STARTED).exists()

    def test_the_time_in_which_it_was_halted_does_not_count(self, shared: Shared) -> None:
        process = shared.start(shared.order("touch ready; sleep 4; echo done", timeout_s=3.0))
        wait_for((shared.work / "ready").exists, "the start of the job")
        process.send_signal(signal.SIGSTOP)
        go_on = time.monotonic() + 3.2
        wait_for(lambda: time.monotonic() > go_on, "more time than it has")
        process.send_signal(signal.SIGCONT)
        assert ended(process) == (0, "")
        assert (shared.result().exit_code, shared.result().cause) == (0, "exit")

    def test_whose_folder_was_removed_ends(self, anybodys: Shared, mark: str) -> None:
        process = anybodys.start(anybodys.order(f"setsid sleep {mark} & {WAITS}"))
        wait_for(lambda: (anybodys.work / "ready").exists() and bool(sleepers(mark)), "the start of the job")
        shutil.rmtree(anybodys.control)
        code, said = ended(process)
        assert code == FAILED
        assert "No such file" in said
        assert sleepers(mark) == []

    def test_whose_folder_cannot_be_seen_for_a_while_goes_on(self, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.lstat

        def stale(path: Any, **more: Any) -> os.stat_result:
            if str(path) == str(shared.control / rundir.STARTED):
                raise OSError(errno.ESTALE, "Stale file handle", path)
            return real(path, **more)

        monkeypatch.setattr(os, "lstat", stale)
        assert shared.begin(shared.order("sleep 0.3; echo run >> runs")) == 0
        assert (shared.work / "runs").read_text() == "run\n"

    def test_a_job_that_ends_itself_in_that_way_was_not_stopped(self, shared: Shared) -> None:
        assert shared.begin(shared.order("kill -TERM $$")) == 0
        assert (shared.result().exit_code, shared.result().cause) == (143, "exit")

    def test_before_the_start_a_request_to_stop_leaves_nothing(self, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
        class Stopped:
            def check(self) -> None:
                os.kill(os.getpid(), signal.SIGTERM)

        sha256 = shared.order("true")
        monkeypatch.setattr(sandbox, "get", lambda *_args, **_settings: Stopped())
        with pytest.raises(SystemExit) as caught:
            node.main([str(shared.control), sha256])
        assert caught.value.code == 143
        assert sorted(os.listdir(shared.control)) == [NODE, ORDER]


class TestFoldersOfOthers:
    @pytest.mark.parametrize("which", ["control", "root"])
    def test_where_others_can_write_nothing_is_done(self, shared: Shared, which: str) -> None:
        sha256 = shared.order("echo run >> runs")
        folder: Path = getattr(shared, which)
        folder.chmod(0o731)
        code, said = ended(shared.start(sha256))
        assert (code, said) == (FAILED, f"scq: {folder} belongs to somebody else or others may write there: nothing is done\n")
        assert os.listdir(shared.control) == [ORDER]

    @needs_root
    def test_in_a_folder_of_somebody_else_nothing_is_done(self, shared: Shared) -> None:
        sha256 = shared.order("echo run >> runs")
        os.chown(shared.control, ORDINARY, ORDINARY)
        code, said = ended(shared.start(sha256))
        assert code == FAILED
        assert "belongs to somebody else" in said
        assert os.listdir(shared.control) == [ORDER]


class TestOnce:
    def test_started_twice_at_once_it_runs_once(self, shared: Shared) -> None:
        sha256 = shared.order("echo run >> runs; sleep 0.2")
        both = [shared.start(sha256), shared.start(sha256)]
        assert [ended(process)[0] for process in both] == [0, 0]
        assert (shared.work / "runs").read_text() == "run\n"
        assert shared.result().cause == "exit"

    def test_what_was_claimed_while_it_was_prepared_is_left_alone(self, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
        sha256 = shared.order("echo run >> runs")
        prove = node._prove

        def taken_back(entrance: Entrance, order: str) -> None:
            (shared.control / rundir.STARTED).write_text("revoked")
            prove(entrance, order)

        monkeypatch.setattr(node, "_prove", taken_back)
        assert shared.begin(sha256) == 0
        assert not (shared.work / "runs").exists()
        assert not (shared.control / rundir.RESULT).exists()

    def test_a_refusal_is_no_second_answer(self, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
        sha256 = shared.order("true")

        def taken_back(control: str, sha256: str) -> NoReturn:
            (shared.control / rundir.STARTED).write_text("revoked")
            raise IntegrityError("something is wrong")

        monkeypatch.setattr(node, "read_order", taken_back)
        assert node.main([str(shared.control), sha256]) == 0
        assert sorted(os.listdir(shared.control)) == [NODE, ORDER, rundir.STARTED]

    def test_a_shared_disk_needs_to_know_no_locks(self, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_arguments: object) -> NoReturn:
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr("fcntl.flock", unknown)
        assert shared.begin(shared.order("true")) == 0
        assert shared.result().exit_code == 0

    def test_a_run_that_was_taken_back_is_left_alone(self, shared: Shared, capsys: pytest.CaptureFixture[str]) -> None:
        sha256 = shared.order("true")
        (shared.control / rundir.STARTED).write_text("revoked")
        assert node.main([str(shared.control), sha256]) == 0
        assert "was taken back" in capsys.readouterr().err
        assert sorted(os.listdir(shared.control)) == [ORDER, rundir.STARTED]

    def test_a_run_whose_folder_has_gone_is_left_alone(self, shared: Shared, capsys: pytest.CaptureFixture[str]) -> None:
        sha256 = shared.order("true")
        elsewhere = shared.root / "elsewhere"
        shared.control.rename(elsewhere)
        for _ in range(2):
            assert node.main([str(shared.control), sha256]) == 0
            assert "is not there" in capsys.readouterr().err
            with suppress(FileExistsError):
                shared.control.symlink_to(elsewhere)
        assert os.listdir(elsewhere) == [ORDER]


def refused(shared: Shared, sha256: str, cause: str, detail: str) -> None:
    """It ends before it begins, with a complete result that says why, and nothing happens when it is begun again."""
    assert node.main([str(shared.control), sha256]) == 1
    ending = shared.result()
    assert (ending.exit_code, ending.cause, ending.node) == (None, cause, "n1")
    assert detail in ending.detail
    assert shared.said("stderr") == f"scq: {ending.detail}\n"
    assert (shared.said("stdout"), ending.stderr_bytes) == ("", len(shared.said("stderr")))
    assert datetime.fromisoformat(ending.started_at).utcoffset() == timedelta(0)
    assert ending.started_at == ending.finished_at
    assert not (shared.work / "ran").exists()
    before = (shared.control / rundir.RESULT).read_bytes()
    assert node.main([str(shared.control), sha256]) == 0
    assert (shared.control / rundir.RESULT).read_bytes() == before


def rewritten(shared: Shared) -> None:
    (shared.code / "lib/part.sh").write_text("evil\n")


def executable(shared: Shared) -> None:
    (shared.code / "lib/part.sh").chmod(0o755)


def added(shared: Shared) -> None:
    (shared.code / "lib/more.sh").write_text("")


def passed_over(shared: Shared) -> None:
    (shared.code / "lib/.part.sh.7.tmp").write_text("evil\n")


def folder_passed_over(shared: Shared) -> None:
    (shared.code / ".lib.7.tmp").mkdir()
    (shared.code / ".lib.7.tmp/evil").write_text("evil\n")


def removed(shared: Shared) -> None:
    (shared.code / "lib/part.sh").unlink()


def linked(shared: Shared) -> None:
    (shared.code / "lib/p\u202eart.sh").symlink_to("/etc/passwd")


def without_script(shared: Shared) -> None:
    (shared.code / "run.sh").unlink()


def gone(shared: Shared) -> None:
    shutil.rmtree(shared.scratch)


class TestContent:
    @pytest.mark.parametrize(
        ("change", "detail"),
        [
            (rewritten, "not what was approved, changed since it was sent: lib/part.sh"),
            (executable, "changed since it was sent: lib/part.sh"),
            (added, "changed since it was sent: lib, lib/more.sh"),
            (removed, "changed since it was sent: lib"),
            (passed_over, "holds what was not approved: lib/.part.sh.7.tmp"),
            (folder_passed_over, "holds what was not approved: .lib.7.tmp/evil"),
            (linked, "lib/p\\u202eart.sh: is a symbolic link"),
            (without_script, "run.sh: is missing"),
            (gone, "cannot be read"),
        ],
    )
    def test_what_is_not_what_was_approved_does_not_run(
        self, shared: Shared, change: Callable[[Shared], None], detail: str
    ) -> None:
        sha256 = shared.order("touch ran")
        # Time stamps are only as fine as the ticks of the kernel.
        before = (shared.control / ORDER).stat().st_mtime_ns
        os.utime(shared.control / ORDER, ns=(before, before - 10**8 + 1))
        earlier = {path: path.stat() for path in (shared.code, *shared.code.rglob("*"))}
        wait_for(lambda: _tick(shared.root) > max(found.st_ctime_ns for found in earlier.values()), "a tick of the clock")
        os.utime(shared.control / ORDER)
        wait_for(lambda: _tick(shared.root) > (shared.control / ORDER).stat().st_mtime_ns, "another tick")
        change(shared)
        refused(shared, sha256, "integrity", detail)

    def test_a_digest_of_something_else_is_refused_although_nothing_changed(self, shared: Shared) -> None:
        sha256 = shared.order("touch ran", digest="sha256:00")
        os.utime(shared.control / ORDER, (2e9, 2e9))
        refused(shared, sha256, "integrity", "the private copy is not what was approved")
        assert shared.result().detail.endswith("approved")

    def test_of_many_names_only_some_are_said(self, shared: Shared) -> None:
        sha256 = shared.order("touch ran")
        for number in range(8):
            (shared.code / f".x{number}.7.tmp").touch()
        refused(shared, sha256, "integrity", ".x0.7.tmp, .x1.7.tmp, .x2.7.tmp, .x3.7.tmp, .x4.7.tmp and 3 more")


def _tick(folder: Path) -> int:
    """What the file system takes for now."""
    os.utime(folder)
    return folder.stat().st_ctime_ns


class TestOrders:
    @pytest.mark.parametrize(
        ("content", "detail"),
        [
            (b"{}", "cannot be understood"),
            (b"[" * 100_000, "cannot be understood"),
            (b'{"version":"\xff"}', "cannot be understood"),
            (b" " * (ORDER_LIMIT + 1), "larger than"),
        ],
    )
    def test_one_that_is_none_is_refused(self, shared: Shared, content: bytes, detail: str) -> None:
        (shared.control / ORDER).write_bytes(content)
        refused(shared, hashlib.sha256(content).hexdigest(), "integrity", detail)

    def test_one_that_was_changed_is_refused(self, shared: Shared) -> None:
        sha256 = shared.order("true")
        order = shared.control / ORDER
        order.write_bytes(order.read_bytes().replace(b"code/run.sh", b"code/evil.x"))
        refused(shared, sha256, "integrity", "not the one that was sent")

    @pytest.mark.parametrize("kind", ["missing", "FIFO", "link", "folder"])
    def test_one_that_is_no_file_is_refused(self, shared: Shared, kind: str) -> None:
        sha256 = shared.order("true")
        order = shared.control / ORDER
        order.rename(shared.control / "other")
        if kind == "FIFO":
            os.mkfifo(order)
        elif kind == "link":
            order.symlink_to("other")
        elif kind == "folder":
            order.mkdir()
        refused(shared, sha256, "integrity", "order.json: ")

    def test_one_of_another_version_is_refused_with_the_node_and_both_versions(
        self, shared: Shared, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("scq.executors.slurm.order.__version__", "99.1")
        sha256 = shared.order("touch ran")
        monkeypatch.undo()
        monkeypatch.setenv("SLURMD_NODENAME", "n1")
        refused(shared, sha256, "start", "node n1: the order was written by scq 99.1, and this node has scq ")

    def test_one_for_another_folder_is_refused(self, shared: Shared) -> None:
        shared.order("touch ran")
        other = msgspec.json.decode((shared.control / ORDER).read_bytes())
        other["task"]["directory"] = "/elsewhere"
        content = msgspec.json.encode(other)
        (shared.control / ORDER).write_bytes(content)
        refused(shared, hashlib.sha256(content).hexdigest(), "integrity", "not one for this folder")


class TestProbes:
    @pytest.mark.parametrize(("box", "problems"), [("bwrap", []), ("cage", ["sandbox: no sandbox is called 'cage'"])])
    def test_what_is_asked_is_answered_and_nothing_runs(self, shared: Shared, box: str, problems: list[str]) -> None:
        settings = {"scratch_root": str(shared.root), "apart": True}
        sha256 = write_order(str(shared.control), Probe(box, settings, paths=("/usr", "/no/such/folder")))
        assert node.main([str(shared.control), sha256]) == 0
        answer = msgspec.json.decode((shared.control / ANSWER).read_bytes(), type=Answer)
        assert (answer.node, answer.missing) == ("n1", ("/no/such/folder",))
        assert [problem.what for problem in answer.problems] == problems
        assert sorted(os.listdir(shared.control)) == [ANSWER, NODE, ORDER]
        assert sorted(os.listdir(shared.root)) == sorted([shared.scratch.name, shared.control.name])


class TestStart:
    def test_an_approval_that_ended_while_it_waited(self, shared: Shared) -> None:
        sha256 = shared.order("touch ran", not_after=datetime.now(UTC) - timedelta(seconds=1))
        refused(shared, sha256, "start", "its approval ended while it waited")

    def test_an_approval_that_still_holds(self, shared: Shared) -> None:
        assert shared.begin(shared.order("touch ran", not_after=datetime.now(UTC) + timedelta(hours=1))) == 0
        assert (shared.work / "ran").exists()

    def test_data_that_the_node_does_not_have(self, shared: Shared) -> None:
        sha256 = shared.order("touch ran", mounts=(Mount("/no/such/cohort", "/data/cohort"),))
        refused(shared, sha256, "start", "node n1: /no/such/cohort: is to be shown to jobs but is not there")

    def test_no_box_was_asked_for(self, shared: Shared) -> None:
        refused(shared, shared.order("touch ran", sandbox="none"), "start", "no box on node n1: sandbox none")

    def test_a_box_that_does_not_hold(self, shared: Shared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        sha256 = shared.order("touch ran")
        monkeypatch.setenv("PATH", str(tmp_path))
        refused(shared, sha256, "start", "no box on node n1: bubblewrap (bwrap) is not installed")

    def test_a_folder_outside_the_job(self, shared: Shared) -> None:
        refused(shared, shared.order("touch ran", cwd="../.."), "start", "node n1: working folder")

    @needs_root
    def test_a_private_copy_that_cannot_be_given_to_the_user_of_the_box(self, shared: Shared) -> None:
        sha256 = shared.order("touch ran", work=f"{shared.work}/gone")
        refused(shared, sha256, "start", f"node n1: {shared.work}/gone: No such file or directory")

    def test_a_sandbox_nobody_knows(self, shared: Shared) -> None:
        refused(shared, shared.order("touch ran", sandbox="cage"), "start", "no sandbox is called 'cage'")

    def test_what_cannot_be_written_down_is_said_and_nothing_starts(self, shared: Shared) -> None:
        sha256 = shared.order("touch ran")
        process = shared.start(sha256, "prlimit", "--fsize=0")
        code, said = ended(process)
        assert code == 1
        assert "File too large" in said
        assert str(shared.control) in said
        assert not (shared.work / "ran").exists()

    @needs_root
    def test_a_job_that_fills_the_shared_disk_still_gets_its_result(self, shared: Shared, tmp_path: Path) -> None:
        sha256 = shared.order("cat /dev/zero > big; echo full; exit 3")
        shutil.copytree(shared.root, tmp_path / "before")
        script = f"""
            mount -t tmpfs -o size=1m,mode=711 scq-test {shared.root} && cp -a {tmp_path}/before/. {shared.root} || exit 97
            chown -R {ORDINARY}:{ORDINARY} {shared.scratch}
            "$@"; code=$?
            cp -a {shared.control} {tmp_path}/after; exit $code
        """
        code, said = ended(shared.start(sha256, "unshare", "--mount", "sh", "-c", script, "sh"))
        if code == 97:
            pytest.skip("no file system can be mounted here")
        assert code == 0, said
        ending = rundir.read_result(f"{tmp_path}/after")
        assert ending is not None
        assert (ending.exit_code, ending.cause, ending.stderr_bytes > 0) == (3, "exit", True)
        assert "No space left on device" in said  # of the logs, which have no room
        assert "reserve" not in os.listdir(tmp_path / "after")

    def test_a_result_that_cannot_be_written_is_said(self, shared: Shared) -> None:
        sha256 = shared.order("touch ran")
        (shared.control / rundir.RESULT).mkdir()
        code, said = ended(shared.start(sha256))
        assert (code, said.count("\n")) == (1, 1)
        assert said.startswith(f"scq: {shared.control}/result.json: ")


@pytest.fixture
def device() -> Iterator[str]:
    with made_device() as path:
        yield path


class TestDevices:
    def test_they_are_shown_with_the_choice_of_the_cluster(self, anybodys: Shared, device: str) -> None:
        script = f'head -c 5 {device} | wc -c; echo "$CUDA_VISIBLE_DEVICES-$SLURM_JOB_ID"; ls /dev | grep -c scq-test'
        process = anybodys.start(
            anybodys.order(script, devices=(f"{device}*", "/dev/no-such*")), env={"CUDA_VISIBLE_DEVICES": "1"}
        )
        assert ended(process) == (0, "")
        assert anybodys.said("stdout") == "5\n1-\n1\n"

    def test_without_them_the_choice_means_nothing(self, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        assert shared.begin(shared.order('echo "$CUDA_VISIBLE_DEVICES"', devices=("/dev/no-such*",))) == 0
        assert shared.said("stdout") == "\n"

    def test_a_place_that_is_no_device_is_refused(self, shared: Shared) -> None:
        sha256 = shared.order("touch ran", devices=("/etc/pass*",))
        refused(shared, sha256, "start", "node n1: /etc/pass*: is no device that can be shown to jobs")
