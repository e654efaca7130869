"""`scq start`: have the calls of a service made."""

from __future__ import annotations

from scq import serving
from scq.context import Context
from scq.report import Report


def run(ctx: Context, service: str = "", *, every: float | None = None) -> Report:
    """Start a service, or all that make sense here: over what is installed, else over the loop. Doing it again changes nothing.

    `every`: seconds between two calls. Raises UsageError for an unknown service, ConfigError for `approve` without a program.
    """
    names = (service,) if service else tuple(serving.usual_services(ctx))
    done = tuple(text for name in names for text in serving.start(ctx, name, every))
    return serving.report(ctx, "start", names, done)
