"""Jobs of this owner that are at work, or over."""

from __future__ import annotations

from scq.authority import lapsed
from scq.clean import line
from scq.model import INTERRUPTIONS, Run
from scq.reasons.cluster import handed_over
from scq.reasons.facts import Explanation, Facts, decided, next_run, on_disk_at, sentence, time_left
from scq.showing import NODE, seconds, when
from scq.state import Record
from scq.view import awaits_answer

CAUSES: dict[str, str] = {
    "timeout": "it ran longer than it may",
    "cpu": "it used more CPU time than it may",
    "memory": "it used more memory than it may",
    "processes": "it started more processes than it may",
    "disk": "it wrote more than it may",
    "output": "it left more results than are allowed",
    "killed": "something outside of scq ended it",
    "interrupted": "its runner was stopped or died",
    "integrity": "its content was not what was approved",
    "start": "it could not be started",
    "dependencies": "what it wants installed cannot be had",
    "node": "the machine it ran on failed",
    "preempted": "it had to make room for another job of the cluster",
    "cancelled": "somebody ended it, on the cluster or with scq cancel",
}
"""Why a job is over that did not end by itself."""
ENDED_THERE = ("node", "preempted", "cancelled", "integrity")
"""Causes whose detail says the same in more precise words."""
MENDED_BY_LIMIT = ("timeout", "cpu", "memory", "processes", "disk", "output")


def running(record: Record, facts: Facts) -> Explanation:
    run, short = record.run, record.id[:8]
    if run is None:
        since = f" since {when(record.sighting.started_at)}" if record.sighting.started_at else ""
        problems = tuple(sentence(line(problem.what, 300)) for problem in record.problems)
        if problems:
            advice = (f"To run it here: scq approve {short}, then scq rerun {short}",)
            return Explanation("runner-elsewhere", (f"Other software took it up{since}.", *problems), advice)
        return Explanation("end", (f"It is run by other software{since}.",), ("scq tells how it ended when its folder says so.",))
    attempt = f"attempt {run.attempt}" + (" without a sandbox" if run.sandbox == "none" else f" in {run.sandbox}")
    if run.elsewhere:
        return handed_over(run, attempt, short, facts)
    if not facts.alive:
        return _cut_off(run, attempt, facts)
    if facts.started_at is None:
        reasons = (f"It was claimed on {when(run.claimed_at)} and is being prepared ({attempt}).",)
        return Explanation("end", reasons, ("It starts as soon as what it needs is there.",))
    ran = max(0.0, (facts.now - facts.started_at).total_seconds())
    reasons = (f"It has been running for {seconds(ran)}, since {when(facts.started_at)} ({attempt}).",)
    then = time_left(facts, ran)
    if facts.wall_s is None:
        return Explanation("end", reasons, (then,))
    return Explanation("end", reasons, (then, "Then its results are kept here until you release them, or as configured."))


def _cut_off(run: Run, attempt: str, facts: Facts) -> Explanation:
    reasons = (
        f"It was claimed on {when(run.claimed_at)} ({attempt}), and its runner is gone: the machine or the call was stopped.",
    )
    if not facts.began:
        then = "It had not started. The next call gives it back and runs it."
    elif facts.retry:
        then = "The next call ends it and starts it again (run.retry_interrupted)."
    else:
        then = "The next call marks it as failed, cause interrupted, unless it had ended already."
    return Explanation("recovery", reasons, (then, next_run(facts)))


def over(record: Record, facts: Facts) -> Explanation:
    """Completed or failed here, or by other software."""
    run, short, sighting = record.run, record.id[:8], record.sighting
    said = line(sighting.error or sighting.reason or "", 300)
    if run is None:
        code = "" if sighting.exit_code is None else f" with exit code {sighting.exit_code}"
        reasons = [f"Other software ran it: {record.status}{code}."] + ([f"It says: {said}"] if said else [])
        return Explanation("nothing", tuple(reasons), (f"See what it left: scq output {short}, scq logs {short}",))
    reasons = [_ended(run)]
    then = []
    if record.status == "failed":
        then += _mending(record, run, facts)
    if awaits_answer(record):
        reasons.append("Its results are held here; nothing of them has left.")
        then += [f"Look at them: scq output {short}", f"Then scq release {short} -r REASON, or scq withhold {short} -r REASON"]
        return Explanation("answer", tuple(reasons), tuple(then))
    reasons.append(_answered(record))
    return Explanation("nothing", tuple(reasons), (*then, *_again(record, facts)))


def _ended(run: Run) -> str:
    at = f" on {when(run.finished_at)}" if run.finished_at else ""
    took = f" after {seconds(run.duration_s)}" if run.duration_s is not None else ""
    where = f", on the machine {line(run.node, NODE)}" if run.node else ""
    if run.cause == "exit":
        good = run.exit_code == 0
        return f"It {'ended well' if good else f'failed by itself with exit code {run.exit_code}'}{at}{took}{where}."
    detail = line(run.detail, 300)
    cause = CAUSES.get(run.cause or "", "nobody knows how it ended")
    if detail and run.cause in ENDED_THERE:
        return f"It failed{at}{took}{where}: {detail}."
    return f"It failed{at}{took}{where}: {cause}{f' ({detail})' if detail else ''}."


def _mending(record: Record, run: Run, facts: Facts) -> list[str]:
    short = record.id[:8]
    if run.cause == "exit":
        return [f"What it said: scq logs {short} --stderr. Its submitter has to mend it."]
    if run.cause in MENDED_BY_LIMIT:
        return ["Its submitter can ask for less, or you raise the limit (docs/sandbox.md) and let it run again."]
    if run.cause == "dependencies":
        return ["Its submitter has to correct the packages, or they have to be made available (docs/dependencies.md)."]
    if run.cause == "integrity" and run.elsewhere:
        return ["Find out who can write in the shared folder (executor.slurm.shared_dir), before it is run again."]
    if run.cause == "integrity":
        return [f"Compare it with what was approved: scq diff {short}"]
    if run.cause == "cancelled":
        return ["Somebody wanted it to end: find out why before it is run again."]
    then = ["That was not its own fault: it can be run again as it is."]
    if run.cause in INTERRUPTIONS and facts.retry:
        then.append(f"By itself it is not started again: this was attempt {run.attempt}.")
    elif run.cause in INTERRUPTIONS:
        then.append("With run.retry_interrupted such a job is started again by itself.")
    if run.cause == "preempted":
        then.append("A partition or qos that need not make room keeps it from happening again (executor.slurm).")
    return then


def _answered(record: Record) -> str:
    answer = record.answer
    if answer is None:
        kept = {"released": "Its results were released.", "withheld": "Its results are withheld.", "none": "It left no results."}
        return kept[record.outputs]
    why = f": {line(answer.reason, 300)}" if answer.reason else ""
    if answer.verdict == "withheld":
        return f"Its results were withheld by {line(answer.by)} on {when(answer.at)}{why}."
    files = f"{len(answer.files)} file{' was' if len(answer.files) == 1 else 's were'}"
    how = "by itself (auto_release)" if answer.automatic else f"by {line(answer.by)}"
    return f"{files} released {how} on {when(answer.at)}{why}."


def _again(record: Record, facts: Facts) -> list[str]:
    """Whether it could run once more."""
    decision, short = record.decision, record.id[:8]
    if decision is None or decision.verdict != "approve":
        return ["Its submitter can send it again under another name."]
    if (wrong := lapsed(record, decision.bounds, facts.rules, facts.now)) is not None:
        return [f"To run it once more: scq rerun {short}, and approve it again, for its {wrong.what}."]
    return [f"To run it once more: scq rerun {short}"]


def rejected(record: Record) -> Explanation:
    decision, short = record.decision, record.id[:8]
    if decision is None:
        by = line(record.sighting.decided_by or "") or "other software"
        said = line(record.sighting.reason or record.sighting.error or "", 300)
        reason = f"It was rejected by {by}{on_disk_at(record)}" + (f": {said}" if said else ".")
    else:
        reason = decided(decision, "withdrawn" if decision.method == "cancel" else "rejected")
    then = ("Its submitter can send it again under another name.", f"What was decided, and when: scq audit show {short}")
    return Explanation("nothing", (reason,), then)
