"""`scq schedule install|remove|show|verify`: what calls scq at intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from scq import calling, schedule, serving
from scq.clean import line
from scq.context import Context
from scq.errors import FAILED, UsageError
from scq.lastcalls import last_ended
from scq.model import Problem
from scq.ports import Entry, Installed, PlacedFile, Schedule
from scq.report import Report
from scq.showing import seconds, when


def install(ctx: Context, name: str = "", *, every: float | None = None, user: str = "", dry_run: bool = False) -> Report:
    """Install the services that make sense here with a scheduler, the first usable one when `name` is empty.

    What another scheduler had is removed first. `every`: seconds between two calls of `notify`.
    Raises ConfigError for a scheduler that cannot be used here, UsageError for what it cannot express.
    """
    _check_user(name, user)
    if name == serving.WHOLE_MACHINE and not user:
        raise UsageError("--system needs --user", "Name the account whose calls these are: --user NAME.")
    choice = serving.choose(ctx, name, user)
    services = _services(ctx, every)
    using = schedule.get(choice.name, ctx.env)
    wanted = calling.planned(ctx, using, services, user)
    data = _plan_data(choice.name, using.files(wanted), wanted) | {"passed_over": dict(choice.passed_over), "dry_run": dry_run}
    lines = [f"{other} is not used: {why}" for other, why in choice.passed_over]
    if dry_run:
        removed = [f"would remove what {other} has" for other in serving.others(ctx, choice.name)]
        lines += [f"would install with {choice.name}:", *removed, *_files(using.files(wanted)), *_calls(wanted.entries)]
        return Report("schedule install", data | {"done": []}, tuple(lines), tuple(ctx.problems))
    done = serving.install(ctx, choice.name, services, user)
    lines += [f"installed with {choice.name}:", *(f"  {text}" for text in done or ("everything was as it should be",))]
    every_now = {entry.name: entry.every or 0.0 for entry in using.installed(ctx.home)}  # cron cannot call twice a minute
    lines += _calls(replace(entry, every=every_now.get(entry.name, entry.every)) for entry in wanted.entries)
    lines.append(_what_next(user))
    problems = (*ctx.problems, *serving.verify(ctx, using, wanted))
    return Report("schedule install", data | {"done": list(done)}, tuple(lines), problems)


def remove(ctx: Context, *, dry_run: bool = False) -> Report:
    """Remove whatever is installed. Nothing there: nothing is done."""
    names = serving.others(ctx, "")
    data: dict[str, Any] = {"schedulers": list(names), "done": [], "dry_run": dry_run}
    if dry_run:
        lines = tuple(f"would remove what {name} has" for name in names) or ("nothing is installed",)
        return Report("schedule remove", data, lines)
    done = serving.remove(ctx)
    return Report("schedule remove", data | {"done": list(done)}, done or ("nothing is installed",))


def show(ctx: Context, name: str = "", *, user: str = "") -> Report:
    """What is installed, with what each entry does now; what would be, when nothing is or `name` is not what is installed."""
    record = serving.recorded(ctx)
    using = schedule.get(record.scheduler if record else serving.LOOP, ctx.env)
    entries = () if name not in ("", using.name) else using.installed(ctx.home)
    if not entries:
        return _would_be(ctx, name, user)
    last = _last_calls(ctx, calling.planned(ctx, using, serving.recorded_services(ctx), record.user if record else ""))
    rows = [_row(entry, last.get(entry.name)) for entry in entries]
    lines = [f"{using.name}:", *(text for row in rows for text in _lines_of(row))]
    return Report("schedule show", {"scheduler": using.name, "entries": rows, "files": []}, tuple(lines))


def verify(ctx: Context) -> Report:
    """Whether what is installed works. Exit code 1 with a problem for each thing that does not."""
    record = serving.recorded(ctx)
    if record is None:
        what = Problem(ctx.home, "nothing is installed", "Call `scq schedule install`.")
        return Report("schedule verify", {"scheduler": None, "works": False}, (), (what,), FAILED)
    using = schedule.get(record.scheduler, ctx.env)
    wanted = calling.planned(ctx, using, serving.recorded_services(ctx), record.user)
    problems = tuple(serving.verify(ctx, using, wanted))
    lines = () if problems else (f"{using.name}: works",)
    data = {"scheduler": using.name, "works": not problems}
    return Report("schedule verify", data, lines, problems, FAILED if problems else 0)


def _what_next(user: str) -> str:
    """How to look at what was installed, and how to be rid of it."""
    scq, whose = ("sudo scq", f" --user {user}") if user else ("scq", "")
    return f"See how it is doing: `{scq} schedule show{whose}`. Undo it: `{scq} schedule remove{whose}`."


def _would_be(ctx: Context, name: str, user: str) -> Report:
    _check_user(name, user)
    chosen = name or serving.choose(ctx, "", user).name
    using = schedule.get(chosen, ctx.env)
    wanted = calling.planned(ctx, using, serving.usual_services(ctx), user)
    files = using.files(wanted)
    why = using.unusable()
    lines = [f"{chosen} is not installed, it cannot be used here: {why}" if why else f"{chosen} is not installed, it would be:"]
    lines += [*_files(files), *_calls(wanted.entries)]
    return Report("schedule show", {**_plan_data(chosen, files, wanted), "scheduler": None, "would_be": chosen}, tuple(lines))


def _check_user(name: str, user: str) -> None:
    if user and name not in ("", serving.WHOLE_MACHINE):
        raise UsageError("--user is for --system", "The others work for the account that installs them.")


def _services(ctx: Context, every: float | None) -> Mapping[str, float]:
    services = serving.usual_services(ctx)
    return services | {"notify": every} if every is not None else services


def _plan_data(name: str, files: Iterable[PlacedFile], wanted: Schedule) -> dict[str, Any]:
    calls = [{"name": entry.name, "argv": list(entry.argv), "every_s": entry.every} for entry in wanted.entries]
    shown = [{"path": file.path, "text": file.text, "mode": f"{file.mode:04o}"} for file in files]
    return {"scheduler": name, "calls": calls, "files": shown}


def _files(files: Iterable[PlacedFile]) -> list[str]:
    """Every file with its content, between lines that cannot be part of it."""
    return [text for file in files for text in (f"--- {file.path} (mode {file.mode:04o})", *file.text.splitlines(), "---")]


def _calls(entries: Iterable[Entry]) -> list[str]:
    return [f"  {entry.name}: every {seconds(entry.every)}, {entry.meaning}" for entry in entries]


def _last_calls(ctx: Context, wanted: Schedule) -> dict[str, datetime]:
    """When the verb of each entry last went well, whoever called it."""
    ended = last_ended(ctx.home)
    verbs = {entry.name: word for entry in wanted.entries for word in entry.argv if word in ended}
    return {name: ended[verb].at for name, verb in verbs.items()}


def _row(entry: Installed, last: datetime | None) -> dict[str, Any]:
    return {
        "name": entry.name,
        "state": entry.state,
        "place": entry.place,
        "every_s": entry.every,
        "pid": entry.pid,
        "last_at": entry.last_at or last,
        "next_at": entry.next_at,
        "detail": entry.detail,
    }


def _lines_of(row: Mapping[str, Any]) -> list[str]:
    facts = [f"every {seconds(row['every_s'])}"] if row["every_s"] is not None else []
    facts += [f"process {row['pid']}"] if row["pid"] is not None else []
    facts += [f"{word} {when(row[key])}" for word, key in (("last", "last_at"), ("next", "next_at")) if row[key] is not None]
    facts += [line(row["detail"], 200)] if row["detail"] else []
    return [f"  {row['name']:<8} {row['state']:<8} {', '.join(facts)}".rstrip(), f"           {row['place']}"]
