"""launchd (macOS): one agent of the account that is logged in for each call.

Format: launchd.plist(5). launchd never starts a call while the one before is at work; what it missed meanwhile it makes up for
by one call. It opens the file for standard error anew for each call.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from msgspec.structs import replace

from scq.errors import ConfigError, InvalidFileError, ScqError, UsageError
from scq.files import make_folder, read_text, remove_file, write_atomic
from scq.model import Problem
from scq.ports import Entry, Installed, PlacedFile, Schedule
from scq.schedule import calls
from scq.syftbox import expand

PREFIX = "org.scq."
_PATH = "/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin"
_MARK = re.compile(r"<!-- Written by `scq schedule install`, mark ([0-9a-f]{8}) -->\n")
_LEAVES_S = 20.0
"""How long an agent may take to be gone: launchd gives a call this long after SIGTERM (ExitTimeOut)."""
_LONG_LOG = 1 << 20


class Launchd:
    """Agents in ~/Library/LaunchAgents, through the program `launchctl`."""

    name = "launchd"
    overlaps = False

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)
        self._folder = expand("~/Library/LaunchAgents", self._env)
        self._domain = f"gui/{os.getuid()}"

    def unusable(self) -> str:
        """launchd is where its program is."""
        return "" if calls.found_program("launchctl", self._env) else "there is no launchd on this machine (it is part of macOS)"

    def files(self, schedule: Schedule) -> tuple[PlacedFile, ...]:
        """A property list for each call; also where there is no launchd. Raises UsageError."""
        calls.check_words(schedule)
        if schedule.user:
            raise UsageError(f"launchd calls as whoever is logged in, not as {schedule.user}", f"Install it as {schedule.user}.")
        return tuple(
            PlacedFile(self._path(schedule.home, entry.name), _text(schedule.home, self._label(schedule.home, entry.name), entry))
            for entry in schedule.entries
        )

    def install(self, schedule: Schedule) -> tuple[str, ...]:
        """Write the agents and hand them to launchd. Raises ScqError."""
        self._program()
        files = self.files(schedule)
        done = [
            line
            for entry in self._entries(schedule.home)
            if entry not in _names(schedule)
            for line in self._drop(schedule.home, entry)
        ]
        for entry, file in zip(schedule.entries, files, strict=True):
            label = self._label(schedule.home, entry.name)
            same = _content(file.path) == file.text
            if same and self._loaded(label):
                continue
            if not same:
                if os.path.lexists(file.path) and not _MARK.search(_content(file.path)):
                    raise ConfigError(f"{file.path} is not from scq", "Rename or remove it, then call again.")
                self._unload(label)
                make_folder(self._folder)
                write_atomic(file.path, file.text.encode(), mode=file.mode)
            remove_file(_log(schedule.home, entry.name))
            self._load(label, file.path)
            done.append(f"{entry.name}: launchd calls it every {_seconds(entry)} s ({file.path})")
        return tuple(done)

    def remove(self, home: str) -> tuple[str, ...]:
        """Take the agents of a home from launchd and remove their files. Raises ScqError."""
        return tuple(line for name in self._entries(home) for line in self._drop(home, name))

    def installed(self, home: str) -> tuple[Installed, ...]:
        """The agents of a home, as their files say and as launchd has them."""
        return tuple(self._found(home, name) for name in self._entries(home))

    def start(self, home: str, name: str) -> str:
        """Hand an agent to launchd again. Raises ScqError."""
        self._known(home, name)
        label = self._label(home, name)
        if not self._loaded(label):
            remove_file(_log(home, name))
            self._load(label, self._path(home, name))
        return f"{name}: launchd makes its calls"

    def stop(self, home: str, name: str) -> str:
        """Take an agent from launchd, which ends its call, and keep it from coming back at the next login. Raises ScqError."""
        self._known(home, name)
        label = self._label(home, name)
        self._unload(label)
        self._ask("disable", f"{self._domain}/{label}")
        return f"{name}: launchd lets it rest"

    def verify(self, schedule: Schedule) -> Sequence[Problem]:
        """Whether the agents are as they should be, loaded, and can be started."""
        problems = calls.program_problems(schedule.entries)
        try:
            files = self.files(schedule)
        except ScqError as error:
            return [*problems, Problem("launchd", str(error), error.advice)]
        if missing := self.unusable():
            return [*problems, Problem("launchd", missing, "Use another scheduler.")]
        there = self._entries(schedule.home)
        for entry, file in zip(schedule.entries, files, strict=True) if there else ():
            log = _log(schedule.home, entry.name)
            if entry.name not in there or _content(file.path) != file.text:
                problems.append(Problem(file.path, "is not what belongs there", "Call `scq schedule install` again."))
            elif not self._loaded(self._label(schedule.home, entry.name)):
                problems.append(Problem(file.path, "rests: launchd does not have it", f"Call `scq start {entry.name}`."))
            if os.path.isfile(log) and os.path.getsize(log) > _LONG_LOG:
                problems.append(Problem(log, "has grown large", "Read its end to see what goes wrong, then remove it."))
        return problems

    def _suffix(self, home: str) -> str:
        """Tells agents of one home from those of another; empty for the usual home."""
        if home == expand("~/.syft-creds", self._env):
            return ""
        return "." + sha256(home.encode("utf-8", "surrogateescape")).hexdigest()[:8]

    def _label(self, home: str, name: str) -> str:
        return f"{PREFIX}{name}{self._suffix(home)}"

    def _path(self, home: str, name: str) -> str:
        return os.path.join(self._folder, f"{self._label(home, name)}.plist")

    def _entries(self, home: str) -> list[str]:
        """Names of the entries that have a file of ours for this home."""
        try:
            names = sorted(os.listdir(self._folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = [
            name.removeprefix(PREFIX).removesuffix(f"{self._suffix(home)}.plist") for name in names if name.startswith(PREFIX)
        ]
        return [name for name in found if "." not in name and _MARK.search(_content(self._path(home, name)))]

    def _known(self, home: str, name: str) -> None:
        if name not in self._entries(home):
            raise UsageError(f"{name} is not installed in {self._folder}", "Install it with `scq schedule install`.")

    def _found(self, home: str, name: str) -> Installed:
        path = self._path(home, name)
        text = _content(path)
        base = Installed(name, path, "unknown", _interval(text))
        if self.unusable():
            return replace(base, detail="there is no launchd here")
        mark = _MARK.search(text)
        if mark is None or calls.mark_of(_MARK.sub("", text)) != mark[1]:
            return replace(base, state="changed", detail="its file was edited")
        code, said = self._ask("print", f"{self._domain}/{self._label(home, name)}")
        if code:
            return replace(base, state="stopped")
        working = re.search(r"^\s*pid = ([0-9]{1,10})$", said, re.MULTILINE)
        return replace(base, state="running", pid=int(working[1])) if working else replace(base, state="active")

    def _drop(self, home: str, name: str) -> list[str]:
        path = self._path(home, name)
        if not self.unusable():
            self._unload(self._label(home, name))
        remove_file(path)
        remove_file(_log(home, name))
        return [f"{name}: removed {path}"]

    def _loaded(self, label: str) -> bool:
        return self._ask("print", f"{self._domain}/{label}")[0] == 0

    def _load(self, label: str, path: str) -> None:
        """Let launchd have an agent, also one that was told to rest. Raises ScqError."""
        self._ask("enable", f"{self._domain}/{label}")
        code, said = self._ask("bootstrap", self._domain, path)
        if code:
            advice = (
                f"An agent needs somebody who is logged in at the screen. `launchctl print {self._domain}/{label}` tells more."
            )
            raise calls.refused(f"launchd did not take {path}", code, said, advice)

    def _unload(self, label: str) -> None:
        """Take an agent from launchd, and wait until it is gone: before, launchd would not take it again. Raises ScqError."""
        if not self._loaded(label):
            return
        code, said = self._ask("bootout", f"{self._domain}/{label}")
        if not _waited(lambda: not self._loaded(label)):
            raise calls.refused(f"launchd keeps {label}", code, said, "Log out and in again, then call again.")

    def _ask(self, *words: str) -> tuple[int, str]:
        """Exit code of launchctl, and what it said: what went wrong, else its answer."""
        code, out, said = calls.ran([self._program(), *words], self._env)
        return code, said if code else out.decode("utf-8", "replace")

    def _program(self) -> str:
        if missing := self.unusable():
            raise UsageError(missing, "Use another scheduler.")
        return calls.found_program("launchctl", self._env)


def _waited(gone: Callable[[], bool]) -> bool:
    until = time.monotonic() + _LEAVES_S
    while not gone():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def _names(schedule: Schedule) -> set[str]:
    return {entry.name for entry in schedule.entries}


def _log(home: str, name: str) -> str:
    """Where a call's standard error goes: empty while all is well, and never a file of the journal, which others put aside."""
    return os.path.join(home, f"launchd-{name}.err")


def _seconds(entry: Entry) -> int:
    return max(1, round(entry.every))


def _text(home: str, label: str, entry: Entry) -> str:
    """The property list of a call, with a mark by which an edit is known."""
    import plistlib

    keys = {
        "Label": label,
        "ProgramArguments": list(entry.argv),
        "EnvironmentVariables": {"PATH": _PATH, "SCQ_HOME": home},
        "StartInterval": _seconds(entry),
        "RunAtLoad": True,
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "Umask": 0o077,
        "StandardErrorPath": _log(home, entry.name),
    }
    text = plistlib.dumps(keys, sort_keys=False).decode()
    head, plist, rest = text.partition("<plist")
    return f"{head}<!-- Written by `scq schedule install`, mark {calls.mark_of(text)} -->\n{plist}{rest}"


def _content(path: str) -> str:
    """A file of ours; empty when it is not there or cannot be ours."""
    try:
        return read_text(path)
    except InvalidFileError:
        return ""


def _keys(text: str) -> dict[str, object]:
    """The keys of a property list; none when it is not one."""
    import plistlib
    from xml.parsers.expat import ExpatError

    try:
        found = plistlib.loads(text.encode())
    except (plistlib.InvalidFileException, ExpatError, ValueError, KeyError, IndexError, AttributeError, RecursionError):
        return {}  # edited until it was no property list any more
    return found if isinstance(found, dict) else {}


def _interval(text: str) -> float | None:
    found = _keys(text).get("StartInterval")
    return float(found) if isinstance(found, int) and 0 < found < 1 << 31 else None
