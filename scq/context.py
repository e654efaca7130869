"""The one place that builds the real parts a verb works with, each when it is first asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scq import layouts
from scq.audit import head_after
from scq.config_file import remember_parsed
from scq.digest import Caps
from scq.errors import ConfigError
from scq.journal import RUN, Journal
from scq.model import AuditRow, Problem, Whereabouts
from scq.ports import Layout
from scq.state import Record, State
from scq.store import Store, exclusive

if TYPE_CHECKING:
    from scq.config_values import Config
    from scq.drive.connection import Drive
    from scq.ports import Channel, Executor, Sandbox


COLAB = "COLAB_RELEASE_TAG"
"""Variable that every Colab notebook has: its own login is the sign-in there."""


def new_run_id() -> str:
    """A name for one call: 12 hexadecimal digits, in its log lines, its audit rows and the mails it sends."""
    return os.urandom(6).hex()


def utc_now() -> datetime:
    """The wall clock, aware, to the microsecond."""
    return datetime.now(UTC)


class Context:
    """Settings and parts of one call. `say` shows a line at once (progress, streamed text); results go into the report.

    `as_json`: the standard output belongs to one JSON document."""

    def __init__(
        self,
        config: Config,
        home: str,
        *,
        config_path: str = "",
        env: Mapping[str, str] | None = None,
        now: Callable[[], datetime] = utc_now,
        problems: Sequence[Problem] = (),
        say: Callable[[str], None] | None = None,
        as_json: bool = False,
    ) -> None:
        self.config = config
        self.home = home
        self.config_path = config_path or os.path.join(home, "config.yaml")
        self.env = dict(os.environ if env is None else env)
        self.now = now
        self.as_json = as_json
        self.problems = list(problems)
        self.say = say or (lambda line: None)
        self.store = Store(home, config.state_file, config.lock_timeout)
        self.run_id = new_run_id()
        RUN.set(self.run_id)
        self.journal = Journal(home, config.log, self.run_id, self.env)
        self.layouts: dict[str, Layout] = layouts.every(config.queue_name)
        self.channels: dict[str, Channel] = {}
        """Those in use so far, by name. A program may put its own here."""
        self._executors: dict[str, Executor] = {}
        self._drive: Drive | None = None
        self._drive_changes = False

    @property
    def caps(self) -> Caps:
        return Caps(files=self.config.submission_files, bytes=self.config.submission_bytes)

    def layout(self, family: str) -> Layout:
        return self.layouts[family]

    def executor(self, name: str = "", *, anew: bool = False) -> Executor:
        """The executor that new runs are given to, or the one of this name, which a run was given to.

        Each asks its cluster once; `anew` makes one that has not asked yet.
        """
        from scq import executors

        name = name or self.config.executor
        if anew or name not in self._executors:
            self._executors[name] = executors.get(name, self.config.slurm if name == "slurm" else None)
        return self._executors[name]

    def share_executors(self, shared: dict[str, Executor]) -> None:
        """Use the executors of other calls, by name, and leave new ones to them: what a cluster told one is told to all."""
        self._executors = shared

    def sandbox(self) -> Sandbox:
        from scq import sandbox

        if self.config.sandbox == "none":
            return sandbox.get("none")
        if self.config.executor == "slurm":
            settings = self.box_settings() | {"scratch_root": self.config.slurm.shared_dir, "apart": True}
            return sandbox.get("bwrap", **settings)
        return sandbox.get("bwrap", **self.box_settings())

    def box_settings(self) -> dict[str, Any]:
        """Keyword arguments of the box on a machine whose own folders it uses."""
        return {
            "user": self.config.sandbox_user,
            "scratch_root": self.config.sandbox_scratch,
            "interpreter_paths": self.config.sandbox_interpreters,
        }

    def channel(self, name: str) -> Channel:
        """The channel of this name. Raises ConfigError when there is none."""
        if name in self.channels:
            return self.channels[name]
        from scq import channels
        from scq.channels.place import Place

        setting = next((setting for setting in self.config.channels if setting.name == name), None)
        if setting is None:
            raise ConfigError(f"there is no channel {name!a}", "Put it under `channels:` in config.yaml.")
        made = channels.get(
            setting, Place(env=self.env, gmail_token=self.config.gmail_token_path, home=self.home, json=self.as_json)
        )
        self.channels[name] = made
        return made

    def uses_drive(self) -> bool:
        """Whether Google Drive is looked at; asks nobody."""
        use = self.config.drive.use
        if use != "auto":
            return use == "always"
        return os.path.lexists(self.config.drive_token_path) or COLAB in self.env

    def drive(self, *, changes: bool = False) -> Drive:
        """Google Drive of this account, with the sign-in for reading, or for `changes`. Nothing is asked yet.

        Raises SignInError, ConfigError.
        """
        if self._drive is None or (changes and not self._drive_changes):
            from scq.drive.connection import Drive
            from scq.signin.accounts import drive_access

            access = drive_access(self.config.drive_token_path, self.home, self.config.email, self.env, changes=changes)
            self._drive = Drive(access, endpoint=self.config.drive.endpoint, budget=self.config.drive.timeout)
            self._drive_changes = changes
        return self._drive

    @contextmanager
    def only_one(self, verb: str) -> Iterator[None]:
        """Hold the lock of a scheduled verb. An overlapping call raises BusyError at once."""
        with exclusive(os.path.join(self.home, "locks", f"{verb}.lock"), 0):
            remember_parsed(self.home, self.config_path)
            self.begun(verb)
            yield

    def begun(self, verb: str) -> None:
        """Called once a verb is at work and no other call of it can be; what watches over calls hears of it here."""

    def templates_folder(self) -> str:
        """Where the owner's own templates lie; they stand before the shipped ones."""
        return os.path.join(self.home, "templates")

    def runs_folder(self) -> str:
        return os.path.join(self.home, "runs")

    def whereabouts(self, records: Iterable[Record]) -> dict[str, Whereabouts]:
        """Where the runs of these jobs are now that were handed to a cluster and are not over, by id of the job."""
        out: dict[str, dict[str, str]] = {}
        for record in records:
            run = record.run
            if run is not None and run.is_out:
                out.setdefault(run.executor, {})[os.path.join(self.runs_folder(), run.directory)] = record.id
        places: dict[str, Whereabouts] = {}
        for name, ids in out.items():
            try:
                found = self.executor(name).whereabouts(list(ids))
            except ConfigError as error:
                found = dict.fromkeys(ids, Whereabouts("unknown", why=str(error)))
            places |= {ids[folder]: place for folder, place in found.items()}
        return places


def audited(state: State, at: datetime, by: str, what: str, *, verb: str = "", **fields: str) -> State:
    """The state with one more audit row; it reaches the log right after the save that carries it.

    `verb` is named where it is another word than `what`.
    """
    from msgspec.structs import replace

    row = AuditRow(n=state.audited + 1, at=at, what=what, by=by, user=_account(), verb=verb or what, run=RUN.get(), **fields)
    return replace(state, audit=(*state.audit, row), audited=row.n, audit_head=head_after((row,), state.audit_head))


def _account() -> str:
    """`name@host` of the operating system: who really called."""
    import pwd

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # containers run as numbers nobody gave a name to
        name = str(os.getuid())
    return f"{name}@{os.uname().nodename}"
