"""How many rows a result file has, as far as its format says so."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec
from msgspec import Struct

from scq.clean import line
from scq.findings.kinds import delimiter

COLUMNS_SHOWN = 6


class Shape(Struct, frozen=True):
    """`rows` of a table or of the longest list, without a heading; `at_least` when the file was not read whole."""

    summary: str
    rows: int = 0
    has_heading: bool = False
    formulas: int = 0
    """Cells that a spreadsheet would calculate."""
    broken: bool = False
    """True when the content is not what its kind promises."""


def csv_shape(text: str, whole: bool) -> Shape:
    """Rows, columns and headings of a table."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter(text) or ","))
    except csv.Error as error:
        return Shape(f"text like CSV that cannot be read ({line(str(error), 80)})", rows=text.count("\n"), broken=True)
    rows = [row for row in rows if row]
    if not rows:
        return Shape("CSV without rows")
    heading = len(rows) > 1 and all(cell.strip() and not is_number(cell) for cell in rows[0])
    names = [line(name, 30) for name in rows[0][:COLUMNS_SHOWN]] if heading else []
    more = ", …" if len(rows[0]) > COLUMNS_SHOWN else ""
    columns = f" ({', '.join(names)}{more})" if names else ""
    count = len(rows) - heading
    formulas = sum(is_formula(cell) for row in rows for cell in row)
    least = "" if whole else "at least "
    return Shape(f"CSV, {least}{_many(count, 'row')} × {_many(len(rows[0]), 'column')}{columns}", count, heading, formulas)


def json_shape(text: str) -> Shape:
    """What a JSON list or object is: a list of how many, an object with which keys."""
    try:
        value = msgspec.json.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return Shape("JSON, not read to its end")
    rows = _longest_list(value)
    if isinstance(value, list):
        objects = bool(value) and all(isinstance(item, dict) for item in value)
        return Shape(f"JSON list of {_many(len(value), 'object' if objects else 'value')}", rows)
    names = ", ".join(line(str(name), 30) for name in list(value)[:COLUMNS_SHOWN])
    more = ", …" if len(value) > COLUMNS_SHOWN else ""
    return Shape(f"JSON object with {_many(len(value), 'key')} ({names}{more})" if value else "JSON object, empty", rows)


def jsonl_shape(text: str, whole: bool) -> Shape:
    """Documents, one a line."""
    count = sum(1 for row in text.split("\n") if row.strip())
    return Shape(f"JSON lines, {'' if whole else 'at least '}{_many(count, 'document')}", count)


def is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def is_formula(cell: str) -> bool:
    """True for a cell that begins like a formula and is more than a number: it would call something."""
    begun = cell.lstrip(" \t\r\n")
    if not begun.startswith(("=", "+", "-", "@")) or is_number(begun):
        return False
    return "(" in begun or "!" in begun or "|" in begun or begun.startswith("=")


def _longest_list(value: Any) -> int:
    """Entries of the longest list or table of objects in a document; walked without recursion, it may be deep."""
    longest, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            longest = max(longest, len(item))
            waiting.extend(part for part in item if isinstance(part, list | dict))
        else:
            if len(item) > longest and all(isinstance(part, dict | list) for part in item.values()):
                longest = len(item)
            waiting.extend(part for part in item.values() if isinstance(part, list | dict))
    return longest


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
