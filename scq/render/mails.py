"""Which template tells which event to whom, under which subject, and with which variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from scq import __version__, clean
from scq.model import Notification, Role, Thread

SUBJECT_LIMIT = 150
FIRST_LIMIT = SUBJECT_LIMIT - len("Re: ")
"""Of a subject that may be answered: the answers differ in nothing but `Re: `, or they would leave the conversation."""


class Mail(Struct, frozen=True):
    """How an event is told to one role: template below `emails/`, beginning of the subject, and the word that completes it."""

    template: str
    subject: str
    about: str = "name"


MAILS: Mapping[tuple[str, Role], Mail] = {
    ("baseline", "do"): Mail("jobs_waiting", "Jobs Waiting for Review"),
    ("job.received", "do"): Mail("new_job", "Job: "),
    ("job.received", "ds"): Mail("job_submitted_ds", "Job Submitted: "),
    ("job.invalid", "do"): Mail("job_invalid_do", "Job Cannot Be Run: "),
    ("job.invalid", "ds"): Mail("job_invalid_ds", "Job Cannot Be Run: "),
    ("job.approved", "do"): Mail("job_approved_do", "Re: Job: "),
    ("job.approved", "ds"): Mail("job_approved", "Job Approved: "),
    ("job.rejected", "do"): Mail("job_rejected_do", "Re: Job: "),
    ("job.rejected", "ds"): Mail("job_rejected_ds", "Job Not Approved: "),
    ("job.expired", "do"): Mail("job_expired", "Job Expired: "),
    ("job.expired", "ds"): Mail("job_expired", "Job Expired: "),
    ("job.started", "do"): Mail("job_started", "Re: Job: "),
    ("job.started", "ds"): Mail("job_started", "Job Started: "),
    ("job.completed", "do"): Mail("job_completed_do", "Re: Job: "),
    ("job.completed", "ds"): Mail("job_executed", "Job Completed: "),
    ("job.failed", "do"): Mail("job_failed_do", "Job Failed: "),
    ("job.failed", "ds"): Mail("job_failed_ds", "Job Failed: "),
    ("job.interrupted", "do"): Mail("job_interrupted", "Job Interrupted: "),
    ("job.integrity", "do"): Mail("job_integrity", "Job Content Changed: "),
    ("job.changed", "do"): Mail("job_integrity", "Job Content Changed: "),
    ("outputs.withheld", "do"): Mail("outputs_review", "Re: Job: "),
    ("outputs.withheld", "ds"): Mail("job_executed", "Job Completed: "),
    ("outputs.released", "ds"): Mail("outputs_released", "Job Results Released: "),
    ("results.withheld", "ds"): Mail("results_withheld", "Job Results Withheld: "),
    ("peer.requested", "do"): Mail("new_peer_request", "New Peer Request from ", "ds_email"),
    ("peer.request_seen", "ds"): Mail("peer_request_sent", "Peer Request Sent to ", "owner"),
    ("peer.granted", "ds"): Mail("peer_granted", "Peer Request Accepted: ", "owner"),
    ("peer.added", "ds"): Mail("peer_added", "Peer Added: ", "owner"),
    ("review.reminder", "do"): Mail("review_reminder", "Jobs Still Waiting for Review"),
    ("auth.expiring", "do"): Mail("auth_problem", "Sign-In Ends Soon: ", "what"),
    ("auth.failed", "do"): Mail("auth_problem", "Sign-In Needed: ", "what"),
    ("channel.failed", "do"): Mail("channel_problem", "Channel Does Not Work: ", "channel"),
    ("source.stale", "do"): Mail("source_stale", "Source Not Reached: ", "source"),
    ("heartbeat", "do"): Mail("heartbeat", "heartbeat: scq still running"),
    ("digest", "do"): Mail("digest", "Digest of Messages"),
    ("digest", "ds"): Mail("digest", "Digest of Messages"),
}
"""The subjects `Job:`, `Re: Job:` and `Job …:` continue the mail threads of syft-bg 0.3."""
OTHER = "other"
"""Template of events that have none of their own."""
CAUSES: Mapping[str, str] = {
    "exit": "the script ended with an error",
    "timeout": "it ran longer than allowed",
    "killed": "it was stopped",
    "interrupted": "the run was interrupted",
    "integrity": "its content is not what was approved",
    "start": "it could not be started",
    "output": "its results could not be collected",
    "cpu": "it used more processor time than allowed",
    "memory": "it used more memory than allowed",
    "processes": "it started more processes than allowed",
    "disk": "it wrote more than allowed",
    "dependencies": "a package it needs could not be had",
    "node": "the machine it ran on failed",
    "preempted": "it had to make room for other jobs",
    "cancelled": "it was ended before it was over, by the data owner or by an operator of the cluster",
}
"""What a submitter is told about a failure: the kind of cause, never the owner's paths or logs."""
BLOCKS = frozenset({"reason", "error_output", "run_sh", "files", "waiting", "items", "advice"})
"""Words that may have several lines."""
JOB_WORDS = ("name", "digest", "submitter", "owner", "submitted_at", "status", "method", "reviewer", "reason", "expires")
EXTRA = ("code_notes", "job_fields", "job_files", "findings", "checked", "compared", "unseen")
"""What the mail about a new job shows besides its words; read from the files when it is sent."""


def subject(before: str, name: str, short_id: str) -> str:
    """One clean line of at most 150 characters, also after `Re: `; only the job's name is shortened, never the tag at the end."""
    tag = f" [scq {short_id}]" if short_id else " [scq]"
    limit = SUBJECT_LIMIT if before.startswith("Re: ") else FIRST_LIMIT
    before = clean.line(before, 60) + " " if name else clean.line(before, 60)
    return before + clean.line(name, limit - len(before) - len(tag)) + tag


def subject_of(mail: Mail, row: Notification, thread: Thread | None) -> str:
    if thread is not None and thread.subject and row.role == "do":
        return f"Re: {clean.line(thread.subject, FIRST_LIMIT).removeprefix('Re: ')}"
    before = mail.subject if row.context.get(mail.about) else mail.subject.rstrip(": ")
    return subject(before, row.context.get(mail.about, ""), row.context.get("short_id", ""))


def _cause(words: Mapping[str, str]) -> str:
    """Why a job failed; empty for one that ended well, whose results may be held all the same."""
    ended_well = words.get("cause") == "exit" and words.get("exit_code") == "0"
    return "" if ended_well else CAUSES.get(words.get("cause", ""), "")


def template_context(row: Notification) -> dict[str, Any]:
    """The documented variables of every template (docs/notifications.md), from the words of a row. All of them are clean."""
    words = {name: clean.block(word) if name in BLOCKS else clean.line(word) for name, word in row.context.items()}
    at = _time(words.get("at"))
    job = dict.fromkeys(JOB_WORDS, "") | words
    owners = row.role == "do"
    return {
        "event": row.kind,
        "role": row.role,
        "level": row.level,
        "job": job | _job_facts(row, words),
        "job_name": words.get("name", ""),
        "submitter": words.get("submitter", ""),
        "ds_email": words.get("submitter") or words.get("ds_email", ""),
        "do_email": words.get("owner", ""),
        "timestamp": _time(words.get("submitted_at")) or at,
        "event_at": at,
        "since": _time(words.get("since")),
        "job_code": {"run.sh": words["run_sh"]} if owners and "run_sh" in words else {},
        "duration": _number(words.get("duration_s")),
        "return_code": words.get("exit_code"),
        "cause": _cause(words),
        "cause_word": words["cause"] if words.get("cause") in CAUSES else "",
        "node": words.get("node", "") if owners else "",
        "place": words.get("place", ""),
        "waits": bool(words.get("waits")),
        "error_output": words.get("error_output") if owners else None,
        "reason": words.get("reason", ""),
        "friendly_reason": words.get("reason", ""),
        "results_released": words.get("outputs") == "released",
        "results_withheld": words.get("outputs") == "withheld",
        "files": words.get("files", "").splitlines(),
        "count": words.get("count", ""),
        "waiting": words.get("waiting", "").splitlines(),
        "items": words.get("items", "").splitlines(),
        "what": words.get("what", ""),
        "channel": words.get("channel", ""),
        "source": words.get("source", ""),
        "advice": words.get("advice", ""),
        "interval_human": words.get("interval_human", ""),
        "run_id": words.get("run_id", ""),
        "call_id": "",
        "host": os.uname().nodename if owners else "",
        "version": __version__,
        "links": {},
        "reply_commands": "",
        **dict.fromkeys(EXTRA),
        **dict.fromkeys(("job_url", "results_url", "peer_url"), ""),
    }


def _job_facts(row: Notification, words: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": row.job_id,
        "id8": words.get("short_id", ""),
        "digest12": words.get("digest", "")[: len("sha256:") + 12],
        "submitted_at": _time(words.get("submitted_at")),
        "expires": _time(words.get("expires")),
    }


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _time(text: str | None) -> datetime | None:
    """A time of a row; None also for a damaged one: no message is lost for it."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
