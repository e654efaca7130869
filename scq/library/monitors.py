"""`Monitor`, `JobMonitor` and `PeerMonitor` of the documented Python API. One pass of the last two is one `scq notify`.

For notebooks and programs that run anyway; a cron line with `scq notify` does the same without a process that has to live.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from msgspec.structs import replace

from scq.config_kinds import DURATION
from scq.errors import ConfigError, UsageError
from scq.library import senders, watching
from scq.library.notifications import JsonStateManager
from scq.library.verbs import ProblemWarning
from scq.model import Event
from scq.outbox import queue
from scq.routing import PEER_MARKS, route
from scq.state import State


class Monitor(ABC):
    """Looks once, again and again, or in a thread; what one look does is `_check_all_entities` of a subclass.

    What a look raises is a ProblemWarning and does not end the loop.
    """

    def __init__(self, sender: Any, state: Any, config: Any) -> None:
        self.sender = sender
        self.state = state
        self.config = config
        self._turns = threading.Lock()
        self._loops: set[threading.Event] = set()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def _check_all_entities(self) -> None:
        """One look."""

    def check(self, interval: float | None = None, duration: float | None = None) -> None:
        """Look once; with `interval` every so many seconds, for `duration` seconds or until `stop` is called elsewhere.

        Raises UsageError when one of them is not above 0.
        """
        pause = None if interval is None else _seconds("interval", interval)
        length = None if duration is None else _seconds("duration", duration)
        if pause is None:
            self._attempt()
        else:
            self._loop(self._begin(), pause, length)

    def run_once(self) -> None:
        """Look once."""
        self.check()

    def start(self, interval: float = 10) -> threading.Thread:
        """Look every `interval` seconds in a thread that ends with the program; the same thread while one is at work.

        Raises UsageError when `interval` is not above 0.
        """
        pause = _seconds("interval", interval)
        with self._turns:
            if self._thread is None or not self._thread.is_alive():
                ended = self._begin()
                name = type(self).__name__
                self._thread = threading.Thread(target=self._loop, args=(ended, pause, None), name=name, daemon=True)
                self._thread.start()
            return self._thread

    def stop(self) -> None:
        """End every loop, and wait for the look that is being made."""
        with self._turns:
            thread, self._thread = self._thread, None
            for ended in tuple(self._loops):
                ended.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _begin(self) -> threading.Event:
        ended = threading.Event()
        self._loops.add(ended)
        return ended

    def _loop(self, ended: threading.Event, interval: float, duration: float | None) -> None:
        until = None if duration is None else time.monotonic() + duration
        try:
            while not ended.is_set():
                self._attempt()
                left = interval if until is None else min(interval, until - time.monotonic())
                if left > 0:
                    ended.wait(min(left, threading.TIMEOUT_MAX))
                if until is not None and time.monotonic() >= until:
                    return
        finally:
            self._loops.discard(ended)

    def _attempt(self) -> None:
        try:
            self._check_all_entities()
        except Exception as error:  # noqa: BLE001 - code of a subclass: whatever it raises must not end the watch
            warnings.warn(f"{type(self).__name__}: {senders.told(error)}", ProblemWarning, stacklevel=3)


class JobMonitor(Monitor):
    """Tells about new, approved and finished jobs sent to a data owner.

    `sender` has the methods of `GmailSender`; without one the messages go over Gmail if there is a sign-in, else over the
    channels of config.yaml. `state` is a `JsonStateManager` (its file is then the store) or any object with `was_notified` and
    `mark_notified`. `config` holds the documented switches, or any other settings of config.yaml. With `notifications=False`
    jobs are looked at and remembered, and nobody is told. Raises UsageError and ConfigError.
    """

    def __init__(
        self,
        syftbox_root: str | os.PathLike[str],
        do_email: str,
        sender: Any = None,
        state: Any = None,
        config: Mapping[str, Any] | None = None,
        drive_token_path: str | os.PathLike[str] | None = None,
        client: Any = None,
        *,
        gmail_token_path: str | os.PathLike[str] | None = None,
        notifications: bool = True,
        home: str = "",
    ) -> None:
        super().__init__(sender, state if state is not None else _state(home), dict(config or {}))
        if not syftbox_root:
            raise UsageError("syftbox_root is missing", "Name the SyftBox folder.")
        self.syftbox_root = Path(watching.absolute(syftbox_root))
        self.do_email = watching.address("do_email", do_email)
        self.drive_token_path = drive_token_path
        self.client = client
        self._desk = watching.Desk(
            root=str(self.syftbox_root),
            email=self.do_email,
            sender=sender if notifications else None,
            state=self.state,
            chosen=_chosen(self.config, drive_token_path),
            gmail_token=watching.absolute(gmail_token_path),
            home=home,
            silent=not notifications,
        )
        self._desk.only(jobs=True)

    @classmethod
    def from_client(
        cls,
        client: Any,
        gmail_token_path: str | os.PathLike[str] | None = None,
        drive_token_path: str | os.PathLike[str] | None = None,
        notifications: bool = True,
    ) -> Self:
        """For a client that tells `email` and `syftbox_folder`, or a runner of `create_runner`; a data owner's only."""
        folder, email, home = watching.client_place(client)
        return cls(
            folder,
            email,
            drive_token_path=drive_token_path,
            client=client,
            gmail_token_path=gmail_token_path,
            notifications=notifications,
            home=home,
        )

    @classmethod
    def from_config(cls, config_path: str | os.PathLike[str]) -> Self:
        """For a YAML file in the documented form or that of syft-bg 0.3. Raises ConfigError."""
        values, state, token = _from_file(config_path, ("do_email", "syftbox_root"))
        return cls(values["syftbox_root"], values["do_email"], state=state, config=values, gmail_token_path=token)

    def _check_all_entities(self) -> None:
        self._desk.look()


class PeerMonitor(Monitor):
    """Tells about peer requests and granted ones. The arguments mean what they mean for `JobMonitor`."""

    def __init__(
        self,
        do_email: str,
        drive_token_path: str | os.PathLike[str] | None = None,
        sender: Any = None,
        state: Any = None,
        config: Mapping[str, Any] | None = None,
        *,
        gmail_token_path: str | os.PathLike[str] | None = None,
        notifications: bool = True,
        home: str = "",
    ) -> None:
        super().__init__(sender, state if state is not None else _state(home), dict(config or {}))
        self.do_email = watching.address("do_email", do_email)
        self.drive_token_path = drive_token_path
        self._desk = watching.Desk(
            root="",
            email=self.do_email,
            sender=sender if notifications else None,
            state=self.state,
            chosen=_chosen(self.config, drive_token_path),
            gmail_token=watching.absolute(gmail_token_path),
            home=home,
            silent=not notifications,
        )
        self._desk.only(peers=True)

    @classmethod
    def from_client(
        cls,
        client: Any,
        gmail_token_path: str | os.PathLike[str] | None = None,
        drive_token_path: str | os.PathLike[str] | None = None,
        notifications: bool = True,
    ) -> Self:
        """As `JobMonitor.from_client`."""
        folder, email, home = watching.client_place(client)
        return cls(
            email,
            drive_token_path,
            config={"syftbox_root": folder},
            gmail_token_path=gmail_token_path,
            notifications=notifications,
            home=home,
        )

    @classmethod
    def from_config(cls, config_path: str | os.PathLike[str]) -> Self:
        """As `JobMonitor.from_config`."""
        values, state, token = _from_file(config_path, ("do_email",))
        return cls(values["do_email"], state=state, config=values, gmail_token_path=token)

    def notify_peer_granted(self, ds_email: str) -> None:
        """Tell a data scientist that the request was granted: once, however often this is called. Raises UsageError."""
        peer = watching.address("ds_email", ds_email)
        ctx = self._desk.context()
        entity, word = PEER_MARKS["peer.granted"]
        entity = entity.format(ds=peer, do=self.do_email)
        now = ctx.now()
        event = Event(
            id=f"granted-{peer}", kind="peer.granted", ref=f"peer/{self.do_email}/{peer}", job_id="", at=now, detail=peer
        )

        def granted(state: State) -> State:
            marks = state.notified.get(entity, ())
            rows = route([event], {}, ctx.config, now, state.notified)
            if not rows:
                return state
            return replace(state, outbox=queue(state.outbox, rows), notified={**state.notified, entity: (*marks, word)})

        ctx.store.update(granted)
        self._attempt()

    def _check_all_entities(self) -> None:
        self._desk.deliver()


def _state(home: str) -> JsonStateManager:
    return JsonStateManager(watching.home_state(home or watching.usual_home()))


def _chosen(config: Mapping[str, Any], drive_token_path: str | os.PathLike[str] | None) -> dict[str, Any]:
    found = watching.older_settings(config, os.getcwd())
    return {**found, "drive_token_path": watching.absolute(drive_token_path)} if drive_token_path else found


def _from_file(path: str | os.PathLike[str], needed: tuple[str, ...]) -> tuple[dict[str, Any], JsonStateManager, str | None]:
    """(settings, state manager, sign-in for Gmail) of a configuration file. Raises ConfigError when it lacks one of `needed`."""
    where = watching.absolute(path)
    values = watching.read_settings(where)
    for key in needed:
        if not isinstance(values.get(key), str):
            raise ConfigError(f"{where}: {key} is missing", f"Add `{key}: …`.")
    folder, state = os.path.dirname(where), values.get("state_file")
    usual = watching.home_state(folder) if folder == watching.usual_home() else watching.usual_state(folder)
    manager = JsonStateManager(state.replace("$SCQ_HOME", folder, 1) if isinstance(state, str) else usual)
    token = values.get("gmail_token_path")
    return values, manager, token if isinstance(token, str) else None


def _seconds(name: str, value: object) -> float:
    found: float | None = DURATION.parse(value)
    if found is None:
        raise UsageError(f"{name}: {ascii(value)[:80]} is not allowed: {DURATION.allowed}")
    return found
