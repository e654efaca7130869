"""Results of a code queue job: its log file, its output folder, and the permission file that keeps them private.

Format: syft-simple-runner 0.2.2 (docs/layouts.md). The SyftBox client never syncs `execution.log`: a submitter elsewhere
sees only the `logs` field of the metadata file.
"""

from __future__ import annotations

import os
from typing import Any

from scq.errors import UsageError
from scq.files import make_folder, open_regular, remove_tree, write_atomic
from scq.formats import naive_local_time, same_address
from scq.layouts.code_queue_changes import clear_the_way, code_of, ended_at
from scq.layouts.code_queue_metadata import EXIT_CODE, LIMIT, LOG_NAME, OUTPUT
from scq.layouts.writing import PERMISSION_FILES, copy_results
from scq.model import ResultFiles, Run, Sighting
from scq.permissions import FILE_NAME, read_rules, rule, write_rules
from scq.ports import ResultSet, Tree

SHARED_LOG_LIMIT = 1 << 19
"""Characters of each stream that go into a metadata file; escaped they take at most 12 bytes each, so the file stays readable."""
OUTPUTS = f"{OUTPUT}/**"

_RULER = "-" * 80


def log_end(run: Run) -> str:
    """The two lines that every log ends with, and all that a submitter learns before the logs are shared."""
    return f"{EXIT_CODE} {code_of(run)}\nCompleted: {naive_local_time(ended_at(run))}"


def log_text(results: ResultSet, limit: int | None = None) -> str:
    """Both streams and the end of the run in the form of the peers' runner; each stream cut to `limit` characters."""
    out, err = (_cut(stream.decode("utf-8", "replace"), limit) for stream in (results.stdout, results.stderr))
    return f"STDOUT:\n{out}\n\nSTDERR:\n{err}\n\n{log_end(results.run)}"


def _cut(stream: str, limit: int | None) -> str:
    if limit is None or len(stream) <= limit:
        return stream
    half = limit // 2
    return f"{stream[:half]}\n[... {len(stream) - 2 * half} characters left out ...]\n{stream[-half:]}"


def log_file(job: str, sighting: Sighting, results: ResultSet) -> bytes:
    """Content of the log file; `job` is the absolute folder in which the job ends up."""
    name = " ".join(sighting.name.split())
    started = results.run.started_at or results.run.claimed_at
    lines = [f"Job: {name} ({sighting.ref.key})", f"Started: {naive_local_time(started)}"]
    lines += [f"Working Directory: {job}/code", f"Output Directory: {job}/{OUTPUT}"]
    if results.environment_note:
        lines.append(f"Environment: {' '.join(results.environment_note.split())}")
    return "\n".join([*lines, _RULER, "", log_text(results)]).encode("utf-8", "replace")


def metadata_log(results: ResultSet) -> str:
    """What the metadata file says about the output when a run ends: everything when it is shared, else how it ended."""
    return log_text(results, SHARED_LOG_LIMIT) if results.run.share_logs else log_end(results.run)


def shared_log(folder: str, results: ResultSet | None) -> str:
    """The output to put into the metadata file; without results it is read from the log file. Raises InvalidFileError."""
    return logged_text(os.path.join(folder, LOG_NAME)) if results is None else log_text(results, SHARED_LOG_LIMIT)


def logged_text(path: str) -> str:
    """What follows the header of a log file (absolute path), cut for a metadata file. Raises InvalidFileError."""
    with os.fdopen(open_regular(path), "rb") as file:
        log = file.read(LIMIT).decode("utf-8", "replace")
    _, ruler, body = log.partition(f"{_RULER}\n\n")
    return _cut(body if ruler else log, 2 * SHARED_LOG_LIMIT)


def submitter_of(sighting: Sighting) -> str:
    """Whom results are shared with. Raises UsageError when the job names nobody."""
    if not sighting.submitter:
        raise UsageError(f"{sighting.path}: names no submitter", "Copy the results with `scq output --copy-to` and send them.")
    return sighting.submitter


def job_rules(sighting: Sighting, shared: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Rules of a decided job: both people read the metadata, the submitter what is shared; the rest is the owner's alone."""
    readers = tuple(dict.fromkeys(person for person in (sighting.owner, sighting.submitter) if person))
    rules = [rule("metadata.json", read=readers, write=(sighting.owner,))]
    return [*rules, *(rule(pattern, read=(submitter_of(sighting),)) for pattern in shared)]


def protect(folder: str, rules: list[dict[str, Any]]) -> None:
    """Replace the permission file of a job: the submitter may have put one there that opens the results to anybody."""
    clear_the_way(os.path.join(folder, FILE_NAME))
    write_rules(folder, rules)


def at_home(sighting: Sighting) -> bool:
    """True when the job lies in the owner's own datasite, where a permission file can keep results from the submitter."""
    return same_address(sighting.ref.owner, sighting.owner)


def publish(folder: str, final: str, sighting: Sighting, results: ResultSet) -> None:
    """Write outputs and log of a run into a job folder (absolute), which afterwards moves to `final`. Idempotent.

    The permission file comes first. Outside the owner's datasite none can help, so only what is shared is written there.
    """
    run, home = results.run, at_home(sighting)
    _sweep(folder)
    if home:
        protect(folder, job_rules(sighting, (OUTPUTS,) if run.share_outputs and sighting.submitter else ()))
    write_outputs(folder, results.outputs_dir if home or run.share_outputs else None)
    write_log(folder, log_file(final, sighting, results) if home or run.share_logs else None)


def _sweep(folder: str) -> None:
    """Remove what calls that were killed left half written: results may be in it."""
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(".tmp"):
            remove_path(os.path.join(folder, name))


def withdraw(folder: str, sighting: Sighting) -> None:
    """Take the results of a run out of a job folder (absolute). Idempotent."""
    _sweep(folder)
    if at_home(sighting):
        protect(folder, job_rules(sighting))
    remove_path(os.path.join(folder, OUTPUT))
    write_log(folder, None)


def share_outputs(folder: str, sighting: Sighting, results: ResultSet | None) -> None:
    """Let the submitter read the outputs in a job folder (absolute). Raises UsageError when the job names no submitter."""
    submitter = submitter_of(sighting)
    if at_home(sighting):
        _grant(folder, sighting, OUTPUTS, submitter)
    elif results is not None:
        write_outputs(folder, results.outputs_dir)


def share_log_file(folder: str, sighting: Sighting, results: ResultSet | None) -> None:
    """Let the submitter read the log file in a job folder (absolute). Raises UsageError when the job names no submitter."""
    submitter = submitter_of(sighting)
    if at_home(sighting):
        _grant(folder, sighting, LOG_NAME, submitter)
    elif results is not None:
        write_log(folder, log_file(folder, sighting, results))


def _grant(folder: str, sighting: Sighting, pattern: str, submitter: str) -> None:
    """Add a read rule. The file is written anew with what scq itself grants: a submitter's own rules may say anything."""
    wanted = [rule(other, read=(submitter,)) for other in (OUTPUTS, LOG_NAME)]
    there = read_rules(folder)
    kept = tuple(str(item["pattern"]) for item in wanted if item in there or item["pattern"] == pattern)
    protect(folder, job_rules(sighting, kept))


def find_results(tree: Tree, path: str, uid: str) -> ResultFiles:
    """What lies beside a job's metadata. Stray are results in the code folder and in a job that was moved into itself."""
    log = f"{path}/{LOG_NAME}"
    return ResultFiles(
        outputs_dir=f"{path}/{OUTPUT}",
        outputs=_result_files(tree, path, OUTPUT),
        logs=(log,) if tree.is_dir(path) and tree.is_file(log) else (),
        stray=(
            *(f"{path}/code/outputs/{name}" for name in _result_files(tree, f"{path}/code", "outputs")),
            *(f"{path}/{uid}/{OUTPUT}/{name}" for name in _result_files(tree, f"{path}/{uid}", OUTPUT)),
        ),
    )


def _result_files(tree: Tree, parent: str, name: str) -> tuple[str, ...]:
    """Files below a folder, relative to it; none when its parent is a link that was only looked through."""
    found = tree.files(f"{parent}/{name}") if tree.is_dir(parent) else []
    return tuple(path for path in found if os.path.basename(path) not in PERMISSION_FILES)


def write_outputs(folder: str, outputs_dir: str | None) -> None:
    """Replace `output/` of a job folder (absolute) by what the job wrote; empty when that is None."""
    target = os.path.join(folder, OUTPUT)
    if os.path.islink(target) or os.path.isfile(target) or outputs_dir is None:
        remove_path(target)
    if outputs_dir is None:
        make_folder(target)
        return
    copy_results(outputs_dir, target)


def write_log(folder: str, content: bytes | None) -> None:
    """Replace the log file of a job folder (absolute); None takes it away."""
    path = os.path.join(folder, LOG_NAME)
    if content is None:
        remove_path(path)
        return
    clear_the_way(path)
    write_atomic(path, content, mode=0o644, sync=False)


def remove_path(path: str) -> None:
    """Remove whatever is at a path, without following a link; nothing there is fine."""
    if os.path.isdir(path) and not os.path.islink(path):
        remove_tree(path)
    elif os.path.lexists(path):
        os.unlink(path)
