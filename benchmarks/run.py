"""Measure, print the table, and say for every aim whether it is met. Exit code 1 when one is not."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from benchmarks import drive, floors, slurm
from benchmarks.aims import Floors, Result, judge, judge_drive, judge_slurm
from benchmarks.measuring import SCQ, Added, Cost, added, can_trace, measure, traced
from benchmarks.world import World

LAYOUTS = ("c0", "a3", "b2")
SIZES = (10, 1_000, 10_000)
PENDING = 3
JOBS_TO_RUN = 20
NEW_AT_ONCE = 10
SENDERS, MESSAGES = 500, 20
CLUSTER_JOBS = 1_000
COLUMNS = ("call", "wall ms", "x python", "cpu ms", "MiB")


class Setup(Struct, frozen=True):
    """What the caller asked for."""

    layouts: tuple[str, ...]
    sizes: tuple[int, ...]
    repeat: int
    folder: str
    boxed: bool
    senders: int
    messages: int
    cluster_jobs: int


def main(arguments: Sequence[str]) -> int:
    """Run all measurements and print them."""
    setup = _parsed(arguments)
    print(f"python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}, {SCQ[0]}")
    with tempfile.TemporaryDirectory(dir=setup.folder or None, prefix="scq-bench-") as name:
        floor = Floors(
            interpreter=floors.interpreter(2 * setup.repeat),
            version=measure((*SCQ, "--version"), 2 * setup.repeat),
            fsync_ms=floors.fsync_ms(Path(name)),
        )
        _print_row("python -c pass", floor.interpreter, floor)
        _print_row("scq --version", floor.version, floor)
        print(f"fsync of a small file: {floor.fsync_ms:.2f} ms")
        results = [
            _measured(Path(name, f"{layout}-{size}"), layout, size, setup, floor)
            for layout in setup.layouts
            for size in setup.sizes
        ]
        remote = [_drive(Path(name, "drive"), setup, floor)] if setup.senders else []
        cluster = _slurm(Path(name), setup, floor) if setup.cluster_jobs else None
    verdicts = judge(floor, results) + [verdict for result in remote for verdict in judge_drive(result)]
    verdicts += judge_slurm(cluster) if cluster else []
    print()
    for verdict in verdicts:
        print(verdict)
    return int(any(not verdict.met for verdict in verdicts))


def _measured(folder: Path, layout: str, size: int, setup: Setup, floor: Floors) -> Result:
    folder.mkdir()
    world = World(folder, layout)
    world.add_finished(size - 1)
    world.add_pending(PENDING - 1)
    world.settle()
    print(f"\n{layout}: {size} finished jobs, {PENDING} pending")
    print(f"{COLUMNS[0]:32}" + "".join(f"{word:>10}" for word in COLUMNS[1:]))
    idle = _show("check", world, setup, floor)
    result = Result(
        layout=layout,
        size=size,
        walk=floors.walk(world.root, setup.repeat),
        status=_show("status", world, setup, floor),
        pending=_show("pending", world, setup, floor),
        check=idle,
        three=(idle, _show("run-approved", world, setup, floor), _show("notify", world, setup, floor)),
        cycle=_show("cycle", world, setup, floor),
        calls=traced(world.command("check"), world.root) if can_trace() else None,
        full=_show("check --full", world, setup, floor),
        one_new=added(world.command("check"), setup.repeat, lambda: world.add_pending(1)),
        many_new=added(world.command("check"), setup.repeat, lambda: world.add_pending(NEW_AT_ONCE)),
        new_at_once=NEW_AT_ONCE,
        runs=_runs(world, setup),
        runs_at_once=JOBS_TO_RUN,
        script=floors.script(world.source, setup.repeat),
    )
    _print_row("scandir and lstat of everything", result.walk, floor)
    _print_row("bash run.sh", result.script, floor)
    _print_added("1 new job adds to check", result.one_new)
    _print_added(f"{NEW_AT_ONCE} new jobs add to check", result.many_new)
    _print_added(f"{JOBS_TO_RUN} jobs add to run-approved", result.runs)
    if setup.boxed:
        _boxed(world, setup, result.runs)
    if result.calls is not None:
        print(f"idle check below the SyftBox folder: {result.calls.stats} stat calls, {result.calls.file_opens} files opened")
    return result


def _drive(folder: Path, setup: Setup, floor: Floors) -> drive.Result:
    """Looks at Google Drive, each with its requests on their own."""
    print(f"\nDrive: {setup.senders} senders, {setup.messages} messages each")
    print(f"{COLUMNS[0]:32}" + "".join(f"{word:>10}" for word in COLUMNS[1:]))
    result = drive.looks(folder, setup.senders, setup.messages, setup.repeat)
    _print_row("check that leaves Drive alone", result.local, floor)
    for look in (result.idle, result.again, result.first):
        _print_row(look.name, look.cost, floor)
        _print_row(f"  its {look.calls} requests alone", look.floor, floor)
    return result


def _slurm(folder: Path, setup: Setup, floor: Floors) -> slurm.Result | None:
    """Jobs on a cluster, where Slurm is installed."""
    print(f"\nSlurm: {setup.cluster_jobs} jobs on two nodes of this machine")
    if why := slurm.unusable():
        print(f"not measured: {why}")
        return None
    folder.chmod(0o711)  # called by root: the user of the box has to pass
    print(f"{COLUMNS[0]:32}" + "".join(f"{word:>10}" for word in COLUMNS[1:]))
    result = slurm.runs(folder / "slurm", setup.cluster_jobs, setup.repeat)
    _print_row(f"run-approved, {result.jobs} handed over", result.submit, floor)
    _print_row(f"  sbatch alone, {slurm.BARE} times", result.bare, floor)
    _print_row(f"run-approved, {result.jobs} out", result.look, floor)
    _print_row(f"list, {result.jobs} out", result.listing, floor)
    _print_row("  squeue alone", result.squeue, floor)
    _print_row(f"run-approved, {slurm.COLLECTED} collected", result.collect, floor)
    _print_row("  their files alone", result.files, floor)
    _print_row("run-approved, nothing out", result.idle, floor)
    submit, collect = result.submit_ms / result.bare_ms, result.collect_ms / result.files_ms
    print(f"handing over a job: {result.submit_ms:.1f} ms, {submit:.1f} x sbatch ({result.bare_ms:.1f} ms)")
    print(f"collecting a job: {result.collect_ms:.1f} ms, {collect:.1f} x its files ({result.files_ms:.1f} ms)")
    print(f"a job that is out adds {result.look_ms:.2f} ms to a look")
    return result


def _show(name: str, world: World, setup: Setup, floor: Floors) -> Cost:
    cost = measure(world.command(*name.split()), setup.repeat)
    _print_row(name, cost, floor)
    return cost


def _runs(world: World, setup: Setup) -> Added:
    """What many trivial jobs add to a call; they are submitted and approved ahead of it."""

    def approve() -> None:
        words = world.add_pending(JOBS_TO_RUN)
        world.call("check")
        world.call("approve", *words)

    return added(world.command("run-approved"), max(3, setup.repeat // 2), approve)


def _boxed(world: World, setup: Setup, plain: Added) -> None:
    """The same in the sandbox, where it holds on this machine: what the box adds to a job, beside the plainest box there is."""
    config = world.home / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("sandbox: none", "sandbox: bwrap"))
    try:
        boxed = _runs(world, setup)
        _print_added(f"{JOBS_TO_RUN} jobs in a box add", boxed)
        more, floor = (boxed.wall_ms - plain.wall_ms) / JOBS_TO_RUN, floors.box(setup.repeat).wall_ms
        print(f"the box adds {more:.1f} ms to a trivial job, {more / floor:.1f} x `bwrap true` ({floor:.1f} ms)")
    except RuntimeError as error:
        print(f"in a box: not measured, {str(error).splitlines()[-1]}")
    finally:
        config.write_text(text)


def _print_row(name: str, cost: Cost, floor: Floors) -> None:
    ratio = cost.wall_ms / floor.interpreter.wall_ms
    print(f"{name:32}{cost.wall_ms:10.1f}{ratio:10.1f}{cost.cpu_ms:10.1f}{cost.rss_mib:10.1f}", flush=True)


def _print_added(name: str, more: Added) -> None:
    print(f"{name:32}{more.wall_ms:+10.1f}{'':10}{more.cpu_ms:+10.1f}{more.rss_mib:10.1f}", flush=True)


def _parsed(arguments: Sequence[str]) -> Setup:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--layouts", default=",".join(LAYOUTS), help="generation words, default %(default)s")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="finished jobs, default %(default)s")
    parser.add_argument("--repeat", type=int, default=7, help="repetitions, the least disturbed counts; default %(default)s")
    parser.add_argument("--folder", default="", help="where to make the trees; default: the folder for temporary files")
    parser.add_argument("--senders", type=int, default=SENDERS, help="senders of jobs over Drive, default %(default)s; 0: none")
    parser.add_argument("--messages", type=int, default=MESSAGES, help="what each of them sent, default %(default)s")
    parser.add_argument("--cluster-jobs", type=int, default=CLUSTER_JOBS, help="jobs on a Slurm, default %(default)s; 0: none")
    parser.add_argument("--no-box", dest="boxed", action="store_false", help="do not run jobs in bubblewrap as well")
    found = parser.parse_args(arguments)
    return Setup(
        layouts=tuple(found.layouts.split(",")),
        sizes=tuple(int(size) for size in found.sizes.split(",")),
        repeat=found.repeat,
        folder=found.folder,
        boxed=found.boxed and shutil.which("bwrap") is not None,
        senders=found.senders,
        messages=found.messages,
        cluster_jobs=found.cluster_jobs,
    )
