"""What the folder and the marker generations of syft-job have in common when a job is submitted.

Files of a job folder: syft-job 0.1.3 (B0), 0.1.21 (B1), 0.1.24 (B2); docs/layouts.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from scq.errors import UsageError
from scq.files import make_folder, remove_tree, sync_folder, thread_number
from scq.formats import dump_yaml, is_component
from scq.layouts.job_files import CONFIG, NOT_SUBMITTED, RUN_SCRIPT, is_address, is_temporary
from scq.layouts.job_results import aside
from scq.layouts.writing import safe_folder
from scq.permissions import FILE_NAME as PERMISSIONS
from scq.ports import Submission

NAME_LIMIT = 200
"""Longest job name, bytes of UTF-8: a folder name may have 255, and others add to it."""

_VERSION = re.compile(r"v[0-9]+")


def check(submission: Submission, *, reserved: frozenset[str], with_address: bool) -> None:
    """Refuse what peers could misread, before anything is written. Raises UsageError saying what to change.

    `reserved` are words that mean something else where the job will lie. Without an address in the path (`with_address`),
    a job name with an @ would be taken for one.
    """
    name = submission.name
    if not is_component(name) or name.startswith(".") or not name.isprintable() or set(name) & set("[]*?{}\\"):
        raise UsageError(f"{name!r}: not usable as a job name", "Use letters, digits, blanks, dots, hyphens and underscores.")
    if len(name.encode()) > NAME_LIMIT:
        raise UsageError(f"{name[:40]!r}…: the job name is longer than {NAME_LIMIT} bytes", "Use a shorter name.")
    if _VERSION.fullmatch(name) or name in reserved or (not with_address and "@" in name):
        raise UsageError(f"{name!r}: has a meaning of its own in a queue folder", "Use another job name.")
    for address in (submission.owner, submission.submitter):
        if not is_address(address):
            raise UsageError(f"{address!r}: is not a mail address", "Give the address of one person.")


def check_free(root: str, parent: str, submission: Submission) -> None:
    """Raises UsageError when the name of a job is taken in a folder of jobs."""
    if os.path.lexists(os.path.join(root, parent, submission.name)):
        raise _taken(submission)


def place(root: str, parent: str, submission: Submission, generation: str) -> None:
    """Build the job folder outside every folder of jobs and rename it into `parent` (relative to the root).

    Raises UsageError when the name is taken, IntegrityError when a folder on the way is a link.
    """
    path = f"{parent}/{submission.name}"
    files = _files(submission, generation)
    folder = safe_folder(root, parent)
    check_free(root, parent, submission)
    building = aside(root, path, f"new.{thread_number()}")
    remove_tree(building)
    try:
        _build(building, files, {_path(path, submission, generation) for path in submission.executable})
        os.rename(building, os.path.join(root, path))
    except OSError:
        check_free(root, parent, submission)
        raise
    finally:
        remove_tree(building)
    sync_folder(folder)


def datasite(root: str, owner: str) -> str:
    """Folder of a person relative to the root: below `datasites/`, unless only the newer form is there."""
    older = f"datasites/{owner}"
    return older if os.path.isdir(f"{root}/{older}") or not os.path.isdir(f"{root}/{owner}") else owner


def folders(path: str) -> list[str]:
    """Names of the real sub-folders of an absolute path; none when it is not there or not a folder itself."""
    if os.path.islink(path) or not os.path.isdir(path):
        return []
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and not is_temporary(entry.name))


def is_job(path: str) -> bool:
    """True for an absolute path of a folder with a config.yaml."""
    return os.path.isfile(os.path.join(path, CONFIG))


def config(submission: Submission, generation: str) -> dict[str, Any]:
    """The keys of config.yaml as the generation's own software writes them; a bash job has the first three only."""
    values: dict[str, Any] = {
        "name": submission.name,
        "submitted_by": submission.submitter,
        "submitted_at": submission.submitted_at_iso,
    }
    if submission.kind != "python":
        return values
    values |= {"type": "python", "code_path": submission.source_path or "", "entry_point": submission.entrypoint or ""}
    if generation != "b0" or submission.dependencies:
        values["dependencies"] = list(submission.dependencies)
    if generation == "b2":
        values["is_folder_submission"] = submission.is_folder
    return values


def _files(submission: Submission, generation: str) -> Mapping[str, bytes]:
    """Every file by its path in the job folder. Raises UsageError for a path that is taken or leaves the folder."""
    files = {_path(path, submission, generation): content for path, content in submission.files.items()}
    own = {RUN_SCRIPT: submission.run_sh.encode(), CONFIG: dump_yaml(config(submission, generation))}
    for path, content in files.items():
        if not all(is_component(part) for part in path.split("/")):
            raise UsageError(f"{path!r}: not usable as a file path", "Leave the file out or rename it.")
        top = path.split("/")[0]
        if top in NOT_SUBMITTED or top == PERMISSIONS or (top in own and own.get(path) != content):
            raise UsageError(f"{path!r}: this name is used by the queue itself", "Rename the file.")
    return {**files, **own}


def _path(path: str, submission: Submission, generation: str) -> str:
    """Python files of B0 lie in `code/`, all others beside run.sh."""
    return f"code/{path}" if generation == "b0" and submission.kind == "python" else path


def _build(building: str, files: Mapping[str, bytes], executable: set[str]) -> None:
    os.mkdir(building, 0o755)
    for path, content in files.items():
        target = os.path.join(building, path)
        make_folder(os.path.dirname(target))
        mode = 0o755 if path == RUN_SCRIPT or path in executable else 0o644
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)
            file.write(content)
            file.flush()
            os.fsync(fd)


def _taken(submission: Submission) -> UsageError:
    return UsageError(f"{submission.name!r}: {submission.owner} has a job of this name already", "Choose another name.")
