"""Requests to a loopback Drive: which method of the API each means, and that method's answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.drive_api import Api, ApiError, Upload
from tests.servers.drive_fields import description
from tests.servers.drive_uploads import Session, json_of, of_multipart
from tests.servers.http import Answer, Request

ROUTES = (
    ("GET", r"about", "about.get"),
    ("GET", r"files", "files.list"),
    ("POST", r"files", "files.create"),
    ("GET", r"files/generateIds", "files.generateIds"),
    ("GET", r"files/([^/]+)", "files.get"),
    ("PATCH", r"files/([^/]+)", "files.update"),
    ("DELETE", r"files/([^/]+)", "files.delete"),
    ("GET", r"files/([^/]+)/permissions", "permissions.list"),
    ("POST", r"files/([^/]+)/permissions", "permissions.create"),
    ("DELETE", r"files/([^/]+)/permissions/([^/]+)", "permissions.delete"),
    ("GET", r"changes/startPageToken", "changes.getStartPageToken"),
    ("GET", r"changes", "changes.list"),
)
READING = (
    "about.get",
    "files.list",
    "files.get",
    "files.get_media",
    "permissions.list",
    "changes.list",
    "changes.getStartPageToken",
)


@dataclass(frozen=True)
class Call:
    """A request of an account. `method` is such as `files.list`; downloads `files.get_media`, parts of uploads `upload.put`."""

    account: str
    method: str
    file_id: str
    params: dict[str, str]
    body: dict[str, Any]
    path: str

    @property
    def q(self) -> str:
        return self.params.get("q", "")


def call_of(request: Request, account: str) -> Call:
    """What a request of an account asks for. Raises ApiError."""
    parts = urlsplit(request.path)
    params = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
    decoded = unquote(request.path.replace("+", " "))
    if "upload_id" in params:
        return Call(account, "upload.put", "", params, {}, decoded)
    inner = re.sub(r"^(/resumable)?(/upload)?/drive/v3/", "", parts.path)
    for verb, pattern, name in ROUTES:
        found = re.fullmatch(pattern, inner)
        if verb == request.method and found:
            is_media = name == "files.get" and params.get("alt") == "media"
            ids = [unquote(one) for one in found.groups()]
            body = _body(request, params)
            return Call(account, f"{name}_media" if is_media else name, "/".join(ids), params, body, decoded)
    raise ApiError(404, "notFound", "Not Found")


def _body(request: Request, params: dict[str, str]) -> dict[str, Any]:
    how = params.get("uploadType")
    if how == "media" or request.method not in ("POST", "PATCH"):
        return {}
    return of_multipart(request)[0] if how == "multipart" else json_of(request.body)


class Methods:
    """Carries calls out. `url` is where parts of uploads go."""

    def __init__(self, api: Api, url: str) -> None:
        self._api = api
        self._url = url
        self._sessions: dict[str, Session] = {}

    def answer(self, request: Request, call: Call) -> Answer:
        """The right answer. Raises ApiError."""
        me, params, file_id = call.account, call.params, call.file_id
        self._check_params(call)
        match call.method:
            case "upload.put":
                return self._continued(request, call)
            case "files.create" | "files.update":
                return self._written(request, call)
            case "files.get_media":
                return _media(*self._api.content(me, file_id), request.headers.get("range", ""))
            case "files.delete":
                self._api.delete(me, file_id)
                return Answer(204)
            case "permissions.delete":
                self._api.unshare(me, *file_id.split("/"))
                return Answer(204)
            case "permissions.create":
                return Answer(body=self._api.share(me, file_id, params, call.body))
            case "permissions.list":
                return Answer(body=self._api.permissions(me, file_id, params))
            case "files.get":
                return Answer(body=self._api.get(me, file_id, params))
            case "files.generateIds":
                return Answer(body=self._api.new_ids(params))
            case "files.list":
                return Answer(body=self._api.list(me, params))
            case "changes.getStartPageToken":
                return Answer(body=self._api.start_token(me, params))
            case "changes.list":
                return Answer(body=self._api.changes(me, params))
        return Answer(body=self._api.about(me, params))

    def _check_params(self, call: Call) -> None:
        """Google refuses names of parameters that it does not know."""
        if call.method == "upload.put":
            return
        resource, _, method = call.method.removesuffix("_media").partition(".")
        known = description()["resources"][resource]["methods"][method]["parameters"].keys() | description()["parameters"].keys()
        for name in call.params.keys() - known - {"uploadType"}:
            raise ApiError(400, "invalidParameter", f'Invalid JSON payload received. Unknown name "{name}"', name)

    def _written(self, request: Request, call: Call) -> Answer:
        how, kind = call.params.get("uploadType"), request.headers.get("content-type", "application/octet-stream")
        if how == "resumable":
            mime = request.headers.get("x-upload-content-type", "application/octet-stream")
            upload_id = f"upload-{len(self._sessions)}"
            self._sessions[upload_id] = Session(call.account, call.method, call.file_id, call.params, call.body, mime)
            return Answer(headers={"Location": f"{self._url}/upload/drive/v3/files?uploadType=resumable&upload_id={upload_id}"})
        upload = Upload(kind, request.body) if how == "media" else of_multipart(request)[1] if how == "multipart" else None
        return self._stored(call.method, call.account, call.file_id, call.params, call.body, upload)

    def _stored(
        self, method: str, me: str, file_id: str, params: dict[str, str], body: dict[str, Any], upload: Upload | None
    ) -> Answer:
        if method == "files.create":
            return Answer(body=self._api.create(me, params, body, upload))
        return Answer(body=self._api.update(me, file_id, params, body, upload))

    def _continued(self, request: Request, call: Call) -> Answer:
        session = self._sessions.get(call.params["upload_id"])
        if session is None or session.account != call.account:
            raise ApiError(404, "notFound", "There is no such upload.")
        wanted = session.take(request)
        if wanted is not None:
            return wanted
        del self._sessions[call.params["upload_id"]]
        upload = Upload(session.mime, bytes(session.content))
        return self._stored(session.method, session.account, session.file_id, session.params, session.body, upload)


def in_url(request: Request) -> Request:
    """A GET whose query was too long for a URL comes as the form of a POST."""
    if request.headers.get("x-http-method-override") != "GET" or request.method != "POST":
        return request
    return Request("GET", f"{request.path.partition('?')[0]}?{request.body.decode()}", request.headers, b"")


def _media(mime: str, content: bytes, wanted: str) -> Answer:
    """Content, or the part of it that a Range header names (RFC 9110, section 14)."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
    if found is None:
        return Answer(200, content, {"Content-Type": mime})
    first, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
    if first > last:
        return Answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
    headers = {"Content-Type": mime, "Content-Range": f"bytes {first}-{last}/{len(content)}"}
    return Answer(206, content[first : last + 1], headers)
