"""Ready-made values for tests of pure functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from scq.model import Decision, JobRef, Run, Seen, Sighting
from scq.state import Record

ME = "owner@example.org"
THEM = "scientist@example.com"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64


def sighting(observed: str = "pending", name: str = "count", **fields: Any) -> Sighting:
    ref = JobRef(fields.pop("family", "inbox-review"), fields.get("owner", ME), THEM, name)
    base: dict[str, Any] = {
        "ref": ref,
        "layout": "c0",
        "name": name,
        "owner": ME,
        "submitter": THEM,
        "path": f"{ME}/app_data/job/inbox/{THEM}/{name}",
        "observed": observed,
        "owner_only": True,
        "submitted_at": NOW - timedelta(hours=1),
    }
    return Sighting(**(base | fields))


def seen(observed: str = "pending", digest: str | None = DIGEST, invalid: tuple[str, ...] = (), **fields: Any) -> Seen:
    return Seen(sighting(observed, **fields), "stamp", "content", digest, invalid)


def record(observed: str = "pending", status: Any = "pending", name: str = "count", **fields: Any) -> Record:
    layout_fields = {key: fields.pop(key) for key in ("owner", "submitter", "layout", "tags", "timeout_s") if key in fields}
    submitted_at = fields.pop("submitted_at", NOW - timedelta(hours=1))
    shown = sighting(observed, name=name, submitted_at=submitted_at, **layout_fields)
    base: dict[str, Any] = {
        "id": f"{name}-0000-0000",
        "sighting": shown,
        "status": status,
        "first_seen_at": NOW - timedelta(minutes=30),
        "digest": DIGEST,
    }
    return Record(**(base | fields))


def decision(verdict: Any = "approve", digest: str = DIGEST, **fields: Any) -> Decision:
    return Decision(verdict=verdict, digest=digest, by=ME, at=NOW, **fields)


def run(phase: Any = "settled", **fields: Any) -> Run:
    base: dict[str, Any] = {
        "attempt": 1,
        "digest": DIGEST,
        "directory": "run-1",
        "phase": phase,
        "claimed_at": NOW,
        "cause": "exit",
        "exit_code": 0,
    }
    return Run(**(base | fields))
