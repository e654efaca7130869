"""The process that watches over one job: starts it, keeps its output, holds it to its time limit, writes down how it ended.

On this machine it is a fork of the calling process without exec, so it costs a few milliseconds. It never returns into the
caller's code. On the node of a cluster it is the process that the cluster started.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import subprocess
import sys
import time
import traceback
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from scq.executors import processes, rundir
from scq.executors.account import Account
from scq.executors.boxreport import BoxReport
from scq.executors.cgroups import Scope
from scq.executors.limits import enforced, kernel_limits, machine_tasks
from scq.executors.logs import CHUNK, CappedLog, LineStream, printable
from scq.executors.outputs import Output
from scq.executors.spawning import spawn
from scq.executors.watch import Watch, reached
from scq.files import remove_file, write_atomic
from scq.model import Cause, Usage
from scq.ports import Ending, Task

GRACE_S = 2.0
"""Between SIGTERM and SIGKILL."""
PATIENCE_S = 10.0
"""For processes to vanish after SIGKILL: one that waits for dead hardware never does."""
RESERVE, RESERVE_BYTES = "reserve", 1 << 16
"""A file that keeps room for the result on a shared disk, which a job can fill."""
MOMENT_S = 0.2
"""For a cluster to get from one process of a job to the next."""
HALTED_S = 2.0
"""Who comes back so much later than planned was halted: a cluster does so with all of a job, for the sake of another one."""
TIMED_OUT_LINE = "--- PROCESS TIMED OUT ---"
FAULTS = frozenset({"SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGPIPE", "SIGXCPU", "SIGXFSZ", "SIGSYS"})
"""Signals a process earns by what it does itself; every other one was sent to it."""


def supervise_and_exit(task: Task, parent: int, alive_fd: int, *, scopes: bool = False) -> NoReturn:
    """Body of the forked process. `alive_fd` stays open until its end, which is how the parent notices it.

    `scopes` says that boxes can run in control groups of their own.
    """
    code = 1
    try:
        # Objects of the caller that die here must not close descriptors that have a new meaning by then.
        gc.disable()
        _close_inherited(alive_fd)
        os.setsid()
        if processes.become_supervisor(parent):
            supervisor = Supervisor(task, scopes=scopes)
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


def supervise_here(task: Task, node: str, keeper: int) -> None:
    """Supervise in this process, which `keeper` of the cluster started on that node, and return when the result is written.

    It stays in its session and process group, by which the cluster may know it, and takes the death of its parent for a request
    to stop. Raises FileExistsError when somebody else has this run, and OSError when it cannot be written down; no process of the
    job is left then.
    """
    processes.inherit_orphans()
    # Not zeros, which some disks do not store.
    write_atomic(os.path.join(task.directory, RESERVE), os.urandom(RESERVE_BYTES))
    try:
        Supervisor(task, keeper=keeper, node=node).run()
    except BaseException:
        processes.end_all(PATIENCE_S)
        raise


def claim(directory: str, started_at: datetime, cwd: str = "") -> None:
    """Make this process the one that answers for a run. Raises FileExistsError when another one does, or it was taken back."""
    me = processes.read_process(os.getpid())
    ticks = 0 if me is None else me.ticks
    record = rundir.Started(started_at.isoformat(), os.getpid(), os.getsid(0), processes.boot_id(), ticks, cwd)
    rundir.write_started(directory, record)


def _close_inherited(keep: int) -> None:
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor != keep:
            try:
                os.close(descriptor)
            except OSError:  # the one that listed the folder
                continue


class Supervisor:
    """One job under watch. The fields are its state; `run` is its life.

    `keeper` is the parent whose end stops the job too, where the kernel does not tell of it; then so does the end of the folder
    in which the run is written down.
    """

    def __init__(self, task: Task, *, scopes: bool = False, keeper: int | None = None, node: str = "") -> None:
        self.task = task
        self.keeper = keeper
        self.node = node
        self.started_at = datetime.now(UTC)
        self.began = time.monotonic()
        self.kill_at: float | None = None
        self.stops = 0
        self.cause: Cause | None = None
        self.status: int | None = None
        self.main_pid = 0
        self.account: Account | None = None
        self.watch = Watch(task.limits, task.work)
        self.selector = selectors.DefaultSelector()
        # Disks that machines share may know no locks; there `started` alone keeps others off.
        self.lock = rundir.acquire_lock(task.directory) if keeper is None else -1
        self.outputs: list[Output] = []
        self.report: BoxReport | None = None
        self.detail = ""
        boxed = scopes and task.invocation.report != ""
        self.scope = Scope(task.limits) if boxed else None

    def run(self) -> None:
        """Start the job, watch it to its end, write the result."""
        self._listen()
        claim(self.task.directory, self.started_at, self.task.invocation.cwd)
        paths = [os.path.join(self.task.directory, name) for name in (rundir.STDOUT, rundir.STDERR)]
        logs = [CappedLog(path, self.task.log_limit) for path in paths]
        try:
            process = self._start()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            # ValueError: a NUL character in an argument or a variable.
            self.cause = "start"
            self.detail = printable(str(error))
            logs[1].write_line(f"scq: the job could not be started: {error}")
        else:
            self.main_pid = process.pid
            self.account = Account()
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

    def _start(self) -> subprocess.Popen[bytes]:
        invocation = self.task.invocation
        held = kernel_limits(self.task.limits, machine_tasks())
        if not invocation.report:
            return spawn(invocation, held)
        if self.scope is not None:
            invocation = self.scope.around(invocation)
        reader, writer = os.pipe()
        try:
            process = spawn(invocation, held, writer)
        finally:
            os.close(writer)
        self.report = BoxReport(reader)
        self.selector.register(reader, selectors.EVENT_READ, self.report)
        return process

    def _open_outputs(self, process: subprocess.Popen[bytes], logs: list[CappedLog]) -> None:
        for number, (pipe, log) in enumerate(zip((process.stdout, process.stderr), logs, strict=True), start=1):
            if pipe is None:
                raise RuntimeError("a job was started without pipes")
            output = Output(pipe, log, LineStream(number, self.task.label) if self.task.stream else None)
            self.selector.register(pipe, selectors.EVENT_READ, output)
            self.outputs.append(output)

    def _watch(self) -> None:
        """Until the main process has ended, a limit was exceeded, or the grace period after SIGTERM is over."""
        deadline, planned = self.began + self.task.timeout_s, self.began
        while self.status is None:
            now = time.monotonic()
            if self.keeper is not None and now - planned > HALTED_S:
                deadline += now - planned
            if self._is_abandoned():
                self.stops = max(self.stops, 1)
            if self.cause is None and (self.stops or now >= deadline):
                self.cause = "interrupted" if self.stops else "timeout"
                self.kill_at = now + GRACE_S
                processes.ask_to_end()
            if self.kill_at is not None and (now >= self.kill_at or self.stops > 1):
                return
            if now >= self.watch.due and self._is_over_a_limit():
                return
            planned = max(now, min(self.kill_at or deadline, self.watch.due))
            self._wait(planned - now)
            self._note(processes.reap() or {})

    def _is_abandoned(self) -> bool:
        """True when nobody would learn any more how a job ends that a cluster started."""
        if self.keeper is None:
            return False
        # Only its being gone counts: a disk of another machine may be away for a while.
        return os.getppid() != self.keeper or _is_gone(os.path.join(self.task.directory, rundir.STARTED))

    def _is_over_a_limit(self) -> bool:
        if self.report is not None:
            self.watch.wrappers = {self.main_pid, self.report.child}
        breach = self.watch.look(0.0 if self.account is None else self.account.cpu_s)
        if breach is None and self.scope is not None:
            breach = self.scope.look(self.main_pid)
        if breach is not None and self.cause is None:
            self.cause, self.detail = breach.cause, breach.detail
        return breach is not None

    def _wait(self, seconds: float) -> None:
        for key, _ in self.selector.select(max(seconds, 0.0)):
            if key.data is None:
                os.read(key.fd, CHUNK)
            elif not key.data.take():
                self.selector.unregister(key.fileobj)

    def _note(self, ended: dict[int, processes.Reaped]) -> None:
        if self.account is not None:
            self.account.note(ended)
        if self.main_pid in ended:
            self.status = ended[self.main_pid].status

    def _end_rest(self, log: CappedLog) -> None:
        """Kill what the main process left behind and take what is still in the pipes, without waiting for their end."""
        # The whole group at once, and with it a box: processes that multiply would outrun one that kills them singly.
        processes.send_group(self.main_pid, signal.SIGKILL)
        ended, immortal = processes.end_all(PATIENCE_S)
        self._note(ended)
        for output in self.outputs:
            output.take_rest()
        if self.report is not None:
            self.report.take()
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
        used = self._used()
        code, cause = self._verdict(used)
        started_at = self.started_at.isoformat()
        held = enforced(self.task, in_group=self.scope is not None and self.scope.folder is not None)
        ending = Ending(code, cause, started_at, finished_at.isoformat(), sizes[0], sizes[1], self.detail, used, held, self.node)
        remove_file(os.path.join(self.task.directory, RESERVE))
        rundir.write_result(self.task.directory, ending)

    def _used(self) -> Usage:
        if self.account is None:
            return Usage()
        inside = 0 if self.report is None else self.report.child
        return self.account.usage(self.main_pid, inside, self.watch.cpu_s, self.watch.memory)

    def _verdict(self, used: Usage) -> tuple[int | None, Cause]:
        """Exit code and cause, with `detail` where there is more to say."""
        if self.cause is not None or self.status is None:
            return None, self.cause or "interrupted"
        code = os.waitstatus_to_exitcode(self.status)
        if self._told_as_well(code):
            return None, "interrupted"
        if code >= 0 and self.report is not None and self.report.exit_code is None:
            self.detail = self.outputs[1].last_line() or "the box ended without a word"
            return None, "start"
        shown = code if code >= 0 else 128 - code
        breach = reached(self.task.limits, shown, used)
        if breach is None and self.scope is not None:
            breach = self.scope.behind(shown, self.watch.memory)
        if breach is not None:
            self.detail = breach.detail
            return shown, breach.cause
        return shown, "exit" if code >= 0 or _signal_name(-code) in FAULTS else "killed"

    def _told_as_well(self, code: int) -> bool:
        """True when whoever ended the job asks us to stop too, as a cluster does that signals process after process.

        A script that waits for a child may end well after the child was ended: there the code tells nothing.
        """
        if self.keeper is None:
            return self.stops > 0 and code != 0
        if not self.stops:
            time.sleep(MOMENT_S)
        return self.stops > 0


def _is_gone(path: str) -> bool:
    """True when there certainly is nothing of that name."""
    try:
        os.lstat(path)
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


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
