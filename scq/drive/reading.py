"""What Drive answers, read into our own words. Nothing of it is believed before its form is checked.

Format: developers.google.com/workspace/drive/api/reference/rest/v3/files, .../changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from scq.clean import is_address
from scq.drive.items import FOLDER, Change, File

NAME_LIMIT = 1000
"""Characters of a name that are kept; those of the clients are far shorter."""
IDENTITY = re.compile(r"[A-Za-z0-9_-]{1,200}")
"""An id goes into queries and addresses."""
TOKEN = re.compile(r"[!-~]{1,4096}")
MD5 = re.compile(r"[0-9a-f]{32}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")


def is_identity(value: object) -> bool:
    return isinstance(value, str) and IDENTITY.fullmatch(value) is not None


def file_of(row: object) -> File:
    """One item of `files`. Raises ValueError that says what is wrong with it.

    What strangers choose is made harmless instead: a name loses what cannot be shown, and is then no name of the clients.
    An owner whose address is no address leaves the file without owners: nobody's name is read out of half a list.
    """
    found = _document(row)
    kind = _text(found, "mimeType")
    return File(
        id=identity_of(found.get("id")),
        name=_name(_text(found, "name", needed=True)),
        owners=_owners(found.get("owners")),
        parents=tuple(identity_of(parent) for parent in _rows(found, "parents")),
        is_folder=kind == FOLDER,
        size=_size(found.get("size")),
        md5=md5 if MD5.fullmatch(md5 := _text(found, "md5Checksum").lower()) else "",
        created_at=_time(_text(found, "createdTime")),
        modified_at=_time(_text(found, "modifiedTime")),
        trashed=_flag(found, "trashed"),
    )


def change_of(row: object) -> Change | None:
    """One item of `changes`; None for what is not about a file (shared drives). Raises ValueError."""
    found = _document(row)
    if "fileId" not in found and "file" not in found:
        return None
    identity = identity_of(found.get("fileId"))
    if _flag(found, "removed") or "file" not in found:
        return Change(identity, None)
    file = file_of(found["file"])
    if file.id != identity:
        raise ValueError("its two ids differ")
    return Change(identity, file)


def permission_of(row: object) -> tuple[str, str] | None:
    """(address in lower case, role); None for what is given to no single person. Raises ValueError."""
    found = _document(row)
    address = _text(found, "emailAddress").lower()
    return (address, _text(found, "role", needed=True)) if is_address(address) else None


def rows_of(answer: Mapping[str, Any], key: str) -> list[object]:
    """The items of one page. Raises ValueError."""
    return _rows(answer, key)


def token_of(answer: Mapping[str, Any], key: str) -> str:
    """A page token, empty when there is none. Raises ValueError."""
    token = answer.get(key)
    if token is None or token == "":
        return ""
    if not isinstance(token, str) or not TOKEN.fullmatch(token):
        raise ValueError(f"{key} is not a token")
    return token


def needed(token: str) -> str:
    """The token. Raises ValueError when there is none."""
    if not token:
        raise ValueError("no token")
    return token


def same(id: str, answer: Mapping[str, Any]) -> File:
    """The file that was asked for. Raises ValueError when it is another one."""
    same_id(id, answer)
    return file_of(answer)


def same_id(id: str, answer: Mapping[str, Any]) -> str:
    """The id that was asked for. Raises ValueError when it is another one."""
    if answer.get("id") != id:
        raise ValueError("another id than asked for")
    return id


def _document(row: object) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise ValueError("it is not an object")
    return row


def identity_of(value: object) -> str:
    """An id. Raises ValueError."""
    if not isinstance(value, str) or not is_identity(value):
        raise ValueError("its id is not one")
    return value


def _text(found: Mapping[str, Any], key: str, *, needed: bool = False) -> str:
    value = found.get(key)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{key} is not a text")
    return value


def _flag(found: Mapping[str, Any], key: str) -> bool:
    value = found.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"{key} is neither true nor false")
    return value


def _rows(found: Mapping[str, Any], key: str) -> list[object]:
    value = found.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{key} is not a list")
    return value


def _name(text: str) -> str:
    """Not stripped as other texts are: a blank more makes another name."""
    shown = text[:NAME_LIMIT] + ("…" if len(text) > NAME_LIMIT else "")
    return (
        shown if shown.isprintable() else "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in shown)
    )


def _owners(value: object) -> tuple[str, ...]:
    rows = value if isinstance(value, list) else []
    addresses = [row.get("emailAddress") if isinstance(row, dict) else None for row in rows]
    owners = tuple(address.lower() for address in addresses if isinstance(address, str) and is_address(address))
    return owners if len(owners) == len(rows) else ()


def _size(value: object) -> int | None:
    """Bytes. Drive writes 64-bit numbers as text."""
    if value is None:
        return None
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError("size is not a number")
    return int(text)


def _time(text: str) -> datetime | None:
    """RFC 3339; None for what is not a time."""
    if not TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
