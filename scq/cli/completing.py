"""What the shell proposes for the words of a call: jobs, messages, peers, channels, keys, from what scq remembers.

Nothing is looked at and nothing is written: a proposal has to be there at once. What cannot be read, or would take long, gives
no proposals; a line that is being typed is no place for an error.

Names come from strangers, and what is printed here ends in scripts that shells evaluate (bash expands patterns in it, zsh
evaluates it twice). So only words of letters and digits that mean nothing to any shell are proposed, and all else in an
explanation is replaced.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer

from scq import clean
from scq.cli.session import Session
from scq.errors import ScqError

if TYPE_CHECKING:
    from scq.config_values import Config

LIMIT = 32 << 20
"""Bytes of a stored document; reading more of it takes longer than a person waits for a proposal."""
MOST = 200
"""Proposals at most, the newest jobs first."""
LONGEST_HELP = 60
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_UNREADABLE = (ScqError, OSError, msgspec.MsgspecError, ValueError, RecursionError)
_OVER = frozenset({"completed", "failed"})
_OPEN = frozenset({"pending", "approved"})
FITTING: dict[str, frozenset[str]] = {
    "approve": frozenset({"pending"}),
    "reject": _OPEN,
    "cancel": _OPEN,
    "rerun": _OVER,
    "release": _OVER,
    "withhold": _OVER,
    "share": _OVER,
}
"""Status of the jobs that a verb is for; the others take every job."""

Document = TypeVar("Document")
Proposals = list[tuple[str, str]]
"""Word and explanation."""


class _Seen(msgspec.Struct, frozen=True):
    name: str = ""


class _Run(msgspec.Struct, frozen=True):
    executor: str = "local"


class _Record(msgspec.Struct, frozen=True):
    id: str
    status: str
    run: _Run | None = None
    first_seen_at: str = ""
    missing_since: str | None = None
    sighting: _Seen = _Seen()


class _Finished(msgspec.Struct, frozen=True):
    jobs: dict[str, _Record] = {}


class _Message(msgspec.Struct, frozen=True):
    state: str = ""
    kind: str = ""
    recipient: str = ""


class _Peer(msgspec.Struct, frozen=True):
    state: str = ""


class _Live(msgspec.Struct, frozen=True):
    jobs: dict[str, _Record] = {}
    outbox: dict[str, _Message] = {}
    peers: dict[str, _Peer] = {}


def jobs(ctx: typer.Context, incomplete: str) -> Proposals:
    """Short ids, then names that mean one job, newest first; only jobs that fit the verb, and none that stands there already."""
    return _proposed(lambda: _jobs(ctx), incomplete, given=_given(ctx))


def jobs_or_services(ctx: typer.Context, incomplete: str) -> Proposals:
    """Services, then jobs."""
    return services(incomplete) + jobs(ctx, incomplete)


def messages(ctx: typer.Context, incomplete: str) -> Proposals:
    """Keys of the messages in the outbox that were not sent."""
    return _proposed(lambda: _messages(ctx), incomplete, given=_given(ctx))


def peers(ctx: typer.Context, incomplete: str) -> Proposals:
    """Addresses of peers."""
    return _proposed(lambda: ((address, peer.state) for address, peer in _live(ctx).peers.items()), incomplete, given=_given(ctx))


def channels(ctx: typer.Context, incomplete: str) -> Proposals:
    """Names of the channels in config.yaml."""
    return _proposed(lambda: ((item.name, item.type) for item in _config(ctx).channels), incomplete)


def keys(incomplete: str) -> Proposals:
    """Keys of config.yaml, except those with the name of a channel in them."""
    from scq.config import keys as every

    return _proposed(lambda: ((key.path, key.meaning) for key in every() if ".NAME." not in key.path), incomplete, most=1000)


def services(incomplete: str) -> Proposals:
    """Names of services."""
    from scq.services import SERVICES

    return _proposed(lambda: ((name, service.meaning) for name, service in SERVICES.items()), incomplete)


Word = Annotated[str, typer.Argument(metavar="ID", help="Id, unique beginning of it, or name.", autocompletion=jobs)]
Words = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Ids, unique beginnings of them, or names.", autocompletion=jobs)
]


def _proposed(
    made: Callable[[], Iterable[tuple[str, str]]], incomplete: str, *, given: frozenset[str] = frozenset(), most: int = MOST
) -> Proposals:
    """The proposals that begin with what was typed and are safe to print; none when their source cannot be read."""
    found: dict[str, str] = {}
    try:
        for word, text in made():
            if word.startswith(incomplete) and word not in given and _WORD.fullmatch(word):
                found.setdefault(word, _harmless(text))
            if len(found) == most:
                break
    except _UNREADABLE:
        return []
    return list(found.items())


def _harmless(text: str) -> str:
    """An explanation in one line that no shell can misread."""
    shown = clean.line(text, LONGEST_HELP)
    return "".join(letter if letter.isalnum() or letter in " .,@_-…" else "_" for letter in shown)


def _jobs(ctx: typer.Context) -> Iterator[tuple[str, str]]:
    known = _known(ctx)
    records = [record for record in known if _fits(ctx.command.name or "", record)]
    beginnings = Counter(record.id[:8] for record in known)
    for record in records:
        word = record.id[:8] if beginnings[record.id[:8]] == 1 else record.id
        yield word, f"{record.status}, {record.sighting.name}"
    names = Counter(record.sighting.name for record in known)
    ids = sorted(record.id for record in known)
    for record in records:
        name = record.sighting.name
        # A stranger may call a job like the id of another one, and that is what such a word means then.
        if names[name] == 1 and not _begins_one(name.lower(), ids):
            yield name, record.status


def _begins_one(word: str, ids: list[str]) -> bool:
    """True when one of the sorted ids begins so."""
    place = bisect_left(ids, word)
    return place < len(ids) and ids[place].startswith(word)


def _fits(verb: str, record: _Record) -> bool:
    if verb == "cancel" and record.run is not None and record.run.executor != "local":
        return record.status in _OPEN | {"running"}
    return record.status in FITTING.get(verb, {record.status})


def _known(ctx: typer.Context) -> list[_Record]:
    """What is remembered of every job, newest first; one found in both documents is what the live one says."""
    over = _read(os.path.join(_session(ctx).home, "finished.json"), _Finished())
    here = [record for record in {**over.jobs, **_live(ctx).jobs}.values() if record.missing_since is None]
    return sorted(here, key=lambda record: record.first_seen_at, reverse=True)


def _messages(ctx: typer.Context) -> Iterator[tuple[str, str]]:
    rows = _live(ctx).outbox
    for key, row in rows.items():
        if row.state not in ("sent", "bundled"):
            yield key[:8], f"{row.state}, {row.kind}, {row.recipient}"


def _given(ctx: typer.Context) -> frozenset[str]:
    """The words that stand in the call already."""
    return frozenset(word for value in ctx.params.values() if isinstance(value, list | tuple) for word in value)


def _session(ctx: typer.Context) -> Session:
    """Where the call that is typed would look: nothing of it was carried out yet, only read."""
    given = ctx.find_root().params
    home, root, email, config = (str(given.get(name) or "") for name in ("home", "root", "email", "config"))
    return Session(home=home, root=root, email=email, config_path=config, lock_timeout=0)


def _config(ctx: typer.Context) -> Config:
    from scq import config

    here = _session(ctx)
    return config.load(here.config_path, os.environ, {}, home=here.home, strict=False).config


def _live(ctx: typer.Context) -> _Live:
    return _read(_config(ctx).state_file or os.path.join(_session(ctx).home, "state.json"), _Live())


def _read(path: str, empty: Document) -> Document:
    """A stored document, of which only the fields needed here are decoded; what is not there is empty.

    Raises InvalidFileError and MsgspecError.
    """
    from scq.files import read_bytes

    if not os.path.lexists(path):
        return empty
    return msgspec.json.decode(read_bytes(path, LIMIT), type=type(empty))
