"""A person at the terminal whose answers are known, for the tests of the walk."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scq.cli.session import Session
from scq.cli.walk.faces import Plain, Rich
from scq.cli.walk.terminal import Terminal
from scq.cli.walk.walk import walk
from scq.report import Report
from tests.people import World

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PYTHON = "import csv\nprint(1)\n"
FACES: list[Plain] = [Plain(), Rich()]
both_faces = pytest.mark.parametrize("drawn", FACES, ids=["plain", "rich"])
Answer = str | type[BaseException] | Callable[[], object]


class Script(Terminal):
    """A person whose answers are known: text, or an interrupt; something callable happens before the next answer."""

    def __init__(self, *answers: Answer, columns: int = 80, env: dict[str, str] | None = None) -> None:
        super().__init__(io.StringIO(), io.StringIO(), env or {})
        self.answers = list(answers)
        self.asked: list[str] = []
        self.columns = columns

    def size(self) -> os.terminal_size:
        return os.terminal_size((self.columns, 24))

    def ask(self, prompt: str) -> str:
        self.asked.append(prompt)
        self.out.write(prompt)
        while self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, str):
                self.out.write(answer + "\n")
                return answer
            if isinstance(answer, type):
                raise answer
            answer()
        raise EOFError

    @property
    def shown(self) -> str:
        return COLOUR.sub("", self.out.getvalue())  # type: ignore[attr-defined]


def walked(world: World | Any, terminal: Script, drawn: Plain | None = None, **chosen: str) -> Report:
    """One walk of the owner."""
    owner = world.owner
    here = Session(home=str(owner.home), root=str(owner.root), email=owner.email, config_path="", lock_timeout=-1)
    return walk(here.context(), drawn or Plain(), terminal, **chosen)


def status(world: World, uid: str) -> str:
    return str(world.owner.job(uid)["status"])


def rewrite(world: World, uid: str, name: str, text: str) -> None:
    """What the submitter, or the network, does to a job that lies there."""
    (next(world.place(uid).rglob(name))).write_text(text)


def script(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}")
    file.chmod(0o755)
    return str(file)
