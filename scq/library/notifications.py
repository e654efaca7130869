"""`TemplateRenderer` and `JsonStateManager` of the documented Python API, over the renderer and the store of the verbs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from scq.errors import UsageError
from scq.files import make_folder
from scq.formats import is_utf8
from scq.render import Renderer
from scq.state import State
from scq.store import Store

LOCK_TIMEOUT = 10.0


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
        """True when this event of this job or peer was marked as announced."""
        return event_type in self._load().notified.get(entity_id, ())

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
        """Store a free value. Raises UsageError for a value that JSON cannot hold."""
        _check(key)
        raw = _encoded(key, value)
        self._update(lambda state: replace(state, values={**state.values, key: raw}))

    def _load(self) -> State:
        return self._store.load()

    def _update(self, change: Callable[[State], State]) -> None:
        make_folder(self._folder, 0o700)
        self._store.update(change)


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
