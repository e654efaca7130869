"""`scq stop`: let a service rest."""

from __future__ import annotations

from scq import serving
from scq.context import Context
from scq.report import Report
from scq.services import SERVICES


def run(ctx: Context, service: str = "") -> Report:
    """Stop a service, or all of them, until `scq start`. A call that is at work is ended. Doing it again changes nothing.

    Raises UsageError for an unknown service.
    """
    serving.look(ctx)
    names = (service,) if service else tuple(name for name in SERVICES if serving.state_of(ctx, name).installed)
    done = tuple(text for name in names for text in serving.stop(ctx, name))
    return serving.report(ctx, "stop", names, done or ("nothing was running",))
