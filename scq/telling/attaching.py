"""Files that go with a mail."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from scq import clean
from scq.errors import InvalidFileError, UsageError
from scq.files import read_bytes
from scq.ports import Attachment

LIMIT = 20 << 20
"""Bytes of all files of one message together: with their encoding about what mail services still take."""
_TERMINAL = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
"""Terminal commands (ECMA-48)."""


def attachments(paths: Iterable[str]) -> tuple[Attachment, ...]:
    """The files to attach; logs are freed of terminal commands. Links are followed: they are the caller's own.

    Raises UsageError naming the file that is missing, not a regular file, or too much.
    """
    left, found = LIMIT, list[Attachment]()
    for path in paths:
        try:
            content = read_bytes(os.path.realpath(os.path.expanduser(path)), left)
        except InvalidFileError as error:
            raise UsageError(f"cannot attach {error}", f"Regular files of together {LIMIT >> 20} MiB can be attached.") from error
        left -= len(content)
        found.append(_attachment(os.path.basename(os.path.abspath(path)), content))
    return tuple(found)


def _attachment(name: str, content: bytes) -> Attachment:
    if name.lower().endswith(".log"):
        return Attachment(clean.line(name), _TERMINAL.sub(b"", content), "text/plain")
    import mimetypes

    kind, encoding = mimetypes.guess_type(name)
    # A type says what is inside of a packed file; what is attached is the packed one. A mail or a part of one cannot be encoded.
    plain = kind and not encoding and not kind.startswith(("message/", "multipart/"))
    return Attachment(clean.line(name), content, kind if kind and plain else "application/octet-stream")
