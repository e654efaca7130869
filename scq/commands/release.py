"""`scq release`: let chosen results of a job leave."""

from __future__ import annotations

from collections.abc import Sequence

from scq.context import Context
from scq.errors import UsageError
from scq.releasing import Choice, release
from scq.report import Report


def run(
    ctx: Context,
    word: str,
    *,
    only: Sequence[str] = (),
    outputs: bool = True,
    logs: bool = False,
    reason: str,
    seen: str | None = None,
    dry_run: bool = False,
) -> Report:
    """Copy result files that fit `only` (all when empty), and the logs with `logs`, to where the submitter can read them.

    Each file that leaves is in the audit log by its digest. Releasing again adds to what was released before. With `seen`, its
    `revision`, the job must still be what it was when it was shown.
    """
    if not reason.strip():
        raise UsageError("results are released only with a reason", "It is kept in the audit log: -r REASON")
    if not outputs and not logs:
        raise UsageError("nothing is named that could leave", "Leave out --no-outputs, or give --logs.")
    if only and not outputs:
        raise UsageError("--only names result files, --no-outputs leaves them all out", "Give one of the two.")
    return release(ctx, "release", word, Choice(outputs, tuple(only), logs), reason, seen=seen, dry_run=dry_run)
