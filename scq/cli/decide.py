"""Verbs that decide: approve reject cancel."""

from __future__ import annotations

from typing import Annotated

import typer

from scq.cli.completing import Words
from scq.cli.session import asking, session

Reason = Annotated[str, typer.Option("-r", "--reason", help="Why; kept with the decision.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


def approve(
    ctx: typer.Context,
    jobs: Words,
    reason: Reason = "",
    digest: Annotated[str, typer.Option(help="Approve only if the content has exactly this digest (sha256:…).")] = "",
    by: Annotated[str, typer.Option(metavar="ADDRESS", help="The reviewer; default: you.")] = "",
    expires: Annotated[str, typer.Option(metavar="DURATION", help="How long the approval lasts, such as 7d.")] = "",
    max_runs: Annotated[int | None, typer.Option(min=1, help="How often the job may be run.")] = None,
    timeout: Annotated[str, typer.Option(metavar="DURATION", help="Wall-clock limit of a run, such as 30m.")] = "",
    memory: Annotated[str, typer.Option(metavar="SIZE", help="Memory limit of a run, such as 2GiB.")] = "",
    accept_finding: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help="Accept findings of this rule although `deny` blocks them.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Allow exactly the content that is there now to run. Refused (exit 5) when it changed since you reviewed it."""
    from scq.commands import approve as verb

    here = session(ctx)
    confirm = None if yes or here.as_json else asking()
    here.show(
        verb.run(
            here.context(),
            jobs,
            reason=reason,
            digest=digest,
            by=by,
            expires=expires,
            max_runs=max_runs,
            timeout=timeout,
            memory=memory,
            accept=accept_finding or (),
            confirm=confirm,
            dry_run=dry_run,
        )
    )


def reject(ctx: typer.Context, jobs: Words, reason: Reason = "", dry_run: DryRun = False) -> None:
    """Refuse waiting or approved jobs, with a reason their submitters will read."""
    from scq.commands import reject as verb

    here = session(ctx)
    here.show(verb.run(here.context(), jobs, reason=reason, dry_run=dry_run))


def cancel(ctx: typer.Context, jobs: Words, reason: Reason = "", dry_run: DryRun = False) -> None:
    """Withdraw jobs that have not started, and have own jobs ended that are out on a cluster."""
    from scq.commands import cancel as verb

    here = session(ctx)
    here.show(verb.run(here.context(), jobs, reason=reason, dry_run=dry_run))
