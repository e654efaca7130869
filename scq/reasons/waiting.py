"""Jobs of this owner that have not begun: not decided yet, or approved and to be run."""

from __future__ import annotations

from collections.abc import Sequence

from scq.authority import CHANGED, NOT_APPROVED_HERE, approvals, lapsed
from scq.clean import line
from scq.joining import NOT_ACCEPTED
from scq.model import Bounds, Network
from scq.reasons.facts import SHOWN, Explanation, Facts, decided, next_run, sentence, some
from scq.showing import bound_words, when
from scq.state import Record


def pending(record: Record, facts: Facts) -> Explanation:
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
        again = (f"See what changed: scq diff {short}", f"Then approve it again: {_approve(record, facts)}", reject)
        return Explanation("review", (sentence(CHANGED), "So the approval does not hold for it."), again)
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
    return Explanation("review", (sentence(wrong.what),), (f"To allow it again: {_approve(record, facts)}",))


def _approve(record: Record, facts: Facts) -> str:
    """The call that approves it; who it is has to be said where the owner alone does not count."""
    rules = facts.rules
    named = rules.quorum > 1 or (rules.reviewers and rules.me not in rules.reviewers)
    return f"scq approve {record.id[:8]}" + (" --by ADDRESS" if named else "")


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
    approve = _approve(record, facts)
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


def approved(record: Record, facts: Facts) -> Explanation:
    decision, short = record.decision, record.id[:8]
    if decision is None:  # only a hand-made memory has such a job
        return Explanation("review", ("It is approved on disk, and not here.",), (f"Review it: scq review {short}",))
    reasons = [decided(decision, "approved"), f"Exactly this content may run: {record.digest}."]
    reasons += [f"The approval holds {', '.join(words)}." for words in [bound_words(decision.bounds)] if words]
    if record.intents:
        reasons.append("Its folder does not show that yet; the next call writes it there.")
    blocked = _blocked(record, facts)
    reasons += blocked
    then = [next_run(facts) if facts.most is None else next_run(facts, "hands it to the cluster", "hand it to the cluster")]
    if record.sighting.dependencies:
        then.append(_packages(record.sighting.dependencies, facts.network))
    if decision.bounds.expires_at is not None:
        then.append(f"Unless it starts before {when(decision.bounds.expires_at)}, it has to be approved again.")
    if not blocked and facts.sandbox != "none":
        machine = "this machine" if facts.most is None else "its node of the cluster"
        then.append(f"If the sandbox does not hold on {machine}, nothing is run; scq doctor tries it.")
    then.append(f"To take the approval back: scq reject {short} -r REASON")
    word = "mending" if facts.sandbox_missing else "runner" if facts.at_work else "room" if _is_full(facts) else "run"
    return Explanation(word, tuple(reasons), tuple(then))


def _is_full(facts: Facts) -> bool:
    """Whether the cluster has as many jobs as it may have."""
    return facts.most is not None and facts.out >= facts.most


def _blocked(record: Record, facts: Facts) -> list[str]:
    found = []
    if facts.sandbox_missing:
        found.append(f"It cannot be run here: {line(facts.sandbox_missing, 300)}")
    if facts.at_work:
        found.append(f"Another call is running {some(facts.at_work)}; it starts when that call is over.")
    if _is_full(facts):
        out = f"{facts.out} job{' is' if facts.out == 1 else 's are'} on the cluster"
        found.append(f"{out}, and at most {facts.most} may be (executor.slurm.max_queued); it waits here until one is over.")
    if facts.sandbox == "none":
        found.append("It would run WITHOUT a sandbox: `sandbox: none` is configured.")
    return found


def _packages(wanted: Sequence[str], network: Network) -> str:
    names = line(some(wanted), 200)
    if network == "none":
        return f"It wants packages installed ({names}), and `run.network` is none: unless they are here already, it fails."
    when_ = "before it starts" if network == "prepare" else "while it runs"
    return f"The packages it wants ({names}) are fetched {when_}; if they cannot be had, it fails."
