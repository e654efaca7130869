"""The aims, and whether what was measured meets them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from benchmarks import drive, slurm
from benchmarks.measuring import Added, Calls, Cost

STAT_CALLS = 300
IDLE_GROWTH = 1.2
SWEEP = 1.5
NEW_JOB_MS = 5.0
RUN_MS = 10.0
STATUS_CPU_MS = 80.0
CYCLE = 0.5
MEMORY_MIB = 40.0
DRIVE_MIB = 64.0
"""With Google's library and its description of the API; each message that is remembered comes on top."""
MESSAGE_KIB = 10.0
MESSAGE_MS = 5.0
INBOXES = 25
"""At least so many are listed with one call."""
OTHER_CALLS = 8
"""Of a full look: whose Drive it is, the place in the changes, folders of peers in pages, the list of answers."""

SUBMIT, COLLECT = 6.0, 8.0
"""Times `sbatch` alone, and times taking the files of a job home alone: a private copy, its proof and notes come on top."""
OUT_MS = 1.0
SLURM_MIB = 64.0


class Floors(Struct, frozen=True):
    """What was measured once."""

    interpreter: Cost
    version: Cost
    fsync_ms: float


class Result(Struct, frozen=True):
    """What was measured for one layout and one length of history."""

    layout: str
    size: int
    walk: Cost
    status: Cost
    pending: Cost
    check: Cost
    three: tuple[Cost, ...]
    """`check`, `run-approved` and `notify`, each with nothing to do."""
    cycle: Cost
    calls: Calls | None
    full: Cost
    one_new: Added
    many_new: Added
    new_at_once: int
    runs: Added
    runs_at_once: int
    script: Cost


class Verdict(Struct, frozen=True):
    """One aim: what was wanted and what was found."""

    aim: str
    found: str
    met: bool

    def __str__(self) -> str:
        return f"{'met    ' if self.met else 'NOT MET'}  {self.aim}: {self.found}"


def judge(floors: Floors, results: Sequence[Result]) -> list[Verdict]:
    """Every aim for every layout and size it is about."""
    found: list[Verdict] = []
    for layout in dict.fromkeys(result.layout for result in results):
        rows = sorted((result for result in results if result.layout == layout), key=lambda result: result.size)
        found.extend(_of_layout(layout, floors, rows))
    return found


def judge_drive(result: drive.Result) -> list[Verdict]:
    """Every aim for looks at Google Drive."""
    first, count = result.first, result.senders * result.messages
    where = f"Drive, {result.senders} senders × {result.messages} messages"
    most = result.senders // INBOXES + OTHER_CALLS
    each = (first.cost.cpu_ms - result.again.cost.cpu_ms) / count
    memory = DRIVE_MIB + count * MESSAGE_KIB / 1024
    peak = max(look.cost.rss_mib for look in (first, result.again, result.idle))
    return [
        Verdict(f"{where}: an idle look is one call", f"{result.idle.calls}", result.idle.calls == 1),
        Verdict(f"{where}: a full look downloads each message once", f"{first.downloads}", first.downloads == count),
        Verdict(f"{where}: and makes at most {most} other calls", f"{first.lists}", first.lists <= most),
        Verdict(f"{where}: a message < {MESSAGE_MS:.0f} ms CPU", f"{each:.1f} ms", each < MESSAGE_MS),
        Verdict(f"{where}: peak memory < {memory:.0f} MiB", f"{peak:.1f} MiB", peak < memory),
    ]


def judge_slurm(result: slurm.Result) -> list[Verdict]:
    """Every aim for jobs on a cluster."""
    where = f"Slurm, {result.jobs} jobs"
    submit, collect = result.submit_ms / result.bare_ms, result.collect_ms / result.files_ms
    peak = max(cost.rss_mib for cost in (result.submit, result.look, result.listing, result.collect))
    return [
        Verdict(f"{where}: one question however many are out", f"{result.questions}", result.questions == 1),
        Verdict(f"{where}: each is shown with its place", f"{result.answers}", result.answers == result.jobs),
        Verdict(f"{where}: handing one over ≤ {SUBMIT:.0f} × sbatch", f"{submit:.1f} ×", submit <= SUBMIT),
        Verdict(f"{where}: collecting one ≤ {COLLECT:.0f} × its files", f"{collect:.1f} ×", collect <= COLLECT),
        _milliseconds(f"{where}: what each that is out adds to a look", result.look_ms, OUT_MS),
        Verdict(f"{where}: peak memory < {SLURM_MIB:.0f} MiB", f"{peak:.1f} MiB", peak < SLURM_MIB),
    ]


def _of_layout(layout: str, floors: Floors, rows: Sequence[Result]) -> Iterator[Verdict]:
    small, large = rows[0], rows[-1]
    if large.calls is not None:
        calls = f"{large.calls.stats} and {large.calls.file_opens}"
        good = large.calls.stats < STAT_CALLS and large.calls.file_opens == 0
        yield Verdict(f"{layout}: idle check, stat calls < {STAT_CALLS} and no job file opened", calls, good)
    growth = large.check.wall_ms / small.check.wall_ms
    aim = f"{layout}: idle check over {large.size} jobs ≤ {IDLE_GROWTH} × over {small.size}"
    yield Verdict(aim, f"{growth:.2f} ×", growth <= IDLE_GROWTH)
    yield _sweep(layout, large)
    for row in (small, large) if small is not large else (small,):
        yield from _of_size(f"{layout}, {row.size} jobs", row)


def _sweep(layout: str, row: Result) -> Verdict:
    """A full look against listing and lstat of the same tree; what a call costs before it looks comes on top."""
    start_up = row.check.wall_ms
    ratio = (row.full.wall_ms - start_up) / (row.walk.wall_ms)
    return Verdict(f"{layout}: full sweep over {row.size} jobs ≤ {SWEEP} × walk + start-up", f"{ratio:.2f} ×", ratio <= SWEEP)


def _of_size(where: str, row: Result) -> Iterator[Verdict]:
    further = (row.many_new.wall_ms - row.one_new.wall_ms) / (row.new_at_once - 1)
    yield _milliseconds(f"{where}: one new job", row.one_new.wall_ms, NEW_JOB_MS)
    yield _milliseconds(f"{where}: each further new job", further, NEW_JOB_MS)
    each = row.runs.wall_ms / row.runs_at_once - row.script.wall_ms
    yield _milliseconds(f"{where}: running a trivial job, beyond the job itself", each, RUN_MS)
    cpu = f"{row.status.cpu_ms:.0f} ms"
    yield Verdict(f"{where}: scq status < {STATUS_CPU_MS:.0f} ms CPU", cpu, row.status.cpu_ms < STATUS_CPU_MS)
    share = row.cycle.cpu_ms / sum(cost.cpu_ms for cost in row.three)
    aim = f"{where}: an idle cycle ≤ {CYCLE} × the CPU of check, run-approved and notify"
    yield Verdict(aim, f"{share:.2f} ×", share <= CYCLE)
    calls = (row.status, row.pending, row.check, row.cycle, row.full, row.one_new, row.many_new, row.runs)
    peak = max(cost.rss_mib for cost in calls)
    yield Verdict(f"{where}: peak memory < {MEMORY_MIB:.0f} MiB", f"{peak:.1f} MiB", peak < MEMORY_MIB)


def _milliseconds(aim: str, found: float, limit: float) -> Verdict:
    return Verdict(f"{aim} < {limit:.0f} ms", f"{found:.1f} ms", found < limit)
