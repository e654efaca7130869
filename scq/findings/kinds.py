"""What a file is, by its first bytes and its content; its name is only compared with that afterwards."""

from __future__ import annotations

import re

import msgspec

MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (8, b"WEBP", "webp"),
    (0, b"BM", "bmp"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"%PDF-", "pdf"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (257, b"ustar", "tar"),
    (0, b"PAR1", "parquet"),
    (0, b"ARROW1", "arrow"),
    (0, b"\x7fELF", "executable"),
    (0, b"MZ", "executable"),
    (0, b"\xcf\xfa\xed\xfe", "executable"),
    (0, b"\xca\xfe\xba\xbe", "executable"),
    (0, b"\0asm", "executable"),
    (0, b"\x93NUMPY", "numpy"),
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (0, b"SQLite format 3\0", "sqlite"),
)
"""(place, bytes, kind). From the published specifications of the formats."""
IMAGES = frozenset({"png", "jpeg", "gif", "webp", "bmp", "tiff"})
ARCHIVES = frozenset({"zip", "gzip", "bzip2", "xz", "zstd", "7z", "rar", "tar"})
TEXTS = frozenset({"csv", "html", "json", "jsonl", "script", "svg", "text", "xml", "empty"})
ENDINGS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("csv", "tsv"), frozenset({"csv", "text", "empty"})),
    **dict.fromkeys(("txt", "md", "log", "out", "err"), frozenset({"text", "csv", "json", "jsonl", "empty"})),
    **dict.fromkeys(("json",), frozenset({"json", "jsonl"})),
    **dict.fromkeys(("jsonl", "ndjson"), frozenset({"jsonl", "json", "empty"})),
    **dict.fromkeys(("yaml", "yml", "toml", "ini"), frozenset({"text", "csv", "json", "empty"})),
    **dict.fromkeys(("html", "htm"), frozenset({"html", "text"})),
    **dict.fromkeys(("jpg", "jpeg"), frozenset({"jpeg"})),
    **dict.fromkeys(("tif", "tiff"), frozenset({"tiff"})),
    **dict.fromkeys(("npz", "xlsx", "docx", "pptx", "zip", "whl"), frozenset({"zip", "office"})),
    **dict.fromkeys(("h5", "hdf5"), frozenset({"hdf5"})),
    **dict.fromkeys(("gz", "tgz"), frozenset({"gzip"})),
    **dict.fromkeys(("arrow", "feather"), frozenset({"arrow"})),
    **dict.fromkeys(("db", "sqlite"), frozenset({"sqlite"})),
    **{name: frozenset({name}) for name in ("png", "gif", "webp", "bmp", "pdf", "parquet", "tar", "svg", "xml")},
    "npy": frozenset({"numpy"}),
}
"""Ending of a name → what such a file may be."""
_MARKUP = re.compile(
    r"\s*+(?:<\?xml[^>]{0,500}>)?\s*+(?:<!--.{0,2000}?-->)?\s*+<(?:!doctype\s++)?(\w+)", re.IGNORECASE | re.DOTALL
)
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_TEXT_PICKLE = re.compile(r"c[\w.]{1,100}\n\w{1,100}\n|\([dl](?:p0)?\n")
"""Protocol 0 writes in letters; the opcodes are those of the standard library's pickletools."""


def kind_of(path: str, data: bytes, whole: bool) -> tuple[str, str]:
    """(kind, text of a textual kind). `whole` says whether `data` is all of the file."""
    if not data:
        return "empty", ""
    kind = next((kind for at, magic, kind in MAGIC if data.startswith(magic, at)), "")
    if kind == "zip" and path.rpartition(".")[2].lower() in ("xlsx", "docx", "pptx"):
        return "office", ""
    # Two letters are no proof: a text may begin with them too.
    text = decoded(data, whole) if kind in ("", "bmp", "executable") else None
    if text is not None:
        return ("pickle", "") if _TEXT_PICKLE.match(text) else (text_kind(path, text, whole), text)
    if kind:
        return kind, ""
    return ("pickle" if _PICKLE.match(data) else "binary"), ""


def decoded(data: bytes, whole: bool) -> str | None:
    """UTF-8 text (a character that is cut at the end is left out), None for anything else."""
    if b"\0" in data:
        return None
    for cut in range(1 if whole else 4):
        try:
            return data[: len(data) - cut].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
    return None


def text_kind(path: str, text: str, whole: bool) -> str:
    ending = path.rpartition(".")[2].lower()
    if text.startswith("#!"):
        return "script"
    markup = _MARKUP.match(text[:8192])
    if markup is not None:
        word = markup.group(1).lower()
        return "html" if word in ("html", "head", "body", "script") else "svg" if word == "svg" else "xml"
    if ending in ("csv", "tsv"):
        return "json" if _is_json(text, whole) else "csv"
    if _is_json(text, whole):
        return "json"
    lines = [line for line in text[:65536].split("\n")[:20] if line.strip()]
    if len(lines) > 1 and all(line.lstrip().startswith(("{", "[")) and _is_json(line, True) for line in lines[:-1]):
        return "jsonl"
    return "csv" if ending not in ("md", "log", "py") and delimiter(text) else "text"


def delimiter(text: str) -> str:
    """What separates the columns of a table, empty when the text does not look like one."""
    lines = [line for line in text[:65536].split("\n")[:20] if line.strip()]
    if len(text) > 65536 or (len(lines) > 2 and not text.endswith("\n")):
        lines = lines[:-1]
    for char in (",", "\t", ";", "|"):
        counts = {line.count(char) for line in lines}
        if len(lines) > 1 and len(counts) == 1 and counts != {0}:
            return char
    return ""


def _is_json(text: str, whole: bool) -> bool:
    start = text.lstrip()
    if not start.startswith(("{", "[")):
        return False
    if not whole:
        return re.match(r'\{\s*"|\[\s*[\[{"\d-]', start) is not None and "\n{" not in start[:65536]
    try:
        msgspec.json.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
