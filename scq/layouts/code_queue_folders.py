"""Moving, making and removing the folders of a status-folder job: one rename per step, never two folders for one uid.

Format: syft-code-queue 0.1.10-0.1.27 (docs/layouts.md). Peers list every folder in a status folder as a job, so drafts and
garbage lie beside the status folders, under names that the SyftBox client never syncs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from scq.errors import IntegrityError, UsageError
from scq.files import remove_tree, sync_folder, write_atomic
from scq.formats import is_component, naive_local_time, parse_time, same_address
from scq.layouts.code_queue_changes import dump, new_metadata
from scq.layouts.code_queue_metadata import address
from scq.layouts.code_queue_results import remove_path
from scq.layouts.writing import PERMISSION_FILES, safe_folder
from scq.model import Observed, Sighting
from scq.permissions import FILE_NAME, rule, write_rules
from scq.ports import Submission

METADATA = "metadata.json"
STAGES: dict[str, Observed] = {
    "pending": "pending",
    "approved": "approved",
    "rejected": "rejected",
    "timedout": "failed",
    "running": "running",
    "completed": "completed",
    "failed": "failed",
}
"""Status folders, earliest first, and what each one says. A uid found in several is where it got furthest."""
SCRIPT = "run.sh"
_NAME_LIMIT = 1_000


def place(path: str, stage: str) -> str:
    """Where the job that lies at `path` (relative to the root) lies in another status."""
    jobs, _, uid = path.rsplit("/", 2)
    return f"{jobs}/{stage}/{uid}"


def either(root: str, sighting: Sighting, stage: str) -> str:
    """Where a job is before or after its move to `stage`. Raises IntegrityError when it is at neither place."""
    return _pick(root, sighting, (sighting.path, place(sighting.path, stage)))


def anywhere(root: str, sighting: Sighting) -> str:
    """Where a job is by now: a peer's expiry may have moved it while it ran. Raises IntegrityError when it is gone."""
    return _pick(root, sighting, (sighting.path, *(place(sighting.path, stage) for stage in reversed(STAGES))))


def _pick(root: str, sighting: Sighting, places: Iterable[str]) -> str:
    """The first place with code, else the first there is: a twin that a peer left behind has no code."""
    there = [path for path in places if os.path.isdir(safe_folder(root, path, create=False))]
    for path in there:
        if os.path.isdir(f"{root}/{path}/code"):
            return path
    if not there:
        raise IntegrityError(f"{sighting.path}: the job is no longer there", "Look again with `scq check`.")
    return there[0]


def move(root: str, sighting: Sighting, here: str, stage: str) -> str:
    """Put the job that lies at `here` into a status folder, with no twin left anywhere; returns its new place. Idempotent.

    Raises IntegrityError when a second folder with code has appeared since the job was seen.
    """
    there = place(here, stage)
    jobs = os.path.dirname(os.path.dirname(here))
    source, folder = safe_folder(root, here, create=False), safe_folder(root, f"{jobs}/{stage}")
    for twin in (place(here, other) for other in STAGES):
        if twin != here and os.path.lexists(f"{root}/{twin}"):
            _remove_twin(root, sighting, twin)
    if here != there:
        os.rename(source, f"{root}/{there}")
        sync_folder(folder)
        sync_folder(os.path.dirname(source))
    return there


def _remove_twin(root: str, sighting: Sighting, twin: str) -> None:
    folder = safe_folder(root, os.path.dirname(twin), create=False)
    path = f"{folder}/{sighting.ref.key}"
    if os.path.isdir(f"{path}/code") and not os.path.islink(path) and twin not in sighting.ghosts:
        raise IntegrityError(f"{twin}: the job is there a second time", "Compare both folders and remove one, then try again.")
    remove_path(path)


def remove(root: str, sighting: Sighting) -> None:
    """Delete a job and its twins. Twins go first, so that none is taken for the job; the job itself goes by one rename."""
    jobs, _, uid = sighting.path.rsplit("/", 2)
    garbage = f"{safe_folder(root, jobs, create=False)}/.{uid}.tmp"
    remove_tree(garbage)
    places = [place(sighting.path, stage) for stage in STAGES]
    there = [path for path in places if os.path.lexists(f"{root}/{path}")]
    if not there:
        return
    best = sighting.path if sighting.path in there else there[-1]
    for path in there:
        safe_folder(root, os.path.dirname(path), create=False)
        if path != best:
            remove_path(f"{root}/{path}")
    os.rename(f"{root}/{best}", garbage)
    remove_path(garbage)


def datasite(root: str, owner: str) -> str:
    """Name of a person's folder below `datasites/`, found without regard to case; the address itself when there is none.

    Raises UsageError for something that is no address.
    """
    if address(owner) is None or not is_component(owner):
        raise UsageError(f"{owner!r} is not an e-mail address", "Name the data owner as name@example.org.")
    path = f"{root}/datasites"
    names = sorted(os.listdir(path)) if os.path.isdir(path) else []
    return next((name for name in names if same_address(name, owner)), owner)


def submit(root: str, jobs: str, submission: Submission) -> str:
    """Write a job into `pending/` of a `jobs` folder (relative to the root) and return its uid.

    It is built beside the status folders and appears complete. Raises UsageError for a submission that cannot be written.
    """
    import uuid

    _check(submission)
    uid = str(uuid.uuid4())
    pending = safe_folder(root, f"{jobs}/pending")
    if not os.path.lexists(f"{pending}/{FILE_NAME}"):
        write_rules(pending, [rule("**", read=("*",), write=("*",))])
    draft = safe_folder(root, f"{jobs}/.{uid}.tmp")
    try:
        _write_code(root, f"{jobs}/.{uid}.tmp/code", submission)
        people = (submission.owner, submission.submitter)
        write_rules(draft, [rule(METADATA, read=people, write=people, admin=(submission.submitter,))])
        write_atomic(f"{draft}/{METADATA}", _metadata(uid, f"{pending}/{uid}/code", submission), mode=0o644)
        os.rename(draft, f"{pending}/{uid}")
    except BaseException:
        remove_tree(draft)
        raise
    sync_folder(pending)
    return uid


def _check(submission: Submission) -> None:
    if not submission.name.strip() or len(submission.name) > _NAME_LIMIT or not submission.name.isprintable():
        message = f"{submission.name[:50]!r}: a job name is one line of 1 to {_NAME_LIMIT} printable characters"
        raise UsageError(message, "Choose another name with --name.")
    if address(submission.submitter) is None:
        raise UsageError(f"{submission.submitter!r} is not an e-mail address", "Set your own address with --email.")
    for path in submission.files:
        if not all(is_component(component) for component in path.split("/")):
            raise UsageError(f"{path!r}: is not a file name inside the submitted folder", "Rename the file.")


def _write_code(root: str, code: str, submission: Submission) -> None:
    """The submitted files, and in each folder a permission file that names them, as the peers write it."""
    files = {path: content for path, content in submission.files.items() if os.path.basename(path) not in PERMISSION_FILES}
    files.setdefault(SCRIPT, submission.run_sh.encode("utf-8"))
    names: dict[str, list[str]] = {}
    for path in sorted(files):
        folder, name = os.path.split(f"{code}/{path}")
        executable = path == SCRIPT or path in submission.executable
        mode = 0o755 if executable else 0o644
        write_atomic(f"{safe_folder(root, folder)}/{name}", files[path], mode=mode, sync=False)
        names.setdefault(folder, []).append(name)
    readers, writers = (submission.owner, submission.submitter), (submission.submitter,)
    for folder, found in names.items():
        write_rules(f"{root}/{folder}", [rule(name, read=readers, write=writers, admin=writers) for name in found])


def _metadata(uid: str, code_folder: str, submission: Submission) -> bytes:
    created = parse_time(submission.submitted_at_iso)
    if created is None:
        raise UsageError(f"{submission.submitted_at_iso!r} is not a time", "Check the clock of this machine.")
    return dump(
        new_metadata(
            uid=uid,
            name=submission.name,
            requester=submission.submitter,
            target=submission.owner,
            code_folder=code_folder,
            description=submission.description,
            created=naive_local_time(created),
            timeout_s=submission.timeout_s,
            tags=submission.tags,
        )
    )
