"""Starting the process of a job: its user, its descriptors, its limits."""

from __future__ import annotations

import os
import pwd
import resource
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from scq.descriptors import opened
from scq.ports import Invocation

LATER = 10
"""Niceness of a job above that of its supervisor."""


def spawn(invocation: Invocation, limits: Mapping[int, tuple[int, int]], report: int = -1) -> subprocess.Popen[bytes]:
    """Start it in a process group of its own, with pipes for its output.

    `limits` are (soft, hard) by `resource.RLIMIT_…`; `report` is the descriptor its box reports to.
    Raises OSError, and ValueError for a NUL character.
    """

    def confine() -> None:
        for number, pair in limits.items():
            resource.setrlimit(number, pair)

    user = invocation.uid if invocation.uid != os.geteuid() else None
    with opened(invocation, report) as (argv, descriptors):
        process = subprocess.Popen(
            argv,
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=invocation.cwd,
            env=dict(invocation.env),
            process_group=0,
            user=user,
            group=None if user is None else primary_group(user),
            extra_groups=None if user is None else [],
            pass_fds=descriptors,
            # This process has a single thread, so code between fork and exec is safe.
            preexec_fn=confine,
        )
    # It may have ended already, or become a program with rights of its own.
    with suppress(ProcessLookupError, PermissionError):
        # The one that watches must get its turn at once, however many processes a job makes.
        os.setpriority(os.PRIO_PGRP, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + LATER)
    return process


def primary_group(uid: int) -> int:
    """The group of a user; without an account the group of the same number."""
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return uid
