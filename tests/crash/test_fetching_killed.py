"""A call killed before any effect of fetching packages, storing them and starting the job: nothing is lost or half there."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.test_killed_in_process import EFFECTS, ENOUGH, Trap, in_a_fork
from tests.people import World

WHEEL = "tinything-1.0-py3-none-any.whl"
SCRIPT = "if false; then pip install tinything; fi\nmkdir -p outputs\nls /wheels > outputs/wheels.txt\n"
EVERY = 9
"""Each round takes a second or more, so only some of the effects are tried."""

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the user of the box can reach, with an index of one package."""
    with tempfile.TemporaryDirectory(prefix="scq-fetching-") as name:
        os.chmod(name, 0o755)
        package = Path(name, "index/tinything")
        package.mkdir(parents=True)
        with zipfile.ZipFile(package / WHEEL, "w") as wheel:
            wheel.writestr("tinything.py", "")
            wheel.writestr("tinything-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinything\nVersion: 1.0\n")
            wheel.writestr("tinything-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr("tinything-1.0.dist-info/RECORD", "")
        (package / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')
        yield Path(name)


def test_a_call_killed_while_it_fetches_is_made_by_the_next_one(place: Path) -> None:
    world = World(place / "now")
    scratch = place / "scratch"
    world.owner.configure(f"sandbox: {{type: bwrap, scratch: {scratch}}}\nprepare: {{index: 'file://{place}/index'}}\n")
    uid = world.approved("fetching", SCRIPT)
    shutil.copytree(place / "now", place / "saved", symlinks=True)
    marker = place / "reached"
    for number in range(1, ENOUGH, EVERY):
        marker.unlink(missing_ok=True)
        in_a_fork(
            lambda: world.owner.scq("run-approved"),
            Trap(EFFECTS, number, marker, lambda: os.kill(os.getpid(), signal.SIGKILL), False),
        )
        try:
            whole_or_absent(world)
            world.owner.scq("run-approved", code=None)
            world.owner.scq("run-approved", code=None)
            ended_well_or_was_cut_off(world, uid, scratch)
        except AssertionError as error:
            error.add_note(f"died at effect {number}: {marker.read_text() if marker.exists() else 'not at all'}")
            raise
        if not marker.exists():
            assert number > 2 * EVERY, "there was nothing to be killed at"
            return
        shutil.rmtree(place / "now")
        shutil.copytree(place / "saved", place / "now", symlinks=True)
    pytest.fail("the call does not end")


def whole_or_absent(world: World) -> None:
    """Whatever lies in the store under the name of its digest has that digest."""
    for path in (world.owner.home / "wheels").glob("??/*/*.whl"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name


def ended_well_or_was_cut_off(world: World, uid: str, scratch: Path) -> None:
    """A job that had begun is over as interrupted; any other has run, with its package, once."""
    job = world.owner.job(uid)
    assert (job["status"], job["run"]["cause"]) in (("completed", "exit"), ("failed", "interrupted"))
    if job["status"] == "completed":
        (found,) = (world.owner.home / "runs").glob("*/outputs/wheels.txt")
        assert found.read_text() == f"{WHEEL}\n"
    whole_or_absent(world)
    assert not list(scratch.glob("scq-*")), "what was made for the run is gone"
