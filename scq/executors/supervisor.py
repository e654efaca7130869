"""The process that watches over one job: starts it, keeps its output, holds it to its time limit, writes down how it ended.

It is a fork of the calling process without exec, so it costs a few milliseconds. It never returns into the caller's code.
"""

from __future__ import annotations

import gc
import os
import pwd
import selectors
import signal
import subprocess
import sys
import time
import traceback
from datetime import UTC, datetime, timedelta
from typing import IO, NoReturn

from scq.executors import processes, rundir
from scq.executors.logs import CHUNK, CappedLog, LineStream
from scq.model import Cause
from scq.ports import Ending, Task

GRACE_S = 2.0
"""Between SIGTERM and SIGKILL."""
PATIENCE_S = 10.0
"""For processes to vanish after SIGKILL: one that waits for dead hardware never does."""
LONGEST_WAIT_S = 3600.0
TIMED_OUT_LINE = "--- PROCESS TIMED OUT ---"
FAULTS = frozenset({"SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGPIPE", "SIGXCPU", "SIGXFSZ", "SIGSYS"})
"""Signals a process earns by what it does itself; every other one was sent to it."""
F_GETPIPE_SZ = 1032


def supervise_and_exit(task: Task, parent: int, alive_fd: int) -> NoReturn:
    """Body of the forked process. `alive_fd` stays open until its end, which is how the parent notices it."""
    code = 1
    try:
        # Objects of the caller that die here must not close descriptors that have a new meaning by then.
        gc.disable()
        _close_inherited(alive_fd)
        os.setsid()
        if processes.become_supervisor(parent):
            supervisor = Supervisor(task)
            # Asked once more, under the lock: where the caller is dead and the lock was free, nothing starts any more.
            if os.getppid() == parent:
                supervisor.run()
            code = 0
    finally:
        # The caller's clean-up code lies above us on the stack and must not run twice. A bug in here still has to be seen.
        if sys.exc_info()[0] is not None:
            processes.end_all(PATIENCE_S)
            _complain(task.label, traceback.format_exc())
        os._exit(code)


def _close_inherited(keep: int) -> None:
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor != keep:
            try:
                os.close(descriptor)
            except OSError:  # the one that listed the folder
                continue


class Supervisor:
    """One job under watch. The fields are its state; `run` is its life."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.started_at = datetime.now(UTC)
        self.began = time.monotonic()
        self.kill_at: float | None = None
        self.stops = 0
        self.cause: Cause | None = None
        self.status: int | None = None
        self.main_pid = 0
        self.selector = selectors.DefaultSelector()
        self.lock = rundir.acquire_lock(task.directory)
        self.outputs: list[Output] = []

    def run(self) -> None:
        """Start the job, watch it to its end, write the result."""
        self._listen()
        self._remember_start()
        paths = [os.path.join(self.task.directory, name) for name in (rundir.STDOUT, rundir.STDERR)]
        logs = [CappedLog(path, self.task.log_limit) for path in paths]
        try:
            process = _spawn(self.task)
        except (OSError, ValueError) as error:
            # ValueError: a NUL character in an argument or a variable.
            self.cause = "start"
            logs[1].write_line(f"scq: the job could not be started: {error}")
        else:
            self.main_pid = process.pid
            self._open_outputs(process, logs)
            self._watch()
            self._end_rest(logs[1])
        self._finish(logs)

    def _listen(self) -> None:
        """Turn signals into bytes on a pipe, so that one wait covers them and the output."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _noticed)
        for number in processes.STOP_SIGNALS:
            signal.signal(number, self._told_to_stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*processes.STOP_SIGNALS, signal.SIGCHLD})
        self.selector.register(reader, selectors.EVENT_READ, None)

    def _told_to_stop(self, _number: int, _frame: object) -> None:
        self.stops += 1

    def _remember_start(self) -> None:
        me = processes.read_process(os.getpid())
        ticks = 0 if me is None else me.ticks
        cwd = self.task.invocation.cwd
        record = rundir.Started(self.started_at.isoformat(), os.getpid(), os.getsid(0), processes.boot_id(), ticks, cwd)
        rundir.write_started(self.task.directory, record)

    def _open_outputs(self, process: subprocess.Popen[bytes], logs: list[CappedLog]) -> None:
        for number, (pipe, log) in enumerate(zip((process.stdout, process.stderr), logs, strict=True), start=1):
            if pipe is None:
                raise RuntimeError("a job was started without pipes")
            output = Output(pipe, log, LineStream(number, self.task.label) if self.task.stream else None)
            self.selector.register(pipe, selectors.EVENT_READ, output)
            self.outputs.append(output)

    def _watch(self) -> None:
        """Until the main process has ended, or the grace period after SIGTERM is over."""
        deadline = self.began + self.task.timeout_s
        while self.status is None:
            now = time.monotonic()
            if self.cause is None and (self.stops or now >= deadline):
                self.cause = "interrupted" if self.stops else "timeout"
                self.kill_at = now + GRACE_S
                processes.ask_to_end()
            if self.kill_at is not None and (now >= self.kill_at or self.stops > 1):
                return
            self._wait((self.kill_at or deadline) - now)
            self._note(processes.reap() or {})

    def _wait(self, seconds: float) -> None:
        for key, _ in self.selector.select(min(max(seconds, 0.0), LONGEST_WAIT_S)):
            if key.data is None:
                os.read(key.fd, CHUNK)
            elif not key.data.take():
                self.selector.unregister(key.fileobj)

    def _note(self, ended: dict[int, int]) -> None:
        if self.main_pid in ended:
            self.status = ended[self.main_pid]

    def _end_rest(self, log: CappedLog) -> None:
        """Kill what the main process left behind and take what is still in the pipes, without waiting for their end."""
        ended, immortal = processes.end_all(PATIENCE_S)
        self._note(ended)
        for output in self.outputs:
            output.take_rest()
        if immortal:
            log.write_line(f"--- processes of this job that could not be killed: {immortal} ---")

    def _finish(self, logs: list[CappedLog]) -> None:
        sizes = [log.total for log in logs]
        for output in self.outputs:
            output.finish()
        for log in logs:
            if self.cause == "timeout":
                log.write_line(TIMED_OUT_LINE)
            log.finish()
            if log.error is not None:
                _complain(self.task.label, f"{log.path} is incomplete: {log.error.strerror}")
        # Not the wall clock: it may have been set back meanwhile.
        finished_at = self.started_at + timedelta(seconds=time.monotonic() - self.began)
        code, cause = self._verdict()
        ending = Ending(code, cause, self.started_at.isoformat(), finished_at.isoformat(), sizes[0], sizes[1])
        rundir.write_result(self.task.directory, ending)

    def _verdict(self) -> tuple[int | None, Cause]:
        if self.cause is not None or self.status is None:
            return None, self.cause or "interrupted"
        code = os.waitstatus_to_exitcode(self.status)
        if code >= 0:
            return code, "exit"
        return 128 - code, "exit" if _signal_name(-code) in FAULTS else "killed"


class Output:
    """One pipe of the job and where its bytes go."""

    def __init__(self, pipe: IO[bytes], log: CappedLog, shown: LineStream | None) -> None:
        self.fd = pipe.fileno()
        self.log = log
        self.shown = shown
        os.set_blocking(self.fd, False)

    def take(self) -> bool:
        """Read once; False at the end of the pipe."""
        try:
            data = os.read(self.fd, CHUNK)
        except BlockingIOError:
            return True
        self.log.write(data)
        if self.shown is not None:
            self.shown.write(data)
        return bool(data)

    def take_rest(self) -> None:
        """Read what lies in the pipe now. Not more: somebody who got away may hold the other end and write on."""
        import fcntl

        for _ in range(0, fcntl.fcntl(self.fd, F_GETPIPE_SZ), 4096):
            size = self.log.total
            if not self.take() or self.log.total == size:
                return

    def finish(self) -> None:
        if self.shown is not None:
            self.shown.finish()


def _spawn(task: Task) -> subprocess.Popen[bytes]:
    """Start the job in a process group of its own. Raises OSError, and ValueError for a NUL character."""
    invocation = task.invocation
    user = invocation.uid if invocation.uid != os.geteuid() else None
    return subprocess.Popen(
        invocation.argv,
        bufsize=0,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=invocation.cwd,
        env=dict(invocation.env),
        process_group=0,
        user=user,
        group=None if user is None else _primary_group(user),
        extra_groups=None if user is None else [],
    )


def _primary_group(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return uid


def _noticed(_number: int, _frame: object) -> None:
    """A handler has to be there for the wake-up byte to be written."""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"SIG{number}"


def _complain(label: str, text: str) -> None:
    """Say something on the caller's standard error."""
    stream = LineStream(2, label)
    stream.write(text.encode("utf-8", "replace"))
    stream.finish()
