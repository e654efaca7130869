"""How the walk through waiting jobs looks: plain lines, or panels and tables where `rich` is installed.

Both faces show the same and only draw, into text that ends with a line break: what goes in is clean already (scq.clean), or is
cleaned here on its way. `width` is that of the terminal in columns.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TextIO

from msgspec import Struct

from scq.clean import block, line
from scq.cli.painting import Paint, marker, painter
from scq.showing import size

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

NARROWEST = 20
COLOURED = 32 << 10
"""Characters that are coloured at once; with many more a person would wait for the colours."""
MOST_FILES, MOST_FINDINGS = 30, 12
"""Rows shown of a job at once; a command shows the others."""


class Hint(Struct, frozen=True):
    """One finding: `place` is path and line."""

    place: str
    rule: str
    what: str
    denied: bool

    @property
    def mark(self) -> str:
        return "denied" if self.denied else ""


class FileRow(Struct, frozen=True):
    """One file of a job in its list."""

    number: int
    size: str
    path: str
    notes: str


class Sheet(Struct, frozen=True):
    """One job as it is shown before it is decided. All texts are clean lines."""

    title: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    findings: tuple[Hint, ...]
    files: tuple[FileRow, ...]

    @property
    def findings_title(self) -> str:
        denied = sum(hint.denied for hint in self.findings)
        return f"to look at: {len(self.findings)}" + (f", denied: {denied}" if denied else "")

    @property
    def findings_left(self) -> str:
        left = len(self.findings) - MOST_FINDINGS
        return f"… and {left} more: f shows all" if left > 0 else ""

    @property
    def files_left(self) -> str:
        left = len(self.files) - MOST_FILES
        return f"… and {left} more: l lists all" if left > 0 else ""


def face(out: TextIO, env: Mapping[str, str]) -> Plain:
    """The face for a terminal: rich where it is installed and the terminal can show it."""
    mark = marker(out)
    if env.get("TERM", "dumb") != "dumb" and _has_all_letters(out):
        try:
            import rich  # noqa: F401 - whether it is there
        except ImportError:
            return Plain(painter(out), mark)
        return Rich(painter(out), mark, None if "NO_COLOR" in env else "auto")
    return Plain(painter(out), mark)


def _has_all_letters(out: TextIO) -> bool:
    """True where both the stream and the locale, which pager and editor go by, are UTF-8."""
    from locale import getencoding

    return {word.lower().replace("-", "") for word in (out.encoding or "", getencoding())} == {"utf8"}


class Plain:
    """Lines of text, with the colours that work without `rich`."""

    def __init__(self, paint: Paint | None = None, mark: Paint | None = None) -> None:
        self._paint = paint or (lambda path, text: text)
        self._mark = mark or (lambda meaning, text: text)

    def sheet(self, sheet: Sheet, width: int) -> str:
        label = max((len(name) for name, _ in sheet.facts), default=0)
        rows = ["", self._mark("head", _wrapped(f"── {sheet.title}", "", "   ", width))]
        rows.extend(_wrapped(value, f" {name.rjust(label)}  ", " " * (label + 3), width) for name, value in sheet.facts)
        rows.extend(self._mark("bad", _wrapped(warning, " ! ", "   ", width)) for warning in sheet.warnings)
        if sheet.findings:
            rows.extend(["", _wrapped(f"── {sheet.findings_title}", "", "   ", width)])
            rows.append(self.findings(sheet.findings[:MOST_FINDINGS], width).rstrip("\n"))
            rows.extend([f" {sheet.findings_left}"] if sheet.findings_left else [])
        rows.extend(["", "── files"])
        rows.append(self.files(sheet.files[:MOST_FILES], width).rstrip("\n") or "   none that can be read")
        rows.extend([f" {sheet.files_left}"] if sheet.files_left else [])
        return "\n".join(rows) + "\n"

    def files(self, files: Sequence[FileRow], width: int) -> str:
        sizes = max((len(row.size) for row in files), default=0)
        numbers = max((len(str(row.number)) for row in files), default=0)
        rows = []
        for row in files:
            begin = f" {str(row.number).rjust(numbers)}  {row.size.rjust(sizes)}  "
            rows.append(_wrapped(row.path + (f"  ({row.notes})" if row.notes else ""), begin, " " * len(begin), width) + "\n")
        return "".join(rows)

    def findings(self, hints: Sequence[Hint], width: int) -> str:
        rows = []
        for hint in hints:
            text = "  ".join(part for part in (hint.mark, hint.place, hint.rule, hint.what) if part)
            shown = _wrapped(text, "   ", "     ", width)
            rows.append((self._mark("bad", shown) if hint.denied else shown) + "\n")
        return "".join(rows)

    def code(self, files: Sequence[Mapping[str, Any]]) -> str:
        rows: list[str] = []
        left = COLOURED
        for file in files:
            text = block(file["text"] or "").rstrip("\n")
            coloured = len(text) <= left
            left -= len(text) if coloured else 0
            rows.extend(["", self._head(file_head(file))])
            if text:
                rows.append(numbered(self._paint(file["path"], text) if coloured else text))
            rows.extend(file_notes(file))
        return "\n".join(rows).lstrip("\n") + "\n"

    def diff(self, head: str, changes: Sequence[Mapping[str, Any]]) -> str:
        rows = [head]
        for change in changes:
            rows.extend(["", self._head(f"{line(change['path'], 300)}  {change['change']}")])
            for row in block(change["diff"]).rstrip("\n").split("\n"):
                meaning = {"+": "good", "-": "bad", "@": "dim"}.get(row[:1])
                rows.append(self._mark(meaning, row) if meaning else row)
        return "\n".join(rows) + "\n"

    def _head(self, title: str) -> str:
        return self._mark("head", f"── {title}")


class Rich(Plain):
    """Panels, tables and syntax colours. Everything goes in as `Text`, in which no word is markup."""

    def __init__(self, paint: Paint | None = None, mark: Paint | None = None, colours: Literal["auto"] | None = "auto") -> None:
        super().__init__(paint, mark)
        self._colours = colours

    def sheet(self, sheet: Sheet, width: int) -> str:
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="dim", justify="right", no_wrap=True)
        facts.add_column(overflow="fold")
        for name, value in sheet.facts:
            facts.add_row(Text(name), Text(value))
        parts: list[RenderableType] = [facts, *(Text(f"! {warning}", "bold red") for warning in sheet.warnings)]
        if sheet.findings:
            parts.extend([Text(), Text(sheet.findings_title, "bold yellow"), self._findings(sheet.findings[:MOST_FINDINGS])])
            parts.extend([Text(sheet.findings_left, "dim")] if sheet.findings_left else [])
        parts.extend([Text(), self._files(sheet.files[:MOST_FILES])])
        parts.extend([Text(sheet.files_left, "dim")] if sheet.files_left else [])
        panel = Panel(Group(*parts), title=Text(sheet.title, "bold"), title_align="left", border_style="cyan")
        return "\n" + self._drawn(panel, width)

    def findings(self, hints: Sequence[Hint], width: int) -> str:
        return self._drawn(self._findings(hints), width)

    def _files(self, files: Sequence[FileRow]) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
        for name, justify in (("#", "right"), ("size", "right")):
            table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        table.add_column("file", overflow="fold")
        table.add_column("", style="dim")
        for row in files:
            table.add_row(Text(str(row.number), "bold"), Text(row.size), Text(row.path), Text(row.notes))
        return table

    def _findings(self, hints: Sequence[Hint]) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(overflow="fold")
        for hint in hints:
            style = "red" if hint.denied else ""
            place = f"{hint.place} {hint.mark}" if hint.denied else hint.place
            table.add_row(Text(place, style), Text(hint.rule, style or "yellow"), Text(hint.what, style))
        return table

    def _drawn(self, part: RenderableType, width: int) -> str:
        from io import StringIO

        from rich.console import Console

        drawn = StringIO()
        columns = max(NARROWEST, width)
        console = Console(file=drawn, force_terminal=True, width=columns, color_system=self._colours, legacy_windows=False)
        console.print(part, markup=False, emoji=False, highlight=False)
        return drawn.getvalue()


def numbered(text: str) -> str:
    """Lines with their numbers in front. Colours must not reach from one line into the next."""
    rows = text.rstrip("\n").split("\n")
    digits = len(str(len(rows)))
    return "\n".join(f"{str(number).rjust(digits)}  {row}" for number, row in enumerate(rows, 1))


def file_head(file: Mapping[str, Any]) -> str:
    """Name and size of a file, above what is in it."""
    return f"{line(file['path'], 300)}  {size(file['size'])}" + ("  (executable)" if file["executable"] else "")


def file_notes(file: Mapping[str, Any]) -> list[str]:
    """What is to be said about a file of which the text is not all."""
    if file["text"] is None:
        return [f"   binary, sha256 {file['sha256']}"]
    if not file["text"]:
        return ["   empty"]
    return [] if file["whole"] else ["   … this is the beginning; e opens all of it in your editor"]


def _wrapped(text: str, first: str, later: str, width: int) -> str:
    """A line of text in rows that fit, with what stands before the first and before the later ones."""
    return textwrap.fill(text, max(NARROWEST, width), initial_indent=first, subsequent_indent=later, break_on_hyphens=False)
