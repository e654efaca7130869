"""A cluster for the tests: one that all tests of a worker share, and one for tests that break it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.slurm import cluster as real
from tests.slurm.cluster import Cluster

REQUIRED = "SCQ_SLURM_REQUIRED"
SHORT = 60
"""Characters of a folder below which the path of a socket is not too long (107)."""
PATIENCE_S = 20.0


def need(lack: str) -> None:
    """Skip the test with a reason, or fail where Slurm is said to be there."""
    if lack and os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, but {lack}")
    if lack:
        pytest.skip(lack)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A short-named folder that the user of the box can pass through, which those of pytest do not allow."""
    wanted = os.environ.get("PYTEST_DEBUG_TEMPROOT", "")
    folder = Path(tempfile.mkdtemp(prefix="scq-slurm-", dir=wanted if 0 < len(wanted) < SHORT else "/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder in which a job of a test that failed may still write for a moment."""
    give_up = time.monotonic() + PATIENCE_S
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=time.monotonic() < give_up)


@contextmanager
def started(**settings: Any) -> Iterator[Cluster]:
    """Two nodes that run, in a folder of their own; `settings` as for `Cluster`."""
    need(real.missing())
    with ExitStack() as stack:
        folder = stack.enter_context(open_folder())
        try:
            made = stack.enter_context(Cluster(folder / "sl", **settings))
        except real.Refused as refused:
            need(str(refused))
        yield made


class Keeper:
    """Keeps one cluster for test after test."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.cluster: Cluster | None = None

    def get(self) -> Cluster:
        """The cluster, started at the first time."""
        if self.cluster is None:
            self.cluster = self.stack.enter_context(started())
        return self.cluster

    def throw_away(self) -> None:
        """Power cut everywhere: the next test gets a new one."""
        if self.cluster is not None:
            self.cluster.cut_all()
        self.cluster = None
        self.stack.close()


@pytest.fixture(scope="session")
def keeper() -> Iterator[Keeper]:
    kept = Keeper()
    with kept.stack:
        yield kept


@pytest.fixture
def cluster(keeper: Keeper, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Two nodes that every test of this worker shares: leave no job behind, and it as it was, controller and all.

    After a test that failed it may be in any state, so the next gets a new one: one failure stays one.
    """
    failed = request.session.testsfailed
    yield keeper.get()
    if request.session.testsfailed > failed:
        keeper.throw_away()


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """Two nodes of this test's own, to be switched off; or a controller to be killed.

    What a shared one saved last would bring jobs of earlier tests to life again, and nodes remember the numbers of their jobs.
    """
    with started() as made:
        yield made


@pytest.fixture
def shared_dir() -> Iterator[Path]:
    """What `executor.slurm.shared_dir` can name."""
    with open_folder() as folder:
        shared = folder / "shared"
        shared.mkdir()
        shared.chmod(0o711)
        yield shared


@pytest.fixture
def host_cluster() -> Iterator[Cluster]:
    """Two nodes of this test's own, each with a network of its own."""
    need(real.missing())
    if lack := real.missing_for_hosts():
        pytest.skip(lack)
    with started(hosts=True) as made:
        yield made
