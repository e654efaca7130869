"""Pager, editor, answers and colours of the terminal."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from scq.cli.walk.faces import Plain, Rich, face
from scq.cli.walk.terminal import Terminal
from scq.errors import UsageError
from tests.unit.cli.walk.person import COLOUR, Script, script


def bold(path: str, text: str) -> str:
    return "".join(f"\x1b[1m{row}\x1b[0m" for row in text.splitlines(keepends=True))


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def terminal_of(env: dict[str, str], answers: str = "", **more: Any) -> Terminal:
    return Terminal(io.StringIO(answers), Tty(), {"PATH": os.environ["PATH"], "COLUMNS": "80", **env}, **more)


class TestTerminal:
    LONG = "long\n" * 200

    def test_the_pager_gets_its_arguments_and_the_usual_options_of_less(self, tmp_path: Path) -> None:
        pager = script(tmp_path, "pager", f'echo "$LESS|$*" > {tmp_path}/told; cat > {tmp_path}/text\n')
        terminal_of({"PAGER": f"{pager} -a 'b c'"}).page(self.LONG)
        assert (tmp_path / "told").read_text() == "-FRX|-a b c\n"
        assert (tmp_path / "text").read_text() == self.LONG
        terminal_of({"PAGER": pager, "LESS": "-S"}).page(self.LONG)
        assert (tmp_path / "told").read_text() == "-S|\n"

    def test_there_is_no_pager_where_none_is_needed_or_wanted(self, tmp_path: Path) -> None:
        pager = script(tmp_path, "pager", f"touch {tmp_path}/called; cat\n")
        cases = [
            (terminal_of({"PAGER": pager}), "short\n"),
            (terminal_of({"PAGER": pager}, paging=False), self.LONG),
            (terminal_of({"PAGER": "cat"}), self.LONG),
            (terminal_of({"PAGER": ""}), self.LONG),
            (terminal_of({"TERM": "dumb"}), self.LONG),
            (terminal_of({"TERM": "xterm", "PATH": "/nowhere"}), self.LONG),
            (Script(env={"PAGER": pager}), self.LONG),
        ]
        for terminal, text in cases:
            terminal.page(text)
            assert terminal.out.getvalue() == text  # type: ignore[attr-defined]
        assert not (tmp_path / "called").exists()

    def test_wide_letters_long_lines_and_tabs_are_counted_as_they_take_room(self, tmp_path: Path) -> None:
        pager = script(tmp_path, "pager", f"cat >> {tmp_path}/text\n")
        for text in ("漢" * 1000, "x" * 2000, "\t" * 250):
            terminal_of({"PAGER": pager}).page(text + "\n")
        assert (tmp_path / "text").read_text().count("\n") == 3

    def test_a_pager_that_cannot_be_started_hides_nothing(self, capfd: pytest.CaptureFixture[str]) -> None:
        terminal = terminal_of({"PAGER": "/nowhere/pager"})
        assert terminal.page(self.LONG)
        assert "The pager could not be started: /nowhere/pager" in terminal.out.getvalue()  # type: ignore[attr-defined]
        assert self.LONG in terminal.out.getvalue()  # type: ignore[attr-defined]

    def test_a_pager_that_is_left_early_is_no_trouble(self) -> None:
        assert terminal_of({"PAGER": "true"}).page("long\n" * 100_000)

    @pytest.mark.parametrize(("pager", "how"), [("false", "ended with exit code 1"), ("kill -9 $$", "was ended by signal 9")])
    def test_a_pager_that_fails_has_shown_nothing(self, pager: str, how: str) -> None:
        terminal = terminal_of({"PAGER": pager})
        assert terminal.page(self.LONG) is False
        assert terminal.out.getvalue() == f"The pager {how}.\n"  # type: ignore[attr-defined]

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_an_end_of_the_call_waits_until_the_copy_is_removed(self, tmp_path: Path, number: int) -> None:
        editor = script(
            tmp_path,
            "editor",
            f'dirname "$1" > {tmp_path}/where; kill -{number} {os.getpid()}; exec sleep 60\n',
        )
        before = signal.getsignal(number)
        with pytest.raises(SystemExit):
            terminal_of({"EDITOR": editor}).edit(lambda folder: [f"{folder}/x"])
        assert not Path((tmp_path / "where").read_text().strip()).exists()
        assert signal.getsignal(number) is before

    def test_a_second_signal_does_not_come_in_the_way_of_tidying_up(self) -> None:
        def fill(folder: str) -> list[str]:
            with pytest.raises(SystemExit):
                signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
            return []

        assert terminal_of({"EDITOR": "true"}).edit(fill)

    @pytest.mark.parametrize("key", ["INT", "QUIT"])
    def test_an_interrupt_belongs_to_the_editor(self, tmp_path: Path, key: str) -> None:
        editor = script(tmp_path, "editor", f"kill -{key} {os.getpid()}\n")
        assert terminal_of({"EDITOR": editor}).edit(lambda folder: []) is True

    def test_an_editor_that_fails_or_is_missing_is_named(self, capfd: pytest.CaptureFixture[str]) -> None:
        terminal = terminal_of({"EDITOR": "exit 3;"})
        assert terminal.edit(lambda folder: []) is False
        assert "exit code 3" in terminal.out.getvalue()  # type: ignore[attr-defined]
        with pytest.raises(UsageError, match=r"could not be started: /nowhere/ed"):
            terminal_of({"VISUAL": "/nowhere/ed", "EDITOR": "true"}).edit(lambda folder: [])
        with pytest.raises(UsageError, match="there is no editor"):
            terminal_of({"PATH": "/nowhere"}).edit(lambda folder: [])

    def test_vi_is_the_editor_of_those_who_chose_none(self, tmp_path: Path) -> None:
        script(tmp_path, "vi", f'/bin/echo "$@" > {tmp_path}/told\n')
        assert terminal_of({"PATH": str(tmp_path), "EDITOR": " "}).edit(lambda folder: ["/one two"]) is True
        assert (tmp_path / "told").read_text() == "/one two\n"

    def test_answers_are_clean_and_the_end_of_input_is_one(self) -> None:
        terminal = terminal_of({}, "a\x1b[Ab\n  yes \r\nYES\n\n")
        assert terminal.ask("> ") == "a�[Ab"
        assert terminal.ask("> ") == "yes"
        assert [terminal.agrees("Sure?"), terminal.agrees("Sure?")] == [True, False]
        with pytest.raises(EOFError):
            terminal.ask("> ")

    def test_letters_that_the_terminal_does_not_know_are_replaced(self) -> None:
        raw = io.BytesIO()
        out = io.TextIOWrapper(raw, encoding="ascii")
        source = io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="ascii")
        terminal = Terminal(source, out, {})
        terminal.say("── Müller …")
        assert terminal.ask("> ") == "caf�"
        assert raw.getvalue() == b"?? M?ller ?\n> "

    def test_the_face_is_rich_only_where_it_can_be_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert isinstance(face(Tty(), {"TERM": "xterm"}), Rich)
        assert type(face(Tty(), {"TERM": "dumb"})) is Plain
        assert type(face(io.TextIOWrapper(io.BytesIO(), encoding="ascii"), {"TERM": "xterm"})) is Plain
        monkeypatch.setitem(sys.modules, "rich", None)
        assert type(face(Tty(), {"TERM": "xterm"})) is Plain

    def test_a_locale_without_letters_gets_plain_lines_although_python_writes_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("locale.getencoding", lambda: "ANSI_X3.4-1968")  # LC_ALL=C, where Python is in its UTF-8 mode
        assert type(face(Tty(), {"TERM": "xterm"})) is Plain

    @pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
    def test_colours_can_be_refused_in_both_faces(self, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
        code = {"path": "a.py", "size": 3, "executable": False, "text": "import csv\n", "whole": True}
        change = {"path": "a.py", "change": "changed", "diff": "@@\n-a\n+b\n"}
        out = Tty()
        out.encoding = encoding
        drawn = face(out, {"TERM": "xterm"})
        assert "\x1b[" in drawn.code([code])
        assert "\x1b[32m+b\x1b[0m" in drawn.diff("compared", [change])
        monkeypatch.setenv("NO_COLOR", "1")
        drawn = face(out, {"TERM": "xterm", "NO_COLOR": "1"})
        assert "\x1b" not in drawn.code([code]) + drawn.diff("compared", [change])

    @pytest.mark.parametrize("drawn", [Plain(bold), Rich(bold)], ids=["plain", "rich"])
    def test_very_long_texts_get_no_colours_that_a_person_would_wait_for(self, drawn: Plain) -> None:
        for lines, coloured in ((10, True), (10_000, False)):
            text = "import csv\n" * lines
            shown = drawn.code([{"path": "a.py", "size": 3, "executable": False, "whole": True, "text": text}])
            assert (re.search(r"\x1b\[[0-9;]+m.*import", shown) is not None) is coloured
            assert re.search(rf"^ *{lines} +import csv", COLOUR.sub("", shown), re.MULTILINE)

    def test_very_many_files_get_colours_until_a_person_would_wait_for_them(self) -> None:
        file = {"path": "a.py", "size": 3, "executable": False, "whole": True, "text": "import csv\n" * 1_000}
        coloured = Rich(bold).code([file] * 5)
        assert re.findall(r"(?m)^.*import.*$", coloured)[2_000 - 1].count("\x1b[") > 0
        assert "\x1b" not in "".join(re.findall(r"(?m)^.*import.*$", coloured)[2_000:])
