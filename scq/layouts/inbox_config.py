"""The config.yaml of a submission in the inbox/review generation: reading a stranger's, writing our own.

Values the format has no key for (description, tags, time limit) travel in `headers`, the free extension point every release
keeps. Source: syft-job 0.1.28-0.1.40 (docs/layouts.md).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from scq.errors import InvalidFileError, UsageError
from scq.formats import dump_yaml, integer, parse_time, parse_yaml, text, texts, z_time
from scq.ports import Submission

CONFIG_FILE = "config.yaml"
KINDS = ("python", "bash")
IDENTITY = {"canonical_name": "JobSubmissionMetadata", "version": "1"}
OWN_HEADER = "scq"


class InboxConfig(Struct, frozen=True):
    """What a config.yaml says, with values of a wrong type left out. `timeout_s` in seconds."""

    name: str | None
    kind: str
    submitted_at: datetime | None
    entrypoint: str | None
    dependencies: tuple[str, ...]
    description: str
    tags: tuple[str, ...]
    timeout_s: int | None


def parse_config(content: str, where: str) -> InboxConfig:
    """Read a config.yaml. Raises InvalidFileError: not a mapping, or a job type outside the two the generation knows."""
    value = parse_yaml(content, where)
    kind = value.get("type", "python")
    if kind not in KINDS:
        shown = str(text(kind, 40)) if isinstance(kind, str) else type(kind).__name__
        raise InvalidFileError(f"{where}: the job type {shown!r} is unknown, expected python or bash")
    own = _own_header(value)
    timeout = integer(own.get("timeout_s"))
    return InboxConfig(
        name=text(value.get("name"), 1_000),
        kind=kind,
        submitted_at=parse_time(value.get("submitted_at")),
        entrypoint=text(value.get("entrypoint"), 1_000),
        dependencies=texts(value.get("dependencies")),
        description=text(own.get("description")) or "",
        tags=texts(own.get("tags"), 100),
        timeout_s=timeout if timeout is not None and timeout > 0 else None,
    )


def dump_config(submission: Submission, files: list[str], *, segmented: bool) -> bytes:
    """The config.yaml of a new submission. `files` are relative to `code/`. Raises UsageError for an unreadable time."""
    at = parse_time(submission.submitted_at_iso)
    if at is None:
        raise UsageError(f"{submission.submitted_at_iso!r}: is not a time", "Give the submission time in ISO form.")
    value: dict[str, Any] = {
        "name": submission.name,
        "type": submission.kind,
        "submitted_at": z_time(at),
        "entrypoint": submission.entrypoint,
        "dependencies": list(submission.dependencies),
        "files": files,
        "is_folder_submission": submission.is_folder,
        "code_path": text(submission.source_path),
        "job_type": "local",
        "datasets": None,
        "headers": _headers(submission),
    }
    return dump_yaml(value | IDENTITY if segmented else value)


def _own_header(value: dict[str, Any]) -> dict[str, Any]:
    headers = value.get("headers")
    own = headers.get(OWN_HEADER) if isinstance(headers, dict) else None
    return own if isinstance(own, dict) else {}


def _headers(submission: Submission) -> dict[str, Any]:
    own: dict[str, Any] = {}
    if submission.description:
        own["description"] = text(submission.description)
    if submission.tags:
        own["tags"] = list(texts(list(submission.tags), 100))
    if submission.timeout_s is not None:
        own["timeout_s"] = submission.timeout_s
    return {OWN_HEADER: own} if own else {}
