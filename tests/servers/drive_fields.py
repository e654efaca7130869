"""Partial answers of Google APIs: which fields a caller wants, checked against Google's own description of the API.

Grammar as documented for the `fields` parameter: `a,b(c,d),e/f,*`.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Mask = dict[str, "Mask"]
"""The wanted keys and what is wanted below each; an empty mask wants everything."""

TOKEN = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*|[*,()/])")


class BadFieldsError(ValueError):
    """Not a selection of fields of this answer."""


@cache
def description() -> dict[str, Any]:
    """The discovery document of Drive v3 that comes with google-api-python-client."""
    spec = find_spec("googleapiclient")
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).with_name("discovery_cache").joinpath("documents", "drive.v3.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def parsed(fields: str, schema: str) -> Mask:
    """The mask that a text means for an answer of the named schema. Raises BadFieldsError."""
    tokens = []
    at = 0
    while fields[at:].strip():
        found = TOKEN.match(fields, at)
        if found is None:
            raise BadFieldsError(fields)
        tokens.append(found[1])
        at = found.end()
    mask, rest = _selection(tokens)
    if rest or not mask:
        raise BadFieldsError(fields)
    _check(mask, {"$ref": schema})
    return _without_stars(mask)


def only(value: Any, mask: Mask) -> Any:
    """A value without what the mask does not want."""
    if not mask:
        return value
    if isinstance(value, list):
        return [only(item, mask) for item in value]
    if isinstance(value, dict):
        return {key: only(item, mask[key]) for key, item in value.items() if key in mask}
    return value


def _selection(tokens: list[str]) -> tuple[Mask, list[str]]:
    mask: Mask = {}
    while True:
        below = mask
        while True:
            if not tokens or not (tokens[0] == "*" or tokens[0].isalnum()):
                raise BadFieldsError("a name is missing")
            below = below.setdefault(tokens[0], {})
            tokens = tokens[1:]
            if tokens[:1] != ["/"]:
                break
            tokens = tokens[1:]
        if tokens[:1] == ["("]:
            inner, tokens = _selection(tokens[1:])
            if tokens[:1] != [")"]:
                raise BadFieldsError("a parenthesis is open")
            below.update(inner)
            tokens = tokens[1:]
        if tokens[:1] != [","]:
            return mask, tokens
        tokens = tokens[1:]


def _check(mask: Mask, schema: dict[str, Any]) -> None:
    while "$ref" in schema or "items" in schema:
        schema = description()["schemas"][schema["$ref"]] if "$ref" in schema else schema["items"]
    for key, below in mask.items():
        if key == "*":
            continue
        inner = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
        if inner is None:
            raise BadFieldsError(key)
        _check(below, inner)


def _without_stars(mask: Mask) -> Mask:
    return {} if "*" in mask else {key: _without_stars(below) for key, below in mask.items()}
