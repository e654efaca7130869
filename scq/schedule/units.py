"""The text of systemd units: the shipped ones with the places, the interval and the account of one home filled in.

Pure. Sources of the format: systemd.syntax(7), systemd.service(5), systemd.timer(5), systemd.time(7), systemd.exec(5).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from urllib.parse import quote

from msgspec import Struct

from scq.errors import UsageError
from scq.ports import Entry

PREFIX = "scq-"
SUFFIXES = (".service", ".timer")
LONGEST_DELAY = 300.0
"""Longest random delay, seconds."""
TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - compared with, never written to
HOMES = ("/home", "/root", "/run/user")
_SEAL = re.compile(r"^# scq-home: (.+)\n# scq-every: ([0-9.]+)\n# scq-sum: ([0-9a-f]{16})\n", re.MULTILINE)


class Filling(Struct, frozen=True):
    """What is filled into the shipped units of one entry. `user` is empty in user units; `root`: they run as root."""

    home: str
    entry: Entry
    writable: tuple[str, ...]
    user: str = ""
    root: bool = False
    credentials: tuple[tuple[str, str], ...] = ()


class Seal(Struct, frozen=True):
    """Who a unit belongs to. `intact`: nobody edited it since it was installed."""

    home: str
    every: float
    intact: bool


def unit_name(task: str, home: str, usual: str) -> str:
    """Name of the units of a task, without suffix: plain for the usual home, else with a short word made from the path."""
    if home == usual:
        return PREFIX + task
    base = re.sub(r"[^A-Za-z0-9]+", "-", home.rstrip("/").rpartition("/")[2]).strip("-")[:24]
    return "-".join(filter(None, (PREFIX + task, base, hashlib.sha256(home.encode()).hexdigest()[:6])))


def filled(shipped: str, filling: Filling) -> str:
    """A unit ready to be installed, sealed. Raises UsageError for paths and arguments that a unit cannot hold."""
    _plain(filling.home)
    lines: list[str] = []
    started = False
    for line in shipped.splitlines():
        started = started or line.startswith("[")
        if not started:  # how to install it by hand
            continue
        found = _replaced(line, filling)
        if found is None:
            while lines and lines[-1].startswith("#"):
                lines.pop()
        else:
            lines.extend(found)
    return _sealed("\n".join(lines) + "\n", filling.home, filling.entry.every)


def seal_of(text: str) -> Seal | None:
    """Who an installed unit belongs to; None for one that scq did not install."""
    found = _SEAL.search(text)
    if found is None:
        return None
    home, every, stated = found.groups()
    return Seal(home, float(every), stated == _sum(text[: found.start(3)] + text[found.end(3) :]))


def calendar(every: float) -> str | None:
    """The calendar event that comes every so many seconds; None for an interval that does not divide a minute, hour or day."""
    for unit, largest, form in ((1, 60, "*:*:0/{}"), (60, 60, "*:0/{}"), (3600, 24, "0/{}:00")):
        count = every / unit
        if count == int(count) and 0 < count < largest and largest % count == 0:
            return form.format(int(count))
    return "daily" if every == 86_400 else None


def seconds(every: float) -> str:
    """A time span as systemd reads it."""
    return f"{every:.3f}".rstrip("0").rstrip(".") + "s"


def _replaced(line: str, filling: Filling) -> Sequence[str] | None:
    """The lines that stand for one of the shipped file; None: it and its comment are left out."""
    key, _, value = line.partition("=")
    every = filling.entry.every
    inside = any(_lies_in(path, TEMPORARY) for path in (filling.home, filling.entry.argv[0], *filling.writable))
    match key:
        case "Description" if ", every" in value:
            return (f"{key}={value.partition(', every')[0]}, every {seconds(every)}",)
        case "Documentation":
            return (f"{key}=file:{quote(filling.home).replace('%', '%%')}/config.yaml",)
        case "Type":
            return (line, *(f"LoadCredential={name}:{_plain(path)}" for name, path in _checked(filling.credentials)))
        case "User":
            return (f"User={filling.user}",)
        case "ExecStart":
            return (f"ExecStart={_command(filling.entry.argv)}",)
        case "ReadWritePaths":
            shared = TEMPORARY if inside else ()  # without one of its own a call still needs a place for temporary files
            places = dict.fromkeys((filling.home, *filling.writable, *shared))
            return (f"{key}={' '.join(_word('-' + path) for path in places)}",)
        case "ProtectHome" if any(path in HOMES for path in (filling.home, *filling.writable)):
            return None  # it would win over ReadWritePaths; ProtectSystem=strict covers the rest
        case "PrivateTmp" if inside:
            return None
        case "PrivateUsers" | "CapabilityBoundingSet" | "AmbientCapabilities" if filling.root and filling.entry.runs_jobs:
            return None  # root gives a job to an ordinary account, which takes these rights
        case "OnCalendar":
            found = calendar(every)
            return (f"{key}={found}",) if found else ("OnActiveSec=10s", f"OnUnitInactiveSec={seconds(every)}")
        case "Persistent" if not calendar(every):
            return None  # it means nothing for spans: OnActiveSec comes soon after every start
        case "RandomizedDelaySec":
            return (f"{key}={seconds(min(every / 6, LONGEST_DELAY))}",)
    return (line,)


def _sealed(text: str, home: str, every: float) -> str:
    """The text below a head that says whose it is, and by which a later change is seen."""
    head = "# Installed by `scq schedule install`, which also replaces it. Own changes: `systemctl edit` makes a drop-in.\n"
    head += f"# scq-home: {_plain(home).replace('%%', '%')}\n# scq-every: {every}\n# scq-sum: "
    rest = "\n" + text
    return head + _sum(head + rest) + rest


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _checked(credentials: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    for name, path in credentials:
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}", name) or not path.startswith("/"):
            raise UsageError(f"{name[:80]!a}: no name for a credential", "Use letters, digits, _ . - and an absolute path.")
    return credentials


def _command(argv: Sequence[str]) -> str:
    """A command line in which nothing is a specifier or a variable."""
    if not argv[0].startswith("/") or set(argv[0]) & set("$\"'\\"):
        raise UsageError(f"{argv[0]!a}: a unit cannot start this program", "Install scq below a plain absolute path.")
    return " ".join((_word(argv[0]), *(_word(word).replace("$", "$$") for word in argv[1:])))


def _word(text: str) -> str:
    """One word of a unit's line, quoted where it has to be."""
    plain = _plain(text)
    if re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]+", plain):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(text: str) -> str:
    if not text.isprintable():
        raise UsageError(f"{text[:200]!a}: a unit cannot hold control characters", "Use another path.")
    return text.replace("%", "%%")


def _lies_in(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)
