"""What happens on the node of a cluster: read the order, prove the private copy once more, make the box, supervise the job in it.

`python -I -m scq.node CONTROL SHA256` is what the batch script of a run becomes. CONTROL is the folder of the run that only its
owner can enter, SHA256 that of the order in it. How it ended is a file there. Whoever creates `started` in that folder, which
can be done once, answers for the run: so it happens once, however often it is begun, and not after it was taken back.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NoReturn

from msgspec.structs import replace

from scq import sandbox
from scq.digest import Caps, manifest
from scq.errors import FAILED, OK, USAGE, ConfigError, IntegrityError, ScqError
from scq.executors import rundir
from scq.executors.logs import printable
from scq.executors.slurm.order import NODE, ORDER, Order, Probe, read_order
from scq.executors.supervisor import claim, supervise_here
from scq.files import walk, write_atomic
from scq.model import Cause, Content, Limits, Manifest, Problem
from scq.ports import Ending, Entrance, Invocation, Sandbox, Task
from scq.sandbox import shown

CAPS = Caps(files=1 << 20, bytes=1 << 50)
"""What may be sent at all was judged before the approval."""
NAMED = 5
"""Names of files in one sentence."""
DETAIL_LIMIT = 500
CHOSEN_DEVICES = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""Variables by which the cluster says which of the devices are for this job."""
TAKEN = "this run was begun before or was taken back: nothing is done"


def main(argv: list[str]) -> int:
    """Carry out one order; the exit code. What the owner has to know is in the control folder, the rest on standard error."""
    if len(argv) != 2:
        return _say("usage: python -I -m scq.node CONTROL SHA256", USAGE)
    control, sha256 = argv
    keeper = os.getppid()
    # Until the job is started a request to stop only has to leave nothing behind.
    signal.signal(signal.SIGTERM, _leave)
    try:
        return _carry_out(control, sha256, _node_name(), keeper)
    except OSError as error:
        return _say(f"{error.filename or control}: {error.strerror or error}", FAILED)


def _carry_out(control: str, sha256: str, node: str, keeper: int) -> int:
    if os.path.islink(control) or not os.path.isdir(control):
        return _say(f"{control} is not there: nothing is done", OK)
    for folder in (control, os.path.dirname(control)):
        if not _is_own(folder):
            return _say(f"{folder} belongs to somebody else or others may write there: nothing is done", FAILED)
    if rundir.was_started(control):
        return _say(TAKEN, OK)
    write_atomic(os.path.join(control, NODE), node.encode(), sync=False)
    try:
        order = _order(control, sha256, node)
        if order.probe is not None:
            return _answer(control, order.probe)
        task = _entered(control, order.task, node)
    except ConfigError as error:
        return _refuse(control, node, "start", str(error))
    except ScqError as error:
        return _refuse(control, node, "integrity", str(error))
    if os.getppid() != keeper:
        return _say("the cluster has given this run up: nothing is done", FAILED)
    return _supervise(task, node, keeper)


def _is_own(folder: str) -> bool:
    """True when nobody but this user can put anything into a folder: the content is proven before the box shows it."""
    found = os.lstat(folder)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _order(control: str, sha256: str, node: str) -> Order:
    try:
        return read_order(control, sha256)
    except ConfigError as error:
        raise ConfigError(f"node {node}: {error}", error.advice) from error


def _supervise(task: Task, node: str, keeper: int) -> int:
    try:
        supervise_here(task, node, keeper)
    except FileExistsError:
        return _say(TAKEN, OK)
    return OK


def _entered(control: str, task: Task | None, node: str) -> Task:
    """The task with its box made here. Raises IntegrityError for content that was not approved, ConfigError for the rest."""
    if task is None or task.entrance is None or task.directory != control:
        raise IntegrityError("the order is not one for this folder")
    entrance = task.entrance
    _prove(entrance, os.path.join(control, ORDER))
    box = _box(entrance, node)
    try:
        invocation = _wrapped(box, entrance, task.limits)
    except ScqError as error:
        raise ConfigError(f"node {node}: {error}", error.advice) from error
    except OSError as error:
        raise ConfigError(f"node {node}: {error.filename}: {error.strerror}") from error
    if entrance.not_after is not None and datetime.now(UTC) >= entrance.not_after:
        raise ConfigError("its approval ended while it waited")
    return replace(task, invocation=invocation, entrance=None, stream=False)


def _wrapped(box: Sandbox, entrance: Entrance, limits: Limits) -> Invocation:
    """The process that is the run, with the devices of this node, and with the ones the cluster has chosen for it named."""
    devices = shown.devices(entrance.devices)
    chosen = {name: os.environ[name] for name in CHOSEN_DEVICES if name in os.environ} if devices else {}
    return box.wrap(
        entrance.command,
        work=entrance.work,
        cwd=entrance.cwd,
        env=entrance.env | chosen,
        mounts=(*entrance.mounts, *devices),
        network=entrance.network,
        limits=limits,
    )


def _box(entrance: Entrance, node: str) -> Sandbox:
    """The box, after it has proven on this node that it holds. Raises ConfigError."""
    if entrance.sandbox == "none":
        raise ConfigError(f"no box on node {node}: sandbox none was asked for", "Set sandbox to bwrap.")
    box = sandbox.get(entrance.sandbox, **entrance.settings)
    problems = box.check()
    if problems:
        raise ConfigError(f"no box on node {node}: {'; '.join(problem.what for problem in problems)}", problems[0].advice)
    return box


def _prove(entrance: Entrance, order: str) -> None:
    """Raise IntegrityError unless the private copy is what was approved, and nothing else lies there."""
    root, base = os.path.split(entrance.code)
    content = Content(base, entrance.run_sh, exclude=entrance.extra, ignore=(), fields=entrance.fields)
    found = manifest(root, content, CAPS)
    if found.invalid:
        raise IntegrityError(f"the private copy cannot be run: {'; '.join(found.invalid)}")
    strange = sorted(_strange(entrance, found))
    if strange:
        raise IntegrityError(f"the private copy holds what was not approved: {_names(strange)}")
    if found.digest != entrance.digest:
        changed = sorted(_changed(entrance, os.lstat(order).st_mtime_ns))
        since = f", changed since it was sent: {_names(changed)}" if changed else ""
        raise IntegrityError(f"the private copy is not what was approved{since}")


def _strange(entrance: Entrance, found: Manifest) -> Iterator[str]:
    """Files that a manifest passes over because peers make such, and that no private copy has."""
    known = {entry.path for entry in found.files}
    for path, entry in _walked(entrance):
        if path not in known and not stat.S_ISDIR(entry.st_mode):
            yield path


def _changed(entrance: Entrance, since_ns: int) -> Iterator[str]:
    """What was written, made or given other rights after a moment; a folder in which something was made or removed."""
    for path, entry in ((".", os.lstat(entrance.code)), *_walked(entrance)):
        if entry.st_ctime_ns > since_ns:
            yield path


def _walked(entrance: Entrance) -> Iterator[tuple[str, os.stat_result]]:
    """Everything in the private copy that is no addition to the submission."""
    for path, entry in walk(entrance.code, 2 * CAPS.files):
        if path.partition("/")[0] not in entrance.extra:
            yield path, entry


def _names(paths: list[str]) -> str:
    return ", ".join(paths[:NAMED]) + (f" and {len(paths) - NAMED} more" if len(paths) > NAMED else "")


def _answer(control: str, probe: Probe) -> int:
    """Tell `scq doctor` what it wants to know of this node."""
    from scq.executors.slurm.probe import answer

    try:
        problems = sandbox.get(probe.sandbox, **probe.settings).check()
    except ConfigError as error:
        problems = (Problem("sandbox", str(error), error.advice),)
    answer(control, probe, problems)
    return OK


def _refuse(control: str, node: str, cause: Cause, detail: str) -> int:
    """Write down that a run ended before it began, with logs like every other, and why."""
    detail = _clean(detail)[:DETAIL_LIMIT]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    now = datetime.now(UTC)
    try:
        claim(control, now)
    except FileExistsError:
        return _say(TAKEN, OK)
    said = f"scq: {detail}\n".encode()
    write_atomic(os.path.join(control, rundir.STDOUT), b"")
    write_atomic(os.path.join(control, rundir.STDERR), said)
    at = now.isoformat()
    rundir.write_result(control, Ending(None, cause, at, at, 0, len(said), detail=detail, node=node))
    return _say(detail, FAILED)


def _node_name() -> str:
    return _clean(os.environ.get("SLURMD_NODENAME") or os.uname().nodename)[:255]


def _clean(text: str) -> str:
    """One printable line of what can be written as UTF-8."""
    return printable(text.replace("\n", " ").encode("utf-8", "replace").decode())


def _say(line: str, code: int) -> int:
    sys.stderr.write(f"scq: {_clean(line)}\n")
    return code


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
