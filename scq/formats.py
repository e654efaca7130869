"""The forms in which peers write values: mapping files, times, addresses, names.

Sources: the on-disk layouts of syft-code-queue 0.1.0-0.1.27 and syft-job 0.1.1-0.1.40 (docs/layouts.md).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from scq.errors import InvalidFileError

DEPTH_LIMIT = 100
SHALLOW_LENGTH = 1_000
"""A text of so few characters cannot nest deep enough to matter: the peers' own files are shorter."""


def parse_json(text: str, where: str) -> dict[str, Any]:
    """A JSON document that is one mapping. Raises InvalidFileError naming `where`."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidFileError(f"{where}: is not JSON ({error})") from error
    return _mapping(value, where)


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """A YAML document that is one mapping. Raises InvalidFileError naming `where`.

    Refused before anything is built: deep nesting (the C loader recurses and would end the process) and aliases (a few
    merged ones grow exponentially, and no peer writes any).
    """
    import yaml

    refusal = _refusal(text) if len(text) > SHALLOW_LENGTH or "*" in text else ""
    if refusal:
        raise InvalidFileError(f"{where}: {refusal}", "Ask whoever wrote it to write it again as plain YAML.")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        value = yaml.load(text, Loader=loader)  # noqa: S506 - the C twin of SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError, ArithmeticError, AttributeError, LookupError, TypeError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidFileError(f"{where}: is not YAML ({first})") from error
    return _mapping(value, where)


def _refusal(text: str) -> str:
    """Why a text is not loaded; empty for one that is not YAML, too: the loader will say so."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                return "uses YAML aliases"
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH_LIMIT:
                return f"is nested deeper than {DEPTH_LIMIT} levels"
    except (yaml.YAMLError, ValueError):
        return ""
    return ""


def dump_yaml(value: dict[str, Any]) -> bytes:
    """Block style with sorted keys and escaped non-ASCII text: the form of syft-job's files."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(value, Dumper=dumper, sort_keys=True, default_flow_style=False)
    return str(text).encode("utf-8")


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidFileError(f"{where}: holds a {type(value).__name__}, expected a mapping")
    return {key: item for key, item in value.items() if isinstance(key, str)}


def parse_time(value: object) -> datetime | None:
    """Any time form the peers use, as aware UTC: `Z`, an offset, or naive local time; unquoted YAML times too.

    None for anything else. A time no datetime can hold in UTC (year 1, year 9999) is None as well.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    try:
        value = value.astimezone(UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return value if 1 < value.year < 9999 else None


def z_time(value: datetime) -> str:
    """UTC with `Z`, microseconds left out when 0: the form of the inbox/review generation."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def naive_local_time(value: datetime) -> str:
    """Local time without offset: the form of the status-folder generation."""
    return value.astimezone().replace(tzinfo=None).isoformat()


def text(value: object, limit: int = 10_000) -> str | None:
    """A string that can be stored and sent, cut at `limit` characters; None for anything else."""
    if not isinstance(value, str):
        return None
    return value[:limit].encode("utf-8", "replace").decode("utf-8")


def texts(value: object, limit: int = 1_000) -> tuple[str, ...]:
    """The strings of a list, at most `limit` of them; empty for anything else."""
    if not isinstance(value, list):
        return ()
    found = (text(item, 1_000) for item in value[:limit])
    return tuple(item for item in found if item is not None)


def integer(value: object) -> int | None:
    """An integer that fits 63 bits; None for anything else, booleans too."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 62:
        return value
    return None


def is_utf8(name: str) -> bool:
    """False for a file name that is not UTF-8 on disk (Python shows it with surrogates)."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_component(name: str) -> bool:
    """True for a name that can stand as one path component below a folder without leaving it."""
    return bool(name) and name not in (".", "..") and "/" not in name and "\0" not in name and is_utf8(name)


def same_address(one: str, other: str) -> bool:
    """Addresses are compared without regard to case, as the Go client does."""
    return one.strip().lower() == other.strip().lower()
