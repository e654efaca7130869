"""Jobs that were handed to a cluster and are not over here, as far as it says where they are."""

from __future__ import annotations

from msgspec.structs import replace

from scq.clean import line
from scq.model import Run, Whereabouts
from scq.reasons.facts import Explanation, Facts, next_run, time_left
from scq.reasons.queueing import why_it_waits
from scq.showing import NODE, WHY, seconds, when, where_words

TAKES_OVER = ("takes it over", "take it over")


def handed_over(run: Run, attempt: str, short: str, facts: Facts) -> Explanation:
    """Why a run is where it is: about to be handed over, waiting, running, or over there."""
    place, claimed = facts.place, when(run.claimed_at)
    if place is None:
        reasons = (f"It was claimed on {claimed} ({attempt}) and is about to be handed over to the cluster.",)
        return Explanation("end", reasons, ("If the call that does so was stopped, the next one begins again with it.",))
    if place.state == "waiting":
        return _waiting(place, claimed, attempt, f"scq cancel {short}")
    if place.state == "running":
        return _running(place, attempt, facts)
    if place.state == "ending":
        reasons = (f"It is over on the cluster ({attempt}); here it is still to be taken over.",)
        return Explanation("run", reasons, (next_run(facts, *TAKES_OVER),))
    why = f": {line(place.why, WHY)}" if place.why else ""
    reasons = (f"It was handed to the cluster ({attempt}, claimed on {claimed}); where it is cannot be told now{why}.",)
    lost = "Nothing is lost: it waits or runs there by itself, and is not started a second time."
    return Explanation("cluster", reasons, (lost, "To see what is wrong: scq doctor"))


def _waiting(place: Whereabouts, claimed: str, attempt: str, cancel: str) -> Explanation:
    said, then = where_words(replace(place, why="")), []  # the reason has a sentence of its own
    reasons = [f"It {said} ({attempt}, claimed on {claimed})."]
    if place.why:
        meaning, advice = why_it_waits(place.why, line(place.id, NODE))
        reasons.append(meaning)
        then.append(advice)
    return Explanation("cluster", tuple(reasons), (*then, f"To take it back from there: {cancel}"))


def _running(place: Whereabouts, attempt: str, facts: Facts) -> Explanation:
    node = line(place.node, NODE) or "the cluster"
    job = f"job {line(place.id, NODE)}, " if place.id else ""
    over = "When it is over, the next call takes it over."
    if facts.started_at is None:
        return Explanation("end", (f"It is running on {node} ({job}{attempt}).",), (over,))
    ran = max(0.0, (facts.now - facts.started_at).total_seconds())
    reasons = (f"It has been running on {node} for {seconds(ran)}, since {when(facts.started_at)} ({job}{attempt}).",)
    return Explanation("end", reasons, (time_left(facts, ran), over))
