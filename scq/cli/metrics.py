"""Verb for machines that watch: metrics."""

from __future__ import annotations

from typing import Annotated

import typer

from scq.cli.session import session


def metrics(
    ctx: typer.Context,
    textfile: Annotated[str, typer.Option(metavar="PATH", help="Replace this file as a whole instead of printing.")] = "",
) -> None:
    """Print figures for Prometheus, or write them where node_exporter reads text files."""
    from scq.commands import metrics as verb

    here = session(ctx)
    here.show(verb.run(here.context(), textfile=textfile))
