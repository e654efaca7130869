"""Jobs in a message: which there are, what belongs to each, and how one looks before it is in the SyftBox folder.

The owner of the message file on Drive is the one identity. What the message says of itself only describes, and where that
does not fit it is a warning. Layouts: syft-job 0.1.1-0.1.40 (docs/layouts.md).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from scq import clean
from scq.drive.items import File
from scq.drive.messages import Edit, Proposal
from scq.drive.names import PART_LIMIT, PATH_LIMIT, climbs, is_addressed, is_generated, message_of, path_fault
from scq.errors import InvalidFileError
from scq.formats import integer, parse_time, parse_yaml, same_address, text, texts
from scq.model import JobRef, Problem, Sighting

CONFIG = "config.yaml"
QUEUE = "app_data/job"
JOBS_LIMIT = 200
"""Jobs of one message that are told."""
CONFIGS_LIMIT = 128 << 10
"""Bytes of all config.yaml of one message that are parsed: a hostile megabyte would take a quarter of a minute."""
SHOWN = 5

_SEGMENT = re.compile(r"v[0-9]{1,9}")
_KNOWN_SEGMENT = "v1"
_EXACT = ("code", CONFIG, "run.sh", "syft.pub.yaml")
"""What a job of v0 or v1 consists of; permissions may stand beside it."""
_KEPT = frozenset({"inbox", "review"})
"""Folders of the newer layouts: no flat job has such a name."""
_INBOX = "inbox-review"
_FAMILIES = {
    "v1": ("c1", _INBOX),
    "v0": ("c0", _INBOX),
    "by_submitter": ("b2", "job-markers"),
    "flat": ("b1", "job-markers"),
    "status_dir": ("b0", "job-folders"),
}
_ADVICE = "Ask the sender before you trust it."


class RemoteJob(Struct, frozen=True):
    """One job of a message.

    `layout` is `v0`, `v1` (or a later version), `by_submitter`, `flat` or `status_dir`; `folder` relative to the datasite;
    `path_submitter` the address in the path, empty where the layout has none; `files` relative to the folder, sorted;
    `config` None where it cannot be read, `says` what stands in it, None where that is not usable; `warnings` phrases in which
    everything of a stranger is safe to show. `name`, `folder` and `says` are raw.
    """

    name: str
    layout: str
    folder: str
    path_submitter: str
    files: tuple[str, ...]
    config: bytes | None
    warnings: tuple[str, ...] = ()
    says: dict[str, Any] | None = None


class _Spot(Struct, frozen=True):
    """What the path of a config.yaml tells."""

    name: str
    layout: str
    submitter: str


def find(proposal: Proposal, sender: str, me: str) -> tuple[RemoteJob, ...]:
    """Every job of a message, in its order. `sender` is the owner of the message file on Drive, `me` the reader."""
    edits, repeated = _final(proposal.edits)
    spots = _outermost(edits)
    files: dict[str, dict[str, Edit]] = {folder: {} for folder in spots}
    strays: list[str] = []
    for path, edit in edits.items():
        folder = _folder_of(path, spots)
        if folder is None:
            strays.append(path)
        else:
            files[folder][path[len(folder) + 1 :]] = edit
    shared = (*_message_warnings(proposal, sender, len(spots)), *_path_warnings(strays))
    twice = {_folder_of(path, spots) for path in repeated}
    found: list[RemoteJob] = []
    room = CONFIGS_LIMIT
    for folder, spot in list(spots.items())[:JOBS_LIMIT]:
        own = ("a file comes more than once: the last one counts",) if folder in twice else ()
        job = _job(folder, spot, files[folder], room)
        room -= len(job.config or b"")
        warnings = (*job.warnings, *shared, *own, *_warnings(job, files[folder], sender, me))
        found.append(msgspec.structs.replace(job, warnings=warnings))
    return tuple(found)


def files_of(proposal: Proposal, job: RemoteJob) -> dict[str, bytes]:
    """Content of the files of a job by path, for reading only. Files whose content cannot be read are not in it."""
    edits, _ = _final(proposal.edits)
    found = {path: edits[f"{job.folder}/{path}"].content for path in job.files if f"{job.folder}/{path}" in edits}
    return {path: content for path, content in found.items() if content is not None}


def sighting(job: RemoteJob, *, owner: str, sender: str, message: File) -> Sighting:
    """A job as it looks while it is only on Drive: waiting, under the sender that Drive names.

    The ref is the one of its later local copy, with the sender in it also where the local layout has none (`flat`,
    `status_dir`: two senders may use one name). A job that can have no local copy (its path names somebody else, or its
    layout is not known) gets a key that starts with a slash, as no local one can.
    """
    layout, ref = _identity(job, owner, sender)
    values = job.says or {}
    name = message_of(message.name)
    at = parse_time(values.get("submitted_at")) or (name.at if name is not None else None) or message.created_at
    where = clean.line(message.name)
    return Sighting(
        ref=ref,
        layout=layout,
        name=job.name,
        owner=owner,
        submitter=sender,
        # below the sender's own folder too where the path names somebody else: never a place of another person
        path=f"{owner}/{QUEUE}/inbox/{sender}{ref.key}" if _is_forged(job, sender) else f"{owner}/{job.folder}",
        observed="pending",
        submitted_at=at,
        problems=tuple(Problem(where, what, _ADVICE) for what in job.warnings),
        where="drive",
        messages=(message.id,),
        flags=_flags(job, sender),
        **_described(values, layout),
    )


def _final(edits: Iterable[Edit]) -> tuple[dict[str, Edit], set[str]]:
    """The files that stand there after all changes, by path, and the paths that were changed more than once."""
    found: dict[str, Edit] = {}
    repeated: set[str] = set()
    for edit in edits:
        if edit.path in found:
            repeated.add(edit.path)
        found[edit.path] = edit
    return {path: edit for path, edit in found.items() if not edit.deleted}, repeated


def _outermost(paths: Iterable[str]) -> dict[str, _Spot]:
    """Jobs by folder, without those that lie in another one: a job's own code may hold a config.yaml."""
    found = {path.rpartition("/")[0]: spot for path in paths if (spot := _spot(path)) is not None}
    return {folder: spot for folder, spot in found.items() if not any(above in found for above in _above(folder))}


def _spot(path: str) -> _Spot | None:
    """What the path of a config.yaml says if it is that of a job. The clients' rule, by the number of parts."""
    if not path.startswith(f"{QUEUE}/") or not path.endswith(f"/{CONFIG}") or climbs(path):
        return None
    parts = path.split("/")[2:-1]
    if any(part in ("", ".") or len(part.encode()) > PART_LIMIT for part in parts) or len(path.encode()) > PATH_LIMIT:
        return None
    match parts:
        case ["inbox", address, segment, name] if is_addressed(address) and _SEGMENT.fullmatch(segment):
            return _Spot(name, segment, address)
        case ["inbox", address, name] if is_addressed(address):
            return _Spot(name, "v0", address)
        case [address, name] if is_addressed(address):
            return _Spot(name, "by_submitter", address)
        case ["inbox", name] if not is_addressed(name):
            return _Spot(name, "status_dir", "")
        case [name] if name not in _KEPT:
            return _Spot(name, "flat", "")
    return None


def _above(path: str) -> Iterator[str]:
    """The folders above a path that can be jobs."""
    parts = path.split("/", 7)
    return ("/".join(parts[:count]) for count in range(3, min(len(parts), 7)))


def _folder_of(path: str, spots: dict[str, _Spot]) -> str | None:
    return next((folder for folder in _above(path) if folder in spots), None)


def _job(folder: str, spot: _Spot, edits: dict[str, Edit], room: int) -> RemoteJob:
    """A job without its warnings, but for one on its config.yaml, of which at most `room` bytes are parsed."""
    content = edits[CONFIG].content
    config = content if content is not None and len(content) <= room else None
    says, fault = _config(config)
    files = tuple(sorted(path for path in edits if not path_fault(path) and not is_generated(path)))
    return RemoteJob(spot.name, spot.layout, folder, spot.submitter, files, config, (fault,) if fault else (), says)


def _warnings(job: RemoteJob, edits: dict[str, Edit], sender: str, me: str) -> Iterator[str]:
    """What is wrong with one job alone."""
    yield from _identity_warnings(job, sender)
    if any(_is_foreign(edit, me) for edit in edits.values()):
        yield "datasite_email is not the reader"
    yield from _path_warnings(path for path in edits if not is_generated(path))
    yield from _file_warnings(edits, job.files)
    yield from _shape_warnings(job)
    yield from _config_warnings(job, sender)


def _identity(job: RemoteJob, owner: str, sender: str) -> tuple[str, JobRef]:
    """The generation word and the ref of a job."""
    segment = _segment(job)
    known = segment in ("", _KNOWN_SEGMENT)
    layout, family = _FAMILIES[job.layout] if known else (segment, _INBOX)
    if not known or _is_forged(job, sender):
        return layout, JobRef(_INBOX, owner, sender, job.folder.removeprefix(QUEUE))
    key = f"{segment}/{job.name}" if segment else job.name
    return layout, JobRef(family, owner, job.path_submitter or sender, key)


def _segment(job: RemoteJob) -> str:
    """The version folder in the path of a job; empty for layouts without one."""
    parts = job.folder.split("/")
    return parts[4] if len(parts) == 6 else ""


def _is_forged(job: RemoteJob, sender: str) -> bool:
    """True where the path names somebody else. Letters of other scripts never count as those of an address."""
    named = job.path_submitter
    return bool(named) and named != sender and not (named.isascii() and same_address(named, sender))


def _is_foreign(edit: Edit, me: str) -> bool:
    return bool(edit.datasite) and not same_address(edit.datasite, me)


def _message_warnings(proposal: Proposal, sender: str, jobs: int) -> Iterator[str]:
    yield from proposal.warnings
    if not same_address(proposal.sender, sender):
        yield "sender_email in the message is not the owner of the message file"
    if jobs > JOBS_LIMIT:
        yield f"the message holds {jobs} jobs: only the first {JOBS_LIMIT} are shown"


def _path_warnings(paths: Iterable[str]) -> Iterator[str]:
    """What is wrong with paths, counted. No path is shown: it is what somebody would put in an alert to mislead."""
    for fault, count in Counter(fault for path in paths if (fault := path_fault(path))).items():
        yield f"one path {fault}" if count == 1 else f"{count} paths: each {fault}"


def _identity_warnings(job: RemoteJob, sender: str) -> Iterator[str]:
    if _is_forged(job, sender):
        yield "the path names another submitter than the owner of the message file"
    if "\n" in job.name or "\r" in job.name:
        yield "the job name holds a line break"
    elif not job.name.isprintable() or "\\" in job.name:
        yield "the job name holds characters that do not belong in a name"


def _file_warnings(edits: dict[str, Edit], files: tuple[str, ...]) -> Iterator[str]:
    faulty = [path for path in files if edits[path].fault]
    for path in faulty[:SHOWN]:
        yield f"{clean.line(path, 80)} {edits[path].fault}"
    if len(faulty) > SHOWN:
        yield f"{len(faulty) - SHOWN} more files cannot be trusted"


def _shape_warnings(job: RemoteJob) -> Iterator[str]:
    """Where a job of the layouts with an exact form does not have it. What is missing may have come before."""
    segment = _segment(job)
    if segment not in ("", _KNOWN_SEGMENT):
        yield f"layout {segment} is not known to this scq"
    elif job.layout in ("v0", "v1"):
        names = {path.split("/")[0] for path in job.files}
        for wanted in ("code", "run.sh"):
            if wanted not in names:
                yield f"{wanted} is not in the message"
        if extra := sorted(names.difference(_EXACT)):
            yield f"unexpected entries beside the code: {', '.join(clean.line(name, 60) for name in extra[:SHOWN])}"


def _config(content: bytes | None) -> tuple[dict[str, Any] | None, str]:
    """What a config.yaml says, or what is wrong with it."""
    if content is None:
        return None, "job config.yaml is too large or cannot be read"
    try:
        return parse_yaml(content.decode(), ""), ""
    except UnicodeDecodeError:
        return None, "job config.yaml is not UTF-8 text"
    except InvalidFileError as error:
        what = str(error).removeprefix(": ")
        return None, f"job config.yaml {'is not YAML' if what.startswith('is not YAML') else clean.line(what, 100)}"


def _config_warnings(job: RemoteJob, sender: str) -> Iterator[str]:
    values = job.says
    if values is None:
        return
    if parse_time(values.get("submitted_at")) is None:
        yield "job config.yaml has no readable submission time"
    if "type" in values and values["type"] not in (None, "python", "bash"):
        yield "job config.yaml names an unknown job type"
    if _names_differ(job):
        yield "job config.yaml gives another name; the folder name counts"
    said = values.get("submitted_by")
    if said is not None and not (isinstance(said, str) and same_address(said, sender)):
        yield "submitted_by in job config.yaml is not the owner of the message file"


def _names_differ(job: RemoteJob) -> bool:
    said = (job.says or {}).get("name")
    return isinstance(said, str) and said != job.name


def _flags(job: RemoteJob, sender: str) -> tuple[str, ...]:
    facts = {"damaged": job.says is None, "forged": _is_forged(job, sender), "name_differs": _names_differ(job)}
    return tuple(flag for flag, holds in facts.items() if holds)


def _described(values: dict[str, Any], layout: str) -> dict[str, Any]:
    """The describing fields of a config.yaml as `Sighting` fields; values of a wrong type are left out.

    `code_path` is never read: it holds a path of the sender's machine.
    """
    headers = values.get("headers")
    own = headers.get("scq") if isinstance(headers, dict) else None
    own = own if isinstance(own, dict) else {}
    timeout = integer(own.get("timeout_s"))
    kind = values.get("type", "python" if values and layout.startswith(("c", "v")) else None)
    return {
        "kind": kind if kind in ("python", "bash") else None,
        "entrypoint": text(values.get("entrypoint") or values.get("entry_point"), 1_000),
        "dependencies": texts(values.get("dependencies")),
        "description": text(own.get("description")) or "",
        "tags": texts(own.get("tags"), 100),
        "timeout_s": timeout if timeout is not None and timeout > 0 else None,
    }
