"""The resident program of `scq start` where nothing else makes calls: starts a one-shot call every so many seconds.

Run as a file of its own, so that what stays in memory is no more than this: `python -I resident.py LOCK PIDFILE ERRORLOG EVERY
PROGRAM [WORD...]`, where LOCK is the number of the open and locked pid file. It reads no configuration: every call does, so
SIGHUP has nothing to do. SIGTERM ends its calls and itself.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress

MOST = 4
"""Calls alive at once; one more would only find that the others are at work."""
GRACE_S = 8.0
"""What the calls at work get between SIGTERM and SIGKILL: less than the 10 s that whoever ends this process waits."""
STEP_S = 0.05
FULL_S = 600.0
"""After how long without room for another call that is worth a line in the error log."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP)


def begun_at(pid: int) -> str:
    """When a process began, in a form that no other process of the same number shares; empty where the system does not say.

    Linux: field 22 of /proc/PID/stat (proc(5)), clock ticks since the machine started.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read(4096).rpartition(b")")[2].split()[19].decode("ascii")
    except (OSError, IndexError, UnicodeDecodeError):
        return ""


def main(words: list[str]) -> None:
    """Go into the background; the pid file is complete when the process that was started has ended."""
    lock, path, log, every = int(words[0]), words[1], words[2], float(words[3])
    os.set_inheritable(lock, False)
    os.umask(0o077)
    os.chdir("/")
    os.setsid()
    # Its number is known before it listens: what it is sent until then must wait, not be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    pid = os.fork()
    if pid:
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{pid}\nstarted {begun_at(pid)}\nevery {every:g}\n".encode("ascii"), 0)
        except OSError as error:  # a process that nobody could find again must not stay
            os.kill(pid, signal.SIGKILL)
            os._exit(error.errno or 1)
        os._exit(0)
    Resident(lock, path, log, every, words[4:]).stay()


class Resident:
    """The process itself. `lock` is the open pid file, locked for as long as this process lives."""

    def __init__(self, lock: int, path: str, log: str, every: float, program: list[str]) -> None:
        self.lock = lock
        self.path = path
        self.log = log
        self.every = every
        self.program = program
        self.calls: set[int] = set()
        self.noted = ""
        self.started_at = time.monotonic()
        self.ending = False
        self.bell = os.pipe()
        for end in self.bell:
            os.set_blocking(end, False)

    def listen(self) -> None:
        """Let signals be noted, and end the sleep they come in."""
        signal.signal(signal.SIGTERM, self.end)
        signal.signal(signal.SIGINT, self.end)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGHUP, lambda number, frame: None)
        signal.set_wakeup_fd(self.bell[1], warn_on_full_buffer=False)

    def stay(self) -> None:
        """Start calls until told to end, or until the pid file is no longer the one of this process."""
        self.listen()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # calls inherit it, and whoever started this may have blocked more
        due = time.monotonic()
        while not self.ending and self.is_named():
            self.collect()
            now = time.monotonic()
            if now >= due:
                self.start()
                due = now + self.every
            self.rest(due - now)
        self.end_calls()
        if self.is_named():
            os.unlink(self.path)

    def end(self, number: int, frame: object) -> None:
        self.ending = True

    def is_named(self) -> bool:
        """False once the pid file was removed or is another one: then a new process may have taken over."""
        try:
            return os.path.samestat(os.lstat(self.path), os.fstat(self.lock))
        except OSError:
            return False

    def rest(self, seconds: float) -> None:
        """Sleep until the time is over or a signal came."""
        # A long rest is cut, so that a pid file that was removed is noticed within a minute.
        ready, _, _ = select.select([self.bell[0]], [], [], min(max(seconds, 0.0), 60.0))
        if ready:
            os.read(self.bell[0], 512)

    def start(self) -> None:
        """Start one call, in a process group of its own to end it by. What cannot be started is tried again next time."""
        if len(self.calls) >= MOST:
            if time.monotonic() - self.started_at > FULL_S:
                self.note(f"{MOST} calls do not end, and no other is made before one of them does")
            return
        error_log = self.opened_log()
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, error_log, 2),
        ]
        heard_again = [signal.SIGPIPE, signal.SIGXFSZ]
        try:
            made = os.posix_spawn(
                self.program[0], self.program, os.environ, file_actions=actions, setpgroup=0, setsigdef=heard_again
            )
        except OSError as error:
            self.note(f"{self.program[0]}: {error.strerror}")
        else:
            self.calls.add(made)
            self.noted, self.started_at = "", time.monotonic()
        finally:
            os.close(error_log)

    def note(self, text: str) -> None:
        """A line in the error log, once for as long as there is nothing else to say."""
        if text == self.noted:
            return
        self.noted = text
        row = f"{time.strftime('%Y-%m-%d %H:%M:%S')} - scq.loop - ERROR - {text}\n"
        error_log = self.opened_log()
        with suppress(OSError):  # a full disk must not end the calls
            os.write(error_log, row.encode("utf-8", "replace"))
        os.close(error_log)

    def opened_log(self) -> int:
        """The error log, opened anew for each call, because it may have been put aside meanwhile; else nowhere."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            return os.open(self.log, flags, 0o600)
        except OSError:
            return os.open(os.devnull, os.O_WRONLY)

    def collect(self) -> None:
        """Take leave of the calls that have ended."""
        for pid in tuple(self.calls):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.calls.discard(pid)

    def end_calls(self) -> None:
        """SIGTERM to every call, and SIGKILL to what is left of it when the grace time is over."""
        for pid in self.calls:
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + GRACE_S
        while self.calls and time.monotonic() < until:
            time.sleep(STEP_S)
            self.collect()
        for pid in self.calls:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
