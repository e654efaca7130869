"""The published peers: which releases, and a virtual environment for each.

They want Python 3.12. Environments are made once and kept in `SCQ_PEERS` (default `.cache/peers` in the repository).
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("SCQ_PEERS") or HERE.parents[1] / ".cache" / "peers")
MACHINE_ENVIRONMENT = dict(os.environ)  # as it was before a test replaced the home directory: pip needs its configuration


@dataclass(frozen=True)
class Peer:
    """One published release. `words` maps scq's status words to the release's own ones."""

    name: str
    requirements: tuple[str, ...]
    driver: str
    words: dict[str, str]
    outputs: str
    """Where a bash script has to write its results, as the release documents it."""
    layouts: tuple[str, ...]
    """The generations it reads, its own first."""
    submits_to_others: bool = True

    @property
    def folder(self) -> str:
        """Name of the folder of its environment; peers that need the same packages share one."""
        return self.requirements[0].replace("==", "-")

    def script(self, exit_code: int = 0) -> str:
        """Says hello, writes one result, ends as asked. Uses nothing the release refuses to run."""
        return (
            f"#!/bin/bash\nset -e\necho hello\nmkdir -p {self.outputs}\necho 42 > {self.outputs}/answer.txt\nexit {exit_code}\n"
        )


REVIEWED = {"pending": "pending", "approved": "approved", "completed": "done", "failed": "failed", "rejected": "rejected"}
MARKED = {"pending": "inbox", "approved": "approved", "completed": "done", "failed": "done"}
QUEUED = {word: word for word in ("pending", "approved", "completed", "failed", "rejected")}
RUNNER = ("syft-core==0.2.8", "syft-simple-runner==0.2.2")

CLIENT = ("syft==0.10.0", "syft-rds==0.6.1", "syft-job==0.1.40", "syft-perms==0.1.15")
"""The client that travels over Google Drive, with the release of syft-job that it asks for."""

PEERS = (
    Peer(
        "syft-job-0.1.40",
        CLIENT,
        "syft_job_driver.py",
        REVIEWED,
        "code/outputs",
        ("c1", "c0"),
    ),
    Peer("syft-job-0.1.38", ("syft-job==0.1.38", "syft-perms==0.1.13"), "syft_job_driver.py", REVIEWED, "code/outputs", ("c0",)),
    Peer("syft-job-0.1.24", ("syft-job==0.1.24", "syft-perms==0.1.0"), "syft_job_driver.py", MARKED, "outputs", ("b2",)),
    Peer(
        "syft-code-queue-0.1.27",
        ("syft-code-queue==0.1.27", "syft-perm==0.1.0", *RUNNER),
        "code_queue_driver.py",
        QUEUED,
        '"$OUTPUT_DIR"',
        ("a3",),
    ),
    Peer(
        "syft-code-queue-0.1.4",
        ("syft-code-queue==0.1.4", *RUNNER),
        "code_queue_driver.py",
        QUEUED,
        '"$OUTPUT_DIR"',
        ("a3",),  # to oneself, all that this release can do, both are the same place
        submits_to_others=False,
    ),
)

DRIVE_PEER = Peer(
    "syft-0.10.0",
    CLIENT,
    "drive_client_driver.py",
    REVIEWED,
    "code/outputs",
    ("c1",),
)
"""The client that travels over Google Drive. Apart from the others: its two people do not share a folder."""


@cache
def python312() -> str | None:
    """A Python 3.12 that really runs (a name on PATH may be a shim without a version), None when there is none."""
    names = [
        os.environ.get("SCQ_PEER_PYTHON"),
        "python3.12",
        *map(str, Path("~/.pyenv/versions").expanduser().glob("3.12*/bin/python")),
    ]
    test = "import sys; sys.exit(sys.version_info[:2] != (3, 12))"
    for name in filter(None, names):
        try:
            if subprocess.run([name, "-c", test], capture_output=True, env=MACHINE_ENVIRONMENT, check=False).returncode == 0:
                return name
        except OSError:
            continue
    return None


def environment(peer: Peer, python: str) -> Path:
    """The interpreter of a virtual environment with that release in it, made now if it is not there yet."""
    folder = CACHE / peer.folder
    interpreter = folder / "bin" / "python"
    stamp = folder / "complete"
    wanted = "\n".join(peer.requirements)
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not stamp.is_file() or stamp.read_text() != wanted:
            call([python, "-m", "venv", "--clear", "--without-pip", str(folder)])
            install(interpreter, peer.requirements)
            stamp.write_text(wanted)
    return interpreter


def install(interpreter: Path, requirements: tuple[str, ...]) -> None:
    """Install packages into the environment of an interpreter: with uv, which takes a tenth of the time, or as pip is configured.

    uv does not read the configuration of pip, so where packages come from a place of one's own it may find none.
    """
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--python", str(interpreter), "--quiet"]
    if subprocess.run([*uv, *requirements], capture_output=True, env=MACHINE_ENVIRONMENT, check=False).returncode != 0:
        pip = [sys.executable, "-m", "pip", "--python", str(interpreter), "--disable-pip-version-check", "--quiet"]
        call([*pip, "install", "--no-compile", *requirements])


def required(peer: Peer) -> Path:
    """The interpreter of a release's environment. Skips the test where no Python 3.12 is, unless the peers are demanded."""
    python = python312()
    if python is None:
        if os.environ.get("SCQ_PEERS_REQUIRED"):
            pytest.fail("SCQ_PEERS_REQUIRED is set, but there is no Python 3.12 for the published peers")
        pytest.skip("the published peers need Python 3.12, which is not on this machine")
    return environment(peer, python)


def call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=MACHINE_ENVIRONMENT, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
