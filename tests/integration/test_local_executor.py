"""Real processes under the local executor: how they end, what they leave behind, what happens when somebody is killed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scq.executors import processes, supervisor
from scq.executors.local import LocalExecutor, never_started
from scq.executors.rundir import read_result, read_started
from scq.executors.spawning import primary_group
from scq.executors.supervisor import Supervisor
from scq.ports import Ending, Invocation, Task
from scq.sandbox.bwrap import BwrapSandbox
from tests.unit.executors.tasks import (
    PATH,
    REPOSITORY,
    all_pids,
    command_line,
    is_alive,
    kill_if_alive,
    make_task,
    python,
    run_one,
    wait_for,
    written_pid,
)

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(sys.argv[1], "w") as file:
            print(os.getpid(), file=file)
        while True:
            time.sleep(60)
    os._exit(0)
"""

CALLER = """
import sys
from pathlib import Path
from scq.executors import supervisor
from scq.executors.local import LocalExecutor
from tests.unit.executors.tasks import make_task
directory, stream, limit, grace, *scripts = sys.argv[1:]
supervisor.GRACE_S = float(grace)
tasks = [make_task(Path(directory) / f"j{n}", s, stream=stream == "stream", label=f"j{n}") for n, s in enumerate(scripts)]
LocalExecutor().run(iter(tasks), int(limit), lambda task, ending: print("ended", task.label, ending.cause, flush=True))
print("returned", flush=True)
"""


@pytest.fixture
def executor() -> LocalExecutor:
    return LocalExecutor()


def call(directory: Path, *scripts: str, stream: bool = False, limit: int = 4, grace_s: float = 2.0) -> subprocess.Popen[bytes]:
    """Start a process that runs shell scripts as jobs j0, j1, … below a directory."""
    command = [sys.executable, "-c", CALLER, str(directory), "stream" if stream else "quiet", str(limit), str(grace_s)]
    command += scripts
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def stray_pids() -> Iterator[list[int]]:
    """Processes a test has started in the background; ended afterwards if they still live."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        kill_if_alive(pid)


class TestEndings:
    @pytest.mark.parametrize(("name", "cause"), [("KILL", "killed"), ("TERM", "killed"), ("SEGV", "exit"), ("ABRT", "exit")])
    def test_a_signal_gives_128_and_its_number(self, executor: LocalExecutor, tmp_path: Path, name: str, cause: str) -> None:
        ending = run_one(executor, make_task(tmp_path / "run", f"kill -{name} $$"))
        assert (ending.exit_code, ending.cause) == (128 + signal.Signals[f"SIG{name}"], cause)

    def test_a_real_time_signal_counts_as_killed(self, executor: LocalExecutor, tmp_path: Path) -> None:
        ending = run_one(executor, make_task(tmp_path / "run", python("import os; os.kill(os.getpid(), 40)")))
        assert (ending.exit_code, ending.cause) == (168, "killed")

    def test_an_argument_with_a_nul_character_is_a_start_failure(self, executor: LocalExecutor, tmp_path: Path) -> None:
        assert run_one(executor, make_task(tmp_path / "run", ["/bin/echo", "a\0b"])).cause == "start"

    def test_a_missing_working_folder_is_a_start_failure(self, executor: LocalExecutor, tmp_path: Path) -> None:
        task = make_task(tmp_path / "run", "true")
        (tmp_path / "run/work").rmdir()
        assert run_one(executor, task).cause == "start"
        assert str(tmp_path / "run/work") in (tmp_path / "run/stderr.txt").read_text()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop to another user")
    def test_a_job_can_be_dropped_to_another_user(self, executor: LocalExecutor, tmp_path: Path) -> None:
        task = make_task(tmp_path / "run", "true")
        invocation = Invocation(("/bin/sh", "-c", "id -u; id -g; id -G"), PATH, "/", uid=65534)
        before = os.getgroups()
        os.setgroups([4])
        try:
            run_one(executor, Task("j", task.directory, invocation, 30.0, 4096, False))
        finally:
            os.setgroups(before)
        assert (tmp_path / "run/stdout.txt").read_text() == "65534\n65534\n65534\n"

    def test_a_directory_is_used_once(self, executor: LocalExecutor, tmp_path: Path) -> None:
        task = make_task(tmp_path / "run", "echo first")
        run_one(executor, task)
        with pytest.raises(ValueError, match="used once"):
            run_one(executor, task)

    def test_a_caller_that_ignores_ended_children_gets_its_endings(
        self, executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            assert run_one(executor, make_task(tmp_path / "run", "exit 4")).exit_code == 4
        finally:
            signal.signal(signal.SIGCHLD, before)

    def test_jobs_can_be_run_from_another_thread(self, executor: LocalExecutor, tmp_path: Path) -> None:
        endings: list[Ending] = []
        task = make_task(tmp_path / "run", "exit 5")
        thread = threading.Thread(target=lambda: endings.append(run_one(executor, task)))
        thread.start()
        thread.join()
        assert [ending.exit_code for ending in endings] == [5]

    def test_a_failing_report_stops_the_other_jobs(self, executor: LocalExecutor, tmp_path: Path) -> None:
        tasks = [make_task(tmp_path / "short", "true"), make_task(tmp_path / "long", "sleep 600")]

        def report(_task: Task, _ending: Ending) -> None:
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            executor.run(iter(tasks), 2, report)
        ending = executor.outcome(str(tmp_path / "long"))
        assert isinstance(ending, Ending)
        assert ending.cause == "interrupted"

    def test_no_room_for_another_process_is_a_start_failure(
        self, executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse() -> int:
            raise BlockingIOError(11, "Resource temporarily unavailable")

        monkeypatch.setattr(os, "fork", refuse)
        ending = run_one(executor, make_task(tmp_path / "run", "true"))
        assert ending.cause == "start"
        assert "temporarily unavailable" in (tmp_path / "run/stderr.txt").read_text()
        assert never_started(str(tmp_path / "run"))


class TestTimeLimit:
    def test_it_holds_for_a_line_that_never_ends(self, executor: LocalExecutor, tmp_path: Path) -> None:
        ending = run_one(executor, make_task(tmp_path / "run", "printf partial; exec sleep 600", timeout_s=0.3))
        assert ending.cause == "timeout"
        assert (tmp_path / "run/stdout.txt").read_text() == "partial\n--- PROCESS TIMED OUT ---\n"

    def test_it_holds_for_a_job_that_closed_its_output(self, executor: LocalExecutor, tmp_path: Path) -> None:
        ending = run_one(executor, make_task(tmp_path / "run", "exec >&- 2>&-; exec sleep 600", timeout_s=0.3))
        assert ending.cause == "timeout"

    def test_it_holds_for_a_job_that_ignores_being_asked(
        self, executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("scq.executors.supervisor.GRACE_S", 0.2)
        script = "trap 'echo asked' TERM; while :; do sleep 0.05; done"
        ending = run_one(executor, make_task(tmp_path / "run", script, timeout_s=0.3))
        assert ending.cause == "timeout"
        assert "asked\n" in (tmp_path / "run/stdout.txt").read_text()

    def test_a_job_that_gives_up_when_asked_still_timed_out(self, executor: LocalExecutor, tmp_path: Path) -> None:
        script = "trap 'echo tidied; exit 0' TERM; while :; do sleep 0.05; done"
        ending = run_one(executor, make_task(tmp_path / "run", script, timeout_s=0.3))
        assert (ending.exit_code, ending.cause) == (None, "timeout")
        assert (tmp_path / "run/stdout.txt").read_text() == "tidied\n--- PROCESS TIMED OUT ---\n"

    def test_it_ends_a_daemon_in_its_own_session(self, executor: LocalExecutor, tmp_path: Path, stray_pids: list[int]) -> None:
        code = f"import sys, time; sys.argv = ['', {str(tmp_path / 'pid')!r}]\n{DAEMON}\ntime.sleep(600)"
        ending = run_one(executor, make_task(tmp_path / "run", python(code), timeout_s=1.0))
        stray_pids.append(written_pid(tmp_path / "pid"))
        assert ending.cause == "timeout"
        assert not is_alive(stray_pids[0])


class TestLeftOvers:
    def test_a_background_child_that_holds_the_output_is_not_waited_for(
        self, executor: LocalExecutor, tmp_path: Path, stray_pids: list[int]
    ) -> None:
        script = f"sleep 600 & echo $! > {tmp_path}/pid; echo done"
        ending = run_one(executor, make_task(tmp_path / "run", script))
        stray_pids.append(written_pid(tmp_path / "pid"))
        assert (ending.exit_code, ending.cause) == (0, "exit")
        assert (tmp_path / "run/stdout.txt").read_text() == "done\n"
        assert not is_alive(stray_pids[0])

    def test_a_daemon_in_its_own_session_ends_with_the_job(
        self, executor: LocalExecutor, tmp_path: Path, stray_pids: list[int]
    ) -> None:
        script = 'python3 -c "$0" "$1" & until [ -s "$1" ]; do :; done'
        task = make_task(tmp_path / "run", ["/bin/sh", "-c", script, DAEMON, str(tmp_path / "pid")])
        assert run_one(executor, task).exit_code == 0
        stray_pids.append(written_pid(tmp_path / "pid"))
        assert not is_alive(stray_pids[0])

    def test_a_process_that_keeps_forking_away_is_caught(self, executor: LocalExecutor, tmp_path: Path) -> None:
        code = """
import os
if os.fork() == 0:
    os.setsid()
    while True:
        if os.fork():
            os._exit(0)
"""
        run_one(executor, make_task(tmp_path / "run", python(code)))
        assert [pid for pid in all_pids() if _works_below(pid, tmp_path)] == []

    def test_descriptors_of_the_caller_are_not_open_in_the_job(self, executor: LocalExecutor, tmp_path: Path) -> None:
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        try:
            run_one(executor, make_task(tmp_path / "run", ["/bin/ls", "/proc/self/fd"]))
        finally:
            os.close(reader)
            os.close(writer)
        # 3 is the folder that ls itself is listing.
        assert (tmp_path / "run/stdout.txt").read_text().split() == ["0", "1", "2", "3"]

    def test_the_supervisor_keeps_none_of_the_callers_files_open(self, executor: LocalExecutor, tmp_path: Path) -> None:
        with (tmp_path / "held by the caller").open("w"):
            run_one(executor, make_task(tmp_path / "run", "ls -l /proc/$PPID/fd"))
        listing = (tmp_path / "run/stdout.txt").read_text()
        assert "run/lock" in listing
        assert "held by the caller" not in listing

    def test_the_job_is_in_the_recorded_session_and_not_in_the_callers(self, executor: LocalExecutor, tmp_path: Path) -> None:
        code = "import os; print(os.getsid(0), os.getpgid(0) == os.getpid())"
        run_one(executor, make_task(tmp_path / "run", python(code)))
        started = read_started(str(tmp_path / "run"))
        assert started is not None
        assert (tmp_path / "run/stdout.txt").read_text() == f"{started.session} True\n"
        assert started.session != os.getsid(0)

    def test_the_job_has_the_usual_signal_behaviour(self, executor: LocalExecutor, tmp_path: Path) -> None:
        run_one(executor, make_task(tmp_path / "run", "grep -E 'Sig(Blk|Ign)' /proc/self/status"))
        words = (tmp_path / "run/stdout.txt").read_text().split()
        ordinary = (1 << 31) - 1  # 32 and above belong to the C library and to nobody in particular
        masks = {words[0]: int(words[1], 16) & ordinary, words[2]: int(words[3], 16) & ordinary}
        assert masks == {"SigBlk:": 0, "SigIgn:": 0}

    def test_the_caller_keeps_no_children_and_no_descriptors(self, executor: LocalExecutor, tmp_path: Path) -> None:
        run_one(executor, make_task(tmp_path / "warm", "true"))
        before = sorted(os.listdir("/proc/self/fd"))
        run_one(executor, make_task(tmp_path / "run", "true"))
        assert sorted(os.listdir("/proc/self/fd")) == before
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    def test_clean_up_code_of_the_caller_runs_once(self, executor: LocalExecutor, tmp_path: Path) -> None:
        notes = tmp_path / "notes"
        try:
            run_one(executor, make_task(tmp_path / "run", "true"))
        finally:
            with notes.open("a") as file:
                file.write("cleaned\n")
        assert notes.read_text() == "cleaned\n"


def _works_below(pid: int, folder: Path) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd").startswith(str(folder.resolve()))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


class TestTrouble:
    """The supervisor is a fork of the test, so what is patched here is patched there."""

    def test_a_defect_of_the_supervisor_is_shown_and_the_job_counts_as_interrupted(
        self, executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def fail(_self: Supervisor) -> None:
            raise RuntimeError("a defect")

        monkeypatch.setattr(Supervisor, "_watch", fail)
        ending = run_one(executor, make_task(tmp_path / "run", f"echo $$ > {tmp_path}/pid; exec sleep 600"))
        assert (ending.exit_code, ending.cause) == (None, "interrupted")
        assert "[job] RuntimeError: a defect\n" in capfd.readouterr().err
        assert not [pid for pid in all_pids() if _works_below(pid, tmp_path)]

    def test_a_full_disk_costs_the_log_and_not_the_ending(
        self, executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def full(*_arguments: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        ending = run_one(executor, make_task(tmp_path / "run", "echo line; exit 3"))
        assert (ending.exit_code, ending.cause, ending.stdout_bytes) == (3, "exit", 5)
        assert capfd.readouterr().err == f"[job] {tmp_path}/run/stdout.txt is incomplete: No space left on device\n"

    def test_processes_that_cannot_be_killed_are_counted_in_the_log(
        self, executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stray_pids: list[int]
    ) -> None:
        monkeypatch.setattr(processes, "send", lambda _pid, _number: False)
        monkeypatch.setattr(supervisor, "PATIENCE_S", 0.0)
        pid = tmp_path / "pid"
        # In a session of its own by the time the job ends: the end of its process group would reach it otherwise.
        stray = f"setsid sh -c 'echo $$ > {pid}; exec sleep 600' & while [ ! -s {pid} ]; do sleep 0.01; done"
        ending = run_one(executor, make_task(tmp_path / "run", stray))
        stray_pids.append(written_pid(pid))
        assert ending.exit_code == 0
        assert (tmp_path / "run/stderr.txt").read_text() == "--- processes of this job that could not be killed: 1 ---\n"

    def test_a_user_without_an_account_has_a_group_of_the_same_number(self) -> None:
        assert primary_group(4_000_123_456) == 4_000_123_456


class TestOutput:
    def test_bytes_that_are_no_text_are_kept(self, executor: LocalExecutor, tmp_path: Path) -> None:
        data = bytes(range(256)) * 3
        code = f"import sys; sys.stdout.buffer.write(bytes(range(256)) * {3})"
        run_one(executor, make_task(tmp_path / "run", python(code)))
        assert (tmp_path / "run/stdout.txt").read_bytes() == data

    def test_a_hundred_megabytes_are_cut_in_constant_memory(self, tmp_path: Path) -> None:
        code = """
import resource, sys
from pathlib import Path
from scq.executors.local import LocalExecutor
from tests.unit.executors.tasks import make_task, run_one
for name, size in (("small", 10), ("large", 100_000_000)):
    task = make_task(Path(sys.argv[1]) / name, f"head -c {size} /dev/zero; echo end", log_limit=1 << 20)
    print(run_one(LocalExecutor(), task).stdout_bytes, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
        said = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        (small, small_kib), (large, large_kib) = (map(int, line.split()) for line in said.stdout.splitlines())
        assert (small, large) == (14, 100_000_004)
        assert large_kib - small_kib < 2048
        kept = (tmp_path / "large/stdout.txt").read_bytes()
        assert len(kept) <= 1 << 20
        assert kept.endswith(b"end\n")
        head, mark, tail = kept.partition(b"\n--- ")
        left_out = int(tail.split(b" ", 1)[0])
        assert len(head) + left_out + len(tail.partition(b"---\n")[2]) == large
        assert mark

    def test_the_log_can_be_read_while_the_job_runs(self, executor: LocalExecutor, tmp_path: Path) -> None:
        """The job itself waits until its own first line is in the log."""
        script = "echo first; until grep -q first ../stdout.txt; do :; done; echo second"
        ending = run_one(executor, make_task(tmp_path / "run", script))
        assert ending.exit_code == 0

    def test_streamed_lines_carry_the_label_and_no_control_characters(self, tmp_path: Path) -> None:
        script = r"printf 'one\n\033[31mred\033[0m\tx\r\nlast'; printf 'problem\n' >&2"
        out, err = call(tmp_path, script, stream=True).communicate(timeout=30)
        assert out.decode() == "[j0] one\n[j0] [31mred[0m\tx\n[j0] last\nended j0 exit\nreturned\n"
        assert err.decode() == "[j0] problem\n"

    def test_without_streaming_the_caller_says_nothing_of_the_job(self, tmp_path: Path) -> None:
        out, err = call(tmp_path, "echo one; echo two >&2").communicate(timeout=30)
        assert out.decode() == "ended j0 exit\nreturned\n"
        assert err == b""

    def test_a_reader_that_takes_nothing_does_not_hold_up_the_job(self, tmp_path: Path) -> None:
        caller = call(tmp_path, "seq 200000; echo end", stream=True)
        wait_for(lambda: read_result(str(tmp_path / "j0")) is not None, "the end of the job")
        assert (tmp_path / "j0/stdout.txt").read_bytes().endswith(b"200000\nend\n")
        out, _ = caller.communicate(timeout=30)
        assert out.startswith(b"[j0] 1\n[j0] 2\n")
        assert caller.returncode == 0

    def test_a_reader_that_has_gone_does_not_end_the_job(self, tmp_path: Path) -> None:
        caller = call(tmp_path, f"until [ -e {tmp_path}/go ]; do sleep 0.02; done; seq 1000; exit 3", stream=True)
        assert caller.stdout is not None
        caller.stdout.close()
        (tmp_path / "go").touch()
        wait_for(lambda: read_result(str(tmp_path / "j0")) is not None, "the end of the job")
        caller.wait(timeout=30)
        result = read_result(str(tmp_path / "j0"))
        assert result is not None
        assert result.exit_code == 3
        assert caller.stderr is not None
        caller.stderr.close()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[BwrapSandbox]:
    """A box whose private copies lie where a dropped user can reach them."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    with tempfile.TemporaryDirectory(prefix="scq-test-") as name:
        os.chmod(name, 0o755)
        yield BwrapSandbox(scratch_root=f"{name}/root")


def boxed(box: BwrapSandbox, directory: Path, script: str, timeout_s: float = 30.0) -> Task:
    """A shell script as a task inside the box."""
    directory.mkdir()
    work = f"{box.scratch(str(directory))}/work"
    os.mkdir(work)
    invocation = box.wrap(["/bin/sh", "-c", script], work=work, cwd=".", env={})
    return Task("boxed", str(directory), invocation, timeout_s, 1 << 20, False)


class TestBoxed:
    def test_exit_code_and_output_come_out(self, executor: LocalExecutor, box: BwrapSandbox, tmp_path: Path) -> None:
        ending = run_one(executor, boxed(box, tmp_path / "run", "pwd; exit 7"))
        assert (ending.exit_code, ending.cause) == (7, "exit")
        assert (tmp_path / "run/stdout.txt").read_text() == "/job\n"

    def test_a_daemon_in_its_own_session_ends_with_the_job(
        self, executor: LocalExecutor, box: BwrapSandbox, tmp_path: Path
    ) -> None:
        seconds = f"98.{secrets.randbelow(10**9)}"
        task = boxed(box, tmp_path / "run", f"setsid sleep {seconds} & exit 0")
        assert run_one(executor, task).exit_code == 0
        assert f"sleep\0{seconds}\0".encode() not in map(command_line, all_pids())

    def test_a_job_over_its_limit_is_asked_before_it_is_ended(
        self, executor: LocalExecutor, box: BwrapSandbox, tmp_path: Path
    ) -> None:
        script = "trap 'sleep 0.3; echo tidied; exit' TERM; while :; do sleep 0.05; done"
        ending = run_one(executor, boxed(box, tmp_path / "run", script, timeout_s=0.5))
        assert ending.cause == "timeout"
        assert (tmp_path / "run/stdout.txt").read_text() == "tidied\n--- PROCESS TIMED OUT ---\n"


class TestInterruption:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_a_stop_signal_ends_the_jobs_and_then_the_caller(
        self, tmp_path: Path, number: signal.Signals, stray_pids: list[int]
    ) -> None:
        caller = call(tmp_path, *(f"sleep 600 & echo $! > {tmp_path}/pid{n}; wait" for n in range(3)), limit=2)
        stray_pids += [written_pid(tmp_path / f"pid{n}") for n in range(2)]
        caller.send_signal(number)
        out, err = caller.communicate(timeout=30)
        assert sorted(out.decode().splitlines()) == ["ended j0 interrupted", "ended j1 interrupted"]
        assert (b"KeyboardInterrupt" in err) == (number == signal.SIGINT)
        assert caller.returncode == -number
        assert not any(map(is_alive, stray_pids))
        assert never_started(str(tmp_path / "j2"))

    def test_a_second_signal_skips_the_grace_period(self, tmp_path: Path) -> None:
        caller = call(
            tmp_path, f"trap 'echo > {tmp_path}/asked' TERM; echo > {tmp_path}/on; while :; do sleep 0.05; done", grace_s=600
        )
        wait_for((tmp_path / "on").exists, "the start of the job")
        caller.terminate()
        wait_for((tmp_path / "asked").exists, "the polite request")
        caller.terminate()
        assert caller.communicate(timeout=30)[0] == b"ended j0 interrupted\n"

    def test_killing_the_caller_ends_the_job(self, executor: LocalExecutor, tmp_path: Path, stray_pids: list[int]) -> None:
        caller = call(tmp_path, f"sleep 600 & echo $! > {tmp_path}/pid; wait")
        stray_pids.append(written_pid(tmp_path / "pid"))
        assert executor.outcome(str(tmp_path / "j0")) is None
        caller.kill()
        caller.communicate(timeout=30)
        wait_for(lambda: executor.outcome(str(tmp_path / "j0")) is not None, "the end of the supervisor")
        ending = executor.outcome(str(tmp_path / "j0"))
        assert isinstance(ending, Ending)
        assert ending.cause == "interrupted"
        assert not is_alive(stray_pids[0])

    @pytest.mark.parametrize(
        "script",
        [
            "sleep 600 & echo $! > {}/pid; wait",
            "setsid sh -c 'echo $$ > {}/pid; exec sleep 600'",
            "cd /; sleep 600 & echo $! > {}/pid; wait",
        ],
    )
    def test_killing_supervisor_and_caller_leaves_a_stray_that_the_next_call_ends(
        self, executor: LocalExecutor, tmp_path: Path, stray_pids: list[int], script: str
    ) -> None:
        caller = call(tmp_path, script.format(tmp_path))
        stray_pids.append(written_pid(tmp_path / "pid"))
        started = read_started(str(tmp_path / "j0"))
        assert started is not None
        os.kill(caller.pid, signal.SIGSTOP)
        os.kill(started.pid, signal.SIGKILL)
        caller.kill()
        caller.communicate(timeout=30)
        wait_for(lambda: not is_alive(started.pid), "the end of the supervisor")
        assert is_alive(stray_pids[0])
        assert executor.outcome(str(tmp_path / "j0")) is False
        assert not is_alive(stray_pids[0])
        assert not never_started(str(tmp_path / "j0"))

    def test_a_supervisor_that_is_killed_is_reported_as_interrupted(self, tmp_path: Path, stray_pids: list[int]) -> None:
        caller = call(tmp_path, f"sleep 600 & echo $! > {tmp_path}/pid; wait")
        stray_pids.append(written_pid(tmp_path / "pid"))
        started = read_started(str(tmp_path / "j0"))
        assert started is not None
        os.kill(started.pid, signal.SIGKILL)
        assert caller.communicate(timeout=30)[0] == b"ended j0 interrupted\nreturned\n"
        assert not is_alive(stray_pids[0])

    def test_a_run_that_never_began_can_be_given_back(self, executor: LocalExecutor, tmp_path: Path) -> None:
        assert never_started(str(tmp_path))
        run_one(executor, make_task(tmp_path / "run", "true"))
        assert not never_started(str(tmp_path / "run"))
