"""The programs of systemd: what is asked of a manager, and what they find wrong with units.

Sources of the formats: systemctl(1) (`show`, `list-timers --output=json`), systemd-analyze(1) (`verify`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from scq import clean
from scq.errors import ScqError
from scq.files import write_atomic
from scq.model import Problem
from scq.ports import PlacedFile

TIMEOUT_S = 60.0
INSTALL_AGAIN = "Run `scq schedule install` again."
_ADVICE = "Look at `journalctl -e`, then try again."


class Manager:
    """The manager of this account (`--user`) or of the machine (`--system`)."""

    def __init__(self, scope: str, env: Mapping[str, str]) -> None:
        self.scope = scope
        self.env = {**env, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}

    def silent(self) -> str:
        """Why the manager does not answer; empty when it does."""
        asked = self._run("systemctl", self.scope, "show", "--property=Version")
        return f"its manager does not answer: {_first_line(asked.stderr)}" if asked.returncode else ""

    def do(self, *arguments: str, may_fail: bool = False) -> str:
        """What `systemctl` prints. Raises ScqError with its first complaint when it fails, unless that `may_fail`."""
        ended = self._run("systemctl", self.scope, "--no-pager", "--no-ask-password", *arguments)
        if ended.returncode and not may_fail:
            raise ScqError(f"systemctl {self.scope} {arguments[0]}: {_first_line(ended.stderr)}", _ADVICE)
        return ended.stdout

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit by name; one that is not loaded has them too."""
        said = self.do("show", f"--property={','.join(names)}", unit)
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def times(self, timer: str) -> tuple[datetime | None, datetime | None]:
        """When a timer last made a call, and when it makes the next one."""
        said = self.do("list-timers", "--all", "--output=json", timer, may_fail=True)
        try:
            row: dict[str, Any] = json.loads(said)[0]
        except (ValueError, IndexError):  # it is not loaded, or an older systemd has no JSON here
            return None, None
        return _moment(row.get("last")), _moment(row.get("next"))

    def refused(self, units: Sequence[PlacedFile]) -> Iterator[Problem]:
        """What `systemd-analyze verify` says about units, read from a folder of their own; nothing where it is missing."""
        if shutil.which("systemd-analyze", path=self.env.get("PATH")) is None or not units:
            return
        with tempfile.TemporaryDirectory(prefix="scq-units-") as folder:
            paths = [os.path.join(folder, os.path.basename(file.path)) for file in units]
            for path, file in zip(paths, units, strict=True):
                write_atomic(path, file.text.encode(), sync=False)
            ended = self._run("systemd-analyze", self.scope, "verify", "--man=no", *paths)
        names = [os.path.basename(path) for path in paths]
        for line in ended.stderr.splitlines():
            # It also complains about units of others that these depend on.
            if ended.returncode and any(name in line for name in names):
                yield Problem("systemd-analyze verify", clean.line(line.replace(folder + "/", ""), 300), INSTALL_AGAIN)

    def _run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                argv, env=self.env, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ScqError(f"{argv[0]} cannot be run: {clean.line(str(error))}", _ADVICE) from error


def _first_line(text: str) -> str:
    return clean.line(text.strip().partition("\n")[0], 300) or "no reason given"


def _moment(microseconds: object) -> datetime | None:
    """A point in time from microseconds since 1970; 0, null and the far future mean never."""
    if not isinstance(microseconds, int) or not 0 < microseconds < 1 << 53:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
