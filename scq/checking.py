"""What `scq doctor` finds out about limits, messages, schedule, Google Drive and secrets: channels, logs, files, hours."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from shlex import join, quote
from typing import Literal

from msgspec import Struct

from scq import signing, sync_clients
from scq.clean import line
from scq.config_channels import ENDINGS, SECRETS, ChannelSetting
from scq.context import Context
from scq.errors import ConfigError, InvalidFileError, ScqError
from scq.hours import DAY
from scq.journal import error_log_file, log_file
from scq.lastcalls import last_ended
from scq.measuring import at_work, plan_of
from scq.secrets import Secret
from scq.services import SERVICES
from scq.showing import when
from scq.troubles import SIGN_IN

Level = Literal["ok", "warning", "failure", "config"]
PRIVATE_LIMIT = 10_000
"""Entries of the home looked at for their rights."""
OFTEN = timedelta(hours=1).total_seconds()


class Check(Struct, frozen=True):
    """One finding. A warning is `ok`: everything works, and yet somebody should know."""

    name: str
    ok: bool
    level: Level
    detail: str
    advice: str = ""


def fine(name: str, detail: str) -> Check:
    return Check(name, True, "ok", detail)


def note(name: str, detail: str, advice: str) -> Check:
    return Check(name, True, "warning", detail, advice)


def fail(name: str, detail: str, advice: str, level: Level = "failure") -> Check:
    return Check(name, False, level, detail, advice)


def private_files(ctx: Context) -> Iterator[Check]:
    """Files directly in the home: state, sign-in tokens and configuration. Folders below it are closed by its own rights."""
    try:
        with os.scandir(ctx.home) as entries:
            open_ones = sorted(
                entry.name
                for entry, _ in zip(entries, range(PRIVATE_LIMIT), strict=False)
                if entry.is_file(follow_symlinks=False)
                and entry.name != signing.PUBLIC
                and stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode) & 0o077
            )
    except OSError as error:
        yield fail("files", f"{ctx.home}: {error.strerror}", "See the check `home`.")
        return
    if open_ones:
        shown = ", ".join(map(line, open_ones[:10])) + (" …" if len(open_ones) > 10 else "")
        commands = f"{join(['cd', ctx.home])} && {join(['chmod', 'go=', '--', *open_ones[:10]])}"
        yield fail("files", f"open to others: {shown}", line(commands, 3_000))
    else:
        yield fine("files", "state, settings and sign-ins are closed to others")


def limits(ctx: Context) -> Iterator[Check]:
    """Who holds a job to its limits on memory and processes."""
    from scq.executors.cgroups import usable

    if ctx.config.executor == "slurm":
        yield fine("limits", "jobs are held to their limits by the cluster, and watched on their node")
    elif usable():
        yield fine("limits", "memory and processes of boxed jobs are held by control groups")
    else:
        yield fine("limits", "memory and processes are watched: systemd gives no control group here")


def cluster(ctx: Context) -> Iterator[Check]:
    """The cluster that jobs are handed to, where there is one."""
    if ctx.config.executor == "slurm":
        from scq import checking_cluster

        yield from checking_cluster.cluster(ctx)


def channels(ctx: Context) -> Iterator[Check]:
    """Each channel as it could be used by this call; nothing is sent."""
    settings = ctx.config.channels
    for setting in settings:
        yield _channel(ctx, setting)
    if not settings:
        yield note("channels", "there is none: nobody is told anything", "Put one under `channels:` in config.yaml.")
    elif not any(setting.is_mail for setting in settings):
        advice = "Add a channel of type gmail, smtp or file."
        yield note("channels", "none of them can write mail: submitters are told nothing", advice)


def _channel(ctx: Context, setting: ChannelSetting) -> Check:
    where = f"{setting.name} ({setting.type})"
    if setting.type == "gmail" and not os.path.exists(ctx.config.gmail_token_path):
        return fail("channels", f"{where}: no sign-in is saved at {ctx.config.gmail_token_path}", SIGN_IN)
    try:
        why_not = ctx.channel(setting.name).usable()
    except ScqError as error:
        return fail("channels", f"{where}: {line(str(error), 300)}", error.advice or "Correct its settings.")
    if why_not:
        return fail("channels", f"{where}: {line(why_not, 300)}", f"Correct it; scq channels --test {setting.name} tries it.")
    return fine("channels", f"{where} can be used")


def secrets(ctx: Context) -> Iterator[Check]:
    """Where secrets are kept: config.yaml itself is the worst place, a file that others can read is none."""
    for key, secret in _secrets(ctx):
        if secret.literal:
            yield note("secrets", f"{key} stands in config.yaml itself", f"Put it into a file of its own: {key}_file")
        if secret.file and _open_to_others(secret.file):
            yield fail("secrets", f"{secret.file} is open to others", f"chmod 600 {quote(secret.file)}")
    signs_in = any(setting.type == "gmail" for setting in ctx.config.channels)
    token = ctx.config.gmail_token_path
    if signs_in and _open_to_others(token):
        yield fail("secrets", f"{token} is open to others", f"chmod 600 {quote(token)}")


def _secrets(ctx: Context) -> Iterator[tuple[str, Secret]]:
    """Key and place of every secret there is."""
    for setting in ctx.config.channels:
        for name in SECRETS:
            if any(getattr(setting, name + ending) for ending in ENDINGS):
                yield f"channels.{setting.name}.{name}", setting.secret(name)
    if ctx.config.health.secret:
        yield "health.url", ctx.config.health.secret


def _open_to_others(path: str) -> bool:
    try:
        return bool(stat.S_IMODE(os.stat(path).st_mode) & 0o077)
    except OSError:
        # Whoever reads the secret says that it is not there.
        return False


def health(ctx: Context) -> Iterator[Check]:
    """The address that is pinged. It is read, and not called: that would tell a lie."""
    secret = ctx.config.health.secret
    if not secret:
        return
    from scq.pinging import place_of

    try:
        host = place_of(secret.read(ctx.env))
    except ConfigError as error:
        yield fail("health", str(error), error.advice)
    else:
        yield fine("health", f"{host} is told about {', '.join(ctx.config.health.verbs)}")
    if sum(map(bool, (secret.literal, secret.env, secret.file, secret.keyring))) > 1:
        yield note("health", "health.url is given in more than one place", "Keep one of url, url_env, url_file and url_keyring.")


def drive(ctx: Context) -> Iterator[Check]:
    """Google Drive as it could be used by this call; Google is not asked."""
    if not ctx.uses_drive():
        return
    fetches = ctx.config.drive.fetch
    try:
        ctx.drive(changes=fetches)
    except ScqError as error:
        yield fail("drive", line(str(error), 300), error.advice)
        return
    yield fine("drive", "there is a sign-in that may change Google Drive" if fetches else "there is a sign-in for Google Drive")
    other = sync_clients.running(ctx.config.root, ctx.env) if fetches else ""
    if other:
        yield note("drive", line(other, 300), "Beside another client nothing is fetched: stop it, or set drive.fetch: false")


def hours(ctx: Context) -> Iterator[Check]:
    """Time zone, quiet hours and heartbeat: settings that are allowed and yet may not do what was meant."""
    notify = ctx.config.notify
    if notify.timezone and not _zone_exists(notify.timezone):
        advice = "Write one as Europe/Berlin, or install the package tzdata."
        yield fail("hours", f"notify.timezone: this machine knows no {notify.timezone}", advice, "config")
    if notify.digest == "daily" and _within(notify.digest_at, notify.quiet_hours):
        detail = f"notify.digest_at {notify.digest_at} lies in notify.quiet_hours {notify.quiet_hours}"
        yield note("hours", detail, "The digest waits until their end; choose another time.")
    if notify.heartbeat_enabled and notify.heartbeat_interval < OFTEN:
        advice = "A machine that watches is better told with health.url."
        yield note("hours", "notify.heartbeat_interval is less than an hour: that is a lot of messages", advice)


def _zone_exists(name: str) -> bool:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _within(clock: str, span: str) -> bool:
    """True when a time of day lies in a span, which may pass midnight. Both are written `HH:MM`."""
    start, _, end = span.partition("-")
    if start <= end:
        return start <= clock < end
    return clock >= start or clock < end


def calls(ctx: Context) -> Iterator[Check]:
    """Who calls scq at intervals, whether these calls are made, and whether they go well."""
    from scq.serving import recorded_services

    ended = last_ended(ctx.home)
    plan, problems = plan_of(ctx, ended, busy=_is_busy(ctx))
    for problem in problems:
        yield fail("schedule", problem.what, problem.advice)
    if plan is None:
        last = max((end.at for end in ended.values()), default=None)
        if last is not None and ctx.now() - last < DAY:
            yield fine("schedule", f"nothing is installed by scq, and a call went well on {when(last)}")
        elif not problems:
            yield note("schedule", "nobody calls scq at intervals: nothing is noticed by itself", "scq schedule install")
        return
    for call in plan.calls:
        last_ok = f"last went well on {when(call.last.at)}" if call.last else "never went well yet"
        if call.late_s:
            advice = (
                f"scq status {'approve' if call.name == 'approve' else 'notify'} shows why; scq schedule verify looks closer."
            )
            yield fail("schedule", f"{call.name} {last_ok}; {plan.scheduler} is to call it every {call.every:g} s", advice)
        else:
            yield fine("schedule", f"{call.name} {last_ok}, every {call.every:g} s by {plan.scheduler}")
    try:
        services = recorded_services(ctx)
    except ConfigError as error:
        yield fail("schedule", str(error), error.advice)
        return
    for service in services:
        yield from _installed(ctx, service)


def _is_busy(ctx: Context) -> bool:
    """True while a call runs jobs: then the next one of it may take long to end."""
    try:
        records = ctx.store.load().jobs.values()
    except (ConfigError, InvalidFileError):
        # The check `state` reports it.
        return False
    # What is out keeps no call, and the cluster need not be asked where it is.
    here = [record for record in records if record.run is None or not record.run.is_out]
    return any(work.keeps_a_call for work in at_work(ctx, here))


def _installed(ctx: Context, service: str) -> Iterator[Check]:
    """What the scheduler itself says of one service, where it is not as it should be."""
    from scq.serving import state_of

    try:
        state = state_of(ctx, service)
    except ScqError as error:
        yield fail("schedule", f"{service}: {line(str(error), 300)}", error.advice or "scq schedule verify")
        return
    if not state.scheduler:
        yield fail("schedule", f"{service} was installed and is not there any more", "scq schedule install")
    for entry in state.installed:
        if entry.state == "stopped":
            yield note("schedule", f"{entry.name} is stopped: it is not called", f"scq start {service}")
        elif entry.state == "changed":
            yield note("schedule", f"{line(entry.place, 300)} was edited by hand", "To have it anew: scq schedule install")


def logs(ctx: Context) -> Iterator[Check]:
    """Whether what scheduled calls do can be written down."""
    if ctx.config.log.to not in ("file", "both") or not os.path.isdir(ctx.home):
        return
    paths = [name(ctx.home, service) for service in SERVICES for name in (log_file, error_log_file)]
    there = [path for path in paths if os.path.lexists(path)]
    bad = [path for path in there if not stat.S_ISREG(os.lstat(path).st_mode) or not os.access(path, os.W_OK)]
    for path in bad:
        yield fail("logs", f"{path} cannot be written", "It has to be a plain file of yours: move it away, or chmod it.")
    if not bad:
        level, size = ctx.config.log.level, sum(os.path.getsize(path) for path in there)
        yield fine("logs", f"from level {level} on in {ctx.home}/syft-*.log, {size} bytes now")


def troubles(ctx: Context) -> Iterator[Check]:
    """What did not work when it was last tried."""
    try:
        state = ctx.store.load()
    except (ConfigError, InvalidFileError):
        # The check `state` reports it.
        return
    for what, trouble in sorted(state.troubles.items()):
        detail = f"{line(what)}: {line(trouble.what, 300)} since {when(trouble.since)}"
        yield note("troubles", detail, line(trouble.advice, 300) or "It goes away when it works again.")
