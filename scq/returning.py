"""Sending back: what the ledger lets a submitter see leaves for the outbox folder on Google Drive, as the clients expect it.

That is the state of his jobs and the files that were released of their results, each proven by its digest; nothing else ever
leaves. The name of a message is written down before it is uploaded and made of what is in it, so that the repeat of a call
that was killed is recognised on Drive.

Event messages: syft-client 0.1.88-0.1.117, syft 0.10.0 (docs/drive.md). A client takes those whose time is later than the
latest it has seen, so the times in one outbox only grow.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from msgspec import Struct
from msgspec.structs import replace

from scq import sync_clients
from scq.access import Rules
from scq.acting import released_files
from scq.clean import line
from scq.context import Context
from scq.drive import names
from scq.drive.answers import LIMIT, states_of
from scq.drive.found import PLACE
from scq.drive.items import File, NotThereError
from scq.drive.messages import Edit, pack_events
from scq.drive.peers_file import is_accepted, whole
from scq.drive.poll import check_account
from scq.errors import BusyError, IntegrityError, InvalidFileError, ScqError, SignInError
from scq.files import SMALL, read_bytes
from scq.layouts.inbox_paths import FAMILY, LOGS, OUTPUTS, home_of, job_path
from scq.layouts.review_state import STATE_FILE
from scq.layouts.writing import PERMISSION_FILES, safe_folder
from scq.model import Problem
from scq.state import DriveMemory, Record, RemoteFolder, State
from scq.store import exclusive

if TYPE_CHECKING:
    from scq.drive.connection import Drive

BATCH = 32 << 20
"""Bytes of the files of one message; a larger file has one of its own."""
LARGEST = 256 << 20
"""Bytes of a file that is sent at all: a message is put together in memory."""
REMEMBERED = timedelta(days=30)
"""How long the answers to a job that is over wait for a peer who has no outbox."""
RETURN_CODE_LIMIT = 64
MIME = "application/octet-stream"
STEP = 0.001
"""Seconds between two messages in one outbox, at least."""
NAMESPACE = UUID("b5d5b1f6-6c0d-5b39-9d0b-3c8f2f2f6a01")
NEXT_CALL = "The next call tries again."


class Leaving(Struct, frozen=True):
    """A file that a submitter is to get, as he does not have it yet."""

    key: str
    """`str(ref)` of its job."""
    job: str
    """Tells the job from one of the same name that was removed."""
    path: str
    """In the datasite."""
    place: str
    """Relative to the SyftBox root."""
    size: int
    sha256: str
    before: str | None = None
    """sha256 of what was sent last."""
    content: bytes | None = None
    """Of small files, read already."""


class Batch(Struct, frozen=True):
    """What goes into one message, and the outbox it goes to."""

    outbox: str
    leaving: tuple[Leaving, ...]


def send_back(ctx: Context) -> tuple[Problem, ...]:
    """Send the submitters on Drive what changed of their jobs since it was last sent: states, and what was released.

    To be called at the end of every verb that may have changed a job: check, notify, run-approved, the deciding ones and the
    releasing ones. Does nothing unless `drive.fetch` is on and Drive is used; makes no request when there is nothing to send.
    What cannot be sent now is a problem and is sent by the next call. Raises ConfigError when the stored state is unusable.
    """
    if not (ctx.config.drive.fetch and ctx.uses_drive()):
        return ()
    state = ctx.store.load()
    if not outboxes(state.drive):
        return ()
    batches, problems, over = _found(ctx, state)
    if over:
        ctx.store.update(lambda now: _forgotten(now, over))
    if batches:
        ctx.store.update(lambda now: _expected(now, batches))
        problems.extend(_sent(ctx))
    return tuple(problems)


def outboxes(memory: DriveMemory) -> dict[str, str]:
    """Id of the outbox of each accepted peer, by address: of several that of the newest client the peer has used."""
    inboxes = {(folder.peer, folder.version) for folder in memory.folders.values() if folder.kind == "inbox"}
    best: dict[str, tuple[tuple[object, ...], str]] = {}
    for id, folder in memory.folders.items():
        if folder.kind == "outbox" and is_accepted(memory, folder.peer):
            rank = ((folder.peer, folder.version) in inboxes, *_age(folder), id)
            best[folder.peer] = max(best.get(folder.peer, (rank, id)), (rank, id))
    return {peer: id for peer, (_, id) in best.items()}


def _age(folder: RemoteFolder) -> tuple[object, ...]:
    """Greater for a newer form of folder: versioned, then `syft_datasite#`, then the oldest; newer versions first."""
    numbers = tuple(int(part) if part.isdecimal() else 0 for part in folder.version.split(".")) if folder.version else ()
    return (numbers, folder.name.startswith("syft_datasite#"))


def _found(ctx: Context, state: State) -> tuple[list[Batch], list[Problem], set[str]]:
    """(what has to be sent, what cannot be, jobs of which nothing has to be remembered any more)."""
    problems: list[Problem] = []
    leaving: dict[str, list[Leaving]] = {}
    over: set[str] = set()
    places = outboxes(state.drive)
    for key in (*state.jobs, *(key for key in state.drive.sent if key not in state.jobs)):
        record = state.jobs.get(key) or ctx.store.finished_record(key)
        waits = record is not None and _is_young(record, ctx.now())  # its outbox may come back
        if record is not None and (outbox := _outbox(ctx, record, places)):
            files, faults = _changed(ctx, key, record, state.drive.sent.get(key, {}))
            leaving.setdefault(outbox, []).extend(files)
            problems.extend(faults)
            waits = bool(files or faults)
        if not waits and key not in state.jobs:
            over.add(key)
    return [batch for outbox, files in leaving.items() for batch in batched(outbox, files)], problems, over


def _is_young(record: Record, now: datetime) -> bool:
    return now - (record.first_seen_at if record.answer is None else record.answer.at) < REMEMBERED


def _outbox(ctx: Context, record: Record, places: Mapping[str, str]) -> str:
    """Where the answers to a job of ours go, in a form that clients on Drive read, once its folders show what was decided."""
    sighting = record.sighting
    is_ready = (
        sighting.ref.layout == FAMILY
        and sighting.owner == ctx.config.email
        and sighting.where == "local"
        and record.missing_since is None
        and not record.intents
    )
    return places.get(sighting.submitter.lower(), "") if is_ready else ""


def _changed(ctx: Context, key: str, record: Record, sent: Mapping[str, str]) -> tuple[list[Leaving], list[Problem]]:
    """Files of one job that its submitter may have and has not, results first: when they say that it is over, they are there."""
    home = home_of(record.sighting.path, record.sighting.owner)
    review = job_path(home, "review", record.sighting.ref)
    rules = Rules(f"{ctx.config.root}/{home}", record.sighting.owner)
    job = f"{record.id} {record.first_seen_at.isoformat()}"
    files: list[Leaving] = []
    problems: list[Problem] = []

    def add(name: str, size: int, sha256: str, content: bytes | None = None) -> None:
        place = f"{review}/{name}"
        path = place.removeprefix(f"{home}/")
        before = sent.get(path)
        if before != sha256 and size > LARGEST:
            what = f"is too large to be sent over Google Drive ({size} bytes)"
            problems.append(Problem(line(place, 300), what, "Hand it over in another way."))
        elif before != sha256 and not rules.may(path, record.sighting.submitter, "read"):
            what = f"is not sent: the permission files do not let {line(record.sighting.submitter)} read it"
            problems.append(Problem(line(place, 300), what, "Look at those in the folders above it."))
        elif before != sha256:
            files.append(Leaving(key, job, path, place, size, sha256, before, content))

    outputs, logs = released_files(record) if record.run is not None else ((), ())
    for file in outputs:
        if PERMISSION_FILES.isdisjoint(file.path.casefold().split("/")):  # which are never published
            add(f"{OUTPUTS}/{file.path}", file.size, file.sha256)
    for file in logs:
        add(file.path, file.size, file.sha256)
    for name, limit in (*([(LOGS[2], RETURN_CODE_LIMIT)] if logs else ()), (STATE_FILE, SMALL)):
        try:
            content = _content(ctx, f"{review}/{name}", limit)
        except (IntegrityError, InvalidFileError) as error:
            problems.append(_unsent(f"{review}/{name}", error))
        else:
            if content is not None:
                add(name, len(content), hashlib.sha256(content).hexdigest(), content)
    return files, problems


def _unsent(place: str, error: ScqError) -> Problem:
    return Problem(line(place, 300), f"cannot be sent back: {line(str(error), 500)}", error.advice)


def _content(ctx: Context, place: str, limit: int) -> bytes | None:
    """Content of a file below the root, None when it is not there. Raises IntegrityError for a link, InvalidFileError."""
    path = f"{safe_folder(ctx.config.root, os.path.dirname(place), create=False)}/{os.path.basename(place)}"
    return read_bytes(path, limit) if os.path.lexists(path) else None


def batched(outbox: str, files: Iterable[Leaving]) -> Iterator[Batch]:
    """Files in their order, in messages of about `BATCH` bytes."""
    batch: list[Leaving] = []
    for file in files:
        if batch and sum(other.size for other in batch) + file.size > BATCH:
            yield Batch(outbox, tuple(batch))
            batch = []
        batch.append(file)
    if batch:
        yield Batch(outbox, tuple(batch))


def _sent(ctx: Context) -> list[Problem]:
    """Send what there is to be sent, one call at a time. What fails is a problem."""
    problems: list[Problem] = []
    try:
        with (
            exclusive(os.path.join(ctx.home, "locks", "drive.lock"), ctx.config.lock_timeout),
            sync_clients.alone(ctx.config.root, ctx.env),
            ctx.drive(changes=True) as drive,
        ):
            check_account(drive, ctx.config.email)
            # another call may have sent some of it while this one waited
            state = ctx.store.load()
            state = replace(state, drive=_as_answered(drive, state.drive))
            for outbox, batches in groupby(_found(ctx, state)[0], key=lambda batch: batch.outbox):
                problems.extend(_sent_to(ctx, drive, state.drive.folders[outbox], batches))
    except ScqError as error:
        problems.append(Problem(PLACE, f"answers wait to be sent: {error}", error.advice or NEXT_CALL))
    return problems


def _as_answered(drive: Drive, memory: DriveMemory) -> DriveMemory:
    """What is remembered, with the owner's list of answers as it is now: another client may have rejected a peer since then."""
    if not memory.peers_file:
        return memory
    file = drive.file(memory.peers_file)
    if file.md5 == memory.peers_md5 and not file.trashed:
        return memory
    return replace(memory, states={} if file.trashed else states_of(drive.download(file.id, LIMIT)))


def _sent_to(ctx: Context, drive: Drive, folder: RemoteFolder, batches: Iterable[Batch]) -> list[Problem]:
    """Send what is for one peer. An outbox that cannot be used is a problem of this peer alone."""
    problems: list[Problem] = []
    try:
        for count, batch in enumerate(batches):
            if count == 0:
                _check_outbox(drive.file(batch.outbox), folder)
            problems.extend(_send(ctx, drive, batch))
    except (BusyError, SignInError):
        raise
    except ScqError as error:
        what = f"answers wait to be sent: {error}"
        problems.append(Problem(f"peer {line(folder.peer)}", what, error.advice or "Ask the peer to share the folder again."))
    return problems


def _check_outbox(file: File, folder: RemoteFolder) -> None:
    """Raise NotThereError unless a folder is still that of the peer: whoever owns it reads what is in it."""
    if file.trashed or not file.is_folder or (file.owner, file.name) != (folder.peer, folder.name):
        raise NotThereError(f"the outbox {line(folder.name)} is not there any more", "It has to be shared again by its owner.")


def _send(ctx: Context, drive: Drive, batch: Batch) -> list[Problem]:
    """Upload one message, unless an earlier call did and was killed before it knew; then remember what was sent."""
    problems: list[Problem] = []
    edits: list[Edit] = []
    leaving: list[Leaving] = []
    for file in batch.leaving:
        try:
            edits.append(_edit(ctx, file))
            leaving.append(file)
        except (IntegrityError, InvalidFileError) as error:
            problems.append(_unsent(file.place, error))
    if not edits:
        return problems
    uid, last = uid_of(batch.outbox, leaving), ctx.store.load().drive.outgoing.get(batch.outbox, "")
    name = last if last.endswith(f"_{uid}.tar.gz") else names.event_name(later(ctx.now().timestamp(), last), uid)
    if name != last:
        ctx.store.update(lambda state: _written_down(state, batch.outbox, name))
    if name != last or not whole(drive.find(name, batch.outbox, mine=True, folder=False)).files:
        drive.upload(name, batch.outbox, pack_events(edits, seconds=_seconds(name), uid=uid, owner=ctx.config.email), MIME)
    ctx.store.update(lambda state: _settled(state, leaving))
    return problems


def _edit(ctx: Context, file: Leaving) -> Edit:
    """A file as an event. Raises IntegrityError when it is not what was released, InvalidFileError."""
    content = file.content if file.content is not None else _content(ctx, file.place, file.size)
    if content is None or hashlib.sha256(content).hexdigest() != file.sha256:
        raise IntegrityError("it is not what was released", "Look at it with scq output, then release it again.")
    return Edit(file.path, content, old_hash=file.before, new_hash=file.sha256)


def uid_of(outbox: str, leaving: Iterable[Leaving]) -> str:
    """The UUID of a message, made of what is in it and of what was sent before."""
    rows = [(file.key, file.job, file.path, file.before, file.sha256) for file in leaving]
    return str(uuid5(NAMESPACE, json.dumps([outbox, rows])))


def later(now: float, last: str) -> float:
    """A time for the next message: behind that of the last one, of which this is the name, whatever the clock says."""
    return max(now, _seconds(last) + STEP)


def _seconds(name: str) -> float:
    """The time in the name of an event file, 0 for none."""
    parts = name.split("_")
    return float(parts[1]) if len(parts) == 3 else 0.0


def _expected(state: State, batches: Iterable[Batch]) -> State:
    """The state in which these jobs are not forgotten before something was sent of them, also when they are over soon."""
    sent = {**{file.key: {} for batch in batches for file in batch.leaving}, **state.drive.sent}
    return replace(state, drive=replace(state.drive, sent=sent))


def _written_down(state: State, outbox: str, name: str) -> State:
    return replace(state, drive=replace(state.drive, outgoing={**state.drive.outgoing, outbox: name}))


def _settled(state: State, leaving: Iterable[Leaving]) -> State:
    sent = dict(state.drive.sent)
    for file in leaving:
        sent[file.key] = {**sent.get(file.key, {}), file.path: file.sha256}
    return replace(state, drive=replace(state.drive, sent=sent))


def _forgotten(state: State, over: set[str]) -> State:
    sent = {key: files for key, files in state.drive.sent.items() if key not in over}
    return replace(state, drive=replace(state.drive, sent=sent))
