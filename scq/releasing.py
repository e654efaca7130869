"""What leaves of a run's results: held until the owner releases them, looked into before, withheld with an answer.

Everything a run wrote stays in its own folder outside the SyftBox. An answer names every file that leaves by its digest, is
written down first, and is then carried out: what lies in the SyftBox folder follows the ledger, never the other way round.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from scq.acting import BLOCK, LOGS, OUTPUTS, carry_out, released_files, unchanged
from scq.clean import line
from scq.context import Context, audited
from scq.errors import FAILED, OK, BusyError, IntegrityError, ScqError, UsageError
from scq.exchanging import send_back
from scq.files import open_regular, walk
from scq.model import Answer, Job, Problem, ReleasedFile, Run, Sighting
from scq.planning import concerns
from scq.report import Report
from scq.selecting import select
from scq.state import Record, State
from scq.view import answer_dict, as_dict, expect, fits, job_of

if TYPE_CHECKING:
    from scq.findings import Inspected, Known

ENTRIES_LIMIT = 1_000_000
INSPECTED_BYTES = 4 << 20
"""Of each file; what lies behind is not looked into."""
MOST_INSPECTED = 1_000
DATA_BYTES = 64 << 20
"""Of the declared data, read to recognise copies of it."""
LOOK = "Look at the results with that in mind."
FILES_PER_ROW = 50
SHOWN_NAMES = 20


class Leaving(Struct, frozen=True):
    """What leaves of a run as it ends. `waits` says why nothing leaves although `auto_release` is configured."""

    answer: Answer | None = None
    outputs: bool = False
    logs: bool = False
    waits: str = ""
    kept: bool = False
    """True when there are results at all."""


class Choice(Struct, frozen=True):
    """What is released: outputs that fit one of the patterns `only` (empty: all of them), logs, or both."""

    outputs: bool = True
    only: tuple[str, ...] = ()
    logs: bool = False


def at_end(ctx: Context, record: Record, run: Run, sighting: Sighting | None) -> Leaving:
    """What leaves of a run that has just ended and whose results were collected: by the owner's word beforehand, or by
    `auto_release`. `sighting` is what the folders of the job show now. Writes nothing.
    """
    kept = bool(kept_outputs(ctx, run))
    if sighting is None:
        return Leaving(waits="the job is gone", kept=kept)
    automatic, waits = False, ""
    if ctx.config.auto_release.types and not run.share_outputs:
        waits = objection(ctx, record, run, sighting)
        automatic = not waits
    outputs = run.share_outputs or automatic
    logs = run.share_logs or (automatic and ctx.config.auto_release.logs)
    if not (outputs or logs):
        return Leaving(waits=waits, kept=kept)
    if not sighting.submitter:
        return Leaving(waits="the job names no submitter", kept=kept)
    paths = [path for path, _ in kept_outputs(ctx, run)] if outputs else []
    files = described(ctx, run, paths, logs=logs)
    return Leaving(Answer("released", ctx.config.email, ctx.now(), files=files, automatic=automatic), outputs, logs, waits, kept)


def ended(record: Record, run: Run, leaving: Leaving) -> Record:
    """The record of a job whose run is over, with what leaves of it."""
    return replace(
        record,
        run=run,
        stamp="",
        answer=leaving.answer,
        outputs="released" if leaving.outputs else "withheld" if leaving.kept else "none",
        logs="released" if leaving.logs else "withheld",
    )


def audit_answer(ctx: Context, state: State, key: str, record: Record, files: Sequence[ReleasedFile] | None = None) -> State:
    """The state with the audit rows of a record's answer: every file that leaves, by its digest. `files` are those that are
    new in it (default: all).
    """
    answer = record.answer
    if answer is None:
        return state
    files = answer.files if files is None else files
    what = "withhold" if answer.verdict == "withheld" else "release"
    head = "automatic" if answer.automatic else answer.reason or "shared"
    digest = record.run.digest if record.run is not None else record.digest or ""
    for start in range(0, max(1, len(files)), FILES_PER_ROW):
        names = [f"{file.sha256} {_printable(file.path)}" for file in files[start : start + FILES_PER_ROW]]
        detail = "\n".join([head, *names])
        state = audited(state, answer.at, answer.by, what, ref=key, job=record.id, digest=digest, detail=detail)
    answer = replace(answer, audit_row=state.audited, audit_head=state.audit_head)
    return replace(state, jobs={**state.jobs, key: replace(record, answer=answer)})


def _printable(path: str) -> str:
    """A name that cannot look like another line of the log."""
    return path if path.isprintable() else ascii(path)[1:-1]


def kept_outputs(ctx: Context, run: Run) -> list[tuple[str, int]]:
    """(path, bytes) of every result file of a run, as they are kept in its folder."""
    folder = os.path.join(ctx.runs_folder(), run.directory, OUTPUTS)
    if not os.path.isdir(folder):
        return []
    return sorted((path, found.st_size) for path, found in walk(folder, ENTRIES_LIMIT) if stat.S_ISREG(found.st_mode))


def described(ctx: Context, run: Run, paths: Iterable[str], *, logs: bool) -> tuple[ReleasedFile, ...]:
    """Result files of a run with their digests, in order of their paths; the logs, when wanted, come last."""
    folder = os.path.join(ctx.runs_folder(), run.directory)
    files = [_described(os.path.join(folder, OUTPUTS, path), path) for path in sorted(paths)]
    return (*files, *(_described(os.path.join(folder, name), name, may_miss=True) for name in (LOGS if logs else ())))


def _described(source: str, path: str, *, may_miss: bool = False) -> ReleasedFile:
    """`may_miss`: a run that never began has no logs; they count as empty."""
    made, size = hashlib.sha256(), 0
    if may_miss and not os.path.lexists(source):
        return ReleasedFile(path, 0, made.hexdigest())
    with os.fdopen(open_regular(source), "rb") as file:
        while block := file.read(BLOCK):
            made.update(block)
            size += len(block)
    return ReleasedFile(path, size, made.hexdigest())


def inspect_outputs(ctx: Context, record: Record, *, logs: bool = False) -> tuple[dict[str, Inspected], tuple[Problem, ...]]:
    """(what a look into each result file of a run found, by path; what could not be read).

    With `logs` they are looked into as well. At most 1,000 files are, each up to 4 MiB.
    """
    from scq.findings import inspect

    run = record.run
    if run is None:
        return {}, ()
    known, problems = known_data(ctx, record.sighting)
    folder, kept = os.path.join(ctx.runs_folder(), run.directory), kept_outputs(ctx, run)
    if len(kept) > MOST_INSPECTED:
        problems.append(Problem(folder, f"only {MOST_INSPECTED} of {len(kept)} result files were looked into", LOOK))
    places = {path: os.path.join(folder, OUTPUTS, path) for path, _ in kept[:MOST_INSPECTED]}
    if logs:
        places |= {f"(logs)/{name}": os.path.join(folder, name) for name in LOGS if os.path.lexists(os.path.join(folder, name))}
    found: dict[str, Inspected] = {}
    for path, place in places.items():
        try:
            with os.fdopen(open_regular(place), "rb") as file:
                found[path] = inspect(path, file.read(INSPECTED_BYTES), os.fstat(file.fileno()).st_size, known)
        except ScqError as error:
            problems.append(Problem(path, str(error), error.advice))
    return found, tuple(problems)


def known_data(ctx: Context, sighting: Sighting) -> tuple[Known, list[Problem]]:
    """Fingerprints of the declared data that a job could read, and which of it could not be read."""
    from scq.findings import fingerprints

    problems: list[Problem] = []
    places = [folder.path for folder in ctx.config.data if concerns(folder, sighting)]
    known = fingerprints(_blocks(places, problems))
    if not known.complete:
        problems.append(Problem("data", "has more lines than are compared with the results", LOOK))
    return known, problems


def _blocks(places: Iterable[str], problems: list[Problem]) -> Iterator[bytes]:
    """The content of files and folders, up to a limit in all, with a line break behind each file."""
    room = DATA_BYTES
    for path in _regular_files(places, problems):
        try:
            with os.fdopen(open_regular(path), "rb") as file:
                while room > 0 and (block := file.read(min(BLOCK, room))):
                    room -= len(block)
                    yield block
        except (ScqError, OSError) as error:
            problems.append(Problem(path, f"was not compared with the results: {error}", "Check that it can be read."))
        yield b"\n"
        if room <= 0:
            what = f"is more than {DATA_BYTES >> 20} MiB of data: copies of what lies behind are not recognised"
            problems.append(Problem(path, what, LOOK))
            return


def _regular_files(places: Iterable[str], problems: list[Problem]) -> Iterator[str]:
    for place in places:
        if os.path.isfile(place):
            yield os.path.realpath(place)
            continue
        try:
            yield from (os.path.join(place, path) for path, found in walk(place, ENTRIES_LIMIT) if stat.S_ISREG(found.st_mode))
        except OSError as error:
            problems.append(Problem(place, f"was not compared with the results: {error.strerror}", "See `data` in config.yaml."))


def objection(ctx: Context, record: Record, run: Run, sighting: Sighting) -> str:
    """Why the results of a run do not leave by themselves under `auto_release`; empty when they may."""
    from scq.findings import is_plain

    rules, files = ctx.config.auto_release, kept_outputs(ctx, run)
    if run.cause != "exit" or run.exit_code != 0:
        return "the job did not complete"
    if len(files) > min(rules.files, MOST_INSPECTED):
        return f"{len(files)} files, {min(rules.files, MOST_INSPECTED)} are allowed"
    if sum(size for _, size in files) > rules.bytes:
        return f"{sum(size for _, size in files)} bytes, {rules.bytes} are allowed"
    for path, size in files:
        if not path.lower().endswith(tuple(ending.lower() for ending in rules.types)):
            return f"{line(path, 200)} is of none of the types {' '.join(rules.types)}"
        if size > INSPECTED_BYTES:
            return f"{line(path, 200)} is too large to be looked through"
        if not is_plain(path):
            return f"{line(path, 200)} has a name that somebody has to look at first"
    try:
        unchanged(ctx, sighting, run)
    except IntegrityError as error:
        return str(error)
    found, problems = inspect_outputs(ctx, replace(record, run=run), logs=rules.logs)
    if problems:
        return f"{line(problems[0].where, 200)}: {line(problems[0].what, 300)}"
    return next((f"{line(path, 200)}: {hint.rule}" for path, result in found.items() for hint in result.findings), "")


def release(
    ctx: Context, command: str, word: str, choice: Choice, reason: str, *, seen: str | None = None, dry_run: bool
) -> Report:
    """Let chosen results of one job leave. Releasing again adds to what was released before.

    With `seen`, its revision, the job must still be what it was when it was shown.
    """
    key, record, job, shown = select(ctx, word)
    expect(job, seen)
    answerable(ctx, job)
    unchanged(ctx, job.sighting, job.run)
    if job.run is None and choice.only:
        raise UsageError(f"{job.short_id} was not run here", "Its results can only be shared as a whole: scq share.")
    after = _released(ctx, record, choice, reason)
    before = record.answer.files if record.answer is not None else ()
    fresh = [file for file in after.answer.files if file not in before] if after.answer is not None else []
    problems = [*shown.problems, *([] if dry_run else write_down(ctx, key, record, after, fresh))]
    what = " and ".join(name for name, given in (("outputs", choice.outputs), ("logs", choice.logs)) if given)
    verb = {"share": "shared", "release": "released"}[command] if not dry_run else f"would {command}"
    head = f"{verb} {what} of {job.short_id}  {line(job.name)} with {line(job.sighting.submitter)}"
    lines = (head, *(f"  {file.sha256[:16]}  {line(file.path, 300)}" for file in fresh))
    return report(command, after, lines, problems, dry_run=dry_run, failed=len(problems) > len(shown.problems))


def answerable(ctx: Context, job: Job) -> None:
    """Raises UsageError when it is not this owner who decides about the results of a job, or not yet."""
    if job.sighting.owner != ctx.config.email:
        raise UsageError(f"{job.short_id} belongs to {job.sighting.owner}", "Only the owner decides about its results.")
    if job.status not in ("completed", "failed") or (job.run is not None and job.run.phase != "settled"):
        raise UsageError(f"{job.short_id} is {job.status}", "Only the results of a job that is over can leave.")
    if not job.sighting.submitter:
        raise UsageError(f"{job.short_id} names no submitter", "There is nobody to answer.")


def _released(ctx: Context, seen: Record, choice: Choice, reason: str) -> Record:
    """The record after a release. Jobs that were not run here have no list of files: the folder they lie in is shared."""
    outputs, logs = seen.outputs, seen.logs
    after = replace(
        seen,
        outputs="released" if choice.outputs else outputs,
        logs="released" if choice.logs else logs,
        intents=(*(intent for intent in seen.intents if intent != "share"), "share"),
    )
    if seen.run is None:
        return after
    paths = {file.path for file in released_files(seen)[0]}
    wanted = paths | set(_fitting(ctx, seen.run, choice)) if choice.outputs else paths
    files = described(ctx, seen.run, wanted, logs=after.logs == "released")
    told = "withheld" if wanted > paths else seen.told_outputs
    return replace(after, answer=Answer("released", ctx.config.email, ctx.now(), reason, files), told_outputs=told)


def _fitting(ctx: Context, run: Run, choice: Choice) -> list[str]:
    paths = [path for path, _ in kept_outputs(ctx, run)]
    if not choice.only:
        return paths
    for pattern in choice.only:
        if not any(fits(path, pattern) for path in paths):
            there = ", ".join(line(path, 100) for path in paths[:SHOWN_NAMES]) or "no files at all"
            more = f" and {len(paths) - SHOWN_NAMES} more" if len(paths) > SHOWN_NAMES else ""
            raise UsageError(f"no result file fits {line(pattern, 100)!r}", f"There are {there}{more}.")
    return [path for path in paths if any(fits(path, pattern) for pattern in choice.only)]


def write_down(ctx: Context, key: str, seen: Record, after: Record, fresh: Sequence[ReleasedFile]) -> list[Problem]:
    """Save an answer with its audit rows (`fresh` are the files that are new in it), then bring the folders in line with it, and
    Google Drive where results are sent back over it.

    Raises BusyError when the job was answered or run again since it was `seen`.
    """
    fields = {name: getattr(after, name) for name in ("answer", "outputs", "logs", "intents")} | {"stamp": ""}
    if after.told_outputs != seen.told_outputs:
        fields["told_outputs"] = after.told_outputs
    ctx.store.update(_change(ctx, key, seen, fields, fresh))
    return [*carry_out(ctx, {key}), *send_back(ctx)]


def _change(
    ctx: Context, key: str, seen: Record, fields: dict[str, object], fresh: Sequence[ReleasedFile]
) -> Callable[[State], State]:
    def change(state: State) -> State:
        record = state.jobs.get(key, seen)
        if record.run != seen.run or record.answer != seen.answer:
            raise BusyError(f"{record.id[:8]} was answered by another call meanwhile", f"See scq show {record.id[:8]}.")
        record = replace(record, **fields)
        state = replace(state, jobs={**state.jobs, key: record})
        if record.run is not None:
            return audit_answer(ctx, state, key, record, fresh)
        detail = " ".join(name for name in ("outputs", "logs") if fields[name] == "released")
        return audited(
            state, ctx.now(), ctx.config.email, "share", ref=key, job=record.id, digest=record.digest or "", detail=detail
        )

    return change


def report(
    command: str, after: Record, lines: Iterable[str], problems: Sequence[Problem], *, dry_run: bool, failed: bool
) -> Report:
    """What a verb that answers a job returns: the job as it is afterwards."""
    data = as_dict(job_of(after)) | {"answer": answer_dict(after.answer), "dry_run": dry_run}
    return Report(command, data, tuple(lines), tuple(problems), FAILED if failed else OK)
