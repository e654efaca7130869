"""`scq automate`: the owner's own program decides about what waits, by calling scq; scq itself never decides.

The program is `approve.command`. It finds `scq pending --json` and `scq approve ID --digest D` on its PATH, set for this queue.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import Struct

from scq import clean
from scq.context import Context
from scq.errors import BUSY, FAILED, OK, ConfigError
from scq.joining import NOT_ACCEPTED
from scq.looking import view
from scq.model import Job
from scq.report import Report
from scq.safeguards import noted
from scq.state import Record
from scq.store import Store
from scq.view import job_of, oldest_first

if TYPE_CHECKING:
    from subprocess import Popen
    from types import FrameType

OUTPUT_LIMIT = 64 << 10
"""Bytes kept of what the program writes: the last ones."""
LOGGED_LINES = 200
TAIL_LINES = 10
"""Lines of its output that a report about a failure shows."""
GRACE_S = 5.0
"""Between SIGTERM and SIGKILL."""
LOOK_S = 0.05
"""How often the end of the program is looked for."""
PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where programs are looked for when this call has no PATH."""
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Ended(Struct, frozen=True):
    """How the program ended: exit status (negative: the signal), None when its time was over, and the end of its output."""

    status: int | None
    took_s: float
    lines: tuple[str, ...]


def run(ctx: Context, *, dry_run: bool = False) -> Report:
    """Run `approve.command` once, if jobs wait for a decision that this owner can give; say what was decided meanwhile.

    Exit code 75 when the program says so or nobody can look what waits, 1 when it fails in another way or takes longer than
    `approve.timeout`. Raises BusyError while another call of it is at work, and ConfigError when the program is missing or
    others could change it.
    """
    command = ctx.config.automation.command
    with ctx.only_one("automate"):
        if not command:
            return Report("automate", _data(dry_run=dry_run))
        before = view(ctx, full=False)
        waiting = _waiting(ctx, before.records)
        problems = before.problems
        if not before.source.ok:
            return Report("automate", _data(dry_run=dry_run), (), problems, BUSY)
        if not waiting:
            return Report("automate", _data(dry_run=dry_run), (), problems)
        _refuse_what_others_change(command)
        if dry_run:
            return Report("automate", _data(waiting, dry_run=True), (_would_run(command, waiting),), problems)
        ctx.store.update(lambda state: noted(state, ctx.config, ctx.now()))  # which program it is stands before what it decides
        ended = _run(ctx, command)
        _journal(ctx, ended)
        decided = _decided(ctx, {key: before.records[key] for key in waiting})
    return _report(command, ended, waiting, decided, problems, ctx.config.automation.timeout)


def _waiting(ctx: Context, records: Mapping[str, Record]) -> dict[str, Job]:
    """The jobs somebody could decide about now, by key: pending, whole, here, for this owner, from an accepted sender."""
    found = {key: job_of(record) for key, record in records.items() if record.missing_since is None}
    return {
        key: job
        for key, job in found.items()
        if job.status == "pending" and not job.invalid and job.sighting.owner == ctx.config.email
        if job.sighting.where == "local" and NOT_ACCEPTED not in job.sighting.flags
    }


def _refuse_what_others_change(command: Sequence[str]) -> None:
    """Raise ConfigError unless the program, and every file named behind it (a script behind its interpreter), is in our hands."""
    program = command[0]
    if not os.path.isfile(program) or not os.access(program, os.X_OK):
        raise ConfigError(f"approve.command: {program} is not a program that can be run", "Check its path and its rights.")
    for path in (program, *(word for word in command[1:] if word.startswith("/") and os.path.isfile(word))):
        for place in _passed(path):
            if reason := _changeable(place):
                what = f"approve.command: {clean.line(place, 300)} {reason}, so others could decide what runs here"
                raise ConfigError(what, f"Keep it to yourself: chmod go-w {clean.line(place, 300)}, and own it.")


def _passed(path: str) -> list[str]:
    """A path, all the folders it lies in, and the same of everything that a link on the way points at."""
    places: dict[str, None] = {}
    left = [os.path.realpath(path), os.path.abspath(path)]
    while left:
        place = left.pop()
        if place in places or not os.path.lexists(place):
            continue
        places[place] = None
        folder = os.path.dirname(place)
        left.append(folder)
        if os.path.islink(place):
            left.append(os.path.abspath(os.path.join(os.path.realpath(folder), os.readlink(place))))
    return list(places)


def _changeable(place: str) -> str:
    """How other accounts could change what stands at a place; empty when they cannot."""
    found = os.lstat(place)
    if found.st_uid not in (0, os.geteuid()):
        return "belongs to somebody else"
    kept = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX  # there only owners rename and remove
    open_to_others = not stat.S_ISLNK(found.st_mode) and found.st_mode & OTHERS_WRITE and not kept
    return "can be written by other accounts" if open_to_others else ""


def _environment(ctx: Context) -> dict[str, str]:
    """What the program finds: this queue, this scq first on its PATH, and no secret of this call."""
    words = {name: ctx.env[name] for name in ("HOME", "LANG") if ctx.env.get(name)}
    place = {"SCQ_HOME": ctx.home, "SCQ_ROOT": ctx.config.root, "SCQ_EMAIL": ctx.config.email, "SCQ_CONFIG": ctx.config_path}
    return {**words, **place, "PATH": f"{_folder_of_scq()}:{ctx.env.get('PATH') or PATH}"}


def _folder_of_scq() -> str:
    """Where the running scq lies; beside its interpreter when it was not called by its name."""
    called = os.path.abspath(sys.argv[0])
    usual = os.path.dirname(sys.executable)
    named = os.path.basename(called) == "scq" and os.access(called, os.X_OK)
    return os.path.dirname(called) if named and not os.access(os.path.join(usual, "scq"), os.X_OK) else usual


def _run(ctx: Context, command: Sequence[str]) -> Ended:
    """Run the program to its end, or that of its time, and then end whatever it started. Raises ConfigError."""
    from subprocess import DEVNULL, PIPE, STDOUT, Popen

    began = time.monotonic()
    with _stoppable():
        try:
            child = Popen(
                list(command),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                env=_environment(ctx),
                cwd=ctx.home,
                start_new_session=True,
            )
        except OSError as error:
            what = f"approve.command: {command[0]} cannot be started ({error.strerror})"
            raise ConfigError(what, "Check that it runs on this machine, and its first line if it is a script.") from error
        written = bytearray()
        with child:
            try:
                in_time = _follow(child, written, ctx.config.automation.timeout)
                if not in_time:
                    _end_group(child, signal.SIGTERM)
                    _follow(child, written, GRACE_S)
            finally:
                _end_group(child, signal.SIGKILL)  # what it left behind, too
            child.wait()
    lines = clean.log(bytes(written).decode("utf-8", "replace")).splitlines()
    said = tuple(line for line in lines if line.strip())
    return Ended(child.returncode if in_time else None, round(time.monotonic() - began, 3), said)


def _end_group(child: Popen[bytes], number: signal.Signals) -> None:
    """Signal the program, which nobody has waited for yet, and everything in its group."""
    with suppress(ProcessLookupError, PermissionError):  # it has ended already, with nothing left in its group
        os.killpg(child.pid, number)


def _follow(child: Popen[bytes], written: bytearray, seconds: float) -> bool:
    """Keep the end of what the program writes until it has ended, without waiting for it; whether that came in time."""
    import select

    stream = child.stdout
    deadline = time.monotonic() + seconds
    while stream is not None and time.monotonic() < deadline:
        # Asked before reading: what was written before the end is read, what something in the background writes is not awaited.
        ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        open_ = [] if stream.closed else [stream]
        if not open_ and not ended:
            time.sleep(LOOK_S)
        while open_ and select.select(open_, [], [], 0 if ended else LOOK_S)[0] and time.monotonic() < deadline:
            piece = os.read(stream.fileno(), OUTPUT_LIMIT)
            written += piece
            del written[:-OUTPUT_LIMIT]
            if not piece:
                stream.close()
                open_ = []
        if ended:
            return True
    return False


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end this call as Ctrl-C does: the program is ended with it."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _journal(ctx: Context, ended: Ended) -> None:
    """What the program wrote, line by line, into the log."""
    lines = ended.lines[-LOGGED_LINES:]
    for text in lines if _code_of(ended) != FAILED else lines[:-TAIL_LINES]:  # the report about a failure brings the last ones
        ctx.journal.note("automate", "info", clean.line(text, 500))


def _decided(ctx: Context, before: Mapping[str, Record]) -> list[dict[str, Any]]:
    """The jobs about which something was decided since, by whomever."""
    after = view(ctx, full=False).records
    finished = Store(ctx.home, ctx.config.state_file, ctx.config.lock_timeout)
    found = []
    for key, record in before.items():
        now = after.get(key) or finished.finished_record(key)
        votes = () if now is None else tuple(vote for vote in (*now.votes, now.decision) if vote is not None)
        news = [vote for vote in votes if vote not in (*record.votes, record.decision)]
        if news:
            row = {"id": record.id, "short_id": record.id[:8], "name": record.sighting.name}
            found.append({**row, "verdict": news[-1].verdict, "by": news[-1].by})
    return found


def _data(
    waiting: Mapping[str, Job] | None = None,
    ended: Ended | None = None,
    decided: Sequence[dict[str, Any]] = (),
    *,
    dry_run: bool = False,
) -> dict[str, Any]:
    return {
        "ran": ended is not None,
        "exit_code": None if ended is None else ended.status,
        "took_s": None if ended is None else ended.took_s,
        "waiting": [job.id for job in oldest_first((waiting or {}).values())],
        "decided": list(decided),
        "dry_run": dry_run,
    }


def _would_run(command: Sequence[str], waiting: Mapping[str, Job]) -> str:
    return f"would run {clean.line(command[0], 300)}: {_count(waiting)}"


def _count(waiting: Mapping[str, Job]) -> str:
    return "1 job waits for a decision" if len(waiting) == 1 else f"{len(waiting)} jobs wait for a decision"


def _report(
    command: Sequence[str],
    ended: Ended,
    waiting: Mapping[str, Job],
    decided: Sequence[dict[str, Any]],
    problems: Sequence[Any],
    timeout: float,
) -> Report:
    words = {"approve": "approved", "reject": "rejected"}
    lines = [f"{row['short_id']}  {words[row['verdict']]}  {clean.line(row['name'])}" for row in decided]
    code = _code_of(ended)
    errors: tuple[str, ...] = ()
    if code == FAILED:
        errors = (f"approve.command: {clean.line(command[0], 300)} {_how(ended, timeout)}",)
        lines += [f"  | {clean.line(text)}" for text in ended.lines[-TAIL_LINES:]]
    return Report("automate", _data(waiting, ended, decided), tuple(lines), tuple(problems), code, errors)


def _code_of(ended: Ended) -> int:
    return ended.status if ended.status in (OK, BUSY) else FAILED


def _how(ended: Ended, timeout: float) -> str:
    if ended.status is None:
        return f"did not end within {timeout:g} s (approve.timeout) and was stopped"
    return f"failed with exit code {ended.status}" if ended.status > 0 else f"was ended by signal {-ended.status}"
