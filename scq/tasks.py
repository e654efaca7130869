"""One claimed job made into a task: its private copy, the proof that this is what was approved, its packages, its box."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from scq import planning
from scq.acting import current
from scq.authority import lapsed
from scq.collecting import PLAN
from scq.context import Context
from scq.digest import copy
from scq.errors import IntegrityError, InvalidFileError, UsageError
from scq.files import make_folder, write_atomic
from scq.looking import rules
from scq.model import Content, Run, Sighting
from scq.ports import Entrance, Invocation, Sandbox, Task, Traits
from scq.provision import BEGINNING, Provision, provide
from scq.sandbox.scratch import remove_run
from scq.state import Record
from scq.view import job_of

if TYPE_CHECKING:
    from scq.preparing import Prepared

ELSEWHERE = Invocation((), {}, "/")
"""Of a task whose box is made on another machine."""


class _Copied(Struct, frozen=True):
    """A private copy that was proven: where it lies, what of it is the submission, which names lie at its top. Absolute paths."""

    sighting: Sighting
    content: Content
    work: str
    code: str
    names: frozenset[str]


def make_task(ctx: Context, sandbox: Sandbox, record: Record, *, timeout_s: float, stream: bool, remote: bool) -> Task:
    """Make the private copy, prove that it is what was approved, show the job as running, fetch what it needs.

    `remote`: the box is made on the machine that runs it. Raises IntegrityError for other content, DependencyError for what
    cannot be fetched, further ScqErrors and OSError; whatever was made lies in the folder of the run.
    """
    run = record.run
    if run is None:
        raise InvalidFileError(f"{record.id}: has no claim")
    folder = os.path.join(ctx.runs_folder(), run.directory)
    copied = _private_copy(ctx, sandbox, record, run, folder)
    sighting = copied.sighting
    ctx.layout(sighting.ref.layout).begin(ctx.config.root, sighting, run)
    prepared = _supplied(ctx, sandbox, copied, folder)
    job = job_of(replace(record, sighting=sighting))
    provision = provide(
        ctx,
        job,
        lambda path: _beginning(os.path.join(copied.code, path)),
        work=copied.work,
        timeout_s=timeout_s,
        mounts=prepared.mounts,
        env=prepared.env,
    )
    plan = provision.plan(sandbox)
    plan = replace(plan, notes=(*plan.notes, *prepared.notes))
    write_atomic(os.path.join(folder, PLAN), msgspec.json.encode(plan), sync=False)
    return Task(
        label=planning.label(job),
        directory=folder,
        invocation=ELSEWHERE if remote else provision.enter(sandbox),
        timeout_s=provision.limits.wall_s or timeout_s,
        log_limit=ctx.config.log_limit,
        stream=stream and not remote,
        limits=provision.limits,
        work=copied.work,
        entrance=_entrance(ctx, sandbox, record, provision, copied) if remote else None,
        traits=Traits(sighting.ref.layout, sighting.submitter.lower(), sighting.tags),
    )


def _private_copy(ctx: Context, sandbox: Sandbox, record: Record, run: Run, folder: str) -> _Copied:
    remove_run(folder)
    make_folder(folder, 0o700)
    sighting = current(ctx, record)
    if sighting is None:
        raise InvalidFileError(f"{record.sighting.path}: has vanished")
    _still_allowed(ctx, record)
    form = planning.shape(sighting)
    work = os.path.join(sandbox.scratch(folder), "work")
    code = os.path.join(work, form.code) if form.code else work
    make_folder(code)
    content = ctx.layout(sighting.ref.layout).content(sighting)
    made = copy(ctx.config.root, content, ctx.caps, code)
    if made.digest != run.digest:
        why = "; ".join(made.invalid) or "its content is not what was approved"
        raise IntegrityError(why, f"Look at it again: scq diff {record.id[:8]}")
    for name in form.outputs:
        make_folder(os.path.join(work, name))
    return _Copied(sighting, content, work, code, frozenset(os.listdir(code)))


def _still_allowed(ctx: Context, record: Record) -> None:
    """An approval may have ended while other jobs ran. The claim itself does not count as a run yet."""
    if record.decision is None:
        raise InvalidFileError(f"{record.id}: has no approval")
    unclaimed = replace(record, run=None, runs=record.runs - 1)
    ended = lapsed(unclaimed, record.decision.bounds, rules(ctx), ctx.now())
    if ended is not None:
        raise UsageError(ended.what, ended.advice)


def _supplied(ctx: Context, sandbox: Sandbox, copied: _Copied, folder: str) -> Prepared:
    """What the job needs beside its own code, fetched before anything of the owner is within its reach."""
    from scq import preparing  # takes longer to load than most jobs take to be made ready

    network = ctx.config.network
    if network == "prepare":
        return preparing.prepare(ctx, sandbox, sighting=copied.sighting, code=copied.code, folder=folder)
    return preparing.offline() if network == "none" else preparing.Prepared()


def _entrance(ctx: Context, sandbox: Sandbox, record: Record, provision: Provision, copied: _Copied) -> Entrance:
    """What another machine needs to make the box there. What was put into the private copy after it was proven is named."""
    decision = record.decision
    return Entrance(
        sandbox=sandbox.name,
        settings=ctx.box_settings(),
        command=provision.command,
        work=provision.work,
        cwd=provision.cwd,
        env=provision.env,
        mounts=provision.mounts,
        network=provision.network,
        code=copied.code,
        run_sh=copied.content.run_sh,
        fields=copied.content.fields,
        digest="" if decision is None else decision.digest,
        extra=tuple(sorted(set(os.listdir(copied.code)) - copied.names)),
        not_after=None if decision is None else decision.bounds.expires_at,
    )


def _beginning(path: str) -> bytes:
    """The first bytes of a file of the private copy; empty when there is none."""
    if not os.path.isfile(path):
        return b""
    with open(path, "rb") as file:
        return file.read(BEGINNING)
