"""The person at the terminal: lines that are shown, questions, and the pager and editor of their choice."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO
from unicodedata import east_asian_width

from scq.clean import line
from scq.errors import UsageError

SHELL = "/bin/sh"
"""$PAGER and $EDITOR are words for it: they may have arguments, quotes and variables in front."""
NOT_STARTED = (126, 127)
"""Exit codes of the shell for a program that it could not start."""
LONGEST_ANSWER = 4_000
KEPT_ROWS = 4
"""Rows of the screen that stay free for the prompt below a text that is not paged."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """Reads answers from `source` and writes to `out`. `env` says which pager and editor; without `paging` there is no pager."""

    def __init__(self, source: TextIO, out: TextIO, env: Mapping[str, str], *, paging: bool = True) -> None:
        self.out = out
        self.env = env
        self.paging = paging
        self._source = source
        for stream in (source, out):
            if isinstance(stream, io.TextIOWrapper):  # what a locale has no letter for is shown and read as a question mark
                stream.reconfigure(errors="replace")

    def size(self) -> os.terminal_size:
        """Columns and rows, as they are now."""
        return shutil.get_terminal_size()

    def say(self, text: str = "") -> None:
        """Show lines that are clean already."""
        self.out.write(text.rstrip("\n") + "\n")
        self.out.flush()

    def ask(self, prompt: str) -> str:
        """The line that was typed, clean. Raises EOFError when there will be none (Ctrl+D)."""
        self.out.write(prompt)
        self.out.flush()
        typed = self._source.readline()
        if not typed:
            raise EOFError
        return line(typed.rstrip("\r\n"), LONGEST_ANSWER)

    def agrees(self, question: str) -> bool:
        """Ask something that only a clear yes allows."""
        return self.ask(f"{question} [y/N] ").lower() in ("y", "yes")

    def page(self, text: str) -> bool:
        """Show a text through the pager; directly when it fits on the screen, or when there is no pager.

        Returns whether it was shown: a pager that failed may have shown nothing.
        """
        pager = self._pager()
        if not pager or not self.out.isatty() or self._fits(text):
            self.say(text)
            return True
        self.out.flush()
        raw = text.encode(self.out.encoding or "utf-8", "replace")
        with self._lent():
            ended = subprocess.run([SHELL, "-c", pager], input=raw, env={"LESS": "-FRX", **self.env}, check=False)
        if ended.returncode in NOT_STARTED:
            self.say(f"The pager could not be started: {line(pager)}. This is the text without it:\n{text}")
            return True
        return self._went_well("pager", ended.returncode)

    def edit(self, fill: Callable[[str], Sequence[str]]) -> bool:
        """Open the files that `fill` writes into a private folder, and remove them when the editor has ended.

        Returns whether it ended well. Raises UsageError when there is no editor, and what `fill` raises.
        """
        editor = self._editor()
        with self._lent(), tempfile.TemporaryDirectory(prefix="scq-review-") as folder:
            paths = fill(folder)
            ended = subprocess.run([SHELL, "-c", f'{editor} "$@"', SHELL, *paths], env=dict(self.env), check=False)
        if ended.returncode in NOT_STARTED:
            raise UsageError(f"the editor could not be started: {line(editor)}", "Set VISUAL or EDITOR to one that is installed.")
        return self._went_well("editor", ended.returncode)

    def _went_well(self, program: str, code: int) -> bool:
        if code:
            how = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
            self.say(f"The {program} {how}.")
        return code == 0

    def _pager(self) -> str:
        """The words that start the pager; empty for none."""
        if not self.paging:
            return ""
        chosen = self.env.get("PAGER")
        if chosen is None and self.env.get("TERM", "dumb") != "dumb":
            chosen = next((name for name in ("less", "more") if shutil.which(name, path=self.env.get("PATH"))), "")
        chosen = (chosen or "").strip()
        return "" if chosen == "cat" else chosen

    def _editor(self) -> str:
        chosen = next((word for name in ("VISUAL", "EDITOR") if (word := self.env.get(name, "").strip())), "")
        if not chosen and shutil.which("vi", path=self.env.get("PATH")):
            return "vi"
        if not chosen:
            raise UsageError("there is no editor", "Set VISUAL or EDITOR, such as EDITOR=nano.")
        return chosen

    def _fits(self, text: str) -> bool:
        size = self.size()
        rows = _COLOUR.sub("", text).rstrip("\n").expandtabs().split("\n")
        return sum(max(1, -(-cells(row) // size.columns)) for row in rows) <= size.lines - KEPT_ROWS

    @contextmanager
    def _lent(self) -> Iterator[None]:
        """While another program has the terminal: its keys are for it, and an end of this call waits for the tidying up."""

        def end(number: int, frame: object) -> None:
            for other in (signal.SIGTERM, signal.SIGHUP):  # a second one must not come in the way of tidying up
                signal.signal(other, signal.SIG_IGN)
            raise SystemExit(128 + number)

        keys = (signal.SIGINT, signal.SIGQUIT)
        before = {number: signal.signal(number, lambda number, frame: None) for number in keys}
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def cells(text: str) -> int:
    """Columns that a line without control characters takes on a terminal."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)
