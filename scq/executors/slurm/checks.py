"""What can be seen from here before anything is submitted: the shared folder and Slurm's commands."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from shlex import quote

from scq.config_values import Slurm
from scq.executors.slurm.commands import Commands
from scq.model import Problem


def check(setting: Slurm, commands: Commands) -> tuple[Problem, ...]:
    """What keeps every job from being taken. Asks nothing of the cluster."""
    return (*_shared(setting.shared_dir), *_conf(setting.conf), *_programs(setting, commands))


def _shared(folder: str) -> Iterator[Problem]:
    where = "executor.slurm.shared_dir"
    if not folder:
        yield Problem(where, "is not set", "Name a folder that this machine and every node see under the same path.")
        return
    if not os.path.isabs(folder) or "\\" in folder:
        yield Problem(where, f"{folder} cannot be used", "Give a path that begins with / and has no backslash.")
        return
    try:
        found = os.lstat(folder)
    except OSError as error:
        # The first run makes it, but not where what it lies in is missing: then the share is not mounted.
        if not os.path.isdir(os.path.dirname(folder)):
            yield Problem(where, f"{folder}: {error.strerror}", "Mount the shared file system, or make the folder it lies in.")
        return
    if not stat.S_ISDIR(found.st_mode):
        yield Problem(where, f"{folder} is not a folder", "Name the folder itself, not a link to it.")
    elif found.st_uid != os.geteuid():
        yield Problem(where, f"{folder} belongs to user {found.st_uid}", "Use a folder of the account that runs scq.")
    elif found.st_mode & 0o022:
        yield Problem(where, f"{folder} can be written by others", f"Take that away: chmod go-w {quote(folder)}")


def _conf(path: str) -> Iterator[Problem]:
    # Without this file Slurm's commands try again for a minute each.
    if path and not os.path.isfile(path):
        yield Problem("executor.slurm.conf", f"{path} is not there", "Name the slurm.conf of the cluster, or leave it unset.")


def _programs(setting: Slurm, commands: Commands) -> Iterator[Problem]:
    missing = commands.missing()
    if missing:
        place = setting.bin or "PATH"
        advice = "Install Slurm's commands on this machine, or set executor.slurm.bin to their folder."
        yield Problem("executor.slurm.bin", f"{', '.join(missing)} not found in {place}", advice)
