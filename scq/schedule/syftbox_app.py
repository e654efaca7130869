"""A SyftBox app: the SyftBox client starts its `run.sh`, which makes the calls of this installation of scq.

Format: a folder with a `run.sh` below `apps` (clients written in Go) or `apis` (written in Python) of the SyftBox folder. Some
clients start it again and again, others once; those give it a name in `SYFTBOX_APP_ID`, and then it stays and repeats the calls.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from scq.clean import line
from scq.errors import ConfigError, InvalidFileError, ScqError, UsageError
from scq.files import make_folder, read_text, remove_file, write_atomic
from scq.model import Problem
from scq.ports import Entry, Installed, PlacedFile, Schedule
from scq.schedule import calls
from scq.syftbox import expand, read_client_config

FOLDERS = ("apps", "apis")
_ENTRY = re.compile(r"  # scq (?P<name>[a-z][a-z0-9-]*) (?P<mark>[0-9a-f]{8}) (?P<every>[0-9]{1,9}): ")
_STOPPED = "  : stopped; # "
_LOGS = ("stdout.log", "stderr.log", "app.log")
"""What clients write into `logs` of an app's folder."""
_START = """#!/usr/bin/env bash
# Written by `scq schedule install` for {home}
# `scq schedule remove` takes this folder away again. SCQ_EVERY=60: stay, and begin the calls every so many seconds.
[ -n "${{BASH_VERSION:-}}" ] || exec bash "$0" "$@" # some clients call `sh run.sh`
set -eu
stay={every}

calls() {{
{calls}
}}

"""
_FIRST = re.compile(r"#!/usr/bin/env bash\n# Written by `scq schedule install` for (?P<home>/.*)\n")

REST = r"""call() { # in a way that a signal is heard at once
  code=0
  "$@" &
  wait "$!" || code=$?
}

end() { # exit code, tenths of a second until what still runs is killed
  local left=$2 pids
  trap '' TERM INT HUP
  pids=$(jobs -pr)
  # shellcheck disable=SC2086 # several numbers
  [ -z "$pids" ] || kill -TERM $pids 2>/dev/null || true
  while [ "$left" -gt 0 ] && [ -n "$(jobs -pr)" ]; do
    sleep 0.1
    left=$((left - 1))
  done
  pids=$(jobs -pr)
  # shellcheck disable=SC2086
  [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true
  exit "$1"
}

one_round() {
  trap 'end 143 35' TERM HUP
  trap 'end 130 35' INT
  code=0
  calls
}

# Clients that give an app a name start it once; others call it again and again.
every=${SCQ_EVERY:-${SYFTBOX_APP_ID:+$stay}}
case $every in
  '')
    one_round
    [ "$code" -ne 75 ] || code=0
    exit "$code"
    ;;
  0* | *[!0-9]*)
    echo 'run.sh: SCQ_EVERY has to be a number of seconds, such as 60' >&2
    exit 2
    ;;
esac
# The next round begins even while a long job runs in an earlier one: what one call is doing, the next leaves to it. More than
# four at a time would only wait for the same thing.
trap 'end 143 45' TERM HUP
trap 'end 130 45' INT
while :; do
  # A client that is gone does not end what it started once; the next one starts it anew.
  [ -z "${SYFTBOX_APP_ID:-}" ] || kill -0 "$PPID" 2>/dev/null || [ -d "/proc/$PPID" ] || end 0 45
  if [ "$(jobs -pr | wc -l)" -lt 4 ]; then
    one_round &
  fi
  call sleep "$every"
done
"""
"""What makes the calls: the end of `run.sh` at the top of the repository, word for word."""


class _Call(Struct, frozen=True):
    """One call as it stands in a run.sh."""

    name: str
    every: float
    argv: tuple[str, ...]
    stopped: bool
    edited: bool


class SyftBoxApp:
    """A folder among the apps of the SyftBox client."""

    name = "syftbox"
    overlaps = True

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)

    def unusable(self) -> str:
        """It takes a SyftBox client that has been here: its configuration, and a folder for apps."""
        root = read_client_config(self._env).root
        if not root:
            return "there is no configuration of a SyftBox client (~/.syftbox/config.json)"
        return "" if self._apps(root) else f"{root} has no folder `apps`: the SyftBox client has not run apps here"

    def files(self, schedule: Schedule) -> tuple[PlacedFile, ...]:
        """The run.sh of the app. Raises UsageError."""
        calls.check_words(schedule)
        if schedule.user:
            raise UsageError(
                f"the SyftBox client calls as its own account, not as {schedule.user}", "Install it as that account."
            )
        return (PlacedFile(self._path(schedule.home), _text(schedule), 0o755),)

    def install(self, schedule: Schedule) -> tuple[str, ...]:
        """Write the app; the client finds it by itself. Never over somebody else's. Raises ScqError."""
        if missing := self.unusable():
            raise UsageError(missing, "Start the SyftBox client once, or use another scheduler.")
        (file,) = self.files(schedule)
        text = self._text(schedule.home)
        folder = os.path.dirname(file.path)
        if text is None and os.path.lexists(folder):
            raise ConfigError(f"{folder} is an app that is not from scq", "Rename or remove it, then call again.")
        if text == file.text and os.stat(file.path).st_mode & 0o777 == file.mode:
            return ()
        make_folder(folder)
        write_atomic(file.path, file.text.encode(), mode=file.mode)
        return tuple(f"{entry.name}: an app of SyftBox calls it ({file.path})" for entry in schedule.entries)

    def remove(self, home: str) -> tuple[str, ...]:
        """Remove the app with what the client logged in it; end what it is doing. Raises ScqError."""
        found = self._found(home)
        if self._text(home) is None:
            return ()
        path = self._path(home)
        remove_file(path)
        for call in found:
            calls.end(call.argv)
        folder = os.path.dirname(path)
        for name in _LOGS:
            remove_file(os.path.join(folder, "logs", name))
        for empty in (os.path.join(folder, "logs"), folder):
            if os.path.isdir(empty) and not os.listdir(empty):
                os.rmdir(empty)
        return (f"removed the app {folder}",)

    def installed(self, home: str) -> tuple[Installed, ...]:
        """The calls in the run.sh of the app."""
        return tuple(_state(call, self._path(home)) for call in self._found(home))

    def start(self, home: str, name: str) -> str:
        """Let the app make the calls of an entry again. Raises ScqError."""
        self._switch(home, name, stopped=False)
        return f"{name}: the SyftBox app makes its calls"

    def stop(self, home: str, name: str) -> str:
        """Let the app leave out the calls of an entry, and end the one at work. Raises ScqError."""
        call = self._switch(home, name, stopped=True)
        ended = 0 if call.edited else calls.end(call.argv)
        return f"{name}: the SyftBox app lets it rest" + (f", ended {ended} call(s) at work" if ended else "")

    def verify(self, schedule: Schedule) -> Sequence[Problem]:
        """Whether the app is as it should be and can be started."""
        if missing := self.unusable():
            return [Problem("SyftBox", missing, "Start the SyftBox client once, or use another scheduler.")]
        problems = calls.program_problems(schedule.entries)
        try:
            (file,) = self.files(schedule)
        except ScqError as error:
            return [*problems, Problem("SyftBox", str(error), error.advice)]
        text = self._text(schedule.home)
        if text is None and os.path.lexists(os.path.dirname(file.path)):
            problems.append(Problem(os.path.dirname(file.path), "is an app that is not from scq", "Rename or remove it."))
        elif text is not None and (text != file.text or not os.access(file.path, os.X_OK)):
            problems.append(Problem(file.path, "is not what belongs there", "Call `scq schedule install` again."))
        return problems

    def _apps(self, root: str) -> str:
        """Where the client looks for apps; empty when it has no such folder."""
        return next((path for name in FOLDERS if os.path.isdir(path := os.path.join(root, name))), "")

    def _path(self, home: str) -> str:
        """The run.sh for a home; where there is no client, as a new one would have it."""
        root = read_client_config(self._env).root or expand("~/SyftBox", self._env)
        suffix = "" if home == expand("~/.syft-creds", self._env) else "-" + sha256(home.encode()).hexdigest()[:8]
        return os.path.join(self._apps(root) or os.path.join(root, FOLDERS[0]), f"scq{suffix}", "run.sh")

    def _text(self, home: str) -> str | None:
        """The run.sh that scq wrote for this home; None when there is none."""
        try:
            text = read_text(self._path(home))
        except InvalidFileError:
            return None
        first = _FIRST.match(text)
        return text if first is not None and first["home"] == home else None

    def _found(self, home: str) -> list[_Call]:
        return [] if self.unusable() else _calls(self._text(home) or "")

    def _switch(self, home: str, name: str, *, stopped: bool) -> _Call:
        found = {call.name: call for call in self._found(home)}
        text = self._text(home) if found else None
        if name not in found or text is None:
            raise UsageError(f"{name} is not in a SyftBox app", "Install it with `scq schedule install`.")
        rows = text.split("\n")
        for number, row in enumerate(rows[:-1]):
            entry = _ENTRY.match(row)
            if entry is not None and entry["name"] == name:
                active = rows[number + 1].removeprefix(_STOPPED)
                rows[number + 1] = _STOPPED + active if stopped else active
        if (after := "\n".join(rows)) != text:
            write_atomic(self._path(home), after.encode(), mode=0o755)
        return found[name]


def _row(entry: Entry) -> str:
    return f"  call {shlex.join(entry.argv)}"


def _every(entry: Entry) -> int:
    return max(1, round(entry.every))


def _text(schedule: Schedule) -> str:
    """The run.sh of a schedule. One that stays makes all calls as often as the most frequent one."""
    # The cycle last: its exit code is the one of the app, and what the owner's program approved is run at once.
    entries = sorted(schedule.entries, key=lambda entry: entry.name == "notify")
    rows = []
    for entry in entries:
        row = _row(entry)
        rows += [f"  # scq {entry.name} {calls.mark_of(row)} {_every(entry)}: {line(entry.meaning)}", row]
    every = min((_every(entry) for entry in entries), default=60)
    return _START.format(home=schedule.home, every=every, calls="\n".join(rows or ["  :"])) + REST


def _calls(text: str) -> list[_Call]:
    """The calls in a run.sh of ours, also those that somebody edited."""
    rows = text.split("\n")
    found = []
    for number, row in enumerate(rows[:-1]):
        if entry := _ENTRY.match(row):
            active = rows[number + 1].removeprefix(_STOPPED)
            edited = calls.mark_of(active) != entry["mark"]
            argv = () if edited else tuple(shlex.split(active)[1:])
            found.append(_Call(entry["name"], float(entry["every"]), argv, active != rows[number + 1], edited))
    return found


def _state(call: _Call, path: str) -> Installed:
    """One call, and whether it is at work."""
    base = Installed(call.name, path, "active", call.every)
    if call.edited:
        return replace(base, state="changed", detail="its line was edited")
    if call.stopped:
        return replace(base, state="stopped")
    working = calls.at_work(call.argv)
    return replace(base, state="running", pid=working[0]) if working else base
