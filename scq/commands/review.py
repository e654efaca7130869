"""`scq review`: read everything of a job that can execute, and remember which content was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from scq.clean import block, line
from scq.context import Context
from scq.digest import manifest, read_entry
from scq.errors import IntegrityError, UsageError
from scq.findings import denied, in_code
from scq.looking import observe
from scq.model import Content, FileEntry, Finding, Job, Manifest, Problem
from scq.report import Report
from scq.reviewing import Terms, code_findings, terms, unknown_rules
from scq.selecting import select
from scq.showing import LIMIT_WORDS, ON_DRIVE, card, limit_words, size
from scq.state import Record, State
from scq.view import as_dict

SHOWN_BYTES = 256 << 10
"""Longest file that is shown whole; the rest of a longer one is named, never hidden."""

Paint = Callable[[str, str], str]
"""(path, cleaned text) → text with syntax colours."""


def run(ctx: Context, word: str, *, file: str = "", paint: Paint | None = None, remember: bool = True) -> Report:
    """Show one job: its limits, what should be looked at in its code, then run.sh and every other file, and why it cannot be run.

    Reading the whole job (no `file`) notes the digest as reviewed; `scq approve` refuses when the content differs then.
    """
    key, record, job, shown = select(ctx, word)
    if record.sighting.where == "drive":
        return _on_drive(ctx, job, file, paint, shown.problems)
    content = ctx.layout(record.sighting.ref.layout).content(record.sighting)
    made = manifest(ctx.config.root, content, ctx.caps)
    entries = _wanted(made, content, file)
    texts = [(entry, *_text(read_entry(ctx.config.root, content, entry, SHOWN_BYTES), entry)) for entry in entries]
    files = [_file(entry, text, whole) for entry, text, whole in texts]
    found = tuple(finding for finding in code_findings(ctx, record, made) if not file or finding.path == file)
    blocking = frozenset(denied(found, ctx.config.deny))
    wanted = terms(ctx, record)
    data = as_dict(job) | {"digest": made.digest or None, "invalid": list(made.invalid or job.invalid), "files": files}
    data |= {"findings": [msgspec.to_builtins(finding) | {"denied": finding in blocking} for finding in found]}
    data |= {"limits": _limits(wanted)}
    lines = [] if file else card(replace(job, digest=made.digest or None, invalid=made.invalid or job.invalid)) + _terms(wanted)
    lines.extend(_findings(found, blocking))
    for entry, text, whole in texts:
        lines.extend(_shown(entry, text, whole, paint))
    if not file and not made.invalid:
        lines.extend(
            ["", f"to approve exactly this:  scq approve {job.short_id}", f"to refuse:  scq reject {job.short_id} -r REASON"]
        )
    if remember and not file and made.digest:
        _remember(ctx, key, record, made.digest)
    return Report("review", data, tuple(lines), (*shown.problems, *wanted.problems, *unknown_rules(ctx)))


def note(ctx: Context, word: str, digest: str) -> None:
    """Remember that this content of a job was read elsewhere, as `run` does. Raises IntegrityError when it is other by now."""
    key, record, job, _ = select(ctx, word)
    if job.digest != digest:
        raise IntegrityError(f"{job.short_id} changed while you read it", "This is what it is now")
    _remember(ctx, key, record, digest)


def _on_drive(ctx: Context, job: Job, file: str, paint: Paint | None, problems: tuple[Problem, ...]) -> Report:
    """A job that lies on Google Drive only, as its message shows it. Nothing is remembered: what will run has yet to arrive."""
    from scq.remote import entry, files

    found = files(ctx, job.sighting)
    entries = _wanted(Manifest("", tuple(entry(path, content) for path, content in found.items())), Content(""), file)
    texts = [(item, *_text(found[item.path][:SHOWN_BYTES], item)) for item in entries]
    hints = tuple(hint for hint in in_code(found.items(), run_sh="run.sh", allowed=()) if not file or hint.path == file)
    blocking = frozenset(denied(hints, ctx.config.deny))
    lines = [] if file else card(job)
    lines.extend(_findings(hints, blocking))
    for item, text, whole in texts:
        lines.extend(_shown(item, text, whole, paint))
    if not file:
        lines.extend(["", f"This is {ON_DRIVE}: it can be approved when it is here."])
    data = as_dict(job) | {"files": [_file(*row) for row in texts], "limits": None}
    data |= {"findings": [msgspec.to_builtins(hint) | {"denied": hint in blocking} for hint in hints]}
    return Report("review", data, tuple(lines), (*problems, *unknown_rules(ctx)))


def _limits(wanted: Terms) -> dict[str, Any]:
    return {
        "asked": msgspec.to_builtins(wanted.asked),
        "given": msgspec.to_builtins(wanted.given),
        "asks_for_more": list(wanted.in_vain),
    }


def _terms(wanted: Terms) -> list[str]:
    lines = ["", f"would run with: {', '.join(limit_words(wanted.given))}"]
    asked = limit_words(wanted.asked)
    if asked:
        lines.append(f"asks for: {', '.join(asked)}")
    if wanted.in_vain:
        lines.append(f"asks for more than it gets: {', '.join(LIMIT_WORDS[name] for name in wanted.in_vain)}")
    return lines


def _findings(found: tuple[Finding, ...], blocking: frozenset[Finding]) -> list[str]:
    """The findings with aligned columns, in the order of the files. Those the configuration denies are marked."""
    if not found:
        return []
    rows = [(f"{line(item.path, 120)}:{item.line}" if item.path else "", item.rule, item) for item in found]
    places = max(len(place) for place, _, _ in rows)
    rules = max(len(rule) for _, rule, _ in rows)
    lines = ["", f"── to look at: {len(found)}" + (f", denied: {len(blocking)}" if blocking else "")]
    for place, rule, item in rows:
        mark = "✗" if item in blocking else " "
        lines.append(f" {mark} {place.ljust(places)}  {rule.ljust(rules)}  {item.what}")
    return lines


def _remember(ctx: Context, key: str, record: Record, digest: str) -> None:
    if record.sighting.owner == ctx.config.email:
        observe(ctx)
        ctx.store.update(lambda state: _reviewed(state, key, record, digest))


def _reviewed(state: State, key: str, seen: Record, digest: str) -> State:
    if key not in state.jobs and seen.status in ("completed", "failed", "rejected"):
        return state
    record = state.jobs.get(key, seen)
    return replace(state, jobs={**state.jobs, key: replace(record, reviewed=digest)})


def _wanted(made: Manifest, content: Content, file: str) -> list[FileEntry]:
    ordered = sorted(made.files, key=lambda entry: (entry.path != content.run_sh, entry.path))
    if not file:
        return ordered
    chosen = [entry for entry in ordered if entry.path == file]
    if not chosen:
        names = ", ".join(line(entry.path, 80) for entry in ordered[:20])
        raise UsageError(f"no file {file[:300]!a} in this job", f"It has: {names}")
    return chosen


def _text(raw: bytes, entry: FileEntry) -> tuple[str | None, bool]:
    """(text or None for a binary file, whether that is all of it)."""
    if b"\0" in raw:
        return None, False
    return raw.decode("utf-8", "replace"), len(raw) >= entry.size


def _file(entry: FileEntry, text: str | None, whole: bool) -> dict[str, Any]:
    return {
        "path": entry.path,
        "size": entry.size,
        "executable": entry.executable,
        "sha256": entry.sha256,
        "text": text,
        "whole": whole,
    }


def _shown(entry: FileEntry, text: str | None, whole: bool, paint: Paint | None) -> list[str]:
    mark = " (executable)" if entry.executable else ""
    lines = ["", f"── {line(entry.path, 300)}  {size(entry.size)}{mark}"]
    if text is None:
        return [*lines, f"   binary, sha256 {entry.sha256}"]
    cleaned = block(text)
    body = paint(entry.path, cleaned) if paint is not None else cleaned
    lines.extend(body.rstrip("\n").split("\n"))
    if not whole:
        lines.append(f"   … shown are the first {size(SHOWN_BYTES)} of {size(entry.size)}; sha256 {entry.sha256}")
    return lines
