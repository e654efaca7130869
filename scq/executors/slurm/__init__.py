"""Jobs on a Slurm cluster, through its own commands and a folder that every node sees. Nothing of scq stays resident.

That a run happens once rests on files alone: a node begins it by making `started`, and a call that gives it up makes that file
first. What Slurm says only tells whether a job can still come, and why it ended.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from scq.config_values import Slurm
from scq.errors import BusyError, InvalidFileError, ScqError, UsageError
from scq.executors import rundir
from scq.executors.slurm import endings, notes
from scq.executors.slurm.checks import check
from scq.executors.slurm.commands import Commands
from scq.executors.slurm.notes import Note
from scq.executors.slurm.queue import Queue, ask
from scq.executors.slurm.submitting import Submitted, controller_trouble, stopped_before, submit
from scq.model import Problem, Whereabouts
from scq.ports import Ending, Task

DEFAULTS = Slurm()
MOST_REFUSED = 3
"""The same refusal so many times in a row is not about single jobs: the rest is left for a later call."""
ALREADY_OVER = "already completing or completed"
MEND = "Nothing is lost: mend it and call again."
USUAL = "the usual place"
LATER = "It is noted: the next call that reaches the cluster ends it."


class SlurmExecutor:
    """Hands runs to the cluster; a later call takes over how they ended. One object asks for the queue at most once.

    `trouble` is one sentence when the last `run` could not go on, else empty.
    """

    name = "slurm"
    remote = True

    def __init__(self, setting: Slurm = DEFAULTS) -> None:
        self.setting = setting
        self.trouble = ""
        self._commands = Commands(setting)
        self._asked: Queue | BusyError | None = None
        self._stopped: set[str] = set()
        self._away = ""

    def check(self) -> Sequence[Problem]:
        """What keeps every job from being taken: the shared folder, Slurm's commands. Nothing is asked of the cluster."""
        return check(self.setting, self._commands)

    def run(self, tasks: Iterator[Task], limit: int, ended: Callable[[Task, Ending | ScqError], None]) -> None:
        """Submit at most `limit` tasks. A task is taken from the iterator only when the one before is done with.

        Stops early, and says why in `trouble`, when the cluster does not answer or keeps refusing for the same reason. Raises
        ValueError for a directory that was used before, ConfigError where a command is missing.
        """
        self.trouble = self._away or (controller_trouble(self._commands) if limit > 0 else "")
        handed = refused = 0
        last = ""
        while not self.trouble and handed < limit and (task := next(tasks, None)) is not None:
            self._asked = None
            done = submit(self.setting, self._commands, task)
            if isinstance(done, Submitted):
                handed, refused, self.trouble = handed + 1, 0, done.trouble
                continue
            if isinstance(done, Ending):
                ended(task, done)
                continue
            refused = refused + 1 if str(done) == last else 1
            last = str(done)
            ended(task, done)
            if refused == MOST_REFUSED:
                self.trouble = last

    def outcome(self, directory: str) -> Ending | bool | None:
        """What became of a run of an earlier call: its ending, None while it is alive or may be, False when it never began.

        After False nothing of it will ever run. Raises BusyError when the cluster does not answer, or there is no room for what
        the run left.
        """
        try:
            return self._outcome(directory)
        except OSError as error:
            what = f"{error.filename or directory}: {error.strerror}"
            raise BusyError(f"a run on the cluster cannot be taken over: {what}", MEND) from error
        except InvalidFileError as error:
            raise BusyError(str(error), error.advice) from error

    def _outcome(self, directory: str) -> Ending | bool | None:
        ending = notes.result_in(directory)
        if ending is None and rundir.is_locked(directory):
            return None
        note = notes.submission(directory)
        if ending is not None:
            if note is not None:
                self._need_shared(note)  # what the job made lies there
            return ending
        if note is None:
            # Nothing was submitted, or it was revoked. One that was to be stopped must not be submitted after all.
            return stopped_before(directory) if notes.is_noted(directory, notes.STOP) else False
        queue = self._queue()
        if not note.id and queue.state(note.tag) == endings.GONE:
            # A call was killed during sbatch, which may have ended after the queue was asked for.
            self._asked = None
            queue = self._queue()
        return self._settle(directory, note, queue)

    def began(self, directory: str) -> bool:
        """Whether the job itself was ever about to be started on a node, as far as can be seen from here."""
        if rundir.was_started(directory):
            return True
        note = notes.read_note(directory)
        if note is None:
            return False
        try:
            return notes.begun(note.control) or not notes.is_there(note.control)
        except OSError:
            return True

    def logs(self, directory: str) -> str:
        """The control folder while the run is out, the directory itself once its ending, and so its whole logs, lie there."""
        if notes.is_noted(directory, rundir.RESULT):
            return directory
        note = notes.read_note(directory)
        return directory if note is None else note.control

    def whereabouts(self, directories: Sequence[str]) -> Mapping[str, Whereabouts]:
        """Where runs are now, by directory; those that were never submitted are left out. Asks the cluster once, never raises."""
        found: dict[str, Whereabouts] = {}
        out: dict[str, Note] = {}
        for directory in directories:
            note = notes.read_note(directory)
            if notes.is_noted(directory, rundir.RESULT):
                found[directory] = Whereabouts("ending")
            elif note is not None:
                out[directory] = note
            elif rundir.is_locked(directory):
                found[directory] = Whereabouts("waiting", why="being handed over")
        if not out:
            return found
        try:
            queue = self._queue()
        except ScqError as error:
            return found | {directory: _silent(note, str(error)) for directory, note in out.items()}
        return found | {directory: _place(directory, note, queue) for directory, note in out.items()}

    def stop(self, directory: str) -> None:
        """Have a run ended. That it is wanted is noted first, so a later `outcome` does it where this call cannot.

        Raises BusyError when it could only be noted, UsageError for a directory that is not there.
        """
        if not os.path.isdir(directory):
            raise UsageError(f"{os.path.basename(directory)}: there is no such run", "See scq list.")
        note = notes.read_note(directory)
        left = None if note is None else rundir.read_result(note.control)
        if notes.is_noted(directory, rundir.RESULT) or (left is not None and left.cause != "interrupted"):
            return  # it ended by itself: what is noted from here on was wanted while it had not
        try:
            notes.remember(directory, notes.STOP)
        except OSError as error:
            raise BusyError(f"{error.filename}: {error.strerror}", "Make room there and call again.") from error
        if rundir.is_locked(directory):
            raise BusyError(f"{os.path.basename(directory)}: is being handed to the cluster right now", LATER)
        note = notes.read_note(directory)
        if note is not None:
            self._cancel(note)
            self._asked = None

    def _queue(self) -> Queue:
        """The queue, asked for once; so is one that does not answer."""
        if self._asked is None:
            try:
                self._asked = ask(self._commands, self.setting)
            except BusyError as error:
                self._asked = error
        if isinstance(self._asked, BusyError):
            raise self._asked
        return self._asked

    def _settle(self, directory: str, note: Note, queue: Queue) -> Ending | bool | None:
        """The queue is older than every file that is read here: what it says is over has written all it ever will."""
        state = queue.state(note.tag) or endings.recalled(notes.last_words(note.control))
        stopped = notes.is_noted(directory, notes.STOP)
        notes.is_there(note.control)  # a young file is seen once its folder was opened anew
        left = notes.result_in(note.control)
        if left is not None and not (left.cause == "interrupted" and endings.alive(state) and not stopped):
            ending = endings.refined(left, state, stopped=stopped)
            return notes.take_home(directory, note, replace(ending, node=ending.node or notes.node_of(note.control)))
        if endings.alive(state):
            notes.forget(directory, notes.MISSING)
            if stopped:
                self._cancel(note)
            return None
        if queue.at <= note.at <= _now().timestamp():
            return None  # submitted after the queue was asked for
        self._need_shared(note)
        self._need_cluster(note)
        if notes.missing_for(directory) < self.setting.file_delay:
            return None
        return _give_up(directory, note, state, stopped)

    def _need_shared(self, note: Note) -> None:
        """Raise BusyError when the shared folder is not there; nothing is submitted then either."""
        if notes.is_away(note):
            folder = os.path.dirname(note.control)
            what = f"{folder}: is not there, or not the one it was"
            if folder == os.path.normpath(self.setting.shared_dir):
                self._away = what
            raise BusyError(what, "Nothing is lost: mount the shared folder and call again.")

    def _need_cluster(self, note: Note) -> None:
        """Raise BusyError when it may be another cluster that does not know a run."""
        conf = self._commands.environment().get("SLURM_CONF", "")
        if note.conf is None or note.conf == conf or (note.conf and not os.path.isfile(note.conf)):
            return
        what = f"{note.tag} is not known to the cluster of {conf or USUAL}, and was handed to that of {note.conf or USUAL}"
        raise BusyError(what, "Nothing is lost: set executor.slurm.conf or SLURM_CONF as it was and call again.")

    def _cancel(self, note: Note) -> None:
        """Raises BusyError when the cluster does not do it."""
        if note.tag in self._stopped:
            return
        if isinstance(self._asked, BusyError):
            raise self._asked
        try:
            said = self._commands.run("scancel", [f"--name={note.tag}", *_own()])
        except BusyError as error:
            self._asked = error  # the next one would wait as long
            raise
        if said.code != 0 and ALREADY_OVER not in said.err:
            raise BusyError(f"the cluster did not cancel the job (scancel: {said.sentence})", LATER)
        self._stopped.add(note.tag)


def _give_up(directory: str, note: Note, state: str, stopped: bool) -> Ending | bool | None:
    """A run that left no result and that the cluster does not have any more."""
    decided = notes.revocation(note.control)
    began = not notes.is_there(note.control) or notes.begun(note.control)
    cause = endings.without_result(state, began=began, stopped=stopped)
    ending = None
    if cause is not None:
        detail = notes.last_words(note.control) if cause == "start" else ""
        ending = _ending(cause, _now(), detail or endings.sentence(cause, stopped=stopped))
        ending = replace(ending, node=notes.node_of(note.control))
    if began and ending is not None:
        started = rundir.read_started(note.control)
        since = _iso(note.at) if started is None else started.started_at
        return notes.take_home(directory, note, replace(ending, started_at=since))
    if decided is False and not notes.revoke(note.control, ending):
        return None  # it began after all, just now
    if decided is not False:
        ending = decided if isinstance(decided, Ending) else None
    if ending is not None:
        return notes.take_home(directory, note, ending)
    notes.forget(directory, notes.NOTE)
    return False


def _own() -> list[str]:
    """Only jobs of this account: others may choose the same name. Without an account nobody else's can be cancelled."""
    uid = os.getuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return []
    return [f"--user={uid}"]


def _place(directory: str, note: Note, queue: Queue) -> Whereabouts:
    row = queue.jobs.get(note.tag)
    if notes.is_noted(note.control, rundir.RESULT):
        return Whereabouts("ending", note.id, node=notes.node_of(note.control))
    if row is not None:
        return queue.whereabouts(row)
    if rundir.is_locked(directory) or note.at >= queue.at:
        return Whereabouts("waiting", note.id, why="being handed over")
    return Whereabouts("unknown", note.id, why="the cluster does not know it")


def _silent(note: Note, why: str) -> Whereabouts:
    if notes.is_noted(note.control, rundir.RESULT):
        return Whereabouts("ending", note.id, node=notes.node_of(note.control))
    return Whereabouts("unknown", note.id, why=why)


def _ending(cause: str, now: datetime, detail: str) -> Ending:
    return Ending(None, cause, now.isoformat(), now.isoformat(), detail=detail)


def _now() -> datetime:
    return datetime.now(UTC)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
