"""What a result file is and what should be looked at in it before it leaves."""

from __future__ import annotations

import math
import re
from collections import Counter

from msgspec import Struct

from scq.clean import block, line
from scq.findings.hidden import encoded, hidden
from scq.findings.kinds import ARCHIVES, ENDINGS, IMAGES, TEXTS, kind_of
from scq.findings.known import Known, fingerprint, pieces
from scq.findings.names import in_name
from scq.findings.parquet import rows as parquet_rows
from scq.findings.personal import emails, phones
from scq.findings.sink import Sink
from scq.findings.tables import Shape, csv_shape, json_shape, jsonl_shape
from scq.model import Finding

MANY_ROWS = 1_000
PREVIEW_LINES = 20
PREVIEW_WIDTH = 160
COPIED_ALONE = 64
"""Characters from which a single copied line counts; shorter ones need another."""
ENTROPY = 7.5
"""Bits per byte above which data looks encrypted or compressed; 8 is the most."""
ENTROPY_BYTES = 4 << 10
_PICKLE_ENDINGS = ("pickle", "pkl", "joblib", "pt", "pth")
_ACTIVE = re.compile(r"<\s*+(?:script|iframe|object|embed|foreignobject)\b|\son\w{3,20}\s*+=|javascript:|<!ENTITY", re.IGNORECASE)
_LINKS = re.compile(r"(?:src|href|action|url)\s*+[=(]\s*+[\"']?\s*+(?:https?:)?//", re.IGNORECASE)
_NAMES = {
    "arrow": "Arrow table",
    "binary": "binary data",
    "bmp": "BMP image",
    "empty": "empty file",
    "executable": "program",
    "gif": "GIF image",
    "hdf5": "HDF5 file",
    "html": "HTML page",
    "jpeg": "JPEG image",
    "numpy": "NumPy array",
    "office": "Office document",
    "parquet": "Parquet-like table",
    "pdf": "PDF document",
    "pickle": "Python pickle",
    "png": "PNG image",
    "script": "script",
    "sqlite": "SQLite database",
    "svg": "SVG image",
    "tiff": "TIFF image",
    "webp": "WebP image",
    "xml": "XML",
}


class Inspected(Struct, frozen=True):
    """One result file: `kind` a word such as `csv`, `summary` a line, `preview` its cleaned beginning, and what was found."""

    kind: str
    summary: str
    preview: str
    findings: tuple[Finding, ...]


def inspect(path: str, data: bytes, size: int, known: Known, *, most: int = 0) -> Inspected:
    """Look at one result file of `size` bytes by its first bytes `data`. Never raises on any content.

    `known` are the fingerprints of the data the job could read. A file larger than `most` bytes (if given) is a finding, as
    is one of which `data` is only a part: the rest was not looked at.
    """
    whole = len(data) >= size
    kind, text = kind_of(path, data, whole)
    sink = Sink(path, (), _no_code, _no_code)
    shape = _shape(kind, text, data, whole)
    _sizes(sink, len(data), size, most)
    _name(sink, path, kind)
    in_name(path, known, sink)
    if shape.rows > MANY_ROWS:
        sink.add(0, "many-rows", f"{shape.rows} rows look like records, not like a summary of them")
    if kind in TEXTS:
        _text(sink, kind, text, shape)
        _copied(sink, text, known, shape.has_heading)
    else:
        _binary(sink, kind, data, path)
    preview = "\n".join(line(row, PREVIEW_WIDTH) for row in block(text[: 64 << 10]).split("\n")[:PREVIEW_LINES]).rstrip()
    return Inspected(kind, shape.summary, preview, tuple(sorted(sink.found)))


def _shape(kind: str, text: str, data: bytes, whole: bool) -> Shape:
    if kind == "parquet":
        count = parquet_rows(data) if whole else None
        return Shape("Parquet-like table" if count is None else f"Parquet, {count} rows", count or 0)
    if kind == "csv":
        return csv_shape(text, whole)
    if kind == "json":
        return json_shape(text)
    if kind == "jsonl":
        return jsonl_shape(text, whole)
    if kind == "text":
        count = text.count("\n") + (not text.endswith("\n"))
        return Shape(f"text, {'' if whole else 'at least '}{count} line{'' if count == 1 else 's'}")
    return Shape(_NAMES.get(kind, f"{kind} archive"))


def _sizes(sink: Sink, seen: int, size: int, most: int) -> None:
    if seen < size:
        sink.add(0, "oversized", f"only the first {seen} of {size} bytes were looked at")
    elif most and size > most:
        sink.add(0, "oversized", f"{size} bytes, more than {most}")


def _name(sink: Sink, path: str, kind: str) -> None:
    ending = path.rpartition("/")[2].rpartition(".")[2].lower() if "." in path else ""
    expected = ENDINGS.get(ending)
    if expected is not None and kind not in expected:
        sink.add(0, "disguised", f"the name says {ending}, the content is {_NAMES.get(kind, kind)}")
    if ending in _PICKLE_ENDINGS and kind != "pickle":
        sink.add(0, "pickle", f"the name says {ending}: such a file can run code when it is loaded")
    hidden(path, _Renamed(sink, "its name: "), is_code=False)
    if not path.isprintable():
        sink.add(0, "hidden", "its name has characters that do not show")


class _Renamed(Sink):
    """Puts what is found in the name of a file where the findings of the file are."""

    def __init__(self, sink: Sink, prefix: str) -> None:
        super().__init__(sink.path, (), _no_code, _no_code)
        self.target = sink
        self.prefix = prefix

    def add(self, line: int, rule: str, what: str) -> None:
        self.target.add(0, rule, self.prefix + what)


def _text(sink: Sink, kind: str, text: str, shape: Shape) -> None:
    for rule, word, (count, first) in (
        ("email", "e-mail address", emails(text)),
        ("phone", "telephone number", phones(text)),
    ):
        if count:
            sink.add(0, rule, f"{count} {word}{'' if count == 1 else 'es' if word.endswith('s') else 's'}, the first is {first}")
    if shape.broken:
        sink.add(0, "disguised", shape.summary)
    if shape.formulas:
        sink.add(0, "active", f"{shape.formulas} cells that a spreadsheet would calculate")
    if kind in ("html", "svg", "xml") and (_ACTIVE.search(text) or _LINKS.search(text)):
        sink.add(0, "active", f"this {_NAMES[kind]} runs code or fetches something when it is opened")
    if kind == "script":
        sink.add(0, "executable", f"a script: {line(text.split(chr(10), 1)[0], 60)}")
    hidden(text, sink, is_code=False)
    encoded(text, sink)


def _copied(sink: Sink, text: str, known: Known, has_heading: bool) -> None:
    """Lines and long values that also stand in the declared data. The headings of a table may be the same."""
    if not known.hashes:
        return
    found: dict[int, int] = {}
    for number, row in enumerate(text.split("\n")):
        if number == 0 and has_heading:
            continue
        for piece in pieces(row):
            mark = fingerprint(piece)
            if mark in known.hashes:
                found.setdefault(mark, len(piece))
    if len(found) > 1 or any(length >= COPIED_ALONE for length in found.values()):
        sink.add(0, "copied", f"{len(found)} line{'' if len(found) == 1 else 's'} or values of the declared data")


def _binary(sink: Sink, kind: str, data: bytes, path: str) -> None:
    if kind in ARCHIVES:
        sink.add(0, "archive", f"a {kind} file: what is in it is not looked at")
    if kind == "office":
        sink.add(0, "archive", "an Office document: what is in it is not looked at")
    if kind == "executable":
        sink.add(0, "executable", "a program")
    if kind == "pickle" or (kind == "numpy" and re.search(rb"'descr':[^}]{0,400}'\|?O'|\|O", data[:512])):
        sink.add(0, "pickle", "Python objects: loading them runs the code they hold")
    if kind == "png" and _png_end(data) < len(data):
        sink.add(0, "hidden", "more data after the end of the image")
    if kind not in IMAGES and kind not in ARCHIVES and len(data) > ENTROPY_BYTES and _entropy(data) > ENTROPY:
        sink.add(0, "high-entropy", f"{len(data)} bytes that look encrypted or compressed")


def _entropy(data: bytes) -> float:
    """Shannon entropy, bits per byte."""
    total = len(data)
    return -sum(count / total * math.log2(count / total) for count in Counter(data).values())


def _png_end(data: bytes) -> int:
    """Where the last chunk of a PNG ends (PNG specification, 5.3): length, type, data, checksum."""
    at = 8
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        at += 12 + length
        if kind == b"IEND":
            return at
    return len(data)


def _no_code(text: str, first_line: int, sink: Sink) -> None:
    """Result files hold no code to look into."""
