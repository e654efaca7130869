"""A cluster for the tests: one that all tests of a worker share, and one for tests that break it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.slurm import cluster as real
from tests.slurm.cluster import Cluster

REQUIRED = "SCQ_SLURM_REQUIRED"


def need(lack: str) -> None:
    """Skip the test with a reason, or fail where Slurm is said to be there."""
    if lack and os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, but {lack}")
    if lack:
        pytest.skip(lack)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A short-named folder that the user of the box can pass through, which those of pytest do not allow."""
    folder = Path(tempfile.mkdtemp(prefix="scq-slurm-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two nodes that every test of this worker shares: leave no job behind and break nothing."""
    need(real.missing())
    with open_folder() as folder, Cluster(folder / "sl") as started:
        yield started


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """Two nodes of this test's own, to be broken."""
    need(real.missing())
    with open_folder() as folder, Cluster(folder / "sl") as started:
        yield started


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
    with open_folder() as folder, Cluster(folder / "sl", hosts=True) as started:
        yield started
