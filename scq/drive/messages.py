"""The body of a message: a gzip tar with one JSON file, read within limits and never unpacked to disk.

Format: syft-client 0.1.88-0.1.117 and syft 0.10.0 (docs/drive.md). Everything in it is the sender's text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID, uuid5

import msgspec
from msgspec import Struct

from scq.drive.names import PATH_LIMIT, moment
from scq.errors import InvalidFileError

MEMBER = "proposed_file_changes.json"
LIST = "proposed_file_changes"
CHANGES_LIMIT = 10_000
VALUES_LIMIT = 500_000
"""Values of a JSON document: so many small ones take a hundred times the memory of their text."""
MEMBERS_LIMIT = 32
TEXT_LIMIT = 10_000
_SEALED = b"SYC2"
_GZIP = b"\x1f\x8b"
_BLOCK = 512
_SEND_AGAIN = "Ask the sender to send it again."


class Edit(Struct, frozen=True):
    """One proposed change of one file, as the sender put it. `content` is None for a deletion and where it cannot be read.

    `fault` says what is wrong with it (nothing of a stranger in that text): such an edit is shown with a warning and never
    carried out. `sent_at` in seconds of Unix time. `path` is raw, but cut where it is too long: see names.path_fault.
    """

    path: str
    content: bytes | None = None
    deleted: bool = False
    old_hash: str | None = None
    new_hash: str | None = None
    id: str = ""
    datasite: str = ""
    sent_at: float | None = None
    fault: str = ""


class Proposal(Struct, frozen=True):
    """A message that can be read. `sender` is what it says of itself and proves nothing.

    `warnings` are phrases about the message as a whole, without anything of a stranger in them.
    """

    id: str
    sender: str
    edits: tuple[Edit, ...]
    warnings: tuple[str, ...] = ()


def is_sealed(body: bytes) -> bool:
    """True for a message that is encrypted for its receiver."""
    return body.startswith(_SEALED)


def read(body: bytes, unpacked_limit: int) -> Proposal:
    """Read the body of a message file. `unpacked_limit` in bytes.

    Raises InvalidFileError: not such a message, damaged, or larger than the limits. The text is a phrase that says what it
    is, such as `is cut short`.
    """
    value = _document(_member(_unpacked(body, unpacked_limit)))
    changes = value.get(LIST)
    if not isinstance(changes, list):
        raise _invalid(f"lacks a list of {LIST}")
    if len(changes) > CHANGES_LIMIT:
        raise _invalid(f"proposes more than {CHANGES_LIMIT} changes")
    edits = tuple(edit for edit in map(_edit, changes) if edit is not None)
    if changes and not edits:
        raise _invalid(f"{LIST} holds nothing that can be read")
    lost = len(changes) - len(edits)
    warnings = (f"{lost} of {len(changes)} changes cannot be read",) if lost else ()
    return Proposal(_text(value.get("id")), _text(value.get("sender_email")), edits, warnings)


def pack_events(edits: Sequence[Edit], *, seconds: float, uid: str, owner: str) -> bytes:
    """The body of one event message as the clients write it. Equal arguments give equal bytes.

    `seconds` and `uid` are those of the file name. An edit without `id` or `new_hash` gets one made of its path or content.
    """
    events = [_event(edit, seconds, uid, owner) for edit in edits]
    name = {"id": uid, "timestamp": seconds, "extension": ".tar.gz"}
    return _packed(msgspec.json.encode({"events": events, "message_filepath": name}))


def _invalid(what: str) -> InvalidFileError:
    return InvalidFileError(what, _SEND_AGAIN)


def _unpacked(body: bytes, limit: int) -> bytes:
    """The tar archive. Whatever follows the first gzip stream is not looked at, as the clients do it."""
    import zlib

    if not body:
        raise _invalid("is empty")
    if is_sealed(body):
        raise InvalidFileError("is encrypted", "Only a client that holds the key can read it.")
    if not body.startswith(_GZIP):
        raise _invalid("is not gzip")
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        found = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise _invalid("is damaged: its gzip stream cannot be read") from error
    if len(found) > limit:
        raise _invalid(f"unpacks to more than {limit} bytes")
    if not stream.eof:
        raise _invalid("is cut short")
    return found


def _member(archive: bytes) -> bytes:
    """The content of the one regular file with the agreed name; no other header is obeyed, whatever it is."""
    found = [archive[start:end] for name, start, end in _regular(archive) if name == MEMBER]
    if not found:
        raise _invalid(f"holds no file {MEMBER}")
    if len(found) > 1:
        raise _invalid(f"holds more than one file {MEMBER}")
    return found[0]


def _regular(archive: bytes) -> Iterator[tuple[str, int, int]]:
    """Name, start and end of every regular file. Headers are read one by one, so that none can make memory or time grow."""
    from tarfile import BLOCKSIZE, REGTYPE, HeaderError, TarInfo

    at = 0
    for _ in range(MEMBERS_LIMIT):
        header = archive[at : at + BLOCKSIZE]
        if not header.strip(b"\0"):
            return
        try:
            info = TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except HeaderError as error:
            raise _invalid("is damaged: its tar archive cannot be read") from error
        start, end = at + BLOCKSIZE, at + BLOCKSIZE + info.size
        if not start <= end <= len(archive):
            raise _invalid("is damaged: its tar archive is cut short")
        if info.type == REGTYPE:
            yield info.name, start, end
        at = end + -info.size % BLOCKSIZE
    raise _invalid(f"holds more than {MEMBERS_LIMIT} files")


def _document(data: bytes) -> dict[str, Any]:
    if _values(data) > VALUES_LIMIT:
        raise _invalid(f"holds more than {VALUES_LIMIT} values in {MEMBER}")
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _invalid(f"holds a {MEMBER} that is not JSON") from error
    if not isinstance(value, dict):
        raise _invalid(f"lacks a list of {LIST}")
    return value


def _values(data: bytes) -> int:
    """At least as many as a decoder builds: quotes, and what separates values. The exact count is made only if need be."""
    most = sum(map(data.count, (b'"', b",", b"[", b"{")))
    if most <= VALUES_LIMIT:
        return most
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    quotes = bare.count(b'"')
    if quotes > VALUES_LIMIT:
        return quotes
    outside = b"".join(bare.split(b'"')[::2])
    return sum(map(outside.count, (b",", b"[", b"{")))


def _edit(value: object) -> Edit | None:
    """One change; None for one of which not even the path is known. Fields of later clients are passed over."""
    if not isinstance(value, dict) or not isinstance(value.get("path_in_datasite"), str):
        return None
    deleted = value.get("is_deleted") is True
    content, fault = (None, "") if deleted else _content(value.get("content"), value.get("content_type"))
    fault = fault or _field_fault(value, content)
    return Edit(
        path=value["path_in_datasite"][: PATH_LIMIT + 1],
        content=content,
        deleted=deleted,
        old_hash=_hash(value.get("old_hash")),
        new_hash=_hash(value.get("new_hash")),
        id=_text(value.get("id")),
        datasite=_text(value.get("datasite_email")),
        sent_at=_seconds(value.get("submitted_timestamp")),
        fault=fault,
    )


def _content(value: object, kind: object) -> tuple[bytes | None, str]:
    """Bytes of a file and what is wrong with them. Text of clients before 0.1.94 has no content type."""
    if not isinstance(value, str):
        return None, "has no content"
    if kind != "binary":
        return value.encode(), ""
    try:
        return base64.b64decode(value.encode(), validate=True), ""
    except (binascii.Error, ValueError):
        return None, "is said to be base64 and is not"


def _field_fault(value: dict[str, Any], content: bytes | None) -> str:
    if value.get("is_deleted", False) not in (True, False) or not isinstance(value.get("is_deleted", False), bool):
        return "does not say whether it is deleted"
    for key in ("old_hash", "new_hash"):
        if value.get(key) is not None and _hash(value[key]) is None:
            return "has a hash that is none"
    claimed = value.get("new_hash")
    if content is not None and claimed is not None and hashlib.sha256(content).hexdigest() != claimed.lower():
        return "has content that does not fit its hash"
    return ""


def _hash(value: object) -> str | None:
    """A sha256 in hex, lower case."""
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdefABCDEF"):
        return None
    return value.lower()


def _seconds(value: object) -> float | None:
    """Unix time as a finite number that a calendar has."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) > 1 << 53:
        return None
    return float(value) if math.isfinite(value) and moment(float(value)) is not None else None


def _text(value: object) -> str:
    return value[:TEXT_LIMIT] if isinstance(value, str) else ""


def _event(edit: Edit, seconds: float, uid: str, owner: str) -> dict[str, Any]:
    content, kind = _written(edit.content)
    digest = edit.new_hash if edit.content is None else hashlib.sha256(edit.content).hexdigest()
    return {
        "id": edit.id or str(uuid5(UUID(uid), edit.path)),
        "path_in_datasite": edit.path,
        "datasite_email": owner,
        "content": content,
        "old_hash": edit.old_hash,
        "new_hash": None if edit.deleted else digest,
        "is_deleted": edit.deleted,
        "submitted_timestamp": seconds if edit.sent_at is None else edit.sent_at,
        "timestamp": seconds,
        "content_type": kind,
    }


def _written(content: bytes | None) -> tuple[str | None, str | None]:
    """Content and its type in JSON: text where it is UTF-8, else base64."""
    if content is None:
        return None, None
    try:
        return content.decode(), "text"
    except UnicodeDecodeError:
        return base64.b64encode(content).decode(), "binary"


def _packed(document: bytes) -> bytes:
    """A gzip tar with the one member, without any time of its own."""
    import gzip
    from tarfile import USTAR_FORMAT, TarInfo

    info = TarInfo(MEMBER)
    info.size = len(document)
    archive = info.tobuf(USTAR_FORMAT) + document + bytes(-len(document) % _BLOCK) + bytes(2 * _BLOCK)
    return gzip.compress(archive, mtime=0)
