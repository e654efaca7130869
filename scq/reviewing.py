"""What a reviewer is told about a submission: findings in its code, the limits it asks for, and what it would be given."""

from __future__ import annotations

import os
from collections.abc import Iterator

from msgspec import Struct

from scq.context import Context
from scq.digest import manifest, read_entry
from scq.findings import CODE_RULES, in_code
from scq.model import Bounds, Content, Finding, Limits, Manifest, Problem, Sighting
from scq.planning import concerns, exceeding, limits, shape
from scq.provision import asked_limits, beginning, configured_limits
from scq.state import Record

READ_BYTES = (1 << 20) + 1
"""Of each file: one byte more than what is looked at, so that a longer one is recognized."""


class Terms(Struct, frozen=True):
    """The limits of a job: what it asks for, what it would be given now, and where it asks for more than it gets."""

    asked: Limits
    given: Limits
    in_vain: tuple[str, ...]
    problems: tuple[Problem, ...]


def code_findings(ctx: Context, record: Record, made: Manifest | None = None) -> tuple[Finding, ...]:
    """What a reviewer should look at in the code of a job; nothing for a submission that cannot be run.

    `made` is its manifest, when the caller has it. Raises InvalidFileError when files vanish meanwhile.
    """
    content = ctx.layout(record.sighting.ref.layout).content(record.sighting)
    found = made if made is not None else manifest(ctx.config.root, content, ctx.caps)
    return in_code(_files(ctx, content, found), run_sh=content.run_sh, allowed=_allowed(ctx, record.sighting))


def terms(ctx: Context, record: Record) -> Terms:
    """What a job asks for and what it would be given if it ran now."""
    asked, problems = asked_limits(record.sighting, lambda path: beginning(ctx, record, path))
    bounds = record.decision.bounds if record.decision is not None else Bounds()
    given = limits(configured_limits(ctx, ctx.config.job_timeout), asked, bounds)
    return Terms(asked, given, exceeding(asked, given), problems)


def unknown_rules(ctx: Context) -> tuple[Problem, ...]:
    """Words in `deny` that are no rule: they block nothing, although somebody meant them to."""
    advice = f"The rules are: {', '.join(CODE_RULES)}."
    unknown = (word for word in ctx.config.deny if word not in CODE_RULES)
    return tuple(Problem("config.yaml: deny", f"{word!a} is not a rule and blocks nothing", advice) for word in unknown)


def _files(ctx: Context, content: Content, made: Manifest) -> Iterator[tuple[str, bytes]]:
    for entry in made.files:
        yield entry.path, read_entry(ctx.config.root, content, entry, READ_BYTES)


def _allowed(ctx: Context, sighting: Sighting) -> tuple[str, ...]:
    """Places a job may use: declared data, and its output folders as they are reached from its working folder."""
    data = tuple(folder.at for folder in ctx.config.data if concerns(folder, sighting))
    form = shape(sighting)
    return data + tuple(os.path.relpath(folder, form.cwd or ".") for folder in form.outputs)
