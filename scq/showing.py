"""How jobs look in a terminal: the table, the card, the code. Text from strangers is cleaned here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from scq.clean import line
from scq.joining import NOT_ACCEPTED
from scq.model import Answer, Bounds, Job, Limits, Notification, Peer, Usage, Whereabouts
from scq.ports import Plan
from scq.state import RemoteFolder

ON_DRIVE = "on Google Drive, not in the SyftBox folder yet"
NODE, WHY = 100, 300
"""Characters that are shown of a name a cluster gave, and of what it says."""
NO_PEER = "its sender is not an accepted peer; scq peers shows who asks"


def jobs_table(jobs: Iterable[Job], me: str) -> list[str]:
    """One line per job with aligned columns: short id, status, when, from or to whom, name, what is wrong."""
    rows = [
        (job.short_id, job.status, when(job.sighting.submitted_at), _other(job, me), line(job.name, 60), _note(job))
        for job in jobs
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows]


def card(job: Job) -> list[str]:
    """Everything known about one job, a fact a line, without its code."""
    sighting = job.sighting
    facts: list[tuple[str, str | None]] = [
        ("job", line(job.name)),
        ("id", job.id),
        ("status", job.status + (" (content changed since approval)" if job.changed else "")),
        ("from", line(sighting.submitter) or "(unknown)"),
        ("for", line(sighting.owner)),
        ("submitted", when(sighting.submitted_at)),
        ("description", line(sighting.description, 500)),
        ("tags", line(", ".join(sighting.tags), 300)),
        ("layout", sighting.layout),
        ("location", line(sighting.path, 500) if sighting.where == "local" else ON_DRIVE),
        ("", NO_PEER if NOT_ACCEPTED in sighting.flags else ""),
        ("kind", line(sighting.kind or "")),
        ("entrypoint", line(sighting.entrypoint or "")),
        ("dependencies", line(", ".join(sighting.dependencies), 500)),
        ("asks for", f"{sighting.timeout_s} s" if sighting.timeout_s else ""),
        ("digest", job.digest),
        ("decision", _decision(job)),
        ("reason", line(sighting.reason or sighting.error or "", 500) if job.decision is None else ""),
        ("run", _run(job)),
        ("where", where(job) if job.place is not None else ""),
        ("results", f"outputs {job.outputs}, logs {job.logs}" if job.run is not None else ""),
    ]
    width = max(len(name) for name, _ in facts)
    lines = [f"{name.rjust(width)}  {value}" for name, value in facts if value]
    lines.extend(f"{'cannot be run'.rjust(width)}  {line(reason, 300)}" for reason in job.invalid)
    for problem in job.problems:
        lines.append(f"{'problem'.rjust(width)}  {line(problem.what, 300)}")
        if problem.advice:
            lines.append(f"{''.rjust(width)}  {line(problem.advice, 300)}")
    return lines


def message_line(row: Notification) -> str:
    """One message on one line: its state, what it is about, to whom, over which channel."""
    about = line(row.context.get("name") or row.context.get("ds_email") or "", 80)
    repeat = ", may be a repeat" if row.repeat else ""
    return f"{row.state:9} {row.kind} {about} -> {line(row.recipient)} ({line(row.channel)}{repeat})".replace("  ->", " ->")


def message_dict(row: Notification) -> dict[str, Any]:
    """The message object of `notify` and `outbox` (docs/notifications.md)."""
    return {
        "key": row.key,
        "event": row.event,
        "kind": row.kind,
        "level": row.level,
        "job": row.job_id,
        "role": row.role,
        "recipient": row.recipient,
        "channel": row.channel,
        "state": row.state,
        "attempts": row.attempts,
        "created_at": _iso(row.created_at),
        "not_before": _iso(row.not_before),
        "ended_at": _iso(row.ended_at),
        "in_digest": row.in_digest,
        "repeat": row.repeat,
        "outcome": row.outcome,
    }


def peers_table(peers: Iterable[Peer], answers: Mapping[str, str]) -> list[str]:
    """One line per peer: address, state and since when, client versions, the answer that is written down and not given yet."""
    rows = [
        (
            line(peer.address, 100),
            peer.state,
            f"since {when(peer.since)}",
            _clients(peer),
            _not_given(answers.get(peer.address, "")),
        )
        for peer in peers
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows]


def peer_card(peer: Peer, answer: str, folders: Iterable[RemoteFolder]) -> list[str]:
    """Everything known about one peer, a fact a line. `answer` is written down and not given yet; empty for none."""
    facts = [
        ("peer", line(peer.address)),
        ("state", peer.state),
        ("since", when(peer.since)),
        ("asked", when(peer.requested_at)),
        ("client", _clients(peer)),
        ("answer", _not_given(answer)),
        *(("folder", line(folder.name, 300)) for folder in folders),
    ]
    width = max(len(name) for name, _ in facts)
    return [f"{name.rjust(width)}  {value}" for name, value in facts if value]


def _clients(peer: Peer) -> str:
    return ", ".join(line(version, 40) or "before 0.1.113" for version in peer.versions)


def _not_given(answer: str) -> str:
    return f"to be {answer} (not on Google Drive yet)" if answer else ""


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def when(moment: datetime | None) -> str:
    """A time as people of this machine read it, `-` when unknown."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment is not None else "-"


def size(count: int) -> str:
    """Bytes for people: 512 B, 1.5 kB, 2.0 MB."""
    if count < 1000:
        return f"{count} B"
    value, unit = count / 1000, "kB"
    for larger in ("MB", "GB"):
        if value >= 1000:
            value, unit = value / 1000, larger
    return f"{value:.1f} {unit}"


def seconds(value: float | None) -> str:
    """A duration for people: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if value is None:
        return "unknown time"
    if value < 10:
        return f"{value:.1f} s"
    whole = int(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def duration(value: float) -> str:
    """A duration in words: 2 hours 15 minutes 30 seconds; no days, whole seconds, nothing negative."""
    minutes, rest = divmod(max(0, int(value)), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "hour"), (minutes, "minute"), (rest, "second"))
    return " ".join(f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count) or "0 seconds"


def bound_words(bounds: Bounds) -> list[str]:
    """How far an approval reaches, one bound a phrase; empty when it has none."""
    values = (
        (bounds.expires_at, f"until {bounds.expires_at:%Y-%m-%d %H:%M} UTC" if bounds.expires_at else ""),
        (bounds.max_runs, "1 run" if bounds.max_runs == 1 else f"{bounds.max_runs} runs"),
        (bounds.timeout_s, f"time {seconds(bounds.timeout_s)}"),
        (bounds.memory, f"memory {size(bounds.memory or 0)}"),
    )
    return [words for value, words in values if value is not None]


def plan_lines(plan: Plan, in_vain: Iterable[str] = ()) -> list[str]:
    """Everything a run will be given, a fact a line. `in_vain` names the limits of which the job asks for more than it gets."""
    limits = limit_words(plan.limits)
    more = [word for name, word in LIMIT_WORDS.items() if name in set(in_vain)]
    shown = [(mount.source, mount.target, mount.writable) for mount in plan.mounts]
    facts = [
        ("command", line(" ".join(plan.command), 300)),
        ("folder", line(plan.cwd, 300)),
        ("user", plan.user),
        ("network", "yes" if plan.network else "none"),
        *(("limits", part) for part in limits),
        *(("asks for more", word) for word in more),
        *((("writes" if writable else "reads"), line(_place(source, target), 300)) for source, target, writable in shown),
        *(("variable", line(f"{name}={value}", 300)) for name, value in sorted(plan.environment.items())),
        *(("note", line(note, 300)) for note in plan.notes),
    ]
    width = max(len(name) for name, _ in facts)
    return [f"    {name.rjust(width)}  {value}" for name, value in facts]


LIMIT_WORDS = {
    "wall_s": "time",
    "cpu_s": "CPU time",
    "memory": "memory",
    "processes": "processes",
    "open_files": "open files",
    "file_size": "size of a file",
    "disk": "disk",
    "output_files": "result files",
    "output_bytes": "results",
    "log_bytes": "each log",
}


def limit_words(limits: Limits) -> list[str]:
    """The limits that are set, one a line: `memory 4.3 GB`."""
    values = ((name, word, getattr(limits, name)) for name, word in LIMIT_WORDS.items())
    return [f"{word} {_amount(name, value)}" for name, word, value in values if value is not None]


def _amount(name: str, value: float) -> str:
    if name.endswith("_s"):
        return seconds(value)
    return str(value) if name in ("processes", "open_files", "output_files") else size(int(value))


def _place(source: str, target: str) -> str:
    return target if source == target else f"{target}  (here: {source})"


def _decision(job: Job) -> str:
    decision = job.decision
    if decision is None:
        return ""
    word = "approved" if decision.verdict == "approve" else "rejected"
    why = f": {line(decision.reason, 300)}" if decision.reason else ""
    how = {"adopted": " with other software", "digest": " by digest", "cancel": " (cancelled)"}.get(decision.method, "")
    bounds = "".join(f", {words}" for words in bound_words(decision.bounds))
    return f"{word}{how} by {line(decision.by)} on {when(decision.at)}{bounds}{why}"


def _run(job: Job) -> str:
    run = job.run
    if run is None:
        code = job.sighting.exit_code
        return "" if code is None else f"exit code {code}"
    if run.finished_at is None:
        return f"attempt {run.attempt}, claimed {when(run.claimed_at)}"
    code_text = "no exit code" if run.exit_code is None else f"exit code {run.exit_code}"
    place = "without a sandbox" if run.sandbox == "none" else f"in {run.sandbox}"
    place += f" on {line(run.node, NODE)}" if run.node else ""
    parts = [f"attempt {run.attempt}", str(run.cause), code_text, seconds(run.duration_s), *usage_words(run.usage), place]
    return ", ".join(parts) + (f": {line(run.detail, 300)}" if run.detail else "")


def usage_words(usage: Usage) -> list[str]:
    """What a job used, as far as it is known: `0.3 s CPU`, `12.0 MB memory`."""
    cpu = [] if usage.cpu_s is None else [f"{seconds(usage.cpu_s)} CPU"]
    return cpu + ([] if usage.memory is None else [f"{size(usage.memory)} memory"])


def answer_line(answer: Answer) -> str:
    """What was decided about the results of a run, in one line."""
    count = f" ({len(answer.files)} {'file' if len(answer.files) == 1 else 'files'})" if answer.verdict == "released" else ""
    how = " by itself" if answer.automatic else ""
    why = f": {line(answer.reason, 300)}" if answer.reason else ""
    return f"{answer.verdict}{count}{how} by {line(answer.by)} on {when(answer.at)}{why}"


def _other(job: Job, me: str) -> str:
    sighting = job.sighting
    if sighting.owner == me:
        return line(sighting.submitter, 60) or "(unknown)"
    return f"to {line(sighting.owner, 60)}"


def where(job: Job) -> str:
    """Where the run of a job is on a cluster, or which machine of one it ran on; empty where it is or was here."""
    if job.place is not None:
        return where_words(job.place)
    return f"on {line(job.run.node, NODE)}" if job.run is not None and job.run.node else ""


def where_words(place: Whereabouts, when: Callable[[datetime], str] = when) -> str:
    """Where a run that was handed over is now, in words; what a cluster says is cleaned. `when` shows a time."""
    if place.state == "waiting":
        return _waits(place, when)
    if place.state == "running":
        job = f" (job {line(place.id, NODE)})" if place.id else ""
        return f"runs on {_machine(place)}" + (f" since {when(place.since)}" if place.since else "") + job
    if place.state == "ending":
        return "is over on the cluster; the next scq run-approved takes it over"
    return "was handed to the cluster; more cannot be told now" + (f": {line(place.why, WHY)}" if place.why else "")


def where_note(place: Whereabouts) -> str:
    """Where such a run is now, in two or three words."""
    if place.state == "waiting":
        turn = "" if place.position is None else ordinal(place.position)
        parts = [part for part in (turn, _in_short(place.why)) if part]
        return "waits" + (f" ({', '.join(parts)})" if parts else "")
    if place.state == "running":
        return f"on {_machine(place)}"
    return "over, to be taken over" if place.state == "ending" else "not known now"


def _in_short(why: str) -> str:
    """A reason without the details that Slurm puts behind a comma: `ReqNodeNotAvail, UnavailableNodes:n[1-2]`."""
    return line(why.partition(",")[0], 40)


def _waits(place: Whereabouts, when: Callable[[datetime], str]) -> str:
    facts = (
        f"job {line(place.id, NODE)}" if place.id else "",
        f"partition {line(place.partition, NODE)}" if place.partition else "",
        "" if place.position is None else f"{ordinal(place.position)} in line",
    )
    known = ", ".join(fact for fact in facts if fact)
    why = f" ({line(place.why, NODE)})" if place.why else ""
    start = f", expected to start at {when(place.starts_at)}" if place.starts_at else ""
    return "waits on the cluster" + (f": {known}" if known else "") + why + start


def _machine(place: Whereabouts) -> str:
    return line(place.node, NODE) or "the cluster"


def ordinal(number: int) -> str:
    """A place in a line: 1st, 2nd, 3rd, 4th, 11th."""
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _note(job: Job) -> str:
    """What is special about it, the rest of a line of the table."""
    if job.invalid:
        return "! cannot be run: " + line(job.invalid[0], 80)
    if job.sighting.where == "drive":
        stranger = ", sender not accepted" if NOT_ACCEPTED in job.sighting.flags else ""
        return f"on Google Drive{stranger}" + (f" ! {line(job.problems[0].what, 80)}" if job.problems else "")
    place = where_note(job.place) if job.place is not None else ""
    return f"{place} ! {line(job.problems[0].what, 80)}".lstrip() if job.problems else place
