"""The JSON store: what scq remembers, typed on load, replaced whole by rename, guarded by one short lock.

`state.json` is the live document, `finished.json` holds the jobs that are over, `audit.jsonl` is append-only. Reads take no
lock. A save keeps the previous version as `.bak`, so a damaged file never means starting from nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from scq.audit import append_rows, last_number
from scq.errors import BusyError, ConfigError, InvalidFileError
from scq.files import make_folder, read_bytes, remove_file, write_atomic
from scq.model import AuditRow, Problem
from scq.state import SCHEMA, Finished, Record, State

LIMIT = 1 << 30
Document = TypeVar("Document", State, Finished)


class Store:
    """The documents below one `$SCQ_HOME`. `problems` collects what had to be mended while loading."""

    def __init__(self, home: str, state_file: str = "", lock_timeout: float = 10.0) -> None:
        self.home = home
        self.path = state_file or os.path.join(home, "state.json")
        self.finished_path = os.path.join(home, "finished.json")
        self.audit_path = os.path.join(home, "audit.jsonl")
        self.lock_timeout = lock_timeout
        self.problems: list[Problem] = []
        self._finished: Finished | None = None

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
        raw = self.finished().jobs.get(key)
        return None if raw is None else msgspec.json.decode(raw, type=Record)

    def update(self, change: Callable[[State], State]) -> State:
        """Load, change and save under the store's lock; nothing is written when nothing changed.

        `change` must be quick and pure. Raises BusyError when the lock cannot be had in time.
        """
        with self._lock():
            return self._save(self.load(), change)

    def tidy(self, over: Callable[[Record], bool], changed: Mapping[str, Record], present: Collection[str] | None) -> State:
        """Move jobs that are over out of the live document, refresh remembered ones, forget those that are gone.

        `changed` are new records of jobs remembered as over; `present` are the jobs a complete look found, None when it was
        not complete. First into one file, then out of the other: a kill in between loses nothing.
        """
        with self._lock():
            state = self.load()
            self._finished = None
            before = self.finished().jobs
            jobs = {key: raw for key, raw in before.items() if key not in state.jobs and (present is None or key in present)}
            jobs.update({key: _raw(record) for key, record in changed.items() if key in jobs})
            leaving = {key: record for key, record in state.jobs.items() if over(record)}
            jobs.update({key: _raw(record) for key, record in leaving.items()})
            if leaving or jobs.keys() != before.keys() or any(key in changed for key in jobs):
                self._write_finished(jobs)
            remaining = {key: record for key, record in state.jobs.items() if key not in leaving}
            return self._save(state, lambda old: msgspec.structs.replace(old, jobs=remaining))

    def _write_finished(self, jobs: dict[str, msgspec.Raw]) -> None:
        counts: dict[str, int] = {}
        for raw in jobs.values():
            status = msgspec.json.decode(raw, type=_OnlyStatus).status
            counts[status] = counts.get(status, 0) + 1
        document = Finished(counts=counts, jobs=jobs)
        _keep_backup(self.finished_path)
        write_atomic(self.finished_path, msgspec.json.encode(document))
        self._finished = document

    def _save(self, before: State, change: Callable[[State], State]) -> State:
        after = change(before)
        if after == before and not before.audit:
            return before
        if after != before:
            after = msgspec.structs.replace(after, revision=before.revision + 1, audit=self._unwritten(after))
            if before.revision == 0:
                self._keep_older_form()
            _keep_backup(self.path)
            write_atomic(self.path, msgspec.json.encode(after))
        append_rows(self.audit_path, self._unwritten(after))
        return after

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
    def _lock(self) -> Iterator[None]:
        with exclusive(os.path.join(os.path.dirname(self.path), "locks", "store.lock"), self.lock_timeout):
            yield

    def _load(self, path: str, kind: type[Document]) -> Document:
        backup = path + ".bak"
        if not os.path.lexists(path):
            if os.path.lexists(backup):
                return self._from_backup(path, kind, "is missing")
            return kind()
        try:
            return _decode(path, kind)
        except InvalidFileError as error:
            return self._from_backup(path, kind, str(error))

    def _from_backup(self, path: str, kind: type[Document], why: str) -> Document:
        advice = f"Put a good copy of {path} in its place; the damaged file is kept beside it. `scq doctor` checks the result."
        try:
            document = _decode(path + ".bak", kind)
        except InvalidFileError as error:
            raise ConfigError(f"the stored state cannot be used: {path}: {why}; its backup: {error}", advice) from error
        if os.path.lexists(path):
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            _keep_damaged(path, f"{path}.corrupt-{stamp}")
        self.problems.append(Problem(path, f"was damaged ({why}); the previous version is used", "Run `scq check --full`."))
        return document


class _OnlyStatus(msgspec.Struct):
    status: str


def _raw(record: Record) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(record))


def _decode(path: str, kind: type[Document]) -> Document:
    try:
        content = read_bytes(path, LIMIT)
        document = msgspec.json.decode(content, type=kind)
        if isinstance(document, State) and document.revision == 0:
            document = _from_older_form(content)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidFileError(f"does not hold what scq wrote ({error})") from error
    if document.schema != SCHEMA:
        raise ConfigError(
            f"{path}: has schema {document.schema}, this scq reads {SCHEMA}", "Use the scq release that wrote it, or a newer one."
        )
    return document


def _from_older_form(content: bytes) -> State:
    """The documented state file of other software: `{"notified_jobs": {id: [event, …]}, <free key>: <value>, …}`."""
    values = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    marks = msgspec.json.decode(values.pop("notified_jobs", b"{}"))
    if not isinstance(marks, dict):
        raise InvalidFileError("its notified_jobs are not a mapping")
    notified = {
        entity: tuple(mark for mark in types if isinstance(mark, str))
        for entity, types in marks.items()
        if isinstance(types, list)
    }
    return State(notified=notified, values=values)


def _keep_backup(path: str) -> None:
    """Keep the version about to be replaced, without a moment in which neither file is there."""
    if not os.path.exists(path):
        return
    temporary = f"{path}.bak.{os.getpid()}.tmp"
    remove_file(temporary)
    os.link(path, temporary)
    os.replace(temporary, path + ".bak")


def _keep_damaged(path: str, target: str) -> None:
    if not os.path.lexists(target):
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
