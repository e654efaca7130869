"""Calls that schedulers make, read without typer: loading it costs more than everything else such a call does.

Only plain words are understood here: options in their long form with the value as a word of its own, before or behind the
verb as usual. Any other call is read by typer, which understands all of these too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import Struct

from scq.cli.session import COMPLETING, STDERR, STDOUT, Session, guarded

if TYPE_CHECKING:
    from scq.report import Report

PLACES = {"--home": "home", "--root": "root", "--email": "email", "--config": "config_path"}
"""Options before the verb, and what they are called in `Session`."""
MANNERS = {"--json": "as_json", "-q": "quiet", "--quiet": "quiet", "-v": "verbose", "--verbose": "verbose"}
"""Options of every verb, and what they are called in `Session`."""
VERBS: dict[str, dict[str, str]] = {
    "check": {"--full": "full", "--dry-run": "dry_run"},
    "cycle": {"--no-run": "no_run", "--dry-run": "dry_run"},
    "automate": {"--dry-run": "dry_run"},
    "list": {"--mine": "mine", "--for-me": "for_me"},
    "notify": {"--dry-run": "dry_run"},
    "pending": {"--exit-code": "exit_code"},
    "run-approved": {"--share-outputs": "share_outputs", "--share-logs": "share_logs", "--dry-run": "dry_run"},
    "status": {"--exit-code": "exit_code"},
}
"""The flags of each verb, and what they are called in the function of its module below `scq.commands`."""


class Words(Struct, frozen=True):
    """A call as it was understood: the verb, the values before it, the names of the flags behind it."""

    verb: str
    places: dict[str, str]
    manners: frozenset[str]
    flags: frozenset[str]


def call(arguments: Sequence[str]) -> int:
    """Run one call of the command line and return its exit code."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _open_closed_streams()
    words = None if COMPLETING in os.environ else understand(arguments)
    if words is None:
        from scq.cli import app

        return app.call(arguments)
    return guarded(lambda: _called(words), list(arguments), VERBS, sys.stdout, sys.stderr)


def _open_closed_streams() -> None:
    """Let streams that the caller closed go nowhere: the first file that is opened would else take the place of one."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(STDOUT, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(STDERR, "w", closefd=False)


def understand(arguments: Sequence[str]) -> Words | None:
    """The words of a call, None for one that is left to typer."""
    places: dict[str, str] = {}
    left = list(arguments)
    while len(left) > 1 and left[0] in PLACES and not left[1].startswith("-"):
        places[PLACES[left[0]]] = left[1]
        del left[:2]
    if not left or left[0] not in VERBS:
        return None
    flags = VERBS[left[0]]
    if any(word not in flags and word not in MANNERS for word in left[1:]):
        return None
    return Words(
        left[0],
        places,
        frozenset(MANNERS[word] for word in left[1:] if word in MANNERS),
        frozenset(flags[word] for word in left[1:] if word in flags),
    )


def _called(words: Words) -> NoReturn:
    here = Session(**{name: words.places.get(name, "") for name in PLACES.values()}, lock_timeout=-1.0)
    for name in words.manners:
        setattr(here, name, True)
    verb: Callable[..., Report] = import_module(f"scq.commands.{words.verb.replace('-', '_')}").run
    options: dict[str, Any] = dict.fromkeys(words.flags, True)
    if words.verb == "status" and not here.as_json:
        from scq.cli.painting import marker

        options["mark"] = marker(sys.stdout)
    here.show(verb(here.context(), **options))
