"""Scripts run in a bubblewrap box, as root (which drops) or as an ordinary user."""

from __future__ import annotations

import os
import secrets
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from scq.descriptors import opened
from scq.ports import Mount
from scq.sandbox.bwrap import BwrapSandbox

ORDINARY = 65534


@contextmanager
def made_device() -> Iterator[str]:
    """A harmless device that no box has by itself, another /dev/zero; skips the test where none can be made."""
    path = f"/dev/scq-test-{secrets.token_hex(4)}"
    try:
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
            os.chmod(path, 0o666)
            with open(path, "rb") as file:
                file.read(1)
        except OSError:
            pytest.skip("no device can be made here")
        yield path
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


class Box:
    def __init__(self, directory: Path, user: int | None) -> None:
        self.sandbox = BwrapSandbox(temporary_bytes=1 << 20, scratch_root=str(directory / "root"))
        self.directory = directory
        self.user = user
        self.work = Path(self.sandbox.scratch(str(directory))) / "work"
        self.work.mkdir()
        if user is not None:
            os.chown(self.work, user, user)

    def run(
        self,
        script: str,
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        mounts: Sequence[Mount] = (),
        network: bool = False,
        command: Sequence[str] = ("/bin/sh", "-c"),
    ) -> subprocess.CompletedProcess[str]:
        with self.started([*command, script], cwd=cwd, env=env or {}, mounts=mounts, network=network) as process:
            stdout, stderr = process.communicate(timeout=30)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def says(self, script: str, **settings: object) -> str:
        done = self.run(script, **settings)  # type: ignore[arg-type]
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def started(
        self,
        command: Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] = {},
        mounts: Sequence[Mount] = (),
        network: bool = False,
        report: int = -1,
    ) -> Iterator[subprocess.Popen[str]]:
        invocation = self.sandbox.wrap(command, work=str(self.work), cwd=cwd, env=env, mounts=mounts, network=network)
        user = invocation.uid if self.user is None else self.user
        with (
            opened(invocation, report) as (argv, descriptors),
            subprocess.Popen(
                argv,
                env=dict(invocation.env),
                cwd=invocation.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=descriptors,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()
