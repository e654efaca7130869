"""`scq status`: the one screen that says how everything is doing, and what one service does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec import Struct

from scq.clean import line
from scq.context import Context
from scq.errors import ACTION_NEEDED, OK
from scq.measuring import STATUSES, Call, Figures, SignIn, Source, Work, measure, sign_ins
from scq.model import Trouble
from scq.report import Report
from scq.showing import seconds, size, when

Mark = Callable[[str, str], str]
"""Shows a text by what it means: `good`, `note`, `bad`, `head`, `dim`."""
Level = Literal["action", "failure"]
WIDTH = 80
LABEL = 10
LOG_LINES = 5
WORDS = {"ok": "good", "late": "note", "low": "note", "ends": "note", "none": "note", "stopped": "note"}
"""States that are no failure, and what they mean."""
DRIVES = {"syftbox": "SyftBox", "drive": "Google Drive"}
UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


class Notice(Struct, frozen=True):
    """Something a person should do: `action` waits for a decision, `failure` does not work."""

    level: Level
    what: str
    advice: str


class Row(Struct, frozen=True):
    """One line of the screen: the group it belongs to, what it is about, its state in one word, and the rest."""

    label: str
    name: str = ""
    word: str = ""
    text: str = ""


def run(ctx: Context, *, exit_code: bool = False, mark: Mark | None = None) -> Report:
    """Jobs, what is at work, sources, schedule, messages, channels, sign-ins, sandbox and disks; first what needs a person.

    Nobody is asked anything: it tells what the folders hold and what is remembered. With `exit_code` the code is 3 when jobs
    wait. `mark` colours words.
    """
    figures = measure(ctx)
    signed = sign_ins(ctx)
    notices = list(_notices(ctx, figures, signed))
    data = _data(ctx, figures, signed) | {"notices": [{"level": n.level, "what": n.what, "advice": n.advice} for n in notices]}
    code = ACTION_NEEDED if exit_code and figures.oldest else OK
    lines = (*_head(ctx, notices, mark or _plain), "", *_table(list(_rows(ctx, figures, signed)), mark or _plain))
    return Report("status", data, lines, figures.problems, code)


def _plain(meaning: str, text: str) -> str:
    return text


def _notices(ctx: Context, figures: Figures, signed: tuple[SignIn, ...]) -> Iterator[Notice]:
    if not ctx.config.email:
        yield Notice("failure", "no email configured", "scq init --email YOU")
    if figures.oldest is not None:
        count, waits = figures.counts["pending"], ago_words(figures.oldest_wait_s or 0.0)
        what = f"{_count(count, 'job waits', 'jobs wait')} for your decision, the oldest for {waits}"
        yield Notice("action", what, f"scq review {figures.oldest.short_id}" if count == 1 else "scq pending")
    if figures.results_waiting:
        what = f"{_count(figures.results_waiting, 'job has', 'jobs have')} results that wait for your answer"
        yield Notice("action", what, "scq output ID, then scq release ID or scq withhold ID")
    if figures.peers["pending"]:
        what = f"{_count(figures.peers['pending'], 'person asks', 'people ask')} to be allowed to send you jobs"
        yield Notice("action", what, "scq peers")
    if figures.outbox["dead"]:
        yield Notice("action", f"{_count(figures.outbox['dead'], 'message was', 'messages were')} given up", "scq outbox list")
    yield from _failures(ctx, figures, signed)


def _failures(ctx: Context, figures: Figures, signed: tuple[SignIn, ...]) -> Iterator[Notice]:
    for source in figures.sources:
        if not source.ok and f"source {source.name}" not in figures.troubles:
            yield Notice("failure", f"{DRIVES[source.name]} {line(source.what, 300)}", source.advice)
    for what, trouble in figures.troubles.items():
        shown = f"{line(what)}: {line(trouble.what, 300)} since {when(trouble.since)}"
        yield Notice("failure", shown, line(trouble.advice, 300))
    known = {what.lower() for what in figures.troubles}
    for item in signed:
        if item.state != "ok" and f"sign-in {item.name}".lower() not in known:
            yield Notice("failure", f"sign-in {item.name}: {line(item.what, 300)}", item.advice)
    for call in figures.plan.calls if figures.plan else ():
        if call.late_s:
            yield Notice("failure", f"{call.name}: overdue for {ago_words(call.late_s)}", _late_advice(call))
    for work in figures.work:
        if work.alive is False:
            yield Notice(
                "failure", f"{work.job.short_id} {line(work.job.name, 60)} was cut off", "The next scq run-approved ends it."
            )
    for disk in figures.disks:
        if disk.state != "ok":
            yield Notice("failure", f"only {size(disk.free)} free at {disk.path}", "Make room, for example with scq cleanup.")


def _late_advice(call: Call) -> str:
    service = "approve" if call.name == "approve" else "notify"
    return f"scq logs {service} tells why; scq schedule verify looks at what is installed."


def _head(ctx: Context, notices: list[Notice], mark: Mark) -> Iterator[str]:
    """Who, when, and in one glance whether anything is to be done."""
    who = line(ctx.config.email, 54) or "(no email configured: scq init --email YOU)"
    yield f"{mark('head', who)}{when(ctx.now()).rjust(max(17, WIDTH - len(who)))}"
    actions = [notice for notice in notices if notice.level == "action"]
    failures = [notice for notice in notices if notice.level == "failure"]
    if not notices:
        yield mark("good", "All is well; nothing waits for you.")
    if actions:
        yield mark("note", f"{_count(len(actions), 'thing waits', 'things wait')} for you:")
        yield from _bullets(actions)
    if failures:
        yield mark("bad", f"{_count(len(failures), 'thing needs', 'things need')} mending:")
        yield from _bullets(failures)


def _bullets(notices: list[Notice]) -> Iterator[str]:
    for notice in notices:
        yield from _wrapped("  ", notice.what)
        if notice.advice:
            yield from _wrapped("    -> ", notice.advice)


def _rows(ctx: Context, figures: Figures, signed: tuple[SignIn, ...]) -> Iterator[Row]:
    now = ctx.now()
    yield Row("jobs", text="  ".join(f"{figures.counts[word]} {word}" for word in STATUSES))
    if figures.oldest is not None and figures.oldest_wait_s is not None:
        waits = f"waiting longest: {figures.oldest.short_id} {line(figures.oldest.name, 60)}, {seconds(figures.oldest_wait_s)}"
        yield Row("jobs", text=waits)
    if figures.results_waiting:
        yield Row("jobs", text=f"results waiting for your answer: {figures.results_waiting}")
    for work in figures.work:
        yield _work_row(work, now)
    for source in figures.sources:
        yield _source_row(source, figures, now)
    yield from _plan_rows(figures, now)
    yield Row("messages", text=_outbox(figures))
    for channel in figures.channels:
        sent = f", last message {_ago(channel.sent_at, now)}" if channel.sent_at else ""
        yield Row("channels", line(channel.name, 24), "FAIL" if channel.trouble else "ok", f"{channel.type}{sent}")
    if not figures.channels:
        yield Row("channels", "", "none", "nobody is told anything; put one under channels: in config.yaml")
    for item in signed:
        word = {"ok": "ok", "ending": "ends"}.get(item.state, "FAIL")
        yield Row("sign-ins", item.name, word, f"until {when(item.ends_at)}" if item.ends_at else line(item.what, 200))
    if ctx.config.sandbox == "none":
        yield Row("sandbox", "", "NONE", "jobs run with the rights of this account; see docs/configuration.md")
    else:
        yield Row("sandbox", "", "", ctx.config.sandbox)
    for disk in figures.disks:
        place = "" if len(figures.disks) == 1 else " for scq" if disk.path == ctx.home else " for the SyftBox folder"
        yield Row("disk", "", disk.state if disk.state != "full" else "FULL", f"{size(disk.free)} free{place}")


def _work_row(work: Work, now: datetime) -> Row:
    run = work.job.run
    head = f"{work.job.short_id} {line(work.job.name, 40)}"
    if work.alive is None:
        return Row("running", head, "", "by other software" + (f", {_for(work.started_at, now)}" if work.started_at else ""))
    attempt = f", attempt {run.attempt}" if run is not None and run.attempt > 1 else ""
    if not work.alive:
        return Row("running", head, "FAIL", f"its runner is gone{attempt}")
    return Row("running", head, "", (_for(work.started_at, now) if work.started_at else "being prepared") + attempt)


def _source_row(source: Source, figures: Figures, now: datetime) -> Row:
    if not source.ok:
        since = f" since {when(source.since)}" if source.since else ""
        return Row("sources", DRIVES[source.name], "FAIL", f"{line(source.what, 200)}{since}")
    looked = f"looked at {_ago(source.looked_at, now)}" if source.looked_at else "never looked at; scq check looks once"
    full = f", as a whole {_ago(source.full_at, now)}" if source.full_at and source.full_at != source.looked_at else ""
    only = f"; {_count(figures.on_drive, 'job', 'jobs')} there only" if source.name == "drive" and figures.on_drive else ""
    return Row("sources", DRIVES[source.name], "ok" if source.looked_at else "none", f"{looked}{full}{only}")


def _plan_rows(figures: Figures, now: datetime) -> Iterator[Row]:
    """What is called at intervals; where nothing is installed, what was called by somebody else."""
    plan = figures.plan
    if plan is None:
        yield Row("schedule", "", "none", "nothing is installed; scq schedule install")
        calls = sorted(figures.ended.items(), key=lambda item: item[1].at)
        if calls:
            verb, ended = calls[-1]
            yield Row("schedule", text=f"last good call: {verb}, {_ago(ended.at, now)}")
        return
    for call in plan.calls:
        last = "never went well yet" if call.last is None else f"went well {_ago(call.last.at, now)}"
        text = f"{last}, every {interval(call.every)} by {plan.scheduler}"
        yield Row("schedule", call.name, "late" if call.late_s else "ok" if call.last else "", text)


def _table(rows: list[Row], mark: Mark) -> Iterator[str]:
    """The rows with aligned columns; a group is named once, and what is too long goes on in the next line."""
    before = ""
    for row in rows:
        group = [other for other in rows if other.label == row.label]
        name_width = max(len(other.name) for other in group)
        word_width = max(len(other.word) for other in group)
        name = f"{row.name.ljust(name_width)}  " if name_width else ""
        word = f"{row.word.ljust(word_width)}  " if word_width else ""
        label = ("" if row.label == before else row.label).ljust(LABEL)
        before = row.label
        indent = len(label) + len(name) + len(word)
        first, *rest = _wrapped(" " * indent, row.text) or [" " * indent]
        shown = mark(WORDS.get(row.word, "bad"), row.word) + word[len(row.word) :] if row.word else word
        yield (mark("head", label) + name + shown + first[indent:]).rstrip()
        yield from rest


def _wrapped(indent: str, text: str) -> list[str]:
    """Text cut at blanks into lines of at most `WIDTH` columns; what follows the first is indented alike."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append((indent if not lines else " " * len(indent)) + word)
    return lines


def _outbox(figures: Figures) -> str:
    """`2 to send, 1 tried again later, 1 uncertain, 5 sent, 1 given up; waiting longest: 3 min 0 s`."""
    box = figures.outbox
    wait = "" if figures.outbox_wait_s is None else f"; waiting longest: {seconds(figures.outbox_wait_s)}"
    parts = [f"{box['queued']} to send"]
    parts += [
        f"{box[word]} {text}" for word, text in (("deferred", "tried again later"), ("ambiguous", "uncertain")) if box[word]
    ]
    parts.append(f"{box['sent']} sent")
    parts += [f"{box['dead']} given up (scq outbox list)"] if box["dead"] else []
    return ", ".join(parts) + wait


def _data(ctx: Context, figures: Figures, signed: tuple[SignIn, ...]) -> dict[str, Any]:
    return {
        "email": ctx.config.email,
        "root": ctx.config.root,
        "home": ctx.home,
        "at": _iso(ctx.now()),
        "counts": figures.counts,
        "oldest_pending": figures.oldest.id if figures.oldest else None,
        "oldest_wait_s": figures.oldest_wait_s,
        "results_waiting": figures.results_waiting,
        "sandbox": ctx.config.sandbox,
        "outbox": figures.outbox,
        "outbox_wait_s": figures.outbox_wait_s,
        "troubles": [_trouble(what, trouble) for what, trouble in figures.troubles.items()],
        "last_ok": {verb: _iso(ended.at) for verb, ended in figures.ended.items()},
        "looked_at": _iso(figures.looked_at),
        "drive": {
            "looked_at": _iso(figures.drive_looked_at),
            "jobs": figures.on_drive,
            "missed": figures.drive_missed,
            "peers": figures.peers,
        },
        "source": {"name": figures.source.name, "ok": figures.source.ok},
        "running": [_work(work) for work in figures.work],
        "sources": [msgspec.to_builtins(source) for source in figures.sources],
        "schedule": None if figures.plan is None else msgspec.to_builtins(figures.plan),
        "channels": [
            {"name": item.name, "type": item.type, "ok": item.trouble is None, "sent_at": _iso(item.sent_at)}
            for item in figures.channels
        ],
        "sign_ins": [msgspec.to_builtins(item) for item in signed],
        "disks": [msgspec.to_builtins(disk) for disk in figures.disks],
    }


def _work(work: Work) -> dict[str, Any]:
    run = work.job.run
    return {
        "id": work.job.id,
        "name": work.job.name,
        "attempt": 0 if run is None else run.attempt,
        "started_at": _iso(work.started_at),
        "alive": work.alive,
    }


def _trouble(what: str, trouble: Trouble) -> dict[str, Any]:
    return {"where": what, "what": trouble.what, "since": _iso(trouble.since), "advice": trouble.advice}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def ago_words(value: float) -> str:
    """A duration in its largest unit, rounded down: `2 hours`, `1 day`."""
    for unit_s, unit in UNITS:
        if value >= unit_s:
            return _count(int(value // unit_s), unit, f"{unit}s")
    return "less than a second"


def _ago(moment: datetime, now: datetime) -> str:
    waited = (now - moment) / timedelta(seconds=1)
    return "just now" if waited < 1 else f"{ago_words(waited)} ago"


def _for(since: datetime, now: datetime) -> str:
    return f"for {seconds(max(0.0, (now - since).total_seconds()))}"


def interval(every: float) -> str:
    """How often: `30 s`, `5 min`, `1 h`."""
    whole = int(every)
    if whole >= 3_600 and whole % 3_600 == 0:
        return f"{whole // 3_600} h"
    return f"{whole // 60} min" if whole >= 60 and whole % 60 == 0 else f"{every:g} s"
