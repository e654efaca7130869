"""What exactly a submission consists of: its manifest, its digest, and the private copy that is run.

Every path is opened component by component without following links, so a submission that is changed while it is read can
make the reading fail but never lead it elsewhere. The private copy holds the files of the manifest and nothing else.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from scq.errors import InvalidFileError
from scq.files import walk
from scq.formats import is_utf8
from scq.model import Content, FileEntry, Manifest

DEPTH = 32
BLOCK = 1 << 18
_TEMPORARY = re.compile(r"\..+\.[0-9]+\.tmp", re.DOTALL)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Caps(msgspec.Struct, frozen=True):
    """Largest submission that is accepted: number of files, bytes in total."""

    files: int = 10_000
    bytes: int = 512 << 20


class Survey(msgspec.Struct, frozen=True):
    """A submission by names and lstats only. `stamp` changes when anything in it may have changed."""

    stamp: str
    youngest_ns: int
    paths: tuple[str, ...]
    invalid: tuple[str, ...]


def survey(root: str, content: Content, caps: Caps) -> Survey:
    """List what belongs to a submission and why it cannot be run, if so. Opens no file."""
    base = os.path.join(root, content.base)
    invalid: list[str] = []
    paths: list[str] = []
    total = youngest = 0
    seal = hashlib.sha256()
    limit = 2 * caps.files + 1_000
    count = 0
    try:
        for path, found in _entries(base, content, limit):
            count += 1
            line = f"{path}\0{found.st_ino}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_mode:o}\n"
            seal.update(line.encode("utf-8", "surrogateescape"))
            youngest = max(youngest, found.st_mtime_ns, found.st_ctime_ns)
            reason = _refusal(path, found)
            if reason:
                invalid.append(reason)
            elif stat.S_ISREG(found.st_mode):
                paths.append(path)
                total += found.st_size
            if count >= limit:
                break
    except OSError as error:
        invalid.append(f"{_shown(str(error.filename or content.base))}: cannot be read ({error.strerror})")
    invalid.extend(_too_large(len(paths), total, count >= limit, caps))
    if content.run_sh not in paths:
        invalid.append(f"{content.run_sh}: is missing")
    return Survey(seal.hexdigest(), youngest, tuple(paths), tuple(invalid[:20]))


def manifest(root: str, content: Content, caps: Caps) -> Manifest:
    """Hash every file of a submission. An invalid one gets its reasons and the digest of what can be read (never approved)."""
    found = survey(root, content, caps)
    if found.invalid:
        return Manifest(digest="", files=(), invalid=found.invalid)
    try:
        with _opened_base(root, content.base) as base:
            entries = tuple(_hash_file(base, path, path == content.run_sh) for path in found.paths)
    except OSError as error:
        reason = f"{_shown(str(error.filename or content.base))}: cannot be read, or changed while it was read ({error.strerror})"
        return Manifest(digest="", files=(), invalid=(reason,))
    return Manifest(digest=digest_of(entries, content.fields), files=entries)


def copy(root: str, content: Content, caps: Caps, target: str) -> Manifest:
    """Make the private copy of a submission in the empty folder `target` and return the manifest of what was written.

    Raises OSError when the disk is full; what is wrong with the submission itself is part of the manifest.
    """
    found = survey(root, content, caps)
    if found.invalid:
        return Manifest(digest="", files=(), invalid=found.invalid)
    entries: list[FileEntry] = []
    try:
        with _opened_base(root, content.base) as base:
            for path in found.paths:
                destination = os.path.join(target, path)
                os.makedirs(os.path.dirname(destination), mode=0o755, exist_ok=True)
                entries.append(_hash_file(base, path, path == content.run_sh, destination))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        reason = f"{_shown(str(error.filename or content.base))}: cannot be copied ({error.strerror})"
        return Manifest(digest="", files=(), invalid=(reason,))
    return Manifest(digest=digest_of(tuple(entries), content.fields), files=tuple(entries))


def read_file(root: str, content: Content, path: str, limit: int) -> bytes:
    """The first `limit` bytes of one file of a submission. Raises InvalidFileError: it may have moved since it was listed."""
    try:
        with _opened_base(root, content.base) as base, _opened_file(base, path) as fd:
            return os.read(fd, limit)
    except OSError as error:
        raise InvalidFileError(f"{_shown(path)}: cannot be read ({error.strerror})", "Look at the job again.") from error


def read_entry(root: str, content: Content, entry: FileEntry, limit: int) -> bytes:
    """The first `limit` bytes of a file of a manifest, after all of it was hashed: what is shown is what the digest stands for.

    Raises InvalidFileError when it is no longer what the manifest says.
    """
    seal, kept = hashlib.sha256(), bytearray()
    try:
        with _opened_base(root, content.base) as base, _opened_file(base, entry.path) as fd:
            size = 0
            while size <= entry.size and (block := os.read(fd, BLOCK)):
                size += len(block)
                seal.update(block)
                kept += block[: max(0, limit - len(kept))]
    except OSError as error:
        raise InvalidFileError(f"{_shown(entry.path)}: cannot be read ({error.strerror})", "Look at the job again.") from error
    if seal.hexdigest() != entry.sha256:
        raise InvalidFileError(f"{_shown(entry.path)}: changed while it was read", "Look at the job again.")
    return bytes(kept)


def digest_of(entries: tuple[FileEntry, ...], fields: tuple[tuple[str, str], ...]) -> str:
    """`sha256:` over the canonical form: one JSON document, files sorted by path, fields sorted by name."""
    files = sorted((entry.path, entry.executable, entry.size, entry.sha256) for entry in entries)
    canonical = msgspec.json.encode({"fields": sorted(fields), "files": files, "scq": 1})
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


def _entries(base: str, content: Content, limit: int) -> Iterator[tuple[str, os.stat_result]]:
    """What belongs to a submission; what does not belong at the top is not even walked.

    The walks end later than `limit` because they count ignored names too: a caller that stops there misses nothing unnoticed.
    """
    folders: list[str] = []
    for top, found in walk(base, 2 * limit, 0):
        if (content.include and top not in content.include) or top in content.exclude or _is_temporary(top):
            continue
        if stat.S_ISDIR(found.st_mode):
            folders.append(top)
        if top not in content.ignore:
            yield top, found
    for top in folders:
        for path, found in walk(os.path.join(base, top), 2 * limit, DEPTH):
            name = path.rsplit("/", 1)[-1]
            if name not in content.ignore and not _is_temporary(name):
                yield f"{top}/{path}", found


def _is_temporary(name: str) -> bool:
    """True for a name under which a killed call of scq leaves a half-written file; the network never carries one."""
    return _TEMPORARY.fullmatch(name) is not None


def _refusal(path: str, found: os.stat_result) -> str | None:
    shown = _shown(path)
    if not is_utf8(path):
        return f"{shown}: the name is not UTF-8"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        return f"{shown}: the name holds control characters"
    if path.count("/") >= DEPTH:
        return f"{shown}: lies deeper than {DEPTH} folders"
    if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
        return None
    kinds = ((stat.S_ISLNK, "a symbolic link"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"))
    kind = next((word for test, word in kinds if test(found.st_mode)), "a device")
    return f"{shown}: is {kind}"


def _too_large(files: int, total: int, cut: bool, caps: Caps) -> Iterator[str]:
    if files > caps.files or cut:
        yield f"more than {caps.files} files"
    if total > caps.bytes:
        yield f"more than {caps.bytes} bytes in total ({total})"


def _shown(path: str) -> str:
    return ascii(path)[1:-1] if not path.isprintable() else path


@contextmanager
def _opened_base(root: str, base: str) -> Iterator[int]:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in base.split("/"):
            below = os.open(name, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _opened_file(base: int, path: str) -> Iterator[int]:
    *folders, name = path.split("/")
    fd = os.dup(base)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = below
        file = os.open(name, _FILE, dir_fd=fd)
    finally:
        os.close(fd)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(0, "is no longer a regular file", path)
        yield file
    finally:
        os.close(file)


def _hash_file(base: int, path: str, is_run_sh: bool, destination: str | None = None) -> FileEntry:
    """Hash one file, copying it when a destination is given. run.sh always counts as executable: peers set the bit themselves."""
    seal = hashlib.sha256()
    size = 0
    with _opened_file(base, path) as fd:
        before = os.fstat(fd)
        executable = is_run_sh or bool(before.st_mode & stat.S_IXUSR)
        out = -1
        if destination is not None:
            out = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755 if executable else 0o644)
        try:
            while block := os.read(fd, BLOCK):
                size += len(block)
                if size > before.st_size:
                    raise OSError(0, "grows while it is read", path)
                seal.update(block)
                if out >= 0:
                    _write_all(out, block)
        finally:
            if out >= 0:
                os.close(out)
    return FileEntry(path, executable, size, seal.hexdigest())


def _write_all(fd: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(fd, view) :]
