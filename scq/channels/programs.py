"""Running a program that tells somebody: no shell, a small environment, an end in time, and no more output than is needed."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

from msgspec import Struct

from scq import clean
from scq.errors import ChannelError

OUTPUT_LIMIT = 64 << 10
"""Bytes kept of what a program writes, for each of its two outputs. The rest is read and thrown away."""
PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where programs are looked for when the environment has no PATH."""
_LOOK_S = 0.05
"""How often the end of a program is looked for while something it started keeps its outputs open."""


class Ended(Struct, frozen=True):
    """How a program ended: exit status (negative: the signal), and one clean line of each output, empty if there is none."""

    status: int
    first_line: str
    """Of its standard output."""
    last_line: str
    """Of its standard error."""

    @property
    def said(self) -> str:
        """The end and its reason in a few words."""
        how = f"exit status {self.status}" if self.status >= 0 else f"ended by signal {-self.status}"
        return f"{how}: {self.last_line}" if self.last_line else how


def environment(env: Mapping[str, str], *names: str) -> dict[str, str]:
    """The little that a program needs of the environment of this call, and the named variables if they are set."""
    kept = {name: env[name] for name in ("HOME", *names) if env.get(name)}
    return {"PATH": env.get("PATH") or PATH, **kept}


def find(name: str, env: Mapping[str, str]) -> str:
    """Absolute path of a program on PATH; empty when it is not there."""
    import shutil

    found = shutil.which(name, path=env.get("PATH") or PATH)
    return os.path.abspath(found) if found else ""


def run(argv: Sequence[str], env: Mapping[str, str], *, timeout_s: float, stdin: bytes = b"") -> Ended:
    """Run a program in a session of its own and wait for its end. What it leaves behind in the background stays.

    Raises ChannelError: transient when it cannot be started, ambiguous when it had to be killed after `timeout_s` seconds, for
    it may have told somebody by then.
    """
    try:
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            process = subprocess.Popen(
                argv,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(env),
                cwd="/",
                start_new_session=True,
            )
    except OSError as error:
        raise ChannelError(
            f"{argv[0]}: cannot be started ({error.strerror})", "Check the program, its rights and the disk."
        ) from error
    with process:
        try:
            written = _follow(process, timeout_s)
        finally:
            _end(process)
    if written is None:
        raise ChannelError(f"{argv[0]}: did not end within {timeout_s:g} s", "It was stopped.", kind="ambiguous")
    return Ended(process.returncode, _lines(written[0])[0], _lines(written[1])[-1])


def _follow(process: subprocess.Popen[bytes], timeout_s: float) -> tuple[bytes, bytes] | None:
    """What a program wrote until its end (the beginning of its output, the end of its errors); None when time ran out."""
    kept = [b"", b""]
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as ready:
        for number, stream in enumerate((process.stdout, process.stderr)):
            if stream is not None:
                ready.register(stream, selectors.EVENT_READ, number)
        while time.monotonic() < deadline:
            # Asked before reading, so that nothing is missed that was written before the end. The end of the outputs proves
            # nothing: something in the background may keep them open, and a program may close them and go on.
            ended = process.poll() is not None
            for key, _ in ready.select(0 if ended else _LOOK_S):
                chunk = os.read(key.fd, OUTPUT_LIMIT)
                if not chunk:
                    ready.unregister(key.fileobj)
                together = kept[key.data] + chunk
                kept[key.data] = together[-OUTPUT_LIMIT:] if key.data else together[:OUTPUT_LIMIT]
            if ended:
                return kept[0], kept[1]
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that still runs, with everything it started in its own group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _lines(written: bytes) -> list[str]:
    """The lines that say something, clean; one empty line when there is none."""
    found = [clean.line(line) for line in written.decode("utf-8", "replace").splitlines()]
    return [line for line in found if line] or [""]
