"""The text of a crontab: our lines between two marks for each home, everything else kept byte for byte. Pure."""

from __future__ import annotations

import re

from msgspec import Struct

from scq.errors import ConfigError

_MARK = re.compile(rb"[ \t]*#[ \t]*(BEGIN|END)[ \t]+scq\b", re.IGNORECASE)
"""Anything that may be meant as one of our marks, also when somebody's editor changed it."""
_EXACT = re.compile(rb"# (BEGIN|END) scq (/[^\r\n]*)")
_ADVICE = "Correct or remove that line with `crontab -e`: from `# BEGIN scq HOME` to `# END scq HOME` is what scq looks after."


class _Block(Struct, frozen=True):
    """Rows `first` to `last`, both marks included, counted from 0."""

    home: bytes
    first: int
    last: int


class Table(Struct, frozen=True):
    """A whole crontab as `crontab -l` shows it."""

    content: bytes

    def block(self, home: str) -> str:
        """Our lines for a home with both marks; empty when there are none. Raises ConfigError for marks that do not fit."""
        rows = self._rows()
        found = self._find(home)
        return "" if found is None else b"".join(rows[found.first : found.last + 1]).decode("utf-8", "surrogateescape")

    def with_block(self, home: str, text: str) -> Table:
        """The table with other lines for a home: in the place of the old ones, else at the end. Empty: without them."""
        rows, found, ours = self._rows(), self._find(home), text.encode("utf-8", "surrogateescape")
        if found is not None:
            return Table(b"".join([*rows[: found.first], ours, *rows[found.last + 1 :]]))
        if self.content and not self.content.endswith(b"\n"):
            return Table(ours + self.content)  # behind a line without an end our first mark would become part of it
        return Table(self.content + ours)

    def others(self) -> list[tuple[int, bytes]]:
        """The lines outside of every block, with their numbers counted from 1."""
        ours = {number for block in self._blocks() for number in range(block.first, block.last + 1)}
        return [(number + 1, row) for number, row in enumerate(self._rows()) if number not in ours]

    def _rows(self) -> list[bytes]:
        """Lines with their ends. Only a line feed ends a line, as for cron itself."""
        return re.findall(rb"[^\n]*\n|[^\n]+", self.content)

    def _find(self, home: str) -> _Block | None:
        wanted = home.encode("utf-8", "surrogateescape")
        found = [block for block in self._blocks() if block.home == wanted]
        if len(found) > 1:
            raise ConfigError(f"crontab, line {found[1].first + 1}: a second block for {home}", _ADVICE)
        return found[0] if found else None

    def _blocks(self) -> list[_Block]:
        """All blocks. Raises ConfigError rather than guess where one begins or ends."""
        blocks: list[_Block] = []
        open_home, first = b"", 0
        for number, row in enumerate(self._rows()):
            if not _MARK.match(row):
                continue
            exact = _EXACT.fullmatch(row.removesuffix(b"\n"))
            if exact is None:
                raise ConfigError(f"crontab, line {number + 1}: looks like a mark of scq, but is not exactly one", _ADVICE)
            kind, home = exact.groups()
            if kind == b"BEGIN" and not open_home:
                open_home, first = home, number
            elif kind == b"END" and home == open_home:
                blocks.append(_Block(home, first, number))
                open_home = b""
            else:
                raise ConfigError(f"crontab, line {number + 1}: this mark of scq does not fit the one before it", _ADVICE)
        if open_home:
            raise ConfigError(f"crontab, line {first + 1}: this mark of scq has no end", _ADVICE)
        return blocks
