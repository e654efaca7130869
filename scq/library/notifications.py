"""`TemplateRenderer` and `JsonStateManager` of the documented Python API, over the renderer and the store of the verbs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from scq.errors import UsageError
from scq.files import make_folder
from scq.formats import is_utf8
from scq.model import Notification
from scq.render import Renderer
from scq.routing import MARKS, PEER_MARKS
from scq.state import State
from scq.store import Store

LOCK_TIMEOUT = 10.0
OWN = "scq."
"""Before the names of values that scq keeps itself."""
JOBS, PEERS, THREADS = "approved_jobs", "approved_peers", "thread_ids"


class TemplateRenderer:
    """Renders the mail templates; those in `templates_dir` stand before the shipped ones, file by file."""

    def __init__(self, templates_dir: str | os.PathLike[str] | None = None) -> None:
        self._renderer = Renderer("" if templates_dir is None else os.path.expanduser(os.fspath(templates_dir)))

    def render(self, template_name: str, context: Mapping[str, Any]) -> str:
        """A template such as `emails/new_job.html` as text, values escaped in HTML.

        Raises ConfigError naming a template that is missing or fails.
        """
        return self._renderer.render(template_name, context)


class JsonStateManager:
    """Remembers what was announced, and free values, in a JSON state file shared with `scq`.

    Every read is fresh, every change is locked and atomic, and a damaged file is replaced by its backup. A file in the older
    form (`notified_jobs` at its top) is taken over at the first change; the original stays beside it as `<file>.legacy`.
    Raises ConfigError when the file cannot be used and BusyError when another call holds its lock too long.
    """

    def __init__(self, state_file: str | os.PathLike[str]) -> None:
        self.state_file = os.path.abspath(os.path.expanduser(os.fspath(state_file)))
        self._folder = os.path.dirname(self.state_file)
        self._store = Store(self._folder, self.state_file, LOCK_TIMEOUT)

    def was_notified(self, entity_id: str, event_type: str) -> bool:
        """True when this event of this job or peer was marked as announced, or scq itself has sent its message.

        A job is meant by its id, the first eight characters of it, or its name if only one job has it.
        """
        state = self._load()
        if event_type in state.notified.get(entity_id, ()):
            return True
        if any(_tells(row, entity_id, event_type) for row in state.outbox.values()):
            return True
        job = _job(state, entity_id)
        if job is None:
            return False
        told = any(row.job_id == job[0] and _is_sent(row, event_type) for row in state.outbox.values())
        return told or any(event_type in state.notified.get(name, ()) for name in job)

    def mark_notified(self, entity_id: str, event_type: str) -> None:
        """Mark an event as announced. Marking it again changes nothing."""
        _check(entity_id)
        _check(event_type)

        def mark(state: State) -> State:
            known = state.notified.get(entity_id, ())
            if event_type in known:
                return state
            return replace(state, notified={**state.notified, entity_id: (*known, event_type)})

        self._update(mark)

    def get_data(self, key: str, default: Any = None) -> Any:
        """A free value, or `default` when nothing was stored under this key."""
        raw = self._load().values.get(key)
        return default if raw is None else msgspec.json.decode(raw)

    def set_data(self, key: str, value: Any) -> None:
        """Store a free value. Raises UsageError for a value that JSON cannot hold, and for a key that begins with `scq.`."""
        _check(key)
        if key.startswith(OWN):
            raise UsageError(f"{key!r} is kept for scq itself", "Use another key.")
        raw = _encoded(key, value)
        self._update(lambda state: replace(state, values={**state.values, key: raw}))

    def is_empty(self) -> bool:
        """True when nothing was ever announced, approved or looked at."""
        state = self._load()
        tables = (_table(state, name) for name in (JOBS, PEERS))
        return not (state.notified or state.outbox or state.jobs or state.baseline_at or any(tables))

    def store_thread_id(self, job_name: str, thread_id: str) -> None:
        """Remember the mail conversation about a job, as the mail service names it."""
        _check(thread_id)
        self._put(THREADS, job_name, thread_id)

    def get_thread_id(self, job_name: str) -> str | None:
        """The mail conversation about a job; None when there is none."""
        found = _table(self._load(), THREADS).get(job_name)
        return found if isinstance(found, str) else None

    def get_job_name_by_thread_id(self, thread_id: str) -> str | None:
        """The job a mail conversation is about; None when nobody knows."""
        return next((name for name, known in _table(self._load(), THREADS).items() if known == thread_id), None)

    def was_approved(self, job_name: str) -> bool:
        """True when `mark_approved` was called for a job. This is a note only: what may run is decided by `scq approve`."""
        return job_name in self.get_approved_jobs()

    def mark_approved(self, job_name: str, submitted_by: str = "") -> None:
        """Note that a job was approved, and whose it is."""
        _check(submitted_by)
        self._put(JOBS, job_name, {"approved_at": datetime.now(UTC).isoformat(), "submitted_by": submitted_by})

    def get_approved_jobs(self) -> dict[str, Any]:
        """By job: `approved_at` (ISO, UTC) and `submitted_by`."""
        return {name: note for name, note in _table(self._load(), JOBS).items() if not _is_peer(name)}

    def was_peer_approved(self, peer_email: str) -> bool:
        """True when `mark_peer_approved` was called for an address."""
        return _peer(peer_email) in self.get_approved_peers()

    def mark_peer_approved(self, peer_email: str, domain: str = "") -> None:
        """Note that a peer was approved; `domain` is that of the address if it is not given."""
        _check(domain)
        _check(peer_email)
        name = _peer(peer_email)
        note = {"approved_at": datetime.now(UTC).isoformat(), "domain": domain or name.rpartition("@")[2]}
        self._put(PEERS, name, note)

    def get_approved_peers(self) -> dict[str, Any]:
        """By `peer_<address>`: `approved_at` (ISO, UTC) and `domain`."""
        state = self._load()
        older = {name: note for name, note in _table(state, JOBS).items() if _is_peer(name)}
        return {name.lower(): note for name, note in {**older, **_table(state, PEERS)}.items()}

    def _put(self, table: str, name: str, value: Any) -> None:
        """Add an entry to a table; one that is there already stays as it is when it is a note."""
        _check(name)

        def put(state: State) -> State:
            entries = _table(state, table)
            if entries.get(name) == value or (isinstance(value, dict) and name in entries):
                return state
            raw = _encoded(name, {**entries, name: value})
            return replace(state, values={**state.values, OWN + table: raw})

        self._update(put)

    def _load(self) -> State:
        return self._store.load()

    def _update(self, change: Callable[[State], State]) -> None:
        make_folder(self._folder, 0o700)
        self._store.update(change)


def _table(state: State, name: str) -> dict[str, Any]:
    """Entries that scq keeps, else those an older state file has under the same name."""
    raw = state.values.get(OWN + name) or state.values.get(name)
    found = None if raw is None else msgspec.json.decode(raw)
    return found if isinstance(found, dict) else {}


def _is_peer(name: str) -> bool:
    return name.startswith("peer_") and "@" in name


def _peer(address: str) -> str:
    return f"peer_{address.strip().lower()}"


def _job(state: State, word: str) -> tuple[str, str, str] | None:
    """(id, short id, name) of the one job a word means; the name is empty when other jobs have it too."""
    jobs = {record.id: record.sighting.name for record in state.jobs.values()}
    jobs.update({row.job_id: row.context.get("name", "") for row in state.outbox.values() if row.job_id not in jobs})
    jobs.pop("", None)
    found = [job_id for job_id in jobs if word in (job_id, job_id[:8])] or [key for key, name in jobs.items() if name == word]
    if not word or len(found) != 1:
        return None
    name = jobs[found[0]]
    return found[0], found[0][:8], name if list(jobs.values()).count(name) == 1 else ""


def _is_sent(row: Notification, event_type: str) -> bool:
    return row.state in ("sent", "bundled") and MARKS.get(row.kind) == event_type


def _tells(row: Notification, entity_id: str, event_type: str) -> bool:
    """True for the sent message about a peer that is remembered as `entity_id`."""
    if row.kind not in PEER_MARKS or row.state not in ("sent", "bundled"):
        return False
    entity, word = PEER_MARKS[row.kind]
    words = row.context
    return (entity.format(ds=words.get("ds_email", ""), do=words.get("owner", "")), word) == (entity_id, event_type)


def _encoded(key: str, value: Any) -> msgspec.Raw:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")
        msgspec.json.decode(text)
    except (TypeError, ValueError, RecursionError, msgspec.DecodeError) as error:
        raise UsageError(
            f"the value for {key!r} cannot be stored as JSON ({error})", "Store text, numbers, lists or mappings."
        ) from error
    return msgspec.Raw(text)


def _check(name: object) -> None:
    if not isinstance(name, str) or not is_utf8(name):
        raise UsageError(f"{name!r} is not a name that can be stored", "Use a text.")
