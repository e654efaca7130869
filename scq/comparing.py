"""Comparing a job file by file with what it should be compared with: what was approved, or another job."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from msgspec import Struct

from scq.context import Context
from scq.digest import manifest, read_entry
from scq.errors import UsageError
from scq.keeping import folder, kept
from scq.model import Content, FileEntry
from scq.state import Record
from scq.view import job_of, sent_at


class Reach(Struct, frozen=True):
    """How much is compared: bytes that are read of each file, lines of each, and number of files that are compared line by line.

    What is beyond is only said to differ: finding the difference of two texts takes time that grows faster than their lengths.
    """

    bytes: int = 256 << 10
    lines: int | None = None
    files: int | None = None


USUAL = Reach()
NO_NEWLINE = "\n\\ No newline at end of file\n"
"""After a last line without one, as diff(1) and patch(1) have it; without it two lines would become one."""


class Change(Struct, frozen=True):
    """One file that differs: `added`, `removed` or `changed`, and how (unified diff, or a sentence); not yet cleaned."""

    path: str
    change: str
    diff: str


class Comparison(Struct, frozen=True):
    """`against` says what was compared with; no `changes` means that both are the same."""

    against: str
    changes: tuple[Change, ...]


class Side(Struct, frozen=True):
    """One of the two submissions: where its files are read, and its files by path."""

    root: str
    content: Content
    files: dict[str, FileEntry]


def compare(ctx: Context, record: Record, others: Iterable[Record], *, reach: Reach = USUAL) -> Comparison | None:
    """A job against what was approved, when it changed since; else against the last approved job among `others`.

    Of those only jobs of the same submitter and name count. None when there is nothing to compare with. Raises UsageError for
    a submission that cannot be read whole, InvalidFileError when files vanish meanwhile.
    """
    if record.decision is not None and record.decision.digest != record.digest:
        copy = kept(ctx, record.decision.digest)
        if copy is not None:
            before = _side(ctx, folder(ctx), copy, record.id)
            return _comparison(f"what was approved ({record.decision.digest[:19]})", before, _submitted(ctx, record), reach)
    other = last_approved(record, others)
    return None if other is None else compare_with(ctx, record, other, reach=reach)


def compare_with(ctx: Context, record: Record, other: Record, *, reach: Reach = USUAL) -> Comparison:
    """A job against another one. Raises as `compare`."""
    return _comparison(other.id, _submitted(ctx, other), _submitted(ctx, record), reach)


def last_approved(record: Record, others: Iterable[Record]) -> Record | None:
    """The newest job of the same submitter and name that was approved."""
    same = (
        other
        for other in others
        if other.id != record.id
        and other.sighting.submitter == record.sighting.submitter
        and other.sighting.name == record.sighting.name
        and (other.status in ("approved", "running", "completed") or (other.decision and other.decision.verdict == "approve"))
    )
    return max(same, key=lambda other: sent_at(job_of(other)), default=None)


def _submitted(ctx: Context, record: Record) -> Side:
    content = ctx.layout(record.sighting.ref.layout).content(record.sighting)
    return _side(ctx, ctx.config.root, content, record.id)


def _side(ctx: Context, root: str, content: Content, job: str) -> Side:
    made = manifest(root, content, ctx.caps)
    if made.invalid:
        raise UsageError(f"{job[:8]} cannot be read: {'; '.join(made.invalid[:3])}", "Only whole submissions are compared.")
    return Side(root, content, {entry.path: entry for entry in made.files})


def _comparison(against: str, old: Side, new: Side, reach: Reach) -> Comparison:
    changes: list[Change] = []
    for path in sorted({*old.files, *new.files}):
        before, after = old.files.get(path), new.files.get(path)
        if before == after:
            continue
        kind = "added" if before is None else "removed" if after is None else "changed"
        far = reach.files is not None and len(changes) >= reach.files
        changes.append(Change(path, kind, "not compared here\n" if far else _difference(path, old, new, reach)))
    return Comparison(against, tuple(changes))


def _difference(path: str, old: Side, new: Side, reach: Reach) -> str:
    before, after = (
        read_entry(side.root, side.content, side.files[path], reach.bytes) if path in side.files else None for side in (old, new)
    )
    if b"\0" in (before or b"") or b"\0" in (after or b""):
        return "binary files differ\n"
    rows, others = ((text or b"").decode("utf-8", "replace").splitlines(keepends=True) for text in (before, after))
    if reach.lines is not None and rows and others and max(len(rows), len(others)) > reach.lines:
        return "too long to be compared here\n"
    found = difflib.unified_diff(rows, others, f"before/{path}", f"after/{path}")
    text = "".join(row if row.endswith("\n") else row + NO_NEWLINE for row in found)
    if not text and before is not None and after is not None:
        return "the executable bit or what follows the shown part differs\n"
    return text
