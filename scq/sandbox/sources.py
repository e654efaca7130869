"""Proof, before a job starts, that what the box is to show can be read by the user the job runs as."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from collections.abc import Iterable, Sequence

from scq.errors import ConfigError
from scq.ports import Mount
from scq.sandbox.program import TIMEOUT_S

TRIAL = """
for path do
  if [ ! -r "$path" ] || { [ -d "$path" ] && [ ! -x "$path" ]; }; then printf '%s\\n' "$number"; fi
  number=$((number + 1))
done
"""
"""Numbers of the arguments that cannot be read: a path may hold anything."""


def prove_readable(mounts: Iterable[Mount], dropped: tuple[int, int] | None, user: str) -> None:
    """Raises ConfigError naming the first source that is not there, is neither file nor folder, or cannot be read by the user.

    `dropped` is user and group the job runs as, None for the caller itself. One short process tries all sources.
    """
    mounts = tuple(mounts)
    sources = sorted({mount.source for mount in mounts})
    devices = {mount.source for mount in mounts if mount.device}
    for source in sources:
        _check_kind(source, is_device=source in devices)
    refused = _refused(sources) if dropped is None else _refused_to(sources, *dropped)
    if refused:
        source = shlex.quote(refused[0])
        raise ConfigError(
            f"{refused[0]}: cannot be read by {user}, the user jobs run as",
            f"Allow it: setfacl -R -m u:{user}:rX {source}, and for every folder above it: setfacl -m u:{user}:x FOLDER.",
        )


def _check_kind(source: str, *, is_device: bool) -> None:
    try:
        mode = os.lstat(source).st_mode if is_device else os.stat(source).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            f"{source}: is to be shown to jobs but is not there", "Bring it back, or take it out of data or sandbox.interpreters."
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{source}: cannot be shown to jobs ({error})", "Correct the path or its access rights.") from error
    if is_device:
        if not stat.S_ISCHR(mode):
            raise ConfigError(f"{source}: is not a character device", "Take it out of the devices that are shown to jobs.")
    elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ConfigError(f"{source}: is neither a file nor a folder", "Only files and folders can be shown to jobs.")


def _refused(sources: Sequence[str]) -> list[str]:
    return [source for source in sources if not os.access(source, os.R_OK | (os.X_OK if os.path.isdir(source) else 0))]


def _refused_to(sources: Sequence[str], uid: int, gid: int) -> list[str]:
    if not sources:
        return []
    try:
        tried = subprocess.run(
            ["/bin/sh", "-c", TRIAL, "sh", *sources],
            env={"number": "0"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            user=uid,
            group=gid,
            extra_groups=[],
        )
    except subprocess.TimeoutExpired as error:
        advice = "Look whether the disks they lie on answer."
        raise ConfigError(f"{', '.join(sources)}: could not be tried within {TIMEOUT_S} s", advice) from error
    if tried.returncode != 0:
        raise ConfigError(f"sandbox.user: no program can be started as that user ({tried.stderr.strip()[:200]})")
    return [sources[int(number)] for number in tried.stdout.split()]
