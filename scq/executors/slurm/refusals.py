"""What sbatch says when the controller has refused a job for certain: nothing of it will ever run.

Source of the sentences: slurm_errno of Slurm 22.05, sbatch(1). Whatever is not listed here may have reached the controller.
"""

from __future__ import annotations

from scq.errors import BusyError, ConfigError, ScqError

_SETTINGS: tuple[tuple[str, str], ...] = (
    ("invalid partition", "executor.slurm.partition"),
    ("requested nodes not in this partition", "executor.slurm.partition"),
    ("required partition not available", "executor.slurm.partition"),
    ("user's group not permitted to use this partition", "executor.slurm.partition"),
    ("invalid account", "executor.slurm.account"),
    ("invalid qos", "executor.slurm.qos"),
    ("invalid feature", "executor.slurm.constraint"),
    ("invalid generic resource", "executor.slurm.gres"),
    ("invalid --gres", "executor.slurm.gres"),
    ("requested node configuration is not available", "executor.slurm.cpus, executor.slurm.tmp and the memory limit of jobs"),
    ("requested time limit is invalid", "the time limit of jobs"),
    ("invalid --time", "the time limit of jobs"),
    ("access/permission denied", "executor.slurm.account and whether this account may use the cluster"),
    ("user not permitted", "executor.slurm.account and whether this account may use the cluster"),
    ("invalid user id", "whether this account is known on the cluster"),
    ("could not establish a configuration source", "executor.slurm.conf"),
    ("unable to process configuration file", "executor.slurm.conf"),
)
"""Part of the sentence, lower case → what to look at."""
_FULL = (
    "maxsubmit",
    "job submit limit",
    "maximum job",
    "job violates",
    "too many jobs",
    "qosmax",
    "assocmax",
    "assocgrp",
    "qosgrp",
)
"""A limit of the cluster: it may take the job when others are over."""


def refusal(sentence: str) -> ScqError | None:
    """The error behind the last thing sbatch said (clean), None when it is not certain that the job was refused."""
    said = sentence.lower()
    if any(part in said for part in _FULL):
        advice = "It is tried again by the next call. If that never helps, lower executor.slurm.max_queued or the limits of jobs."
        return BusyError(f"the cluster takes no more jobs now: {sentence}", advice)
    for part, what in _SETTINGS:
        if part in said:
            return ConfigError(f"the cluster refused the job: {sentence}", f"Check {what}, and the rules of executor.slurm.")
    return None
