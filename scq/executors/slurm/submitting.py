"""Handing one run to the cluster so that a call killed anywhere leaves enough behind for the next one.

The lock of the run folder is held from before the first note until sbatch itself has ended, also when this process is killed.
"""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from scq.config_values import Slurm
from scq.errors import BusyError, ConfigError, InvalidFileError, ScqError
from scq.executors import rundir
from scq.executors.slurm import notes, options
from scq.executors.slurm.commands import Commands, Said
from scq.executors.slurm.endings import STOPPED
from scq.executors.slurm.notes import NOTE, Note
from scq.executors.slurm.order import ORDER, batch_script, control_of, write_order
from scq.executors.slurm.queue import TAG
from scq.executors.slurm.refusals import refusal
from scq.files import remove_file, remove_tree, sync_folder
from scq.ports import Ending, Task

_ID = re.compile(r"([0-9]{1,10})(?:;[\w.-]{1,64})?", re.ASCII)


class Submitted(Struct, frozen=True):
    """A run that is on the cluster, or may be: then `trouble` says in one sentence why that is not known."""

    trouble: str = ""


def controller_trouble(commands: Commands) -> str:
    """Why nothing can be submitted now, in one sentence; empty when the controller answers. Raises ConfigError."""
    try:
        said = commands.run("scontrol", ["ping"])
    except BusyError as error:
        return str(error)
    # A controller that stands by for another one answers as well.
    if said.code == 0 and re.search(r"\bUP\b", said.out):
        return ""
    return f"the cluster does not answer (scontrol ping: {said.sentence or 'no controller is up'})"


def submit(setting: Slurm, commands: Commands, task: Task) -> Submitted | Ending | ScqError:
    """Submit one run; the error when nothing of it will ever run, its ending when it was to be stopped before it was submitted.

    Raises ValueError for a directory that was used before.
    """
    if notes.is_noted(task.directory, NOTE) or rundir.was_started(task.directory):
        raise ValueError(f"{task.directory}: a run directory is used once")
    scratch = os.path.dirname(task.work)
    tag, control = os.path.basename(scratch), control_of(scratch)
    if task.entrance is None or TAG.fullmatch(tag) is None:
        raise ValueError(f"{task.directory}: is not prepared for a run elsewhere")
    lock = rundir.acquire_lock(task.directory)
    try:
        try:
            note = _note(commands, task, tag, control)
            sha256 = _prepare(_equipped(setting, task), note)
        except (OSError, InvalidFileError) as error:
            _withdraw(task.directory, control)
            return _unwritten(error)
        if notes.is_noted(task.directory, notes.STOP):
            _withdraw(task.directory, control)
            return stopped_before(task.directory)
        script = batch_script(setting.python or sys.executable, control, sha256)
        try:
            said = commands.run("sbatch", options.words(setting, task, tag, control), script=script, keep=[lock])
        except BusyError as error:
            return Submitted(str(error))
        except ConfigError as error:
            _withdraw(task.directory, control)
            return error
        return _answered(task.directory, note, said)
    finally:
        os.close(lock)


def _equipped(setting: Slurm, task: Task) -> Task:
    """The task with the devices that its box may show where it is placed."""
    devices = options.placed(setting, task.traits).devices
    return task if task.entrance is None else replace(task, entrance=replace(task.entrance, devices=devices))


def _note(commands: Commands, task: Task, tag: str, control: str) -> Note:
    shared = os.stat(os.path.dirname(control)).st_ino
    return Note(tag, control, time.time(), task.log_limit, shared=shared, conf=commands.environment().get("SLURM_CONF", ""))


def _prepare(task: Task, note: Note) -> str:
    """The order and the note, in this order: with the note a later call takes the run for submitted."""
    os.mkdir(note.control, 0o700)
    sync_folder(os.path.dirname(note.control))
    sha256 = write_order(note.control, task)
    notes.write_note(task.directory, note)
    return sha256


def _answered(directory: str, note: Note, said: Said) -> Submitted | ScqError:
    if said.code != 0:
        refused = refusal(said.sentence)
        if refused is not None:
            _withdraw(directory, note.control)
            return refused
        return Submitted(f"the cluster may not have taken a job (sbatch: {said.sentence or f'exit code {said.code}'})")
    told = _ID.fullmatch(said.out.strip())
    if told is not None:
        try:
            # From now on a queue that was asked for earlier need not hold it.
            notes.write_note(directory, replace(note, id=told[1], at=time.time()))
        except OSError as error:
            # Its tag finds it as well.
            return Submitted(f"{directory}: {error.strerror}")
    return Submitted()


def stopped_before(directory: str) -> Ending:
    """The ending of a run that was to be stopped before it was submitted, written down."""
    at = datetime.now(UTC).isoformat()
    ending = Ending(None, "cancelled", at, at, detail=STOPPED)
    rundir.write_result(directory, ending)
    return ending


def _withdraw(directory: str, control: str) -> None:
    """Nothing was taken: what could start it goes first, so that a ghost would find nothing."""
    with suppress(OSError):  # a folder that cannot be changed now goes with the run; nothing points to it any more
        remove_file(os.path.join(control, ORDER))
        remove_tree(control)
    remove_file(os.path.join(directory, NOTE))


def _unwritten(error: OSError | InvalidFileError) -> ScqError:
    if isinstance(error, InvalidFileError):
        return error
    what = f"{error.filename}: {error.strerror}"
    return BusyError(f"the job cannot be written for the cluster: {what}", "Make room there; the next call tries it again.")
