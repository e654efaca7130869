"""What a job waits for, and what happens next, in plain sentences. Pure: what was found out about the world comes as `Facts`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from scq.authority import CHANGED, NOT_APPROVED_HERE, Rules, approvals, lapsed
from scq.clean import line
from scq.joining import NOT_ACCEPTED
from scq.model import Bounds, Decision, Network, Notification, Run
from scq.showing import bound_words, seconds, when
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
}
"""Why a job is over that did not end by itself."""
MENDED_BY_LIMIT = ("timeout", "cpu", "memory", "processes", "disk", "output")
SHOWN = 5
"""Names and reasons shown of a long list."""


class Facts(Struct, frozen=True):
    """What is known beside the record itself."""

    now: datetime
    rules: Rules
    next_run: datetime | None = None
    """When the next call that runs jobs is expected; None: nothing is installed that makes one."""
    scheduler: str = ""
    late_s: float = 0.0
    """For how long that call has been overdue."""
    at_work: tuple[str, ...] = ()
    """Short ids of other jobs that a call is running now."""
    alive: bool | None = None
    """Whether the runner of this job lives; None: it is not at work here."""
    started_at: datetime | None = None
    wall_s: float | None = None
    """Seconds it may run, where that is known."""
    retry: bool = False
    """Interrupted jobs are started again."""
    sandbox: str = "bwrap"
    sandbox_missing: str = ""
    """Why there can be no sandbox, as far as that can be told without trying; empty: nothing is known to be wrong."""
    network: Network = "prepare"
    denied: tuple[str, ...] = ()
    """Findings that would block an approval, one phrase each."""
    denied_rules: tuple[str, ...] = ()
    fetches: bool = False
    """Jobs are brought from Google Drive by scq itself."""
    quiet: bool = False
    """It is within the quiet hours."""


class Explanation(Struct, frozen=True):
    """`waits_for` is one word for programs (docs/json.md), the rest are sentences: why, and what can be done or happens next."""

    waits_for: str
    reasons: tuple[str, ...]
    next: tuple[str, ...]


def explain(record: Record, facts: Facts) -> Explanation:
    """Why a job is where it is."""
    if record.missing_since is not None:
        return _vanished(record)
    if record.sighting.owner != facts.rules.me:
        return _elsewhere(record)
    if record.status == "pending":
        return _pending(record, facts)
    if record.status == "approved":
        return _approved(record, facts)
    if record.status == "running":
        return _running(record, facts)
    return _rejected(record) if record.status == "rejected" else _over(record, facts)


def _vanished(record: Record) -> Explanation:
    where = "Google Drive" if record.sighting.where == "drive" else "the SyftBox folder"
    return Explanation(
        "return",
        (f"It was {record.status} and has not been found in {where} since {when(record.missing_since)}.",),
        (
            "If it comes back, it is the same job again, with what was decided about it.",
            "A week after it vanished it is forgotten; the audit log keeps what was done (scq audit).",
        ),
    )


def _elsewhere(record: Record) -> Explanation:
    """A job at another owner: what its folders show, and no more than that."""
    sighting, short = record.sighting, record.id[:8]
    owner = line(sighting.owner)
    if record.status == "pending":
        if sighting.observed == "incomplete":
            return Explanation("arrival", (f"Not all of its files are at {owner} yet.",), ("SyftBox goes on sending them.",))
        withdraw = (f"To withdraw it: scq cancel {short}",) if record.intents == () else ()
        reasons = (f"{owner} has not decided about it, or the decision has not reached this machine yet.",)
        return Explanation("owner", reasons, ("What was decided arrives with SyftBox; scq list --mine shows it.", *withdraw))
    if record.status == "approved":
        return Explanation("owner", (f"{owner} approved it{_disk_by(record)}; it has not been run yet.",), (_OWNER_RUNS,))
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
    reasons = [f"It {'is done' if record.status == 'completed' else 'failed'} at {owner}{code}."]
    reasons += [f"It says: {said}"] if said else []
    return Explanation(
        "nothing",
        tuple(reasons),
        (
            f"See what has come back: scq output {short}, scq logs {short}",
            f"What is missing there was not released, or has not reached this machine yet; {owner} decides about it.",
        ),
    )


_OWNER_RUNS = "The owner's machine runs it when its next call comes."


def _disk_by(record: Record) -> str:
    return f" on {when(record.sighting.decided_at)}" if record.sighting.decided_at else ""


def _pending(record: Record, facts: Facts) -> Explanation:
    """Why a job of this owner is not approved; what is most in the way comes first."""
    sighting, short = record.sighting, record.id[:8]
    reject = f"To refuse it: scq reject {short} -r REASON"
    if sighting.where == "drive":
        return _on_drive(record, facts)
    if sighting.observed == "incomplete":
        return Explanation("arrival", ("Not all of its files have arrived yet.",), ("SyftBox goes on bringing them.",))
    if record.invalid:
        more = len(record.invalid) - SHOWN
        reasons = [f"It cannot be run: {line(reason, 300)}." for reason in record.invalid[:SHOWN]]
        reasons += [f"And for {more} more reasons; see scq show {short}."] if more > 0 else []
        return Explanation("submitter", tuple(reasons), (reject, "Its submitter has to mend it and send it again."))
    if record.changed:
        again = (f"See what changed: scq diff {short}", f"Then approve it again: scq approve {short}", reject)
        return Explanation("review", (_sentence(CHANGED), "So the approval does not hold for it."), again)
    if (ended := _lapsed(record, facts)) is not None:
        return ended
    return _undecided(record, facts, reject)


def _lapsed(record: Record, facts: Facts) -> Explanation | None:
    """What became of approvals that were given: they ended, or are too few."""
    decision, short = record.decision, record.id[:8]
    given = approvals(record, facts.rules, facts.now)
    bounds = decision.bounds if decision is not None else Bounds()
    wrong = lapsed(record, bounds, facts.rules, facts.now) if given or decision is not None else None
    if wrong is None:
        return None
    if facts.rules.quorum > 1 and given and len(given) < facts.rules.quorum:
        missing = facts.rules.quorum - len(given)
        by = ", ".join(f"{line(vote.by)} on {when(vote.at)}" for vote in given)
        names = ", ".join(line(name) for name in facts.rules.reviewers if name not in {vote.by for vote in given})
        who = f" One of: {names}." if names else ""
        reason = f"It needs {facts.rules.quorum} approvals of different reviewers and has {len(given)}: {by}."
        then = f"{missing} more of them {'has' if missing == 1 else 'have'} to approve it: scq approve {short} --by ADDRESS."
        return Explanation("reviewers", (reason,), (then + who,))
    return Explanation("review", (_sentence(wrong.what),), (f"To allow it again: scq approve {short}",))


def _undecided(record: Record, facts: Facts, reject: str) -> Explanation:
    short, sighting = record.id[:8], record.sighting
    reasons, then = [], []
    if any(problem.what == NOT_APPROVED_HERE for problem in record.problems):
        reasons.append("Its folder says approved, but nobody approved it here, so it is not run.")
    reasons.append(f"Nobody has decided about it yet; {line(sighting.submitter) or 'its submitter'} waits for your answer.")
    if sighting.observed == "damaged":
        reasons.append("A file of it that says how it is doing is damaged; see scq show.")
    if record.reviewed is None:
        then.append(f"Read it: scq review {short}")
    elif record.reviewed != record.digest:
        reasons.append("It has changed since you reviewed it.")
        then.append(f"Read it again: scq review {short}")
    approve = f"scq approve {short}" + (" --by ADDRESS" if facts.rules.quorum > 1 else "")
    if facts.denied:
        more = f" and {len(facts.denied) - SHOWN} more" if len(facts.denied) > SHOWN else ""
        reasons.append(f"Findings that `deny` blocks keep it from being approved: {'; '.join(facts.denied[:SHOWN])}{more}.")
        approve += "".join(f" --accept-finding {rule}" for rule in facts.denied_rules)
    then.append(f"To let it run: {approve}")
    if facts.rules.quorum > 1:
        reasons.append(f"It needs {facts.rules.quorum} approvals of different reviewers.")
    return Explanation("review", tuple(reasons), (*then, reject))


def _on_drive(record: Record, facts: Facts) -> Explanation:
    if NOT_ACCEPTED in record.sighting.flags:
        who = line(record.sighting.submitter) or "its sender"
        reasons = (f"It is on Google Drive only, and {who} is not one of your accepted peers.",)
        return Explanation(
            "peer", reasons, ("See who asks: scq peers", "Once accepted, the job is brought here and can be reviewed.")
        )
    reasons = ("It is on Google Drive only, not in the SyftBox folder yet; only what lies there can be approved.",)
    if facts.fetches:
        return Explanation("arrival", reasons, ("The next scq check (or cycle) fetches it.",))
    then = ("Your SyftBox client brings it here when it syncs.", "Or let scq do it: scq check --fetch")
    return Explanation("arrival", reasons, then)


def _approved(record: Record, facts: Facts) -> Explanation:
    decision, short = record.decision, record.id[:8]
    if decision is None:  # only a hand-made memory has such a job
        return Explanation("review", ("It is approved on disk, and not here.",), (f"Review it: scq review {short}",))
    reasons = [_decided(decision, "approved"), f"Exactly this content may run: {record.digest}."]
    reasons += [f"The approval holds {', '.join(words)}." for words in [bound_words(decision.bounds)] if words]
    if record.intents:
        reasons.append("Its folder does not show that yet; the next call writes it there.")
    blocked = _blocked(record, facts)
    reasons += blocked
    then = [_next_run(facts)]
    if record.sighting.dependencies:
        then.append(_packages(record.sighting.dependencies, facts.network))
    if decision.bounds.expires_at is not None:
        then.append(f"Unless it starts before {when(decision.bounds.expires_at)}, it has to be approved again.")
    if not blocked and facts.sandbox != "none":
        then.append("If the sandbox does not hold on this machine, nothing is run; scq doctor tries it.")
    then.append(f"To take the approval back: scq reject {short} -r REASON")
    return Explanation("mending" if facts.sandbox_missing else "runner" if facts.at_work else "run", tuple(reasons), tuple(then))


def _blocked(record: Record, facts: Facts) -> list[str]:
    found = []
    if facts.sandbox_missing:
        found.append(f"It cannot be run here: {line(facts.sandbox_missing, 300)}")
    if facts.at_work:
        found.append(f"Another call is running {_some(facts.at_work)}; it starts when that call is over.")
    if facts.sandbox == "none":
        found.append("It would run WITHOUT a sandbox: `sandbox: none` is configured.")
    return found


def _packages(wanted: Sequence[str], network: Network) -> str:
    names = line(_some(wanted), 200)
    if network == "none":
        return f"It wants packages installed ({names}), and `run.network` is none: unless they are here already, it fails."
    when_ = "before it starts" if network == "prepare" else "while it runs"
    return f"The packages it wants ({names}) are fetched {when_}; if they cannot be had, it fails."


def _next_run(facts: Facts) -> str:
    if facts.next_run is None:
        return "Nothing calls scq by itself: run it with scq run-approved, or see scq schedule install."
    by = f" by {facts.scheduler}" if facts.scheduler else ""
    if facts.late_s:
        return f"The next call{by} runs it, but that is overdue for {seconds(facts.late_s)}: see scq status notify."
    return f"The next call{by} runs it, at about {when(max(facts.next_run, facts.now))}."


def _running(record: Record, facts: Facts) -> Explanation:
    run, short = record.run, record.id[:8]
    if run is None:
        since = f" since {when(record.sighting.started_at)}" if record.sighting.started_at else ""
        problems = tuple(_sentence(line(problem.what, 300)) for problem in record.problems)
        if problems:
            advice = (f"To run it here: scq approve {short}, then scq rerun {short}",)
            return Explanation("runner-elsewhere", (f"Other software took it up{since}.", *problems), advice)
        return Explanation("end", (f"It is run by other software{since}.",), ("scq tells how it ended when its folder says so.",))
    attempt = f"attempt {run.attempt}" + (" without a sandbox" if run.sandbox == "none" else f" in {run.sandbox}")
    if not facts.alive:
        return _cut_off(run, attempt, facts)
    if facts.started_at is None:
        reasons = (f"It was claimed on {when(run.claimed_at)} and is being prepared ({attempt}).",)
        return Explanation("end", reasons, ("It starts as soon as what it needs is there.",))
    ran = max(0.0, (facts.now - facts.started_at).total_seconds())
    reasons = (f"It has been running for {seconds(ran)}, since {when(facts.started_at)} ({attempt}).",)
    if facts.wall_s is None:
        return Explanation("end", reasons, ("It is ended when it reaches its time limit.",))
    left = facts.wall_s - ran
    limit = f"It may run for {seconds(facts.wall_s)}"
    then = f"{limit}; {seconds(left)} are left." if left > 0 else f"{limit}, which is over: it is being ended."
    return Explanation("end", reasons, (then, "Then its results are kept here until you release them, or as configured."))


def _cut_off(run: Run, attempt: str, facts: Facts) -> Explanation:
    reasons = (
        f"It was claimed on {when(run.claimed_at)} ({attempt}), and its runner is gone: the machine or the call was stopped.",
    )
    if facts.started_at is None:
        then = "It had not started. The next call gives it back and runs it."
    elif facts.retry:
        then = "The next call ends it and starts it again (run.retry_interrupted)."
    else:
        then = "The next call marks it as failed, cause interrupted, unless it had ended already."
    return Explanation("recovery", reasons, (then, _next_run(facts)))


def _over(record: Record, facts: Facts) -> Explanation:
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
        then += _mending(record, run)
    if awaits_answer(record):
        reasons.append("Its results are held here; nothing of them has left.")
        then += [f"Look at them: scq output {short}", f"Then scq release {short}, or scq withhold {short} -r REASON"]
        return Explanation("answer", tuple(reasons), tuple(then))
    reasons.append(_answered(record))
    return Explanation("nothing", tuple(reasons), (*then, *_again(record, facts)))


def _ended(run: Run) -> str:
    took = f" after {seconds(run.duration_s)}" if run.duration_s is not None else ""
    at = f" on {when(run.finished_at)}" if run.finished_at else ""
    if run.cause == "exit":
        good = run.exit_code == 0
        return f"It {'ended well' if good else f'failed by itself with exit code {run.exit_code}'}{at}{took}."
    cause = CAUSES.get(run.cause or "", "nobody knows how it ended")
    return f"It failed{at}{took}: {cause}{f' ({line(run.detail, 300)})' if run.detail else ''}."


def _mending(record: Record, run: Run) -> list[str]:
    short = record.id[:8]
    if run.cause == "exit":
        return [f"What it said: scq logs {short} --stderr. Its submitter has to mend it."]
    if run.cause in MENDED_BY_LIMIT:
        return ["Its submitter can ask for less, or you raise the limit (docs/sandbox.md) and let it run again."]
    if run.cause == "dependencies":
        return ["Its submitter has to correct the packages, or they have to be made available (docs/dependencies.md)."]
    if run.cause == "integrity":
        return [f"Compare it with what was approved: scq diff {short}"]
    return ["That was not its own fault: it can be run again as it is."]


def _answered(record: Record) -> str:
    answer = record.answer
    if answer is None:
        kept = {"released": "Its results were released.", "withheld": "Its results are withheld.", "none": "It left no results."}
        return kept[record.outputs]
    why = f": {line(answer.reason, 300)}" if answer.reason else ""
    if answer.verdict == "withheld":
        return f"Its results were withheld by {line(answer.by)} on {when(answer.at)}{why}."
    files = f"{len(answer.files)} file{'' if len(answer.files) == 1 else 's'}"
    how = "by itself (auto_release)" if answer.automatic else f"by {line(answer.by)}"
    return f"{files} of its results were released {how} on {when(answer.at)}{why}."


def _again(record: Record, facts: Facts) -> list[str]:
    """Whether it could run once more."""
    decision, short = record.decision, record.id[:8]
    if decision is None or decision.verdict != "approve":
        return ["Its submitter can send it again under another name."]
    if (wrong := lapsed(record, decision.bounds, facts.rules, facts.now)) is not None:
        return [f"To run it once more: scq rerun {short}, and approve it again, for its {wrong.what}."]
    return [f"To run it once more: scq rerun {short}"]


def _rejected(record: Record) -> Explanation:
    decision, short = record.decision, record.id[:8]
    if decision is None:
        by = line(record.sighting.decided_by or "") or "other software"
        said = line(record.sighting.reason or record.sighting.error or "", 300)
        reason = f"It was rejected by {by}{_disk_by(record)}" + (f": {said}" if said else ".")
    else:
        reason = _decided(decision, "withdrawn" if decision.method == "cancel" else "rejected")
    then = ("Its submitter can send it again under another name.", f"What was decided, and when: scq audit --job {short}")
    return Explanation("nothing", (reason,), then)


def _decided(decision: Decision, word: str) -> str:
    how = {"adopted": " with other software", "digest": ", naming its digest"}.get(decision.method, "")
    why = f": {line(decision.reason, 300)}" if decision.reason else "."
    return f"It was {word}{how} by {line(decision.by, 300)} on {when(decision.at)}{why}"


def tidings(rows: Iterable[Notification], facts: Facts) -> tuple[str, ...]:
    """What became of each message about a job, oldest first, one sentence each."""
    return tuple(_tiding(row, facts) for row in sorted(rows, key=lambda row: (row.created_at, row.key)))


def _tiding(row: Notification, facts: Facts) -> str:
    what = f"{row.kind} to {line(row.recipient)} ({line(row.channel)})"
    why = f": {line(row.outcome, 200)}" if row.outcome else ""
    if row.state == "sent":
        return f"{what}: sent on {when(row.ended_at)}."
    if row.state == "bundled":
        return f"{what}: told in a digest on {when(row.ended_at)}."
    if row.state == "dead":
        return f"{what}: given up on {when(row.ended_at)}{why}. To try again: scq outbox retry {line(row.key, 80)}"
    if row.state == "dropped":
        return f"{what}: dropped by hand on {when(row.ended_at)}."
    if row.in_digest:
        return f"{what}: waits for the next digest."
    if row.state == "ambiguous":
        return f"{what}: nobody knows whether it arrived{why}."
    if row.state == "deferred":
        again = f"tried again at {when(row.not_before)}" if row.not_before else "tried again by the next call"
        return f"{what}: failed {row.attempts} time{'' if row.attempts == 1 else 's'}{why}; {again}."
    if facts.quiet and row.level != "critical":
        return f"{what}: waits for the end of the quiet hours."
    return f"{what}: waits for the next scq notify or cycle."


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(line(name, 60) for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
