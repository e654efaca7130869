"""What a notebook is told of a job: a row of the table, the card, and why something cannot be done with it. Pure.

Everything is made from the job object of docs/json.md, and every text is cleaned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scq.clean import block, line
from scq.errors import BUG, BUSY, CONFIG, INTEGRITY, SIGN_IN, USAGE
from scq.model import Problem
from scq.showing import where_words
from scq.web.seen import Seen

FIELDS = (
    "id",
    "short_id",
    "name",
    "status",
    "submitter",
    "owner",
    "submitted_at",
    "tags",
    "description",
    "digest",
    "read",
    "revision",
    "outputs",
    "logs",
)
ACTIONS = ("review", "approve", "reject", "cancel", "diff", "logs", "outputs", "release", "withhold")
KINDS = {USAGE: "usage", INTEGRITY: "integrity", BUSY: "busy", CONFIG: "config", SIGN_IN: "sign_in", BUG: "bug"}
"""Of errors, by exit code; every other one is `failed`."""
SHOWN_TAGS = 20
SHOWN_PROBLEMS = 20
WHOLE_PATH = 4096
"""Characters. A path is never shortened: it is sent back to say which file is meant."""
CHANGED = "Its content changed since you read it. Review it again."
ELSEWHERE = "It is on Google Drive only, not in the SyftBox folder yet."


def read_word(facts: Mapping[str, Any]) -> str:
    """`read`, `unread`, or `changed` for a job that holds other content than was read."""
    if facts["reviewed"] is None:
        return "unread"
    return "read" if facts["reviewed"] == facts["digest"] else "changed"


def row(facts: Mapping[str, Any]) -> list[Any]:
    """A job as a row of the table, in the order of `FIELDS`."""
    found = row_object(facts)
    return [found[field] for field in FIELDS]


def row_object(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A job as a row of the table, by field."""
    return {
        "id": facts["id"],
        "short_id": facts["short_id"],
        "name": line(facts["name"]),
        "status": facts["status"],
        "submitter": line(facts["submitter"], 254),
        "owner": line(facts["owner"], 254),
        "submitted_at": facts["submitted_at"],
        "tags": [line(tag, 60) for tag in facts["tags"][:SHOWN_TAGS]],
        "description": line(facts["description"]),
        "digest": facts["digest"],
        "read": read_word(facts),
        "revision": facts["revision"],
        "outputs": facts["results"]["outputs"],
        "logs": facts["results"]["logs"],
    }


def card(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A job with all that its card shows."""
    more = {name: cleaned(facts[name]) for name in ("approval", "run", "results", "invalid", "where")}
    problems = [problem_object(Problem(**each)) for each in facts["problems"][:SHOWN_PROBLEMS]]
    return row_object(facts) | more | {"reason": line(facts["reason"] or "", 2_000), "problems": problems, "place": place(facts)}


def place(facts: Mapping[str, Any]) -> str:
    """Where its run is on a cluster, in words; empty elsewhere."""
    found = Seen(facts).place
    return "" if found is None else where_words(found)


def cleaned(value: Any) -> Any:
    """Facts with every text in them cleaned; line breaks stay."""
    if isinstance(value, str):
        return block(value)
    if isinstance(value, Mapping):
        return {name: cleaned(each) for name, each in value.items()}
    return [cleaned(each) for each in value] if isinstance(value, list | tuple) else value


def path_word(path: str) -> str:
    """A path as it is shown, whole."""
    return line(path, WHOLE_PATH)


def exactly(path: str) -> str:
    """The pattern of `scq release --only` that fits this path and no other."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in path)


def problem_object(problem: Problem) -> dict[str, str]:
    """A problem as it is shown."""
    return {"where": line(problem.where, 300), "what": line(problem.what, 500), "advice": line(problem.advice, 500)}


def error_object(exit_code: int, what: str, advice: str) -> dict[str, str]:
    """A failure as it is shown, by the exit code it would have on the command line."""
    return {"kind": KINDS.get(exit_code, "failed"), "what": line(what, 1_000), "advice": line(advice, 1_000)}


def why_not(facts: Mapping[str, Any], me: str) -> dict[str, str]:
    """For each of `ACTIONS` why this person cannot do it with a job now; empty where they can."""
    found = {
        "review": "",
        "approve": _why_not_approve(facts, me),
        "reject": _only_owner(facts, me) or _not_waiting(facts),
        "cancel": _why_not_cancel(facts, me),
        "diff": _elsewhere(facts) or ("It cannot be read whole, so it cannot be compared." if facts["invalid"] else ""),
        "logs": "" if facts["run"] or facts["status"] == "running" else _not_over(facts),
        "outputs": _not_over(facts),
        "release": _why_not_answer(facts, me),
        "withhold": _why_not_answer(facts, me) or _ran_elsewhere(facts),
    }
    return {action: line(why, 500) for action, why in found.items()}


def _why_not_approve(facts: Mapping[str, Any], me: str) -> str:
    why = _only_owner(facts, me) or _elsewhere(facts)
    if not why and facts["invalid"]:
        why = f"It cannot be run: {'; '.join(facts['invalid'][:3])}"
    if not why and read_word(facts) == "changed":
        why = CHANGED
    if why or facts["status"] == "pending" or facts["changed"] or _is_stuck(facts):
        return why
    return "It is approved already." if facts["status"] == "approved" else f"It is {facts['status']}."


def _is_stuck(facts: Mapping[str, Any]) -> bool:
    """Another runner left it as running and is gone."""
    run = facts["run"]
    return facts["status"] == "running" and bool(facts["problems"]) and (run is None or run["attempt"] == 0)


def _why_not_cancel(facts: Mapping[str, Any], me: str) -> str:
    is_owner = facts["owner"] == me
    if not is_owner and facts["submitter"] != me:
        return "Only its submitter or owner can cancel it."
    if not is_owner and not facts["layout"].startswith("a"):
        return f"A job in this kind of folder cannot be withdrawn. Ask {facts['owner']} to reject it."
    return _not_waiting(facts)


def _why_not_answer(facts: Mapping[str, Any], me: str) -> str:
    if facts["owner"] != me:
        return f"Only {facts['owner']} decides about its results."
    return _not_over(facts) or ("" if facts["submitter"] else "It names no submitter: there is nobody to answer.")


def _ran_elsewhere(facts: Mapping[str, Any]) -> str:
    ran_here = facts["run"] is not None and facts["run"]["attempt"] > 0
    return "" if ran_here else "It was not run here: its results lie in the SyftBox folder already."


def _only_owner(facts: Mapping[str, Any], me: str) -> str:
    return "" if facts["owner"] == me else f"Only {facts['owner']} decides about it."


def _elsewhere(facts: Mapping[str, Any]) -> str:
    return ELSEWHERE if facts["where"] == "drive" else ""


def _not_waiting(facts: Mapping[str, Any]) -> str:
    return _elsewhere(facts) or ("" if facts["status"] in ("pending", "approved") else f"It is {facts['status']}.")


def _not_over(facts: Mapping[str, Any]) -> str:
    if facts["status"] in ("completed", "failed"):
        return ""
    return {"running": "It is still running.", "rejected": "It was rejected, so it was not run."}.get(
        facts["status"], "It has not run yet."
    )
