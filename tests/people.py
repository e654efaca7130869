"""People of the tests: each calls the real command line in this process, on real folders."""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from scq.cli.app import call

OWNER = "owner@example.org"
SCIENTIST = "scientist@example.com"
SECOND = "second@example.net"


class Answer:
    """What one call said: exit code, stdout, stderr."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}"


class Person:
    """One user with a home of their own on a SyftBox."""

    def __init__(self, home: Path, root: Path, email: str, config: str = "sandbox: none\n") -> None:
        self.home = home
        self.root = root
        self.email = email
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.configure(config)

    def configure(self, text: str) -> None:
        (self.home / "config.yaml").write_text(text)

    def scq(self, *arguments: str, code: int | None = 0, stdin: bytes | None = None) -> Answer:
        """One call. Fails the test when the exit code is not `code` (None: any)."""
        out, err = io.StringIO(), io.StringIO()
        place = ["--home", str(self.home), "--root", str(self.root), "--email", self.email]
        with redirect_stdout(out), redirect_stderr(err):
            ended = call([*place, *arguments])
        answer = Answer(ended, out.getvalue(), err.getvalue())
        assert code is None or ended == code, answer
        return answer

    def json(self, *arguments: str, code: int | None = 0) -> Any:
        """`data` of the JSON document of one call."""
        return self.scq(*arguments, "--json", code=code).json["data"]

    def job(self, word: str) -> dict[str, Any]:
        """The job object of one job."""
        value: dict[str, Any] = self.json("show", word)
        return value

    def state(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.home / "state.json").read_text())
        return value


def syftbox(folder: Path, *people: str) -> Path:
    """A SyftBox root with a datasite for each person, in both forms."""
    root = folder / "SyftBox"
    for person in people:
        (root / person).mkdir(parents=True)
        (root / "datasites" / person).mkdir(parents=True)
    return root


def code_folder(folder: Path, run_sh: str = "echo done\n", **files: str) -> Path:
    """A folder to submit: run.sh and further files (`__` in a name stands for a dot)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.sh").write_text("#!/bin/bash\nset -e\n" + run_sh)
    os.chmod(folder / "run.sh", 0o755)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


class World:
    """An owner and two scientists on one SyftBox, and short ways to bring a job to where a test begins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = syftbox(folder, OWNER, SCIENTIST, SECOND)
        self.owner = Person(folder / "do", self.root, OWNER)
        self.scientist = Person(folder / "ds", self.root, SCIENTIST)
        self.second = Person(folder / "ds2", self.root, SECOND)
        self._made = 0

    def submit(
        self,
        name: str = "count",
        script: str = "echo done\n",
        *options: str,
        layout: str = "c0",
        by: Person | None = None,
        **files: str,
    ) -> str:
        """Submit a folder and return the id of the job."""
        self._made += 1
        source = code_folder(self.folder / "code" / str(self._made), script, **files)
        data = (by or self.scientist).json("submit", OWNER, str(source), "--name", name, "--layout", layout, *options)
        return str(data["id"])

    def approved(self, name: str = "count", script: str = "echo done\n", **rest: str) -> str:
        """A job that was submitted and approved."""
        uid = self.submit(name, script, **rest)  # type: ignore[arg-type]
        self.owner.scq("approve", uid)
        return uid

    def ended(self, name: str = "count", script: str = "echo done\n", **rest: str) -> str:
        """A job that was submitted, approved and run, whatever came of it."""
        uid = self.approved(name, script, **rest)
        self.owner.scq("run-approved", code=None)
        return uid

    def place(self, uid: str) -> Path:
        """The folder of a job."""
        return self.root / str(self.owner.job(uid)["path"])
