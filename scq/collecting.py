"""Taking the results of a run out of its work folder: regular files only, nothing followed, within limits."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from scq.context import Context
from scq.errors import InvalidFileError
from scq.files import make_folder, read_bytes, remove_tree, walk, write_atomic
from scq.formats import is_utf8
from scq.model import Sighting
from scq.planning import shape
from scq.ports import Plan
from scq.sandbox.scratch import remove_scratch, scratch_of

PLAN = "plan.json"
"""File in the run folder that says what the run was given."""
NOTE = "collected"
NOTE_LIMIT = 1 << 22
BLOCK = 1 << 18
MOST_NAMED = 100
"""Files left out that are named one by one."""
TOO_MUCH = "more than"


class Limits(Struct, frozen=True):
    """Largest result that is taken over: number of files, bytes in total."""

    files: int
    bytes: int


class Collected(Struct, frozen=True):
    """What was taken over and what was left, each with the reason."""

    files: tuple[str, ...]
    left: tuple[str, ...]
    exceeded: str = ""
    """The limit that kept something from being taken over; empty when none did."""


def take_over(ctx: Context, sighting: Sighting, folder: str) -> Collected:
    """Take the results of an ended run (`folder` is its directory) out of its work folder, which is removed then.

    That happens once: a repeated call finds the note that says what was taken.
    """
    note = os.path.join(folder, NOTE)
    if os.path.exists(note):
        found = msgspec.json.decode(read_bytes(note, NOTE_LIMIT), type=Collected)
    else:
        work = os.path.join(scratch_of(folder), "work")
        found = collect(work, shape(sighting).outputs, os.path.join(folder, "outputs"), _room(ctx, folder))
        # Without the names of the files: there may be many, and they lie in their folder.
        write_atomic(note, msgspec.json.encode(replace(found, files=())), sync=False)
    return replace(found, left=(*found.left, *_tidy(folder)))


def _room(ctx: Context, folder: str) -> Limits:
    """How much may be taken: what the run was given, which may be less than what is configured."""
    config = ctx.config
    try:
        given = msgspec.json.decode(read_bytes(os.path.join(folder, PLAN), NOTE_LIMIT), type=Plan).limits
    except (InvalidFileError, msgspec.DecodeError):  # a run of an earlier scq, or its plan was not written yet
        return Limits(config.output_files, config.output_bytes)
    return Limits(given.output_files or config.output_files, given.output_bytes or config.output_bytes)


def _tidy(folder: str) -> tuple[str, ...]:
    """Remove what the run was given, once its results are taken over; what could not be removed, which `cleanup` tries again."""
    from scq.preparing import tidy

    try:
        remove_scratch(folder)
        remove_tree(os.path.join(folder, "work"))
        tidy(folder)
    except OSError as error:
        return (f"its work folder is still there: {error.filename} ({error.strerror})",)
    return ()


def collect(work: str, folders: tuple[str, ...], target: str, limits: Limits) -> Collected:
    """Copy the result files of `folders` (below `work`) into the new folder `target`.

    Links, special files, unreadable files and names that are not UTF-8 are left out; set-id bits are not taken over. The
    first folder wins when two hold the same name. Safe to repeat: a half-made target is made anew.
    """
    temporary = target + ".tmp"
    remove_tree(temporary)
    make_folder(temporary, 0o700)
    files: list[str] = []
    left: list[str] = []
    exceeded = ""
    room = limits.bytes
    for folder in folders:
        if not _is_inside(work, folder):
            continue
        base = os.path.join(work, folder)
        for path, found in _entries(base, limits, left):
            reason = _refusal(path, found, files, room, limits)
            exceeded = exceeded or (reason if reason is not None and reason.startswith(TOO_MUCH) else "")
            if reason is None and not stat.S_ISDIR(found.st_mode):
                reason = _copy(base, path, os.path.join(temporary, path))
                if reason is None:
                    files.append(path)
                    room -= found.st_size
            if reason:
                left.append(f"{ascii(path)[1:-1] if not path.isprintable() else path}: {reason}")
    remove_tree(target)
    if files:
        os.rename(temporary, target)
    else:
        remove_tree(temporary)
    return Collected(tuple(sorted(files)), _shortened(left), exceeded)


def _shortened(left: list[str]) -> tuple[str, ...]:
    more = len(left) - MOST_NAMED
    return (*left[:MOST_NAMED], f"{more} more") if more > 0 else tuple(left)


def _entries(base: str, limits: Limits, left: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    try:
        yield from walk(base, 4 * limits.files + 1_000)
    except OSError as error:
        left.append(f"{os.path.basename(base)}: a folder cannot be listed ({error.strerror})")


def _is_inside(work: str, folder: str) -> bool:
    """False when the job replaced a folder on the way by a link or a file, or removed it. Raises OSError when nobody can tell."""
    path = work
    for name in folder.split("/"):
        path = os.path.join(path, name)
        try:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                return False
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def _refusal(path: str, found: os.stat_result, files: list[str], room: int, limits: Limits) -> str | None:
    if stat.S_ISDIR(found.st_mode):
        return None
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    if not is_utf8(path) or any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        return "its name is not plain text"
    if path.rsplit("/", 1)[-1] == "syft.pub.yaml":
        return "is a permission file"
    if path in files:
        return "another result has the same name"
    if len(files) >= limits.files:
        return f"{TOO_MUCH} {limits.files} files"
    if found.st_size > room:
        return f"{TOO_MUCH} {limits.bytes} bytes in total"
    return None


def _copy(base: str, path: str, target: str) -> str | None:
    try:
        source = os.open(os.path.join(base, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    with os.fdopen(source, "rb") as reader:
        make_folder(os.path.dirname(target), 0o755)
        mode = 0o755 if os.fstat(source).st_mode & stat.S_IXUSR else 0o644
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as writer:
            while block := reader.read(BLOCK):
                writer.write(block)
    return None
