"""Putting files that arrived from elsewhere into the owner's datasite, so that a call killed anywhere can be repeated."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping

from scq.files import open_regular, remove_file, remove_tree, sync_folder, thread_number, walk, write_atomic
from scq.layouts.inbox_paths import queue_path
from scq.layouts.writing import remove_leftovers, safe_folder, write_files

BUILDING = "fetched"


def digest_of(root: str, path: str) -> str | None:
    """sha256 of a file below the root, None when it is not there.

    Raises IntegrityError for a link on the way, InvalidFileError for anything but a file.
    """
    place = f"{safe_folder(root, os.path.dirname(path), create=False)}/{os.path.basename(path)}"
    if not os.path.lexists(place):
        return None
    with os.fdopen(open_regular(place), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(content: bytes | None) -> str | None:
    """sha256 of content; None for none."""
    return None if content is None else hashlib.sha256(content).hexdigest()


def write(root: str, owner: str, contents: Mapping[str, bytes | None], jobs: Iterable[str]) -> None:
    """Bring files of a datasite to this content, None to delete one; what is so already is left alone.

    `jobs` are the folders of new jobs, which appear whole; other files come one by one. All of it is on disk at the end.
    Raises IntegrityError for a link on the way, InvalidFileError for something else where a file belongs, OSError.
    """
    rest = {path: new for path, new in contents.items() if digest_of(root, f"{owner}/{path}") != sha256_of(new)}
    for job in jobs:
        files = {path: new for path, new in rest.items() if path.startswith(f"{job}/")}
        if files and None not in files.values() and not os.path.lexists(f"{root}/{owner}/{job}"):
            _publish(root, owner, job, {path[len(job) + 1 :]: new or b"" for path, new in files.items()})
            rest = {path: new for path, new in rest.items() if path not in files}
    for path, new in rest.items():
        folder = safe_folder(root, os.path.dirname(f"{owner}/{path}"), create=new is not None)
        place = f"{folder}/{os.path.basename(path)}"
        if new is None:
            remove_file(place)
        else:
            write_atomic(place, new, mode=0o644)
    # also what an earlier call that was killed did not come to
    for folder in sorted({folder for path in contents for folder in above(f"{owner}/{path}")}):
        if os.path.isdir(f"{root}/{folder}"):
            sync_folder(f"{root}/{folder}")


def above(path: str) -> list[str]:
    """The folders above a path, from the top down."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _publish(root: str, owner: str, folder: str, files: dict[str, bytes]) -> None:
    """Build the folder of a new job where nobody looks for jobs, and rename it into place once it is on disk."""
    queue = safe_folder(root, queue_path(owner))
    parent = safe_folder(root, os.path.dirname(f"{owner}/{folder}"))
    remove_leftovers(queue, BUILDING)
    building = f"{queue}/.{BUILDING}.{thread_number()}.tmp"
    os.mkdir(building, 0o755)
    try:
        write_files(building, files, ())
        _sync_tree(building)
        os.rename(building, f"{parent}/{os.path.basename(folder)}")
    finally:
        remove_tree(building)


def _sync_tree(folder: str) -> None:
    for path, found in walk(folder, 1 << 30, depth=1 << 30):
        if stat.S_ISDIR(found.st_mode):
            sync_folder(f"{folder}/{path}")
        else:
            with os.fdopen(open_regular(f"{folder}/{path}"), "rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)
