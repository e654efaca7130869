"""No box: a job runs with all the rights of the caller. Only for jobs whose authors are trusted like oneself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scq.model import Problem
from scq.ports import Invocation
from scq.sandbox.work import inside


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

    def wrap(self, command: Sequence[str], *, work: str, cwd: str, env: Mapping[str, str]) -> Invocation:
        """The command as it is. Raises UsageError when `cwd` leaves `work`."""
        return Invocation(tuple(command), dict(env), inside(work, cwd))
