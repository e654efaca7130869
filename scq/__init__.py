"""scq: one-shot code job queue for SyftBox. `import scq as q` loads nothing else; every name below is loaded when it is used."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # What type checkers see; kept equal to PUBLIC by a test.
    from scq import alerts as alerts

    # isort: off
    from scq.library.client import QueueClient as QueueClient, create_client as create_client
    from scq.library.gmail import GOOGLE_API_TIMEOUT as GOOGLE_API_TIMEOUT, GmailAuth as GmailAuth, GmailSender as GmailSender
    from scq.library.job import CodeJob as CodeJob
    from scq.library.jobs import JobCollection as JobCollection, RefusedJobsError as RefusedJobsError
    from scq.library.monitors import JobMonitor as JobMonitor, Monitor as Monitor, PeerMonitor as PeerMonitor
    from scq.library.notifications import JsonStateManager as JsonStateManager, TemplateRenderer as TemplateRenderer
    from scq.library.queue import (
        all_jobs_for_me as all_jobs_for_me,
        approve as approve,
        approved_by_me as approved_by_me,
        cancel as cancel,
        check as check,
        diff_job as diff_job,
        get_job as get_job,
        get_job_logs as get_job_logs,
        get_job_output as get_job_output,
        help as help,
        inspect_job as inspect_job,
        jobs_for_me as jobs_for_me,
        jobs_for_others as jobs_for_others,
        list_job_files as list_job_files,
        my_completed as my_completed,
        my_jobs as my_jobs,
        my_pending as my_pending,
        my_running as my_running,
        pending_for_me as pending_for_me,
        read_job_file as read_job_file,
        reject as reject,
        release as release,
        rerun as rerun,
        review_job as review_job,
        run_approved as run_approved,
        status as status,
        submit_bash as submit_bash,
        submit_job as submit_job,
        submit_python as submit_python,
        submit_script as submit_script,
        wait_for_completion as wait_for_completion,
        withhold as withhold,
    )
    from scq.library.runner import SyftJobConfig as SyftJobConfig, SyftJobRunner as SyftJobRunner, create_runner as create_runner
    from scq.library.services import DaemonManager as DaemonManager, ServiceManager as ServiceManager
    from scq.library.settings import QueueConfig as QueueConfig, configure as configure
    from scq.library.verbs import ProblemWarning as ProblemWarning
    # isort: on

__version__ = "0.1.0"

PUBLIC: dict[str, str] = {
    "submit_job": "queue",
    "submit_script": "queue",
    "submit_python": "queue",
    "submit_bash": "queue",
    "my_jobs": "queue",
    "my_pending": "queue",
    "my_running": "queue",
    "my_completed": "queue",
    "jobs_for_others": "queue",
    "get_job": "queue",
    "get_job_output": "queue",
    "get_job_logs": "queue",
    "wait_for_completion": "queue",
    "cancel": "queue",
    "pending_for_me": "queue",
    "jobs_for_me": "queue",
    "all_jobs_for_me": "queue",
    "approved_by_me": "queue",
    "review_job": "queue",
    "inspect_job": "queue",
    "list_job_files": "queue",
    "read_job_file": "queue",
    "diff_job": "queue",
    "approve": "queue",
    "reject": "queue",
    "check": "queue",
    "run_approved": "queue",
    "rerun": "queue",
    "release": "queue",
    "withhold": "queue",
    "status": "queue",
    "help": "queue",
    "QueueClient": "client",
    "create_client": "client",
    "QueueConfig": "settings",
    "configure": "settings",
    "CodeJob": "job",
    "JobCollection": "jobs",
    "RefusedJobsError": "jobs",
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

if not TYPE_CHECKING:
    # Type checkers have the imports above: to them a name that is not there is a mistake.
    __all__ = ["__version__", "alerts", *PUBLIC]

    def __getattr__(name: str) -> Any:
        if name == "alerts":
            return import_module("scq.alerts")
        if name not in PUBLIC:
            raise AttributeError(f"module 'scq' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
        return getattr(import_module(f"scq.library.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(["__version__", "alerts", *PUBLIC])
