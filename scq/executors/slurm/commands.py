"""Running Slurm's own commands: an environment of our own, a time limit, bounded output.

Without a controller they wait for minutes or for ever, so each one is ended with everything it started when its time is over.
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from msgspec import Struct

from scq import clean
from scq.config_values import Slurm
from scq.errors import BusyError, ConfigError

NAMES = ("sbatch", "squeue", "scontrol", "scancel")
STANDARD_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
KEPT = 1 << 16
"""Bytes kept of what a command says where it is not read line by line."""
LONGEST_LINE = 1 << 12
CHUNK = 1 << 16
SAID_LIMIT = 200
LATER = "Nothing is lost: a later call goes on. See whether the controller runs: scontrol ping."

_PREFIX = re.compile(r"^[a-z]{1,20}: (?:error|fatal): ")


class Said(Struct, frozen=True):
    """How a command ended and what it said, as far as it is kept."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """What it complained about last: one clean line without the name of the command."""
        lines = [line for line in map(str.strip, self.err.splitlines()) if line]
        return clean.line(_PREFIX.sub("", lines[-1]), SAID_LIMIT) if lines else ""


class Commands:
    """The commands of one cluster as the configuration names them. Cheap to make."""

    def __init__(self, setting: Slurm) -> None:
        self.setting = setting

    def missing(self) -> tuple[str, ...]:
        """Those that are not found."""
        return tuple(name for name in NAMES if self._find(name) is None)

    def run(self, name: str, words: Sequence[str], *, script: bytes = b"", keep: Sequence[int] = ()) -> Said:
        """Run one command to its end, with `script` as its standard input; it inherits the descriptors `keep`.

        Raises BusyError when it takes longer than `command_timeout`, ConfigError when it is not there.
        """
        out = bytearray()

        def take(data: bytes) -> None:
            out.extend(data[: KEPT - len(out)])

        code, err = self._run(name, words, take, script, keep)
        return Said(code, _text(bytes(out)), err)

    def lines(self, name: str, words: Sequence[str], each: Callable[[str], None]) -> Said:
        """Run one command and hand over what it says line by line; a line longer than a row ever is, is passed over.

        Raises as `run`. `out` of the answer is empty.
        """
        splitter = _Lines(each)
        code, err = self._run(name, words, splitter.take, b"", ())
        splitter.end()
        return Said(code, "", err)

    def _run(
        self, name: str, words: Sequence[str], take: Callable[[bytes], None], script: bytes, keep: Sequence[int]
    ) -> tuple[int, str]:
        deadline = time.monotonic() + self.setting.command_timeout
        err = bytearray()

        def complain(data: bytes) -> None:
            # The end says why; the beginning of much is of no use.
            err.extend(data)
            del err[:-KEPT]

        with self._started(name, words, script, keep) as process:
            _drain(process, take, complain, deadline)
            try:
                code = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise TimeoutError from None
        return code, _text(bytes(err))

    @contextmanager
    def _started(self, name: str, words: Sequence[str], script: bytes, keep: Sequence[int]) -> Iterator[subprocess.Popen[bytes]]:
        """The command while it runs; whatever ends the block ends its whole process group."""
        program = self._find(name)
        if program is None:
            raise self._not_there(name)
        with _input(script) as stdin:
            try:
                process = subprocess.Popen(
                    (program, *words),
                    bufsize=0,
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd="/",
                    env=self.environment(),
                    process_group=0,
                    pass_fds=tuple(keep),
                )
            except OSError as error:
                raise self._not_there(name, f"cannot be started ({error.strerror})") from error
        try:
            yield process
        except TimeoutError:
            raise BusyError(f"the cluster does not answer ({name}: no answer within {_seconds(self.setting)})", LATER) from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def environment(self) -> dict[str, str]:
        """All that a command gets: nothing of the caller's that could change what it does or says."""
        found = {"PATH": os.environ.get("PATH") or STANDARD_PATH, "LANG": "C.UTF-8", "TZ": "UTC"}
        if home := os.environ.get("HOME"):
            found["HOME"] = home
        # Where Slurm finds its configuration on this machine, for example set by a module of the site.
        if conf := self.setting.conf or os.environ.get("SLURM_CONF"):
            found["SLURM_CONF"] = conf
        return found

    def _find(self, name: str) -> str | None:
        if self.setting.bin:
            return shutil.which(os.path.join(self.setting.bin, name))
        return shutil.which(name, path=os.environ.get("PATH") or STANDARD_PATH)

    def _not_there(self, name: str, what: str = "is not found") -> ConfigError:
        place = self.setting.bin or "PATH"
        advice = "Install Slurm's commands on this machine, or set executor.slurm.bin to their folder."
        return ConfigError(f"{name} {what} in {place}", advice)


class _Lines:
    """Cuts a stream into lines, with the memory of one."""

    def __init__(self, each: Callable[[str], None]) -> None:
        self._each = each
        self._partial = b""
        self._too_long = False

    def take(self, data: bytes) -> None:
        first, *others = data.split(b"\n")
        self._add(first)
        for piece in others:
            self.end()
            self._add(piece)

    def end(self) -> None:
        """What was taken since the last line break is a line."""
        if self._partial and not self._too_long:
            self._each(_text(self._partial))
        self._partial, self._too_long = b"", False

    def _add(self, piece: bytes) -> None:
        self._too_long = self._too_long or len(self._partial) + len(piece) > LONGEST_LINE
        self._partial = b"" if self._too_long else self._partial + piece


@contextmanager
def _input(script: bytes) -> Iterator[int]:
    """A descriptor from which a script can be read whole, also when this process dies meanwhile."""
    if not script:
        yield subprocess.DEVNULL
        return
    fd = os.memfd_create("script")
    try:
        os.write(fd, script)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def _drain(process: subprocess.Popen[bytes], out: Callable[[bytes], None], err: Callable[[bytes], None], deadline: float) -> None:
    """Take what a command says until it has closed both pipes. Raises TimeoutError at the deadline."""
    with selectors.DefaultSelector() as selector:
        for pipe, take in ((process.stdout, out), (process.stderr, err)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, (pipe, take))
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            # Asked also while it talks: one that never stops is over as well.
            if not ready or time.monotonic() > deadline:
                raise TimeoutError
            for key, _ in ready:
                pipe, take = key.data
                data = _read(pipe)
                if data:
                    take(data)
                else:
                    selector.unregister(pipe)


def _read(pipe: IO[bytes]) -> bytes:
    return os.read(pipe.fileno(), CHUNK)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _seconds(setting: Slurm) -> str:
    return f"{setting.command_timeout:g} s"
