"""Carrying out what is written down: bringing the folders in line with the ledger, and noting that it was done.

Every intent is idempotent, so a call killed anywhere in here is finished by the next one that writes.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection

from msgspec.structs import replace

from scq.clean import line
from scq.context import Context
from scq.digest import manifest
from scq.errors import BusyError, IntegrityError, ScqError
from scq.files import make_folder, open_regular, remove_tree
from scq.model import Problem, ReleasedFile, Run, Sighting
from scq.ports import ResultSet
from scq.sandbox.scratch import remove_run
from scq.state import Intent, Record, State
from scq.store import exclusive
from scq.tree import DiskTree

ORDER: tuple[Intent, ...] = ("reopen", "decide", "share", "remove")
OUTPUTS, RELEASED = "outputs", "released"
"""Folders of a run: everything it wrote, and a copy of what was released of it, made anew for each publication."""
LOGS = ("stdout.txt", "stderr.txt")
BLOCK = 1 << 20


def carry_out(ctx: Context, keys: Collection[str] | None = None) -> list[Problem]:
    """Do every intent of the given jobs (of all when None) and settle it. What cannot be done now stays written down.

    One call at a time: two that write the same folders would undo each other's steps.
    """
    if not any(_wanted(record, key, keys) for key, record in ctx.store.load().jobs.items()):
        return []
    try:
        with exclusive(os.path.join(ctx.home, "locks", "folders.lock"), ctx.config.lock_timeout):
            return _carried_out(ctx, keys)
    except BusyError as error:
        return [Problem(ctx.config.root, str(error), "What was decided is written down; the next call shows it in the folders.")]


def _carried_out(ctx: Context, keys: Collection[str] | None) -> list[Problem]:
    problems: list[Problem] = []
    done: dict[str, tuple[Record, set[Intent]]] = {}
    for key, record in ctx.store.load().jobs.items():
        if not _wanted(record, key, keys):
            continue
        for intent in sorted(record.intents, key=ORDER.index):
            problem = _attempt(ctx, record, intent)
            if problem is not None:
                problems.append(problem)
                break
            done.setdefault(key, (record, set()))[1].add(intent)
    if done:
        ctx.store.update(lambda state: _settled(state, done))
        removed = {key for key, (_, intents) in done.items() if "remove" in intents}
        if removed:
            ctx.store.forget(removed)
    return problems


def _wanted(record: Record, key: str, keys: Collection[str] | None) -> bool:
    return bool(record.intents) and (keys is None or key in keys)


def current(ctx: Context, record: Record) -> Sighting | None:
    """What the folders of one job say right now; None when they are gone."""
    tree = DiskTree(ctx.config.root, ctx.config.email, now_ns=time.time_ns())
    layout = ctx.layout(record.sighting.ref.layout)
    spot = layout.locate(tree, record.sighting.ref)
    return None if spot is None else layout.read(tree, spot)


def unchanged(ctx: Context, sighting: Sighting, run: Run | None) -> None:
    """Where the submitter's address stands in a file of the submission, that file must still be the one that was approved.

    Raises IntegrityError when it may name somebody else.
    """
    if sighting.ref.submitter or run is None:
        return
    content = ctx.layout(sighting.ref.layout).content(sighting)
    if manifest(ctx.config.root, content, ctx.caps).digest != run.digest:
        what = f"{line(sighting.name)} is no longer what was run, so it may name somebody else than its submitter"
        raise IntegrityError(what, "Copy the results with scq output ID --copy-to FOLDER and send them yourself.")


def released_files(record: Record) -> tuple[tuple[ReleasedFile, ...], tuple[ReleasedFile, ...]]:
    """(outputs, logs) of the run in force that were released. The logs, where they were released too, are the last two files."""
    answer = record.answer
    if answer is None or answer.verdict == "withheld":
        return (), ()
    if record.logs != "released":
        return answer.files, ()
    return answer.files[: -len(LOGS)], answer.files[-len(LOGS) :]


def released_results(ctx: Context, record: Record) -> ResultSet:
    """What was released of a run, proven to be what the ledger names, and nothing else.

    The outputs are copied into a folder of their own, so that only they can be published. Raises IntegrityError when a kept
    file is not what was released, InvalidFileError when it cannot be read.
    """
    if record.run is None:
        raise IntegrityError(f"{record.id[:8]} was not run here", "Its results are where the software that ran it put them.")
    folder = os.path.join(ctx.runs_folder(), record.run.directory)
    outputs, logs = released_files(record)
    staged = os.path.join(folder, RELEASED, OUTPUTS)
    remove_tree(os.path.join(folder, RELEASED))
    for file in outputs:
        _copy_proven(os.path.join(folder, OUTPUTS, file.path), file, os.path.join(staged, file.path))
    stdout, stderr = [_proven_log(folder, file) for file in logs] or (b"", b"")
    run = replace(record.run, share_outputs=record.outputs == "released", share_logs=record.logs == "released")
    return ResultSet(run=run, outputs_dir=staged if outputs else None, stdout=stdout, stderr=stderr)


def _copy_proven(source: str, file: ReleasedFile, target: str) -> None:
    make_folder(os.path.dirname(target), 0o700)
    made = hashlib.sha256()
    with os.fdopen(open_regular(source), "rb") as reader:
        mode = os.fstat(reader.fileno()).st_mode & 0o755
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as writer:
            while block := reader.read(BLOCK):
                made.update(block)
                writer.write(block)
    _prove(made.hexdigest(), file, source)


def _proven_log(folder: str, file: ReleasedFile) -> bytes:
    text = _log(folder, file.path)
    _prove(hashlib.sha256(text).hexdigest(), file, os.path.join(folder, file.path))
    return text


def _prove(digest: str, file: ReleasedFile, source: str) -> None:
    if digest != file.sha256:
        raise IntegrityError(f"{source}: is no longer what was released", "Look at it with scq output, then release it again.")


def _attempt(ctx: Context, record: Record, intent: Intent) -> Problem | None:
    try:
        sighting = current(ctx, record)
        if sighting is None and intent == "remove":  # what a killed call left of it may no longer look like a job
            sighting = record.sighting
        if sighting is not None:
            _act(ctx, record, sighting, intent)
        if intent == "remove" and record.run is not None:
            remove_run(os.path.join(ctx.runs_folder(), record.run.directory))
    except ScqError as error:
        return Problem(record.sighting.path, str(error), error.advice)
    except OSError as error:
        advice = "It is written down and will be done by the next call that can write there."
        return Problem(error.filename or record.sighting.path, f"cannot be written ({error.strerror})", advice)
    return None


def _act(ctx: Context, record: Record, sighting: Sighting, intent: Intent) -> None:
    layout, root = ctx.layout(sighting.ref.layout), ctx.config.root
    if intent == "remove":
        layout.remove(root, sighting)
    elif intent == "reopen":
        layout.reopen(root, sighting)
    elif intent == "decide" and record.decision is not None:
        layout.decide(root, sighting, record.decision)
    elif intent == "share":
        _show_results(ctx, record, sighting)


def _show_results(ctx: Context, record: Record, sighting: Sighting) -> None:
    """Bring what lies in the folders in line with what is released: more of it, or less. Other software's results stay."""
    layout, root = ctx.layout(sighting.ref.layout), ctx.config.root
    outputs, logs = record.outputs == "released", record.logs == "released"
    results = None
    if record.run is not None:
        if outputs or logs:
            unchanged(ctx, sighting, record.run)
        results = released_results(ctx, record)
        layout.finish(root, sighting, results)
    if outputs or logs:
        layout.share(root, sighting, results, outputs=outputs, logs=logs)


def _settled(state: State, done: dict[str, tuple[Record, set[Intent]]]) -> State:
    jobs = dict(state.jobs)
    for key, (acted_on, intents) in done.items():
        record = jobs.get(key)
        if record is None or _decided_anew(record, acted_on):
            continue
        if "remove" in intents:
            del jobs[key]
        else:
            left = tuple(intent for intent in record.intents if intent not in intents)
            jobs[key] = replace(record, intents=left, stamp="")
    # A job may come under the name of a removed one: what the folders held is not known any more.
    return replace(state, jobs=jobs, folders=state.folders if len(jobs) == len(state.jobs) else {})


def _decided_anew(record: Record, acted_on: Record) -> bool:
    """True when somebody wrote something else down meanwhile: that has still to be carried out."""
    names = ("intents", "decision", "run", "answer", "outputs", "logs")
    return any(getattr(record, name) != getattr(acted_on, name) for name in names)


def _log(folder: str, name: str) -> bytes:
    from scq.files import read_bytes

    path = os.path.join(folder, name)
    return read_bytes(path, 1 << 30) if os.path.lexists(path) else b""
