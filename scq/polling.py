"""One look at Google Drive with the settings of this call. A Drive out of reach, or a sign-in that ended, is a finding."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from scq.context import Context
from scq.errors import ScqError
from scq.model import Problem, SourceReport
from scq.state import DriveMemory, State

if TYPE_CHECKING:
    from scq.drive.poll import Poll


def poll(ctx: Context, state: State, *, full: bool, only: Literal["", "peers"] = "") -> Poll | None:
    """Look once; None where Drive is not used. Nothing is saved.

    Everything is listed when `full`, and then what was given up is read again, and every `drive.full_scan_every`; with
    `only="peers"` just what tells of peers. Whatever goes wrong is in `failure` and `problems` of the answer, whose memory is
    then the one of `state`.
    """
    if not ctx.uses_drive():
        return None
    from scq.drive import poll as drive_poll
    from scq.signin.accounts import identity

    try:
        with ctx.drive() as drive:
            sign_in = identity(ctx.config.drive_token_path, ctx.config.email)
            if only:
                found = drive_poll.peers(drive, state.drive, me=ctx.config.email, sign_in=sign_in)
            else:
                found = drive_poll.poll(
                    drive,
                    state.drive,
                    me=ctx.config.email,
                    now=ctx.now(),
                    full=full or is_due(state.drive, ctx.now(), ctx.config.drive.full_scan_every),
                    message_bytes=ctx.config.drive.message_bytes,
                    unpacked_bytes=ctx.config.drive.unpacked_bytes,
                    progress=ctx.say if sys.stderr.isatty() else _nobody,
                    sign_in=sign_in,
                    again=full,
                )
            return replace(found, began=state)
    except ScqError as error:
        return drive_poll.Poll(
            memory=state.drive,
            jobs=(),
            gone=frozenset(),
            foreign=(),
            problems=(Problem("Google Drive", str(error), error.advice),),
            source=SourceReport("drive", False, False),
            full=False,
            failure=error,
            began=state,
        )


def is_due(memory: DriveMemory, now: datetime, every_s: float) -> bool:
    """True when everything is to be listed again; also for a time in the future, set by a clock that has jumped back."""
    return memory.scanned_at is None or not 0 <= (now - memory.scanned_at).total_seconds() < every_s


def _nobody(line: str) -> None:
    """Progress is for a person at a terminal."""
