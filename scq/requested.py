"""What a submission asks for: the optional `scq.yaml` beside its run.sh (format: docs/findings.md)."""

from __future__ import annotations

from typing import Any

import msgspec

from scq.clean import line
from scq.config_file import parse as parse_yaml
from scq.config_kinds import DURATION, FILES, PROCESSES, SIZE, Kind
from scq.errors import ConfigError
from scq.model import NO_LIMITS, Limits, Problem

NAME = "scq.yaml"
PLACES = (NAME, f"code/{NAME}")
"""Where a submission may keep the file, best first."""
LIMIT = 64 << 10
"""Cap for the file, bytes."""
LIMIT_KEYS: dict[str, tuple[str, Kind]] = {
    "timeout": ("wall_s", DURATION),
    "cpu": ("cpu_s", DURATION),
    "memory": ("memory", SIZE),
    "processes": ("processes", PROCESSES),
    "open_files": ("open_files", PROCESSES),
    "file_size": ("file_size", SIZE),
    "disk": ("disk", SIZE),
    "output_files": ("output_files", FILES),
    "output_bytes": ("output_bytes", SIZE),
}
"""Key below `limits:` → field of `Limits` and what it may be."""
UNKNOWN_SHOWN = 5
_MENDING = "Without it the limits of the configuration apply."


def parse(text: bytes) -> tuple[Limits, tuple[Problem, ...]]:
    """The limits a `scq.yaml` asks for, and everything in it that could not be used. Never raises: submitters write it."""
    if len(text) > LIMIT:
        return _unusable(f"is larger than {LIMIT} bytes")
    try:
        document = text.decode("utf-8")
        if _has_alias(document):
            return _unusable("holds an alias (`*name`)")
        values = parse_yaml(document, NAME)
    except UnicodeDecodeError:
        return _unusable("is not UTF-8")
    except ConfigError as error:
        return _unusable(line(str(error).removeprefix(f"{NAME}: "), 300))
    asked = values.get("limits") or {}
    problems = _unknown(NAME, [name for name in values if name != "limits"])
    if not isinstance(asked, dict):
        return NO_LIMITS, (*problems, _problem("limits", asked, "names of limits with their values, indented below it"))
    found: dict[str, Any] = {}
    for name in (name for name in asked if name in LIMIT_KEYS):
        field, kind = LIMIT_KEYS[name]
        value = kind.parse(asked[name])
        if value is None:
            problems.append(_problem(f"limits.{name}", asked[name], kind.allowed))
        else:
            found[field] = value
    problems.extend(_unknown(f"{NAME}: limits", [name for name in asked if name not in LIMIT_KEYS]))
    return Limits(**found), tuple(problems)


def _has_alias(text: str) -> bool:
    """A few lines of aliases of aliases can stand for billions of values. Limits need none."""
    import yaml

    try:
        events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return any(isinstance(event, yaml.AliasEvent) for event in events)
    except yaml.YAMLError:
        # Building the values comes next and says what is wrong.
        return False


def _unusable(what: str) -> tuple[Limits, tuple[Problem, ...]]:
    return NO_LIMITS, (Problem(NAME, what, _MENDING),)


def _problem(key: str, value: object, allowed: str) -> Problem:
    shown = line(msgspec.json.encode(value).decode("utf-8"), 80)
    return Problem(f"{NAME}: {key}", f"{shown} is not allowed: {allowed}", _MENDING)


def _unknown(where: str, names: list[str]) -> list[Problem]:
    """One problem for each unknown key, a few of them by name: a file may hold thousands."""
    found = [Problem(where, f"{line(name, 60)} is not a known key and is ignored") for name in names[:UNKNOWN_SHOWN]]
    if len(names) > UNKNOWN_SHOWN:
        found.append(Problem(where, f"{len(names) - UNKNOWN_SHOWN} more keys are not known and are ignored"))
    return found
