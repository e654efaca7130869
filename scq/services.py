"""What can be done again and again: the services of the documented `ServiceManager`, and the one-shot calls each consists of.

Pure: schedulers install these calls, the loop starts them, nothing of scq stays in memory between them.
"""

from __future__ import annotations

from msgspec import Struct


class Task(Struct, frozen=True):
    """One call to be made again and again. `arguments` stand behind `scq`; `runs_jobs`: it needs to start sandboxes."""

    name: str
    arguments: tuple[str, ...]
    meaning: str
    runs_jobs: bool = False


class Service(Struct, frozen=True):
    """What a user starts and stops by name: one call, or several where the scheduler never makes the same one twice at once."""

    name: str
    meaning: str
    whole: Task
    """For schedulers that start a call although the one before is still at work: cron, run.sh, the loop."""
    parts: tuple[Task, ...]
    """For schedulers that wait for it, such as systemd: a long job must not keep people from being told."""

    def tasks(self, overlaps: bool) -> tuple[Task, ...]:
        """The calls for a scheduler; `overlaps` says whether it starts one while the one before is still at work."""
        return (self.whole,) if overlaps else self.parts


_APPROVE = Task("approve", ("automate",), "run your own approval program")
SERVICES: dict[str, Service] = {
    "notify": Service(
        "notify",
        "look, run what was approved, tell people, clean up",
        Task("notify", ("cycle",), "look, run what was approved, tell people", runs_jobs=True),
        (
            Task("notify", ("cycle", "--no-run"), "look and tell people"),
            Task("run", ("run-approved",), "run what was approved", runs_jobs=True),
        ),
    ),
    "approve": Service("approve", "run your own approval program (approve.command)", _APPROVE, (_APPROVE,)),
}
"""By name, in the order in which they are listed."""
