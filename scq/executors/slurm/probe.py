"""One tiny job that `scq doctor` sends to see the cluster from a node: the asking here, the answering there.

What is asked and answered are files of a control folder like that of a run. The job has a deadline, so Slurm itself forgets one
that waits when nobody is left to take it back.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from scq import __version__
from scq.clean import line
from scq.config_values import Slurm
from scq.errors import BusyError, InvalidFileError, ScqError
from scq.executors.processes import STOP_SIGNALS
from scq.executors.slurm.commands import Commands
from scq.executors.slurm.options import common, placed
from scq.executors.slurm.order import ANSWER, OUTPUT, Answer, Probe, batch_script, control_of, write_order
from scq.executors.slurm.refusals import refusal
from scq.files import read_bytes, remove_tree, write_atomic
from scq.model import Problem
from scq.ports import Traits

TRIAL = "trial-"
"""Beginning of the name of a folder that is no run: what a killed call left is swept with others of its kind."""
PATIENCE_S = 60.0
PAUSE_S = 0.1
LOOK_EVERY_S = 1.0
"""Between two looks into the queue."""
BOUNDS = ("--time=1", "--mem=256M", "--deadline=now+15minutes")
ANSWER_LIMIT = 1 << 18
SAID_LIMIT = 300
AT_WORK = frozenset(("CONFIGURING", "COMPLETING", "RUNNING", "STOPPED", "SUSPENDED", "SIGNALING", "STAGE_OUT", "RESIZING"))
WAITING = frozenset(("PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"))
"""Words of squeue(1) for jobs that are not over."""


class Reply(Struct, frozen=True):
    """What came of a probe. Without an `answer`, `why` says what is known of the job, and `waits` that no node took it."""

    answer: Answer | None = None
    skew_s: float = 0.0
    """How far the clock of the node is ahead of ours."""
    why: str = ""
    waits: bool = False
    advice: str = ""
    """What to do about a job that Slurm refused, where that is known."""
    left: str = ""
    """Why the job could not be taken back; empty when it was."""


def answer(control: str, probe: Probe, problems: Sequence[Problem]) -> None:
    """On the node: write down what is seen from there. `problems` are those of the box. Raises OSError."""
    missing = [path for path in probe.paths if not os.path.exists(path)]
    missing += [name for name in probe.programs if shutil.which(name, path=probe.path) is None]
    found = Answer(
        node=os.environ.get("SLURMD_NODENAME") or os.uname().nodename,
        version=__version__,
        python=".".join(map(str, sys.version_info[:3])),
        at=datetime.now(UTC),
        uid=os.geteuid(),
        problems=tuple(problems),
        missing=tuple(missing),
    )
    write_atomic(os.path.join(control, ANSWER), msgspec.json.encode(found))


def ask(commands: Commands, setting: Slurm, probe: Probe, say: Callable[[str], None]) -> Reply:
    """Submit the job, wait for its answer and take everything back; `say` is told what it waits for.

    A stop signal takes its usual course once that is done. Raises OSError where the shared folder cannot be written, BusyError,
    ConfigError.
    """
    with _held_signals() as stopped:
        return _Inquiry(commands, setting, say, stopped).run(probe)


@contextmanager
def _held_signals() -> Iterator[list[int]]:
    """The stop signals that came, which take effect at the end. Only the main thread can hold them back."""
    came: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    before = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    for number in before:
        signal.signal(number, lambda got, _frame: came.append(got))
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


class _Inquiry:
    """One tiny job from its submission to its end."""

    def __init__(self, commands: Commands, setting: Slurm, say: Callable[[str], None], stopped: list[int]) -> None:
        self.commands = commands
        self.setting = setting
        self.say = say
        self.stopped = stopped
        self.tag = TRIAL + secrets.token_hex(8)
        self.control = control_of(os.path.join(setting.shared_dir, self.tag))
        self.sent = 0.0
        self.drift = 0.0
        """How far our clock is ahead of the stamps of the shared folder."""
        self.said = ""
        self.handed_over = False

    def run(self, probe: Probe) -> Reply:
        os.mkdir(self.control, 0o700)
        try:
            reply = self._submit(probe) or self._wait()
        finally:
            left = self._take_back()
        return msgspec.structs.replace(reply, left=left)

    def _submit(self, probe: Probe) -> Reply | None:
        """Hand the job over; what Slurm said when it did not take it."""
        self.sent = time.time()
        digest = write_order(self.control, probe)
        self.drift = self.sent - os.stat(os.path.join(self.control, "order.json")).st_mtime
        script = batch_script(self.setting.python or sys.executable, self.control, digest)
        words = (*common(placed(self.setting, Traits()), self.tag, self.control), *BOUNDS)
        self.handed_over = True  # a command that is given up may have come through
        said = self.commands.run("sbatch", words, script=script)
        if said.code == 0:
            return None
        known = refusal(said.sentence)
        return Reply(why=f"sbatch refused it: {said.sentence or said.code}", advice=known.advice if known is not None else "")

    def _wait(self) -> Reply:
        give_up = time.monotonic() + PATIENCE_S
        look_at, over_since = 0.0, None
        reply = Reply(why="nothing is known of it")
        while not self.stopped and (now := time.monotonic()) < give_up:
            found = self._answered()
            if found is not None:
                return found
            if now >= look_at:
                reply, over = self._looked_up()
                look_at = time.monotonic() + LOOK_EVERY_S
                over_since = (over_since or now) if over else None
                self._tell(reply.why)
            if over_since is not None and (self._output() or now - over_since >= self.setting.file_delay):
                break
            time.sleep(PAUSE_S)
        output = self._output()
        # An answer that came during the last look counts.
        return self._answered() or (msgspec.structs.replace(reply, why=f"{reply.why}: {output}") if output else reply)

    def _answered(self) -> Reply | None:
        """The answer, once it is there whole. Raises nothing: one that cannot be understood is a reply as well."""
        if ANSWER not in os.listdir(self.control):  # listing makes a network file system look again
            return None
        path = os.path.join(self.control, ANSWER)
        seen = time.time()
        try:
            stamped = os.stat(path).st_mtime
            found = msgspec.json.decode(read_bytes(path, ANSWER_LIMIT), type=Answer)
            at = found.at.timestamp() if found.at.tzinfo else None
        except (InvalidFileError, OSError, OverflowError, msgspec.DecodeError, RecursionError) as error:
            return Reply(why=f"its answer cannot be understood: {line(str(error), SAID_LIMIT)}")
        if at is None:
            return Reply(why="its answer cannot be understood: a time without a time zone")
        return Reply(found, skew_s=self._skew(at, stamped, seen))

    def _skew(self, at: float, stamped: float, seen: float) -> float:
        """How far the node's clock is ahead: against the stamps of the shared folder, where one server gives them to both; and
        whatever gives them, nothing was answered before it was sent or after it was seen."""
        by_stamps = at - stamped - self.drift
        outside = max(at - seen, 0.0) + min(at - self.sent, 0.0)
        return max(by_stamps, outside, key=abs)

    def _looked_up(self) -> tuple[Reply, bool]:
        """What Slurm says of the job now, and whether it is over."""
        words = ("--noheader", "--states=all", f"--name={self.tag}", f"--user={os.geteuid()}", "--format=%j|%T|%N|%r")
        try:
            said = self.commands.run("squeue", words)
        except BusyError as error:
            return Reply(why=str(error)), False
        if said.code != 0:
            return Reply(why=f"the cluster does not answer (squeue: {said.sentence or f'exit code {said.code}'})"), False
        rows = [row.split("|", 3) for row in said.out.splitlines() if row.startswith(f"{self.tag}|")]
        row = next((row for row in rows if len(row) == 4), None)
        if row is None:
            return Reply(why="the cluster does not know it any more"), True
        state, node, reason = (line(word, SAID_LIMIT) for word in row[1:])
        if state in WAITING:
            because = f" ({reason})" if reason not in ("", "None") else ""  # `None` until the scheduler has looked at it
            return Reply(why=f"it waits for a node{because}", waits=True), False
        if state in AT_WORK:
            return Reply(why=f"it runs on node {node}, and no answer was seen here"), False
        return Reply(why=f"it ended on node {node} as {state}" if node else f"it ended as {state}"), True

    def _tell(self, why: str) -> None:
        if why != self.said:
            self.said = why
            self.say(f"one tiny job on the cluster: {why}")

    def _output(self) -> str:
        """The last line the job or Slurm wrote about it."""
        try:
            return last_line(read_bytes(os.path.join(self.control, OUTPUT), ANSWER_LIMIT).decode("utf-8", "replace"))
        except InvalidFileError:  # not there yet, or nothing that a job of ours writes
            return ""

    def _take_back(self) -> str:
        """Cancel the job by its name, which nobody else uses, and remove its folder; what could not be done."""
        problem = self._cancel() if self.handed_over else ""
        remove_tree(self.control)
        return problem and f"{problem} (it ends by itself within 15 minutes, or: scancel --name={self.tag})"

    def _cancel(self) -> str:
        try:
            said = self.commands.run("scancel", ("--quiet", f"--name={self.tag}", f"--user={os.geteuid()}"))
        except ScqError as error:
            return str(error)
        return "" if said.code == 0 else said.sentence or f"scancel ended with {said.code}"


def last_line(said: str) -> str:
    """The last line with something in it, cleaned and cut."""
    lines = [row for row in said.splitlines() if row.strip()]
    return line(lines[-1], SAID_LIMIT) if lines else ""
