"""All that one call does with Google Drive: it looks and fetches before the SyftBox folder is looked at, and answers after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from scq.context import Context
from scq.errors import BUSY, CONFIG, OK, SIGN_IN
from scq.model import Problem
from scq.state import State

if TYPE_CHECKING:
    from scq.drive.poll import Poll


def look(
    ctx: Context, *, full: bool = False, only: Literal["", "peers"] = "", dry_run: bool = False
) -> tuple[Poll | None, tuple[Problem, ...]]:
    """(what Google Drive shows, what went wrong while jobs were fetched); None where Drive is not used.

    Nothing is remembered yet: what a fetch has brought is no longer in it, and is found in the SyftBox folder.
    """
    if not ctx.uses_drive():
        return None, ()
    from scq.polling import poll

    found = poll(ctx, ctx.store.load(), full=full, only=only)
    if found is None or not ctx.config.drive.fetch or only or dry_run:
        return found, ()
    from scq.fetching import fetch

    return fetch(ctx, found, again=full)


def answer(ctx: Context, state: State) -> tuple[Problem, ...]:
    """Carry out answers to peers an earlier call could not, and send back what was released; without either nobody is asked."""
    if not ctx.uses_drive():
        return ()
    problems: list[Problem] = []
    if state.drive.answers:
        from scq.peering import carry_out_answers

        problems.extend(carry_out_answers(ctx))
    return (*problems, *send_back(ctx))


def send_back(ctx: Context) -> tuple[Problem, ...]:
    """Send status and released results to the submitters on Drive, where that is switched on."""
    if not (ctx.config.drive.fetch and ctx.uses_drive()):
        return ()
    from scq import returning

    return returning.send_back(ctx)


def exit_code(remote: Poll | None) -> int:
    """The exit code that a look at Drive asks for: whatever it failed with, 75 for a Drive out of reach."""
    if remote is None or remote.failure is None:
        return OK
    code = remote.failure.exit_code
    return code if code in (SIGN_IN, CONFIG) else BUSY
