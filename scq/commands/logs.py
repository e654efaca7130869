"""`scq logs`: what a job wrote to its standard output and error output, or what a service did."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping

import msgspec

from scq.clean import line, log
from scq.context import Context
from scq.errors import InvalidFileError, UsageError
from scq.executors import rundir
from scq.executors.following import Following
from scq.files import read_bytes
from scq.journal import error_log_file, log_file
from scq.journal.reading import follow, parsed, tail
from scq.model import Job, Run
from scq.ports import Plan
from scq.reasons.ending import CAUSES
from scq.report import Report
from scq.selecting import select
from scq.services import SERVICES
from scq.showing import where_words
from scq.state import Record
from scq.tree import DiskTree

LIMIT = 64 << 20
LINES = 50
"""Shown of the log of a service, where nothing else is asked for."""
STREAMS = ("stdout", "stderr")
TELLS = "the next scq run-approved or scq cycle tells"
INTERVAL = 0.5
"""Seconds between two looks at the logs of a job."""
SETTLED_EVERY, ASK_EVERY = 4, 60
"""Looks after which the ledger, and a cluster, are asked whether it is over: a result file tells sooner, if one is written."""


def run(ctx: Context, word: str, *, stderr: bool = False, stdout: bool = False) -> Report:
    """Show the logs of one job: those kept from its run here, else those its folders hold. Both streams unless one is named.

    Of a job that still runs, here or on a cluster, it is what was written so far. Raises UsageError when there is nothing.
    """
    _, record, job, shown = select(ctx, word)
    texts = _texts(ctx, record, job, stderr=stderr, stdout=stdout)
    return Report("logs", {"id": job.id, "logs": texts}, tuple(_lines(texts)), shown.problems)


def following_job(
    ctx: Context,
    word: str,
    *,
    stderr: bool = False,
    stdout: bool = False,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[str]:
    """What a job has written, and every line as it comes, once each, until its run is over. Raises UsageError, InvalidFileError.

    `ctx.say` hears where a job is that was handed to a cluster, and in the end how it ended. Which call runs the job does not
    matter. `wait` is called with seconds between two looks, and what it raises (Ctrl-C) ends it.
    """
    key, record, job, _ = select(ctx, word)
    run = record.run
    if run is None or run.phase == "settled":
        yield from _lines(_texts(ctx, record, job, stderr=stderr, stdout=stdout))
        ctx.say(_over(run, job.short_id) if run is not None else f"{job.short_id} is {job.status}")
        return
    at_work = _AtWork(ctx, key, record, run)
    logs = {name: Following(_limit(ctx, run)) for name in STREAMS if _is_wanted(name, stderr=stderr, stdout=stdout)}
    headed = ""
    while True:
        over, folder = at_work.is_over(), at_work.folder()
        for name, text in _come(ctx, logs, folder, over=over):
            if len(logs) > 1 and headed != name:
                yield f"── {name}"
                headed = name
            yield text
        if over and folder == at_work.folder():
            break
        if not over:
            # Also after something came: a job that never stops writing must not make a look of each of its lines.
            wait(INTERVAL)
    ctx.say(at_work.ended)


def _come(ctx: Context, logs: Mapping[str, Following], folder: str, *, over: bool) -> Iterator[tuple[str, str]]:
    """(name of the log, line) of all that is new in these logs."""
    for name, following in logs.items():
        was_cut = following.is_cut
        while texts := following.take(os.path.join(folder, f"{name}.txt"), over=over):
            yield from ((name, log(text)) for text in texts)
        if following.is_cut and not was_cut:
            ctx.say(f"{name} is full: only its beginning and its end are kept, and the end is shown when the job is over")


def is_service(word: str) -> bool:
    """Whether a word names a service: its log is shown, even if a job has that name, too."""
    return word in SERVICES


def service(ctx: Context, name: str, *, lines: int = LINES, errors: bool = False, run_id: str = "") -> Report:
    """Show the last lines of the log of a service, also from the files put aside. Raises InvalidFileError.

    `errors`: only warnings and errors. `run_id`: only those of one call, by its id or a beginning of it.
    """
    path = _path(ctx, name, errors)
    found = tail(path, lines, _of(run_id))
    data = {"service": name, "path": path, "lines": [msgspec.to_builtins(parsed(text)) for text in found]}
    shown = found or ([f"no such line in {path}"] if os.path.exists(path) else [f"nothing was logged yet: {path} is not there"])
    return Report("logs", data, tuple(shown))


def following(ctx: Context, name: str, *, lines: int = LINES, errors: bool = False, run_id: str = "") -> Iterator[str]:
    """As `service`, and then every new line as it comes, until the caller stops. Raises InvalidFileError."""
    return follow(_path(ctx, name, errors), lines, keep=_of(run_id))


def _path(ctx: Context, name: str, errors: bool) -> str:
    return error_log_file(ctx.home, name) if errors else log_file(ctx.home, name)


def _of(run_id: str) -> Callable[[str], bool] | None:
    return (lambda text: run_id in text and parsed(text).run.startswith(run_id)) if run_id else None


class _AtWork:
    """A run that is not over, as far as was known: whether it is by now. `ended` then says how."""

    def __init__(self, ctx: Context, key: str, record: Record, run: Run) -> None:
        self.ended = ""
        self._ctx = ctx
        self._key = key
        self._run = run
        self._short_id = record.id[:8]
        self._directory = os.path.join(ctx.runs_folder(), run.directory)
        self._executor = ctx.executor(run.executor)
        self._looks = 0
        self._state = ""
        self._missed = 0

    def folder(self) -> str:
        return self._executor.logs(self._directory)

    def is_over(self) -> bool:
        """Look once more. Whoever reads the logs after this said so reads all of them."""
        looks, self._looks = self._looks, self._looks + 1
        if not self.ended:
            self.ended = self._result()
        if not self.ended and looks % SETTLED_EVERY == SETTLED_EVERY - 1:
            self.ended = self._remembered()
        if not self.ended and self._executor.remote and looks % ASK_EVERY == 0:
            self.ended = self._asked()
        return self.ended != ""

    def _result(self) -> str:
        """From what the wrapper of the run wrote last."""
        is_dead = not self._executor.remote and rundir.was_started(self._directory) and not rundir.is_locked(self._directory)
        ending = rundir.read_result(self.folder())
        if ending is not None and self._executor.remote and ending.cause == "interrupted":  # why is known to the cluster alone
            return f"{self._short_id} was ended on the cluster; {TELLS} why"
        if ending is not None:
            then = "; the next scq run-approved or scq cycle takes its results over" if self._executor.remote else ""
            return _ended(self._short_id, ending.cause, ending.exit_code, ending.detail) + then
        return f"{self._short_id}: its runner is gone; the next scq run-approved tells how it ended" if is_dead else ""

    def _remembered(self) -> str:
        store = self._ctx.store
        record = store.load().jobs.get(self._key) or store.finished_record(self._key)
        if record is None:
            return f"{self._short_id} was removed"
        if record.run is None or record.run.directory != self._run.directory:
            return f"{self._short_id}: this run was given back; the job is {record.status}"
        return _over(record.run, self._short_id) if record.run.phase == "settled" else ""

    def _asked(self) -> str:
        """From the cluster, for a run that leaves no result. What is being handed over may not be known there at first."""
        place = self._ctx.executor(self._run.executor, anew=True).whereabouts([self._directory]).get(self._directory)
        state = "" if place is None else place.state
        if place is not None and state != self._state and state != "ending":
            self._ctx.say(f"{self._short_id} {where_words(place)}")
        self._state = state
        self._missed = self._missed + 1 if state in ("", "ending") else 0
        if self._missed < 2:
            return ""
        return f"{self._short_id} is over on the cluster; {TELLS} how it ended"


def _over(run: Run, short_id: str) -> str:
    return _ended(short_id, run.cause or "exit", run.exit_code, run.detail)


def _ended(short_id: str, cause: str, exit_code: int | None, detail: str) -> str:
    if cause == "exit":
        return f"{short_id} ended with exit code {exit_code}"
    return f"{short_id} failed: {CAUSES.get(cause, line(cause, 40))}" + (f" ({line(detail, 300)})" if detail else "")


def _limit(ctx: Context, run: Run) -> int:
    """Bytes that are kept of each log of this run."""
    from scq.collecting import PLAN

    try:
        plan = msgspec.json.decode(read_bytes(os.path.join(ctx.runs_folder(), run.directory, PLAN)), type=Plan)
    except (InvalidFileError, msgspec.MsgspecError):
        return ctx.config.log_limit
    return plan.limits.log_bytes or ctx.config.log_limit


def _is_wanted(name: str, *, stderr: bool, stdout: bool) -> bool:
    return (not stderr and not stdout) or (stderr and name == "stderr") or (stdout and name != "stderr")


def _lines(texts: dict[str, str]) -> Iterator[str]:
    for name, text in texts.items():
        if len(texts) > 1:
            yield f"── {name}"
        yield from log(text).rstrip("\n").split("\n") if text else ()


def _texts(ctx: Context, record: Record, job: Job, *, stderr: bool, stdout: bool) -> dict[str, str]:
    """The wanted logs by name."""
    texts = _kept(ctx, record) or _published(ctx, record)
    if not texts and record.run is not None and record.run.is_out:
        place = ctx.whereabouts((record,)).get(record.id)
        if place is not None and place.state == "ending":
            raise UsageError(
                f"{job.short_id} is over on the cluster; no log of it is here yet", "scq run-approved takes it over."
            )
        where = "is being handed to the cluster" if place is None else where_words(place)
        raise UsageError(
            f"{job.short_id} {where}; nothing was written yet", f"To wait for it and see it come: scq logs {job.short_id} -f"
        )
    if not texts:
        raise UsageError(f"{job.short_id} has no logs", f"It is {job.status}; see scq show {job.short_id}")
    return {name: text for name, text in texts.items() if _is_wanted(name, stderr=stderr, stdout=stdout)}


def _kept(ctx: Context, record: Record) -> dict[str, str]:
    run = record.run
    if run is None:
        return {}
    folder = os.path.join(ctx.runs_folder(), run.directory)
    if run.is_out:
        folder = ctx.executor(run.executor).logs(folder)
    growing = _limit(ctx, run) if run.phase != "settled" and rundir.read_result(folder) is None else None
    paths = {name: os.path.join(folder, f"{name}.txt") for name in STREAMS}
    return {name: _text(path, growing) for name, path in paths.items() if os.path.lexists(path)}


def _published(ctx: Context, record: Record) -> dict[str, str]:
    tree = DiskTree(ctx.config.root, ctx.config.email)
    results = ctx.layout(record.sighting.ref.layout).results(tree, record.sighting)
    texts: dict[str, str] = {}
    for path in results.logs:
        name = path.rsplit("/", 1)[-1].removesuffix(".txt").removesuffix(".log")
        if name != "returncode":
            texts[name] = _text(os.path.join(ctx.config.root, path))
    if not texts and record.sighting.layout.startswith("a"):
        texts = _from_metadata(ctx, record)
    return texts


def _from_metadata(ctx: Context, record: Record) -> dict[str, str]:
    """In the status-folder generation a submitter finds the logs inside metadata.json only."""
    from scq.files import read_text
    from scq.formats import parse_json, text

    path = os.path.join(ctx.config.root, record.sighting.path, "metadata.json")
    try:
        logs = text(parse_json(read_text(path, 16 << 20), path).get("logs"), 16 << 20)
    except InvalidFileError:
        return {}
    return {"execution": logs} if logs else {}


def _text(path: str, growing: int | None = None) -> str:
    """A log as text. Of one that is `growing` and has reached that limit, the second half is being written over."""
    raw = read_bytes(path, LIMIT)
    if growing is not None and len(raw) == growing:
        raw = raw[: growing // 2] + b"\n--- the end of this log can be read when the job is over ---\n"
    return raw.decode("utf-8", "replace")
