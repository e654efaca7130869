"""`scq peers list|show|accept|reject|notify-granted`: who may send jobs, and who asked to."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from scq import peering
from scq.clean import is_address, line
from scq.context import Context
from scq.errors import OK, USAGE, ScqError, UsageError
from scq.model import Job, Peer, Problem
from scq.report import Report
from scq.showing import jobs_table, peer_card, peers_table
from scq.state import RemoteFolder, State
from scq.view import as_dict, job_of, oldest_first, peer_dict

REFRESH = "scq peers list --refresh asks Google Drive who did."
VERBS: dict[peering.Verdict, str] = {"accepted": "accept", "rejected": "reject"}
SHARED = "the folders that were shared stay shared: take that back in Google Drive, if you want to"


def listing(ctx: Context, *, states: Collection[str] = (), refresh: bool = False) -> Report:
    """Everybody known, or those in one of the states, as the last look saw them; asks Drive if nobody ever did, or to `refresh`.

    Raises SignInError, ConfigError, BusyError when Drive has to be asked and cannot.
    """
    known = _known(ctx, refresh=refresh)
    found = [peer for peer in _ordered(known.state) if not states or peer.state in states]
    data = {"peers": [_as_dict(known.state, peer) for peer in found]}
    lines = peers_table(found, known.state.drive.answers) or ["nobody"]
    return Report("peers list", data, tuple(lines), known.problems)


def show(ctx: Context, word: str, *, refresh: bool = False) -> Report:
    """Everything about one peer: state, folders on Drive, jobs that wait. Raises UsageError for one nobody knows."""
    address = _address(word)
    known = _with_folders(ctx, _known(ctx, refresh=refresh), address)
    state, peer = known.state, _peer(known.state, address)
    folders, jobs = known.made_by(peer.address), _waiting(state, peer.address)
    data = _as_dict(state, peer) | {
        "folders": [_folder_dict(folder) for folder in folders],
        "jobs": [as_dict(job) for job in jobs],
    }
    lines = peer_card(peer, state.drive.answers.get(peer.address, ""), folders)
    lines += ["", *jobs_table(jobs, ctx.config.email)] if jobs else []
    return Report("peers show", data, tuple(lines), known.problems)


def accept(ctx: Context, words: Sequence[str], *, dry_run: bool = False) -> Report:
    """Let peers who asked send jobs. Raises SignInError, ConfigError, BusyError before anything is written down."""
    return _answer(ctx, "accepted", words, dry_run)


def reject(ctx: Context, words: Sequence[str], *, dry_run: bool = False) -> Report:
    """Refuse peers, or those who were accepted. Raises as `accept`."""
    return _answer(ctx, "rejected", words, dry_run)


def notify_granted(ctx: Context, words: Sequence[str], *, dry_run: bool = False) -> Report:
    """Tell accepted peers by message that they are: once each, however often this is called."""
    state = ctx.store.load()
    errors: list[str] = []
    told: dict[str, bool] = {}
    for word in dict.fromkeys(words):
        try:
            peer = _peer(state, word)
            if peer.state != "accepted":
                raise UsageError(f"{peer.address} is {peer.state}, not accepted", f"scq peers accept {peer.address}")
        except UsageError as error:
            errors.append(_said(error))
            continue
        told[peer.address] = dry_run or peering.tell_granted(ctx, peer.address)
    would = "would be" if dry_run else "will be"
    lines = [
        f"{address} {would} told by the next scq notify" if queued else f"{address}: told before, or nobody is to be told"
        for address, queued in told.items()
    ]
    data = {"peers": [{"address": address, "queued": queued} for address, queued in told.items()], "dry_run": dry_run}
    return Report("peers notify-granted", data, tuple(lines), (), USAGE if errors else OK, tuple(errors))


def _answer(ctx: Context, verdict: peering.Verdict, words: Sequence[str], dry_run: bool) -> Report:
    """Answer every named peer on its own: one that is refused does not stop the others."""
    if not dry_run and ctx.uses_drive():
        ctx.drive(changes=True)
    look = peering.look(ctx, dry_run=dry_run)
    chosen, errors, code = _choose(look, words, verdict)
    problems = look.problems
    state = look.state
    if chosen and not dry_run:
        peering.write_down(ctx, dict.fromkeys(chosen, verdict))
        carried = peering.carry_out(ctx, look.folders, tuple(chosen))
        problems = (*problems, *carried.problems)
        errors += [f"{address}: {_said(error)} {peering.LATER}" for address, error in carried.failed.items()]
        code = max(code, *(error.exit_code for error in carried.failed.values()), OK)
        state = ctx.store.load()
        chosen = {address: peer for address, peer in chosen.items() if address in carried.done}
    lines = [text for peer in chosen.values() for text in _lines(peer, verdict, dry_run=dry_run)]
    data = {"peers": [_as_dict(state, state.peers[address]) for address in chosen], "dry_run": dry_run}
    return Report(f"peers {VERBS[verdict]}", data, tuple(lines), problems, code, tuple(errors))


def _choose(look: peering.Look, words: Sequence[str], verdict: peering.Verdict) -> tuple[dict[str, Peer], list[str], int]:
    chosen: dict[str, Peer] = {}
    errors: list[str] = []
    for word in words:
        try:
            peer = _peer(look.state, word)
            _check(peer, verdict, made=bool(look.made_by(peer.address)), written_down=peer.address in look.state.drive.answers)
        except UsageError as error:
            errors.append(_said(error))
        else:
            chosen[peer.address] = peer
    return chosen, errors, USAGE if errors else OK


def _check(peer: Peer, verdict: peering.Verdict, *, made: bool, written_down: bool) -> None:
    """Raises UsageError when there is nothing to answer."""
    if peer.state == "requested":
        raise UsageError(f"you asked {peer.address}, who has not answered yet", "It is their turn.")
    if verdict == "accepted" and not made:
        raise UsageError(f"{peer.address} has no folder for you on Google Drive (any more)", "They have to ask again.")
    if verdict == "rejected" and peer.state == "withdrawn" and not written_down:
        raise UsageError(f"{peer.address} took the request back", "There is nothing to reject.")


def _said(error: ScqError) -> str:
    return f"{error}. {error.advice}".rstrip()


def _lines(peer: Peer, verdict: peering.Verdict, *, dry_run: bool) -> list[str]:
    versions = ", ".join(line(version, 40) for version in peer.versions if version)
    client = f"  (client {versions})" if versions else ""
    lines = [f"{'would be ' if dry_run else ''}{verdict} {peer.address}{client}"]
    if verdict == "rejected" and peer.state in ("accepted", "connected"):
        lines.append(f"  was {peer.state} before; {SHARED}")
    return lines


def _known(ctx: Context, *, refresh: bool) -> peering.Look:
    """What is remembered, or what a look finds now."""
    state = ctx.store.load()
    if refresh or state.peers_at is None:
        return peering.look(ctx)
    problems = (*ctx.problems, *ctx.store.problems)
    if not ctx.uses_drive():
        why = peering.unused(ctx)
        problems = (*problems, Problem(peering.PLACE, f"{why}; this is what was remembered", why.advice))
    return peering.Look(state, state.drive.folders, problems)


def _with_folders(ctx: Context, known: peering.Look, address: str) -> peering.Look:
    """The same with the folders of a peer, which a look for peers alone does not remember; Drive is asked if it can be."""
    peer = known.state.peers.get(address)
    if peer is None or not peer.versions or known.made_by(address) or not ctx.uses_drive():
        return known
    try:
        return peering.look(ctx)
    except ScqError as error:
        return replace(known, problems=(*known.problems, Problem(peering.PLACE, str(error), error.advice)))


def _address(word: str) -> str:
    address = word.strip().lower()
    if not is_address(address):
        raise UsageError(f"{line(word, 80)!a} is not an e-mail address", "Write it like scientist@example.org.")
    return address


def _peer(state: State, word: str) -> Peer:
    address = _address(word)
    if address not in state.peers:
        raise UsageError(f"{address} has not asked to send jobs", REFRESH)
    return state.peers[address]


def _waiting(state: State, address: str) -> list[Job]:
    """The jobs of a peer that wait for a decision."""
    found = (record for record in state.jobs.values() if record.status == "pending" and record.missing_since is None)
    return oldest_first(job_of(record) for record in found if record.sighting.submitter.lower() == address)


def _ordered(state: State) -> list[Peer]:
    """Who waits for an answer first, and then by address."""
    return sorted(state.peers.values(), key=lambda peer: (peer.state != "pending", peer.address))


def _as_dict(state: State, peer: Peer) -> dict[str, object]:
    return peer_dict(peer) | {"answer": state.drive.answers.get(peer.address)}


def _folder_dict(folder: RemoteFolder) -> dict[str, object]:
    made = None if folder.created_at is None else folder.created_at.isoformat().replace("+00:00", "Z")
    return {"name": folder.name, "kind": folder.kind, "version": folder.version or None, "created_at": made}
