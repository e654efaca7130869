"""Why a cluster lets a job wait, in plain words: the reasons Slurm names (squeue(1), JOB REASON CODES)."""

from __future__ import annotations

from scq.clean import line

BY_ITSELF = "It starts by itself when that is over."
STUCK = "As it is it may never start; where jobs go is set with executor.slurm (docs/cluster.md)."
ASK = "Who runs the cluster can tell more."
NAME = 60
"""Characters that are shown of a reason nobody knows."""

WORDS: dict[str, tuple[str, str]] = {
    "None": ("The cluster has not looked at it yet.", BY_ITSELF),
    "being handed over": ("A call of scq hands it over just now.", "It waits there as soon as the cluster has taken it."),
    "Resources": ("The machines it could run on are busy.", "It starts by itself when enough of one is free."),
    "Priority": ("Jobs with a higher priority are before it.", "It starts by itself when it is its turn."),
    "BeginTime": ("The cluster lets it begin later.", BY_ITSELF),
    "Dependency": ("It waits for another job of the cluster.", BY_ITSELF),
    "Reservation": ("It waits for a reservation of the cluster.", BY_ITSELF),
    "Cleaning": ("The cluster is still clearing up after it was tried before.", BY_ITSELF),
    "Prolog": ("The machine it will run on is being made ready.", BY_ITSELF),
    "Licenses": ("All licences it needs are in use.", BY_ITSELF),
    "ReqNodeNotAvail": ("A machine it needs is down, drained or reserved.", ASK),
    "NodeDown": ("A machine it needs is down.", ASK),
    "PartitionDown": ("Its partition is down: it takes jobs and starts none.", ASK),
    "PartitionInactive": ("Its partition is inactive: it starts nothing.", ASK),
    "PartitionTimeLimit": ("It may run longer (job_timeout) than its partition allows.", STUCK),
    "PartitionNodeLimit": ("It asks for more than its partition allows.", STUCK),
    "PartitionConfig": ("Its partition does not allow what it asks for.", STUCK),
    "BadConstraints": ("No machine of its partition has what it asks for.", STUCK),
    "DeadLine": ("It could not be over by the end it was given.", STUCK),
    "InvalidAccount": ("The cluster does not take its account.", STUCK),
    "InvalidQOS": ("The cluster does not take its qos.", STUCK),
    "AccountNotAllowed": ("Its partition does not take its account.", STUCK),
    "QOSNotAllowed": ("Its partition does not take its qos.", STUCK),
    "JobHeldUser": ("Somebody of this account holds it.", "To let it go on: scontrol release {job}"),
    "JobHeldAdmin": ("An administrator of the cluster holds it.", ASK),
    "JobHoldMaxRequeue": ("The cluster tried it too often and holds it.", ASK),
    "JobLaunchFailure": ("The cluster could not start it and holds it.", ASK),
    "SystemFailure": ("The cluster had a failure of its own and holds it.", ASK),
}
"""By the word of the cluster: what it means, and what happens or can be done."""
BEGINNINGS: tuple[tuple[str, tuple[str, str]], ...] = (
    ("Nodes required for job are", ("The machines it needs are down, drained or reserved.", ASK)),
    ("QOS", ("Its qos allows no more at once.", BY_ITSELF)),
    ("Assoc", ("Its account or user may have no more at once.", BY_ITSELF)),
    ("Max", ("A limit of the cluster allows no more at once.", BY_ITSELF)),
)
"""The many limits of one kind, by how their words begin."""


def why_it_waits(word: str, job: str) -> tuple[str, str]:
    """(what a reason means, what happens or can be done). A word nobody knows is shown as it is.

    `job` is its number on the cluster. Slurm may put details behind a comma or a bracket.
    """
    exact = word.split(",", 1)[0].split("(", 1)[0].strip()
    known = WORDS.get(exact) or next((words for start, words in BEGINNINGS if word.startswith(start)), None)
    meaning, then = known or (f"The cluster says: {line(word, NAME)}.", BY_ITSELF)
    shown = f" ({line(word, NAME)})"
    return meaning.removesuffix(".") + (f"{shown}." if known else "."), then.format(job=job or "NUMBER")
