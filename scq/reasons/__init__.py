"""What a job waits for, and what happens next, in plain sentences. Pure: what was found out about the world comes as `Facts`."""

from __future__ import annotations

from scq.reasons.elsewhere import elsewhere, vanished
from scq.reasons.ending import over, rejected, running
from scq.reasons.facts import Explanation, Facts
from scq.reasons.messages import tidings
from scq.reasons.waiting import approved, pending
from scq.state import Record

__all__ = ["Explanation", "Facts", "explain", "tidings"]


def explain(record: Record, facts: Facts) -> Explanation:
    """Why a job is where it is."""
    if record.missing_since is not None:
        return vanished(record)
    if record.sighting.owner != facts.rules.me:
        return elsewhere(record, facts)
    if record.status == "pending":
        return pending(record, facts)
    if record.status == "approved":
        return approved(record, facts)
    if record.status == "running":
        return running(record, facts)
    return rejected(record) if record.status == "rejected" else over(record, facts)
