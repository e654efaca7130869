"""Jobs as processes of this machine, in the foreground of the call."""

from __future__ import annotations

import os
import selectors
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import NoReturn

from scq.errors import ScqError, UsageError
from scq.executors import rundir
from scq.executors.logs import CappedLog
from scq.executors.processes import STOP_SIGNALS, require_process_tree, send
from scq.executors.strays import end_strays
from scq.formats import parse_time
from scq.model import Problem, Whereabouts
from scq.ports import Ending, Task


class LocalExecutor:
    """Each job runs below a supervisor forked from the calling process; how it ended is a file the supervisor leaves behind."""

    name = "local"
    remote = False
    trouble = ""

    def check(self) -> Sequence[Problem]:
        """Nothing is known beforehand to keep jobs from running here."""
        return ()

    def run(self, tasks: Iterator[Task], limit: int, ended: Callable[[Task, Ending | ScqError], None]) -> None:
        """Run all tasks, at most `limit` at once; a task is taken from the iterator only when there is room for it.

        `ended` is called here, once for each task. SIGINT, SIGTERM and SIGHUP stop the running jobs; after their ends were
        reported the signal takes its usual course. An exception of `tasks` or `ended` stops the running jobs as well; their ends
        are then left for `outcome`. Raises ConfigError where the kernel cannot list the children of a process, and ValueError
        for a directory that was used before.
        """
        # Loaded once here, not in every fork; ctypes is for the supervisor's prctl.
        import ctypes  # noqa: F401

        from scq.executors.cgroups import usable
        from scq.executors.supervisor import supervise_and_exit

        require_process_tree()
        pool = _Pool(partial(supervise_and_exit, scopes=usable()))
        with pool.stop_on_signals():
            try:
                pool.run(tasks, max(limit, 1), ended)
            finally:
                pool.abandon()
        if pool.stopped_by is not None:
            signal.raise_signal(pool.stopped_by)

    def outcome(self, directory: str) -> Ending | bool | None:
        """What became of a run of an earlier call: its ending, None while it is alive, False when its supervisor died.

        Before it answers False it ends whatever that run left alive.
        """
        if rundir.is_locked(directory):
            return None
        ending = rundir.read_result(directory)
        if ending is not None:
            return ending
        end_strays(directory)
        return False

    def began(self, directory: str) -> bool:
        """Whether a supervisor came as far as spawning the job."""
        return rundir.was_started(directory)

    def logs(self, directory: str) -> str:
        """The directory of the run itself."""
        return directory

    def whereabouts(self, directories: Sequence[str]) -> Mapping[str, Whereabouts]:
        """Those whose supervisors live; `since` is when the job was about to be spawned."""
        found: dict[str, Whereabouts] = {}
        for directory in directories:
            if rundir.is_locked(directory):
                started = rundir.read_started(directory)
                since = None if started is None else parse_time(started.started_at)
                found[directory] = Whereabouts("running", since=since)
        return found

    def stop(self, directory: str) -> None:
        """Not from another call. Raises UsageError."""
        what = f"{os.path.basename(directory)}: is run by another call of scq on this machine"
        raise UsageError(what, "Stop that call; it ends its jobs.")


def never_started(directory: str) -> bool:
    """True when nothing of a run was ever spawned and nobody is about to: its claim can be given back."""
    return not rundir.is_locked(directory) and not rundir.was_started(directory)


class _Pool:
    """The supervisors that run now, by the descriptor that ends with each of them."""

    def __init__(self, supervise: Callable[[Task, int, int], NoReturn]) -> None:
        self.supervise = supervise
        self.running: dict[int, tuple[int, Task]] = {}
        self.stopped_by: int | None = None
        self.selector = selectors.DefaultSelector()

    def run(self, tasks: Iterator[Task], limit: int, ended: Callable[[Task, Ending | ScqError], None]) -> None:
        exhausted = False
        while True:
            while not exhausted and self.stopped_by is None and len(self.running) < limit:
                task = next(tasks, None)
                if task is None:
                    exhausted = True
                elif (failure := self._start(task)) is not None:
                    ended(task, failure)
            if not self.running:
                return
            for key, _ in self.selector.select():
                task = self._collect(key.fd)
                ended(task, self._ending(task))

    def abandon(self) -> None:
        """Stop what still runs and wait for it."""
        self._tell_all(signal.SIGTERM)
        for descriptor in list(self.running):
            self._collect(descriptor)
        self.selector.close()

    @contextmanager
    def stop_on_signals(self) -> Iterator[None]:
        """Pass stop signals on to the supervisors. Ignored ones stay ignored; only the main thread can do this."""
        before = {}
        if threading.current_thread() is threading.main_thread():
            before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        before = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
        for number in before:
            signal.signal(number, self._stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: object) -> None:
        self.stopped_by = number
        self._tell_all(signal.SIGTERM)

    def _tell_all(self, number: int) -> None:
        for pid, _ in self.running.values():
            send(pid, number)

    def _start(self, task: Task) -> Ending | None:
        """Fork a supervisor. The ending when the machine has no room for another process."""
        if rundir.was_started(task.directory):
            raise ValueError(f"{task.directory}: a run directory is used once")
        _flush()
        reader, writer = os.pipe()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                self.supervise(task, parent, writer)
            self.running[reader] = pid, task
            self.selector.register(reader, selectors.EVENT_READ)
        except BlockingIOError as error:
            os.close(reader)
            return _not_started(task, error)
        finally:
            os.close(writer)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return None

    def _collect(self, descriptor: int) -> Task:
        """Wait for the end of one supervisor and forget it."""
        pid, task = self.running.pop(descriptor)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            # The caller ignores SIGCHLD, so the kernel has waited for it: the end of the pipe says that it is over.
            os.read(descriptor, 1)
        self.selector.unregister(descriptor)
        os.close(descriptor)
        return task

    def _ending(self, task: Task) -> Ending:
        ending = rundir.read_result(task.directory)
        if ending is not None:
            return ending
        end_strays(task.directory)
        started = rundir.read_started(task.directory)
        now = datetime.now(UTC).isoformat()
        return Ending(None, "interrupted", now if started is None else started.started_at, now)


def _flush() -> None:
    """What the caller has said so far appears before anything a job says."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def _not_started(task: Task, error: OSError) -> Ending:
    """The ending of a task for which the machine had no room."""
    log = CappedLog(os.path.join(task.directory, rundir.STDERR), task.log_limit)
    log.write_line(f"scq: the job could not be started: {error.strerror}")
    log.finish()
    now = datetime.now(UTC).isoformat()
    ending = Ending(None, "start", now, now, 0, log.total)
    rundir.write_result(task.directory, ending)
    return ending
