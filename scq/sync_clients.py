"""Other programs that keep this SyftBox in step with Google Drive, and keeping them out while scq does it.

Two programs that take messages off Drive at once lose or double them. The SyftBox client (syft 0.10.0) holds a kernel lock
on `.sync.lock` in the SyftBox folder while it works; syft-bg (0.2.0-0.3.12) runs services that work every few seconds, each
a Python process of its own with a `<service>/daemon.pid` below `~/.syft-bg` or `~/.syft-creds`. Releases of the client
before the lock, started by hand in a notebook, leave nothing that could be seen.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from scq.errors import BusyError, InvalidFileError
from scq.files import read_text

LOCK_NAME = ".sync.lock"
SERVICES = ("sync", "approve", "email_approve")
"""The services of syft-bg that load the client; `notify` only reads."""
FOLDERS = (".syft-bg", ".syft-creds")
PROC = "/proc"
COMMAND_LINE_BYTES = 16 << 10
ENVIRONMENT_BYTES = 256 << 10
PARENTS_LIMIT = 64
ADVICE = "Stop it, or set `drive.fetch: false`: only one program may take messages off Google Drive."

_INTERPRETER = re.compile(r"(python|pypy)[0-9.]*")
_FOREGROUND = re.compile(r"\bsyft_bg\b.*\brun_foreground\(\s*(?:service\s*=\s*)?['\"](\w+)['\"]", re.DOTALL)


def running(root: str, env: Mapping[str, str]) -> str:
    """One sentence on the program that syncs this SyftBox or this user's account now; empty when none is found.

    `root` is the SyftBox folder. What cannot be read counts as not there, except for the lock. Changes nothing.
    """
    return _holder(root) or _service(env)


@contextmanager
def alone(root: str, env: Mapping[str, str]) -> Iterator[None]:
    """Hold the client's own lock: a client that starts meanwhile waits. The kernel frees it, whatever happens to scq.

    Raises BusyError when another program syncs, InvalidFileError when the lock file cannot be used.
    """
    lock = _opened(os.path.join(root, LOCK_NAME), os.O_RDWR | os.O_CREAT)
    try:
        # the other way round, a service that starts in between would be missed
        if not _locked(lock, fcntl.LOCK_EX):
            raise BusyError(_held_by(root, lock), ADVICE)
        service = _service(env)
        if service:
            raise BusyError(service, ADVICE)
        yield
    finally:
        os.close(lock)


def _holder(root: str) -> str:
    """Who holds the client's lock; empty when nobody or this process does."""
    path = os.path.join(root, LOCK_NAME)
    if not os.path.lexists(path):
        return ""
    try:
        lock = _opened(path, os.O_RDONLY)
    except InvalidFileError as error:
        return f"nobody can tell whether a SyftBox client is at work: {error}"
    try:
        # shared, so that two calls that only ask do not see each other
        if _locked(lock, fcntl.LOCK_SH) or os.getpid() in _holding(lock):
            return ""
        return _held_by(root, lock)
    finally:
        os.close(lock)


def _opened(path: str, flags: int) -> int:
    """Open the lock file; it is made with mode 0644 when the flags say so. Raises InvalidFileError."""
    try:
        lock = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise InvalidFileError(f"{path}: cannot be opened ({error.strerror})", "It must be a plain file of your own.") from error
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        os.close(lock)
        raise InvalidFileError(f"{path}: is not a regular file", "Remove it.")
    return lock


def _locked(lock: int, kind: int) -> bool:
    """True when the lock was free and is held now. Raises InvalidFileError where the file system has no locks."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        what = f"{LOCK_NAME} of the SyftBox folder cannot be locked ({error.strerror})"
        raise InvalidFileError(what, "Keep the SyftBox on a local disk.") from error
    return True


def _held_by(root: str, lock: int) -> str:
    pids = _holding(lock)
    who = f"process {min(pids)}" if pids else "another program"
    return f"{who} is syncing this SyftBox: it holds {os.path.join(root, LOCK_NAME)}"


def _holding(lock: int) -> set[int]:
    """Processes that hold a lock on an open file, as far as the kernel names them.

    Its list has lines such as `1: FLOCK  ADVISORY  WRITE 4711 fd:01:131076 0 EOF`.
    """
    about = os.fstat(lock)
    wanted = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    rows = [line.split() for line in _read(f"{PROC}/locks", ENVIRONMENT_BYTES).decode("ascii", "replace").splitlines()]
    found = {row[4] for row in rows if len(row) > 5 and row[1] == "FLOCK" and row[5] == wanted}
    return {int(pid) for pid in found if pid.isascii() and pid.isdigit() and int(pid) > 0}


def _service(env: Mapping[str, str]) -> str:
    """Which service of syft-bg runs for this user's home; empty when none does."""
    home = env.get("HOME") or _home_of_user()
    if not os.path.isdir(f"{PROC}/self"):
        return _by_pid_file(home)
    own = _ancestry()
    for pid in sorted(int(name) for name in os.listdir(PROC) if name.isascii() and name.isdigit()):
        if pid not in own and _is_ours(pid):
            name = _service_of(_words(pid))
            if name and _lives_in(pid, home):
                return f"syft-bg is running (service {name}, process {pid})"
    return ""


def _by_pid_file(home: str) -> str:
    """Where processes cannot be looked at, a pid file of a living process has to do."""
    for folder in FOLDERS:
        for name in SERVICES:
            path = os.path.join(home, folder, name, "daemon.pid")
            try:
                pid = int(read_text(path, 100))
                os.kill(pid, 0)
            except (InvalidFileError, ValueError, OSError, OverflowError):
                continue
            if pid > 0:
                return f"syft-bg is running (service {name}, process {pid}): {path}"
    return ""


def _service_of(words: list[str]) -> str:
    """The service that a command line starts and that syncs; empty for any other program, an editor of its files too.

    The three forms: `python -m syft_bg run --service S`, the script `syft-bg` in place of the module, and
    `python -c "from syft_bg…; run_foreground('S')"`.
    """
    if not words or not _INTERPRETER.fullmatch(os.path.basename(words[0])):
        return ""
    at = 1
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-c", "-m"):
        at += 2 if words[at] in ("-X", "-W") else 1
    what, rest = words[at : at + 2], words[at + 2 :]
    name = ""
    if what[:1] == ["-c"]:
        code = _FOREGROUND.search(what[-1])
        name = code[1] if code else ""
    elif what == ["-m", "syft_bg"]:
        name = _asked(rest)
    elif what and os.path.basename(what[0]) == "syft-bg":
        name = _asked([*what[1:], *rest])
    return name if name in SERVICES else ""


def _asked(words: list[str]) -> str:
    """The service in `run --service S` or `run --service=S`."""
    if words[:1] != ["run"]:
        return ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in ("--service", "-s"):
            return following
        if word.startswith("--service="):
            return word.partition("=")[2]
    return ""


def _words(pid: int) -> list[str]:
    content = _read(f"{PROC}/{pid}/cmdline", COMMAND_LINE_BYTES)
    return [word.decode("utf-8", "replace") for word in content.removesuffix(b"\0").split(b"\0")]


def _lives_in(pid: int, home: str) -> bool:
    """False only for a process that is known to have another home: it serves another set of accounts."""
    for entry in _read(f"{PROC}/{pid}/environ", ENVIRONMENT_BYTES).split(b"\0"):
        if entry.startswith(b"HOME="):
            return os.path.realpath(os.fsdecode(entry[5:])) == os.path.realpath(home)
    return True


def _is_ours(pid: int) -> bool:
    try:
        return os.stat(f"{PROC}/{pid}").st_uid == os.getuid()
    except OSError:
        return False


def _ancestry() -> set[int]:
    """This process and what started it."""
    found: set[int] = set()
    pid = os.getpid()
    while pid > 0 and len(found) < PARENTS_LIMIT:
        found.add(pid)
        # the name before it, in brackets, may hold anything
        after = _read(f"{PROC}/{pid}/stat", COMMAND_LINE_BYTES).rpartition(b")")[2].split()
        pid = int(after[1]) if len(after) > 1 else 0
    return found


def _home_of_user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"


def _read(path: str, limit: int) -> bytes:
    """The beginning of a file of the kernel; empty when it is gone, or not for us."""
    try:
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError:
        return b""
