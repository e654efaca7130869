"""What several schedulers need to know about a call: whether it can be made, whether it is at work, and how to end it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from zlib import crc32

from scq.clean import line
from scq.errors import FAILED, ScqError, UsageError
from scq.model import Problem
from scq.ports import Entry, Schedule

PROC = "/proc"
GRACE_S = 10.0
"""What a call gets between SIGTERM and SIGKILL."""
ANSWER_S = 30.0
"""How long a program of the system (crontab, launchctl) may take to answer."""
_PIDFD = hasattr(os, "pidfd_open")


def mark_of(text: str) -> str:
    """Eight hexadecimal digits that tell whether a text of ours was edited since. Not a protection against anybody."""
    return f"{crc32(text.encode('utf-8', 'surrogateescape')):08x}"


def check_words(schedule: Schedule) -> None:
    """Raises UsageError for paths and words that cannot stand in a line of text that others read again."""
    words: Iterable[str] = (schedule.home, *(word for entry in schedule.entries for word in (entry.name, *entry.argv)))
    for word in words:
        if not word.isprintable():
            raise UsageError(
                f"{line(word)}: has characters that cannot be written into a schedule", "Use a path of printable characters."
            )


def program_problems(entries: Sequence[Entry]) -> list[Problem]:
    """What keeps the programs of these calls from being started by somebody who has no login shell."""
    problems = []
    for program in dict.fromkeys(entry.argv[0] for entry in entries):
        advice = "Call `scq schedule install` with the scq that is to be called."
        if not os.path.isabs(program) or not os.path.isfile(program) or not os.access(program, os.X_OK):
            problems.append(Problem(program, "is not a program that can be started", advice))
        elif "/shims/" in program:
            what = "is a shim: what it starts depends on the folder and the variables of the caller"
            problems.append(Problem(program, what, f"{advice} `pyenv which scq` names it."))
    return problems


def at_work(argv: Sequence[str]) -> list[int]:
    """Process numbers of this account that are exactly this call, started by whomever. Empty where /proc does not tell."""
    if len(argv) < 2 or not os.path.isabs(argv[0]):
        return []
    try:
        numbers = [int(name) for name in os.listdir(PROC) if name.isdecimal()]
    except OSError:
        return []
    return [pid for pid in numbers if pid != os.getpid() and _is_call(pid, argv)]


def _is_call(pid: int, argv: Sequence[str]) -> bool:
    """Whether a process of this account has these words at the end of its command line, behind its interpreter if it has one."""
    try:
        if os.stat(f"{PROC}/{pid}").st_uid != os.getuid():
            return False
        with open(f"{PROC}/{pid}/cmdline", "rb") as file:
            words = file.read(1 << 16).split(b"\0")[:-1]
    except OSError:  # it has ended meanwhile
        return False
    wanted = [os.fsencode(word) for word in argv]
    return len(words) - len(wanted) in (0, 1, 2) and words[len(words) - len(wanted) :] == wanted


def end(argv: Sequence[str], grace: float = GRACE_S) -> int:
    """End the processes that are this call: SIGTERM, after `grace` seconds SIGKILL. How many there were."""
    import select

    handles = []
    for pid in at_work(argv) if _PIDFD else ():
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        if _is_call(pid, argv):  # still: the number was not given to another process before the handle was opened
            handles.append(handle)
        else:
            os.close(handle)
    for handle in handles:
        _send(handle, signal.SIGTERM)
    for handle in handles:
        if not select.select([handle], [], [], grace)[0]:
            _send(handle, signal.SIGKILL)
        os.close(handle)
    return len(handles)


def _send(handle: int, number: int) -> None:
    try:
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return


def ran(command: Sequence[str], env: Mapping[str, str], stdin: bytes = b"") -> tuple[int, bytes, str]:
    """Exit code, standard output and what was said on stderr (one clean line) of a program of the system. Raises ScqError."""
    import subprocess

    # The messages are looked at, so they must not be translated.
    variables = {**env, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, env=variables, timeout=ANSWER_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ScqError(f"{command[0]} has not answered for {ANSWER_S:.0f} s", "Call again later.") from error
    except OSError as error:
        raise ScqError(f"{command[0]}: cannot be started ({error.strerror})", "Install it, or check its rights.") from error
    said = line(" ".join(re.split(r"\s+", done.stderr.decode("utf-8", "replace"))), 300)
    return done.returncode, done.stdout, said


def refused(what: str, code: int, said: str, advice: str) -> ScqError:
    """The error for a program of the system that would not do it."""
    error = ScqError(f"{what}: {said or f'exit code {code}'}", advice)
    error.exit_code = FAILED
    return error


def found_program(name: str, env: Mapping[str, str]) -> str:
    """Absolute path of a program of the system; empty when there is none."""
    import shutil

    return shutil.which(name, path=env.get("PATH", os.defpath)) or ""
