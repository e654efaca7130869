"""Sign-ins that end soon: told once a day while there is still time to sign in again.

Google lets a sign-in end after seven days where the consent page of its project is still in testing, and says so when it is
given (`refresh_token_expires_in`). Of any other sign-in nobody knows when it ends.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from scq import outbox, troubles
from scq.context import Context
from scq.errors import ConfigError, SignInError
from scq.routing import route
from scq.state import State

SOON = timedelta(days=2)
NAME = "sign-in Gmail"


def warned(ctx: Context, state: State) -> State:
    """The state with a message in the outbox, at most one a day, while the sign-in of a Gmail channel ends soon."""
    if not any(setting.type == "gmail" for setting in ctx.config.channels):
        return _forgotten(state)
    ends, now = _ends(ctx), ctx.now()
    if ends is None or not timedelta(0) < ends - now <= SOON:
        return _forgotten(state)
    found = troubles.expiring(state.troubles, NAME, f"it ends on {ends:%Y-%m-%d %H:%M} UTC", troubles.SIGN_IN, now)
    if troubles.is_to_tell(found[NAME], now):
        event = troubles.event("auth.expiring", NAME, found[NAME], f"{state.revision + 1}-0", now)
        if rows := route([event], {}, ctx.config, now):
            state = replace(state, outbox=outbox.queue(state.outbox, rows))
            found = troubles.told(found, NAME, now)
    return replace(state, troubles=found)


def _forgotten(state: State) -> State:
    if NAME not in state.troubles:
        return state
    return replace(state, troubles={name: trouble for name, trouble in state.troubles.items() if name != NAME})


def _ends(ctx: Context) -> datetime | None:
    """When the sign-in ends, None when nobody knows. One that is not there or damaged is told of when it is needed."""
    from scq.signin.purposes import GMAIL
    from scq.signin.tokens import read

    try:
        return read(ctx.config.gmail_token_path, GMAIL).ends
    except (SignInError, ConfigError):
        return None
