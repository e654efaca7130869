"""A SyftBox with a history: jobs that scq really took through, then copied as often as wanted under new names."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.measuring import ENVIRONMENT, SCQ
from scq.tree import TOO_YOUNG_NS

OWNER = "owner@example.org"
SCIENTIST = "scientist@example.com"
SCRIPT = "#!/bin/bash\ntrue\n"
CONFIG = "sandbox: {sandbox}\ncheck.sweep_every: 1d\n"


class Template:
    """One job as it lies on disk: every file and folder whose path names it."""

    def __init__(self, root: Path, word: str) -> None:
        self.root = root
        self.word = word
        found = sorted(path for path in root.rglob("*") if word in path.relative_to(root).as_posix())
        self.folders = [path.relative_to(root).as_posix() for path in found if path.is_dir()]
        self.files = [
            (path.relative_to(root).as_posix(), path.read_bytes(), path.stat().st_mode & 0o777)
            for path in found
            if path.is_file()
        ]

    def copy(self, word: str) -> None:
        """Make the same job under another word of the same length."""
        for folder in self.folders:
            os.mkdir(f"{self.root}/{folder.replace(self.word, word)}")
        old, new = self.word.encode(), word.encode()
        for path, content, mode in self.files:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            fd = os.open(f"{self.root}/{path.replace(self.word, word)}", flags, mode)
            os.write(fd, content.replace(old, new))
            os.close(fd)


class World:
    """A SyftBox folder and the home of its owner. `layout` is a generation word that scq can write."""

    def __init__(self, folder: Path, layout: str, sandbox: str = "none") -> None:
        self.root = folder / "SyftBox"
        self.home = folder / "home"
        self.layout = layout
        self.named = 0
        for person in (OWNER, SCIENTIST):
            (self.root / person).mkdir(parents=True)
            (self.root / "datasites" / person).mkdir(parents=True)
        for home in (self.home, self._other_home):
            home.mkdir(mode=0o700)
            (home / "config.yaml").write_text(CONFIG.format(sandbox=sandbox))
        (folder / "run.sh").write_text(SCRIPT)
        self.source = folder / "run.sh"
        self.waiting = Template(self.root, self._submit())
        self.finished = Template(self.root, self._finish())

    @property
    def _other_home(self) -> Path:
        """Where the models are made, so that the home that is measured begins with its first look."""
        return self.home.with_name("other-home")

    def command(self, *arguments: str) -> list[str]:
        """A call by the owner."""
        return _command(self.home, self.root, OWNER, arguments)

    def call(self, *arguments: str) -> dict[str, object]:
        """`data` of one call by the owner. Raises RuntimeError when it fails."""
        return _data(self.command(*arguments, "--json"))

    def add_finished(self, count: int) -> None:
        for _ in range(count):
            self.finished.copy(self._next_word())

    def add_pending(self, count: int) -> list[str]:
        """Submit jobs; returns words that name them on the command line."""
        words = [self._next_word() for _ in range(count)]
        for word in words:
            self.waiting.copy(word)
        return words

    def settle(self) -> None:
        """Remember everything in a full look, at a time when no time stamp is too young to be trusted."""
        wait_until_old(self.root)
        for _ in range(2):
            self.call("check", "--full")
        wait_until_old(self.home)

    def _submit(self) -> str:
        name = self._next_word()
        options = ("--name", name, "--layout", self.layout, "--json")
        data = _data(_command(self._other_home, self.root, SCIENTIST, ("submit", OWNER, str(self.source), *options)))
        return str(data["id"]) if self.layout == "a3" else name

    def _finish(self) -> str:
        """Take one more job all the way."""
        word = self._submit()
        for arguments in (("approve", word, "--json"), ("run-approved", "--job", word, "--json")):
            _data(_command(self._other_home, self.root, OWNER, arguments))
        return word

    def _next_word(self) -> str:
        """Names of one length; below status folders the name is a uid, and nowhere else may it look like one."""
        self.named += 1
        return f"a{self.named:07d}-0000-4000-8000-{self.named:012d}" if self.layout == "a3" else f"job-{self.named:07d}"


def wait_until_old(folder: Path) -> None:
    """Until the newest change below a folder is older than what a look distrusts."""
    newest = max((path.lstat().st_ctime_ns for path in _newest_first(folder)), default=0)
    while time.time_ns() <= newest + TOO_YOUNG_NS:
        time.sleep(0.05)


def _newest_first(folder: Path) -> Iterable[Path]:
    yield folder
    for directory, _, names in os.walk(folder):
        yield Path(directory)
        yield from (Path(directory, name) for name in names)


def _command(home: Path, root: Path, email: str, arguments: Sequence[str]) -> list[str]:
    return [*SCQ, "--home", str(home), "--root", str(root), "--email", email, *arguments]


def _data(command: list[str]) -> dict[str, object]:
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    data: dict[str, object] = json.loads(done.stdout)["data"]
    return data
