"""The real `scq review` without a job, on a terminal of its own as a person has it: keys go in, a screen comes out."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.people import World

PROMPT = "q quit] "
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PATIENCE = 60.0


class Screen:
    """A pseudo-terminal that controls one call of scq, so that Ctrl+C reaches it as it reaches a person's."""

    def __init__(self, world: World, *arguments: str, columns: int = 80, **environment: str) -> None:
        owner = world.owner
        self._here, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        place = ["--home", str(owner.home), "--root", str(owner.root), "--email", owner.email]
        env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "LESS", "VISUAL", "PAGER")}
        self._process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", sys.executable, "-m", "scq", *place, "review", *arguments],
            stdin=there,
            stdout=there,
            stderr=there,
            env=env | {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"} | environment,
        )
        os.close(there)
        self.raw = b""
        self._read = 0

    @property
    def text(self) -> str:
        return COLOUR.sub("", self.raw.decode(errors="replace")).replace("\r\n", "\n")

    def until(self, words: str) -> None:
        """Wait until new text ends in these words."""
        deadline = time.monotonic() + PATIENCE
        while not self.text.endswith(words) or len(self.raw) == self._read:
            assert self._more(deadline), f"no {words!r} after:\n{self.text}"
        self._read = len(self.raw)

    def type(self, *lines: str) -> None:
        """Type lines, each once the prompt is there."""
        for line in lines:
            self.until(": " if line.startswith("because") else PROMPT)
            os.write(self._here, line.encode() + b"\n")

    def press(self, key: bytes) -> None:
        self.until(PROMPT)
        os.write(self._here, key)

    def end(self) -> int:
        """Wait for the end of the call; its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._more(deadline):
            pass
        os.close(self._here)
        return self._process.wait(PATIENCE)

    def _more(self, deadline: float) -> bool:
        if not select.select([self._here], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        try:
            block = os.read(self._here, 65_536)
        except OSError:  # the other end is closed: the call has ended
            return False
        self.raw += block
        return bool(block)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def without_rich(tmp_path: Path) -> dict[str, str]:
    """An environment in which `rich` is not installed."""
    folder = tmp_path / "without"
    folder.mkdir()
    (folder / "rich.py").write_text("raise ImportError('not installed')\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.getcwd(), os.environ.get("PYTHONPATH", "")]))}


def program(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}")
    file.chmod(0o755)
    return str(file)


@pytest.mark.parametrize("rich", [True, False], ids=["rich", "plain"])
def test_a_person_reads_with_their_own_programs_and_decides(
    world: World, tmp_path: Path, without_rich: dict[str, str], rich: bool
) -> None:
    long = "".join(f"print({number})  # \x1b[2Jname\n" for number in range(100))
    first = world.submit("one", main__py=long, layout="a3")
    second, third = world.submit("two", layout="a3"), world.submit("three", layout="a3")
    pager = program(tmp_path, "pager", f'echo "$LESS $*" > {tmp_path}/options; cat > {tmp_path}/paged\n')
    told = (
        f'cd "$(dirname "$2")"; pwd > {tmp_path}/where; stat -c %a . "$2" "$3" > {tmp_path}/modes; cat "$3" > {tmp_path}/text\n'
    )
    editor = program(tmp_path, "editor", f'echo "$1" > {tmp_path}/word; {told}')
    screen = Screen(world, PAGER=f"{pager} -x", EDITOR=f"{editor} --wait", **({} if rich else without_rich))
    screen.type("2", "e", "a --max-runs 1", "because it counts", "s", "b", "r", "because it does not", "q")
    assert screen.end() == 0
    assert ("╭─" in screen.text) is rich
    assert "Reason (may be empty): " in screen.text
    assert screen.text.endswith("approved 1, rejected 1, skipped 0, left 1\n")
    decided = [
        (world.owner.job(uid)["status"], (world.owner.job(uid)["approval"] or {}).get("reason")) for uid in (first, second, third)
    ]
    assert decided == [("approved", "because it counts"), ("rejected", "because it does not"), ("pending", None)]
    assert (tmp_path / "options").read_text() == "-FRX -x\n"
    paged = COLOUR.sub("", (tmp_path / "paged").read_text())
    assert "99)  # �[2Jname" in paged
    assert "\x1b" not in paged
    assert (tmp_path / "word").read_text() == "--wait\n"
    assert (tmp_path / "modes").read_text().split() == ["700", "400", "400"]
    assert (tmp_path / "text").read_text() == long
    assert not Path((tmp_path / "where").read_text().strip()).exists()


@pytest.mark.parametrize("key", [b"\x03", b"\x04"], ids=["interrupt", "end of input"])
def test_a_key_leaves_at_once_with_the_summary(world: World, key: bytes) -> None:
    uid, other = world.submit("one"), world.submit("two")
    screen = Screen(world)
    screen.type("r because")
    screen.press(key)
    assert screen.end() == 0
    assert screen.text.endswith("approved 0, rejected 1, skipped 0, left 1\n")
    assert [world.owner.job(word)["status"] for word in (uid, other)] == ["rejected", "pending"]


def test_a_terminal_that_knows_neither_colours_nor_letters_is_enough(world: World) -> None:
    world.submit("one", "echo ümläut\n", "--description", "zählt", layout="a3")
    screen = Screen(world, columns=40, LC_ALL="C", PYTHONIOENCODING="ascii", TERM="dumb", PAGER="cat")
    screen.type("o", "?", "q")
    assert screen.end() == 0
    assert "z?hlt" in screen.text
    assert b"\x1b" not in screen.raw
    assert screen.raw.isascii()


def test_nobody_waits(world: World) -> None:
    screen = Screen(world)
    assert screen.end() == 0
    assert screen.text == "No job waits for your decision.\n"
