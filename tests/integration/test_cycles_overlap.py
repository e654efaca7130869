"""A hundred cycles that overlap on a busy machine: each ends with 0 or 75, every job runs once, every event is told once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path

from tests.people import OWNER, SCIENTIST
from tests.properties.place import Place

CYCLES, AT_ONCE, JOBS = 100, 20, 20
RECEIVED = {(OWNER, "job.received"), (SCIENTIST, "job.received")}
TOLD = RECEIVED | {(SCIENTIST, "job.approved"), (SCIENTIST, "job.completed"), (OWNER, "outputs.withheld")}
BURNERS = 2
BURN = "import os\nwhile os.getppid() == {parent}: sum(range(100_000))\n"


@contextmanager
def load() -> Iterator[None]:
    """Processes that keep the processors busy, at a lower priority, so that all else comes in between at odd moments."""
    burn = [sys.executable, "-I", "-S", "-c", BURN.format(parent=os.getpid())]
    burners = [subprocess.Popen(["nice", "-n", "19", *burn]) for _ in range(BURNERS)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def start(place: Place) -> subprocess.Popen[str]:
    words = ["--home", str(place.owner.home), "--root", str(place.root), "--email", OWNER, "cycle"]
    return subprocess.Popen(
        [sys.executable, "-m", "scq", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def mails(box: Path) -> Counter[tuple[str, str, str]]:
    """How often each (recipient, event, short id of the job) was told."""
    found = [message_from_bytes(path.read_bytes()) for path in (box / "new").iterdir()]
    return Counter((mail["To"], mail["X-SCQ-Event"], mail["Subject"].rpartition("[scq ")[2].rstrip("]")) for mail in found)


def test_a_hundred_cycles_at_once_under_load(tmp_path: Path) -> None:
    place = Place(tmp_path)
    box = tmp_path / "box"
    place.owner.configure(
        f"sandbox: none\nchannels: {{post: {{type: file, path: {box}, format: maildir}}}}\n"
        "notify: {max_per_run: 10000, max_per_hour_per_recipient: 10000}\n"
    )
    place.owner.scq("cycle")
    names = place.submit_many(JOBS)
    place.owner.scq("approve", *names)
    late = [f"late-{number}" for number in range(JOBS // 4)]
    codes: Counter[int] = Counter()
    with load():
        for turn in range(0, CYCLES, AT_ONCE):
            calls = [start(place) for _ in range(AT_ONCE)]
            if len(late) > turn // AT_ONCE:  # news arrives while they are at work
                place.submit(late[turn // AT_ONCE], "c0")
            for call in calls:
                _, err = call.communicate(timeout=300)
                assert call.returncode in (0, 75), err
                codes[call.returncode] += 1
    assert codes.total() == CYCLES
    assert codes[75], "some left work to others"  # how many found no step taken by another is up to the machine
    place.owner.scq("cycle")
    assert place.ran() == Counter(names)
    ids = {job["name"]: job["short_id"] for job in place.owner.json("list")["jobs"]}
    assert place.statuses() == {**dict.fromkeys(names, "completed"), **dict.fromkeys(late, "pending")}
    assert place.audited("end") == JOBS
    told = mails(box)
    assert set(told.values()) == {1}
    for name in names:
        assert {(to, event) for to, event, job in told if job == ids[name]} == TOLD, name
    for name in late:
        assert {(to, event) for to, event, job in told if job == ids[name]} == RECEIVED, name
