"""What is known about a job beside its record, what an explanation is, and phrases that several of them use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from scq.authority import Rules
from scq.clean import line
from scq.model import Decision, Network, Whereabouts
from scq.showing import seconds, when
from scq.state import Record

SHOWN = 5
"""Names and reasons shown of a long list."""


class Facts(Struct, frozen=True):
    """What is known beside the record itself."""

    now: datetime
    rules: Rules
    next_run: datetime | None = None
    """When the next call that runs jobs is expected; None: nothing is installed that makes one."""
    scheduler: str = ""
    late_s: float = 0.0
    """For how long that call has been overdue."""
    at_work: tuple[str, ...] = ()
    """Short ids of other jobs that a call is running now."""
    alive: bool | None = None
    """Whether the runner of this job lives; None: it is not at work here."""
    began: bool = False
    """This job was about to be started, or was; where a power cut came between, no time is known."""
    started_at: datetime | None = None
    wall_s: float | None = None
    """Seconds it may run, where that is known."""
    retry: bool = False
    """Interrupted jobs are started again."""
    place: Whereabouts | None = None
    """Where its run is, for one that was handed to a cluster; None: not handed over yet, as far as is known."""
    out: int = 0
    """Runs that are on the cluster now."""
    most: int | None = None
    """How many may be there; None: jobs are run on this machine."""
    sandbox: str = "bwrap"
    sandbox_missing: str = ""
    """Why there can be no sandbox, as far as that can be told without trying; empty: nothing is known to be wrong."""
    network: Network = "prepare"
    denied: tuple[str, ...] = ()
    """Findings that would block an approval, one phrase each."""
    denied_rules: tuple[str, ...] = ()
    fetches: bool = False
    """Jobs are brought from Google Drive by scq itself."""
    quiet: bool = False
    """It is within the quiet hours."""


class Explanation(Struct, frozen=True):
    """`waits_for` is one word for programs (docs/json.md), the rest are sentences: why, and what can be done or happens next."""

    waits_for: str
    reasons: tuple[str, ...]
    next: tuple[str, ...]


def next_run(facts: Facts, does: str = "runs it", do: str = "run it") -> str:
    """When the next call comes, and that it `does` what there is to `do`."""
    if facts.next_run is None and facts.scheduler:
        return f"What calls scq is stopped: scq start, or {do} with scq run-approved."
    if facts.next_run is None:
        return f"Nothing calls scq by itself: {do} with scq run-approved, or see scq schedule install."
    by = f" by {facts.scheduler}" if facts.scheduler else ""
    if facts.late_s:
        return f"The next call{by} {does}, but that is overdue for {seconds(facts.late_s)}: see scq status notify."
    return f"The next call{by} {does}, at about {when(max(facts.next_run, facts.now))}."


def time_left(facts: Facts, ran: float) -> str:
    """How much longer a job may run that has been running for `ran` seconds."""
    if facts.wall_s is None:
        return "It is ended when it reaches its time limit."
    left = facts.wall_s - ran
    limit = f"It may run for {seconds(facts.wall_s)}"
    return f"{limit}; {seconds(left)} are left." if left > 0 else f"{limit}, which is over: it is being ended."


def decided(decision: Decision, word: str) -> str:
    how = {"adopted": " with other software", "digest": ", naming its digest"}.get(decision.method, "")
    why = f": {line(decision.reason, 300)}" if decision.reason else "."
    return f"It was {word}{how} by {line(decision.by, 300)} on {when(decision.at)}{why}"


def on_disk_at(record: Record) -> str:
    return f" on {when(record.sighting.decided_at)}" if record.sighting.decided_at else ""


def some(names: Sequence[str]) -> str:
    shown = ", ".join(line(name, 60) for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
