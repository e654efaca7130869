"""What a person should do, found in the figures: it waits for a decision, or does not work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from scq.clean import line
from scq.commands.status.screen import WIDTH, Mark, ago_words, count, wrapped
from scq.context import Context
from scq.errors import ScqError
from scq.hours import DAY
from scq.measuring import Call, Figures, SignIn
from scq.services import SERVICES
from scq.showing import seconds, size, when

Level = Literal["action", "failure"]
DRIVES = {"syftbox": "SyftBox", "drive": "Google Drive"}
"""Sources, as people call them."""


class Notice(Struct, frozen=True):
    """Something a person should do: `action` waits for a decision, `failure` does not work."""

    level: Level
    what: str
    advice: str


def notices_of(ctx: Context, figures: Figures, signed: tuple[SignIn, ...]) -> Iterator[Notice]:
    if not ctx.config.email:
        yield Notice("failure", "no email configured", "scq init --email YOU")
    if figures.oldest is not None:
        number = figures.counts["pending"]
        longest = f"{figures.oldest.short_id} {line(figures.oldest.name, 60)}, {seconds(figures.oldest_wait_s)}"
        what = f"{count(number, 'job waits', 'jobs wait')} for your decision; waiting longest: {longest}"
        yield Notice("action", what, f"scq review {figures.oldest.short_id}" if number == 1 else "scq pending")
    if figures.results_waiting:
        what = f"results waiting for your answer: {count(figures.results_waiting, 'job', 'jobs')}"
        yield Notice("action", what, "scq output ID, then scq release ID or scq withhold ID")
    if figures.peers["pending"]:
        what = f"{count(figures.peers['pending'], 'person asks', 'people ask')} to be allowed to send you jobs"
        yield Notice("action", what, "scq peers")
    if figures.outbox["dead"]:
        yield Notice("action", f"{count(figures.outbox['dead'], 'message was', 'messages were')} given up", "scq outbox list")
    if _nobody_calls(ctx, figures):
        yield Notice("action", "nothing looks for jobs by itself", "scq schedule install")
    yield from _stopped(ctx, figures)
    yield from _failures(ctx, figures, signed)


def _nobody_calls(ctx: Context, figures: Figures) -> bool:
    """True where nothing was installed and nobody else, such as an own crontab, has made a call for a day."""
    calls = [ended.at for ended in figures.ended.values()]
    return figures.plan is None and not figures.plan_damage and (not calls or ctx.now() - max(calls) > DAY)


def _stopped(ctx: Context, figures: Figures) -> Iterator[Notice]:
    """Services that rest. Only a loop is asked: it ends with the machine, and its answer costs next to nothing."""
    if figures.plan is None:
        return
    if figures.plan.scheduler != "loop":
        resting = {call.name for call in figures.plan.calls if call.stopped}
        names = [name for name, service in SERVICES.items() if resting & {task.name for task in (service.whole, *service.parts)}]
        yield from map(_rests, names)
        return
    from scq.serving import recorded_services, state_of

    try:
        stopped = [name for name in recorded_services(ctx) if not state_of(ctx, name).running]
    except ScqError as error:
        yield Notice("failure", f"the loop cannot be asked: {line(str(error), 300)}", error.advice)
        return
    yield from map(_rests, stopped)


def _rests(name: str) -> Notice:
    return Notice("action", f"{name} is stopped: it makes no calls", f"scq start {name}")


def _failures(ctx: Context, figures: Figures, signed: tuple[SignIn, ...]) -> Iterator[Notice]:
    for source in figures.sources:
        if not source.ok:
            since = f" since {when(source.since)}" if source.since else ""
            yield Notice("failure", f"{DRIVES[source.name]}: {line(source.what, 300)}{since}", line(source.advice, 300))
    looked_into = {f"source {source.name}" for source in figures.sources}  # just now, which is newer than what is remembered
    for what, trouble in figures.troubles.items():
        if what in looked_into:
            continue
        shown = f"{line(what)}: {line(trouble.what, 300)} since {when(trouble.since)}"
        yield Notice("failure", shown, line(trouble.advice, 300))
    for item in signed:
        told = {"Gmail": "sign-in Gmail", "Google Drive": "source drive"}[item.name]
        if item.state != "ok" and told not in figures.troubles:
            yield Notice("failure", f"sign-in {item.name}: {line(item.what, 300)}", item.advice)
    for problem in figures.plan_damage:
        yield Notice("failure", f"who calls scq is not known: {line(problem.what, 300)}", problem.advice)
    for call in figures.plan.calls if figures.plan else ():
        if call.late_s:
            yield Notice("failure", f"{call.name}: overdue for {ago_words(call.late_s)}", _late_advice(call))
    for work in figures.work:
        if work.alive is False:
            yield Notice(
                "failure", f"{work.job.short_id} {line(work.job.name, 60)} was cut off", "The next scq run-approved ends it."
            )
    if figures.cluster is not None and figures.cluster.unknown:
        what = f"where {count(figures.cluster.unknown, 'job is', 'jobs are')} on the cluster cannot be told now"
        yield Notice("failure", what + (f": {line(figures.cluster.why, 300)}" if figures.cluster.why else ""), "scq doctor")
    for disk in figures.disks:
        if disk.state != "ok":
            yield Notice("failure", f"only {size(disk.free)} free at {disk.path}", "Make room, for example with scq cleanup.")


def _late_advice(call: Call) -> str:
    return f"scq status {'approve' if call.name == 'approve' else 'notify'} shows what became of it."


def head(ctx: Context, notices: list[Notice], mark: Mark) -> Iterator[str]:
    """Who, when, and in one glance whether anything is to be done."""
    who = line(ctx.config.email, 54) or "(no email configured: scq init --email YOU)"
    yield f"{mark('head', who)}{when(ctx.now()).rjust(max(17, WIDTH - len(who)))}"
    actions = [notice for notice in notices if notice.level == "action"]
    failures = [notice for notice in notices if notice.level == "failure"]
    if not notices:
        yield mark("good", "All is well; nothing waits for you.")
    if actions:
        yield mark("note", f"{count(len(actions), 'thing waits', 'things wait')} for you:")
        yield from _bullets(actions)
    if failures:
        yield mark("bad", f"{count(len(failures), 'thing needs', 'things need')} mending:")
        yield from _bullets(failures)


def _bullets(notices: list[Notice]) -> Iterator[str]:
    for notice in notices:
        yield from wrapped("  ", notice.what)
        if notice.advice:
            yield from wrapped("    -> ", notice.advice)
