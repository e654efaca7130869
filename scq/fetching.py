"""Fetching: what accepted peers sent over Google Drive is brought into the SyftBox folder, as the owner's own client does it.

First the files, safely on disk; then one save that remembers it, with its line in the audit log; then the message moves to the
archive. A call killed anywhere in between is finished by the next one: content that lies there already is left alone.

A message in which anything is damaged is not taken at all. What of a sound one the sender may not write is left out.

Rules of reception and the archive: syft-client 0.1.88-0.1.117, syft 0.10.0 (docs/drive.md).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from scq import sync_clients
from scq.access import Rules
from scq.clean import line
from scq.context import Context, audited
from scq.drive import names
from scq.drive.found import PLACE
from scq.drive.granting import syftbox
from scq.drive.items import File, NotThereError
from scq.drive.jobs import CONFIG, RemoteJob, find, sighting
from scq.drive.messages import Edit, Proposal, read
from scq.drive.peers_file import is_accepted, whole
from scq.errors import BusyError, IntegrityError, InvalidFileError, ScqError, SignInError
from scq.formats import same_address
from scq.layouts.inbox_paths import queue_path
from scq.layouts.inbox_welcome import welcome
from scq.layouts.incoming import above, digest_of, sha256_of, write
from scq.model import Problem
from scq.permissions import FILE_NAME
from scq.state import DriveMemory, RemoteFolder, RemoteMessage, State
from scq.store import exclusive

if TYPE_CHECKING:
    from scq.drive.connection import Drive
    from scq.drive.poll import Poll

PRIVATE = ("private", "public/syft_datasets")
"""Folders of a datasite that no peer changes, whatever the permission files say."""
SHOWN_DENIED = 5
STAYS = "It stays where it is."
LEFT_OUT = "It was left out."
SEND_ANEW = "Ask the sender to send it anew."
NEXT_CALL = "The next call tries again."
_OURS = re.compile(r"_[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\.tar\.gz$")
"""Event messages of scq bear a UUID made of their content (version 5), those of the clients a random one (version 4)."""


class RefusedError(ScqError):
    """A message that is never taken: it is left where it is."""


class Work(Struct, frozen=True):
    """What one message changes: the allowed edits by path in the datasite, what was not allowed of it, and its jobs."""

    edits: dict[str, Edit]
    denied: tuple[str, ...]
    jobs: tuple[RemoteJob, ...]


def fetch(ctx: Context, poll: Poll, *, again: bool = False) -> tuple[Poll, tuple[Problem, ...]]:
    """Bring the messages of accepted peers that a look found, oldest first, into the owner's datasite and archive them.

    Returns the look without them (their ids are `gone`) and what was wrong. A message that may not be taken is `refused`, told
    once and left where it is; with `again` it is tried once more. One that cannot be taken now is told and tried again by the
    next call. Nothing is fetched while another client works for this account, nor from a peer whose rejection is written down.
    No request is made when nothing waits. Raises nothing for Drive, the sign-in or the folders: every failure is a problem.
    """
    waiting = to_fetch(poll.memory, again=again) if poll.source.ok else ()
    if not waiting:
        return poll, ()
    others = foreign_events(poll.foreign)
    if others:
        what = f"nothing was fetched: another program syncs this account, it wrote {line(others[0])}"
        return poll, (Problem(PLACE, what, "Stop it, or set drive.fetch to false. The next call looks again."),)
    try:
        with (
            exclusive(os.path.join(ctx.home, "locks", "drive.lock"), ctx.config.lock_timeout),
            sync_clients.alone(ctx.config.root, ctx.env),
            ctx.drive(changes=True) as drive,
        ):
            return _fetched(ctx, poll, waiting, drive)
    except ScqError as error:
        return poll, (Problem(PLACE, f"nothing was fetched: {error}", error.advice),)


def to_fetch(memory: DriveMemory, *, again: bool = False) -> tuple[str, ...]:
    """Ids of the messages that can be fetched, in the order in which they were sent; with `again` the refused ones too."""
    accepted = {id for id, folder in memory.folders.items() if is_accepted(memory, folder.peer)}
    found = (
        (name.seconds, id)
        for id, message in memory.messages.items()
        if message.folder in accepted and message.verdict in ("jobs", "other") and (again or not message.refused)
        if (name := names.message_of(message.name)) is not None
    )
    return tuple(id for _, id in sorted(found))


def foreign_events(files: Iterable[str]) -> tuple[str, ...]:
    """Those of the names of event files that scq did not give."""
    return tuple(name for name in files if names.is_event(name) and _OURS.search(name) is None)


class _Round:
    """What became of the messages of one call."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.brought: set[str] = set()
        self.refused: set[str] = set()

    def seen(self, poll: Poll) -> Poll:
        """The look without what was taken."""
        left = {
            id: replace(message, fetched=message.fetched or id in self.brought, refused=message.refused or id in self.refused)
            for id, message in poll.memory.messages.items()
            if id not in self.taken
        }
        shown = ((job, tuple(id for id in job.messages if id not in self.taken)) for job in poll.jobs)
        jobs = tuple(replace(job, messages=rest) for job, rest in shown if rest)
        return replace(poll, memory=replace(poll.memory, messages=left), jobs=jobs, gone=poll.gone | self.taken)


def _fetched(ctx: Context, poll: Poll, waiting: Iterable[str], drive: Drive) -> tuple[Poll, tuple[Problem, ...]]:
    """Every message by itself. Behind one that failed for now those of the same sender wait: they may build on it."""
    done = _Round()
    behind: set[str] = set()
    problems: list[Problem] = []
    answers = ctx.store.load().drive.answers  # what was decided while this call waited for its turn
    for id in waiting:
        message = poll.memory.messages[id]
        folder = poll.memory.folders[message.folder]
        sender = _spelled(folder, ctx.config.email)
        if sender in behind or answers.get(folder.peer) == "rejected":
            continue
        where = f"drive message {id} from {line(sender)}"
        try:
            file = _present(drive, id, message)
            if not message.fetched:
                problems.extend(Problem(where, what, LEFT_OUT) for what in _bring(ctx, drive, poll.memory, file, sender))
            done.brought.add(id)
            _archive(drive, file, message, sender, ctx.config.email)
            done.taken.add(id)
        except NotThereError:  # taken away since the look
            done.taken.add(id)
        except RefusedError as error:
            done.refused.add(id)
            problems.append(Problem(where, f"is not fetched: {error}", error.advice or STAYS))
        except (BusyError, SignInError) as error:
            problems.append(Problem(where, f"cannot be fetched now: {error}", error.advice))
            break
        except ScqError as error:
            behind.add(sender)
            problems.append(Problem(where, f"cannot be fetched: {error}", error.advice))
        except OSError as error:
            behind.add(sender)
            problems.append(
                Problem(where, f"cannot be written: {line(str(error.filename or ''), 300)} ({error.strerror})", NEXT_CALL)
            )
    return done.seen(poll), tuple(problems)


def _spelled(folder: RemoteFolder, me: str) -> str:
    """The peer's address as he writes it: the paths in his messages hold it."""
    name = names.folder_of(folder.name, me)
    return name.peer if name is not None and same_address(name.peer, folder.peer) else folder.peer


def _present(drive: Drive, id: str, message: RemoteMessage) -> File:
    """The file of a message as it is now. Raises NotThereError when it does not lie in its inbox any more."""
    file = drive.file(id)
    if file.trashed or (file.parents and message.folder not in file.parents):
        raise NotThereError("the message was moved")
    return file


def _bring(ctx: Context, drive: Drive, memory: DriveMemory, file: File, sender: str) -> tuple[str, ...]:
    """Put the files of a message in place and remember that they are there."""
    if not same_address(file.owner, sender):
        raise RefusedError("it belongs to somebody else than the folder it lies in")
    try:
        body = drive.download(file.id, ctx.config.drive.message_bytes)
        proposal = read(body, ctx.config.drive.unpacked_bytes)
    except NotThereError as error:  # it lies in its inbox all the same
        raise ScqError(str(error), NEXT_CALL) from error
    except InvalidFileError as error:
        raise RefusedError(f"it {error}", error.advice) from error
    if proposal.sender and not same_address(proposal.sender, sender):
        raise RefusedError(f"it says that it comes from {line(proposal.sender)}")
    work = examined(ctx, proposal, sender)
    contents = {path: edit.content for path, edit in work.edits.items()}
    write(ctx.config.root, ctx.config.email, contents, tuple(job.folder for job in work.jobs))
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    ctx.store.update(lambda state: _remembered(ctx, state, memory, file, sender, work, digest))
    return work.denied


def examined(ctx: Context, proposal: Proposal, sender: str) -> Work:
    """What of a proposal may be carried out, by the rules of the owner's client and the permission files.

    Raises RefusedError: damaged anywhere, larger than a submission may be, nothing of it allowed, or made for other content
    than lies there.
    """
    root, owner = ctx.config.root, ctx.config.email
    _check_sound(proposal)
    size = sum(len(edit.content or b"") for edit in proposal.edits)
    if len(proposal.edits) > ctx.config.submission_files or size > ctx.config.submission_bytes:
        raise RefusedError(f"it holds {len(proposal.edits)} files and {size} bytes, more than a submission may have")
    if not os.path.lexists(f"{root}/{queue_path(owner)}/review/{sender}/{FILE_NAME}"):
        # accepted elsewhere, and received here for the first time: the file that is made last is not there
        welcome(root, owner, sender)
    rules = Rules(f"{root}/{owner}", owner)
    allowed: dict[str, Edit] = {}
    denied: list[str] = []
    for edit in proposal.edits:
        if not names.is_generated(edit.path):
            fault = names.path_fault(edit.path) or _denial(rules, edit.path, sender)
            if fault:
                denied.append(f"{line(edit.path)} {fault}")
            else:
                allowed[edit.path] = edit
    if not allowed:
        raise RefusedError("nothing of it may be written" + (f": {denied[0]}" if denied else ""))
    for path, edit in allowed.items():
        if any(folder in allowed for folder in above(path)):
            raise RefusedError(f"{line(path)} would lie in a file")
        _check_fits(root, owner, edit)
    jobs = tuple(job for job in find(proposal, sender, owner) if f"{job.folder}/{CONFIG}" in allowed)
    return Work(allowed, _shown(denied), jobs)


def _check_sound(proposal: Proposal) -> None:
    """Raise RefusedError for a message of which anything is damaged: what is left of it was never meant to stand alone."""
    damaged = [f"{line(edit.path)} {edit.fault}" for edit in proposal.edits if edit.fault]
    if proposal.warnings or damaged:
        raise RefusedError(f"it is damaged: {[*proposal.warnings, *damaged][0]}", SEND_ANEW)


def _denial(rules: Rules, path: str, sender: str) -> str:
    plain = path.casefold()  # some disks do not tell one from the other
    if any(plain == folder or plain.startswith(f"{folder}/") for folder in PRIVATE):
        return "is in a folder that nobody else changes"
    return "" if rules.may(path, sender, "write") else f"may not be written by {line(sender)}"


def _shown(denied: list[str]) -> tuple[str, ...]:
    more = len(denied) - SHOWN_DENIED
    return (*denied[:SHOWN_DENIED], *([f"and {more} more paths were left out"] if more > 0 else ()))


def _check_fits(root: str, owner: str, edit: Edit) -> None:
    """Raise RefusedError unless the place is as the sender knew it, or as it shall become."""
    try:
        there = digest_of(root, f"{owner}/{edit.path}")
    except (IntegrityError, InvalidFileError) as error:
        raise RefusedError(line(str(error), 500), error.advice) from error
    if there != edit.old_hash and there != sha256_of(edit.content):
        what = "is not there" if there is None else "has changed" if edit.old_hash else "is there already with other content"
        raise RefusedError(f"it was made for other files than yours: {line(edit.path)} {what}", SEND_ANEW)


def _remembered(ctx: Context, state: State, memory: DriveMemory, file: File, sender: str, work: Work, digest: str) -> State:
    """The state that knows that the files of a message are in place, with a row of the audit log about it."""
    known = state.drive
    if known.account != memory.account:  # nothing is remembered yet: the look itself is saved later
        known = DriveMemory(memory.account, answers=known.answers, sent=known.sent, outgoing=known.outgoing)
    refs = (sighting(job, owner=ctx.config.email, sender=sender, message=file).ref for job in work.jobs)
    sent = {**{str(ref): {} for ref in refs}, **known.sent}  # so that no job is forgotten before its answer was sent
    messages = {**known.messages, file.id: replace(memory.messages[file.id], fetched=True)}
    drive = replace(known, messages=messages, sent=sent)
    what = ", ".join(f"job {line(job.name)}" for job in work.jobs) or f"{len(work.edits)} files"
    detail = f"{line(sender)}: {what}"
    return audited(replace(state, drive=drive), ctx.now(), ctx.config.email, "fetch", digest=digest, detail=detail)


def _archive(drive: Drive, file: File, message: RemoteMessage, sender: str, owner: str) -> None:
    """Move a message where the owner's client puts those it has processed. Raises ScqError: Drive does not allow it."""
    try:
        archive = _archive_folder(drive, names.archive_name(sender, owner))
        drive.move(file.id, to=archive, out_of=file.parents or (message.folder,))
    except NotThereError as error:
        what = f"it is fetched, but cannot be moved to the archive: {error}"
        raise ScqError(what, "Ask its sender to share the folder again. " + NEXT_CALL) from error


def _archive_folder(drive: Drive, name: str) -> str:
    """Id of the folder, made when there is none; of several the first by id, so that each call takes the same one."""
    box = syftbox(drive)
    found = whole(drive.find(name, box, mine=True, folder=True)).files
    return min(file.id for file in found) if found else drive.create_folder(name, box)
