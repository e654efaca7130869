"""`scq doctor`: everything a job needs, checked one by one, with what to do about each finding."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from shlex import quote

import msgspec

from scq import checking
from scq.checking import Check, fail, fine, note
from scq.config import load
from scq.config_cluster import SHARED
from scq.context import Context
from scq.errors import CONFIG, FAILED, OK, ConfigError, InvalidFileError, ScqError
from scq.files import read_bytes
from scq.measuring import SCARCE
from scq.model import Problem
from scq.report import Report
from scq.syftbox import lies_inside
from scq.tree import DiskTree

OLDEST_CLOCK = datetime(2024, 1, 1, tzinfo=UTC)
CLOCK_SLACK = timedelta(minutes=5)
TRY_LOCK = """
import fcntl, sys
with open(sys.argv[1]) as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(3)
"""


def run(ctx: Context) -> Report:
    """Check everything; no setting and no job is changed. Exit 0: all is well, 78: configuration or state unusable, else 1."""
    checks = [check for look in CHECKS for check in look(ctx)]
    data = {"checks": [msgspec.to_builtins(check) for check in checks]}
    exit_code = OK
    if any(not check.ok for check in checks):
        exit_code = CONFIG if any(check.level == "config" for check in checks) else FAILED
    lines = [line for check in checks for line in _lines(check)]
    return Report("doctor", data, tuple(lines), (), exit_code)


def _lines(check: Check) -> Iterator[str]:
    word = {"ok": "ok", "warning": "note", "failure": "FAIL", "config": "FAIL"}[check.level]
    yield f"{word:<5} {check.name}: {check.detail}"
    if check.advice and check.level != "ok":
        yield f"      {check.advice}"


def _python(ctx: Context) -> Iterator[Check]:
    yield fine("python", f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}")


def _configuration(ctx: Context) -> Iterator[Check]:
    loaded = load(ctx.config_path, ctx.env, {"email": ctx.config.email, "root": ctx.config.root}, home=ctx.home, strict=False)
    for problem in loaded.errors:
        advice = problem.advice or f"Correct {ctx.config_path}; `scq config validate` checks it."
        yield fail("configuration", f"{problem.where}: {problem.what}", advice, "config")
    for problem in loaded.problems:
        if problem not in loaded.errors:
            yield note("configuration", f"{problem.where}: {problem.what}", problem.advice)
    if not loaded.errors:
        there = f"{ctx.config_path}, version {loaded.config.version}"
        yield fine("configuration", there if loaded.source else f"{ctx.config_path} is not there, the defaults hold")


def _home(ctx: Context) -> Iterator[Check]:
    try:
        found = os.lstat(os.path.realpath(ctx.home))
    except OSError as error:
        yield fail("home", f"{ctx.home}: {error.strerror}", "Run `scq init --email YOUR-ADDRESS`.", "config")
        return
    if not stat.S_ISDIR(found.st_mode) or not os.access(ctx.home, os.R_OK | os.W_OK | os.X_OK):
        yield fail("home", f"{ctx.home} is not a folder that can be read and written", "Choose another with --home.", "config")
    elif found.st_uid != os.geteuid():
        advice = f"chown {os.geteuid()} {quote(ctx.home)}, or choose another with --home."
        yield fail("home", f"{ctx.home} belongs to user {found.st_uid}", advice)
    elif stat.S_IMODE(found.st_mode) & 0o077:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        yield fail("home", f"{ctx.home} is open to others ({mode})", f"chmod 700 {quote(ctx.home)}")
    elif ctx.config.root and lies_inside(ctx.home, ctx.config.root):
        yield fail("home", f"{ctx.home} lies inside the SyftBox folder", "Choose another with --home or SCQ_HOME.", "config")
    else:
        yield fine("home", f"{ctx.home}, closed to others")


def _identity(ctx: Context) -> Iterator[Check]:
    if ctx.config.email:
        yield fine("identity", ctx.config.email)
    else:
        yield fail("identity", "your e-mail address is not known", "Run `scq init --email YOUR-ADDRESS`.", "config")


def _syftbox(ctx: Context) -> Iterator[Check]:
    root, me = ctx.config.root, ctx.config.email
    if not root:
        yield fail("syftbox", "no SyftBox folder is known", "Run `scq init --root FOLDER`.", "config")
        return
    if not os.path.isdir(root):
        yield fail("syftbox", f"{root} is not a folder", "Start SyftBox, or correct it: scq init --root FOLDER", "config")
        return
    if not os.access(root, os.R_OK | os.X_OK):
        yield fail("syftbox", f"{root} cannot be read", "Give your user access to it, or run scq as its owner.")
        return
    mine = [folder for folder, address in DiskTree(root, me).datasites() if address.lower() == me]
    closed = [folder for folder in mine if not os.access(os.path.join(root, folder), os.R_OK | os.W_OK | os.X_OK)]
    if closed:
        yield fail("syftbox", f"{root}/{closed[0]} cannot be written", "Results could not be published: check rights and mount.")
    elif not mine:
        yield note("syftbox", f"{root} has no folder of {me or 'yours'} yet", "It appears when SyftBox has synced once.")
    else:
        yield fine("syftbox", f"{root}, own folder {' and '.join(mine)}")


def _layouts(ctx: Context) -> Iterator[Check]:
    if not os.path.isdir(ctx.config.root):
        return
    tree = DiskTree(ctx.config.root, ctx.config.email)
    counts = {family: sum(1 for _ in layout.find(tree)) for family, layout in ctx.layouts.items()}
    found = ", ".join(f"{family} {count}" for family, count in counts.items() if count)
    yield fine("queues", f"jobs found: {found}" if found else "no jobs yet")
    for problem in tree.problems[:20]:
        yield note("queues", f"{problem.where}: {problem.what}", problem.advice)


def _state(ctx: Context) -> Iterator[Check]:
    try:
        state = ctx.store.load()
        over = len(ctx.store.finished().jobs)
    except (ConfigError, InvalidFileError) as error:
        yield fail("state", str(error), error.advice, "config")
        return
    for problem in ctx.store.problems:
        yield note("state", f"{problem.where}: {problem.what}", problem.advice)
    yield fine("state", f"revision {state.revision}, {len(state.jobs)} live and {over} finished jobs remembered")


def _sandbox(ctx: Context) -> Iterator[Check]:
    if ctx.config.sandbox == "none":
        advice = "Without one run only code you would run yourself. To have one: scq config set sandbox bwrap"
        yield note("sandbox", "switched off: a job can read and change whatever you can", advice)
        return
    problems = _unusable(ctx) or ctx.sandbox().check()
    for problem in problems:
        yield fail("sandbox", f"{problem.where}: {problem.what}", problem.advice)
    if not problems:
        yield fine("sandbox", f"{ctx.config.sandbox} holds")


def _unusable(ctx: Context) -> list[Problem]:
    """What is wrong with the shared folder of a cluster. A box that is tried makes its folder, also where no share is mounted."""
    if ctx.config.executor == "local" or not ctx.config.slurm.shared_dir:
        return []
    return [problem for problem in ctx.executor().check() if problem.where == SHARED]


def _data(ctx: Context) -> Iterator[Check]:
    """Declared data that a job could not be shown."""
    from scq.provision import data_mount
    from scq.sandbox.bwrap import BwrapSandbox
    from scq.sandbox.sources import prove_readable

    if not ctx.config.data:
        yield fine("data", "no folders are declared: jobs see only what they bring")
    box = ctx.sandbox()
    for folder in ctx.config.data:
        try:
            dropped = box.dropped() if isinstance(box, BwrapSandbox) else None
            prove_readable([data_mount(ctx, folder)], dropped, ctx.config.sandbox_user)
        except ConfigError as error:
            yield fail("data", str(error), error.advice, "config")
        else:
            yield fine("data", f"{folder.path}, shown as {folder.at}")


def _interpreters(ctx: Context) -> Iterator[Check]:
    """What run.sh of a submission is written for: bash always, and uv where a Python job comes from syft-job."""
    from scq.wheelhouse.sources import find_uv

    path = ctx.config.job_path
    bash, uv = _on_path("bash", path), _on_path("uv", path)
    brought = find_uv(path) if ctx.config.network == "prepare" else ""
    if not bash:
        yield fail("interpreters", f"no bash in {path}", "Install bash, or correct run.path: jobs start with run.sh.")
    elif not uv and not brought:
        advice = "Python jobs of other tools call it: pip install 'scq[uv]', or install uv there."
        yield note("interpreters", f"{bash[0]}, but no uv in {path}", advice)
    else:
        yield fine("interpreters", f"{bash[0]}, {uv[0] if uv else brought}")


def _locks(ctx: Context) -> Iterator[Check]:
    """A lock must keep another process out; some network and shared file systems only pretend."""
    import filelock

    if not os.path.isdir(ctx.home):
        return
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=ctx.home) as folder:
            path = os.path.join(folder, "lock")
            with filelock.FileLock(path, timeout=1.0):
                taken = _other_process_takes(path)
            freed = _other_process_takes(path)
    except (OSError, filelock.Timeout) as error:
        yield fail("locks", f"{ctx.home}: {error}", "Choose a --home on a local disk that you can write.")
        return
    if taken:
        yield fail("locks", f"a lock in {ctx.home} keeps nobody out", "Choose a --home on a local disk.")
    elif not freed:
        yield fail("locks", f"a lock in {ctx.home} is never released", "Choose a --home on a local disk.")
    else:
        yield fine("locks", "a second process is kept out")


def _other_process_takes(path: str) -> bool:
    ended = subprocess.run([sys.executable, "-I", "-S", "-c", TRY_LOCK, path], check=False, timeout=60)
    return ended.returncode == 0


def _clock(ctx: Context) -> Iterator[Check]:
    now = ctx.now()
    advice = "Set the clock: timedatectl set-ntp true"
    if now < OLDEST_CLOCK:
        yield fail("clock", f"it says {now:%Y-%m-%d %H:%M} UTC", advice)
        return
    newest = _newest_memory(ctx)
    if newest is not None and newest > now + CLOCK_SLACK:
        yield fail("clock", f"it says {now:%Y-%m-%d %H:%M} UTC, but something was remembered at {newest:%Y-%m-%d %H:%M}", advice)
        return
    drift = _file_system_drift(ctx.home)
    if drift is not None and abs(drift) > CLOCK_SLACK:
        seconds = drift.total_seconds()
        yield note("clock", f"files in {ctx.home} are dated {seconds:+.0f} s from the clock", "Set the clock of the file server.")
        return
    yield fine("clock", f"{now:%Y-%m-%d %H:%M} UTC")


def _newest_memory(ctx: Context) -> datetime | None:
    try:
        state = ctx.store.load()
    except ScqError:
        # The check `state` reports it.
        return None
    times = [state.baseline_at, state.swept_at, *state.last.values(), *(record.first_seen_at for record in state.jobs.values())]
    return max((time for time in times if time is not None), default=None)


def _file_system_drift(folder: str) -> timedelta | None:
    """How far the time stamps of a file system are from the clock; None where nothing can be written."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".doctor-", dir=folder) as file:
            stamped = os.fstat(file.fileno()).st_mtime
            return datetime.fromtimestamp(stamped, UTC) - datetime.now(UTC)
    except OSError:
        # The checks `home` and `locks` report it.
        return None


def _disk(ctx: Context) -> Iterator[Check]:
    folders = {ctx.home, ctx.config.root, ctx.config.sandbox_scratch if os.geteuid() == 0 else ctx.home}
    if ctx.config.executor == "slurm":
        folders.add(ctx.config.slurm.shared_dir)
    for folder in sorted(folder for folder in folders if os.path.isdir(folder)):
        usage = os.statvfs(folder)
        free = usage.f_bavail * usage.f_frsize
        shown = f"{free / (1 << 30):.1f} GiB free at {folder}"
        if free < SCARCE or (usage.f_files and not usage.f_favail):
            yield fail("disk", f"{shown}, {usage.f_favail} files", "Make room, for example with `scq cleanup`.")
        elif free < ctx.config.output_bytes:
            yield note("disk", f"{shown}, less than the results one job may leave", "Make room, or lower run.output_bytes.")
        else:
            yield fine("disk", shown)


def _programs(ctx: Context) -> Iterator[Check]:
    """An older package installs a program of the same name; a crontab would start whichever comes first."""
    found = _on_path("scq", ctx.env.get("PATH", ""))
    own = {os.path.realpath(os.path.join(os.path.dirname(sys.executable), "scq")), os.path.realpath(sys.argv[0])}
    others = [path for path in found if os.path.realpath(path) not in own and not _starts_us(path)]
    if not found:
        advice = f"In a crontab write the whole path: {os.path.join(os.path.dirname(sys.executable), 'scq')}"
        yield note("programs", "no scq on PATH", advice)
    elif others and others[0] == found[0]:
        yield fail("programs", f"`scq` starts another program: {others[0]}", "Uninstall it, or put this one first on PATH.")
    elif others:
        yield note(
            "programs", f"other programs of this name: {', '.join(others)}", "Uninstall them so that none starts by chance."
        )
    else:
        yield fine("programs", found[0])


def _starts_us(path: str) -> bool:
    """True for a start script that runs with this very Python."""
    try:
        first = read_bytes(os.path.realpath(path)).splitlines()[:1]
    except InvalidFileError:
        # Not a small readable script, so not ours.
        return False
    return bool(first) and first[0].removeprefix(b"#!").strip() == os.fsencode(sys.executable)


def _on_path(name: str, search: str) -> list[str]:
    """Every program of a name on a search path, in order, each real file once."""
    found: dict[str, str] = {}
    for folder in search.split(os.pathsep):
        path = os.path.join(folder, name)
        if folder and os.path.isfile(path) and os.access(path, os.X_OK):
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


CHECKS: tuple[Callable[[Context], Iterator[Check]], ...] = (
    _python,
    _configuration,
    _identity,
    _syftbox,
    _home,
    checking.private_files,
    _state,
    _locks,
    _clock,
    _sandbox,
    _disk,
    checking.limits,
    checking.cluster,
    _data,
    _interpreters,
    _programs,
    _layouts,
    checking.calls,
    checking.logs,
    checking.channels,
    checking.drive,
    checking.secrets,
    checking.health,
    checking.hours,
    checking.troubles,
)
