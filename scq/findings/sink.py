"""Where the rules put what they find in one file."""

from __future__ import annotations

from collections.abc import Callable

from scq.clean import line as cleaned
from scq.model import Finding

NESTING = 3
"""Code in texts of code in texts that is looked into."""
PIECES = 500
"""Pieces of code in one file's texts that are looked into."""
CAP = 300
"""Findings of one rule that are kept of one file. Counted by rule, so that many of one cannot push out another."""
Reader = Callable[[str, int, "Sink"], None]
"""(code, its first line, sink): puts what it finds into the sink."""


class Sink:
    """Findings of one file, each once. Hands code inside of code to the rules of its language."""

    def __init__(self, path: str, allowed: tuple[str, ...], shell: Reader, python: Reader) -> None:
        self.path = path
        self.allowed = allowed
        self.found: set[Finding] = set()
        self._counts: dict[str, int] = {}
        self._readers = {"shell": shell, "python": python}
        self._level = 0
        self._pieces = 0

    def add(self, line: int, rule: str, what: str) -> None:
        finding = Finding(self.path, line, rule, cleaned(what, 300))
        count = self._counts.get(rule, 0)
        if finding not in self.found and count < CAP:
            self.found.add(finding)
            self._counts[rule] = count + 1

    def code(self, language: str, text: str, line: int) -> None:
        """Look into code in `shell` or `python` that stands in other code."""
        if self._level >= NESTING:
            self.add(line, "unparsed", "code inside of code inside of code is not looked into")
            return
        self._pieces += 1
        if self._pieces > PIECES:
            self.add(line, "unparsed", f"more than {PIECES} pieces of code inside of code: this one is not looked into")
            return
        self._level += 1
        self._readers[language](text, line, self)
        self._level -= 1


def shown(text: str) -> str:
    """A word for a sentence: short, and without control characters."""
    return cleaned(text, 60)
