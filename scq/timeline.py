"""What a report tells: one story per job, and the figures over all of them. Pure; text is cleaned where it is shown.

A story for a submitter (`ds`) holds only what its messages tell anyway: see scq.wording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Literal

from msgspec import Struct

from scq.model import FINISHED, STATUSES, Event, ReleasedFile, Role, Status, Whereabouts
from scq.showing import seconds, where
from scq.state import Record
from scq.view import awaits_answer, job_of, sent_at
from scq.wording import words_of

MINUTE, HOUR, DAY = 60, 3_600, 86_400
WAIT_EDGES = (10 * MINUTE, HOUR, 4 * HOUR, DAY, 3 * DAY, 7 * DAY, 30 * DAY)
RUN_EDGES = (1, 10, MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY)
MOST_DAYS, MOST_WEEKS, MOST_MONTHS = 92, 104, 120
"""Longest spans that are counted by day and by week, and how many months back are counted at all."""
Step = Literal["day", "week", "month"]
Outcome = Literal["none", "waiting", "released", "withheld"]
"""Of results: there are none, they wait for an answer, they left, they stay."""


class Verdict(Struct, frozen=True):
    """What was decided about a job: `approved`, `rejected` or `cancelled`. Empty `by` and `reason` are not told."""

    word: str
    at: datetime | None
    by: str = ""
    reason: str = ""


class Results(Struct, frozen=True):
    """What became of the results of a job."""

    outcome: Outcome = "none"
    at: datetime | None = None
    by: str = ""
    reason: str = ""
    files: tuple[ReleasedFile, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


class Story(Struct, frozen=True):
    """One job from its arrival to its answer. Durations are in seconds, None while they are not over or not known."""

    id: str
    name: str
    submitter: str
    status: Status
    submitted_at: datetime
    description: str = ""
    tags: tuple[str, ...] = ()
    digest: str = ""
    verdict: Verdict | None = None
    began_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    cause: str = ""
    detail: str = ""
    """One sentence on a failure, for the owner."""
    where: str = ""
    """Where it runs or ran on a cluster, for the owner."""
    results: Results = Results()
    notes: tuple[str, ...] = ()
    """What is wrong with it, one sentence each."""

    @property
    def short_id(self) -> str:
        return self.id[:8]

    @property
    def wait_s(self) -> float | None:
        """From its arrival to the decision; never negative, whatever the clocks did."""
        decided = self.verdict.at if self.verdict is not None else None
        return None if decided is None else _between(self.submitted_at, decided)

    @property
    def run_s(self) -> float | None:
        return None if self.began_at is None or self.ended_at is None else _between(self.began_at, self.ended_at)

    @property
    def is_open(self) -> bool:
        """True while something is still to be done: it is not over, or its results wait."""
        return self.status not in FINISHED or self.results.outcome == "waiting"

    def touched_at(self) -> datetime:
        """When something last happened to it."""
        moments = (self.verdict.at if self.verdict else None, self.began_at, self.ended_at, self.results.at)
        return max([self.submitted_at, *(moment for moment in moments if moment is not None)])


class Count(Struct, frozen=True):
    """How often something happened in a step of the calendar that begins with `start`."""

    start: date
    submitted: int = 0
    decided: int = 0
    ended: int = 0
    released: int = 0


class Activity(Struct, frozen=True):
    """What happened when, oldest first, without gaps. `earlier` happened before the first of `counts`."""

    step: Step
    counts: tuple[Count, ...]
    earlier: int = 0


class Spread(Struct, frozen=True):
    """How durations are distributed. `bins` are (words for a range, how many); median and 90 % are None without any."""

    count: int
    median_s: float | None
    most_s: float | None
    """Nine of ten took no longer."""
    bins: tuple[tuple[str, int], ...]


class Person(Struct, frozen=True):
    """The jobs of one submitter."""

    address: str
    jobs: int
    counts: dict[str, int]
    """By status."""
    wait_s: float | None
    """Median time to a decision."""


class Summary(Struct, frozen=True):
    """The figures over all jobs of a report."""

    jobs: int
    counts: dict[str, int]
    """By status."""
    people: tuple[Person, ...]
    """Most jobs first."""
    activity: Activity
    waits: Spread
    runs: Spread
    failures: dict[str, int]
    """By cause, the most frequent first."""
    verdicts: dict[str, int]
    """By word."""
    results_waiting: int
    released_jobs: int
    released_files: int
    released_bytes: int


def story(record: Record, role: Role, place: Whereabouts | None = None) -> Story:
    """What a report tells about one job to the owner (`do`) or to its submitter (`ds`); `place` is where its run is now."""
    seen, run = record.sighting, record.run
    failed = record.status == "failed"
    return Story(
        id=record.id,
        name=seen.name,
        submitter=seen.submitter,
        status=record.status,
        submitted_at=sent_at(job_of(record)),
        description=seen.description,
        tags=seen.tags,
        digest=(record.digest or "").removeprefix("sha256:"),
        verdict=_verdict(record, role),
        began_at=run.started_at if run is not None else seen.started_at,
        ended_at=run.finished_at if run is not None else seen.finished_at if record.status in ("completed", "failed") else None,
        exit_code=run.exit_code if run is not None else seen.exit_code,
        cause=(run.cause or "") if run is not None and failed else "",
        detail=(run.detail if run is not None else seen.error or seen.reason or "") if failed and role == "do" else "",
        where=where(job_of(record, place)) if role == "do" else "",
        results=_results(record, role),
        notes=_notes(record, role),
    )


def _verdict(record: Record, role: Role) -> Verdict | None:
    """The decision of the ledger, or what other software left in the folders."""
    decision, seen, rejected = record.decision, record.sighting, record.status == "rejected"
    if record.status == "pending" or (decision is None and seen.decided_at is None and not rejected):
        return None
    by = (seen.decided_by or "") if decision is None else decision.by
    by = by if role == "do" else ""
    if decision is None:
        return Verdict("rejected" if rejected else "approved", seen.decided_at, by, (seen.reason or "") if rejected else "")
    word = "cancelled" if decision.method == "cancel" else "approved" if decision.verdict == "approve" else "rejected"
    by_others = decision.method == "adopted" and word == "approved"  # its words may be for the owner alone
    return Verdict(word, decision.at, by, "" if by_others and role == "ds" else decision.reason)


def _results(record: Record, role: Role) -> Results:
    """A submitter is told why results stay, not why they left."""
    answer = record.answer
    if answer is None:
        word: Outcome = "released" if "released" in (record.outputs, record.logs) else "none"
        return Results("waiting" if awaits_answer(record) else word)
    reason = answer.reason if role == "do" or answer.verdict == "withheld" else ""
    return Results(answer.verdict, answer.at, answer.by if role == "do" else "", reason, answer.files)


def _notes(record: Record, role: Role) -> tuple[str, ...]:
    notes: list[str] = []
    if record.invalid:
        notes.append("cannot be run: " + _invalid(record, role))
    if record.changed and role == "do":
        notes.append("its content has changed since it was approved")
    if record.sighting.where == "drive":
        notes.append("on Google Drive, not in the SyftBox folder yet")
    if role == "do":
        notes.extend(problem.what for problem in job_of(record).problems)
    return tuple(notes)


def _invalid(record: Record, role: Role) -> str:
    """Why a job cannot be run, in the words of a message about it."""
    event = Event("", "job.invalid", str(record.sighting.ref), record.id, record.first_seen_at)
    return words_of(event, job_of(record), role, record.sighting.owner).get("reason", "")


def within(stories: Iterable[Story], since: datetime | None) -> tuple[Story, ...]:
    """The stories that are not over or in which something happened since then, the newest first."""
    if since is not None:
        stories = (one for one in stories if one.touched_at() >= since or one.is_open)
    return tuple(sorted(stories, key=lambda one: (one.submitted_at, one.id), reverse=True))


def summary(stories: Sequence[Story], now: datetime, zone: tzinfo | None, since: datetime | None = None) -> Summary:
    """The figures over `stories`. Days begin at midnight of `zone`; None is the zone of the machine."""
    released = [one.results for one in stories if one.results.outcome == "released"]
    failures = Counter(one.cause for one in stories if one.status == "failed")
    return Summary(
        jobs=len(stories),
        counts=_by_status(stories),
        people=_people(stories),
        activity=_activity(stories, now, zone, since),
        waits=spread((one.wait_s for one in stories), WAIT_EDGES),
        runs=spread((one.run_s for one in stories), RUN_EDGES),
        failures=dict(sorted(failures.items(), key=lambda item: (-item[1], item[0]))),
        verdicts=dict(Counter(one.verdict.word for one in stories if one.verdict is not None)),
        results_waiting=sum(one.results.outcome == "waiting" for one in stories),
        released_jobs=len(released),
        released_files=sum(len(result.files) for result in released),
        released_bytes=sum(result.size for result in released),
    )


def _by_status(stories: Iterable[Story]) -> dict[str, int]:
    counts: dict[str, int] = dict.fromkeys(STATUSES, 0)
    for one in stories:
        counts[one.status] += 1
    return counts


def _people(stories: Iterable[Story]) -> tuple[Person, ...]:
    theirs: dict[str, list[Story]] = {}
    for one in stories:
        theirs.setdefault(one.submitter, []).append(one)
    found = [
        Person(address, len(jobs), _by_status(jobs), spread((one.wait_s for one in jobs), WAIT_EDGES).median_s)
        for address, jobs in theirs.items()
    ]
    return tuple(sorted(found, key=lambda person: (-person.jobs, person.address)))


def spread(durations: Iterable[float | None], edges: Sequence[int]) -> Spread:
    """How the durations that are known lie between `edges` (ascending seconds; each belongs to the range above it)."""
    known = sorted(value for value in durations if value is not None)
    counts = [0] * (len(edges) + 1)
    for value in known:
        counts[sum(value >= edge for edge in edges)] += 1
    between = [f"{span(low)} to {span(high)}" for low, high in pairwise(edges)]
    labels = [f"under {span(edges[0])}", *between, f"{span(edges[-1])} and more"]
    return Spread(len(known), _ranked(known, 50), _ranked(known, 90), tuple(zip(labels, counts, strict=True)))


def _ranked(known: Sequence[float], percent: int) -> float | None:
    """The smallest value that so many percent do not exceed."""
    return known[max(0, -(-len(known) * percent // 100) - 1)] if known else None


def span(value: float) -> str:
    """A duration in two units at most: `40 s`, `10 min`, `3 h 20 min`, `2 d 4 h`."""
    if value >= DAY:
        days, hours = divmod(int(value) // HOUR, 24)
        return f"{days} d {hours} h" if hours else f"{days} d"
    words = seconds(value) if value % 1 or value >= 10 else f"{int(value)} s"
    return words.removesuffix(" 0 s").removesuffix(" 0 min")


def _activity(stories: Iterable[Story], now: datetime, zone: tzinfo | None, since: datetime | None) -> Activity:
    today = now.astimezone(zone).date()
    first_day = None if since is None else since.astimezone(zone).date()
    happened = [
        (word, moment.astimezone(zone).date())
        for one in stories
        for word, moment in _moments(one)
        if moment is not None and moment <= now and (since is None or moment >= since)
    ]
    begin = first_day or min((day for _, day in happened), default=today)
    step = _step((today - begin).days + 1)
    starts = _starts(begin, today, step)
    found = Counter((word, _start(day, step)) for word, day in happened)
    counts = tuple(
        Count(start, found["submitted", start], found["decided", start], found["ended", start], found["released", start])
        for start in starts
    )
    return Activity(step, counts, sum(day < starts[0] for _, day in happened))


def _moments(one: Story) -> tuple[tuple[str, datetime | None], ...]:
    released = one.results.at if one.results.outcome == "released" else None
    decided = one.verdict.at if one.verdict is not None else None
    return ("submitted", one.submitted_at), ("decided", decided), ("ended", one.ended_at), ("released", released)


def _step(days: int) -> Step:
    return "day" if days <= MOST_DAYS else "week" if days <= 7 * MOST_WEEKS else "month"


def _starts(begin: date, end: date, step: Step) -> list[date]:
    """The beginnings of the steps from `begin` to `end`, at most `MOST_MONTHS` of months."""
    starts = [_start(end, step)]
    while starts[-1] > _start(begin, step) and len(starts) < MOST_MONTHS:
        starts.append(_start(starts[-1] - timedelta(days=1), step))
    return starts[::-1]


def _start(day: date, step: Step) -> date:
    if step == "day":
        return day
    return day - timedelta(days=day.weekday()) if step == "week" else day.replace(day=1)


def _between(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())
