"""What the folder and the marker generations of syft-job have in common when a job is decided, run or shared.

Every job folder may be written by its submitter until its results are published: nothing is written through a link, and
what lies in the way of a status or result file is removed.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from scq.errors import IntegrityError, InvalidFileError, UsageError
from scq.files import read_text, remove_file, remove_tree, sync_folder, write_atomic
from scq.formats import dump_yaml, is_utf8, parse_yaml
from scq.layouts.job_files import (
    LOGS,
    LOGS_FOLDER,
    MARKERS,
    NOT_SUBMITTED,
    OUTPUTS,
    RETURN_CODE,
    is_address,
    is_temporary,
)
from scq.layouts.writing import copy_results, safe_folder
from scq.model import Run
from scq.permissions import FILE_NAME as PERMISSIONS
from scq.permissions import rule
from scq.ports import ResultSet

LISTED_FILES_LIMIT = 1_000
"""More submitted files than this at the top of a job folder are not listed in its permission file."""

_LEFT_OVER = re.compile(r"\.(" + "|".join(map(re.escape, (*LOGS, LOGS_FOLDER, OUTPUTS, PERMISSIONS))) + r")\.[0-9]+\.tmp")


def safe_path(root: str, path: str) -> str:
    """Absolute path of a job folder that need not be there. Raises IntegrityError when a link leads to it."""
    return safe_folder(root, path, create=False)


def job_folder(root: str, path: str) -> str:
    """Absolute path of a job folder that is there and reached through no link. Raises IntegrityError."""
    folder = safe_path(root, path)
    if not os.path.isdir(folder):
        raise IntegrityError(f"{path}: the job folder is gone", "Look again with `scq check --full`.")
    return folder


def mark(folder: str, name: str) -> None:
    """Make an empty marker file, mode 0644. It appears in one step and needs no temporary file, which would be content."""
    path = os.path.join(folder, name)
    if _is_regular(path):
        return
    _clear(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        os.fchmod(fd, 0o644)
    finally:
        os.close(fd)
    sync_folder(folder)


def unmark(folder: str, name: str, *, unless: str | None = None) -> None:
    """Take a marker away, unless another one is there too."""
    if unless is None or not os.path.lexists(os.path.join(folder, unless)):
        _clear(os.path.join(folder, name))


def publish(folder: str, logs: str, submitter: str, results: ResultSet) -> None:
    """Write permissions, logs, outputs and the return code of a run, in this order. `logs` is a folder name or empty."""
    run = results.run
    _write_permissions(folder, _rules(folder, logs, submitter, outputs=run.share_outputs, logs_too=run.share_logs))
    logs_folder = os.path.join(folder, logs) if logs else folder
    if logs:
        _make_real(logs_folder)
    for name, content in (("stdout.txt", results.stdout), ("stderr.txt", results.stderr)):
        _write(os.path.join(logs_folder, name), content, sync=False)
    _publish_outputs(os.path.join(folder, OUTPUTS), results.outputs_dir)
    _write(os.path.join(logs_folder, RETURN_CODE), str(return_code(run)).encode("ascii"), sync=True)


def return_code(run: Run) -> int:
    """The number peers read: never 0 for a run that did not end by itself, -1 where no exit code is known."""
    if run.exit_code is None or (run.exit_code == 0 and run.cause not in (None, "exit")):
        return -1
    return run.exit_code


def discard(folder: str) -> None:
    """Remove the return code, logs and outputs of a run."""
    _remove_left_overs(folder)
    for name in (RETURN_CODE, *LOGS, LOGS_FOLDER, OUTPUTS):
        _clear(os.path.join(folder, name))


def share(folder: str, logs: str, submitter: str, *, outputs: bool, logs_too: bool) -> None:
    """Let the submitter read outputs and/or logs. What scq shared before stays shared, everything else stays private.

    Raises UsageError when the submitter is not one known address: a wildcard would share with everybody.
    """
    if not is_address(submitter):
        raise UsageError(f"{folder}: does not say whose job it is", "Hand the results over in another way.")
    shared = _shared(folder, submitter)
    outputs = outputs or f"{OUTPUTS}/**" in shared
    logs_too = logs_too or _in_folder(logs, RETURN_CODE) in shared
    _write_permissions(folder, _rules(folder, logs, submitter, outputs=outputs, logs_too=logs_too))


def move(root: str, source: str, target: str) -> None:
    """Move a job folder to where nothing, or an older job of the same name, lies; the older one is deleted last.

    Paths are relative to the root. It is renamed away first, to a place outside every folder of jobs.
    """
    parent = safe_folder(root, target.rpartition("/")[0])
    old = _set_aside(root, target)
    os.rename(os.path.join(root, source), os.path.join(root, target))
    sync_folder(parent)
    sync_folder(os.path.dirname(os.path.join(root, source)))
    remove_tree(old)


def remove(root: str, path: str) -> None:
    """Delete a job folder; peers see all of it or nothing. One that is not there is fine."""
    remove_tree(_set_aside(root, path))


def aside(root: str, path: str, purpose: str) -> str:
    """Absolute path in the `app_data` folder of a job for a folder that no peer takes for a job and no network carries."""
    import hashlib

    base, _, name = path.partition("/app_data/")
    mark_of = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
    return os.path.join(safe_folder(root, f"{base}/app_data"), f".{mark_of}.{purpose}.tmp")


def _set_aside(root: str, path: str) -> str:
    old = aside(root, path, "old")
    remove_tree(old)
    safe_folder(root, path.rpartition("/")[0], create=False)
    absolute = os.path.join(root, path)
    if os.path.lexists(absolute):
        os.rename(absolute, old)
    return old


def _publish_outputs(target: str, source: str | None) -> None:
    if not _is_folder(target):
        _clear(target)
    if source is not None:
        copy_results(source, target)
    else:
        _clear(target)


def _write(path: str, content: bytes, *, sync: bool) -> None:
    if not _is_regular(path):
        _clear(path)
    write_atomic(path, content, mode=0o644, sync=sync)


def _make_real(folder: str) -> None:
    if not _is_folder(folder):
        _clear(folder)
        os.mkdir(folder, 0o755)


def _clear(path: str) -> None:
    """Remove whatever is at a path, a link itself and not what it points to."""
    if _is_folder(path):
        remove_tree(path)
    else:
        remove_file(path)


def _is_folder(path: str) -> bool:
    return stat.S_ISDIR(_mode(path))


def _is_regular(path: str) -> bool:
    return stat.S_ISREG(_mode(path))


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return 0


def _remove_left_overs(folder: str) -> None:
    """Remove temporary files of a call that was killed while it wrote here: they would count as submitted content."""
    for name in os.listdir(folder):
        if _LEFT_OVER.fullmatch(name):
            _clear(os.path.join(folder, name))


def _write_permissions(folder: str, rules: list[dict[str, Any]]) -> None:
    """Replace the permission file, whatever the submitter may have put there."""
    _remove_left_overs(folder)
    path = os.path.join(folder, PERMISSIONS)
    if _own_rules(folder) != rules:
        _write(path, dump_yaml({"rules": rules, "terminal": False}), sync=False)


def _own_rules(folder: str) -> object:
    try:
        document = parse_yaml(read_text(os.path.join(folder, PERMISSIONS)), PERMISSIONS)
    except InvalidFileError:
        return None
    return document.get("rules") if document.get("terminal") is False else None


def _shared(folder: str, submitter: str) -> set[str]:
    """Patterns for which the folder's permission file has exactly the rule that scq writes to share."""
    rules = _own_rules(folder)
    found = {str(item.get("pattern")): item for item in rules if isinstance(item, dict)} if isinstance(rules, list) else {}
    return {pattern for pattern, item in found.items() if item == rule(pattern, read=(submitter,))}


def _rules(folder: str, logs: str, submitter: str, *, outputs: bool, logs_too: bool) -> list[dict[str, Any]]:
    """Everything is private but what the submitter sent, the status markers, and what is shared.

    An allow-list: a file that turns up later, a temporary one too, is private. No address, no rule for it.
    """
    rules = [rule("**")]
    if not is_address(submitter):
        return rules
    patterns = [*MARKERS, *_submitted(folder)]
    if outputs:
        patterns.append(f"{OUTPUTS}/**")
    if logs_too:
        patterns += [_in_folder(logs, name) for name in LOGS]
    return [*rules, *(rule(pattern, read=(submitter,)) for pattern in patterns)]


def _in_folder(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _submitted(folder: str) -> list[str]:
    """A pattern for each file and folder of the submission. Names that would be read as patterns are left out."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if not entry.is_symlink()]
    usable = [item for item in sorted(found) if _is_listed(item[0])][:LISTED_FILES_LIMIT]
    return [f"{name}/**" if is_folder else name for name, is_folder in usable]


def _is_listed(name: str) -> bool:
    if name in NOT_SUBMITTED or name == PERMISSIONS or is_temporary(name):
        return False
    return is_utf8(name) and name.isprintable() and not set(name) & set("*?[]{}\\!")
