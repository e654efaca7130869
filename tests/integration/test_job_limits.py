"""Real jobs over their limits, with and without a box: each ends early, with the cause that is true, and nothing stays."""

from __future__ import annotations

import os
import resource
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scq.executors.local import LocalExecutor
from scq.model import NO_LIMITS, Limits
from scq.ports import Ending, Invocation, Task
from scq.sandbox.bwrap import BwrapSandbox
from tests.unit.executors.tasks import PATH, all_pids, command_line, make_task, python, run_one

MB = 1 << 20
LIMITS = Limits(cpu_s=30.0, memory=512 * MB, processes=64, open_files=256, file_size=64 * MB, disk=64 * MB)
Run = Callable[..., Ending]


@pytest.fixture(params=["plain", "boxed"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Runs Python code as a job, as it is and in a box."""

    def plain(code: str, limits: Limits = LIMITS, timeout_s: float = 30.0) -> Ending:
        return run_one(LocalExecutor(), make_task(tmp_path / "run", system_python(code), limits=limits, timeout_s=timeout_s))

    if request.param == "plain":
        yield plain
        return
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    with tempfile.TemporaryDirectory(prefix="scq-test-") as name:
        os.chmod(name, 0o755)
        box = BwrapSandbox(scratch_root=f"{name}/root")

        def boxed(code: str, limits: Limits = LIMITS, timeout_s: float = 30.0) -> Ending:
            directory = tmp_path / "run"
            directory.mkdir()
            work = f"{box.scratch(str(directory))}/work"
            os.mkdir(work)
            invocation = box.wrap(system_python(code), work=work, cwd=".", env={}, limits=limits)
            return run_one(LocalExecutor(), Task("boxed", str(directory), invocation, timeout_s, 1 << 16, False, limits, work))

        yield boxed


def system_python(code: str) -> tuple[str, ...]:
    """The command for an interpreter that every user can reach."""
    return ("/usr/bin/python3", "-I", "-S", "-c", code)


def output(tmp_path: Path) -> str:
    return (tmp_path / "run/stdout.txt").read_text() + (tmp_path / "run/stderr.txt").read_text()


def test_one_that_takes_ten_gigabytes_is_stopped_before(run: Run, tmp_path: Path) -> None:
    ending = run("held = []\nwhile len(held) < 1000: held.append(b'x' * (10 << 20))\nprint('got it all')")
    assert "got it all" not in output(tmp_path)
    # Whoever is first: the watch, or the kernel with a refusal at twice the limit.
    assert ending.cause == "memory" or "MemoryError" in output(tmp_path)
    assert ending.usage.memory is not None
    assert ending.usage.memory < 3 * 512 * MB


def test_memory_of_several_processes_counts_together(run: Run, tmp_path: Path) -> None:
    code = (
        "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n        held = os.urandom(60 << 20); time.sleep(600)\n"
        "os.wait()"
    )
    ending = run(code, Limits(memory=150 * MB))
    assert (ending.exit_code, ending.cause) == (None, "memory")
    assert ending.detail.startswith("memory limit 157286400 bytes, ")


def test_a_page_that_several_share_counts_once(run: Run, tmp_path: Path) -> None:
    code = (
        "import os, time\nheld = os.urandom(60 << 20)\n"
        "pids = [os.fork() or (time.sleep(0.5), os._exit(0)) for _ in range(4)]\n"
        "for pid in pids: os.waitpid(pid, 0)"
    )
    ending = run(code, Limits(memory=150 * MB))
    assert (ending.exit_code, ending.cause, ending.detail) == (0, "exit", "")


def test_a_fork_bomb_is_stopped_and_nothing_of_it_stays(run: Run, tmp_path: Path) -> None:
    word = f"bomb{secrets.randbelow(10**9)}"
    ending = run(f"import os\n{word} = 1\nwhile True:\n    try: os.fork()\n    except OSError: pass")
    assert (ending.exit_code, ending.cause) == (None, "processes")
    assert not [pid for pid in all_pids() if word.encode() in command_line(pid) and b"pytest" not in command_line(pid)]


def test_threads_count_like_processes(run: Run, tmp_path: Path) -> None:
    code = "import threading, time\nfor _ in range(80): threading.Thread(target=time.sleep, args=(600,)).start()"
    assert run(code, Limits(processes=40)).cause == "processes"


def test_a_busy_loop_ends_at_its_cpu_limit(run: Run, tmp_path: Path) -> None:
    ending = run("while True: pass", Limits(cpu_s=0.4))
    assert (ending.exit_code, ending.cause) == (None, "cpu")
    assert ending.detail.startswith("cpu limit 0.4 s, 0.")
    assert ending.usage.cpu_s is not None
    assert 0.4 <= ending.usage.cpu_s < 2.0


def test_cpu_of_children_nobody_waits_for_counts_as_well(run: Run, tmp_path: Path) -> None:
    code = (
        "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True:\n"
        "    if os.fork() == 0:\n        end = time.process_time() + 0.3\n        while time.process_time() < end: pass\n"
        "        os._exit(0)\n    try: os.wait()\n    except ChildProcessError: pass"
    )
    ending = run(code, Limits(cpu_s=1.0), 20.0)
    assert ending.cause == "cpu"


def test_the_kernel_s_signal_for_cpu_time_is_the_cause_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scq.executors.watch.FIRST_S", 600.0)
    task = make_task(tmp_path / "run", python("while True: pass"), limits=Limits(cpu_s=1.0))
    ending = run_one(LocalExecutor(), task)
    assert (ending.exit_code, ending.cause) == (152, "cpu")
    assert ending.detail.startswith("cpu limit 1 s, ")


def test_a_large_file_ends_at_the_file_limit(run: Run, tmp_path: Path) -> None:
    code = (
        "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "with open('big', 'wb') as file:\n    for _ in range(10240): file.write(bytes(1 << 20))"
    )
    ending = run(code, Limits(file_size=8 * MB))
    assert (ending.exit_code, ending.cause) == (153, "disk")
    assert ending.detail == "file_size limit 8388608 bytes, a file would have become larger"


def test_a_file_limit_that_the_job_handles_is_its_own_affair(run: Run, tmp_path: Path) -> None:
    code = "try: open('big', 'wb').write(bytes(9 << 20))\nexcept OSError as error: print(error.errno)"
    ending = run(code, Limits(file_size=8 * MB))
    assert (ending.exit_code, ending.cause) == (0, "exit")
    assert output(tmp_path) == "27\n"


def test_many_files_end_at_the_disk_limit(run: Run, tmp_path: Path) -> None:
    code = "import time\nfor n in range(1000):\n    open(f'f{n}', 'wb').write(bytes(1 << 20)); time.sleep(0.01)"
    ending = run(code, Limits(disk=10 * MB))
    assert (ending.exit_code, ending.cause) == (None, "disk")
    assert ending.detail.startswith("disk limit 10485760 bytes, at least ")


def test_empty_files_in_a_hidden_folder_count_for_the_disk_limit(run: Run, tmp_path: Path) -> None:
    code = (
        "import os, time\nos.mkdir('d'); os.mkdir('d/e')\nos.chdir('d/e'); os.chmod('.', 0o300); os.chmod('..', 0o300)\n"
        "for n in range(100000):\n    open(str(n), 'wb').close()\ntime.sleep(600)"
    )
    assert run(code, Limits(disk=10 * MB)).cause == "disk"


def test_open_files_are_limited(run: Run, tmp_path: Path) -> None:
    code = "try:\n    held = [open('/dev/null') for _ in range(100)]\nexcept OSError as error: print(error.errno)"
    assert run(code, Limits(open_files=40)).exit_code == 0
    assert output(tmp_path) == "24\n"


def test_limits_hold_from_the_first_instruction(run: Run, tmp_path: Path) -> None:
    names = ("RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_CORE")
    run(f"import resource\nfor name in {names}: print(*resource.getrlimit(getattr(resource, name)))")
    assert output(tmp_path).splitlines() == ["31 33", f"{1024 * MB} {1024 * MB}", "256 256", f"{64 * MB} {64 * MB}", "0 0"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 64 * MB


@pytest.mark.parametrize(
    "code",
    [
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(600)",
        "import signal, time\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\nwhile True: time.sleep(1)",
        "import os, time\nfor n in (0, 1, 2): os.close(n)\ntime.sleep(600)",
        "import os\nwhile True: os.write(1, b'x' * 65536)",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\ntime.sleep(600)",
    ],
    ids=["stopped", "deaf", "closed", "endless line", "daemon"],
)
def test_whatever_a_job_does_it_ends_at_its_time_limit_with_nothing_left(
    run: Run, tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scq.executors.supervisor.GRACE_S", 0.2)
    word = f"#word{secrets.randbelow(10**9)}"
    ending = run(f"{code}\n{word}", timeout_s=0.6)
    assert (ending.exit_code, ending.cause) == (None, "timeout")
    assert not [pid for pid in all_pids() if word.encode() in command_line(pid)]


def test_endless_output_does_not_keep_the_watch_from_looking(run: Run, tmp_path: Path) -> None:
    code = (
        "import os, time\nif os.fork():\n    while True: os.write(1, b'y' * 65536)\nheld = os.urandom(150 << 20)\ntime.sleep(600)"
    )
    assert run(code, Limits(memory=100 * MB)).cause == "memory"


class TestUsage:
    def test_it_is_the_job_s(self, run: Run, tmp_path: Path) -> None:
        code = "import time\nheld = b'x' * (100 << 20)\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
        ending = run(code, NO_LIMITS)
        assert ending.usage.cpu_s is not None
        assert ending.usage.memory is not None
        assert 0.3 <= ending.usage.cpu_s < 0.7
        assert 100 * MB < ending.usage.memory < 150 * MB

    def test_it_survives_being_stopped(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("scq.executors.supervisor.GRACE_S", 0.1)
        ending = run("import signal\nsignal.signal(15, signal.SIG_IGN)\nwhile True: pass", NO_LIMITS, 0.8)
        assert ending.cause == "timeout"
        assert ending.usage.cpu_s is not None
        assert 0.1 <= ending.usage.cpu_s < 1.2, "more than a bare start; a busy machine gives it less than the wall time"

    def test_a_copy_of_this_program_is_not_taken_for_the_job(self, tmp_path: Path) -> None:
        held = bytearray(os.urandom(100 << 20))
        ending = run_one(LocalExecutor(), make_task(tmp_path / "run", ["/bin/true"]))
        assert len(held) > (ending.usage.memory or 0)

    def test_one_that_never_started_used_nothing(self, tmp_path: Path) -> None:
        ending = run_one(LocalExecutor(), make_task(tmp_path / "run", ["/no/such/program"]))
        assert (ending.usage.cpu_s, ending.usage.memory) == (None, None)
        assert "/no/such/program" in ending.detail


def test_what_was_in_force_is_said(run: Run, tmp_path: Path) -> None:
    ending = run("pass")
    assert ending.enforced[0] == "wall 30 s: supervisor"
    assert [line.split()[0] for line in ending.enforced[1:]] == [
        "log_bytes",
        "cpu",
        "memory",
        "processes",
        "open_files",
        "file_size",
        "disk",
    ]


class TestBoxThatFails:
    def failing(self, tmp_path: Path, script: str) -> Ending:
        task = make_task(tmp_path / "run", "true")
        # Not every shell can write to a descriptor of two digits.
        argv = ("/bin/bash", "-c", script, "sh", "{status}")
        invocation = Invocation(argv, PATH, task.work, report="{status}")
        return run_one(LocalExecutor(), Task("j", task.directory, invocation, 30.0, 4096, False))

    def test_an_end_without_an_exit_code_of_the_job_is_a_start_failure(self, tmp_path: Path) -> None:
        ending = self.failing(tmp_path, r"echo first >&2; printf 'no \033[31msuch folder\n\n' >&2; exit 1")
        assert (ending.exit_code, ending.cause, ending.detail) == (None, "start", "no [31msuch folder")

    def test_one_that_says_nothing_at_all_is_a_start_failure_too(self, tmp_path: Path) -> None:
        ending = self.failing(tmp_path, "exit 1")
        assert (ending.cause, ending.detail) == ("start", "the box ended without a word")

    def test_the_reported_exit_code_proves_that_the_job_ran(self, tmp_path: Path) -> None:
        ending = self.failing(tmp_path, """echo '{ "exit-code": 3 }' >&$1; exit 3""")
        assert (ending.exit_code, ending.cause, ending.detail) == (3, "exit", "")

    def test_a_real_box_around_a_missing_program_is_a_start_failure(self, tmp_path: Path) -> None:
        if shutil.which("bwrap") is None:
            pytest.skip("bubblewrap is not installed")
        with tempfile.TemporaryDirectory(prefix="scq-test-") as name:
            os.chmod(name, 0o755)
            box = BwrapSandbox(scratch_root=f"{name}/root")
            directory = tmp_path / "run"
            directory.mkdir()
            work = f"{box.scratch(str(directory))}/work"
            os.mkdir(work)
            invocation = box.wrap(["/no/such/program"], work=work, cwd=".", env={})
            ending = run_one(LocalExecutor(), Task("j", str(directory), invocation, 30.0, 4096, False))
        assert (ending.exit_code, ending.cause) == (None, "start")
        assert "/no/such/program" in ending.detail


def test_a_job_lets_its_supervisor_go_first(run: Run, tmp_path: Path) -> None:
    assert run("import os, time\ntime.sleep(0.2)\nprint(os.nice(0))", NO_LIMITS).cause == "exit"
    assert output(tmp_path) == f"{min(os.nice(0) + 10, 19)}\n"
