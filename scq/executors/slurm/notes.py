"""What the run folder at home says about a submission, and settling a run in the control folder of the cluster.

At home: `submitted.json` is written before sbatch is called and removed when nothing of it can begin any more, `stop` is written
before scancel, `missing` when the cluster was first seen not to know a run that left no result. In the control folder `started`
is made once, by the node that begins the run or by the call that revokes it: whoever comes second does nothing.

A disk that does not answer decides nothing: what is asked of the shared folder here raises OSError unless it is certain.
"""

from __future__ import annotations

import os
import time

import msgspec
from msgspec import Struct

from scq import clean
from scq.errors import InvalidFileError
from scq.executors import rundir
from scq.executors.slurm.order import NODE, OUTPUT, REVOKED
from scq.files import open_regular, read_bytes, remove_file, sync_folder, write_atomic
from scq.ports import Ending

NOTE, STOP, MISSING = "submitted.json", "stop", "missing"
SMALL = 1 << 14
TAIL = 4096
NODE_LIMIT = 64
DETAIL_LIMIT = 300
CHUNK = 1 << 20
LOG_MARGIN = 1 << 16
"""A log may be larger than its limit by the lines that scq itself writes into it."""


class Note(Struct, frozen=True):
    """A submission. `at` is epoch seconds, `id` empty until sbatch has told it, `control` absolute.

    `shared` is the inode number of the shared folder, by which what lies in its place while it is not mounted is told from it;
    `conf` where Slurm's commands found their configuration (empty: its usual place). None: not known.
    """

    tag: str
    control: str
    at: float
    log_limit: int
    id: str = ""
    shared: int | None = None
    conf: str | None = None


def write_note(directory: str, note: Note) -> None:
    """Remember a submission durably. Raises OSError."""
    write_atomic(os.path.join(directory, NOTE), msgspec.json.encode(note))


def read_note(directory: str) -> Note | None:
    """The submission of a run, for people; None when there was none or it cannot be read."""
    try:
        return submission(directory)
    except (OSError, InvalidFileError):
        return None


def submission(directory: str) -> Note | None:
    """The submission of a run; None when there was none for certain. Raises OSError and InvalidFileError."""
    path = os.path.join(directory, NOTE)
    content = content_of(path, SMALL)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=Note)
    except (msgspec.DecodeError, ValueError) as error:
        advice = "It tells whether the job is on the cluster: put it back from a backup."
        raise InvalidFileError(f"{path}: cannot be understood", advice) from error


def content_of(path: str, limit: int) -> bytes | None:
    """Content of a small file: None when there is none, empty for anything but a file. Raises OSError when unsure."""
    try:
        return read_bytes(path, limit)
    except InvalidFileError as error:
        why = error.__cause__
        if isinstance(why, (FileNotFoundError, NotADirectoryError)):
            return None
        if isinstance(why, OSError):
            raise OSError(why.errno, why.strerror, path) from error
        return b""


def result_in(folder: str) -> Ending | None:
    """How a run ended, as the file in a folder says; None when it says nothing. Raises OSError when that cannot be told."""
    try:
        return msgspec.json.decode(content_of(os.path.join(folder, rundir.RESULT), rundir.RECORD_LIMIT) or b"", type=Ending)
    except (msgspec.DecodeError, ValueError):
        return None


def is_noted(directory: str, name: str) -> bool:
    """Whether a file is there."""
    return os.path.lexists(os.path.join(directory, name))


def remember(directory: str, name: str, content: bytes = b"") -> None:
    """Write one of the small notes durably. Raises OSError."""
    write_atomic(os.path.join(directory, name), content)


def forget(directory: str, name: str) -> None:
    """Remove one of the small notes durably, if it is there. Raises OSError."""
    if is_noted(directory, name):
        remove_file(os.path.join(directory, name))
        sync_folder(directory)


def missing_for(directory: str) -> float:
    """Seconds since a run was first found to be missing; noted now if it was not."""
    now = time.time()
    try:
        since = float(read_bytes(os.path.join(directory, MISSING), SMALL))
    except (InvalidFileError, ValueError):
        since = now + 1.0
    if not 0.0 <= since <= now:  # not noted, or the clock was set back
        remember(directory, MISSING, repr(now).encode())
        since = now
    return now - since


def is_there(control: str) -> bool:
    """Whether a control folder is there. What a disk of the network remembers of it is asked for anew, as it is opened."""
    try:
        os.close(os.open(control, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
    except FileNotFoundError:
        return False
    return True


def is_away(note: Note) -> bool:
    """Whether the shared folder is not the one that it was, as where it is not mounted, or seems not to be it."""
    if is_there(note.control):
        return False
    folder = os.path.dirname(note.control)
    try:
        return not os.listdir(folder) if note.shared is None else os.stat(folder).st_ino != note.shared
    except FileNotFoundError:
        return True


def begun(control: str) -> bool:
    """Whether a run began on a node: its `started` is there, and no call of ours made it."""
    return content_of(os.path.join(control, rundir.STARTED), rundir.RECORD_LIMIT) is not None and revocation(control) is False


def revocation(control: str) -> Ending | bool | None:
    """What a call that revoked a run decided: its ending, None for none; False when it was not revoked."""
    content = content_of(os.path.join(control, rundir.STARTED), rundir.RECORD_LIMIT)
    if content is None or not content.startswith(REVOKED):
        return False
    try:
        return msgspec.json.decode(content[len(REVOKED) :], type=Ending)
    except (msgspec.DecodeError, ValueError):
        return None


def revoke(control: str, ending: Ending | None) -> bool:
    """See to it that a run can never begin; False when it began before. Raises OSError.

    What becomes of it stands in the same file, for a call that is killed right after this. Without the folder a node does
    nothing either.
    """
    path = os.path.join(control, rundir.STARTED)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
    except FileExistsError:
        return revocation(control) is not False
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(REVOKED + (b"" if ending is None else msgspec.json.encode(ending)))
            file.flush()
            os.fsync(fd)
    except OSError:
        # No room for it: a file without content would say that the run began.
        remove_file(path)
        raise
    sync_folder(control)
    return True


def node_of(control: str) -> str:
    """The node that took the run, as it said itself; empty when none did."""
    return clean.line(_small_text(os.path.join(control, NODE)), NODE_LIMIT)


def last_words(control: str) -> str:
    """The last line that Slurm or the node wrote about the start of a run, clean; empty when there is none."""
    try:
        fd = open_regular(os.path.join(control, OUTPUT))
    except InvalidFileError:
        return ""
    with os.fdopen(fd, "rb") as file:
        file.seek(max(0, os.fstat(fd).st_size - TAIL))
        text = file.read(TAIL).decode("utf-8", "replace")
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    return clean.line(lines[-1], DETAIL_LIMIT) if lines else ""


def take_home(directory: str, note: Note, ending: Ending) -> Ending:
    """Copy what a run left in its control folder, its ending last. Raises OSError. Idempotent."""
    for name, limit in (
        (rundir.STDOUT, note.log_limit + LOG_MARGIN),
        (rundir.STDERR, note.log_limit + LOG_MARGIN),
        (rundir.STARTED, rundir.RECORD_LIMIT),
    ):
        if name != rundir.STARTED or begun(note.control):
            _copy(note.control, directory, name, limit)
    rundir.write_result(directory, ending)
    return ending


def _copy(source: str, target: str, name: str, limit: int) -> None:
    """Copy a regular file byte for byte, at most `limit` of them; one that is not there is left out."""
    try:
        fd = open_regular(os.path.join(source, name))
    except InvalidFileError:
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(fd, "rb") as file, os.fdopen(os.open(os.path.join(target, name), flags, 0o600), "wb") as copy:
        while limit > 0 and (data := file.read(min(CHUNK, limit))):
            copy.write(data)
            limit -= len(data)
        copy.flush()
        os.fsync(copy.fileno())


def _small_text(path: str) -> str:
    try:
        return read_bytes(path, SMALL).decode("utf-8", "replace").strip()
    except InvalidFileError:
        return ""
