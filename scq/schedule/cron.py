"""cron: calls at whole minutes, as lines of the account's own crontab.

Ours stand between two marks, one block per home; every other line stays as it is, byte for byte. Format: crontab(5) and, for
`%` and the longest line, what Vixie cron and its descendants read. The comments and the way of calling are those of
`cron/scq.cron`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from scq import resources
from scq.errors import ConfigError, ScqError, UsageError
from scq.files import SMALL, read_text
from scq.model import Problem
from scq.ports import Entry, Installed, PlacedFile, Schedule
from scq.schedule import calls
from scq.schedule.crontab import Table, every_of, next_of, said, timing_of
from scq.syftbox import expand

LONGEST = 998
"""Bytes of a command; Vixie cron reads no more."""
_BY_HAND = '"$HOME/.local/bin/scq" cycle'
_ENTRY = re.compile(r"# scq (?P<name>[a-z][a-z0-9-]*) (?P<mark>[0-9a-f]{8}): ")
_STOPPED = "#stopped "
_DAEMONS = ("cron", "crond", "cronie", "fcron", "dcron")
_NONE_YET = re.compile(r"\bno crontab for\b|^crontab: can't open '[^']*': No such file or directory$", re.IGNORECASE)
"""How `crontab -l` says that there is no table: Vixie cron and cronie, busybox. Anything else it says keeps us from writing."""
_OTHERS = re.compile(rb"^\s*[0-9*@].*\bscq\b.*\b(?:cycle|check|notify|run-approved)\b")


class Line(Struct, frozen=True):
    """One of our calls as it stands in a crontab. `timing` has five fields; `command` is what cron hands to the shell."""

    name: str
    timing: str
    command: str
    stopped: bool
    edited: bool


class Cron:
    """The crontab of the account that calls, through the program `crontab`."""

    name = "cron"
    overlaps = True

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)

    def unusable(self) -> str:
        """cron counts as usable where the program `crontab` is; `verify` looks for the daemon."""
        return "" if calls.found_program("crontab", self._env) else "there is no program `crontab` on PATH"

    def files(self, schedule: Schedule) -> tuple[PlacedFile, ...]:
        """Our block of the crontab."""
        return (PlacedFile(f"crontab of {_account()}", _text(schedule), 0o600),)

    def install(self, schedule: Schedule) -> tuple[str, ...]:
        """Put our block into the crontab, or a new one into the place of the old one. Raises ScqError."""
        text = _text(schedule)
        if not self._write(schedule.home, lambda block: text):
            return ()
        return tuple(_done(entry) for entry in schedule.entries)

    def remove(self, home: str) -> tuple[str, ...]:
        """Take our block out of the crontab. Calls that are at work go on to their end. Raises ScqError."""
        return ("removed our lines from the crontab",) if self._write(home, lambda block: "") else ()

    def installed(self, home: str) -> tuple[Installed, ...]:
        """Our lines as they stand in the crontab now. Raises ScqError."""
        return tuple(_found(line) for line in _lines(self._read().block(home)))

    def start(self, home: str, name: str) -> str:
        """Let cron make the calls of an entry again. Raises ScqError."""
        self._switch(home, name, stopped=False)
        return f"{name}: cron makes its calls"

    def stop(self, home: str, name: str) -> str:
        """Turn the line of an entry into a comment, and end the call that is at work. Raises ScqError."""
        line = self._switch(home, name, stopped=True)
        ended = 0 if line.edited else calls.end(words_of(line.command))
        return f"{name}: its line rests in the crontab" + (f", ended {ended} call(s) at work" if ended else "")

    def verify(self, schedule: Schedule) -> Sequence[Problem]:
        """Whether the lines are as they should be, can be started, and somebody is there to start them."""
        if missing := self.unusable():
            return [Problem("cron", missing, "Install cron, or use another scheduler.")]
        problems = calls.program_problems(schedule.entries)
        try:
            wanted = _lines(_text(schedule))
            table = self._read()
            there = _lines(table.block(schedule.home))
        except ScqError as error:
            return [*problems, Problem("crontab", str(error), error.advice)]
        problems += _differences(wanted, there) if there else []
        others = [number for number, row in table.others() if _OTHERS.match(row)]
        if others:
            what = f"line {others[0]} also calls scq, outside of the lines that scq looks after"
            problems.append(Problem("crontab", what, "Remove that line with `crontab -e` when it is for the same queue."))
        return problems + _daemon_problems()

    def _read(self) -> Table:
        """The crontab now. Raises ScqError."""
        code, content, said = calls.ran([self._program(), "-l"], self._env)
        if code and not content and _NONE_YET.search(said):
            return Table(b"")
        if code:
            advice = "Ask whoever administers this machine whether you may use cron (cron.allow, cron.deny)."
            raise calls.refused("crontab -l", code, said, advice)
        return Table(content)

    def _write(self, home: str, change: Callable[[str], str]) -> bool:
        """Change our block and look whether the crontab became what was meant; False when it already was. Raises ScqError."""
        with _alone(expand("~", self._env)):
            return self._write_alone(home, change)

    def _write_alone(self, home: str, change: Callable[[str], str]) -> bool:
        before = self._read()
        block = before.block(home)
        _check_ours(block)
        after = before.with_block(home, change(block))
        if after.content == before.content:
            return False
        _check_readable(before)
        words = ["-"] if after.content else ["-r"]
        code, _, said = calls.ran([self._program(), *words], self._env, after.content)
        if code:
            raise calls.refused("the crontab was not changed", code, said, "Correct it with `crontab -e`, then call again.")
        if self._read().content != after.content:
            raise ScqError("the crontab is not what was just written", "Somebody else may be editing it: look with `crontab -l`.")
        return True

    def _program(self) -> str:
        found = calls.found_program("crontab", self._env)
        if not found:
            raise UsageError("there is no program `crontab` on PATH", "Install cron, or use another scheduler.")
        return found

    def _switch(self, home: str, name: str, *, stopped: bool) -> Line:
        """Let one line rest or work."""
        there = {line.name: line for line in _lines(self._read().block(home))}
        if name not in there:
            raise UsageError(f"{name} is not in the crontab", "Install it with `scq schedule install`.")
        self._write(home, lambda block: _switched(block, name, stopped=stopped))
        return there[name]


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Let calls of scq for other homes wait: each would write back the table as it was before the lines of the other.

    The kernel's lock of the account's own folder leaves no file behind. Where it cannot be had, it goes without.
    """
    import fcntl

    with ExitStack() as held:
        with suppress(OSError):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            held.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _account() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # containers run as numbers nobody gave a name to
        return str(os.getuid())


def _check_readable(table: Table) -> None:
    """Raises ConfigError for lines that `crontab -l` does not show as they are: written back, they would be others.

    Debian's shows a carriage return as a backslash and an r.
    """
    for number, row in table.others():
        if row.endswith(b"\\r\n"):
            raise ConfigError(
                f"crontab, line {number}: ends in \\r, which may be a carriage return that `crontab -l` cannot show",
                "Remove it with `crontab -e`, then call again.",
            )


def _check_ours(block: str) -> None:
    """Raises ConfigError when somebody put a line of their own between our marks: it would be lost."""
    ours = False
    for row in block.splitlines():
        if row.strip() and not row.startswith("#") and not ours:
            what = f"crontab: {row[:80]!a} stands between the marks of scq and is not from scq"
            raise ConfigError(what, "Move that line out of there with `crontab -e`, then call again.")
        ours = _ENTRY.match(row) is not None


def _command(argv: Sequence[str]) -> str:
    """What stands behind the timing: the call as the shell reads it, and what cron would read differently written as it wants."""
    text = read_text(os.path.join(resources.folder("cron"), "scq.cron"))
    pattern = next(row for row in text.splitlines() if not row.startswith("#")).split(None, 5)[5]
    command = pattern.replace(_BY_HAND, shlex.join(argv))
    if "\\" in command:
        raise UsageError("cron reads a backslash in more than one way", "Use paths without a backslash.")
    command = command.replace("%", "\\%")
    if len(os.fsencode(command)) > LONGEST:
        raise UsageError(f"the command is longer than {LONGEST} bytes, and cron would cut it", "Use a shorter path for SCQ_HOME.")
    return command


def words_of(command: str) -> tuple[str, ...]:
    """The call in a command as cron and the shell read it; empty when it is not one of ours."""
    try:
        words = shlex.split(command.replace("\\%", "%"))
    except ValueError:
        return ()
    return tuple(words[2:]) if words[:1] == ["/usr/bin/env"] and words[1:2] and "=" in words[1] else tuple(words)


def _text(schedule: Schedule) -> str:
    """Our block for a schedule. Raises UsageError."""
    calls.check_words(schedule)
    if schedule.user not in ("", _account()):
        raise UsageError(f"cron calls as {_account()}, not as {schedule.user}", f"Install it as {schedule.user}.")
    text = read_text(os.path.join(resources.folder("cron"), "scq.cron"), SMALL)
    rows = [f"# BEGIN scq {schedule.home}", *(row for row in text.splitlines() if row.startswith("#"))]
    for entry in schedule.entries:
        row = f"{timing_of(entry.every, schedule.home)} {_command(entry.argv)}"
        rows += [f"# scq {entry.name} {calls.mark_of(row)}: {entry.meaning}", row]
    return "\n".join([*rows, f"# END scq {schedule.home}", ""])


def _lines(block: str) -> list[Line]:
    """Our calls in a block, also those that somebody edited."""
    rows = block.split("\n")
    found = []
    for comment, row in pairwise(rows):
        if entry := _ENTRY.match(comment):
            active = row.removeprefix(_STOPPED)
            fields = active.split(None, 5)
            timing, command = (" ".join(fields[:5]), fields[5]) if len(fields) == 6 else ("", active)
            edited = calls.mark_of(active) != entry["mark"]
            found.append(Line(entry["name"], timing, command, row != active or row.startswith("#"), edited))
    return found


def _switched(block: str, name: str, *, stopped: bool) -> str:
    """A block in which one call rests or works; one that somebody edited stays edited."""
    rows = block.split("\n")
    for number, row in enumerate(rows[:-1]):
        entry = _ENTRY.match(row)
        if entry is not None and entry["name"] == name:
            active = rows[number + 1].removeprefix(_STOPPED)
            rows[number + 1] = _STOPPED + active if stopped else active
    return "\n".join(rows)


def _found(line: Line) -> Installed:
    """One of our lines, and whether its call is at work."""
    base = Installed(line.name, f"crontab of {_account()}", "active", every_of(line.timing))
    if line.edited:
        return replace(base, state="changed", detail="its line was edited")
    if line.stopped:
        return replace(base, state="stopped")
    working = calls.at_work(words_of(line.command))
    base = replace(base, next_at=next_of(line.timing, datetime.now().astimezone()))
    return replace(base, state="running", pid=working[0]) if working else base


def _done(entry: Entry) -> str:
    """What installing did, in one line."""
    if entry.every < 60:
        return f"{entry.name}: cron calls it every minute, the most often it can ({entry.every:g} s were wanted)"
    return f"{entry.name}: cron calls it every {said(int(entry.every / 60))}"


def _differences(wanted: list[Line], there: list[Line]) -> list[Problem]:
    """What in the crontab is not what the schedule says."""
    problems = []
    found = {line.name: line for line in there}
    for line in wanted:
        now = found.pop(line.name, None)
        if now is None:
            what = "is not in the crontab"
        elif (now.timing, words_of(now.command)) != (line.timing, words_of(line.command)):
            what = "its line in the crontab is not the one that belongs there"
        elif now.stopped:
            what = "its line rests in the crontab"
        else:
            continue
        advice = f"Call `scq start {line.name}`." if "rests" in what else "Call `scq schedule install` again."
        problems.append(Problem(line.name, what, advice))
    left = (Problem(name, "is in the crontab and no longer wanted", "Call `scq schedule install` again.") for name in found)
    return [*problems, *left]


def _daemon_problems() -> list[Problem]:
    """Whether a cron daemon can be seen. Where /proc does not exist the system starts it by itself when there is a table."""
    if not os.path.isdir(calls.PROC):
        return []
    for name in os.listdir(calls.PROC):
        try:
            with open(f"{calls.PROC}/{name}/comm", "rb") as file:
                if file.read(64).strip().decode("utf-8", "replace") in _DAEMONS:
                    return []
        except OSError:  # not a process, or it has ended meanwhile
            continue
    advice = "Start it, for example with `service cron start` as root; in a container another scheduler may fit better."
    return [Problem("cron", "no cron daemon can be seen at work on this machine", advice)]
