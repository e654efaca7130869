"""Writing into folders that a submitter may write too: nothing is written through a symbolic link."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Collection, Mapping

from scq.errors import IntegrityError, UsageError
from scq.files import open_regular, remove_tree, thread_number, walk
from scq.formats import is_component, is_utf8

BLOCK = 1 << 20
RESULT_ENTRIES_LIMIT = 200_000
"""More entries than this below one outputs folder are not published: the walk over them must end."""
PERMISSION_FILES = frozenset({"syft.pub.yaml", "syftperm.yaml"})
"""Names that would decide who may read: a job must not publish its own results by writing one of them."""
NAME_BYTES_LIMIT = 200
GLOB_CHARACTERS = frozenset("[]*?{}")


def safe_folder(root: str, relative: str, create: bool = True) -> str:
    """Absolute path of a folder below `root` whose components are all real folders.

    Missing ones are made with mode 0755 when `create`; otherwise the path is returned as it is, existing or not. The root
    itself may be a link: it is the owner's choice. Raises IntegrityError for a component that is a link or not a folder,
    and for a path that leaves the root.
    """
    path = root
    for component in relative.split("/") if relative else ():
        if not is_component(component):
            raise IntegrityError(f"{relative!r}: is not a path below the SyftBox folder", "Nothing was written.")
        path = f"{path}/{component}"
        if not _is_real_folder(path):
            if not create:
                return f"{root}/{relative}"
            _make(path)
    return path


def copy_results(source: str, target: str) -> None:
    """Replace the folder `target` by the regular files of `source`; both are absolute paths.

    The copy is built beside the target under a name that begins with a dot and ends in `.tmp`, then renamed: a reader sees
    the old files, none, or all new ones. Links, FIFOs, devices, names that are not UTF-8 and everything below 64 levels are
    left out; so are permission files, at any depth: a job does not decide who reads its results. Files get mode 0644, or
    0755 when their owner may execute them. Idempotent. Raises IntegrityError when the source or the target is something
    other than a real folder or the source holds too many entries, InvalidFileError when a file cannot be read.
    """
    if not _is_real_folder(source):
        raise IntegrityError(f"{source}: is not a folder", "Run the job again.")
    _is_real_folder(target)
    parent, name = os.path.split(target)
    remove_leftovers(parent, name)
    temporary = _temporary(parent, name)
    try:
        _copy_into(source, temporary)
        remove_tree(target)
        os.rename(temporary, target)
    except BaseException:
        remove_tree(temporary)
        raise


def remove_leftovers(parent: str, name: str) -> None:
    """Remove temporary folders that calls killed in the middle of a copy left beside `name`."""
    with os.scandir(parent) as entries:
        left = [entry.path for entry in entries if entry.name.startswith(f".{name}.") and entry.name.endswith(".tmp")]
    for path in left:
        remove_tree(path)


def check_name(name: str) -> None:
    """Raise UsageError for a job name that a published peer, a permission pattern or a file system would stumble over."""
    advice = "Use letters, digits, spaces, dots, dashes and underscores."
    if not is_component(name) or ".." in name or name.startswith("."):
        raise UsageError(f"{name!r}: cannot be a job name: it is empty, hidden, or holds '/' or '..'", advice)
    if not name.isprintable():
        raise UsageError(f"{name!r}: cannot be a job name: it holds control or formatting characters", advice)
    if len(name.encode("utf-8")) > NAME_BYTES_LIMIT:
        raise UsageError(f"{name[:40]!r}…: cannot be a job name: longer than {NAME_BYTES_LIMIT} bytes", "Shorten it.")
    if GLOB_CHARACTERS.intersection(name):
        raise UsageError(f"{name!r}: cannot be a job name: [ ] * ? {{ }} are patterns in permission files", advice)
    if re.fullmatch(r"v[0-9]+", name):
        raise UsageError(f"{name!r}: cannot be a job name: it looks like a protocol folder", "Add a word to it.")


def write_files(folder: str, files: Mapping[str, bytes], executable: Collection[str]) -> None:
    """Write files below an existing folder that nobody else writes. Modes 0644, or 0755 for those in `executable`.

    Raises UsageError for a path that is not relative, plain and inside the folder.
    """
    for path in files:
        if not all(is_component(part) for part in path.split("/")):
            raise UsageError(f"{path!r}: cannot be submitted under this name", "Rename the file.")
    for path, content in files.items():
        target = f"{folder}/{path}"
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        mode = 0o755 if path in executable else 0o644
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)


def publish_folder(parent: str, name: str, files: Mapping[str, bytes], executable: Collection[str], target: str) -> None:
    """Build a folder of files in `parent` under a temporary name and rename it to `target`, whole or not at all.

    `parent` and `target` are absolute, on one file system. Raises UsageError when the target exists.
    """
    temporary = _temporary(parent, name)
    remove_tree(temporary)
    os.mkdir(temporary, 0o755)
    try:
        write_files(temporary, files, executable)
        if os.path.lexists(target):
            raise FileExistsError(target)
        os.rename(temporary, target)
    except FileExistsError as error:
        raise _taken(name) from error
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise _taken(name) from error
        raise
    finally:
        remove_tree(temporary)


def _taken(name: str) -> UsageError:
    return UsageError(f"{name!r}: a job of this name exists already", "Choose another name.")


def _temporary(parent: str, name: str) -> str:
    return os.path.join(parent, f".{name}.{thread_number()}.tmp")


def _is_real_folder(path: str) -> bool:
    """False when nothing is there. Raises IntegrityError for anything that is not a folder itself."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be looked at ({error.strerror})", "Check the folder.") from error
    if stat.S_ISDIR(mode):
        return True
    kind = "a symbolic link" if stat.S_ISLNK(mode) else "not a folder"
    raise IntegrityError(f"{path}: is {kind} where a folder belongs", "Find out who put it there, then remove it.")


def _make(path: str) -> None:
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        # somebody else was faster: fine when it is a folder
        _is_real_folder(path)


def _copy_into(source: str, target: str) -> None:
    os.mkdir(target, 0o755)
    count = 0
    for path, found in walk(source, RESULT_ENTRIES_LIMIT + 1):
        count += 1
        if count > RESULT_ENTRIES_LIMIT:
            raise IntegrityError(f"{source}: holds more than {RESULT_ENTRIES_LIMIT} entries", "Let the job write fewer files.")
        if not is_utf8(path) or not PERMISSION_FILES.isdisjoint(path.casefold().split("/")):
            continue
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(f"{target}/{path}", 0o755)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(f"{source}/{path}", f"{target}/{path}")


def _copy_file(source: str, target: str) -> None:
    """Copy one regular file block by block, so that a large result never has to fit into memory."""
    incoming = open_regular(source)
    with os.fdopen(incoming, "rb") as reader:
        mode = 0o755 if os.fstat(incoming).st_mode & stat.S_IXUSR else 0o644
        outgoing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(outgoing, "wb") as writer:
            os.fchmod(outgoing, mode)
            while block := reader.read(BLOCK):
                writer.write(block)
