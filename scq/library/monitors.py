"""`Monitor`, `JobMonitor` and `PeerMonitor` of the documented Python API. One pass of the last two is half a `scq notify`.

For notebooks and programs that run anyway; a cron line with `scq notify` does the same without a process that has to live.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from scq.config_kinds import DURATION
from scq.errors import ConfigError, UsageError
from scq.library import senders, watching
from scq.library.notifications import JsonStateManager
from scq.library.verbs import ProblemWarning

PathLike = str | os.PathLike[str]


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

    def _attempt(self, what: Callable[[], None] | None = None) -> None:
        try:
            (what or self._check_all_entities)()
        except Exception as error:  # noqa: BLE001 - code of a subclass: whatever it raises must not end the watch
            warnings.warn(f"{type(self).__name__}: {senders.told(error)}", ProblemWarning, stacklevel=3)


class OwnersMonitor(Monitor):
    """What `JobMonitor` and `PeerMonitor` share: a pass is one `scq notify` about one half of what there is to tell.

    `sender` has the methods of `GmailSender`; without one the messages go over Gmail if there is a sign-in, else over the
    channels of config.yaml. `state` is a `JsonStateManager` (its file is then the store) or any object with `was_notified` and
    `mark_notified`. `config` holds the documented switches, or any other settings of config.yaml. `drive_token_path` is the
    sign-in for Google Drive, if it is not where config.yaml or the folder of credentials has it. With `notifications=False`
    things are looked at and remembered, and nobody is told. Raises UsageError and ConfigError.
    """

    about: ClassVar[watching.Half]
    needed: ClassVar[tuple[str, ...]] = ("do_email",)
    """Settings without which there is nothing to look at."""

    def __init__(
        self,
        root: str,
        do_email: str,
        sender: Any,
        state: Any,
        config: Mapping[str, Any] | None,
        drive_token_path: PathLike | None,
        gmail_token_path: PathLike | None,
        notifications: bool,
        home: str,
    ) -> None:
        super().__init__(sender, state if state is not None else _state(home), dict(config or {}))
        self.do_email = watching.address("do_email", do_email)
        self.drive_token_path = drive_token_path
        self._desk = watching.Desk(
            root=root,
            email=self.do_email,
            about=self.about,
            sender=sender if notifications else None,
            state=self.state,
            chosen=watching.older_settings(self.config, os.getcwd()),
            drive_token=watching.absolute(drive_token_path),
            gmail_token=watching.absolute(gmail_token_path),
            home=home,
            silent=not notifications,
        )

    @classmethod
    @abstractmethod
    def _placed(cls, folder: str, email: str, client: Any = None, **how: Any) -> Self:
        """A monitor for this SyftBox folder and address, with the arguments that all of them have."""

    @classmethod
    def from_client(
        cls,
        client: Any,
        gmail_token_path: PathLike | None = None,
        drive_token_path: PathLike | None = None,
        notifications: bool = True,
    ) -> Self:
        """For a client that tells `email` and `syftbox_folder`, or a runner of `create_runner`; a data owner's only."""
        folder, email, home = watching.client_place(client)
        tokens = {"gmail_token_path": gmail_token_path, "drive_token_path": drive_token_path}
        return cls._placed(folder, email, client, **tokens, notifications=notifications, home=home)

    @classmethod
    def from_config(cls, config_path: PathLike) -> Self:
        """For a YAML file in the documented form or that of syft-bg 0.3. Raises ConfigError."""
        values, state, token = _from_file(config_path, cls.needed)
        folder = values.get("syftbox_root", "")
        return cls._placed(folder, values["do_email"], state=state, config=values, gmail_token_path=token)

    def _check_all_entities(self) -> None:
        self._desk.look()


class JobMonitor(OwnersMonitor):
    """Tells about new, approved and finished jobs sent to a data owner, in the SyftBox folder and on Google Drive."""

    about = "jobs"
    needed = ("do_email", "syftbox_root")

    def __init__(
        self,
        syftbox_root: PathLike,
        do_email: str,
        sender: Any = None,
        state: Any = None,
        config: Mapping[str, Any] | None = None,
        drive_token_path: PathLike | None = None,
        client: Any = None,
        *,
        gmail_token_path: PathLike | None = None,
        notifications: bool = True,
        home: str = "",
    ) -> None:
        if not syftbox_root:
            raise UsageError("syftbox_root is missing", "Name the SyftBox folder.")
        self.syftbox_root = Path(watching.absolute(syftbox_root))
        self.client = client
        root = str(self.syftbox_root)
        super().__init__(root, do_email, sender, state, config, drive_token_path, gmail_token_path, notifications, home)

    @classmethod
    def _placed(cls, folder: str, email: str, client: Any = None, **how: Any) -> Self:
        return cls(folder, email, client=client, **how)


class PeerMonitor(OwnersMonitor):
    """Tells about peer requests on Google Drive and granted ones. The arguments mean what they mean for `JobMonitor`."""

    about = "peers"

    def __init__(
        self,
        do_email: str,
        drive_token_path: PathLike | None = None,
        sender: Any = None,
        state: Any = None,
        config: Mapping[str, Any] | None = None,
        *,
        gmail_token_path: PathLike | None = None,
        notifications: bool = True,
        home: str = "",
    ) -> None:
        super().__init__("", do_email, sender, state, config, drive_token_path, gmail_token_path, notifications, home)

    @classmethod
    def _placed(cls, folder: str, email: str, client: Any = None, **how: Any) -> Self:
        return cls(email, **({"config": {"syftbox_root": folder}} | how))

    def notify_peer_granted(self, ds_email: str) -> None:
        """Tell a data scientist that the request was granted: once, however often this is called. Raises UsageError."""
        from scq.peering import tell_granted

        tell_granted(self._desk.context(), watching.address("ds_email", ds_email))
        self._attempt(self._desk.deliver)


def _state(home: str) -> JsonStateManager:
    return JsonStateManager(watching.home_state(home or watching.usual_home()))


def _from_file(path: PathLike, needed: tuple[str, ...]) -> tuple[dict[str, Any], JsonStateManager, str | None]:
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
