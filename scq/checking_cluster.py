"""What `scq doctor` finds out about a Slurm cluster: its commands, its controller, the shared folder, and a node from within."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote

from msgspec.structs import replace

from scq.checking import Check, fail, fine, note
from scq.clean import line
from scq.config_cluster import SHARED, cluster_errors
from scq.config_values import Slurm
from scq.context import Context
from scq.errors import ConfigError, ScqError
from scq.executors.slurm.commands import Commands
from scq.executors.slurm.options import common, placed
from scq.executors.slurm.order import Answer, Probe
from scq.executors.slurm.probe import Reply, ask, last_line
from scq.lastcalls import last_ended
from scq.measuring import plan_of
from scq.model import Placement, Problem
from scq.ports import Traits
from scq.sandbox.account import own_name
from scq.sandbox.scratch import sweep_trials
from scq.wheelhouse.sources import pythons

OLDEST = (20, 11)
REMEMBERED_S = 60
"""A cluster that forgets ended jobs sooner leaves no time to read how they ended."""
KILL_WAIT_S = 5
SKEW_NOTED_S, SKEW_WRONG_S = 2.0, 30.0
PLACES = 20
"""Rules that are tried, each with one command."""
COLLECTORS = ("run", "notify")
"""Entries of a schedule that take over what ended, in the order in which they do."""


def cluster(ctx: Context) -> Iterator[Check]:
    """All of it, as far as each finding lets the next be looked for. Nothing of it stays on the cluster."""
    if ctx.config.executor != "slurm" or cluster_errors(ctx.config, ctx.home):
        return  # the check `configuration` reports what is wrong there
    try:
        yield from _looked_at(ctx, Commands(ctx.config.slurm))
    except ScqError as error:
        detail, advice = line(str(error), 300), error.advice or "See that the controller of the cluster runs."
        yield fail("cluster", detail, advice, "config" if isinstance(error, ConfigError) else "failure")


def _looked_at(ctx: Context, commands: Commands) -> Iterator[Check]:
    wrong = {problem.where: problem for problem in ctx.executor().check()}
    for where in ("executor.slurm.bin", "executor.slurm.conf"):
        if problem := wrong.get(where):  # nothing can be asked; without its conf each command would try for a minute
            yield fail("cluster", f"{where}: {problem.what}", problem.advice)
            return
    yield _version(commands)
    away = _controller(commands)
    if away:
        yield away
        return
    yield from _settings(ctx, commands)
    yield from _places(ctx.config.slurm, commands)
    shared = _shared(ctx.config.slurm.shared_dir, wrong.get(SHARED))
    yield shared
    if shared.ok:
        yield from _node(ctx, commands)


def _version(commands: Commands) -> Check:
    said = last_line(commands.run("sbatch", ("--version",)).out)
    number = re.search(r"\b(\d{2})\.(\d{2})\b", said)
    if number is None:
        return note("cluster", f"sbatch does not tell its version: {said or 'nothing'}", "See that executor.slurm.bin is right.")
    if (int(number[1]), int(number[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return note("cluster", f"{said} is old", f"Slurm {oldest} and later are known to work.")
    return fine("cluster", said)


def _controller(commands: Commands) -> Check | None:
    """What is wrong when no controller answers."""
    said = commands.run("scontrol", ("ping",))
    rows = [line(row) for row in said.out.splitlines() if " is " in row]
    if any(row.endswith(" UP") for row in rows):
        return None
    shown = "; ".join(rows) or said.sentence or "scontrol ping says nothing"
    return fail("cluster", f"no controller answers: {shown}", "Start slurmctld, or correct executor.slurm.conf.")


def _settings(ctx: Context, commands: Commands) -> Iterator[Check]:
    """Settings of the cluster by which knowledge is lost."""
    said = commands.run("scontrol", ("show", "config"))
    found = dict(re.findall(r"^(MinJobAge|KillWait)\s*=\s*(\d{1,9}) sec", said.out, re.MULTILINE))
    age, wait = found.get("MinJobAge"), found.get("KillWait")
    every = _interval(ctx)
    if age is not None and int(age) < max(REMEMBERED_S, every):
        than = f"the {every:g} s between two calls" if every > REMEMBERED_S else f"{REMEMBERED_S} s"
        detail = f"it forgets jobs {age} s after their end (MinJobAge), which is less than {than}"
        yield note("cluster", detail, "Why an interrupted job ended may be lost: raise MinJobAge in slurm.conf.")
    if wait is not None and int(wait) < KILL_WAIT_S:
        detail = f"it waits {wait} s between asking a job to end and killing it (KillWait)"
        yield note("cluster", detail, f"Little time to write down how a job ended: {KILL_WAIT_S} s or more are better.")


def _interval(ctx: Context) -> float:
    """Seconds between two calls that take over what ended; 0 where none are known."""
    plan, _ = plan_of(ctx, last_ended(ctx.home), busy=False)
    every = {} if plan is None else {call.name: call.every for call in plan.calls}
    return next((every[name] for name in COLLECTORS if name in every), 0.0)


def _places(setting: Slurm, commands: Commands) -> Iterator[Check]:
    """Whether Slurm would take jobs at every place that rules name. Nothing is submitted."""
    usual = placed(setting, Traits())
    places: dict[Placement, str] = {}
    for number, rule in enumerate(setting.rules, 1):
        alone = replace(setting, rules=(replace(rule, submitters=(), tags=(), queues=()),))
        place = placed(alone, Traits())
        if place != usual:
            places.setdefault(place, f"rule {number}")
    bad = False
    for place, name in list(places.items())[:PLACES]:
        words = ("--test-only", "--time=1", *common(place, "trial", setting.shared_dir))
        said = commands.run("sbatch", words, script=b"#!/bin/sh\n")
        if said.code != 0:
            bad = True
            yield fail("cluster", f"{name} of executor.slurm.rules: {said.sentence}", "Correct it, or ask the operator.")
    if places and not bad:
        yield fine("cluster", f"the places of the rules are known there: {min(len(places), PLACES)} of {len(places)} tried")


def _shared(folder: str, wrong: Problem | None) -> Check:
    """The rights of the shared folder. Its room is looked at with the other disks, its sight from a node with the tiny job."""
    try:
        found = os.lstat(folder)
    except OSError as error:
        return fail("shared", f"{folder}: {error.strerror}", f"Make it, or name another: scq config set {SHARED} FOLDER")
    if wrong is not None:
        return fail("shared", wrong.what, wrong.advice)
    mode = stat.S_IMODE(found.st_mode)
    if os.geteuid() == 0 and not mode & 0o001:
        return fail("shared", f"{folder}: the user jobs run as cannot pass it ({mode:04o})", f"chmod o+x {quote(folder)}")
    if above := _replaceable(folder):
        detail = f"{folder}: whoever can write in {above} can put another folder in its place"
        return note("shared", detail, f"Use a folder below one of your own, or: chmod +t {quote(above)}")
    return fine("shared", f"{folder}, which nobody else can write")


def _replaceable(folder: str) -> str:
    """The folder above it in which others can rename what belongs to somebody else; empty when there is none."""
    for above in map(str, Path(os.path.realpath(folder)).parents):
        found = os.stat(above)
        # One's own group often has nobody else in it.
        group = found.st_mode & stat.S_IWGRP and found.st_gid not in (0, os.getegid())
        if (group or found.st_mode & stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX:
            return above
    return ""


def _node(ctx: Context, commands: Commands) -> Iterator[Check]:
    """The cluster from within, by one tiny job."""
    say: Callable[[str], None] = ctx.say if sys.stderr.isatty() else lambda _line: None
    try:
        sweep_trials(ctx.config.slurm.shared_dir)
        reply = ask(commands, ctx.config.slurm, _probe(ctx), say)
    except OSError as error:
        detail = f"{error.filename or ctx.config.slurm.shared_dir}: {error.strerror}"
        yield fail("shared", detail, "Private copies of jobs are made there: make room, or correct its rights.")
        return
    if reply.left:
        yield note("node", f"the tiny job could not be taken back: {reply.left}", "Try again when the controller answers.")
    if reply.answer is None:
        yield _unanswered(reply)
    else:
        yield from _answered(ctx, reply.answer, reply.skew_s)


def _probe(ctx: Context) -> Probe:
    """What a job of this configuration needs on a node."""
    config = ctx.config
    paths = [os.path.realpath(folder.path) for folder in config.data]
    paths += config.sandbox_interpreters
    if config.network == "prepare":  # packages are fetched for the Pythons of this machine
        paths += pythons(config.job_path, config.sandbox_interpreters).values()
    return Probe(config.sandbox, ctx.box_settings(), paths=tuple(paths), programs=("bash",), path=config.job_path)


def _unanswered(reply: Reply) -> Check:
    if reply.waits:
        advice = "The tiny job was taken back. sinfo shows the nodes; try again when one is free."
        return fail("node", f"no node took the tiny job: {reply.why}", advice)
    if reply.advice:
        return fail("node", f"the tiny job was not taken: {reply.why}", reply.advice)
    advice = f"{SHARED} and executor.slurm.python have to be the same on every node; docs/cluster.md says what a node needs."
    return fail("node", f"the tiny job gave no answer: {reply.why}", advice)


def _answered(ctx: Context, answer: Answer, skew_s: float) -> Iterator[Check]:
    node = f"node {line(answer.node)}"
    for problem in answer.problems[:10]:
        yield fail("node", f"{node}: {line(problem.where)}: {line(problem.what, 300)}", line(problem.advice, 300))
    if answer.missing:
        shown = ", ".join(line(name) for name in answer.missing[:10])
        yield fail("node", f"{node} does not have {shown}", "Jobs may be sent there: make it available on every node.")
    if answer.uid != os.geteuid():
        detail = f"{node}: jobs run as user {answer.uid}, and you are {own_name()} ({os.geteuid()})"
        yield fail("node", detail, "The same account has to have the same number on every machine.")
    yield from _clocks(node, skew_s)
    if not answer.problems and not answer.missing:
        yield fine("node", f"{node}: scq {line(answer.version)}, Python {line(answer.python)}, the box holds")


def _clocks(node: str, skew_s: float) -> Iterator[Check]:
    if abs(skew_s) <= SKEW_NOTED_S:
        return
    detail = f"{node}: its clock is {abs(skew_s):.0f} s {'ahead' if skew_s > 0 else 'behind'}"
    if abs(skew_s) > SKEW_WRONG_S:
        advice = "Times and the ends of approvals go wrong: set the clocks, for example with chrony."
        yield fail("node", detail, advice)
    else:
        yield note("node", detail, "Set the clocks of all machines from one source, for example with chrony.")
