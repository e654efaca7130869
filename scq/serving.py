"""Services: what a scheduler is to call, whom to ask about it, and starting and stopping. Verbs and library share this."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from msgspec import Struct
from msgspec.structs import replace

from scq import calling, installed, schedule
from scq.context import Context
from scq.errors import ConfigError, ScqError, UsageError
from scq.files import make_folder
from scq.model import Problem
from scq.ports import Installed, Schedule, Scheduler
from scq.report import Report
from scq.services import SERVICES
from scq.store import exclusive

LOOP = "loop"
"""What `start` uses where nothing is installed."""
WHOLE_MACHINE = "systemd-system"
"""Never chosen by itself: it needs to be told an account."""
AT_WORK = frozenset({"active", "running", "changed"})


class ServiceState(Struct, frozen=True):
    """A service as it is now. `scheduler` is empty when nothing is installed for it; `every` in seconds."""

    name: str
    scheduler: str = ""
    running: bool = False
    """Its calls are made."""
    pid: int | None = None
    """Of the process that makes them, where there is one of our own, or that is making one."""
    every: float | None = None
    installed: tuple[Installed, ...] = ()


class Choice(Struct, frozen=True):
    """The scheduler to use, and why those before it cannot be used."""

    name: str
    passed_over: tuple[tuple[str, str], ...] = ()


def start(ctx: Context, service: str, every: float | None = None) -> tuple[str, ...]:
    """Have the calls of a service made: over what is installed, or over the loop; what was done, one line each.

    Raises UsageError for an unknown service, ConfigError for `approve` without a program, and what the scheduler raises.
    """
    check_service(ctx, service)
    with changing(ctx):
        record = _found_record(ctx)
        using = schedule.get(record.scheduler if record else LOOP, ctx.env)
        chosen = _services_of(record)
        own = {task.name for task in SERVICES[service].tasks(using.overlaps)}
        there = {entry.name: entry for entry in using.installed(ctx.home)}
        done: list[str] = []
        if not own <= set(there) or service not in chosen or every not in (None, chosen[service]):
            chosen[service] = every or chosen.get(service) or usual_services(ctx)[service]
            done.extend(_install(ctx, using, calling.planned(ctx, using, chosen, _account_of(ctx, record))))
            # What was put to rest stays at rest.
            at_rest = [name for name, entry in there.items() if entry.state == "stopped" and name not in own]
            done.extend(using.stop(ctx.home, name) for name in at_rest)
            there = {entry.name: entry for entry in using.installed(ctx.home)}
        at_work = [name for name in own if name in there and there[name].state in AT_WORK]
        done.extend(using.start(ctx.home, name) for name in sorted(own - set(at_work)))
        _note_as_it_is(ctx, using)
        return tuple(done) or (f"{service}: is running already",)


def stop(ctx: Context, service: str) -> tuple[str, ...]:
    """Let a service rest; what was done, one line each. Raises UsageError for an unknown one."""
    _known(service)
    with changing(ctx, makes_home=False):
        record = _found_record(ctx)
        using = schedule.get(record.scheduler if record else LOOP, ctx.env)
        own = {task.name for task in SERVICES[service].tasks(using.overlaps)}
        names = [entry.name for entry in using.installed(ctx.home) if entry.name in own and entry.state != "stopped"]
        done = tuple(using.stop(ctx.home, name) for name in names)
        _note_as_it_is(ctx, using)
        return done or (f"{service}: was not running",)


def state_of(ctx: Context, service: str) -> ServiceState:
    """A service as it is now. Raises UsageError for an unknown one, ConfigError when it is not known what is installed."""
    _known(service)
    using = _in_use(ctx)
    own = {task.name for task in SERVICES[service].tasks(using.overlaps)}
    entries = tuple(entry for entry in using.installed(ctx.home) if entry.name in own)
    if not entries:
        return ServiceState(service)
    return ServiceState(
        service,
        using.name,
        all(entry.state in AT_WORK for entry in entries),
        next((entry.pid for entry in entries if entry.pid is not None), None),
        entries[0].every,
        entries,
    )


def report(ctx: Context, verb: str, names: Sequence[str], done: tuple[str, ...]) -> Report:
    """What a verb did, and how the services it was about are now."""
    states = [state_of(ctx, name) for name in names]
    rows = [
        {"name": each.name, "scheduler": each.scheduler or None, "running": each.running, "pid": each.pid, "every_s": each.every}
        for each in states
    ]
    return Report(verb, {"services": rows, "done": list(done)}, done, tuple(ctx.problems))


def usual_services(ctx: Context) -> dict[str, float]:
    """The services that make sense here, and the seconds between two calls as config.yaml has them."""
    found = {"notify": ctx.config.notify.interval}
    return found | {"approve": ctx.config.automation.interval} if ctx.config.automation.command else found


def check_service(ctx: Context, service: str) -> None:
    """Raises UsageError for an unknown service, ConfigError for one that has nothing to call."""
    _known(service)
    if service not in usual_services(ctx):
        advice = "Set approve.command to your own program: scq config set approve.command '[\"/path/of/program\"]'"
        raise ConfigError("approve: there is no program to call", advice)


def choose(ctx: Context, name: str = "", user: str = "") -> Choice:
    """The scheduler asked for, else the first that can be used; with `user` that of the whole machine.

    Raises ConfigError for one that cannot be used here, UsageError for an account that is not there.
    """
    name = name or (WHOLE_MACHINE if user else "")
    calling.home_of(user, ctx.env)
    if name:
        why = schedule.get(name, ctx.env).unusable()
        if why:
            raise ConfigError(f"{name} cannot be used here: {why}", "`scq schedule show` names what can; `--loop` always can.")
        return Choice(name)
    passed_over: list[tuple[str, str]] = []
    for other in schedule.SCHEDULERS:
        why = schedule.get(other, ctx.env).unusable()
        if not why and other == WHOLE_MACHINE:
            why = "is used only when asked for: --system --user NAME"
        if not why:
            return Choice(other, tuple(passed_over))
        passed_over.append((other, why))
    raise ConfigError("no scheduler can be used here", "Call `scq cycle` at intervals yourself.")


def install(ctx: Context, name: str, services: Mapping[str, float], user: str = "") -> tuple[str, ...]:
    """Install services with a scheduler, and remove what another one had; what was done, one line each.

    Raises UsageError for what the scheduler cannot express, ConfigError for an account that has no home of scq yet, both before
    anything is changed.
    """
    if user and not os.path.isdir(ctx.home):
        raise ConfigError(f"{ctx.home}: there is no such folder", f"Let {user} call `scq init` first.")
    with changing(ctx):
        using = schedule.get(name, ctx.env)
        wanted = calling.planned(ctx, using, services, user)
        using.files(wanted)
        done = [line for other in others(ctx, name) for line in (f"removing {other}:", *_remove(ctx, other))]
        return (*done, *_install(ctx, using, wanted))


def remove(ctx: Context) -> tuple[str, ...]:
    """Remove whatever is installed; what was done, one line each. Nothing there: nothing is done."""
    with changing(ctx, makes_home=False):
        done = [line for name in others(ctx, "") for line in _remove(ctx, name)]
        installed.forget(ctx.home)
        return tuple(done)


def others(ctx: Context, name: str) -> tuple[str, ...]:
    """Which schedulers but this one have something installed; all are asked when nobody wrote it down."""
    try:
        record = recorded(ctx)
    except ConfigError:
        record = None
    if record is not None:
        return () if record.scheduler == name else (record.scheduler,)
    there = (other for other in schedule.SCHEDULERS if other != name)
    return tuple(other for other in there if _has_something(schedule.get(other, ctx.env), ctx.home))


def _has_something(using: Scheduler, home: str) -> bool:
    try:
        return bool(using.installed(home))
    except ConfigError:  # it is damaged, so it is there
        return True
    except ScqError:  # who cannot be asked here was given nothing here
        return False


def verify(ctx: Context, using: Scheduler, wanted: Schedule) -> Sequence[Problem]:
    """What is wrong with what is installed, and with what such calls would find. Empty: it works."""
    problems = list(using.verify(wanted))
    if using.name != LOOP and not using.unusable() and not _has_something(using, ctx.home):
        what = "does not have the calls of this home any more"
        problems.append(Problem(using.name, what, "Call `scq schedule install` again."))
    if using.name != LOOP:  # the loop hands on its own environment
        advice = "Keep it in a file (`…_file`), or set the variable where the scheduler finds it."
        problems.extend(
            Problem(f"{where}: {variable}", "is an environment variable, which a scheduled call does not have", advice)
            for where, variable in calling.variables(ctx)
        )
    return problems


@contextmanager
def changing(ctx: Context, *, makes_home: bool = True) -> Iterator[None]:
    """Only one call installs, starts or stops at a time. Where there is no home and none is made, nobody is waited for.

    Raises BusyError.
    """
    if makes_home:
        make_folder(ctx.home, 0o700)
    with ExitStack() as held:
        if os.path.isdir(ctx.home):
            with installed.as_owner(ctx.home):
                held.enter_context(exclusive(os.path.join(ctx.home, "locks", "schedule.lock"), ctx.config.lock_timeout))
        yield


def _install(ctx: Context, using: Scheduler, wanted: Schedule) -> tuple[str, ...]:
    using.files(wanted)  # refuses what it cannot express
    # Before anything is installed, so that it can be found whatever happens.
    _note(ctx, using.name, [(entry.name, entry.every) for entry in wanted.entries], wanted.user)
    done = using.install(wanted)
    _note_as_it_is(ctx, using)
    return done


def _remove(ctx: Context, name: str) -> tuple[str, ...]:
    using = schedule.get(name, ctx.env)
    try:
        done = using.remove(ctx.home)
    except UsageError:
        why = using.unusable()
        if not why:
            raise
        done = (f"nothing was removed from {name}, which cannot be used here: {why}",)
    installed.forget(ctx.home)
    return done


def _note(ctx: Context, name: str, entries: Sequence[tuple[str, float]], user: str) -> installed.Record:
    record = installed.Record(name, tuple(entries), ctx.now(), user)
    if os.path.isdir(ctx.home):
        installed.write(ctx.home, record)
    return record


def _note_as_it_is(ctx: Context, using: Scheduler) -> None:
    """Write down how often the scheduler really makes its calls, and which of them rest."""
    record = recorded(ctx)
    if record is None:
        return
    there = {entry.name: entry for entry in using.installed(ctx.home)}
    entries = tuple((name, there[name].every or every if name in there else every) for name, every in record.entries)
    stopped = tuple(name for name, entry in there.items() if entry.state == "stopped")
    if (entries, stopped) != (record.entries, record.stopped):
        installed.write(ctx.home, replace(record, entries=entries, stopped=stopped))


def _found_record(ctx: Context) -> installed.Record | None:
    """The record; where there is none, what is installed all the same is looked for, and written down."""
    record = recorded(ctx)
    name = next(iter(others(ctx, "")), "") if record is None else ""
    if not name:
        return record
    usual = ctx.config.notify.interval
    entries = [(entry.name, entry.every or usual) for entry in schedule.get(name, ctx.env).installed(ctx.home)]
    user = _name_of(installed.owner(ctx.home)[0]) if name == WHOLE_MACHINE else ""
    return _note(ctx, name, entries, user)


def _account_of(ctx: Context, record: installed.Record | None) -> str:
    """The account whose calls these are. Raises ConfigError when a file in somebody's home would give it another one's power."""
    user = record.user if record else ""
    account = installed.owner(ctx.home)[0]
    if record and record.scheduler == WHOLE_MACHINE and account and user != _name_of(account):
        what = f"{os.path.join(ctx.home, installed.NAME)}: names another account than the one it belongs to"
        raise ConfigError(what, "Call `scq schedule install --system --user NAME` with the right one.")
    if user and calling.home_of(user, ctx.env) != calling.home_of("", ctx.env):
        what = f"the calls of {user} are not what is wanted now, and would have to be installed again"
        raise UsageError(what, f"Call `sudo scq schedule install --system --user {user}`, with --every for another interval.")
    return user


def look(ctx: Context) -> None:
    """See to it that what is installed is written down."""
    with changing(ctx, makes_home=False):
        _found_record(ctx)


def _in_use(ctx: Context) -> Scheduler:
    record = recorded(ctx)
    return schedule.get(record.scheduler if record else LOOP, ctx.env)


def _services_of(record: installed.Record | None) -> dict[str, float]:
    """Services in a record, with the seconds between two calls."""
    entries = dict(record.entries) if record else {}
    names = {name: {task.name for task in (service.whole, *service.parts)} for name, service in SERVICES.items()}
    return {name: every for name, tasks in names.items() for task, every in entries.items() if task in tasks}


def recorded(ctx: Context) -> installed.Record | None:
    """What was installed last, None when nothing was. Raises ConfigError when that is not known."""
    record = installed.read(ctx.home)
    if record is not None and record.scheduler not in schedule.SCHEDULERS:
        raise installed.damaged(ctx.home)
    return record


def recorded_services(ctx: Context) -> dict[str, float]:
    """Services that were installed, with the seconds between two calls. Raises ConfigError."""
    return _services_of(recorded(ctx))


def _name_of(account: int) -> str:
    try:
        return pwd.getpwuid(account).pw_name
    except KeyError:  # containers run as numbers nobody gave a name to
        return str(account)


def _known(service: str) -> None:
    if service not in tuple(SERVICES):
        raise UsageError(f"{ascii(service)[:80]} is no service", f"Use one of: {', '.join(SERVICES)}.")
