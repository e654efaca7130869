"""Files on disk: reading what strangers wrote without being fooled, and writing so that nobody ever sees half a file."""

from __future__ import annotations

import os
import stat
from _thread import get_native_id
from collections.abc import Iterator

from scq.errors import InvalidFileError

SMALL = 1 << 20
"""Cap for metadata files, bytes. The peers' own are below 100 kB; a log kept inside one may be larger."""


def open_regular(path: str) -> int:
    """Open a regular file for reading and return its descriptor.

    Never follows a link in the last component, never blocks on a FIFO, never opens a device. Raises InvalidFileError.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidFileError(f"{path}: cannot be opened ({error.strerror})", "Check that it is a readable file.") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidFileError(f"{path}: is not a regular file", "Replace it with a plain file.")
    return fd


def read_bytes(path: str, limit: int = SMALL) -> bytes:
    """Content of a regular file of at most `limit` bytes. Raises InvalidFileError."""
    fd = open_regular(path)
    with os.fdopen(fd, "rb") as file:
        if os.fstat(fd).st_size > limit:
            raise InvalidFileError(f"{path}: is larger than {limit} bytes", "Such a file is never read.")
        try:
            content = file.read(limit + 1)
        except OSError as error:
            raise InvalidFileError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > limit:
        raise InvalidFileError(f"{path}: is larger than {limit} bytes", "Such a file is never read.")
    return content


def read_text(path: str, limit: int = SMALL) -> str:
    """Content of a small UTF-8 text file. Raises InvalidFileError."""
    try:
        return read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidFileError(f"{path}: is not UTF-8 text", "Save it as UTF-8.") from error


def sync_folder(path: str) -> None:
    """Make renames inside a folder durable. Raises OSError where that cannot be done."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def thread_number() -> int:
    """A number that no other thread of any process has now, for names of temporary files."""
    return get_native_id()


def write_atomic(path: str, content: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Replace a file so that a reader sees the old or the new content, whole, also after a power cut when `sync`.

    The temporary name begins with a dot and ends in `.tmp`, which the SyftBox client never syncs.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{os.fsdecode(os.fsencode(name)[:200])}.{thread_number()}.tmp")
    remove_file(temporary)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)
            file.write(content)
            file.flush()
            if sync:
                os.fsync(fd)
        os.replace(temporary, path)
    except OSError as error:
        remove_file(temporary)
        raise OSError(error.errno, error.strerror, path) from error
    except BaseException:
        remove_file(temporary)
        raise
    if sync:
        sync_folder(folder)


def remove_file(path: str) -> None:
    """Remove a file; a file that is not there is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def remove_tree(path: str) -> None:
    """Remove a folder with everything in it, without following links; one that is not there is fine.

    Also what a job made to stay: folders without rights, and more levels than can be walked down. Raises OSError.
    """
    import shutil

    if os.path.islink(path):
        os.unlink(path)
    elif os.path.isdir(path):
        try:
            shutil.rmtree(path)
        except (OSError, RecursionError):
            _remove_stubborn(path)


def _remove_stubborn(path: str) -> None:
    """Remove a folder level by level: what lies in its folders is moved up into it, so no level is ever far away."""
    try:
        top = opened_for_change(path)
    except FileNotFoundError:
        return
    try:
        while folders := _remove_files(top):
            for name in folders:
                _move_up(name, top)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path)


def _move_up(name: str, top: int) -> None:
    """Empty a folder in `top`: its files are removed, its folders move into `top` under names that nobody can expect."""
    folder = opened_for_change(name, top)
    try:
        for below in _remove_files(folder):
            # A folder that moves changes too: its `..` becomes another.
            os.close(opened_for_change(below, folder))
            os.rename(below, os.urandom(16).hex(), src_dir_fd=folder, dst_dir_fd=top)
    finally:
        os.close(folder)


def _remove_files(folder: int) -> list[str]:
    """Remove everything directly in a folder but its folders; their names."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in found if is_folder]


def opened_for_change(name: str, parent: int | None = None) -> int:
    """Open a folder to list and change it, giving its owner back the rights that are missing. Links are not followed."""
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
    try:
        itself = f"/proc/self/fd/{handle}"
        rights = stat.S_IMODE(os.fstat(handle).st_mode)
        if rights & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(itself, rights | stat.S_IRWXU)
        return os.open(itself, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(handle)


def make_folder(path: str, mode: int = 0o755) -> None:
    """Make a folder and its parents; one that is there is fine."""
    os.makedirs(path, mode=mode, exist_ok=True)


def walk(folder: str, limit: int, depth: int = 64) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a folder as (relative POSIX path, lstat), sorted within each folder, links not followed.

    Ends early after `limit` entries or below `depth` levels: callers that care compare what they counted. Raises OSError
    when a folder cannot be read.
    """
    count = 0
    stack = [("", 0)]
    while stack:
        prefix, level = stack.pop()
        with os.scandir(os.path.join(folder, prefix) if prefix else folder) as entries:
            children = sorted(entries, key=lambda entry: entry.name)
        below: list[tuple[str, int]] = []
        for entry in children:
            count += 1
            if count > limit:
                return
            path = f"{prefix}/{entry.name}" if prefix else entry.name
            found = entry.stat(follow_symlinks=False)
            yield path, found
            if stat.S_ISDIR(found.st_mode) and level < depth:
                below.append((path, level + 1))
        stack.extend(reversed(below))
