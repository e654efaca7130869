"""`loop`: where nothing else makes calls (containers, Colab), one tiny process per service does. See resident.py.

What it starts stands in `$SCQ_HOME/loop.json`. Its pid file has the documented name, `$SCQ_HOME/syft-<service>.pid`: the pid in
the first line, then when the process began and how often it calls. The process holds a lock on that file for as long as it lives,
so a file that nobody holds is left over, whatever number stands in it. A restart of the machine ends the loop.
"""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from scq.errors import ConfigError, InvalidFileError, ScqError, UsageError
from scq.files import make_folder, read_bytes, remove_file, write_atomic
from scq.model import Problem
from scq.ports import Entry, Installed, PlacedFile, Schedule
from scq.schedule import resident
from scq.schedule.calls import end, program_problems
from scq.services import SERVICES

NAME = "loop.json"
LIMIT = 1 << 20
STOP_S = 10.0
"""Between SIGTERM and SIGKILL, as documented."""
KILL_S = 5.0
STEP_S = 0.05
LOOK_S = 1.0
"""How long a lock of nobody known may be that of somebody who only looks."""
PID_LIMIT = 1 << 22
_AGAIN = "Call `scq schedule install --loop` again."


class Alive(Struct, frozen=True):
    """A process that holds the lock of a pid file. `known`: the file names it for certain, so that it may be signalled."""

    pid: int
    begun: str
    every: float | None
    known: bool


class Loop:
    """The scheduler. Made from `env`, which its processes and their calls get too."""

    name = "loop"
    overlaps = True

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = dict(env)

    def unusable(self) -> str:
        """It works wherever scq does."""
        return ""

    def files(self, schedule: Schedule) -> tuple[PlacedFile, ...]:
        """The one file that says what to start. Raises UsageError for an account other than one's own."""
        if schedule.user:
            raise UsageError("the loop is no scheduler of the whole machine", "Call as that account, without --user.")
        text = msgspec.json.format(msgspec.json.encode(schedule.entries), indent=2).decode("utf-8") + "\n"
        return (PlacedFile(os.path.join(schedule.home, NAME), text, 0o600),)

    def install(self, schedule: Schedule) -> tuple[str, ...]:
        """Write the file, and have one process per entry; one that makes other calls than it should is replaced."""
        home = schedule.home
        (file,) = self.files(schedule)
        make_folder(home, 0o700)
        wanted = {entry.name: entry for entry in schedule.entries}
        before = {entry.name: entry for entry in self._entries(home, tolerant=True)}
        # The old processes end before the file is new: cut short in between, the next install still sees what is left to do.
        wrong = [name for name, every in _at_work(home) if not _is_right(before.get(name), wanted.get(name), every)]
        done = [self.stop(home, name) for name in wrong]
        if before != wanted:
            write_atomic(file.path, file.text.encode("utf-8"), mode=file.mode)
            done.append(f"wrote {file.path}")
        there = {name for name, _ in _at_work(home)}
        done.extend(self.start(home, name) for name in wanted if name not in there)
        return tuple(done)

    def remove(self, home: str) -> tuple[str, ...]:
        """End the processes and remove their files."""
        path = os.path.join(home, NAME)
        done = [self.stop(home, name) for name, _ in _at_work(home)]
        for name in _named_files(home):
            remove_file(_pid_file(home, name))
        if os.path.lexists(path):
            remove_file(path)
            done.append(f"removed {path}")
        return tuple(done)

    def installed(self, home: str) -> tuple[Installed, ...]:
        """Each entry, and the process that makes its calls. Raises ConfigError for a file that is damaged."""
        return tuple(_state(home, entry) for entry in self._entries(home))

    def verify(self, schedule: Schedule) -> Sequence[Problem]:
        """A process that is not there, one that makes other calls than it would now, a program that is gone."""
        entries = {entry.name: entry for entry in self._entries(schedule.home)}
        found = program_problems(schedule.entries)
        for entry in schedule.entries:
            path = _pid_file(schedule.home, entry.name)
            if entry.name not in entries:
                found.append(Problem(NAME, f"does not have {entry.name}", _AGAIN))
            elif _state(schedule.home, entry).state != "running":
                advice = f"Call `scq start {entry.name}`; the loop has to be started again after every restart of the machine."
                found.append(Problem(path, f"nothing makes the calls of {entry.name}", advice))
            elif entries[entry.name] != entry:
                found.append(Problem(NAME, f"{entry.name} makes other calls than it would if installed now", _AGAIN))
        return found

    def start(self, home: str, name: str) -> str:
        """Start the process of an entry, unless it is there. Raises UsageError for an unknown entry, ScqError when it failed."""
        entry = self._entry(home, name)
        path = _pid_file(home, name)
        lock = _locked(path)
        if lock is None:
            return f"{name}: is running already"
        log = os.path.join(home, f"syft-{name}.error.log")
        words = [str(lock), path, log, repr(entry.every), *entry.argv]
        try:
            self._spawn(words, lock)
        finally:
            os.close(lock)
        alive = _alive(path)
        if alive is None:
            raise ScqError(f"{name}: the process did not stay", f"Look into {log}.")
        return f"{name}: started, process {alive.pid}"

    def stop(self, home: str, name: str) -> str:
        """SIGTERM to the process of an entry, which ends its calls first, then SIGKILL.

        Raises ScqError when the process cannot be named for certain, or did not end.
        """
        path = _pid_file(home, name)
        alive = _alive(path)
        if alive is None:
            return f"{name}: was not running"
        for number, patience in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, KILL_S)):
            _signal(path, alive, number)
            if _wait(lambda: not _is_same(path, alive), patience):
                return f"{name}: stopped" if number == signal.SIGTERM else self._killed(home, name)
        raise ScqError(f"{name}: process {alive.pid} does not end", "Look at what it waits for, such as a disk that is away.")

    def _killed(self, home: str, name: str) -> str:
        """What is said of a process that had to be killed; it could not end its calls, so that is done here."""
        lines = [entry.argv for entry in self._entries(home, tolerant=True) if entry.name == name]
        ended = sum(end(argv) for argv in lines)
        return f"{name}: killed, as it did not end" + (f"; ended {ended} call(s) at work" if ended else "")

    def _spawn(self, words: list[str], lock: int) -> None:
        import subprocess

        line = [sys.executable, "-I", resident.__file__, *words]
        quiet = subprocess.DEVNULL
        ended = subprocess.run(line, stdin=quiet, stdout=quiet, stderr=quiet, env=self.env, pass_fds=(lock,), check=False)
        if ended.returncode != 0:
            why = os.strerror(ended.returncode)
            raise ScqError(f"the loop could not be started ({why})", "`scq doctor` looks at the folder.")

    def _entries(self, home: str, *, tolerant: bool = False) -> tuple[Entry, ...]:
        """What the file says; none when it is not there, or damaged and `tolerant`. Raises ConfigError."""
        path = os.path.join(home, NAME)
        if not os.path.lexists(path):
            return ()
        try:
            return _checked(msgspec.json.decode(read_bytes(path, LIMIT), type=tuple[Entry, ...]))
        except (InvalidFileError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            if tolerant:
                return ()
            raise ConfigError(f"{path}: does not say what to start", _AGAIN) from error

    def _entry(self, home: str, name: str) -> Entry:
        for entry in self._entries(home):
            if entry.name == name:
                return entry
        raise UsageError(f"{name[:80]!a} is not installed", "`scq schedule show` lists what is.")


def _checked(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Entries of a file, if they are of this form. Raises ValueError."""
    for entry in entries:
        words = (entry.name, *entry.argv)
        fits = entry.name.isidentifier() and entry.argv and entry.argv[0].startswith("/") and 0 < entry.every < float("inf")
        if not fits or any("\0" in word for word in words):
            raise ValueError(entry.name)
    return entries


def _pid_file(home: str, name: str) -> str:
    return os.path.join(home, f"syft-{name}.pid")


def _named_files(home: str) -> list[str]:
    """Services that have a pid file in a home, whether or not the schedule still knows them."""
    return [name for name in SERVICES if os.path.lexists(_pid_file(home, name))]


def _at_work(home: str) -> list[tuple[str, float | None]]:
    """(name, seconds between two calls) of every process of a home. Raises ConfigError for a pid file that is no file."""
    found = ((name, _alive(_pid_file(home, name))) for name in _named_files(home))
    return [(name, alive.every) for name, alive in found if alive is not None]


def _is_right(before: Entry | None, wanted: Entry | None, every: float | None) -> bool:
    """Whether a process that was started for `before` does what is wanted now."""
    return wanted is not None and before == wanted and every == wanted.every


def _state(home: str, entry: Entry) -> Installed:
    path = _pid_file(home, entry.name)
    alive = _alive(path)
    if alive is None:
        return Installed(entry.name, path, "stopped", entry.every)
    if not alive.known:
        return Installed(entry.name, path, "unknown", entry.every, detail="a process that is not named in it holds this file")
    return Installed(entry.name, path, "running", alive.every, alive.pid)


def _open(path: str, flags: int) -> int:
    """The pid file, a regular one for certain. Raises ConfigError, OSError."""
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            raise _not_ours(path) from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _not_ours(path)
    return fd


def _not_ours(path: str) -> ConfigError:
    return ConfigError(f"{path}: is not a regular file", "Remove it; scq writes the process number there.")


def _locked(path: str) -> int | None:
    """The pid file, made if need be, with its lock, to be handed to a new process; None when a process holds it."""
    until = time.monotonic() + LOOK_S
    while True:
        fd = _open(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.lstat(path)):
                os.fchmod(fd, 0o600)
                return _above_streams(fd)
        except BlockingIOError:
            # Whoever only looks holds it too, for a moment.
            if _named(fd).known or time.monotonic() > until:
                os.close(fd)
                return None
            time.sleep(STEP_S)
        except FileNotFoundError:
            pass  # the process that ended just now took its file along
        except OSError:
            os.close(fd)
            raise
        os.close(fd)


def _above_streams(fd: int) -> int:
    """A descriptor under another number where it has one of the standard streams: the caller has none, the new process will."""
    if fd > 2:
        return fd
    higher = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return higher


def _alive(path: str) -> Alive | None:
    """The process that holds the pid file, None when nobody does. Raises ConfigError, OSError."""
    try:
        fd = _open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named(fd)
    else:
        return None
    finally:
        os.close(fd)


def _named(fd: int) -> Alive:
    """What an open pid file says about its holder. `known` only if the process of that number began when the file says, and
    belongs to the owner of the file: a home is not to tell the administrator whom to kill.
    """
    lines = os.pread(fd, 4096, 0).decode("ascii", "replace").splitlines()
    facts = {word: rest for word, _, rest in (line.partition(" ") for line in lines[1:])}
    pid = int(lines[0]) if lines and lines[0].isdecimal() and len(lines[0]) < 10 else 0
    begun = facts.get("started", "")
    known = 1 < pid <= PID_LIMIT and resident.begun_at(pid) == begun and _is_owned(pid, os.fstat(fd).st_uid)
    return Alive(pid, begun, _number(facts.get("every", "")), known)


def _is_owned(pid: int, account: int) -> bool:
    """Whether a process belongs to an account. Asked for the administrator only: nobody else can signal those of others."""
    try:
        return os.geteuid() != 0 or os.stat(f"/proc/{pid}").st_uid == account
    except OSError:  # it ended just now, or the system has no /proc to tell
        return not os.path.isdir("/proc/self")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_same(path: str, alive: Alive) -> bool:
    now = _alive(path)
    return now is not None and (now.pid, now.begun) == (alive.pid, alive.begun)


def _signal(path: str, alive: Alive, number: int) -> None:
    """Signal the holder, if it is certain who that is: a number alone may have become somebody else's."""
    if not alive.known:
        what = f"{path}: is held by a process that it does not name"
        raise ScqError(what, f"Find it with `fuser {path}`, and end it yourself.")
    try:
        os.kill(alive.pid, number)
    except ProcessLookupError:
        return  # it ended just now


def _wait(is_so: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(STEP_S)
    return True
