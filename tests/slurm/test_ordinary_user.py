"""An owner who is not root, as owners are: with a home closed to others, on a cluster whose daemons run as root."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scq import executors
from scq.config_values import Slurm
from scq.executors.slurm.notes import Note, write_note
from tests.slurm.cluster import NODES, Cluster
from tests.slurm.conftest import open_folder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the other tests show it: they are not run by root")

ACCOUNT = "nobody"
REPOSITORY = Path(__file__).parents[2]
OWNER = str(Path(__file__).with_name("ordinary.py"))
SYSTEM_PYTHON = Path("/usr/bin/python3")


@pytest.fixture
def home() -> Iterator[Path]:
    """Of the other user."""
    user = pwd.getpwnam(ACCOUNT)
    with open_folder() as folder:
        found = folder / "home"
        found.mkdir(mode=0o700)
        os.chown(found, user.pw_uid, user.pw_gid)
        yield found


def called(argv: Sequence[str], home: Path) -> subprocess.CompletedProcess[str]:
    """A command of the other user, with nothing of this process."""
    user = pwd.getpwnam(ACCOUNT)
    return subprocess.run(
        argv,
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.fixture
def python(home: Path) -> str:
    """A Python with scq that everybody can start: that of the system with the packages of this one."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = home.parent / "venv" / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    installed = Path(msgspec.__file__).parents[1]
    (packages / "scq.pth").write_text(f"{installed}\n{REPOSITORY}\n")
    (home.parent / "venv" / "pyvenv.cfg").write_text(f"home = {SYSTEM_PYTHON.parent}\n")
    program = home.parent / "venv" / "bin" / "python"
    program.parent.mkdir()
    program.symlink_to(SYSTEM_PYTHON)
    tried = called([str(program), "-I", "-c", "import sys, scq.node; print(sys.version_info[:2])"], home)
    if tried.stdout.strip() != str(sys.version_info[:2]):
        pytest.skip(f"no Python that {ACCOUNT} can start has scq")
    return str(program)


@pytest.mark.parametrize("umask", ["077", "002"])
def test_an_ordinary_user_is_served_from_the_submission_to_the_release(
    cluster: Cluster, home: Path, python: str, umask: str
) -> None:
    done = called([python, "-I", OWNER, str(REPOSITORY), str(home / "work"), cluster.conf, str(cluster.bin), umask], home)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    user = pwd.getpwnam(ACCOUNT)
    assert seen["owners"] == [user.pw_uid]
    assert seen["rights"].pop(".") == 0o711
    assert set(seen["rights"].values()) == {0o700}
    assert len(seen["rights"]) >= 2
    assert seen["logs"] == {"stdout": f"{user.pw_uid}\n"}
    assert [(run["cause"], run["attempt"]) for run in seen["runs"]] == [("exit", 1), ("cancelled", 1)]
    assert {run["node"] for run in seen["runs"]} <= set(NODES)
    assert seen["left"] == []
    assert all(seen["checks"][name]["ok"] for name in ("cluster", "shared", "node", "sandbox")), seen["checks"]


def test_a_job_of_the_same_name_that_is_anothers_is_left_alone(
    cluster: Cluster, home: Path, python: str, shared_dir: Path
) -> None:
    tag = f"scq-{os.urandom(8).hex()}"
    script = f"from subprocess import run; run({[str(cluster.bin / 'sbatch'), f'--job-name={tag}', '--output=/dev/null']!r}"
    script += ", input=b'#!/bin/sh\\nsleep 600\\n', check=True, env={'SLURM_CONF': " + repr(cluster.conf) + "})"
    assert called([python, "-I", "-c", script], home).returncode == 0
    theirs = cluster.job(tag)
    assert theirs is not None
    setting = Slurm(shared_dir=str(shared_dir), conf=cluster.conf, bin=str(cluster.bin))
    executor = executors.get("slurm", setting)
    directory = home / "run"
    directory.mkdir()
    write_note(str(directory), Note(tag, str(shared_dir / f"{tag}.run"), 0.0, 1 << 16))
    try:
        executor.stop(str(directory))
        assert executor.whereabouts([str(directory)])[str(directory)].state == "unknown"
        still = cluster.job(tag)
        assert still is not None
        assert still.state in ("PENDING", "RUNNING")
    finally:
        cluster.scancel(theirs.id)
