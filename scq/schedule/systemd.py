"""Calls made by systemd: a oneshot service and a timer for each, as units of one account or of the whole machine.

Sources: systemd.unit(5) for the folders, loginctl(1) for lingering.
"""

from __future__ import annotations

import os
import pwd
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from scq import resources
from scq.errors import ConfigError, InvalidFileError, UsageError
from scq.files import make_folder, read_text, remove_file, write_atomic
from scq.model import Problem
from scq.ports import Installed, PlacedFile, Schedule
from scq.schedule.calls import program_problems
from scq.schedule.systemctl import INSTALL_AGAIN, Manager
from scq.schedule.units import PREFIX, SUFFIXES, Filling, Seal, filled, seal_of, unit_name
from scq.syftbox import expand

BOOTED = "/run/systemd/system"
LINGER = "/var/lib/systemd/linger"
USUAL_HOME = "~/.syft-creds"
FORMER = ("scq.timer", "scq.service")
FORMER_MARK = "Description=Look at the SyftBox code job queue"
"""How the units began that scq shipped under those names, to be copied by hand."""


_FACTS = ("ActiveState", "UnitFileState", "NeedDaemonReload")


def _is_idle(timer: Mapping[str, str]) -> bool:
    """Whether a timer makes no calls, or would not after the next start of the machine."""
    return timer.get("ActiveState") != "active" or timer.get("UnitFileState") == "disabled"


class _Systemd(ABC):
    """What both kinds share. `folder` and `booted` are other places for tests."""

    overlaps = False
    advice = "Choose another scheduler: `scq schedule install --cron`."
    name: str
    scope: str
    shipped: str

    def __init__(self, env: Mapping[str, str], *, folder: str = "", booted: str = BOOTED) -> None:
        self.env = env
        self.manager = Manager(self.scope, env)
        self.booted = booted
        self.folder = folder or self._usual_folder()

    def unusable(self) -> str:
        """Why systemd cannot be used here, in a few words; empty when it can."""
        return self._silent() or self._forbidden()

    def _silent(self) -> str:
        """Why nothing can be asked; empty when it can."""
        if shutil.which("systemctl", path=self.env.get("PATH")) is None:
            return "systemctl is not installed"
        if not os.path.isdir(self.booted):
            return "this machine was not started with systemd"
        return self._unreachable()

    def files(self, schedule: Schedule) -> tuple[PlacedFile, ...]:
        """A service and a timer for every entry. Raises UsageError for what a unit cannot express."""
        folder = os.path.join(resources.folder("systemd"), self.shipped)
        made = []
        for entry in schedule.entries:
            name = self._unit(entry.name, schedule.home)
            filling = self._filling(schedule, Filling(schedule.home, entry, schedule.writable, credentials=schedule.credentials))
            for suffix in SUFFIXES:
                shipped = os.path.join(folder, PREFIX + entry.name + suffix)
                if not os.path.isfile(shipped):
                    raise UsageError(f"scq ships no systemd unit for {entry.name[:80]!a}", "Use another scheduler for it.")
                made.append(PlacedFile(os.path.join(self.folder, name + suffix), filled(read_text(shipped), filling)))
        return tuple(made)

    def install(self, schedule: Schedule) -> tuple[str, ...]:
        """Write the units, remove those of an earlier schedule, switch the timers on. Raises UsageError before it begins."""
        wanted = self.files(schedule)
        self._demand_usable()
        found = {file.path: self._content(file.path) for file in wanted}
        for path, text in found.items():
            seal = seal_of(text) if text is not None else None
            if text is not None and (seal is None or seal.home != schedule.home):
                raise UsageError(f"{path} is there, and scq did not install it for {schedule.home}", "Move it away first.")
        done = [*self._remove(self._outdated(schedule.home, found)), *self._remove(self._former(schedule.home))]
        new = [file for file in wanted if found[file.path] != file.text]
        make_folder(self.folder)
        for file in new:
            write_atomic(file.path, file.text.encode(), mode=file.mode)
        written = {os.path.basename(file.path) for file in new}
        known = {name: self.manager.properties(name, *_FACTS) for name in map(os.path.basename, found)}
        # Those of an install that was cut short are on the disk, and systemd does not know them yet.
        written |= {name for name, facts in known.items() if facts.get("NeedDaemonReload") == "yes"}
        if written or done:
            self.manager.do("daemon-reload")
        done += [f"wrote {file.path}" for file in new]
        timers = [name for name in known if name.endswith(".timer")]
        begin = [timer for timer in timers if timer in written or _is_idle(known[timer])]
        if begin:
            self.manager.do("enable", "--quiet", *begin)
            self.manager.do("restart", *begin)
            done += [f"started {timer}" for timer in begin]
        hints = (*self._missing(schedule), *self._more_problems()) if done else ()
        return (*done, *(f"{hint.where}: {hint.what}. {hint.advice}" for hint in hints))

    def remove(self, home: str) -> tuple[str, ...]:
        """Stop the calls of a home and remove its units, with those shipped before; what was done. Raises ConfigError."""
        paths = [*(path for path, _ in self._ours(home)), *self._former(home)]
        if paths and (reason := self._forbidden()):
            raise ConfigError(f"the units of {home} cannot be removed: {reason}", self.advice)
        done = self._remove(paths)
        if done and not self.unusable():
            self.manager.do("daemon-reload")
        return tuple(done)

    def installed(self, home: str) -> tuple[Installed, ...]:
        """One for each timer or lone service of this home."""
        ours = {os.path.basename(path): seal for path, seal in self._ours(home)}
        reason = self._silent() if ours else ""
        units = dict.fromkeys(name.rpartition(".")[0] for name in ours)
        return tuple(self._installed(unit, [ours.get(unit + suffix) for suffix in SUFFIXES], home, reason) for unit in units)

    def verify(self, schedule: Schedule) -> Sequence[Problem]:
        """What keeps the installed units, or those that would be installed, from working. Empty: nothing."""
        problems = [Problem("systemd", reason)] if (reason := self._silent()) else []
        wanted = self.files(schedule)
        ours = {path: self._content(path) for path, _ in self._ours(schedule.home)}
        for file in wanted if ours else ():
            if ours.get(file.path) != file.text:
                state = "is not what `scq schedule install` would write now" if file.path in ours else "is missing"
                problems.append(Problem(file.path, state, INSTALL_AGAIN))
        if not self._silent():
            problems += [problem for path in ours if path.endswith(".timer") for problem in self._idle(path)]
        if not os.path.isdir(schedule.home):
            problems.append(Problem(schedule.home, "the home of scq is not there", "Run `scq init`."))
        problems += program_problems(schedule.entries)
        return (*problems, *self._missing(schedule), *self.manager.refused(wanted), *self._more_problems())

    def start(self, home: str, name: str) -> str:
        """Switch the timer of an installed entry on, also after the next start of the machine."""
        unit = self._installed_unit(home, name)
        self.manager.do("enable", "--quiet", "--now", f"{unit}.timer")
        return f"started {unit}.timer"

    def stop(self, home: str, name: str) -> str:
        """Switch the timer off until `start`, and end a call that is at work."""
        unit = self._installed_unit(home, name)
        self.manager.do("disable", "--quiet", "--now", f"{unit}.timer")
        self.manager.do("stop", f"{unit}.service")
        self.manager.do("reset-failed", f"{unit}.service", may_fail=True)  # a call that was ended has not failed
        return f"stopped {unit}.timer"

    def _missing(self, schedule: Schedule) -> Iterator[Problem]:
        """Secrets that are not where systemd is to take them from, as far as whoever asks may look there."""
        for name, path in schedule.credentials:
            if not os.path.isfile(path) and not self._forbidden():
                advice = f"Write the secret into it, for its owner alone: without it the units do not start ({name})."
                yield Problem(path, "is to be handed over by systemd, and is not there", advice)

    def _idle(self, path: str) -> Iterator[Problem]:
        facts = self.manager.properties(os.path.basename(path), *_FACTS)
        if facts.get("ActiveState") != "active":
            yield Problem(path, "is switched off", "Call `scq start`.")
        elif _is_idle(facts):
            yield Problem(path, "would not be on after a restart of the machine", INSTALL_AGAIN)

    @abstractmethod
    def _usual_folder(self) -> str: ...

    @abstractmethod
    def _unreachable(self) -> str: ...

    def _forbidden(self) -> str:
        """Why nothing may be changed; empty when it may."""
        return ""

    @abstractmethod
    def _unit(self, task: str, home: str) -> str: ...

    @abstractmethod
    def _filling(self, schedule: Schedule, base: Filling) -> Filling: ...

    @abstractmethod
    def _more_problems(self) -> Iterator[Problem]: ...

    def _demand_usable(self) -> None:
        if reason := self.unusable():
            raise UsageError(f"systemd cannot be used: {reason}", self.advice)

    def _installed_unit(self, home: str, name: str) -> str:
        self._demand_usable()
        unit = self._unit(name, home)
        if not any(os.path.basename(path) == f"{unit}.timer" for path, _ in self._ours(home)):
            raise UsageError(f"{name[:80]!a} is not installed in systemd for {home}", "Run `scq schedule install` first.")
        return unit

    def _ours(self, home: str) -> list[tuple[str, Seal]]:
        """The units that scq installed for a home."""
        names = sorted(os.listdir(self.folder)) if os.path.isdir(self.folder) else []
        found = []
        for name in names:
            if name.startswith(PREFIX) and name.endswith(SUFFIXES):
                path = os.path.join(self.folder, name)
                seal = seal_of(self._content(path) or "")
                if seal is not None and seal.home == home:
                    found.append((path, seal))
        return found

    def _outdated(self, home: str, wanted: Mapping[str, object]) -> list[str]:
        """Units of an earlier schedule of this home."""
        return [path for path, _ in self._ours(home) if path not in wanted]

    def _former(self, home: str) -> list[str]:
        """Units under names that scq no longer uses, copied by hand."""
        if home != expand(USUAL_HOME, self.env):
            return []
        paths = [os.path.join(self.folder, name) for name in FORMER]
        return [path for path in paths if FORMER_MARK in (self._content(path) or "")]

    def _content(self, path: str) -> str | None:
        """Text of a unit; None when there is none. What is no readable file counts as somebody else's."""
        try:
            return read_text(path)
        except InvalidFileError:
            return "" if os.path.lexists(path) else None

    def _remove(self, paths: Sequence[str]) -> list[str]:
        """Stop and remove units, also where nothing can be asked to stop them."""
        names = [os.path.basename(path) for path in paths]
        if names and not self.unusable():
            self.manager.do("disable", "--quiet", "--now", *(name for name in names if name.endswith(".timer")), may_fail=True)
            self.manager.do("stop", *names, may_fail=True)
            self.manager.do("reset-failed", *names, may_fail=True)
        for path in paths:
            remove_file(os.path.join(self.folder, "timers.target.wants", os.path.basename(path)))
            remove_file(path)
        return [f"removed {path}" for path in paths]

    def _installed(self, unit: str, seals: Sequence[Seal | None], home: str, reason: str) -> Installed:
        """The state of a service and its timer. A missing one of the two is a change."""
        place = os.path.join(self.folder, f"{unit}.timer")
        known = [seal for seal in seals if seal is not None]
        base = Installed(self._task(unit, home), place, "unknown", known[0].every, detail=reason)
        changed = len(known) < len(seals) or not all(seal.intact for seal in known)
        if reason:
            return replace(base, state="changed") if changed else base
        timer = self.manager.properties(f"{unit}.timer", "ActiveState")
        service = self.manager.properties(f"{unit}.service", "ActiveState", "MainPID", "Result", "ExecMainStatus")
        works = service.get("ActiveState") in ("activating", "active", "deactivating")
        active = "active" if timer.get("ActiveState") == "active" else "stopped"
        pid = int(service.get("MainPID") or 0) or None
        result = service.get("Result", "success")
        detail = "" if result == "success" else f"the last call ended with {service.get('ExecMainStatus', '')} ({result})"
        last_at, next_at = self.manager.times(f"{unit}.timer")
        state = "changed" if changed else "running" if works else active
        return replace(base, state=state, pid=pid if works else None, last_at=last_at, next_at=next_at, detail=detail)

    def _task(self, unit: str, home: str) -> str:
        """Name of the task behind a unit."""
        task = unit.removeprefix(PREFIX).partition("-")[0]
        return task if self._unit(task, home) == unit else unit


class UserSystemd(_Systemd):
    """Units of this account, called by its own manager: below `$XDG_CONFIG_HOME/systemd/user`."""

    name = "systemd"
    scope = "--user"
    shipped = ""

    def __init__(self, env: Mapping[str, str], *, folder: str = "", booted: str = BOOTED, linger: str = LINGER) -> None:
        super().__init__(env, folder=folder, booted=booted)
        self.linger = linger
        usual = f"/run/user/{os.getuid()}"
        if not env.get("XDG_RUNTIME_DIR") and os.path.isdir(usual):  # cron and sudo do not set it
            self.env = {**env, "XDG_RUNTIME_DIR": usual}
            self.manager = Manager(self.scope, self.env)

    def _usual_folder(self) -> str:
        base = self.env.get("XDG_CONFIG_HOME", "")
        return os.path.join(base if base.startswith("/") else expand("~/.config", self.env), "systemd", "user")

    def _unreachable(self) -> str:
        if not self.env.get("XDG_RUNTIME_DIR"):
            return "no user manager runs for this account (XDG_RUNTIME_DIR is not set)"
        return self.manager.silent()

    def _unit(self, task: str, home: str) -> str:
        return unit_name(task, home, expand(USUAL_HOME, self.env))

    def _filling(self, schedule: Schedule, base: Filling) -> Filling:
        if schedule.user and schedule.user != pwd.getpwuid(os.getuid()).pw_name:
            raise UsageError(f"user units are this account's, not those of {schedule.user!a}", "Use `systemd-system` for others.")
        return replace(base, writable=base.writable or (expand("~", self.env),), root=os.getuid() == 0)

    def _more_problems(self) -> Iterator[Problem]:
        account = pwd.getpwuid(os.getuid()).pw_name
        if not os.path.exists(os.path.join(self.linger, account)):
            what = "calls are made only while you are signed in"
            yield Problem("systemd", what, f"`loginctl enable-linger {account}` lets them go on after you sign out.")


class SystemSystemd(_Systemd):
    """Units of the whole machine with `User=`: in /etc/systemd/system. Only root installs them."""

    name = "systemd-system"
    scope = "--system"
    shipped = "system"
    advice = "Call it as root, with --home of the account: `sudo scq --home FOLDER ...`."

    def _usual_folder(self) -> str:
        return "/etc/systemd/system"

    def _unreachable(self) -> str:
        return self.manager.silent()

    def _forbidden(self) -> str:
        return "" if os.access(self.folder, os.W_OK) else f"only root writes to {self.folder}"

    def _unit(self, task: str, home: str) -> str:
        return unit_name(task, home, "")  # every account has a usual home of its own

    def _filling(self, schedule: Schedule, base: Filling) -> Filling:
        try:
            account = pwd.getpwnam(schedule.user) if schedule.user else pwd.getpwuid(os.getuid())
        except KeyError as error:
            raise UsageError(f"there is no account {schedule.user[:80]!a}", "Name the account whose SyftBox it is.") from error
        return replace(base, user=account.pw_name, writable=base.writable or (account.pw_dir,), root=account.pw_uid == 0)

    def _more_problems(self) -> Iterator[Problem]:
        return iter(())
