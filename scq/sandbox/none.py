"""No box: a job runs with all the rights of the caller. Only for jobs whose authors are trusted like oneself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scq.model import NO_LIMITS, Limits, Problem
from scq.ports import Invocation, Mount, Plan
from scq.sandbox.account import own_name
from scq.sandbox.work import inside

NOTES = (
    "sandbox none: nothing protects this machine, the job can do whatever this account can",
    "data folders are not moved: they stand at their own places, and what this account can write the job can write",
)


class NoSandbox:
    """Runs the command as it is. Settings of other sandboxes are accepted and mean nothing here."""

    name = "none"

    def __init__(self, **_settings: object) -> None:
        return

    def check(self) -> Sequence[Problem]:
        """Nothing to prove: there is no box that could fail to hold."""
        return ()

    def scratch(self, directory: str) -> str:
        """The directory of the run itself."""
        return directory

    def plan(
        self,
        command: Sequence[str],
        *,
        work: str,
        cwd: str,
        env: Mapping[str, str],
        mounts: Sequence[Mount] = (),
        network: bool = False,
        limits: Limits = NO_LIMITS,
    ) -> Plan:
        """What `wrap` gives the job: always a network, mounts at their own places. Raises UsageError when `cwd` leaves `work`."""
        return Plan(
            sandbox=self.name,
            user=own_name(),
            network=True,
            command=tuple(command),
            cwd=inside(work, cwd),
            environment=dict(env),
            mounts=tuple(Mount(one.source, one.source, one.writable) for one in (Mount(work, work, writable=True), *mounts)),
            limits=limits,
            notes=NOTES,
        )

    def wrap(
        self,
        command: Sequence[str],
        *,
        work: str,
        cwd: str,
        env: Mapping[str, str],
        mounts: Sequence[Mount] = (),
        network: bool = False,
        limits: Limits = NO_LIMITS,
    ) -> Invocation:
        """The command as it is. Raises UsageError when `cwd` leaves `work`."""
        plan = self.plan(command, work=work, cwd=cwd, env=env, mounts=mounts, network=network, limits=limits)
        return Invocation(plan.command, plan.environment, plan.cwd)
