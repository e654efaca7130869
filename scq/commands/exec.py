"""`scq exec`: run a command and tell how it ended. Its exit code is that of the command, whatever became of the message."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from scq import clean
from scq.context import Context
from scq.render.filters import duration_text
from scq.report import Report
from scq.telling import Outcome, as_dict, as_problem, exit_code, host, level_named, tell

if TYPE_CHECKING:
    from subprocess import Popen
    from types import FrameType

NOT_FOUND, NOT_STARTED = 127, 126
"""Exit codes that shells give for a command that is missing, or there and cannot be run."""
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
TAIL_BYTES = 64 << 10
LINGER_S = 0.5
"""How long error output is awaited that something the command left behind still holds open."""


class Ended(Struct, frozen=True):
    """How a command ended: exit code as a shell gives it, what happened, seconds it took, its last error lines."""

    code: int
    what: str
    seconds: float
    tail: str = ""
    started: bool = True


def run(
    ctx: Context,
    command: Sequence[str],
    *,
    title: str = "",
    channels: Sequence[str] = (),
    on_failure: bool = False,
    level_ok: str = "info",
    level_failed: str = "error",
    tail: int = 0,
) -> Report:
    """Run a command with the streams of this call, then tell how it ended over the named channels, or the first usual one.

    A signal that arrives here is passed on to it. The report carries its exit code, 128 plus the number for a signal; a
    message that could not be sent is only a problem. Raises UsageError for an unknown level, before anything is run.
    """
    levels = level_named(level_failed), level_named(level_ok)
    ended = _run(command, tail)
    if not ended.started:
        # As a shell would: the command itself could say nothing.
        ctx.say(f"scq: {_name(command)} {ended.what}")
    told: list[Outcome] = []
    if ended.code or not on_failure:
        name = _name(command)
        subject = title or f"{name} {'failed' if ended.code else 'finished'}"
        try:
            told = tell(ctx, _text(name, ended), title=subject, channels=channels, level=levels[not ended.code], event="exec")
        except OSError as error:
            told = [Outcome("channels", "", False, clean.line(str(error)), "transient")]
    data = {
        "command": list(command),
        "exit_code": ended.code,
        "ended": ended.what,
        "duration_s": round(ended.seconds, 3),
        "messages": [as_dict(outcome) for outcome in told],
    }
    lost = [outcome for outcome in told if not outcome.ok]
    if told and exit_code(told, one_is_enough=not channels):
        ctx.say("scq: the command ended, but not everybody could be told")
    return Report("exec", data, (), (*ctx.problems, *map(as_problem, lost)), ended.code)


def _name(command: Sequence[str]) -> str:
    """What is run, without arguments: they may hold secrets. A script behind its interpreter is named as well."""
    script = command[1:2] if len(command) > 1 and os.path.isfile(command[1]) else []
    return clean.line(" ".join(map(os.path.basename, (command[0], *script))), 80)


def _text(name: str, ended: Ended) -> str:
    lines = [f"{name} {ended.what} after {duration_text(ended.seconds)} on {host()}."]
    return "\n".join([*lines, *(("", "Last lines of its error output:", ended.tail) if ended.tail else ())])


def _run(command: Sequence[str], tail: int) -> Ended:
    from subprocess import PIPE, Popen

    begun = time.monotonic()
    # Also with one stream redirected: `ls | scq exec less` reads its keys from the terminal.
    at_terminal = any(map(os.isatty, (0, 1, 2)))
    with _passing_on(at_terminal) as passing:
        try:
            # At a terminal it stays in the foreground group: it may read, and keys such as Ctrl-C reach it without help.
            child = Popen(list(command), process_group=None if at_terminal else 0, stderr=PIPE if tail else None)
        except FileNotFoundError:
            return Ended(NOT_FOUND, "was not found", time.monotonic() - begun, started=False)
        except OSError as error:
            what = f"could not be started ({error.strerror})"
            return Ended(NOT_STARTED, what, time.monotonic() - begun, started=False)
        with child:
            passing.begin(child)
            last = _last_lines(child, tail) if tail else ""
            code = child.wait()
    seconds = time.monotonic() - begun
    if code < 0:
        return Ended(128 - code, f"was ended by {_signal_name(-code)}", seconds, last)
    return Ended(code, f"failed with exit code {code}" if code else "finished", seconds, last)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have numbers only
        return f"signal {number}"


class _Passing:
    """Passes signals on to the command; one that comes before it was started is kept until then."""

    def __init__(self, at_terminal: bool) -> None:
        self.at_terminal = at_terminal
        self._child: Popen[bytes] | None = None
        self._early: list[int] = []

    def begin(self, child: Popen[bytes]) -> None:
        self._child = child
        while self._early:
            self._send(child, self._early.pop(0))

    def came(self, number: int, frame: FrameType | None) -> None:
        if self._child is None:
            self._early.append(number)
        else:
            self._send(self._child, number)

    def _send(self, child: Popen[bytes], number: int) -> None:
        if self.at_terminal:
            # The terminal has sent what its keys mean to the whole group already.
            if number not in (signal.SIGINT, signal.SIGQUIT):
                child.send_signal(number)
        elif child.returncode is None:
            try:
                os.killpg(child.pid, number)
            except ProcessLookupError:
                return  # it has just ended


@contextmanager
def _passing_on(at_terminal: bool) -> Iterator[_Passing]:
    passing = _Passing(at_terminal)
    # What this call was told to ignore (nohup) the command ignores too.
    caught = [number for number in PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, passing.came) for number in caught}
    try:
        yield passing
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _last_lines(child: Popen[bytes], count: int) -> str:
    """Show error output as it comes and return its last lines, cleaned. Ends with the command even if others hold the pipe."""
    import select

    if child.stderr is None:
        return ""
    fd, kept = child.stderr.fileno(), bytearray()
    while True:
        ready, _, _ = select.select([fd], [], [], LINGER_S)
        if not ready and child.poll() is not None:
            break
        piece = os.read(fd, 1 << 16) if ready else b""
        if ready and not piece:
            break
        _show(piece)
        kept += piece
        if len(kept) > 2 * TAIL_BYTES:
            del kept[:-TAIL_BYTES]
    lines = clean.block(kept.decode("utf-8", "replace")).strip().splitlines()
    return "\n".join(lines[-count:])


def _show(piece: bytes) -> None:
    """Pass error output on, as bytes where standard error is a real stream."""
    stream = getattr(sys.stderr, "buffer", None)
    try:
        if stream is None:
            sys.stderr.write(piece.decode("utf-8", "replace"))
        else:
            stream.write(piece)
        sys.stderr.flush()
    except OSError:
        # Nobody reads it any more. The command goes on, and how it ends is still told.
        return
