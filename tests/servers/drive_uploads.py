"""The bodies of uploads and of requests in a batch, taken apart and put together."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from tests.servers.drive_api import ApiError, Upload
from tests.servers.http import Answer, Request

PART_BYTES = 256 << 10
"""Parts of a resumable upload are a multiple of this, but for the last."""
RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass
class Session:
    """A resumable upload that is under way."""

    account: str
    method: str
    file_id: str
    params: dict[str, str]
    body: dict[str, Any]
    mime: str
    content: bytearray = field(default_factory=bytearray)

    def take(self, request: Request) -> Answer | None:
        """Add what a request brings: an answer as long as more is wanted, then None. Raises ApiError."""
        text = request.headers.get("content-range", "")
        if not text:
            self.content += request.body
            return None
        found = RANGE.fullmatch(text)
        if found is None:
            raise ApiError(400, "badRequest", f"Failed to parse Content-Range header {text}.")
        if found[1] is not None:
            if int(found[1]) > len(self.content) or int(found[2]) - int(found[1]) + 1 != len(request.body):
                raise ApiError(400, "badRequest", f"The part does not fit: {text}.")
            is_last = found[3] != "*" and int(found[2]) + 1 == int(found[3])
            if not is_last and len(request.body) % PART_BYTES:
                raise ApiError(400, "badRequest", "Parts are multiples of 256 KiB.")
            del self.content[int(found[1]) :]
            self.content += request.body
        if found[3] != "*" and len(self.content) >= int(found[3]):
            return None
        return Answer(308, headers={"Range": f"bytes=0-{len(self.content) - 1}"} if self.content else {})


def json_of(body: bytes) -> dict[str, Any]:
    """The JSON object of a request. Raises ApiError."""
    try:
        found = json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError(400, "parseError", "Parse Error") from error
    if not isinstance(found, dict):
        raise ApiError(400, "parseError", "Parse Error")
    return found


def of_multipart(request: Request) -> tuple[dict[str, Any], Upload]:
    """(metadata, content) of a multipart upload. Raises ApiError."""
    parts = parts_of(request)
    if len(parts) != 2:
        raise ApiError(400, "badContent", "A multipart upload has two parts.")
    headers, content = parts[1]
    if headers.get("content-transfer-encoding", "").lower() == "base64":
        content = base64.b64decode(content)
    return json_of(parts[0][1]), Upload(headers.get("content-type", "application/octet-stream"), content)


def parts_of(request: Request) -> list[tuple[dict[str, str], bytes]]:
    """The parts of a multipart body (RFC 2046), byte for byte. Raises ApiError."""
    found = re.search(r'boundary="?([^";]+)', request.headers.get("content-type", ""))
    if found is None:
        raise ApiError(400, "badContent", "The boundary is missing.")
    mark = b"--" + found[1].encode()
    end = b"\r\n" if mark + b"\r\n" in request.body else b"\n"  # Google's own library ends lines as Unix does.
    pieces = (end + request.body).split(end + mark)
    return [_head_and_rest(piece.removeprefix(end), end) for piece in pieces[1:-1]]


def _head_and_rest(piece: bytes, end: bytes) -> tuple[dict[str, str], bytes]:
    head, _, rest = (end + piece).partition(end + end)
    lines = [line.partition(":") for line in head.decode("utf-8", "replace").splitlines()]
    return {name.strip().lower(): value.strip() for name, _, value in lines if name.strip()}, rest


def inner_request(part: tuple[dict[str, str], bytes], outer: Request) -> Request:
    """The request in one part of a batch; it is authorized as the whole is, unless it says otherwise."""
    first, _, rest = part[1].partition(b"\n")
    headers, body = _head_and_rest(rest, b"\r\n" if first.endswith(b"\r") else b"\n")
    method, path, *_ = first.decode().split(" ")
    return Request(method, path, {"authorization": outer.headers.get("authorization", ""), **headers}, body)


def batch_answer(answers: list[tuple[str, Answer]]) -> Answer:
    """The answers to the requests of a batch with their content ids, in one."""
    body = b""
    for content_id, answer in answers:
        marked = content_id.replace("<", "<response-", 1)
        content = answer.content()
        body += f"--batch_answer\r\nContent-Type: application/http\r\nContent-ID: {marked}\r\n\r\n".encode()
        body += f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\nContent-Type: application/json\r\n".encode()
        body += f"Content-Length: {len(content)}\r\n\r\n".encode() + content + b"\r\n"
    return Answer(200, body + b"--batch_answer--\r\n", {"Content-Type": "multipart/mixed; boundary=batch_answer"})
