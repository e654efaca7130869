"""Jobs that lie on Google Drive, put together with those in the SyftBox folder, so that each is one job and told once. Pure.

A job keeps its id when its copy arrives: both have the same reference, or else the same submitter and name. Where no path names
the submitter only the same layout counts, for there he says himself who he is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace

from scq.clean import line
from scq.model import JobRef, Peer, Problem, Sighting
from scq.state import Record

NOT_ACCEPTED = "not_a_peer"
"""Flag of a job on Drive whose sender the owner has not accepted."""
NAMELESS = ("b0", "b1")
"""Layouts of jobs on Drive whose path does not name the submitter."""


def in_folders(records: Mapping[str, Record]) -> dict[str, Record]:
    """The records of jobs that lie, or lay, in the SyftBox folder."""
    return {key: record for key, record in records.items() if record.sighting.where == "local"}


def arrived(known: Mapping[str, Record], seen: Iterable[Sighting]) -> dict[str, Record]:
    """What was known, with each job that was on Drive only under the key of its copy among `seen`.

    So the copy is the same job, with its id, and nothing new to tell.
    """
    records = dict(known)
    waiting = {
        _pair(record.sighting): key for key, record in known.items() if record.sighting.where == "drive" and _is_wanted(record)
    }
    if not waiting:
        return records
    for sighting in seen:
        key = str(sighting.ref)
        old = waiting.get(_pair(sighting))
        if old is not None and key not in records and records[old].sighting.ref.layout == sighting.ref.layout:
            records[key] = records.pop(old)
    return records


def joined(
    records: Mapping[str, Record],
    jobs: Iterable[Sighting],
    gone: Collection[str],
    *,
    now: datetime,
    new_id: Callable[[JobRef], str],
    finished: Callable[[str], Record | None],
    may_vanish: bool = True,
) -> tuple[dict[str, Record], list[Problem]]:
    """(the records with what a look at Drive found, what is wrong with it).

    `jobs` are those of the messages that were read now, `gone` the messages that are no longer in an inbox. A job whose last
    message is gone and whose copy is not here is missing from now on, unless (not `may_vanish`) the copy may just be out of
    sight. What comes after that in a new message is a new job.
    """
    found = {key: _without(record, gone, now, may_vanish) for key, record in records.items()}
    local = {_pair(record.sighting): record for record in found.values() if record.sighting.where == "local"}
    problems: list[Problem] = []
    for sighting in jobs:
        key = str(sighting.ref)
        known = found.get(key) or finished(key)
        copy = local.get(_pair(sighting)) if "forged" not in sighting.flags else None
        here = known if known is not None and known.sighting.where == "local" else copy
        if here is not None and here.missing_since is None:
            problems.extend(_again(here, sighting))
        elif known is None or known.sighting.where == "local" or _is_sent_anew(known, sighting):
            found[key] = Record(id=new_id(sighting.ref), sighting=sighting, status="pending", first_seen_at=now)
        else:
            found[key] = replace(known, sighting=_merged(known.sighting, sighting), missing_since=None)
    return found, problems


def known_before(known: Mapping[str, Record], records: Mapping[str, Record]) -> dict[str, Record]:
    """What was known, but for jobs among `records` that were sent anew over Google Drive after they had gone."""
    anew = {
        key
        for key, record in records.items()
        if record.sighting.where == "drive" and key in known and record.first_seen_at != known[key].first_seen_at
    }
    return {key: record for key, record in known.items() if key not in anew}


def brought(before: Mapping[str, Record], records: Mapping[str, Record]) -> tuple[Record, ...]:
    """The jobs that were on Google Drive only and have their copy now."""
    waited = {record.id for record in before.values() if record.sighting.where == "drive"}
    return tuple(record for record in records.values() if record.id in waited and record.sighting.where == "local")


def flagged(records: Mapping[str, Record], peers: Mapping[str, Peer]) -> dict[str, Record]:
    """The records, with a flag at each job on Drive whose sender is not an accepted peer."""
    return {key: _with_flag(record, peers) for key, record in records.items()}


def _pair(sighting: Sighting) -> tuple[str, str, str, str]:
    """By what a copy is known. Letters of other scripts never count as those of an address."""
    nameless = not sighting.ref.submitter or sighting.layout in NAMELESS
    submitter = sighting.submitter if nameless else sighting.ref.submitter
    address = submitter.lower() if submitter.isascii() else submitter
    return sighting.owner, address, sighting.name, sighting.layout if nameless else ""


def _is_wanted(record: Record) -> bool:
    """A forged path never has a copy: the client that writes copies drops it."""
    return "forged" not in record.sighting.flags


def _without(record: Record, gone: Collection[str], now: datetime, may_vanish: bool) -> Record:
    """The last message stays written down: should it come back, it brings the same job."""
    messages = record.sighting.messages
    left = tuple(message for message in messages if message not in gone)
    if left:
        return record if left == messages else replace(record, sighting=replace(record.sighting, messages=left))
    if not messages or not may_vanish or record.missing_since is not None:
        return record
    return replace(record, missing_since=now)


def _is_sent_anew(known: Record, sighting: Sighting) -> bool:
    return known.missing_since is not None and set(known.sighting.messages).isdisjoint(sighting.messages)


def _merged(before: Sighting, after: Sighting) -> Sighting:
    """One job that several messages carry: the newest says what it is."""
    messages = dict.fromkeys((*after.messages, *before.messages))
    return replace(after, messages=tuple(messages))


def _again(here: Record, sighting: Sighting) -> list[Problem]:
    """A message that brings a job which is here: nothing to say, unless it is a newer submission of the same name."""
    at, before = sighting.submitted_at, here.sighting.submitted_at
    if at is None or before is None or at <= before:
        return []
    what = f"{line(sighting.name)} of {line(sighting.submitter)} was sent again on {at:%Y-%m-%d %H:%M} UTC"
    return [Problem(f"drive {here.id[:8]}", what, "It lies on Google Drive; the job here is the older one of that name.")]


def _with_flag(record: Record, peers: Mapping[str, Peer]) -> Record:
    sighting = record.sighting
    if sighting.where == "local":
        return record
    peer = peers.get(sighting.submitter.lower())
    accepted = peer is not None and peer.state in ("accepted", "connected")
    flags = tuple(flag for flag in sighting.flags if flag != NOT_ACCEPTED) + (() if accepted else (NOT_ACCEPTED,))
    return record if flags == sighting.flags else replace(record, sighting=replace(sighting, flags=flags))
