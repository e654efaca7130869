"""Contents of files on Drive: fetched in parts, and sent (developers.google.com/workspace/drive/api/guides/manage-uploads)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from scq.errors import InvalidFileError
from scq.signin.wire import RefusedError

PART = 8 << 20
"""Bytes of one request, a multiple of 256 KiB as uploads in parts need."""
AT_ONCE = 5 << 20
"""Bytes that may be uploaded with one request."""
EMPTY = 416
SPAN = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


def fetched(uri: str, limit: int, request: Callable[..., tuple[Any, bytes]]) -> bytes:
    """The whole content at an address. Raises InvalidFileError above `limit` bytes, ValueError for a wrong answer."""
    content = bytearray()
    total = -1
    while total < 0 or len(content) < total:
        end = min(len(content) + PART, limit + 1)
        headers = {"accept": "*/*", "accept-encoding": "identity", "range": f"bytes={len(content)}-{end - 1}"}
        try:
            response, part = request(uri, "GET", None, headers)
        except RefusedError as error:
            if error.answer.status != EMPTY or content:
                raise
            return b""
        start, said = _span(response, part)
        if start != len(content) or (total >= 0 and said != total) or not (part or said == 0):
            raise ValueError("another part than asked for")
        total = said
        if total > limit:
            raise InvalidFileError(f"has {total} bytes, more than the {limit} that are read")
        content += part
    return bytes(content)


def upload_of(content: bytes, mime: str) -> Any:
    """The content as google-api-python-client sends it; large ones in parts."""
    from googleapiclient.http import MediaInMemoryUpload

    return MediaInMemoryUpload(content, mimetype=mime, chunksize=PART, resumable=len(content) > AT_ONCE)


def _span(response: Any, part: bytes) -> tuple[int, int]:
    """(where the part begins, bytes of the whole). A service that does not know ranges sends all."""
    if response.status == 200:
        return 0, len(part)
    found = SPAN.fullmatch(response.get("content-range", ""))
    if response.status != 206 or found is None:
        raise ValueError("no part of a file")
    start, last, total = (int(number) for number in found.groups())
    if last - start + 1 != len(part) or last >= total:
        raise ValueError("a part of another length")
    return start, total
