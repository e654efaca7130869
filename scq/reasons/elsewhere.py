"""Jobs at other owners, as far as their folders tell; and jobs that are not found any more."""

from __future__ import annotations

from scq.clean import line
from scq.reasons.facts import Explanation, Facts, on_disk_at
from scq.showing import when
from scq.state import Record

OWNER_RUNS = "The owner's machine runs it when its next call comes."


def elsewhere(record: Record, facts: Facts) -> Explanation:
    """A job at another owner: what its folders show, and no more than that."""
    sighting, short = record.sighting, record.id[:8]
    owner = line(sighting.owner)
    if record.status == "pending":
        if sighting.observed == "incomplete":
            return Explanation("arrival", (f"Not all of its files are at {owner} yet.",), ("SyftBox goes on sending them.",))
        may_withdraw = sighting.submitter == facts.rules.me and sighting.layout.startswith("a")  # elsewhere only the owner can
        withdraw = (f"To withdraw it: scq cancel {short}",) if may_withdraw else ()
        reasons = (f"{owner} has not decided about it, or the decision has not reached this machine yet.",)
        return Explanation("owner", reasons, ("What was decided arrives with SyftBox; scq list --mine shows it.", *withdraw))
    if record.status == "approved":
        return Explanation("owner", (f"{owner} approved it{on_disk_at(record)}; it has not been run yet.",), (OWNER_RUNS,))
    if record.status == "running":
        since = f" since {when(sighting.started_at)}" if sighting.started_at else ""
        return Explanation(
            "end", (f"It runs at {owner}{since}.",), ("Its results arrive when it is over and they were released.",)
        )
    said = line(sighting.reason or sighting.error or "", 300)
    why = f": {said}" if said else ". No reason was given."
    if record.status == "rejected":
        return Explanation(
            "nothing", (f"{owner} rejected it{why}",), ("To try again, mend it and submit it under another name.",)
        )
    code = "" if sighting.exit_code is None else f" with exit code {sighting.exit_code}"
    ended = [f"It {'is done' if record.status == 'completed' else 'failed'} at {owner}{code}."]
    ended += [f"It says: {said}"] if said else []
    return Explanation(
        "nothing",
        tuple(ended),
        (
            f"See what has come back: scq output {short}, scq logs {short}",
            f"What is missing there was not released, or has not reached this machine yet; {owner} decides about it.",
        ),
    )


def vanished(record: Record) -> Explanation:
    where = "Google Drive" if record.sighting.where == "drive" else "the SyftBox folder"
    return Explanation(
        "return",
        (f"It was {record.status} and has not been found in {where} since {when(record.missing_since)}.",),
        (
            "If it comes back, it is the same job again, with what was decided about it.",
            "A week after it vanished it is forgotten; the audit log keeps what was done (scq audit).",
        ),
    )
