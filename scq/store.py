"""The JSON store: what scq remembers, typed on load, replaced whole by rename, guarded by one short lock.

`state.json` is the live document, `finished.json` holds the jobs that are over, `audit.jsonl` is append-only. Reads take no
lock. A save keeps the previous version as `.bak`, so a damaged file never means starting from nothing. `finished.index.json`
and `folders.json` only save work: what they say can be found out again, and they are used only where they fit the documents.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from scq.audit import Tip, append_rows, continued, last_number
from scq.errors import BusyError, ConfigError, InvalidFileError
from scq.files import make_folder, read_bytes, remove_file, thread_number, write_atomic
from scq.model import AuditRow, Problem
from scq.state import SCHEMA, Finished, Record, State

LIMIT = 1 << 30
Document = TypeVar("Document", State, Finished)
Note = TypeVar("Note")


class Index(msgspec.Struct, frozen=True):
    """What most calls ask about the jobs that are over, so that their records need not be loaded."""

    of: str = ""
    """Stamp of the `finished.json` it was made from."""
    counts: dict[str, int] = {}
    unanswered: int = 0
    """Jobs whose results wait for an answer."""
    seals: msgspec.Raw = msgspec.Raw(b"{}")
    """By key, as JSON: what `_seal` makes of the stamp of the record; empty where a look must read the job again."""


class Store:
    """The documents below one `$SCQ_HOME`. `problems` collects what had to be mended while loading."""

    def __init__(self, home: str, state_file: str = "", lock_timeout: float = 10.0) -> None:
        self.home = home
        self.path = state_file or os.path.join(home, "state.json")
        self.finished_path = os.path.join(home, "finished.json")
        self.index_path = os.path.join(home, "finished.index.json")
        self.folders_path = os.path.join(home, "folders.json")
        self.audit_path = os.path.join(home, "audit.jsonl")
        self.lock_timeout = lock_timeout
        self.problems: list[Problem] = []
        self._recovered: set[str] = set()
        self._known: tuple[bytes, State] | None = None
        """The live document as this call last read or wrote it: decoding it is most of the work of a load."""
        self._finished: Finished | None = None
        self._index: Index | None = None
        self._seals: dict[str, str] | None = None
        self._folders: dict[str, msgspec.Raw] | None = None

    def load(self) -> State:
        """The live document; an empty one when nothing was ever stored. Raises ConfigError when it cannot be recovered."""
        return self._load(self.path, State)

    def finished(self) -> Finished:
        """The jobs that are over, values undecoded. Loaded once per call."""
        if self._finished is None:
            self._finished = self._load(self.finished_path, Finished)
        return self._finished

    def finished_record(self, key: str) -> Record | None:
        """One job that is over, by `str(ref)`."""
        if key not in self.finished_keys():
            return None
        raw = self.finished().jobs.get(key)
        return None if raw is None else msgspec.json.decode(raw, type=Record)

    def finished_keys(self) -> Set[str]:
        """`str(ref)` of the jobs that are over."""
        return self._finished_seals().keys()

    def finished_counts(self) -> dict[str, int]:
        """How many jobs are over, by status."""
        return self._finished_index().counts

    def finished_unanswered(self) -> int:
        """How many of the jobs that are over have results that wait for an answer."""
        return self._finished_index().unanswered

    def is_unchanged(self, key: str, stamp: str) -> bool:
        """True when a job that is over was remembered with this stamp of its files."""
        seal = self._finished_seals().get(key)
        return bool(seal) and seal == _seal(stamp)

    def folder_names(self, folder: str) -> Collection[str]:
        """The jobs a folder held when it was last listed; empty when that is not known."""
        raw = self._folder_notes().get(folder)
        return frozenset() if raw is None else msgspec.json.decode(raw, type=frozenset[str])

    def note_folders(self, listed: Mapping[str, Collection[str]]) -> None:
        """Remember what folders hold. For the call that has saved what it saw of the jobs in them; losing it costs time only."""
        before = self._folder_notes()
        after = before | {folder: _raw(names) for folder, names in listed.items()}
        if any(bytes(after[folder]) != bytes(before.get(folder, b"")) for folder in listed):
            write_atomic(self.folders_path, msgspec.json.encode(after), sync=False)
            self._folders = after

    def update(self, change: Callable[[State], State]) -> State:
        """Load, change and save under the store's lock; nothing is written when nothing changed.

        `change` must be quick and pure. Raises BusyError when the lock cannot be had in time.
        """
        with self.locked():
            return self._save(self.load(), change)

    def forget(self, keys: Collection[str]) -> None:
        """Forget jobs that were remembered as over."""
        with self.locked():
            self._finished = self._index = self._seals = None
            before = self.finished().jobs
            jobs = {key: raw for key, raw in before.items() if key not in keys}
            if len(jobs) < len(before):
                self._write_finished(jobs)

    def tidy(self, over: Callable[[Record], bool], changed: Mapping[str, Record], present: Collection[str] | None) -> State:
        """Move jobs that are over out of the live document, refresh remembered ones, forget those that are gone.

        `changed` are new records of jobs remembered as over; `present` are the jobs a complete look found, None when it was
        not complete. First into one file, then out of the other: a kill in between loses nothing.
        """
        with self.locked():
            state = self.load()
            self._finished = self._index = self._seals = None
            leaving = {key: record for key, record in state.jobs.items() if over(record)}
            known = self.finished_keys()
            gone = known & state.jobs.keys() if present is None else known - (set(present) - state.jobs.keys())
            if not (leaving or gone or known & changed.keys()):
                self._write_index()
                return state
            before = self.finished().jobs
            jobs = {key: raw for key, raw in before.items() if key not in state.jobs and (present is None or key in present)}
            jobs.update({key: _raw(record) for key, record in changed.items() if key in jobs})
            jobs.update({key: _raw(record) for key, record in leaving.items()})
            self._write_finished(jobs)
            remaining = {key: record for key, record in state.jobs.items() if key not in leaving}
            return self._save(state, lambda old: msgspec.structs.replace(old, jobs=remaining))

    def _write_finished(self, jobs: dict[str, msgspec.Raw]) -> None:
        self._index, self._seals = _index_of(jobs), None
        self._finished = Finished(counts=self._index.counts, jobs=jobs)
        if self.finished_path not in self._recovered:
            _keep_backup(self.finished_path)
        write_atomic(self.finished_path, msgspec.json.encode(self._finished))
        self._write_index()

    def _write_index(self) -> None:
        """Keep the index, unless that is done. Called under the lock, which keeps the document as it is."""
        stamp = _stamp(self.finished_path)
        if stamp and self._finished_index().of != stamp:
            self._index = msgspec.structs.replace(self._finished_index(), of=stamp)
            write_atomic(self.index_path, msgspec.json.encode(self._index), sync=False)

    def _finished_index(self) -> Index:
        if self._index is None:
            found = _read_note(self.index_path, Index)
            fits = found is not None and found.of == _stamp(self.finished_path) != ""
            self._index = found if found is not None and fits else _index_of(self.finished().jobs)
        return self._index

    def _finished_seals(self) -> dict[str, str]:
        if self._seals is None:
            self._seals = msgspec.json.decode(self._finished_index().seals, type=dict[str, str])
        return self._seals

    def _folder_notes(self) -> dict[str, msgspec.Raw]:
        if self._folders is None:
            self._folders = _read_note(self.folders_path, dict[str, msgspec.Raw]) or {}
        return self._folders

    def _save(self, before: State, change: Callable[[State], State]) -> State:
        after = change(before)
        if after == before and not before.audit:
            return before
        if after.audited > before.audited:
            known = Tip(before.audited, before.audit_head)
            if (end := continued(self.audit_path, known, before.audit)) != known:
                before = self._resumed(before, end)
                after = change(before)
        unwritten = self._unwritten(after)
        if after != before:
            after = msgspec.structs.replace(after, revision=before.revision + 1, audit=unwritten)
            if before.revision == 0:
                self._keep_older_form()
            if self.path not in self._recovered:
                _keep_backup(self.path)
            content = _as_document(after)
            write_atomic(self.path, content)
            self._known = (content, after)
        append_rows(self.audit_path, [row for row in unwritten if row.n <= before.audited])
        # New rows seal what was remembered, not what stands in the log: a last line that was changed meanwhile shows.
        append_rows(self.audit_path, [row for row in unwritten if row.n > before.audited], before.audit_head)
        return after

    def _resumed(self, state: State, end: Tip) -> State:
        """A state whose next audit row follows `end`, which it did not know."""
        if end.number == state.audited:
            return msgspec.structs.replace(state, audit_head=end.head)
        what = f"holds {end.number} rows, but the state knew {state.audited}: it was taken from an older copy"
        self.problems.append(Problem(self.audit_path, what, "New rows follow behind; scq audit show lists them all."))
        return msgspec.structs.replace(state, audit=(), audited=end.number, audit_head=end.head)

    def _keep_older_form(self) -> None:
        """What other software wrote under this name is taken over, and kept beside ours as it was."""
        legacy = f"{self.path}.legacy"
        if os.path.exists(self.path) and not os.path.lexists(legacy):
            os.link(self.path, legacy)

    def _unwritten(self, state: State) -> tuple[AuditRow, ...]:
        if not state.audit:
            return ()
        written = last_number(self.audit_path)
        return tuple(row for row in state.audit if row.n > written)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other calls from saving meanwhile. Raises BusyError."""
        with exclusive(os.path.join(os.path.dirname(self.path), "locks", "store.lock"), self.lock_timeout):
            yield

    def _load(self, path: str, kind: type[Document]) -> Document:
        backup = path + ".bak"
        self._recovered.discard(path)
        if not os.path.lexists(path):
            if os.path.lexists(backup):
                return self._from_backup(path, kind, "is missing")
            return kind()
        try:
            return self._decoded(path, kind)
        except InvalidFileError as error:
            return self._from_backup(path, kind, str(error))

    def _decoded(self, path: str, kind: type[Document]) -> Document:
        """A document as it is now on disk; what has not changed by a byte is not decoded again."""
        content = read_bytes(path, LIMIT)
        if self._known is not None and path == self.path and content == self._known[0]:
            known = self._known[1]
            if isinstance(known, kind):
                return known
        document = _decode(path, content, kind)
        if isinstance(document, State) and path == self.path:
            self._known = (content, document)
        return document

    def _from_backup(self, path: str, kind: type[Document], why: str) -> Document:
        advice = f"Put a good copy of {path} in its place; the damaged file is kept beside it. `scq doctor` checks the result."
        try:
            document = _decode(path + ".bak", read_bytes(path + ".bak", LIMIT), kind)
        except InvalidFileError as error:
            raise ConfigError(f"the stored state cannot be used: {path}: {why}; its backup: {error}", advice) from error
        self._recovered.add(path)
        # The version before may know less of the jobs in a folder than the note about it says.
        remove_file(self.folders_path)
        problem = Problem(path, f"was damaged ({why}); the previous version is used", "Run `scq check --full`.")
        if problem not in self.problems:
            self.problems.append(problem)
            if os.path.lexists(path):
                stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
                _keep_damaged(path, f"{path}.corrupt-{stamp}")
        return document


class _Brief(msgspec.Struct):
    status: str
    stamp: str = ""
    outputs: str = "none"
    answer: msgspec.Raw = msgspec.Raw(b"")


def _index_of(jobs: Mapping[str, msgspec.Raw]) -> Index:
    counts: dict[str, int] = {}
    seals: dict[str, str] = {}
    unanswered = 0
    for key, raw in jobs.items():
        brief = msgspec.json.decode(raw, type=_Brief)
        counts[brief.status] = counts.get(brief.status, 0) + 1
        unanswered += brief.outputs == "withheld" and not bytes(brief.answer)
        seals[key] = _seal(brief.stamp) if brief.stamp else ""
    return Index(counts=counts, unanswered=unanswered, seals=_raw(seals))


def _seal(stamp: str) -> str:
    return hashlib.blake2b(stamp.encode(), digest_size=12).hexdigest()


def _stamp(path: str) -> str:
    """`inode:size:mtime_ns` of a document, empty when it is not there. A document is never changed in place."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return ""
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def _read_note(path: str, kind: type[Note]) -> Note | None:
    """A file that only saves work; None when it is not there or not usable."""
    try:
        return msgspec.json.decode(read_bytes(path, LIMIT), type=kind)
    except (InvalidFileError, msgspec.MsgspecError, RecursionError):
        return None


def _raw(value: Record | Mapping[str, str] | Collection[str]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _as_document(state: State) -> bytes:
    """The live document. What is at its default is left out of it, except the schema."""
    return b'{"schema":%d,' % SCHEMA + msgspec.json.encode(state).removeprefix(b"{")


def _decode(path: str, content: bytes, kind: type[Document]) -> Document:
    try:
        found = msgspec.json.decode(content, type=_Version)
        if not 1 <= found.schema <= SCHEMA:
            raise ConfigError(
                f"{path}: has schema {found.schema}, this scq reads 1 to {SCHEMA}",
                "A newer scq wrote it: use that one, or put back the copy made before the upgrade (docs/upgrades.md).",
            )
        if kind is State and found.revision == 0:
            if not bytes(found.notified_jobs):
                msgspec.json.decode(content, type=kind)  # without that word it may be ours, damaged
            content = _from_older_form(content)
        elif kind is State and found.schema == 1:
            content = _upgraded(content)
        return msgspec.structs.replace(msgspec.json.decode(content, type=kind), schema=SCHEMA)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidFileError(f"does not hold what scq wrote ({error})") from error


class _Version(msgspec.Struct):
    schema: int = 1
    revision: int = 0
    notified_jobs: msgspec.Raw = msgspec.Raw(b"")
    """Only other software writes it."""


class _Outbox(msgspec.Struct):
    outbox: dict[str, dict[str, msgspec.Raw]] = {}


def _upgraded(content: bytes) -> bytes:
    """A live document of schema 1, in which messages that were given up had two other words for it."""
    rows = msgspec.json.decode(content, type=_Outbox).outbox
    for row in rows.values():
        if bytes(row.get("state", b"")) in (b'"failed"', b'"dropped"'):
            row["state"] = msgspec.Raw(b'"dead"')
    values = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    changed = {"outbox": msgspec.Raw(msgspec.json.encode(rows))} if rows else {}
    return msgspec.json.encode({**values, **changed, "schema": SCHEMA})


def _from_older_form(content: bytes) -> bytes:
    """The documented state file of other software, `{"notified_jobs": {id: [event, …]}, <free key>: <value>, …}`, in our form.

    Its free keys may have any name, also one of ours.
    """
    values = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    marks = msgspec.json.decode(values.pop("notified_jobs", b"{}"))
    if not isinstance(marks, dict):
        raise InvalidFileError("its notified_jobs are not a mapping")
    notified = {
        entity: tuple(mark for mark in types if isinstance(mark, str))
        for entity, types in marks.items()
        if isinstance(types, list)
    }
    return msgspec.json.encode(State(notified=notified, values=values))


def _keep_backup(path: str) -> None:
    """Keep the version about to be replaced, without a moment in which neither file is there."""
    if not os.path.exists(path):
        return
    temporary = f"{path}.bak.{thread_number()}.tmp"
    remove_file(temporary)
    os.link(path, temporary)
    os.replace(temporary, path + ".bak")


def _keep_damaged(path: str, target: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        os.rename(path, target)
    elif not os.path.lexists(target):
        os.link(path, target, follow_symlinks=False)


@contextmanager
def exclusive(path: str, timeout: float) -> Iterator[None]:
    """Hold a kernel lock on a file; the lock ends with the process, whatever kills it.

    Raises BusyError when somebody else holds it longer than `timeout` seconds.
    """
    import filelock

    make_folder(os.path.dirname(path), 0o700)
    try:
        with filelock.FileLock(path, timeout=timeout, mode=0o600):
            yield
    except filelock.Timeout as error:
        raise BusyError(f"another scq call holds {path}", "It is released when that call ends; try again.") from error
