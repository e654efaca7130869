"""What one run is given: its command, variables, data and limits. The same for the run itself and for showing it beforehand."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from msgspec import Struct

from scq import planning, requested
from scq.context import Context
from scq.digest import read_file
from scq.errors import ConfigError, InvalidFileError
from scq.model import Bounds, DataFolder, Job, Limits, Problem, Sighting
from scq.ports import Invocation, Mount, Plan, Sandbox
from scq.state import Record
from scq.syftbox import lies_inside

BEGINNING = 1 << 17
"""Bytes of a submitted file that are read to see how it wants to be run."""


class Provision(Struct, frozen=True):
    """Arguments of `Sandbox.plan` and `Sandbox.wrap`; `asked` is what the submission asks for."""

    command: tuple[str, ...]
    work: str
    cwd: str
    env: dict[str, str]
    mounts: tuple[Mount, ...]
    network: bool
    limits: Limits
    asked: Limits

    def plan(self, sandbox: Sandbox) -> Plan:
        """What the run will be given in that box."""
        return sandbox.plan(
            self.command,
            work=self.work,
            cwd=self.cwd,
            env=self.env,
            mounts=self.mounts,
            network=self.network,
            limits=self.limits,
        )

    def enter(self, sandbox: Sandbox) -> Invocation:
        """The process that is the run. Raises ConfigError when the box cannot be made."""
        return sandbox.wrap(
            self.command,
            work=self.work,
            cwd=self.cwd,
            env=self.env,
            mounts=self.mounts,
            network=self.network,
            limits=self.limits,
        )


def provide(
    ctx: Context,
    job: Job,
    read: Callable[[str], bytes],
    *,
    work: str,
    timeout_s: float,
    mounts: tuple[Mount, ...] = (),
    env: Mapping[str, str] | None = None,
) -> Provision:
    """Everything a run of `job` in the folder `work` is given.

    `read` gives the first bytes of a file of the submission by its path, empty when there is none. `mounts` and `env` are what
    was prepared for the run. Raises ConfigError for declared data that cannot be shown.
    """
    form = planning.shape(job.sighting)
    content = ctx.layout(job.ref.layout).content(job.sighting)
    bounds = job.decision.bounds if job.decision is not None else Bounds()
    asked, _ = asked_limits(job.sighting, read)
    return Provision(
        command=planning.command(job.sighting, read(content.run_sh)[:2]),
        work=work,
        cwd=form.cwd,
        env=planning.job_environment(job, ctx.config.root, ctx.config.email, work, ctx.config.job_path) | dict(env or {}),
        mounts=(*data_mounts(ctx, job.sighting), *mounts),
        network=ctx.config.network == "full",
        limits=planning.limits(configured_limits(ctx, timeout_s), asked, bounds),
        asked=asked,
    )


def beginning(ctx: Context, record: Record, path: str) -> bytes:
    """The first bytes of a submitted file as it lies in the SyftBox now; empty when it is not there or cannot be read."""
    content = ctx.layout(record.sighting.ref.layout).content(record.sighting)
    try:
        return read_file(ctx.config.root, content, path, BEGINNING)
    except InvalidFileError:
        return b""


def configured_limits(ctx: Context, timeout_s: float) -> Limits:
    """What every job may use, in the words of the configuration."""
    config = ctx.config
    return Limits(
        wall_s=timeout_s,
        cpu_s=config.limit_cpu,
        memory=config.limit_memory,
        processes=config.limit_processes,
        open_files=config.limit_open_files,
        file_size=config.limit_file_size,
        disk=config.limit_disk,
        output_files=config.output_files,
        output_bytes=config.output_bytes,
        log_bytes=config.log_limit,
    )


def asked_limits(sighting: Sighting, read: Callable[[str], bytes]) -> tuple[Limits, tuple[Problem, ...]]:
    """What a submission asks for, by the time limit of its layout and by its `scq.yaml`, and what of that cannot be used."""
    asked_s = sighting.timeout_s
    by_layout = Limits(wall_s=float(asked_s) if asked_s is not None and asked_s > 0 else None)
    text = next((text for name in requested.PLACES if (text := read(name))), b"")
    by_file, problems = requested.parse(text) if text else (Limits(), ())
    return planning.limits(by_layout, by_file, Bounds()), problems


def data_mounts(ctx: Context, sighting: Sighting) -> tuple[Mount, ...]:
    """The declared data this job may read. Raises ConfigError naming the folder that is missing or holds scq's own files."""
    return tuple(data_mount(ctx, folder) for folder in ctx.config.data if planning.concerns(folder, sighting))


def data_mount(ctx: Context, folder: DataFolder) -> Mount:
    """One declared folder. Raises ConfigError when it is missing or holds scq's own files."""
    source = os.path.realpath(folder.path)
    if not os.path.exists(source):
        raise ConfigError(f"data: {folder.path} is not there", "Correct `data` in config.yaml, or make the folder available.")
    if lies_inside(ctx.home, source):
        raise ConfigError(f"data: {folder.path} holds scq's own folder {ctx.home}", "Name the folders with the data only.")
    return Mount(source, folder.at)
