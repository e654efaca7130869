"""Answers to peers: written down first, then carried out on Google Drive and in the SyftBox folder, then noted and told.

Every step can be repeated, so a call killed anywhere in here is finished by the next one. `SYFT_peers.json` comes last: who is
`accepted` there has everything his client needs.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from scq.context import Context, audited
from scq.errors import BusyError, ConfigError, ScqError, SignInError
from scq.looking import observe_peers
from scq.model import Event, Peer, Problem
from scq.outbox import queue
from scq.routing import PEER_MARKS, route
from scq.state import RemoteFolder, State
from scq.store import exclusive

if TYPE_CHECKING:
    from scq.drive.connection import Drive
    from scq.drive.granting import Pair

Verdict = Literal["accepted", "rejected"]
PLACE = "Google Drive"
LATER = "It is written down; the next scq check or the same call goes on."
GRANTED = "peer.granted"
Folders = Mapping[str, RemoteFolder]
"""By id."""


class Look(Struct, frozen=True):
    """The peers as they are now: what is remembered of them, and the folders they made."""

    state: State
    folders: Folders
    problems: tuple[Problem, ...]

    def made_by(self, address: str) -> tuple[RemoteFolder, ...]:
        return made_by(self.folders, address)


class Carried(Struct, frozen=True):
    """What became of answers, by address."""

    done: dict[str, Verdict]
    failed: dict[str, ScqError]
    problems: tuple[Problem, ...]


def made_by(folders: Folders, address: str) -> tuple[RemoteFolder, ...]:
    """The folders one peer made, by name."""
    return tuple(sorted((folder for folder in folders.values() if folder.peer == address), key=lambda folder: folder.name))


def unused(ctx: Context) -> ScqError:
    """Why Google Drive is not looked at."""
    if ctx.config.drive.use == "never":
        return ConfigError("drive.use is never, so nobody is looked for", "Allow it with: scq config set drive.use auto")
    from scq.signin.purposes import DRIVE, DRIVE_CHANGES

    advice = f"{DRIVE.advice}, and to answer peers: {DRIVE_CHANGES.command}"
    return SignInError("there is no sign-in for Google Drive, so nobody is looked for", advice)


def look(ctx: Context, *, dry_run: bool = False) -> Look:
    """Ask Google Drive who asked and who was answered, and remember it (unless `dry_run`) as `scq check` does.

    Raises SignInError, ConfigError, BusyError.
    """
    from scq import polling

    before = ctx.store.load()
    found = polling.poll(ctx, before, full=True, only="peers")
    if found is None:
        raise unused(ctx)
    if found.failure is not None:
        raise found.failure
    seen = observe_peers(ctx, found, dry_run=dry_run)
    return Look(seen.state, found.memory.folders, seen.problems)


def write_down(ctx: Context, answers: Mapping[str, Verdict]) -> State:
    """Keep what the owner decided, by address, and that he did. Nothing is done yet."""
    now, me = ctx.now(), ctx.config.email

    def put(state: State) -> State:
        for address, verdict in answers.items():
            if state.drive.answers.get(address) != verdict:
                state = audited(state, now, me, f"peer-{verdict}", verb="peers", ref=reference(me, address), detail=address)
        return replace(state, drive=replace(state.drive, answers={**state.drive.answers, **answers}))

    return ctx.store.update(put)


def carry_out_answers(ctx: Context) -> tuple[Problem, ...]:
    """Do everything that is written down and not done. What cannot be done now stays written down, and is a problem."""
    waiting = ctx.store.load().drive.answers
    if not waiting:
        return ()
    try:
        seen = look(ctx)
    except ScqError as error:
        what = f"answers to {len(waiting)} {'peer' if len(waiting) == 1 else 'peers'} are not there yet: {error}"
        return (Problem(PLACE, what, error.advice),)
    carried = carry_out(ctx, seen.folders, tuple(waiting))
    failed = (Problem(f"peer {address}", str(error), error.advice) for address, error in carried.failed.items())
    return (*carried.problems, *failed)


def carry_out(ctx: Context, folders: Folders, addresses: Collection[str]) -> Carried:
    """Do what is written down about these peers, and note it. One call at a time; what fails stays written down."""
    done: dict[str, Verdict] = {}
    failed: dict[str, ScqError] = {}
    problems: list[Problem] = []
    try:
        with exclusive(os.path.join(ctx.home, "locks", "peers.lock"), ctx.config.lock_timeout):
            answers = ctx.store.load().drive.answers
            wanted = {address: answers[address] for address in addresses if address in answers}
            try:
                _on_drive(ctx, folders, wanted, done, failed, problems)
            finally:
                if done:
                    ctx.store.update(lambda state: settled(ctx, state, done))
    except ScqError as error:
        failed = {address: error for address in addresses if address not in done} | failed
    return Carried(done, failed, tuple(problems))


def _on_drive(
    ctx: Context,
    folders: Folders,
    answers: Mapping[str, Verdict],
    done: dict[str, Verdict],
    failed: dict[str, ScqError],
    problems: list[Problem],
) -> None:
    """Folders and permissions of each peer, then the one file with all answers. Raises what stops all of them."""
    from scq.drive import granting, peers_file
    from scq.drive.poll import check_account

    if not answers:
        return
    drive = ctx.drive(changes=True)
    check_account(drive, ctx.config.email)
    box = granting.syftbox(drive)
    ready: dict[str, Verdict] = {}
    for address, verdict in answers.items():
        pair = granting.pair_of(made_by(folders, address), ctx.config.email)
        try:
            if verdict == "accepted":
                problems.extend(_opened(ctx, drive, box, address, pair))
        except (BusyError, SignInError):
            raise
        except ScqError as error:
            failed[address] = error
        else:
            ready[address if pair is None else pair.peer] = verdict
    if ready:
        peers_file.write(drive, box, ready)
        done.update({address.lower(): verdict for address, verdict in ready.items()})


def _opened(ctx: Context, drive: Drive, box: str, address: str, pair: Pair | None) -> tuple[Problem, ...]:
    """Everything an accepted peer needs but the answer itself."""
    from scq.drive import granting

    if pair is None:
        raise ConfigError(
            f"{address} has no folder here that is understood, so there is nothing to answer",
            f"Take the answer back with: scq peers reject {address}",
        )
    granting.open_folders(drive, box, pair)
    apart = granting.show_version(drive, box, pair, ctx.now())
    advice = "Clients of different versions do not take each other's jobs: agree on one."
    return (*([Problem(f"peer {address}", apart, advice)] if apart else []), *_welcomed(ctx, pair.peer))


def _welcomed(ctx: Context, address: str) -> tuple[Problem, ...]:
    """The folders for the peer's jobs in the SyftBox folder, where there is one."""
    from scq.layouts.inbox_welcome import welcome

    root = ctx.config.root
    if not root or not os.path.isdir(root):
        what = "is not there, so the folders for jobs were not made" if root else "no SyftBox folder is set"
        return (Problem(root or "root", what, f"Set root, then call scq peers accept {address} once more."),)
    try:
        welcome(root, ctx.config.email, address)
    except OSError as error:
        raise ScqError(f"{error.filename or root}: cannot be written ({error.strerror})", LATER) from error
    return ()


def settled(ctx: Context, state: State, done: Mapping[str, Verdict]) -> State:
    """The state in which these answers stand on Drive. Who is accepted now is told, unless a look has told it already."""
    now = ctx.now()
    for address, verdict in done.items():
        left = {other: word for other, word in state.drive.answers.items() if (other, word) != (address, verdict)}
        memory = replace(state.drive, answers=left, states={**state.drive.states, address: verdict})
        before = state.peers.get(address)
        state = replace(state, drive=memory, peers={**state.peers, address: _answered(address, before, verdict, now)})
        if verdict == "rejected":
            state = _unmarked(ctx, state, address)
        elif before is None or before.state != "accepted":
            state = with_granted(ctx, state, address, now)
    return state


def _answered(address: str, before: Peer | None, verdict: Verdict, now: datetime) -> Peer:
    if before is None:
        return Peer(address=address, state=verdict, since=now)
    return before if before.state == verdict else replace(before, state=verdict, since=now)


def tell_granted(ctx: Context, address: str) -> bool:
    """Queue the message that tells a peer of the grant: once, however often this is called. False: told before, or not wanted."""
    now = ctx.now()
    queued: list[bool] = []

    def put(state: State) -> State:
        rows = state.outbox.values()
        told = any((row.kind, row.recipient) == (GRANTED, address) for row in rows)
        after = state if told else with_granted(ctx, state, address, now)
        queued[:] = [after != state]
        return after

    ctx.store.update(put)
    return queued == [True]


def with_granted(ctx: Context, state: State, address: str, now: datetime) -> State:
    """The state with the message to a peer whose request was granted, marked as told. Nothing changes where nobody is told."""
    entity, word = _mark(ctx, address)
    event = Event(
        id=f"granted-{address}", kind=GRANTED, ref=reference(ctx.config.email, address), job_id="", at=now, detail=address
    )
    rows = route([event], {}, ctx.config, now, state.notified)
    if not rows:
        return state
    marks = (*state.notified.get(entity, ()), word)
    return replace(state, outbox=queue(state.outbox, rows), notified={**state.notified, entity: marks})


def _unmarked(ctx: Context, state: State, address: str) -> State:
    """The state in which a later grant is told again."""
    entity, word = _mark(ctx, address)
    if word not in state.notified.get(entity, ()):
        return state
    left = tuple(other for other in state.notified[entity] if other != word)
    others = {name: words for name, words in state.notified.items() if name != entity}
    return replace(state, notified=others | ({entity: left} if left else {}))


def _mark(ctx: Context, address: str) -> tuple[str, str]:
    entity, word = PEER_MARKS[GRANTED]
    return entity.format(ds=address, do=ctx.config.email), word


def reference(me: str, address: str) -> str:
    """What stands for a peer in events and in the audit log."""
    return f"peer/{me}/{address}"
