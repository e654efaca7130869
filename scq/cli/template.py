"""`scq template`: the templates of messages."""

from __future__ import annotations

from typing import Annotated

import typer

from scq.cli.session import session

template = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Templates of messages: list, show, preview, eject.",
)


@template.command("list")
def template_list(ctx: typer.Context) -> None:
    """Every template, what it is sent for, and whether it is the shipped one or yours."""
    from scq.commands import template as verb

    here = session(ctx)
    here.show(verb.list_(here.context(tolerant=True)))


@template.command("show")
def template_show(ctx: typer.Context, name: Annotated[str, typer.Argument(help="A template such as new_job.")]) -> None:
    """The source of one template, as it is used now."""
    from scq.commands import template as verb

    here = session(ctx)
    here.show(verb.show(here.context(tolerant=True), name))


@template.command("preview")
def template_preview(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Templates such as new_job.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    out: Annotated[str, typer.Option(help="Write both forms and a gallery, index.html, into this folder.")] = "",
    form: Annotated[str, typer.Option("--format", help="What is printed: text or html.")] = "text",
) -> None:
    """Render templates with made-up words, for everybody they are sent to."""
    from scq.commands import template as verb

    here = session(ctx)
    here.show(verb.preview(here.context(tolerant=True), names or [], every=every, out=out, form=form))


@template.command("eject")
def template_eject(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Templates such as new_job, base or components/button.")],
    force: Annotated[bool, typer.Option("--force", help="Replace copies that are there already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be written.")] = False,
) -> None:
    """Copy shipped templates below your configuration folder, to be changed there."""
    from scq.commands import template as verb

    here = session(ctx)
    here.show(verb.eject(here.context(tolerant=True), names, force=force, dry_run=dry_run))
