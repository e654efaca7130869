"""config.yaml as a file: reading it as plain values, and changing single settings without losing the rest.

Parsing YAML costs more than a whole idle call, so what was parsed is kept as JSON beside the state and used as long as the
file is the same one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from scq.config_keys import ALIASES, SHORTHANDS
from scq.errors import ConfigError, InvalidFileError
from scq.files import make_folder, read_bytes, read_text, write_atomic

LIMIT = 1 << 18
"""Cap for config.yaml, bytes."""
HEADER = "# Settings of scq. `scq config show` lists every key with its value.\n"
NODES = 10_000
DEPTH = 20
CACHE_NAME = "config.cache.json"
TOO_YOUNG_S = 2.0
"""A file changed so recently could change again within the same time stamp: its parsed form is not kept."""
MENDING = "Correct the file or put the newest config.yaml.bak-… in its place; `scq config validate` checks it."


class Parsed(Struct, frozen=True):
    """The kept form of one config.yaml. `stamp` is `inode:size:mtime_ns` of the file it was read from."""

    path: str
    stamp: str
    values: dict[str, Any]


class Change(Struct, frozen=True):
    """A new text of config.yaml, ready to be written. `text` is None when the file says so already."""

    path: str
    before: str | None
    text: str | None
    values: dict[str, Any]
    """What the new text says."""
    kept_form: bool
    """False when comments could not be kept; the backup has them."""


def read_values(path: str, home: str) -> dict[str, Any] | None:
    """The settings as plain values (JSON types only), None when there is no file. Raises ConfigError naming the file."""
    stamp = _trusted_stamp(path)
    if stamp:
        cached = _cached(home, path, stamp)
        if cached is not None:
            return cached
    text = read_config_text(path)
    return None if text is None else parse(text, path)


def read_config_text(path: str) -> str | None:
    """The text of config.yaml, None when there is no file. A link the owner made is followed. Raises ConfigError."""
    if not os.path.lexists(path):
        return None
    try:
        return read_text(os.path.realpath(path), LIMIT)
    except InvalidFileError as error:
        raise ConfigError(str(error), MENDING) from error


def parse(text: str, path: str) -> dict[str, Any]:
    """YAML text as plain values. Raises ConfigError: not YAML, not a mapping, a key twice, too many or too deep values."""
    import yaml

    loader_type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _refuse_depth(yaml.parse(text, Loader=loader_type), path)
        loader = loader_type(text)
        try:
            node = loader.get_single_node()
            value = {} if node is None else _Plain(loader, path).value(node, DEPTH)
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: is not YAML ({_one_line(error)})", MENDING) from error
    except (ValueError, ArithmeticError, AttributeError, LookupError, TypeError) as error:
        # What building a value raises when its text does not fit its tag, such as `!!bool maybe`.
        raise ConfigError(f"{path}: is not YAML (a value does not fit its type: {_one_line(error)})", MENDING) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: holds a {type(value).__name__}, expected settings as `name: value`", MENDING)
    return value


def _refuse_depth(events: Iterable[Any], path: str) -> None:
    """Count levels before anything is built: building is recursive in C, and deep nesting would end the process."""
    depth = 0
    for event in events:
        name = type(event).__name__
        depth += name.endswith("StartEvent") - name.endswith("EndEvent")
        if depth > DEPTH + 2:
            raise ConfigError(f"{path}: holds more than {DEPTH} levels", MENDING)


class _Plain:
    """Turns YAML nodes into JSON values, counting: an alias is walked each time it is used, so a small file cannot grow."""

    def __init__(self, loader: Any, path: str) -> None:
        self.loader = loader
        self.path = path
        self.left = NODES

    def value(self, node: Any, depth: int) -> Any:
        self.left -= 1
        if self.left < 0 or depth < 0:
            raise ConfigError(f"{self.path}: holds more than {NODES} values or more than {DEPTH} levels", MENDING)
        if node.id == "mapping":
            return self._mapping(node, depth)
        if node.id == "sequence":
            return [self.value(item, depth - 1) for item in node.value]
        return _scalar(self.loader.construct_object(node), str(node.value))

    def _mapping(self, node: Any, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name_node, value_node in node.value:
            name = str(name_node.value)
            if name in found:
                line = name_node.start_mark.line + 1
                raise ConfigError(f"{self.path}: line {line}: {name[:60]} stands here a second time", "Keep one of them.")
            found[name] = self.value(value_node, depth - 1)
        return found


def _scalar(value: Any, text: str) -> Any:
    """A value JSON can hold without change; anything else stays the text it was written as."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and abs(value) < 1 << 62:
        return value
    return text.encode("utf-8", "replace").decode("utf-8")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _trusted_stamp(path: str) -> str:
    """`inode:size:mtime_ns` of the file; empty when it is not there or too young to be trusted."""
    try:
        found = os.stat(path)
    except OSError:
        # Reading the file comes next and says what is wrong with it.
        return ""
    if found.st_mtime > time.time() - TOO_YOUNG_S:
        return ""
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def _cached(home: str, path: str, stamp: str) -> dict[str, Any] | None:
    try:
        parsed = msgspec.json.decode(read_bytes(os.path.join(home, CACHE_NAME)), type=Parsed)
    except (InvalidFileError, msgspec.MsgspecError, RecursionError):
        # Only a copy: without it the file itself is read.
        return None
    return parsed.values if (parsed.path, parsed.stamp) == (os.path.abspath(path), stamp) else None


def remember_parsed(home: str, path: str = "") -> None:
    """Keep the parsed form of config.yaml for the next calls, unless that is done. For verbs that write anyway.

    `path` is config.yaml in `home` where it is not given. Nothing is kept of a file that is missing or just changed, nor
    where there is no room for it: without the copy the file itself is read.
    """
    path = path or os.path.join(home, "config.yaml")
    stamp = _trusted_stamp(path)
    if not stamp or _cached(home, path, stamp) is not None:
        return
    text = read_config_text(path)
    if text is None or _trusted_stamp(path) != stamp:
        return
    parsed = Parsed(os.path.abspath(path), stamp, parse(text, path))
    try:
        write_atomic(os.path.join(home, CACHE_NAME), msgspec.json.encode(parsed), sync=False)
    except OSError:
        return


def plan_change(path: str, settings: Mapping[str, Any]) -> Change:
    """Set keys in config.yaml (key path as in config_keys → plain value), in the spelling the file uses.

    Everything else stays, comments too where possible. Nothing is written yet. The caller has checked keys and values,
    and holds the lock of the file. Raises ConfigError when the file is damaged.
    """
    before = read_config_text(path)
    text = HEADER if before is None else before
    values = parse(text, path)
    kept_form = True
    for key, setting in settings.items():
        place, value = _place_in_file(values, key, setting)
        if get_value(values, place) == (value, True):
            continue
        values = _with_value(values, place, value)
        text, kept = _edited(text, place, values, path)
        kept_form = kept_form and kept
    return Change(path, before, None if text == before else text, values, kept_form)


def write_change(change: Change, now: datetime) -> str:
    """Write a planned change. The version before stays as `config.yaml.bak-<UTC time>`; returns its path, empty without one."""
    if change.text is None:
        return ""
    target = os.path.realpath(change.path)
    make_folder(os.path.dirname(target), 0o700)
    backup = "" if change.before is None else _keep(target, change.before, now)
    write_atomic(target, change.text.encode("utf-8"))
    return backup


def _place_in_file(values: Mapping[str, Any], key: str, value: Any) -> tuple[tuple[str, ...], Any]:
    """Where a key stands in this file, and what to put there: aliases and one-word groups stay as they are where they can."""
    alias = next((other for other, real in ALIASES.items() if real == key and other in values), key)
    group, _, name = key.partition(".")
    word = values.get(group)
    members = SHORTHANDS.get(group, ())
    if members == (key,) and not isinstance(word, dict):
        return (group,), value
    if members and isinstance(word, str):
        long = {member.partition(".")[2]: word for member in members}
        return (group,), _with_value(long, tuple(name.split(".")), value)
    return tuple(alias.split(".")), value


def get_value(values: Mapping[str, Any], key_path: tuple[str, ...]) -> tuple[Any, bool]:
    """The value at a key path and whether there is one."""
    found: Any = values
    for name in key_path:
        if not isinstance(found, Mapping) or name not in found:
            return None, False
        found = found[name]
    return found, True


def _keep(target: str, text: str, now: datetime) -> str:
    name = f"{target}.bak-{now.strftime('%Y%m%dT%H%M%SZ')}"
    backup, number = name, 1
    while os.path.lexists(backup):
        number += 1
        backup = f"{name}-{number}"
    write_atomic(backup, text.encode("utf-8"))
    return backup


def _with_value(values: Mapping[str, Any], key_path: tuple[str, ...], value: Any) -> dict[str, Any]:
    changed = dict(values)
    if len(key_path) == 1:
        changed[key_path[0]] = value
        return changed
    below = changed.get(key_path[0])
    changed[key_path[0]] = _with_value(below if isinstance(below, Mapping) else {}, key_path[1:], value)
    return changed


def _edited(text: str, key_path: tuple[str, ...], expected: dict[str, Any], path: str) -> tuple[str, bool]:
    """The text with one value changed, and whether its form was kept. What an edit means is checked by reading it back."""
    for length in range(len(key_path), 0, -1):
        # A group in braces is one value, and is written anew as a whole.
        written, _ = get_value(expected, key_path[:length])
        candidate = _edit_lines(text, key_path[:length], _flow(written))
        if _says(candidate, expected, path):
            return candidate, True
    import yaml

    return yaml.safe_dump(expected, sort_keys=False, allow_unicode=True, default_flow_style=False), False


def _says(text: str, expected: dict[str, Any], path: str) -> bool:
    try:
        return parse(text, path) == expected
    except ConfigError:
        # A form that lines cannot follow, such as a value over several lines: the file is written anew instead.
        return False


def _flow(value: Any) -> str:
    import yaml

    return (
        yaml.safe_dump(value, default_flow_style=True, width=1 << 30, allow_unicode=True, sort_keys=False)
        .removesuffix("...\n")
        .strip()
    )


def _edit_lines(text: str, key_path: tuple[str, ...], value: str) -> str:
    """Follow the key path down the lines of block-style YAML; what is missing is added below its parent."""
    lines = text.splitlines()
    start, end, indent = 0, len(lines), 0
    for depth, name in enumerate(key_path):
        at = _find(lines, start, end, indent, name)
        last = depth == len(key_path) - 1
        if at is None:
            lines[end:end] = _new_lines(key_path[depth:], value, indent)
            break
        if last:
            lines[at] = _replace_value(lines[at], value)
            break
        start, end = at + 1, _block_end(lines, at + 1, end, indent)
        indent = next((_indent(line) for line in lines[start:end] if _is_content(line)), indent + 2)
    return "\n".join(lines) + "\n"


def _new_lines(names: tuple[str, ...], value: str, indent: int) -> list[str]:
    parents = [" " * (indent + 2 * level) + f"{name}:" for level, name in enumerate(names[:-1])]
    return [*parents, " " * (indent + 2 * len(parents)) + f"{names[-1]}: {value}"]


def _is_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _find(lines: list[str], start: int, end: int, indent: int, name: str) -> int | None:
    prefix = " " * indent + name + ":"
    for at in range(start, end):
        if lines[at] == prefix or lines[at].startswith(prefix + " "):
            return at
    return None


def _block_end(lines: list[str], start: int, end: int, indent: int) -> int:
    """First line after a block: behind its last line that is indented deeper than `indent`."""
    last = start
    for at in range(start, end):
        if _is_content(lines[at]):
            if _indent(lines[at]) <= indent:
                break
            last = at + 1
    return last


def _replace_value(line: str, value: str) -> str:
    name, _, rest = line.partition(":")
    comment = rest.find(" #")
    return f"{name}: {value}" + (f"  {rest[comment:].strip()}" if comment >= 0 else "")
