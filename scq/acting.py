"""Carrying out what is written down: bringing the folders in line with the ledger, and noting that it was done.

Every intent is idempotent, so a call killed anywhere in here is finished by the next one that writes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection

from msgspec.structs import replace

from scq.context import Context
from scq.errors import BusyError, ScqError
from scq.model import Problem, Run, Sighting
from scq.ports import ResultSet
from scq.sandbox.scratch import remove_run
from scq.state import Intent, Record, State
from scq.store import exclusive
from scq.tree import DiskTree

ORDER: tuple[Intent, ...] = ("reopen", "decide", "share", "remove")


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


def saved_results(ctx: Context, run: Run) -> ResultSet:
    """The results of a run as they were kept in its own folder."""
    folder = os.path.join(ctx.runs_folder(), run.directory)
    outputs = os.path.join(folder, "outputs")
    return ResultSet(
        run=run,
        outputs_dir=outputs if os.path.isdir(outputs) else None,
        stdout=_log(folder, "stdout.txt"),
        stderr=_log(folder, "stderr.txt"),
    )


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
        results = saved_results(ctx, record.run) if record.run is not None else None
        layout.share(root, sighting, results, outputs=record.outputs == "released", logs=record.logs == "released")


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
    return any(getattr(record, name) != getattr(acted_on, name) for name in ("intents", "decision", "run", "outputs", "logs"))


def _log(folder: str, name: str) -> bytes:
    from scq.files import read_bytes

    path = os.path.join(folder, name)
    return read_bytes(path, 1 << 30) if os.path.lexists(path) else b""
