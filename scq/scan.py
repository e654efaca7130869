"""One look at the queue folders: which jobs are there and what their folders say. Reads only.

An incremental look visits the folders that may have gained jobs and the jobs that are still alive; a full one visits
everything. What has not changed since it was remembered is neither parsed nor hashed again.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping

from msgspec import Struct

from scq.digest import Caps, manifest, survey
from scq.model import FINISHED, JobRef, Problem, Seen, Sighting, SourceReport, Spot
from scq.ports import Layout
from scq.state import Record
from scq.tree import TOO_YOUNG_NS, DiskTree

NAMESPACE = uuid.UUID("6f0d2f0e-4d0e-5a53-9c3a-5b1d6d1c7a11")
"""Ids of jobs whose layout has none are UUIDv5 of their reference in this namespace; never change it."""


class Snapshot(Struct, frozen=True):
    """What one look found.

    `missing` are live jobs whose folders were not there; `unchanged` are jobs that are over and are as they were, without their
    records. `listed` are the names in the folders of jobs that were listed.
    """

    seen: dict[str, Seen]
    missing: frozenset[str]
    folders: dict[str, str]
    problems: tuple[Problem, ...]
    source: SourceReport
    full: bool
    lstats: int = 0
    opens: int = 0
    unchanged: frozenset[str] = frozenset()
    listed: dict[str, list[str]] = {}


class Memory(Struct, frozen=True):
    """What the look may rely on: live records, folder stamps, and the jobs that are over (loaded only when needed)."""

    alive: Mapping[str, Record]
    folders: Mapping[str, str]
    names: Callable[[str], Collection[str]]
    """What a folder held at the last look."""
    finished_keys: Callable[[], Collection[str]]
    finished_record: Callable[[str], Record | None]
    is_unchanged: Callable[[str, str], bool]
    """Whether a job that is over has this stamp, by key."""


def job_id(ref: JobRef, uid: str | None, taken: Collection[str] = ()) -> str:
    """The uid where the layout has one, else a UUIDv5 of the ref; also when somebody copied a uid that is taken already."""
    if uid is not None and uid not in taken:
        return uid
    return str(uuid.uuid5(NAMESPACE, str(ref)))


def scan(
    root: str,
    me: str,
    layouts: Mapping[str, Layout],
    memory: Memory,
    caps: Caps,
    *,
    full: bool,
    now_ns: int,
    changes_only: bool = False,
) -> Snapshot:
    """Look once. With `changes_only`, jobs that are over and unchanged are only named, which a full look can do much faster.

    A root that cannot be listed gives a snapshot whose source is not ok, with nothing seen and nothing missing.
    """
    refusal = _unusable(root)
    if refusal is not None:
        return Snapshot({}, frozenset(), dict(memory.folders), (refusal,), SourceReport("local", False, False), full)
    tree = DiskTree(root, me, full=full, known_folders=memory.folders, known_names=memory.names, now_ns=now_ns)
    look = _Look(tree, layouts, memory, caps)
    seen: dict[str, Seen] = {}
    missing: set[str] = set()
    unchanged: set[str] = set()
    for key, layout, spot in look.spots():
        if spot is None:
            missing.add(key)
            continue
        stamp = layout.stamp(tree, spot)
        if full and changes_only and key not in memory.alive and memory.is_unchanged(key, stamp):
            unchanged.add(key)
        else:
            seen[key] = look.visit(key, layout, spot, stamp)
    problems = list(tree.problems)
    complete = not problems
    if tree.unreadable:  # what could not be looked at has not vanished
        missing = set()
    shows_nothing = (missing or full) and not seen and not unchanged
    gone = len(missing) + look.over_and_gone() if shows_nothing else 0
    if gone > 1:
        advice = "Check that the SyftBox folder is mounted and complete. The jobs are remembered as they were."
        problems.append(Problem(".", f"shows none of the {gone} jobs that were here before", advice))
        missing, complete = set(), False
    return Snapshot(
        seen,
        frozenset(missing),
        tree.folders,
        tuple(problems),
        SourceReport("local", True, complete),
        full,
        lstats=tree.lstats,
        opens=tree.opens,
        unchanged=frozenset(unchanged),
        listed=tree.listed,
    )


def _unusable(root: str) -> Problem | None:
    if not root:
        return Problem("syftbox_root", "is not set and no SyftBox folder was found", "scq init --email YOU --root FOLDER")
    try:
        os.scandir(root).close()
    except OSError as error:
        return Problem(root, f"cannot be read ({error.strerror})", "Check the SyftBox folder, or set it: scq init --root FOLDER")
    return None


class _Look:
    """The parts of one look that share its tree and its memory."""

    def __init__(self, tree: DiskTree, layouts: Mapping[str, Layout], memory: Memory, caps: Caps) -> None:
        self.tree = tree
        self.layouts = layouts
        self.memory = memory
        self.caps = caps

    def spots(self) -> Iterator[tuple[str, Layout, Spot | None]]:
        """(key, layout, places) of every job to visit; no places when a live job is gone."""
        found: set[str] = set()
        for layout in self.layouts.values():
            for spot in layout.find(self.tree):
                key = str(spot.ref)
                if key in found or not self._wanted(key):
                    continue
                found.add(key)
                yield key, layout, spot if self.tree.full else layout.locate(self.tree, spot.ref)
        for key, record in self.memory.alive.items():
            if key not in found and record.sighting.ref.layout in self.layouts:
                layout = self.layouts[record.sighting.ref.layout]
                yield key, layout, layout.locate(self.tree, record.sighting.ref)

    def over_and_gone(self) -> int:
        """How many jobs are over, when not one of them is there any more; else 0."""
        keys = self.memory.finished_keys()
        found = (self.memory.finished_record(key) for key in keys)
        refs = (record.sighting.ref for record in found if record is not None and record.sighting.ref.layout in self.layouts)
        return 0 if any(self.layouts[ref.layout].locate(self.tree, ref) for ref in refs) else len(keys)

    def _wanted(self, key: str) -> bool:
        """Jobs that are over are visited by full looks only."""
        return self.tree.full or key in self.memory.alive or key not in self.memory.finished_keys()

    def visit(self, key: str, layout: Layout, spot: Spot, stamp: str) -> Seen:
        record = self.memory.alive.get(key)
        if record is None and self.tree.full:
            record = self.memory.finished_record(key)
        if record is not None and record.stamp and record.stamp == stamp:
            sighting = record.sighting
        else:
            sighting = layout.read(self.tree, spot)
        trusted = stamp if self._old_enough(_newest(stamp)) else ""
        if sighting.owner != self.tree.me or not _needs_digest(sighting, record):
            if record is None:
                return Seen(sighting, trusted)
            return Seen(sighting, trusted, record.content_stamp, record.digest, record.invalid)
        return self._with_content(layout, sighting, record, trusted)

    def _with_content(self, layout: Layout, sighting: Sighting, record: Record | None, stamp: str) -> Seen:
        content = layout.content(sighting)
        found = survey(self.tree.root, content, self.caps)
        reasons = found.invalid
        if not reasons and record is not None and record.content_stamp == _sealed(found.stamp, content.fields):
            return Seen(sighting, stamp, record.content_stamp, record.digest, _refusals(sighting, ()))
        digest = None
        if not reasons:
            result = manifest(self.tree.root, content, self.caps)
            digest, reasons = result.digest or None, result.invalid
            self.tree.opens += len(result.files)
        trusted = _sealed(found.stamp, content.fields) if digest and self._old_enough(found.youngest_ns) else ""
        return Seen(sighting, stamp, trusted, digest, _refusals(sighting, reasons))

    def _old_enough(self, mtime_ns: int) -> bool:
        return mtime_ns < self.tree.now_ns - TOO_YOUNG_NS


def _needs_digest(sighting: Sighting, record: Record | None) -> bool:
    if record is not None and record.intents:
        return True
    return sighting.observed not in FINISHED


def _refusals(sighting: Sighting, reasons: tuple[str, ...]) -> tuple[str, ...]:
    """Why a job can be neither approved nor run: what its content says, and what its layout saw."""
    if sighting.observed == "incomplete":
        return ("it has not arrived completely yet", *reasons)
    blocking = {"damaged", "inconsistent", "extra_entries"} & set(sighting.flags)
    if sighting.observed == "damaged" or blocking:
        return (*(problem.what for problem in sighting.problems), *reasons) or ("its folders are damaged",)
    return reasons


def _sealed(stamp: str, fields: tuple[tuple[str, str], ...]) -> str:
    return stamp + "|" + "|".join(f"{name}={value}" for name, value in fields)


def _newest(stamp: str) -> int:
    """Newest mtime in a stamp made of `inode:size:mtime_ns:mode` parts, nanoseconds."""
    newest = 0
    for part in stamp.split("|"):
        fields = part.split(":")
        if len(fields) == 4 and fields[2].isdecimal():
            newest = max(newest, int(fields[2]))
    return newest
