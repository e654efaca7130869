"""`scq restart`: stop a service and start it again."""

from __future__ import annotations

from scq import serving
from scq.context import Context
from scq.report import Report


def run(ctx: Context, service: str = "", *, every: float | None = None) -> Report:
    """Stop and start a service, or all that make sense here; one that was not running is started.

    `every`: seconds between two calls. Raises UsageError for an unknown service, ConfigError for `approve` without a program.
    """
    names = (service,) if service else tuple(serving.usual_services(ctx))
    for name in names:  # before anything is stopped
        serving.check_service(ctx, name)
    done = tuple(text for name in names for text in (*serving.stop(ctx, name), *serving.start(ctx, name, every)))
    return serving.report(ctx, "restart", names, done)
