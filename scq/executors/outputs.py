"""The output pipes of a job: what comes out of them is kept in a log and, if wanted, shown."""

from __future__ import annotations

import os
from typing import IO

from scq.executors.logs import CHUNK, CappedLog, LineStream, printable

F_GETPIPE_SZ = 1032
TAIL = 1024
LONGEST_DETAIL = 300


class Output:
    """One pipe of the job and where its bytes go."""

    def __init__(self, pipe: IO[bytes], log: CappedLog, shown: LineStream | None) -> None:
        self.fd = pipe.fileno()
        self.log = log
        self.shown = shown
        self._tail = b""
        os.set_blocking(self.fd, False)

    def take(self) -> bool:
        """Read once; False at the end of the pipe."""
        try:
            data = os.read(self.fd, CHUNK)
        except BlockingIOError:
            return True
        self.log.write(data)
        self._tail = (self._tail + data)[-TAIL:]
        if self.shown is not None:
            self.shown.write(data)
        return bool(data)

    def take_rest(self) -> None:
        """Read what lies in the pipe now. Not more: somebody who got away may hold the other end and write on."""
        import fcntl

        for _ in range(0, fcntl.fcntl(self.fd, F_GETPIPE_SZ), 4096):
            size = self.log.total
            if not self.take() or self.log.total == size:
                return

    def last_line(self) -> str:
        """The last line that is not empty, without control characters, cut to a readable length."""
        lines = self._tail.decode("utf-8", "replace").split("\n")
        clean = [line for line in (printable(line).strip() for line in lines) if line]
        return clean[-1][-LONGEST_DETAIL:] if clean else ""

    def finish(self) -> None:
        """Say what is left and stop showing."""
        if self.shown is not None:
            self.shown.finish()
