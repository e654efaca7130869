"""YAML from strangers: the C loader composes nested values by recursion, so their depth is checked on the events first."""

from __future__ import annotations

from typing import Any

from scq.errors import InvalidFileError
from scq.formats import parse_yaml

DEPTH_LIMIT = 100
SHALLOW_LENGTH = 1_000
"""A text of so few characters cannot nest deep enough to matter: the peers' own files are shorter."""


def parse_mapping(text: str, where: str) -> dict[str, Any]:
    """A YAML document that is one mapping, nested at most 100 levels. Raises InvalidFileError naming `where`."""
    if len(text) > SHALLOW_LENGTH and _nests_too_deep(text):
        raise InvalidFileError(f"{where}: is nested deeper than {DEPTH_LIMIT} levels", "Such a file is never read.")
    return parse_yaml(text, where)


def _nests_too_deep(text: str) -> bool:
    """False for a text that is not YAML, too: the loader will say so."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > DEPTH_LIMIT:
                    return True
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except (yaml.YAMLError, ValueError):
        return False
    return False
