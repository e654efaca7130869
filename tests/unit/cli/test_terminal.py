"""What is different on a terminal: colours, the pager, questions. A pseudo-terminal stands in for one."""

from __future__ import annotations

import builtins
import io
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from scq.cli.painting import painter
from tests.people import World

PYTHON = "def answer():\n    return 42\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def typed(world: World, *arguments: str, keys: str = "", **environment: str) -> tuple[int, str]:
    """One call in a process of its own whose three streams are a terminal: (exit code, everything it showed)."""
    place = ["--home", str(world.owner.home), "--root", str(world.root), "--email", world.owner.email]
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "scq", *place, *arguments],
        stdin=there,
        stdout=there,
        stderr=there,
        env={**os.environ, "TERM": "xterm", "PAGER": "cat"} | environment,
        start_new_session=True,
    )
    os.close(there)
    if keys:
        os.write(here, keys.encode())
    shown = b""
    while select.select([here], [], [], 20)[0]:
        try:
            block = os.read(here, 65_536)
        except OSError:  # the other end is closed: the call has ended
            break
        if not block:
            break
        shown += block
    os.close(here)
    return process.wait(20), shown.decode().replace("\r\n", "\n")


class TestPainter:
    def test_code_is_coloured_by_its_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm")
        paint = painter(Terminal())
        assert paint is not None
        assert "\x1b[" in paint("main.py", PYTHON)
        assert paint("data.unknown", PYTHON) == PYTHON
        assert "\x1b[" in paint("run.sh", "if true; then echo hi; fi\n")

    def test_colours_add_nothing_but_colours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import re

        monkeypatch.setenv("TERM", "xterm")
        paint = painter(Terminal())
        assert paint is not None
        text = "\n\n  x = 1\n\n\n"
        assert re.sub(r"\x1b\[[0-9;]*m", "", paint("main.py", text)) == text

    def test_the_name_of_a_file_chooses_among_few_languages_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm")
        paint = painter(Terminal())
        assert paint is not None
        assert paint("slow.lasso", "<?lasso 1 ?>") == "<?lasso 1 ?>"
        assert paint("main.py", "x = 1" * 100_000) == "x = 1" * 100_000, "nobody reads such a line for its colours"

    @pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("NO_COLOR", ""), ("TERM", "dumb")])
    def test_colours_can_be_refused(self, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv(name, value)
        assert painter(Terminal()) is None

    def test_a_pipe_gets_none(self) -> None:
        assert painter(io.StringIO()) is None

    def test_without_pygments_there_are_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = builtins.__import__

        def without(name: str, *rest: object) -> object:
            if name.startswith("pygments"):
                raise ImportError(name)
            return real(name, *rest)  # type: ignore[arg-type]

        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(builtins, "__import__", without)
        assert painter(Terminal()) is None


class TestTerminal:
    def test_review_is_coloured_and_paged(self, world: World) -> None:
        world.submit(main__py=PYTHON)
        pager = world.folder / "pager"
        pager.write_text("#!/bin/sh\necho PAGED $LESS\nexec cat\n")
        pager.chmod(0o755)
        code, shown = typed(world, "review", "count", PAGER=str(pager))
        assert code == 0
        assert "PAGED -FRX\n" in shown
        assert "\x1b[34mdef\x1b[39;49;00m" in shown
        assert "PAGED" not in typed(world, "review", "count", "--no-pager", PAGER=str(pager))[1]

    def test_no_color_and_programs_get_plain_text(self, world: World) -> None:
        world.submit(main__py=PYTHON)
        assert "\x1b" not in typed(world, "review", "count", "--no-pager", NO_COLOR="1")[1]
        assert "\x1b" not in typed(world, "review", "count", "--json")[1]
        assert "\x1b" not in world.owner.scq("review", "count").out

    @pytest.mark.parametrize(("keys", "code", "status"), [("y\n", 0, "approved"), ("n\n", 2, "pending")])
    def test_approving_unread_is_asked_about(self, world: World, keys: str, code: int, status: str) -> None:
        uid = world.submit()
        ended, shown = typed(world, "approve", uid, keys=keys)
        assert (ended, "unread? [y/N]" in shown) == (code, True)
        assert world.owner.job(uid)["status"] == status

    def test_a_reset_names_what_goes_and_asks(self, world: World) -> None:
        world.submit()
        code, shown = typed(world, "reset", keys="y\n")
        assert (code, "It cannot be undone. Go on? [y/N]" in shown) == (0, True)
        assert world.owner.json("list")["jobs"] == []

    def test_a_busy_queue_is_said_to_a_person(self, world: World) -> None:
        from scq.store import exclusive

        with exclusive(str(world.owner.home / "locks" / "check.lock"), 0):
            code, shown = typed(world, "check")
        assert code == 75
        assert "another scq call holds" in shown
