#!/usr/bin/env python3
"""Approves jobs whose exact content a person has approved before, for the same submitter. Everything else waits for you.

Copy it to a folder of your own, read it, and name the copy in config.yaml:

    approve:
      command: [/home/you/scq/approve_seen_before.py, --max-age, "30"]

`scq automate` then runs it when jobs wait, and `scq start approve` does so again and again. By hand: --dry-run shows what it
would do. It needs nothing but `scq` on the PATH, and asks it:

    scq pending --json      what waits?
    scq audit verify        is the log of decisions whole? If not (exit code 5), nothing is approved.
    scq audit show --json   what was decided?
    scq list --json         who sent what was decided about, and under which conditions was it approved?

A job is approved only when all of this holds:

* it is whole, nothing about it is suspicious, and its content was not changed after an earlier approval;
* a person approved exactly this content (the same digest) for the same submitter, with `scq approve ID`. An approval by digest,
  such as those made here, never counts: one yes of yours does not renew itself for ever;
* that was at most --max-age days ago, without any condition (expiry, number of runs, limits, accepted findings);
* nobody refused this content or withheld its results since.

Which content has the same digest? A job of the syft-code-queue form that is sent again under the same name. Other forms write
name and time of sending into their config.yaml, which is content, too: with --same-code these two lines may differ, and all else
must be the same to the byte. Think before: a script could read its name and do something else because of it.

Findings that `deny` in config.yaml blocks are never accepted here: `scq approve` refuses, and the job waits for you.

Exit code: 0 also when nothing was approved, 75 when scq is busy (the next call tries again), 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

REFUSALS = ("reject", "cancel", "withhold")
CONDITIONS = ("expires_at", "max_runs", "timeout_s", "memory", "accepted_findings")
DESCRIBED = ("kind", "entrypoint", "dependencies", "timeout_s", "tags", "description", "layout")
NAME_OR_TIME = re.compile(r"[+-](name|submitted_at): .*")
REFUSED, INTEGRITY, BUSY = 2, 5, 75
"""Exit codes of scq: the job cannot be approved as it is, its content is another one, try again later."""


class StopError(Exception):
    """Nothing more is approved; `code` is the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def main() -> int:
    parser = argparse.ArgumentParser(description="Approve jobs whose exact content a person has approved before.")
    parser.add_argument("--max-age", type=float, default=30, metavar="DAYS", help="how old that approval may be [30]")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be approved")
    parser.add_argument("--same-code", action="store_true", help="name and time of sending in config.yaml may differ")
    options = parser.parse_args()
    try:
        return approve_what_is_known(timedelta(days=options.max_age), same_code=options.same_code, dry_run=options.dry_run)
    except StopError as stop:
        print(stop, file=sys.stderr)
        return stop.code


def approve_what_is_known(max_age: timedelta, *, same_code: bool, dry_run: bool) -> int:
    waiting = [job for job in ask("pending")["jobs"] if is_sound(job)]
    if not waiting:
        return 0
    ask("audit", "verify")
    rows = ask("audit", "show")["rows"]
    decided = {job["id"]: job for job in ask("list")["jobs"]}
    oldest = datetime.now(UTC) - max_age
    for job in waiting:
        digests = {job["digest"], *(alike(job, decided) if same_code else ())}
        row = earlier_approval(job, digests, rows, decided, oldest)
        if row is not None:
            reason = f"the same content as {row['job'][:8]}, which {row['by']} approved on {row['at'][:10]}"
            print(f"{'would approve' if dry_run else 'approving'} {job['short_id']}: {reason}")
            if not dry_run:
                approve(job, reason)
    return 0


def is_sound(job: dict[str, Any]) -> bool:
    """True for a job that is here as a whole and about which scq has nothing to say."""
    suspicious = job["flags"] or job["invalid"] or job["problems"] or job["changed"]
    return job["where"] == "local" and bool(job["digest"]) and not suspicious


def alike(job: dict[str, Any], decided: dict[str, dict[str, Any]]) -> list[str]:
    """Digests of earlier jobs of the same submitter that differ from this one in name and time of sending only."""
    candidates = [
        earlier
        for earlier in decided.values()
        if earlier["digest"] and earlier["id"] != job["id"] and same_submitter(earlier, job)
        if all(earlier[field] == job[field] for field in DESCRIBED)
    ]
    return [earlier["digest"] for earlier in candidates if all(map(harmless, ask("diff", job["id"], earlier["id"])["files"]))]


def harmless(difference: dict[str, Any]) -> bool:
    """True when a file differs in name and time of sending only. `difference` is one of `scq diff --json`: a unified diff."""
    lines = difference["diff"].splitlines()[2:]
    changed = [line for line in lines if not line.startswith((" ", "@@"))]
    stamps = bool(changed) and all(NAME_OR_TIME.fullmatch(line) for line in changed)
    return difference["path"] == "config.yaml" and difference["change"] == "changed" and stamps


def earlier_approval(
    job: dict[str, Any],
    digests: set[str],
    rows: list[dict[str, Any]],
    decided: dict[str, dict[str, Any]],
    oldest: datetime,
) -> dict[str, Any] | None:
    """The row of the audit log in which a person approved this content for this submitter; None when it takes a person now."""
    found = None
    for row in rows:  # oldest first
        if row.get("digest") not in digests:
            continue
        if row["what"] in REFUSALS:
            found = None
        elif row["what"] == "approve" and oldest <= when(row["at"]) and by_a_person(row, decided.get(row["job"]), job):
            found = row
    return found


def by_a_person(row: dict[str, Any], earlier: dict[str, Any] | None, job: dict[str, Any]) -> bool:
    """True when an earlier job of the same submitter was approved by hand and without conditions.

    A job that was removed since is not known any more, and proves nothing.
    """
    approval = earlier and earlier["approval"]
    if not earlier or not approval or not same_submitter(earlier, job):
        return False
    by_hand = approval["verdict"] == "approve" and approval["method"] == "manual" and approval["digest"] == row["digest"]
    return by_hand and not any(approval[condition] for condition in CONDITIONS)


def same_submitter(earlier: dict[str, Any], job: dict[str, Any]) -> bool:
    return bool(earlier["submitter"].lower() == job["submitter"].lower())


def approve(job: dict[str, Any], reason: str) -> None:
    """Approve exactly the content that was compared; scq refuses if it is another one by now."""
    code, answer = call("approve", job["id"], "--digest", job["digest"], "--reason", reason)
    if code in (REFUSED, INTEGRITY):
        print(f"{job['short_id']} waits for you: {first_error(answer)}")
    elif code != 0:
        raise StopError(f"scq approve: {first_error(answer)}", BUSY if code == BUSY else 1)


def ask(*words: str) -> dict[str, Any]:
    """The `data` of one question to scq."""
    code, answer = call(*words)
    if code == INTEGRITY:
        raise StopError("the audit log was changed: nothing is approved. See: scq audit verify")
    if code != 0:
        raise StopError(f"scq {' '.join(words)}: {first_error(answer)}", BUSY if code == BUSY else 1)
    data: dict[str, Any] = answer["data"]
    return data


def call(*words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document of one call of scq."""
    try:
        done = subprocess.run(["scq", *words, "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
        return done.returncode, json.loads(done.stdout)
    except (OSError, ValueError) as error:
        raise StopError(f"scq {words[0]} gave no answer: {error}") from error


def first_error(answer: dict[str, Any]) -> str:
    """What went wrong, in words that a terminal can show."""
    return ascii((answer["errors"] or ["no reason given"])[0])[1:-1]


def when(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


if __name__ == "__main__":
    sys.exit(main())
