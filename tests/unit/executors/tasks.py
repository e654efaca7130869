"""Tasks for the tests of executors, and ways to wait for what other processes do."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from scq.digest import Caps, manifest
from scq.errors import ScqError
from scq.model import NO_LIMITS, Content, Limits
from scq.ports import Ending, Entrance, Executor, Invocation, Task
from scq.sandbox.bwrap import BwrapSandbox

PATH = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
REPOSITORY = Path(__file__).resolve().parents[3]


def make_task(
    directory: Path,
    command: str | Sequence[str],
    *,
    env: Mapping[str, str] = PATH,
    timeout_s: float = 30.0,
    log_limit: int = 1 << 20,
    stream: bool = False,
    label: str = "job",
    limits: Limits = NO_LIMITS,
) -> Task:
    """A task in a fresh directory; a string is a shell script. Its folder is the one whose size is watched."""
    work = directory / "work"
    work.mkdir(parents=True)
    argv = ("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command)
    return Task(label, str(directory), Invocation(argv, env, str(work)), timeout_s, log_limit, stream, limits, str(work))


def make_remote_task(
    directory: Path,
    shared: Path,
    command: str | Sequence[str],
    *,
    env: Mapping[str, str] = PATH,
    timeout_s: float = 60.0,
    log_limit: int = 1 << 20,
    label: str = "job",
    limits: Limits = NO_LIMITS,
    files: Mapping[str, str] | None = None,
) -> Task:
    """A task whose box is made elsewhere, with a private copy below `shared` that holds run.sh and `files`."""
    directory.mkdir(parents=True)
    work = Path(BwrapSandbox(scratch_root=str(shared), apart=True).scratch(str(directory))) / "work"
    code = work / "code"
    code.mkdir(parents=True)
    for name, text in {"run.sh": "true\n", **(files or {})}.items():
        (code / name).write_text(text)
    (code / "run.sh").chmod(0o755)
    entrance = Entrance(
        sandbox="bwrap",
        settings={"scratch_root": str(shared), "apart": True, "temporary_bytes": 1 << 20},
        command=("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command),
        work=str(work),
        cwd=".",
        env=dict(env),
        mounts=(),
        network=False,
        code=str(code),
        run_sh="run.sh",
        fields=(),
        digest=manifest(str(work), Content("code", ignore=()), Caps()).digest,
    )
    nothing = Invocation((), {}, "")
    return Task(label, str(directory), nothing, timeout_s, log_limit, False, limits, str(work), entrance)


def python(code: str) -> tuple[str, ...]:
    """The command that runs Python code."""
    return (sys.executable, "-I", "-S", "-c", code)


def run_one(executor: Executor, task: Task) -> Ending:
    """Run a single task to its end."""
    endings: list[Ending | ScqError] = []
    executor.run(iter([task]), 1, lambda _task, ending: endings.append(ending))
    (ending,) = endings
    assert isinstance(ending, Ending)
    return ending


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait until something has become true."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"{what} did not happen"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """True for a process that has not ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_pids() -> list[int]:
    """Every process number that can be seen now."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def command_line(pid: int) -> bytes:
    """Arguments of a process, each ended by NUL; empty when it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def written_pid(path: Path) -> int:
    """A process number that another process writes into a file; waits for it."""
    wait_for(lambda: path.exists() and path.read_text().endswith("\n"), f"{path.name} being written")
    return int(path.read_text())


def numbered(directory: Path, count: int, command: str, **settings: float) -> Iterator[Task]:
    """Tasks j0, j1, … made only when they are asked for."""
    for number in range(count):
        yield make_task(directory / f"j{number}", command, label=f"j{number}", **settings)  # type: ignore[arg-type]


def kill_if_alive(pid: int) -> None:
    """Clean up after a test that failed half-way."""
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
