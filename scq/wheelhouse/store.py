"""Wheels kept under their hash in one folder of scq, read-only, and what was once found for which wishes.

Layout: `<sha256[:2]>/<sha256>/<file name>`, and `resolved/<key>.json`. Source of the names of wheels: PEP 427.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import Struct

from scq.clean import line as shown
from scq.errors import DependencyError, InvalidFileError
from scq.files import make_folder, open_regular, read_bytes, remove_file, thread_number, write_atomic

BLOCK = 1 << 20
PLAIN_NAME = re.compile(r"[A-Za-z0-9_.+!-]+")
"""File names of packages: nothing else is ever stored, shown or written down."""


class Package(Struct, frozen=True, order=True):
    """One file that was installed from: name and version as its file name says, sha256 in hex."""

    name: str
    version: str
    sha256: str
    file: str


class Remembered(Struct, frozen=True):
    """What was once found for the same wishes, and when."""

    at: datetime
    packages: tuple[Package, ...]


class Store:
    """The wheels below `folder`, which only scq's own user can write."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def keep(self, folder: str) -> tuple[Package, ...]:
        """Take over every file of a folder that comes out of a box. Raises DependencyError for anything that is not a wheel."""
        if os.path.islink(folder) or not os.path.isdir(folder):
            return ()
        return tuple(sorted(self._keep(os.path.join(folder, name), name) for name in os.listdir(folder)))

    def _keep(self, path: str, file: str) -> Package:
        name, version = parse_wheel_name(file)
        make_folder(self.folder, 0o700)
        temporary = os.path.join(self.folder, f".incoming.{thread_number()}.tmp")
        remove_file(temporary)
        try:
            sha256 = _copy(path, temporary)
            place = self._place(sha256, file)
            make_folder(os.path.dirname(place), 0o700)
            os.replace(temporary, place)
        finally:
            remove_file(temporary)
        return Package(name, version, sha256, file)

    def has(self, packages: Iterable[Package]) -> bool:
        """Whether every one of these is here and still has its hash."""
        return all(self._is_whole(package) for package in packages)

    def lay_out(self, packages: Iterable[Package], folder: str) -> None:
        """Fill a new folder with these wheels, for all to read and nobody to write: links to the stored ones, or copies."""
        make_folder(folder, 0o755)
        os.chmod(folder, 0o755)  # noqa: S103 - whatever the umask says, the user of the box must be able to read
        for package in packages:
            stored, shown_at = self._place(package.sha256, package.file), os.path.join(folder, package.file)
            if os.path.lexists(shown_at):
                continue
            try:
                os.link(stored, shown_at, follow_symlinks=False)
            except OSError:  # another file system, or one without hard links
                _copy(stored, shown_at)

    def remembered(self, key: str) -> Remembered | None:
        """What was found for the same wishes before, if all of it is still here."""
        try:
            found = msgspec.json.decode(read_bytes(self._note(key)), type=Remembered)
        except (InvalidFileError, msgspec.DecodeError):
            return None
        return found if self.has(found.packages) else None

    def remember(self, key: str, found: Remembered) -> None:
        """Keep what was found for these wishes."""
        make_folder(os.path.join(self.folder, "resolved"), 0o700)
        write_atomic(self._note(key), msgspec.json.encode(found), sync=False)

    def _note(self, key: str) -> str:
        return os.path.join(self.folder, "resolved", f"{key}.json")

    def _place(self, sha256: str, file: str) -> str:
        return os.path.join(self.folder, sha256[:2], sha256, file)

    def _is_whole(self, package: Package) -> bool:
        try:
            return hash_of(self._place(package.sha256, package.file)) == package.sha256
        except InvalidFileError:
            return False


def parse_wheel_name(file: str) -> tuple[str, str]:
    """(name, version) of a wheel by its file name. Raises DependencyError."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        if not PLAIN_NAME.fullmatch(file):
            raise InvalidWheelFilename(file)
        name, version, _, _ = parse_wheel_filename(file)
    except InvalidWheelFilename as error:
        what = f"{shown(ascii(file)[1:-1], 100)}: is not a wheel"
        raise DependencyError(what, "Packages that have to be built are accepted with prepare.source_packages only.") from error
    return str(name), str(version)


def hash_of(path: str) -> str:
    """sha256 of a regular file in hex. Raises InvalidFileError."""
    with os.fdopen(open_regular(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_of(*parts: Iterable[str]) -> str:
    """A name for wishes: equal exactly for equal lists, each in any order."""
    return hashlib.sha256(msgspec.json.encode([sorted(set(part)) for part in parts])).hexdigest()


def _copy(source: str, target: str) -> str:
    """Copy a regular file into a new read-only one and return its sha256. Raises InvalidFileError."""
    seal = hashlib.sha256()
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as copy, os.fdopen(open_regular(source), "rb") as file:
        while block := file.read(BLOCK):
            seal.update(block)
            copy.write(block)
        os.fchmod(fd, 0o444)
    return seal.hexdigest()
