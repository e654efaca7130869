"""A SyftBox with somebody hostile in it: every call is checked for crashes and leaks, and a healthy neighbour job goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import scq
from tests.people import OWNER, SCIENTIST, SECOND, Answer, Person, code_folder, syftbox

GENERATIONS = ["a3", "b2", "c1"]
SECRET = "TOP-SECRET-4711"
SCRIPT = 'mkdir -p "${OUTPUT_DIR:-outputs}"\necho hello\necho 42 > "${OUTPUT_DIR:-outputs}/answer.txt"\n'
BUG = 70
PATIENCE_S = 60
WITHOUT_OVERRIDE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
needs_rights = pytest.mark.skipif(
    bool(WITHOUT_OVERRIDE) and shutil.which(WITHOUT_OVERRIDE[0]) is None, reason="access rights bind root only with setpriv"
)


class Careful(Person):
    """Every call must end by itself, as no bug, and without having shown a secret."""

    def scq(self, *arguments: str, code: int | None = 0, stdin: bytes | None = None) -> Answer:
        with in_time():
            answer = self._ask(*arguments)
        said = answer.out + answer.err
        assert answer.code != BUG, answer
        assert "Traceback" not in said, answer
        assert SECRET not in said, answer
        assert code is None or answer.code == code, answer
        return answer

    def _ask(self, *arguments: str) -> Answer:
        return super().scq(*arguments, code=None)


class Apart(Careful):
    """The same, each call in a fork of this process: one that hangs is killed and fails the test."""

    def _ask(self, *arguments: str) -> Answer:
        with tempfile.TemporaryFile("w+") as said:
            sys.stdout.flush()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the threads of the test run stay behind, as they shall
                pid = os.fork()
            if pid == 0:
                with ended_at_once():
                    answer = super()._ask(*arguments)
                    json.dump([answer.code, answer.out, answer.err], said)
                    said.flush()
            try:
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            except BaseException:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise
            assert status == 0, status
            said.seek(0)
            return Answer(*json.load(said))


class Bound(Careful):
    """The same, bound by access rights also when it is root, who could read and write everything otherwise.

    Each call is a process of its own, since only a new program gives up rights.
    """

    def _ask(self, *arguments: str) -> Answer:
        place = ["--home", str(self.home), "--root", str(self.root), "--email", self.email]
        ended = subprocess.run(
            [*WITHOUT_OVERRIDE, sys.executable, "-m", "scq", *place, *arguments],
            cwd=Path(scq.__file__).parents[1],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return Answer(ended.returncode, ended.stdout, ended.stderr)


class Box:
    """One SyftBox root with its people, and a secret beside it that nobody may read, show or change."""

    def __init__(self, folder: Path, owner: type[Careful] = Careful, config: str = "sandbox: none\n") -> None:
        self.folder = folder
        self.root = syftbox(folder, OWNER, SCIENTIST, SECOND)
        self.owner = owner(folder / "do", self.root, OWNER, config)
        self.scientist = Careful(folder / "ds", self.root, SCIENTIST)
        self.second = Careful(folder / "second", self.root, SECOND)
        self.outside = folder / "outside"
        self.outside.mkdir()
        self.secret = self.outside / "secret.yaml"
        self.secret.write_text(f"name: {SECRET}\nstatus: approved\n")

    def submit(self, generation: str, name: str = "count", script: str = SCRIPT, by: Careful | None = None) -> str:
        """Submit a small job; its id."""
        source = code_folder(self.folder / "sources" / name, script, note__txt="for reading")
        sender = by or self.scientist
        return str(sender.json("submit", OWNER, str(source), "--name", name, "--layout", generation)["id"])

    def place(self, uid: str) -> Path:
        """The folder of a submission as it lies now. Asking is no part of a test, so it takes no process of its own."""
        if isinstance(self.owner, Bound):
            return self.root / str(Person.scq(self.owner, "show", uid, "--json").json["data"]["path"])
        return self.root / str(self.owner.job(uid)["path"])

    def code(self, uid: str) -> Path:
        """The folder with the submitted files."""
        place = self.place(uid)
        return place / "code" if (place / "code").is_dir() else place

    def listed(self) -> dict[str, dict[str, Any]]:
        """Every job the owner is shown, by id."""
        return {job["id"]: job for job in self.owner.json("list")["jobs"]}

    def answers(self, uid: str) -> None:
        """The job is listed, approved, run and answered, and its submitter sees that."""
        assert self.listed()[uid]["status"] == "pending"
        assert uid in [job["id"] for job in self.owner.json("pending")["jobs"]]
        self.owner.scq("approve", uid)
        runs = {run["id"]: run["status"] for run in self.owner.json("run-approved", code=None)["runs"]}
        assert runs.get(uid) == "completed", runs
        assert self.scientist.job(uid)["status"] == "completed"
        assert [row["path"] for row in self.owner.json("output", uid)["outputs"]] == ["answer.txt"]

    def kept_its_secret(self) -> None:
        """The secret is as it was, nothing was put beside it, and no file of scq or of the queue holds it."""
        assert self.secret.read_text() == f"name: {SECRET}\nstatus: approved\n"
        assert [path.name for path in self.outside.iterdir()] == [self.secret.name]
        for folder in (self.root, self.owner.home, self.scientist.home):
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 22:
                    assert SECRET.encode() not in path.read_bytes(), path


@contextmanager
def ended_at_once() -> Iterator[None]:
    """End this process, a fork, after the block: 0, or 1 when something was raised."""
    code = 1
    try:
        yield
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)


def problems_of(job: dict[str, Any]) -> str:
    """Everything a job object says is wrong with it, on one line."""
    return json.dumps([job["invalid"], job["problems"]])


@contextmanager
def in_time(seconds: int = PATIENCE_S) -> Iterator[None]:
    """Fail the test instead of waiting for ever."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"did not end within {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    left = signal.alarm(0)
    signal.alarm(min(seconds, left or seconds))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
