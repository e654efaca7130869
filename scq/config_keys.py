"""Every setting of config.yaml: where it stands in the file, what it may be, and what it means. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from scq.clean import is_address
from scq.formats import is_component

CENTURY = 100 * 365.25 * 86400.0
"""Longest duration accepted, seconds: more could not be added to a point in time."""
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


def _size(value: object) -> int | None:
    number = _number(value, SIZE_UNITS)
    return int(number) if number is not None and 1 <= number <= 1 << 50 and number == int(number) else None


def _count(most: int) -> Callable[[object], int | None]:
    def parse(value: object) -> int | None:
        number = isinstance(value, int) and not isinstance(value, bool)
        return value if number and isinstance(value, int) and 1 <= value <= most else None

    return parse


def _word(*words: str) -> Kind:
    return Kind("word", " or ".join(words), lambda value: value if isinstance(value, str) and value in words else None)


def _plain(value: object) -> str | None:
    return value if isinstance(value, str) and value.isprintable() and len(value) <= 4096 else None


def _path(value: object) -> str | None:
    text = _plain(value)
    return text if text and (text == "~" or text.startswith(("/", "~/", "$SCQ_HOME/"))) else None


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
SIZE = Kind("size", "a number of bytes above 0, or one with a unit such as 512 KiB, 10 MiB, 1 GiB", _size)
PATH = Kind("path", "a path that begins with / or ~/ or $SCQ_HOME/", _path)
ABSOLUTE = Kind("path", "a path that begins with /", _absolute)
FOLDERS = Kind("list of paths", "a list of paths that begin with /", _folders)
SEARCH_PATH = Kind("search path", "folders that begin with /, with : between them", _search_path)
USER = Kind("user name", "the name of a user other than root", _user)
QUEUE = Kind("name", "a name that can stand as a folder", _queue)
JOBS = Kind("number", "a whole number from 1 to 1000", _count(1000))
PROCESSES = Kind("number", "a whole number from 1 to 100000", _count(100_000))
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

KEYS: tuple[Key, ...] = (
    Key("do_email", "email", ADDRESS, "Your own address: the owner of the jobs that wait for you. `email` is accepted too."),
    Key("syftbox_root", "root", PATH, "Your SyftBox folder. `root` is accepted too."),
    Key("queue_name", "queue_name", QUEUE, "Name of the queue folder below `app_data` of the status-folder generation."),
    Key("max_concurrent_jobs", "max_concurrent_jobs", JOBS, "How many jobs one call runs at once."),
    Key("job_timeout", "job_timeout", DURATION, "Wall-clock limit of one job, unless `--timeout` or the job asks for less."),
    Key("cleanup_completed_after", "cleanup_completed_after", DURATION_OR_ZERO, "Age at which `scq cleanup` removes a job."),
    Key("lock_timeout", "lock_timeout", DURATION_OR_ZERO, "How long a call waits for another one that is saving."),
    Key("drive_token_path", "drive_token_path", PATH, "Saved sign-in for Google Drive."),
    Key("gmail_token_path", "gmail_token_path", PATH, "Saved sign-in for Gmail."),
    Key("state_file", "state_file", PATH, "What scq remembers. Unset: `state.json` in `$SCQ_HOME`."),
    Key("email_format", "email_format", _word("html", "text", "both"), "Form of the messages."),
    Key("notify_on_new_job", "notify_on_new_job", FLAG, "Tell the owner about a new job."),
    Key("notify_on_approved", "notify_on_approved", FLAG, "Tell the submitter that a job was approved."),
    Key("notify_on_executed", "notify_on_executed", FLAG, "Tell about a job that has run."),
    Key("notify_on_new_peer", "notify_on_new_peer", FLAG, "Tell the owner about a new peer request."),
    Key("notify_on_peer_granted", "notify_on_peer_granted", FLAG, "Tell a peer that the request was granted."),
    Key("approvals.adopt", "adopt", FLAG, "Believe approvals made with another tool where only the owner can write them."),
    Key("check.sweep_every", "sweep_every", DURATION_OR_ZERO, "How often a look visits finished jobs too. 0: every time."),
    Key(
        "check.orphan_after",
        "orphan_after",
        DURATION,
        "When a job that nobody runs any more is reported. Unset: after two job_timeout.",
    ),
    Key("run.retry_interrupted", "retry_interrupted", FLAG, "Run a job again by itself when its runner died."),
    Key(
        "network",
        "network",
        _word("none", "prepare", "full"),
        "`prepare`: dependencies are fetched before the run, in a box without data. `full`: the job itself has a network.",
    ),
    Key("data", "data", DATA, "Private data that jobs may read, each folder for all jobs or for some submitters or tags."),
    Key("limits.cpu", "limit_cpu", DURATION, "CPU time of one job. Unset: only `job_timeout` counts."),
    Key("limits.memory", "limit_memory", SIZE, "Memory of all processes of one job together."),
    Key("limits.processes", "limit_processes", PROCESSES, "Processes and threads of one job."),
    Key("limits.open_files", "limit_open_files", PROCESSES, "Open files of each process of a job."),
    Key("limits.file_size", "limit_file_size", SIZE, "Largest file a job may write."),
    Key("limits.disk", "limit_disk", SIZE, "What a job may write into its work folder, all files together."),
    Key("prepare.index", "prepare_index", INDEX, "Where packages are fetched. Unset: as pip and uv of this machine are told."),
    Key("prepare.timeout", "prepare_timeout", DURATION, "How long fetching the packages of one job may take."),
    Key("prepare.bytes", "prepare_bytes", SIZE, "How much may be fetched for one job."),
    Key(
        "prepare.source_packages",
        "prepare_source_packages",
        FLAG,
        "Accept packages that have to be built, which runs code of strangers in the box of the fetching.",
    ),
    Key("results.outputs", "hold_outputs", _word("hold", "release"), "Whether outputs wait for `scq release`. Short: `results`."),
    Key("results.logs", "hold_logs", _word("hold", "release"), "Whether logs wait for `scq release --logs`."),
    Key(
        "auto_release.types",
        "types",
        ENDINGS,
        "Endings of result files that may leave by themselves, if nothing was found in them.",
    ),
    Key("auto_release.bytes", "bytes", SIZE, "Most bytes that leave by themselves."),
    Key("auto_release.files", "files", FILES, "Most files that leave by themselves."),
    Key("auto_release.logs", "logs", FLAG, "Whether logs leave with them."),
    Key("deny", "deny", WORDS, "Rules of findings in code that block an approval unless `--accept-finding` names them."),
    Key("approvals.quorum", "quorum", REVIEWS, "How many different reviewers have to approve the same content."),
    Key("approvals.reviewers", "reviewers", ADDRESSES, "Who may approve with `--by`. Unset: anybody who can run scq here."),
    Key("run.log_limit", "log_limit", SIZE, "Bytes kept of each log of a job: its head and its tail."),
    Key("run.output_files", "output_files", FILES, "How many result files of one job are collected."),
    Key("run.output_bytes", "output_bytes", SIZE, "How many bytes of results of one job are collected."),
    Key("run.path", "job_path", SEARCH_PATH, "`PATH` given to jobs."),
    Key("submission.files", "submission_files", FILES, "A submission with more files is invalid."),
    Key("submission.bytes", "submission_bytes", SIZE, "A submission with more bytes is invalid."),
    Key(
        "sandbox.type",
        "sandbox",
        _word("bwrap", "none"),
        "What a job may touch. `none` protects nothing. Short: `sandbox: none`.",
    ),
    Key("sandbox.user", "sandbox_user", USER, "The user a job runs as when scq is started by root."),
    Key("sandbox.scratch", "sandbox_scratch", ABSOLUTE, "Where that user's private copies are made."),
    Key("sandbox.interpreters", "sandbox_interpreters", FOLDERS, "Further folders a job may read, such as a Python."),
    Key("notify.interval", "interval", DURATION, "Pause between two looks where scq is run in a loop."),
    Key("notify.monitor_jobs", "monitor_jobs", FLAG, "Send messages about jobs."),
    Key("notify.monitor_peers", "monitor_peers", FLAG, "Send messages about peers."),
)

CHANNEL_KEYS: tuple[Key, ...] = (
    Key("type", "type", _word("file"), "Kind of channel. `file` writes e-mail messages into a folder."),
    Key("path", "path", PATH, "Where the messages are written."),
    Key("format", "format", _word("maildir", "mbox"), "One file per message, or one file for all."),
)
CHANNELS = "notify.channels"
CHANNEL_NAMES = Kind("name", "a channel name of up to 40 letters, digits, - and _", _channel_name)

ALIASES = {"email": "do_email", "root": "syftbox_root"}
"""Other spellings of a key."""
SHORTHANDS = {"sandbox": ("sandbox.type",), "results": ("results.outputs", "results.logs")}
"""Groups that may also be written as one word."""
GROUPS: frozenset[str] = frozenset(key.path.partition(".")[0] for key in KEYS if "." in key.path)
BY_PATH: dict[str, Key] = {key.path: key for key in KEYS}


def find_key(path: str) -> Key | None:
    """The setting a path names, in any accepted spelling; `notify.channels.NAME.type` too. None when there is none."""
    path = ALIASES.get(path, SHORTHANDS.get(path, (path,))[0])
    if path in BY_PATH:
        return BY_PATH[path]
    if not path.startswith(CHANNELS + "."):
        return None
    name, _, rest = path[len(CHANNELS) + 1 :].partition(".")
    found = next((key for key in CHANNEL_KEYS if key.path == rest), None)
    if found is None or _channel_name(name) is None:
        return None
    return Key(f"{CHANNELS}.{name}.{rest}", found.attribute, found.kind, found.meaning)


def nearest(path: str) -> str:
    """The known key that looks most like `path`, empty when none does."""
    import difflib

    known = [*BY_PATH, *ALIASES, *GROUPS, CHANNELS]
    whole = difflib.get_close_matches(path, known, n=1, cutoff=0.7)
    if whole:
        return whole[0]
    last = {name.rpartition(".")[2]: name for name in known}
    by_last = difflib.get_close_matches(path.rpartition(".")[2], list(last), n=1, cutoff=0.75)
    return last[by_last[0]] if by_last else ""
