"""The private folder of one run, as supervisor and later calls share it.

`lock` is held (flock) for as long as the supervisor lives; `started` is written before the job is spawned; `result.json`
is the last thing written. So: no `started` means that nothing was spawned, and a free lock without `result.json` means that
the supervisor died.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

import msgspec
from msgspec import Struct

from scq.errors import BusyError, InvalidFileError
from scq.files import read_bytes, sync_folder, write_atomic
from scq.ports import Ending

LOCK, STARTED, RESULT = "lock", "started", "result.json"
STDOUT, STDERR = "stdout.txt", "stderr.txt"
RECORD_LIMIT = 1 << 16
LOCK_PATIENCE_S = 1.0


class Started(Struct, frozen=True):
    """What must be known to find the processes of a run again: `pid` is the supervisor, `session` that of the job.

    `boot` and `ticks` (start time of the supervisor, clock ticks since boot) tell a process number that was used again.
    """

    started_at: str
    pid: int
    session: int
    boot: str
    ticks: int
    cwd: str


def acquire_lock(directory: str) -> int:
    """Take the lock of a run and return its descriptor, which exec closes. Raises BusyError when another process lives there.

    Somebody who only asks whether the lock is free holds it for an instant, so a short wait is normal.
    """
    fd = os.open(os.path.join(directory, LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    give_up = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                os.close(fd)
                raise BusyError(f"{directory}: another process runs this job") from None
            time.sleep(0.005)
        else:
            return fd


def is_locked(directory: str) -> bool:
    """True while the supervisor of a run lives."""
    try:
        fd = os.open(os.path.join(directory, LOCK), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def was_started(directory: str) -> bool:
    """True when the supervisor came as far as spawning the job."""
    return os.path.lexists(os.path.join(directory, STARTED))


def write_started(directory: str, started: Started) -> None:
    """Remember durably that the job is about to be spawned. Raises FileExistsError when that was said before.

    Its being there is what counts, so it is made under its final name: half a record is as good as none.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(os.path.join(directory, STARTED), flags, 0o600), "wb") as file:
        file.write(msgspec.json.encode(started))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(directory)


def read_started(directory: str) -> Started | None:
    """What `write_started` remembered; None when it is not there or unusable."""
    try:
        return msgspec.json.decode(read_bytes(os.path.join(directory, STARTED), RECORD_LIMIT), type=Started)
    except (InvalidFileError, ValueError):  # msgspec raises UnicodeDecodeError for text that is none
        return None


def write_result(directory: str, ending: Ending) -> None:
    """Write the end of a run durably; the logs must be complete by now."""
    write_atomic(os.path.join(directory, RESULT), msgspec.json.encode(ending))


def read_result(directory: str) -> Ending | None:
    """How a run ended; None when that was never written or is unusable."""
    try:
        return msgspec.json.decode(read_bytes(os.path.join(directory, RESULT), RECORD_LIMIT), type=Ending)
    except (InvalidFileError, ValueError):  # msgspec raises UnicodeDecodeError for text that is none
        return None
