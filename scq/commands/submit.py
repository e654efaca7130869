"""`scq submit`: send code to a data owner."""

from __future__ import annotations

import os
from collections.abc import Sequence

from scq.clean import is_address, line
from scq.context import Context
from scq.errors import UsageError
from scq.layouts import FAMILIES, GENERATIONS
from scq.model import Spot
from scq.report import Report
from scq.scan import job_id
from scq.submitting import Wishes, build, read_source
from scq.tree import DiskTree

DEFAULT_GENERATION = "c0"
"""What most published releases read."""


def run(
    ctx: Context,
    target: str,
    source: str,
    *,
    name: str = "",
    description: str = "",
    tags: Sequence[str] = (),
    requirements: Sequence[str] = (),
    timeout: int | None = None,
    entrypoint: str = "",
    layout: str = "",
    stdin: bytes | None = None,
    dry_run: bool = False,
) -> Report:
    """Write a job into the datasite of `target` in the form that datasite already uses, else in the inbox/review form.

    `source` is a folder with run.sh, a Python file or folder, a bash script, or `-` for script text in `stdin`.
    `timeout` is the run time asked for, seconds; `layout` forces a generation (a3, b0, b1, b2, c0, c1).
    """
    target = target.strip().lower()
    if not is_address(target):
        raise UsageError(f"{target!a} is not an e-mail address", "Name the data owner: scq submit OWNER@EXAMPLE.ORG FOLDER")
    if not ctx.config.email:
        raise UsageError("your own address is not known", "scq init --email YOU@EXAMPLE.ORG")
    if layout and layout not in GENERATIONS:
        raise UsageError(f"no layout {layout!a}", f"Known are {', '.join(sorted(GENERATIONS))}.")
    if timeout is not None and timeout <= 0:
        raise UsageError(f"a timeout of {timeout} s is not possible", "Give seconds above 0.")
    root = ctx.config.root
    if not os.path.isdir(root):
        raise UsageError(f"{root or 'syftbox_root'}: no such folder", "scq init --root FOLDER")
    read = read_source(source, ctx.caps, entrypoint=entrypoint, stdin=stdin)
    generation = layout or _generation(ctx, target)
    now = ctx.now()
    wishes = Wishes(
        name or _default_name(read.path, now.strftime("%Y%m%d-%H%M%S")), description, tuple(tags), tuple(requirements), timeout
    )
    submission = build(read, wishes, generation, target, ctx.config.email, now)
    data = {"owner": target, "name": wishes.name, "layout": generation, "dry_run": dry_run, "files": sorted(submission.files)}
    if dry_run:
        text = f"would submit {line(wishes.name)} to {target} ({generation}, {len(submission.files) + 1} files)"
        return Report("submit", data | {"id": None, "path": None}, (text,))
    writer = ctx.layout(GENERATIONS[generation])
    ref = writer.submit(root, generation, submission)
    tree = DiskTree(root, ctx.config.email)
    spot = writer.locate(tree, ref) or Spot(ref, ())
    sighting = writer.read(tree, spot)
    identity = job_id(ref, sighting.uid)
    text = f"submitted {identity[:8]}  {line(wishes.name)}  to {target} ({generation})"
    return Report("submit", data | {"id": identity, "short_id": identity[:8], "path": sighting.path}, (text,))


def _generation(ctx: Context, target: str) -> str:
    """The form the target datasite shows; the newest one when it shows several."""
    for family in FAMILIES:
        if family in GENERATIONS.values():
            found = ctx.layout(family).target(ctx.config.root, target)
            if found is not None:
                return found
    return DEFAULT_GENERATION


def _default_name(path: str | None, stamp: str) -> str:
    base = os.path.splitext(os.path.basename(path))[0] if path else "script"
    plain = "".join(letter if letter.isalnum() or letter in " ._-" else "-" for letter in base).strip(" .") or "job"
    return f"{plain[:80]} {stamp}"
