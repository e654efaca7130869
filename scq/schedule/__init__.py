"""What makes calls at intervals: one scheduler per file. A module is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from scq.errors import UsageError
from scq.ports import Scheduler

SCHEDULERS: dict[str, str] = {
    "systemd": "systemd:UserSystemd",
    "systemd-system": "systemd:SystemSystemd",
    "cron": "cron:Cron",
    "launchd": "launchd:Launchd",
    "syftbox": "syftbox_app:SyftBoxApp",
    "loop": "loop:Loop",
}
"""Name to module:class below scq.schedule, in the order in which they are preferred. Each is made from `env`, a mapping."""


def get(name: str, env: Mapping[str, str]) -> Scheduler:
    """The scheduler of this name. Raises UsageError when there is none."""
    if name not in SCHEDULERS:
        raise UsageError(f"{name[:80]!a} is no scheduler", f"Use one of: {', '.join(SCHEDULERS)}.")
    module, kind = SCHEDULERS[name].split(":")
    made: Scheduler = getattr(import_module(f"scq.schedule.{module}"), kind)(env)
    return made
