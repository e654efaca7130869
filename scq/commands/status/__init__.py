"""`scq status`: the one screen that says how everything is doing, and what one service does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from scq.clean import line
from scq.commands.status.notices import head, notices_of
from scq.commands.status.rows import rows_of
from scq.commands.status.screen import Mark, Row, ago, ago_words, interval, plain, table
from scq.context import Context
from scq.errors import ACTION_NEEDED, OK
from scq.lastcalls import last_ended
from scq.measuring import Call, Figures, SignIn, Work, measure, plan_of, sign_ins
from scq.model import Trouble
from scq.report import Report
from scq.services import SERVICES
from scq.view import place_dict

if TYPE_CHECKING:
    from scq.serving import ServiceState

LOG_LINES = 5


def run(ctx: Context, *, exit_code: bool = False, mark: Mark | None = None) -> Report:
    """Jobs, what is at work, sources, schedule, messages, channels, sign-ins, sandbox and disks; first what needs a person.

    Nobody is asked anything: it tells what the folders hold and what is remembered. With `exit_code` the code is 3 when jobs
    wait. `mark` colours words.
    """
    figures = measure(ctx)
    signed = sign_ins(ctx)
    notices = list(notices_of(ctx, figures, signed))
    data = _data(ctx, figures, signed) | {"notices": [{"level": n.level, "what": n.what, "advice": n.advice} for n in notices]}
    code = ACTION_NEEDED if exit_code and figures.oldest else OK
    lines = (*head(ctx, notices, mark or plain), "", *table(list(rows_of(ctx, figures, signed)), mark or plain))
    return Report("status", data, lines, figures.problems, code)


def service(ctx: Context, name: str, *, mark: Mark | None = None) -> Report:
    """How one service (`notify`, `approve`) is doing: who makes its calls, when one last went well, and the end of its log.

    Raises UsageError for an unknown one, ConfigError when it is not known what is installed.
    """
    from scq.journal import log_file
    from scq.journal.reading import tail
    from scq.serving import state_of

    state = state_of(ctx, name)
    plan, problems = plan_of(ctx, last_ended(ctx.home), busy=False)
    tasks = {task.name for task in (SERVICES[name].whole, *SERVICES[name].parts)}
    calls = [call for call in plan.calls if call.name in tasks] if plan else []
    log = log_file(ctx.home, name)
    data = msgspec.to_builtins(state) | {
        "calls": [msgspec.to_builtins(call) for call in calls],
        "log": log,
        "lines": tail(log, LOG_LINES),
    }
    rows = list(_service_rows(ctx, state, calls))
    lines = [f"{name}: {SERVICES[name].meaning}", "", *table(rows, mark or plain)]
    lines += ["", log, *(f"  {text}" for text in data["lines"])] if data["lines"] else ["", f"{log} is empty or not there yet"]
    return Report("status", data, tuple(lines), problems)


def _service_rows(ctx: Context, state: ServiceState, calls: list[Call]) -> Iterator[Row]:
    if not state.scheduler:
        yield Row("state", "", "none", f"nothing makes its calls; scq start {state.name}, or scq schedule install")
        return
    pid = f", process {state.pid}" if state.pid is not None else ""
    every = f" every {interval(state.every)}" if state.every else ""
    yield Row("state", "", "ok" if state.running else "stopped", f"called{every} by {state.scheduler}{pid}")
    for entry in state.installed:
        detail = f"; {line(entry.detail, 200)}" if entry.detail else ""
        yield Row("installed", entry.name, entry.state, f"{line(entry.place, 300)}{detail}")
    now = ctx.now()
    for call in calls:
        last = "never went well yet" if call.last is None else f"went well {ago(call.last.at, now)}, took {call.last.took_s:g} s"
        late = f"; overdue for {ago_words(call.late_s)}" if call.late_s else ""
        yield Row("last call", call.name, "late" if call.late_s else "ok" if call.last else "none", last + late)


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
        "cluster": None if figures.cluster is None else msgspec.to_builtins(figures.cluster),
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
        "place": None if work.place is None else place_dict(work.place),
    }


def _trouble(what: str, trouble: Trouble) -> dict[str, Any]:
    return {"where": what, "what": trouble.what, "since": _iso(trouble.since), "advice": trouble.advice}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
