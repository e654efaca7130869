"""The types of values that settings have: each turns what config.yaml says into the value to use, or refuses it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from scq.clean import is_address
from scq.formats import is_component
from scq.lastcalls import SCHEDULED
from scq.model import Level

CENTURY = 100 * 365.25 * 86400.0
"""Longest duration accepted, seconds: more could not be added to a point in time."""
CREDENTIALS = "$CREDENTIALS_DIRECTORY/"
"""Beginning of the path of a secret that systemd hands over to a service (systemd.exec, LoadCredential=)."""
TIME_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZE_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


class Kind(Struct, frozen=True):
    """A type of value. `parse` gives the value to use, or None when the value found is not allowed."""

    name: str
    allowed: str
    parse: Callable[[object], Any]


class Key(Struct, frozen=True):
    """One setting: its path in the file, the attribute of `Config` (or of `Notify`) that holds it, its type and meaning."""

    path: str
    attribute: str
    kind: Kind
    meaning: str


def is_owner_address(text: str) -> bool:
    """True for a plain e-mail address that can also stand as the name of a folder."""
    return "/" not in text and is_address(text)


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _address(value: object) -> str | None:
    return value.strip().lower() if isinstance(value, str) and is_owner_address(value.strip()) else None


def _number(value: object, units: dict[str, float] | dict[str, int]) -> float | None:
    """A number, or a number with one of the units behind it; None for anything else."""
    if isinstance(value, str):
        digits = value.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
        unit = value.strip()[len(digits) :].lower()
        if unit and unit not in units:
            return None
        try:
            return float(digits) * (units[unit] if unit else 1)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1 << 62:
        return None
    return float(value)


def _seconds(value: object) -> float | None:
    number = _number(value, TIME_UNITS)
    return number if number is not None and 0 < number <= CENTURY else None


def _seconds_or_zero(value: object) -> float | None:
    number = _number(value, TIME_UNITS)
    return number if number is not None and 0 <= number <= CENTURY else None


def _age(value: object) -> float | None:
    return CENTURY if value == "never" else _seconds_or_zero(value)


def _size(value: object) -> int | None:
    number = _number(value, SIZE_UNITS)
    return int(number) if number is not None and 1 <= number <= 1 << 50 and number == int(number) else None


def _count(most: int) -> Callable[[object], int | None]:
    def parse(value: object) -> int | None:
        number = isinstance(value, int) and not isinstance(value, bool)
        return value if number and isinstance(value, int) and 1 <= value <= most else None

    return parse


def word(*words: str) -> Kind:
    return Kind("word", " or ".join(words), lambda value: value if isinstance(value, str) and value in words else None)


def _address_with_name(value: object) -> str | None:
    """`owner@example.org`, or with a name before it: `Queue <owner@example.org>`."""
    text = _plain(value)
    if text is None:
        return None
    name, bracket, rest = text.strip().rpartition("<")
    address = rest.removesuffix(">") if bracket else text.strip()
    fits = is_address(address) and (not bracket or rest.endswith(">")) and not set(name) & set('<>@,;:"')
    return text.strip() if fits else None


def _targets(value: object) -> tuple[str, ...] | None:
    found = [str(value)] if isinstance(value, str | int) and not isinstance(value, bool) else value
    if not isinstance(found, list) or not 1 <= len(found) <= 50:
        return None
    words = [str(item) for item in found if isinstance(item, str | int) and not isinstance(item, bool)]
    return tuple(words) if len(words) == len(found) and all(word.strip() and _plain(word) for word in words) else None


def _command(value: object) -> tuple[str, ...] | None:
    found = value if isinstance(value, list) else None
    fits = found is not None and 1 <= len(found) <= 100 and all(isinstance(item, str) and _plain(item) for item in found)
    return tuple(found) if found is not None and fits and found[0].startswith("/") else None


def _port(value: object) -> int | None:
    return _count(65_535)(value)


def _variable(value: object) -> str | None:
    return value if isinstance(value, str) and value.isascii() and value.isidentifier() and len(value) <= 200 else None


def _clock(value: object) -> str | None:
    """`HH:MM`; YAML 1.1 reads an unquoted 22:30 as a number of minutes."""
    if isinstance(value, int) and not isinstance(value, bool) and 60 <= value < 1440:
        value = f"{value // 60:02d}:{value % 60:02d}"
    if not isinstance(value, str):
        return None
    hours, _, minutes = value.strip().partition(":")
    fits = len(hours) in (1, 2) and len(minutes) == 2 and (hours + minutes).isascii() and (hours + minutes).isdecimal()
    return f"{int(hours):02d}:{minutes}" if fits and int(hours) < 24 and int(minutes) < 60 else None


def _span(value: object) -> str | None:
    """`HH:MM-HH:MM`, also over midnight."""
    if value == "":
        return ""
    first, _, last = value.partition("-") if isinstance(value, str) else ("", "", "")
    start, end = _clock(first), _clock(last)
    return f"{start}-{end}" if start and end and start != end else None


def _zone(value: object) -> str | None:
    text = _plain(value)
    parts = (text or "").split("/")
    fits = all(part and part.replace("_", "").replace("-", "").replace("+", "").isalnum() for part in parts) and len(parts) <= 3
    return text if text == "" or (text is not None and text.isascii() and fits) else None


def _domain(value: object) -> str | None:
    return value if isinstance(value, str) and (value == "" or is_address(f"x@{value}")) else None


def _names_by(words: tuple[str, ...]) -> Callable[[object], dict[str, tuple[str, ...]] | None]:
    """A mapping from one of `words` to channel names; one name may stand for a list of one."""

    def parse(value: object) -> dict[str, tuple[str, ...]] | None:
        if not isinstance(value, dict) or any(word not in words for word in value):
            return None
        found = {word: _channel_names(names) for word, names in value.items()}
        return None if None in found.values() else {word: names for word, names in found.items() if names is not None}

    return parse


def _channel_names(value: object) -> tuple[str, ...] | None:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or len(found) > 50 or any(_channel_name(name) is None for name in found):
        return None
    return tuple(dict.fromkeys(found))


def _entry(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) and "type" in value and all(isinstance(word, str) for word in value) else None


def _verbs(value: object) -> tuple[str, ...] | None:
    found = _words(value)
    return found if found and set(found) <= set(SCHEDULED) else None


def _event_words(value: object) -> dict[str, str] | None:
    if not isinstance(value, dict):
        return None
    # YAML 1.1 reads an unquoted `off` as false.
    found = {event: "off" if word is False else word for event, word in value.items()}
    fits = all(event in EVENTS and word in EVENT_WORDS for event, word in found.items())
    return found if fits else None


def _plain(value: object) -> str | None:
    return value if isinstance(value, str) and value.isprintable() and len(value) <= 4096 else None


def _path(value: object) -> str | None:
    text = _plain(value)
    return text if text and (text == "~" or text.startswith(("/", "~/", "$SCQ_HOME/", CREDENTIALS))) else None


def _absolute(value: object) -> str | None:
    text = _plain(value)
    return text if text is not None and text.startswith("/") else None


def _folders(value: object) -> tuple[str, ...] | None:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or len(found) > 100 or any(_absolute(item) is None for item in found):
        return None
    return tuple(found)


def _search_path(value: object) -> str | None:
    text = _plain(value)
    return text if text and all(part.startswith("/") for part in text.split(":")) else None


def _user(value: object) -> str | None:
    text = _plain(value)
    return text if text and text not in ("root", "0") and is_component(text) and not text.startswith("-") else None


def _queue(value: object) -> str | None:
    return value if isinstance(value, str) and is_component(value) and value.isprintable() and len(value) <= 100 else None


def _channel_name(value: object) -> str | None:
    if not isinstance(value, str) or not 1 <= len(value) <= 40 or not value.isascii():
        return None
    return value if value.replace("-", "").replace("_", "").isalnum() else None


def _words(value: object) -> tuple[str, ...] | None:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or len(found) > 100:
        return None
    return tuple(found) if all(isinstance(item, str) and item and _plain(item) for item in found) else None


def _endings(value: object) -> tuple[str, ...] | None:
    found = _words(value)
    if found is None or any("/" in item or not item.strip(".") for item in found):
        return None
    return tuple("." + item.lstrip(".").lower() for item in found)


def _addresses(value: object) -> tuple[str, ...] | None:
    words = _words(value)
    found = [_address(item) for item in words or ()]
    return None if words is None or None in found else tuple(str(item) for item in found)


def _index(value: object) -> str | None:
    text = _plain(value)
    return text if text and text.startswith(("https://", "http://", "file:///")) and " " not in text else None


def _url(value: object) -> str | None:
    text = _index(value)
    return text if text and text.startswith("http") else None


def _endpoint(value: object) -> str | None:
    """Access tokens are sent there, so they must not be readable on the way."""
    from urllib.parse import urlsplit

    text = _url(value)
    try:
        parts = urlsplit(text or "")
        safe = parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost", "::1")
    except ValueError:
        return None
    if text is None or not safe or not parts.hostname or "@" in parts.netloc:
        return None
    return text if text.endswith("/") else f"{text}/"


def _data(value: object) -> tuple[dict[str, Any], ...] | None:
    """Entries `{path, at, submitters, tags}`; a mapping of paths is the short form of entries without conditions."""
    if isinstance(value, dict):
        value = [{"path": path, "at": place} for path, place in value.items()]
    if not isinstance(value, list) or len(value) > 100:
        return None
    found = [_data_folder(entry) for entry in value]
    places = [entry["at"] for entry in found if entry is not None]
    return tuple(entry for entry in found if entry is not None) if len(set(places)) == len(value) else None


def _data_folder(entry: object) -> dict[str, Any] | None:
    if not isinstance(entry, dict) or entry.keys() - {"path", "at", "submitters", "tags"}:
        return None
    path = _path(entry.get("path"))
    at = _absolute(entry.get("at", f"/data/{str(path).rstrip('/').rpartition('/')[2]}"))
    # A condition that is there but empty would fit every job, which nobody means by it.
    submitters = (_addresses(entry["submitters"]) or None) if "submitters" in entry else ()
    tags = (_words(entry["tags"]) or None) if "tags" in entry else ()
    if path is None or at is None or submitters is None or tags is None or not _is_free_place(at):
        return None
    return {"path": path, "at": at.rstrip("/"), "submitters": submitters, "tags": tags}


_PLACE_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:,&|*@[]()=/+-")


def _place(value: object) -> str | None:
    """A word that goes to a command of Slurm: no option, nothing of another one."""
    fits = isinstance(value, str) and 0 < len(value) <= 200 and not set(value) - _PLACE_LETTERS and value[0] not in "-+=/,:&|*)]"
    return value if isinstance(value, str) and fits else None


def _plain_folder(value: object) -> str | None:
    """An absolute path that Slurm takes as it is: it replaces `%` in names of files, and a `\\` ends that."""
    path = _absolute(value)
    good = path is not None and path.strip("/") != "" and not {"%", "\\"} & set(path) and ".." not in path.split("/")
    return path.rstrip("/") if path is not None and good else None


def _placements(value: object) -> tuple[dict[str, Any], ...] | None:
    """Entries `{submitters, tags, queues, partition, account, qos, constraint, gres, cpus, tmp, devices}`."""
    if not isinstance(value, list) or len(value) > 100:
        return None
    found = [_placement(entry) for entry in value]
    return tuple(entry for entry in found if entry is not None) if None not in found else None


def _placement(entry: object) -> dict[str, Any] | None:
    if not isinstance(entry, dict) or not entry or not all(isinstance(name, str) for name in entry):
        return None
    found = {name: parse(entry[name]) for name, parse in _PLACEMENT.items() if name in entry}
    # A condition that is there but empty would fit every job, which nobody means by it.
    if entry.keys() - _PLACEMENT.keys() or any(value is None or value == () for value in found.values()):
        return None
    if not found.keys() - {"submitters", "tags", "queues"}:  # it would place nothing
        return None
    return found


_PLACEMENT: dict[str, Callable[[object], Any]] = {
    "submitters": _addresses,
    "tags": _words,
    "queues": _words,
    **dict.fromkeys(("partition", "account", "qos", "constraint", "gres"), _place),
    "cpus": _count(1000),
    "tmp": _size,
    "devices": _folders,
}


def _is_free_place(path: str) -> bool:
    """True where the box shows nothing of its own."""
    parts = path.rstrip("/").split("/")
    taken = {"bin", "dev", "etc", "job", "lib", "lib64", "proc", "root", "sbin", "scq", "sys", "tmp", "usr", "wheels"}
    return len(parts) > 1 and parts[1] not in taken and all(part not in ("", ".", "..") for part in parts[1:])


DURATION_WORDS = "a number of seconds above 0, or one with a unit such as 30s, 10m, 1h, 7d"
FLAG = Kind("true or false", "true or false", _flag)
ADDRESS = Kind("e-mail address", "an e-mail address such as owner@example.org", _address)
DURATION = Kind("duration", DURATION_WORDS, _seconds)
DURATION_OR_ZERO = Kind("duration", DURATION_WORDS.replace("above 0", "from 0"), _seconds_or_zero)
AGE = Kind("duration", DURATION_WORDS.replace("above 0", "from 0") + ", or never", _age)
SIZE = Kind("size", "a number of bytes above 0, or one with a unit such as 512 KiB, 10 MiB, 1 GiB", _size)
PATH = Kind("path", "a path that begins with / or ~/ or $SCQ_HOME/ or $CREDENTIALS_DIRECTORY/", _path)
ABSOLUTE = Kind("path", "a path that begins with /", _absolute)
FOLDERS = Kind("list of paths", "a list of paths that begin with /", _folders)
SEARCH_PATH = Kind("search path", "folders that begin with /, with : between them", _search_path)
USER = Kind("user name", "the name of a user other than root", _user)
QUEUE = Kind("name", "a name that can stand as a folder", _queue)
JOBS = Kind("number", "a whole number from 1 to 1000", _count(1000))
PLACE = Kind("text", "a word as Slurm takes it, such as short or gpu:1", _place)
PLAIN_FOLDER = Kind("path", "a path that begins with /, without .. and %", _plain_folder)
PLACEMENTS = Kind(
    "list of placements",
    "a list of entries with submitters, tags or queues and with partition, account, qos, constraint, gres, cpus, tmp or devices",
    _placements,
)
PROCESSES = Kind("number", "a whole number from 1 to 100000", _count(100_000))
BACKUPS = Kind("number", "a whole number from 1 to 100", _count(100))
VERSION = Kind("number", "1; a newer scq wrote this file, so use that one (docs/upgrades.md)", _count(1))
REVIEWS = Kind("number", "a whole number from 1 to 10", _count(10))
WORDS = Kind("list of words", "a list of words", _words)
ENDINGS = Kind("list of file endings", "a list of file endings such as .csv", _endings)
ADDRESSES = Kind("list of addresses", "a list of e-mail addresses", _addresses)
INDEX = Kind("URL", "an address that begins with https:// (http:// and file:// work too)", _index)
DATA = Kind(
    "data folders",
    "a list of entries with path (on this machine), at (in the box, such as /data/cohort), and if need be submitters and tags",
    _data,
)
FILES = Kind("number", "a whole number from 1 to 10000000", _count(10_000_000))

LEVELS: tuple[Level, ...] = ("info", "warning", "error", "critical")
EVENTS: tuple[str, ...] = (
    *("baseline", "job.received", "job.invalid", "job.approved", "job.rejected", "job.expired", "job.started", "job.completed"),
    *("job.failed", "job.interrupted", "job.integrity", "job.changed", "job.vanished", "outputs.withheld", "outputs.released"),
    *("results.withheld", "peer.requested", "peer.request_seen", "peer.granted", "peer.added", "review.reminder"),
    *("auth.expiring", "auth.failed", "channel.failed", "source.stale", "heartbeat", "digest"),
)
"""Every event there is."""
EVENT_WORDS = ("off", "do", "ds", "both", "digest")
"""Who is told about an event: nobody, the data owner, the data scientist, both, or whoever it is by default, in a digest."""
SENDER = Kind("address", "an e-mail address, also with a name: Queue <queue@example.org>", _address_with_name)
TARGETS = Kind("list of words", "a number, an id or a name, or a list of them", _targets)
COMMAND = Kind("command", "a list of words, the first of them the absolute path of a program", _command)
COMMAND_OR_NONE = Kind(
    "command", f"{COMMAND.allowed}, or [] for none", lambda value: () if value in ([], ()) else _command(value)
)
PORT = Kind("number", "a port number", _port)
VARIABLE = Kind("name", "the name of an environment variable", _variable)
TEXT = Kind("text", "a text of one line", lambda value: _plain(value) or None)
CLOCK = Kind("time of day", "a time of day such as 08:00", _clock)
SPAN = Kind("time of day", "from a time of day to another, such as 22:00-07:00", _span)
ZONE = Kind("time zone", "a time zone such as Europe/Berlin", _zone)
DOMAIN = Kind("domain", "a domain such as example.org", _domain)
LEVEL_CHANNELS = Kind("channels by level", "levels (info, warning, error, critical) with channel names", _names_by(LEVELS))
EVENT_CHANNELS = Kind("channels by event", "events (see docs/notifications.md) with channel names", _names_by(EVENTS))
EVENT_ROLES = Kind("words by event", "events (see docs/notifications.md), each with off, do, ds, both or digest", _event_words)
CHANNEL_ORDER = Kind("list of names", "a list of channel names", _channel_names)
VERB_WORDS = Kind("list of verbs", f"a list of scheduled verbs: {', '.join(SCHEDULED)}", _verbs)
CHANNEL_ENTRY = Kind("channel", "settings with a type, such as {type: webhook, url_env: HOOK_URL}", _entry)
CHANNEL_NAME = Kind("name", "a channel name of up to 40 letters, digits, - and _", _channel_name)
ENDPOINT = Kind("URL", "an address that begins with https://, or http:// for this machine", _endpoint)
URL = Kind("URL", "an address that begins with https:// or http://", _url)
