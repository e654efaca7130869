"""What sbatch is told about a run: where it may go, how much it may use, and that nothing of the caller goes with it.

Source of the words: sbatch(1) of Slurm 22.05.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable

from msgspec.structs import replace

from scq.config_values import Slurm
from scq.executors.slurm.order import OUTPUT
from scq.model import Limits, Placement
from scq.ports import Task, Traits

MARGIN_S = 300.0
"""For what comes before and after the job on the node: the proof of its content, the box, and the end of all its processes."""
MARGIN_BYTES = 256 << 20
"""For the supervisor and the box, which the cluster counts as well."""
LONGEST_MINUTES = 10 * 365 * 24 * 60
EXPORT = "--export=ALL"
"""All that sbatch itself has, which is the little of `Commands.environment`; the script sets the rest.

With a list or NONE slurmd would log the owner in on the node (`su -`) for every job, and wait for their profile.
"""
MIB = 1 << 20


def placed(setting: Slurm, traits: Traits) -> Placement:
    """Where a job goes: what is set for all of them, and over it each rule that fits, the later ones last."""
    result = Placement(
        partition=setting.partition,
        account=setting.account,
        qos=setting.qos,
        constraint=setting.constraint,
        gres=setting.gres,
        cpus=setting.cpus,
        tmp=setting.tmp,
        devices=setting.devices,
    )
    for rule in setting.rules:
        if fits(rule, traits):
            said = {name: value for name in _WORDS if (value := getattr(rule, name)) not in ("", None, ())}
            result = replace(result, **said)
    return result


def fits(rule: Placement, traits: Traits) -> bool:
    """Whether a rule is about such a job."""
    named = (
        (rule.submitters, (traits.submitter,)),
        (rule.tags, traits.tags),
        (rule.queues, (traits.queue,)),
    )
    return all(not wanted or _share(wanted, found) for wanted, found in named)


def words(setting: Slurm, task: Task, tag: str, control: str) -> list[str]:
    """All options of sbatch for one run."""
    return [
        *common(placed(setting, task.traits), tag, control),
        f"--time={minutes(task.timeout_s)}",
        *memory(task.limits),
    ]


def common(placement: Placement, tag: str, control: str) -> list[str]:
    """The options that do not depend on limits. `tag` is the name of the job, `control` its control folder."""
    result = [
        "--parsable",
        f"--job-name={tag}",
        "--nodes=1",
        "--ntasks=1",
        "--no-requeue",
        "--chdir=/",
        f"--output={literal(os.path.join(control, OUTPUT))}",
        "--open-mode=append",
        EXPORT,
        "--propagate=NONE",
    ]
    if placement.cpus is not None:
        result.append(f"--cpus-per-task={placement.cpus}")
    if placement.tmp is not None:
        result.append(f"--tmp={_mib(placement.tmp)}M")
    places = {name: getattr(placement, name) for name in ("partition", "account", "qos", "constraint", "gres")}
    return [*result, *(f"--{name}={value}" for name, value in places.items() if value)]


def minutes(timeout_s: float) -> int:
    """The time limit of the cluster, which counts whole minutes: later than ours, so that our own supervisor ends the job."""
    return min(math.ceil(min(timeout_s + MARGIN_S, LONGEST_MINUTES * 60.0) / 60.0), LONGEST_MINUTES)


def memory(limits: Limits) -> list[str]:
    """The memory of the node, or nothing: then what the cluster gives to those who do not say."""
    return [] if limits.memory is None else [f"--mem={_mib(limits.memory + MARGIN_BYTES)}M"]


def literal(path: str) -> str:
    """A path as sbatch takes it where it replaces patterns that begin with `%`."""
    return path.replace("%", "%%")


_WORDS = ("partition", "account", "qos", "constraint", "gres", "cpus", "tmp", "devices")


def _share(wanted: Iterable[str], found: Iterable[str]) -> bool:
    return not set(wanted).isdisjoint(found)


def _mib(size: int) -> int:
    return -(-size // MIB)
