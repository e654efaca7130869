"""What a message shows besides its words, read when it is sent: the code of a new job, the error output of a failed one.

Only for the owner. Nothing here stops a message: what cannot be shown is replaced by a sentence that says so.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from typing import Any

from msgspec import Struct

from scq.clean import block, line, log
from scq.comparing import Comparison, Reach, compare
from scq.context import Context
from scq.digest import manifest, read_entry, read_file
from scq.errors import InvalidFileError, ScqError
from scq.files import open_regular
from scq.findings import denied
from scq.model import Content, FileEntry, Manifest, Notification, Run
from scq.releasing import kept_outputs
from scq.reviewing import code_findings
from scq.showing import size, when, where_words
from scq.state import Record

FILE_BYTES = 50 << 10
"""Shown of each file."""
MAIL_BYTES = 500 << 10
"""Shown of all files together, the comparison included."""
COMPARED_BYTES = 100 << 10
READ_BYTES = 1 << 20
"""Longest file of which anything is shown: only what was read whole is proven to be what the digest names."""
LISTED = 200
"""Files, findings and settings named one by one."""
CODE_FILES = 100
"""Files whose text is shown."""
UNSEEN = 20
"""Sentences about files that could not be read."""
REACH = Reach(bytes=FILE_BYTES, lines=1_000, files=50)
ERROR_BYTES = 50 << 10
BY_OTHERS = frozenset({".venv", ".git", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", "node_modules"})
NOT_SHOWN = BY_OTHERS | {".DS_Store", "private"}
"""Names of files and folders whose text never goes into a message. They are listed with their sizes all the same."""


class Shown(Struct, frozen=True):
    """Files that can be shown, first `run.sh`: name to text and name to what is missing of it, and the files left out."""

    code: dict[str, str]
    notes: dict[str, str]
    left_out: int


def extra(ctx: Context, row: Notification) -> dict[str, Any]:
    """Further variables for the template of a row (docs/notifications.md); empty where there are none. Never raises ScqError.

    All texts are clean and capped. Nothing is shown of a job whose content is no longer what the row is about.
    """
    wanted = ("job.started", "job.received", "job.failed", "outputs.withheld") if row.role == "do" else ("job.started",)
    if row.kind not in wanted:
        return {}
    try:
        record = _record(ctx, row.job_id)
        if row.kind == "job.started":
            return {} if record is None else _whereabouts(ctx, record, row)
        if record is None:
            return {"unseen": ["The job is no longer there, so its files cannot be shown."]} if row.kind == "job.received" else {}
        if row.kind == "job.received":
            return _new_job(ctx, row, record)
        return _failed(ctx, record) if row.kind == "job.failed" else _results(ctx, record)
    except (ScqError, OSError) as error:
        return {"unseen": [f"Not everything can be shown: {line(str(error), 300)}"]}


def script(ctx: Context, record: Record, length: int) -> str:
    """The beginning of the `run.sh` that the digest of a record stands for, one character longer than `length` if it is longer.

    Somebody may approve by what he reads here: what was exchanged since it was hashed is never shown. Never raises ScqError.
    """
    content = ctx.layout(record.sighting.ref.layout).content(record.sighting)
    try:
        raw = read_file(ctx.config.root, content, content.run_sh, READ_BYTES + 1)
        made = manifest(ctx.config.root, content, ctx.caps)
    except InvalidFileError as error:
        return f"({error})"
    if len(raw) > READ_BYTES:
        return f"(too long to be shown here: scq review {record.id[:8]} shows it)"
    entry = next((entry for entry in made.files if entry.path == content.run_sh), None)
    if made.digest != record.digest or entry is None or hashlib.sha256(raw).hexdigest() != entry.sha256:
        return f"(it was changed while it was read: scq review {record.id[:8]} shows what it is now)"
    return raw.decode("utf-8", "replace")[: length + 1]


def last_errors(ctx: Context, run: Run) -> str:
    """The end of what a run wrote to stderr, empty where there is none. Never raises ScqError."""
    try:
        return _errors(ctx, run)
    except (InvalidFileError, OSError) as error:
        return f"({line(str(error), 300)})"


def _errors(ctx: Context, run: Run) -> str:
    return _tail(os.path.join(ctx.runs_folder(), run.directory, "stderr.txt"))


def _record(ctx: Context, job_id: str) -> Record | None:
    state = ctx.store.load()
    return next((record for record in state.jobs.values() if record.id == job_id), None) or next(
        (record for record in _finished(ctx) if record.id == job_id), None
    )


def _finished(ctx: Context, part: str = "") -> Iterator[Record]:
    """The remembered jobs that are over, only those with `part` in their key."""
    for key in ctx.store.finished_keys():
        record = ctx.store.finished_record(key) if part in key else None
        if record is not None:
            yield record


def _new_job(ctx: Context, row: Notification, record: Record) -> dict[str, Any]:
    if not row.context.get("digest") and (record.sighting.where == "drive" or not record.invalid):
        is_there = record.sighting.where == "drive"
        where = "is on Google Drive, not in the SyftBox folder yet" if is_there else "was on Google Drive when it was found"
        return {"job_code": {}, "unseen": [f"It {where}: scq review {record.id[:8]} shows its files."]}
    content = ctx.layout(record.sighting.ref.layout).content(record.sighting)
    made = manifest(ctx.config.root, content, ctx.caps)
    short_id = record.id[:8]
    if made.invalid:
        return {"job_code": {}, "unseen": [f"Its files cannot be shown: {line('; '.join(made.invalid[:3]), 500)}"]}
    if made.digest != row.context.get("digest"):
        return {"job_code": {}, "unseen": [f"Its content has changed since this message was written: scq review {short_id}"]}
    unseen: list[str] = []
    compared = _compared(ctx, record, unseen)
    findings = _findings(ctx, record, made, unseen)
    shown = _code(ctx, content, made, MAIL_BYTES - len(compared.get("text", "").encode()), unseen)
    if shown.left_out:
        unseen.append(f"Not every file is shown here: scq review {short_id} shows all of them.")
    return {
        "job_code": shown.code,
        "code_notes": shown.notes,
        "job_fields": [{"label": line(name, 40), "value": line(value, 300)} for name, value in content.fields[:LISTED]],
        "job_files": _listed(_ordered(made, content)),
        "findings": findings or [],
        "checked": findings is not None,
        "compared": compared or None,
        "unseen": unseen,
    }


def _ordered(made: Manifest, content: Content) -> list[FileEntry]:
    return sorted(made.files, key=lambda entry: (entry.path != content.run_sh, entry.path))


def _listed(entries: list[FileEntry]) -> list[str]:
    rows = [f"{size(entry.size):>9}  {line(entry.path, 300)}" for entry in entries[:LISTED]]
    return [*rows, f"and {len(entries) - LISTED} more"] if len(entries) > LISTED else rows


def _code(ctx: Context, content: Content, made: Manifest, room: int, unseen: list[str]) -> Shown:
    """The texts of the files in the order a reviewer reads them, as long as there is room."""
    code: dict[str, str] = {}
    notes: dict[str, str] = {}
    left_out = 0
    for entry in _ordered(made, content):
        if entry.path != content.run_sh and NOT_SHOWN.intersection(entry.path.split("/")):
            left_out += 1
            continue
        if len(code) >= CODE_FILES or room <= 0:
            left_out += 1
            continue
        try:
            text, note = _text(ctx, content, entry, min(FILE_BYTES, room))
        except InvalidFileError as error:
            left_out += 1
            if len(unseen) < UNSEEN:
                unseen.append(line(str(error), 300))
            continue
        name = _free(line(entry.path, 300), code)
        code[name], notes[name] = text, note
        room -= len(text.encode())
    return Shown(code, notes, left_out)


def _free(name: str, taken: Collection[str]) -> str:
    """A name that no other file has: two that differ in what cannot be shown would hide one behind the other."""
    if name not in taken:
        return name
    return next(other for number in range(2, len(taken) + 3) if (other := f"{name} ({number})") not in taken)


def _text(ctx: Context, content: Content, entry: FileEntry, limit: int) -> tuple[str, str]:
    """(cleaned beginning of a file, what is missing of it). Raises InvalidFileError when it is not what was hashed."""
    if entry.size > READ_BYTES:
        return "", f"{size(entry.size)}, too long to be shown here, sha256 {entry.sha256}"
    raw = read_entry(ctx.config.root, content, entry, READ_BYTES)
    if b"\0" in raw:
        return "", f"binary, {size(entry.size)}, sha256 {entry.sha256}"
    text = block(raw[:limit].decode("utf-8", "replace")).rstrip("\n")
    if len(raw) <= limit:
        return text, ""
    return text, f"only the first {size(limit)} of {size(entry.size)}; scq review shows the rest"


def _findings(ctx: Context, record: Record, made: Manifest, unseen: list[str]) -> list[str] | None:
    """One line for each finding; None when the code could not be looked at."""
    try:
        found = code_findings(ctx, record, made)
    except ScqError as error:
        unseen.append(f"The code could not be looked at: {line(str(error), 300)}")
        return None
    blocking = frozenset(denied(found, ctx.config.deny))
    rows = [
        f"{f'{line(item.path, 120)}:{item.line}' if item.path else 'all of it'}  {item.rule}  {line(item.what, 300)}"
        + ("  (denied by the configuration)" if item in blocking else "")
        for item in sorted(found, key=lambda item: item not in blocking)[:LISTED]
    ]
    return [*rows, f"and {len(found) - LISTED} more"] if len(found) > LISTED else rows


def _compared(ctx: Context, record: Record, unseen: list[str]) -> dict[str, str]:
    """Title and text of the comparison with what was approved last; empty without anything to compare with."""
    seen = record.sighting
    others = [*ctx.store.load().jobs.values(), *_finished(ctx, f"/{seen.ref.submitter}/")]
    try:
        found = compare(ctx, record, others, reach=REACH)
    except ScqError as error:
        unseen.append(f"It could not be compared with what was approved before: {line(str(error), 300)}")
        return {}
    if found is None:
        return {}
    if not found.changes:
        return {"title": f"Nothing differs from the last approved job ({line(found.against)}).", "text": ""}
    text, whole = _as_text(found)
    title = f"Compared with the last approved job ({line(found.against)})"
    return {"title": title if whole else f"{title}, the beginning: scq diff {record.id[:8]}", "text": text}


def _as_text(found: Comparison) -> tuple[str, bool]:
    """(the differences as clean text of at most 100 KiB, whether these are all)."""
    parts = (f"── {line(change.path, 300)}  {change.change}\n{block(change.diff).rstrip()}".rstrip() for change in found.changes)
    raw = "\n".join(parts).encode()
    return raw[:COMPARED_BYTES].decode("utf-8", "ignore"), len(raw) <= COMPARED_BYTES


def _failed(ctx: Context, record: Record) -> dict[str, Any]:
    """The end of what a job wrote to stderr, from the folder of its run; what the row holds stays where there is no more."""
    text = _errors(ctx, record.run) if record.run is not None else ""
    return {"error_output": text} if text else {}


def _tail(path: str) -> str:
    """The last 50 KiB of a log, cleaned, beginning with a whole line; empty when there is none."""
    if not os.path.lexists(path):
        return ""
    with os.fdopen(open_regular(path), "rb") as file:
        length = os.fstat(file.fileno()).st_size
        file.seek(max(0, length - ERROR_BYTES))
        text = log(file.read(ERROR_BYTES).decode("utf-8", "replace")).strip("\n")
    if length <= ERROR_BYTES:
        return text
    return f"[the beginning is left out: {size(length - ERROR_BYTES)}]\n{text.partition(chr(10))[2] or text}"


def _whereabouts(ctx: Context, record: Record, row: Notification) -> dict[str, Any]:
    """Where a job that was handed to a cluster is now. The submitter hears only that it waits: machines have names."""
    place = ctx.whereabouts((record,)).get(record.id)
    if place is None:
        return {}
    waits = place.state == "waiting"
    if row.role == "do":
        return {"place": where_words(place), "waits": waits, "node": line(place.node)}
    start = f", expected to start at {when(place.starts_at)}" if place.starts_at is not None else ""
    return {"place": f"waits for a free machine{start}", "waits": True} if waits else {}


def _results(ctx: Context, record: Record) -> dict[str, Any]:
    """The held result files of a run with their sizes."""
    if record.run is None:
        return {}
    files = kept_outputs(ctx, record.run)
    rows = [f"{size(length):>9}  {line(path, 300)}" for path, length in files[:LISTED]]
    return {"files": [*rows, f"and {len(files) - LISTED} more"] if len(files) > LISTED else rows}
