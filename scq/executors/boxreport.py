"""What a box says of itself while it runs a job: JSON objects, one per line, on a pipe.

Source of the format: bwrap(1), `--json-status-fd`: `child-pid` once the box stands, `exit-code` only if the command itself ran.
"""

from __future__ import annotations

import os

import msgspec

LONGEST = 1 << 14
"""Bytes believed; a box says about 200."""


class BoxReport:
    """Collects the lines of one box. `child` is the process number of the first process inside, 0 until it is known."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.child = 0
        self.exit_code: int | None = None
        self._partial = b""
        self._total = 0
        os.set_blocking(fd, False)

    def take(self) -> bool:
        """Read what is there; False at the end of the pipe, or when more came than a box has to say."""
        while self._total < LONGEST:
            try:
                data = os.read(self.fd, LONGEST - self._total)
            except BlockingIOError:
                return True
            if not data:
                break
            self._total += len(data)
            *lines, self._partial = (self._partial + data).split(b"\n")
            for line in lines:
                self._note(line)
        return False

    def _note(self, line: bytes) -> None:
        """Remember what one line says; a line that says nothing usable is passed over."""
        try:
            said = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError):
            return
        if not isinstance(said, dict):
            return
        child, code = said.get("child-pid"), said.get("exit-code")
        if type(child) is int and child > 1:
            self.child = child
        if type(code) is int:
            self.exit_code = code
