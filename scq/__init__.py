"""scq: one-shot code job queue for SyftBox. `import scq as q` loads nothing else; every name below is loaded when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

PUBLIC: dict[str, str] = {
    "submit_job": "queue",
    "submit_script": "queue",
    "my_jobs": "queue",
    "get_job": "queue",
    "get_job_output": "queue",
    "get_job_logs": "queue",
    "wait_for_completion": "queue",
    "pending_for_me": "queue",
    "all_jobs_for_me": "queue",
    "jobs_for_me": "queue",
    "jobs_for_others": "queue",
    "review_job": "queue",
    "approve": "queue",
    "reject": "queue",
    "status": "queue",
    "help": "queue",
    "QueueConfig": "settings",
    "configure": "settings",
    "CodeJob": "jobs",
    "JobCollection": "jobs",
    "create_runner": "runner",
    "SyftJobRunner": "runner",
    "SyftJobConfig": "runner",
    "Monitor": "monitors",
    "JobMonitor": "monitors",
    "PeerMonitor": "monitors",
    "DaemonManager": "services",
    "ServiceManager": "services",
    "JsonStateManager": "notifications",
    "TemplateRenderer": "notifications",
    "GmailAuth": "gmail",
    "GmailSender": "gmail",
    "GOOGLE_API_TIMEOUT": "gmail",
    "ProblemWarning": "verbs",
}
"""Public name to the module below `scq.library` that holds it."""

__all__ = ["__version__", "alerts", *PUBLIC]


def __getattr__(name: str) -> Any:
    if name == "alerts":
        return import_module("scq.alerts")
    if name not in PUBLIC:
        raise AttributeError(f"module 'scq' has no attribute {name!r}")
    return getattr(import_module(f"scq.library.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
