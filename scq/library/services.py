"""`DaemonManager` and `ServiceManager` of the documented Python API, over the services that `scq start` and `scq stop` know.

What runs in the background only starts one-shot calls of scq; where a scheduler is installed, that one makes them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scq import config, serving
from scq.clean import line
from scq.config_kinds import DURATION
from scq.context import Context
from scq.errors import ConfigError, UsageError
from scq.journal import error_log_file, log_file, reading
from scq.library import settings, watching
from scq.library.verbs import Verbs, advice_as_note
from scq.services import SERVICES
from scq.showing import seconds

NOTIFY = "notify"
STATUS_LINES = 5
DAEMON_NAME = "daemon.yaml"


class DaemonManager:
    """The `notify` service of the folder a configuration lies in: looking, running what was approved, telling people.

    `config_path` is a YAML file in any documented form; where a `daemon.yaml` is not there, the `config.yaml` beside it counts.
    Every call reads it again. The folder holds `syft-notify.pid` (while the small process of scq makes the calls),
    `syft-notify.log` and `syft-notify.error.log`. What fails raises ScqError.
    """

    def __init__(self, config_path: str | os.PathLike[str] = "~/.syft-creds/daemon.yaml") -> None:
        self.config_path = Path(watching.absolute(config_path))
        beside = self.config_path.with_name(config.FILE_NAME)
        if self.config_path.name == DAEMON_NAME and not self.config_path.exists() and beside.exists():
            self.config_path = beside
        self.home = str(self.config_path.parent)
        self.pid_file = Path(self.home, f"syft-{NOTIFY}.pid")
        self.log_file = Path(log_file(self.home, NOTIFY))
        self.error_log_file = Path(error_log_file(self.home, NOTIFY))

    def start(self, interval: float | None = None) -> bool:
        """Have a call made every `interval` seconds, default from the configuration; True when this is so, or was already.

        Raises UsageError for an interval that is not above 0, ConfigError for a configuration that cannot be used.
        """
        with advice_as_note():
            ctx, every = self._ready(interval)
            serving.start(ctx, NOTIFY, every)
        return True

    def stop(self) -> bool:
        """End the calls: SIGTERM, and after 10 seconds SIGKILL. False when the service was not running."""
        with advice_as_note():
            ctx = self._context()
            return _stopped(ctx, NOTIFY)

    def restart(self, interval: float | None = None) -> bool:
        """Stop and start; one that was not running is started. As `start`."""
        with advice_as_note():
            ctx, every = self._ready(interval)  # before anything is stopped
            serving.stop(ctx, NOTIFY)
            serving.start(ctx, NOTIFY, every)
        return True

    def status(self) -> bool:
        """Print what makes the calls, where configuration and logs are, and the last lines; True when the service is running."""
        with advice_as_note():
            state = serving.state_of(self._context(), NOTIFY)
            facts = [f"process {state.pid}"] if state.pid is not None else []
            facts += [f"every {seconds(state.every)}"] if state.every is not None else []
            facts += [f"by {state.scheduler}"] if state.scheduler else []
            last = reading.tail(self.log_file, STATUS_LINES)
        _tell(
            (
                f"{NOTIFY}: {', '.join(['running' if state.running else 'not running', *facts])}",
                f"configuration: {self.config_path}",
                f"log: {self.log_file}",
                f"errors: {self.error_log_file}",
                *(f"  {text}" for text in last),
            )
        )
        return state.running

    def logs(self, follow: bool = False, lines: int = 50) -> None:
        """Print the last `lines` lines of the log; with `follow` also what comes, until interrupted.

        Raises UsageError when `lines` is no whole number from 0.
        """
        if isinstance(lines, bool) or not isinstance(lines, int) or lines < 0:
            raise UsageError(f"lines: {ascii(lines)[:80]} is not allowed: a whole number from 0")
        with advice_as_note():
            if not follow:
                _tell(reading.tail(self.log_file, lines))
                return
            try:
                for text in reading.follow(self.log_file, lines):
                    _tell((text,))
            except KeyboardInterrupt:
                return  # the usual way to end it

    def get_pid(self) -> int | None:
        """Number of the process that makes the calls, or that is one of them; None when there is none."""
        with advice_as_note():
            return serving.state_of(self._context(), NOTIFY).pid

    def is_running(self) -> bool:
        """True when the calls are being made: the process of scq lives, or the installed scheduler is active."""
        with advice_as_note():
            return serving.state_of(self._context(), NOTIFY).running

    def _ready(self, interval: float | None) -> tuple[Context, float | None]:
        """The parts of a start, and the seconds between two calls; None: as installed. Raises ConfigError, UsageError."""
        if self.config_path.name != config.FILE_NAME and not self.config_path.exists():
            raise ConfigError(f"{self.config_path}: no such file", "Name the configuration, such as ~/.syft-creds/config.yaml.")
        ctx = self._context(strict=True)
        found = interval if interval is not None else self._values().get("notify", {}).get("interval")
        if found is None:
            return ctx, None
        every: float | None = DURATION.parse(found)
        if every is None:
            raise UsageError(f"interval: {ascii(found)[:80]} is not allowed: {DURATION.allowed}")
        return ctx, every

    def _context(self, *, strict: bool = False) -> Context:
        values = self._values() if strict else {}
        place = {"email": _text(values.get("do_email")), "root": _text(values.get("syftbox_root"))}
        path = str(self.config_path)
        loaded = config.load(path, os.environ, place, home=self.home, strict=strict)
        return Context(settings.in_force(loaded.config), self.home, config_path=path, problems=loaded.problems)

    def _values(self) -> dict[str, Any]:
        """The settings under the names of config.yaml; none where there is no file."""
        return watching.read_settings(str(self.config_path)) if self.config_path.exists() else {}


class ServiceManager:
    """The services of the home that the command line uses, or of `home`."""

    def __init__(self, home: str | os.PathLike[str] = "") -> None:
        self._verbs = Verbs(home=os.fspath(home))

    def list_services(self) -> list[str]:
        """Names of the services: `notify`, and `approve`, which runs your own approval program."""
        return list(SERVICES)

    def get_all_status(self) -> dict[str, dict[str, Any]]:
        """By service: `name`, `scheduler` (None when nothing is installed), `running`, `pid`, `every_s`. Raises ConfigError."""
        with advice_as_note():
            ctx = self._verbs.context()
            return {row["name"]: row for row in serving.report(ctx, "status", list(SERVICES), ()).data["services"]}

    def start_service(self, name: str) -> bool:
        """Have the calls of a service made; True when this is so, or was already.

        Raises UsageError for an unknown service, ConfigError for `approve` when `approve.command` is not set.
        """
        with advice_as_note():
            serving.start(self._verbs.context(), name)
        return True

    def stop_service(self, name: str) -> bool:
        """Let a service rest. False when it was not running. Raises UsageError for an unknown service."""
        with advice_as_note():
            return _stopped(self._verbs.context(), name)


def _stopped(ctx: Context, name: str) -> bool:
    was_running = serving.state_of(ctx, name).running
    serving.stop(ctx, name)
    return was_running


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _tell(lines: Iterable[str]) -> None:
    for text in lines:
        sys.stdout.write(line(text, 10_000) + "\n")
    sys.stdout.flush()
